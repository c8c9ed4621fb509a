//! The ethics gate for what reaches tools and models outside a goal: calls by the node's user, acts,
//! inference by itself.

use pagi_messages::EventType;
use pagi_policy::{EthicsGate, Refusal, Subject, Verdict};
use pagi_store::{AuditRecord, Batch};
use serde_json::{Value, json};

use crate::{
    error::TwinError,
    mind::{Mind, event_now, now_text},
};

/// Tools that are given whole playbooks, and the parameter that holds one.
const TAKE_PLAYBOOKS: [&str; 2] = ["hive_push", "swarm_sync_push_artifact"];
const PLAYBOOK: &str = "updated_playbook";

/// What `tool` is given without the playbook document in it, and each value of that document but its
/// `[ethics]`; `None` where there is no such document.
fn take_playbook(tool: &str, parameters: &Value) -> Option<(Value, Vec<Value>)> {
    if !TAKE_PLAYBOOKS.contains(&tool) {
        return None;
    }
    let mut rest = parameters.clone();
    // The prototype wrapped what it pushed.
    let fields = match rest.get("artifact") {
        Some(Value::Object(_)) => rest.get_mut("artifact")?,
        _ => &mut rest,
    };
    let text = fields.get(PLAYBOOK)?.as_str()?;
    let mut document = pagi_playbook::parse_toml(text).ok()?;
    fields.as_object_mut()?.remove(PLAYBOOK);
    if let Some(document) = document.as_object_mut() {
        document.remove("ethics");
    }
    let mut values = Vec::new();
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(entries) => {
                for (key, entry) in entries {
                    values.push(Value::String(key));
                    open.push(entry);
                }
            }
            Value::String(_) => values.push(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Some((rest, values))
}

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
        let gate = self.gate(&self.inner.collective.playbook())?;
        let verdict = self.judge_parameters(&gate, tool, parameters);
        self.settle(twin_id, verdict).await
    }

    /// Judges a goal that others are to reach, as `twin_id` or as the node's user.
    ///
    /// # Errors
    /// [`TwinError::Unethical`] where the gate refuses it; that is logged and audited.
    pub async fn judge_goal(&self, twin_id: Option<&str>, goal: &str) -> Result<(), TwinError> {
        self.judge_alone(twin_id, Subject::Goal(goal)).await
    }

    /// Judges what a tool would be given. A whole playbook is read value by value, without its
    /// `[ethics]`: that quotes what it forbids, and no revision takes it from a document.
    pub(crate) fn judge_parameters(
        &self,
        gate: &EthicsGate,
        tool: &str,
        parameters: &Value,
    ) -> Verdict {
        let leaves_node = self.inner.tools.leaves_node(tool);
        let judge = |parameters: &Value| {
            gate.judge(Subject::ToolCall {
                tool,
                parameters,
                leaves_node,
            })
        };
        let Some((rest, values)) = take_playbook(tool, parameters) else {
            return judge(parameters);
        };
        std::iter::once(rest)
            .chain(values)
            .map(|part| judge(&part))
            .find(|verdict| !verdict.is_allowed())
            .unwrap_or(Verdict::Allowed)
    }

    /// Judges anything outside a goal.
    pub(crate) async fn judge_alone(
        &self,
        twin_id: Option<&str>,
        subject: Subject<'_>,
    ) -> Result<(), TwinError> {
        let gate = self.gate(&self.inner.collective.playbook())?;
        self.settle(twin_id, gate.judge(subject)).await
    }

    /// Logs and audits what was refused.
    async fn settle(&self, twin_id: Option<&str>, verdict: Verdict) -> Result<(), TwinError> {
        match verdict {
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
