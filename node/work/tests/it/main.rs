//! Several drivers over a network in memory, each with a real store and a bench that works when told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod drivers;
mod net;
