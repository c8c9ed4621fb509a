//! Being reached behind routers and firewalls: what can be switched on, and how it stands.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::Serialize;

/// What a node does to be reached. All off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Reserve a slot on bootstrap peers that offer to relay, for as long as this node is not known
    /// to be publicly reachable; dial others through relays; turn relayed connections into direct
    /// ones by hole punching where the routers allow it.
    pub relay_client: bool,
    /// Relay for others, within these limits. For nodes that everybody can reach: their listen
    /// addresses (or [`crate::SwarmOptions::announce`]) are taken to be public.
    pub relay_server: Option<RelayLimits>,
    /// Let bootstrap peers and peers at public addresses try to dial this node, and do the same for
    /// others. A node that turns out to be unreachable leaves serving the DHT to others until it
    /// has a relay.
    pub autonat: bool,
    /// Ask the router to forward a port.
    pub upnp: bool,
}

/// What a relay grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Peers that may hold a reservation at the same time.
    pub reservations: usize,
    /// Circuits open at the same time.
    pub circuits: usize,
    /// Circuits open at the same time that start from one peer.
    pub circuits_per_peer: usize,
    /// Longest life of a circuit, in seconds; up to `u32::MAX`.
    pub circuit_seconds: u32,
    /// Most bytes through one circuit, each direction.
    pub circuit_bytes: u64,
}

impl Default for RelayLimits {
    fn default() -> Self {
        RelayLimits {
            reservations: 128,
            circuits: 128,
            circuits_per_peer: 16,
            circuit_seconds: 3600,
            circuit_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Whether others can dial this node, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// Nobody has tried, or trying is switched off.
    #[default]
    Unknown,
    /// A peer has dialled this node.
    Public,
    /// A peer has tried to dial this node in vain.
    Private,
}

/// How a node can be reached, see [`crate::Swarm::reach`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReachInfo {
    /// Whether others can dial this node directly.
    pub reachability: Reachability,
    /// Multiaddrs others should find this node at, each ending in `/p2p/PEERID`; those with
    /// `/p2p-circuit` lead through a relay.
    pub external_addrs: Vec<String>,
    /// Peer ids of the relays that hold a reservation for this node.
    pub relays: Vec<String>,
    /// Whether this node serves the swarm's DHT or only asks it.
    pub dht_server: bool,
    /// Peers in the routing table of the public IPFS DHT; `None` for a node that did not join it.
    pub public_dht_peers: Option<usize>,
    /// Why the router forwards no port, when it was asked to.
    pub port_mapping: Option<String>,
}

/// How far an address carries; the smaller, the farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// A host name or an address of the public internet.
    Global,
    /// Through a relay.
    Relayed,
    /// Within a site.
    Site,
    /// Within this machine.
    Machine,
}

/// How far an address carries.
pub(crate) fn scope(addr: &Multiaddr) -> Scope {
    if is_relayed(addr) {
        return Scope::Relayed;
    }
    match ip(addr) {
        None => Scope::Global,
        Some(ip) if ip.is_loopback() => Scope::Machine,
        Some(IpAddr::V4(ip)) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            match ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared {
                true => Scope::Site,
                false => Scope::Global,
            }
        }
        Some(IpAddr::V6(ip)) => {
            let site = ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified();
            if site { Scope::Site } else { Scope::Global }
        }
    }
}

/// Whether an address leads through a relay.
pub(crate) fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The IP address an address begins with.
pub(crate) fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
}

/// Of the addresses a relay listens on, those to hand out: the ones that carry farthest.
pub(crate) fn farthest(listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let own: Vec<&Multiaddr> = listening
        .iter()
        .filter(|addr| !is_relayed(addr) && ip(addr).is_none_or(|ip| !ip.is_unspecified()))
        .collect();
    let best = own.iter().map(|addr| scope(addr)).min();
    own.into_iter()
        .filter(|addr| Some(scope(addr)) == best)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_are_told_apart() {
        for (text, expected) in [
            ("/ip4/203.0.113.7/tcp/1", Scope::Global),
            ("/dns4/node.example/tcp/1", Scope::Global),
            ("/ip6/2001:db8::1/tcp/1", Scope::Global),
            ("/ip4/203.0.113.7/tcp/1/p2p-circuit", Scope::Relayed),
            ("/ip4/192.168.1.7/tcp/1", Scope::Site),
            ("/ip4/100.64.1.7/tcp/1", Scope::Site),
            ("/ip4/169.254.1.7/tcp/1", Scope::Site),
            ("/ip6/fd00::1/tcp/1", Scope::Site),
            ("/ip6/fe80::1/tcp/1", Scope::Site),
            ("/ip4/127.0.0.1/tcp/1", Scope::Machine),
            ("/ip6/::1/tcp/1", Scope::Machine),
        ] {
            assert_eq!(scope(&addr(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_relay_hands_out_what_carries_farthest() {
        let all = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/203.0.113.7/tcp/1",
        ];
        let all: Vec<Multiaddr> = all.iter().map(|text| addr(text)).collect();
        assert_eq!(farthest(&all), all[2..]);
        assert_eq!(farthest(&all[..2]), all[1..2]);
        assert_eq!(farthest(&all[..1]), all[..1]);
        assert!(farthest(&[addr("/ip4/0.0.0.0/tcp/1")]).is_empty());
    }
}
