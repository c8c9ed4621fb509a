//! Calls of tools by the node's user.

use std::time::Instant;

use pagi_api::{
    ApiError,
    tools::{ExecuteTool, ToolResult},
};
use pagi_messages::EventType;
use pagi_store::AuditRecord;
use pagi_twin::{event_now, now_text, private::shown};
use serde_json::json;

use super::PagiNode;
use crate::wiring::{
    gateway::api_error,
    views::{store_error, twin_error},
};

impl PagiNode {
    pub(super) async fn call(
        &self,
        name: &str,
        request: ExecuteTool,
    ) -> Result<ToolResult, ApiError> {
        let did = match &request.twin_id {
            Some(twin_id) => Some(self.mind.twin(twin_id).map_err(twin_error)?.did),
            None => None,
        };
        if let Some(why) = self.mind.stopped(did.as_deref()) {
            return Err(ApiError::Forbidden(why));
        }
        let start = Instant::now();
        // The twin whose key signs may be named in the parameters alone, as the prototype did.
        let twin_id = request.twin_id.as_deref();
        self.mind
            .judge_call(twin_id, name, &request.parameters)
            .await
            .map_err(twin_error)?;
        let result = self
            .gateway
            .execute(name, twin_id, request.parameters.clone())
            .await;
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (verdict, action) = match &result {
            Ok(_) => ("ok", "tool_call"),
            Err(pagi_plugin_host::ToolError::Denied { .. }) => ("refused", "tool_denied"),
            Err(_) => ("failed", "tool_call"),
        };
        // A call of a tool that does not exist, or with parameters that do not fit, changes nothing
        // and is no call.
        let ran = !matches!(
            &result,
            Err(pagi_plugin_host::ToolError::Unknown { .. }
                | pagi_plugin_host::ToolError::InvalidParameters { .. })
        );
        if ran {
            let error = result.as_ref().err().map(ToString::to_string);
            let mut event = event_now(
                EventType::ToolExecuted,
                "gateway",
                json!({"tool": name, "parameters": shown(name, &request.parameters),
                       "status": verdict, "error": error,
                       "result": result.as_ref().ok().map(|result| shown(name, result)),
                       "duration_ms": duration_ms}),
            )
            .about(name);
            event.twin_id = request.twin_id.clone();
            let audit = AuditRecord::new(
                now_text(),
                request.twin_id.as_deref().unwrap_or("user"),
                action,
                verdict,
            )
            .about(name)
            .with_detail(json!({"parameters": shown(name, &request.parameters), "error": error}));
            let batch = pagi_store::Batch::new().event(event).audit(audit);
            self.store.write(batch).await.map_err(store_error)?;
        }
        Ok(ToolResult {
            tool: name.to_owned(),
            status: "ok".into(),
            result: result.map_err(api_error)?,
            duration_ms,
        })
    }
}
