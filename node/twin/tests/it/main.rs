//! A mind over a real store and real keys, with tools and a playbook of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod goals;
mod guests;
mod honesty;
mod hostile;
mod messages;
mod model_server;
mod rig;
mod twins;
