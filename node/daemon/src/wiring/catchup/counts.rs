//! What the log and its comparing have done.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts since the node was started; those of the log itself are present numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CatchupStats {
    /// Messages in the log now.
    pub sync_log_messages: u64,
    /// Their bytes.
    pub sync_log_bytes: u64,
    /// Own messages waiting for room now.
    pub sync_waiting: u64,
    /// Own messages put in.
    pub sync_own: u64,
    /// Messages that gossip brought first.
    pub sync_by_gossip: u64,
    /// Messages that comparing brought first.
    pub sync_by_sync: u64,
    /// Fetched messages the hive did not accept.
    pub sync_refused: u64,
    /// Sessions begun with other nodes.
    pub sync_sessions: u64,
    /// Of those, the ones after which nothing was missing.
    pub sync_complete: u64,
    /// Of those, the ones in which the other node broke the rules.
    pub sync_faults: u64,
    /// Requests of other nodes answered.
    pub sync_answered: u64,
    /// Requests of other nodes not answered: too many, or not understood.
    pub sync_limited: u64,
}

macro_rules! counts {
    ($($field:ident),* $(,)?) => {
        /// The live counters behind [`CatchupStats`].
        #[derive(Debug, Default)]
        pub(super) struct Counts { $(pub(super) $field: Count),* }

        impl Counts {
            pub(super) fn snapshot(&self) -> CatchupStats {
                CatchupStats { $($field: self.$field.0.load(Ordering::Relaxed)),* }
            }
        }
    };
}

counts!(
    sync_log_messages,
    sync_log_bytes,
    sync_waiting,
    sync_own,
    sync_by_gossip,
    sync_by_sync,
    sync_refused,
    sync_sessions,
    sync_complete,
    sync_faults,
    sync_answered,
    sync_limited,
);

/// One number.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: usize) {
        self.0.store(n as u64, Ordering::Relaxed);
    }
}
