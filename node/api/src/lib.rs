//! The control API of a node: request and response shapes, errors as RFC 9457 problem details, and
//! the [`Node`] trait behind them.
//!
//! The REST router, the command line and the node itself share these types, so that none of them
//! has to know another.

pub mod content;
mod error;
pub mod goal;
pub mod membership;
pub mod messages;
mod node;
pub mod swarm;
pub mod tools;
pub mod twins;
pub mod work;

pub use error::{ApiError, Problem, Violation};
pub use node::{EventFilter, EventStream, LoggedEvent, Node, PublishEvent, PublishedEvent};
