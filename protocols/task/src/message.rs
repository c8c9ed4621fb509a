//! What nodes say to each other about tasks.

use pagi_messages::{Did, Domain};
use serde::{Deserialize, Serialize};

use crate::{
    io::Refusal,
    task::{
        MAX_GOAL_BYTES, MAX_NOTE_BYTES, MAX_SUMMARY_BYTES, Outcome, TaskId, TaskKey, within, words,
    },
};

/// What became of a worker's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is the task's result.
    Accepted,
    /// The failure was noted; another worker is sought.
    Noted,
    /// A later attempt took its place, or the task is over.
    Superseded,
    /// The asker does not know the task.
    Unknown,
    /// The asker took the task back.
    Cancelled,
    /// The asker was not heard of in time.
    Expired,
}

impl Verdict {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Noted => "noted",
            Self::Superseded => "superseded",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// A message about a task, signed by the node that sends it.
///
/// Timestamps are milliseconds since the Unix epoch by the sender's clock; they keep two sendings of
/// the same thing apart. All but [`Broadcast`](Self::Broadcast) go to one node alone, and name it or
/// come from the asker to the node they name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskMessage {
    /// The author asks for offers. To everyone.
    Broadcast {
        /// The task's id; with the author, its key.
        id: TaskId,
        /// The twin that asks.
        twin: Did,
        /// What everyone may know of the goal.
        summary: String,
        /// Words of the goal that everyone may know.
        keywords: Vec<String>,
        /// Capabilities that a worker must have.
        needs: Vec<String>,
        /// When the result is no longer wanted.
        deadline_ms: u64,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author would do it. To the asker.
    Offer {
        /// The task.
        task: TaskKey,
        /// The twin that would do it.
        twin: Did,
        /// How busy the author is, in percent.
        load: u8,
        /// How well the author's capabilities fit, in percent.
        score: u8,
        /// When this was sent.
        timestamp: u64,
    },
    /// The worker shall do it. From the asker to the worker.
    Assign {
        /// The task's id.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// The twin that offered.
        twin: Did,
        /// The attempt, from 1; each assignment has a higher one.
        attempt: u32,
        /// The twin that asks.
        asked_by: Did,
        /// The goal.
        goal: String,
        /// When the result is no longer wanted.
        deadline_ms: u64,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author will not do it after all. To the asker.
    Decline {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: String,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author is alive and at it. To the asker.
    Progress {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: u32,
        /// How far it is, in percent.
        percent: u8,
        /// What it does; may be empty.
        note: String,
        /// When this was sent.
        timestamp: u64,
    },
    /// How the author's attempt ended. To the asker, until it is acknowledged.
    Result {
        /// The task.
        task: TaskKey,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// When this was sent.
        timestamp: u64,
    },
    /// What became of a result. From the asker to the worker.
    Ack {
        /// The task's id.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// The attempt.
        attempt: u32,
        /// What became of it.
        verdict: Verdict,
        /// When this was sent.
        timestamp: u64,
    },
    /// Attempts below this one are no longer wanted. From the asker to the worker.
    Cancel {
        /// The task's id.
        id: TaskId,
        /// The worker's node.
        worker: Did,
        /// The lowest attempt that is still wanted; [`u32::MAX`] for none.
        below: u32,
        /// When this was sent.
        timestamp: u64,
    },
}

impl TaskMessage {
    /// When the sender says it was sent, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        match self {
            Self::Broadcast { timestamp, .. }
            | Self::Offer { timestamp, .. }
            | Self::Assign { timestamp, .. }
            | Self::Decline { timestamp, .. }
            | Self::Progress { timestamp, .. }
            | Self::Result { timestamp, .. }
            | Self::Ack { timestamp, .. }
            | Self::Cancel { timestamp, .. } => *timestamp,
        }
    }

    /// Checks the sizes, percentages and attempt numbers. A driver may ask this before it forwards a
    /// broadcast.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] or [`Refusal::OutOfRange`], with the part's name.
    pub fn check(&self) -> Result<(), Refusal> {
        let sizes = match self {
            Self::Broadcast {
                summary,
                keywords,
                needs,
                ..
            } => within(summary, MAX_SUMMARY_BYTES, "summary")
                .and_then(|()| words(keywords, "keywords"))
                .and_then(|()| words(needs, "needs")),
            Self::Assign { goal, .. } => within(goal, MAX_GOAL_BYTES, "goal"),
            Self::Decline { reason, .. } => within(reason, MAX_NOTE_BYTES, "reason"),
            Self::Progress { note, .. } => within(note, MAX_NOTE_BYTES, "note"),
            Self::Result { outcome, .. } => outcome.check(),
            Self::Offer { .. } | Self::Ack { .. } | Self::Cancel { .. } => Ok(()),
        };
        sizes.map_err(Refusal::TooLarge)?;
        match self {
            Self::Offer { load, score, .. } if *load > 100 || *score > 100 => {
                Err(Refusal::OutOfRange("load and score"))
            }
            Self::Progress { percent, .. } if *percent > 100 => Err(Refusal::OutOfRange("percent")),
            Self::Assign { attempt, .. }
            | Self::Decline { attempt, .. }
            | Self::Progress { attempt, .. }
            | Self::Result { attempt, .. }
            | Self::Ack { attempt, .. }
                if *attempt == 0 || *attempt == u32::MAX =>
            {
                Err(Refusal::OutOfRange("attempt"))
            }
            _ => Ok(()),
        }
    }
}

impl Domain for TaskMessage {
    const DOMAIN: &'static str = "task/1";
}
