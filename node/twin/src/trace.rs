//! The record of a running goal: its steps, its events and audit entries, and its watcher.

use std::time::Instant;

use pagi_api::goal::{
    BuildContext, GoalStatus, Interaction, Plan, Progress, ProgressSink, Step, StepKind, StepStatus,
};
use pagi_messages::{Event, EventType};
use pagi_policy::Refusal;
use pagi_store::{AuditRecord, Batch, Role, TwinRecord};
use serde_json::{Value, json};

use crate::{
    emotion::{self, Outcome},
    error::TwinError,
    executive::since,
    guest::Guest,
    inference::{ModelError, Turn},
    mind::{Mind, event_now, now_text},
    planner::{
        answer::{CallFailure, Judged, words},
        parts::is_not_to_be_kept,
    },
    ports::Adopted,
    private::shown,
    twins::{feel, remember},
};

/// What stands in the log for a goal that asks not to be kept.
const NOT_KEPT: &str = "(not kept, as it asks)";

pub(crate) struct Trace {
    mind: Mind,
    pub(crate) twin: TwinRecord,
    pub(crate) goal: String,
    /// For whom it runs, if not for the node's user.
    pub(crate) guest: Option<Guest>,
    pub(crate) progress: Option<ProgressSink>,
    pub(crate) engine: String,
    pub(crate) fallback: Option<String>,
    pub(crate) case: Option<String>,
    pub(crate) failed_case: Option<String>,
    /// The calls made so far: engine, tool, parameters and what came of them.
    made: Vec<(u8, String, Value, Result<Value, CallFailure>)>,
    /// Counts the engines that have had a go.
    go: u8,
    /// The goal asks not to be kept.
    unkept: bool,
    playbook: String,
    steps: Vec<Step>,
    start: Instant,
}

impl Trace {
    /// Logs the goal and remembers it, in one transaction. A guest's is no memory.
    pub(crate) async fn start(
        mind: &Mind,
        twin: TwinRecord,
        goal: String,
        guest: Option<Guest>,
        playbook: &Adopted,
        progress: Option<ProgressSink>,
    ) -> Result<Self, TwinError> {
        let unkept = is_not_to_be_kept(&goal);
        let shown = if unkept { NOT_KEPT } else { &goal };
        let about = |event: Event| Batch::new().event(event.about_twin(&twin.twin_id));
        let kind = EventType::GoalReceived;
        let batch = match &guest {
            None => {
                let batch = about(event_now(kind, "executive", json!({"goal": shown})));
                if unkept {
                    batch
                } else {
                    remember(batch, &twin.twin_id, Role::User, &goal)
                }
            }
            Some(guest) => about(event_now(
                kind,
                "work",
                json!({"goal": shown, "asked_by": guest.node}),
            )),
        };
        mind.store().write(batch).await?;
        Ok(Self {
            mind: mind.clone(),
            twin,
            goal,
            guest,
            progress,
            engine: mind.engine().name().to_owned(),
            fallback: None,
            case: None,
            failed_case: None,
            made: Vec::new(),
            go: 0,
            unkept,
            playbook: playbook.head.to_string(),
            steps: Vec::new(),
            start: Instant::now(),
        })
    }

    /// Whether the goal may cause a call of `tool`; the twin's grants are another matter.
    pub(crate) fn may_call(&self, tool: &str) -> bool {
        let guest = self.guest.as_ref();
        guest.is_none_or(|guest| guest.tools.contains(tool))
    }

    /// Another engine takes over.
    pub(crate) fn hand_over(&mut self) {
        self.go += 1;
    }

    /// What came of this call before, where it was made for this goal already; of a tool that acts, any
    /// call by an engine that had its go.
    pub(crate) fn done_before(
        &self,
        tool: &str,
        parameters: &Value,
        acts: bool,
    ) -> Option<Result<Value, CallFailure>> {
        let same = |(go, made, with, _): &&(u8, String, Value, Result<Value, CallFailure>)| {
            made == tool && (with == parameters || acts && *go < self.go)
        };
        // A failed look may be worth another; an act whose fate is unknown is not.
        let counts =
            |made: &&(u8, String, Value, Result<Value, CallFailure>)| acts || made.3.is_ok();
        self.made
            .iter()
            .filter(same)
            .find(counts)
            .map(|(.., result)| result.clone())
    }

    pub(crate) fn step(
        &mut self,
        kind: StepKind,
        name: &str,
        status: StepStatus,
        detail: &str,
        start: Instant,
    ) {
        self.full_step(kind, name, status, detail, Value::Null, Value::Null, start);
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one argument per field of a step"
    )]
    fn full_step(
        &mut self,
        kind: StepKind,
        name: &str,
        status: StepStatus,
        detail: &str,
        input: Value,
        output: Value,
        start: Instant,
    ) {
        let step = Step {
            index: u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX),
            kind,
            name: name.to_owned(),
            status,
            detail: detail.to_owned(),
            input,
            output,
            duration_ms: since(start),
        };
        if let Some(sink) = &self.progress {
            let _ = sink.try_send(Progress::Step(step.clone()));
        }
        self.steps.push(step);
    }

    pub(crate) fn wrote(sink: Option<&ProgressSink>, text: &str) {
        if let Some(sink) = sink {
            let _ = sink.try_send(Progress::Text {
                delta: text.to_owned(),
            });
        }
    }

    pub(crate) fn read_playbook(&mut self, playbook: &Adopted) {
        let start = Instant::now();
        let cases = playbook.state.cases().count();
        let bullets = playbook.state.bullets().count();
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let detail = format!(
            "{} and {} learned",
            count(cases, "case"),
            count(bullets, "bullet")
        );
        let head = playbook.head.to_string();
        self.step(StepKind::Playbook, &head, StepStatus::Ok, &detail, start);
    }

    pub(crate) async fn build_context(&mut self) -> Result<String, TwinError> {
        let start = Instant::now();
        let request = BuildContext {
            twin_id: self.twin.twin_id.clone(),
            goal: self.goal.clone(),
        };
        let guest = self.guest.as_ref();
        let built = self.mind.context_for(request, true, guest).await?;
        let detail = format!(
            "about {} of {} tokens from {} sources{}",
            built.tokens,
            built.max_tokens,
            built.sources.len(),
            if built.left_out > 0 {
                format!(", {} left out", built.left_out)
            } else {
                String::new()
            }
        );
        let mood = built.mood.clone().unwrap_or_default();
        self.step(StepKind::Context, &mood, StepStatus::Ok, &detail, start);
        Ok(built.context)
    }

    pub(crate) async fn planned(&mut self, plan: &Plan, start: Instant) -> Result<(), TwinError> {
        let tools: Vec<&str> = plan.steps.iter().map(|step| step.tool.as_str()).collect();
        let (status, mut detail) = if tools.is_empty() {
            (StepStatus::Failed, plan.missing.join("; "))
        } else {
            (StepStatus::Ok, tools.join(", then "))
        };
        if let Some(case) = &plan.case {
            detail.push_str(&format!(" (learned: {case})"));
        }
        if let Some(condition) = &plan.condition {
            detail.push_str(&format!("; looking for {condition}"));
        }
        let output = serde_json::to_value(&plan.steps).unwrap_or_default();
        let event = event_now(
            EventType::PlanGenerated,
            "planner",
            json!({"steps": output, "case": plan.case, "condition": plan.condition,
                   "missing": plan.missing}),
        )
        .about_twin(&self.twin.twin_id);
        self.mind.store().append_event(event).await?;
        self.full_step(
            StepKind::Plan,
            "planner",
            status,
            &detail,
            Value::Null,
            output,
            start,
        );
        Ok(())
    }

    pub(crate) async fn tool_called(
        &mut self,
        tool: &str,
        parameters: Value,
        result: &Result<Value, CallFailure>,
        start: Instant,
    ) -> Result<(), TwinError> {
        self.made
            .push((self.go, tool.to_owned(), parameters.clone(), result.clone()));
        let (status, verdict, detail, output) = match result {
            Ok(value) => (StepStatus::Ok, "ok", summary(value), value.clone()),
            Err(failure) => {
                let output = json!({"kind": failure.kind, "error": failure.message});
                let refused = ["refused", "denied"].contains(&failure.kind.as_str());
                let (status, verdict) = if refused {
                    (StepStatus::Refused, "refused")
                } else {
                    (StepStatus::Failed, "failed")
                };
                (status, verdict, failure.message.clone(), output)
            }
        };
        let twin_id = &self.twin.twin_id;
        let event = event_now(
            EventType::ToolExecuted,
            "gateway",
            json!({"tool": tool, "parameters": shown(tool, &parameters), "status": verdict,
                   "result": shown(tool, &output), "duration_ms": since(start)}),
        )
        .about_twin(twin_id)
        .about(tool);
        let mut audited = json!({"parameters": shown(tool, &parameters),
            "error": result.as_ref().err().map(|failure| &failure.message)});
        if let Some(guest) = &self.guest {
            audited["asked_by"] = json!(guest.node);
        }
        let audit = AuditRecord::new(now_text(), twin_id, "tool_call", verdict)
            .about(tool)
            .with_detail(audited);
        self.mind
            .store()
            .write(Batch::new().event(event).audit(audit))
            .await?;
        self.full_step(
            StepKind::Tool,
            tool,
            status,
            &detail,
            parameters,
            output,
            start,
        );
        Ok(())
    }

    pub(crate) async fn model_asked(&self, model: &str) -> Result<(), TwinError> {
        let event = event_now(
            EventType::InferenceRequested,
            "inference",
            json!({"model": model}),
        )
        .about_twin(&self.twin.twin_id);
        self.mind.store().append_event(event).await?;
        Ok(())
    }

    pub(crate) async fn model_answered(
        &mut self,
        model: &str,
        turn: &Turn,
        start: Instant,
    ) -> Result<(), TwinError> {
        let calls: Vec<&str> = turn.calls.iter().map(|call| call.name.as_str()).collect();
        let detail = if calls.is_empty() {
            format!("answered with {} characters", turn.text.chars().count())
        } else {
            format!("asks for {}", calls.join(", "))
        };
        let event = event_now(
            EventType::InferenceCompleted,
            "inference",
            json!({"model": model, "calls": calls, "duration_ms": since(start)}),
        )
        .about_twin(&self.twin.twin_id);
        self.mind.store().append_event(event).await?;
        self.step(StepKind::Inference, model, StepStatus::Ok, &detail, start);
        Ok(())
    }

    pub(crate) async fn model_failed(
        &mut self,
        model: &str,
        error: &ModelError,
        start: Instant,
    ) -> Result<(), TwinError> {
        let error = error.to_string();
        let event = event_now(
            EventType::InferenceCompleted,
            "inference",
            json!({"model": model, "error": error, "duration_ms": since(start)}),
        )
        .about_twin(&self.twin.twin_id);
        self.mind.store().append_event(event).await?;
        self.step(
            StepKind::Inference,
            model,
            StepStatus::Failed,
            &error,
            start,
        );
        Ok(())
    }

    pub(crate) fn answered(&mut self, judged: &Judged) {
        let start = Instant::now();
        let status = if judged.reached {
            StepStatus::Ok
        } else {
            StepStatus::Failed
        };
        let first = judged.output.lines().next().unwrap_or_default().to_owned();
        self.step(StepKind::Answer, "answer", status, &first, start);
    }

    pub(crate) async fn published(
        &mut self,
        cid: &str,
        detail: &str,
        start: Instant,
    ) -> Result<(), TwinError> {
        self.step(StepKind::Artifact, cid, StepStatus::Ok, detail, start);
        Ok(())
    }

    /// Ends a refused goal: audited, remembered, no artifact.
    pub(crate) async fn refused(self, refusal: Refusal) -> Result<Interaction, TwinError> {
        let twin_id = self.twin.twin_id.clone();
        self.mind.log_refusal(Some(&twin_id), &refusal).await?;
        let output = format!("{}\nReason: {}", refusal.response, refusal.explanation);
        self.finish(GoalStatus::Refused, output, None).await
    }

    /// Ends a goal: the answer is remembered and the emotion moved, in one transaction; but for a
    /// guest's.
    pub(crate) async fn finish(
        self,
        status: GoalStatus,
        output: String,
        artifact_cid: Option<String>,
    ) -> Result<Interaction, TwinError> {
        let twin_id = self.twin.twin_id.clone();
        let (outcome, why) = match status {
            GoalStatus::Completed => (Outcome::Success, "goal completed"),
            GoalStatus::Failed => (Outcome::Failure, "goal failed"),
            GoalStatus::Refused => (Outcome::Refusal, "goal refused"),
        };
        if self.guest.is_none() {
            let before = self.mind.emotion_record(&twin_id)?;
            let after = emotion::moved(&before, outcome, crate::mind::now_ms());
            let mut batch = Batch::new();
            if !self.unkept {
                batch = remember(batch, &twin_id, Role::Assistant, &output);
            }
            self.mind
                .store()
                .write(feel(batch, &twin_id, &after, why))
                .await?;
        }
        let interaction = Interaction {
            twin_id,
            goal: self.goal,
            status,
            output,
            steps: self.steps,
            engine: self.engine,
            fallback: self.fallback,
            case: self.case,
            playbook: self.playbook,
            artifact_cid,
            duration_ms: since(self.start),
        };
        if let Some(sink) = &self.progress {
            let _ = sink.try_send(Progress::Done(Box::new(interaction.clone())));
        }
        Ok(interaction)
    }
}

/// A tool's result on one line.
fn summary(value: &Value) -> String {
    let text = words(value).unwrap_or_else(|| "nothing".to_owned());
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 160 {
        line
    } else {
        format!("{}…", line.chars().take(159).collect::<String>())
    }
}
