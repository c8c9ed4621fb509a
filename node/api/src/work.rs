//! Work offered to the swarm, and work done for it.

use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// `POST /swarm/tasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AskSwarm {
    /// What to reach. Only the node that is given the task gets to see it.
    pub goal: String,
    /// The twin that asks; the oldest active one unless given.
    #[serde(default)]
    pub twin_id: Option<String>,
    /// Names of tools the worker must have.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What every node may know of the goal; nothing but keywords unless given.
    #[serde(default)]
    pub summary: Option<String>,
    /// Seconds until the result is no longer wanted; 600 unless given, at most a day.
    #[serde(default)]
    pub deadline_s: Option<u64>,
}

/// Where an own task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// A worker is sought.
    Open,
    /// A worker has it.
    Assigned,
    /// It is done.
    Done,
    /// It is over without a result; `reason` says why.
    Failed,
}

/// Who works, or worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskWorker {
    /// The node's DID.
    pub node: String,
    /// Its twin's DID.
    pub twin: String,
}

/// A task this node gave to the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SwarmTask {
    /// Its id.
    pub id: String,
    /// What to reach.
    pub goal: String,
    /// The DID of the twin that asks.
    pub asked_by: String,
    /// Tools the worker must have.
    pub needs: Vec<String>,
    /// What every node may know of the goal.
    pub summary: String,
    /// Words of the goal that every node may know.
    pub keywords: Vec<String>,
    /// When it was asked (RFC 3339), where its id tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<String>,
    /// When the result is no longer wanted (RFC 3339).
    pub deadline: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// How often it was assigned.
    pub attempt: u32,
    /// Who has it, had it last, or did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<TaskWorker>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A task of another node that this node was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkedTask {
    /// Its id among its asker's tasks.
    pub id: String,
    /// The DID of the node that asked.
    pub asker: String,
    /// The DID of the twin that asked; the asker's word.
    pub asked_by: String,
    /// The DID of the twin that works.
    pub twin: String,
    /// The attempt this node was given last.
    pub attempt: u32,
    /// When the result is no longer wanted (RFC 3339).
    pub deadline: String,
    /// `running`; `finished`, until the asker acknowledges it; `settled`.
    pub status: String,
    /// What became of it, once settled: only `accepted` makes it this node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The goal, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// The result, until it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /swarm/tasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SwarmTasks {
    /// Tasks this node gave to the swarm, the oldest first; ended ones for an hour.
    pub asked: Vec<SwarmTask>,
    /// Tasks of others that it was given.
    pub worked: Vec<WorkedTask>,
}

/// What those see who watch an own task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskNews {
    /// How it stood when the watching began; always the first.
    Offered(SwarmTask),
    /// A node would do it.
    Offer {
        /// Which.
        by: TaskWorker,
        /// How busy it is, in percent; its word.
        load: u8,
        /// How well it fits, in percent; its word.
        score: u8,
    },
    /// A node was given it.
    Assigned {
        /// Which.
        to: TaskWorker,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The worker says how far it is.
    Progress {
        /// The node's DID.
        node: String,
        /// In percent.
        percent: u8,
        /// What it does.
        note: String,
    },
    /// The worker could not, or would not; another is sought.
    AttemptFailed {
        /// The node's DID.
        node: String,
        /// What it said.
        reason: String,
    },
    /// It is done; always the last.
    Done(SwarmTask),
    /// It is over without a result; always the last.
    Failed(SwarmTask),
}

impl TaskNews {
    /// Its name, as in its `type`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Offered(_) => "offered",
            Self::Offer { .. } => "offer",
            Self::Assigned { .. } => "assigned",
            Self::Progress { .. } => "progress",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
        }
    }
}

/// What happens to a task, from [`TaskNews::Offered`] to its end.
pub type TaskStream = BoxStream<'static, TaskNews>;
