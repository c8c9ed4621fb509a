//! The roll: what nodes said of themselves lately, as they signed it. Sans-IO.
//!
//! Presence is repeated every few minutes in a large swarm. A node that joins, or comes back, would
//! know only its neighbours until then; so it asks one of them for the roll. Every entry carries its
//! author's own signature: a neighbour can leave something out, but cannot make anything up.
//!
//! On the wire an entry is its age in milliseconds (8 bytes, big-endian), the length of the message
//! (4 bytes, big-endian) and the signed message as it was gossiped.

use std::collections::BTreeMap;

use pagi_messages::Did;

/// Largest reply, in bytes.
pub const MAX_REPLY_BYTES: usize = 512 * 1024;
/// Messages kept at the most.
const MAX_KEPT: usize = 8_192;
/// Bytes kept at the most.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes before each message of a reply.
const HEAD: usize = 12;

/// What an entry is about: a node, or one of its twins by id.
type Subject = (Did, Option<String>);

/// The latest signed presence of nodes and twins.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    kept: BTreeMap<Subject, Kept>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    heard_ms: u64,
    data: Vec<u8>,
}

impl Roll {
    /// Keeps a signed message of `node` about itself or its twin, in place of an earlier one. Beyond
    /// the bounds of memory new subjects are left out.
    pub fn keep(&mut self, node: &Did, twin: Option<&str>, data: &[u8], heard_ms: u64) {
        let subject = (node.clone(), twin.map(str::to_owned));
        let old = self.kept.get(&subject);
        if old.is_some_and(|old| old.heard_ms > heard_ms) {
            return;
        }
        let bytes = self.bytes - old.map_or(0, |old| old.data.len()) + data.len();
        if bytes > MAX_KEPT_BYTES || (old.is_none() && self.kept.len() >= MAX_KEPT) {
            return;
        }
        self.bytes = bytes;
        let data = data.to_vec();
        self.kept.insert(subject, Kept { heard_ms, data });
    }

    /// Whether this very message is kept.
    #[must_use]
    pub fn has(&self, node: &Did, twin: Option<&str>, data: &[u8]) -> bool {
        let subject = (node.clone(), twin.map(str::to_owned));
        self.kept
            .get(&subject)
            .is_some_and(|kept| kept.data == data)
    }

    /// Drops all a node said.
    pub fn forget(&mut self, node: &Did) {
        self.retain(|(author, _), _| author != node);
    }

    /// Drops what was heard before `since_ms`.
    pub fn expire(&mut self, since_ms: u64) {
        self.retain(|_, heard_ms| heard_ms >= since_ms);
    }

    fn retain(&mut self, stays: impl Fn(&Subject, u64) -> bool) {
        self.kept
            .retain(|subject, kept| stays(subject, kept.heard_ms));
        self.bytes = self.kept.values().map(|kept| kept.data.len()).sum();
    }

    /// A reply of at most `max_bytes`: nodes before twins, and of either the newest first.
    #[must_use]
    pub fn encode(&self, now_ms: u64, max_bytes: usize) -> Vec<u8> {
        let mut entries: Vec<(&Subject, &Kept)> = self.kept.iter().collect();
        entries.sort_by_key(|((_, twin), kept)| (twin.is_some(), u64::MAX - kept.heard_ms));
        let mut reply = Vec::new();
        for (_, kept) in entries {
            let Ok(length) = u32::try_from(kept.data.len()) else {
                continue;
            };
            if reply.len() + HEAD + kept.data.len() > max_bytes {
                continue;
            }
            let age = now_ms.saturating_sub(kept.heard_ms);
            reply.extend(age.to_be_bytes());
            reply.extend(length.to_be_bytes());
            reply.extend(&kept.data);
        }
        reply
    }
}

/// The entries of a reply, each with its age in milliseconds, up to the first that makes no sense.
pub fn decode(mut reply: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (age, rest) = reply.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        reply = rest;
        Some((u64::from_be_bytes(*age), data))
    })
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    fn did(n: u8) -> Did {
        SigningIdentity::from_seed(&[n; 32]).did().clone()
    }

    #[test]
    fn the_latest_of_each_is_told_nodes_first() {
        let mut roll = Roll::default();
        roll.keep(&did(1), Some("t"), b"twin", 100);
        roll.keep(&did(1), None, b"old", 100);
        roll.keep(&did(1), None, b"new", 300);
        roll.keep(&did(1), None, b"late", 200);
        roll.keep(&did(2), None, b"other", 200);
        let reply = roll.encode(1_000, MAX_REPLY_BYTES);
        let told: Vec<_> = decode(&reply).collect();
        assert_eq!(told, [(700, &b"new"[..]), (800, b"other"), (900, b"twin")]);
        let short = roll.encode(1_000, 2 * HEAD + 9);
        assert_eq!(decode(&short).count(), 2);
        roll.forget(&did(1));
        roll.expire(200);
        assert_eq!(decode(&roll.encode(1_000, 1_000)).count(), 1);
        roll.expire(201);
        assert_eq!(roll.encode(1_000, 1_000), b"");
    }

    #[test]
    fn memory_is_bounded() {
        let mut roll = Roll::default();
        let large = vec![0; MAX_KEPT_BYTES / 4];
        for n in 0..10 {
            roll.keep(&did(n), None, &large, 1);
        }
        assert_eq!(roll.kept.len(), 4);
        assert!(roll.bytes <= MAX_KEPT_BYTES);
        roll.keep(&did(0), None, b"small", 2);
        assert_eq!(roll.bytes, 3 * large.len() + 5);
    }

    proptest! {
        #[test]
        fn a_reply_is_read_as_it_was_written(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let mut roll = Roll::default();
            for (n, data) in messages.iter().enumerate() {
                roll.keep(&did(n as u8), None, data, 5);
            }
            let reply = roll.encode(5, MAX_REPLY_BYTES);
            let mut told: Vec<&[u8]> = decode(&reply).map(|(_, data)| data).collect();
            let mut sent: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            told.sort();
            sent.sort();
            prop_assert_eq!(told, sent);
        }

        #[test]
        fn arbitrary_replies_never_panic(reply: Vec<u8>) {
            prop_assert!(decode(&reply).count() <= reply.len() / HEAD);
        }
    }
}
