//! Decides whom to dial and when. Pure: time comes in as an argument, dials go out as a list.
//!
//! Bootstrap peers are dialled whenever they are not connected; peers learned from others, and last
//! of all those remembered from earlier, only while the node has fewer connections than it wants.
//! Failures are followed by a pause that doubles from one second to a minute.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use crate::names::is_named;

/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How long an attempt may take before it counts as neither failed nor succeeded.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Peers remembered; beyond that, unreachable ones are forgotten first.
const MAX_KNOWN: usize = 512;
/// Addresses remembered for one peer.
const MAX_ADDRS: usize = 8;
/// Failures in a row after which a learned peer is forgotten.
const MAX_FAILURES: u32 = 6;
/// Pause after so many failures of a peer that was reached once: it may come back.
const LONG_PAUSE: Duration = Duration::from_secs(600);
/// Head start of bootstrap peers before remembered ones.
const REMEMBERED_AFTER: Duration = Duration::from_secs(2);
/// Peers handed out to be remembered.
const MAX_REMEMBERED: usize = 64;
/// How long a node of another swarm is left alone.
const QUARANTINE: Duration = Duration::from_secs(600);

/// Whom to dial, with the addresses to try.
pub(crate) type Dial = (PeerId, Vec<Multiaddr>);

/// Peers that could be dialled and what became of earlier attempts.
#[derive(Debug)]
pub(crate) struct Dialer {
    local: PeerId,
    target: usize,
    known: HashMap<PeerId, Known>,
}

#[derive(Debug)]
struct Known {
    addrs: Vec<Multiaddr>,
    /// What the names among the addresses stood for when last asked.
    resolved: Vec<Multiaddr>,
    bootstrap: bool,
    /// Known from an earlier life only.
    remembered: bool,
    connected: bool,
    /// An address this node reached the peer at, and when last.
    proven: Option<(Multiaddr, Instant)>,
    failures: u32,
    /// No attempt before this moment.
    next: Instant,
    /// An attempt is under way until this moment at most.
    trying_until: Option<Instant>,
}

impl Known {
    fn new(now: Instant) -> Self {
        Known {
            addrs: Vec::new(),
            resolved: Vec::new(),
            bootstrap: false,
            remembered: false,
            connected: false,
            proven: None,
            failures: 0,
            next: now,
            trying_until: None,
        }
    }

    fn add(&mut self, addr: Multiaddr) {
        if !self.addrs.contains(&addr) && self.addrs.len() < MAX_ADDRS {
            self.addrs.push(addr);
        }
    }
}

impl Dialer {
    /// A dialer for the node `local` that wants `target` connections.
    pub(crate) fn new(local: PeerId, target: usize) -> Self {
        Dialer {
            local,
            target,
            known: HashMap::new(),
        }
    }

    /// Adds a peer that is to be connected always.
    pub(crate) fn bootstrap(&mut self, peer: PeerId, addr: Multiaddr, now: Instant) {
        if peer != self.local {
            let known = self.known.entry(peer).or_insert_with(|| Known::new(now));
            known.bootstrap = true;
            known.add(addr);
        }
    }

    /// Adds a peer met in an earlier life. It is tried after the others.
    pub(crate) fn remember(&mut self, peer: PeerId, addr: Multiaddr, now: Instant) {
        if peer == self.local || self.known.len() >= MAX_KNOWN / 2 {
            return;
        }
        let wait = self.known.values().any(|known| known.bootstrap);
        let known = self.known.entry(peer).or_insert_with(|| Known {
            remembered: true,
            next: if wait { now + REMEMBERED_AFTER } else { now },
            ..Known::new(now)
        });
        known.add(addr);
    }

    /// Records an address at which a member of this swarm was reached.
    pub(crate) fn proved(&mut self, peer: PeerId, addr: Multiaddr, now: Instant) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.proven = Some((addr, now));
        }
    }

    /// Whether a peer is to be connected always.
    pub(crate) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.known.get(peer).is_some_and(|known| known.bootstrap)
    }

    /// Peers worth remembering with one address each: those reached, connected and latest first.
    pub(crate) fn remembered(&self) -> Vec<(PeerId, Multiaddr)> {
        let mut proven: Vec<_> = self
            .known
            .iter()
            .filter_map(|(peer, known)| known.proven.as_ref().map(|proven| (peer, known, proven)))
            .collect();
        proven.sort_by_key(|(peer, known, (_, at))| {
            (!known.connected, std::cmp::Reverse(*at), **peer)
        });
        proven
            .into_iter()
            .take(MAX_REMEMBERED)
            .map(|(peer, _, (addr, _))| (*peer, addr.clone()))
            .collect()
    }

    /// Adds what others tell about a peer's addresses. The freshest addresses replace old ones,
    /// except those a bootstrap peer was configured with.
    pub(crate) fn learn(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, now: Instant) {
        if peer == self.local || addrs.is_empty() {
            return;
        }
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&peer) {
            self.make_room();
        }
        let full = self.known.len() >= MAX_KNOWN;
        let known = match self.known.entry(peer) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if full => return,
            Entry::Vacant(entry) => entry.insert(Known::new(now)),
        };
        if !known.bootstrap {
            known.addrs.clear();
        }
        known.remembered = false;
        for addr in addrs {
            known.add(addr);
        }
    }

    /// Forgets the learned peer that failed most, if there is one that is not connected.
    fn make_room(&mut self) {
        let idle = |known: &Known| !known.bootstrap && !known.connected;
        let worst = self
            .known
            .iter()
            .filter(|(_, k)| idle(k))
            .max_by_key(|(_, k)| (k.proven.is_none(), k.failures));
        if let Some(peer) = worst.map(|(peer, _)| *peer) {
            self.known.remove(&peer);
        }
    }

    /// Records a connection.
    pub(crate) fn connected(&mut self, peer: PeerId) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.connected = true;
            known.trying_until = None;
        }
    }

    /// Records that a connected peer proved to be of this swarm: its failures are forgotten.
    pub(crate) fn settled(&mut self, peer: PeerId) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.failures = 0;
        }
    }

    /// Records the loss of the last connection with a peer.
    pub(crate) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.connected = false;
            known.next = known.next.max(now + pause(known.failures));
        }
    }

    /// Records a failed attempt.
    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant) {
        let Some(known) = self.known.get_mut(&peer) else {
            return;
        };
        known.trying_until = None;
        known.failures = known.failures.saturating_add(1);
        let often = !known.bootstrap && known.failures > MAX_FAILURES;
        let pause = if often {
            LONG_PAUSE
        } else {
            pause(known.failures)
        };
        known.next = known.next.max(now + pause);
        if often && !known.connected && known.proven.is_none() {
            self.known.remove(&peer);
        }
    }

    /// Leaves a peer alone for a good while: it belongs to another swarm.
    pub(crate) fn quarantine(&mut self, peer: PeerId, now: Instant) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&peer) {
            self.make_room();
        }
        let known = self.known.entry(peer).or_insert_with(|| Known::new(now));
        known.next = now + QUARANTINE;
        known.trying_until = None;
    }

    /// Addresses known for a peer, names replaced by what they last stood for.
    pub(crate) fn addrs(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(known) = self.known.get(peer) else {
            return Vec::new();
        };
        let numbers = known.addrs.iter().filter(|addr| !is_named(addr));
        numbers.chain(&known.resolved).cloned().collect()
    }

    /// Records what the names in a peer's addresses stand for now.
    pub(crate) fn resolved(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.resolved = addrs;
        }
    }

    /// The dials that are due at `now`; each counts as under way from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Dial> {
        let trying = |k: &Known| k.trying_until.is_some_and(|until| now < until);
        let mut open = self
            .known
            .values()
            .filter(|k| k.connected || trying(k))
            .count();
        let mut ready: Vec<(&PeerId, &mut Known)> = self
            .known
            .iter_mut()
            .filter(|(_, k)| !k.connected && !trying(k) && k.next <= now && !k.addrs.is_empty())
            .collect();
        ready.sort_by_key(|(peer, k)| (!k.bootstrap, k.remembered, k.failures, **peer));
        let mut dials = Vec::new();
        for (peer, known) in ready {
            if known.bootstrap || open < self.target {
                open += 1;
                known.trying_until = Some(now + ATTEMPT);
                known.next = now + pause(known.failures);
                dials.push((*peer, known.addrs.clone()));
            }
        }
        dials
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addr(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn bootstrap_peers_are_redialled_with_a_growing_pause_until_connected() {
        let start = Instant::now();
        let peer = PeerId::random();
        let mut dialer = Dialer::new(PeerId::random(), 0);
        dialer.bootstrap(peer, addr(1), start);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert_eq!(dialer.due(now).len(), 1);
            assert!(dialer.due(now).is_empty(), "one attempt at a time");
            dialer.failed(peer, now);
            let failed = now;
            while dialer.known[&peer].next > now {
                now += Duration::from_secs(1);
            }
            pauses.push((now - failed).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
        dialer.due(now);
        dialer.connected(peer);
        dialer.settled(peer);
        assert!(
            dialer.due(now + MAX_PAUSE).is_empty(),
            "connected peers are left in peace"
        );
        dialer.disconnected(peer, now + MAX_PAUSE);
        assert_eq!(
            dialer.due(now + MAX_PAUSE + Duration::from_secs(1)).len(),
            1
        );
    }

    #[test]
    fn learned_peers_are_dialled_up_to_the_target_and_given_up_in_the_end() {
        let now = Instant::now();
        let mut dialer = Dialer::new(PeerId::random(), 2);
        for port in 1..=5 {
            dialer.learn(PeerId::random(), vec![addr(port)], now);
        }
        let dials = dialer.due(now);
        assert_eq!(dials.len(), 2);
        dialer.connected(dials[0].0);
        dialer.failed(dials[1].0, now);
        assert_eq!(dialer.due(now).len(), 1);
        for _ in 0..=MAX_FAILURES {
            dialer.failed(dials[1].0, now);
        }
        assert!(dialer.addrs(&dials[1].0).is_empty());
    }

    #[test]
    fn remembered_peers_come_last_and_reached_ones_are_remembered() {
        let now = Instant::now();
        let [boot, learned, old] = [(); 3].map(|()| PeerId::random());
        let mut dialer = Dialer::new(PeerId::random(), 3);
        dialer.bootstrap(boot, addr(1), now);
        dialer.remember(old, addr(3), now);
        dialer.remember(boot, addr(4), now);
        let peers = |dials: Vec<Dial>| dials.into_iter().map(|(p, _)| p).collect::<Vec<_>>();
        assert_eq!(
            peers(dialer.due(now)),
            [boot],
            "the bootstrap peer has a head start"
        );
        dialer.learn(learned, vec![addr(2)], now);
        let later = now + REMEMBERED_AFTER;
        assert_eq!(peers(dialer.due(later)), [learned, old]);

        assert!(dialer.remembered().is_empty());
        for peer in [boot, learned, old] {
            dialer.connected(peer);
        }
        dialer.proved(old, addr(3), now);
        dialer.proved(learned, addr(2), later);
        assert_eq!(dialer.remembered(), [(learned, addr(2)), (old, addr(3))]);
        dialer.disconnected(learned, later);
        assert_eq!(dialer.remembered()[0].0, old);
        for _ in 0..20 {
            dialer.failed(learned, later);
        }
        assert_eq!(dialer.due(later + LONG_PAUSE).len(), 1, "it may come back");
    }

    #[test]
    fn oneself_and_other_swarms_are_not_dialled() {
        let now = Instant::now();
        let local = PeerId::random();
        let foreign = PeerId::random();
        let mut dialer = Dialer::new(local, 8);
        dialer.bootstrap(local, addr(1), now);
        dialer.learn(local, vec![addr(1)], now);
        dialer.learn(foreign, vec![addr(2)], now);
        dialer.quarantine(foreign, now);
        dialer.disconnected(foreign, now);
        assert!(dialer.due(now + Duration::from_secs(60)).is_empty());
        assert_eq!(dialer.due(now + QUARANTINE).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn memory_and_open_dials_stay_bounded(
            events in proptest::collection::vec((0u8..5, 0usize..700, 0u64..5), 1..900),
        ) {
            let mut now = Instant::now();
            let peers: Vec<PeerId> = (0..700).map(|_| PeerId::random()).collect();
            let mut dialer = Dialer::new(PeerId::random(), 8);
            for (event, who, seconds) in events {
                now += Duration::from_secs(seconds);
                let peer = peers[who];
                match event {
                    0 | 1 => dialer.learn(peer, (1..20).map(addr).collect(), now),
                    2 => dialer.connected(peer),
                    3 => dialer.disconnected(peer, now),
                    _ => dialer.failed(peer, now),
                }
                let before = dialer.known.values().filter(|k| k.connected).count();
                let dials = dialer.due(now);
                prop_assert!(dials.len() <= 8usize.saturating_sub(before.min(8)));
                prop_assert!(dialer.known.len() <= MAX_KNOWN);
                prop_assert!(dialer.known.values().all(|k| k.addrs.len() <= MAX_ADDRS));
            }
        }
    }
}
