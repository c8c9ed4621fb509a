//! Work asked of the swarm and work done for it: what a task machine must find again after a crash.

use pagi_task::{Change, Durable, TaskIdError};

use crate::{
    batch::PreparedOp,
    error::StoreError,
    store::Store,
    tables::{ASKED_TASKS, ByName, WORKED_TASKS},
};

/// The write that carries out `change`.
pub(crate) fn prepare(change: &Change) -> Result<PreparedOp, StoreError> {
    fn put_or_remove<T: serde::Serialize>(
        table: ByName,
        key: String,
        record: Option<&T>,
    ) -> Result<PreparedOp, StoreError> {
        Ok(match record {
            Some(record) => PreparedOp::Put {
                table,
                key,
                bytes: table.json(record)?,
            },
            None => PreparedOp::Remove { table, key },
        })
    }
    match change {
        Change::Asked(id, record) => put_or_remove(ASKED_TASKS, id.to_string(), record.as_ref()),
        Change::Worked(key, record) => {
            put_or_remove(WORKED_TASKS, key.to_string(), record.as_ref())
        }
    }
}

/// Reads; see those of the other records for their errors.
impl Store {
    /// Every task's record, asked or worked on.
    ///
    /// # Errors
    /// Those of every read.
    pub fn tasks(&self) -> Result<Durable, StoreError> {
        let txn = self.begin_read()?;
        let mut durable = Durable::default();
        let bad =
            |table: ByName, key: &str, error: &TaskIdError| table.corrupt(key, &error.to_string());
        for row in redb::ReadableTable::iter(&txn.open_table(ASKED_TASKS.definition())?)? {
            let (key, bytes) = row?;
            let text = key.value();
            let id = text
                .parse()
                .map_err(|error| bad(ASKED_TASKS, text, &error))?;
            let record = ASKED_TASKS.read_json(text, bytes.value())?;
            durable.asked.insert(id, record);
        }
        for row in redb::ReadableTable::iter(&txn.open_table(WORKED_TASKS.definition())?)? {
            let (key, bytes) = row?;
            let text = key.value();
            let task = text
                .parse()
                .map_err(|error| bad(WORKED_TASKS, text, &error))?;
            let record = WORKED_TASKS.read_json(text, bytes.value())?;
            durable.worked.insert(task, record);
        }
        Ok(durable)
    }
}
