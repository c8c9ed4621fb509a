//! The network of a pagi node behind one cloneable handle, [`Swarm`].
//!
//! What runs underneath: rust-ipfs owns the libp2p swarm and the block store; our own behaviour
//! (`behaviour.rs`) adds bitswap, and gossipsub with manual validation and peer scoring,
//! request/response, Kademlia, identify, ping and optional mDNS, all but bitswap and ping under
//! protocol names that carry the swarm's name. No type of either library appears in this crate's public API: peers and
//! addresses are strings, content is named by [`cid::Cid`].
//!
//! ```no_run
//! # async fn example() -> Result<(), pagi_swarm::SwarmError> {
//! let config = pagi_swarm::SwarmConfig::new([7; 32], "/tmp/node");
//! let (swarm, mut inbound) = pagi_swarm::start(config).await?;
//! swarm.subscribe("news").await?;
//! while let Some(message) = inbound.gossip.recv().await {
//!     message.verdict.accept(); // only now is it forwarded to other peers
//! }
//! # Ok(()) }
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `config.rs`, `reach.rs`, `error.rs`, `stats.rs` | what goes in, what can go wrong, what is counted |
//! | `start.rs` | building the node and bringing up its listeners |
//! | `handle.rs`, `blocks.rs` | the [`Swarm`] handle: network calls, calls for single blocks |
//! | `bitswap/` | blocks for others and from others, within bounds |
//! | `content/` | files, folders, pins of whole DAGs, CAR files, garbage |
//! | `inbound.rs` | what the network delivers: gossip, requests, peer events |
//! | `behaviour.rs`, `commands.rs`, `events.rs`, `dht.rs` | the libp2p behaviour and its reactions |
//! | `public.rs` | the public IPFS DHT, where the user joined it |
//! | `nat.rs` | the behaviour's part in getting through routers: relays, hole punching, dial-back |
//! | `dialer.rs`, `trim.rs`, `relays.rs` | whom to dial when; which connections to give up; whom to ask to relay (all pure) |
//! | `pace.rs`, `limiter.rs`, `admission.rs` | how fast to publish; how much a peer may send; who may connect, and who is kept away (all pure) |
//! | `watched.rs` | what a peer sends, counted before gossipsub works on it |
//! | `names.rs`, `whereabouts.rs` | host names in addresses; where a DID is to be found |
//! | `seen.rs`, `shares.rs`, `quota.rs` | which messages were there before; whose may wait how many; how much of the DHT one peer may fill (all pure) |
//! | `gate.rs`, `members.rs` | who is let in, where that is not everybody (pure); a protocol deaf to the others |
//! | `memory.rs` | how much memory the process uses |
//! | `peers.rs`, `scoring.rs`, `protocol.rs`, `codec.rs`, `sole.rs` | connected peers, score weights, protocol names, framing, a shareable behaviour |

mod admission;
mod behaviour;
mod bitswap;
mod blocks;
mod codec;
mod commands;
mod config;
mod content;
mod dht;
mod dialer;
mod error;
mod events;
mod gate;
mod handle;
mod inbound;
mod limiter;
mod members;
mod memory;
mod names;
mod nat;
mod pace;
mod peers;
mod protocol;
mod public;
mod quota;
mod reach;
mod relays;
mod scoring;
mod seen;
mod shares;
mod sole;
mod start;
mod stats;
mod trim;
mod watched;
mod whereabouts;

pub use admission::Banned;
#[doc(hidden)]
pub use bitswap::message::reread_bitswap;
pub use blocks::StoreCheck;
#[doc(hidden)]
pub use codec::{read_frame, write_frame};
pub use config::{DEFAULT_SWARM, Rate, SwarmConfig, SwarmLimits, SwarmOptions};
pub use content::{
    Added, BlockSource, Collected, ContentError, DagLimits, Entry, EntryKind, EntryTarget,
    Imported, NewEntry, Pin, check_name, raw_cid,
};
pub use error::SwarmError;
pub use handle::{Published, Swarm};
pub use inbound::{GossipMessage, Inbound, InboundRequest, PeerEvent, Reply, Verdict};
pub use names::Resolver;
pub use peers::PeerInfo;
pub use reach::{Reach, ReachInfo, Reachability, RelayLimits};
pub use start::{LOG_FILTER, start, start_with};
pub use stats::{PRESENT, SwarmStats};
pub use whereabouts::Whereabouts;
