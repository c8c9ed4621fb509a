//! Twins, their memory, their emotions and their acts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /twins`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreateTwin {
    /// The first state; `status` is `active` unless given, any further key is kept.
    #[serde(default)]
    pub initial_state: Value,
}

/// A twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Twin {
    /// Its id, a UUID.
    pub twin_id: String,
    /// Its state.
    pub state: Value,
    /// Its DID.
    pub did: String,
    /// Its DID document; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_document: Option<Value>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When its state last changed (RFC 3339).
    pub updated_at: String,
    /// Why it does nothing now, where a stop is in force for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// `GET /twins/{id}/did`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TwinDid {
    /// The twin.
    pub twin_id: String,
    /// Its DID.
    pub did: String,
    /// Its DID document (W3C DID Core 1.0).
    pub did_document: Value,
}

/// `POST /memory/{twin_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AppendMemory {
    /// `user`, `assistant` or `system`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// One working-memory entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Memory {
    /// Position in the twin's memory, rising from 1.
    pub seq: u64,
    /// Unique id.
    pub id: String,
    /// The twin.
    pub twin_id: String,
    /// `user`, `assistant` or `system`.
    pub role: String,
    /// The text.
    pub content: String,
    /// When (RFC 3339).
    pub ts: String,
    /// How well it fits a search, higher is better; only in search results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// `GET|POST /emotion/{twin_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Emotion {
    /// A word for the state: `calm`, `content`, `excited`, `tense`, `low`, or one the user set.
    pub mood: String,
    /// 0 (asleep) to 1 (agitated).
    pub activation_level: f64,
    /// -1 (bad) to 1 (good).
    #[serde(default)]
    pub valence: f64,
    /// When it last moved (RFC 3339).
    #[serde(default)]
    pub updated_at: String,
}

/// `POST /emotion/{twin_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SetEmotion {
    /// A word for the state.
    pub mood: String,
    /// 0 to 1.
    pub activation_level: f64,
}

/// `POST /act`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ActRequest {
    /// The acting twin.
    pub twin_id: String,
    /// `notify`, `write_file` or `call_tool`.
    pub action: String,
    /// `notify {title, body}`, `write_file {path, content}`, `call_tool {name, parameters}`.
    #[serde(default)]
    pub parameters: Value,
}

/// What an act did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ActOutcome {
    /// The action.
    pub action: String,
    /// `done`.
    pub status: String,
    /// What happened, shape by action.
    pub result: Value,
}
