//! What the hive can fail with.

use pagi_messages::{DidError, content::ContentError};
use pagi_playbook::{BadLink, GenesisError, Refusal, RevisionError};
use pagi_store::StoreError;

use crate::ports::NetworkError;

/// A failure of the hive.
#[derive(Debug, thiserror::Error)]
pub enum HiveError {
    /// The starter playbook cannot be a genesis.
    #[error("the starter playbook cannot be used: {0}")]
    Genesis(#[from] GenesisError),
    /// The stored history does not hold.
    #[error("the stored playbook history is damaged: {0}")]
    History(#[from] BadLink),
    /// A stored name is not a CID.
    #[error("the store holds `{0}` where a CID should be")]
    NotACid(String),
    /// The stored votes cannot be read. A node that does not know how it voted must not vote.
    #[error("the stored election state cannot be read: {0}")]
    ElectionState(serde_json::Error),
    /// This node's own validation refused an artifact.
    #[error("the {gate} gate: {0}", gate = .0.gate())]
    Refused(#[from] Refusal),
    /// A revision made here does not fit the history; a fault of the program.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value could not be encoded.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A DID is wrong.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The hive has been shut down.
    #[error("the node is shutting down")]
    Closed,
}
