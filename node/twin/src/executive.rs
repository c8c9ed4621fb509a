//! The executive: one goal from its arrival to what the swarm learns of it.
//!
//! `goal -> ethics -> playbook -> context -> inference -> tools -> reflection -> artifact`; the rest
//! of the flow (`CID -> gossip -> MO -> playbook`) is the hive's. The flow is [`Mind::interact`];
//! each of its steps is a method of [`Trace`](crate::trace::Trace) or of this file.

use std::{collections::BTreeSet, time::Instant};

use pagi_api::goal::{GoalRequest, GoalStatus, Interaction, ProgressSink, StepKind, StepStatus};
use pagi_messages::Verified;
use pagi_playbook::{Artifact, Evidence};
use pagi_policy::{Refusal, Subject, Verdict};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    error::TwinError,
    guest::{Guest, Running},
    inference::{ChatModel, Engine, ModelError},
    mind::{Mind, known_cases, now_ms},
    planner::{
        self, Drafted, Knowledge, ToolInfo,
        answer::{Call, CallFailure, Judged, judge, words},
        slots::{Slots, abstracted},
    },
    ports::Adopted,
    reflection::{Finished, Lesson, reflect},
    trace::Trace,
    twins::{check_goal, elapsed_ms},
};

/// What thinking and acting came to.
struct Outcome {
    engine: String,
    fallback: Option<String>,
    case: Option<String>,
    calls: Vec<Call>,
    templates: Vec<Option<pagi_playbook::CaseStep>>,
    judged: Judged,
}

/// The longest tool result a model is shown, bytes.
const MAX_SHOWN: usize = 16 * 1024;

impl Mind {
    /// Runs a goal of `twin_id`; steps go to `progress` as they end.
    ///
    /// A refused or failed goal is an `Ok` whose status says so.
    ///
    /// # Errors
    /// [`TwinError`] where the twin is unknown, the goal is empty, or the node itself fails.
    pub async fn interact(
        &self,
        twin_id: &str,
        request: GoalRequest,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, TwinError> {
        let _running = Running::enter(&self.inner.running);
        self.reach(twin_id, request, None, progress).await
    }

    /// Runs a goal of the node's user, or of a `guest`.
    pub(crate) async fn reach(
        &self,
        twin_id: &str,
        request: GoalRequest,
        guest: Option<Guest>,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, TwinError> {
        let twin = self.require(twin_id)?;
        self.going(&twin)?;
        check_goal(&request.goal)?;
        let playbook = self.inner.collective.playbook();
        let mut trace = Trace::start(self, twin, request.goal, guest, &playbook, progress).await?;

        let goal = trace.goal.clone();
        if let Some(refusal) = self.judge(&mut trace, &playbook, Subject::Goal(&goal))? {
            return trace.refused(refusal).await;
        }
        trace.read_playbook(&playbook);
        let context = trace.build_context().await?;
        let mut tools = self.catalog(twin_id).await;
        tools.retain(|tool| trace.may_call(&tool.name));
        let outcome = self
            .think_and_act(&mut trace, &playbook, &tools, &context)
            .await?;
        let output = Subject::Output(&outcome.judged.output);
        if let Some(refusal) = self.judge(&mut trace, &playbook, output)? {
            return trace.refused(refusal).await;
        }
        trace.answered(&outcome.judged);
        let lesson = if trace.guest.is_none() {
            reflect_on(&mut trace, &playbook, &tools, &outcome)
        } else {
            None
        };
        let artifact = match lesson {
            Some(lesson) => {
                self.publish(&mut trace, &playbook, &outcome, lesson)
                    .await?
            }
            None => None,
        };
        let status = if outcome.judged.reached {
            GoalStatus::Completed
        } else {
            GoalStatus::Failed
        };
        trace.engine = outcome.engine;
        trace.fallback = outcome.fallback;
        trace.case = outcome.case;
        trace.finish(status, outcome.judged.output, artifact).await
    }

    fn judge(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        subject: Subject<'_>,
    ) -> Result<Option<Refusal>, TwinError> {
        let start = Instant::now();
        let gate = self.gate(playbook)?;
        let of = match &subject {
            Subject::Goal(_) => "goal",
            Subject::Output(_) => "output",
            _ => "tool call",
        };
        Ok(match gate.judge(subject) {
            Verdict::Allowed => {
                trace.step(
                    StepKind::Ethics,
                    of,
                    StepStatus::Ok,
                    "no red line is touched",
                    start,
                );
                None
            }
            Verdict::Refused(refusal) => {
                let detail = format!("{} ({})", refusal.explanation, refusal.rule);
                trace.step(StepKind::Ethics, of, StepStatus::Refused, &detail, start);
                Some(refusal)
            }
        })
    }

    async fn think_and_act(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
        context: &str,
    ) -> Result<Outcome, TwinError> {
        match self.engine() {
            Engine::Planner => self.run_planner(trace, playbook, tools).await,
            Engine::Model(model) => {
                match self
                    .run_model(trace, playbook, tools, model, context)
                    .await?
                {
                    Ok(outcome) => Ok(outcome),
                    Err(error) if model.fall_back_to_planner => {
                        let mut outcome = self.run_planner(trace, playbook, tools).await?;
                        outcome.fallback = Some(error.to_string());
                        outcome.judged.output = format!(
                            "{}\n(The planner answered: {error}.)",
                            outcome.judged.output
                        );
                        Ok(outcome)
                    }
                    Err(error) => Ok(Outcome {
                        engine: model.name().to_owned(),
                        fallback: None,
                        case: None,
                        calls: Vec::new(),
                        templates: Vec::new(),
                        judged: Judged {
                            reached: false,
                            output: format!(
                                "The goal was not tried: {error}. To let the built-in planner try \
                                 when the model is away, set `inference.fallback = \"planner\"` \
                                 (PAGI_LLM_FALLBACK=planner)."
                            ),
                            contributed: Vec::new(),
                        },
                    }),
                }
            }
        }
    }

    async fn run_planner(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
    ) -> Result<Outcome, TwinError> {
        let start = Instant::now();
        let cases = known_cases(playbook);
        let tally = |name: &str| {
            let tally = playbook.state.tally(&format!("tool:{name}"));
            (tally.helpful, tally.harmful)
        };
        // The goal itself is a memory already; only an earlier one is worth looking for.
        let has_memories =
            trace.guest.is_none() && self.store().memory_count(&trace.twin.twin_id)? > 1;
        let knowledge = Knowledge {
            tools,
            cases: &cases,
            tool_tally: &tally,
            has_memories,
        };
        let drafted = planner::plan(&trace.goal, &knowledge);
        trace.planned(&drafted.plan, start).await?;
        if drafted.plan.steps.is_empty() {
            let judged = Judged {
                reached: false,
                output: format!("I cannot do this: {}.", drafted.plan.missing.join("; ")),
                contributed: Vec::new(),
            };
            return Ok(Outcome {
                engine: "planner".into(),
                fallback: None,
                case: None,
                calls: Vec::new(),
                templates: Vec::new(),
                judged,
            });
        }
        let mut outcome = self.run_plan(trace, playbook, drafted).await?;
        // A followed case that failed is not the last word: look around as if nothing were known.
        if !outcome.judged.reached && outcome.case.is_some() {
            let start = Instant::now();
            let drafted = planner::plan(
                &trace.goal,
                &Knowledge {
                    cases: &[],
                    ..knowledge
                },
            );
            if !drafted.plan.steps.is_empty() {
                trace.planned(&drafted.plan, start).await?;
                let again = self.run_plan(trace, playbook, drafted).await?;
                if again.judged.reached {
                    let failed = outcome.case.take();
                    outcome = Outcome {
                        case: None,
                        ..again
                    };
                    trace.failed_case = failed;
                }
            }
        }
        Ok(outcome)
    }

    async fn run_plan(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        drafted: Drafted,
    ) -> Result<Outcome, TwinError> {
        let mut calls = Vec::new();
        for (step, answers) in drafted.plan.steps.iter().zip(&drafted.answers) {
            let result = self
                .call_tool(trace, playbook, &step.tool, step.parameters.clone())
                .await?;
            calls.push(Call {
                tool: step.tool.clone(),
                result,
                answers: *answers,
            });
        }
        let judged = judge(&trace.goal, drafted.condition.as_ref(), &calls);
        Ok(Outcome {
            engine: "planner".into(),
            fallback: None,
            case: drafted.plan.case,
            calls,
            templates: drafted.templates.into_iter().map(Some).collect(),
            judged,
        })
    }

    /// Judges, calls and audits one tool call.
    async fn call_tool(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tool: &str,
        parameters: Value,
    ) -> Result<Result<Value, CallFailure>, TwinError> {
        let start = Instant::now();
        let leaves_node = self.inner.tools.leaves_node(tool);
        let subject = Subject::ToolCall {
            tool,
            parameters: &parameters,
            leaves_node,
        };
        // An order to stop holds for what is under way as well.
        let stop = self.stopped(Some(&trace.twin.did));
        let result = match self.gate(playbook)?.judge(subject) {
            Verdict::Refused(refusal) => Err(CallFailure {
                kind: "refused".into(),
                message: refusal.explanation,
            }),
            Verdict::Allowed if stop.is_some() => Err(CallFailure {
                kind: "denied".into(),
                message: stop.unwrap_or_default(),
            }),
            Verdict::Allowed if !trace.may_call(tool) => Err(CallFailure {
                kind: "denied".into(),
                message: format!("`{tool}` is not open to goals of other nodes"),
            }),
            Verdict::Allowed => {
                self.inner
                    .tools
                    .call(&trace.twin.twin_id, tool, parameters.clone())
                    .await
            }
        };
        trace.tool_called(tool, parameters, &result, start).await?;
        Ok(result)
    }

    /// Lets a model think and act. The inner error is the model's, the outer one the node's.
    async fn run_model(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
        model: &ChatModel,
        context: &str,
    ) -> Result<Result<Outcome, ModelError>, TwinError> {
        let slots = Slots::parse(&trace.goal);
        let mut messages = vec![
            json!({"role": "system", "content": context}),
            json!({"role": "user", "content": trace.goal}),
        ];
        let (mut calls, mut templates) = (Vec::new(), Vec::new());
        for _ in 0..model.max_turns.max(1) {
            let start = Instant::now();
            trace.model_asked(model.name()).await?;
            let sink = trace.progress.clone();
            let turn = model
                .turn(&messages, tools, &mut |text| {
                    Trace::wrote(sink.as_ref(), text)
                })
                .await;
            let turn = match turn {
                Ok(turn) => turn,
                Err(error) => {
                    trace.model_failed(model.name(), &error, start).await?;
                    return Ok(Err(error));
                }
            };
            trace.model_answered(model.name(), &turn, start).await?;
            if turn.calls.is_empty() {
                let contributed = (0..calls.len())
                    .filter(|at| {
                        calls
                            .get(*at)
                            .is_some_and(|call: &Call| call.result.is_ok())
                    })
                    .collect();
                let reached = !turn.text.trim().is_empty();
                let output = if reached {
                    turn.text
                } else {
                    format!("The model `{}` ended without an answer.", model.name())
                };
                let judged = Judged {
                    reached,
                    output,
                    contributed,
                };
                return Ok(Ok(model_outcome(model, calls, templates, judged)));
            }
            messages.push(
                json!({"role": "assistant", "content": turn.text, "tool_calls":
                turn.calls.iter().map(|call| json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}}))
                    .collect::<Vec<_>>()}),
            );
            for wanted in turn.calls {
                let text = if wanted.arguments.trim().is_empty() {
                    "{}"
                } else {
                    &wanted.arguments
                };
                let (result, template) = match serde_json::from_str::<Value>(text) {
                    Ok(parameters) => {
                        let info = tools.iter().find(|tool| tool.name == wanted.name);
                        let template = info.and_then(|tool| abstracted(tool, &parameters, &slots));
                        (
                            self.call_tool(trace, playbook, &wanted.name, parameters)
                                .await?,
                            template,
                        )
                    }
                    Err(error) => (
                        Err(CallFailure {
                            kind: "invalid_parameters".into(),
                            message: format!("the parameters are not JSON: {error}"),
                        }),
                        None,
                    ),
                };
                let shown = match &result {
                    Ok(value) => shorten(&value.to_string()),
                    Err(failure) => json!({"error": failure.message}).to_string(),
                };
                messages.push(json!({"role": "tool", "tool_call_id": wanted.id, "content": shown}));
                calls.push(Call {
                    tool: wanted.name,
                    result,
                    answers: true,
                });
                templates.push(template);
            }
        }
        let found: Vec<String> = calls
            .iter()
            .filter_map(|call| call.result.as_ref().ok().and_then(words))
            .collect();
        let judged = Judged {
            reached: false,
            output: format!(
                "The model `{}` called tools for {} turns without coming to an answer. What the \
                 tools returned:\n{}",
                model.name(),
                model.max_turns,
                found.join("\n")
            ),
            contributed: Vec::new(),
        };
        Ok(Ok(model_outcome(model, calls, templates, judged)))
    }

    async fn publish(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        outcome: &Outcome,
        lesson: Lesson,
    ) -> Result<Option<String>, TwinError> {
        let start = Instant::now();
        let identity = self.inner.keys.twin(&trace.twin.twin_id)?;
        let artifact = Artifact {
            twin_id: trace.twin.twin_id.clone(),
            base: playbook.head,
            critique: lesson.critique,
            delta: lesson.delta,
            evidence: Evidence {
                status: if outcome.judged.reached {
                    "completed"
                } else {
                    "failed"
                }
                .to_owned(),
                steps: u32::try_from(outcome.calls.len()).unwrap_or(u32::MAX),
                tools: outcome.calls.iter().map(|call| call.tool.clone()).collect(),
                before: [("calls".to_owned(), outcome.calls.len() as f64)].into(),
                after: [("calls".to_owned(), outcome.judged.contributed.len() as f64)].into(),
            },
            timestamp: now_ms(),
            nonce: Uuid::new_v4().to_string(),
        };
        let signed = Verified::sign(&identity, artifact)?;
        match self.inner.collective.publish(signed).await {
            Ok(cid) => {
                let cid = cid.to_string();
                let detail = format!("signed by {}", identity.did());
                trace.published(&cid, &detail, start).await?;
                Ok(Some(cid))
            }
            Err(error) => {
                let detail = error.to_string();
                trace.step(
                    StepKind::Artifact,
                    "artifact",
                    StepStatus::Failed,
                    &detail,
                    start,
                );
                Ok(None)
            }
        }
    }
}

fn reflect_on(
    trace: &mut Trace,
    playbook: &Adopted,
    tools: &[ToolInfo],
    outcome: &Outcome,
) -> Option<Lesson> {
    let start = Instant::now();
    let vocabulary = planner::tool_words(tools);
    let reading: BTreeSet<String> = tools
        .iter()
        .filter(|tool| tool.read_only)
        .map(|tool| tool.name.clone())
        .collect();
    let finished = Finished {
        goal: &trace.goal,
        case: outcome.case.as_deref(),
        failed_case: trace.failed_case.as_deref(),
        calls: &outcome.calls,
        templates: &outcome.templates,
        judged: &outcome.judged,
        vocabulary: &vocabulary,
        reading: &reading,
    };
    let lesson = reflect(&finished, &playbook.state);
    let (status, detail) = match &lesson {
        Some(lesson) => (StepStatus::Ok, lesson.critique.clone()),
        None => (
            StepStatus::Skipped,
            "nothing the playbook does not know".to_owned(),
        ),
    };
    trace.step(StepKind::Reflection, "lesson", status, &detail, start);
    lesson
}

fn model_outcome(
    model: &ChatModel,
    calls: Vec<Call>,
    templates: Vec<Option<pagi_playbook::CaseStep>>,
    judged: Judged,
) -> Outcome {
    let engine = model.name().to_owned();
    Outcome {
        engine,
        fallback: None,
        case: None,
        calls,
        templates,
        judged,
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= MAX_SHOWN {
        return text.to_owned();
    }
    let mut end = MAX_SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!(
        "{}… ({} bytes left out)",
        text.get(..end).unwrap_or_default(),
        text.len() - end
    )
}

/// Milliseconds since `start`, for the steps of a trace.
pub(crate) fn since(start: Instant) -> u64 {
    elapsed_ms(start)
}
