//! Gossip: coordination, elections, certificates, tasks.

use std::cell::RefCell;

use pagi_election::{Certificate, ElectionMessage, electorate_digest};
use pagi_hive::{bundle, inbox};
use pagi_messages::{
    Capabilities, Coordination, TwinPresence, Verified, cid_of, from_dag_cbor, to_dag_cbor,
    wire::MAX_GOSSIP_BYTES,
};
use pagi_task::{Config, Durable, Input, Machine, Outcome, Output, TaskKey, TaskMessage, Verdict};
use serde_json::json;

use super::{NOW_MS, identity, sealed, signed};

fn peer() -> String {
    identity(1).did().peer_id().expect("an identity has one")
}

pub fn coordination_seeds() -> Vec<Vec<u8>> {
    let (timestamp, did) = (NOW_MS, identity(2).did().clone());
    [
        Coordination::TwinOnline(TwinPresence {
            twin_id: "0190a0c2-7e3b-7c11-9a40-1f6a2b3c4d5e".into(),
            did,
            timestamp,
            capabilities: Capabilities {
                tools: vec!["recall".into(), "system_monitor".into()],
                inference: "planner".into(),
                name: Some("Ada".into()),
                role: Some("counts".into()),
            },
        }),
        Coordination::NodeOnline {
            timestamp,
            heads: vec![cid_of(b"one"), cid_of(b"two")],
        },
        Coordination::TaskBroadcast {
            task: json!({"id": "t-1", "goal": "count", "needs": [1, 1.5, null, true, "x"]}),
            timestamp,
        },
        Coordination::PlaybookUpdate {
            cid: cid_of(b"one"),
            timestamp,
        },
        Coordination::ArtifactPublished {
            cid: cid_of(b"one"),
            timestamp,
        },
        Coordination::ArtifactRefused {
            cid: cid_of(b"one"),
            reason: "the size gate".into(),
            timestamp,
        },
        Coordination::CanaryOpened {
            trial: cid_of(b"trial"),
            artifacts: vec![cid_of(b"one")],
            bar: 7,
            until: timestamp,
            timestamp,
        },
        Coordination::CanaryOutcomes {
            trial: cid_of(b"trial"),
            before: (1, 2),
            since: (3, 4),
            timestamp,
        },
    ]
    .into_iter()
    .map(sealed)
    .collect()
}

pub fn coordination(data: &[u8]) -> bool {
    let taken = inbox::coordination(&peer(), data, NOW_MS).is_ok();
    if taken {
        assert!(data.len() <= MAX_GOSSIP_BYTES);
    }
    let Some(ours) = signed::<Coordination>(data) else {
        assert!(!taken, "the inbox takes what does not decode");
        return false;
    };
    let bytes = to_dag_cbor(ours.as_signed()).expect("it was written before");
    let time = ours.body().timestamp();
    match inbox::coordination(&peer(), &bytes, time) {
        Ok(message) => assert_eq!(message, ours),
        Err(refusal) => assert!(bytes.len() > MAX_GOSSIP_BYTES, "{refusal}"),
    }
    assert!(
        inbox::coordination(&identity(3).did().peer_id().expect("one"), &bytes, time).is_err(),
        "a message of another publisher passes"
    );
    let text = serde_json::to_string(ours.body()).expect("bodies are JSON-compatible");
    let back: Coordination = serde_json::from_str(&text).expect("both ways");
    assert_eq!(&back, ours.body());
    true
}

fn a_certificate() -> Certificate {
    let mut voters: Vec<_> = (1..=3).map(identity).collect();
    voters.sort_by(|a, b| a.did().cmp(b.did()));
    let electorate: Vec<_> = voters.iter().map(|voter| voter.did().clone()).collect();
    let digest = electorate_digest(&electorate).expect("a list of DIDs has one");
    let votes = voters.iter().take(2).map(|voter| {
        let vote = ElectionMessage::Vote {
            term: 4,
            candidate: electorate[0].clone(),
            electorate: digest,
            timestamp: NOW_MS,
        };
        Verified::sign(voter, vote)
            .expect("a vote can be signed")
            .into_signed()
    });
    Certificate {
        term: 4,
        mo: electorate[0].clone(),
        votes: votes.collect(),
        electorate,
    }
}

pub fn election_seeds() -> Vec<Vec<u8>> {
    let (timestamp, term) = (NOW_MS, 4);
    let certificate = a_certificate();
    let electorate = certificate.electorate.clone();
    [
        ElectionMessage::Candidate {
            term,
            electorate: electorate.clone(),
            heard: 0,
            timestamp,
        },
        ElectionMessage::Vote {
            term,
            candidate: electorate[0].clone(),
            electorate: electorate_digest(&electorate).expect("it has one"),
            timestamp,
        },
        ElectionMessage::Heartbeat {
            term,
            timestamp,
            seq: 7,
            certificate,
        },
        ElectionMessage::StepDown { term, timestamp },
        ElectionMessage::Ahead {
            term,
            to: electorate[0].clone(),
            timestamp,
        },
    ]
    .into_iter()
    .map(sealed)
    .collect()
}

pub fn election(data: &[u8]) -> bool {
    let taken = inbox::election(&peer(), data, NOW_MS).is_ok();
    let Some(ours) = signed::<ElectionMessage>(data) else {
        assert!(!taken, "the inbox takes what does not decode");
        return false;
    };
    let bytes = to_dag_cbor(ours.as_signed()).expect("it was written before");
    match inbox::election(&peer(), &bytes, ours.body().timestamp()) {
        Ok(message) => assert_eq!(message, ours),
        Err(refusal) => assert!(bytes.len() > MAX_GOSSIP_BYTES, "{refusal}"),
    }
    match ours.body() {
        ElectionMessage::Candidate { electorate, .. } => {
            assert!(electorate.len() <= pagi_election::MAX_ELECTORATE);
        }
        ElectionMessage::Heartbeat { certificate, .. } => believed(certificate),
        _ => {}
    }
    true
}

/// What must hold of any decoded certificate.
fn believed(certificate: &Certificate) {
    assert!(certificate.electorate.len() <= pagi_election::MAX_ELECTORATE);
    if certificate.verify().is_ok() {
        let voters: Vec<_> = certificate.voters().collect();
        assert!(
            voters.len() * 2 > certificate.electorate.len(),
            "no majority"
        );
        assert!(voters.is_sorted_by(|a, b| a < b), "a voter counts twice");
        for vote in &certificate.votes {
            assert!(vote.clone().verify().is_ok(), "a vote does not verify");
        }
    }
}

pub fn certificate_seeds() -> Vec<Vec<u8>> {
    vec![to_dag_cbor(&a_certificate()).expect("it has a form")]
}

pub fn certificate(data: &[u8]) -> bool {
    let opened = bundle::open_certificate(&cid_of(data), data);
    let Ok(certificate) = from_dag_cbor::<Certificate>(data) else {
        assert!(opened.is_err());
        return false;
    };
    believed(&certificate);
    let bytes = to_dag_cbor(&certificate).expect("what was read can be written");
    let again: Certificate = from_dag_cbor(&bytes).expect("and read again");
    assert_eq!(again, certificate);
    assert_eq!(certificate.cid().expect("it has one"), cid_of(&bytes));
    if opened.is_ok() {
        assert_eq!(bytes, data, "one certificate has two blocks");
    }
    true
}

pub fn task_seeds() -> Vec<Vec<u8>> {
    let (timestamp, deadline_ms) = (NOW_MS, NOW_MS + 600_000);
    let (me, other) = (identity(9).did().clone(), identity(1).did().clone());
    let id: pagi_task::TaskId = "task-1".parse().expect("an id");
    let task = TaskKey {
        asker: me.clone(),
        id: id.clone(),
    };
    [
        TaskMessage::Broadcast {
            id: id.clone(),
            twin: other.clone(),
            summary: "count words".into(),
            keywords: vec!["count".into()],
            needs: vec!["text_stats".into()],
            deadline_ms,
            timestamp,
        },
        TaskMessage::Offer {
            task: task.clone(),
            twin: other.clone(),
            load: 20,
            score: 90,
            timestamp,
        },
        TaskMessage::Assign {
            id: id.clone(),
            worker: me.clone(),
            twin: me.clone(),
            attempt: 1,
            asked_by: other.clone(),
            goal: "count the words of \"a b\"".into(),
            deadline_ms,
            timestamp,
        },
        TaskMessage::Decline {
            task: task.clone(),
            attempt: 1,
            reason: "busy".into(),
            timestamp,
        },
        TaskMessage::Progress {
            task: task.clone(),
            attempt: 1,
            percent: 50,
            note: "half".into(),
            timestamp,
        },
        TaskMessage::Result {
            task,
            attempt: 1,
            outcome: Outcome::Completed { output: "2".into() },
            timestamp,
        },
        TaskMessage::Ack {
            id: id.clone(),
            worker: me.clone(),
            attempt: 1,
            verdict: Verdict::Accepted,
            timestamp,
        },
        TaskMessage::Cancel {
            id,
            worker: me,
            below: 3,
            timestamp,
        },
    ]
    .into_iter()
    .map(sealed)
    .collect()
}

thread_local! {
    static MACHINE: RefCell<Option<(Machine, u32)>> = const { RefCell::new(None) };
}

pub fn task(data: &[u8]) -> bool {
    let Some(ours) = signed::<TaskMessage>(data) else {
        return false;
    };
    let sound = ours.body().check().is_ok();
    MACHINE.with_borrow_mut(|held| {
        let (machine, inputs) = held.get_or_insert_with(|| {
            let me = identity(9).did().clone();
            let machine = Machine::new(Config::default(), me, Durable::default(), NOW_MS);
            (machine, 0)
        });
        *inputs += 1;
        let out = machine.handle(Input::Message(Box::new(ours)), NOW_MS);
        let refused = out
            .iter()
            .any(|output| matches!(output, Output::Refused { .. }));
        assert!(sound || refused, "an unsound message is acted on");
        // What a machine says is sound itself.
        for output in &out {
            if let Output::Send { message, .. } = output {
                assert!(message.check().is_ok(), "{message:?}");
            }
        }
        assert!(machine.worked().count() <= 10_000 && machine.asked().count() <= 10_000);
        if *inputs >= 256 {
            *held = None;
        }
    });
    true
}
