//! Which messages were taken in before. Pure: time comes in as an argument.
//!
//! A message may be up to ten minutes old when it arrives (and up to two ahead of this node's clock),
//! while gossipsub remembers ids for two minutes only. So ids are kept here for the whole time in
//! which a copy would still pass for fresh. Memory is bounded: two generations of ids, of which the
//! older is dropped when it is old enough, or when the younger one is full.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::pace::Id;

/// Half of an id is plenty to tell messages apart by chance, and forging one that collides with a
/// given one gains nobody more than not sending.
type Short = [u8; 16];

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Seen {
    window: Duration,
    capacity: usize,
    young: HashSet<Short>,
    old: HashSet<Short>,
    turned: Instant,
}

impl Seen {
    /// Remembers ids for `window` at least, as long as no more than `capacity` come in that time.
    pub(crate) fn new(window: Duration, capacity: usize, now: Instant) -> Self {
        Seen {
            window,
            capacity,
            young: HashSet::new(),
            old: HashSet::new(),
            turned: now,
        }
    }

    /// Whether a message was taken in before.
    pub(crate) fn contains(&self, id: &Id) -> bool {
        let id = short(id);
        self.young.contains(&id) || self.old.contains(&id)
    }

    /// Remembers a message.
    pub(crate) fn insert(&mut self, id: &Id, now: Instant) {
        self.turn(now);
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        self.young.insert(short(id));
    }

    /// Forgets what is old enough.
    pub(crate) fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.turned);
        if passed >= self.window {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        if passed >= 2 * self.window {
            self.old = HashSet::new();
        }
    }
}

fn short(id: &Id) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&id[..16]);
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u64) -> Id {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        id
    }

    const WINDOW: Duration = Duration::from_secs(720);

    #[test]
    fn a_message_is_known_for_the_whole_window_and_not_for_ever() {
        let start = Instant::now();
        let mut seen = Seen::new(WINDOW, 100, start);
        let first = start + WINDOW / 2;
        seen.insert(&id(1), first);
        assert!(seen.contains(&id(1)) && !seen.contains(&id(2)));
        seen.turn(first + WINDOW - Duration::from_secs(1));
        assert!(seen.contains(&id(1)));
        seen.turn(start + 3 * WINDOW);
        assert!(!seen.contains(&id(1)));
    }

    proptest! {
        #[test]
        fn nothing_young_is_forgotten_below_the_capacity(
            steps in proptest::collection::vec(0u64..100, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut seen = Seen::new(WINDOW, 50, start);
            let mut put: Vec<(u64, Instant)> = Vec::new();
            for (n, seconds) in steps.into_iter().enumerate() {
                now += Duration::from_secs(seconds);
                seen.insert(&id(n as u64), now);
                put.push((n as u64, now));
                prop_assert!(seen.young.len() <= 50 && seen.old.len() <= 50);
                let recent = put.iter().rev().take(50);
                for (n, at) in recent {
                    prop_assert!(now - *at >= WINDOW || seen.contains(&id(*n)));
                }
            }
        }
    }
}
