//! The built-in tools as a node calls them: through a host, by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code"
)]

mod calculator;
mod system_monitor;

use pagi_plugin_host::{Caller, HostConfig, ToolError, ToolHost};
use serde_json::Value;

fn host() -> ToolHost {
    let host = ToolHost::new(HostConfig::default()).unwrap();
    pagi_builtin_tools::register_all(&host).unwrap();
    host
}

async fn call(tool: &str, parameters: Value) -> Result<Value, ToolError> {
    host().execute(tool, &Caller::default(), parameters).await
}
