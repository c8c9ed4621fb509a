//! What holds whatever the network does.

use pagi_sync::{
    Fingerprint, Id, Index, Limits, Request, Response, Session, Stamp,
    session::Fault,
    stamp,
    wire::{Holding, Part, Span},
};
use proptest::prelude::*;

use crate::world::{Dice, Node, did, message, sync};

const DAY: u64 = 24 * 3_600_000;
/// A moment to start from.
const START: u64 = 1_800_000_000_000;

fn world(count: usize, limits: Limits) -> Vec<Node> {
    (0..count).map(|n| Node::new(n, limits)).collect()
}

/// Everybody syncs with everybody, until nothing changes.
fn settle(nodes: &mut [Node], now: u64) {
    let mut dice = Dice(1);
    for _ in 0..nodes.len() {
        for asking in 0..nodes.len() {
            for asked in 0..nodes.len() {
                if asking != asked {
                    let cost = sync(nodes, asking, asked, u64::MAX >> 1, now, 0, &mut dice);
                    assert!(cost.complete, "{cost:?}");
                }
            }
        }
    }
}

#[test]
fn a_node_that_was_away_catches_up_and_transfers_only_what_it_missed() {
    let mut nodes = world(2, Limits::default());
    for n in 0..20_000u64 {
        let (_, bytes) = message(&did(0), START + n * 10, 200, n);
        nodes[0].take(bytes.clone(), START + n * 10);
        // The other one was away for the 500 from the 15,000th on.
        if !(15_000..15_500).contains(&n) {
            nodes[1].take(bytes, START + n * 10);
        }
    }
    let now = START + 20_000 * 10;
    let cost = sync(&mut nodes, 1, 0, u64::MAX >> 1, now, 0, &mut Dice(3));
    assert_eq!(cost.messages, 500);
    assert!(cost.complete && cost.questions <= 6, "{cost:?}");
    assert!(cost.bytes < 500 * 400 + 50_000, "{cost:?}");
    assert_eq!(nodes[0].keys(), nodes[1].keys());
    let again = sync(&mut nodes, 1, 0, u64::MAX >> 1, now, 0, &mut Dice(3));
    assert_eq!((again.questions, again.messages), (1, 0));
    assert!(again.bytes < 1000, "{again:?}");
}

#[test]
fn a_new_node_gets_the_whole_log() {
    let mut nodes = world(2, Limits::default());
    for n in 0..12_000u64 {
        let author = did(n as usize % 7);
        nodes[0].take(message(&author, START + n / 50, 300, n).1, START + 1000);
    }
    let cost = sync(
        &mut nodes,
        1,
        0,
        u64::MAX >> 1,
        START + 1000,
        0,
        &mut Dice(3),
    );
    assert!(cost.complete && cost.messages == 12_000, "{cost:?}");
    assert_eq!(nodes[0].keys(), nodes[1].keys());
}

#[test]
fn a_thousand_messages_of_one_moment_are_found() {
    let mut nodes = world(2, Limits::default());
    for n in 0..1000u64 {
        let at = if n == 0 { START + 5 } else { START };
        nodes[0].take(message(&did(0), at, 10, n).1, START);
    }
    let cost = sync(&mut nodes, 1, 0, u64::MAX >> 1, START, 0, &mut Dice(3));
    assert!(cost.complete && cost.messages == 1000, "{cost:?}");
}

#[test]
fn the_young_are_left_to_gossip() {
    let mut nodes = world(2, Limits::default());
    for n in 0..10u64 {
        nodes[0].take(message(&did(0), START + n, 10, n).1, START);
    }
    let cost = sync(&mut nodes, 1, 0, START + 5, START, 0, &mut Dice(3));
    assert_eq!(cost.messages, 5);
    assert_eq!(nodes[1].done[&0], START + 5);
}

#[test]
fn what_had_to_go_is_not_fetched_again_and_again() {
    let small = Limits {
        messages_per_author: 100,
        ..Limits::default()
    };
    let mut nodes = vec![Node::new(0, Limits::default()), Node::new(1, small)];
    for n in 0..1000u64 {
        nodes[0].take(message(&did(0), START + n, 10, n).1, START + n);
    }
    let mut dice = Dice(3);
    let first = sync(&mut nodes, 1, 0, u64::MAX >> 1, START + 1000, 0, &mut dice);
    assert!(first.complete);
    assert_eq!(nodes[1].store.len(), 100);
    let again = sync(&mut nodes, 1, 0, u64::MAX >> 1, START + 1000, 0, &mut dice);
    assert_eq!(again.messages, 0);
    nodes[1].restart(small);
    let after = sync(&mut nodes, 1, 0, u64::MAX >> 1, START + 1000, 0, &mut dice);
    assert_eq!(after.messages, 0, "nor after a restart");
    let back = sync(&mut nodes, 0, 1, u64::MAX >> 1, START + 1000, 0, &mut dice);
    assert_eq!(back.messages, 0);
}

#[test]
fn a_peer_that_lies_is_found_out() {
    let index = Index::new(Limits::default());
    let (to, author) = (START + 100, did(0));
    let span = |from, to| Span {
        author: author.clone(),
        from,
        to,
    };
    let print = Holding::Print(Fingerprint {
        count: 9,
        ids: Id([1; 16]),
    });
    let part = |span, has: &Holding| Part {
        span,
        has: has.clone(),
    };
    let parts = |parts| Response::Parts { parts };
    let begun = || {
        let mut session = Session::new(to, 0);
        assert!(matches!(
            session.next(&index, START),
            Some(Request::Compare { .. })
        ));
        session
    };
    let mut session = begun();
    let none = Response::Messages { messages: vec![] };
    assert_eq!(session.response(&index, none), Err(Fault::Misfit));

    // The same span for an answer again, for ever.
    let mut session = begun();
    session
        .response(&index, parts(vec![part(span(1, to), &print)]))
        .unwrap();
    assert!(matches!(
        session.next(&index, START),
        Some(Request::Expand { .. })
    ));
    let same = parts(vec![part(span(1, to), &print)]);
    assert_eq!(session.response(&index, same), Err(Fault::Misfit));

    // Something else than asked.
    let mut session = begun();
    session
        .response(&index, parts(vec![part(span(START, to), &print)]))
        .unwrap();
    session.next(&index, START).unwrap();
    let listed = Holding::Listed(vec![(START - 1, Id([2; 16]))]);
    let outside = parts(vec![part(span(START, to), &listed)]);
    assert_eq!(session.response(&index, outside), Err(Fault::Unasked));

    // A message nobody asked for.
    let mut session = begun();
    session
        .response(&index, parts(vec![part(span(START, to), &print)]))
        .unwrap();
    session.next(&index, START).unwrap();
    let listed = Holding::Listed(vec![(START, Id([2; 16]))]);
    session
        .response(&index, parts(vec![part(span(START, to), &listed)]))
        .unwrap();
    assert!(matches!(
        session.next(&index, START),
        Some(Request::Fetch { .. })
    ));
    assert_eq!(
        session.came(&author, stamp(START, b"other")),
        Err(Fault::Unasked)
    );
    let right = Stamp {
        at: START,
        id: Id([2; 16]),
    };
    assert_eq!(session.came(&author, right), Ok(()));
    session.judged();
    assert_eq!(session.next(&index, START), None);
    assert_eq!(session.complete(), Some(to));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Gossip that loses, partitions, crashes, answers that are lost: once it is quiet and everybody
    /// can talk, all have the same, nothing that anybody logged is lost, and nothing was handled twice
    /// between two crashes.
    #[test]
    fn logs_converge(
        seed: u64,
        count in 2usize..6,
        loss in 0u64..100,
        steps in proptest::collection::vec((0u8..20, 0usize..6, 0usize..6), 1..400),
    ) {
        let limits = Limits::default();
        let mut dice = Dice(seed);
        let mut nodes = world(count, limits);
        let mut now = START;
        let mut cut = count;
        let mut all = std::collections::BTreeSet::new();
        let mut crashed = false;
        for (n, (step, one, two)) in steps.into_iter().enumerate() {
            let (one, two) = (one % count, two % count);
            now += dice.roll(500);
            let together = |a: usize, b: usize| (a < cut) == (b < cut);
            match step {
                0..=13 => {
                    let (key, bytes) = message(&nodes[one].did, now, 20, n as u64);
                    all.insert(key);
                    prop_assert!(nodes[one].take(bytes.clone(), now), "logged before it is sent");
                    for (other, node) in nodes.iter_mut().enumerate() {
                        if other != one && together(one, other) && dice.roll(100) >= loss {
                            node.take(bytes.clone(), now);
                        }
                    }
                }
                14..=16 => if one != two && together(one, two) {
                    sync(&mut nodes, one, two, now.saturating_sub(1000), now, loss, &mut dice);
                }
                17 => { nodes[one].restart(limits); crashed = true; }
                _ => cut = dice.roll(count as u64 + 1) as usize,
            }
        }
        settle(&mut nodes, now);
        for node in &nodes {
            prop_assert_eq!(node.keys(), all.clone());
            prop_assert_eq!(node.index.len(), all.len());
            prop_assert!(crashed || node.handled.values().all(|times| *times == 1));
        }
        // A day later all of it is gone.
        for node in &mut nodes {
            let expired = node.index.expire(now + DAY + 1);
            prop_assert_eq!(expired.len(), all.len());
        }
    }
}

#[test]
fn a_crowd_does_not_push_out_what_this_node_wrote() {
    let limits = Limits {
        bytes: 100_000,
        bytes_per_author: 40_000,
        ..Limits::default()
    };
    let mut index = Index::new(limits);
    index.keep_own(did(0));
    index.vouch([did(0), did(1)]);
    let mut put = |author: usize, n: u64| {
        let bytes = message(&did(author), START + n, 100, n).1;
        index.insert(&did(author), stamp(START + n, &bytes), 1000, START + 1000)
    };
    for n in 0..30 {
        put(0, n);
        put(1, n);
    }
    // Three strangers, each below the volume of the two.
    for n in 30..55 {
        for author in 2..5 {
            put(author, n);
        }
    }
    let of = |author: usize| index.fingerprint(&did(author), 0..u64::MAX).count;
    assert_eq!((of(0), of(1)), (30, 30));
    assert!((2..5).map(of).sum::<u32>() <= 40);
}

#[test]
fn a_peer_that_answers_and_gives_nothing_is_left() {
    let index = Index::new(Limits::default());
    let mut session = Session::new(START, 0);
    let mut now = START;
    let (author, id) = (did(1), Id([7; 16]));
    let print = Holding::Print(Fingerprint { count: 1, ids: id });
    let mut from = 1;
    let mut questions = 0;
    while let Some(question) = session.next(&index, now) {
        questions += 1;
        // Each time a span that is one shorter, as late as can be.
        now += 19_000;
        let to = match question {
            Request::Compare { to, .. } => to,
            _ => START,
        };
        from += 1;
        let span = Span {
            author: author.clone(),
            from,
            to,
        };
        let has = print.clone();
        let parts = vec![Part { span, has }];
        session.response(&index, Response::Parts { parts }).unwrap();
        session.judged();
    }
    assert!(questions < 6, "{questions}");
    assert!(session.was_slow() && session.complete().is_none());
}
