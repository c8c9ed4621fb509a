//! What a node remembers: one redb file behind narrow typed stores, and the event log.
//!
//! Acknowledged means durable. Every write goes through [`Store::write`] (the single methods are
//! sugar over it) to one writer thread, which gathers what is queued into one transaction, commits
//! it with an fsync, and only then answers. A write that fails is rolled back whole and takes none
//! of its neighbours with it. Reads are synchronous snapshots: they never wait for the writer.
//!
//! - [`model`]: the records;
//! - [`messages`]: private messages, received and under way, and the memory that refuses replays;
//! - [`tasks`]: work asked of the swarm, and work done for it;
//! - [`batch`]: several writes as one atomic transaction;
//! - [`store`]: the handle, opening and closing, and the write methods; `read` has the reads;
//! - `swarms`: what is kept for each swarm, and the change from one to another;
//! - [`tail`]: the event log as an endless, gapless stream;
//! - `file`, `tables`, `record`: the file and its lock, the tables and their schema version, and
//!   the versioned form of a record;
//! - `writer`, `apply`: the writer thread and what it does to the tables.

mod apply;
pub mod batch;
pub mod error;
mod file;
pub mod messages;
pub mod model;
mod read;
mod record;
pub mod store;
mod swarms;
mod tables;
pub mod tail;
pub mod tasks;
mod writer;

#[cfg(test)]
mod power_loss;

pub use batch::{Batch, BatchOutcome};
pub use error::StoreError;
pub use messages::{InboxMessage, OutboxMessage};
pub use model::{
    ArtifactRecord, AuditRecord, EmotionRecord, EventFilter, LoggedEvent, MemoryEntry, Role,
    StoreLimits, ToolRecord, TwinRecord,
};
pub use record::MAX_RECORD_BYTES;
pub use store::Store;
pub use tables::SCHEMA_VERSION;
pub use tail::EventTail;
