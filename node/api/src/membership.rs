//! Who belongs to the swarm, invitations to it, and how the node is reached.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /swarm/members`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Membership {
    /// The swarm's name.
    pub name: String,
    /// The name in its topics and protocols.
    pub network: String,
    /// The CID of its genesis; absent for a swarm that is a name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who may join: `name` (whoever uses the name), `open` or `invited`.
    pub admission: String,
    /// Whether talking to its nodes takes a pre-shared key.
    pub pre_shared_key: bool,
    /// DIDs of the founders.
    pub founders: Vec<String>,
    /// Whether this node is in: `founder`, `member`, `open` or `waiting`.
    pub standing: String,
    /// DIDs of the members known here, founders first; empty where everybody is one.
    pub members: Vec<String>,
    /// What founders took back: DIDs, and CIDs of invitations and delegations.
    pub revoked: Vec<String>,
    /// Nodes this one did not let in, latest first.
    pub refused: Vec<RefusedNode>,
    /// Nodes that did not let this one in, latest first.
    pub refused_by: Vec<RefusedNode>,
    /// Why this node is not in yet; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// Why a node waits at the door of its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Waiting {
    /// `unreached` (no member was reached yet), `judged` (one was, and has not answered yet),
    /// `refused`, `expired`, `uninvited`, or `put_out`.
    pub state: String,
    /// What it waits for, or why it is not let in.
    pub reason: String,
    /// What to do about it.
    pub next: String,
}

/// A node that was refused, or that refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RefusedNode {
    /// Its DID.
    pub did: String,
    /// Why.
    pub reason: String,
    /// When it was last so (RFC 3339).
    pub ts: String,
    /// How often in a row.
    pub times: u32,
}

/// `POST /swarm/invitations`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewInvitation {
    /// Seconds it holds; a week unless given.
    #[serde(default)]
    pub expires_s: Option<u64>,
    /// How many different nodes may use it; any number unless given.
    #[serde(default)]
    pub uses: Option<u32>,
    /// The DID of the only node that may use it.
    #[serde(default)]
    pub invitee: Option<String>,
}

/// An invitation, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvitationView {
    /// All a newcomer types after `pagi swarm join`.
    pub link: String,
    /// The invitation's CID, by which it can be revoked; absent where the swarm asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// How many different nodes may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Who alone may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitee: Option<String>,
    /// Addresses in it.
    pub addresses: Vec<String>,
    /// Whether whoever reads it can use it: it holds a key, or an invitation for anybody.
    pub secret: bool,
}

/// `POST /swarm/revocations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewRevocation {
    /// DIDs of members, CIDs of invitations, or `pagi://join/…` strings: 1 to 16.
    pub targets: Vec<String>,
}

/// `GET /network`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NetworkView {
    /// `unknown`, `public` or `private`; `relayed` where a relay stands in for the node.
    pub reach: String,
    /// Multiaddrs others should find this node at.
    pub external_addrs: Vec<String>,
    /// Peer ids of the relays that stand in for it.
    pub relays: Vec<String>,
    /// Whether it relays for others.
    pub relays_for_others: bool,
    /// Whether it answers the swarm's DHT.
    pub dht_server: bool,
    /// Peers in the routing table of the public IPFS DHT; absent for a node that did not join it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_dht_peers: Option<usize>,
    /// Why the router forwards no port, where it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_mapping: Option<String>,
    /// The peers that are kept away.
    pub bans: Vec<Ban>,
    /// What the node holds itself and others to.
    pub limits: Value,
    /// Counters since its start.
    pub stats: Value,
}

/// A peer that is kept away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ban {
    /// Its peer id.
    pub peer_id: String,
    /// Seconds until it may come back; absent for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Whether the user banned it; such a ban survives restarts.
    pub by_user: bool,
}

/// `POST /peers/bans`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewBan {
    /// A peer id or a node's DID.
    pub peer: String,
    /// For so many seconds; for good unless given.
    #[serde(default)]
    pub seconds: Option<u64>,
}
