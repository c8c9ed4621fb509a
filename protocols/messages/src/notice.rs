//! Notices: what a swarm should know and keep, each proven by its own signatures, whoever brings it.
//!
//! They are gossiped on the notice topic when they are made, and asked for by a node that comes later.

use serde::{Deserialize, Serialize};

use crate::{order::Order, rotation::RotationStatement, signed::Signed};

/// Longest credential or status list in a notice, bytes.
pub const MAX_DOCUMENT_BYTES: usize = 32 * 1024;
/// Most notices of an answer.
pub const MAX_NOTICES: usize = 256;

/// A notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// A twin has another key.
    Rotation {
        /// The statement of both keys.
        statement: RotationStatement,
    },
    /// Stop, or go on.
    Order {
        /// The order.
        order: Signed<Order>,
    },
    /// A credential that its issuer wants known.
    Credential {
        /// The credential as JSON, with its proof.
        document: String,
    },
    /// Which of its credentials an issuer has revoked.
    StatusList {
        /// The status list credential as JSON, with its proof.
        document: String,
    },
}

/// A notice on its way through gossip: with a number drawn anew each time it is published, so that it
/// can be said again to those who were not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The notice.
    pub notice: Notice,
    /// Any number.
    pub nonce: u64,
}

/// The notice topic of `swarm`.
#[must_use]
pub fn notice_topic(swarm: &str) -> String {
    format!("pagi-swarm-notices-v1/{swarm}")
}
