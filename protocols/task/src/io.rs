//! What goes into the machine and what comes out of it.

use std::collections::BTreeSet;

use pagi_messages::{Did, Verified};
use serde::{Deserialize, Serialize};

use crate::{
    message::{TaskMessage, Verdict},
    record::Change,
    task::{Outcome, TaskId, TaskKey, TaskSpec},
};

/// What this node can do for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCapabilities {
    /// The twin that would work.
    pub twin: Did,
    /// Names of what it can do; a task's needs must all be among them.
    pub capabilities: BTreeSet<String>,
    /// Keywords of goals it knows: tasks with such keywords fit it better.
    pub keywords: BTreeSet<String>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed; due at [`Machine::next_tick_ms`](crate::Machine::next_tick_ms).
    Tick,
    /// The user has a task for the swarm.
    LocalTask(TaskSpec),
    /// The user takes a task back.
    LocalCancel(TaskId),
    /// A message arrived from another node.
    Message(Box<Verified<TaskMessage>>),
    /// What this node can do, or that it takes no work: it takes none until it is told.
    Capabilities(Option<LocalCapabilities>),
    /// How busy this node is, in percent; 100 is the most.
    Load(u8),
    /// How far the work of an [`Output::Start`] is.
    LocalProgress {
        /// The task.
        task: TaskKey,
        /// In percent.
        percent: u8,
        /// What is being done; cut where it is too long.
        note: String,
    },
    /// The work of an [`Output::Start`] ended.
    LocalResult {
        /// The task.
        task: TaskKey,
        /// The attempt in [`Output::Start`].
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// A node was heard of. Repeat it as often as that happens: what waits for it is sent again.
    Peer {
        /// The node.
        did: Did,
        /// Its reputation; more is better.
        reputation: u32,
    },
}

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Every node of the swarm.
    Everyone,
    /// This node alone; nobody else should be able to read it.
    Only(Did),
}

/// Something to do. Outputs are carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Store this. It must be durable before any later output is carried out.
    Persist(Change),
    /// Sign this as this node and send it.
    Send {
        /// To whom.
        to: Recipient,
        /// What.
        message: TaskMessage,
    },
    /// Begin to work on another's task, and answer with [`Input::LocalResult`].
    Start {
        /// The task.
        task: TaskKey,
        /// The attempt; belongs into the answer.
        attempt: u32,
        /// The twin that works.
        twin: Did,
        /// The twin that asked.
        asked_by: Did,
        /// The goal.
        goal: String,
        /// When the result is no longer wanted, in milliseconds since the Unix epoch.
        deadline_ms: u64,
    },
    /// Stop working on another's task; no answer is wanted.
    Abort {
        /// The task.
        task: TaskKey,
        /// The attempt in [`Output::Start`].
        attempt: u32,
        /// Why.
        reason: AbortReason,
    },
    /// What became of this node's work for another. [`Verdict::Accepted`] alone makes it this node's.
    Settled {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: u32,
        /// What became of it.
        verdict: Verdict,
    },
    /// A worker was given an own task.
    Assigned {
        /// The task.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// Its twin.
        twin: Did,
        /// The attempt.
        attempt: u32,
    },
    /// A worker of an own task says how far it is.
    Progress {
        /// The task.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// In percent.
        percent: u8,
        /// What it does.
        note: String,
    },
    /// An own task is done. Said again, with the same words, after a restart.
    Done {
        /// The task.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// Its twin.
        twin: Did,
        /// The attempt.
        attempt: u32,
        /// The output.
        output: String,
    },
    /// An own task is over without a result. Said again, with the same words, after a restart.
    Failed {
        /// The task.
        id: TaskId,
        /// Why.
        reason: FailReason,
    },
    /// A task of the user was not taken on; a task of the same id is untouched by this.
    Rejected {
        /// The task.
        id: TaskId,
        /// Why.
        reason: Refusal,
    },
    /// A message was not acted on: for the log, and to score its author where
    /// [`Refusal::is_misbehaviour`].
    Refused {
        /// Who signed it.
        author: Did,
        /// Why.
        reason: Refusal,
    },
}

/// Why work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// The asker does not want it any more, or gave it to another.
    Cancelled,
    /// The deadline has passed.
    Deadline,
}

/// Why an own task is over without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum FailReason {
    /// Nobody offered.
    #[error("no node offered to do it")]
    NoWorker,
    /// No result came in time.
    #[error("no result came by the deadline")]
    Deadline,
    /// As many attempts as there may be failed.
    #[error("{} failed: {last}", tries(.attempts))]
    Attempts {
        /// How many.
        attempts: u32,
        /// What the last worker said.
        last: String,
    },
    /// The user took it back.
    #[error("it was taken back")]
    Cancelled,
}

fn tries(attempts: &u32) -> String {
    match attempts {
        1 => "the one attempt".to_owned(),
        many => format!("{many} attempts"),
    }
}

/// Why a message or a task was not acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A part is larger than it may be.
    #[error("the {0} is too large")]
    TooLarge(&'static str),
    /// A number is beyond its range.
    #[error("the {0} is out of range")]
    OutOfRange(&'static str),
    /// The timestamp or deadline is too far from this node's clock.
    #[error("the time {0} is too far from this node's clock")]
    OutOfTime(u64),
    /// The deadline has passed.
    #[error("the deadline has passed")]
    TooLate,
    /// It is meant for another node.
    #[error("it is for another node")]
    NotForMe,
    /// The author speaks of an attempt it was never given.
    #[error("the author was not given attempt {0}")]
    NotAssigned(u32),
    /// An offer for a task that is not open here.
    #[error("no such task is open")]
    NotOpen,
    /// The user gave the id to a task before.
    #[error("there is a task of this id already")]
    Duplicate,
    /// Too many tasks are open.
    #[error("too many tasks are open: at most {0}")]
    TooMany(usize),
}

impl Refusal {
    /// Whether an honest, working node never causes this. The others come from timing and repeats.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::TooLarge(_) | Self::OutOfRange(_) | Self::NotAssigned(_)
        )
    }
}
