//! What a batch does to the tables, inside a transaction someone else begins and ends.

use std::collections::BTreeSet;

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use crate::{
    batch::{BatchOutcome, Prepared, PreparedOp, StoredArtifact},
    error::StoreError,
    messages,
    model::StoreLimits,
    swarms,
    tables::{
        ARTIFACT_BLOCKS, ARTIFACTS, AUDIT, BySeq, EVENTS, GRANTS, INBOX, MEMORY, OUTBOX, TOOLS,
        Table,
    },
};

/// Applies every operation of `batch` to `txn`, in order. After an error the transaction is to be
/// aborted: part of the batch may be in it.
pub(crate) fn apply(
    txn: &WriteTransaction,
    batch: &Prepared,
    limits: StoreLimits,
) -> Result<BatchOutcome, StoreError> {
    let mut outcome = BatchOutcome::default();
    for op in &batch.ops {
        apply_op(txn, op, limits, &mut outcome)?;
    }
    Ok(outcome)
}

fn apply_op(
    txn: &WriteTransaction,
    op: &PreparedOp,
    limits: StoreLimits,
    outcome: &mut BatchOutcome,
) -> Result<(), StoreError> {
    match op {
        PreparedOp::Put { table, key, bytes } => {
            txn.open_table(table.definition())?
                .insert(key.as_str(), bytes.as_slice())?;
        }
        PreparedOp::Remove { table, key } => {
            txn.open_table(table.definition())?.remove(key.as_str())?;
        }
        PreparedOp::RemoveTool(name) => {
            if txn
                .open_table(TOOLS.definition())?
                .remove(name.as_str())?
                .is_some()
            {
                outcome.removed_tools.push(name.clone());
            }
        }
        PreparedOp::Grant {
            twin_id,
            tool,
            bytes,
        } => {
            let key = (twin_id.as_str(), tool.as_str());
            txn.open_table(GRANTS.definition())?
                .insert(key, bytes.as_slice())?;
        }
        PreparedOp::Revoke(tool) => {
            txn.open_table(GRANTS.definition())?
                .retain(|(_, granted), _| granted != tool)?;
        }
        PreparedOp::Receive {
            message,
            bytes,
            until_s,
            now_s,
        } => outcome
            .messages
            .push(messages::receive(txn, message, bytes, *until_s, *now_s)?),
        PreparedOp::ReadMessages { twin_id, seqs } => {
            outcome.read += messages::mark_read(txn, twin_id, seqs)?;
        }
        PreparedOp::Outgoing { key, bytes } => messages::put_outgoing(txn, key, bytes, limits)?,
        PreparedOp::OutgoingDone(key) => {
            txn.open_table(OUTBOX.definition())?.remove(key.as_str())?;
        }
        PreparedOp::Memory { entry, bytes } => {
            let twin_id = entry.twin_id.as_str();
            let mut table = txn.open_table(MEMORY.definition())?;
            let last = last_of_twin(&table, twin_id)?;
            let seq = next(last).ok_or_else(|| MEMORY.corrupt(twin_id, "no numbers are left"))?;
            table.insert((twin_id, seq), bytes.as_slice())?;
            let mut entry = entry.clone();
            entry.seq = seq;
            outcome.memories.push(entry);
        }
        PreparedOp::Event { bytes, .. } => outcome.events.push(append(txn, EVENTS, bytes)?),
        PreparedOp::Audit { bytes } => outcome.audits.push(append(txn, AUDIT, bytes)?),
        PreparedOp::Artifact { cid, bytes, block } => {
            txn.open_table(ARTIFACTS.definition())?
                .insert(cid.as_str(), bytes.as_slice())?;
            txn.open_table(ARTIFACT_BLOCKS.definition())?
                .insert(cid.as_str(), block.as_slice())?;
        }
        PreparedOp::Journal { swarm, bytes } => swarms::append(txn, swarm, bytes)?,
        PreparedOp::EnterSwarm { unnamed, swarm } => swarms::switch(txn, unnamed, swarm)?,
        PreparedOp::ArtifactStatus {
            cid,
            status,
            required,
        } => {
            let mut table = txn.open_table(ARTIFACTS.definition())?;
            let stored = match table.get(cid.as_str())? {
                Some(bytes) => Some(ARTIFACTS.read_json::<StoredArtifact>(cid, bytes.value())?),
                None => None,
            };
            match stored {
                Some(mut artifact) => {
                    artifact.status = status.clone();
                    let bytes = ARTIFACTS.json(&artifact)?;
                    table.insert(cid.as_str(), bytes.as_slice())?;
                }
                None if *required => return Err(ARTIFACTS.not_found(cid)),
                None => outcome.unknown_artifacts.push(cid.clone()),
            }
        }
    }
    Ok(())
}

/// Appends to a log under the next sequence number. The newest record is never trimmed, so the next
/// number follows from it and no number comes twice.
fn append(txn: &WriteTransaction, log: BySeq, bytes: &[u8]) -> Result<u64, StoreError> {
    let mut table = txn.open_table(log.definition())?;
    let last = table.last()?.map(|(seq, _)| seq.value());
    let seq = next(last).ok_or_else(|| log.corrupt(u64::MAX, "no numbers are left"))?;
    table.insert(seq, bytes)?;
    Ok(seq)
}

fn next(last: Option<u64>) -> Option<u64> {
    last.unwrap_or(0).checked_add(1)
}

/// The sequence number of a twin's newest record in a table of twins' records.
pub(crate) fn last_of_twin(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    twin_id: &str,
) -> Result<Option<u64>, StoreError> {
    let newest = table
        .range((twin_id, 0)..=(twin_id, u64::MAX))?
        .next_back()
        .transpose()?;
    Ok(newest.map(|(key, _)| key.value().1))
}

/// The sequence number of its oldest.
pub(crate) fn first_of_twin(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    twin_id: &str,
) -> Result<Option<u64>, StoreError> {
    let oldest = table
        .range((twin_id, 0)..=(twin_id, u64::MAX))?
        .next()
        .transpose()?;
    Ok(oldest.map(|(key, _)| key.value().1))
}

/// Takes the oldest records out of the logs that `batches` made too long.
pub(crate) fn trim<'a>(
    txn: &WriteTransaction,
    batches: impl Iterator<Item = &'a Prepared>,
    limits: StoreLimits,
) -> Result<(), StoreError> {
    let (mut events, mut audit, mut twins) = (false, false, BTreeSet::new());
    let mut inboxes = BTreeSet::new();
    for op in batches.flat_map(|batch| &batch.ops) {
        match op {
            PreparedOp::Event { .. } => events = true,
            PreparedOp::Audit { .. } => audit = true,
            PreparedOp::Memory { entry, .. } => {
                twins.insert(entry.twin_id.as_str());
            }
            PreparedOp::Receive { message, .. } => {
                inboxes.insert(message.twin_id.as_str());
            }
            _ => {}
        }
    }
    if !inboxes.is_empty() {
        messages::trim_seen(txn, limits.max_messages_remembered)?;
    }
    for twin_id in inboxes {
        trim_of_twin(txn, INBOX, twin_id, limits.max_messages_per_twin)?;
    }
    if events {
        trim_log(txn, EVENTS, limits.max_events)?;
    }
    if audit {
        trim_log(txn, AUDIT, limits.max_audit)?;
    }
    for twin_id in twins {
        trim_of_twin(txn, MEMORY, twin_id, limits.max_memories_per_twin)?;
    }
    Ok(())
}

fn trim_log(txn: &WriteTransaction, log: BySeq, max: u64) -> Result<(), StoreError> {
    let mut table = txn.open_table(log.definition())?;
    for _ in max.max(1)..table.len()? {
        table.pop_first()?;
    }
    Ok(())
}

fn trim_of_twin(
    txn: &WriteTransaction,
    table: Table<(&'static str, u64)>,
    twin_id: &str,
    max: u64,
) -> Result<(), StoreError> {
    let mut table = txn.open_table(table.definition())?;
    let (Some(first), Some(last)) = (
        first_of_twin(&table, twin_id)?,
        last_of_twin(&table, twin_id)?,
    ) else {
        return Ok(());
    };
    // Without gaps: the last `max` are those above `last - max`.
    for seq in first..=last.saturating_sub(max.max(1)) {
        table.remove((twin_id, seq))?;
    }
    Ok(())
}
