//! What is in the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};
use std::ops::Range;

use pagi_messages::Did;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Refused messages remembered.
const MAX_REFUSED: usize = 1024;

/// What a message is known by: the first half of the SHA-256 of its bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Id(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// A message's place among its author's: by its own timestamp, milliseconds since 1970, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When the author says it was sent.
    pub at: u64,
    /// What it is known by.
    pub id: Id,
}

/// The stamp of a message of that time.
#[must_use]
pub fn stamp(at: u64, bytes: &[u8]) -> Stamp {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(bytes)[..16]);
    Stamp { at, id: Id(id) }
}

/// A message's place in the log.
pub type Key = (Did, Stamp);

/// A set of messages in a nutshell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many.
    pub count: u32,
    /// The ids, combined by exclusive or. An author who makes messages whose ids cancel out hides
    /// but messages of its own.
    pub ids: Id,
}

impl Fingerprint {
    fn flip(&mut self, id: Id) {
        for (byte, other) in self.ids.0.iter_mut().zip(id.0) {
            *byte ^= other;
        }
    }

    pub(crate) fn add(&mut self, id: Id) {
        self.flip(id);
        self.count += 1;
    }

    fn remove(&mut self, id: Id) {
        self.flip(id);
        self.count = self.count.saturating_sub(1);
    }
}

/// Bounds of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one author.
    pub messages_per_author: usize,
    /// Bytes of one author's messages.
    pub bytes_per_author: u64,
    /// Authors.
    pub authors: usize,
    /// Bytes of all messages.
    pub bytes: u64,
    /// How old a message may be, in milliseconds; older ones are neither kept nor taken.
    pub max_age_ms: u64,
    /// How far a message's timestamp may lie ahead of this node's clock, in milliseconds.
    pub max_ahead_ms: u64,
}

impl Default for Limits {
    /// A day; 65,536 messages and 32 MiB of one author, 1,024 authors, 256 MiB.
    fn default() -> Self {
        Self {
            messages_per_author: 65_536,
            bytes_per_author: 32 << 20,
            authors: 1024,
            bytes: 256 << 20,
            max_age_ms: 24 * 3_600_000,
            max_ahead_ms: 120_000,
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in; the caller stores it, and then removes these from its store in the same breath.
    Added {
        /// What had to go for it; where it was the oldest itself, it is among them.
        evicted: Vec<Key>,
    },
    /// It was there.
    Known,
    /// It is too old, or older than what had to go of its author before.
    Old,
    /// Its timestamp lies too far ahead.
    Ahead,
    /// There is no room for it: it is too large, or its author is new and there are too many.
    NoRoom,
}

/// One author's messages.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) sizes: BTreeMap<Stamp, u32>,
    pub(crate) all: Fingerprint,
    bytes: u64,
    /// Nothing of this time or earlier is wanted any more.
    pub(crate) floor: u64,
    /// The how-manieth author it is: the latest has to go first when there are too many.
    joined: u64,
}

/// What is in the log; see the module documentation.
#[derive(Clone, Debug)]
pub struct Index {
    pub(crate) limits: Limits,
    pub(crate) authors: BTreeMap<Did, Author>,
    bytes: u64,
    joined: u64,
    vouched: BTreeSet<Did>,
    own: Option<Did>,
    refused: VecDeque<Key>,
}

impl Index {
    /// An empty log.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            authors: BTreeMap::new(),
            bytes: 0,
            joined: 0,
            vouched: BTreeSet::new(),
            own: None,
            refused: VecDeque::new(),
        }
    }

    /// Messages in the log.
    #[must_use]
    pub fn len(&self) -> usize {
        self.authors.values().map(|author| author.sizes.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.authors.values().all(|author| author.sizes.is_empty())
    }

    /// Bytes of the messages in the log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a message is in the log.
    #[must_use]
    pub fn contains(&self, author: &Did, stamp: &Stamp) -> bool {
        self.authors
            .get(author)
            .is_some_and(|author| author.sizes.contains_key(stamp))
    }

    /// Whether a message that is not in the log would be taken at `now`.
    #[must_use]
    pub fn wants(&self, author: &Did, stamp: &Stamp, now: u64) -> bool {
        let refused = |(did, out): &Key| (did, out) == (author, stamp);
        self.timely(stamp.at, now).is_none()
            && !self.refused.iter().any(refused)
            && self
                .authors
                .get(author)
                .is_none_or(|author| stamp.at > author.floor && !author.sizes.contains_key(stamp))
    }

    fn timely(&self, at: u64, now: u64) -> Option<Outcome> {
        if at > now.saturating_add(self.limits.max_ahead_ms) {
            Some(Outcome::Ahead)
        } else if at <= self.horizon(now) {
            Some(Outcome::Old)
        } else {
            None
        }
    }

    /// Messages of this time or earlier are too old at `now`.
    #[must_use]
    pub fn horizon(&self, now: u64) -> u64 {
        now.saturating_sub(self.limits.max_age_ms)
    }

    /// How much of one author's share of the log is taken, between 0 and 1.
    #[must_use]
    pub fn fill(&self, author: &Did) -> f64 {
        self.authors.get(author).map_or(0.0, |author| {
            let messages = author.sizes.len() as f64 / self.limits.messages_per_author as f64;
            messages.max(author.bytes as f64 / self.limits.bytes_per_author as f64)
        })
    }

    /// The oldest message of an author, by its time.
    #[must_use]
    pub fn oldest(&self, author: &Did) -> Option<u64> {
        let author = self.authors.get(author)?;
        author.sizes.keys().next().map(|stamp| stamp.at)
    }

    /// Takes a message of `size` bytes in.
    pub fn insert(&mut self, author: &Did, stamp: Stamp, size: usize, now: u64) -> Outcome {
        if let Some(untimely) = self.timely(stamp.at, now) {
            return untimely;
        }
        if let Some(known) = self.authors.get(author) {
            if known.sizes.contains_key(&stamp) {
                return Outcome::Known;
            }
            if stamp.at <= known.floor {
                return Outcome::Old;
            }
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let limits = self.limits;
        if u64::from(size) > limits.bytes_per_author.min(limits.bytes) {
            return Outcome::NoRoom;
        }
        let mut evicted = Vec::new();
        if !self.authors.contains_key(author) && self.authors.len() >= limits.authors {
            // Otherwise who came first stays: a crowd of new authors pushes nobody out.
            if !self.make_room(author, &mut evicted) {
                return Outcome::NoRoom;
            }
        }
        self.add(author.clone(), stamp, size);
        while self.over_quota(author) {
            if !self.evict_oldest(author, &mut evicted) {
                break;
            }
        }
        while self.bytes > limits.bytes {
            // Strangers first; this node's own messages are nobody's to push out.
            let others = self.authors.iter().filter(|(did, author)| {
                self.own.as_ref() != Some(*did) && !author.sizes.is_empty()
            });
            let largest =
                others.max_by_key(|(did, a)| (!self.vouched.contains(*did), a.bytes, a.joined));
            let Some(largest) = largest.map(|(did, _)| did.clone()) else {
                break;
            };
            if !self.evict_oldest(&largest, &mut evicted) {
                break;
            }
        }
        Outcome::Added { evicted }
    }

    /// Makes room for a new author: one that has nothing here goes; if there is none, whoever is
    /// vouched for takes the place of the one that joined last and is not.
    fn make_room(&mut self, newcomer: &Did, evicted: &mut Vec<Key>) -> bool {
        let idle = self
            .authors
            .iter()
            .find(|(_, author)| author.sizes.is_empty());
        let idle = idle.map(|(did, _)| did.clone());
        let leaves = idle.or_else(|| {
            let strangers = self.authors.iter();
            let strangers = strangers.filter(|(did, _)| !self.vouched.contains(*did));
            let last = strangers.max_by_key(|(_, author)| author.joined)?.0.clone();
            self.vouched.contains(newcomer).then_some(last)
        });
        let Some(leaves) = leaves else {
            return false;
        };
        if let Some(author) = self.authors.remove(&leaves) {
            self.bytes -= author.bytes;
            let stamps = author.sizes.into_keys();
            evicted.extend(stamps.map(|stamp| (leaves.clone(), stamp)));
        }
        true
    }

    /// Says who this node is: what it wrote itself goes for its own quota only.
    pub fn keep_own(&mut self, own: Did) {
        self.own = Some(own);
    }

    /// Says which authors find room before strangers: this node, and those it is connected with.
    pub fn vouch(&mut self, authors: impl IntoIterator<Item = Did>) {
        self.vouched = authors.into_iter().collect();
    }

    /// Remembers for a while that a message was judged and is not wanted.
    pub fn refuse(&mut self, author: Did, stamp: Stamp) {
        if self.refused.len() >= MAX_REFUSED {
            self.refused.pop_front();
        }
        self.refused.push_back((author, stamp));
    }

    /// Puts in what is in the caller's store already, at a start.
    pub fn restore(&mut self, author: Did, stamp: Stamp, size: u32) {
        if !self.contains(&author, &stamp) {
            self.add(author, stamp, size);
        }
    }

    /// Tells that everything of an author up to `floor` was evicted once, at a start.
    pub fn restore_floor(&mut self, author: Did, floor: u64) {
        let author = self.author(author);
        author.floor = author.floor.max(floor);
    }

    fn author(&mut self, did: Did) -> &mut Author {
        match self.authors.entry(did) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.joined += 1;
                entry.insert(Author {
                    sizes: BTreeMap::new(),
                    all: Fingerprint::default(),
                    bytes: 0,
                    floor: 0,
                    joined: self.joined,
                })
            }
        }
    }

    fn add(&mut self, author: Did, stamp: Stamp, size: u32) {
        let author = self.author(author);
        author.sizes.insert(stamp, size);
        author.all.add(stamp.id);
        author.bytes += u64::from(size);
        self.bytes += u64::from(size);
    }

    fn over_quota(&self, did: &Did) -> bool {
        self.authors.get(did).is_some_and(|author| {
            author.sizes.len() > self.limits.messages_per_author
                || author.bytes > self.limits.bytes_per_author
        })
    }

    fn evict_oldest(&mut self, did: &Did, evicted: &mut Vec<Key>) -> bool {
        let Some(author) = self.authors.get_mut(did) else {
            return false;
        };
        let Some(oldest) = author.sizes.keys().next().copied() else {
            return false;
        };
        author.floor = author.floor.max(oldest.at);
        // All of one moment go together: the floor cannot tell them apart.
        let moment: Vec<Stamp> = author
            .sizes
            .keys()
            .take_while(|stamp| stamp.at == oldest.at)
            .copied()
            .collect();
        for stamp in moment {
            self.remove(did, &stamp);
            evicted.push((did.clone(), stamp));
        }
        true
    }

    /// Takes a message out.
    pub fn remove(&mut self, did: &Did, stamp: &Stamp) {
        let Some(author) = self.authors.get_mut(did) else {
            return;
        };
        if let Some(size) = author.sizes.remove(stamp) {
            author.all.remove(stamp.id);
            author.bytes -= u64::from(size);
            self.bytes -= u64::from(size);
        }
    }

    /// Takes out what is too old at `now`, and forgets authors of whom nothing is left.
    pub fn expire(&mut self, now: u64) -> Vec<Key> {
        let horizon = self.horizon(now);
        let mut expired = Vec::new();
        for (did, author) in &self.authors {
            let old = author.sizes.keys().take_while(|stamp| stamp.at <= horizon);
            expired.extend(old.map(|stamp| (did.clone(), *stamp)));
        }
        for (did, stamp) in &expired {
            self.remove(did, stamp);
        }
        self.authors
            .retain(|_, author| !author.sizes.is_empty() || author.floor > horizon);
        expired
    }

    /// Up to which time everything of an author was evicted; 0 for nothing.
    #[must_use]
    pub fn floor(&self, author: &Did) -> u64 {
        self.authors.get(author).map_or(0, |author| author.floor)
    }

    /// The messages of an author within a time range, in a nutshell.
    #[must_use]
    pub fn fingerprint(&self, author: &Did, times: Range<u64>) -> Fingerprint {
        let Some(author) = self.authors.get(author) else {
            return Fingerprint::default();
        };
        let whole = author
            .sizes
            .keys()
            .next()
            .is_none_or(|first| first.at >= times.start)
            && author
                .sizes
                .keys()
                .next_back()
                .is_none_or(|last| last.at < times.end);
        if whole && times.start < times.end {
            return author.all;
        }
        let mut fingerprint = Fingerprint::default();
        for stamp in author.range(times) {
            fingerprint.add(stamp.id);
        }
        fingerprint
    }

    /// The messages of an author within a time range.
    pub fn stamps(&self, author: &Did, times: Range<u64>) -> impl Iterator<Item = Stamp> {
        self.authors
            .get(author)
            .into_iter()
            .flat_map(move |author| author.range(times.clone()).copied())
    }

    /// The size of a message.
    #[must_use]
    pub fn size(&self, author: &Did, stamp: &Stamp) -> Option<u32> {
        self.authors.get(author)?.sizes.get(stamp).copied()
    }
}

impl Author {
    fn range(&self, times: Range<u64>) -> impl Iterator<Item = &Stamp> {
        let first = |at| Stamp {
            at,
            id: Id::default(),
        };
        // An empty or turned-round range, which a peer may ask for, holds nothing.
        let end = times.end.max(times.start);
        self.sizes
            .range(first(times.start)..first(end))
            .map(|(stamp, _)| stamp)
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    fn did(n: u8) -> Did {
        SigningIdentity::from_seed(&[n; 32]).did().clone()
    }

    fn small() -> Limits {
        Limits {
            messages_per_author: 5,
            bytes_per_author: 100,
            authors: 2,
            bytes: 150,
            max_age_ms: 1000,
            max_ahead_ms: 10,
        }
    }

    fn put(index: &mut Index, author: u8, at: u64, size: usize, now: u64) -> Outcome {
        index.insert(&did(author), stamp(at, &at.to_be_bytes()), size, now)
    }

    #[test]
    fn the_oldest_of_an_author_goes_first_and_does_not_come_back() {
        let mut index = Index::new(small());
        for at in 101..=105 {
            assert_eq!(
                put(&mut index, 1, at, 1, 100),
                Outcome::Added { evicted: vec![] }
            );
        }
        assert_eq!(put(&mut index, 1, 103, 1, 100), Outcome::Known);
        let gone = (did(1), stamp(101, &101u64.to_be_bytes()));
        let evicted = vec![gone.clone()];
        assert_eq!(put(&mut index, 1, 106, 1, 100), Outcome::Added { evicted });
        assert_eq!(put(&mut index, 1, 101, 1, 100), Outcome::Old);
        assert!(!index.wants(&did(1), &gone.1, 100));
        assert_eq!(index.floor(&did(1)), 101);
        assert_eq!(put(&mut index, 1, 111, 1, 100), Outcome::Ahead);
        assert_eq!(put(&mut index, 1, 107, 101, 100), Outcome::NoRoom);
        assert_eq!(index.len(), 5);
    }

    #[test]
    fn whoever_fills_the_log_makes_room_and_newcomers_push_nobody_out() {
        let mut index = Index::new(small());
        for at in 1..=4 {
            put(&mut index, 1, at, 25, 0);
        }
        let outcome = put(&mut index, 2, 1, 60, 0);
        let Outcome::Added { evicted } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            evicted.len() == 1 && evicted[0].0 == did(1),
            "the largest makes room"
        );
        assert_eq!(put(&mut index, 3, 1, 1, 0), Outcome::NoRoom);
        assert!(index.bytes() <= 150);
        let mut vouching = index.clone();
        vouching.vouch([did(1), did(3)]);
        let Outcome::Added { evicted } = put(&mut vouching, 3, 1, 1, 0) else {
            panic!("a stranger makes room")
        };
        assert!(evicted.len() == 1 && evicted[0].0 == did(2));
        assert_eq!(vouching.bytes(), 76);
        let unwanted = stamp(1, b"unwanted");
        assert!(index.wants(&did(1), &unwanted, 0) || index.floor(&did(1)) >= 1);
        index.refuse(did(2), unwanted);
        assert!(!index.wants(&did(2), &unwanted, 0));
        let expired = index.expire(1002);
        assert_eq!(expired.len(), 2, "those of times 1 and 2");
        let added = Outcome::Added { evicted: vec![] };
        assert_eq!(
            put(&mut index, 3, 1003, 1, 1002),
            added,
            "in the place of one who left"
        );
        assert_eq!(put(&mut index, 4, 1003, 1, 1002), Outcome::NoRoom);
        index.expire(3000);
        assert!(index.is_empty() && index.bytes() == 0);
        assert_eq!(put(&mut index, 4, 2999, 1, 3000), added);
    }

    proptest! {
        /// Quotas hold, sums are right, and what is reported evicted is what is gone.
        #[test]
        fn the_index_and_a_store_that_obeys_it_stay_the_same(
            steps in proptest::collection::vec((1u8..5, 1u64..60, 1usize..60, 0u64..30), 1..200),
        ) {
            let limits = small();
            let mut index = Index::new(limits);
            let mut store = std::collections::BTreeMap::new();
            let mut now = 1000;
            for (author, at, size, passed) in steps {
                now += passed;
                let at = now - 30 + at;
                let key = (did(author), stamp(at, &at.to_be_bytes()));
                if let Outcome::Added { evicted } = index.insert(&key.0, key.1, size, now) {
                    store.insert(key, size);
                    for gone in evicted {
                        prop_assert!(store.remove(&gone).is_some());
                    }
                }
                for gone in index.expire(now) {
                    prop_assert!(store.remove(&gone).is_some());
                }
                prop_assert_eq!(index.len(), store.len());
                prop_assert_eq!(index.bytes(), store.values().sum::<usize>() as u64);
                prop_assert!(store.keys().all(|(did, stamp)| index.contains(did, stamp)));
                prop_assert!(index.authors.len() <= limits.authors);
                for (did, author) in &index.authors {
                    prop_assert!(author.sizes.len() <= limits.messages_per_author);
                    prop_assert!(author.bytes <= limits.bytes_per_author);
                    let mut all = Fingerprint::default();
                    author.sizes.keys().for_each(|stamp| all.add(stamp.id));
                    prop_assert_eq!(all, author.all);
                    prop_assert_eq!(all, index.fingerprint(did, 0..u64::MAX));
                }
            }
        }
    }
}
