//! The gate's owner: one task that judges, stores, and only then carries out. The door, other gates
//! and the user have files of their own.

mod hearing;
mod reception;
mod standing;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pagi_api::{ApiError, membership::Membership};
use pagi_bootstrap::{
    Admission, Admittance, Basis, GateInput, GateOutput, GateRecord, Gatekeeper, Refusal,
    RevocationTarget,
};
use pagi_hive::Hive;
use pagi_messages::{
    Did, Signed, Verified,
    content::{ContentError, from_dag_cbor, to_dag_cbor},
};
use pagi_store::{Store, StoreError};
use pagi_swarm::{GossipMessage, Reply, Swarm};
use pagi_twin::now_ms;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Facts, Members,
    door::{Door, Ledger},
    notebook::Notebook,
    wire::{Answer, Ask, Notice},
};

/// How long a gate waits for another's answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long a refusal may take to reach the one refused before the connection is closed.
const FAREWELL: Duration = Duration::from_millis(400);
/// How long a refused node may take to take note of that.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// How often the door is looked at.
const GLANCE: Duration = Duration::from_millis(500);
/// A node is asked about an unknown author at most this often, milliseconds.
const WHO_IS_MS: u64 = 3_000;
/// Most unknown authors remembered.
const MAX_UNKNOWN: usize = 1024;
/// How often the notices of a page are gone through, each time without those that were taken.
const MAX_PASSES: usize = 4;
/// Most pages of notices taken from one node in a row.
const MAX_PAGES: usize = 200;

/// What the keeper is told.
pub(super) enum Command {
    Arrived(Did),
    Left(Did),
    Asked {
        peer_id: String,
        ask: Box<Ask>,
        reply: Reply,
    },
    Answered {
        did: Did,
        answer: Option<Box<Answer>>,
    },
    Notice(Box<GossipMessage>),
    Unknown {
        author: Did,
        forwarder: String,
    },
    Proof(Vec<Signed<Admittance>>),
    Notices(Vec<Notice>),
    Revoke {
        targets: Vec<RevocationTarget>,
        reply: oneshot::Sender<Result<(), ApiError>>,
    },
    View(oneshot::Sender<Membership>),
}

/// Why something could not be decided.
#[derive(Debug, thiserror::Error)]
pub(super) enum GateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a stored record cannot be read: {0}")]
    Record(String),
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// How a judgement ended, beside what was carried out.
#[derive(Default)]
struct Outcome {
    admitted: Option<Basis>,
    refused: Option<Refusal>,
    ignored: Option<Refusal>,
}

pub(super) struct Keeper {
    facts: Arc<Facts>,
    gatekeeper: Option<Gatekeeper>,
    store: Store,
    swarm: Swarm,
    hive: Hive,
    members: watch::Sender<Members>,
    commands: mpsc::Sender<Command>,
    topic: String,
    /// What members said.
    book: Notebook,
    door: Door,
    refused: Ledger,
    refused_by: Ledger,
    unknown: BTreeMap<Did, u64>,
}

fn entry<T: Serialize>(kind: &str, value: &T) -> Result<Value, ContentError> {
    Ok(json!({ kind: STANDARD.encode(to_dag_cbor(value)?) }))
}

fn read<T: DeserializeOwned>(kind: &str, entry: &Value) -> Option<Result<T, GateError>> {
    let text = entry.get(kind)?.as_str()?;
    let bytes = STANDARD.decode(text);
    Some(
        bytes
            .map_err(|error| GateError::Record(error.to_string()))
            .and_then(|bytes| Ok(from_dag_cbor(&bytes)?)),
    )
}

impl Keeper {
    /// A keeper with what was stored.
    ///
    /// # Errors
    /// [`GateError`] where a stored record cannot be read.
    pub(super) fn open(
        facts: Arc<Facts>,
        store: Store,
        swarm: Swarm,
        hive: Hive,
        members: watch::Sender<Members>,
        commands: mpsc::Sender<Command>,
        topic: String,
    ) -> Result<Self, GateError> {
        let mut keeper = Self {
            facts,
            gatekeeper: None,
            store,
            swarm,
            hive,
            members,
            commands,
            topic,
            book: Notebook::default(),
            door: Door::default(),
            refused: Ledger::default(),
            refused_by: Ledger::default(),
            unknown: BTreeMap::new(),
        };
        keeper.reload()?;
        Ok(keeper)
    }

    /// Takes up what is in store, and nothing else.
    fn reload(&mut self) -> Result<(), GateError> {
        let mut records: Vec<GateRecord> = Vec::new();
        self.book = Notebook::default();
        if let Some(block) = self.facts.block().cloned() {
            for stored in self.store.journal(&self.facts.network)? {
                if let Some(record) = read::<GateRecord>("record", &stored) {
                    records.push(record?);
                } else if let Some(notice) = read::<Notice>("notice", &stored) {
                    self.book.write(notice?)?;
                }
            }
            self.gatekeeper = Some(Gatekeeper::new(block, records));
        }
        let members = match &self.gatekeeper {
            None => Members {
                everybody: true,
                ..Members::default()
            },
            Some(gatekeeper) => Members {
                everybody: gatekeeper.swarm().genesis().admission == Admission::Open,
                inside: gatekeeper.members().cloned().collect(),
                outside: gatekeeper
                    .revoked()
                    .filter_map(|target| match target {
                        RevocationTarget::Member(did) => Some(did.clone()),
                        _ => None,
                    })
                    .collect(),
            },
        };
        self.members.send_replace(members);
        Ok(())
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut gossip: mpsc::Receiver<Command>,
    ) {
        let mut glance = tokio::time::interval(GLANCE);
        glance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                command = inbox.recv() => match command {
                    None => return,
                    Some(command) => self.handle(command).await,
                },
                Some(command) = gossip.recv() => self.handle(command).await,
                _ = glance.tick() => self.glance().await,
            };
            if let Err(error) = done {
                tracing::error!(%error, "who belongs to the swarm could not be stored");
                // What is not in store was not decided.
                if let Err(error) = self.reload() {
                    tracing::error!(%error, "the gate stops: nobody new is let in");
                    return;
                }
            }
        }
    }

    async fn handle(&mut self, command: Command) -> Result<(), GateError> {
        match command {
            Command::Arrived(did) => self.arrived(did).await,
            Command::Left(did) => {
                self.door.left(&did);
                Ok(())
            }
            Command::Asked {
                peer_id,
                ask,
                reply,
            } => match Did::from_peer_id(&peer_id) {
                Ok(did) => self.asked(did, *ask, reply).await,
                Err(_) => Ok(()),
            },
            Command::Answered { did, answer } => self.answered(did, answer).await,
            Command::Notice(message) => self.gossiped(*message).await,
            Command::Unknown { author, forwarder } => {
                self.look_up(author, forwarder);
                Ok(())
            }
            Command::Proof(proof) => self.hear_proof(proof).await,
            Command::Notices(notices) => self.take_all(notices).await,
            Command::Revoke { targets, reply } => self.revoke(targets, reply).await,
            Command::View(reply) => {
                let _ = reply.send(self.view());
                Ok(())
            }
        }
    }

    // ---- judging ----

    /// Judges, stores what must last together with the notice it rests on, and carries the rest out.
    async fn judge(
        &mut self,
        input: GateInput,
        heard: Option<Notice>,
    ) -> Result<Outcome, GateError> {
        let Some(gatekeeper) = &mut self.gatekeeper else {
            return Ok(Outcome::default());
        };
        let outputs = gatekeeper.handle(input, now_ms());
        let mut entries = Vec::new();
        let mut notices = Vec::new();
        for output in &outputs {
            match output {
                GateOutput::Persist(record) => entries.push(entry("record", record)?),
                GateOutput::Announce(admittance) => {
                    let signed = Verified::sign(&self.facts.identity, (**admittance).clone())?;
                    notices.push((Notice::Admittance(Box::new(signed.into_signed())), true));
                }
                _ => {}
            }
        }
        if let Some(heard) = heard.filter(|_| !entries.is_empty()) {
            notices.push((heard, false));
        }
        notices.retain(|(notice, _)| notice.id().is_ok_and(|id| !self.book.has(&id)));
        for (notice, _) in &notices {
            entries.push(entry("notice", notice)?);
        }
        self.store
            .append_journal(&self.facts.network, entries)
            .await?;
        for (notice, own) in notices {
            if own {
                self.gossip(&notice)?;
            }
            self.book.write(notice)?;
        }
        self.carry_out(outputs).await
    }

    async fn carry_out(&mut self, outputs: Vec<GateOutput>) -> Result<Outcome, GateError> {
        let mut outcome = Outcome::default();
        for output in outputs {
            match output {
                GateOutput::Persist(record) => self.follow(record).await,
                GateOutput::Admitted { peer, basis } => {
                    if let Basis::Invitation(id) = &basis {
                        let detail = json!({"invitation": id.to_string()});
                        self.audit("admitted", "accepted", &peer, detail).await;
                    }
                    self.admitted(&peer).await;
                    outcome.admitted = Some(basis);
                }
                GateOutput::Refused { reason, .. } => outcome.refused = Some(reason),
                GateOutput::Announce(_) => {}
                GateOutput::Expel { peer, reason } => self.put_out(&peer, &reason).await,
                GateOutput::Ignored { author, reason } => {
                    tracing::debug!(%author, %reason, "a notice was not taken");
                    outcome.ignored = Some(reason);
                }
            }
        }
        Ok(outcome)
    }

    /// Lets everybody see what a record changed.
    async fn follow(&mut self, record: GateRecord) {
        match record {
            GateRecord::Member { peer, .. } => {
                self.members.send_modify(|members| {
                    members.inside.insert(peer.clone());
                });
                // It may stand at the door already, with nothing this node could judge by.
                if self.door.guest(&peer).is_some() {
                    self.admitted(&peer).await;
                }
            }
            GateRecord::Displaced { peer, .. } => {
                let still = self
                    .gatekeeper
                    .as_ref()
                    .is_some_and(|gatekeeper| gatekeeper.is_member(&peer));
                if !still {
                    self.members.send_modify(|members| {
                        members.inside.remove(&peer);
                    });
                }
            }
            GateRecord::Revoked { target } => {
                if let RevocationTarget::Member(peer) = target {
                    self.members.send_modify(|members| {
                        members.inside.remove(&peer);
                        members.outside.insert(peer);
                    });
                }
            }
        }
    }

    /// Takes another node's notices; one whose author is made a member by a later one, after that.
    async fn take_all(&mut self, mut notices: Vec<Notice>) -> Result<(), GateError> {
        for _ in 0..MAX_PASSES {
            let before = notices.len();
            let mut left = Vec::new();
            for notice in notices {
                if let Some(Refusal::NoStanding(_)) = self.take(notice.clone()).await? {
                    left.push(notice);
                }
            }
            if left.is_empty() || left.len() == before {
                break;
            }
            notices = left;
        }
        Ok(())
    }

    fn digest(&self) -> String {
        STANDARD.encode(self.book.digest())
    }
}
