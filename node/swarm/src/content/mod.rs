//! Content beyond single blocks: files, folders, pins of whole DAGs, CAR files, garbage.
//!
//! | file | holds |
//! |---|---|
//! | `wire.rs`, `dagpb.rs`, `unixfs.rs`, `car.rs` | the formats (pure) |
//! | `build.rs`, `hamt.rs` | files and folders as blocks (pure) |
//! | `walk.rs`, `read.rs` | blocks as files and folders, within bounds |
//! | `writer.rs` | many blocks to disk at once |
//! | `add.rs`, `transfer.rs`, `pins.rs`, `gc.rs` | what the handle offers |

mod add;
mod build;
mod car;
mod dagpb;
mod error;
pub(crate) mod gc;
mod hamt;
pub(crate) mod pins;
mod read;
mod transfer;
mod unixfs;
mod walk;
pub(crate) mod wire;
pub(crate) mod writer;

use std::sync::Mutex;

use tokio::sync::RwLock;

pub use self::add::{Added, EntryTarget, NewEntry};
pub use self::error::ContentError;
pub use self::gc::Collected;
pub use self::pins::Pin;
pub use self::read::{Entry, EntryKind};
pub use self::transfer::Imported;
pub use self::walk::{BlockSource, DagLimits};

/// Whether a name is one step of a path and nothing else, so that a file of that name stays in the
/// folder it is put into.
///
/// # Errors
/// What is wrong with the name, to be read after it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    build::check_name(name)
}

/// The CID of a block of bytes without structure: version 1, SHA-256.
#[must_use]
pub fn raw_cid(data: &[u8]) -> cid::Cid {
    dagpb::cid_of(dagpb::RAW, data)
}

/// What the handle keeps for content.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Held for reading while something is added or pinned, for writing while garbage is collected.
    pub(crate) gate: RwLock<()>,
    /// What was stored or fetched lately.
    pub(crate) fresh: Mutex<gc::Fresh>,
}
