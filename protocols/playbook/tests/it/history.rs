//! Heads, logs, states of the past, and what a peer lacks.

use pagi_playbook::{Dag, Insert, Tally};
use serde_json::json;

use crate::support::*;

#[test]
fn a_line_of_revisions_has_a_log_and_a_past() {
    let mut dag = dag();
    assert_eq!((dag.head(), dag.heads()), (dag.root(), vec![]));
    let threshold = ["ace", "curation", "improvement_threshold"];
    let write = |value| pagi_playbook::Delta {
        set: vec![set(&threshold, Some(json!(value)))],
        ..Default::default()
    };
    let one = grow(&mut dag, 1, 1, vec![merged("a", write(0.1))]);
    let two = grow(
        &mut dag,
        2,
        1,
        vec![merged("b", write(0.2)), merged("c", lesson("Two."))],
    );
    assert_eq!((dag.head(), dag.heads(), dag.len()), (two, vec![two], 2));
    assert_eq!(
        dag.log(9).iter().map(|(cid, _)| *cid).collect::<Vec<_>>(),
        [two, one]
    );
    assert_eq!(dag.log(1).len(), 1);
    assert_eq!(dag.ancestors(&two), [one, dag.root()]);
    assert!(dag.is_ancestor(&dag.root(), &two) && !dag.is_ancestor(&two, &one));
    assert_eq!(dag.beyond(&[one]), [two]);
    assert_eq!(dag.beyond(&[]), [one, two]);
    assert_eq!(dag.beyond(&[name("unknown"), two]), []);

    let at = |cid| dag.state_at(&cid).unwrap();
    assert_eq!(at(dag.root()).setting(&threshold), Some(&json!(0.05)));
    assert_eq!(at(one).setting(&threshold), Some(&json!(0.1)));
    assert_eq!(at(one).bullets().count(), 0);
    assert_eq!(at(two), dag.state());
    assert_eq!(dag.state_at(&name("unknown")), None);
    assert!(at(two).applied(&name("c")) && !at(one).applied(&name("c")));
}

#[test]
fn two_sides_of_a_partition_converge_and_lose_nothing() {
    let mut left = dag();
    grow(&mut left, 1, 1, vec![merged("start", lesson("Before."))]);
    let mut right = left.clone();
    let shared = || {
        let mut delta = lesson("Seen by both.");
        delta.counts = vec![count("tool:calculator", 1, 0)];
        merged("shared", delta)
    };
    grow(
        &mut left,
        1,
        2,
        vec![shared(), merged("l", lesson("Left."))],
    );
    grow(&mut right, 2, 3, vec![merged("r", lesson("Right."))]);
    let right_head = grow(&mut right, 2, 3, vec![shared()]);

    let fork = left.clone();
    assert_eq!(left.join(&right).unwrap(), 2);
    assert_eq!(right.join(&fork).unwrap(), 1);
    assert_eq!(left.heads(), right.heads());
    assert_eq!(left.heads().len(), 2);
    assert_eq!(left.head(), right_head, "the higher term leads");
    assert_eq!(left.state(), right.state());
    assert_eq!(left.state().to_toml(), right.state().to_toml());
    let state = left.state();
    assert_eq!(state.bullets().count(), 4);
    assert_eq!(
        state.tally("tool:calculator"),
        Tally {
            helpful: 1,
            harmful: 0
        }
    );

    let joined = grow(&mut left, 2, 3, vec![]);
    assert_eq!(left.heads(), [joined]);
    assert_eq!(left.get(&joined).unwrap().body().lamport, 4);
    assert_eq!(
        left.state(),
        state,
        "a revision that only joins changes nothing"
    );
    left.verify().unwrap();
}

#[test]
fn more_heads_than_parents_are_joined_in_turns() {
    let mut dag = dag();
    for number in 0..300u64 {
        let mut revision = dag.next(vec![], 1, None, None, number);
        revision.parents = vec![dag.root()];
        revision.lamport = 1;
        let (cid, revision) = sealed(1, revision);
        assert_eq!(dag.insert(cid, &revision).unwrap(), Insert::Added);
    }
    assert_eq!(dag.heads().len(), 300);
    grow(&mut dag, 1, 1, vec![]);
    assert_eq!(dag.heads().len(), 300 - 256 + 1);
    grow(&mut dag, 1, 1, vec![]);
    assert_eq!(dag.heads().len(), 1);
}

#[test]
fn what_was_learnt_can_found_another_swarm() {
    let mut dag = dag();
    let mut delta = lesson("Check units first.");
    delta.cases = vec![case("sum")];
    delta.counts = vec![count(&case("sum").id, 1, 0), count("tool:calculator", 1, 0)];
    grow(&mut dag, 1, 1, vec![merged("a", delta)]);
    let toml = dag.state().to_toml();
    let genesis = pagi_playbook::Genesis::from_toml("elsewhere", &toml).unwrap();
    let other = Dag::new(genesis).unwrap();
    assert_eq!(other.state().document(), dag.state().document());
    assert_eq!(other.state().tally(&case("sum").id).helpful, 1);
}
