//! Which connections to give up. Pure: what there is and the time come in, peers go out.
//!
//! Looking for something in the DHT leaves a connection with everybody who was asked, and in the end
//! everybody is connected with everybody: each connection costs both sides memory and pings. A node gives
//! up what it dialled itself and does not need, beyond as many as it wants. What others dialled is theirs
//! to give up, so nobody is left alone, and no two nodes quarrel about a connection.

use std::time::{Duration, Instant};

/// A connection is given up only when nothing was asked over it for so long.
const IDLE: Duration = Duration::from_secs(20);
/// Connections given up at a time.
const AT_ONCE: usize = 2;

/// A connected peer, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tie<P> {
    pub(crate) peer: P,
    /// Whether this node dialled all its connections.
    pub(crate) dialled: bool,
    /// Whether it is to stay connected whatever happens.
    pub(crate) needed: bool,
    /// Whether gossip goes this way.
    pub(crate) in_mesh: bool,
    /// When it was connected with, or last asked something.
    pub(crate) used: Instant,
}

/// The peers to part with, so that no more than `keep` of those this node dialled remain. Those that
/// gossip does not use go first, then those that came last.
pub(crate) fn surplus<P: Copy + Ord>(
    ties: impl IntoIterator<Item = Tie<P>>,
    keep: usize,
    now: Instant,
) -> Vec<P> {
    let dialled: Vec<Tie<P>> = ties.into_iter().filter(|tie| tie.dialled).collect();
    let excess = dialled.len().saturating_sub(keep);
    let mut idle: Vec<Tie<P>> = dialled
        .into_iter()
        .filter(|tie| !tie.needed && now.saturating_duration_since(tie.used) >= IDLE)
        .collect();
    idle.sort_by_key(|tie| (tie.in_mesh, std::cmp::Reverse(tie.used), tie.peer));
    idle.into_iter()
        .take(excess.min(AT_ONCE))
        .map(|tie| tie.peer)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn tie(peer: usize, used: Instant) -> Tie<usize> {
        Tie {
            peer,
            dialled: true,
            needed: false,
            in_mesh: false,
            used,
        }
    }

    #[test]
    fn what_is_used_needed_or_dialled_by_others_stays() {
        let start = Instant::now();
        let now = start + IDLE;
        let mut ties: Vec<_> = (0..4).map(|peer| tie(peer, start)).collect();
        assert!(surplus(ties.clone(), 4, now).is_empty(), "not too many");
        assert!(
            surplus(ties.clone(), 0, now - Duration::from_secs(1)).is_empty(),
            "in use a moment ago"
        );
        ties[1].needed = true;
        ties[2].dialled = false;
        assert_eq!(surplus(ties.clone(), 1, now), [0, 3]);
        ties[0].in_mesh = true;
        assert_eq!(surplus(ties.clone(), 2, now), [3]);
        ties[3].in_mesh = true;
        ties[3].used = start - IDLE;
        assert_eq!(surplus(ties, 2, now), [0], "the one that came last");
    }

    /// Everybody dialled everybody, then gives up what is too much: who still has whom.
    fn trimmed(nodes: usize, keep: usize, seed: u64) -> Vec<BTreeSet<usize>> {
        let start = Instant::now();
        let mut chance = seed;
        let mut next = move || {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance
        };
        // `by[a][b]`: a dialled b. The first is the bootstrap node of all.
        let mut by = vec![vec![None; nodes]; nodes];
        for a in 0..nodes {
            for b in 0..a {
                let (from, to) = if b == 0 || next() % 2 == 0 {
                    (a, b)
                } else {
                    (b, a)
                };
                by[from][to] = Some(start + Duration::from_millis(next() % 10_000));
            }
        }
        let mut now = start;
        for _ in 0..200 {
            now += Duration::from_millis(500);
            for (a, dialled) in by.iter_mut().enumerate() {
                let ties = dialled.iter().enumerate().filter_map(|(b, used)| {
                    let used = (*used)?;
                    let needed = b == 0 && a != 0;
                    Some(Tie {
                        needed,
                        ..tie(b, used)
                    })
                });
                for gone in surplus(ties, keep, now) {
                    dialled[gone] = None;
                }
            }
        }
        (0..nodes)
            .map(|a| {
                (0..nodes)
                    .filter(|b| by[a][*b].is_some() || by[*b][a].is_some())
                    .collect()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_full_mesh_becomes_a_sparse_one_that_holds_without_its_bootstrap_node(
            nodes in 20usize..80,
            seed in 1u64..u64::MAX,
        ) {
            let keep = 8;
            let has = trimmed(nodes, keep, seed);
            let links: usize = has.iter().map(BTreeSet::len).sum();
            prop_assert!(links <= 2 * nodes * keep);
            prop_assert!(has.iter().all(|peers| peers.len() >= 3));
            let mut reached = BTreeSet::from([1]);
            let mut ask = vec![1];
            while let Some(node) = ask.pop() {
                for peer in has[node].iter().filter(|peer| **peer != 0) {
                    if reached.insert(*peer) {
                        ask.push(*peer);
                    }
                }
            }
            prop_assert_eq!(reached.len(), nodes - 1);
        }
    }
}
