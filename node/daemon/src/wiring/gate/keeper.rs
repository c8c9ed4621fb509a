//! The gate's owner: one task that judges, stores, and only then carries out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cid::Cid;
use pagi_api::{
    ApiError,
    membership::{Membership, RefusedNode},
};
use pagi_bootstrap::{
    Admission, Admittance, Basis, GateInput, GateOutput, GateRecord, Gatekeeper, Refusal,
    Revocation, RevocationTarget, claim,
};
use pagi_hive::Hive;
use pagi_messages::{
    Did, Signed, Verified,
    content::{ContentError, from_dag_cbor, to_dag_cbor},
    event::{from_unix_ms, rfc3339},
};
use pagi_store::{AuditRecord, Store, StoreError};
use pagi_swarm::{GossipMessage, Reply, Swarm};
use pagi_twin::{now_ms, now_text};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Facts, Members,
    door::{Door, Due, LONGEST_BAN_MS, Ledger},
    notebook::Notebook,
    wire::{self, Answer, Ask, MAX_PROOF, Notice, PAGE},
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

    // ---- the door ----

    async fn arrived(&mut self, did: Did) -> Result<(), GateError> {
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

    async fn glance(&mut self) -> Result<(), GateError> {
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
    async fn admitted(&mut self, did: &Did) {
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
    fn acquainted(&mut self, did: &Did) {
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
    async fn send_away(&mut self, did: &Did, reason: &str, told: bool) {
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
    async fn put_out(&mut self, did: &Did, reason: &Refusal) {
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

    async fn audit(&self, action: &str, verdict: &str, did: &Did, detail: Value) {
        let record = AuditRecord::new(now_text(), "gate", action, verdict)
            .about(did.to_string())
            .with_detail(detail);
        if let Err(error) = self.store.append_audit(record).await {
            tracing::error!(%error, action, "an act could not be audited");
        }
    }

    // ---- what other gates say ----

    async fn asked(&mut self, did: Did, ask: Ask, reply: Reply) -> Result<(), GateError> {
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

    async fn answered(&mut self, did: Did, answer: Option<Box<Answer>>) -> Result<(), GateError> {
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
    async fn hear_proof(&mut self, proof: Vec<Signed<Admittance>>) -> Result<(), GateError> {
        for admittance in proof.into_iter().take(MAX_PROOF) {
            self.take(Notice::Admittance(Box::new(admittance))).await?;
        }
        Ok(())
    }

    /// Takes a notice in; the reason where it does not count.
    async fn take(&mut self, notice: Notice) -> Result<Option<Refusal>, GateError> {
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

    async fn gossiped(&mut self, message: GossipMessage) -> Result<(), GateError> {
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

    fn gossip(&self, notice: &Notice) -> Result<(), ContentError> {
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
    fn look_up(&mut self, author: Did, forwarder: String) {
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

    // ---- the user ----

    async fn revoke(
        &mut self,
        targets: Vec<RevocationTarget>,
        reply: oneshot::Sender<Result<(), ApiError>>,
    ) -> Result<(), GateError> {
        let Some(block) = self.facts.block() else {
            let _ = reply.send(Err(ApiError::Conflict(format!(
                "the swarm `{}` is a name alone: there is nothing to revoke",
                self.facts.name
            ))));
            return Ok(());
        };
        let revocation = Revocation {
            swarm: *block.id(),
            targets: targets.clone(),
            issued_ms: now_ms(),
        };
        let signed = Verified::sign(&self.facts.identity, revocation)?;
        let notice = Notice::Revocation(signed.as_signed().clone());
        let outcome = match self
            .judge(GateInput::Revoke(signed), Some(notice.clone()))
            .await
        {
            Ok(outcome) => outcome,
            Err(error) => {
                let _ = reply.send(Err(ApiError::Internal(error.to_string())));
                return Err(error);
            }
        };
        let answer = match outcome.ignored {
            Some(Refusal::NoStanding(_)) => Err(ApiError::Forbidden(
                "only founders of the swarm revoke, and founders themselves cannot be put out"
                    .to_owned(),
            )),
            Some(reason) => Err(ApiError::invalid(reason.to_string())),
            None => {
                self.gossip(&notice)?;
                Ok(())
            }
        };
        let _ = reply.send(answer);
        Ok(())
    }

    fn view(&self) -> Membership {
        let me = self.facts.identity.did();
        let listed = |ledger: &Ledger| {
            ledger
                .list()
                .into_iter()
                .map(|(did, entry)| RefusedNode {
                    did: did.to_string(),
                    reason: entry.reason.clone(),
                    ts: rfc3339(from_unix_ms(entry.at_ms)),
                    times: entry.times,
                })
                .collect()
        };
        let mut view = Membership {
            name: self.facts.name.clone(),
            network: self.facts.network.clone(),
            id: None,
            admission: "name".to_owned(),
            pre_shared_key: false,
            founders: Vec::new(),
            standing: "open".to_owned(),
            members: Vec::new(),
            revoked: Vec::new(),
            refused: listed(&self.refused),
            refused_by: listed(&self.refused_by),
        };
        let (Some(known), Some(gatekeeper)) = (&self.facts.known, &self.gatekeeper) else {
            return view;
        };
        let genesis = known.block.genesis();
        let open = genesis.admission == Admission::Open;
        view.id = Some(known.block.id().to_string());
        view.admission = if open { "open" } else { "invited" }.to_owned();
        view.pre_shared_key = known.key.is_some();
        view.founders = genesis.founders.iter().map(ToString::to_string).collect();
        view.standing = if genesis.is_founder(me) {
            "founder"
        } else if !gatekeeper.is_member(me) {
            "waiting"
        } else if open {
            "open"
        } else {
            "member"
        }
        .to_owned();
        view.members = gatekeeper.members().map(ToString::to_string).collect();
        view.revoked = gatekeeper
            .revoked()
            .map(|target| match target {
                RevocationTarget::Invitation(id) | RevocationTarget::Delegation(id) => {
                    id.to_string()
                }
                RevocationTarget::Member(did) => did.to_string(),
            })
            .collect();
        view
    }
}

/// Fetches another node's notices, page by page.
async fn pull(swarm: &Swarm, commands: &mpsc::Sender<Command>, peer: &str) {
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
