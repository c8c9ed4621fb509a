//! Fuzz targets for everything that decodes bytes from the network, and the engine that drives them.
//!
//! Each [`Target`] is one decoder: messages made by the crates' own encoders to start from, and a
//! check that must hold for any bytes. A check does more than survive: what was accepted must come
//! back from an encoder as it was, limits must hold, and what a decoder calls verified must verify.
//!
//! - `targets/*.rs`: the targets, by room;
//! - [`engine`]: picks an input, bends it, checks it, keeps it where it reached something new;
//! - [`mutate`]: how inputs are bent, as bytes, as JSON and as DAG-CBOR;
//! - [`memory`]: counts what a check allocates, for the bound on it.
//!
//! `scripts/fuzz.sh` builds the program `fuzz` with coverage counters in all crates of the workspace,
//! by flags of the stable compiler; `cargo test -p pagi-fuzz` runs every target for a moment without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a check that does not hold panics: that is the finding"
)]

pub mod engine;
pub mod memory;
pub mod mutate;
pub mod targets;

pub use engine::{Budget, Feedback, Finding, NoFeedback, Stats, once, run};
pub use targets::{TARGETS, Target};
