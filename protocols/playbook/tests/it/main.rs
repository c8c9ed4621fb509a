//! The playbook's promises, with real signatures and real blocks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod artifacts;
mod blocks;
mod canary;
mod history;
mod hostile;
mod many;
mod merge;
mod support;
