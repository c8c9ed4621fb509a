//! Acts of twins: allowed or not, done, audited.

use pagi_api::twins::{ActOutcome, ActRequest};
use pagi_messages::EventType;
use pagi_store::{AuditRecord, Batch};
use serde_json::{Value, json};

use crate::{
    actuator::{self, ActError},
    error::TwinError,
    mind::{Mind, event_now, now_text},
};

impl Mind {
    /// Acts. The act is audited whether it is done, refused or fails.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Act`].
    pub async fn act(&self, request: ActRequest) -> Result<ActOutcome, TwinError> {
        self.going(&self.require(&request.twin_id)?)?;
        let outcome = self.perform(&request).await;
        let verdict = match &outcome {
            Ok(_) => "done",
            Err(
                TwinError::Unethical(_)
                | TwinError::Act(ActError::NotAllowed(_) | ActError::Unknown(_)),
            ) => "refused",
            Err(_) => "failed",
        };
        let audit = AuditRecord::new(now_text(), &request.twin_id, "actuator", verdict)
            .about(&request.action)
            .with_detail(match &outcome {
                Ok(result) => result.clone(),
                Err(error) => json!({"error": error.to_string()}),
            });
        let event = event_now(
            EventType::ActionRequested,
            "actuator",
            json!({"action": request.action, "verdict": verdict}),
        )
        .about_twin(&request.twin_id)
        .about(&request.action);
        self.store()
            .write(Batch::new().audit(audit).event(event))
            .await?;
        Ok(ActOutcome {
            action: request.action,
            status: "done".into(),
            result: outcome?,
        })
    }

    async fn perform(&self, request: &ActRequest) -> Result<Value, TwinError> {
        let action = request.action.as_str();
        if !["notify", "write_file", "call_tool"].contains(&action) {
            return Err(ActError::Unknown(action.chars().take(64).collect()).into());
        }
        if !self.inner.config.allowed_acts.contains(action) {
            return Err(ActError::NotAllowed(action.to_owned()).into());
        }
        let parameters = request.parameters.clone();
        match action {
            "call_tool" => {
                let name = parameters
                    .get("name")
                    .and_then(Value::as_str)
                    .ok_or_else(|| {
                        ActError::Parameters("call_tool takes {name, parameters}".to_owned())
                    })?;
                let arguments = parameters
                    .get("parameters")
                    .cloned()
                    .unwrap_or_else(|| json!({}));
                self.judge_call(Some(&request.twin_id), name, &arguments)
                    .await?;
                self.inner
                    .tools
                    .call(&request.twin_id, name, arguments)
                    .await
                    .map_err(|failure| ActError::Parameters(failure.to_string()).into())
            }
            _ => {
                let folder = self.inner.config.files.join(&request.twin_id).join("files");
                let notify = action == "notify";
                let done = tokio::task::spawn_blocking(move || {
                    if notify {
                        actuator::notify(&parameters)
                    } else {
                        actuator::write_file(&folder, &parameters)
                    }
                })
                .await;
                match done {
                    Ok(done) => Ok(done?),
                    Err(error) => {
                        Err(ActError::Parameters(format!("the act ended: {error}")).into())
                    }
                }
            }
        }
    }
}
