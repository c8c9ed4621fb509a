//! How long, how many, how often: the settings of task work.

use pagi_messages::wire::{MAX_CLOCK_SKEW_MS, MAX_MESSAGE_AGE_MS};
use serde::{Deserialize, Serialize};

/// The settings of task work. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How long the asker collects offers before it picks one.
    pub window_ms: u64,
    /// How soon a broadcast without offers is repeated; doubles up to `broadcast_max_ms`.
    pub broadcast_ms: u64,
    /// How seldom a broadcast is repeated at last.
    pub broadcast_max_ms: u64,
    /// How soon an assignment that the worker has not confirmed is repeated.
    pub assign_retry_ms: u64,
    /// How long an asker waits for a silent worker.
    pub lease_ms: u64,
    /// How often a worker says that it is at it.
    pub keepalive_ms: u64,
    /// How soon a result that is not acknowledged is repeated; doubles up to `result_retry_max_ms`.
    pub result_retry_ms: u64,
    /// How seldom such a result is repeated at last.
    pub result_retry_max_ms: u64,
    /// How long after the deadline, or after a start behind it, the asker still takes a result.
    pub grace_ms: u64,
    /// How long after the deadline a worker keeps a result for an asker that is away.
    pub keep_ms: u64,
    /// How long an offer stands.
    pub offer_ttl_ms: u64,
    /// How long after a failed attempt the asker waits for another node to offer itself.
    pub reoffer_ms: u64,
    /// How far ahead a deadline may lie.
    pub max_horizon_ms: u64,
    /// How far a timestamp may lie ahead of this node's clock.
    pub max_skew_ms: u64,
    /// How old a broadcast or an offer may be.
    pub max_age_ms: u64,
    /// Most attempts of a task.
    pub max_attempts: u32,
    /// How often a worker begins the same attempt, if it crashes over it.
    pub max_starts: u32,
    /// Most own tasks that are open at a time.
    pub max_open: usize,
    /// Most own tasks that are kept, the ended ones included.
    pub max_asked: usize,
    /// Most offers kept for one task.
    pub max_offers: usize,
    /// Most tasks of others that run here at a time.
    pub max_running: usize,
    /// Most tasks of others that are kept, the ended ones included.
    pub max_worked: usize,
    /// Most tasks of one asker that are kept, the ended ones included.
    pub max_worked_per_asker: usize,
    /// Most offers of this node that stand at a time.
    pub max_standing: usize,
    /// Most offers to one asker that stand at a time.
    pub max_standing_per_asker: usize,
    /// This node offers nothing while its load is above this, in percent.
    pub max_load: u8,
    /// Most nodes whose reputation is kept.
    pub max_peers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_ms: 1_500,
            broadcast_ms: 500,
            broadcast_max_ms: 5_000,
            assign_retry_ms: 1_000,
            lease_ms: 15_000,
            keepalive_ms: 4_000,
            result_retry_ms: 1_000,
            result_retry_max_ms: 10_000,
            grace_ms: 30_000,
            keep_ms: 3_600_000,
            offer_ttl_ms: 30_000,
            reoffer_ms: 30_000,
            max_horizon_ms: 24 * 3_600_000,
            max_skew_ms: MAX_CLOCK_SKEW_MS,
            max_age_ms: MAX_MESSAGE_AGE_MS,
            max_attempts: 5,
            max_starts: 3,
            max_open: 32,
            max_asked: 256,
            max_offers: 64,
            max_running: 2,
            max_worked: 256,
            max_worked_per_asker: 32,
            max_standing: 512,
            max_standing_per_asker: 8,
            max_load: 90,
            max_peers: 4_096,
        }
    }
}

impl Config {
    /// The nearest settings that work: no zero intervals or bounds, keep-alives and retries well
    /// within the lease and the grace. [`Machine::new`](crate::Machine::new) applies this.
    #[must_use]
    pub fn sanitised(mut self) -> Self {
        /// A year: keeps sums of times far from overflow.
        const LONGEST_MS: u64 = 365 * 24 * 3_600_000;
        for interval in [
            &mut self.window_ms,
            &mut self.broadcast_ms,
            &mut self.broadcast_max_ms,
            &mut self.assign_retry_ms,
            &mut self.lease_ms,
            &mut self.keepalive_ms,
            &mut self.result_retry_ms,
            &mut self.result_retry_max_ms,
            &mut self.grace_ms,
            &mut self.keep_ms,
            &mut self.offer_ttl_ms,
            &mut self.reoffer_ms,
            &mut self.max_horizon_ms,
            &mut self.max_skew_ms,
            &mut self.max_age_ms,
        ] {
            *interval = (*interval).clamp(10, LONGEST_MS);
        }
        self.lease_ms = self.lease_ms.max(30);
        self.keepalive_ms = self.keepalive_ms.min(self.lease_ms / 3);
        self.assign_retry_ms = self.assign_retry_ms.min(self.lease_ms / 3);
        self.broadcast_max_ms = self.broadcast_max_ms.max(self.broadcast_ms);
        self.grace_ms = self.grace_ms.max(30);
        self.result_retry_max_ms = self.result_retry_max_ms.min(self.grace_ms / 3);
        self.result_retry_ms = self.result_retry_ms.min(self.result_retry_max_ms);
        self.max_attempts = self.max_attempts.clamp(1, 1_000);
        self.max_starts = self.max_starts.max(1);
        for bound in [
            &mut self.max_open,
            &mut self.max_offers,
            &mut self.max_running,
            &mut self.max_standing,
            &mut self.max_standing_per_asker,
            &mut self.max_worked_per_asker,
            &mut self.max_peers,
        ] {
            *bound = (*bound).max(1);
        }
        self.max_asked = self.max_asked.max(self.max_open);
        self.max_worked = self.max_worked.max(self.max_running);
        self
    }
}
