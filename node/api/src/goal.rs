//! Goals: context, inference, plans and the executive's steps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /build` and `POST /pagi/context/build`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BuildContext {
    /// The twin.
    pub twin_id: String,
    /// The goal the context is for.
    pub goal: String,
}

/// Where a part of a context came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ContextSource {
    /// `system`, `tools`, `goal`, `memory` or `reflection`.
    pub layer: String,
    /// What it is: a memory id, a case id, a tool name, a playbook key.
    pub reference: String,
    /// Estimated tokens it took.
    pub tokens: usize,
    /// Its weight in the ranking, where the layer ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// A context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BuiltContext {
    /// The twin.
    pub twin_id: String,
    /// The text.
    pub context: String,
    /// What it is made of, in order.
    pub sources: Vec<ContextSource>,
    /// Estimated tokens of the whole.
    pub tokens: usize,
    /// The budget it had to fit.
    pub max_tokens: usize,
    /// Parts that did not fit.
    pub left_out: usize,
    /// The mood that weighted it, for the emotional variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<String>,
}

/// `POST /infer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InferRequest {
    /// The twin.
    pub twin_id: String,
    /// The text to answer.
    pub input: String,
    /// A context from `POST /build`, or any text.
    #[serde(default)]
    pub context: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InferResponse {
    /// The text.
    pub output: String,
    /// `planner`, or the model's name.
    pub model: String,
    /// Why another engine than the configured one answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// `POST /interact/{twin_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GoalRequest {
    /// What to reach.
    pub goal: String,
}

/// `POST /plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanRequest {
    /// Plan with this twin's tools; every tool of the node without one.
    #[serde(default)]
    pub twin_id: Option<String>,
    /// What to reach.
    pub goal: String,
}

/// One tool call a plan makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedStep {
    /// The tool.
    pub tool: String,
    /// Its parameters.
    pub parameters: Value,
    /// Why this tool.
    pub why: String,
    /// How well it fits, higher is better.
    pub score: f64,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// The goal.
    pub goal: String,
    /// The calls, in order.
    pub steps: Vec<PlannedStep>,
    /// The learned case it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The condition found in the goal, in words ("above 80 %").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// What is missing, where the plan cannot reach the goal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What kind of step the executive took. The order is the flow of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The ethics gate judged goal, tool call or output.
    Ethics,
    /// The playbook was read.
    Playbook,
    /// The context was built.
    Context,
    /// A model was asked.
    Inference,
    /// A plan was made.
    Plan,
    /// A tool was called.
    Tool,
    /// The answer was composed.
    Answer,
    /// The outcome was reflected on.
    Reflection,
    /// A refinement artifact was published.
    Artifact,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Well.
    Ok,
    /// Not well; the goal may still be reached.
    Failed,
    /// The ethics gate or a grant said no.
    Refused,
    /// It was not needed.
    Skipped,
}

/// One step of a goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// From 1.
    pub index: u32,
    /// Its kind.
    pub kind: StepKind,
    /// The tool's name, the model's name, or what the step worked on.
    pub name: String,
    /// How it ended.
    pub status: StepStatus,
    /// One line for a person.
    pub detail: String,
    /// What went in.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// What came out.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// How a goal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoalStatus {
    /// Reached.
    Completed,
    /// The ethics gate said no.
    Refused,
    /// Not reached; the output says why and what would help.
    Failed,
}

/// The outcome of `POST /interact/{twin_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interaction {
    /// The twin.
    pub twin_id: String,
    /// The goal.
    pub goal: String,
    /// How it ended.
    pub status: GoalStatus,
    /// The answer, refusal or explanation.
    pub output: String,
    /// Every step.
    pub steps: Vec<Step>,
    /// `planner`, or the model's name.
    pub engine: String,
    /// Why another engine than the configured one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The learned case that was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The playbook revision the goal started from.
    pub playbook: String,
    /// The refinement artifact that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_cid: Option<String>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// What a watcher of a running goal sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Progress {
    /// A step ended.
    Step(Step),
    /// A model wrote some text.
    Text {
        /// The new part.
        delta: String,
    },
    /// The goal ended.
    Done(Box<Interaction>),
}

/// Where [`Progress`] goes; a full or closed channel drops it, and never holds the goal up.
pub type ProgressSink = tokio::sync::mpsc::Sender<Progress>;
