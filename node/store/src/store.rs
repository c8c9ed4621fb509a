//! The handle of a store: opening, closing and writing.

use std::{
    fs::File,
    io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use pagi_messages::Event;
use redb::{Database, ReadTransaction};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    batch::{Batch, BatchOutcome},
    error::StoreError,
    file,
    model::{
        ArtifactRecord, AuditRecord, EmotionRecord, LoggedEvent, MemoryEntry, Role, StoreLimits,
        ToolRecord, TwinRecord,
    },
    writer::{Command, Job, Shared, Writer},
};

/// Batches that may wait for the writer. Whoever comes later waits to be queued.
const QUEUE: usize = 1024;
/// Events a slow subscriber may fall behind before it has to read the log again.
const LIVE: usize = 1024;

/// An open store. Clones are handles of the same store.
///
/// A write method returns once its commit is on disk. One that is dropped while it waits may or may
/// not have written. Writes are done in the order they were queued.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// Until the last handle is dropped.
    queue: Option<mpsc::Sender<Command>>,
    /// Weak, so that subscribers see the end when the writer ends.
    live: broadcast::WeakSender<LoggedEvent>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when no one can queue any more; wait for its last commit, so that the
        // directory is free when the last handle is gone.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Store {
    /// Opens the store in `dir` with the default limits. The directory and `pagi.redb` in it (mode
    /// 0600) are made if they are not there. Blocks while the file is checked, and repaired after a
    /// crash.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where the store is open elsewhere, [`StoreError::SchemaTooNew`],
    /// [`StoreError::Damaged`] where the file is no whole store, [`StoreError::Io`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, StoreLimits::default())
    }

    /// Whether there is a store in `dir`. Nothing is made or opened.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        dir.join(file::DATABASE).exists()
    }

    /// [`Store::open`] with limits of one's own.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open_with(dir: &Path, limits: StoreLimits) -> Result<Self, StoreError> {
        let opened = file::open(dir)?;
        Self::start(opened.db, Some(opened.lock), limits)
            .map_err(|error| StoreError::io(dir, error))
    }

    /// Starts the writer of `db`, whose tables are there.
    pub(crate) fn start(
        db: Database,
        lock: Option<File>,
        limits: StoreLimits,
    ) -> Result<Self, io::Error> {
        let shared = Shared::new(db);
        let (queue, commands) = mpsc::channel(QUEUE);
        let (live, _) = broadcast::channel(LIVE);
        let weak = live.downgrade();
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue: commands,
            live,
            limits,
            lock,
        };
        let writer = thread::Builder::new()
            .name("pagi-store".to_owned())
            .spawn(move || writer.run())?;
        let inner = Inner {
            shared,
            queue: Some(queue),
            live: weak,
            writer: Some(writer),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Writes what is queued, closes the file and frees the directory; returns when that is done,
    /// also where another handle asked for it. Every later call gives [`StoreError::Closed`], and
    /// subscribers see the end.
    pub async fn close(&self) {
        if let Some(queue) = &self.inner.queue {
            // An error says that the store is closed or closing.
            let _ = queue.send(Command::Close).await;
        }
        // The sender is in `shared`, which we hold: this cannot fail.
        let _ = self
            .inner
            .shared
            .closed
            .subscribe()
            .wait_for(|closed| *closed)
            .await;
    }

    /// The committed events from now on, in order. A receiver that lags has to read the log again,
    /// see [`Store::events_after`]; [`Store::follow`] does so by itself.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<LoggedEvent> {
        match self.inner.live.upgrade() {
            Some(live) => live.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.inner.shared.begin_read()
    }

    /// Writes a batch as one atomic transaction.
    ///
    /// # Errors
    /// Nothing was written with [`StoreError::Invalid`], [`StoreError::TooLarge`],
    /// [`StoreError::NotFound`], [`StoreError::Corrupt`] and [`StoreError::Closed`]. Whether it was
    /// is unknown with [`StoreError::Database`] and [`StoreError::Interrupted`].
    pub async fn write(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let batch = batch.prepare()?;
        let (reply, answer) = oneshot::channel();
        let queue = self.inner.queue.as_ref().ok_or(StoreError::Closed)?;
        queue
            .send(Command::Write(Job { batch, reply }))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Interrupted)?
    }

    /// Puts a twin, replacing one of the same id.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_twin(&self, record: TwinRecord) -> Result<(), StoreError> {
        self.write(Batch::new().twin(record)).await.map(drop)
    }

    /// Appends to a twin's memory. `ts` is RFC 3339.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn append_memory(
        &self,
        twin_id: impl Into<String> + Send,
        role: Role,
        content: impl Into<String> + Send,
        ts: impl Into<String> + Send,
    ) -> Result<MemoryEntry, StoreError> {
        let outcome = self
            .write(Batch::new().memory(twin_id, role, content, ts))
            .await?;
        one(outcome.memories)
    }

    /// Puts a twin's emotion. Its numbers must be finite.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_emotion(
        &self,
        twin_id: impl Into<String> + Send,
        record: EmotionRecord,
    ) -> Result<(), StoreError> {
        self.write(Batch::new().emotion(twin_id, record))
            .await
            .map(drop)
    }

    /// Puts a tool, replacing one of the same name.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_tool(&self, record: ToolRecord) -> Result<(), StoreError> {
        self.write(Batch::new().tool(record)).await.map(drop)
    }

    /// Removes a tool and says whether it was there. What was granted of its name stays granted.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn remove_tool(&self, name: impl Into<String> + Send) -> Result<bool, StoreError> {
        let outcome = self.write(Batch::new().remove_tool(name)).await?;
        Ok(!outcome.removed_tools.is_empty())
    }

    /// Says whether a twin may call a tool.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn allow(
        &self,
        twin_id: impl Into<String> + Send,
        tool: impl Into<String> + Send,
        allowed: bool,
    ) -> Result<(), StoreError> {
        self.write(Batch::new().allow(twin_id, tool, allowed))
            .await
            .map(drop)
    }

    /// Appends to the event log and gives the event's sequence number.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn append_event(&self, event: Event) -> Result<u64, StoreError> {
        one(self.write(Batch::new().event(event)).await?.events)
    }

    /// Appends to the event log, all or none, under consecutive sequence numbers.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn append_events(&self, events: Vec<Event>) -> Result<Vec<u64>, StoreError> {
        Ok(self.write(Batch::new().events(events)).await?.events)
    }

    /// Appends to the audit log and gives the record's sequence number. The record's own `seq` is
    /// not looked at.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn append_audit(&self, record: AuditRecord) -> Result<u64, StoreError> {
        one(self.write(Batch::new().audit(record)).await?.audits)
    }

    /// Puts an artifact under `cid`, replacing what was there.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_artifact(
        &self,
        cid: impl Into<String> + Send,
        record: ArtifactRecord,
    ) -> Result<(), StoreError> {
        let record = ArtifactRecord {
            cid: cid.into(),
            ..record
        };
        self.write(Batch::new().artifact(record)).await.map(drop)
    }

    /// Changes an artifact's status.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where this node does not hold it; those of [`Store::write`].
    pub async fn set_artifact_status(
        &self,
        cid: impl Into<String> + Send,
        status: impl Into<String> + Send,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(Batch::new().artifact_status(cid, status, reason))
            .await
            .map(drop)
    }

    /// Puts the block of a playbook revision under its CID.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_revision(
        &self,
        cid: impl Into<String> + Send,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(Batch::new().revision(cid, bytes))
            .await
            .map(drop)
    }

    /// Replaces the playbook heads.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn set_heads(&self, cids: Vec<String>) -> Result<(), StoreError> {
        self.write(Batch::new().heads(cids)).await.map(drop)
    }

    /// Adopts playbook revisions in one transaction: their blocks (CID, bytes), the new heads, the
    /// artifacts whose status changes by it (CID, status, reason) and the events that tell of it.
    /// Artifacts this node does not hold are passed over and named in the outcome.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn adopt(
        &self,
        blocks: Vec<(String, Vec<u8>)>,
        heads: Vec<String>,
        statuses: Vec<(String, String, Option<String>)>,
        events: Vec<Event>,
    ) -> Result<BatchOutcome, StoreError> {
        let mut batch = Batch::new();
        for (cid, bytes) in blocks {
            batch = batch.revision(cid, bytes);
        }
        batch = batch.heads(heads);
        for (cid, status, reason) in statuses {
            batch = batch.known_artifact_status(cid, status, reason);
        }
        self.write(batch.events(events)).await
    }

    /// Puts a setting, replacing what was under `key`.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_setting(
        &self,
        key: impl Into<String> + Send,
        value: Value,
    ) -> Result<(), StoreError> {
        self.write(Batch::new().setting(key, value)).await.map(drop)
    }

    /// Replaces the remembered peers' multiaddrs.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn put_peers(&self, multiaddrs: Vec<String>) -> Result<(), StoreError> {
        self.write(Batch::new().peers(multiaddrs)).await.map(drop)
    }
}

/// The one thing a single write was given.
fn one<T>(mut given: Vec<T>) -> Result<T, StoreError> {
    given.pop().ok_or(StoreError::Interrupted)
}
