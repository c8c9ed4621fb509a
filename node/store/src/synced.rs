//! The log of signed coordination messages that other nodes catch up from, by author, time and id.

use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    batch::Batch,
    error::StoreError,
    store::Store,
    tables::{SYNC_FLOORS, SYNC_LOG},
};

/// A message's place in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogKey {
    /// The author's DID.
    pub author: String,
    /// When the author says it was sent, milliseconds since 1970.
    pub at: u64,
    /// What it is known by.
    pub id: [u8; 16],
}

/// What to do with the log.
#[derive(Clone, Debug)]
pub(crate) enum LogOp {
    Put { key: LogKey, bytes: Vec<u8> },
    Remove(LogKey),
    Floor { author: String, at: u64 },
    NoFloor(String),
}

impl LogOp {
    /// The record as it will be stored.
    pub(crate) fn prepare(self) -> Result<Self, StoreError> {
        Ok(match self {
            Self::Put { key, bytes } => Self::Put {
                bytes: SYNC_LOG.raw(&bytes)?,
                key,
            },
            other => other,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    pub(crate) fn apply(&self, txn: &WriteTransaction) -> Result<(), StoreError> {
        match self {
            Self::Put { key, bytes } => {
                let mut log = txn.open_table(SYNC_LOG.definition())?;
                log.insert((key.author.as_str(), key.at, &key.id[..]), bytes.as_slice())?;
            }
            Self::Remove(key) => {
                let mut log = txn.open_table(SYNC_LOG.definition())?;
                log.remove((key.author.as_str(), key.at, &key.id[..]))?;
            }
            Self::Floor { author, at } => {
                let bytes = SYNC_FLOORS.json(at)?;
                let mut floors = txn.open_table(SYNC_FLOORS.definition())?;
                floors.insert(author.as_str(), bytes.as_slice())?;
            }
            Self::NoFloor(author) => {
                let mut floors = txn.open_table(SYNC_FLOORS.definition())?;
                floors.remove(author.as_str())?;
            }
        }
        Ok(())
    }
}

/// A place in the log as it is on the shelf of a swarm that is not in use; it sorts like the log.
fn shelved((author, at, id): (&str, u64, &[u8])) -> String {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{author} {at:020} {id}")
}

/// The place that [`shelved`] was given.
fn unshelved(text: &str) -> Option<(&str, u64, Vec<u8>)> {
    let mut parts = text.split(' ');
    let (author, at, hex) = (parts.next()?, parts.next()?, parts.next()?);
    let id = (0..hex.len())
        .step_by(2)
        .map(|n| u8::from_str_radix(hex.get(n..n + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some((author, at.parse().ok()?, id))
}

type Shelf<'txn> = Table<'txn, (&'static str, &'static str, &'static str), &'static [u8]>;

/// Lays the log of a swarm aside: it is nothing to the members of another one.
pub(crate) fn lay_aside(
    txn: &WriteTransaction,
    shelf: &mut Shelf<'_>,
    from: &str,
) -> Result<(), StoreError> {
    let mut log = txn.open_table(SYNC_LOG.definition())?;
    while let Some((key, bytes)) = log.pop_first()? {
        let key = shelved(key.value());
        shelf.insert((from, SYNC_LOG.name, key.as_str()), bytes.value())?;
    }
    Ok(())
}

/// Brings the log of a swarm out again.
pub(crate) fn bring_out(
    txn: &WriteTransaction,
    shelf: &mut Shelf<'_>,
    to: &str,
) -> Result<(), StoreError> {
    let mut log = txn.open_table(SYNC_LOG.definition())?;
    let end = format!("{}\0", SYNC_LOG.name);
    let mut keys = Vec::new();
    for row in shelf.range((to, SYNC_LOG.name, "")..(to, end.as_str(), ""))? {
        let (key, bytes) = row?;
        let key = key.value().2.to_owned();
        let (author, at, id) =
            unshelved(&key).ok_or_else(|| SYNC_LOG.corrupt(&key, "no place in the log"))?;
        log.insert((author, at, &id[..]), bytes.value())?;
        keys.push(key);
    }
    for key in keys {
        shelf.remove((to, SYNC_LOG.name, key.as_str()))?;
    }
    Ok(())
}

impl Batch {
    /// Puts a signed message into the log.
    pub fn log_message(self, key: LogKey, bytes: Vec<u8>) -> Self {
        self.with_log(LogOp::Put { key, bytes })
    }

    /// Takes a message out of the log.
    pub fn forget_message(self, key: LogKey) -> Self {
        self.with_log(LogOp::Remove(key))
    }

    /// Remembers up to which time an author's messages had to go.
    pub fn log_floor(self, author: impl Into<String>, at: u64) -> Self {
        let author = author.into();
        self.with_log(LogOp::Floor { author, at })
    }

    /// Forgets that again.
    pub fn forget_floor(self, author: impl Into<String>) -> Self {
        self.with_log(LogOp::NoFloor(author.into()))
    }
}

/// Reads; see those of the other records for their errors.
impl Store {
    /// Where the messages of the log are, and how large each is, in order.
    ///
    /// # Errors
    /// Those of every read.
    pub fn logged_messages(&self) -> Result<Vec<(LogKey, u32)>, StoreError> {
        let log = self.begin_read()?.open_table(SYNC_LOG.definition())?;
        let mut found = Vec::new();
        for row in log.iter()? {
            let (key, bytes) = row?;
            let (author, at, id) = key.value();
            let id = id
                .try_into()
                .map_err(|_| SYNC_LOG.corrupt(author, "an id of another length"))?;
            let size = SYNC_LOG.read_raw(author, bytes.value())?.len();
            let key = LogKey {
                author: author.to_owned(),
                at,
                id,
            };
            found.push((key, u32::try_from(size).unwrap_or(u32::MAX)));
        }
        Ok(found)
    }

    /// A message of the log.
    ///
    /// # Errors
    /// Those of every read.
    pub fn logged_message(&self, key: &LogKey) -> Result<Option<Vec<u8>>, StoreError> {
        let log = self.begin_read()?.open_table(SYNC_LOG.definition())?;
        log.get((key.author.as_str(), key.at, &key.id[..]))?
            .map(|bytes| SYNC_LOG.read_raw(&key.author, bytes.value()))
            .transpose()
    }

    /// Up to which time whose messages had to go.
    ///
    /// # Errors
    /// Those of every read.
    pub fn log_floors(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let floors = self.begin_read()?.open_table(SYNC_FLOORS.definition())?;
        floors
            .iter()?
            .map(|row| {
                let (author, bytes) = row?;
                let author = author.value().to_owned();
                let at = SYNC_FLOORS.read_json(&author, bytes.value())?;
                Ok((author, at))
            })
            .collect()
    }
}
