//! Private messages: what twins received, what is still on its way from them, and the memory that
//! keeps a message from being accepted twice.
//!
//! A message is known by its recipient, its sender and its id. It is remembered until it would be
//! refused for its age anyway; what is forgotten, for that reason or for want of room, raises a floor
//! below which nothing is accepted any more. So no message comes in twice, not after a restart, not
//! with the clock set back, not in a flood.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    apply::last_of_twin,
    error::StoreError,
    model::StoreLimits,
    store::Store,
    tables::{INBOX, INBOX_ENDS, INBOX_FLOOR, INBOX_SEEN, NODE, OUTBOX},
};

/// Most remembered messages forgotten for their age by one write, so that none takes long.
const FORGOTTEN_AT_ONCE: usize = 256;

/// A message a twin received.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxMessage {
    /// Its place in the twin's inbox: from 1, without gaps, never given twice. The store gives it.
    pub seq: u64,
    /// Its id, unique among its sender's messages to the twin.
    pub id: String,
    /// Whose inbox.
    pub twin_id: String,
    /// The DID that was proven to have sent it; `None` for an anonymous message.
    pub from: Option<String>,
    /// The thread it belongs to.
    pub thid: String,
    /// The message type URI.
    pub msg_type: String,
    /// What it says, an object.
    pub body: Value,
    /// What is attached, as the message has it.
    pub attachments: Vec<Value>,
    /// When it arrived, RFC 3339.
    pub received_at: String,
    /// Whether it was marked as read.
    pub read: bool,
}

impl InboxMessage {
    /// What the message is known by.
    fn identity(&self) -> String {
        let from = self.from.as_deref().unwrap_or("-");
        format!("{}/{from}/{}", self.twin_id, self.id)
    }
}

/// A message under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxMessage {
    /// Its id.
    pub id: String,
    /// The sending twin.
    pub twin_id: String,
    /// The recipient's DID.
    pub to: String,
    /// Where to post it, if not to the node of the recipient.
    pub to_url: Option<String>,
    /// The message type URI.
    pub msg_type: String,
    /// The packed message.
    pub packed: String,
    /// When it was written, RFC 3339.
    pub created_at: String,
    /// When it is given up, milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before, milliseconds since the Unix epoch.
    pub next_attempt_ms: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// The mailbox that holds a copy for the recipient.
    #[serde(default)]
    pub held_by: Option<String>,
}

impl OutboxMessage {
    pub(crate) fn key(&self) -> String {
        outbox_key(&self.twin_id, &self.id)
    }
}

pub(crate) fn outbox_key(twin_id: &str, id: &str) -> String {
    format!("{twin_id}/{id}")
}

/// A received message without what its key says.
#[derive(Debug, Serialize, Deserialize)]
struct StoredMessage {
    id: String,
    from: Option<String>,
    thid: String,
    msg_type: String,
    body: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Value>,
    received_at: String,
    read: bool,
}

/// The stored form of `message`.
pub(crate) fn encode(message: &InboxMessage) -> Result<Vec<u8>, StoreError> {
    INBOX.json(&StoredMessage {
        id: message.id.clone(),
        from: message.from.clone(),
        thid: message.thid.clone(),
        msg_type: message.msg_type.clone(),
        body: message.body.clone(),
        attachments: message.attachments.clone(),
        received_at: message.received_at.clone(),
        read: message.read,
    })
}

fn decode(twin_id: &str, seq: u64, bytes: &[u8]) -> Result<InboxMessage, StoreError> {
    let stored: StoredMessage = INBOX.read_json(format_args!("{twin_id}/{seq}"), bytes)?;
    Ok(InboxMessage {
        seq,
        id: stored.id,
        twin_id: twin_id.to_owned(),
        from: stored.from,
        thid: stored.thid,
        msg_type: stored.msg_type,
        body: stored.body,
        attachments: stored.attachments,
        received_at: stored.received_at,
        read: stored.read,
    })
}

/// Takes a message in, unless it was taken in before or that cannot be told any more. `until_s` is
/// when its age rules it out, `now_s` is now, both in seconds since 1970.
pub(crate) fn receive(
    txn: &WriteTransaction,
    message: &InboxMessage,
    bytes: &[u8],
    until_s: u64,
    now_s: u64,
) -> Result<InboxMessage, StoreError> {
    let identity = message.identity();
    let mut floor = floor(txn)?;
    {
        let mut seen = txn.open_table(INBOX_SEEN.definition())?;
        let mut ends = txn.open_table(INBOX_ENDS.definition())?;
        for _ in 0..FORGOTTEN_AT_ONCE {
            let soonest = ends
                .first()?
                .map(|(key, _)| (key.value().0, key.value().1.to_owned()));
            let Some((end, known)) = soonest.filter(|(end, _)| *end <= now_s) else {
                break;
            };
            ends.remove((end, known.as_str()))?;
            seen.remove(known.as_str())?;
            floor = floor.max(end);
        }
        if seen.get(identity.as_str())?.is_some() {
            return Err(INBOX.duplicate(identity));
        }
        if until_s <= floor {
            return Err(INBOX.stale(identity));
        }
        seen.insert(identity.as_str(), INBOX_SEEN.json(&until_s)?.as_slice())?;
        ends.insert((until_s, identity.as_str()), [].as_slice())?;
    }
    set_floor(txn, floor)?;
    let mut inbox = txn.open_table(INBOX.definition())?;
    let twin_id = message.twin_id.as_str();
    let seq = last_of_twin(&inbox, twin_id)?
        .unwrap_or(0)
        .checked_add(1)
        .ok_or_else(|| INBOX.corrupt(twin_id, "no numbers are left"))?;
    inbox.insert((twin_id, seq), bytes)?;
    Ok(InboxMessage {
        seq,
        ..message.clone()
    })
}

/// Marks messages as read. Those that are not there are passed over; gives how many there were.
pub(crate) fn mark_read(
    txn: &WriteTransaction,
    twin_id: &str,
    seqs: &[u64],
) -> Result<usize, StoreError> {
    let mut inbox = txn.open_table(INBOX.definition())?;
    let mut marked = 0;
    for &seq in seqs {
        let stored = match inbox.get((twin_id, seq))? {
            Some(bytes) => decode(twin_id, seq, bytes.value())?,
            None => continue,
        };
        marked += 1;
        if !stored.read {
            let bytes = encode(&InboxMessage {
                read: true,
                ..stored
            })?;
            inbox.insert((twin_id, seq), bytes.as_slice())?;
        }
    }
    Ok(marked)
}

/// Puts a message into the outbox, where it has room for it or holds it already.
pub(crate) fn put_outgoing(
    txn: &WriteTransaction,
    key: &str,
    bytes: &[u8],
    limits: StoreLimits,
) -> Result<(), StoreError> {
    let mut outbox = txn.open_table(OUTBOX.definition())?;
    let full = outbox.len()? >= limits.max_outbox.max(1);
    if full && outbox.get(key)?.is_none() {
        return Err(StoreError::Full {
            table: OUTBOX.name,
            limit: limits.max_outbox.max(1),
        });
    }
    outbox.insert(key, bytes)?;
    Ok(())
}

/// Forgets the messages nearest their end beyond what may be remembered.
pub(crate) fn trim_seen(txn: &WriteTransaction, max: u64) -> Result<(), StoreError> {
    let mut floor = floor(txn)?;
    {
        let mut seen = txn.open_table(INBOX_SEEN.definition())?;
        let mut ends = txn.open_table(INBOX_ENDS.definition())?;
        for _ in max.max(1)..ends.len()? {
            let Some((end, known)) = ends
                .first()?
                .map(|(key, _)| (key.value().0, key.value().1.to_owned()))
            else {
                break;
            };
            ends.remove((end, known.as_str()))?;
            seen.remove(known.as_str())?;
            floor = floor.max(end);
        }
    }
    set_floor(txn, floor)
}

/// The end up to which messages may have been forgotten.
fn floor(txn: &WriteTransaction) -> Result<u64, StoreError> {
    let node = txn.open_table(NODE.definition())?;
    let floor = match node.get(INBOX_FLOOR)? {
        Some(bytes) => NODE.read_json(INBOX_FLOOR, bytes.value())?,
        None => 0,
    };
    Ok(floor)
}

fn set_floor(txn: &WriteTransaction, wanted: u64) -> Result<(), StoreError> {
    if wanted > floor(txn)? {
        let bytes = NODE.json(&wanted)?;
        txn.open_table(NODE.definition())?
            .insert(INBOX_FLOOR, bytes.as_slice())?;
    }
    Ok(())
}

/// Reads; see those of the other records for their errors.
impl Store {
    /// The newest `limit` messages a twin received, oldest first; only those not marked as read with
    /// `unread`.
    ///
    /// # Errors
    /// Those of every read.
    pub fn inbox(
        &self,
        twin_id: &str,
        unread: bool,
        limit: usize,
    ) -> Result<Vec<InboxMessage>, StoreError> {
        let table = self.begin_read()?.open_table(INBOX.definition())?;
        let mut found = Vec::new();
        let rows = ReadableTable::range(&table, (twin_id, 0)..=(twin_id, u64::MAX))?;
        for row in rows.rev() {
            if found.len() == limit {
                break;
            }
            let (key, bytes) = row?;
            let message = decode(twin_id, key.value().1, bytes.value())?;
            if !(unread && message.read) {
                found.push(message);
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Every message that is still under way, the one to be tried first at the front.
    ///
    /// # Errors
    /// Those of every read.
    pub fn outbox(&self) -> Result<Vec<OutboxMessage>, StoreError> {
        let table = self.begin_read()?.open_table(OUTBOX.definition())?;
        let mut messages = table
            .iter()?
            .map(|row| {
                let (key, bytes) = row?;
                OUTBOX.read_json(key.value(), bytes.value())
            })
            .collect::<Result<Vec<OutboxMessage>, StoreError>>()?;
        messages.sort_by(|a, b| (a.next_attempt_ms, &a.id).cmp(&(b.next_attempt_ms, &b.id)));
        Ok(messages)
    }

    /// How many messages are under way.
    ///
    /// # Errors
    /// Those of every read.
    pub fn outbox_len(&self) -> Result<usize, StoreError> {
        let table = self.begin_read()?.open_table(OUTBOX.definition())?;
        Ok(usize::try_from(table.len()?).unwrap_or(usize::MAX))
    }
}
