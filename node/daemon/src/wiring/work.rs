//! The work room joined to the network, the mind and the hive; and what the control API and the tools
//! ask of it.
//!
//! Broadcasts go by gossip on a topic of their own. What is for one node alone is a private request,
//! [`TASK`] and the signed message, straight to that node over the encrypted link; the reply is empty.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use pagi_api::{
    ApiError,
    goal::{
        GoalRequest, GoalStatus, Interaction, Progress as GoalProgress, Step, StepKind, StepStatus,
    },
    work::{AskSwarm, SwarmTask, SwarmTasks, TaskStream},
};
use pagi_hive::Hive;
use pagi_messages::Did;
use pagi_swarm::{InboundRequest, Swarm};
use pagi_task::{LocalCapabilities, MAX_SUMMARY_BYTES, Outcome, Refusal, TaskId, TaskSpec};
use pagi_twin::{Guest, Mind, now_ms};
use pagi_work::{
    Work, WorkError,
    ports::{Bench, Job, Progress, Wire, WireError},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::views::{internal, store_error, twin_error};
use crate::config::WorkSection;

/// What a private request that brings a task message starts with.
const TASK: &[u8] = b"pagi-task/1\0";
/// How long a private message may take to arrive.
const SEND_TIME: Duration = Duration::from_secs(10);
/// The load of one goal of the node's user, in percent.
const GOAL_LOAD: usize = 25;
/// The load of as many tasks as may run, in percent: not so busy that the node refuses more, for the
/// number alone decides that.
const TASKS_LOAD: usize = 90;
/// Seconds until a task's result is no longer wanted, unless its user says otherwise.
const DEADLINE_S: u64 = 600;
/// The longest.
const LONGEST_S: u64 = 24 * 3600;
/// Steps of a goal that wait to be reported.
const STEPS: usize = 64;

/// The way to other nodes.
pub struct TaskWire {
    /// The network.
    pub swarm: Swarm,
    /// The topic on which work is offered.
    pub topic: String,
}

#[async_trait]
impl Wire for TaskWire {
    async fn gossip(&self, data: Vec<u8>) -> Result<(), WireError> {
        let published = self.swarm.publish(&self.topic, data).await;
        published.map(drop).map_err(failed)
    }

    async fn send(&self, to: &Did, data: Vec<u8>) -> Result<(), WireError> {
        let peer = to.peer_id().map_err(failed)?;
        let request = [TASK, &data].concat();
        let reply = self.swarm.request(&peer, request, SEND_TIME).await;
        reply.map(drop).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> WireError {
    WireError(error.to_string())
}

/// Takes in a task message that a node brought; gives back a request for anything else.
pub async fn answer(work: &Work, request: InboundRequest) -> Option<InboundRequest> {
    let Some(data) = request.data.strip_prefix(TASK) else {
        return Some(request);
    };
    match work.brought(&request.peer_id, data).await {
        Ok(()) => request.reply.send(Vec::new()),
        // It is closed without an answer.
        Err(rejection) if rejection.is_fault() => {
            tracing::warn!(peer = request.peer_id, %rejection, "a task message was refused");
        }
        Err(rejection) => {
            tracing::debug!(peer = request.peer_id, %rejection, "a task message was put off");
        }
    }
    None
}

/// The mind as a place where work of other nodes is done.
pub struct TaskBench {
    /// The mind.
    pub mind: Mind,
    /// What the node's user allows.
    pub section: WorkSection,
}

#[async_trait]
impl Bench for TaskBench {
    async fn able(&self) -> Option<LocalCapabilities> {
        if !self.section.accept || self.section.max_parallel == 0 {
            return None;
        }
        let (twin_id, did) = active_twin(&self.mind).ok()??;
        let tools = self.mind.open_tools(&twin_id, &self.section.tools).await;
        Some(LocalCapabilities {
            twin: did,
            keywords: self.mind.keywords(&tools),
            capabilities: tools.into_iter().map(|tool| tool.name).collect(),
        })
    }

    fn load(&self, jobs: usize) -> u8 {
        let own = GOAL_LOAD.saturating_mul(self.mind.running_goals());
        let others = TASKS_LOAD.saturating_mul(jobs) / self.section.max_parallel.max(1);
        u8::try_from(own.saturating_add(others)).map_or(100, |load| load.min(100))
    }

    async fn run(&self, job: Job, progress: Progress) -> Outcome {
        match self.serve(job, &progress).await {
            Ok(done) => outcome(done),
            Err(error) => Outcome::Failed {
                reason: format!("the worker's node failed: {error}"),
            },
        }
    }
}

impl TaskBench {
    async fn serve(&self, job: Job, progress: &Progress) -> Result<Interaction, ApiError> {
        let twins = self.mind.twins().map_err(twin_error)?;
        let twin = twins
            .into_iter()
            .find(|twin| twin.did == job.twin.as_str())
            .ok_or_else(|| ApiError::Unavailable("the twin is not there any more".to_owned()))?;
        let guest = Guest {
            node: job.task.asker,
            tools: self.section.tools.clone(),
        };
        let (sink, mut steps) = mpsc::channel(STEPS);
        let request = GoalRequest { goal: job.goal };
        let goal = self.mind.serve(&twin.twin_id, request, guest, Some(sink));
        tokio::pin!(goal);
        loop {
            tokio::select! {
                done = &mut goal => return done.map_err(twin_error),
                Some(news) = steps.recv() => if let GoalProgress::Step(step) = news {
                    let (percent, note) = how_far(&step);
                    progress.say(percent, note);
                },
            }
        }
    }
}

/// How far a goal is after a step, roughly, and what the step was. What tools returned is for the
/// result alone.
fn how_far(step: &Step) -> (u8, String) {
    let (percent, what) = match step.kind {
        StepKind::Ethics => (10, "judged"),
        StepKind::Playbook => (15, "read the playbook"),
        StepKind::Context => (20, "built the context"),
        StepKind::Inference => (40, "asked the model"),
        StepKind::Plan => (30, "made a plan"),
        StepKind::Tool => return (60, format!("called {}", step.name)),
        StepKind::Answer | StepKind::Reflection | StepKind::Artifact => (90, "answered"),
    };
    (percent, what.to_owned())
}

fn outcome(done: Interaction) -> Outcome {
    match done.status {
        GoalStatus::Completed => Outcome::Completed {
            output: done.output,
        },
        GoalStatus::Refused => {
            let refusal =
                done.steps.iter().rev().find(|step| {
                    step.kind == StepKind::Ethics && step.status == StepStatus::Refused
                });
            let why = refusal.map_or(done.output.as_str(), |step| step.detail.as_str());
            Outcome::Failed {
                reason: format!("the worker's ethics gate refused it: {why}"),
            }
        }
        GoalStatus::Failed => Outcome::Failed {
            reason: done.output,
        },
    }
}

/// The oldest active twin: its id and DID.
fn active_twin(mind: &Mind) -> Result<Option<(String, Did)>, ApiError> {
    let twins = mind.twins().map_err(twin_error)?;
    let active = twins
        .into_iter()
        .find(|twin| twin.state.get("status").and_then(Value::as_str) == Some("active"));
    active
        .map(|twin| Ok((twin.twin_id, twin.did.parse().map_err(internal)?)))
        .transpose()
}

/// Work given to the swarm, as the control API and the tools ask for it.
#[derive(Clone)]
pub struct Market {
    work: Work,
    hive: Hive,
    mind: Mind,
}

impl Market {
    pub fn new(work: Work, hive: Hive, mind: Mind) -> Self {
        Self { work, hive, mind }
    }

    /// What this node can do for others has changed.
    pub fn refresh(&self) {
        self.work.refresh();
    }

    /// Gives a task to the swarm. Everyone hears its keywords, the worker alone its goal.
    pub async fn ask(&self, request: AskSwarm) -> Result<SwarmTask, ApiError> {
        let asked = self.give(Uuid::now_v7().to_string(), request).await?;
        let goal = if asked.summary.is_empty() {
            asked.keywords.join(" ")
        } else {
            asked.summary.clone()
        };
        self.announce(json!({"id": asked.id, "goal": goal, "from": asked.asked_by,
            "keywords": asked.keywords, "needs": asked.needs, "deadline": asked.deadline}))
            .await;
        Ok(asked)
    }

    /// Broadcasts a task whose goal everyone may see, as an event for every node, and gives it to the
    /// swarm to be done. Gives the task's id as it was named, and the id it has in the swarm.
    pub async fn broadcast(
        &self,
        mut task: Value,
        twin_id: Option<String>,
    ) -> Result<(Value, String), ApiError> {
        let goal = task.get("goal").and_then(Value::as_str).unwrap_or_default();
        if goal.trim().is_empty() {
            return Err(ApiError::invalid("a task needs a `goal`"));
        }
        let words = |name: &str| -> Vec<String> {
            let list = task.get(name).and_then(Value::as_array);
            let words = list.into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        let request = AskSwarm {
            goal: goal.to_owned(),
            twin_id: twin_id.clone(),
            needs: words("needs"),
            summary: Some(cut(goal)),
            deadline_s: task.get("deadline_s").and_then(Value::as_u64),
        };
        let named = task.get("id").and_then(Value::as_str);
        let named = named.filter(|id| id.parse::<TaskId>().is_ok());
        let id = named.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let asked = self.give(id, request).await?;
        if task.get("id").is_none() {
            task["id"] = json!(asked.id);
        }
        if let Some(twin_id) = twin_id {
            task["from"] = json!(twin_id);
        }
        let shown = task["id"].clone();
        self.announce(task).await;
        Ok((shown, asked.id))
    }

    /// The event for every node. The task itself is offered until it is taken, so this may fail.
    async fn announce(&self, task: Value) {
        if let Err(error) = self.hive.broadcast_task(task).await {
            tracing::warn!(%error, "a task's event was not broadcast");
        }
    }

    async fn give(&self, id: String, request: AskSwarm) -> Result<SwarmTask, ApiError> {
        if request.goal.trim().is_empty() {
            return Err(ApiError::invalid("the goal is empty: say what to reach"));
        }
        let summary = request.summary.unwrap_or_default();
        for text in [&request.goal, &summary] {
            keeps_secrets(&self.mind, text)?;
        }
        let deadline_s = request.deadline_s.unwrap_or(DEADLINE_S);
        if !(1..=LONGEST_S).contains(&deadline_s) {
            return Err(ApiError::invalid(format!(
                "deadline_s is between 1 and {LONGEST_S} seconds, not {deadline_s}"
            )));
        }
        let twin = match request.twin_id.filter(|id| !id.is_empty()) {
            Some(twin_id) => {
                let twin = self.mind.twin(&twin_id).map_err(twin_error)?;
                Some((twin_id, twin.did.parse().map_err(internal)?))
            }
            None => active_twin(&self.mind)?,
        };
        // Without a twin the node itself asks.
        let (twin_id, did) = twin.unwrap_or_else(|| (String::new(), self.hive.did().clone()));
        if let Some(why) = self.mind.stopped(Some(&did.to_string())) {
            return Err(ApiError::Forbidden(why));
        }
        let judged = Some(twin_id.as_str()).filter(|id| !id.is_empty());
        let judged = self.mind.judge_goal(judged, &request.goal).await;
        judged.map_err(twin_error)?;
        let tools = self.mind.tools_of(&twin_id).await;
        let needs: BTreeSet<String> = request.needs.into_iter().collect();
        let spec = TaskSpec {
            id: id.parse().map_err(internal)?,
            twin: did,
            keywords: self.mind.shareable_keywords(&request.goal, &tools),
            goal: request.goal,
            summary,
            needs: needs.into_iter().filter(|need| !need.is_empty()).collect(),
            deadline_ms: now_ms().saturating_add(deadline_s * 1_000),
        };
        self.work.ask(spec).await.map_err(work_error)
    }

    pub async fn tasks(&self) -> Result<SwarmTasks, ApiError> {
        self.work.tasks().await.map_err(work_error)
    }

    pub async fn task(&self, id: &str) -> Result<SwarmTask, ApiError> {
        self.work.task(named(id)?).await.map_err(work_error)
    }

    pub async fn watch(&self, id: &str) -> Result<TaskStream, ApiError> {
        self.work.watch(named(id)?).await.map_err(work_error)
    }

    pub async fn cancel(&self, id: &str) -> Result<SwarmTask, ApiError> {
        self.work.cancel(named(id)?).await.map_err(work_error)
    }
}

/// Refuses a text with a secret in it, for other nodes would see it.
pub(super) fn keeps_secrets(mind: &Mind, text: &str) -> Result<(), ApiError> {
    match mind.secret_in(text).map_err(twin_error)? {
        None => Ok(()),
        Some(why) => Err(ApiError::Forbidden(format!(
            "other nodes would see it: {why}"
        ))),
    }
}

fn named(id: &str) -> Result<TaskId, ApiError> {
    id.parse().map_err(|_| no_task(id))
}

fn no_task(id: &str) -> ApiError {
    ApiError::NotFound {
        what: "task",
        id: id.chars().take(64).collect(),
    }
}

fn work_error(error: WorkError) -> ApiError {
    match error {
        WorkError::NotFound(id) => no_task(&id),
        WorkError::Refused(reason @ Refusal::Duplicate) => ApiError::Conflict(reason.to_string()),
        WorkError::Refused(reason @ Refusal::TooMany(_)) => ApiError::TooMany(reason.to_string()),
        WorkError::Refused(reason) => ApiError::invalid(reason.to_string()),
        WorkError::Store(error) => store_error(error),
        WorkError::Closed => ApiError::Unavailable(error.to_string()),
    }
}

/// A goal as a summary, cut where it is too long.
fn cut(goal: &str) -> String {
    let mut end = goal.len().min(MAX_SUMMARY_BYTES);
    while !goal.is_char_boundary(end) {
        end -= 1;
    }
    goal.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_keeps_its_bound() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ä".repeat(MAX_SUMMARY_BYTES));
        assert!(long.len() <= MAX_SUMMARY_BYTES && long.chars().all(|c| c == 'ä'));
    }

    #[test]
    fn errors_of_work_have_their_status() {
        for (error, status) in [
            (WorkError::NotFound("x".into()), 404),
            (WorkError::Refused(Refusal::Duplicate), 409),
            (WorkError::Refused(Refusal::TooMany(32)), 429),
            (WorkError::Refused(Refusal::TooLarge("goal")), 422),
            (WorkError::Closed, 503),
        ] {
            assert_eq!(work_error(error).status(), status);
        }
        assert_eq!(named("a b").unwrap_err().status(), 404);
    }
}
