//! The store through its public interface, on real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers outside #[test] functions fail their test by panicking"
)]

mod atomicity;
mod crash;
mod event_log;
mod messages;
mod model;
mod opening;
mod records;
mod samples;
mod swarms;
mod tasks;
