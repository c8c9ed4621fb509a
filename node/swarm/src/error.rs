//! What can go wrong in the network, one variant per kind a caller can act on.

use std::path::PathBuf;

use cid::Cid;

/// Errors of [`crate::Swarm`] and [`crate::start`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwarmError {
    /// A field of the configuration cannot be used.
    #[error("swarm configuration: {field}: {reason}")]
    BadConfig {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A multiaddr cannot be used.
    #[error("bad address {addr:?}: {reason}")]
    BadAddress {
        /// The address as given.
        addr: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a peer id.
    #[error("{0:?} is not a peer id")]
    BadPeerId(String),
    /// Another node holds the block store.
    #[error("{} is in use by another running node", path.display())]
    InUse {
        /// The block store.
        path: PathBuf,
    },
    /// The node could not be built.
    #[error("cannot start the network: {0}")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A listener could not be brought up.
    #[error("cannot listen on {addr}: {reason}")]
    Listen {
        /// The address as given.
        addr: String,
        /// Why not.
        reason: String,
    },
    /// The swarm has been shut down.
    #[error("the swarm is shut down")]
    Closed,
    /// A message, request, reply or block is larger than allowed.
    #[error("{size} bytes is more than the limit of {limit} bytes")]
    TooLarge {
        /// Size of what was given, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Gossip could not be signed or encoded.
    #[error("cannot publish: {0}")]
    Publish(String),
    /// A topic cannot be subscribed to.
    #[error("cannot subscribe to {topic:?}: {reason}")]
    Subscribe {
        /// The topic.
        topic: String,
        /// Why not.
        reason: String,
    },
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The peer could not be connected to.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable {
        /// The peer id or address that was dialled.
        peer: String,
        /// Why not.
        reason: String,
    },
    /// The peer closed the request without an answer: it is busy, refused it, or went away.
    #[error("{peer} gave no reply: {reason}")]
    NoReply {
        /// The peer asked.
        peer: String,
        /// What happened.
        reason: String,
    },
    /// The peer is not of this swarm or does not answer requests.
    #[error("{peer} does not speak this swarm's request protocol")]
    Unsupported {
        /// The peer asked.
        peer: String,
    },
    /// The bytes are not strict DAG-CBOR.
    #[error("not DAG-CBOR: {0}")]
    NotDagCbor(String),
    /// The block is not in the local store.
    #[error("block {0} is not in the local store")]
    NotFound(Cid),
    /// The local store cannot announce more content.
    #[error("cannot announce {cid}: {reason}")]
    Provide {
        /// The content.
        cid: Cid,
        /// Why not.
        reason: String,
    },
    /// A record was not put into the DHT.
    #[error("no other node keeps the record: {0}")]
    NotPut(String),
    /// The block store failed.
    #[error("block store: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SwarmError {
    pub(crate) fn store(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SwarmError::Store(error.into())
    }
}
