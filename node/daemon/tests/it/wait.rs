//! Waiting for a condition, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a test waits for what must happen soon.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(40);

/// Looks until `look` finds something and gives it; panics after [`DEADLINE`] with `what` was
/// awaited and what was seen last.
#[track_caller]
pub fn until<T>(what: &str, look: impl AsyncFn() -> Result<T, String>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + DEADLINE;
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) if Instant::now() >= end => {
                    panic!("{caller}: waited {DEADLINE:?} for {what}; last seen: {seen}")
                }
                Err(_) => sleep(GLANCE).await,
            }
        }
    }
}
