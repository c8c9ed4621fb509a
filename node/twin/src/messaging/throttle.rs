//! How many messages are taken: from everybody together, and from any one sender. Sans-IO.

use std::collections::BTreeMap;

/// Messages taken at once, and every second after that: from all senders.
const ALL: Rate = Rate {
    burst: 300,
    per_s: 100,
};
/// The same from one sender the twin deals with.
const ONE: Rate = Rate {
    burst: 60,
    per_s: 5,
};
/// The same from one sender the twin has never written to; the anonymous count as one of them.
const STRANGER: Rate = Rate {
    burst: 20,
    per_s: 1,
};
/// From all strangers together.
const STRANGERS: Rate = Rate {
    burst: 200,
    per_s: 10,
};
/// Senders kept in mind.
const MAX_SENDERS: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u64,
    per_s: u64,
}

/// A bucket that fills with time and gives one token for each message. It counts thousandths.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    milli: u64,
    at_ms: u64,
}

impl Bucket {
    const fn full(rate: Rate, now_ms: u64) -> Self {
        Self {
            milli: rate.burst * 1000,
            at_ms: now_ms,
        }
    }

    fn fill(&mut self, rate: Rate, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let more = passed.saturating_mul(rate.per_s);
        self.milli = self.milli.saturating_add(more).min(rate.burst * 1000);
        self.at_ms = now_ms;
    }

    fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        self.fill(rate, now_ms);
        let enough = self.milli >= 1000;
        if enough {
            self.milli -= 1000;
        }
        enough
    }
}

/// The limits on incoming messages.
#[derive(Debug, Default)]
pub struct Throttle {
    all: Option<Bucket>,
    strangers: Option<Bucket>,
    senders: BTreeMap<String, Bucket>,
}

impl Throttle {
    /// Whether one more message may be looked at, at `now_ms` (milliseconds since any start).
    pub fn admit_any(&mut self, now_ms: u64) -> bool {
        self.all
            .get_or_insert(Bucket::full(ALL, now_ms))
            .take(ALL, now_ms)
    }

    /// Whether one more message of `sender` may be taken; `None` is an anonymous one. The twin has
    /// dealt with those that are `known`.
    pub fn admit(&mut self, sender: Option<&str>, known: bool, now_ms: u64) -> bool {
        let sender = sender.unwrap_or_default();
        let rate = if known { ONE } else { STRANGER };
        if !self.senders.contains_key(sender) && self.senders.len() >= MAX_SENDERS {
            self.senders.retain(|_, bucket| {
                bucket.fill(ONE, now_ms);
                bucket.milli < ONE.burst * 1000
            });
            if self.senders.len() >= MAX_SENDERS {
                return false;
            }
        }
        let bucket = self
            .senders
            .entry(sender.to_owned())
            .or_insert(Bucket::full(rate, now_ms));
        bucket.take(rate, now_ms)
            && (known
                || self
                    .strangers
                    .get_or_insert(Bucket::full(STRANGERS, now_ms))
                    .take(STRANGERS, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_has_a_burst_and_then_a_rate_and_others_are_not_held_up() {
        let mut throttle = Throttle::default();
        let admitted = |throttle: &mut Throttle, sender, now| {
            (0..200)
                .filter(|_| throttle.admit(Some(sender), true, now))
                .count()
        };
        assert_eq!(admitted(&mut throttle, "a", 1_000), 60);
        assert_eq!(admitted(&mut throttle, "a", 1_199), 0);
        assert_eq!(admitted(&mut throttle, "a", 2_200), 6);
        assert_eq!(admitted(&mut throttle, "b", 2_200), 60);
        assert_eq!(admitted(&mut throttle, "a", 9_000_000), 60);
        // A clock that goes back gives nothing.
        assert_eq!(admitted(&mut throttle, "a", 0), 0);
        // A stranger has less, and strangers together have a limit.
        let mut throttle = Throttle::default();
        let strange = |throttle: &mut Throttle, sender: &str| {
            (0..200)
                .filter(|_| throttle.admit(Some(sender), false, 1_000))
                .count()
        };
        let each: Vec<usize> = (0..15)
            .map(|n| strange(&mut throttle, &n.to_string()))
            .collect();
        assert_eq!((each[0], each.iter().sum::<usize>()), (20, 200));
        assert_eq!(admitted(&mut throttle, "friend", 1_000), 60);
    }

    #[test]
    fn all_together_are_limited_too_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        assert_eq!((0..1_000).filter(|_| throttle.admit_any(5)).count(), 300);
        assert!(throttle.admit_any(15));
        for n in 0..MAX_SENDERS {
            assert!(throttle.admit(Some(&n.to_string()), true, 5));
        }
        assert!(!throttle.admit(Some("one more"), true, 5));
        // Those that have been quiet for long make room.
        assert!(throttle.admit(Some("one more"), true, 60_000));
        assert_eq!(throttle.senders.len(), 1);
    }
}
