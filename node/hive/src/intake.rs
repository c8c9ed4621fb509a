//! What was announced and is still to be fetched: quotas, fair turns, retries, and what was refused.
//! Sans-IO.
//!
//! Anyone may announce anything, so everything is counted per announcer: how many announcements wait,
//! and how many are fetched at the same time. Announcers take turns. An announcement that cannot be
//! had yet waits longer each time; one that was refused for good is remembered and not looked at
//! again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cid::Cid;
use pagi_messages::Did;

/// Announcers remembered for one announcement.
const MAX_SOURCES: usize = 4;
/// Refusals remembered.
const MAX_REFUSED: usize = 4096;
/// The first wait after a failure, milliseconds; it doubles each time.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait between two tries, milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;
/// Tries before an announcement is forgotten until somebody repeats it.
const MAX_TRIES: u32 = 12;

/// How much is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Announcements of one announcer that wait.
    pub waiting: usize,
    /// Announcements that wait in all.
    pub total: usize,
    /// Fetches of one announcer's at the same time.
    pub fetches: usize,
    /// Fetches in all at the same time.
    pub all_fetches: usize,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is new and waits for its turn.
    New,
    /// It waits already.
    Known,
    /// It was refused for good before.
    Refused,
    /// Its announcer has too many waiting.
    OverQuota,
}

#[derive(Clone, Debug)]
struct Entry {
    sources: Vec<Did>,
    tries: u32,
    due_ms: u64,
    /// Something changed while it was being fetched: what comes of the fetch may be out of date.
    woken: bool,
}

/// The announcements of one kind.
#[derive(Clone, Debug)]
pub struct Intake {
    quota: Quota,
    entries: BTreeMap<Cid, Entry>,
    by_source: BTreeMap<Did, BTreeSet<Cid>>,
    /// What is being fetched, and whose turn it was.
    running: BTreeMap<Cid, Did>,
    refused: BTreeSet<Cid>,
    refused_order: VecDeque<Cid>,
    /// Who had the last turn.
    turn: Option<Did>,
}

impl Intake {
    /// An empty intake.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            entries: BTreeMap::new(),
            by_source: BTreeMap::new(),
            running: BTreeMap::new(),
            refused: BTreeSet::new(),
            refused_order: VecDeque::new(),
            turn: None,
        }
    }

    /// `from` announced `cid` at `now_ms`.
    pub fn offer(&mut self, cid: Cid, from: &Did, now_ms: u64) -> Offer {
        self.announce(cid, from, false, now_ms)
    }

    /// As [`offer`](Self::offer), by somebody whose word counts: it is remembered among the
    /// announcers even where they are many.
    pub fn offer_by_mo(&mut self, cid: Cid, from: &Did, now_ms: u64) -> Offer {
        self.announce(cid, from, true, now_ms)
    }

    fn announce(&mut self, cid: Cid, from: &Did, counts: bool, now_ms: u64) -> Offer {
        if self.refused.contains(&cid) {
            return Offer::Refused;
        }
        let over = self
            .by_source
            .get(from)
            .is_some_and(|all| all.len() >= self.quota.waiting && !all.contains(&cid));
        if let Some(entry) = self.entries.get_mut(&cid) {
            let room = entry.sources.len() < MAX_SOURCES || counts;
            if !entry.sources.contains(from) && room && (!over || counts) {
                let dropped = (entry.sources.len() >= MAX_SOURCES).then(|| entry.sources.pop());
                entry.sources.insert(0, from.clone());
                entry.due_ms = entry.due_ms.min(now_ms);
                entry.woken = true;
                self.by_source.entry(from.clone()).or_default().insert(cid);
                if let Some(dropped) = dropped.flatten() {
                    self.unlist(&dropped, &cid);
                }
            }
            return Offer::Known;
        }
        if over || (self.entries.len() >= self.quota.total && !self.make_room(from)) {
            return Offer::OverQuota;
        }
        let entry = Entry {
            sources: vec![from.clone()],
            tries: 0,
            due_ms: now_ms,
            woken: false,
        };
        self.entries.insert(cid, entry);
        self.by_source.entry(from.clone()).or_default().insert(cid);
        Offer::New
    }

    /// Drops an announcement of whoever has most, unless `from` has as many.
    fn make_room(&mut self, from: &Did) -> bool {
        let own = self.by_source.get(from).map_or(0, BTreeSet::len);
        let most = self.by_source.iter().max_by_key(|(_, all)| all.len());
        let Some((_, all)) = most.filter(|(_, all)| all.len() > own + 1) else {
            return false;
        };
        let victim = all
            .iter()
            .rev()
            .find(|cid| !self.running.contains_key(*cid))
            .copied();
        victim.is_some_and(|cid| {
            self.forget(&cid);
            true
        })
    }

    /// What to fetch next, with everyone who announced it; none where nothing is due or enough is
    /// under way.
    pub fn next(&mut self, now_ms: u64) -> Option<(Cid, Vec<Did>)> {
        if self.running.len() >= self.quota.all_fetches {
            return None;
        }
        let after = self.turn.clone();
        let later = self
            .by_source
            .keys()
            .filter(|source| after.as_ref().is_none_or(|turn| *source > turn));
        let sooner = self
            .by_source
            .keys()
            .filter(|source| after.as_ref().is_some_and(|turn| *source <= turn));
        let (source, cid) = later.chain(sooner).find_map(|source| {
            let busy = self.running.values().filter(|one| *one == source).count();
            if busy >= self.quota.fetches {
                return None;
            }
            let due = |cid: &&Cid| {
                !self.running.contains_key(*cid)
                    && self
                        .entries
                        .get(*cid)
                        .is_some_and(|entry| entry.due_ms <= now_ms)
            };
            let cid = self.by_source.get(source)?.iter().find(due)?;
            Some((source.clone(), *cid))
        })?;
        self.running.insert(cid, source.clone());
        if let Some(entry) = self.entries.get_mut(&cid) {
            entry.woken = false;
        }
        self.turn = Some(source);
        Some((cid, self.sources(&cid)))
    }

    /// Who announced it.
    #[must_use]
    pub fn sources(&self, cid: &Cid) -> Vec<Did> {
        let entry = self.entries.get(cid);
        entry.map(|entry| entry.sources.clone()).unwrap_or_default()
    }

    /// It could not be had: it is tried again later, and forgotten after many tries.
    pub fn retry(&mut self, cid: &Cid, now_ms: u64) {
        self.running.remove(cid);
        let Some(entry) = self.entries.get_mut(cid) else {
            return;
        };
        entry.tries += 1;
        if entry.tries >= MAX_TRIES {
            self.forget(cid);
            return;
        }
        let wait = FIRST_WAIT_MS << entry.tries.min(10).saturating_sub(1);
        entry.due_ms = now_ms.saturating_add(wait.min(LONGEST_WAIT_MS));
    }

    /// It may not be taken in yet: it is looked at again when [`wake`](Self::wake) says so, or after
    /// the longest wait.
    pub fn postpone(&mut self, cid: &Cid, now_ms: u64) {
        self.running.remove(cid);
        if let Some(entry) = self.entries.get_mut(cid) {
            let wait = if entry.woken { 0 } else { LONGEST_WAIT_MS };
            entry.due_ms = now_ms.saturating_add(wait);
        }
    }

    /// More of it is to be fetched at once.
    pub fn again(&mut self, cid: &Cid, now_ms: u64) {
        self.running.remove(cid);
        if let Some(entry) = self.entries.get_mut(cid) {
            entry.tries = 0;
            entry.due_ms = now_ms;
        }
    }

    /// It is dealt with.
    pub fn forget(&mut self, cid: &Cid) {
        self.running.remove(cid);
        for source in self.entries.remove(cid).into_iter().flat_map(|e| e.sources) {
            self.unlist(&source, cid);
        }
    }

    fn unlist(&mut self, source: &Did, cid: &Cid) {
        if let Some(all) = self.by_source.get_mut(source) {
            all.remove(cid);
            if all.is_empty() {
                self.by_source.remove(source);
            }
        }
    }

    /// It is refused for good.
    pub fn refuse(&mut self, cid: Cid) {
        self.forget(&cid);
        if self.refused.insert(cid) {
            self.refused_order.push_back(cid);
        }
        while self.refused_order.len() > MAX_REFUSED {
            if let Some(oldest) = self.refused_order.pop_front() {
                self.refused.remove(&oldest);
            }
        }
    }

    /// Circumstances changed: everything that waits is due.
    pub fn wake(&mut self, now_ms: u64) {
        for entry in self.entries.values_mut() {
            entry.due_ms = entry.due_ms.min(now_ms);
            entry.woken = true;
        }
    }

    /// Drops what `done` says is done.
    pub fn drop_done(&mut self, done: impl Fn(&Cid) -> bool) {
        let gone: Vec<Cid> = self
            .entries
            .keys()
            .filter(|cid| done(cid))
            .copied()
            .collect();
        gone.iter().for_each(|cid| self.forget(cid));
    }

    /// When something that waits becomes due, milliseconds; none where nothing waits.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.entries
            .iter()
            .filter(|(cid, _)| !self.running.contains_key(*cid))
            .map(|(_, entry)| entry.due_ms)
            .min()
    }

    /// How many wait or are being fetched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::{SigningIdentity, cid_of};
    use proptest::prelude::*;

    use super::*;

    const QUOTA: Quota = Quota {
        waiting: 10,
        total: 25,
        fetches: 2,
        all_fetches: 4,
    };

    fn did(n: u8) -> Did {
        SigningIdentity::from_seed(&[n; 32]).did().clone()
    }

    fn cid(n: u32) -> Cid {
        cid_of(&n.to_le_bytes())
    }

    #[test]
    fn a_flood_of_one_announcer_delays_nobody_else() {
        let (mut intake, loud, quiet) = (Intake::new(QUOTA), did(1), did(2));
        for n in 0..100 {
            let offer = intake.offer(cid(n), &loud, 0);
            assert_eq!(offer == Offer::New, n < 10);
        }
        assert_eq!(intake.offer(cid(1000), &quiet, 0), Offer::New);
        // Two of the loud one's are being fetched and never end: the quiet one's turn comes.
        let first: Vec<Cid> = (0..3)
            .filter_map(|_| intake.next(0))
            .map(|(cid, _)| cid)
            .collect();
        assert!(first.contains(&cid(1000)), "{first:?}");
        assert_eq!(intake.next(0), None, "no third fetch for the loud one");
    }

    #[test]
    fn a_full_intake_takes_from_whoever_has_most() {
        let mut intake = Intake::new(QUOTA);
        for source in 1..=3 {
            for n in 0..10 {
                intake.offer(cid(u32::from(source) * 100 + n), &did(source), 0);
            }
        }
        assert_eq!(intake.len(), 25);
        assert_eq!(intake.offer(cid(9), &did(9), 0), Offer::New);
        assert_eq!(intake.len(), 25);
    }

    #[test]
    fn failures_wait_longer_each_time_and_are_forgotten_in_the_end() {
        let mut intake = Intake::new(QUOTA);
        intake.offer(cid(1), &did(1), 0);
        let (mut now, mut last) = (0, 0);
        for tries in 1..MAX_TRIES {
            assert!(intake.next(now).is_some(), "try {tries}");
            intake.retry(&cid(1), now);
            let due = intake.next_due_ms().unwrap();
            assert!(due - now >= last && due - now <= LONGEST_WAIT_MS);
            assert_eq!(intake.next(due - 1), None);
            (last, now) = (due - now, due);
        }
        assert!(intake.next(now).is_some());
        intake.retry(&cid(1), now);
        assert!(intake.is_empty());
        assert_eq!(intake.offer(cid(1), &did(1), now), Offer::New);
    }

    #[test]
    fn what_was_refused_is_not_looked_at_again_and_the_memory_is_bounded() {
        let mut intake = Intake::new(QUOTA);
        intake.offer(cid(1), &did(1), 0);
        intake.refuse(cid(1));
        assert_eq!(intake.offer(cid(1), &did(2), 0), Offer::Refused);
        for n in 0..10_000 {
            intake.refuse(cid(n));
        }
        assert_eq!(intake.refused.len(), MAX_REFUSED);
    }

    #[test]
    fn a_postponed_one_is_due_when_something_changed() {
        let mut intake = Intake::new(QUOTA);
        intake.offer(cid(1), &did(1), 0);
        intake.next(0).unwrap();
        intake.postpone(&cid(1), 0);
        assert_eq!(intake.next(LONGEST_WAIT_MS - 1), None);
        intake.wake(5);
        assert!(intake.next(5).is_some());
    }

    #[test]
    fn what_changes_during_a_fetch_is_not_lost() {
        let mut intake = Intake::new(QUOTA);
        intake.offer(cid(1), &did(1), 0);
        intake.next(0).unwrap();
        intake.wake(1);
        intake.postpone(&cid(1), 2);
        assert!(intake.next(2).is_some(), "it is judged again at once");
        intake.postpone(&cid(1), 3);
        assert_eq!(intake.next(3), None);
    }

    #[test]
    fn the_mo_is_remembered_among_many_announcers() {
        let mut intake = Intake::new(QUOTA);
        for source in 1..=9 {
            intake.offer(cid(1), &did(source), 0);
        }
        assert!(!intake.sources(&cid(1)).contains(&did(9)));
        intake.offer_by_mo(cid(1), &did(9), 0);
        let sources = intake.sources(&cid(1));
        assert!(sources.contains(&did(9)) && sources.len() == MAX_SOURCES);
    }

    proptest! {
        #[test]
        fn the_index_and_the_entries_agree(
            steps in prop::collection::vec((0u8..7, 0u32..40, 0u8..5), 0..200),
        ) {
            let mut intake = Intake::new(QUOTA);
            for (now, (what, n, source)) in (0u64..).zip(steps) {
                match what {
                    0..=2 => { intake.offer(cid(n), &did(source), now); }
                    3 => { intake.next(now); }
                    4 => intake.retry(&cid(n), now),
                    5 if n % 2 == 0 => intake.refuse(cid(n)),
                    5 => { intake.offer_by_mo(cid(n), &did(source), now); }
                    _ => intake.forget(&cid(n)),
                }
                prop_assert!(intake.entries.len() <= QUOTA.total);
                prop_assert!(intake.running.len() <= QUOTA.all_fetches);
                let listed: BTreeSet<Cid> =
                    intake.by_source.values().flatten().copied().collect();
                let held: BTreeSet<Cid> = intake.entries.keys().copied().collect();
                prop_assert_eq!(listed, held);
                prop_assert!(intake.running.keys().all(|cid| intake.entries.contains_key(cid)));
            }
        }
    }
}
