//! The tables, their names, and the version of their schema.

use std::{fmt::Display, marker::PhantomData, path::Path};

use redb::{
    Database, Durability, Key, ReadableDatabase, TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::{error::StoreError, record};

/// The version of the tables below. A change that an earlier program would misread raises it.
pub const SCHEMA_VERSION: u64 = 1;

/// A table of records. It knows its name, so that errors can say where a bad record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<K> {
    /// Its name in the file.
    pub(crate) name: &'static str,
    key: PhantomData<fn() -> K>,
}

/// A table of records by name.
pub(crate) type ByName = Table<&'static str>;
/// A log: records by sequence number.
pub(crate) type BySeq = Table<u64>;

const SCHEMA: TableDefinition<'static, &'static str, u64> = TableDefinition::new("schema");
const VERSION: &str = "version";

pub(crate) const TWINS: ByName = Table::new("twins");
/// By twin and sequence number.
pub(crate) const MEMORY: Table<(&str, u64)> = Table::new("memory");
pub(crate) const EMOTION: ByName = Table::new("emotion");
pub(crate) const TOOLS: ByName = Table::new("tools");
/// By twin and tool.
pub(crate) const GRANTS: Table<(&str, &str)> = Table::new("grants");
pub(crate) const EVENTS: BySeq = Table::new("events");
pub(crate) const AUDIT: BySeq = Table::new("audit");
/// Received messages, by twin and sequence number.
pub(crate) const INBOX: Table<(&str, u64)> = Table::new("inbox");
/// Received messages that could come again, by what they are known by.
pub(crate) const INBOX_SEEN: ByName = Table::new("inbox_seen");
/// The same by when they can no longer come, in seconds since 1970.
pub(crate) const INBOX_ENDS: Table<(u64, &str)> = Table::new("inbox_ends");
/// Messages under way, by twin and message.
pub(crate) const OUTBOX: ByName = Table::new("outbox");
/// Own tasks given to the swarm, by id.
pub(crate) const ASKED_TASKS: ByName = Table::new("asked_tasks");
/// Tasks of other nodes, by their full name.
pub(crate) const WORKED_TASKS: ByName = Table::new("worked_tasks");
/// What is known of an artifact, without its bytes.
pub(crate) const ARTIFACTS: ByName = Table::new("artifacts");
/// The bytes of an artifact: apart, so that a change of status does not write them again.
pub(crate) const ARTIFACT_BLOCKS: ByName = Table::new("artifact_blocks");
pub(crate) const REVISIONS: ByName = Table::new("revisions");
/// Who was let into a swarm and who was put out, by swarm and sequence number.
pub(crate) const JOURNAL: Table<(&str, u64)> = Table::new("swarm_journal");
/// What belongs to swarms this node is away from, by swarm, table and key.
pub(crate) const SHELF: Table<(&str, &str, &str)> = Table::new("swarm_shelf");
pub(crate) const SETTINGS: ByName = Table::new("settings");
/// Single values of the node's own.
pub(crate) const NODE: ByName = Table::new("node");
/// Key in [`NODE`]: the CIDs of the playbook heads.
pub(crate) const HEADS: &str = "heads";
/// Key in [`NODE`]: the multiaddrs of remembered peers.
pub(crate) const PEERS: &str = "peers";
/// Key in [`NODE`]: the swarm whose playbook and election are in use.
pub(crate) const SWARM: &str = "swarm";
/// Key in [`NODE`]: messages that end by then are refused, for they may have been forgotten.
pub(crate) const INBOX_FLOOR: &str = "inbox_floor";

impl<K> Table<K> {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            key: PhantomData,
        }
    }

    /// `value` as a JSON record of this table.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, StoreError> {
        record::json(self.name, value)
    }

    /// `value` as a raw record of this table.
    pub(crate) fn raw(&self, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        record::raw(self.name, value)
    }

    /// The value of the JSON record at `key`.
    pub(crate) fn read_json<'a, T: Deserialize<'a>>(
        &self,
        key: impl Display,
        bytes: &'a [u8],
    ) -> Result<T, StoreError> {
        record::from_json(self.name, &key, bytes)
    }

    /// The bytes of the raw record at `key`.
    pub(crate) fn read_raw(&self, key: impl Display, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        record::from_raw(self.name, &key, bytes)
    }

    /// The error for a missing `key`.
    pub(crate) fn not_found(&self, key: impl Into<String>) -> StoreError {
        StoreError::NotFound {
            table: self.name,
            key: key.into(),
        }
    }

    /// The error for a `key` that was there before.
    pub(crate) fn duplicate(&self, key: impl Into<String>) -> StoreError {
        StoreError::Duplicate {
            table: self.name,
            key: key.into(),
        }
    }

    /// The error for a `key` that may have been there and forgotten.
    pub(crate) fn stale(&self, key: impl Into<String>) -> StoreError {
        StoreError::Stale {
            table: self.name,
            key: key.into(),
        }
    }

    /// The error for a record at `key` that makes no sense.
    pub(crate) fn corrupt(&self, key: impl Display, reason: &str) -> StoreError {
        StoreError::Corrupt {
            table: self.name,
            key: key.to_string(),
            reason: reason.to_owned(),
        }
    }
}

impl<K: Key + 'static> Table<K> {
    /// The table in the terms of the database.
    pub(crate) fn definition(&self) -> TableDefinition<'static, K, &'static [u8]> {
        TableDefinition::new(self.name)
    }
}

/// Begins a transaction whose commit is on disk when it returns.
pub(crate) fn begin_durable(db: &Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    Ok(txn)
}

/// Makes every table of a new database, empty, so that readers always find them.
pub(crate) fn create_all(db: &Database) -> Result<(), StoreError> {
    let txn = begin_durable(db)?;
    create_each(&txn)?;
    txn.open_table(SCHEMA)?.insert(VERSION, SCHEMA_VERSION)?;
    txn.commit()?;
    Ok(())
}

/// Makes the tables that a database of an earlier program does not have yet.
pub(crate) fn create_missing(db: &Database) -> Result<(), StoreError> {
    let known = db.begin_read()?.list_tables()?.count();
    if known > TABLES {
        return Ok(());
    }
    let txn = begin_durable(db)?;
    create_each(&txn)?;
    txn.commit()?;
    Ok(())
}

/// How many tables there are beside that of the schema's version.
const TABLES: usize = 20;

fn create_each(txn: &WriteTransaction) -> Result<(), StoreError> {
    for table in [
        TWINS,
        EMOTION,
        TOOLS,
        ARTIFACTS,
        ARTIFACT_BLOCKS,
        REVISIONS,
        SETTINGS,
        NODE,
        INBOX_SEEN,
        OUTBOX,
        ASKED_TASKS,
        WORKED_TASKS,
    ] {
        create(txn, table)?;
    }
    create(txn, MEMORY)?;
    create(txn, GRANTS)?;
    create(txn, EVENTS)?;
    create(txn, AUDIT)?;
    create(txn, INBOX)?;
    create(txn, INBOX_ENDS)?;
    create(txn, JOURNAL)?;
    create(txn, SHELF)
}

fn create<K: Key + 'static>(txn: &WriteTransaction, table: Table<K>) -> Result<(), StoreError> {
    txn.open_table(table.definition())?;
    Ok(())
}

/// Checks that `db`, the file at `path`, has a schema this program knows.
pub(crate) fn check_schema(db: &Database, path: &Path) -> Result<(), StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let version = match db.begin_read()?.open_table(SCHEMA) {
        Ok(table) => table.get(VERSION)?.map(|version| version.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(other) => return Err(damaged(other.to_string())),
    };
    match version {
        Some(SCHEMA_VERSION) => Ok(()),
        Some(found) if found > SCHEMA_VERSION => Err(StoreError::SchemaTooNew {
            path: path.to_owned(),
            found,
            supported: SCHEMA_VERSION,
        }),
        Some(found) => Err(damaged(format!("there never was a schema version {found}"))),
        None => Err(damaged("it has no schema version".to_owned())),
    }
}
