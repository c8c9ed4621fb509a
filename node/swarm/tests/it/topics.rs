//! What peers say they listen to.

use std::net::{IpAddr, Ipv4Addr};

use pagi_swarm::PeerEvent;

use crate::attacker::{Attacker, bytes, frame, send};
use crate::support::{DEADLINE, node, node_with, until};

const TOPIC: &str = "known";

/// A gossip packet that subscribes to these topics.
fn subscriptions(topics: impl Iterator<Item = String>) -> Vec<u8> {
    let mut packet = Vec::new();
    for topic in topics {
        // subscribe = true; the topic.
        let mut subscription = vec![0x08, 1];
        bytes(2, topic.as_bytes(), &mut subscription);
        bytes(1, &subscription, &mut packet);
    }
    frame(&packet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_topics_are_no_news_and_are_not_kept() {
    let mut a = node(190, |_| ()).await;
    a.swarm.subscribe(TOPIC).await.unwrap();
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
    let mut attacker = Attacker::connect(&a.addr().await, from).await.unwrap();
    let mut stream = attacker.gossip().await.unwrap();
    for round in 0..40 {
        // More at once than are taken, then as many as are, then long ones.
        let (count, long) = [(3000, 1), (200, 1), (20, 10_000)][round % 3];
        let topics = (0..count).map(|n| format!("{round}-{n}-{}", "x".repeat(long)));
        send(&mut stream, &subscriptions(topics)).await.unwrap();
    }
    // Through the same stream, behind all that: a topic that is one.
    let known = subscriptions(std::iter::once(TOPIC.to_owned()));
    send(&mut stream, &known).await.unwrap();

    let b = node_with(191, &a).await;
    b.swarm.subscribe(TOPIC).await.unwrap();
    until("both to be in touch", || async {
        a.peer(&b).await.is_some()
    })
    .await;
    let mut seen = Vec::new();
    let wanted = PeerEvent::Subscribed {
        peer_id: b.id(),
        topic: TOPIC.into(),
    };
    while !seen.contains(&wanted) {
        let event = tokio::time::timeout(DEADLINE, a.inbound.peers.recv()).await;
        seen.push(event.expect("an event in time").unwrap());
    }
    let made_up =
        |event: &&PeerEvent| matches!(event, PeerEvent::Subscribed { topic, .. } if topic != TOPIC);
    assert_eq!(seen.iter().find(made_up), None);
    assert!(seen.len() < 10, "{seen:?}");
    assert_eq!(a.swarm.stats().inbound_dropped, 0);
}
