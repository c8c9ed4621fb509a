//! What a twin offers to the swarm after a goal: a critique, the change it proposes, and evidence.

use std::collections::BTreeMap;

use cid::Cid;
use pagi_messages::Domain;
use serde::{Deserialize, Serialize};

use crate::delta::Delta;

/// A refinement artifact. It travels signed by the twin's DID, as a DAG-CBOR block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The twin that learnt it.
    pub twin_id: String,
    /// The playbook head the twin started from.
    #[serde(with = "crate::link::one")]
    pub base: Cid,
    /// What went well and what did not, in words that name no one.
    pub critique: String,
    /// The change it proposes.
    pub delta: Delta,
    /// What the change rests on.
    pub evidence: Evidence,
    /// Milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Makes two otherwise equal artifacts distinct.
    pub nonce: String,
}

impl Domain for Artifact {
    const DOMAIN: &'static str = "artifact/1";
}

/// What a change rests on: the run it was learnt from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How the goal ended: `completed`, `refused` or `failed`.
    pub status: String,
    /// How many steps it took.
    pub steps: u32,
    /// The tools it called.
    pub tools: Vec<String>,
    /// Measures without the change, by name.
    pub before: BTreeMap<String, f64>,
    /// Measures with the change, by name.
    pub after: BTreeMap<String, f64>,
}
