//! What a mind needs from the rest of the node, as small traits. `node/daemon` joins them to the
//! plugin host and the hive; the mind itself knows neither libp2p nor wasm.

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use pagi_messages::{Did, Verified};
use pagi_playbook::{Artifact, State};
use serde_json::Value;

use crate::planner::{ToolInfo, answer::CallFailure};

/// The tools of the node.
#[async_trait]
pub trait Tools: Send + Sync {
    /// Tools `twin_id` may call, by name.
    async fn catalog(&self, twin_id: &str) -> Vec<ToolInfo>;

    /// Tools `twin_id` could call if its user allowed them. What the user took from it is none of them.
    async fn withheld(&self, twin_id: &str) -> Vec<ToolInfo> {
        let _ = twin_id;
        Vec::new()
    }

    /// Calls a tool as `twin_id`: checks the grant and the schema, runs it within its time.
    ///
    /// # Errors
    /// [`CallFailure`], of kind `denied`, `unknown`, `invalid_parameters`, `timeout`, …
    async fn call(
        &self,
        twin_id: &str,
        name: &str,
        parameters: Value,
    ) -> Result<Value, CallFailure>;

    /// Whether a call of this tool sends its parameters off the node.
    fn leaves_node(&self, name: &str) -> bool;
}

/// The playbook the node has adopted.
#[derive(Clone)]
pub struct Adopted {
    /// Its head revision, or the genesis block.
    pub head: Cid,
    /// What it says.
    pub state: Arc<State>,
}

/// The hive, as far as a mind deals with it.
#[async_trait]
pub trait Collective: Send + Sync {
    /// The playbook in force.
    fn playbook(&self) -> Adopted;

    /// Hands a signed refinement to the swarm; returns its CID once it is stored durably here.
    ///
    /// # Errors
    /// [`PublishError`], and then the artifact is nowhere.
    async fn publish(&self, artifact: Verified<Artifact>) -> Result<Cid, PublishError>;

    /// A goal of the node's user ended; what is tried on a part of the swarm is judged by that.
    fn goal_ended(&self, reached: bool) {
        let _ = reached;
    }
}

/// What is known of others' reputation.
pub trait Esteem: Send + Sync {
    /// How far `did` is believed here, from 0 (a stranger) to 1.
    fn standing(&self, did: &Did) -> f64;
}

/// The way to other nodes, for packed messages.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Whether messages may be posted to `url`, judged by its text alone.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Brings a packed message to the node where the twin `to` lives, or posts it to `url`; where the
    /// twin is away, to a mailbox of its, unless one holds it already (`held`). Returns once the other
    /// side has it in store, be it from an earlier try.
    ///
    /// # Errors
    /// [`DeliveryError`].
    async fn deliver(
        &self,
        to: &Did,
        url: Option<&str>,
        packed: &str,
        held: bool,
    ) -> Result<Delivered, DeliveryError>;
}

/// Where a message is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// In the recipient's inbox.
    Stored,
    /// In the mailbox of this node.
    Held(Did),
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The other side cannot be reached, or cannot take it now.
    #[error("{0}")]
    Later(String),
    /// The other side does not take it, now or ever.
    #[error("{0}")]
    Never(String),
}

/// Why a refinement was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This node's own validation refused it.
    #[error("refused: {0}")]
    Refused(String),
    /// It could not be stored.
    #[error("not stored: {0}")]
    Store(String),
}
