//! The executive: one goal from its arrival to what the swarm learns of it.
//!
//! `goal -> ethics -> playbook -> context -> inference -> tools -> reflection -> artifact`; the rest
//! of the flow (`CID -> gossip -> MO -> playbook`) is the hive's. The flow is [`Mind::interact`];
//! each of its steps is a method of [`Trace`](crate::trace::Trace) or of this file; a model's turns are
//! in `conversation.rs`.

use std::{collections::BTreeSet, time::Instant};

use pagi_api::goal::{GoalRequest, GoalStatus, Interaction, ProgressSink, StepKind, StepStatus};
use pagi_messages::{Did, Verified};
use pagi_playbook::{Artifact, Evidence};
use pagi_policy::{Refusal, Subject, Verdict};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    about::{covers, missing, understood},
    conversation::not_tried,
    error::TwinError,
    guest::{Guest, Running},
    inference::{Engine, ModelError},
    mind::{Mind, known_cases, now_ms},
    planner::{
        self, Drafted, Knowledge, ToolInfo,
        answer::{Call, CallFailure, Judged, judge},
        parts::{self, Part, parts},
    },
    ports::Adopted,
    reflection::{Finished, Lesson, reflect},
    trace::Trace,
    twins::{check_goal, elapsed_ms},
};

/// What thinking and acting came to.
pub(crate) struct Outcome {
    pub(crate) engine: String,
    pub(crate) fallback: Option<String>,
    pub(crate) case: Option<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) templates: Vec<Option<pagi_playbook::CaseStep>>,
    pub(crate) judged: Judged,
    /// The goal was one thing, so that what was done is the way to do it.
    pub(crate) whole: bool,
}

impl Outcome {
    pub(crate) fn planned(judged: Judged) -> Self {
        Self {
            engine: "planner".into(),
            fallback: None,
            case: None,
            calls: Vec::new(),
            templates: Vec::new(),
            judged,
            whole: true,
        }
    }
}

/// What ends a goal early.
pub(crate) enum Stop {
    /// The ethics gate refused what the twin was about to do or say.
    Refused(Box<Refusal>),
    /// The model gave no answer.
    Model(ModelError),
    /// The node itself failed.
    Node(TwinError),
}

impl<E: Into<TwinError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Node(error.into())
    }
}

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
        if parts::is_not_to_be_kept(&trace.goal) {
            tools.retain(|tool| tool.name != planner::REMEMBER);
        }
        let acted = self
            .think_and_act(&mut trace, &playbook, &tools, &context)
            .await;
        let outcome = match acted {
            Ok(outcome) => outcome,
            Err(Stop::Refused(refusal)) => return trace.refused(*refusal).await,
            Err(Stop::Model(error)) => not_tried(&trace.engine, &error),
            Err(Stop::Node(error)) => return Err(error),
        };
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
        if trace.guest.is_none() {
            self.inner.collective.goal_ended(outcome.judged.reached);
        }
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
    ) -> Result<Outcome, Stop> {
        let Engine::Model(model) = self.engine() else {
            return self.run_planner(trace, playbook, tools).await;
        };
        match self.run_model(trace, playbook, tools, model, context).await {
            Err(Stop::Model(error)) if model.fall_back_to_planner => {
                trace.hand_over();
                let mut outcome = self.run_planner(trace, playbook, tools).await?;
                outcome.fallback = Some(error.to_string());
                outcome.judged.output = format!(
                    "{}\n(The planner answered: {error}.)",
                    outcome.judged.output
                );
                Ok(outcome)
            }
            done => done,
        }
    }

    /// Plans and does each part of the goal in turn. The goal is reached where every part is.
    async fn run_planner(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
    ) -> Result<Outcome, Stop> {
        let parts = parts(&trace.goal);
        if let [only] = parts.as_slice()
            && only.undone.is_none()
        {
            let goal = trace.goal.clone();
            return self.run_part(trace, playbook, tools, &goal).await;
        }
        let mut all = Outcome::planned(Judged {
            reached: true,
            output: String::new(),
            contributed: Vec::new(),
        });
        all.whole = false;
        let mut answers = Vec::new();
        for Part { goal, undone } in parts {
            let done = match undone {
                Some(why) => Outcome::planned(Judged {
                    reached: false,
                    output: format!("Not done: \u{201c}{goal}\u{201d} ({why})."),
                    contributed: Vec::new(),
                }),
                None => self.run_part(trace, playbook, tools, &goal).await?,
            };
            all.judged.reached &= done.judged.reached;
            let before = all.calls.len();
            all.judged
                .contributed
                .extend(done.judged.contributed.iter().map(|at| before + at));
            all.calls.extend(done.calls);
            all.templates.extend(done.templates);
            answers.push(done.judged.output);
        }
        all.judged.output = answers.join("\n");
        Ok(all)
    }

    async fn run_part(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
        goal: &str,
    ) -> Result<Outcome, Stop> {
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
        let mut drafted = planner::plan(goal, &knowledge);
        let hint = if trace.guest.is_none() {
            self.could(&trace.twin.twin_id, goal, &knowledge).await?
        } else {
            None
        };
        if let Some(hint) = hint.as_ref().filter(|_| drafted.plan.steps.is_empty()) {
            drafted.plan.missing = vec![hint.clone()];
        }
        trace.planned(&drafted.plan, start).await?;
        if drafted.plan.steps.is_empty() && parts::is_not_to_be_kept(goal) {
            return Ok(Outcome::planned(Judged {
                reached: true,
                output: "Nothing of this was kept, as you ask.".to_owned(),
                contributed: Vec::new(),
            }));
        }
        if drafted.plan.steps.is_empty() {
            return Ok(Outcome::planned(Judged {
                reached: false,
                output: format!("I cannot do this: {}.", drafted.plan.missing.join("; ")),
                contributed: Vec::new(),
            }));
        }
        let mut outcome = self.run_plan(trace, playbook, tools, goal, drafted).await?;
        // A followed case that failed is not the last word: look around as if nothing were known.
        if !outcome.judged.reached && outcome.case.is_some() {
            let start = Instant::now();
            let drafted = planner::plan(
                goal,
                &Knowledge {
                    cases: &[],
                    ..knowledge
                },
            );
            if !drafted.plan.steps.is_empty() {
                trace.planned(&drafted.plan, start).await?;
                let again = self.run_plan(trace, playbook, tools, goal, drafted).await?;
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
        if let Some(hint) = hint.filter(|_| !outcome.judged.reached) {
            let output = outcome.judged.output.trim_end();
            outcome.judged.output = format!("{output}\n({hint}.)");
        }
        Ok(outcome)
    }

    async fn run_plan(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tools: &[ToolInfo],
        goal: &str,
        drafted: Drafted,
    ) -> Result<Outcome, Stop> {
        let mut calls = Vec::new();
        for (step, answers) in drafted.plan.steps.iter().zip(&drafted.answers) {
            let acts = !tools
                .iter()
                .any(|tool| tool.name == step.tool && tool.read_only);
            // What changed something once is not done again for the same goal.
            let result = match trace.done_before(&step.tool, &step.parameters, acts) {
                Some(result) => result,
                None => {
                    self.call_tool(trace, playbook, &step.tool, step.parameters.clone())
                        .await?
                }
            };
            calls.push(Call {
                tool: step.tool.clone(),
                result,
                answers: *answers,
            });
        }
        let mut judged = judge(goal, drafted.condition.as_ref(), &calls);
        let learned = drafted
            .plan
            .case
            .as_ref()
            .and_then(|id| playbook.state.case(id))
            .map(|case| case.terms.iter().cloned().collect())
            .unwrap_or_default();
        let cases = known_cases(playbook);
        let taught = |tool: &str| planner::taught(goal, tool, tools, &cases);
        let missing = missing(goal, tools, &calls, &drafted.templates, &judged, learned);
        let missing = understood(goal, missing, tools, &calls, &judged, taught);
        if judged.reached && !missing.is_empty() {
            judged.reached = false;
            judged.output = format!(
                "This does not answer the goal: nothing in it is about {}. What was found:\n{}",
                missing.join(", "),
                judged.output
            );
        }
        let mut outcome = Outcome::planned(judged);
        outcome.case = drafted.plan.case;
        outcome.calls = calls;
        outcome.templates = drafted.templates.into_iter().map(Some).collect();
        Ok(outcome)
    }

    /// Judges, calls and audits one tool call.
    pub(crate) async fn call_tool(
        &self,
        trace: &mut Trace,
        playbook: &Adopted,
        tool: &str,
        parameters: Value,
    ) -> Result<Result<Value, CallFailure>, Stop> {
        let start = Instant::now();
        let gate = self.gate(playbook)?;
        if let Verdict::Refused(refusal) = self.judge_parameters(&gate, tool, &parameters) {
            let failure = CallFailure {
                kind: "refused".into(),
                message: refusal.explanation.clone(),
            };
            trace
                .tool_called(tool, parameters, &Err(failure), start)
                .await?;
            return Err(Stop::Refused(Box::new(refusal)));
        }
        // An order to stop holds for what is under way as well.
        let result = if let Some(why) = self.stopped(Some(&trace.twin.did)) {
            Err(CallFailure {
                kind: "denied".into(),
                message: why,
            })
        } else if trace.may_call(tool) {
            self.inner
                .tools
                .call(&trace.twin.twin_id, tool, parameters.clone())
                .await
        } else {
            Err(CallFailure {
                kind: "denied".into(),
                message: format!("`{tool}` is not open to goals of other nodes"),
            })
        };
        trace.tool_called(tool, parameters, &result, start).await?;
        Ok(result)
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
    let vocabulary = planner::known_words(tools, &playbook.state);
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
        teaches: outcome.whole && covers(&trace.goal, tools, outcome),
        vocabulary: &vocabulary,
        spoken: &planner::spoken_words(tools.iter().map(|tool| tool.description.as_str())),
        reading: &reading,
    };
    let mut lesson = reflect(&finished, &playbook.state);
    // One author has one voice: saying the same again would change nothing.
    if let Ok(author) = trace.twin.did.parse::<Did>()
        && let Some(lesson) = &mut lesson
    {
        let counts = &mut lesson.delta.counts;
        counts.retain(|count| !playbook.state.has_said(&author, count));
    }
    let lesson = lesson.filter(|lesson| !lesson.delta.is_empty());
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

/// Milliseconds since `start`, for the steps of a trace.
pub(crate) fn since(start: Instant) -> u64 {
    elapsed_ms(start)
}
