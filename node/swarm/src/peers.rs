//! Connected peers and what they said about themselves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, identify};
use serde::Serialize;

use crate::config::split_peer;
use crate::reach::{ip, scope};

/// Addresses kept of what one peer claims to listen on.
const MAX_ADDRS: usize = 8;
/// Addresses of such a claim that are looked at.
const MAX_CLAIMS: usize = 64;
/// How long new connections wait for dead ones to be closed.
const CLOSING_TIME: Duration = Duration::from_secs(60);
/// Longest agent string shown, in characters.
const MAX_AGENT: usize = 128;

/// A connected peer as the application sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerInfo {
    /// Its peer id.
    pub peer_id: String,
    /// Multiaddrs of the present connections, then those it says it listens on.
    pub addrs: Vec<String>,
    /// Name and version of its software, once known.
    pub agent: Option<String>,
    /// Protocols it speaks.
    pub protocols: Vec<String>,
    /// Whether it has proved to be of this swarm.
    pub member: bool,
    /// Whether it was let in; always so where the swarm has no gate.
    pub admitted: bool,
    /// Its gossip score; negative is bad.
    pub score: Option<f64>,
    /// Whether it is in the gossip mesh of at least one topic.
    pub in_mesh: bool,
    /// Whether its score is so low that everything it sends is ignored.
    pub graylisted: bool,
    /// Round-trip time of the last ping, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Connections open with it.
    pub connections: usize,
    /// Whether all of them lead through a relay.
    pub relayed: bool,
    /// Its messages and requests that were too many and not taken.
    pub limited: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) addr: Multiaddr,
    /// Whether it leads through a relay.
    pub(crate) relayed: bool,
    /// Whether this node dialled; then others may be able to dial that address as well.
    pub(crate) dialled: bool,
    /// Since when nobody is at the other end any more. Such a connection has been told to close, but
    /// on TCP that takes until what waits to be sent is sent, or given up, by the system: minutes.
    pub(crate) dead: Option<Instant>,
    pub(crate) since: Instant,
}

impl Link {
    pub(crate) fn new(endpoint: &ConnectedPoint, now: Instant) -> Self {
        let addr = match endpoint {
            // The other end of a circuit is only named; where the circuit comes from says more.
            ConnectedPoint::Listener {
                local_addr,
                send_back_addr,
            } if endpoint.is_relayed() => send_back_addr
                .iter()
                .fold(local_addr.clone(), Multiaddr::with),
            _ => endpoint.get_remote_address().clone(),
        };
        Link {
            addr,
            relayed: endpoint.is_relayed(),
            dialled: endpoint.is_dialer(),
            dead: None,
            since: now,
        }
    }
}

/// One connected peer.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub(crate) connections: HashMap<ConnectionId, Link>,
    /// Since when there have been relayed and direct connections at once.
    pub(crate) direct_too_since: Option<Instant>,
    /// Whether the addresses it listens on were dialled while it was connected through a relay.
    pub(crate) tried_direct: bool,
    /// Whether it was dialled because the application asked for it.
    pub(crate) called: bool,
    /// When it was last asked something, or asked something itself.
    pub(crate) asked: Option<Instant>,
    /// Whether this node gave the connection up, so that the peer is not gone for it.
    pub(crate) parted: bool,
    pub(crate) listen_addrs: Vec<Multiaddr>,
    pub(crate) agent: Option<String>,
    pub(crate) protocols: Vec<String>,
    pub(crate) member: bool,
    pub(crate) rtt_ms: Option<f64>,
}

impl Peer {
    /// The connections with somebody at the other end.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Link> {
        self.connections.values().filter(|link| link.dead.is_none())
    }

    /// Whether a dead connection is still being closed, and a new one better waits: to gossipsub it
    /// would be a second connection of a peer it knows, to which subscriptions need not be told.
    pub(crate) fn is_closing(&self, now: Instant) -> bool {
        let fresh = |dead: Instant| now.saturating_duration_since(dead) < CLOSING_TIME;
        self.connections
            .values()
            .any(|link| link.dead.is_some_and(fresh))
    }

    /// Direct connections beyond `most`, the youngest ones, if they are older than `age`.
    pub(crate) fn surplus(&self, most: usize, age: Duration, now: Instant) -> Vec<ConnectionId> {
        let mut direct: Vec<(&ConnectionId, &Link)> = self
            .connections
            .iter()
            .filter(|(_, link)| !link.relayed && link.dead.is_none())
            .collect();
        direct.sort_by_key(|(_, link)| link.since);
        direct
            .into_iter()
            .skip(most)
            .filter(|(_, link)| now.saturating_duration_since(link.since) >= age)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether this node dialled all there is.
    pub(crate) fn is_dialled(&self) -> bool {
        self.connections.values().all(|link| link.dialled)
    }

    /// When it was connected with, or asked something, or asked something itself.
    pub(crate) fn used(&self) -> Option<Instant> {
        let since = self.connections.values().map(|link| link.since).max();
        since.max(self.asked)
    }

    /// Whether it is connected through a relay, perhaps among other ways.
    pub(crate) fn is_relayed(&self) -> bool {
        self.alive().any(|link| link.relayed)
    }

    /// The remote address of a direct connection.
    pub(crate) fn direct(&self) -> Option<&Multiaddr> {
        let mut links: Vec<&Link> = self.alive().filter(|link| !link.relayed).collect();
        // One that this node dialled is an address it knows to work.
        links.sort_by_key(|link| !link.dialled);
        links.first().map(|link| &link.addr)
    }

    /// An address at which this node reached the peer directly.
    pub(crate) fn proven(&self) -> Option<&Multiaddr> {
        let mut links = self.connections.values();
        links
            .find(|link| link.dialled && !link.relayed)
            .map(|link| &link.addr)
    }

    /// Whether it is met on this machine only.
    pub(crate) fn is_local(&self) -> bool {
        self.connections
            .values()
            .all(|link| ip(&link.addr).is_some_and(|ip| ip.is_loopback()))
    }

    /// Takes over what the peer says about itself, cut to size.
    pub(crate) fn identified(&mut self, info: &identify::Info, listen_addrs: Vec<Multiaddr>) {
        self.agent = Some(info.agent_version.chars().take(MAX_AGENT).collect());
        self.protocols = info
            .protocols
            .iter()
            .take(64)
            .map(|p| p.as_ref().to_owned())
            .collect();
        self.listen_addrs = listen_addrs;
    }

    /// What the application gets to see, before gossip adds its part.
    pub(crate) fn info(&self, peer: &PeerId) -> PeerInfo {
        let mut addrs: Vec<String> = Vec::new();
        let connected = self.alive().map(|link| &link.addr);
        for addr in connected.chain(&self.listen_addrs) {
            let text = addr.to_string();
            if !addrs.contains(&text) {
                addrs.push(text);
            }
        }
        PeerInfo {
            peer_id: peer.to_string(),
            addrs,
            agent: self.agent.clone(),
            protocols: self.protocols.clone(),
            member: self.member,
            admitted: true,
            score: None,
            in_mesh: false,
            graylisted: false,
            rtt_ms: self.rtt_ms,
            connections: self.alive().count(),
            relayed: self.alive().all(|link| link.relayed),
            limited: 0,
        }
    }
}

/// Of the addresses a peer claims to listen on, those worth dialling: without peer id, without
/// wildcards, and loopback only when the peer itself was met on loopback. When there are too many,
/// those that carry farthest.
pub(crate) fn usable(claimed: &[Multiaddr], remote: Option<&Multiaddr>) -> Vec<Multiaddr> {
    let near = remote.is_none_or(|addr| ip(addr).is_some_and(|ip| ip.is_loopback()));
    let mut addrs: Vec<Multiaddr> = Vec::new();
    for addr in claimed {
        let (addr, _) = split_peer(addr.clone());
        let dialable =
            ip(&addr).is_none_or(|ip| !ip.is_unspecified() && (near || !ip.is_loopback()));
        if dialable && !addr.is_empty() && !addrs.contains(&addr) && addrs.len() < MAX_CLAIMS {
            addrs.push(addr);
        }
    }
    if addrs.len() > MAX_ADDRS {
        addrs.sort_by_key(scope);
        addrs.truncate(MAX_ADDRS);
    }
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_claims_count_only_on_loopback() {
        let claimed: Vec<Multiaddr> = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/dns4/node.example/tcp/1",
        ]
        .iter()
        .map(|a| a.parse().unwrap())
        .collect();
        let count = |remote: &str| usable(&claimed, Some(&remote.parse().unwrap())).len();
        assert_eq!(count("/ip4/127.0.0.1/tcp/7"), 3);
        assert_eq!(count("/ip4/10.0.0.1/tcp/7"), 2);
    }

    #[test]
    fn a_flood_of_claims_is_cut() {
        let claimed: Vec<Multiaddr> = (1..100)
            .map(|p| format!("/ip4/10.0.0.1/tcp/{p}").parse().unwrap())
            .collect();
        assert_eq!(usable(&claimed, None).len(), MAX_ADDRS);
        let relayed: Multiaddr = "/ip4/203.0.113.1/tcp/1/p2p-circuit".parse().unwrap();
        let mut claimed = claimed;
        claimed.insert(30, relayed.clone());
        assert!(
            usable(&claimed, None).contains(&relayed),
            "the way that works for strangers is kept"
        );
    }
}
