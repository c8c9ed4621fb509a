//! What a node keeps for each swarm it belongs or belonged to: the journal of who was let in and who
//! was put out, and, for the swarms it is away from, the playbook and the election as they were left.
//!
//! A data directory has room for one playbook at a time. When a node starts in another swarm, what
//! belongs to the old one is laid aside in the same transaction that brings out what belongs to the
//! new one, so that a crash leaves one or the other and never a mixture.

use redb::{ReadableTable, WriteTransaction};
use serde_json::Value;

use crate::{
    batch::Batch,
    error::StoreError,
    store::Store,
    tables::{
        ARTIFACT_BLOCKS, ARTIFACTS, ByName, HEADS, JOURNAL, NODE, PEERS, REVISIONS, SETTINGS,
        SHELF, SWARM,
    },
};

/// The setting that holds the election's state.
const ELECTION: &str = "election";

/// Tables whose rows all belong to the swarm.
const WHOLE: [ByName; 3] = [ARTIFACTS, ARTIFACT_BLOCKS, REVISIONS];
/// Single rows that belong to the swarm.
const ROWS: [(ByName, &str); 3] = [(NODE, HEADS), (NODE, PEERS), (SETTINGS, ELECTION)];

/// Appends to the journal of `swarm`.
pub(crate) fn append(txn: &WriteTransaction, swarm: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut table = txn.open_table(JOURNAL.definition())?;
    let last = table
        .range((swarm, 0)..=(swarm, u64::MAX))?
        .next_back()
        .transpose()?
        .map_or(0, |(key, _)| key.value().1);
    let next = last
        .checked_add(1)
        .ok_or_else(|| JOURNAL.corrupt(swarm, "no numbers are left"))?;
    table.insert((swarm, next), bytes)?;
    Ok(())
}

/// Lays the rows of the swarm in use aside and brings out those of `to`. Rows of a store that does
/// not say whose they are belong to `unnamed`.
pub(crate) fn switch(txn: &WriteTransaction, unnamed: &str, to: &str) -> Result<(), StoreError> {
    let from = {
        let node = txn.open_table(NODE.definition())?;
        match node.get(SWARM)? {
            Some(bytes) => NODE.read_json::<String>(SWARM, bytes.value())?,
            None => unnamed.to_owned(),
        }
    };
    if from != to {
        lay_aside(txn, &from)?;
        bring_out(txn, to)?;
    }
    let bytes = NODE.json(&to)?;
    txn.open_table(NODE.definition())?
        .insert(SWARM, bytes.as_slice())?;
    Ok(())
}

fn lay_aside(txn: &WriteTransaction, from: &str) -> Result<(), StoreError> {
    let mut shelf = txn.open_table(SHELF.definition())?;
    for table in WHOLE {
        let mut rows = txn.open_table(table.definition())?;
        while let Some((key, bytes)) = rows.pop_first()? {
            shelf.insert((from, table.name, key.value()), bytes.value())?;
        }
    }
    for (table, key) in ROWS {
        let mut rows = txn.open_table(table.definition())?;
        if let Some(bytes) = rows.remove(key)? {
            shelf.insert((from, table.name, key), bytes.value())?;
        }
    }
    Ok(())
}

fn bring_out(txn: &WriteTransaction, to: &str) -> Result<(), StoreError> {
    let mut shelf = txn.open_table(SHELF.definition())?;
    for table in [ARTIFACTS, ARTIFACT_BLOCKS, REVISIONS, NODE, SETTINGS] {
        let mut rows = txn.open_table(table.definition())?;
        let mut keys = Vec::new();
        // Table names are plain ASCII, so a name with a NUL after it sorts right behind its rows.
        let end = format!("{}\0", table.name);
        for row in shelf.range((to, table.name, "")..(to, end.as_str(), ""))? {
            let (key, bytes) = row?;
            let name = key.value().2.to_owned();
            rows.insert(name.as_str(), bytes.value())?;
            keys.push(name);
        }
        for key in keys {
            shelf.remove((to, table.name, key.as_str()))?;
        }
    }
    Ok(())
}

impl Batch {
    /// Appends to the journal of a swarm.
    pub fn journal(self, swarm: impl Into<String>, entry: Value) -> Self {
        self.with_journal(swarm.into(), entry)
    }
}

impl Store {
    /// Appends entries to the journal of a swarm, all of them or none.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn append_journal(&self, swarm: &str, entries: Vec<Value>) -> Result<(), StoreError> {
        let batch = entries
            .into_iter()
            .fold(Batch::new(), |batch, entry| batch.journal(swarm, entry));
        if batch.is_empty() {
            return Ok(());
        }
        self.write(batch).await.map(drop)
    }

    /// The journal of a swarm, oldest entry first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn journal(&self, swarm: &str) -> Result<Vec<Value>, StoreError> {
        let table = self.begin_read()?.open_table(JOURNAL.definition())?;
        ReadableTable::range(&table, (swarm, 0)..=(swarm, u64::MAX))?
            .map(|row| {
                let (key, bytes) = row?;
                JOURNAL.read_json(format_args!("{swarm}/{}", key.value().1), bytes.value())
            })
            .collect()
    }

    /// Makes `swarm` the one whose playbook, election and remembered peers are in use, laying those
    /// of the one before aside. A store that never was told a swarm is taken to be `unnamed`'s.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub async fn enter_swarm(
        &self,
        unnamed: impl Into<String> + Send,
        swarm: impl Into<String> + Send,
    ) -> Result<(), StoreError> {
        let batch = Batch::new().entering(unnamed.into(), swarm.into());
        self.write(batch).await.map(drop)
    }
}
