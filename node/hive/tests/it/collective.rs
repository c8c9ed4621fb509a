//! Lessons spread, survive partitions, dead MOs and restarts.

use pagi_messages::EventType;
use pagi_store::EventFilter;

use crate::bus::{Bus, one_mo, same_head, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_of_one_node_is_adopted_by_all() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    let c = start(&bus, 3, &dir.path().join("c")).await;
    one_mo(&[&a, &b, &c]).await;
    let genesis = a.hive.playbook().head;
    let author = [&a, &b, &c].into_iter().find(|node| !node.is_mo()).unwrap();
    let cid = author
        .hive
        .publish(author.lesson(&["disk", "full"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b, &c], &[cid]).await;
    for node in [&a, &b, &c] {
        assert_ne!(node.hive.playbook().head, genesis);
        assert_eq!(node.status_of(&cid).as_deref(), Some("merged"));
        assert_eq!(node.hive.playbook().state.cases().count(), 1);
        let checked = node.hive.verify().await.unwrap();
        assert_eq!((checked.revisions, checked.artifacts), (1, 1));
        let filter = EventFilter {
            event_type: Some(EventType::PlaybookUpdated),
            ..EventFilter::default()
        };
        assert_eq!(node.store.events_after(0, 10, &filter).unwrap().len(), 1);
    }
    let log = b.hive.log(10).await.unwrap();
    let mo = [&a, &b, &c].into_iter().find(|node| node.is_mo()).unwrap();
    assert_eq!(log[0].1.author(), mo.identity.did());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_halves_that_learned_apart_converge_and_lose_nothing() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for n in 1..=4 {
        nodes.push(start(&bus, n, &dir.path().join(n.to_string())).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    one_mo(&all).await;
    bus.split(all[2], 1);
    bus.split(all[3], 1);
    for (one, others) in [(0, [2, 3]), (1, [2, 3]), (2, [0, 1]), (3, [0, 1])] {
        for other in others {
            all[one].hive.peer_gone(&all[other].peer).await;
        }
    }
    one_mo(&[all[0], all[1]]).await;
    one_mo(&[all[2], all[3]]).await;
    let left = all[0]
        .hive
        .publish(all[0].lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    let right = all[3]
        .hive
        .publish(all[3].lesson(&["sum"], "calculator"))
        .await
        .unwrap();
    same_head(&[all[0], all[1]], &[left]).await;
    same_head(&[all[2], all[3]], &[right]).await;
    bus.heal();
    one_mo(&all).await;
    same_head(&all, &[left, right]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_mo_is_replaced_and_its_pending_work_is_done() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for n in 1..=3 {
        nodes.push(start(&bus, n, &dir.path().join(n.to_string())).await);
    }
    one_mo(&nodes.iter().collect::<Vec<_>>()).await;
    let at = nodes.iter().position(|node| node.is_mo()).unwrap();
    nodes.remove(at).die(&bus).await;
    // Nobody is MO at this moment: the lesson waits for the next one.
    let lesson = nodes[0].lesson(&["disk"], "system_monitor");
    let cid = nodes[0].hive.publish(lesson).await.unwrap();
    one_mo(&[&nodes[0], &nodes[1]]).await;
    same_head(&[&nodes[0], &nodes[1]], &[cid]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_has_its_playbook_and_catches_up() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, &dir.path().join("a")).await;
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    let first = a
        .hive
        .publish(a.lesson(&["disk"], "system_monitor"))
        .await
        .unwrap();
    same_head(&[&a, &b], &[first]).await;
    b.die(&bus).await;
    until("a is MO alone", || a.is_mo()).await;
    let second = a
        .hive
        .publish(a.lesson(&["sum"], "calculator"))
        .await
        .unwrap();
    until("the second lesson is merged", || {
        a.hive.playbook().state.applied(&second)
    })
    .await;

    let b = start(&bus, 2, &dir.path().join("b")).await;
    assert!(
        b.hive.playbook().state.applied(&first),
        "what was adopted survives the restart"
    );
    bus.heal();
    same_head(&[&a, &b], &[first, second]).await;
    one_mo(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_node_learns_by_itself_and_the_same_lesson_twice_adds_nothing() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let a = start(&bus, 1, dir.path()).await;
    one_mo(&[&a]).await;
    let mut lesson = a.lesson(&["disk"], "system_monitor").into_signed().body;
    let cid = a
        .hive
        .publish(pagi_messages::Verified::sign(&a.twin, lesson.clone()).unwrap());
    let cid = cid.await.unwrap();
    until("it is merged", || a.hive.playbook().state.applied(&cid)).await;
    lesson.delta.counts.clear();
    lesson.nonce = "another".into();
    let again = a
        .hive
        .publish(pagi_messages::Verified::sign(&a.twin, lesson).unwrap())
        .await;
    assert!(again.unwrap_err().to_string().contains("novelty"));
}
