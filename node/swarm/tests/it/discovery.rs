//! Finding and keeping peers.

use pagi_swarm::SwarmError;

use crate::support::{Node, acquainted, config, node, node_with, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_know_only_the_first_find_each_other() {
    let first = node(40, |_| ()).await;
    let mut nodes = Vec::new();
    for seed in 41..45 {
        nodes.push(node_with(seed, &first).await);
    }
    nodes.push(first);
    for (n, node) in nodes.iter().enumerate() {
        for other in &nodes[n + 1..] {
            acquainted(node, other).await;
        }
    }
    for node in &nodes {
        for peer in node.swarm.peers().await.unwrap() {
            assert!(
                peer.addrs
                    .iter()
                    .all(|addr| addr.starts_with("/ip4/127.0.0.1/")),
                "{peer:?}"
            );
            assert!(
                peer.protocols.iter().any(|p| p == "/pagi/pagi/kad/1"),
                "{peer:?}"
            );
            let public = [
                "/ipfs/kad",
                "/libp2p/autonat",
                "/libp2p/circuit",
                "/meshsub",
            ];
            assert!(
                !peer
                    .protocols
                    .iter()
                    .any(|p| public.iter().any(|q| p.starts_with(q))),
                "{peer:?}"
            );
        }
        until("the count is right", || async {
            node.swarm.stats().connected == 4
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_works_as_well() {
    let quic = || vec!["/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
    let a = node(46, |config| config.listen = quic()).await;
    let addr = a.addr().await;
    assert!(addr.contains("/quic-v1/p2p/"), "{addr}");
    let b = node(47, |config| {
        config.listen = quic();
        config.bootstrap = vec![addr];
    })
    .await;
    acquainted(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_peer_is_dialled_until_it_is_there_and_again_when_it_left() {
    let Node {
        swarm,
        inbound: _inbound,
        dir,
    } = node(48, |_| ()).await;
    let addr = swarm.listen_addrs().await.unwrap().remove(0);
    swarm.shutdown().await;

    let b = node(49, |config| config.bootstrap = vec![addr.clone()]).await;
    let (listen, _) = addr.split_once("/p2p/").unwrap();
    for _ in 0..2 {
        let mut config = config(48, dir.path());
        config.listen = vec![listen.to_owned()];
        let (swarm, inbound) = pagi_swarm::start(config).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let a = Node {
            swarm,
            inbound,
            dir,
        };
        acquainted(&a, &b).await;
        a.swarm.shutdown().await;
        until("the loss is seen", || async { b.peer(&a).await.is_none() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_peer_stays_away_until_unblocked() {
    let a = node(50, |_| ()).await;
    let b = node_with(51, &a).await;
    acquainted(&a, &b).await;
    a.swarm.block_peer(&b.id()).await.unwrap();
    until("they part", || async { a.peer(&b).await.is_none() }).await;
    let refused = a.swarm.dial(&b.addr().await).await;
    assert!(
        matches!(refused, Err(SwarmError::Unreachable { .. })),
        "{refused:?}"
    );
    a.swarm.unblock_peer(&b.id()).await.unwrap();
    acquainted(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_an_error_and_lets_the_store_go() {
    let a = node(52, |_| ()).await;
    let taken = a.addr().await.split_once("/p2p/").unwrap().0.to_owned();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(53, dir.path());
    config.listen = vec![taken.clone()];
    let error = pagi_swarm::start(config.clone()).await.unwrap_err();
    assert!(
        matches!(&error, SwarmError::Listen { addr, .. } if *addr == taken),
        "{error}"
    );
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
    let started = tokio::spawn(pagi_swarm::start(config)).await.unwrap();
    assert!(
        started.is_ok(),
        "the future can be spawned, the store is free"
    );
}
