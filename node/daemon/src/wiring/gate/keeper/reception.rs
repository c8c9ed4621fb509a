//! Who stands at the door: asked, let in, sent away.

use std::time::Duration;

use pagi_bootstrap::{Admission, GateInput, Refusal, claim};
use pagi_messages::{Did, content::from_dag_cbor};
use pagi_store::AuditRecord;
use pagi_twin::{now_ms, now_text};
use serde_json::{Value, json};

use super::{
    super::{
        door::{Due, LONGEST_BAN_MS},
        wire::{self, Answer, Ask},
    },
    ANSWER_TIME, Command, FAREWELL, FAREWELL_TIME, GateError, Keeper,
    hearing::pull,
};

impl Keeper {
    pub(super) async fn arrived(&mut self, did: Did) -> Result<(), GateError> {
        let Some(gatekeeper) = &self.gatekeeper else {
            return Ok(());
        };
        self.door.arrived(did.clone(), now_ms());
        let open = gatekeeper.swarm().genesis().admission == Admission::Open;
        if open || gatekeeper.is_member(&did) {
            let present = GateInput::Present {
                peer: did.clone(),
                invitations: Vec::new(),
                claims: Vec::new(),
            };
            let outcome = self.judge(present, None).await?;
            if let Some(reason) = outcome.refused {
                self.send_away(&did, &reason.to_string(), false).await;
                return Ok(());
            }
        }
        self.glance().await
    }

    pub(super) async fn glance(&mut self) -> Result<(), GateError> {
        for due in self.door.due(now_ms()) {
            match due {
                Due::Ask(did) => self.ask(did)?,
                Due::Expired(did) => {
                    self.send_away(&did, &Refusal::NotInvited.to_string(), false)
                        .await;
                }
            }
        }
        Ok(())
    }

    fn ask(&self, did: Did) -> Result<(), GateError> {
        let (Some(known), Ok(peer)) = (&self.facts.known, did.peer_id()) else {
            return Ok(());
        };
        let me = self.facts.identity.did();
        let claim = match (&known.secret, &known.invitation) {
            (Some(secret), Some(invitation)) => Some(claim(secret, invitation, me)?),
            _ => None,
        };
        let request = wire::request(&Ask::Hello {
            swarm: *known.block.id(),
            invitations: known.invitation.iter().cloned().collect(),
            proof: self.book.proof(me),
            claims: claim.into_iter().collect(),
        })?;
        let (swarm, commands) = (self.swarm.clone(), self.commands.clone());
        tokio::spawn(async move {
            let answer = match swarm.request(&peer, request, ANSWER_TIME).await {
                Ok(bytes) => from_dag_cbor::<Answer>(&bytes).ok().map(Box::new),
                Err(error) => {
                    tracing::debug!(peer, %error, "the other gate does not answer");
                    None
                }
            };
            let _ = commands.send(Command::Answered { did, answer }).await;
        });
        Ok(())
    }

    /// A node is in: the network may serve it.
    pub(super) async fn admitted(&mut self, did: &Did) {
        let Ok(peer) = did.peer_id() else { return };
        if let Err(error) = self.swarm.admit(&peer).await {
            tracing::debug!(%error, "a node could not be let in");
            return;
        }
        self.refused.clear(did);
        if let Some(guest) = self.door.guest(did)
            && !std::mem::replace(&mut guest.admitted, true)
        {
            tracing::info!(%did, "let in");
            self.acquainted(did);
        }
    }

    /// Once both have let each other in: say hello, and make up for what one of them missed.
    pub(super) fn acquainted(&mut self, did: &Did) {
        let digest = self.digest();
        let Some(guest) = self.door.guest(did) else {
            return;
        };
        if !(guest.admitted && guest.welcomed) {
            return;
        }
        self.hive.peer_listens();
        if guest.digest.take().is_some_and(|theirs| theirs != digest)
            && let Ok(peer) = did.peer_id()
        {
            let (swarm, commands) = (self.swarm.clone(), self.commands.clone());
            tokio::spawn(async move { pull(&swarm, &commands, &peer).await });
        }
    }

    /// Tells a peer that it is not let in, disconnects it, and keeps it away for a while.
    pub(super) async fn send_away(&mut self, did: &Did, reason: &str, told: bool) {
        let news = self.door.leaving(did);
        let ban_ms = self.refused.note(did, reason, now_ms());
        if !news {
            return;
        }
        tracing::warn!(%did, reason, "not let in");
        self.audit("admitted", "refused", did, json!({"reason": reason}))
            .await;
        self.part(did, reason, told, Duration::from_millis(ban_ms));
    }

    /// A member is one no more.
    pub(super) async fn put_out(&mut self, did: &Did, reason: &Refusal) {
        let text = reason.to_string();
        self.door.leaving(did);
        self.refused.note(did, &text, now_ms());
        tracing::warn!(%did, %reason, "put out of the swarm");
        self.audit("put_out", "done", did, json!({"reason": text}))
            .await;
        self.part(did, &text, false, Duration::from_millis(LONGEST_BAN_MS));
        if let Ok(peer) = did.peer_id() {
            self.hive.peer_gone(&peer).await;
        }
    }

    fn part(&self, did: &Did, reason: &str, told: bool, ban: Duration) {
        let Ok(peer) = did.peer_id() else { return };
        let farewell = wire::request(&Ask::Refused {
            reason: reason.to_owned(),
        });
        let swarm = self.swarm.clone();
        tokio::spawn(async move {
            let connected = swarm
                .peers()
                .await
                .is_ok_and(|peers| peers.iter().any(|known| known.peer_id == peer));
            match farewell {
                Ok(request) if !told && connected => {
                    let _ = swarm.request(&peer, request, FAREWELL_TIME).await;
                }
                _ => tokio::time::sleep(FAREWELL).await,
            }
            if let Err(error) = swarm.ban_peer(&peer, Some(ban)).await {
                tracing::debug!(%error, "a node could not be kept away");
            }
        });
    }

    pub(super) async fn audit(&self, action: &str, verdict: &str, did: &Did, detail: Value) {
        let record = AuditRecord::new(now_text(), "gate", action, verdict)
            .about(did.to_string())
            .with_detail(detail);
        if let Err(error) = self.store.append_audit(record).await {
            tracing::error!(%error, action, "an act could not be audited");
        }
    }
}
