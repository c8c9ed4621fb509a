//! Several writes as one atomic transaction.

use pagi_messages::Event;
use pagi_task::Change;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::StoreError,
    messages::{self, InboxMessage, OutboxMessage, outbox_key},
    model::{
        ArtifactRecord, AuditRecord, EmotionRecord, MemoryEntry, Role, ToolRecord, TwinRecord,
    },
    tables::{
        ARTIFACT_BLOCKS, ARTIFACTS, AUDIT, ByName, EMOTION, EVENTS, GRANTS, HEADS, JOURNAL, MEMORY,
        NODE, OUTBOX, PEERS, REVISIONS, SETTINGS, TOOLS, TWINS,
    },
    tasks,
};

/// Writes that happen together or not at all, in the order they were added.
#[derive(Clone, Debug, Default)]
#[must_use = "a batch does nothing until it is given to Store::write"]
pub struct Batch {
    ops: Vec<Op>,
}

/// What a committed [`Batch`] was given by the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchOutcome {
    /// The memory entries, in the order they were added.
    pub memories: Vec<MemoryEntry>,
    /// The sequence numbers of the events, in the order they were added.
    pub events: Vec<u64>,
    /// The sequence numbers of the audit records, in the order they were added.
    pub audits: Vec<u64>,
    /// The tools that were there to be removed.
    pub removed_tools: Vec<String>,
    /// The received messages, in the order they were added.
    pub messages: Vec<InboxMessage>,
    /// How many messages of [`Batch::read_messages`] were there.
    pub read: usize,
    /// The artifacts of [`Batch::known_artifact_status`] that this node does not hold.
    pub unknown_artifacts: Vec<String>,
}

#[derive(Clone, Debug)]
enum Op {
    Twin(TwinRecord),
    Memory(MemoryEntry),
    Emotion {
        twin_id: String,
        record: EmotionRecord,
    },
    Tool(ToolRecord),
    RemoveTool(String),
    Allow {
        twin_id: String,
        tool: String,
        allowed: bool,
    },
    Revoke(String),
    Receive {
        message: InboxMessage,
        until_s: u64,
        now_s: u64,
    },
    ReadMessages {
        twin_id: String,
        seqs: Vec<u64>,
    },
    Outgoing(OutboxMessage),
    OutgoingDone(String),
    Event(Event),
    Audit(AuditRecord),
    Artifact(ArtifactRecord),
    ArtifactStatus {
        cid: String,
        status: ArtifactStatus,
        required: bool,
    },
    Revision {
        cid: String,
        bytes: Vec<u8>,
    },
    Heads(Vec<String>),
    Setting {
        key: String,
        value: Value,
    },
    Peers(Vec<String>),
    Task(Change),
    Journal {
        swarm: String,
        entry: Value,
    },
    EnterSwarm {
        unnamed: String,
        swarm: String,
    },
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    fn with(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Puts a twin, replacing one of the same id.
    pub fn twin(self, record: TwinRecord) -> Self {
        self.with(Op::Twin(record))
    }

    /// Appends to a twin's memory, with a fresh id. `ts` is RFC 3339.
    pub fn memory(
        self,
        twin_id: impl Into<String>,
        role: Role,
        content: impl Into<String>,
        ts: impl Into<String>,
    ) -> Self {
        self.with(Op::Memory(MemoryEntry {
            seq: 0,
            id: Uuid::new_v4().to_string(),
            twin_id: twin_id.into(),
            role,
            content: content.into(),
            ts: ts.into(),
        }))
    }

    /// Puts a twin's emotion. Its numbers must be finite.
    pub fn emotion(self, twin_id: impl Into<String>, record: EmotionRecord) -> Self {
        self.with(Op::Emotion {
            twin_id: twin_id.into(),
            record,
        })
    }

    /// Puts a tool, replacing one of the same name.
    pub fn tool(self, record: ToolRecord) -> Self {
        self.with(Op::Tool(record))
    }

    /// Removes a tool, if it is there. What was granted of its name stays granted.
    pub fn remove_tool(self, name: impl Into<String>) -> Self {
        self.with(Op::RemoveTool(name.into()))
    }

    /// Says whether a twin may call a tool.
    pub fn allow(self, twin_id: impl Into<String>, tool: impl Into<String>, allowed: bool) -> Self {
        self.with(Op::Allow {
            twin_id: twin_id.into(),
            tool: tool.into(),
            allowed,
        })
    }

    /// Forgets everything that was said of who may call a tool.
    pub fn revoke(self, tool: impl Into<String>) -> Self {
        self.with(Op::Revoke(tool.into()))
    }

    /// Puts a message into its twin's inbox, under a number of the store's. `until_s` is when its age
    /// rules it out, `now_s` is now, both in seconds since 1970. The whole batch fails with
    /// [`StoreError::Duplicate`] where the twin received this sender's message of this id before,
    /// and with [`StoreError::Stale`] where that cannot be told any more.
    pub fn receive(self, message: InboxMessage, until_s: u64, now_s: u64) -> Self {
        self.with(Op::Receive {
            message,
            until_s,
            now_s,
        })
    }

    /// Marks messages of a twin's inbox as read, as far as they are there.
    pub fn read_messages(self, twin_id: impl Into<String>, seqs: Vec<u64>) -> Self {
        self.with(Op::ReadMessages {
            twin_id: twin_id.into(),
            seqs,
        })
    }

    /// Puts a message under way into the outbox, replacing what is known of it. The whole batch fails
    /// with [`StoreError::Full`] where too many are under way.
    pub fn outgoing(self, message: OutboxMessage) -> Self {
        self.with(Op::Outgoing(message))
    }

    /// Takes a message out of the outbox, if it is there.
    pub fn outgoing_done(self, twin_id: &str, id: &str) -> Self {
        self.with(Op::OutgoingDone(outbox_key(twin_id, id)))
    }

    /// Appends to the event log.
    pub fn event(self, event: Event) -> Self {
        self.with(Op::Event(event))
    }

    /// Appends to the event log, in order.
    pub fn events(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.ops.extend(events.into_iter().map(Op::Event));
        self
    }

    /// Appends to the audit log. The record's `seq` is not looked at.
    pub fn audit(self, record: AuditRecord) -> Self {
        self.with(Op::Audit(record))
    }

    /// Puts an artifact under its `cid`, replacing what was there.
    pub fn artifact(self, record: ArtifactRecord) -> Self {
        self.with(Op::Artifact(record))
    }

    /// Changes an artifact's status. The whole batch fails with [`StoreError::NotFound`] where this
    /// node does not hold the artifact.
    pub fn artifact_status(
        self,
        cid: impl Into<String>,
        status: impl Into<String>,
        reason: Option<String>,
    ) -> Self {
        let status = ArtifactStatus {
            status: status.into(),
            reason,
        };
        self.with(Op::ArtifactStatus {
            cid: cid.into(),
            status,
            required: true,
        })
    }

    /// Changes an artifact's status where this node holds the artifact; where it does not, the cid
    /// is in [`BatchOutcome::unknown_artifacts`].
    pub fn known_artifact_status(
        self,
        cid: impl Into<String>,
        status: impl Into<String>,
        reason: Option<String>,
    ) -> Self {
        let status = ArtifactStatus {
            status: status.into(),
            reason,
        };
        self.with(Op::ArtifactStatus {
            cid: cid.into(),
            status,
            required: false,
        })
    }

    /// Puts the block of a playbook revision under its CID.
    pub fn revision(self, cid: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.with(Op::Revision {
            cid: cid.into(),
            bytes,
        })
    }

    /// Replaces the playbook heads.
    pub fn heads(self, cids: Vec<String>) -> Self {
        self.with(Op::Heads(cids))
    }

    /// Puts a setting, replacing what was under `key`.
    pub fn setting(self, key: impl Into<String>, value: Value) -> Self {
        self.with(Op::Setting {
            key: key.into(),
            value,
        })
    }

    /// Replaces the remembered peers' multiaddrs.
    pub fn peers(self, multiaddrs: Vec<String>) -> Self {
        self.with(Op::Peers(multiaddrs))
    }

    /// Puts or forgets a task's record.
    pub fn task(self, change: Change) -> Self {
        self.with(Op::Task(change))
    }

    pub(crate) fn with_journal(self, swarm: String, entry: Value) -> Self {
        self.with(Op::Journal { swarm, entry })
    }

    pub(crate) fn entering(self, unnamed: String, swarm: String) -> Self {
        self.with(Op::EnterSwarm { unnamed, swarm })
    }

    /// Encodes the records, so that the writer need not and a bad one fails here.
    pub(crate) fn prepare(self) -> Result<Prepared, StoreError> {
        let ops = self
            .ops
            .into_iter()
            .map(Op::prepare)
            .collect::<Result<Vec<_>, _>>()?;
        let bytes = ops.iter().map(PreparedOp::bytes).sum();
        Ok(Prepared { ops, bytes })
    }
}

/// A batch whose records are encoded. Applying it changes nothing in it, so it can be applied again
/// after a transaction was aborted.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) ops: Vec<PreparedOp>,
    /// Bytes of all records.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) enum PreparedOp {
    Put {
        table: ByName,
        key: String,
        bytes: Vec<u8>,
    },
    /// Takes a record out, if it is there.
    Remove {
        table: ByName,
        key: String,
    },
    RemoveTool(String),
    Grant {
        twin_id: String,
        tool: String,
        bytes: Vec<u8>,
    },
    Memory {
        entry: MemoryEntry,
        bytes: Vec<u8>,
    },
    Revoke(String),
    Receive {
        message: Box<InboxMessage>,
        bytes: Vec<u8>,
        until_s: u64,
        now_s: u64,
    },
    ReadMessages {
        twin_id: String,
        seqs: Vec<u64>,
    },
    Outgoing {
        key: String,
        bytes: Vec<u8>,
    },
    OutgoingDone(String),
    Event {
        event: Box<Event>,
        bytes: Vec<u8>,
    },
    Audit {
        bytes: Vec<u8>,
    },
    Artifact {
        cid: String,
        bytes: Vec<u8>,
        block: Vec<u8>,
    },
    ArtifactStatus {
        cid: String,
        status: ArtifactStatus,
        required: bool,
    },
    Journal {
        swarm: String,
        bytes: Vec<u8>,
    },
    EnterSwarm {
        unnamed: String,
        swarm: String,
    },
}

impl PreparedOp {
    fn bytes(&self) -> usize {
        match self {
            Self::Put { bytes, .. }
            | Self::Grant { bytes, .. }
            | Self::Memory { bytes, .. }
            | Self::Receive { bytes, .. }
            | Self::Outgoing { bytes, .. }
            | Self::Event { bytes, .. }
            | Self::Journal { bytes, .. }
            | Self::Audit { bytes } => bytes.len(),
            Self::Artifact { bytes, block, .. } => bytes.len() + block.len(),
            Self::Remove { .. }
            | Self::RemoveTool(_)
            | Self::Revoke(_)
            | Self::ReadMessages { .. }
            | Self::OutgoingDone(_)
            | Self::ArtifactStatus { .. }
            | Self::EnterSwarm { .. } => 0,
        }
    }
}

impl Op {
    fn prepare(self) -> Result<PreparedOp, StoreError> {
        fn put<T: Serialize>(
            table: ByName,
            key: impl Into<String>,
            value: &T,
        ) -> Result<PreparedOp, StoreError> {
            let bytes = table.json(value)?;
            Ok(PreparedOp::Put {
                table,
                key: key.into(),
                bytes,
            })
        }
        match self {
            Self::Twin(twin) => put(TWINS, &twin.twin_id, &twin),
            Self::Emotion { twin_id, record } => {
                if !(record.activation_level.is_finite() && record.valence.is_finite()) {
                    let reason = "activation_level and valence must be finite".to_owned();
                    return Err(StoreError::Invalid {
                        table: EMOTION.name,
                        reason,
                    });
                }
                put(EMOTION, twin_id, &record)
            }
            Self::Tool(tool) => put(TOOLS, &tool.name, &tool),
            Self::Setting { key, value } => put(SETTINGS, key, &value),
            Self::Heads(cids) => put(NODE, HEADS, &cids),
            Self::Peers(multiaddrs) => put(NODE, PEERS, &multiaddrs),
            Self::Revision { cid, bytes } => {
                let bytes = REVISIONS.raw(&bytes)?;
                Ok(PreparedOp::Put {
                    table: REVISIONS,
                    key: cid,
                    bytes,
                })
            }
            Self::Task(change) => tasks::prepare(&change),
            Self::RemoveTool(name) => Ok(PreparedOp::RemoveTool(name)),
            Self::Allow {
                twin_id,
                tool,
                allowed,
            } => {
                let bytes = GRANTS.json(&allowed)?;
                Ok(PreparedOp::Grant {
                    twin_id,
                    tool,
                    bytes,
                })
            }
            Self::Memory(entry) => {
                let stored = StoredMemory {
                    id: entry.id.clone(),
                    role: entry.role,
                    content: entry.content.clone(),
                    ts: entry.ts.clone(),
                };
                let bytes = MEMORY.json(&stored)?;
                Ok(PreparedOp::Memory { entry, bytes })
            }
            Self::Revoke(tool) => Ok(PreparedOp::Revoke(tool)),
            Self::Receive {
                message,
                until_s,
                now_s,
            } => Ok(PreparedOp::Receive {
                bytes: messages::encode(&message)?,
                message: Box::new(message),
                until_s,
                now_s,
            }),
            Self::ReadMessages { twin_id, seqs } => Ok(PreparedOp::ReadMessages { twin_id, seqs }),
            Self::Outgoing(message) => Ok(PreparedOp::Outgoing {
                key: message.key(),
                bytes: OUTBOX.json(&message)?,
            }),
            Self::OutgoingDone(key) => Ok(PreparedOp::OutgoingDone(key)),
            Self::Event(event) => {
                let bytes = EVENTS.json(&event)?;
                Ok(PreparedOp::Event {
                    event: Box::new(event),
                    bytes,
                })
            }
            Self::Audit(mut audit) => {
                audit.seq = 0;
                let bytes = AUDIT.json(&audit)?;
                Ok(PreparedOp::Audit { bytes })
            }
            Self::Artifact(artifact) => {
                let stored = StoredArtifact {
                    author: artifact.author,
                    twin_id: artifact.twin_id,
                    status: ArtifactStatus {
                        status: artifact.status,
                        reason: artifact.reason,
                    },
                    base: artifact.base,
                    ts: artifact.ts,
                };
                Ok(PreparedOp::Artifact {
                    cid: artifact.cid,
                    bytes: ARTIFACTS.json(&stored)?,
                    block: ARTIFACT_BLOCKS.raw(&artifact.bytes)?,
                })
            }
            Self::Journal { swarm, entry } => Ok(PreparedOp::Journal {
                bytes: JOURNAL.json(&entry)?,
                swarm,
            }),
            Self::EnterSwarm { unnamed, swarm } => Ok(PreparedOp::EnterSwarm { unnamed, swarm }),
            Self::ArtifactStatus {
                cid,
                status,
                required,
            } => Ok(PreparedOp::ArtifactStatus {
                cid,
                status,
                required,
            }),
        }
    }
}

/// A memory entry without what its key says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredMemory {
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) content: String,
    pub(crate) ts: String,
}

/// An artifact's status and the reason for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ArtifactStatus {
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

/// An artifact without its bytes, and without what its key says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredArtifact {
    pub(crate) author: String,
    pub(crate) twin_id: String,
    #[serde(flatten)]
    pub(crate) status: ArtifactStatus,
    pub(crate) base: Option<String>,
    pub(crate) ts: String,
}
