//! What the hive needs of the network, as small traits.

use async_trait::async_trait;
use cid::Cid;

/// Which gossip topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Presence, tasks, artifacts, playbook heads.
    Coordination,
    /// The election.
    Election,
}

/// Gossip to the swarm.
#[async_trait]
pub trait Gossip: Send + Sync {
    /// Publishes signed bytes. Having no peer to send to is not an error.
    ///
    /// # Errors
    /// [`NetworkError`] where the message could not be handed over.
    async fn publish(&self, topic: Topic, data: Vec<u8>) -> Result<(), NetworkError>;
}

/// Blocks by CID.
#[async_trait]
pub trait Content: Send + Sync {
    /// Stores a DAG-CBOR block durably, pinned, and lets the swarm find it.
    ///
    /// # Errors
    /// [`NetworkError`] where it could not be stored.
    async fn put(&self, block: Vec<u8>) -> Result<Cid, NetworkError>;

    /// The block of `cid`, from here or from the swarm; `providers` are peer ids to ask first.
    ///
    /// # Errors
    /// [`NetworkError`] where no one has it in time.
    async fn get(&self, cid: &Cid, providers: &[String]) -> Result<Vec<u8>, NetworkError>;
}

/// The network said no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NetworkError(pub String);
