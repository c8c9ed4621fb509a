//! The one thread that writes.
//!
//! It takes what is queued, up to a bound, as one group: one transaction, one fsync, then the
//! answers. Where one write of a group fails, the transaction is aborted and the group's writes are
//! done again one by one, so that a failure is its own writer's alone.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
};

use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    apply::{apply, trim},
    batch::{BatchOutcome, Prepared, PreparedOp},
    error::StoreError,
    model::{LoggedEvent, StoreLimits},
    tables,
};

/// Most batches in one group.
const MAX_GROUP: usize = 256;
/// Bytes of records after which a group is full.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// To write a batch and answer after the commit.
    Write(Job),
    /// To do what is queued and end.
    Close,
}

/// A batch, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: Prepared,
    pub(crate) reply: oneshot::Sender<Result<BatchOutcome, StoreError>>,
}

/// What the writer and the handles both see.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The database until the store is closed. The lock is only ever held to begin a transaction or
    /// to take the database away.
    db: RwLock<Option<Database>>,
    /// Whether the store is closed, for those who wait for it.
    pub(crate) closed: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(db: Database) -> Arc<Self> {
        Arc::new(Self {
            db: RwLock::new(Some(db)),
            closed: watch::Sender::new(false),
        })
    }

    /// Begins a snapshot.
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        Ok(db.as_ref().ok_or(StoreError::Closed)?.begin_read()?)
    }

    fn begin_write(&self) -> Result<redb::WriteTransaction, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        tables::begin_durable(db.as_ref().ok_or(StoreError::Closed)?)
    }

    fn take(&self) -> Option<Database> {
        self.db
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The writer's side of a store.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: mpsc::Receiver<Command>,
    /// Where committed events go.
    pub(crate) live: broadcast::Sender<LoggedEvent>,
    pub(crate) limits: StoreLimits,
    /// The lock on the directory, where there is one.
    pub(crate) lock: Option<File>,
}

impl Writer {
    /// Works until the store is closed or its last handle is gone, then closes the database and
    /// releases the directory.
    pub(crate) fn run(mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            tracing::error!("the store's writer panicked; the store is closed");
        }
        self.queue.close();
        if let Some(db) = self.shared.take()
            && let Err(error) = db.close()
        {
            tracing::error!(%error, "the store did not close cleanly; it is repaired when opened");
        }
        if let Some(lock) = self.lock
            && let Err(error) = lock.unlock()
        {
            tracing::warn!(%error, "the store's lock could not be released before its file closes");
        }
        self.shared.closed.send_replace(true);
    }

    fn work(&mut self) {
        while let Some(command) = self.queue.blocking_recv() {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    // From here on nothing is queued, and what was is still received.
                    Command::Close => self.queue.close(),
                    Command::Write(job) => {
                        bytes += job.batch.bytes;
                        group.push(job);
                    }
                }
                if group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
                    next = self.queue.try_recv().ok();
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
    }

    fn commit(&self, group: Vec<Job>) {
        match self.attempt(&group) {
            Ok(outcomes) => {
                for (job, outcome) in group.into_iter().zip(outcomes) {
                    self.publish(job.batch, &outcome);
                    // Whoever stopped waiting still has the write.
                    let _ = job.reply.send(Ok(outcome));
                }
            }
            Err(Failure::Write(_)) if group.len() > 1 => {
                for job in group {
                    self.commit(vec![job]);
                }
            }
            Err(Failure::Write(error) | Failure::Transaction(error)) => {
                for job in group {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn attempt(&self, group: &[Job]) -> Result<Vec<BatchOutcome>, Failure> {
        let txn = self.shared.begin_write().map_err(Failure::Transaction)?;
        let applied = group
            .iter()
            .map(|job| apply(&txn, &job.batch, self.limits))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|outcomes| {
                trim(&txn, group.iter().map(|job| &job.batch), self.limits)?;
                Ok(outcomes)
            });
        match applied {
            Ok(outcomes) => {
                txn.commit().map_err(|error| {
                    tracing::error!(%error, "a commit failed");
                    Failure::Transaction(error.into())
                })?;
                Ok(outcomes)
            }
            Err(error) => {
                // The error that brought us here says more than one of the abort would.
                if let Err(abort) = txn.abort() {
                    tracing::error!(error = %abort, "a failed write could not be rolled back");
                }
                Err(Failure::Write(error))
            }
        }
    }

    fn publish(&self, batch: Prepared, outcome: &BatchOutcome) {
        if self.live.receiver_count() == 0 {
            return;
        }
        let events = batch.ops.into_iter().filter_map(|op| match op {
            PreparedOp::Event { event, .. } => Some(*event),
            _ => None,
        });
        for (event, &seq) in events.zip(&outcome.events) {
            // No receiver is no failure: they may all have gone by now.
            let _ = self.live.send(LoggedEvent { seq, event });
        }
    }
}

/// Why a group was not committed.
enum Failure {
    /// One of its writes failed; the others deserve another try.
    Write(StoreError),
    /// The transaction itself failed; nothing would be better one by one.
    Transaction(StoreError),
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use serde_json::json;

    use super::*;
    use crate::{Batch, Store};

    fn writer() -> Writer {
        let db = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .unwrap();
        tables::create_all(&db).unwrap();
        let (_, queue) = mpsc::channel(1);
        let limits = StoreLimits::default();
        let live = broadcast::channel(16).0;
        Writer {
            shared: Shared::new(db),
            queue,
            live,
            limits,
            lock: None,
        }
    }

    type Answer = oneshot::Receiver<Result<BatchOutcome, StoreError>>;

    fn job(batch: Batch) -> (Job, Answer) {
        let (reply, answer) = oneshot::channel();
        (
            Job {
                batch: batch.prepare().unwrap(),
                reply,
            },
            answer,
        )
    }

    fn event(tag: &str) -> pagi_messages::Event {
        pagi_messages::Event::new(
            uuid::Uuid::new_v4(),
            time::OffsetDateTime::UNIX_EPOCH,
            pagi_messages::EventType::GoalReceived,
            "test",
            json!(tag),
        )
    }

    #[test]
    fn one_failing_write_of_a_group_fails_alone_and_leaves_nothing() {
        let writer = writer();
        let mut live = writer.live.subscribe();
        let (jobs, mut answers): (Vec<_>, Vec<_>) = [
            Batch::new().event(event("a")),
            Batch::new()
                .event(event("bad"))
                .artifact_status("none", "merged", None),
            Batch::new().event(event("c")).setting("k", json!(1)),
        ]
        .into_iter()
        .map(job)
        .unzip();
        writer.commit(jobs);

        let mut answer = |index: usize| answers[index].try_recv().unwrap();
        assert_eq!(answer(0).unwrap().events, [1]);
        assert!(matches!(
            answer(1),
            Err(StoreError::NotFound {
                table: "artifacts",
                ..
            })
        ));
        assert_eq!(answer(2).unwrap().events, [2]);
        for (seq, tag) in [(1, "a"), (2, "c")] {
            let seen = live.try_recv().unwrap();
            assert_eq!((seen.seq, seen.event.payload), (seq, json!(tag)));
        }
        assert!(live.try_recv().is_err());
    }

    #[test]
    fn a_group_of_good_writes_is_one_commit() {
        let writer = writer();
        let before = writer.shared.begin_read().unwrap();
        let (jobs, answers): (Vec<_>, Vec<_>) = (0..9)
            .map(|n| job(Batch::new().event(event(&n.to_string()))))
            .unzip();
        let outcomes = writer.attempt(&jobs).map_err(|_| "failed").unwrap();
        let seqs: Vec<_> = outcomes
            .iter()
            .flat_map(|outcome| outcome.events.clone())
            .collect();
        assert_eq!(seqs, (1..=9).collect::<Vec<_>>());
        // Not answered by the attempt: answers follow the commit.
        for mut answer in answers {
            assert!(answer.try_recv().is_err());
        }
        // An earlier snapshot does not see it.
        let table = before.open_table(tables::EVENTS.definition()).unwrap();
        assert_eq!(redb::ReadableTableMetadata::len(&table).unwrap(), 0);
    }

    #[test]
    fn handles_are_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<Store>();
    }
}
