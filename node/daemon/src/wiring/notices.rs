//! Notices: orders, rotations, credentials and status lists, on their way to and from other nodes.
//!
//! A notice is gossiped when it is made. A node that was not there asks the peers it meets, and one of
//! them now and then, for those they hold: [`ASK`] as a request, a list of notices as the reply.

use std::{sync::Arc, time::Duration};

use pagi_hive::Hive;
use pagi_messages::{
    Announcement, Did, Notice, OrderRefused, Rank, RotationStatement, from_dag_cbor,
    notice::{MAX_DOCUMENT_BYTES, MAX_NOTICES},
    to_dag_cbor,
};
use pagi_swarm::{GossipMessage, InboundRequest, Swarm};
use pagi_twin::{Mind, TwinError};

use super::vouches::{Heard, Vouches};

/// A request for the notices a node holds.
const ASK: &[u8] = b"pagi-notices/1\0";
/// How long an answer may take.
const ASK_TIME: Duration = Duration::from_secs(10);
/// How often a peer is asked again.
const ASK_PERIOD: Duration = Duration::from_secs(30);
/// Most notices of one kind in an answer.
const MAX_OF_A_KIND: usize = MAX_NOTICES / 4;
/// Bytes of the longest answer.
const MAX_ANSWER: usize = 512 * 1024;

/// The board that notices are put up on.
pub struct Board {
    swarm: Swarm,
    hive: Hive,
    mind: Mind,
    /// The credentials.
    pub vouches: Vouches,
    /// The notice topic.
    pub topic: String,
    swarm_name: String,
    founders: Vec<Did>,
}

impl Board {
    pub fn new(
        swarm: Swarm,
        hive: Hive,
        mind: Mind,
        vouches: Vouches,
        swarm_name: String,
        founders: Vec<Did>,
    ) -> Self {
        Self {
            topic: pagi_messages::notice::notice_topic(&swarm_name),
            swarm,
            hive,
            mind,
            vouches,
            swarm_name,
            founders,
        }
    }

    /// The swarm's name, as orders have it.
    pub fn swarm_name(&self) -> &str {
        &self.swarm_name
    }

    /// On what ground `did` may give orders, if on any.
    pub fn rank(&self, did: &Did) -> Option<Rank> {
        if self.founders.contains(did) {
            return Some(Rank::Founder);
        }
        let office = self.hive.office()?;
        (office.mo == *did).then_some(Rank::Orchestrator)
    }

    /// Takes a notice in, whoever brings it: each carries its own proof.
    pub async fn hear(&self, notice: &Notice) -> Heard {
        match notice {
            Notice::Rotation { statement } => self.hear_rotation(statement).await,
            Notice::Order { order } => {
                let order = match order.clone().verify() {
                    Ok(order) => order,
                    Err(error) => return Heard::Bad(error.to_string()),
                };
                let rank = self.rank(order.author());
                match self.mind.obey(order, &self.swarm_name, rank).await {
                    Ok(()) => {
                        tracing::warn!(stopped = ?self.mind.stopped(None), "an order was taken");
                        Heard::New
                    }
                    // One from the future may be from a clock that is a little ahead.
                    Err(TwinError::Order(OrderRefused::TooLong)) => {
                        Heard::Bad("an order that cannot be".to_owned())
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an order was not taken");
                        Heard::Known
                    }
                }
            }
            Notice::Credential { document } | Notice::StatusList { document }
                if document.len() > MAX_DOCUMENT_BYTES =>
            {
                Heard::Bad("it is too long".to_owned())
            }
            Notice::Credential { document } => self.vouches.hear_credential(document).await,
            Notice::StatusList { document } => self.vouches.hear_list(document).await,
        }
    }

    async fn hear_rotation(&self, statement: &RotationStatement) -> Heard {
        let rotation = match statement.verify() {
            Ok(rotation) => rotation,
            Err(error) => return Heard::Bad(error.to_string()),
        };
        // Anybody can make keys and change them: only those one has to do with are remembered.
        let concerns = self
            .hive
            .known_twins()
            .iter()
            .any(|seen| seen.presence.did == rotation.old || seen.presence.did == rotation.new)
            || self.vouches.concerns(&rotation.old)
            || self.mind.writes_with(&rotation.old);
        if !concerns {
            return Heard::Passing;
        }
        match self.mind.note_rotation(statement).await {
            Ok(true) => Heard::New,
            Ok(false) => Heard::Known,
            Err(error) => Heard::Bad(error.to_string()),
        }
    }

    /// Tells the swarm. A failure is logged: those who ask later are told as well.
    pub async fn post(&self, notice: Notice) {
        let nonce = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
        let sent = match to_dag_cbor(&Announcement { notice, nonce }) {
            Ok(bytes) => self
                .swarm
                .publish(&self.topic, bytes)
                .await
                .map(drop)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::debug!(error, "a notice was not gossiped");
        }
    }

    /// Judges a gossiped notice.
    pub async fn gossip(&self, message: GossipMessage) {
        let heard = match from_dag_cbor::<Announcement>(&message.data) {
            Ok(announcement) => self.hear(&announcement.notice).await,
            Err(error) => Heard::Bad(error.to_string()),
        };
        match heard {
            Heard::New | Heard::Passing => message.verdict.accept(),
            Heard::Known => message.verdict.ignore(),
            Heard::Bad(reason) => {
                tracing::warn!(author = message.author_peer, reason, "a notice is refused");
                message.verdict.reject();
            }
        }
    }

    /// What others are told who ask.
    fn held(&self) -> Vec<Notice> {
        let orders = self.mind.orders();
        let mut held: Vec<Notice> = orders
            .all()
            .iter()
            .take(MAX_OF_A_KIND)
            .map(|standing| Notice::Order {
                order: standing.signed.clone(),
            })
            .collect();
        let rotations = self.mind.rotations().unwrap_or_default();
        let rotations = rotations.into_iter().take(MAX_OF_A_KIND);
        held.extend(rotations.map(|statement| Notice::Rotation { statement }));
        let (credentials, lists) = self.vouches.public(MAX_OF_A_KIND);
        let lists = lists.into_iter();
        held.extend(lists.map(|document| Notice::StatusList { document }));
        let credentials = credentials.into_iter();
        held.extend(credentials.map(|document| Notice::Credential { document }));
        held
    }

    /// Answers a request for notices; gives back a request for anything else.
    pub fn answer(&self, request: InboundRequest) -> Option<InboundRequest> {
        if request.data != ASK {
            return Some(request);
        }
        let mut held = self.held();
        let answer = loop {
            match to_dag_cbor(&held) {
                Ok(bytes) if bytes.len() <= MAX_ANSWER => break bytes,
                _ if held.is_empty() => break Vec::new(),
                _ => held.truncate(held.len() / 2),
            }
        };
        request.reply.send(answer);
        None
    }

    /// Asks a peer for the notices it holds, and takes them in.
    pub async fn ask(&self, peer_id: &str) {
        let Ok(answer) = self.swarm.request(peer_id, ASK.to_vec(), ASK_TIME).await else {
            return;
        };
        if answer.len() > MAX_ANSWER {
            return;
        }
        let Ok(notices) = from_dag_cbor::<Vec<Notice>>(&answer) else {
            return;
        };
        for notice in notices.iter().take(MAX_NOTICES) {
            // The rest may hold none the less.
            if let Heard::Bad(reason) = self.hear(notice).await {
                tracing::debug!(peer_id, reason, "a peer holds a notice that does not hold");
            }
        }
    }

    /// Asks one peer after another, now and then, and tidies up; never returns.
    pub async fn keep_asking(self: Arc<Self>) {
        let mut turn = 0_usize;
        loop {
            tokio::time::sleep(ASK_PERIOD).await;
            if let Err(error) = self.vouches.sweep().await {
                tracing::warn!(%error, "credentials that are over could not be removed");
            }
            let Ok(peers) = self.swarm.peers().await else {
                continue;
            };
            if let Some(peer) = peers.get(turn % peers.len().max(1)) {
                self.ask(&peer.peer_id).await;
            }
            turn = turn.wrapping_add(1);
        }
    }
}
