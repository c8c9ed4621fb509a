//! Several logs that sync over a bad network, deterministically.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests live outside #[test] functions"
)]

mod cases;
mod world;
