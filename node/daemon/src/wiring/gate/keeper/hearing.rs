//! What other gates ask, answer and pass on.

use cid::Cid;
use pagi_bootstrap::{Admittance, GateInput, Refusal};
use pagi_messages::{
    Did, Signed,
    content::{ContentError, from_dag_cbor, to_dag_cbor},
};
use pagi_swarm::{GossipMessage, Reply, Swarm};
use pagi_twin::now_ms;
use tokio::sync::mpsc;

use super::{
    super::wire::{self, Answer, Ask, MAX_PROOF, Notice, PAGE},
    ANSWER_TIME, Command, GateError, Keeper, MAX_PAGES, MAX_UNKNOWN, WHO_IS_MS,
};

impl Keeper {
    pub(super) async fn asked(
        &mut self,
        did: Did,
        ask: Ask,
        reply: Reply,
    ) -> Result<(), GateError> {
        let answer = match ask {
            Ask::Refused { reason } => {
                let reason = wire::cut(&reason);
                tracing::warn!(%did, reason, "this node was not let in");
                self.refused_by.note(&did, &reason, now_ms());
                Answer::NoGate
            }
            Ask::Hello { .. } if self.gatekeeper.is_none() => {
                tracing::warn!(
                    %did,
                    "a node keeps a gate and this one has nothing to show: join with \
                     `pagi swarm join` and an invitation of its swarm"
                );
                Answer::NoGate
            }
            Ask::Hello {
                swarm,
                invitations,
                proof,
                claims,
            } => {
                self.door.arrived(did.clone(), now_ms());
                let present = GateInput::Present {
                    peer: did.clone(),
                    invitations,
                    claims,
                };
                self.hello(&did, swarm, present, proof).await?
            }
            // Everything else is for members alone.
            _ if !self.members.borrow().has(&did) => return Ok(()),
            Ask::Notices { after } => {
                let skip = usize::try_from(after).unwrap_or(usize::MAX);
                Answer::Notices {
                    notices: self
                        .book
                        .notices()
                        .iter()
                        .skip(skip)
                        .take(PAGE)
                        .cloned()
                        .collect(),
                    total: self.book.notices().len() as u64,
                }
            }
            Ask::WhoIs { did } => Answer::Proof {
                proof: self.book.proof(&did),
            },
        };
        let refused = match &answer {
            Answer::Refused { reason } => Some(reason.clone()),
            _ => None,
        };
        reply.send(to_dag_cbor(&answer)?);
        if let Some(reason) = refused {
            self.send_away(&did, &reason, true).await;
        }
        Ok(())
    }

    async fn hello(
        &mut self,
        did: &Did,
        swarm: Cid,
        present: GateInput,
        proof: Vec<Signed<Admittance>>,
    ) -> Result<Answer, GateError> {
        let refused = |reason: Refusal| Answer::Refused {
            reason: reason.to_string(),
        };
        if self.facts.block().is_none_or(|block| *block.id() != swarm) {
            return Ok(refused(Refusal::WrongSwarm(swarm)));
        }
        let known = self.members.borrow().has(did);
        if !known {
            self.hear_proof(proof).await?;
        }
        Ok(match self.judge(present, None).await?.refused {
            Some(reason) => refused(reason),
            None => Answer::Welcome {
                proof: self.book.proof(did),
                digest: self.digest(),
            },
        })
    }

    pub(super) async fn answered(
        &mut self,
        did: Did,
        answer: Option<Box<Answer>>,
    ) -> Result<(), GateError> {
        let Some(answer) = answer else {
            return Ok(()); // asked again as long as it is there
        };
        self.door.answered(&did);
        match *answer {
            Answer::Welcome { proof, digest } => {
                self.refused_by.clear(&did);
                self.hear_proof(proof).await?;
                if let Some(guest) = self.door.guest(&did) {
                    (guest.welcomed, guest.digest) = (true, Some(digest));
                }
                self.acquainted(&did);
            }
            Answer::Refused { reason } => {
                let reason = wire::cut(&reason);
                tracing::warn!(%did, reason, "this node was not let in");
                self.refused_by.note(&did, &reason, now_ms());
            }
            Answer::NoGate if !self.members.borrow().has(&did) => {
                self.send_away(&did, &Refusal::NotInvited.to_string(), false)
                    .await;
            }
            _ => {}
        }
        Ok(())
    }

    /// Admittances that lead from a founder to a node, each resting on the one before.
    pub(super) async fn hear_proof(
        &mut self,
        proof: Vec<Signed<Admittance>>,
    ) -> Result<(), GateError> {
        for admittance in proof.into_iter().take(MAX_PROOF) {
            self.take(Notice::Admittance(Box::new(admittance))).await?;
        }
        Ok(())
    }

    /// Takes a notice in; the reason where it does not count.
    pub(super) async fn take(&mut self, notice: Notice) -> Result<Option<Refusal>, GateError> {
        if self.book.has(&notice.id()?) {
            return Ok(None);
        }
        let input = match notice.clone() {
            Notice::Admittance(signed) => {
                let author = signed.author.clone();
                match signed.verify() {
                    Ok(verified) => GateInput::Heard(Box::new(verified)),
                    Err(_) => return Ok(Some(Refusal::Signature(author))),
                }
            }
            Notice::Revocation(signed) => {
                let author = signed.author.clone();
                match signed.verify() {
                    Ok(verified) => GateInput::Revoke(verified),
                    Err(_) => return Ok(Some(Refusal::Signature(author))),
                }
            }
        };
        Ok(self.judge(input, Some(notice)).await?.ignored)
    }

    pub(super) async fn gossiped(&mut self, message: GossipMessage) -> Result<(), GateError> {
        let publisher = Did::from_peer_id(&message.author_peer);
        let inside = publisher.is_ok_and(|did| self.members.borrow().has(&did));
        if self.gatekeeper.is_none() || !inside {
            message.verdict.ignore();
            return Ok(());
        }
        let Ok(notice) = from_dag_cbor::<Notice>(&message.data) else {
            message.verdict.reject();
            return Ok(());
        };
        match self.take(notice).await? {
            None => message.verdict.accept(),
            // No honest node passes these on.
            Some(Refusal::Signature(_) | Refusal::NotHeld) => message.verdict.reject(),
            Some(_) => message.verdict.ignore(),
        }
        Ok(())
    }

    pub(super) fn gossip(&self, notice: &Notice) -> Result<(), ContentError> {
        let data = to_dag_cbor(notice)?;
        let (swarm, topic) = (self.swarm.clone(), self.topic.clone());
        tokio::spawn(async move {
            if let Err(error) = swarm.publish(&topic, data).await {
                tracing::debug!(%error, "a notice was not sent");
            }
        });
        Ok(())
    }

    /// Asks the node that forwarded an unknown author's gossip who that is.
    pub(super) fn look_up(&mut self, author: Did, forwarder: String) {
        let now = now_ms();
        self.unknown
            .retain(|_, asked| asked.saturating_add(WHO_IS_MS) > now);
        let forwarder_is_in =
            Did::from_peer_id(&forwarder).is_ok_and(|did| self.members.borrow().has(&did));
        if self.gatekeeper.is_none()
            || !forwarder_is_in
            || self.unknown.contains_key(&author)
            || self.unknown.len() >= MAX_UNKNOWN
        {
            return;
        }
        self.unknown.insert(author.clone(), now);
        let Ok(request) = wire::request(&Ask::WhoIs { did: author }) else {
            return;
        };
        let (swarm, commands) = (self.swarm.clone(), self.commands.clone());
        tokio::spawn(async move {
            let Ok(bytes) = swarm.request(&forwarder, request, ANSWER_TIME).await else {
                return;
            };
            if let Ok(Answer::Proof { proof }) = from_dag_cbor(&bytes) {
                let _ = commands.send(Command::Proof(proof)).await;
            }
        });
    }
}

/// Fetches another node's notices, page by page.
pub(super) async fn pull(swarm: &Swarm, commands: &mpsc::Sender<Command>, peer: &str) {
    let mut after = 0;
    for _ in 0..MAX_PAGES {
        let Ok(request) = wire::request(&Ask::Notices { after }) else {
            return;
        };
        let Ok(bytes) = swarm.request(peer, request, ANSWER_TIME).await else {
            return;
        };
        let Ok(Answer::Notices { notices, total }) = from_dag_cbor(&bytes) else {
            return;
        };
        let taken = notices.len() as u64;
        if taken == 0 || commands.send(Command::Notices(notices)).await.is_err() {
            return;
        }
        after += taken;
        if after >= total {
            return;
        }
    }
}
