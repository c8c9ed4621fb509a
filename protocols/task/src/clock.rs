//! The driver's clock made monotonic, for timers; deadlines stay on the wall clock.

/// Time that never runs backwards, fed by a wall clock that may: a step back is absorbed into an
/// offset, so timers go on from where they were.
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

    pub(crate) fn advance(&mut self, wall_ms: u64) {
        self.offset = self
            .offset
            .saturating_add(self.wall.saturating_sub(wall_ms));
        self.wall = wall_ms;
    }

    /// The monotonic time of the last reading.
    pub(crate) fn now(&self) -> u64 {
        self.wall.saturating_add(self.offset)
    }

    /// The last reading.
    pub(crate) fn wall(&self) -> u64 {
        self.wall
    }

    /// The wall clock time at which the monotonic time will be `at`.
    pub(crate) fn to_wall(&self, at: u64) -> u64 {
        at.saturating_sub(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_does_not_stop_timers() {
        let mut clock = Clock::new(1_000);
        clock.advance(400);
        assert_eq!((clock.now(), clock.wall()), (1_000, 400));
        clock.advance(500);
        assert_eq!(clock.now(), 1_100);
        assert_eq!(clock.to_wall(1_200), 600);
    }
}
