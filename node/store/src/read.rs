//! The reads of a [`Store`]. Each is a snapshot of its own and waits for no one, but touches the
//! disk where a page is not in memory.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use pagi_messages::EventType;
use redb::ReadableTable;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    apply::{first_of_twin, last_of_twin},
    batch::{StoredArtifact, StoredMemory},
    error::StoreError,
    model::{
        ArtifactRecord, AuditRecord, EmotionRecord, EventFilter, LoggedEvent, MemoryEntry,
        ToolRecord, TwinRecord,
    },
    store::Store,
    tables::{
        ARTIFACT_BLOCKS, ARTIFACTS, AUDIT, ByName, EMOTION, EVENTS, GRANTS, HEADS, MEMORY, NODE,
        PEERS, REVISIONS, SETTINGS, TOOLS, TWINS,
    },
};

/// Every read gives [`StoreError::Closed`] after [`Store::close`], [`StoreError::Corrupt`] where a
/// record it needs cannot be read, and [`StoreError::Database`] where the file cannot.
impl Store {
    /// A twin.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_twin(&self, twin_id: &str) -> Result<Option<TwinRecord>, StoreError> {
        self.get(TWINS, twin_id)
    }

    /// Every twin, oldest first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn list_twins(&self) -> Result<Vec<TwinRecord>, StoreError> {
        let mut twins: Vec<TwinRecord> = self.list(TWINS)?;
        twins.sort_by(|a, b| {
            by_time(&a.created_at, &b.created_at).then_with(|| a.twin_id.cmp(&b.twin_id))
        });
        Ok(twins)
    }

    /// A twin's memories: the newest `limit` of them, newest first, or else the oldest `limit`,
    /// oldest first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn memories(
        &self,
        twin_id: &str,
        limit: Option<usize>,
        newest_first: bool,
    ) -> Result<Vec<MemoryEntry>, StoreError> {
        let table = self.begin_read()?.open_table(MEMORY.definition())?;
        let range = ReadableTable::range(&table, (twin_id, 0)..=(twin_id, u64::MAX))?;
        let limit = limit.unwrap_or(usize::MAX);
        let entry = |row: Result<_, redb::StorageError>| {
            let (key, bytes): (
                redb::AccessGuard<'_, (&str, u64)>,
                redb::AccessGuard<'_, &[u8]>,
            ) = row?;
            let seq = key.value().1;
            let stored: StoredMemory =
                MEMORY.read_json(format_args!("{twin_id}/{seq}"), bytes.value())?;
            Ok(MemoryEntry {
                seq,
                id: stored.id,
                twin_id: twin_id.to_owned(),
                role: stored.role,
                content: stored.content,
                ts: stored.ts,
            })
        };
        if newest_first {
            range.rev().take(limit).map(entry).collect()
        } else {
            range.take(limit).map(entry).collect()
        }
    }

    /// How many memories of a twin are kept.
    ///
    /// # Errors
    /// Those of every read.
    pub fn memory_count(&self, twin_id: &str) -> Result<u64, StoreError> {
        let table = self.begin_read()?.open_table(MEMORY.definition())?;
        let (first, last) = (
            first_of_twin(&table, twin_id)?,
            last_of_twin(&table, twin_id)?,
        );
        // Numbers of one twin have no gaps.
        Ok(first.zip(last).map_or(0, |(first, last)| {
            last.saturating_sub(first).saturating_add(1)
        }))
    }

    /// A twin's emotion.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_emotion(&self, twin_id: &str) -> Result<Option<EmotionRecord>, StoreError> {
        self.get(EMOTION, twin_id)
    }

    /// A tool.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_tool(&self, name: &str) -> Result<Option<ToolRecord>, StoreError> {
        self.get(TOOLS, name)
    }

    /// Every tool, by name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn list_tools(&self) -> Result<Vec<ToolRecord>, StoreError> {
        self.list(TOOLS)
    }

    /// Whether a twin may call a tool; `None` where nothing was said.
    ///
    /// # Errors
    /// Those of every read.
    pub fn allowed(&self, twin_id: &str, tool: &str) -> Result<Option<bool>, StoreError> {
        let table = self.begin_read()?.open_table(GRANTS.definition())?;
        let Some(bytes) = ReadableTable::get(&table, (twin_id, tool))? else {
            return Ok(None);
        };
        GRANTS
            .read_json(format_args!("{twin_id}/{tool}"), bytes.value())
            .map(Some)
    }

    /// Everything said of what a twin may call, by tool.
    ///
    /// # Errors
    /// Those of every read.
    pub fn grants(&self, twin_id: &str) -> Result<BTreeMap<String, bool>, StoreError> {
        let table = self.begin_read()?.open_table(GRANTS.definition())?;
        let mut grants = BTreeMap::new();
        for row in ReadableTable::range(&table, (twin_id, "")..)? {
            let (key, bytes) = row?;
            let (owner, tool) = key.value();
            if owner != twin_id {
                break;
            }
            let allowed = GRANTS.read_json(format_args!("{twin_id}/{tool}"), bytes.value())?;
            grants.insert(tool.to_owned(), allowed);
        }
        Ok(grants)
    }

    /// The first `limit` events after `seq` that pass `filter`. Where the events after `seq` are no
    /// longer kept, it begins at [`Store::first_event_seq`]. A filter that little passes reads much
    /// of the log.
    ///
    /// # Errors
    /// Those of every read.
    pub fn events_after(
        &self,
        seq: u64,
        limit: usize,
        filter: &EventFilter,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut events = Vec::new();
        let Some(from) = seq.checked_add(1).filter(|_| limit > 0) else {
            return Ok(events);
        };
        let table = self.begin_read()?.open_table(EVENTS.definition())?;
        for row in ReadableTable::range(&table, from..)? {
            let (key, bytes) = row?;
            let seq = key.value();
            if !filter.is_empty() {
                let head: EventHead<'_> = EVENTS.read_json(seq, bytes.value())?;
                if !filter.passes(head.event_type, head.twin_id.as_deref(), &head.source) {
                    continue;
                }
            }
            events.push(LoggedEvent {
                seq,
                event: EVENTS.read_json(seq, bytes.value())?,
            });
            if events.len() == limit {
                break;
            }
        }
        Ok(events)
    }

    /// The sequence number of the newest event, 0 where there never was one.
    ///
    /// # Errors
    /// Those of every read.
    pub fn last_event_seq(&self) -> Result<u64, StoreError> {
        let table = self.begin_read()?.open_table(EVENTS.definition())?;
        Ok(table.last()?.map_or(0, |(seq, _)| seq.value()))
    }

    /// The sequence number of the oldest event still kept, `None` where there is none.
    ///
    /// # Errors
    /// Those of every read.
    pub fn first_event_seq(&self) -> Result<Option<u64>, StoreError> {
        let table = self.begin_read()?.open_table(EVENTS.definition())?;
        Ok(table.first()?.map(|(seq, _)| seq.value()))
    }

    /// The first `limit` audit records after `seq` that are still kept.
    ///
    /// # Errors
    /// Those of every read.
    pub fn audit_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let Some(from) = seq.checked_add(1) else {
            return Ok(Vec::new());
        };
        let table = self.begin_read()?.open_table(AUDIT.definition())?;
        ReadableTable::range(&table, from..)?
            .take(limit)
            .map(|row| {
                let (key, bytes) = row?;
                let seq = key.value();
                let record: AuditRecord = AUDIT.read_json(seq, bytes.value())?;
                Ok(AuditRecord { seq, ..record })
            })
            .collect()
    }

    /// An artifact this node holds.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_artifact(&self, cid: &str) -> Result<Option<ArtifactRecord>, StoreError> {
        let txn = self.begin_read()?;
        let artifacts = txn.open_table(ARTIFACTS.definition())?;
        let Some(bytes) = ReadableTable::get(&artifacts, cid)? else {
            return Ok(None);
        };
        let blocks = txn.open_table(ARTIFACT_BLOCKS.definition())?;
        artifact(cid, bytes.value(), &blocks).map(Some)
    }

    /// Every artifact this node holds, oldest first, with its bytes.
    ///
    /// # Errors
    /// Those of every read.
    pub fn list_artifacts(&self) -> Result<Vec<ArtifactRecord>, StoreError> {
        let txn = self.begin_read()?;
        let blocks = txn.open_table(ARTIFACT_BLOCKS.definition())?;
        let mut artifacts = txn
            .open_table(ARTIFACTS.definition())?
            .iter()?
            .map(|row| {
                let (key, bytes) = row?;
                artifact(key.value(), bytes.value(), &blocks)
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        artifacts.sort_by(|a, b| by_time(&a.ts, &b.ts).then_with(|| a.cid.cmp(&b.cid)));
        Ok(artifacts)
    }

    /// The block of a playbook revision.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_revision(&self, cid: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.begin_read()?.open_table(REVISIONS.definition())?;
        let Some(bytes) = ReadableTable::get(&table, cid)? else {
            return Ok(None);
        };
        REVISIONS.read_raw(cid, bytes.value()).map(Some)
    }

    /// Every playbook revision: CID and block, in the order of the CIDs' text.
    ///
    /// # Errors
    /// Those of every read.
    pub fn revisions(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let table = self.begin_read()?.open_table(REVISIONS.definition())?;
        table
            .iter()?
            .map(|row| {
                let (key, bytes) = row?;
                let cid = key.value();
                Ok((cid.to_owned(), REVISIONS.read_raw(cid, bytes.value())?))
            })
            .collect()
    }

    /// The CIDs of the playbook heads, as they were set.
    ///
    /// # Errors
    /// Those of every read.
    pub fn heads(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.get(NODE, HEADS)?.unwrap_or_default())
    }

    /// A setting.
    ///
    /// # Errors
    /// Those of every read.
    pub fn get_setting(&self, key: &str) -> Result<Option<Value>, StoreError> {
        self.get(SETTINGS, key)
    }

    /// The remembered peers' multiaddrs, as they were put.
    ///
    /// # Errors
    /// Those of every read.
    pub fn peers(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.get(NODE, PEERS)?.unwrap_or_default())
    }

    fn get<T: DeserializeOwned>(&self, table: ByName, key: &str) -> Result<Option<T>, StoreError> {
        let opened = self.begin_read()?.open_table(table.definition())?;
        let Some(bytes) = ReadableTable::get(&opened, key)? else {
            return Ok(None);
        };
        table.read_json(key, bytes.value()).map(Some)
    }

    fn list<T: DeserializeOwned>(&self, table: ByName) -> Result<Vec<T>, StoreError> {
        let opened = self.begin_read()?.open_table(table.definition())?;
        opened
            .iter()?
            .map(|row| {
                let (key, bytes) = row?;
                table.read_json(key.value(), bytes.value())
            })
            .collect()
    }
}

/// As much of an event as a filter looks at.
#[derive(Deserialize)]
struct EventHead<'a> {
    event_type: EventType,
    #[serde(default, borrow)]
    twin_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Cow<'a, str>,
}

fn artifact(
    cid: &str,
    bytes: &[u8],
    blocks: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<ArtifactRecord, StoreError> {
    let stored: StoredArtifact = ARTIFACTS.read_json(cid, bytes)?;
    let block = blocks
        .get(cid)?
        .ok_or_else(|| ARTIFACTS.corrupt(cid, "its bytes are missing"))?;
    Ok(ArtifactRecord {
        cid: cid.to_owned(),
        author: stored.author,
        twin_id: stored.twin_id,
        status: stored.status.status,
        reason: stored.status.reason,
        base: stored.base,
        bytes: ARTIFACT_BLOCKS.read_raw(cid, block.value())?,
        ts: stored.ts,
    })
}

/// Orders RFC 3339 times. As texts they do not sort: `20Z` is before `20.5Z`. What is no time comes
/// first, by its text.
fn by_time(a: &str, b: &str) -> Ordering {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    time(a).cmp(&time(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_times() {
        let mut times = [
            "2026-01-01T00:00:20.5Z",
            "2026-01-01T01:00:00+02:00",
            "soon",
            "2026-01-01T00:00:20Z",
            "2026-01-01T00:00:20.25Z",
        ];
        times.sort_by(|a, b| by_time(a, b));
        assert_eq!(
            times,
            [
                "soon",
                "2026-01-01T01:00:00+02:00",
                "2026-01-01T00:00:20Z",
                "2026-01-01T00:00:20.25Z",
                "2026-01-01T00:00:20.5Z",
            ]
        );
    }
}
