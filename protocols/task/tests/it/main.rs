//! Task work under simulation, by scenario and under hostile input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "test helpers outside #[test] functions may panic: that is how a test fails"
)]

mod invariants;
mod scenarios;
mod sim;
mod units;
