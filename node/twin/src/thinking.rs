//! Context, plan and inference by themselves, as the control API asks for them.

use pagi_api::goal::{BuildContext, BuiltContext, InferRequest, InferResponse, Plan, PlanRequest};
use pagi_messages::EventType;
use pagi_playbook::Playbook;
use pagi_policy::Subject;
use pagi_store::Role;
use serde_json::json;

use crate::{
    context::{self, Material},
    error::TwinError,
    guest::Guest,
    inference::Engine,
    lexical::{Bm25, term_set},
    mind::{Mind, event_now, known_cases},
    planner::{self, Knowledge, parts},
    twins::{SEARCHED_MEMORIES, check_goal, elapsed_ms},
};

/// Why `POST /infer` gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model is away.
    #[error(transparent)]
    Model(#[from] crate::inference::ModelError),
    /// Anything else.
    #[error(transparent)]
    Twin(#[from] TwinError),
}

impl Mind {
    /// Builds the context of a goal.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`].
    pub async fn build_context(
        &self,
        request: BuildContext,
        emotional: bool,
    ) -> Result<BuiltContext, TwinError> {
        self.context_for(request, emotional, None).await
    }

    /// As [`Mind::build_context`]; a `guest` sees neither memories nor mood.
    pub(crate) async fn context_for(
        &self,
        request: BuildContext,
        emotional: bool,
        guest: Option<&Guest>,
    ) -> Result<BuiltContext, TwinError> {
        self.require(&request.twin_id)?;
        check_goal(&request.goal)?;
        let built = self
            .assemble(&request.twin_id, &request.goal, emotional, guest)
            .await?;
        let event = event_now(
            EventType::ContextBuilt,
            "context",
            json!({"tokens": built.tokens, "sources": built.sources.len(), "emotional": emotional}),
        )
        .about_twin(&request.twin_id);
        self.store().append_event(event).await?;
        Ok(built)
    }

    pub(crate) async fn assemble(
        &self,
        twin_id: &str,
        goal: &str,
        emotional: bool,
        guest: Option<&Guest>,
    ) -> Result<BuiltContext, TwinError> {
        let adopted = self.inner.collective.playbook();
        let playbook = Playbook::from_document(adopted.state.settings()).unwrap_or_default();
        let mut tools = self.catalog(twin_id).await;
        let mut memories = match guest {
            None => self
                .store()
                .memories(twin_id, Some(SEARCHED_MEMORIES), true)?,
            Some(guest) => {
                tools.retain(|tool| guest.tools.contains(&tool.name));
                Vec::new()
            }
        };
        memories.reverse();
        // A running goal was remembered a moment ago: it is not what the twin knew before.
        let newest = memories.last();
        if newest.is_some_and(|entry| entry.role == Role::User && entry.content == goal) {
            memories.pop();
        }
        let emotion = self.emotion_record(twin_id)?;
        Ok(context::build(Material {
            twin_id,
            goal,
            playbook: &playbook,
            tools: &tools,
            memories,
            cases: &known_cases(&adopted),
            bullets: adopted
                .state
                .bullets()
                .map(|(bullet, _)| (bullet.id.clone(), bullet.text.clone()))
                .collect(),
            emotion: (emotional && guest.is_none()).then_some(&emotion),
        }))
    }

    /// What would help with a goal if the twin's user allowed it, and how that is done.
    pub(crate) async fn could(
        &self,
        twin_id: &str,
        goal: &str,
        knowledge: &Knowledge<'_>,
    ) -> Result<Option<String>, TwinError> {
        if parts::asks_to_forget(goal) || parts::is_not_to_be_kept(goal) {
            return Ok(None);
        }
        let tools = self.inner.tools.withheld(twin_id).await;
        let Some(tool) = planner::withheld(goal, knowledge, &tools) else {
            return Ok(None);
        };
        let of = match self.store().list_twins()?.as_slice() {
            [_] => String::new(),
            _ => format!(" --twin {twin_id}"),
        };
        Ok(Some(format!(
            "`{tool}` may do it, but this twin may not call it yet: `pagi tool allow {tool}{of}` \
             lets it"
        )))
    }

    /// Plans a goal without running it.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`].
    pub async fn plan(&self, request: PlanRequest) -> Result<Plan, TwinError> {
        check_goal(&request.goal)?;
        let twin_id = request.twin_id.as_deref();
        if let Some(twin_id) = twin_id {
            self.require(twin_id)?;
        }
        let adopted = self.inner.collective.playbook();
        let tools = self.catalog(twin_id.unwrap_or_default()).await;
        let has_memories = match twin_id {
            Some(twin_id) => self.store().memory_count(twin_id)? > 0,
            None => false,
        };
        let cases = known_cases(&adopted);
        let tally = |name: &str| {
            let tally = adopted.state.tally(&format!("tool:{name}"));
            (tally.helpful, tally.harmful)
        };
        let knowledge = Knowledge {
            tools: &tools,
            cases: &cases,
            tool_tally: &tally,
            has_memories,
        };
        let mut plan = planner::plan_whole(&request.goal, &knowledge);
        if let Some(twin_id) = twin_id.filter(|_| plan.steps.is_empty())
            && let Some(hint) = self.could(twin_id, &request.goal, &knowledge).await?
        {
            plan.missing = vec![hint];
        }
        let mut event = event_now(
            EventType::PlanCreated,
            "planner",
            json!({"steps": plan.steps.len(), "case": plan.case}),
        );
        event.twin_id = request.twin_id;
        self.store().append_event(event).await?;
        Ok(plan)
    }

    /// Asks the inference gateway.
    ///
    /// A model answers as it will. The planner, which writes no prose, answers with the parts of the
    /// context that fit the input best, and the calls it would make.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`]; [`InferError`] where the model is away.
    pub async fn infer(&self, request: InferRequest) -> Result<InferResponse, InferError> {
        self.require(&request.twin_id)?;
        check_goal(&request.input)?;
        let twin_id = Some(request.twin_id.as_str());
        self.judge_alone(twin_id, Subject::Goal(&request.input))
            .await?;
        let start = std::time::Instant::now();
        let event = event_now(
            EventType::InferenceRequested,
            "inference",
            json!({"model": self.engine().name(), "input_bytes": request.input.len()}),
        )
        .about_twin(&request.twin_id);
        self.store()
            .append_event(event)
            .await
            .map_err(TwinError::from)?;
        let (output, model, fallback) = match self.engine() {
            Engine::Planner => (self.extract(&request).await?, "planner".to_owned(), None),
            Engine::Model(model) => {
                let mut messages = Vec::new();
                if let Some(context) = request.context.as_deref().filter(|text| !text.is_empty()) {
                    messages.push(json!({"role": "system", "content": context}));
                }
                messages.push(json!({"role": "user", "content": request.input}));
                match model.turn(&messages, &[], &mut |_| {}).await {
                    Ok(turn) => (turn.text, model.name().to_owned(), None),
                    Err(error) if model.fall_back_to_planner => (
                        self.extract(&request).await?,
                        "planner".into(),
                        Some(error.to_string()),
                    ),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        self.judge_alone(twin_id, Subject::Output(&output)).await?;
        let duration_ms = elapsed_ms(start);
        let event = event_now(
            EventType::InferenceCompleted,
            "inference",
            json!({"model": model, "output_bytes": output.len(), "duration_ms": duration_ms}),
        )
        .about_twin(&request.twin_id);
        self.store()
            .append_event(event)
            .await
            .map_err(TwinError::from)?;
        Ok(InferResponse {
            output,
            model,
            fallback,
            duration_ms,
        })
    }

    async fn extract(&self, request: &InferRequest) -> Result<String, TwinError> {
        let plan = self
            .plan(PlanRequest {
                twin_id: Some(request.twin_id.clone()),
                goal: request.input.clone(),
            })
            .await?;
        let mut output = String::new();
        let lines = context::passages(request.context.as_deref().unwrap_or_default());
        let index = Bm25::new(lines.iter().map(|line| [(*line, 1.0)]));
        for (at, _) in index.rank(&term_set(&request.input)).into_iter().take(3) {
            if let Some(line) = lines.get(at) {
                output.push_str(line.trim());
                output.push('\n');
            }
        }
        if plan.steps.is_empty() {
            output.push_str(&plan.missing.join("\n"));
        } else {
            let calls: Vec<String> = plan
                .steps
                .iter()
                .map(|step| format!("{} {}", step.tool, step.parameters))
                .collect();
            output.push_str(&format!(
                "To answer this I would call: {}",
                calls.join("; then ")
            ));
        }
        Ok(output)
    }
}
