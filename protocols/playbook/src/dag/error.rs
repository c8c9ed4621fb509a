//! Why a revision or a history is not sound.

use cid::Cid;
use pagi_messages::{SignedError, content::ContentError, wire};

use super::MAX_PARENTS;
use crate::{block::BlockError, delta::Malformed, revision::GenesisError};

/// Why a revision was refused.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// It has no block form.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Its block has another CID.
    #[error("the revision offered as {claimed} is {actual}")]
    WrongCid {
        /// The CID it was offered under.
        claimed: Cid,
        /// The CID its block has.
        actual: Cid,
    },
    /// Its block is too large.
    #[error(
        "the revision {cid} has {bytes} bytes, more than {}",
        wire::MAX_BLOCK_BYTES
    )]
    TooLarge {
        /// The revision.
        cid: Cid,
        /// Its size.
        bytes: usize,
    },
    /// It names no parent, or too many.
    #[error("the revision has {found} parents: 1 to {MAX_PARENTS} are allowed")]
    ParentCount {
        /// How many it names.
        found: usize,
    },
    /// Its parents are not in order.
    #[error("the parents are not sorted by CID")]
    UnsortedParents,
    /// It names a parent twice.
    #[error("the parent {0} occurs more than once")]
    DuplicateParent(Cid),
    /// It names the genesis beside other parents, all of which descend from it already.
    #[error("the genesis can only be a parent alone")]
    GenesisAmongParents,
    /// Its lamport number does not follow from its parents.
    #[error("the lamport number is {found}, but {expected} follows from its parents")]
    WrongLamport {
        /// The number it has.
        found: u64,
        /// The number it must have.
        expected: u64,
    },
    /// It merges an artifact twice.
    #[error("the artifact {0} is merged more than once")]
    RepeatedArtifact(Cid),
    /// What it merged of an artifact is not well formed.
    #[error("what was merged of artifact {artifact} is not well formed: {reason}")]
    Delta {
        /// The artifact.
        artifact: Cid,
        /// What is wrong.
        #[source]
        reason: Malformed,
    },
    /// The two DAGs have different beginnings.
    #[error("the genesis {theirs} is another swarm's: ours is {ours}")]
    OtherGenesis {
        /// Our genesis.
        ours: Cid,
        /// The other's genesis.
        theirs: Cid,
    },
}

/// What is wrong with one link of a history.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The block cannot be opened.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignedError),
    /// The revision is refused.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// Parents are missing.
    #[error("its parents are missing: {}", list(.0))]
    MissingParents(Vec<Cid>),
    /// The genesis is not what it was.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Replaying gives another state than the one held.
    #[error("replaying the history gives another state")]
    State,
}

fn list(cids: &[Cid]) -> String {
    cids.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The first bad link of a history.
#[derive(Debug, thiserror::Error)]
#[error("the history breaks at {cid}: {cause}")]
pub struct BadLink {
    /// The block that is bad.
    pub cid: Cid,
    /// What is wrong with it.
    #[source]
    pub cause: LinkError,
}
