//! Artifacts: published here, announced elsewhere, fetched, reviewed, refused.

use cid::Cid;
use pagi_messages::{
    Coordination, Did, Event, EventType, Verified,
    event::{from_unix_ms, rfc3339},
};
use pagi_playbook::{Artifact, Delta, Evidence, block};
use pagi_store::{ArtifactRecord, AuditRecord, Batch};
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Done, Library, Review, Waiting};
use crate::{
    bundle::{self, BundleError},
    error::HiveError,
    gates::{self, Refused},
    hive::now_ms,
    ports::NetworkError,
};

/// Artifacts of one author that wait for the next revision.
const READY_OF_ONE: usize = 64;
/// Artifacts that wait in all.
const READY: usize = 2048;
/// Artifacts that wait for what they point at.
const DEFERRED: usize = 512;

/// An announced artifact was fetched, or not.
pub(super) struct Fetched {
    cid: Cid,
    sources: Vec<Did>,
    result: Result<(Box<Verified<Artifact>>, Vec<u8>), BundleError>,
}

/// The block of an own artifact was stored, or not.
pub(super) struct Published {
    cid: Cid,
    artifact: Box<Verified<Artifact>>,
    bytes: Vec<u8>,
    held: bool,
    stored: Result<Cid, NetworkError>,
    reply: oneshot::Sender<Result<Cid, HiveError>>,
}

impl Library {
    /// Takes up after a restart what was pending.
    pub(super) async fn take_up(&mut self) -> Result<(), HiveError> {
        for record in self.store.list_artifacts()? {
            if record.status != "pending" {
                continue;
            }
            let Ok(cid) = record.cid.parse::<Cid>() else {
                continue;
            };
            if self.dag.view().applied(&cid) {
                self.store
                    .set_artifact_status(record.cid, "merged", None)
                    .await?;
                continue;
            }
            match block::open::<Artifact>(&cid, &record.bytes) {
                Ok(artifact) => {
                    let bytes = record.bytes;
                    self.own.insert(cid);
                    self.ready.insert(cid, Waiting { artifact, bytes });
                }
                Err(error) => {
                    let reason = Some(error.to_string());
                    self.store
                        .set_artifact_status(record.cid, "rejected", reason)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Checks an artifact of this node; when its block is stored, [`published`](Self::published)
    /// goes on.
    pub(super) fn publish(
        &mut self,
        artifact: Verified<Artifact>,
        reply: oneshot::Sender<Result<Cid, HiveError>>,
    ) {
        let me = self.identity.did();
        let held = self.review == Review::Manual && artifact.author() != me;
        let sealed = gates::check(self.dag.view(), &artifact, &self.ethics, me)
            .map_err(HiveError::from)
            .and_then(|()| Ok(block::seal(&artifact)?));
        let (cid, bytes) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        let content = self.content.clone();
        self.beside(async move {
            let stored = content.put(bytes.clone()).await;
            Done::Published(Published {
                cid,
                artifact: Box::new(artifact),
                bytes,
                held,
                stored,
                reply,
            })
        });
    }

    /// Records an own artifact durably, announces it, and only then acknowledges it.
    pub(super) async fn published(&mut self, published: Published) -> Result<(), HiveError> {
        let Published {
            cid,
            artifact,
            bytes,
            held,
            stored,
            reply,
        } = published;
        if let Err(error) = stored {
            let _ = reply.send(Err(error.into()));
            return Ok(());
        }
        let now = from_unix_ms(now_ms());
        let body = artifact.body();
        let event = Event::new(
            Uuid::new_v4(),
            now,
            EventType::ArtifactPublished,
            "hive",
            json!({"cid": cid.to_string(), "critique": body.critique,
                   "base": body.base.to_string(), "held": held}),
        )
        .about_twin(&body.twin_id)
        .about(cid.to_string());
        let (action, status) = if held {
            ("artifact_held", "review")
        } else {
            ("artifact_published", "pending")
        };
        let author = artifact.author().to_string();
        let audit =
            AuditRecord::new(rfc3339(now), author, action, "accepted").about(cid.to_string());
        let batch = Batch::new()
            .artifact(record(cid, &artifact, bytes.clone(), status))
            .event(event)
            .audit(audit);
        if let Err(error) = self.store.write(batch).await {
            let _ = reply.send(Err(error.into()));
            return Ok(());
        }
        if !held {
            self.offer(cid, *artifact, bytes);
        }
        let _ = reply.send(Ok(cid));
        Ok(())
    }

    /// An artifact of this node waits for the next revision, wherever that is made.
    fn offer(&mut self, cid: Cid, artifact: Verified<Artifact>, bytes: Vec<u8>) {
        self.own.insert(cid);
        self.ready.insert(cid, Waiting { artifact, bytes });
        self.outbox.say(Coordination::ArtifactPublished {
            cid,
            timestamp: now_ms(),
        });
    }

    /// Announces own artifacts that nobody merged yet.
    pub(super) fn announce_own(&mut self) {
        if self.my_office().is_some() {
            return;
        }
        for cid in self.own.iter().take(READY_OF_ONE) {
            self.outbox.say(Coordination::ArtifactPublished {
                cid: *cid,
                timestamp: now_ms(),
            });
        }
    }

    /// As MO, takes artifacts back.
    pub(super) fn revert(
        &mut self,
        artifacts: Vec<Cid>,
        reason: String,
        reply: oneshot::Sender<Result<Cid, HiveError>>,
    ) {
        if self.my_office().is_none() {
            let _ = reply.send(Err(HiveError::NotMo));
            return;
        }
        let artifact = Artifact {
            twin_id: "node".into(),
            base: self.dag.head(),
            critique: reason,
            delta: Delta {
                revert: artifacts,
                ..Delta::default()
            },
            evidence: Evidence {
                status: "by hand".into(),
                ..Evidence::default()
            },
            timestamp: now_ms(),
            nonce: Uuid::new_v4().to_string(),
        };
        match Verified::sign(&self.identity, artifact) {
            Ok(signed) => self.publish(signed, reply),
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        }
    }

    /// A person approved or rejected an artifact that waits for it.
    pub(super) async fn reviewed(
        &mut self,
        cid: Cid,
        verdict: Result<(), String>,
    ) -> Result<(), HiveError> {
        let record = self
            .store
            .get_artifact(&cid.to_string())?
            .ok_or(HiveError::UnknownArtifact(cid))?;
        let waits = match verdict {
            Ok(()) => record.status == "review",
            Err(_) => record.status == "review" || record.status == "pending",
        };
        if !waits {
            return Err(HiveError::NotWaiting {
                cid,
                status: record.status,
            });
        }
        if let Err(reason) = verdict {
            return self.refuse(cid, Refused::new("review", reason)).await;
        }
        let artifact = block::open::<Artifact>(&cid, &record.bytes)
            .map_err(|error| Refused::new("schema", error.to_string()))?;
        // The playbook may have changed since it was fetched.
        let me = self.identity.did();
        gates::check(self.dag.view(), &artifact, &self.ethics, me)?;
        let audit = AuditRecord::new(now_text(), "user", "artifact_approved", "accepted")
            .about(cid.to_string());
        let batch = Batch::new()
            .artifact_status(cid.to_string(), "pending", None)
            .audit(audit);
        self.store.write(batch).await?;
        self.offer(cid, artifact, record.bytes);
        Ok(())
    }

    /// As MO, fetches an announced artifact.
    pub(super) fn fetch_artifact(&mut self, cid: Cid, sources: Vec<Did>) {
        let content = self.content.clone();
        let state = self.snapshot.borrow().state.clone();
        self.beside(async move {
            let providers: Vec<String> = sources.iter().flat_map(Did::peer_id).collect();
            let result = match bundle::get(content.as_ref(), &cid, &providers).await {
                Ok(bytes) => bundle::open_artifact(&cid, &bytes, None, &state)
                    .map(|artifact| (Box::new(artifact), bytes)),
                Err(error) => Err(error),
            };
            Done::Artifact(Fetched {
                cid,
                sources,
                result,
            })
        });
    }

    pub(super) async fn artifact_fetched(&mut self, fetched: Fetched) -> Result<(), HiveError> {
        let Fetched {
            cid,
            sources,
            result,
        } = fetched;
        let (artifact, bytes) = match result {
            Ok(fetched) => fetched,
            Err(error) if error.is_misbehaviour() => {
                self.blame(&sources, &error.to_string());
                self.announced.refuse(cid);
                let (gate, reason) = named_gate(&error);
                return self.refuse(cid, Refused::new(gate, reason)).await;
            }
            Err(error) => {
                tracing::debug!(%cid, %error, "an announced artifact could not be fetched");
                self.announced.retry(&cid, now_ms());
                return Ok(());
            }
        };
        if self.dag.view().applied(&cid) {
            self.announced.forget(&cid);
            return Ok(());
        }
        let author = artifact.author();
        let of_one = self
            .ready
            .values()
            .filter(|waiting| waiting.artifact.author() == author)
            .count();
        if of_one >= READY_OF_ONE || self.ready.len() >= READY {
            self.announced.retry(&cid, now_ms());
            return Ok(());
        }
        let me = self.identity.did();
        let checked = gates::check(self.dag.view(), &artifact, &self.ethics, me);
        if let Err(refused) = checked {
            return self.gate_refused(cid, *artifact, bytes, refused).await;
        }
        self.announced.forget(&cid);
        if self.review == Review::Manual {
            return self.hold(cid, &artifact, bytes).await;
        }
        let artifact = *artifact;
        self.ready.insert(cid, Waiting { artifact, bytes });
        Ok(())
    }

    /// Keeps an artifact until a person has looked at it; what was looked at before stays as it is.
    async fn hold(
        &mut self,
        cid: Cid,
        artifact: &Verified<Artifact>,
        bytes: Vec<u8>,
    ) -> Result<(), HiveError> {
        if self.store.get_artifact(&cid.to_string())?.is_some() {
            return Ok(());
        }
        let author = artifact.author().to_string();
        let audit = AuditRecord::new(now_text(), author, "artifact_held", "accepted")
            .about(cid.to_string());
        let batch = Batch::new()
            .artifact(record(cid, artifact, bytes, "review"))
            .audit(audit);
        self.store.write(batch).await?;
        Ok(())
    }

    /// A gate refused an artifact that waits: for good, or until the playbook knows more.
    pub(super) async fn gate_refused(
        &mut self,
        cid: Cid,
        artifact: Verified<Artifact>,
        bytes: Vec<u8>,
        refused: Refused,
    ) -> Result<(), HiveError> {
        if refused.waits {
            self.announced.postpone(&cid, now_ms());
            self.ready.remove(&cid);
            if self.deferred.len() < DEFERRED {
                self.announced.forget(&cid);
                self.deferred.insert(cid, Waiting { artifact, bytes });
            }
            return Ok(());
        }
        if !refused.relative {
            self.announced.refuse(cid);
        }
        self.refuse(cid, refused).await
    }

    /// Refuses an artifact and, as MO, says so.
    pub(super) async fn refuse(&mut self, cid: Cid, refused: Refused) -> Result<(), HiveError> {
        let reason = refused.to_string();
        tracing::info!(%cid, %reason, "an artifact was refused");
        self.ready.remove(&cid);
        self.deferred.remove(&cid);
        self.own.remove(&cid);
        self.announced.forget(&cid);
        let actor = self.identity.did().to_string();
        let audit = AuditRecord::new(now_text(), actor, "artifact_refused", "refused")
            .about(cid.to_string())
            .with_detail(json!({"gate": refused.gate, "reason": reason}));
        let batch = Batch::new()
            .known_artifact_status(cid.to_string(), "rejected", Some(reason.clone()))
            .audit(audit);
        self.store.write(batch).await?;
        if self.my_office().is_some() {
            self.outbox.say(Coordination::ArtifactRefused {
                cid,
                reason,
                timestamp: now_ms(),
            });
        }
        Ok(())
    }

    /// The MO says that it refused an artifact. What is merged stays merged.
    pub(super) async fn refused_elsewhere(
        &mut self,
        cid: Cid,
        reason: String,
        from: &Did,
    ) -> Result<(), HiveError> {
        let office = self.office.borrow().clone();
        let is_mo = office.is_some_and(|office| office.mo == *from);
        if !is_mo || self.dag.view().applied(&cid) {
            return Ok(());
        }
        self.announced.forget(&cid);
        self.ready.remove(&cid);
        self.deferred.remove(&cid);
        self.own.remove(&cid);
        self.canary.settled(|one| *one == cid);
        self.show();
        let reason: String = reason.chars().take(500).collect();
        let batch = Batch::new().known_artifact_status(cid.to_string(), "rejected", Some(reason));
        self.store.write(batch).await?;
        Ok(())
    }
}

/// The gate an unsound artifact fell at, and why.
fn named_gate(error: &BundleError) -> (&'static str, String) {
    let text = match error {
        BundleError::Unsound { cause, .. } => cause.clone(),
        other => other.to_string(),
    };
    let gates = [
        "schema",
        "size",
        "ethics",
        "injection",
        "secret",
        "exfiltration",
        "novelty",
    ];
    let found = gates.into_iter().find_map(|gate| {
        let reason = text.strip_prefix(&format!("the {gate} gate: "))?;
        Some((gate, reason.to_owned()))
    });
    found.unwrap_or(("schema", text))
}

pub(super) fn now_text() -> String {
    rfc3339(from_unix_ms(now_ms()))
}

pub(super) fn record(
    cid: Cid,
    artifact: &Verified<Artifact>,
    bytes: Vec<u8>,
    status: &str,
) -> ArtifactRecord {
    ArtifactRecord {
        cid: cid.to_string(),
        author: artifact.author().to_string(),
        twin_id: artifact.body().twin_id.clone(),
        status: status.to_owned(),
        reason: None,
        base: Some(artifact.body().base.to_string()),
        bytes,
        ts: rfc3339(from_unix_ms(artifact.body().timestamp)),
    }
}
