//! The mind of a node: everything between a goal and the lesson the swarm learns from it.
//!
//! Start reading at [`executive`]. What the mind needs from the rest of the node it names as small
//! traits in [`ports`]; neither libp2p nor wasm is in its dependency tree.

mod about;
mod acts;
pub mod actuator;
pub mod context;
mod conversation;
pub mod emotion;
mod error;
pub mod executive;
mod guest;
mod halt;
pub mod identity;
pub mod inference;
mod judging;
pub mod lexical;
pub mod memory;
pub mod messaging;
mod mind;
pub mod planner;
pub mod ports;
pub mod private;
pub mod reflection;
mod speech;
mod thinking;
mod trace;
pub mod twins;

pub use error::TwinError;
pub use guest::Guest;
pub use mind::{Mind, MindConfig, event_now, now_ms, now_text};
pub use thinking::InferError;
