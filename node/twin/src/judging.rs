//! The ethics gate for what reaches tools and models outside a goal: calls by the node's user, acts,
//! inference by itself.

use pagi_messages::EventType;
use pagi_policy::{Refusal, Subject, Verdict};
use pagi_store::{AuditRecord, Batch};
use serde_json::{Value, json};

use crate::{
    error::TwinError,
    mind::{Mind, event_now, now_text},
};

impl Mind {
    /// Judges a tool call that is about to be made outside a goal, as `twin_id` or as the node's user.
    ///
    /// # Errors
    /// [`TwinError::Unethical`] where the gate refuses it; that is logged and audited.
    pub async fn judge_call(
        &self,
        twin_id: Option<&str>,
        tool: &str,
        parameters: &Value,
    ) -> Result<(), TwinError> {
        let leaves_node = self.inner.tools.leaves_node(tool);
        self.judge_alone(
            twin_id,
            Subject::ToolCall {
                tool,
                parameters,
                leaves_node,
            },
        )
        .await
    }

    /// Judges anything outside a goal.
    pub(crate) async fn judge_alone(
        &self,
        twin_id: Option<&str>,
        subject: Subject<'_>,
    ) -> Result<(), TwinError> {
        let playbook = self.inner.collective.playbook();
        match self.gate(&playbook)?.judge(subject) {
            Verdict::Allowed => Ok(()),
            Verdict::Refused(refusal) => {
                self.log_refusal(twin_id, &refusal).await?;
                let Refusal {
                    response,
                    explanation,
                    ..
                } = refusal;
                Err(TwinError::Unethical(format!(
                    "{response} Reason: {explanation}"
                )))
            }
        }
    }

    /// Logs and audits a refusal.
    pub(crate) async fn log_refusal(
        &self,
        twin_id: Option<&str>,
        refusal: &Refusal,
    ) -> Result<(), TwinError> {
        let detail = json!({"stage": refusal.stage.as_str(), "rule": refusal.rule,
            "category": refusal.category, "explanation": refusal.explanation});
        let mut event = event_now(EventType::EthicsRefused, "ethics", detail.clone())
            .about(refusal.stage.as_str());
        event.twin_id = twin_id.map(str::to_owned);
        let actor = twin_id.unwrap_or("user");
        let audit = AuditRecord::new(now_text(), actor, "ethics_refused", "refused")
            .about(refusal.stage.as_str())
            .with_detail(detail);
        self.store()
            .write(Batch::new().event(event).audit(audit))
            .await?;
        Ok(())
    }
}
