//! The ethics gate as its users meet it: a labelled corpus, tool calls, secrets, configuration.

// Helpers outside of `#[test]` functions fail a test by panicking, as tests do.
#![allow(clippy::unwrap_used)]

mod corpus;
mod gate;
mod unseen;
