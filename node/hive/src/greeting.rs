//! How soon to answer a node that turns up. Sans-IO.
//!
//! A greeting goes to the whole swarm. Whoever makes nodes appear and disappear all the time must not
//! get one for each: when they are asked for without a pause, the wait between two grows, up to the
//! shortest period at which presence is sent anyway.

use std::time::{Duration, Instant};

/// Several peers often turn up together: one greeting is enough.
const FIRST: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(12);
/// Greetings at the first wait before it grows.
const FREE: u32 = 8;

/// When greetings were sent.
#[derive(Clone, Debug, Default)]
pub struct Greetings {
    /// How many lately.
    lately: u32,
    last: Option<Instant>,
}

impl Greetings {
    /// A greeting is asked for at `now`: how long to wait before it is sent.
    pub fn asked(&mut self, now: Instant) -> Duration {
        if let Some(last) = self.last {
            let passed = now.saturating_duration_since(last).as_secs() / LONGEST.as_secs();
            self.lately = self
                .lately
                .saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX).saturating_mul(2));
        }
        let beyond = self.lately.saturating_sub(FREE).min(6);
        let wait = (FIRST * (1 << beyond)).min(LONGEST);
        self.lately = (self.lately + 1).min(2 * FREE);
        self.last = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_greeted_at_once_and_a_stream_of_them_slowly() {
        let start = Instant::now();
        let mut greetings = Greetings::default();
        for n in 0..u64::from(FREE) {
            assert_eq!(greetings.asked(start + Duration::from_secs(n)), FIRST);
        }
        let mut now = start + Duration::from_secs(10);
        let mut sent = 0;
        while now < start + Duration::from_secs(3600) {
            now += greetings.asked(now);
            sent += 1;
        }
        assert!(sent < 3600 / 12 * 2, "{sent} in an hour");
        let quiet = now + Duration::from_secs(120);
        assert_eq!(greetings.asked(quiet), FIRST, "forgotten after a pause");
    }
}
