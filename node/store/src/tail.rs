//! The event log as an endless stream: first what is in it, then what comes, without gaps.

use std::collections::VecDeque;

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    error::StoreError,
    model::{EventFilter, LoggedEvent},
    store::Store,
};

/// Events read from the log at a time.
const PAGE: usize = 256;

/// The events after a sequence number, see [`Store::follow`].
#[derive(Debug)]
pub struct EventTail {
    store: Store,
    filter: EventFilter,
    live: Receiver<LoggedEvent>,
    /// The last event that was given.
    after: u64,
    /// Events read from the log and not given yet.
    backlog: VecDeque<LoggedEvent>,
    /// Whether the log may hold more events that are not among the live ones.
    behind: bool,
}

impl Store {
    /// Follows the event log from the event after `seq` on (0: from the first one kept).
    #[must_use]
    pub fn follow(&self, seq: u64, filter: EventFilter) -> EventTail {
        EventTail {
            // Before the log is read, so that nothing falls between.
            live: self.subscribe(),
            store: self.clone(),
            filter,
            after: seq,
            backlog: VecDeque::new(),
            behind: true,
        }
    }
}

impl EventTail {
    fn read_page(&mut self) -> Result<Vec<LoggedEvent>, StoreError> {
        // A number from another store's log may lie ahead of ours; it must not hide what comes.
        self.after = self.after.min(self.store.last_event_seq()?);
        self.store.events_after(self.after, PAGE, &self.filter)
    }

    /// The next event, when there is one; `None` when the store was closed. A reader too slow for
    /// the live events gets them from the log. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`Store::events_after`].
    pub async fn next(&mut self) -> Result<Option<LoggedEvent>, StoreError> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                self.after = event.seq;
                return Ok(Some(event));
            }
            if self.behind {
                match self.read_page() {
                    Ok(page) => {
                        self.behind = page.len() == PAGE;
                        self.backlog = page.into();
                        continue;
                    }
                    Err(StoreError::Closed) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            match self.live.recv().await {
                Ok(event) if event.seq > self.after => {
                    if self.filter.matches(&event.event) {
                        self.after = event.seq;
                        return Ok(Some(event));
                    }
                }
                // It was in the log already.
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}
