//! Work that one node offers to the swarm and another does, decided without a socket, clock or disk.
//!
//! A [`Machine`] takes [`Input`]s with the time and answers with ordered [`Output`]s; the driver
//! around it signs, sends, stores, runs the work and wakes it up. Every node's machine plays both
//! roles. The protocol in short:
//!
//! 1. **Broadcast.** The asker tells everyone a task's keywords and needs, never its goal, and
//!    repeats that until it has offers.
//! 2. **Offer.** Nodes that have what it needs and are not busy offer themselves, to the asker alone.
//! 3. **Assign.** After a window the asker picks one offer ([`choice`]), counts the attempt up, stores
//!    it, and sends the goal to that worker alone.
//! 4. **Progress.** The worker's word renews its lease. A worker that is silent for a lease, declines
//!    or fails is replaced under a higher attempt number.
//! 5. **Result.** The worker stores its result and repeats it until the asker acknowledges it, so an
//!    asker may be away meanwhile. The asker stores what it accepts before it acknowledges.
//!
//! # What holds
//! - At most one result of a task is accepted, and it is of the latest attempt.
//! - A worker believes its result accepted only by the asker's word for its very attempt, so never do
//!   two nodes both count a task as theirs.
//! - A task ends, done or failed, by its deadline and the grace after it; where the asker was down
//!   then, by the grace after its start, in which it asks its worker once more.
//! - Work may be *begun* more than once: by a replaced worker that did not hear of it, or again after
//!   a crash. What must not be done twice does not belong in a task.
//!
//! # Who signs
//! Every message is signed by a node. The twins it names are those for which the nodes act; a twin's
//! name in a message is its node's word.
//!
//! # Known limits
//! - Capability, load and the result itself are the worker's word. Reputation, which the driver
//!   reports, only decides between equal offers.
//! - Every able node answers a broadcast; an asker keeps the best-ranked of them up to a bound.

pub mod choice;
mod clock;
mod config;
mod io;
mod machine;
mod message;
mod record;
mod task;

pub use config::Config;
pub use io::{AbortReason, FailReason, Input, LocalCapabilities, Output, Recipient, Refusal};
pub use machine::Machine;
pub use message::{TaskMessage, Verdict};
pub use record::{AskedRecord, Change, Durable, Phase, WorkState, WorkedRecord, Worker};
pub use task::{
    MAX_GOAL_BYTES, MAX_ID_CHARS, MAX_NOTE_BYTES, MAX_OUTPUT_BYTES, MAX_SUMMARY_BYTES,
    MAX_WORD_BYTES, MAX_WORDS, Outcome, TaskId, TaskIdError, TaskKey, TaskSpec,
};
