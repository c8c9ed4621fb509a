//! Decides on which relays to hold a reservation. Pure: time comes in as an argument, what to do
//! goes out as a list.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;

/// Relays to hold a reservation on: one may fail.
const WANTED: usize = 2;
/// Relays remembered.
const MAX_KNOWN: usize = 32;
/// How long a relay may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Longest pause after a refusal.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// Peers that offer to relay, and where we stand with each.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    known: HashMap<PeerId, Relay>,
}

#[derive(Debug)]
struct Relay {
    state: State,
    failures: u32,
    next: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Asked(Instant),
    Reserved,
}

impl Relays {
    /// A connected peer offers to relay.
    pub(crate) fn offered(&mut self, peer: PeerId, now: Instant) {
        if self.known.len() < MAX_KNOWN || self.known.contains_key(&peer) {
            self.known.entry(peer).or_insert(Relay {
                state: State::Idle,
                failures: 0,
                next: now,
            });
        }
    }

    /// A peer is gone or offers nothing any more.
    pub(crate) fn gone(&mut self, peer: &PeerId) {
        self.known.remove(peer);
    }

    /// A relay has granted a reservation.
    pub(crate) fn reserved(&mut self, peer: &PeerId) {
        if let Some(relay) = self.known.get_mut(peer) {
            relay.state = State::Reserved;
            relay.failures = 0;
        }
    }

    /// A relay has refused, or a reservation has ended.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        if let Some(relay) = self.known.get_mut(peer) {
            relay.state = State::Idle;
            relay.failures = relay.failures.saturating_add(1);
            relay.next = now + Duration::from_secs(1 << relay.failures.min(9)).min(MAX_PAUSE);
        }
    }

    /// A reservation was given back.
    pub(crate) fn released(&mut self, peer: &PeerId) {
        if let Some(relay) = self.known.get_mut(peer) {
            relay.state = State::Idle;
        }
    }

    /// The relays to ask for a reservation; each counts as asked from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<PeerId> {
        for relay in self.known.values_mut() {
            if matches!(relay.state, State::Asked(since) if now >= since + ANSWER_TIME) {
                relay.state = State::Idle;
                relay.failures = relay.failures.saturating_add(1);
                relay.next = now + MAX_PAUSE;
            }
        }
        let busy = |relay: &Relay| relay.state != State::Idle;
        let open = self.known.values().filter(|relay| busy(relay)).count();
        let mut ready: Vec<(&PeerId, &mut Relay)> = self
            .known
            .iter_mut()
            .filter(|(_, relay)| relay.state == State::Idle && relay.next <= now)
            .collect();
        ready.sort_by_key(|(peer, relay)| (relay.failures, **peer));
        ready
            .into_iter()
            .take(WANTED.saturating_sub(open))
            .map(|(peer, relay)| {
                relay.state = State::Asked(now);
                *peer
            })
            .collect()
    }

    /// Whether a relay holds a reservation for this node, or is asked to.
    pub(crate) fn counts_on(&self, peer: &PeerId) -> bool {
        let relay = self.known.get(peer);
        relay.is_some_and(|relay| relay.state != State::Idle)
    }

    /// Relays that hold a reservation for this node, by peer id.
    pub(crate) fn held(&self) -> Vec<PeerId> {
        let mut held: Vec<PeerId> = self
            .known
            .iter()
            .filter(|(_, relay)| relay.state == State::Reserved)
            .map(|(peer, _)| *peer)
            .collect();
        held.sort();
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_relays_are_asked_and_a_third_takes_over() {
        let now = Instant::now();
        let mut relays = Relays::default();
        for _ in 0..3 {
            relays.offered(PeerId::random(), now);
        }
        let asked = relays.due(now);
        assert_eq!(asked.len(), 2);
        assert!(relays.due(now).is_empty(), "both are busy");
        relays.reserved(&asked[0]);
        relays.failed(&asked[1], now);
        let third = relays.due(now);
        assert!(third.len() == 1 && !asked.contains(&third[0]));
        relays.reserved(&third[0]);
        assert_eq!(relays.held().len(), 2);
        relays.gone(&asked[0]);
        assert_eq!(relays.due(now + MAX_PAUSE), [asked[1]]);
    }

    #[test]
    fn a_relay_that_refuses_is_asked_ever_more_seldom() {
        let start = Instant::now();
        let relay = PeerId::random();
        let mut relays = Relays::default();
        relays.offered(relay, start);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert_eq!(relays.due(now), [relay]);
            relays.failed(&relay, now);
            let failed = now;
            while relays.due(now).is_empty() {
                now += Duration::from_secs(1);
            }
            pauses.push((now - failed).as_secs());
            relays.released(&relay);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_silent_relay_is_given_up_for_a_while() {
        let now = Instant::now();
        let relay = PeerId::random();
        let mut relays = Relays::default();
        relays.offered(relay, now);
        assert_eq!(relays.due(now), [relay]);
        let later = now + ANSWER_TIME;
        assert!(relays.due(later).is_empty() && relays.held().is_empty());
        assert_eq!(relays.due(later + MAX_PAUSE), [relay]);
    }
}
