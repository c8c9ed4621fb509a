//! What the hive can fail with.

use cid::Cid;
use pagi_messages::{DidError, SignedError, content::ContentError};
use pagi_playbook::{BadLink, GenesisError, RevisionError};
use pagi_policy::PolicyError;
use pagi_store::StoreError;

use crate::{
    gates::Refused,
    ports::{EvaluateError, NetworkError},
};

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
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The genesis' red lines cannot be compiled.
    #[error("the genesis' ethics cannot be used: {0}")]
    Ethics(#[from] PolicyError),
    /// The task suite could not be run; nothing was merged.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Only the MO can do it.
    #[error("this node is not the MO")]
    NotMo,
    /// This node does not hold the artifact.
    #[error("there is no artifact {0} on this node")]
    UnknownArtifact(Cid),
    /// The artifact does not wait for a person's judgement.
    #[error("the artifact {cid} is {status}: it does not wait for a judgement")]
    NotWaiting {
        /// The artifact.
        cid: Cid,
        /// Its status.
        status: String,
    },
    /// A body could not be signed.
    #[error(transparent)]
    Signed(#[from] SignedError),
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
