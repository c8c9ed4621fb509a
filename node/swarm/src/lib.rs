//! The network of a pagi node behind one cloneable handle, [`Swarm`].
//!
//! What runs underneath: rust-ipfs owns the libp2p swarm, the block store and bitswap; our own
//! behaviour (`behaviour.rs`) adds gossipsub with manual validation and peer scoring,
//! request/response, Kademlia, identify, ping and optional mDNS, all under protocol names that
//! carry the swarm's name. No type of either library appears in this crate's public API: peers and
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
//! | `config.rs`, `error.rs`, `stats.rs` | what goes in, what can go wrong, what is counted |
//! | `start.rs` | building the node and bringing up its listeners |
//! | `handle.rs`, `blocks.rs` | the [`Swarm`] handle: network calls, content calls |
//! | `inbound.rs` | what the network delivers: gossip, requests, peer events |
//! | `behaviour.rs`, `commands.rs`, `events.rs` | the libp2p behaviour and its reactions |
//! | `dialer.rs`, `pace.rs` | whom to dial when; how fast to publish (both pure) |
//! | `peers.rs`, `scoring.rs`, `protocol.rs`, `codec.rs` | connected peers, score weights, protocol names, framing |

mod behaviour;
mod blocks;
mod codec;
mod commands;
mod config;
mod dialer;
mod error;
mod events;
mod handle;
mod inbound;
mod pace;
mod peers;
mod protocol;
mod scoring;
mod start;
mod stats;

pub use blocks::StoreCheck;
pub use config::{DEFAULT_SWARM, SwarmConfig, SwarmLimits};
pub use error::SwarmError;
pub use handle::{Published, Swarm};
pub use inbound::{GossipMessage, Inbound, InboundRequest, PeerEvent, Reply, Verdict};
pub use peers::PeerInfo;
pub use start::{LOG_FILTER, start};
pub use stats::SwarmStats;
