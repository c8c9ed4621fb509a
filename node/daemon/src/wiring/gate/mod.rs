//! Who is in the swarm: the gate between the network and the rest of the node.
//!
//! Every node of a swarm with a genesis keeps a gate and decides for itself, by what it can verify:
//! [`pagi_bootstrap::Gatekeeper`] judges, `keeper.rs` stores and carries out. Right after two nodes
//! connect each asks the other to be let in ([`wire::Ask::Hello`]); until a node is in, the network
//! gives it no gossip and no blocks, and nothing it says reaches the rest of the node. What members
//! need to know of each other's decisions is gossiped as signed notices, and made up for after a
//! connection where two nodes do not hold the same.
//!
//! A swarm that is a name alone has no gate: everybody is in.

mod door;
mod invite;
mod keeper;
mod notebook;
mod waiting;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use pagi_api::{ApiError, membership::Membership};
use pagi_bootstrap::{RevocationTarget, SwarmBlock};
use pagi_hive::Hive;
use pagi_messages::{Did, SigningIdentity};
use pagi_store::Store;
use pagi_swarm::{GossipMessage, InboundRequest, Swarm};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

pub use self::invite::targets;
use self::keeper::{Command, Keeper};
use crate::{cli::CliError, swarms::KnownSwarm};

/// Commands waiting for the keeper.
const COMMANDS: usize = 1024;
/// Gossiped messages waiting for the keeper.
const GOSSIPED: usize = 256;

/// Who is in, by what this node knows.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// Whether everybody is who is not put out.
    everybody: bool,
    inside: BTreeSet<Did>,
    outside: BTreeSet<Did>,
}

impl Members {
    /// Whether a node is in.
    pub fn has(&self, did: &Did) -> bool {
        !self.outside.contains(did) && (self.everybody || self.inside.contains(did))
    }
}

/// What does not change while the node runs.
pub(super) struct Facts {
    identity: SigningIdentity,
    /// The swarm's name.
    name: String,
    /// Its name in topics and protocols.
    network: String,
    known: Option<KnownSwarm>,
}

impl Facts {
    fn block(&self) -> Option<&SwarmBlock> {
        self.known.as_ref().map(|known| &known.block)
    }
}

/// A handle on the gate.
#[derive(Clone)]
pub struct Gate {
    commands: mpsc::Sender<Command>,
    /// What comes by gossip, in a queue of its own: a flood of it keeps nobody from the door.
    gossip: mpsc::Sender<Command>,
    members: watch::Receiver<Members>,
    facts: Arc<Facts>,
    topic: Arc<str>,
}

impl Gate {
    /// Opens the gate, from what was stored of it.
    ///
    /// # Errors
    /// [`CliError`] where the stored records cannot be read.
    pub fn open(
        identity: SigningIdentity,
        name: String,
        network: String,
        known: Option<KnownSwarm>,
        store: Store,
        swarm: Swarm,
        hive: Hive,
    ) -> Result<(Self, JoinHandle<()>), CliError> {
        let topic = topic(&network);
        let facts = Arc::new(Facts {
            identity,
            name,
            network,
            known,
        });
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (gossip, told) = mpsc::channel(GOSSIPED);
        let (members_tx, members) = watch::channel(Members::default());
        let keeper = Keeper::open(
            facts.clone(),
            store,
            swarm,
            hive,
            members_tx,
            commands.clone(),
            topic.clone(),
        )
        .map_err(|error| {
            super::cannot(
                "who belongs to the swarm",
                &error,
                "restore the data directory from a backup",
            )
        })?;
        let task = tokio::spawn(keeper.run(inbox, told));
        let gate = Self {
            commands,
            gossip,
            members,
            facts,
            topic: topic.into(),
        };
        Ok((gate, task))
    }

    /// Whether a node is in.
    pub fn has(&self, did: &Did) -> bool {
        self.members.borrow().has(did)
    }

    /// Whether the node of a peer id is in.
    pub fn has_peer(&self, peer_id: &str) -> bool {
        Did::from_peer_id(peer_id).is_ok_and(|did| self.has(&did))
    }

    /// A peer of this swarm connected.
    pub async fn arrived(&self, peer_id: &str) {
        if let Ok(did) = Did::from_peer_id(peer_id) {
            self.tell(Command::Arrived(did)).await;
        }
    }

    /// A peer's last connection closed.
    pub async fn left(&self, peer_id: &str) {
        if let Ok(did) = Did::from_peer_id(peer_id) {
            self.tell(Command::Left(did)).await;
        }
    }

    /// Lets gossip of members pass; takes that of others, and what is meant for the gate itself.
    /// Never waits: what the gate has no time for is dropped.
    pub fn sieve(&self, message: GossipMessage) -> Option<GossipMessage> {
        if message.topic == *self.topic {
            self.gossip(Command::Notice(Box::new(message)));
            return None;
        }
        let Ok(author) = Did::from_peer_id(&message.author_peer) else {
            message.verdict.reject();
            return None;
        };
        if self.has(&author) {
            return Some(message);
        }
        tracing::debug!(%author, "gossip of a node that is not let in");
        let forwarder = message.forwarder.clone();
        // It may be in without this node having heard of it: then it will say it again.
        message.verdict.ignore();
        self.gossip(Command::Unknown { author, forwarder });
        None
    }

    /// Lets requests of members pass; takes those of others, and what is meant for the gate itself.
    pub async fn receive(&self, request: InboundRequest) -> Option<InboundRequest> {
        if let Some(asked) = wire::read(&request.data) {
            match asked {
                Ok(ask) => {
                    self.tell(Command::Asked {
                        peer_id: request.peer_id,
                        ask: Box::new(ask),
                        reply: request.reply,
                    })
                    .await;
                }
                Err(error) => {
                    tracing::debug!(peer = request.peer_id, %error, "a gate's request is malformed");
                }
            }
            return None;
        }
        if self.has_peer(&request.peer_id) {
            return Some(request);
        }
        // It is closed without an answer.
        tracing::debug!(
            peer = request.peer_id,
            "a request of a node that is not let in"
        );
        None
    }

    /// Who belongs to the swarm.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] while the node stops.
    pub async fn membership(&self) -> Result<Membership, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::View(reply)).await;
        answer.await.map_err(|_| stopping())
    }

    /// Takes things back, as a founder.
    ///
    /// # Errors
    /// [`ApiError`]: not a founder, a target that cannot be taken back, the store failed.
    pub async fn revoke(&self, targets: Vec<RevocationTarget>) -> Result<Membership, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Revoke { targets, reply }).await;
        answer.await.map_err(|_| stopping())??;
        self.membership().await
    }

    /// A message that gets no place is ignored as it is dropped, and caught up with later.
    fn gossip(&self, command: Command) {
        if self.gossip.try_send(command).is_err() {
            tracing::debug!("the gate has no time for a message");
        }
    }

    async fn tell(&self, command: Command) {
        // Fails only after shutdown.
        let _ = self.commands.send(command).await;
    }
}

/// The topic of the gates' notices.
pub fn topic(network: &str) -> String {
    format!("pagi-swarm-admission-v1/{network}")
}

fn stopping() -> ApiError {
    ApiError::Unavailable("the node is shutting down".to_owned())
}
