//! How fast to publish. Pure: time comes in as an argument.
//!
//! gossipsub gives each peer a send queue; a publisher that outruns it loses messages silently (a
//! refused message counts as published, so it cannot even be published again). It offers no view
//! of the queue either. So the publisher marks every so many messages and asks its receivers,
//! over a request protocol of its own, to answer when the marked message has reached their
//! application. While too many marks are unanswered, nothing more is published. A receiver that
//! does not answer in time is no longer waited for, for a while.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::protocol::MESSAGE_ID_BYTES;

/// A mark is set after this many messages...
const MARK_MESSAGES: usize = 32;
/// ...or this many bytes, whichever comes first.
const MARK_BYTES: usize = 1024 * 1024;
/// Unanswered marks per receiver at which publishing pauses.
const WINDOW: usize = 4;
/// How long a receiver may take to answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(3);
/// How long a receiver that did not answer is not waited for.
const EXEMPT: Duration = Duration::from_secs(30);
/// Send queue per peer that never overflows at this pace, doubled because gossipsub splits it
/// between own and forwarded messages. gossipsub takes the memory for it with every connection, some
/// 230 bytes a place, so a larger window would cost every node megabytes.
pub(crate) const SEND_QUEUE: usize = 4 * MARK_MESSAGES * WINDOW;

/// The publisher's side.
#[derive(Debug)]
pub(crate) struct Pacer<P> {
    messages: usize,
    bytes: usize,
    lanes: HashMap<P, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    unanswered: usize,
    exempt_until: Option<Instant>,
}

impl Lane {
    fn exempt(&self, now: Instant) -> bool {
        self.exempt_until.is_some_and(|until| now < until)
    }
}

impl<P: Eq + Hash> Pacer<P> {
    pub(crate) fn new() -> Self {
        Pacer {
            messages: 0,
            bytes: 0,
            lanes: HashMap::new(),
        }
    }

    /// Whether one more message may be published.
    pub(crate) fn open(&self, now: Instant) -> bool {
        self.lanes
            .values()
            .all(|lane| lane.unanswered < WINDOW || lane.exempt(now))
    }

    /// Counts a published message and says whether it is to be marked.
    pub(crate) fn published(&mut self, bytes: usize) -> bool {
        self.messages += 1;
        self.bytes += bytes;
        let mark = self.messages >= MARK_MESSAGES || self.bytes >= MARK_BYTES;
        if mark {
            self.messages = 0;
            self.bytes = 0;
        }
        mark
    }

    /// Counts a mark for one receiver and says whether to ask it.
    pub(crate) fn mark(&mut self, peer: P, now: Instant) -> bool {
        let lane = self.lanes.entry(peer).or_default();
        let ask = !lane.exempt(now);
        if ask {
            lane.exempt_until = None;
            lane.unanswered += 1;
        }
        ask
    }

    /// A receiver has answered one mark.
    pub(crate) fn answered(&mut self, peer: &P) {
        if let Some(lane) = self.lanes.get_mut(peer) {
            lane.unanswered = lane.unanswered.saturating_sub(1);
        }
    }

    /// A receiver has failed to answer a mark: it is not waited for until `EXEMPT` has passed.
    pub(crate) fn failed(&mut self, peer: &P, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(peer) {
            lane.unanswered = 0;
            lane.exempt_until = Some(now + EXEMPT);
        }
    }

    /// A receiver is gone.
    pub(crate) fn forget(&mut self, peer: &P) {
        self.lanes.remove(peer);
    }
}

/// Id of a gossip message.
pub(crate) type Id = [u8; MESSAGE_ID_BYTES];

/// Messages remembered as delivered; more than any publisher can have unanswered.
const REMEMBERED: usize = 4 * MARK_MESSAGES * WINDOW;
/// Questions kept open at once.
const MAX_WAITING: usize = 1024;

/// The receiver's side: which messages have arrived, and who waits for which (`C` is how to
/// answer).
#[derive(Debug)]
pub(crate) struct Arrivals<C> {
    order: VecDeque<Id>,
    arrived: HashSet<Id>,
    waiting: VecDeque<(Id, Instant, C)>,
}

impl<C> Arrivals<C> {
    pub(crate) fn new() -> Self {
        Arrivals {
            order: VecDeque::new(),
            arrived: HashSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Records a message that reached the application (or was dropped on the way for want of
    /// room: the publisher cannot help it) and returns the questions it answers.
    pub(crate) fn arrived(&mut self, id: Id) -> Vec<C> {
        if self.arrived.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > REMEMBERED {
            if let Some(old) = self.order.pop_front() {
                self.arrived.remove(&old);
            }
        }
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (answered, waiting): (VecDeque<_>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(wanted, ..)| *wanted == id);
        self.waiting = waiting;
        answered.into_iter().map(|(.., answer)| answer).collect()
    }

    /// Takes a question; returns how to answer it when the answer is known already.
    pub(crate) fn asked(&mut self, id: Id, now: Instant, answer: C) -> Option<C> {
        if self.arrived.contains(&id) {
            return Some(answer);
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((id, now + ANSWER_TIME, answer));
        None
    }

    /// Drops questions nobody waits for any more.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self
            .waiting
            .front()
            .is_some_and(|(_, until, _)| *until <= now)
        {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn publishing_stops_at_the_window_and_resumes_with_answers() {
        let now = Instant::now();
        let mut pacer = Pacer::new();
        let mut sent = 0;
        while pacer.open(now) {
            sent += 1;
            if pacer.published(10) {
                assert!(pacer.mark("peer", now));
            }
        }
        assert_eq!(sent, MARK_MESSAGES * WINDOW);
        assert!(sent + MARK_MESSAGES <= SEND_QUEUE / 2);
        pacer.answered(&"peer");
        assert!(pacer.open(now));
    }

    #[test]
    fn large_messages_are_marked_by_size() {
        let mut pacer: Pacer<u8> = Pacer::new();
        assert!(pacer.published(MARK_BYTES));
        assert!(!pacer.published(1));
    }

    #[test]
    fn a_silent_receiver_is_waited_for_once_and_later_given_another_chance() {
        let now = Instant::now();
        let mut pacer = Pacer::new();
        for _ in 0..WINDOW {
            assert!(pacer.mark(1, now));
        }
        assert!(!pacer.open(now));
        pacer.failed(&1, now);
        assert!(pacer.open(now));
        assert!(!pacer.mark(1, now), "not asked while exempt");
        let later = now + EXEMPT;
        assert!(pacer.mark(1, later));
        pacer.forget(&1);
        assert!(pacer.open(later));
    }

    #[test]
    fn questions_are_answered_on_arrival_before_or_after() {
        let now = Instant::now();
        let mut arrivals = Arrivals::new();
        assert_eq!(arrivals.asked([1; 32], now, "early"), None);
        assert_eq!(arrivals.asked([2; 32], now, "other"), None);
        assert_eq!(arrivals.arrived([1; 32]), ["early"]);
        assert_eq!(arrivals.asked([1; 32], now, "late"), Some("late"));
        arrivals.expire(now + ANSWER_TIME);
        assert!(
            arrivals.arrived([2; 32]).is_empty(),
            "expired questions are gone"
        );
    }

    #[test]
    fn memory_of_arrivals_is_bounded() {
        let now = Instant::now();
        let mut arrivals = Arrivals::new();
        for n in 0..(3 * REMEMBERED as u64) {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            arrivals.arrived(id);
            arrivals.asked([255; 32], now, ());
        }
        assert_eq!(arrivals.order.len(), REMEMBERED);
        assert_eq!(arrivals.arrived.len(), REMEMBERED);
        assert_eq!(arrivals.waiting.len(), MAX_WAITING);
    }

    proptest! {
        /// Whatever receivers do, no lane that is waited for has more than a window unanswered.
        #[test]
        fn no_receiver_is_outrun(events in proptest::collection::vec((0u8..6, 0u8..3), 1..2000)) {
            let mut now = Instant::now();
            let mut pacer = Pacer::new();
            for (event, peer) in events {
                match event {
                    0 => pacer.answered(&peer),
                    1 => pacer.failed(&peer, now),
                    2 => now += Duration::from_secs(1),
                    _ => if pacer.open(now) && pacer.published(MARK_BYTES / 2) {
                        for peer in 0..3 { pacer.mark(peer, now); }
                    }
                }
                for lane in pacer.lanes.values() {
                    prop_assert!(lane.exempt(now) || lane.unanswered <= WINDOW);
                }
            }
        }
    }
}
