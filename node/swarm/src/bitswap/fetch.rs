//! Whom to ask for the blocks this node wants. Pure: time comes in as an argument, entries for the
//! peers' wantlists go out.
//!
//! A block is asked for at a peer that is said to have it, or that delivered another one just now. When
//! that does not help at once, all connected peers are asked whether they have it, and the first that
//! does is asked for it; the others stand by. A peer that does not deliver is not waited for alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use cid::Cid;
use libp2p::PeerId;

use super::message::{Ask, Entry};
use crate::blocks::v1;

/// Head start of a peer that is asked alone.
const ALONE: Duration = Duration::from_millis(300);
/// How long one peer is waited for before the next is asked too.
const SLOW: Duration = Duration::from_secs(5);
/// How long a peer that delivered is asked first.
const FRESH: Duration = Duration::from_secs(30);
/// Pause before everybody is asked anew, at first and at most.
const AGAIN: Duration = Duration::from_secs(15);
const AGAIN_MOST: Duration = Duration::from_secs(120);
/// Pause after a message that did not go out.
const RETRY: Duration = Duration::from_secs(1);
/// How long what was taken back may still come.
const LATE: Duration = Duration::from_secs(60);

/// What a block was that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Asked for, and the first copy.
    Wanted,
    /// Asked for, but somebody else was faster.
    Late,
    /// Never asked for.
    Unasked,
}

/// The blocks wanted, and what the peers said to it.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    wants: HashMap<Cid, Want>,
    peers: HashMap<PeerId, Peer>,
}

#[derive(Debug)]
struct Want {
    /// The CID as it was asked for; the maps go by version 1.
    wire: Cid,
    named: Vec<PeerId>,
    asked: HashMap<PeerId, Asked>,
    /// When to ask everybody; `None` when it was done.
    everybody: Option<Instant>,
    /// Whether somebody was given a head start; there is one only.
    alone: bool,
    /// Who said no in this round, and is not asked again whatever else it says.
    refused: HashSet<PeerId>,
    again: Instant,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Whether it has it.
    Have,
    /// It does.
    Has,
    /// It does not.
    HasNot,
    /// For the block, at this time.
    Block(Instant),
    /// For the block, some time ago.
    Slow,
}

impl Want {
    /// Whether a peer was asked for the block and is waited for.
    fn is_under_way(&self) -> bool {
        let mut asked = self.asked.values();
        asked.any(|asked| matches!(asked, Asked::Block(_)))
    }
}

#[derive(Debug, Default)]
struct Peer {
    out: VecDeque<Entry>,
    /// What it was asked for and has not delivered, with the time when it was taken back.
    open: HashMap<Cid, Option<Instant>>,
    delivered: Option<Instant>,
    /// When to ask again after a message that did not go out.
    retry: Option<Instant>,
    /// The next message says all that is wanted, for nobody knows what of the last one arrived.
    anew: bool,
}

impl Fetcher {
    /// Wants a block, which the `named` peers are said to have.
    pub(crate) fn want(&mut self, cid: &Cid, named: &[PeerId], now: Instant) {
        let key = v1(cid);
        let want = self.wants.entry(key).or_insert_with(|| Want {
            wire: *cid,
            named: Vec::new(),
            asked: HashMap::new(),
            everybody: Some(now),
            alone: false,
            refused: HashSet::new(),
            again: now + AGAIN,
            pause: AGAIN,
        });
        for peer in named {
            if !want.named.contains(peer) {
                want.named.push(*peer);
            }
        }
        self.begin(key, now);
    }

    /// Asks one peer alone, where one is likely to have it; else all.
    fn begin(&mut self, key: Cid, now: Instant) {
        let Some(want) = self.wants.get_mut(&key) else {
            return;
        };
        if want.is_under_way() {
            return;
        }
        let ready = |peer: &PeerId| {
            self.peers
                .get(peer)
                .is_some_and(|peer| peer.retry.is_none())
        };
        let untried = |peer: &&PeerId| !want.asked.contains_key(peer) && ready(peer);
        let first = want.named.iter().find(untried).copied();
        let first = first.or_else(|| {
            let fresh = |peer: &Peer| {
                let at = peer.delivered?;
                (now.saturating_duration_since(at) < FRESH).then_some(peer.open.len())
            };
            let peers = self.peers.iter().filter(|(id, _)| untried(id));
            peers
                .filter_map(|(id, peer)| Some((fresh(peer)?, *id)))
                .min()
                .map(|(_, id)| id)
        });
        match first {
            Some(peer) => {
                if want.everybody.is_some() && !std::mem::replace(&mut want.alone, true) {
                    want.everybody = Some(now + ALONE);
                }
                self.ask(key, peer, Asked::Block(now));
            }
            None => self.ask_everybody(key),
        }
    }

    fn ask_everybody(&mut self, key: Cid) {
        let Some(want) = self.wants.get_mut(&key) else {
            return;
        };
        want.everybody = None;
        let asked = &want.asked;
        let others = self.peers.iter();
        let others = others.filter(|(id, peer)| peer.retry.is_none() && !asked.contains_key(id));
        for peer in others.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.ask(key, peer, Asked::Have);
        }
    }

    fn ask(&mut self, key: Cid, peer: PeerId, what: Asked) {
        let (Some(want), Some(state)) = (self.wants.get_mut(&key), self.peers.get_mut(&peer))
        else {
            return;
        };
        want.asked.insert(peer, what);
        // One entry for each block, the stronger one; one that takes it back gives way, for others would
        // heed that alone.
        let block = |entry: &Entry| entry.cid == want.wire && entry.ask == Ask::Block;
        let ask = match what {
            Asked::Block(_) => Ask::Block,
            _ if state.out.iter().any(block) => Ask::Block,
            _ => Ask::Have,
        };
        state.out.retain(|entry| entry.cid != want.wire);
        state.out.push_back(Entry {
            cid: want.wire,
            ask,
            dont_have: true,
        });
    }

    /// Wants a block no longer.
    pub(crate) fn unwant(&mut self, cid: &Cid, now: Instant) {
        let Some(want) = self.wants.remove(&v1(cid)) else {
            return;
        };
        // Also of those that have not got it: they would send it when they get it.
        for peer in want.asked.keys() {
            self.take_back(peer, want.wire, now);
        }
    }

    fn take_back(&mut self, peer: &PeerId, wire: Cid, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        peer.out.retain(|entry| entry.cid != wire);
        if let Some(open) = peer.open.get_mut(&v1(&wire)) {
            *open = Some(now);
            peer.out.push_back(Entry {
                cid: wire,
                ask: Ask::Cancel,
                dont_have: false,
            });
        }
    }

    /// A peer can be asked.
    pub(crate) fn peer_up(&mut self, peer: PeerId, now: Instant) {
        self.peers.entry(peer).or_default().retry = None;
        let due = |want: &Want| !want.asked.contains_key(&peer);
        let wants = self.wants.iter().filter(|(_, want)| due(want));
        let mut wants: Vec<Cid> = wants.map(|(key, _)| *key).collect();
        wants.sort();
        for key in wants {
            let Some(want) = self.wants.get(&key) else {
                continue;
            };
            if want.named.contains(&peer) && !want.is_under_way() {
                self.ask(key, peer, Asked::Block(now));
            } else if want.everybody.is_none() {
                self.ask(key, peer, Asked::Have);
            }
        }
    }

    /// A peer can be asked no longer.
    pub(crate) fn peer_down(&mut self, peer: &PeerId, now: Instant) {
        if self.peers.remove(peer).is_some() {
            self.forget(peer, now);
        }
    }

    /// A message to a peer did not go out.
    pub(crate) fn lost(&mut self, peer: &PeerId, now: Instant) {
        if let Some(state) = self.peers.get_mut(peer) {
            // All that was asked and is not taken back is asked anew, and the list replaced.
            state.out.clear();
            state.anew = true;
            for taken_back in state.open.values_mut() {
                taken_back.get_or_insert(now);
            }
            state.retry = Some(now + RETRY);
            self.forget(peer, now);
        }
    }

    fn forget(&mut self, peer: &PeerId, now: Instant) {
        let mut stuck = Vec::new();
        for (key, want) in &mut self.wants {
            if let Some(Asked::Block(_) | Asked::Slow) = want.asked.remove(peer) {
                stuck.push(*key);
            }
        }
        for key in stuck {
            self.next(key, now);
        }
    }

    /// Asks the next peer that has the block; everybody where nobody is known to have it.
    fn next(&mut self, key: Cid, now: Instant) {
        let Some(want) = self.wants.get(&key) else {
            return;
        };
        if want.is_under_way() {
            return;
        }
        let mut has = want.asked.iter().filter(|(_, asked)| **asked == Asked::Has);
        match has.next().map(|(peer, _)| *peer) {
            Some(peer) => self.ask(key, peer, Asked::Block(now)),
            None if want.everybody.is_some() => self.begin(key, now),
            None => {}
        }
    }

    /// A peer says whether it has a block.
    pub(crate) fn presence(&mut self, peer: &PeerId, cid: &Cid, there: bool, now: Instant) {
        let key = v1(cid);
        let Some(want) = self.wants.get_mut(&key) else {
            return;
        };
        // Nobody who was not asked has a say.
        let Some(asked) = want.asked.get_mut(peer) else {
            return;
        };
        match (there, *asked) {
            (true, Asked::Block(_) | Asked::Slow) => return,
            // Who goes on saying yes and no is not asked each time.
            (true, _) if want.refused.contains(peer) && *asked != Asked::HasNot => return,
            (true, _) => *asked = Asked::Has,
            (false, Asked::HasNot) => return,
            (false, _) if !want.refused.insert(*peer) => return,
            (false, _) => *asked = Asked::HasNot,
        }
        self.next(key, now);
    }

    /// A block came, which fits its CID.
    pub(crate) fn block(&mut self, peer: &PeerId, cid: &Cid, now: Instant) -> Received {
        let key = v1(cid);
        let state = self.peers.get_mut(peer);
        let asked = state.is_some_and(|state| state.open.remove(&key).is_some());
        let Some(want) = self.wants.get_mut(&key) else {
            return match asked {
                true => Received::Late,
                false => Received::Unasked,
            };
        };
        let wire = want.wire;
        want.asked.remove(peer);
        if let Some(state) = self.peers.get_mut(peer) {
            state.delivered = Some(now);
            state.out.retain(|entry| entry.cid != wire);
        }
        self.unwant(&key, now);
        Received::Wanted
    }

    /// What is due by the clock; to be called a few times a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        let mut back = Vec::new();
        for (id, peer) in &mut self.peers {
            peer.open
                .retain(|_, taken_back| taken_back.is_none_or(|at| now < at + LATE));
            if peer.retry.is_some_and(|at| now >= at) {
                back.push(*id);
            }
        }
        for peer in back {
            self.peer_up(peer, now);
        }
        let (mut slow, mut due) = (Vec::new(), Vec::new());
        for (key, want) in &mut self.wants {
            for asked in want.asked.values_mut() {
                if let Asked::Block(at) = asked
                    && now >= *at + SLOW
                {
                    *asked = Asked::Slow;
                    slow.push(*key);
                }
            }
            if want.everybody.is_some_and(|at| now >= at) {
                due.push(*key);
            }
            if now >= want.again {
                want.pause = (want.pause * 2).min(AGAIN_MOST);
                want.again = now + want.pause;
                want.asked.clear();
                want.refused.clear();
                due.push(*key);
            }
        }
        for key in due {
            self.ask_everybody(key);
        }
        for key in slow {
            self.next(key, now);
        }
    }

    /// The peers that have something to be told.
    pub(crate) fn dirty(&self) -> Vec<PeerId> {
        let dirty = self.peers.iter().filter(|(_, peer)| !peer.out.is_empty());
        dirty.map(|(id, _)| *id).collect()
    }

    /// Whether a peer was asked for a block that is waited for.
    pub(crate) fn waits_for(&self, peer: &PeerId) -> bool {
        let waits = |asked: &Asked| matches!(asked, Asked::Block(_) | Asked::Slow);
        let mut wants = self.wants.values();
        wants.any(|want| want.asked.get(peer).is_some_and(waits))
    }

    /// Takes at most `most` entries for a peer, and whether they replace all earlier ones.
    pub(crate) fn take(&mut self, peer: &PeerId, most: usize) -> (Vec<Entry>, bool) {
        let Some(peer) = self.peers.get_mut(peer).filter(|peer| !peer.out.is_empty()) else {
            return (Vec::new(), false);
        };
        let count = peer.out.len().min(most);
        let taken: Vec<Entry> = peer.out.drain(..count).collect();
        let asks = taken.iter().filter(|entry| entry.ask != Ask::Cancel);
        peer.open.extend(asks.map(|entry| (v1(&entry.cid), None)));
        (taken, std::mem::take(&mut peer.anew))
    }
}

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest};

    use super::*;

    fn cid(n: u8) -> Cid {
        Cid::new_v1(0x55, Code::Sha2_256.digest(&[n]))
    }

    struct Scene {
        fetcher: Fetcher,
        now: Instant,
    }

    impl Scene {
        fn new(peers: &[PeerId]) -> Self {
            let (mut fetcher, now) = (Fetcher::default(), Instant::now());
            for peer in peers {
                fetcher.peer_up(*peer, now);
            }
            Scene { fetcher, now }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.fetcher.tick(self.now);
        }

        fn told(&mut self, peer: &PeerId) -> Vec<(Cid, Ask)> {
            let taken = self.fetcher.take(peer, 100).0.into_iter();
            taken.map(|entry| (entry.cid, entry.ask)).collect()
        }
    }

    fn peers<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|_| PeerId::random())
    }

    #[test]
    fn a_named_peer_is_asked_alone_and_then_everybody() {
        let [a, b] = peers();
        let mut s = Scene::new(&[a, b]);
        s.fetcher.want(&cid(1), &[b], s.now);
        assert_eq!(s.told(&b), [(cid(1), Ask::Block)]);
        assert_eq!(s.told(&a), []);
        s.pass(ALONE);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
        // It has it, but the other one was asked first.
        s.fetcher.presence(&a, &cid(1), true, s.now);
        assert_eq!(s.told(&a), []);
        s.pass(SLOW);
        assert_eq!(s.told(&a), [(cid(1), Ask::Block)]);
        // Both deliver; the second copy is late, not unasked.
        assert_eq!(s.fetcher.block(&a, &cid(1), s.now), Received::Wanted);
        assert_eq!(s.told(&b), [(cid(1), Ask::Cancel)]);
        assert_eq!(s.fetcher.block(&b, &cid(1), s.now), Received::Late);
        assert_eq!(s.fetcher.block(&b, &cid(1), s.now), Received::Unasked);
        assert!(s.fetcher.wants.is_empty());
    }

    #[test]
    fn who_delivered_is_asked_first_and_who_has_not_makes_room_at_once() {
        let [a, b] = peers();
        let mut s = Scene::new(&[a, b]);
        s.fetcher.want(&cid(1), &[], s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
        assert_eq!(s.told(&b), [(cid(1), Ask::Have)]);
        s.fetcher.presence(&b, &cid(1), true, s.now);
        assert_eq!(s.told(&b), [(cid(1), Ask::Block)]);
        s.fetcher.block(&b, &cid(1), s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Cancel)]);
        s.fetcher.want(&cid(2), &[], s.now);
        assert_eq!(s.told(&b), [(cid(2), Ask::Block)]);
        assert_eq!(s.told(&a), []);
        s.fetcher.presence(&b, &cid(2), false, s.now);
        assert_eq!(s.told(&a), [(cid(2), Ask::Have)]);
    }

    #[test]
    fn a_want_taken_back_before_it_was_sent_is_never_heard_of() {
        let [a] = peers();
        let mut s = Scene::new(&[a]);
        s.fetcher.want(&cid(1), &[], s.now);
        s.fetcher.unwant(&cid(1), s.now);
        assert_eq!(s.told(&a), []);
    }

    #[test]
    fn who_has_not_got_it_is_told_too_that_it_is_wanted_no_longer() {
        let [a] = peers();
        let mut s = Scene::new(&[a]);
        s.fetcher.want(&cid(1), &[], s.now);
        s.told(&a);
        s.fetcher.presence(&a, &cid(1), false, s.now);
        s.fetcher.unwant(&cid(1), s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Cancel)]);
        assert_eq!(s.fetcher.block(&a, &cid(1), s.now), Received::Late);
    }

    #[test]
    fn a_peer_that_comes_later_is_asked() {
        let [a, b] = peers();
        let mut s = Scene::new(&[]);
        s.fetcher.want(&cid(1), &[b], s.now);
        s.fetcher.peer_up(a, s.now);
        s.fetcher.peer_up(b, s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
        assert_eq!(s.told(&b), [(cid(1), Ask::Block)]);
        // It goes, and the other one takes its place.
        s.fetcher.presence(&a, &cid(1), true, s.now);
        s.fetcher.peer_down(&b, s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Block)]);
    }

    #[test]
    fn what_was_lost_is_asked_again_and_everybody_now_and_then() {
        let [a] = peers();
        let mut s = Scene::new(&[a]);
        s.fetcher.want(&cid(1), &[], s.now);
        assert_eq!(s.told(&a).len(), 1);
        s.fetcher.lost(&a, s.now);
        assert_eq!(s.told(&a), []);
        s.pass(RETRY);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
        s.fetcher.presence(&a, &cid(1), false, s.now);
        s.pass(AGAIN);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
    }

    #[test]
    fn a_lost_message_makes_nobody_ask_without_end_and_its_cancels_are_made_up_for() {
        let [a, b] = peers();
        let mut s = Scene::new(&[a, b]);
        s.fetcher.want(&cid(1), &[a], s.now);
        s.fetcher.want(&cid(2), &[a], s.now);
        assert_eq!(s.told(&a).len(), 2);
        s.fetcher.unwant(&cid(2), s.now);
        s.fetcher.lost(&a, s.now);
        // The other one is asked meanwhile, the first one not before its time.
        assert_eq!(s.told(&a), []);
        assert_eq!(s.told(&b), [(cid(1), Ask::Have)]);
        s.pass(RETRY);
        let (entries, anew) = s.fetcher.take(&a, 10);
        assert!(anew && entries.len() == 1 && entries[0].cid == cid(1));
        assert_eq!(s.fetcher.block(&a, &cid(2), s.now), Received::Late);
    }

    #[test]
    fn a_peer_hears_one_thing_of_a_block_at_a_time() {
        let [a] = peers();
        let mut s = Scene::new(&[a]);
        s.fetcher.want(&cid(1), &[], s.now);
        s.told(&a);
        s.fetcher.unwant(&cid(1), s.now);
        s.fetcher.want(&cid(1), &[], s.now);
        assert_eq!(s.told(&a), [(cid(1), Ask::Have)]);
        // However often it changes its mind.
        for n in 0..100 {
            s.fetcher.presence(&a, &cid(1), n % 2 == 0, s.now);
        }
        assert!(s.told(&a).len() <= 1);
    }

    #[test]
    fn however_many_say_no_everybody_is_asked_in_time() {
        let all: [PeerId; 6] = peers();
        let mut s = Scene::new(&all);
        for (n, peer) in all[..5].iter().enumerate() {
            s.fetcher.want(&cid(n as u8), &[*peer], s.now);
            s.fetcher.block(peer, &cid(n as u8), s.now);
        }
        all.iter().for_each(|peer| drop(s.told(peer)));
        s.fetcher.want(&cid(9), &[], s.now);
        for _ in 0..3 {
            s.pass(ALONE / 3);
            for peer in &all[..5] {
                if !s.told(peer).is_empty() {
                    s.fetcher.presence(peer, &cid(9), false, s.now);
                }
            }
        }
        s.pass(ALONE / 3);
        assert_eq!(s.told(&all[5]), [(cid(9), Ask::Have)]);
    }

    #[test]
    fn words_of_peers_that_were_not_asked_count_for_nothing() {
        let [a, b] = peers();
        let mut s = Scene::new(&[a]);
        s.fetcher.want(&cid(1), &[], s.now);
        s.told(&a);
        s.fetcher.presence(&b, &cid(1), true, s.now);
        s.fetcher.presence(&a, &cid(2), true, s.now);
        assert_eq!(s.told(&a), []);
        assert_eq!(s.fetcher.block(&a, &cid(2), s.now), Received::Unasked);
    }

    #[test]
    fn both_versions_of_a_cid_are_one_block() {
        let [a] = peers();
        let mut s = Scene::new(&[a]);
        let old = Cid::new_v0(Code::Sha2_256.digest(b"old")).unwrap();
        s.fetcher.want(&old, &[], s.now);
        assert_eq!(s.told(&a), [(old, Ask::Have)]);
        assert_eq!(s.fetcher.block(&a, &v1(&old), s.now), Received::Wanted);
    }
}
