//! The ethics gate as its users meet it: a labelled corpus, tool calls, secrets, configuration.

mod corpus;
mod gate;
