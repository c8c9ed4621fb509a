//! The tool gateway.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `tool` of `POST /register_tool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolDefinition {
    /// Unique name.
    pub name: String,
    /// What it does, in words a planner can match.
    #[serde(default)]
    pub description: String,
    /// `http(s)://…` or `wasm:///path/plugin.wasm`.
    #[serde(default)]
    pub plugin_url: String,
    /// Path below the URL, or the export's name.
    #[serde(default)]
    pub endpoint: String,
    /// JSON Schema of its parameters.
    #[serde(default)]
    pub parameters: Value,
    /// It changes nothing, so it may be tried and retried.
    #[serde(default)]
    pub read_only: bool,
    /// Calling it twice is as calling it once.
    #[serde(default)]
    pub idempotent: bool,
}

/// `POST /register_tool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RegisterTool {
    /// The only twin that may use it; every twin without one.
    #[serde(default)]
    pub twin_id: Option<String>,
    /// The tool.
    pub tool: ToolDefinition,
}

/// A tool as the gateway lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tool {
    /// The tool.
    #[serde(flatten)]
    pub definition: ToolDefinition,
    /// `native`, `registered` or `plugin:NAME@VERSION`.
    pub source: String,
    /// The twin it was registered for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin_id: Option<String>,
    /// Whether the twin that was asked about may call it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
}

/// `POST /tools/{twin_id}/allow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AllowTool {
    /// The tool.
    pub name: String,
    /// Whether the twin may call it.
    pub allowed: bool,
}

/// `POST /execute/{tool_name}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExecuteTool {
    /// The calling twin; the node's user without one.
    #[serde(default)]
    pub twin_id: Option<String>,
    /// The parameters.
    #[serde(default)]
    pub parameters: Value,
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolResult {
    /// The tool.
    pub tool: String,
    /// `ok`; failures are problem documents.
    pub status: String,
    /// What the tool returned.
    pub result: Value,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// `POST /plugins`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InstallPlugin {
    /// The plugin's folder on the node's machine, absolute. It is copied.
    pub path: String,
}

/// A plugin found by scanning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plugin {
    /// Its name, or its folder's where the manifest cannot be read.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Its tools.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Its folder.
    pub path: String,
    /// Whether it was installed with `POST /plugins`, and so can be removed.
    #[serde(default)]
    pub installed: bool,
    /// Why it was not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
