//! Connected peers and what they said about themselves.

use std::collections::HashMap;
use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, identify};
use serde::Serialize;

use crate::config::split_peer;

/// Addresses kept of what one peer claims to listen on.
const MAX_ADDRS: usize = 8;
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
    /// Its gossip score; negative is bad.
    pub score: Option<f64>,
    /// Whether it is in the gossip mesh of at least one topic.
    pub in_mesh: bool,
    /// Whether its score is so low that everything it sends is ignored.
    pub graylisted: bool,
    /// Round-trip time of the last ping, in milliseconds.
    pub rtt_ms: Option<f64>,
}

/// One connected peer.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub(crate) connections: HashMap<ConnectionId, Multiaddr>,
    pub(crate) listen_addrs: Vec<Multiaddr>,
    pub(crate) agent: Option<String>,
    pub(crate) protocols: Vec<String>,
    pub(crate) member: bool,
    pub(crate) rtt_ms: Option<f64>,
}

impl Peer {
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
        for addr in self.connections.values().chain(&self.listen_addrs) {
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
            score: None,
            in_mesh: false,
            graylisted: false,
            rtt_ms: self.rtt_ms,
        }
    }
}

/// Of the addresses a peer claims to listen on, those worth dialling: without peer id, without
/// wildcards, and loopback only when the peer itself was met on loopback.
pub(crate) fn usable(claimed: &[Multiaddr], remote: Option<&Multiaddr>) -> Vec<Multiaddr> {
    let near = remote.and_then(ip).is_none_or(|ip| ip.is_loopback());
    let mut addrs: Vec<Multiaddr> = Vec::new();
    for addr in claimed {
        let (addr, _) = split_peer(addr.clone());
        let dialable =
            ip(&addr).is_none_or(|ip| !ip.is_unspecified() && (near || !ip.is_loopback()));
        if dialable && !addr.is_empty() && !addrs.contains(&addr) && addrs.len() < MAX_ADDRS {
            addrs.push(addr);
        }
    }
    addrs
}

fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
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
    }
}
