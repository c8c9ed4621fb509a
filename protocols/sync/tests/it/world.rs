//! Nodes with a log each, gossip that loses messages, partitions, crashes.

use std::collections::{BTreeMap, BTreeSet};

use pagi_messages::{Did, SigningIdentity};
use pagi_sync::{
    Index, Key, Limits, Outcome, Request, Response, Session, Stamp, answer, stamp,
    wire::{self, encode},
};

/// A small generator of random numbers: the same seed, the same run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

/// One node: the index, and the store that obeys it and outlives a crash.
pub struct Node {
    pub did: Did,
    pub index: Index,
    pub store: BTreeMap<Key, Vec<u8>>,
    pub floors: BTreeMap<Did, u64>,
    /// What was handed to the application, and how often.
    pub handled: BTreeMap<Key, u32>,
    pub done: BTreeMap<usize, u64>,
}

pub fn did(n: usize) -> Did {
    SigningIdentity::from_seed(&[n as u8 + 1; 32]).did().clone()
}

/// A message: who, when, and something to fill it.
pub fn message(author: &Did, at: u64, filler: usize, n: u64) -> (Key, Vec<u8>) {
    let bytes = format!("{author}|{at}|{n}|{}", "x".repeat(filler)).into_bytes();
    ((author.clone(), stamp(at, &bytes)), bytes)
}

/// Reads what `message` wrote.
pub fn read(bytes: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('|');
    let author = parts.next()?.parse().ok()?;
    let at = parts.next()?.parse().ok()?;
    Some((author, stamp(at, bytes)))
}

impl Node {
    pub fn new(n: usize, limits: Limits) -> Self {
        Self {
            did: did(n),
            index: Index::new(limits),
            store: BTreeMap::new(),
            floors: BTreeMap::new(),
            handled: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Takes a message in, as one transaction.
    pub fn take(&mut self, bytes: Vec<u8>, now: u64) -> bool {
        let Some((author, stamp)) = read(&bytes) else {
            return false;
        };
        let Outcome::Added { evicted } = self.index.insert(&author, stamp, bytes.len(), now) else {
            return false;
        };
        let key = (author, stamp);
        *self.handled.entry(key.clone()).or_default() += 1;
        self.store.insert(key, bytes);
        for gone in evicted {
            self.store.remove(&gone);
            self.floors
                .insert(gone.0.clone(), self.index.floor(&gone.0));
        }
        true
    }

    /// Forgets everything but what is in the store.
    pub fn restart(&mut self, limits: Limits) {
        self.index = Index::new(limits);
        for (author, floor) in &self.floors {
            self.index.restore_floor(author.clone(), *floor);
        }
        for ((author, stamp), bytes) in &self.store {
            self.index
                .restore(author.clone(), *stamp, bytes.len() as u32);
        }
        self.done.clear();
    }

    pub fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let request = wire::request(bytes).unwrap();
        let read = |author: &Did, stamp: &Stamp| self.store.get(&(author.clone(), *stamp)).cloned();
        let response = encode(&answer(&self.index, &request, read)).unwrap();
        assert!(bytes.len() <= wire::MAX_BYTES && response.len() <= wire::MAX_BYTES);
        response
    }

    pub fn keys(&self) -> BTreeSet<Key> {
        self.store.keys().cloned().collect()
    }
}

/// What a session took.
#[derive(Debug, Default)]
pub struct Cost {
    pub questions: usize,
    pub bytes: usize,
    pub messages: usize,
    pub complete: bool,
}

/// One session of `asking` with `asked`; each answer is lost with that chance in a hundred, which
/// ends it.
pub fn sync(
    nodes: &mut [Node],
    asking: usize,
    asked: usize,
    to: u64,
    now: u64,
    loss: u64,
    dice: &mut Dice,
) -> Cost {
    let mut cost = Cost::default();
    let done = nodes[asking].done.get(&asked).copied().unwrap_or(0);
    let mut session = Session::new(to, done);
    while let Some(request) = session.next(&nodes[asking].index, now) {
        if let Request::Compare { done: said, .. } = &request {
            assert_eq!(*said, done);
        }
        let question = encode(&request).unwrap();
        let response = nodes[asked].answer(&question);
        cost.questions += 1;
        cost.bytes += question.len() + response.len();
        if dice.roll(100) < loss {
            return cost;
        }
        let response: Response = wire::response(&response).unwrap();
        let messages = session.response(&nodes[asking].index, response).unwrap();
        for bytes in messages {
            let (author, stamp) = read(&bytes).unwrap();
            session.came(&author, stamp).unwrap();
            cost.messages += 1;
            nodes[asking].take(bytes, now);
        }
        session.judged();
    }
    if let Some(done) = session.complete() {
        nodes[asking].done.insert(asked, done);
        cost.complete = true;
    }
    cost
}
