//! The election under simulation, under attack and under random input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "test helpers outside #[test] functions may panic: that is how a test fails"
)]

mod fuzz;
mod hostile;
mod invariants;
mod scenarios;
mod sim;
