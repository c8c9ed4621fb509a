//! What one peer, one address and one process may take.

use std::time::Duration;

use pagi_swarm::{Rate, SwarmError};

use crate::support::{DEADLINE, acquainted, mesh, node, node_with, until};

const TOPIC: &str = "test-topic";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_gets_no_more_than_its_share_of_connections() {
    let a = node(120, |config| {
        config.limits.max_connections_per_ip = 2;
        config.limits.spare_loopback = false;
    })
    .await;
    let addr = a.addr().await;
    let mut first = Vec::new();
    for seed in [121, 122] {
        let node = node(seed, |_| ()).await;
        node.swarm.dial(&addr).await.unwrap();
        acquainted(&a, &node).await;
        first.push(node);
    }
    let third = node(123, |_| ()).await;
    let refused = third.swarm.dial(&addr).await;
    assert!(
        matches!(refused, Err(SwarmError::Unreachable { .. })),
        "{refused:?}"
    );
    let stats = a.swarm.stats();
    assert_eq!(stats.connections, 2);
    assert!(stats.refused_connections >= 1);
    first.remove(0).swarm.shutdown().await;
    until("the place is free", || async {
        a.swarm.stats().connections == 1
    })
    .await;
    third.swarm.dial(&addr).await.unwrap();
    acquainted(&a, &third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_short_of_memory_takes_no_more_connections() {
    let a = node(124, |config| config.limits.max_memory_bytes = Some(1)).await;
    let b = node(125, |_| ()).await;
    let addr = a.addr().await;
    until("it refuses", || async {
        let refused = b.swarm.dial(&addr).await.is_err();
        refused && a.swarm.stats().refused_connections >= 1
    })
    .await;
    // It may still go to others.
    a.swarm.dial(&b.addr().await).await.unwrap();
    acquainted(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spammer_is_cut_short_while_an_honest_peer_is_heard() {
    const SPAM: usize = 3000;
    const ALLOWED: usize = 50;
    let mut a = node(126, |config| {
        config.limits.spare_loopback = false;
        config.limits.gossip_rate = Some(Rate {
            per_second: 1,
            burst: ALLOWED as u32,
        });
    })
    .await;
    let spammer = node_with(127, &a).await;
    let honest = node_with(128, &a).await;
    // What one sends is not to reach the other one, or it would come from both.
    spammer.swarm.block_peer(&honest.id()).await.unwrap();
    honest.swarm.block_peer(&spammer.id()).await.unwrap();
    mesh(TOPIC, &[&a, &spammer, &honest], &[(0, 1), (0, 2)]).await;

    let spam = {
        let swarm = spammer.swarm.clone();
        tokio::spawn(async move {
            for n in 0..SPAM {
                swarm
                    .publish(TOPIC, format!("spam {n}").into_bytes())
                    .await
                    .unwrap();
            }
        })
    };
    let (mut spam_heard, mut honest_heard, mut sent) = (0, 0, 0);
    let hear = |message: &pagi_swarm::GossipMessage| message.author_peer == honest.id();
    while honest_heard < ALLOWED / 2 {
        if sent == honest_heard {
            honest
                .swarm
                .publish(TOPIC, format!("honest {sent}").into_bytes())
                .await
                .unwrap();
            sent += 1;
        }
        let message = a.message().await;
        match hear(&message) {
            true => honest_heard += 1,
            false => spam_heard += 1,
        }
        message.verdict.accept();
    }
    until("the spammer is banned", || async {
        let banned = a.swarm.banned().await.unwrap();
        banned.iter().any(|banned| banned.peer_id == spammer.id())
    })
    .await;
    spam.abort();
    while let Ok(message) = a.inbound.gossip.try_recv() {
        spam_heard += usize::from(!hear(&message));
        message.verdict.accept();
    }
    let stats = a.swarm.stats();
    assert!(stats.gossip_limited > 100, "{stats:?}");
    // One second is one token; the test's deadline bounds how many there can be.
    let most = ALLOWED + DEADLINE.as_secs() as usize;
    assert!(spam_heard <= most, "{spam_heard}");
    let peer = a.peer(&honest).await.unwrap();
    assert!(
        !peer.graylisted && peer.limited == 0 && peer.score.unwrap() >= 0.0,
        "{peer:?}"
    );
    honest
        .swarm
        .publish(TOPIC, b"still here".to_vec())
        .await
        .unwrap();
    assert_eq!(a.message().await.data, b"still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_keeps_to_the_rate_it_expects_of_others() {
    const COUNT: usize = 60;
    let rate = Some(Rate {
        per_second: 40,
        burst: 20,
    });
    let limit = |config: &mut pagi_swarm::SwarmConfig| {
        config.limits.spare_loopback = false;
        config.limits.gossip_rate = rate;
    };
    let mut a = node(129, limit).await;
    let addr = a.addr().await;
    let b = node(130, |config| {
        limit(config);
        config.bootstrap = vec![addr];
    })
    .await;
    mesh(TOPIC, &[&a, &b], &[(0, 1)]).await;
    let swarm = b.swarm.clone();
    tokio::spawn(async move {
        for n in 0..COUNT {
            swarm
                .publish(TOPIC, format!("message {n}").into_bytes())
                .await
                .unwrap();
        }
    });
    for _ in 0..COUNT {
        a.message().await.verdict.accept();
    }
    assert_eq!(a.swarm.stats().gossip_limited, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_too_much_gets_no_reply() {
    let mut a = node(131, |config| {
        config.limits.spare_loopback = false;
        config.limits.request_rate = Some(Rate {
            per_second: 1,
            burst: 5,
        });
    })
    .await;
    let b = node_with(132, &a).await;
    acquainted(&a, &b).await;
    tokio::spawn(async move {
        while let Some(request) = a.inbound.requests.recv().await {
            request.reply.send(request.data);
        }
    });
    let (swarm, to) = (b.swarm.clone(), a.swarm.peer_id().to_owned());
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(swarm.request(&to, b"x".to_vec(), DEADLINE).await);
    }
    assert!(answers[..5].iter().all(Result::is_ok), "{answers:?}");
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(SwarmError::NoReply { .. })))
        .count();
    assert!(refused > 0);
    let stats = a.swarm.stats();
    assert_eq!(stats.requests_limited, refused as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_requests_take_no_more_memory_than_allowed() {
    let mut a = node(133, |config| {
        config.limits.max_request_bytes = 1000;
        config.limits.max_pending_request_bytes = 2500;
    })
    .await;
    let b = node_with(134, &a).await;
    acquainted(&a, &b).await;
    let to = a.id();
    let ask = || {
        let (swarm, to) = (b.swarm.clone(), to.clone());
        tokio::spawn(async move { swarm.request(&to, vec![0; 1000], DEADLINE).await })
    };
    let (first, second) = (ask(), ask());
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(a.inbound.requests.recv().await.unwrap());
    }
    let third = ask().await.unwrap();
    assert!(
        matches!(third, Err(SwarmError::NoReply { .. })),
        "{third:?}"
    );
    drop(held.remove(0)); // gives its bytes back
    held.remove(0).reply.send(b"done".to_vec());
    let answers = [first.await.unwrap(), second.await.unwrap()];
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
    let fourth = ask();
    let request = a.inbound.requests.recv().await.unwrap();
    request.reply.send(b"room".to_vec());
    assert_eq!(fourth.await.unwrap().unwrap(), b"room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_ends_by_itself_and_is_listed_until_then() {
    let a = node(135, |_| ()).await;
    let b = node_with(136, &a).await;
    acquainted(&a, &b).await;
    let time = Duration::from_secs(2);
    a.swarm.ban_peer(&b.id(), Some(time)).await.unwrap();
    let banned = a.swarm.banned().await.unwrap();
    assert_eq!(banned.len(), 1);
    assert_eq!(banned[0].peer_id, b.id());
    assert!(banned[0].seconds_left.is_some_and(|left| left <= 2));
    until("they part", || async { a.peer(&b).await.is_none() }).await;
    // The bootstrap dialling of b brings it back.
    acquainted(&a, &b).await;
    assert!(a.swarm.banned().await.unwrap().is_empty());
    a.swarm.block_peer(&b.id()).await.unwrap();
    assert_eq!(a.swarm.banned().await.unwrap()[0].seconds_left, None);
    a.swarm.unblock_peer(&b.id()).await.unwrap();
    assert!(a.swarm.banned().await.unwrap().is_empty());
}
