//! How a node that was away, or that gossip failed, catches up on coordination messages.
//!
//! Every node keeps a bounded log of the signed messages that matter. The log is ordered by author and
//! then by [`Stamp`] (timestamp, then content), so two nodes find what one of them lacks by comparing
//! fingerprints of ranges: first of all that each author said, then of ever smaller parts where they
//! differ. Only what is missing is transferred. A node asks for itself; it is never sent anything it
//! did not ask for. Sans-IO: no clock, no socket, no disk.
//!
//! - [`index`]: what is in the log, its quotas, and what has to go for the sake of others;
//! - [`wire`]: the requests and responses;
//! - [`answer`]: the side that is asked; it keeps nothing between requests;
//! - [`session`]: the side that asks: one session with one peer, until nothing is missing.
//!
//! The log itself, the bytes, is the caller's: [`index::Index`] says what to put in and what to take
//! out. A message that arrives is for the caller to judge before [`index::Index::insert`].

pub mod answer;
pub mod index;
pub mod session;
pub mod wire;

pub use answer::answer;
pub use index::{Fingerprint, Id, Index, Key, Limits, Outcome, Stamp, stamp};
pub use session::{Fault, Session};
pub use wire::{Request, Response};
