//! Other nodes' work in the audit log. Pure.

use pagi_messages::event::{from_unix_ms, rfc3339};
use pagi_store::AuditRecord;
use pagi_task::Output;
use serde_json::json;

/// What the audit log says of an output.
pub(crate) fn audit(output: &Output, now_ms: u64) -> Option<AuditRecord> {
    let now = || rfc3339(from_unix_ms(now_ms));
    match output {
        Output::Start {
            task,
            attempt,
            twin,
            asked_by,
            ..
        } => Some(
            AuditRecord::new(now(), task.asker.as_str(), "task_started", "allowed")
                .about(task.id.as_str())
                .with_detail(json!({"attempt": attempt, "twin": twin, "asked_by": asked_by})),
        ),
        Output::Settled {
            task,
            attempt,
            verdict,
        } => Some(
            AuditRecord::new(now(), task.asker.as_str(), "task_settled", verdict.as_str())
                .about(task.id.as_str())
                .with_detail(json!({"attempt": attempt})),
        ),
        _ => None,
    }
}
