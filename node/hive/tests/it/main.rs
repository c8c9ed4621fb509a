//! Hives in one process over a network in memory: real stores, real DAGs, real election machines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bus;
mod canary;
mod collective;
mod curation;
mod hostile;
mod roll;
mod safety;
mod stages;
