//! The handle on the driver.

use pagi_api::work::{SwarmTask, SwarmTasks, TaskStream};
use pagi_messages::{Did, Verified};
use pagi_store::StoreError;
use pagi_task::{Refusal, TaskId, TaskMessage, TaskSpec};
use tokio::sync::{mpsc, oneshot};

use crate::{
    door::{self, Rejection},
    now_ms,
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// There is no own task of this id, or none any more.
    #[error("there is no task `{0}`")]
    NotFound(String),
    /// The task was not taken on.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The driver has stopped.
    #[error("the node takes no tasks any more: it is stopping")]
    Closed,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, WorkError>>;

/// What the handle asks of the driver.
pub(crate) enum Command {
    Ask(Box<TaskSpec>, Answer<SwarmTask>),
    Cancel(TaskId, Answer<SwarmTask>),
    Task(TaskId, Answer<SwarmTask>),
    Watch(TaskId, Answer<TaskStream>),
    Tasks(Answer<SwarmTasks>),
    Message(Box<Verified<TaskMessage>>),
    Peer { did: Did, reputation: u32 },
    Refresh,
}

/// A cloneable handle on a node's work.
#[derive(Clone, Debug)]
pub struct Work {
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Work {
    async fn call<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, WorkError> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(command(answer))
            .await
            .map_err(|_| WorkError::Closed)?;
        answered.await.map_err(|_| WorkError::Closed)?
    }

    /// Gives a task to the swarm; returns once it is stored durably.
    ///
    /// # Errors
    /// [`WorkError::Refused`] for a task that is too large, of a known id, or one too many;
    /// [`WorkError::Store`], [`WorkError::Closed`].
    pub async fn ask(&self, spec: TaskSpec) -> Result<SwarmTask, WorkError> {
        self.call(|answer| Command::Ask(Box::new(spec), answer))
            .await
    }

    /// Takes an own task back; one that is over stays as it ended.
    ///
    /// # Errors
    /// [`WorkError::NotFound`], [`WorkError::Store`], [`WorkError::Closed`].
    pub async fn cancel(&self, id: TaskId) -> Result<SwarmTask, WorkError> {
        self.call(|answer| Command::Cancel(id, answer)).await
    }

    /// An own task.
    ///
    /// # Errors
    /// [`WorkError::NotFound`], [`WorkError::Closed`].
    pub async fn task(&self, id: TaskId) -> Result<SwarmTask, WorkError> {
        self.call(|answer| Command::Task(id, answer)).await
    }

    /// What happened to an own task in the life of this process, and what happens until it ends.
    ///
    /// # Errors
    /// [`WorkError::NotFound`], [`WorkError::Closed`].
    pub async fn watch(&self, id: TaskId) -> Result<TaskStream, WorkError> {
        self.call(|answer| Command::Watch(id, answer)).await
    }

    /// Tasks asked and worked on.
    ///
    /// # Errors
    /// [`WorkError::Closed`].
    pub async fn tasks(&self) -> Result<SwarmTasks, WorkError> {
        self.call(Command::Tasks).await
    }

    /// Takes in what the peer `publisher` gossiped on the topic of work.
    ///
    /// # Errors
    /// [`Rejection`]: it is not to be forwarded.
    pub fn gossiped(&self, publisher: &str, data: &[u8]) -> Result<(), Rejection> {
        let message = door::gossiped(publisher, data, now_ms())?;
        self.commands
            .try_send(Command::Message(Box::new(message)))
            .map_err(|_| Rejection::Busy)
    }

    /// Takes in what the peer `sender` brought to this node alone.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn brought(&self, sender: &str, data: &[u8]) -> Result<(), Rejection> {
        let message = door::private(sender, data)?;
        self.commands
            .send(Command::Message(Box::new(message)))
            .await
            .map_err(|_| Rejection::Busy)
    }

    /// A node was heard of: what waits for it is sent again. `reputation` decides between equal
    /// offers; more is better.
    pub fn heard(&self, did: Did, reputation: u32) {
        // A full queue is no harm: the node will be heard of again.
        let _ = self.commands.try_send(Command::Peer { did, reputation });
    }

    /// What this node can do for others has changed.
    pub fn refresh(&self) {
        let _ = self.commands.try_send(Command::Refresh);
    }
}
