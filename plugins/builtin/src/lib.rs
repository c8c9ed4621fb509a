//! First-party tools that are part of every node.
//!
//! | tool | parameters | answer |
//! |---|---|---|
//! | `system_monitor` | `{include?: ["cpu"\|"memory"\|"disk"\|"load"\|"processes"]}` | figures of this machine |
//! | `calculator` | `{expression: string}` | `{expression, result}` |
//!
//! Both only read, so they need no grant.

mod calculator;
mod expression;
mod system_monitor;

pub use calculator::Calculator;
pub use expression::{ExpressionError, evaluate};
pub use system_monitor::SystemMonitor;

use pagi_plugin_host::{Annotations, NativeTool, ToolError, ToolHost};
use std::sync::Arc;

/// Every tool of this crate.
#[must_use]
pub fn all() -> Vec<Arc<dyn NativeTool>> {
    vec![Arc::new(SystemMonitor), Arc::new(Calculator)]
}

/// Registers every tool of this crate.
///
/// # Errors
/// As [`ToolHost::register_native`], when a name is taken.
pub fn register_all(host: &ToolHost) -> Result<(), ToolError> {
    all()
        .into_iter()
        .try_for_each(|tool| host.register_native(tool))
}

/// The tools here look at this machine and change nothing.
const HARMLESS: Annotations = Annotations {
    read_only: true,
    idempotent: true,
    open_world: false,
};
