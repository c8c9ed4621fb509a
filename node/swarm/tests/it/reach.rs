//! Relays, remembered peers, the shared secret.

use std::time::Duration;

use pagi_swarm::{Published, Reach, Reachability, RelayLimits, SwarmError, SwarmOptions};
use zeroize::Zeroizing;

use crate::support::{DEADLINE, Node, acquainted, config, dag_cbor, mesh, node, node_opt, until};

const TOPIC: &str = "test-topic";

fn relay_server(limits: RelayLimits) -> SwarmOptions {
    SwarmOptions {
        reach: Reach {
            relay_server: Some(limits),
            ..Reach::default()
        },
        ..SwarmOptions::default()
    }
}

fn relay_client() -> SwarmOptions {
    SwarmOptions {
        reach: Reach {
            relay_client: true,
            ..Reach::default()
        },
        ..SwarmOptions::default()
    }
}

/// A node that listens nowhere, so only a relay can lead to it.
async fn hidden(seed: u8, relay: &Node) -> Node {
    let addr = relay.addr().await;
    let change = |config: &mut pagi_swarm::SwarmConfig| {
        config.listen.clear();
        config.bootstrap = vec![addr];
    };
    node_opt(seed, change, relay_client()).await
}

async fn reserved(node: &Node) {
    until("a relay holds a reservation", || async {
        !node.swarm.reach().await.unwrap().relays.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_know_only_a_relay_talk_through_it() {
    let relay = node_opt(90, |_| (), relay_server(RelayLimits::default())).await;
    let a = hidden(91, &relay).await;
    let mut b = hidden(92, &relay).await;
    for hidden in [&a, &b] {
        reserved(hidden).await;
        let reach = hidden.swarm.reach().await.unwrap();
        assert_eq!(reach.relays, [relay.id()]);
        assert_eq!(reach.reachability, Reachability::Unknown);
        let addrs = hidden.swarm.listen_addrs().await.unwrap();
        let expected = format!(
            "{}/p2p-circuit/p2p/{}",
            relay.addr().await,
            hidden.swarm.peer_id()
        );
        assert_eq!(addrs, [expected]);
        assert!(
            reach.external_addrs.contains(&addrs[0]),
            "{reach:?} {addrs:?}"
        );
    }
    // Nobody tells them of each other but the relay, through the DHT.
    acquainted(&a, &b).await;
    assert!(a.peer(&b).await.unwrap().relayed);
    assert!(!a.peer(&relay).await.unwrap().relayed);
    assert!(relay.swarm.stats().circuits >= 1 && relay.swarm.stats().reservations >= 2);

    // The relay is no part of the topic.
    mesh(TOPIC, &[&a, &b], &[(0, 1)]).await;
    let sent = a.swarm.publish(TOPIC, b"through".to_vec()).await.unwrap();
    assert_eq!(sent, Published::Sent);
    let message = b.message().await;
    assert_eq!(
        (&message.data[..], message.forwarder),
        (&b"through"[..], a.id())
    );
    message.verdict.accept();

    let block = dag_cbor(&[7; 30_000]);
    let cid = a.swarm.put_block(block.clone(), true).await.unwrap();
    let got = b.swarm.get_block(&cid, &[a.id()], DEADLINE).await.unwrap();
    assert!(got == block);
    assert!(!relay.swarm.has_block(&cid).await.unwrap());
    assert!(a.swarm.stats().relayed >= 1 && relay.swarm.stats().relayed == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_keeps_to_its_limits_and_a_plain_node_does_not_relay() {
    let limits = RelayLimits {
        reservations: 1,
        ..RelayLimits::default()
    };
    let relay = node_opt(93, |_| (), relay_server(limits)).await;
    let first = hidden(94, &relay).await;
    reserved(&first).await;
    let second = hidden(95, &relay).await;
    until("the second is refused", || async {
        relay.swarm.stats().relay_refused >= 1
    })
    .await;
    assert!(second.swarm.reach().await.unwrap().relays.is_empty());

    let plain = node(96, |_| ()).await;
    let third = hidden(97, &plain).await;
    acquainted(&third, &plain).await;
    assert!(third.swarm.listen_addrs().await.unwrap().is_empty());
    let circuit = format!("{}/p2p-circuit/p2p/{}", plain.addr().await, first.id());
    let refused = third.swarm.dial(&circuit).await;
    assert!(
        matches!(refused, Err(SwarmError::Unreachable { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_taken_again_after_the_relay_came_back() {
    let relay = node_opt(98, |_| (), relay_server(RelayLimits::default())).await;
    let hidden = hidden(99, &relay).await;
    reserved(&hidden).await;
    let listen = relay.addr().await.split_once("/p2p/").unwrap().0.to_owned();
    relay.swarm.shutdown().await;
    until("the loss is seen", || async {
        hidden.swarm.reach().await.unwrap().relays.is_empty()
    })
    .await;
    assert!(hidden.swarm.listen_addrs().await.unwrap().is_empty());
    let mut again = config(98, relay.dir.path());
    again.listen = vec![listen];
    let _relay = pagi_swarm::start_with(again, relay_server(RelayLimits::default()))
        .await
        .unwrap();
    reserved(&hidden).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_way_replaces_the_relay() {
    let relay = node_opt(100, |_| (), relay_server(RelayLimits::default())).await;
    let addr = relay.addr().await;
    let hidden = hidden(101, &relay).await;
    reserved(&hidden).await;
    // This one listens, but the hidden node cannot know where before they met over the relay.
    let open = node_opt(102, |config| config.bootstrap = vec![addr], relay_client()).await;
    acquainted(&open, &relay).await;
    open.swarm.dial(&hidden.addr().await).await.unwrap();
    until("only direct connections are left", || async {
        let peer = hidden.peer(&open).await;
        let links = peer.as_ref().map_or(0, |peer| peer.connections);
        peer.is_some_and(|peer| !peer.relayed)
            && links >= 1
            && hidden.swarm.stats().relayed == 0
            && open.swarm.stats().relayed == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reachable_node_learns_so_and_needs_no_relay() {
    let mut options = relay_server(RelayLimits::default());
    options.reach.autonat = true;
    let relay = node_opt(103, |_| (), options).await;
    let addr = relay.addr().await;
    let mut options = relay_client();
    options.reach.autonat = true;
    let open = node_opt(104, |config| config.bootstrap = vec![addr.clone()], options).await;
    let place = |node: &Node| {
        let swarm = node.swarm.clone();
        async move { swarm.reach().await.unwrap() }
    };
    until("it learns that it can be dialled", || async {
        place(&open).await.reachability == Reachability::Public
    })
    .await;
    until("the reservation is given back", || async {
        place(&open).await.relays.is_empty()
    })
    .await;
    assert!(place(&open).await.dht_server);
    let listening = open.swarm.listen_addrs().await.unwrap();
    assert!(
        listening.iter().all(|addr| !addr.contains("p2p-circuit")),
        "{listening:?}"
    );
    let external = place(&open).await.external_addrs;
    assert!(listening.iter().any(|addr| external.contains(addr)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remembered_peers_are_found_again_without_bootstrap() {
    let a = node(105, |_| ()).await;
    let addr = a.addr().await;
    let b = node(106, |config| config.bootstrap = vec![addr.clone()]).await;
    acquainted(&a, &b).await;
    assert_eq!(
        b.swarm.remembered_peers().await.unwrap(),
        std::slice::from_ref(&addr)
    );
    let came = a.swarm.remembered_peers().await.unwrap();
    assert_eq!(came, [b.addr().await], "what a peer that came by says");
    b.swarm.shutdown().await;

    let known = SwarmOptions {
        known_peers: vec!["rubbish".into(), addr.clone()],
        ..SwarmOptions::default()
    };
    let (swarm, inbound) = pagi_swarm::start_with(config(106, b.dir.path()), known)
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = Node {
        swarm,
        inbound,
        dir,
    };
    acquainted(&a, &b).await;
    assert_eq!(b.swarm.remembered_peers().await.unwrap(), [addr]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_peer_listens_now_is_remembered_beside_where_it_was_reached() {
    let a = node(107, |_| ()).await;
    let old = a.addr().await;
    let b = node(108, |config| config.bootstrap = vec![old.clone()]).await;
    acquainted(&a, &b).await;
    // It comes back at another port, and finds the way itself.
    a.swarm.shutdown().await;
    let known = SwarmOptions {
        known_peers: vec![b.addr().await],
        ..SwarmOptions::default()
    };
    let (swarm, inbound) = pagi_swarm::start_with(config(107, a.dir.path()), known)
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let a = Node {
        swarm,
        inbound,
        dir,
    };
    let new = a.addr().await;
    assert_ne!(old, new);
    until("the new address to be remembered", || async {
        b.swarm.remembered_peers().await.unwrap().contains(&new)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shared_secret_lets_in_who_has_it_and_nobody_else() {
    let secret = |byte: u8| SwarmOptions {
        pre_shared_key: Some(Zeroizing::new([byte; 32])),
        ..SwarmOptions::default()
    };
    let mut a = node_opt(107, |_| (), secret(1)).await;
    let addr = a.addr().await;
    let friend = node_opt(
        108,
        |config| config.bootstrap = vec![addr.clone()],
        secret(1),
    )
    .await;
    acquainted(&a, &friend).await;
    mesh(TOPIC, &[&a, &friend], &[(0, 1)]).await;
    friend.swarm.publish(TOPIC, b"hi".to_vec()).await.unwrap();
    assert_eq!(a.message().await.data, b"hi");

    let wrong = node_opt(109, |_| (), secret(2)).await;
    let without = node(110, |_| ()).await;
    for stranger in [&wrong, &without] {
        let refused = tokio::time::timeout(DEADLINE, stranger.swarm.dial(&addr)).await;
        assert!(
            matches!(refused, Ok(Err(SwarmError::Unreachable { .. }))),
            "{refused:?}"
        );
        assert!(a.peer(stranger).await.is_none());
        assert_eq!(stranger.swarm.stats().connections, 0);
    }
    assert_eq!(a.swarm.stats().connections, 1);

    let dir = tempfile::tempdir().unwrap();
    let mut quic = config(111, dir.path());
    quic.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()];
    let refused = pagi_swarm::start_with(quic, secret(1)).await.unwrap_err();
    assert!(
        matches!(&refused, SwarmError::BadAddress { reason, .. } if reason.contains("QUIC")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_works_with_the_shared_secret_too() {
    let with_secret = |mut options: SwarmOptions| {
        options.pre_shared_key = Some(Zeroizing::new([5; 32]));
        options
    };
    let server = with_secret(relay_server(RelayLimits::default()));
    let relay = node_opt(112, |_| (), server).await;
    let addr = relay.addr().await;
    let mut hidden = Vec::new();
    for seed in [113, 114] {
        let change = |config: &mut pagi_swarm::SwarmConfig| {
            config.listen.clear();
            config.bootstrap = vec![addr.clone()];
        };
        hidden.push(node_opt(seed, change, with_secret(relay_client())).await);
    }
    acquainted(&hidden[0], &hidden[1]).await;
    assert!(hidden[0].peer(&hidden[1]).await.unwrap().relayed);
    let to = hidden[1].id();
    let asked = hidden[0].swarm.clone();
    let ask = tokio::spawn(async move {
        asked
            .request(&to, b"ping".to_vec(), Duration::from_secs(30))
            .await
    });
    let request = hidden[1].inbound.requests.recv().await.unwrap();
    request.reply.send(b"pong".to_vec());
    assert_eq!(ask.await.unwrap().unwrap(), b"pong");
}
