//! Work for the swarm and from it: the driver around the task machine of `pagi-task`.
//!
//! [`open`] gives a handle, [`Work`], and the [`Driver`], the one owner of the machine. The driver
//! checks what arrives, hands it to the machine with the time, and carries the machine's answers
//! out in their order: what is to persist is in the store before anything later is done. It sends
//! through [`ports::Wire`] and runs other nodes' goals through [`ports::Bench`].
//!
//! | file | holds |
//! |---|---|
//! | `door.rs` | which messages are let in: size, signature, author, age (pure) |
//! | `driver.rs` | the loop, and what each output of the machine means |
//! | `handle.rs` | the handle and its commands |
//! | `news.rs` | what those see who watch a task |
//! | `view.rs`, `audit.rs` | records as the control API and the audit log show them (pure) |
//!
//! A broadcast travels by gossip, for everyone to see; it names keywords and needs, never the goal.
//! Everything else goes to one node alone, on the encrypted link to it.

mod audit;
pub mod door;
mod driver;
mod handle;
mod news;
pub mod ports;
pub mod view;

pub use driver::{Driver, Parts, open};
pub use handle::{Work, WorkError};

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
        .unwrap_or(0)
}
