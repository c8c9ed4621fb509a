//! How long, how many, how far: the election's settings.

use pagi_messages::wire::MAX_CLOCK_SKEW_MS;
use serde::{Deserialize, Serialize};

use crate::certificate::MAX_ELECTORATE;

/// The election's settings. All nodes of a swarm should share them. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How long a follower trusts an MO after its last heartbeat.
    pub lease_ms: u64,
    /// How often the MO sends a heartbeat.
    pub heartbeat_ms: u64,
    /// How long a fresh node listens before it votes or stands for election.
    pub settle_ms: u64,
    /// How long a fresh node does not stand for election: for one that expects to find a swarm with an
    /// MO, so that many which start at once do not all make themselves MO first. It votes all the
    /// same.
    pub join_ms: u64,
    /// Most members of an electorate; at most [`MAX_ELECTORATE`].
    pub electorate_max: usize,
    /// Members with less reputation than this rank behind all others.
    pub min_reputation: u32,
    /// How long a candidate collects votes before it gives up on its term, and how long a voter
    /// keeps its promise to wait for the candidate it voted for.
    pub vote_timeout_ms: u64,
    /// How often a candidate repeats its call for votes.
    pub resend_ms: u64,
    /// Back-off per rank before a member stands.
    pub backoff_step_ms: u64,
    /// How far a message's timestamp may lie from this node's clock, either way.
    pub max_skew_ms: u64,
    /// How far ahead of a voter's own term a candidate's term may be.
    pub max_term_jump: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ms: 6_000,
            heartbeat_ms: 1_500,
            settle_ms: 1_500,
            join_ms: 0,
            electorate_max: MAX_ELECTORATE,
            min_reputation: 0,
            vote_timeout_ms: 1_000,
            resend_ms: 250,
            backoff_step_ms: 200,
            max_skew_ms: MAX_CLOCK_SKEW_MS,
            max_term_jump: 1_000_000,
        }
    }
}

impl Config {
    /// The nearest settings that work: no zero intervals, a lease of at least two heartbeats, an
    /// electorate between one and [`MAX_ELECTORATE`]. [`Machine::new`](crate::Machine::new)
    /// applies this.
    #[must_use]
    pub fn sanitised(mut self) -> Self {
        /// A year: keeps sums of times far from overflow.
        const LONGEST_MS: u64 = 365 * 24 * 3_600_000;
        for interval in [
            &mut self.heartbeat_ms,
            &mut self.vote_timeout_ms,
            &mut self.resend_ms,
            &mut self.backoff_step_ms,
        ] {
            *interval = (*interval).clamp(1, LONGEST_MS);
        }
        self.settle_ms = self.settle_ms.min(LONGEST_MS);
        self.join_ms = self.join_ms.min(LONGEST_MS);
        self.lease_ms = self.lease_ms.clamp(self.heartbeat_ms * 2, LONGEST_MS * 2);
        self.electorate_max = self.electorate_max.clamp(1, MAX_ELECTORATE);
        self.max_term_jump = self.max_term_jump.max(2);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopeless_settings_become_workable_and_good_ones_stay() {
        assert_eq!(Config::default().sanitised(), Config::default());
        let zero = Config {
            lease_ms: 0,
            heartbeat_ms: 0,
            electorate_max: 0,
            resend_ms: 0,
            vote_timeout_ms: u64::MAX,
            ..Config::default()
        }
        .sanitised();
        assert!(zero.heartbeat_ms > 0 && zero.lease_ms >= 2 * zero.heartbeat_ms);
        assert!(zero.electorate_max == 1 && zero.resend_ms > 0);
        assert!(zero.vote_timeout_ms < u64::MAX / 1000);
    }

    #[test]
    fn a_partial_file_takes_defaults_for_the_rest() {
        let config: Config = serde_json::from_str(r#"{"lease_ms": 9000}"#).unwrap();
        assert_eq!(
            config,
            Config {
                lease_ms: 9_000,
                ..Config::default()
            }
        );
    }
}
