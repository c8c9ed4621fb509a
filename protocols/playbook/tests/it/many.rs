//! Many revisions by many authors, in any order.

use pagi_messages::{Verified, cid_of};
use pagi_playbook::{Dag, Delta, Insert, Merged, seal};

use crate::support::*;

const AUTHORS: usize = 20;
const REVISIONS: usize = 1_000;

#[test]
fn a_thousand_revisions_by_twenty_authors_merge_to_one_cid_in_any_order() {
    // Twenty authors, cut off from each other, each with a history of its own.
    let mut all = Vec::new();
    for author in 0..AUTHORS {
        let mut dag = dag();
        for n in 0..REVISIONS / AUTHORS {
            let artifact = format!("{author}/{n}");
            let what = case(&format!("term{}", (author * 7 + n) % 90));
            let delta = Delta {
                counts: vec![count(
                    &what.id,
                    u32::from(n % 3 != 0),
                    u32::from(n % 3 == 0),
                )],
                cases: vec![what],
                set: vec![set(&["ace", "shared"], Some(serde_json::json!(artifact)))],
                ..lesson(&format!("Lesson {}.", n % 40))
            };
            let merged = Merged {
                artifact: name(&artifact),
                author: identity(100 + author as u8).did().clone(),
                delta,
            };
            let term = 1 + (n / 10) as u64;
            let revision = dag.next(vec![merged], term, None, None, n as u64);
            let signed = Verified::sign(&identity(1 + author as u8), revision).unwrap();
            let (cid, _) = seal(&signed).unwrap();
            dag.insert(cid, &signed).unwrap();
            all.push((cid, signed));
        }
    }
    let fold = |order: &[usize]| {
        let mut dag: Dag = dag();
        let mut waiting: Vec<usize> = order.to_vec();
        while !waiting.is_empty() {
            waiting.retain(|at| {
                let (cid, revision) = &all[*at];
                if !revision
                    .body()
                    .parents
                    .iter()
                    .all(|parent| dag.contains(parent))
                {
                    return true;
                }
                assert_eq!(dag.insert(*cid, revision).unwrap(), Insert::Added);
                false
            });
        }
        // The revision that joins all heads has one CID, whoever is asked to make it.
        let join = dag.next(Vec::new(), 9, None, None, 0);
        let joined = cid_of(&pagi_messages::to_dag_cbor(&join).unwrap());
        let document = cid_of(&pagi_messages::to_dag_cbor(&dag.state().document()).unwrap());
        (joined, document, dag.head(), dag.len())
    };
    let straight: Vec<usize> = (0..all.len()).collect();
    let expected = fold(&straight);
    assert_eq!(expected.3, REVISIONS);
    let mut seed = 7u64;
    for _ in 0..4 {
        let mut order = straight.clone();
        for at in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(at, (seed >> 33) as usize % (at + 1));
        }
        assert_eq!(fold(&order), expected);
    }
    let mut backwards = straight;
    backwards.reverse();
    assert_eq!(fold(&backwards), expected);
}
