//! Revisions that must not enter, each with its reason.

use pagi_messages::{Verified, cid_of, content::to_dag_cbor, wire};
use pagi_playbook::{
    BadLink, Count, Dag, Delta, Insert, LinkError, Malformed, Revision, RevisionError, seal,
};
use serde_json::json;

use crate::support::*;

/// What inserting the changed next revision says.
fn offer(dag: &mut Dag, change: impl FnOnce(&mut Revision)) -> Result<Insert, RevisionError> {
    let mut revision = dag.next(vec![merged("a", lesson("One thing."))], 1, None, None, 1);
    change(&mut revision);
    let (cid, revision) = sealed(1, revision);
    let before = (dag.heads(), dag.state());
    let result = dag.insert(cid, &revision);
    if !matches!(result, Ok(Insert::Added)) {
        assert_eq!(
            (dag.heads(), dag.state()),
            before,
            "a refused revision changes nothing"
        );
    }
    result
}

#[test]
fn links_must_be_right() {
    let mut dag = dag();
    let root = dag.root();
    let first = grow(&mut dag, 1, 1, vec![]);
    let fork = {
        let (cid, revision) = sealed(
            2,
            Revision {
                parents: vec![root],
                lamport: 1,
                ..dag.next(vec![], 1, None, None, 9)
            },
        );
        assert_eq!(dag.insert(cid, &revision).unwrap(), Insert::Added);
        cid
    };
    let parents = dag.heads();
    assert_eq!(parents.len(), 2);

    for lamport in [0, 1, 3, u64::MAX] {
        let refused = offer(&mut dag, |revision| revision.lamport = lamport);
        let Err(RevisionError::WrongLamport { found, expected: 2 }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(found, lamport);
    }
    let refused = offer(&mut dag, |revision| revision.parents.clear());
    assert!(
        matches!(refused, Err(RevisionError::ParentCount { found: 0 })),
        "{refused:?}"
    );
    let refused = offer(&mut dag, |revision| revision.parents.reverse());
    assert!(
        matches!(refused, Err(RevisionError::UnsortedParents)),
        "{refused:?}"
    );
    let refused = offer(&mut dag, |revision| revision.parents = vec![first, first]);
    assert!(matches!(refused, Err(RevisionError::DuplicateParent(cid)) if cid == first));
    let refused = offer(&mut dag, |revision| {
        revision.parents = vec![root, fork];
        revision.parents.sort();
    });
    assert!(
        matches!(refused, Err(RevisionError::GenesisAmongParents)),
        "{refused:?}"
    );
    let refused = offer(&mut dag, |revision| {
        revision.parents = (0..300)
            .map(|number: u32| cid_of(&number.to_be_bytes()))
            .collect();
        revision.parents.sort();
    });
    assert!(
        matches!(refused, Err(RevisionError::ParentCount { found: 300 })),
        "{refused:?}"
    );
    let missing = offer(&mut dag, |revision| {
        revision.parents = vec![name("unknown")]
    });
    assert_eq!(
        missing.unwrap(),
        Insert::MissingParents(vec![name("unknown")])
    );

    assert_eq!(offer(&mut dag, |_| {}).unwrap(), Insert::Added);
    assert_eq!(dag.heads().len(), 1);
}

#[test]
fn another_swarms_genesis_is_no_parent() {
    let mut ours = dag();
    let other = pagi_playbook::Genesis::new("other", genesis().document).unwrap();
    let mut theirs = Dag::new(other).unwrap();
    let cid = grow(&mut theirs, 1, 1, vec![]);
    let offered = ours.insert(cid, theirs.get(&cid).unwrap()).unwrap();
    assert_eq!(offered, Insert::MissingParents(vec![theirs.root()]));
    assert!(matches!(
        ours.join(&theirs),
        Err(RevisionError::OtherGenesis { .. })
    ));
}

#[test]
fn the_cid_must_be_the_blocks() {
    let mut dag = dag();
    let (cid, revision) = sealed(1, dag.next(vec![], 1, None, None, 1));
    let refused = dag.insert(name("other"), &revision);
    assert!(matches!(refused, Err(RevisionError::WrongCid { actual, .. }) if actual == cid));
    assert_eq!(dag.insert(cid, &revision).unwrap(), Insert::Added);
    assert_eq!(dag.insert(cid, &revision).unwrap(), Insert::Duplicate);
    assert_eq!(dag.len(), 1);
}

#[test]
fn blocks_have_a_largest_size() {
    let mut dag = dag();
    let refused = offer(&mut dag, |revision| {
        revision.merged = (0..600)
            .map(|number| {
                merged(
                    &format!("a{number}"),
                    lesson(&format!("{number}{}", "x".repeat(1900))),
                )
            })
            .collect();
    });
    let Err(RevisionError::TooLarge { bytes, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(bytes > wire::MAX_BLOCK_BYTES);
}

#[test]
fn deltas_must_be_well_formed() {
    let mut dag = dag();
    let mut forged = lesson("One thing.");
    forged.bullets[0].text = "Another thing.".into();
    let loud = Count {
        target: "tool:calculator".into(),
        helpful: 1_000_000,
        harmful: 0,
    };
    for delta in [
        forged,
        Delta {
            counts: vec![loud],
            ..Delta::default()
        },
        Delta {
            cases: vec![case("a"), case("a")],
            ..Delta::default()
        },
        Delta {
            set: vec![set(&["ethics", "red_lines"], Some(json!([])))],
            ..Delta::default()
        },
        Delta {
            set: vec![set(&["learned"], None)],
            ..Delta::default()
        },
    ] {
        let refused = offer(&mut dag, |revision| revision.merged[0].delta = delta);
        assert!(
            matches!(refused, Err(RevisionError::Delta { .. })),
            "{refused:?}"
        );
    }
    let refused = offer(&mut dag, |revision| {
        revision.merged.push(merged("a", lesson("Another thing.")));
    });
    assert!(matches!(refused, Err(RevisionError::RepeatedArtifact(cid)) if cid == name("a")));
    // Ethics are out of reach even for a revision's author.
    let refused = offer(&mut dag, |revision| {
        revision.merged[0].delta.set = vec![set(&["ethics"], None)];
    });
    let Err(RevisionError::Delta {
        reason: Malformed::Protected { .. },
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
}

#[test]
fn replay_names_the_first_bad_link() {
    let mut dag = dag();
    let cids: Vec<_> = (0..4)
        .map(|n| {
            grow(
                &mut dag,
                1,
                1,
                vec![merged(&n.to_string(), lesson(&format!("Lesson {n}.")))],
            )
        })
        .collect();
    let blocks = || {
        cids.iter()
            .map(|cid| (*cid, seal(dag.get(cid).unwrap()).unwrap().1))
            .rev()
            .collect::<Vec<_>>()
    };
    let again = Dag::replay(genesis(), blocks()).unwrap();
    assert_eq!((again.heads(), again.state()), (dag.heads(), dag.state()));
    let sound = dag.verify().unwrap();
    assert_eq!(
        (sound.revisions, sound.artifacts, sound.heads),
        (4, 4, dag.heads())
    );

    // A missing block.
    let mut holed = blocks();
    holed.retain(|(cid, _)| *cid != cids[1]);
    let BadLink { cid, cause } = Dag::replay(genesis(), holed).unwrap_err();
    assert_eq!(cid, cids[2]);
    assert!(matches!(cause, LinkError::MissingParents(missing) if missing == [cids[1]]));

    // A bent byte.
    let mut bent = blocks();
    let last = bent[2].1.len() - 1;
    bent[2].1[last] ^= 1;
    assert_eq!(Dag::replay(genesis(), bent).unwrap_err().cid, cids[1]);

    // A body changed under its old signature, with the CID to match.
    let mut signed = dag.get(&cids[3]).unwrap().as_signed().clone();
    signed.body.term = 99;
    let bytes = to_dag_cbor(&signed).unwrap();
    let forged = cid_of(&bytes);
    let mut swapped = blocks();
    swapped[0] = (forged, bytes);
    let error = Dag::replay(genesis(), swapped).unwrap_err();
    assert_eq!(error.cid, forged);
    assert!(error.to_string().contains("signature"), "{error}");

    // Another genesis.
    let other = pagi_playbook::Genesis::new("other", genesis().document).unwrap();
    let BadLink { cid, cause } = Dag::replay(other, blocks()).unwrap_err();
    assert_eq!(cid, cids[0]);
    assert!(matches!(cause, LinkError::MissingParents(_)));
}

#[test]
fn the_author_stays_visible() {
    let mut dag = dag();
    let cid = grow(&mut dag, 7, 3, vec![]);
    let held: &Verified<Revision> = dag.get(&cid).unwrap();
    assert_eq!(held.author(), identity(7).did());
    assert_eq!(held.body().term, 3);
}
