//! A mind over a real store and real keys, with tools and a playbook of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod goals;
mod guests;
mod hostile;
mod messages;
mod rig;
mod twins;
