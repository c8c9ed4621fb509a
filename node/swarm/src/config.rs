//! What a swarm is started with, and the checks that refuse a bad configuration early.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::SwarmError;
use crate::names::Resolver;
use crate::reach::Reach;

/// The swarm a node joins when nothing else is said.
pub const DEFAULT_SWARM: &str = "pagi";

/// Everything [`crate::start`] needs.
#[derive(Clone)]
pub struct SwarmConfig {
    /// Ed25519 seed; the node's DID key and the key its peer id is made of. Wiped on drop.
    pub secret_key: Zeroizing<[u8; 32]>,
    /// The node's data directory; blocks and pins live in `data_dir/ipfs`.
    pub data_dir: PathBuf,
    /// Name of the swarm, 1 to 64 characters of `a-z 0-9 - _ .`; nodes of different swarms do not
    /// exchange gossip or requests, nor share a DHT.
    pub swarm: String,
    /// Multiaddrs to listen on, e.g. `/ip4/127.0.0.1/tcp/0` or `/ip4/127.0.0.1/udp/0/quic-v1`.
    pub listen: Vec<String>,
    /// Multiaddrs ending in `/p2p/PEERID`, dialled (with a growing pause of 1 s to 60 s) for as
    /// long as that peer is not connected.
    pub bootstrap: Vec<String>,
    /// Whether to look for peers on the local network with multicast DNS.
    pub mdns: bool,
    /// Sizes of queues and messages.
    pub limits: SwarmLimits,
}

impl SwarmConfig {
    /// A configuration for the default swarm, listening on loopback only (TCP and QUIC, any free
    /// port), with no bootstrap addresses and without mDNS.
    pub fn new(secret_key: [u8; 32], data_dir: impl Into<PathBuf>) -> Self {
        SwarmConfig {
            secret_key: Zeroizing::new(secret_key),
            data_dir: data_dir.into(),
            swarm: DEFAULT_SWARM.into(),
            listen: vec![
                "/ip4/127.0.0.1/tcp/0".into(),
                "/ip4/127.0.0.1/udp/0/quic-v1".into(),
            ],
            bootstrap: Vec::new(),
            mdns: false,
            limits: SwarmLimits::default(),
        }
    }
}

impl fmt::Debug for SwarmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmConfig")
            .field("data_dir", &self.data_dir)
            .field("swarm", &self.swarm)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("mdns", &self.mdns)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What [`crate::start_with`] takes beside [`SwarmConfig`]; everything is off by default.
#[derive(Clone, Default)]
pub struct SwarmOptions {
    /// How to be reached behind routers.
    pub reach: Reach,
    /// Multiaddrs this node is to be found at, where it cannot know: a public address that a
    /// router or a provider translates, or a host name.
    pub announce: Vec<String>,
    /// Multiaddrs ending in `/p2p/PEERID` of peers met in the past (see
    /// [`crate::Swarm::remembered_peers`]), dialled after the bootstrap peers and only while this
    /// node has fewer connections than it wants. Ones that cannot be used are left out.
    pub known_peers: Vec<String>,
    /// Who answers questions about host names in addresses; the system, if nobody is given.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// A secret all nodes of the swarm share; who does not have it cannot even begin to talk. TCP
    /// only: the QUIC transport has no such thing.
    pub pre_shared_key: Option<Zeroizing<[u8; 32]>>,
    /// Multiaddrs ending in `/p2p/PEERID` to enter the public IPFS DHT by; a node is not in it where
    /// there are none. The node asks there for content that the swarm does not have, announces there
    /// what [`crate::Swarm::provide_publicly`] is called for, and meets nodes of its swarm.
    pub public_dht: Vec<String>,
    /// Whether peers are strangers until [`crate::Swarm::admit`]: they may send requests, but get
    /// and give no gossip, and are given no block.
    pub gated: bool,
}

impl fmt::Debug for SwarmOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmOptions")
            .field("reach", &self.reach)
            .field("announce", &self.announce)
            .field("known_peers", &self.known_peers)
            .field("public_dht", &self.public_dht)
            .field("pre_shared_key", &self.pre_shared_key.is_some())
            .field("gated", &self.gated)
            .finish()
    }
}

/// A token bucket: so many at once, and so many per second in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Tokens that grow back each second.
    pub per_second: u32,
    /// Tokens at most.
    pub burst: u32,
}

/// Bounds on what one node keeps in memory and accepts from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SwarmLimits {
    /// Largest gossip message, in bytes of payload.
    pub max_gossip_bytes: usize,
    /// Messages waiting to be published; when full, [`crate::Swarm::publish`] waits for room.
    pub publish_queue: usize,
    /// Gossip messages (and, separately, requests) waiting for the application; the same number
    /// again may wait inside, and beyond that the newest is dropped and counted.
    pub inbound_queue: usize,
    /// Gossip messages of one author handed out and not yet judged; beyond that, or beyond as many as
    /// there are places left in `inbound_queue`, its newest is dropped, so that nobody fills the queue.
    /// Honest authors wait until what they sent has arrived.
    pub max_waiting_per_author: usize,
    /// Bytes of gossip handed out and not yet judged; beyond that the newest is dropped.
    pub max_inbound_bytes: usize,
    /// Largest request and largest reply, in bytes.
    pub max_request_bytes: usize,
    /// Connections in total; further ones are refused.
    pub max_connections: u32,
    /// Connections with one peer: TCP and QUIC dialled from both sides at once, and one through a
    /// relay that is being replaced.
    pub max_connections_per_peer: u32,
    /// Inbound connections from one IPv4 address or one IPv6 /64 network.
    pub max_connections_per_ip: u32,
    /// Connections being set up, each direction.
    pub max_pending_connections: u32,
    /// Requests under way with one peer, both directions together.
    pub max_streams_per_peer: usize,
    /// Bytes of requests handed out and not yet answered; beyond that the newest is dropped.
    pub max_pending_request_bytes: usize,
    /// Resident memory of the process, in bytes, beyond which no further inbound connection is
    /// accepted; `None` for no limit. Without effect on systems that do not tell.
    pub max_memory_bytes: Option<u64>,
    /// Gossip messages from one peer on one topic. The excess is ignored; when there is much of it and
    /// the peer itself wrote it, or it is several times as much, the peer is banned for a time. Own
    /// messages wait so as to stay below the same rate. An author heard through others gets a quarter
    /// of it.
    pub gossip_rate: Option<Rate>,
    /// Requests from one peer; the excess is closed without a reply.
    pub request_rate: Option<Rate>,
    /// Whether nodes of the same machine are spared `max_connections_per_ip`, `gossip_rate` and
    /// `request_rate`.
    pub spare_loopback: bool,
    /// How long a message is remembered once it was taken in, in seconds; a copy that comes later
    /// passes for a new message. To be as long as the application takes a message for fresh.
    pub seen_seconds: u32,
    /// Messages remembered in that time; twice as many are held in memory at most, 16 bytes each
    /// beside what the table takes. When more come, the earliest are forgotten.
    pub seen_messages: usize,
    /// How long gossipsub itself remembers all it saw, valid or not, in seconds.
    pub duplicate_seconds: u32,
    /// Blocks one peer may want at once over bitswap; it is parted with when it wants more.
    pub max_wants_per_peer: usize,
    /// Records of others kept in the DHT; 4 KiB each at most.
    pub max_dht_records: usize,
    /// Announcements of content by others kept in the DHT; one peer gets 1,024 of them.
    pub max_dht_provided: usize,
    /// Peers to be connected with; below that, peers learned from others are dialled.
    pub target_peers: usize,
}

impl Default for SwarmLimits {
    fn default() -> Self {
        SwarmLimits {
            max_gossip_bytes: 256 * 1024,
            publish_queue: 1024,
            inbound_queue: 1024,
            max_waiting_per_author: 512,
            max_inbound_bytes: 64 * 1024 * 1024,
            max_request_bytes: 1024 * 1024,
            max_connections: 256,
            max_connections_per_peer: 4,
            max_connections_per_ip: 32,
            max_pending_connections: 64,
            max_streams_per_peer: 128,
            max_pending_request_bytes: 64 * 1024 * 1024,
            max_memory_bytes: None,
            gossip_rate: Some(Rate {
                per_second: 300,
                burst: 1500,
            }),
            request_rate: Some(Rate {
                per_second: 100,
                burst: 500,
            }),
            spare_loopback: true,
            seen_seconds: 720,
            seen_messages: 262_144,
            duplicate_seconds: 120,
            max_wants_per_peer: 16_384,
            max_dht_records: 4096,
            max_dht_provided: 16_384,
            target_peers: 8,
        }
    }
}

/// A peer and one address of it, taken from a multiaddr that ends in `/p2p/PEERID`.
pub(crate) type PeerAddr = (PeerId, Multiaddr);

/// The addresses of a configuration after parsing.
pub(crate) struct Checked {
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) bootstrap: Vec<PeerAddr>,
}

impl SwarmConfig {
    /// Checks names, limits and addresses.
    ///
    /// # Errors
    /// [`SwarmError::BadConfig`] or [`SwarmError::BadAddress`], naming what is wrong.
    pub(crate) fn check(&self) -> Result<Checked, SwarmError> {
        check_swarm_name(&self.swarm)?;
        let limits = &self.limits;
        for (field, value) in [
            ("limits.max_gossip_bytes", limits.max_gossip_bytes),
            ("limits.publish_queue", limits.publish_queue),
            ("limits.inbound_queue", limits.inbound_queue),
            (
                "limits.max_waiting_per_author",
                limits.max_waiting_per_author,
            ),
            ("limits.max_request_bytes", limits.max_request_bytes),
            ("limits.max_connections", limits.max_connections as usize),
            (
                "limits.max_connections_per_peer",
                limits.max_connections_per_peer as usize,
            ),
            (
                "limits.max_connections_per_ip",
                limits.max_connections_per_ip as usize,
            ),
            (
                "limits.max_pending_connections",
                limits.max_pending_connections as usize,
            ),
            ("limits.max_streams_per_peer", limits.max_streams_per_peer),
            ("limits.max_wants_per_peer", limits.max_wants_per_peer),
            ("limits.max_dht_records", limits.max_dht_records),
            ("limits.max_dht_provided", limits.max_dht_provided),
            ("limits.seen_seconds", limits.seen_seconds as usize),
            ("limits.seen_messages", limits.seen_messages),
            (
                "limits.duplicate_seconds",
                limits.duplicate_seconds as usize,
            ),
            ("limits.gossip_rate", smallest(limits.gossip_rate)),
            ("limits.request_rate", smallest(limits.request_rate)),
        ] {
            if value == 0 {
                return Err(SwarmError::BadConfig {
                    field,
                    reason: "must not be zero".into(),
                });
            }
        }
        if limits.max_inbound_bytes < limits.max_gossip_bytes {
            return Err(SwarmError::BadConfig {
                field: "limits.max_inbound_bytes",
                reason: "must hold at least one message of max_gossip_bytes".into(),
            });
        }
        if limits.max_pending_request_bytes < limits.max_request_bytes {
            return Err(SwarmError::BadConfig {
                field: "limits.max_pending_request_bytes",
                reason: "must hold at least one request of max_request_bytes".into(),
            });
        }
        let listen = self
            .listen
            .iter()
            .map(|a| parse_addr(a))
            .collect::<Result<_, _>>()?;
        let bootstrap = self
            .bootstrap
            .iter()
            .map(|a| parse_peer_addr(a))
            .collect::<Result<_, _>>()?;
        Ok(Checked { listen, bootstrap })
    }
}

/// The smaller number of a rate.
fn smallest(rate: Option<Rate>) -> usize {
    rate.map_or(1, |rate| rate.per_second.min(rate.burst) as usize)
}

/// The addresses of the options after parsing.
pub(crate) struct CheckedOptions {
    pub(crate) announce: Vec<Multiaddr>,
    pub(crate) known_peers: Vec<PeerAddr>,
    pub(crate) public_dht: Vec<PeerAddr>,
}

impl SwarmOptions {
    /// Checks the options, and that the addresses of the configuration go with them.
    ///
    /// # Errors
    /// [`SwarmError::BadConfig`] or [`SwarmError::BadAddress`], naming what is wrong.
    pub(crate) fn check(&self, config: &Checked) -> Result<CheckedOptions, SwarmError> {
        let announce = self
            .announce
            .iter()
            .map(|a| parse_addr(a).map(|addr| split_peer(addr).0))
            .collect::<Result<_, _>>()?;
        if self.pre_shared_key.is_some() {
            let bootstrap = config.bootstrap.iter().map(|(_, addr)| addr);
            if let Some(quic) = config.listen.iter().chain(bootstrap).find(|a| is_quic(a)) {
                return Err(SwarmError::BadAddress {
                    addr: quic.to_string(),
                    reason: "QUIC cannot be used with a pre-shared key; use TCP addresses only"
                        .into(),
                });
            }
        }
        if let Some(relay) = &self.reach.relay_server {
            for (field, value) in [
                ("reach.relay_server.reservations", relay.reservations),
                ("reach.relay_server.circuits", relay.circuits),
                (
                    "reach.relay_server.circuits_per_peer",
                    relay.circuits_per_peer,
                ),
                (
                    "reach.relay_server.circuit_seconds",
                    relay.circuit_seconds as usize,
                ),
            ] {
                if value == 0 {
                    return Err(SwarmError::BadConfig {
                        field,
                        reason: "must not be zero".into(),
                    });
                }
            }
        }
        let public_dht: Vec<PeerAddr> = self
            .public_dht
            .iter()
            .map(|a| parse_peer_addr(a))
            .collect::<Result<_, _>>()?;
        if !public_dht.is_empty() && (self.gated || self.pre_shared_key.is_some()) {
            return Err(SwarmError::BadConfig {
                field: "public_dht",
                reason: "an invited swarm, or one with a key of its own, keeps to itself; leave \
                         this empty, or leave the swarm"
                    .into(),
            });
        }
        let known_peers = self.known_peers.iter().filter_map(|text| {
            let known = parse_peer_addr(text);
            if let Err(error) = &known {
                tracing::warn!(%error, "a remembered peer is left out");
            }
            known.ok()
        });
        let usable = |(_, addr): &PeerAddr| self.pre_shared_key.is_none() || !is_quic(addr);
        Ok(CheckedOptions {
            announce,
            public_dht,
            known_peers: known_peers.filter(usable).collect(),
        })
    }
}

fn is_quic(addr: &Multiaddr) -> bool {
    addr.iter()
        .any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1))
}

fn check_swarm_name(name: &str) -> Result<(), SwarmError> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(ok) {
        return Err(SwarmError::BadConfig {
            field: "swarm",
            reason: format!("{name:?} is not 1 to 64 characters of a-z, 0-9, '-', '_' and '.'"),
        });
    }
    Ok(())
}

/// Parses any multiaddr.
pub(crate) fn parse_addr(text: &str) -> Result<Multiaddr, SwarmError> {
    text.parse()
        .map_err(|e: libp2p::multiaddr::Error| SwarmError::BadAddress {
            addr: text.into(),
            reason: e.to_string(),
        })
}

/// Parses a multiaddr that ends in `/p2p/PEERID` and splits the peer id off.
pub(crate) fn parse_peer_addr(text: &str) -> Result<PeerAddr, SwarmError> {
    let addr = parse_addr(text)?;
    match split_peer(addr) {
        (rest, Some(peer)) if !rest.is_empty() => Ok((peer, rest)),
        _ => Err(SwarmError::BadAddress {
            addr: text.into(),
            reason: "must be an address that ends in /p2p/PEERID".into(),
        }),
    }
}

/// Splits a trailing `/p2p/PEERID` off an address, if there is one.
pub(crate) fn split_peer(mut addr: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match addr.pop() {
        Some(Protocol::P2p(peer)) => (addr, Some(peer)),
        Some(other) => (addr.with(other), None),
        None => (addr, None),
    }
}

/// Parses a peer id.
pub(crate) fn parse_peer(text: &str) -> Result<PeerId, SwarmError> {
    text.parse().map_err(|_| SwarmError::BadPeerId(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SwarmConfig {
        SwarmConfig::new([1; 32], "/nowhere")
    }

    #[test]
    fn the_default_configuration_is_valid_and_loopback_only() {
        let checked = config().check().unwrap();
        assert!(checked.bootstrap.is_empty());
        assert!(
            checked
                .listen
                .iter()
                .all(|a| a.to_string().starts_with("/ip4/127.0.0.1/"))
        );
    }

    #[test]
    fn bad_swarm_names_are_refused() {
        for name in ["", "Upper", "a/b", "spa ce", &"x".repeat(65)] {
            let config = SwarmConfig {
                swarm: name.into(),
                ..config()
            };
            assert!(matches!(
                config.check(),
                Err(SwarmError::BadConfig { field: "swarm", .. })
            ));
        }
    }

    #[test]
    fn bootstrap_addresses_need_a_peer_id() {
        for addr in ["/ip4/127.0.0.1/tcp/1", "not an address", ""] {
            let config = SwarmConfig {
                bootstrap: vec![addr.into()],
                ..config()
            };
            assert!(
                matches!(config.check(), Err(SwarmError::BadAddress { .. })),
                "{addr}"
            );
        }
        let peer = PeerId::random();
        let alone = format!("/p2p/{peer}");
        assert!(parse_peer_addr(&alone).is_err());
        let (found, rest) = parse_peer_addr(&format!("/ip4/127.0.0.1/tcp/9{alone}")).unwrap();
        assert_eq!(
            (found, rest.to_string()),
            (peer, "/ip4/127.0.0.1/tcp/9".to_owned())
        );
    }

    #[test]
    fn zero_limits_are_refused() {
        let mut config = config();
        config.limits.publish_queue = 0;
        assert!(config.check().is_err());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let text = format!("{:?}", SwarmConfig::new([211; 32], "/nowhere"));
        assert!(!text.contains("211"), "{text}");
        let options = SwarmOptions {
            pre_shared_key: Some(Zeroizing::new([211; 32])),
            ..SwarmOptions::default()
        };
        let text = format!("{options:?}");
        assert!(!text.contains("211"), "{text}");
    }

    #[test]
    fn a_pre_shared_key_goes_with_tcp_only() {
        let options = SwarmOptions {
            pre_shared_key: Some(Zeroizing::new([1; 32])),
            ..SwarmOptions::default()
        };
        let refused = options.check(&config().check().unwrap());
        assert!(
            matches!(&refused, Err(SwarmError::BadAddress { reason, .. }) if reason.contains("TCP"))
        );
        let tcp = SwarmConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            ..config()
        };
        assert!(options.check(&tcp.check().unwrap()).is_ok());
        let options = SwarmOptions::default();
        assert!(options.check(&config().check().unwrap()).is_ok());
    }

    #[test]
    fn remembered_peers_that_make_no_sense_are_left_out() {
        let good = format!("/ip4/127.0.0.1/tcp/9/p2p/{}", PeerId::random());
        let options = SwarmOptions {
            known_peers: vec!["rubbish".into(), good, "/ip4/127.0.0.1/tcp/9".into()],
            ..SwarmOptions::default()
        };
        let checked = options.check(&config().check().unwrap()).unwrap();
        assert_eq!(checked.known_peers.len(), 1);
    }
}
