//! Why the store could not do as asked.

use std::{io, path::PathBuf, sync::Arc};

/// An error of the store. Cheap to clone: one failed commit answers many writers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another handle in this one, has the directory's store open.
    #[error("the store in {} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error(
        "{} has schema {found}, this program knows up to {supported}: use a newer program",
        path.display()
    )]
    SchemaTooNew {
        /// The file.
        path: PathBuf,
        /// The schema version in the file.
        found: u64,
        /// The latest schema version this program can read.
        supported: u64,
    },
    /// The file is no store, or it was damaged outside this program.
    #[error("{} is not a readable store: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One record cannot be read. The others still can.
    #[error("the record `{key}` of table `{table}` is corrupt: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The record's key, as text.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The write names a record that is not there.
    #[error("there is no `{key}` in table `{table}`")]
    NotFound {
        /// The table.
        table: &'static str,
        /// The missing key.
        key: String,
    },
    /// The write brings something that was there before and may come once only.
    #[error("`{key}` was in table `{table}` before")]
    Duplicate {
        /// The table.
        table: &'static str,
        /// What came again.
        key: String,
    },
    /// The write brings something so old that nobody can tell whether it was there before.
    #[error("`{key}` is too old to tell whether it was in table `{table}` before")]
    Stale {
        /// The table.
        table: &'static str,
        /// What came too late.
        key: String,
    },
    /// The table holds as much as it may.
    #[error("table `{table}` is full: it holds {limit} records")]
    Full {
        /// The table.
        table: &'static str,
        /// How many records it may hold.
        limit: u64,
    },
    /// The record cannot be stored faithfully.
    #[error("a record for table `{table}` cannot be stored: {reason}")]
    Invalid {
        /// The table.
        table: &'static str,
        /// Why not.
        reason: String,
    },
    /// The record is larger than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    #[error("a record for table `{table}` has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The table.
        table: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file or its directory could not be reached.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The database refused. Where a commit failed, the write is there whole or not at all, and
    /// only opening the store again tells which.
    #[error("the database failed: {0}")]
    Database(#[source] Arc<redb::Error>),
    /// The store was closed before the write was queued, or before the read.
    #[error("the store is closed")]
    Closed,
    /// The writer ended without answering: the write may or may not be there.
    #[error("the store ended before it could say whether the write was done")]
    Interrupted,
}

impl StoreError {
    pub(crate) fn io(path: &std::path::Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Arc::new(error.into()))
            }
        })*
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);
