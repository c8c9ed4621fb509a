//! What must survive a crash: each task's record, asked or worked on.

use std::collections::BTreeMap;

use pagi_messages::Did;
use serde::{Deserialize, Serialize};

use crate::{
    io::FailReason,
    message::Verdict,
    task::{Outcome, TaskId, TaskKey, TaskSpec},
};

/// Who was given a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The node.
    pub did: Did,
    /// Its twin.
    pub twin: Did,
}

/// Where an own task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// A worker is sought.
    Open {
        /// The worker of the present attempt, if it only fell silent: should it be heard of before
        /// another is found, it goes on.
        last: Option<Worker>,
    },
    /// A worker has it.
    Assigned {
        /// The worker.
        worker: Worker,
    },
    /// It is done.
    Done {
        /// Whose result it is.
        worker: Worker,
        /// The output.
        output: String,
    },
    /// It is over without a result.
    Failed {
        /// Why.
        reason: FailReason,
    },
}

/// An own task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedRecord {
    /// The task.
    pub spec: TaskSpec,
    /// The attempt last assigned; 0 before the first.
    pub attempt: u32,
    /// Where it stands.
    pub phase: Phase,
    /// How many attempts each node had.
    pub tried: BTreeMap<Did, u32>,
}

impl AskedRecord {
    /// Whether it is done or failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done { .. } | Phase::Failed { .. })
    }

    /// The lowest attempt whose worker is still wanted.
    pub(crate) fn wanted_from(&self) -> u32 {
        match &self.phase {
            Phase::Assigned { .. } | Phase::Open { last: Some(_) } => self.attempt,
            Phase::Open { last: None } => self.attempt.saturating_add(1),
            Phase::Done { .. } | Phase::Failed { .. } => u32::MAX,
        }
    }

    /// The worker of the present attempt, while it is wanted.
    pub(crate) fn wanted(&self) -> Option<&Worker> {
        match &self.phase {
            Phase::Assigned { worker } => Some(worker),
            Phase::Open { last } => last.as_ref(),
            Phase::Done { .. } | Phase::Failed { .. } => None,
        }
    }
}

/// Where another's task stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkState {
    /// It is worked on.
    Running {
        /// The goal.
        goal: String,
        /// How often this work was begun.
        starts: u32,
    },
    /// There is a result, not yet acknowledged.
    Finished {
        /// The result.
        outcome: Outcome,
    },
    /// It is over for this node. Kept for a while, so that a late copy of the assignment does not
    /// begin it again.
    Settled {
        /// What became of it.
        verdict: Verdict,
        /// Whether this node could not do it.
        failed: bool,
    },
}

/// Another's task that this node was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkedRecord {
    /// The latest attempt this node was given.
    pub attempt: u32,
    /// The twin that works.
    pub twin: Did,
    /// The twin that asked.
    pub asked_by: Did,
    /// When the result is no longer wanted, in milliseconds since the Unix epoch.
    pub deadline_ms: u64,
    /// Where it stands.
    pub state: WorkState,
}

/// One change of what must survive a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// An own task's record, or its end.
    Asked(TaskId, Option<AskedRecord>),
    /// The record of another's task, or its end.
    Worked(TaskKey, Option<WorkedRecord>),
}

/// All that must survive a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durable {
    /// Own tasks.
    pub asked: BTreeMap<TaskId, AskedRecord>,
    /// Tasks of others.
    pub worked: BTreeMap<TaskKey, WorkedRecord>,
}

impl Durable {
    /// Carries out a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Asked(id, Some(record)) => {
                self.asked.insert(id, record);
            }
            Change::Asked(id, None) => {
                self.asked.remove(&id);
            }
            Change::Worked(key, Some(record)) => {
                self.worked.insert(key, record);
            }
            Change::Worked(key, None) => {
                self.worked.remove(&key);
            }
        }
    }
}
