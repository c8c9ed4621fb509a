//! What a mind can fail with.

use pagi_messages::{DidError, content::ContentError};
use pagi_store::StoreError;

use crate::{actuator::ActError, identity::KeyError};

/// A failure of the twin stack.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// There is no such twin.
    #[error("there is no twin `{0}`")]
    UnknownTwin(String),
    /// A request is well formed but asks for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A DID is wrong.
    #[error(transparent)]
    Did(#[from] DidError),
    /// A value could not be encoded.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The ethics configuration cannot be used.
    #[error("the ethics rules cannot be used: {0}")]
    Ethics(#[from] pagi_policy::PolicyError),
    /// A message cannot be written.
    #[error("the message cannot be written: {0}")]
    Message(#[from] pagi_didcomm::DidcommError),
    /// The ethics gate refused a message; the text says why.
    #[error("the message is refused: {0}")]
    Refused(String),
    /// The ethics gate refused a tool call, a question or an answer; the text says why.
    #[error("{0}")]
    Unethical(String),
    /// The other side does not take a message, and trying again would not help.
    #[error("the message is not taken: {0}")]
    NotTaken(String),
    /// An order to stop is in force; the text says whose and why.
    #[error("{0}")]
    Stopped(String),
    /// An order is not obeyed.
    #[error("the order is not obeyed: {0}")]
    Order(#[from] pagi_messages::OrderRefused),
    /// An act failed or is not allowed.
    #[error(transparent)]
    Act(#[from] ActError),
}
