//! The collective: what turns a node's lesson into every node's playbook.
//!
//! `artifact -> CID -> gossip -> MO -> playbook`: a twin hands its signed artifact to
//! [`Hive::publish`], which stores, pins and announces it; the node that holds the MO role fetches,
//! validates and merges it into a signed revision ([`library`]); every node fetches the revision
//! with its certificate and artifacts, checks the whole ([`bundle`]) and adopts it atomically.
//!
//! Which histories are believed is decided in [`belief`], what may be merged in [`gates`], and what is
//! fetched when, and for whom, in [`intake`].
//!
//! Who is MO is decided by `pagi-election`, driven in [`election`]; who is alive by
//! [`live_view`] and, for newcomers, by [`roll`]; which gossip is let through by [`inbox`]. What the hive needs of the network it
//! names in [`ports`], so that it builds and tests without libp2p.

pub mod belief;
pub mod bundle;
pub mod catchup;
pub mod election;
mod error;
pub mod gates;
mod greeting;
mod hive;
pub mod inbox;
pub mod intake;
pub mod library;
pub mod live_view;
mod outbox;
pub mod ports;
pub mod roll;

pub use error::HiveError;
pub use hive::{Hive, HiveConfig};
pub use inbox::Judgement;
pub use library::Review;
pub use pagi_election::Config as ElectionConfig;
