//! What keeps one hostile or broken node from steering, stalling or filling the others.

use std::time::Duration;

use pagi_election::{Certificate, ElectionMessage, TERM_MAX, electorate_digest};
use pagi_messages::{Coordination, Did, SigningIdentity, Verified, cid_of, to_dag_cbor};
use pagi_playbook::{Count, Delta, Merged, Revision, Setting, block};
use serde_json::json;

use crate::{
    bus::{Bus, Node, one_mo, same_head, start, until},
    hostile::{now_ms, say},
};

/// A valid certificate of one vote for oneself.
fn own_certificate(who: &SigningIdentity, term: u64) -> Vec<u8> {
    let electorate: Vec<Did> = vec![who.did().clone()];
    let vote = ElectionMessage::Vote {
        term,
        candidate: who.did().clone(),
        electorate: electorate_digest(&electorate).unwrap(),
        timestamp: now_ms(),
    };
    let certificate = Certificate {
        term,
        mo: who.did().clone(),
        electorate,
        votes: vec![Verified::sign(who, vote).unwrap().into_signed()],
    };
    certificate.verify().unwrap();
    to_dag_cbor(&certificate).unwrap()
}

/// A sound revision by `who` in `term` under its own certificate; it sets the model's name.
fn own_revision(bus: &Bus, node: &Node, who: &SigningIdentity, term: u64) -> cid::Cid {
    let peer = who.did().peer_id().unwrap();
    let certificate = bus.plant(&peer, own_certificate(who, term));
    let delta = Delta {
        set: vec![Setting {
            path: vec!["optimization".into(), "model_version".into()],
            value: Some(json!("mine")),
        }],
        ..Delta::default()
    };
    let mut lesson = node
        .artifact("a better model", delta.clone())
        .into_signed()
        .body;
    lesson.nonce = format!("{term}");
    let lesson = Verified::sign(who, lesson).unwrap();
    let (artifact, bytes) = block::seal(&lesson).unwrap();
    bus.plant(&peer, bytes);
    let revision = Revision {
        parents: vec![node.hive.playbook().genesis],
        lamport: 1,
        term,
        certificate: Some(certificate),
        merged: vec![Merged {
            artifact,
            author: who.did().clone(),
            delta,
        }],
        evaluation: None,
        timestamp: now_ms(),
    };
    let (cid, bytes) = block::seal(&Verified::sign(who, revision).unwrap()).unwrap();
    assert_eq!(bus.plant(&peer, bytes), cid);
    cid
}

async fn refused(node: &Node, head: &cid::Cid, why: &str) {
    until("the refusal is audited", || {
        node.store
            .audit_after(0, 5000)
            .unwrap()
            .iter()
            .any(|record| {
                record.action == "revision_adopted"
                    && record.verdict == "refused"
                    && record.subject.as_deref() == Some(&head.to_string())
                    && record.detail.to_string().contains(why)
            })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_vote_changes_nobodys_playbook() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let genesis = a.hive.playbook().head;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    let term = a.hive.office().unwrap().term;
    for (term, why) in [(term, "not"), (1, "not"), (TERM_MAX, "beyond")] {
        let head = own_revision(&bus, &a, &stranger, term);
        let update = Coordination::PlaybookUpdate {
            cid: head,
            timestamp: now_ms(),
        };
        say(&bus, &stranger, update);
        refused(&a, &head, why).await;
        refused(&b, &head, why).await;
    }
    assert_eq!(a.hive.playbook().head, genesis);
    assert_eq!(b.hive.playbook().head, genesis);
    // A node of the swarm that certifies itself gets no further than the swarm's MO lets it.
    let (mo, other) = if a.is_mo() { (&a, &b) } else { (&b, &a) };
    let head = own_revision(&bus, &a, &other.identity, TERM_MAX);
    let update = Coordination::PlaybookUpdate {
        cid: head,
        timestamp: now_ms(),
    };
    say(&bus, &other.identity, update);
    refused(mo, &head, "beyond").await;
    let cid = other
        .hive
        .publish(other.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[cid]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_takes_the_history_of_offices_it_never_saw() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let alone = a
        .hive
        .publish(a.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    until("merged alone", || a.hive.playbook().state.applied(&alone)).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let both = b
        .hive
        .publish(b.lesson(&["sum"], "calculator"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[alone, both]).await;
    let c = start(&bus, 3, &dir.path().join("c")).await;
    one_mo(&[&a, &b, &c]).await;
    same_head(&[&a, &b, &c], &[alone, both]).await;
    assert_eq!(c.hive.verify().await.unwrap().artifacts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn fake_heads_and_artifacts_of_one_peer_delay_nobody() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    bus.set_silent(&stranger.did().peer_id().unwrap());
    for n in 0..600u32 {
        let cid = cid_of(&n.to_le_bytes());
        let timestamp = now_ms();
        say(
            &bus,
            &stranger,
            Coordination::PlaybookUpdate { cid, timestamp },
        );
        say(
            &bus,
            &stranger,
            Coordination::ArtifactPublished { cid, timestamp },
        );
    }
    let cid = b
        .hive
        .publish(b.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[cid]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_fetched_once_and_its_announcer_is_reported() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    let peer = stranger.did().peer_id().unwrap();
    let cid = bus.plant(&peer, b"no artifact and no revision".to_vec());
    let timestamp = now_ms();
    say(
        &bus,
        &stranger,
        Coordination::ArtifactPublished { cid, timestamp },
    );
    say(
        &bus,
        &stranger,
        Coordination::PlaybookUpdate { cid, timestamp },
    );
    until("both are blamed on it", || bus.blame_of(&peer).len() == 2).await;
    let asked = bus.times_asked(&cid);
    assert_eq!(asked, 2);
    for _ in 0..20 {
        say(
            &bus,
            &stranger,
            Coordination::ArtifactPublished {
                cid,
                timestamp: now_ms(),
            },
        );
        say(
            &bus,
            &stranger,
            Coordination::PlaybookUpdate {
                cid,
                timestamp: now_ms(),
            },
        );
    }
    // Something honest that is sent later is dealt with later.
    let lesson = a.lesson(&["disk"], "system_monitor");
    let (honest, bytes) = block::seal(&lesson).unwrap();
    bus.plant(&peer, bytes);
    say(
        &bus,
        &stranger,
        Coordination::ArtifactPublished {
            cid: honest,
            timestamp: now_ms(),
        },
    );
    until("the honest one is merged", || {
        a.hive.playbook().state.applied(&honest)
    })
    .await;
    assert_eq!(bus.times_asked(&cid), asked, "it is not fetched again");
    assert_eq!(bus.blame_of(&peer).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_had_yet_is_tried_again_without_a_word() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    let lesson = a.lesson(&["disk"], "system_monitor");
    let (cid, bytes) = block::seal(&lesson).unwrap();
    say(
        &bus,
        &stranger,
        Coordination::ArtifactPublished {
            cid,
            timestamp: now_ms(),
        },
    );
    until("it was asked for in vain", || bus.times_asked(&cid) > 0).await;
    bus.plant(&stranger.did().peer_id().unwrap(), bytes);
    until("it is merged", || a.hive.playbook().state.applied(&cid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_twin_cannot_retire_a_case_alone() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let lesson = a.lesson(&["disk"], "system_monitor");
    let case = lesson.body().delta.cases[0].id.clone();
    let cid = a.hive.publish(lesson).await.unwrap();
    until("merged", || a.hive.playbook().state.applied(&cid)).await;
    let spite = SigningIdentity::from_seed(&[77; 32]);
    for n in 0..5 {
        let counts = vec![Count {
            target: case.clone(),
            helpful: 0,
            harmful: 1,
        }];
        let delta = Delta {
            counts,
            ..Delta::default()
        };
        let mut body = a.artifact("it did harm", delta).into_signed().body;
        body.nonce = n.to_string();
        let cid = a
            .hive
            .publish(Verified::sign(&spite, body).unwrap())
            .await
            .unwrap();
        until("counted", || a.hive.playbook().state.applied(&cid)).await;
    }
    let state = a.hive.playbook().state;
    assert_eq!(state.tally(&case).harmful, 1);
    assert_eq!(state.cases().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_refusal_does_not_unmerge() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let (mo, other) = if a.is_mo() { (&a, &b) } else { (&b, &a) };
    let cid = other
        .hive
        .publish(other.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[cid]).await;
    let refusal = Coordination::ArtifactRefused {
        cid,
        reason: "too late".into(),
        timestamp: now_ms(),
    };
    say(&bus, &mo.identity, refusal);
    // What is said afterwards is dealt with afterwards.
    let next = other
        .hive
        .publish(other.lesson(&["sum"], "calculator"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[cid, next]).await;
    assert_eq!(other.status_of(&cid).as_deref(), Some("merged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_comes_before_its_case_waits_for_it() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    let peer = stranger.did().peer_id().unwrap();
    let lesson = a.lesson(&["disk"], "system_monitor");
    let counts = vec![Count {
        target: lesson.body().delta.cases[0].id.clone(),
        helpful: 1,
        harmful: 0,
    }];
    let delta = Delta {
        counts,
        ..Delta::default()
    };
    let mut body = a.artifact("it helped", delta).into_signed().body;
    body.twin_id = "other".into();
    let count = Verified::sign(&stranger, body).unwrap();
    let (early, bytes) = block::seal(&count).unwrap();
    bus.plant(&peer, bytes);
    say(
        &bus,
        &stranger,
        Coordination::ArtifactPublished {
            cid: early,
            timestamp: now_ms(),
        },
    );
    until("it was fetched", || bus.times_asked(&early) > 0).await;
    let cid = a.hive.publish(lesson).await.unwrap();
    until("both are merged", || {
        let state = a.hive.playbook().state;
        state.applied(&cid) && state.applied(&early)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_office_is_taken_while_its_certificate_cannot_be_stored() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let peer = SigningIdentity::from_seed(&[1; 32])
        .did()
        .peer_id()
        .unwrap();
    let a = start(&bus, 1, &dir.path().join("a")).await;
    bus.set_full(&peer, true);
    until("it won the election", || {
        let audit = a.store.audit_after(0, 100).unwrap();
        audit.iter().any(|record| record.action == "mo_elected")
    })
    .await;
    assert_eq!(a.hive.office(), None);
    bus.set_full(&peer, false);
    until("it takes the office when it can", || a.is_mo()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_that_fail_are_tried_less_and_less_often() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    let stranger = SigningIdentity::from_seed(&[66; 32]);
    let lesson = a.lesson(&["disk"], "system_monitor");
    let (cid, bytes) = block::seal(&lesson).unwrap();
    bus.plant(&stranger.did().peer_id().unwrap(), bytes);
    bus.set_full(&a.peer, true);
    say(
        &bus,
        &stranger,
        Coordination::ArtifactPublished {
            cid,
            timestamp: now_ms(),
        },
    );
    until("it was fetched", || bus.times_asked(&cid) > 0).await;
    // It answers all the while.
    for _ in 0..50 {
        let head = a.hive.log(1).await.unwrap();
        assert!(head.is_empty());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bus.set_full(&a.peer, false);
    until("it is merged in the end", || {
        a.hive.playbook().state.applied(&cid)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_takes_nothing_stops_neither_library_nor_votes() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&a]).await;
    bus.set_stuck(&a.peer);
    let cid = a
        .hive
        .publish(a.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    until("merged all the same", || {
        a.hive.playbook().state.applied(&cid)
    })
    .await;
    assert!(a.hive.election().await.unwrap().0.mo.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_presence_costs_no_mo_its_office() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let term = a.hive.office().unwrap().term;
    let loud = SigningIdentity::from_seed(&[66; 32]);
    for _ in 0..3000 {
        let hello = Coordination::NodeOnline {
            timestamp: now_ms(),
            heads: Vec::new(),
        };
        say(&bus, &loud, hello);
    }
    let cid = b
        .hive
        .publish(b.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[cid]).await;
    assert!(a.hive.office().is_some() && a.hive.office().unwrap().term <= term + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_cut_off_brings_its_lessons_through_the_gates() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for n in 1..=5 {
        nodes.push(start(&bus, n, &dir.path().join(n.to_string())).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    one_mo(&all).await;
    let (left, right): (Vec<&Node>, Vec<&Node>) = (all[..3].to_vec(), all[3..].to_vec());
    for node in &right {
        bus.split(node, 1);
    }
    for (ours, theirs) in [(&left, &right), (&right, &left)] {
        for node in ours {
            for other in theirs {
                node.hive.peer_gone(&other.peer).await;
            }
        }
    }
    one_mo(&left).await;
    one_mo(&right).await;
    let one = left[0]
        .hive
        .publish(left[0].lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    let two = right[0]
        .hive
        .publish(right[0].lesson(&["sum"], "calculator"))
        .await
        .unwrap();
    same_head(&left, &[one]).await;
    same_head(&right, &[two]).await;
    bus.heal();
    one_mo(&all).await;
    same_head(&all, &[one, two]).await;
    for node in &all {
        node.hive.verify().await.unwrap();
    }
}
