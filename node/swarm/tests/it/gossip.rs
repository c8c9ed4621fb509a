//! Gossip: delivery, verdicts, bursts, separation of swarms.

use std::collections::HashSet;

use futures::StreamExt;
use pagi_swarm::{PeerEvent, Published, Swarm, SwarmError};

use crate::support::{DEADLINE, acquainted, mesh, node, node_with, until};

const TOPIC: &str = "test-topic";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_hear_each_other() {
    let mut a = node(1, |_| ()).await;
    let nothing = a.swarm.publish(TOPIC, b"alone".to_vec()).await.unwrap();
    assert_eq!(nothing, Published::NoPeers);

    let mut b = node_with(2, &a).await;
    let mut c = node_with(3, &a).await;
    mesh(TOPIC, &[&a, &b, &c], &[(0, 1), (1, 2), (0, 2)]).await;

    assert_eq!(
        a.swarm.publish(TOPIC, b"hello".to_vec()).await.unwrap(),
        Published::Sent
    );
    for listener in [&mut b, &mut c] {
        let message = listener.message().await;
        assert_eq!(message.data, b"hello");
        assert_eq!(message.topic, TOPIC);
        assert_eq!(message.author_peer, a.id());
        message.verdict.accept();
    }
    let again = a.swarm.publish(TOPIC, b"hello".to_vec()).await.unwrap();
    assert_eq!(again, Published::Duplicate);
    let theirs = b.swarm.publish(TOPIC, b"hello".to_vec()).await.unwrap();
    assert_eq!(
        theirs,
        Published::Sent,
        "a message is its content and its author"
    );
    for listener in [&mut a, &mut c] {
        let message = listener.message().await;
        assert_eq!(message.author_peer, b.id());
        message.verdict.accept();
    }

    let limit = 256 * 1024;
    let largest = vec![7; limit];
    assert_eq!(
        a.swarm.publish(TOPIC, largest.clone()).await.unwrap(),
        Published::Sent
    );
    let message = b.message().await;
    assert_eq!(message.data, largest);
    message.verdict.accept();
    let refused = a.swarm.publish(TOPIC, vec![7; limit + 1]).await;
    assert!(matches!(refused, Err(SwarmError::TooLarge { .. })));

    until("verdicts are counted", || async {
        b.swarm.stats().accepted == 2
    })
    .await;
    assert_eq!(b.swarm.stats().received, 2);
    assert_eq!(a.swarm.stats().published, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_goes_no_further() {
    // A line: the ends refuse each other, so everything passes through the middle.
    let mut middle = node(4, |_| ()).await;
    let left = node(5, |_| ()).await;
    let mut right = node(6, |_| ()).await;
    left.swarm.block_peer(&right.id()).await.unwrap();
    right.swarm.block_peer(&left.id()).await.unwrap();
    for end in [&left, &right] {
        end.swarm.dial(&middle.addr().await).await.unwrap();
        acquainted(end, &middle).await;
    }
    mesh(TOPIC, &[&left, &middle, &right], &[(0, 1), (1, 2)]).await;

    for (text, expected) in [("bad", 0), ("useless", 0), ("dropped", 0), ("good", 1)] {
        let sent = left.swarm.publish(TOPIC, text.into()).await.unwrap();
        assert_eq!(sent, Published::Sent);
        let message = middle.message().await;
        assert_eq!(message.data, text.as_bytes());
        match text {
            "bad" => message.verdict.reject(),
            "useless" => message.verdict.ignore(),
            "dropped" => drop(message),
            _ => message.verdict.accept(),
        }
        if expected == 1 {
            let message = right.message().await;
            assert_eq!(message.data, b"good", "nothing else was forwarded");
            assert_eq!(
                (message.author_peer, message.forwarder),
                (left.id(), middle.id())
            );
            message.verdict.accept();
        }
    }
    let stats = middle.swarm.stats();
    assert_eq!((stats.accepted, stats.rejected, stats.ignored), (1, 1, 2));
    assert_eq!(right.swarm.stats().received, 1);
    let score = middle.peer(&left).await.unwrap().score.unwrap();
    assert!(
        score < 0.0,
        "a rejected message is held against its sender: {score}"
    );
}

/// Publishes `count` messages, many at a time, and returns the contents that were sent.
async fn burst(from: Swarm, count: usize) -> HashSet<Vec<u8>> {
    let results: Vec<_> = futures::stream::iter(0..count)
        .map(|n| {
            let swarm = from.clone();
            let data = format!("message {n} {}", "x".repeat(200)).into_bytes();
            async move { (swarm.publish(TOPIC, data.clone()).await.unwrap(), data) }
        })
        .buffer_unordered(300)
        .collect()
        .await;
    results
        .into_iter()
        .filter(|(sent, _)| *sent == Published::Sent)
        .map(|(_, data)| data)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_arrives_whole_and_the_mesh_survives() {
    const COUNT: usize = 12_000;
    let a = node(7, |_| ()).await;
    let mut b = node_with(8, &a).await;
    mesh(TOPIC, &[&a, &b], &[(0, 1)]).await;

    let receive = async {
        let mut got = HashSet::new();
        while got.len() < COUNT {
            let message = b.message().await;
            got.insert(message.data);
            message.verdict.accept();
        }
        got
    };
    let (sent, got) = tokio::join!(burst(a.swarm.clone(), COUNT), receive);
    assert_eq!(sent.len(), COUNT);
    assert!(sent == got);
    let stats = a.swarm.stats();
    assert_eq!((stats.published, stats.publish_dropped), (COUNT as u64, 0));
    for (node, other) in [(&a, &b), (&b, &a)] {
        let peer = node.peer(other).await.unwrap();
        assert!(peer.in_mesh && peer.score.unwrap() >= 0.0, "{peer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_waits_for_a_receiver_that_has_not_begun_to_read() {
    const COUNT: usize = 2500;
    let a = node(9, |_| ()).await;
    let mut b = node_with(10, &a).await;
    mesh(TOPIC, &[&a, &b], &[(0, 1)]).await;

    let sending = tokio::spawn(burst(a.swarm.clone(), COUNT));
    until("the receiver has as much as may wait", || async {
        b.swarm.stats().received >= 256
    })
    .await;
    let mut got = HashSet::new();
    while got.len() < COUNT {
        got.insert(b.message().await.data);
    }
    assert!(sending.await.unwrap() == got);
    assert_eq!(b.swarm.stats().inbound_dropped, 0);
    assert_eq!(a.swarm.stats().publish_dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swarms_with_different_names_do_not_mix() {
    let a = node(12, |config| config.swarm = "one".into()).await;
    let b = node(13, |config| config.swarm = "two".into()).await;
    a.swarm.subscribe(TOPIC).await.unwrap();
    b.swarm.subscribe(TOPIC).await.unwrap();
    b.swarm.dial(&a.addr().await).await.unwrap();
    let wait = DEADLINE;
    let refused = b
        .swarm
        .request(&a.id(), b"hello".to_vec(), wait)
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            SwarmError::Unsupported { .. }
                | SwarmError::NoReply { .. }
                | SwarmError::Unreachable { .. }
        ),
        "{refused}"
    );
    until("they part", || async {
        b.peer(&a).await.is_none() && a.peer(&b).await.is_none()
    })
    .await;
    for node in [&a, &b] {
        let sent = node
            .swarm
            .publish(TOPIC, b"anyone?".to_vec())
            .await
            .unwrap();
        assert_eq!(sent, Published::NoPeers);
        let stats = node.swarm.stats();
        assert_eq!(
            (stats.received, stats.requests_in, stats.connected),
            (0, 0, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_are_announced() {
    let mut a = node(14, |_| ()).await;
    a.swarm.subscribe(TOPIC).await.unwrap();
    let b = node_with(15, &a).await;
    b.swarm.subscribe(TOPIC).await.unwrap();
    let mut events = Vec::new();
    while events.len() < 2 {
        let event = tokio::time::timeout(DEADLINE, a.inbound.peers.recv())
            .await
            .unwrap()
            .unwrap();
        events.push(event);
    }
    let subscribed = PeerEvent::Subscribed {
        peer_id: b.id(),
        topic: TOPIC.into(),
    };
    assert!(events.contains(&subscribed), "{events:?}");
    let arrived = events.iter().any(|event| {
        matches!(event, PeerEvent::Connected { peer_id, addrs, agent }
            if *peer_id == b.id() && !addrs.is_empty() && agent.starts_with("pagi/"))
    });
    assert!(arrived, "{events:?}");
    b.swarm.shutdown().await;
    let event = tokio::time::timeout(DEADLINE, a.inbound.peers.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(event, PeerEvent::Disconnected { peer_id: b.id() });
    assert_eq!(a.swarm.stats().connected, 0);
    let closed = b.swarm.publish(TOPIC, b"too late".to_vec()).await;
    assert!(matches!(closed, Err(SwarmError::Closed)));
}
