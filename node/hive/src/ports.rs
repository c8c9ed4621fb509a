//! What the hive needs of the network and of a twin's mind, as small traits.

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use pagi_playbook::{State, evaluation::Report};

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

    /// `peer` did what no honest node does, such as announcing a revision that is not sound. For the
    /// network to act on; returns at once.
    fn misbehaved(&self, peer: &str, reason: &str) {
        tracing::warn!(peer, reason, "a peer misbehaved");
    }
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

/// Runs a suite of tasks under two playbooks, in a sandbox that reads only.
#[async_trait]
pub trait Evaluate: Send + Sync {
    /// How `current` and `candidate` do on the same tasks.
    ///
    /// # Errors
    /// [`EvaluateError`] where the suite could not be run; nothing is merged then.
    async fn evaluate(
        &self,
        current: Arc<State>,
        candidate: Arc<State>,
    ) -> Result<Report, EvaluateError>;
}

/// The network said no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NetworkError(pub String);

/// The suite could not be run.
#[derive(Debug, thiserror::Error)]
#[error("the task suite could not be run: {0}")]
pub struct EvaluateError(pub String);
