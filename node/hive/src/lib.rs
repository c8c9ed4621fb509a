//! The collective: what turns a node's lesson into every node's playbook.
//!
//! `artifact -> CID -> gossip -> MO -> playbook`: a twin hands its signed artifact to
//! [`Hive::publish`], which stores, pins and announces it; the node that holds the MO role fetches,
//! validates and merges it into a signed revision ([`library`]); every node fetches the revision
//! with its certificate and artifacts, checks the whole ([`bundle`]) and adopts it atomically.
//!
//! Who is MO is decided by `pagi-election`, driven in [`election`]; who is alive by
//! [`live_view`] and, for newcomers, by [`roll`]; which gossip is let through by [`inbox`]. What the hive needs of the network it
//! names in [`ports`], so that it builds and tests without libp2p.

pub mod bundle;
pub mod election;
mod error;
mod hive;
pub mod inbox;
pub mod library;
pub mod live_view;
pub mod ports;
pub mod roll;

pub use error::HiveError;
pub use hive::{Hive, HiveConfig};
pub use inbox::Judgement;
pub use pagi_election::Config as ElectionConfig;
