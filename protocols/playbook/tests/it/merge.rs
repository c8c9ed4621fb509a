//! The state is a function of the set of revisions: commutative, associative, idempotent.

use std::collections::BTreeSet;

use cid::Cid;
use pagi_messages::Verified;
use pagi_playbook::{Bullet, Dag, Delta, Insert, Merged, Revision};
use proptest::{prelude::*, sample::Index};
use serde_json::json;

use crate::support::*;

/// One revision of a random DAG, as drawn.
#[derive(Clone, Debug)]
struct Draw {
    author: u8,
    term: u64,
    parents: Vec<Index>,
    merged: Vec<(u8, u8, u8)>,
}

fn draw() -> impl Strategy<Value = Draw> {
    (
        1u8..4,
        0u64..4,
        prop::collection::vec(any::<Index>(), 1..4),
        prop::collection::vec((0u8..8, 0u8..7, 0u8..6), 0..4),
    )
        .prop_map(|(author, term, parents, merged)| Draw {
            author,
            term,
            parents,
            merged,
        })
}

/// The same artifact name may come with different deltas: a claim that differs between MOs.
fn delta(what: u8, value: u8) -> Delta {
    let bullet = Bullet::new("planning", format!("Lesson {value}."));
    match what {
        0 => lesson(&format!("Lesson {value}.")),
        1 => Delta {
            cases: vec![case(&format!("term{value}"))],
            ..Delta::default()
        },
        2 => Delta {
            counts: vec![count(&bullet.id, 0, 1)],
            ..Delta::default()
        },
        3 => Delta {
            counts: vec![count("tool:calculator", 1, 0)],
            ..Delta::default()
        },
        4 => {
            let value = (value > 1).then(|| json!({"inner": value}));
            Delta {
                set: vec![set(&["ace", "shared"], value)],
                ..Delta::default()
            }
        }
        5 => Delta {
            set: vec![set(&["ace", "shared", "inner", "deep"], Some(json!(value)))],
            ..Delta::default()
        },
        _ => Delta {
            revert: vec![name(&format!("artifact {value}"))],
            ..Delta::default()
        },
    }
}

type Sealed = (Cid, Verified<Revision>);

/// Signs the drawn revisions, each on parents among those before it.
fn build(draws: &[Draw]) -> Vec<Sealed> {
    let root = dag().root();
    let mut made: Vec<Sealed> = Vec::new();
    for (number, draw) in draws.iter().enumerate() {
        // Index 0 stands for the genesis.
        let picks: BTreeSet<usize> = draw
            .parents
            .iter()
            .map(|index| index.index(made.len() + 1))
            .filter(|n| *n > 0)
            .collect();
        let mut parents: Vec<Cid> = picks.iter().map(|pick| made[pick - 1].0).collect();
        parents.sort();
        parents.dedup();
        let highest = picks
            .iter()
            .map(|pick| made[pick - 1].1.body().lamport)
            .max();
        if parents.is_empty() {
            parents.push(root);
        }
        let mut seen = BTreeSet::new();
        let merged: Vec<Merged> = draw
            .merged
            .iter()
            .filter(|(artifact, ..)| seen.insert(*artifact))
            .map(|(artifact, what, value)| {
                merged(&format!("artifact {artifact}"), delta(*what, *value))
            })
            .collect();
        let revision = Revision {
            parents,
            lamport: highest.unwrap_or(0) + 1,
            term: draw.term,
            certificate: None,
            merged,
            evaluation: None,
            timestamp: number as u64,
        };
        made.push(sealed(draw.author, revision));
    }
    made
}

/// Inserts in the given order, offering again what came before its parents.
fn insert_all(dag: &mut Dag, mut waiting: Vec<Sealed>) {
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|(cid, revision)| {
            matches!(
                dag.insert(*cid, revision).unwrap(),
                Insert::MissingParents(_)
            )
        });
        assert!(
            waiting.len() < before,
            "parents are always among the offered"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_gives_the_same_heads_and_state(
        draws in prop::collection::vec(draw(), 0..16),
        order in prop::collection::vec(any::<u32>(), 16),
        twice in any::<bool>(),
    ) {
        let revisions = build(&draws);
        let mut straight = dag();
        for (cid, revision) in &revisions {
            prop_assert_eq!(straight.insert(*cid, revision).unwrap(), Insert::Added);
        }
        let mut shuffled: Vec<_> = order.iter().zip(revisions.clone()).collect();
        shuffled.sort_by_key(|(key, _)| **key);
        let mut permuted = dag();
        let shuffled: Vec<_> = shuffled.into_iter().map(|(_, revision)| revision).collect();
        insert_all(&mut permuted, shuffled.clone());
        if twice {
            for (cid, revision) in &shuffled {
                prop_assert_eq!(permuted.insert(*cid, revision).unwrap(), Insert::Duplicate);
            }
        }
        prop_assert_eq!(straight.heads(), permuted.heads());
        prop_assert_eq!(straight.head(), permuted.head());
        prop_assert_eq!(straight.state(), permuted.state());
        prop_assert_eq!(straight.state().to_toml(), permuted.state().to_toml());
        prop_assert_eq!(
            serde_json::to_string(&straight.state().document()).unwrap(),
            serde_json::to_string(&permuted.state().document()).unwrap()
        );
        straight.verify().unwrap();
        // The past is the same too, and the fold of a single head's past that of its DAG.
        for (cid, _) in &revisions {
            prop_assert_eq!(straight.state_at(cid), permuted.state_at(cid));
        }
        if let [head] = straight.heads()[..] {
            let mut anew = dag();
            insert_all(&mut anew, revisions);
            prop_assert_eq!(anew.state_at(&head).unwrap(), straight.state());
        }
    }

    #[test]
    fn joining_is_commutative_associative_and_idempotent(
        draws in prop::collection::vec(draw(), 0..14),
        masks in prop::collection::vec(0u8..8, 14),
    ) {
        // Three DAGs, each with the drawn revisions of its mask whose parents it holds.
        let revisions = build(&draws);
        let mut parts = [dag(), dag(), dag()];
        for (mask, (cid, revision)) in masks.iter().zip(&revisions) {
            for (bit, part) in parts.iter_mut().enumerate() {
                if mask & (1 << bit) != 0 {
                    part.insert(*cid, revision).unwrap();
                }
            }
        }
        let join = |one: &Dag, two: &Dag| {
            let mut joined = one.clone();
            joined.join(two).unwrap();
            joined
        };
        let same = |one: &Dag, two: &Dag| {
            one.heads() == two.heads() && one.state() == two.state() && one.len() == two.len()
        };
        let [a, b, c] = &parts;
        prop_assert!(same(&join(a, b), &join(b, a)));
        prop_assert!(same(&join(&join(a, b), c), &join(a, &join(b, c))));
        prop_assert!(same(&join(a, a), a));
        prop_assert!(same(&join(&join(a, b), b), &join(a, b)));
    }

    #[test]
    fn bending_any_byte_of_a_block_is_noticed(at in any::<Index>(), bit in 0u8..8) {
        let (cid, revision) = sealed(1, dag().next(vec![merged("a", delta(1, 1))], 1, None, None, 1));
        let (_, mut bytes) = pagi_playbook::seal(&revision).unwrap();
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(pagi_playbook::open::<Revision>(&cid, &bytes).is_err());
        // With a CID to match, form or signature give it away.
        let own = pagi_messages::cid_of(&bytes);
        prop_assert!(pagi_playbook::open::<Revision>(&own, &bytes).is_err());
    }

    #[test]
    fn opening_never_panics(bytes: Vec<u8>) {
        let cid = pagi_messages::cid_of(&bytes);
        prop_assert!(pagi_playbook::open::<Revision>(&cid, &bytes).is_err());
    }
}
