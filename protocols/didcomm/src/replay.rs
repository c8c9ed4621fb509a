//! A bounded memory of accepted messages, so that none is accepted twice.
//!
//! The guard forgets a message once its time is up, for [`crate::unpack`] then refuses it anyway. Should
//! the memory run full before, the entry soonest to end is dropped and everything that ends no later
//! than it is refused from then on: a flood shortens the time messages may be under way, it never lets
//! a message in twice.

use std::collections::BTreeMap;

use pagi_messages::Did;
use sha2::{Digest, Sha256};

use crate::envelope::Unpacked;

/// Why a message is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// This sender's message was here before.
    #[error("the message was received before")]
    Replayed,
    /// The message bears no time, so nobody could say how long to remember it.
    #[error("the message has neither created_time nor expires_time")]
    Undated,
    /// The message's time is up.
    #[error("the message is no longer valid")]
    Ended,
    /// The message is so near its end that it may have been here before and been forgotten since.
    #[error("the message is too old for what this node still remembers")]
    BeyondMemory,
    /// The sender has as many messages remembered as one sender may have.
    #[error("the sender has sent too many messages")]
    SenderQuota,
}

/// Identifies a message: a digest, so that an entry's size does not depend on the sender.
type Key = [u8; 32];

/// A bounded memory of accepted messages. It performs no I/O and has no clock; it lives as long as the
/// process, so a durable inbox should refuse a second message of the same sender and id as well.
#[derive(Clone, Debug)]
pub struct ReplayGuard {
    capacity: usize,
    per_sender: usize,
    /// What is remembered, by when it ends.
    by_end: BTreeMap<(u64, Key), Option<Did>>,
    /// When a remembered message ends.
    ends: BTreeMap<Key, u64>,
    /// How many messages of a sender are remembered; the anonymous count as one sender.
    counts: BTreeMap<Option<Did>, usize>,
    /// Messages that end at or before this may have been forgotten early.
    floor: u64,
}

impl ReplayGuard {
    /// A guard that remembers at most `capacity` messages, at most an eighth of them of one sender.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            per_sender: (capacity / 8).max(1),
            by_end: BTreeMap::new(),
            ends: BTreeMap::new(),
            counts: BTreeMap::new(),
            floor: 0,
        }
    }

    /// Admits an unpacked message once. `now_s` is in seconds since 1970 and should not go back.
    ///
    /// # Errors
    /// See [`ReplayError`]; the guard is then as it was.
    pub fn admit(&mut self, unpacked: &Unpacked, now_s: u64) -> Result<(), ReplayError> {
        self.admit_id(
            unpacked.sender(),
            &unpacked.message.id,
            unpacked.valid_until_s,
            now_s,
        )
    }

    /// As [`ReplayGuard::admit`], for the message `id` of `sender` that would be accepted until
    /// `valid_until_s`.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn admit_id(
        &mut self,
        sender: Option<&Did>,
        id: &str,
        valid_until_s: Option<u64>,
        now_s: u64,
    ) -> Result<(), ReplayError> {
        let end = valid_until_s.ok_or(ReplayError::Undated)?;
        self.forget(now_s);
        if end <= now_s {
            return Err(ReplayError::Ended);
        }
        let key = key_of(sender, id);
        if self.ends.contains_key(&key) {
            return Err(ReplayError::Replayed);
        }
        if end <= self.floor {
            return Err(ReplayError::BeyondMemory);
        }
        let sender = sender.cloned();
        if self.counts.get(&sender).copied().unwrap_or(0) >= self.per_sender {
            return Err(ReplayError::SenderQuota);
        }
        self.by_end.insert((end, key), sender.clone());
        self.ends.insert(key, end);
        *self.counts.entry(sender).or_insert(0) += 1;
        while self.ends.len() > self.capacity
            && let Some(end) = self.drop_soonest()
        {
            self.floor = self.floor.max(end);
        }
        Ok(())
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn forget(&mut self, now_s: u64) {
        while self
            .by_end
            .first_key_value()
            .is_some_and(|((end, _), _)| *end <= now_s)
        {
            self.drop_soonest();
        }
    }

    fn drop_soonest(&mut self) -> Option<u64> {
        let ((end, key), sender) = self.by_end.pop_first()?;
        self.ends.remove(&key);
        if let Some(count) = self.counts.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&sender);
            }
        }
        Some(end)
    }
}

/// The digest of sender and id. A DID holds no zero byte, so the two cannot run into each other.
fn key_of(sender: Option<&Did>, id: &str) -> Key {
    let mut digest = Sha256::new();
    digest.update(sender.map_or("", Did::as_str));
    digest.update([0]);
    digest.update(id);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    fn did(seed: u8) -> Did {
        SigningIdentity::from_seed(&[seed; 32]).did().clone()
    }

    #[test]
    fn a_message_passes_once_and_is_forgotten_when_its_time_is_up() {
        let (alice, bob) = (did(1), did(2));
        let mut guard = ReplayGuard::new(100);
        assert_eq!(guard.admit_id(Some(&alice), "1", Some(50), 10), Ok(()));
        assert_eq!(
            guard.admit_id(Some(&alice), "1", Some(50), 10),
            Err(ReplayError::Replayed)
        );
        assert_eq!(
            guard.admit_id(Some(&alice), "1", Some(90), 10),
            Err(ReplayError::Replayed)
        );
        assert_eq!(guard.admit_id(Some(&bob), "1", Some(50), 10), Ok(()));
        assert_eq!(guard.admit_id(None, "1", Some(50), 10), Ok(()));
        assert_eq!(guard.admit_id(Some(&alice), "2", Some(60), 10), Ok(()));
        assert_eq!(guard.len(), 4);
        assert_eq!(
            guard.admit_id(Some(&alice), "1", Some(50), 50),
            Err(ReplayError::Ended)
        );
        assert_eq!(guard.len(), 1);
        assert_eq!(
            guard.admit_id(Some(&alice), "3", None, 50),
            Err(ReplayError::Undated)
        );
    }

    #[test]
    fn one_sender_cannot_fill_the_memory() {
        let mut guard = ReplayGuard::new(16);
        let alice = did(1);
        for id in ["1", "2"] {
            assert_eq!(guard.admit_id(Some(&alice), id, Some(50), 10), Ok(()));
        }
        assert_eq!(
            guard.admit_id(Some(&alice), "3", Some(50), 10),
            Err(ReplayError::SenderQuota)
        );
        assert_eq!(guard.admit_id(Some(&did(2)), "3", Some(50), 10), Ok(()));
        assert_eq!(guard.admit_id(Some(&alice), "3", Some(99), 50), Ok(()));
    }

    #[test]
    fn what_is_dropped_for_want_of_room_is_refused_rather_than_let_in_again() {
        let mut guard = ReplayGuard::new(8);
        for seed in 0..9 {
            let end = 100 + u64::from(seed);
            assert_eq!(guard.admit_id(Some(&did(seed)), "1", Some(end), 10), Ok(()));
        }
        assert_eq!(guard.len(), 8);
        assert_eq!(
            guard.admit_id(Some(&did(0)), "1", Some(100), 10),
            Err(ReplayError::BeyondMemory)
        );
        assert_eq!(guard.admit_id(Some(&did(20)), "1", Some(101), 10), Ok(()));
    }

    proptest! {
        #[test]
        fn nothing_passes_twice_and_the_memory_stays_bounded(
            steps in prop::collection::vec((0u8..6, 0u8..12, 1u64..60, 0u64..4), 1..300),
            capacity in 1usize..20,
        ) {
            let senders: Vec<Did> = (0..6).map(did).collect();
            let mut guard = ReplayGuard::new(capacity);
            // A message's end is its own property, as it is in an envelope.
            let mut ends = BTreeMap::new();
            let mut passed = std::collections::BTreeSet::new();
            let mut now = 0;
            for (sender, id, life, pause) in steps {
                now += pause;
                let end = *ends.entry((sender, id)).or_insert(now + life);
                let sender_did = &senders[usize::from(sender)];
                let admitted =
                    guard.admit_id(Some(sender_did), &id.to_string(), Some(end), now).is_ok();
                if admitted {
                    prop_assert!(passed.insert((sender, id)), "passed twice");
                }
                prop_assert!(guard.len() <= capacity);
                prop_assert_eq!(guard.by_end.len(), guard.ends.len());
                prop_assert_eq!(guard.counts.values().sum::<usize>(), guard.ends.len());
            }
        }
    }
}
