//! Nodes that lie, one lie to a test, against a single machine.

use pagi_election::{
    Certificate, Config, Durable, ElectionMessage, Input, Leader, Machine, Output, Refusal, Role,
    TERM_MAX, electorate_digest,
};
use pagi_messages::{Did, SigningIdentity, Verified};

const T0: u64 = 1_700_000_000_000;

pub fn identity(n: u8) -> SigningIdentity {
    SigningIdentity::from_seed(&[n; 32])
}

fn did(n: u8) -> Did {
    identity(n).did().clone()
}

fn dids(members: &[u8]) -> Vec<Did> {
    let mut dids: Vec<Did> = members.iter().map(|n| did(*n)).collect();
    dids.sort();
    dids
}

/// A certificate of `voters`' votes for `mo`.
pub fn certificate(term: u64, mo: u8, electorate: &[u8], voters: &[u8]) -> Certificate {
    let electorate = dids(electorate);
    let digest = electorate_digest(&electorate).unwrap();
    let mut votes: Vec<_> = voters
        .iter()
        .map(|n| {
            let body = ElectionMessage::Vote {
                term,
                candidate: did(mo),
                electorate: digest,
                timestamp: T0,
            };
            Verified::sign(&identity(*n), body).unwrap().into_signed()
        })
        .collect();
    votes.sort_by(|a, b| a.author.cmp(&b.author));
    Certificate {
        term,
        mo: did(mo),
        electorate,
        votes,
    }
}

/// A machine of node 1 with its clock.
struct Bench {
    machine: Machine,
    now: u64,
}

impl Bench {
    fn new(durable: Durable) -> Self {
        Self {
            machine: Machine::new(Config::default(), did(1), durable, T0, 1),
            now: T0,
        }
    }

    /// Node 1, which knows nodes 2 to 5, and follows node 2 in term 1 by a full mandate.
    fn following() -> Self {
        let mut bench = Self::new(Durable::default());
        for n in 2..=5 {
            bench.give(Input::MemberSeen {
                did: did(n),
                reputation: 0,
            });
        }
        let mandate = certificate(1, 2, &[1, 2, 3, 4, 5], &[2, 3, 4]);
        for seq in 1..=7 {
            assert_eq!(bench.heartbeat(2, seq, &mandate), None);
            bench.after(1_000);
        }
        bench
    }

    /// Node 1 alone, just elected by its own vote.
    fn alone() -> Self {
        let mut bench = Self::new(Durable::default());
        while bench.mo().is_none() {
            for output in bench.after(10) {
                if let Output::Send(body) = output {
                    bench.say(1, body);
                }
            }
            assert!(bench.now < T0 + 6_000, "a lone node is its own MO");
        }
        bench
    }

    /// Like [`Self::following`], after the MO fell silent.
    fn vacant() -> Self {
        let mut bench = Self::following();
        bench.after(6_000);
        assert_eq!(bench.machine.leader(), None);
        bench
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.machine.handle(input, self.now)
    }

    fn after(&mut self, ms: u64) -> Vec<Output> {
        self.now += ms;
        self.give(Input::Tick)
    }

    fn say(&mut self, author: u8, body: ElectionMessage) -> Vec<Output> {
        self.give(Input::Message(
            Verified::sign(&identity(author), body).unwrap(),
        ))
    }

    /// Why the message was refused, if it was.
    fn refusal(&mut self, author: u8, body: ElectionMessage) -> Option<Refusal> {
        self.say(author, body)
            .into_iter()
            .find_map(|output| match output {
                Output::Refused { reason, .. } => Some(reason),
                _ => None,
            })
    }

    fn heartbeat(&mut self, author: u8, seq: u64, certificate: &Certificate) -> Option<Refusal> {
        let body = ElectionMessage::Heartbeat {
            term: certificate.term,
            timestamp: self.now,
            seq,
            certificate: certificate.clone(),
        };
        self.refusal(author, body)
    }

    fn candidate(&mut self, author: u8, term: u64, electorate: &[u8]) -> Vec<Output> {
        let body = ElectionMessage::Candidate {
            term,
            electorate: dids(electorate),
            heard: 0,
            timestamp: self.now,
        };
        self.say(author, body)
    }

    fn mo(&self) -> Option<(Did, u64)> {
        self.machine
            .leader()
            .map(|Leader { did, term, .. }| (did, term))
    }

    fn lease(&self) -> u64 {
        self.machine
            .status(self.now)
            .lease_remaining_ms
            .unwrap_or(0)
    }
}

fn refused(outputs: &[Output]) -> Option<&Refusal> {
    outputs.iter().find_map(|output| match output {
        Output::Refused { reason, .. } => Some(reason),
        _ => None,
    })
}

fn votes(outputs: &[Output]) -> usize {
    let vote = |o: &&Output| matches!(o, Output::Send(ElectionMessage::Vote { .. }));
    outputs.iter().filter(vote).count()
}

#[test]
fn one_heartbeat_is_enough_for_a_newcomer() {
    let mut bench = Bench::new(Durable::default());
    let mandate = certificate(9, 2, &[2, 3, 4], &[2, 3]);
    assert_eq!(bench.heartbeat(2, 40, &mandate), None);
    assert_eq!(bench.mo(), Some((did(2), 9)));
    assert_eq!(
        (
            bench.machine.durable().term,
            bench.machine.durable().certified
        ),
        (9, 9)
    );
    let status = bench.machine.status(bench.now);
    assert_eq!((status.role, status.elected_by.len()), (Role::Follower, 2));
    assert!(
        status.why_not_me.contains("leads term 9 with 2 of 3 votes"),
        "{status:?}"
    );
    assert!(!bench.machine.is_mo());
}

#[test]
fn a_heartbeat_of_anyone_but_the_certified_mo_is_refused() {
    let mut bench = Bench::following();
    let mandate = certificate(2, 3, &[1, 2, 3, 4, 5], &[2, 3, 4]);
    let reason = bench.heartbeat(4, 99, &mandate).unwrap();
    assert_eq!(reason, Refusal::NotTheMo);
    assert!(reason.is_misbehaviour());
}

#[test]
fn replayed_and_old_heartbeats_extend_no_lease() {
    let mut bench = Bench::following();
    let mandate = certificate(1, 2, &[1, 2, 3, 4, 5], &[2, 3, 4]);
    let before = bench.lease();
    for seq in [1, 6, 7] {
        let reason = bench.heartbeat(2, seq, &mandate).unwrap();
        assert!(reason == Refusal::Replay && !reason.is_misbehaviour());
    }
    let stale = ElectionMessage::Heartbeat {
        term: 1,
        timestamp: bench.now - 3_600_000,
        seq: 100,
        certificate: mandate.clone(),
    };
    assert!(matches!(
        bench.refusal(2, stale),
        Some(Refusal::OutOfTime(_))
    ));
    assert_eq!(bench.lease(), before);
    assert_eq!(bench.heartbeat(2, 8, &mandate), None);
    assert!(bench.lease() > before);
    // Nor do they bring a dead MO back.
    bench.after(6_000);
    assert_eq!(bench.mo(), None);
    assert_eq!(bench.heartbeat(2, 8, &mandate), Some(Refusal::Replay));
    assert_eq!(bench.mo(), None);
}

#[test]
fn a_node_that_certifies_itself_does_not_unseat_a_mandate() {
    let mut bench = Bench::following();
    let alone = certificate(500, 5, &[5], &[5]);
    assert_eq!(
        bench.heartbeat(5, 1, &alone),
        Some(Refusal::WorseClaim { mo: did(2) })
    );
    assert_eq!(bench.mo(), Some((did(2), 1)));
}

#[test]
fn in_a_vacancy_a_self_made_mo_is_followed_for_one_lease_and_then_outvoted() {
    let mut bench = Bench::vacant();
    let alone = certificate(500, 5, &[5], &[5]);
    assert_eq!(bench.heartbeat(5, 1, &alone), None);
    assert_eq!(bench.mo(), Some((did(5), 500)));
    let early = bench.candidate(3, 501, &[1, 2, 3, 4, 5]);
    assert!(matches!(refused(&early), Some(Refusal::MoAlive { .. })));
    for seq in 2..6 {
        bench.after(1_500);
        bench.heartbeat(5, seq, &alone);
    }
    bench.after(100);
    let late = bench.candidate(3, 502, &[1, 2, 3, 4, 5]);
    assert_eq!(votes(&late), 1, "{late:?}");
}

#[test]
fn an_electorate_of_strangers_is_refused_by_an_established_view() {
    let strangers: Vec<u8> = (100..131).collect();
    let sybils = certificate(2, 100, &strangers, &strangers);
    let mut bench = Bench::vacant();
    let reason = bench.heartbeat(100, 1, &sybils);
    assert_eq!(
        reason,
        Some(Refusal::UnknownVoters {
            known: 0,
            voters: 31
        })
    );
    // Naming honest members who did not vote does not help.
    let mixed: Vec<u8> = (2..=5).chain(100..104).collect();
    let padded = certificate(2, 100, &mixed, &[100, 101, 102, 103, 5]);
    let reason = bench.heartbeat(100, 1, &padded);
    assert_eq!(
        reason,
        Some(Refusal::UnknownVoters {
            known: 1,
            voters: 5
        })
    );
    // Nor do they get a vote.
    let call = bench.candidate(100, 2, &strangers);
    assert!(matches!(
        refused(&call),
        Some(Refusal::UnknownElectorate { known: 0, .. })
    ));
    assert_eq!(bench.mo(), None);
}

/// Half of a swarm is cut off together with its MO, three of whose five voters are on this side, the
/// MO itself among them.
#[test]
fn an_mo_whose_heartbeats_were_lost_counts_as_alive_with_the_next_one() {
    let mut bench = Bench::new(Durable::default());
    let all: Vec<u8> = (1..=9).collect();
    for n in 2..=9 {
        bench.give(Input::MemberSeen {
            did: did(n),
            reputation: 0,
        });
    }
    let mandate = certificate(1, 2, &all, &[2, 3, 4, 8, 9]);
    for seq in 1..=7 {
        assert_eq!(bench.heartbeat(2, seq, &mandate), None);
        bench.after(1_000);
    }
    for n in 6..=9 {
        bench.give(Input::MemberLost { did: did(n) });
    }
    bench.after(6_000);
    assert_eq!(
        bench.mo(),
        None,
        "the heartbeats of a whole lease were lost"
    );
    assert!(!bench.machine.view().contains(&did(2)));
    assert_eq!(bench.heartbeat(2, 7, &mandate), Some(Refusal::Replay));
    assert!(
        !bench.machine.view().contains(&did(2)),
        "a replay is no sign of life"
    );
    assert_eq!(bench.heartbeat(2, 8, &mandate), None);
    assert_eq!(bench.mo(), Some((did(2), 1)));
}

#[test]
fn a_newcomer_deceived_by_strangers_returns_once_it_knows_the_members() {
    let mut bench = Bench::new(Durable::default());
    let strangers: Vec<u8> = (100..131).collect();
    let sybils = certificate(9, 100, &strangers, &strangers);
    assert_eq!(bench.heartbeat(100, 1, &sybils), None);
    for n in 2..=5 {
        bench.give(Input::MemberSeen {
            did: did(n),
            reputation: 0,
        });
    }
    for seq in 2..7 {
        bench.after(1_500);
        bench.heartbeat(100, seq, &sybils);
    }
    // The genuine MO has a lower term: it is told so, and stands again above it.
    let lower = certificate(4, 2, &[2, 3, 4, 5], &[2, 3, 4]);
    let body = ElectionMessage::Heartbeat {
        term: 4,
        timestamp: bench.now,
        seq: 1,
        certificate: lower,
    };
    let outputs = bench.say(2, body);
    assert!(matches!(
        refused(&outputs),
        Some(Refusal::StaleTerm { term: 4, mine: 9 })
    ));
    assert!(outputs.iter().any(|output| matches!(
        output,
        Output::Send(ElectionMessage::Ahead { term: 9, to, .. }) if *to == did(2)
    )));
    assert_eq!(bench.mo(), None, "it gives the weaker MO up");
    assert!(
        bench.heartbeat(100, 7, &sybils).is_some(),
        "and does not go back"
    );
    let again = certificate(10, 2, &[2, 3, 4, 5], &[2, 3, 4]);
    assert_eq!(bench.heartbeat(2, 2, &again), None);
    assert_eq!(bench.mo(), Some((did(2), 10)));
}

#[test]
fn nobody_gets_a_vote_while_the_mo_lives_but_the_mo_itself() {
    let mut bench = Bench::following();
    let rival = bench.candidate(3, 2, &[1, 2, 3, 4, 5]);
    assert_eq!(
        refused(&rival),
        Some(&Refusal::MoAlive {
            mo: did(2),
            term: 1
        })
    );
    assert_eq!(
        bench.machine.durable().term,
        1,
        "a refused candidate raises no term"
    );
    assert_eq!(votes(&bench.candidate(2, 2, &[1, 2, 3, 4, 5])), 1);
}

/// The other missed the dead MO's last heartbeat, and so knows earlier.
#[test]
fn a_member_that_still_had_an_mo_does_not_stand_against_one_that_already_calls() {
    let mut bench = Bench::following();
    let lease = bench.lease();
    bench.after(lease - 100);
    assert_eq!(votes(&bench.candidate(3, 2, &[1, 2, 3, 4, 5])), 0);
    bench.after(100);
    assert_eq!(bench.mo(), None);
    let calls = |outputs: &[Output]| {
        let call = |o: &&Output| matches!(o, Output::Send(ElectionMessage::Candidate { .. }));
        outputs.iter().find(call).cloned()
    };
    for _ in 0..8 {
        assert_eq!(calls(&bench.after(100)), None, "the other still calls");
    }
    let call = (0..50).find_map(|_| calls(&bench.after(100)));
    let Some(Output::Send(ElectionMessage::Candidate { term, .. })) = call else {
        panic!("it stands when the other has given up: {call:?}");
    };
    assert_eq!(term, 3, "above the term the other stood for");
}

#[test]
fn an_mo_with_a_reason_to_stand_again_is_not_held_up_by_others_that_call() {
    let mut bench = Bench::alone();
    // Long enough to judge certificates by the view.
    for _ in 0..6 {
        bench.after(1_000);
    }
    for n in 2..=70 {
        bench.give(Input::MemberSeen {
            did: did(n),
            reputation: 0,
        });
    }
    let mut stands = false;
    for term in 2..52 {
        let mut outputs = bench.candidate(3, term, &[2, 3, 4]);
        outputs.extend(bench.after(100));
        stands |= outputs
            .iter()
            .any(|o| matches!(o, Output::Send(ElectionMessage::Candidate { .. })));
    }
    assert!(
        stands,
        "it speaks for one of seventy, and is protected for a lease"
    );
}

/// Of a hundred nodes ten miss the first heartbeat.
#[test]
fn a_new_mo_says_so_several_times_at_once_and_then_at_the_usual_pace() {
    let mut bench = Bench::alone();
    let mut beats = vec![0];
    for at in 1..800 {
        let outputs = bench.after(10);
        let beat = |o: &Output| matches!(o, Output::Send(ElectionMessage::Heartbeat { .. }));
        if outputs.iter().any(beat) {
            beats.push(at * 10);
        }
    }
    let pauses: Vec<i32> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..5], [250, 500, 1_000, 1_500, 1_500], "{beats:?}");
}

#[test]
fn one_vote_a_term_and_repeats_of_it_are_equal() {
    let mut bench = Bench::vacant();
    let first = bench.candidate(3, 2, &[1, 2, 3, 4, 5]);
    let persist = first
        .iter()
        .position(|output| matches!(output, Output::Persist(_)));
    let send = first
        .iter()
        .position(|output| matches!(output, Output::Send(_)));
    assert!(persist.is_some() && persist < send, "{first:?}");
    assert_eq!(
        votes(&bench.candidate(3, 2, &[1, 2, 3, 4, 5])),
        1,
        "a repeat"
    );
    assert_eq!(
        votes(&bench.candidate(3, 2, &[1, 3, 4, 5])),
        0,
        "another electorate"
    );
    assert_eq!(
        votes(&bench.candidate(4, 2, &[1, 2, 3, 4, 5])),
        0,
        "another candidate"
    );
    let hasty = bench.candidate(4, 3, &[1, 2, 3, 4, 5]);
    assert_eq!(refused(&hasty), Some(&Refusal::Promised(did(3))));

    // The same after a restart from what was persisted.
    let mut bench = Bench::new(bench.machine.durable().clone());
    for n in 2..=5 {
        bench.give(Input::MemberSeen {
            did: did(n),
            reputation: 0,
        });
    }
    bench.now += 1_501;
    assert_eq!(votes(&bench.candidate(4, 2, &[1, 2, 3, 4, 5])), 0);
    assert_eq!(votes(&bench.candidate(3, 2, &[1, 3, 4, 5])), 0);
    assert_eq!(votes(&bench.candidate(3, 2, &[1, 2, 3, 4, 5])), 1);
}

#[test]
fn absurd_terms_get_no_vote_and_move_no_term() {
    let mut bench = Bench::vacant();
    let term = bench.machine.durable().term;
    for absurd in [term + 1_000_001, TERM_MAX, TERM_MAX + 1, u64::MAX] {
        let outputs = bench.candidate(3, absurd, &[1, 2, 3, 4, 5]);
        assert!(
            matches!(refused(&outputs), Some(Refusal::TermJump { .. })),
            "{outputs:?}"
        );
        let hint = ElectionMessage::Ahead {
            term: absurd,
            to: did(1),
            timestamp: bench.now,
        };
        assert!(matches!(
            bench.refusal(3, hint),
            Some(Refusal::TermJump { .. })
        ));
        let weak = certificate(absurd, 3, &[3], &[3]);
        assert!(matches!(
            bench.heartbeat(3, 1, &weak),
            Some(Refusal::TermJump { .. })
        ));
    }
    assert_eq!(bench.machine.durable().term, term);
    // A mandate of known voters may be any distance ahead, up to the last term.
    let mandate = certificate(TERM_MAX, 3, &[1, 2, 3, 4, 5], &[3, 4, 5]);
    assert_eq!(bench.heartbeat(3, 1, &mandate), None);
    bench.after(6_001);
    bench.after(6_000);
    let status = bench.machine.status(bench.now);
    assert_eq!(status.role, Role::Waiting);
    assert!(
        status.why_not_me.contains("is the last there is"),
        "{}",
        status.why_not_me
    );
}

#[test]
fn narrow_and_malformed_electorates_get_no_vote() {
    let mut bench = Bench::vacant();
    let narrow = bench.candidate(3, 2, &[1, 3]);
    assert!(matches!(
        refused(&narrow),
        Some(Refusal::NarrowElectorate { electorate: 2, .. })
    ));
    for electorate in [vec![], vec![did(3), did(3), did(3), did(3)]] {
        let body = ElectionMessage::Candidate {
            term: 2,
            electorate,
            heard: 0,
            timestamp: bench.now,
        };
        assert_eq!(bench.refusal(3, body), Some(Refusal::MalformedElectorate));
    }
    let long_ago = ElectionMessage::Candidate {
        term: 2,
        electorate: dids(&[1, 2, 3, 4, 5]),
        heard: 0,
        timestamp: bench.now - 200_000,
    };
    assert!(matches!(
        bench.refusal(3, long_ago),
        Some(Refusal::OutOfTime(_))
    ));
}

#[test]
fn votes_from_outside_and_second_votes_do_not_count() {
    let mut bench = Bench::vacant();
    // Let node 1 stand.
    let (term, electorate) = (0..100)
        .find_map(|_| {
            bench.after(50).into_iter().find_map(|output| match output {
                Output::Send(ElectionMessage::Candidate {
                    term, electorate, ..
                }) => Some((term, electorate)),
                _ => None,
            })
        })
        .expect("it stands");
    assert!(
        !electorate.contains(&did(2)),
        "the MO that fell silent has no vote"
    );
    let vote = |candidate, timestamp| ElectionMessage::Vote {
        term,
        candidate: did(candidate),
        electorate: electorate_digest(&electorate).unwrap(),
        timestamp,
    };
    let now = bench.now;
    assert_eq!(
        bench.refusal(77, vote(1, now)),
        Some(Refusal::OutsideElectorate)
    );
    assert_eq!(bench.refusal(3, vote(4, now)), None);
    assert_eq!(
        bench.refusal(3, vote(1, now)),
        Some(Refusal::DoubleVote(term))
    );
    for (voter, wins) in [(1, false), (4, false), (4, false), (5, true)] {
        let outputs = bench.say(voter, vote(1, now));
        let elected = outputs
            .iter()
            .any(|output| matches!(output, Output::Elected { .. }));
        assert_eq!(elected, wins, "vote of {voter}: {outputs:?}");
    }
    assert!(bench.machine.is_mo());
    let leader = bench.machine.leader().unwrap();
    assert_eq!(leader.certificate.verify(), Ok(()));
    assert_eq!(bench.machine.status(bench.now).why_not_me, "");
}

#[test]
fn a_forged_certificate_is_refused_as_misbehaviour() {
    let mut bench = Bench::vacant();
    let mut forged = certificate(2, 3, &[1, 2, 3, 4, 5], &[3, 4, 5]);
    forged.votes[0].signature = forged.votes[1].signature.clone();
    let reason = bench.heartbeat(3, 1, &forged).unwrap();
    assert!(matches!(reason, Refusal::Certificate(_)) && reason.is_misbehaviour());
    let minority = certificate(2, 3, &[1, 2, 3, 4, 5], &[3, 4]);
    assert!(matches!(
        bench.heartbeat(3, 1, &minority),
        Some(Refusal::Certificate(_))
    ));
    assert_eq!(bench.mo(), None);
}

#[test]
fn an_mo_that_overslept_knows_that_it_is_none() {
    let mut bench = Bench::new(Durable::default());
    bench.after(2_000);
    let mut inputs: Vec<ElectionMessage> = Vec::new();
    for _ in 0..20 {
        for output in bench.after(50) {
            if let Output::Send(body) = output {
                inputs.push(body);
            }
        }
    }
    for body in inputs {
        bench.say(1, body);
    }
    assert!(bench.machine.is_mo(), "a lone node is its own MO");
    bench.after(3_600_000);
    assert!(!bench.machine.is_mo());
    assert_eq!(bench.machine.status(bench.now).role, Role::Settling);
}
