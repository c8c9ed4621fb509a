//! The node, its swarm, the playbook and the MO at a glance.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The node itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeInfo {
    /// libp2p peer id.
    pub peer_id: String,
    /// The node's DID, of the same key.
    pub did: String,
    /// The swarm's name.
    pub swarm: String,
    /// Multiaddrs others can dial, each with `/p2p/PEERID`.
    pub listen: Vec<String>,
    /// The program's version.
    pub version: String,
    /// Seconds since start.
    pub uptime_s: u64,
    /// Number of twins.
    pub twins: usize,
    /// Number of tools.
    pub tools: usize,
    /// Number of connected peers.
    pub peers: usize,
    /// Addresses dialled first, from the configuration or the command line.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// `planner`, or the model's name and URL.
    pub inference: String,
    /// How the private keys are kept: `plain files` or `encrypted`.
    #[serde(default)]
    pub keys: String,
    /// Why the node does nothing now; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Peer {
    /// Its peer id.
    pub peer_id: String,
    /// Its DID, where it sent signed messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// Its addresses.
    pub addrs: Vec<String>,
    /// The program it says it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whether it was let into the swarm.
    #[serde(default = "yes")]
    pub admitted: bool,
    /// Whether it is reached through a relay alone.
    #[serde(default)]
    pub relayed: bool,
    /// Whether it is in our gossip mesh.
    pub in_mesh: bool,
    /// Its gossip score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Connections open with it.
    #[serde(default)]
    pub connections: usize,
    /// Its messages and requests that were too many and not taken.
    #[serde(default)]
    pub limited: u64,
}

fn yes() -> bool {
    true
}

/// A twin known from its announcements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KnownTwin {
    /// Its id.
    pub twin_id: String,
    /// Its DID.
    pub did: String,
    /// The DID of the node that announced it.
    pub node: String,
    /// When it was last heard (RFC 3339).
    pub last_seen: String,
    /// Tools it may call.
    pub tools: Vec<String>,
    /// What it thinks with.
    pub inference: String,
    /// Whether it lives on this node.
    pub local: bool,
    /// What its user calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, in its user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How it is reached: `here`, `connected` (with its node), `heard` (lately, over others), or
    /// `away` (its node was not heard lately).
    #[serde(default)]
    pub reach: String,
    /// Whether a message would get there now: it is not `away`.
    #[serde(default)]
    pub reachable: bool,
    /// Why it does nothing now, where a stop is in force for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// `GET /swarm`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SwarmView {
    /// The swarm's name.
    pub name: String,
    /// This node.
    pub node: NodeInfo,
    /// DIDs of the nodes heard lately, this one too.
    pub nodes: Vec<String>,
    /// Twins here and heard lately.
    pub twins: Vec<KnownTwin>,
    /// The MO's DID.
    pub mo: Option<String>,
    /// The playbook head.
    pub playbook: String,
    /// Gossip counters.
    pub stats: Value,
}

/// `GET /playbook`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaybookView {
    /// The adopted head.
    pub head: String,
    /// Every head, where two MOs wrote apart.
    pub heads: Vec<String>,
    /// The genesis block.
    pub genesis: String,
    /// Number of revisions.
    pub revisions: usize,
    /// The document, learned parts under `learned`.
    pub document: Value,
    /// The document as TOML.
    pub toml: String,
}

/// One revision of the playbook's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevisionView {
    /// The revision.
    pub cid: String,
    /// Its parents.
    pub parents: Vec<String>,
    /// The MO that wrote it.
    pub author: String,
    /// The MO's term.
    pub term: u64,
    /// Logical time: one more than its parents'.
    pub lamport: u64,
    /// The artifacts it merged.
    pub merged: Vec<String>,
    /// What it changed, in words.
    pub summary: String,
    /// When (RFC 3339).
    pub ts: String,
}

/// The outcome of a replay of the playbook's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaybookCheck {
    /// Whether every link holds.
    pub valid: bool,
    /// Revisions checked.
    pub revisions: usize,
    /// The head the replay ends in.
    pub head: String,
    /// The first bad link and what is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /playbook/diff`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaybookDiff {
    /// The earlier revision, or the genesis block.
    pub from: String,
    /// The later one.
    pub to: String,
    /// What differs, settings first.
    pub changes: Vec<PlaybookChange>,
}

/// One difference between two revisions of the playbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaybookChange {
    /// `setting`, `case`, `bullet` or `tool`.
    pub kind: String,
    /// The setting's path, the id of a case or bullet, the tool's name.
    pub name: String,
    /// How it was; absent where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// How it is; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// A refinement artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactView {
    /// The artifact.
    pub cid: String,
    /// The twin's DID that signed it.
    pub author: String,
    /// `review` (waits for a person), `pending`, `merged` or `rejected`.
    pub status: String,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The playbook head it started from.
    pub base: String,
    /// What was learned, in words.
    pub critique: String,
    /// The delta.
    pub delta: Value,
    /// What it would change of the adopted playbook; shown of one artifact, until it is merged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlaybookChange>,
    /// When (RFC 3339).
    pub ts: String,
}

/// `POST /artifacts/{cid}/reject`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RejectArtifact {
    /// Why.
    pub reason: String,
}

/// `POST /playbook/revert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevertPlaybook {
    /// Artifacts to take back, and revisions all of whose artifacts are taken back.
    #[serde(default)]
    pub cids: Vec<String>,
    /// Or a revision (or the genesis): everything merged since is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /mo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MoView {
    /// The MO's DID.
    pub mo: Option<String>,
    /// Whether it is this node.
    pub is_me: bool,
    /// The term.
    pub term: u64,
    /// The election's details: electorate, votes, lease, why not this node.
    pub election: Value,
    /// CID of the election certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// One audited act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditEntry {
    /// Position, rising from 1.
    pub seq: u64,
    /// When (RFC 3339).
    pub ts: String,
    /// Who: a twin's id, a DID or `user`.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `allowed`, `refused`, `failed`, …
    pub verdict: String,
    /// The details.
    pub detail: Value,
}
