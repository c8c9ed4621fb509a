//! Who is alive: nodes and twins heard lately. Sans-IO.

use std::collections::BTreeMap;

use pagi_messages::{Did, TwinPresence};

use crate::roll::Roll;

/// Presence is sent this often in a small swarm, milliseconds.
pub const SHORTEST_PERIOD_MS: u64 = 12_000;
/// Presence is sent at least this often, milliseconds.
pub const LONGEST_PERIOD_MS: u64 = 300_000;
/// Nodes in view up to which the shortest period holds. Beyond, the whole swarm sends about one
/// presence every three seconds, however large it is, until the longest period is reached.
const SMALL_SWARM: u64 = 4;
/// Nodes in view up to which everybody greets everybody at once.
const GREETING_SWARM: usize = 10;
/// A node not heard for so many periods is gone.
const MISSED_PERIODS: u64 = 3;
/// Nodes and twins remembered at the most.
const MAX_ENTRIES: usize = 20_000;
/// Twins of one node remembered at the most.
pub const MAX_TWINS_PER_NODE: usize = 256;

/// A twin as last announced.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenTwin {
    /// What it said.
    pub presence: TwinPresence,
    /// The node that said it.
    pub node: Did,
    /// When it was heard, by this node's clock, milliseconds.
    pub heard_ms: u64,
}

/// Nodes and twins heard lately.
#[derive(Clone, Debug, Default)]
pub struct LiveView {
    nodes: BTreeMap<Did, u64>,
    /// By twin id and the node that announced it.
    twins: BTreeMap<(String, Did), SeenTwin>,
    /// How many of them each node announced.
    counts: BTreeMap<Did, usize>,
    roll: Roll,
}

impl LiveView {
    /// A node was heard at `now_ms`. Returns whether it is new.
    pub fn node_seen(&mut self, node: &Did, now_ms: u64) -> bool {
        if !self.nodes.contains_key(node) && self.nodes.len() >= MAX_ENTRIES {
            return false;
        }
        // What a neighbour's roll tells may be older than what was heard here.
        let known = self.nodes.get(node).copied();
        let heard = known.map_or(now_ms, |known| known.max(now_ms));
        self.nodes.insert(node.clone(), heard).is_none()
    }

    /// `node` announced a twin at `now_ms`; returns whether that is news. Two nodes that announce the
    /// same twin stand side by side: which of them has it, its key tells, and neither can hide the
    /// other.
    pub fn twin_seen(&mut self, node: &Did, presence: TwinPresence, now_ms: u64) -> bool {
        let key = (presence.twin_id.clone(), node.clone());
        let known = self.twins.get(&key);
        let outdated = known.is_some_and(|seen| seen.heard_ms > now_ms);
        let count = self.counts.get(node).copied().unwrap_or(0);
        let full = self.twins.len() >= MAX_ENTRIES || count >= MAX_TWINS_PER_NODE;
        if outdated || known.is_none() && full || !presence.is_modest() {
            return false;
        }
        if known.is_none() {
            self.counts.insert(node.clone(), count + 1);
        }
        let twin = SeenTwin {
            presence,
            node: node.clone(),
            heard_ms: now_ms,
        };
        self.twins.insert(key, twin).is_none()
    }

    /// A node is known to be gone. Returns whether it was in view.
    pub fn node_gone(&mut self, node: &Did) -> bool {
        self.twins.retain(|_, twin| twin.node != *node);
        self.counts.remove(node);
        self.roll.forget(node);
        self.nodes.remove(node).is_some()
    }

    /// The connection with a node is gone. Returns whether the node was dropped for it: in a large
    /// swarm, where nodes part with peers they do not need, it gets half as long again as a period, in
    /// which a living node is heard by another way.
    pub fn peer_gone(&mut self, node: &Did, now_ms: u64) -> bool {
        if self.is_small() {
            return self.node_gone(node);
        }
        let last = now_ms.saturating_sub(self.patience_ms() - self.period_ms() * 3 / 2);
        if let Some(heard) = self.nodes.get_mut(node) {
            *heard = last.min(*heard);
        }
        false
    }

    /// Whether everybody can greet everybody.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.nodes.len() < GREETING_SWARM
    }

    /// Drops what was not heard for too long; returns the nodes dropped.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Did> {
        let patience = self.patience_ms();
        let gone: Vec<Did> = self
            .nodes
            .iter()
            .filter(|(_, heard)| now_ms.saturating_sub(**heard) > patience)
            .map(|(node, _)| node.clone())
            .collect();
        for node in &gone {
            self.node_gone(node);
        }
        self.twins
            .retain(|_, twin| now_ms.saturating_sub(twin.heard_ms) <= patience);
        self.counts.clear();
        for twin in self.twins.values() {
            *self.counts.entry(twin.node.clone()).or_default() += 1;
        }
        self.roll.expire(now_ms.saturating_sub(patience));
        gone
    }

    /// How long a node that is not heard counts as alive in a swarm of this size, milliseconds.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        self.period_ms() * MISSED_PERIODS
    }

    /// The least time between two announcements made because others turned up, milliseconds. In a
    /// small swarm everybody greets everybody at once; in a large one that would be a storm.
    #[must_use]
    pub fn greeting_gap_ms(&self) -> u64 {
        if self.is_small() {
            0
        } else {
            self.period_ms() / 20
        }
    }

    /// Keeps what `node` said of itself or of a twin, signed, for neighbours that ask.
    pub fn keep(&mut self, node: &Did, twin: Option<&str>, data: &[u8], heard_ms: u64) {
        self.roll.keep(node, twin, data, heard_ms);
    }

    /// What nodes said of themselves.
    #[must_use]
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Whether a twin is known as one of `node`.
    #[must_use]
    pub fn twin_is_of(&self, twin_id: &str, node: &Did) -> bool {
        self.twins.contains_key(&(twin_id.to_owned(), node.clone()))
    }

    /// How often to announce oneself in a swarm of this size, milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u64 {
        let nodes = self.nodes.len() as u64 + 1;
        (SHORTEST_PERIOD_MS * nodes / SMALL_SWARM).clamp(SHORTEST_PERIOD_MS, LONGEST_PERIOD_MS)
    }

    /// Nodes in view, this one not among them.
    #[must_use]
    pub fn nodes(&self) -> Vec<Did> {
        self.nodes.keys().cloned().collect()
    }

    /// Twins in view, by id.
    #[must_use]
    pub fn twins(&self) -> Vec<SeenTwin> {
        self.twins.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::{Capabilities, SigningIdentity};
    use proptest::prelude::*;

    use super::*;

    fn did(n: u8) -> Did {
        SigningIdentity::from_seed(&[n; 32]).did().clone()
    }

    fn twin(id: &str, n: u8) -> TwinPresence {
        let capabilities = Capabilities::default();
        TwinPresence {
            twin_id: id.into(),
            did: did(n),
            timestamp: 0,
            capabilities,
        }
    }

    #[test]
    fn one_node_has_a_share_of_the_twins() {
        let mut view = LiveView::default();
        let crowd = |view: &mut LiveView, at: u64| {
            (0..2 * MAX_TWINS_PER_NODE)
                .filter(|n| view.twin_seen(&did(1), twin(&format!("{at}-{n}"), 1), at))
                .count()
        };
        assert_eq!(crowd(&mut view, 1_000), MAX_TWINS_PER_NODE);
        assert!(view.twin_seen(&did(2), twin("b", 2), 1_000));
        // Those it has are heard again; when they are silent, there is room.
        assert!(!view.twin_seen(&did(1), twin("1000-0", 1), 2_000));
        assert_eq!(
            view.twins().iter().filter(|t| t.heard_ms == 2_000).count(),
            1
        );
        let later = 3_000 + view.patience_ms();
        view.expire(later);
        assert_eq!(crowd(&mut view, later), MAX_TWINS_PER_NODE);
        view.node_gone(&did(1));
        assert_eq!(crowd(&mut view, later), MAX_TWINS_PER_NODE);
    }

    #[test]
    fn the_silent_are_dropped_with_their_twins() {
        let mut view = LiveView::default();
        assert!(view.node_seen(&did(1), 0));
        assert!(!view.node_seen(&did(1), 10));
        view.node_seen(&did(2), 0);
        view.twin_seen(&did(2), twin("b", 12), 0);
        assert_eq!(view.expire(3 * SHORTEST_PERIOD_MS), []);
        view.node_seen(&did(1), 30_000);
        assert_eq!(view.expire(3 * SHORTEST_PERIOD_MS + 1), [did(2)]);
        assert!(view.twins().is_empty());
        assert_eq!(view.nodes(), [did(1)]);
    }

    #[test]
    fn nobody_hides_a_twin_by_announcing_it_first() {
        let mut view = LiveView::default();
        view.node_seen(&did(1), 0);
        view.node_seen(&did(2), 0);
        assert!(view.twin_seen(&did(1), twin("a", 11), 0));
        assert!(view.twin_seen(&did(2), twin("a", 11), 1));
        assert!(!view.twin_seen(&did(2), twin("a", 11), 2));
        let mut nodes: Vec<Did> = view.twins().into_iter().map(|twin| twin.node).collect();
        nodes.sort();
        let mut both = vec![did(1), did(2)];
        both.sort();
        assert_eq!(nodes, both);
        view.node_gone(&did(1));
        assert_eq!(view.twins()[0].node, did(2));
    }

    #[test]
    fn in_a_large_swarm_a_lost_connection_is_not_a_lost_node() {
        let mut view = LiveView::default();
        view.node_seen(&did(1), 1_000_000);
        assert!(view.peer_gone(&did(1), 1_000_000));
        for n in 0..20 {
            view.node_seen(&did(n), 1_000_000);
        }
        view.twin_seen(&did(1), twin("a", 11), 1_000_000);
        assert!(!view.peer_gone(&did(1), 1_000_000));
        assert!(!view.peer_gone(&did(2), 1_000_000));
        let grace = view.period_ms() * 3 / 2;
        view.node_seen(&did(2), 1_000_000 + grace);
        assert_eq!(view.expire(1_000_000 + grace), []);
        assert_eq!(view.expire(1_000_001 + grace), [did(1)]);
        assert!(view.twins().is_empty());
    }

    #[test]
    fn the_period_grows_with_the_swarm() {
        let mut view = LiveView::default();
        assert_eq!(view.period_ms(), SHORTEST_PERIOD_MS);
        for n in 0..49 {
            view.node_seen(&did(n), 0);
        }
        assert_eq!(view.period_ms(), SHORTEST_PERIOD_MS * 50 / 4);
        for n in 49..200 {
            view.node_seen(&did(n), 0);
        }
        assert_eq!(view.period_ms(), LONGEST_PERIOD_MS);
    }

    proptest! {
        #[test]
        fn a_clock_that_jumps_does_not_panic(times: Vec<u64>) {
            let mut view = LiveView::default();
            for (n, time) in times.into_iter().enumerate() {
                view.node_seen(&did((n % 3) as u8), time);
                view.expire(time);
            }
        }
    }
}
