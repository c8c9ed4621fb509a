//! What the driver needs of the rest of the node, as small traits.

use async_trait::async_trait;
use pagi_messages::Did;
use pagi_task::{LocalCapabilities, Outcome, TaskKey};
use tokio::sync::mpsc;

/// The way to other nodes.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Publishes signed bytes to every node of the swarm.
    ///
    /// # Errors
    /// [`WireError`] where they were not handed over.
    async fn gossip(&self, data: Vec<u8>) -> Result<(), WireError>;

    /// Brings signed bytes to the node `to` alone, so that no other node can read them.
    ///
    /// # Errors
    /// [`WireError`] where it did not take them.
    async fn send(&self, to: &Did, data: Vec<u8>) -> Result<(), WireError>;
}

/// Why a message did not go out. The machine says what matters again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

/// Where the work of others is done.
#[async_trait]
pub trait Bench: Send + Sync {
    /// What this node does for others; `None` while it takes no work.
    async fn able(&self) -> Option<LocalCapabilities>;

    /// How busy this node is, in percent, with `jobs` goals of others at work.
    fn load(&self, jobs: usize) -> u8;

    /// Works. Dropping the future ends the work where it stands.
    async fn run(&self, job: Job, progress: Progress) -> Outcome;
}

/// A goal of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The task; its asker is the node that wants the goal reached.
    pub task: TaskKey,
    /// The twin that works.
    pub twin: Did,
    /// The twin for which the asker asks; the asker's word.
    pub asked_by: Did,
    /// The goal.
    pub goal: String,
}

/// Where a job says how far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    pub(crate) task: TaskKey,
    pub(crate) reports: mpsc::Sender<Report>,
}

impl Progress {
    /// Says how far the job is, in percent, and what it does. What nobody has time for is dropped.
    pub fn say(&self, percent: u8, note: impl Into<String>) {
        let _ = self.reports.try_send(Report::Progress {
            task: self.task.clone(),
            percent,
            note: note.into(),
        });
    }
}

/// What a job tells its driver.
#[derive(Debug)]
pub(crate) enum Report {
    Progress {
        task: TaskKey,
        percent: u8,
        note: String,
    },
    Ended {
        task: TaskKey,
        attempt: u32,
        outcome: Outcome,
    },
}
