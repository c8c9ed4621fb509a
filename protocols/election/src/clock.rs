//! The driver's clock made monotonic, and the seeded source of jitter.

/// Time that never runs backwards, fed by a wall clock that may.
///
/// A backward step of the wall clock is absorbed into an offset: timers go on from where they
/// were instead of standing still until the wall clock has caught up.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    wall: u64,
    offset: u64,
}

impl Clock {
    pub(crate) fn new(wall_ms: u64) -> Self {
        Self {
            wall: wall_ms,
            offset: 0,
        }
    }

    /// Takes a reading of the wall clock and gives the monotonic time.
    pub(crate) fn advance(&mut self, wall_ms: u64) -> u64 {
        if wall_ms < self.wall {
            self.offset = self.offset.saturating_add(self.wall - wall_ms);
        }
        self.wall = wall_ms;
        self.now()
    }

    /// The monotonic time of the last reading.
    pub(crate) fn now(&self) -> u64 {
        self.wall.saturating_add(self.offset)
    }

    /// The last reading of the wall clock, for timestamps.
    pub(crate) fn wall(&self) -> u64 {
        self.wall
    }

    /// The wall clock time at which the monotonic time will be `deadline`.
    pub(crate) fn to_wall(&self, deadline: u64) -> u64 {
        deadline.saturating_sub(self.offset)
    }
}

/// SplitMix64: small, seeded and good enough for jitter; never for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 where `limit` is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_wall_clock_is_set_back() {
        let mut clock = Clock::new(10_000);
        assert_eq!(clock.advance(11_000), 11_000);
        assert_eq!(clock.advance(1_000), 11_000);
        assert_eq!(clock.advance(1_500), 11_500);
        assert_eq!(clock.to_wall(12_000), 2_000);
        assert_eq!(clock.wall(), 1_500);
        assert_eq!(clock.advance(u64::MAX), u64::MAX);
        assert_eq!(clock.advance(0), u64::MAX);
    }

    #[test]
    fn jitter_repeats_for_a_seed_and_differs_between_seeds() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..8).map(|_| jitter.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(Jitter::new(1).below(0), 0);
    }
}
