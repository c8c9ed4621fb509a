//! How much of the DHT's memory one peer may fill with announcements. Pure: time comes in as an
//! argument.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use libp2p::PeerId;

/// Keys kept for one peer.
const PER_PEER: usize = 1024;
/// How long a key counts: as long as the DHT keeps it.
const KEPT: Duration = Duration::from_secs(48 * 3600);
/// Pause between two looks for what is too old.
const LOOK: Duration = Duration::from_secs(60);

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Quota {
    /// Keys kept together.
    most: usize,
    peers: HashMap<PeerId, HashMap<u64, Instant>>,
    total: usize,
    expired: Option<Instant>,
    hasher: RandomState,
}

impl Quota {
    /// Room for so many keys of all peers together.
    pub(crate) fn new(most: usize) -> Self {
        Quota {
            most,
            peers: HashMap::new(),
            total: 0,
            expired: None,
            hasher: RandomState::new(),
        }
    }

    /// Whether one more key of a peer may be kept; counts it if so. A key that is kept already may
    /// be renewed.
    pub(crate) fn take(&mut self, peer: PeerId, key: &impl Hash, now: Instant) -> bool {
        let key = self.hasher.hash_one(key);
        let keys = self.peers.entry(peer).or_default();
        if let Some(at) = keys.get_mut(&key) {
            *at = now;
            return true;
        }
        let room = keys.len() < PER_PEER && self.total < self.most;
        if room {
            keys.insert(key, now);
            self.total += 1;
        } else if keys.is_empty() {
            self.peers.remove(&peer);
        }
        room
    }

    /// Keys kept now.
    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// Forgets what the DHT has forgotten; looks no oftener than once a minute, and says whether it did.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < LOOK;
        if self.expired.is_some_and(lately) {
            return false;
        }
        self.expired = Some(now);
        self.peers.retain(|_, keys| {
            keys.retain(|_, at| now.saturating_duration_since(*at) < KEPT);
            !keys.is_empty()
        });
        self.total = self.peers.values().map(HashMap::len).sum();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_the_place_of_others() {
        let now = Instant::now();
        const TOTAL: usize = 16_384;
        let mut quota = Quota::new(TOTAL);
        let (greedy, modest) = (PeerId::random(), PeerId::random());
        let taken = (0..5000).filter(|n| quota.take(greedy, n, now)).count();
        assert_eq!(taken, PER_PEER);
        assert!(quota.take(greedy, &0, now), "renewed");
        assert!(quota.take(modest, &0, now));
        for _ in 0..30 {
            let sybil = PeerId::random();
            for n in 0..PER_PEER {
                quota.take(sybil, &n, now);
            }
        }
        assert_eq!(quota.total, TOTAL);
        assert!(!quota.take(PeerId::random(), &1, now));
        assert!(quota.peers.len() < 20, "no room, no memory");
        quota.expire(now + KEPT);
        assert_eq!((quota.total, quota.peers.len()), (0, 0));
    }
}
