//! Real nodes on loopback, in one process (one test kills a process of its own).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests live outside #[test] functions"
)]

mod attacker;
mod blocks;
mod content;
mod discovery;
mod durability;
mod gate;
mod gossip;
mod hostile;
mod limits;
mod names;
mod public;
mod reach;
mod requests;
mod support;
mod topics;
