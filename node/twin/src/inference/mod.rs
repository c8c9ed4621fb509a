//! The inference gateway: which engine thinks, and what it does when that engine is away.
//!
//! Without configuration the embedded [planner](crate::planner) thinks. With a model configured
//! (`PAGI_LLM_URL`, `PAGI_LLM_MODEL`, `PAGI_LLM_API_KEY`) every goal goes to it, over the
//! OpenAI-compatible chat completions API; the planner steps in only where the user allowed it.

mod openai;

use std::time::Duration;

pub use openai::{ChatModel, ModelError, Turn, WantedCall, chat_base};
use zeroize::Zeroizing;

/// How a model is reached.
#[derive(Clone)]
pub struct ModelConfig {
    /// `http://127.0.0.1:11434/v1`, with or without `/v1` and `/chat/completions`.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Sent as a bearer token where set.
    pub api_key: Option<Zeroizing<String>>,
    /// Time for one answer, first byte to last.
    pub timeout: Duration,
    /// At most so many turns with tool calls for one goal.
    pub max_turns: u32,
    /// Let the planner step in while the model is away.
    pub fall_back_to_planner: bool,
}

/// The engine goals go to.
#[derive(Clone)]
pub enum Engine {
    /// The embedded planner.
    Planner,
    /// A language model.
    Model(Box<ChatModel>),
}

impl Engine {
    /// `planner`, or the model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Planner => "planner",
            Self::Model(model) => model.name(),
        }
    }
}
