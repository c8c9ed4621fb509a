//! How often peers misbehaved of late. Pure: time comes in as an argument.

use std::collections::BTreeMap;

/// A peer is kept away after so many misdeeds.
const STRIKES: u32 = 5;
/// One misdeed is forgotten in this time, milliseconds.
const FORGOTTEN_MS: u64 = 30 * 60 * 1000;
/// Peers whose misdeeds are counted.
const MAX_STRUCK: usize = 4096;

/// Misdeeds that are not forgotten, by peer.
#[derive(Debug, Default)]
pub struct Strikes(BTreeMap<String, Struck>);

#[derive(Clone, Copy, Debug)]
struct Struck {
    count: u32,
    /// Since when the oldest of them is being forgotten, milliseconds.
    since_ms: u64,
}

impl Struck {
    fn at(self, now_ms: u64) -> Self {
        let forgotten = now_ms.saturating_sub(self.since_ms) / FORGOTTEN_MS;
        let count = u64::from(self.count).saturating_sub(forgotten);
        Self {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            since_ms: self
                .since_ms
                .saturating_add(forgotten.saturating_mul(FORGOTTEN_MS)),
        }
    }
}

impl Strikes {
    /// Notes a misdeed: how many it has to answer for now, and whether it is kept away for them.
    pub fn note(&mut self, peer: &str, now_ms: u64) -> (u32, bool) {
        if self.0.len() >= MAX_STRUCK && !self.0.contains_key(peer) {
            self.make_room(now_ms);
        }
        let place = self.0.entry(peer.to_owned()).or_insert(Struck {
            count: 0,
            since_ms: now_ms,
        });
        *place = place.at(now_ms);
        if place.count == 0 {
            place.since_ms = now_ms;
        }
        place.count += 1;
        let count = place.count;
        let kept_away = count >= STRIKES;
        if kept_away {
            self.0.remove(peer);
        }
        (count, kept_away)
    }

    /// Forgets what is over, or else the peer with the fewest misdeeds.
    fn make_room(&mut self, now_ms: u64) {
        self.0.retain(|_, struck| struck.at(now_ms).count > 0);
        if self.0.len() < MAX_STRUCK {
            return;
        }
        let least = self
            .0
            .iter()
            .min_by_key(|(_, struck)| struck.at(now_ms).count);
        if let Some(least) = least.map(|(peer, _)| peer.clone()) {
            self.0.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    #[test]
    fn misdeeds_close_together_count_and_those_of_long_ago_do_not() {
        let mut strikes = Strikes::default();
        let close: Vec<_> = (0..5).map(|n| strikes.note("a", n)).collect();
        assert_eq!(close[3], (4, false));
        assert_eq!(close[4], (5, true));
        assert_eq!(strikes.note("a", 5), (1, false), "it starts anew");
        for day in 0..100 {
            assert_eq!(strikes.note("b", day * DAY), (1, false));
        }
        // One an hour is as much as is forgotten; one every ten minutes is more.
        assert!((0..100).all(|n| !strikes.note("c", n * 2 * FORGOTTEN_MS).1));
        assert!((0..100).any(|n| strikes.note("d", n * FORGOTTEN_MS / 3).1));
        // A clock that is set back forgives nothing.
        let back: Vec<_> = (0..5).map(|n| strikes.note("e", 9 - n).1).collect();
        assert_eq!(back, [false, false, false, false, true]);
    }

    #[test]
    fn many_names_do_not_wash_one_clean() {
        let mut strikes = Strikes::default();
        for n in 0..4 {
            strikes.note("bad", n);
        }
        for n in 0..2 * MAX_STRUCK {
            strikes.note(&format!("name {n}"), 10);
        }
        assert!(strikes.0.len() <= MAX_STRUCK);
        assert_eq!(strikes.note("bad", 20), (5, true));
    }
}
