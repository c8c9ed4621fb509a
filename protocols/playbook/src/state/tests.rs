//! The fold, by example.

use pagi_messages::{SigningIdentity, cid_of};

use super::*;
use crate::{delta::Delta, revision::Merged};

fn start() -> State {
    let document = json!({"a": {"x": 1}, "learned": {"bullets": [
        {"id": Bullet::new("s", "kept").id, "section": "s", "text": "kept", "helpful": 2},
    ]}});
    State::new(&Genesis::new("lab", document).unwrap()).unwrap()
}

fn revision(term: u64, lamport: u64, merged: Vec<(&str, Delta)>) -> (Cid, Revision) {
    by(1, term, lamport, merged)
}

fn by(author: u8, term: u64, lamport: u64, merged: Vec<(&str, Delta)>) -> (Cid, Revision) {
    let author = SigningIdentity::from_seed(&[author; 32]).did().clone();
    let label = format!("{term}/{lamport}/{merged:?}");
    let merged = merged
        .into_iter()
        .map(|(name, delta)| Merged {
            artifact: cid_of(name.as_bytes()),
            author: author.clone(),
            delta,
        })
        .collect();
    let parents = vec![cid_of(b"genesis")];
    let revision = Revision {
        parents,
        lamport,
        term,
        certificate: None,
        merged,
        evaluation: None,
        timestamp: 0,
    };
    (cid_of(label.as_bytes()), revision)
}

fn set(path: &[&str], value: Option<Value>) -> Delta {
    let path = path.iter().map(|&part| part.into()).collect();
    Delta {
        set: vec![Setting { path, value }],
        ..Delta::default()
    }
}

fn count(target: &str, helpful: u32, harmful: u32) -> Delta {
    let count = Count {
        target: target.into(),
        helpful,
        harmful,
    };
    Delta {
        counts: vec![count],
        ..Delta::default()
    }
}

#[test]
fn genesis_learning_counts() {
    let state = start();
    let (bullet, tally) = state.bullets().next().unwrap();
    assert_eq!((bullet.text.as_str(), tally.helpful), ("kept", 2));
    assert_eq!(state.document()["learned"]["bullets"][0]["helpful"], 2);
    let again = Genesis::new("lab", state.document()).unwrap();
    assert_eq!(State::new(&again).unwrap().document(), state.document());
}

#[test]
fn the_last_writer_by_stamp_stands_in_any_order() {
    let (high, low) = (
        revision(
            2,
            1,
            vec![("one", set(&["a", "x"], Some(json!("high term"))))],
        ),
        revision(
            1,
            9,
            vec![("two", set(&["a"], Some(json!({"y": "low term"}))))],
        ),
    );
    let fold = |order: [&(Cid, Revision); 2]| {
        let mut state = start();
        order
            .into_iter()
            .for_each(|(cid, revision)| state.absorb(*cid, revision));
        state
    };
    let one = fold([&high, &low]);
    assert_eq!(one, fold([&low, &high]));
    assert_eq!(
        one.setting(&["a"]),
        Some(&json!({"y": "low term", "x": "high term"}))
    );
    assert_eq!(one.setting(&["nothing", "here"]), None);
}

#[test]
fn an_artifact_counts_once_and_the_earliest_claim_stands() {
    let (first, second) = (
        revision(1, 1, vec![("same", count("tool:calculator", 1, 0))]),
        revision(1, 2, vec![("same", count("tool:calculator", 0, 1))]),
    );
    for order in [[&first, &second], [&second, &first]] {
        let mut state = start();
        order
            .into_iter()
            .for_each(|(cid, revision)| state.absorb(*cid, revision));
        assert_eq!(
            state.tally("tool:calculator"),
            Tally {
                helpful: 1,
                harmful: 0
            }
        );
        assert!(state.applied(&cid_of(b"same")) && !state.applied(&cid_of(b"other")));
        assert_eq!(state.artifacts(), 1);
    }
}

#[test]
fn what_harms_is_retired_and_may_come_back() {
    let mut state = start();
    let id = Bullet::new("s", "kept").id;
    for (author, name) in (2..).zip(["a", "b", "c", "d"]) {
        let (cid, revision) = by(author, 1, 1, vec![(name, count(&id, 0, 1))]);
        state.absorb(cid, &revision);
    }
    assert_eq!(state.bullets().count(), 1, "2 helpful, 4 harmful");
    let (cid, worse) = by(6, 1, 2, vec![("e", count(&id, 0, 1))]);
    state.absorb(cid, &worse);
    assert_eq!(
        (state.bullets().count(), state.all_bullets().count()),
        (0, 1)
    );
    assert_eq!(state.document()["learned"]["bullets"], json!([]));
    let (cid, better) = by(7, 1, 3, vec![("f", count(&id, 1, 0))]);
    state.absorb(cid, &better);
    assert_eq!(state.bullets().count(), 1);
}

#[test]
fn one_author_has_one_voice_however_much_it_signs() {
    let mut state = start();
    let id = Bullet::new("s", "kept").id;
    for (lamport, name) in (1..).zip(["a", "b", "c", "d", "e", "f", "g"]) {
        let (cid, revision) = revision(1, lamport, vec![(name, count(&id, 0, 1))]);
        state.absorb(cid, &revision);
    }
    let tally = state.tally(&id);
    assert_eq!((tally.helpful, tally.harmful), (2, 1));
    assert_eq!(state.bullets().count(), 1, "seven counts of one author");
    let author = SigningIdentity::from_seed(&[1; 32]).did().clone();
    let again = |helpful, harmful| Count {
        target: id.clone(),
        helpful,
        harmful,
    };
    assert!(state.has_said(&author, &again(0, 1)));
    let other = SigningIdentity::from_seed(&[2; 32]).did().clone();
    assert!(!state.has_said(&other, &again(0, 1)));
}

#[test]
fn a_revert_takes_one_artifact_back_in_any_order() {
    let bullet = Bullet::new("s", "new");
    let lesson = Delta {
        bullets: vec![bullet.clone()],
        counts: count(&bullet.id, 1, 0).counts,
        set: set(&["a", "x"], Some(json!(9))).set,
        ..Delta::default()
    };
    let undo = Delta {
        revert: vec![cid_of(b"lesson")],
        ..Delta::default()
    };
    let (one, two) = (
        revision(1, 1, vec![("lesson", lesson.clone())]),
        revision(1, 2, vec![("undo", undo)]),
    );
    let again = revision(1, 3, vec![("lesson again", lesson)]);
    let fold = |order: &[&(Cid, Revision)]| {
        let mut state = start();
        for (cid, revision) in order {
            state.absorb(*cid, revision);
        }
        state
    };
    let gone = fold(&[&one, &two]);
    assert_eq!(gone, fold(&[&two, &one]));
    assert_eq!(gone.document(), start().document());
    assert!(gone.is_withdrawn(&bullet.id) && !gone.knows(&bullet.id));
    assert!(gone.applied(&cid_of(b"lesson")) && gone.is_reverted(&cid_of(b"lesson")));
    let back = fold(&[&one, &two, &again]);
    for order in [
        [&again, &two, &one],
        [&two, &again, &one],
        [&one, &again, &two],
    ] {
        assert_eq!(fold(&order), back);
    }
    assert!(back.knows(&bullet.id));
    assert_eq!(back.setting(&["a", "x"]), Some(&json!(9)));
    assert_eq!(back.tally(&bullet.id).helpful, 1);
}

#[test]
fn of_two_contents_under_one_id_the_same_one_stands_in_any_order() {
    let forged = |text: &str| Bullet {
        text: text.into(),
        ..Bullet::new("s", "one")
    };
    let fold = |order: [&str; 2]| {
        let mut state = start();
        order
            .iter()
            .for_each(|text| state.learn_bullet(&forged(text)));
        state
    };
    assert_eq!(fold(["one", "two"]), fold(["two", "one"]));
}
