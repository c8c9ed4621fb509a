//! Random inputs in random order at random times: nothing panics, and what must hold, holds.

use pagi_election::{Config, Durable, ElectionMessage, Input, Machine, Output, electorate_digest};
use pagi_messages::{Did, Verified};
use proptest::prelude::*;

use crate::hostile::{certificate, identity};

const T0: u64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Tick,
    Candidate {
        author: u8,
        term: u64,
        electorate: Vec<u8>,
    },
    Vote {
        author: u8,
        candidate: u8,
        term: u64,
        electorate: Vec<u8>,
    },
    Heartbeat {
        author: u8,
        mo: u8,
        term: u64,
        seq: u64,
        electorate: Vec<u8>,
        voters: Vec<u8>,
    },
    Resignation {
        author: u8,
        term: u64,
    },
    Ahead {
        author: u8,
        term: u64,
    },
    Seen(u8, u32),
    Lost(u8),
    Resign,
    Restart,
}

fn term() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..8, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn members() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_set(1u8..6, 0..5).prop_map(|set| set.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let who = 1u8..6;
    prop_oneof![
        6 => Just(Step::Tick),
        4 => (who.clone(), term(), members())
            .prop_map(|(author, term, electorate)| Step::Candidate { author, term, electorate }),
        4 => (who.clone(), who.clone(), term(), members()).prop_map(
            |(author, candidate, term, electorate)| Step::Vote {
                author, candidate, term, electorate
            }
        ),
        4 => (who.clone(), who.clone(), term(), 0u64..9, members(), members()).prop_map(
            |(author, mo, term, seq, electorate, voters)| Step::Heartbeat {
                author, mo, term, seq, electorate, voters
            }
        ),
        1 => (who.clone(), term()).prop_map(|(author, term)| Step::Resignation { author, term }),
        1 => (who.clone(), term()).prop_map(|(author, term)| Step::Ahead { author, term }),
        3 => (who.clone(), 0u32..3).prop_map(|(n, reputation)| Step::Seen(n, reputation)),
        1 => who.prop_map(Step::Lost),
        1 => Just(Step::Resign),
        1 => Just(Step::Restart),
    ]
}

/// Mostly a few seconds forward, sometimes a long sleep or a clock set back.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0i64..3_000, 1 => -20_000i64..0, 1 => 0i64..10_000_000, 1 => Just(i64::MIN)]
}

fn did(n: u8) -> Did {
    identity(n).did().clone()
}

fn sorted(members: &[u8]) -> Vec<Did> {
    let mut dids: Vec<Did> = members.iter().map(|n| did(*n)).collect();
    dids.sort();
    dids
}

fn input(step: &Step, timestamp: u64) -> Option<Input> {
    let (author, body) = match step {
        Step::Tick => return Some(Input::Tick),
        Step::Seen(n, reputation) => {
            return Some(Input::MemberSeen {
                did: did(*n),
                reputation: *reputation,
            });
        }
        Step::Lost(n) => return Some(Input::MemberLost { did: did(*n) }),
        Step::Resign => return Some(Input::StepDown),
        Step::Restart => return None,
        Step::Candidate {
            author,
            term,
            electorate,
        } => (
            author,
            ElectionMessage::Candidate {
                term: *term,
                electorate: sorted(electorate),
                heard: 0,
                timestamp,
            },
        ),
        Step::Vote {
            author,
            candidate,
            term,
            electorate,
        } => (
            author,
            ElectionMessage::Vote {
                term: *term,
                candidate: did(*candidate),
                electorate: electorate_digest(&sorted(electorate)).unwrap(),
                timestamp,
            },
        ),
        Step::Heartbeat {
            author,
            mo,
            term,
            seq,
            electorate,
            voters,
        } => (
            author,
            ElectionMessage::Heartbeat {
                term: *term,
                timestamp,
                seq: *seq,
                certificate: certificate(*term, *mo, electorate, voters),
            },
        ),
        Step::Resignation { author, term } => (
            author,
            ElectionMessage::StepDown {
                term: *term,
                timestamp,
            },
        ),
        Step::Ahead { author, term } => (
            author,
            ElectionMessage::Ahead {
                term: *term,
                to: did(1),
                timestamp,
            },
        ),
    };
    Some(Input::Message(
        Verified::sign(&identity(*author), body).unwrap(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_makes_a_machine_panic_vote_twice_or_fall_back(
        steps in proptest::collection::vec((step(), pause()), 1..60),
        seed: u64,
    ) {
        let me = identity(1);
        let mut now = T0;
        let mut disk = Durable::default();
        let mut machine = Machine::new(Config::default(), did(1), disk.clone(), now, seed);
        let mut ballots = std::collections::BTreeMap::new();
        for (step, pause) in &steps {
            now = now.saturating_add_signed(*pause);
            let Some(first) = input(step, now) else {
                machine = Machine::new(Config::default(), did(1), disk.clone(), now, seed);
                continue;
            };
            let mut inputs = std::collections::VecDeque::from([first]);
            while let Some(input) = inputs.pop_front() {
                for output in machine.handle(input, now) {
                    match output {
                        Output::Persist(durable) => {
                            prop_assert!(durable.term >= disk.term);
                            prop_assert!(durable.certified >= disk.certified);
                            disk = durable;
                        }
                        Output::Send(body) => {
                            if let ElectionMessage::Vote { term, candidate, electorate, .. } = &body
                            {
                                // Persisted before it is sent.
                                prop_assert_eq!(
                                    disk.voted.as_ref(),
                                    Some(&(*term, candidate.clone()))
                                );
                                let ballot = (candidate.clone(), *electorate);
                                let first =
                                    ballots.entry(*term).or_insert_with(|| ballot.clone());
                                prop_assert_eq!(&*first, &ballot);
                            }
                            let own = Verified::sign(&me, body).unwrap();
                            inputs.push_back(Input::Message(own));
                        }
                        Output::Elected { mo, term, certificate } => {
                            prop_assert!(certificate.verify().is_ok());
                            prop_assert_eq!((&certificate.mo, certificate.term), (&mo, term));
                            prop_assert!(disk.certified >= term);
                        }
                        Output::Vacant { .. } | Output::Refused { .. } => {}
                    }
                }
                prop_assert_eq!(machine.durable(), &disk);
                prop_assert!(machine.next_tick_ms() > now || now == u64::MAX);
            }
            let status = machine.status(now);
            prop_assert_eq!(status.why_not_me.is_empty(), machine.is_mo());
            prop_assert!(status.live.contains(me.did()));
        }
    }
}
