//! What can go wrong with content beyond a single block.

use cid::Cid;

use crate::error::SwarmError;

/// Errors of the content calls of [`crate::Swarm`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A block could not be had or stored.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// Nobody delivered a block in time.
    #[error("nobody delivered {cid} in time")]
    Unavailable {
        /// The block.
        cid: Cid,
    },
    /// A folder has no such entry.
    #[error("the folder {folder} has no entry {name:?}")]
    NoEntry {
        /// The folder.
        folder: Cid,
        /// The entry that was asked for.
        name: String,
    },
    /// Something is not of the kind that is needed.
    #[error("{cid} is {found}, not {wanted}")]
    Kind {
        /// The content.
        cid: Cid,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A block does not hold what its place in a file or folder demands.
    #[error("{cid} is not well-formed: {reason}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// What is wrong.
        reason: &'static str,
    },
    /// Content goes beyond a bound.
    #[error("the content has more than {limit} {what}")]
    Limit {
        /// Of what there is too much.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// An entry of a folder cannot be called so.
    #[error("the name {name:?} {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A CAR cannot be read.
    #[error("the CAR cannot be read at byte {offset}: {reason}")]
    Car {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// What was to be stored broke off.
    #[error("the content broke off: {0}")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Content is being added or pinned while unneeded blocks were to be removed.
    #[error("content is being added or pinned")]
    Busy,
    /// A pinned block cannot be read, so what it needs is not known.
    #[error("the pinned block {0} is damaged, so nothing was removed")]
    Damaged(Cid),
}

impl ContentError {
    pub(super) fn store(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        ContentError::Swarm(SwarmError::store(error))
    }

    /// A failure to have a block, with the block's name.
    pub(super) fn fetch(cid: &Cid, error: SwarmError) -> Self {
        match error {
            SwarmError::Timeout => ContentError::Unavailable { cid: *cid },
            other => ContentError::Swarm(other),
        }
    }
}
