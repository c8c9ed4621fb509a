//! The public IPFS DHT, stood for by one plain libp2p node on loopback that serves it.

use std::net::TcpListener;
use std::time::Duration;

use cid::Cid;
use futures::StreamExt;
use libp2p::kad::RecordKey;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, SwarmBuilder, identify, kad, noise, tcp, yamux};
use pagi_swarm::{SwarmError, SwarmOptions, start_with};
use tokio::sync::{mpsc, oneshot};

use crate::support::{Node, acquainted, config, node_opt, until};

#[derive(NetworkBehaviour)]
struct Serving {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

enum Order {
    /// Announces that it has something.
    Have(RecordKey),
    /// Who announced something.
    Who(RecordKey, oneshot::Sender<Vec<PeerId>>),
}

struct Server {
    peer: PeerId,
    addr: String,
    orders: mpsc::Sender<Order>,
}

impl Server {
    async fn start() -> Server {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|key| {
                let local = key.public().to_peer_id();
                let mut kad = kad::Behaviour::new(local, MemoryStore::new(local));
                kad.set_mode(Some(kad::Mode::Server));
                let identify = identify::Config::new("ipfs/0.1.0".into(), key.public());
                Serving {
                    kad,
                    identify: identify::Behaviour::new(identify),
                }
            })
            .unwrap()
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(600))
            })
            .build();
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        let addr = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let peer = *swarm.local_peer_id();
        let (orders, mut waiting) = mpsc::channel(8);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    order = waiting.recv() => match order {
                        None => return,
                        Some(Order::Have(key)) => {
                            swarm.behaviour_mut().kad.start_providing(key).unwrap();
                        }
                        Some(Order::Who(key, answer)) => {
                            let store = swarm.behaviour_mut().kad.store_mut();
                            let providers = store.providers(&key).into_iter();
                            let _ = answer.send(providers.map(|p| p.provider).collect());
                        }
                    },
                }
            }
        });
        Server {
            peer,
            addr: format!("{addr}/p2p/{peer}"),
            orders,
        }
    }

    async fn who(&self, cid: &Cid) -> Vec<PeerId> {
        let (answer, answered) = oneshot::channel();
        let key = RecordKey::from(cid.hash().to_bytes());
        self.orders.send(Order::Who(key, answer)).await.unwrap();
        answered.await.unwrap()
    }
}

/// A node in the server's DHT, with an address that it knows to be its own.
async fn joined(seed: u8, swarm: &str, server: &Server) -> Node {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", free.local_addr().unwrap().port());
    drop(free);
    let options = SwarmOptions {
        announce: vec![listen.clone()],
        public_dht: vec![server.addr.clone()],
        ..SwarmOptions::default()
    };
    let change = |config: &mut pagi_swarm::SwarmConfig| {
        config.swarm = swarm.to_owned();
        config.listen = vec![listen];
    };
    node_opt(seed, change, options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_know_no_address_of_each_other_meet_in_the_public_dht() {
    let server = Server::start().await;
    let a = joined(180, "meeting", &server).await;
    let b = joined(181, "meeting", &server).await;
    let other = joined(182, "another", &server).await;
    acquainted(&a, &b).await;
    until("all to know the public DHT", || async {
        let mut there = true;
        for node in [&a, &b, &other] {
            there &= node.swarm.reach().await.unwrap().public_dht_peers == Some(1);
        }
        there
    })
    .await;
    assert!(a.peer(&other).await.is_none_or(|peer| !peer.member));
    // What is met there is no member.
    let members = |peers: Vec<pagi_swarm::PeerInfo>| peers.iter().filter(|p| p.member).count();
    assert_eq!(members(other.swarm.peers().await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_announced_and_found_in_the_public_dht() {
    let server = Server::start().await;
    let a = joined(183, "alone", &server).await;
    // {"a": 1}
    let ours = a.swarm.put_block(vec![0xa1, 0x61, 0x61, 0x01], false).await;
    let ours = ours.unwrap();
    // {"a": 2}: for the swarm alone.
    let private = a.swarm.put_block(vec![0xa1, 0x61, 0x61, 0x02], false).await;
    let private = private.unwrap();
    until("the public DHT to be known", || async {
        a.swarm.reach().await.unwrap().public_dht_peers == Some(1)
    })
    .await;
    a.swarm.provide(&private).await.unwrap();
    a.swarm.provide_publicly(&ours).await.unwrap();
    until("the announcement to arrive", || async {
        server
            .who(&ours)
            .await
            .iter()
            .any(|p| p.to_string() == a.id())
    })
    .await;
    assert!(server.who(&private).await.is_empty());

    // Somebody else has this.
    let theirs = pagi_swarm::raw_cid(b"theirs");
    let key = RecordKey::from(theirs.hash().to_bytes());
    server.orders.send(Order::Have(key)).await.unwrap();
    let found = a.swarm.find_providers(&theirs, Duration::from_secs(20));
    assert_eq!(found.await.unwrap(), [server.peer.to_string()]);
}

#[tokio::test]
async fn invited_swarms_and_those_with_a_key_stay_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    for gated in [true, false] {
        let options = SwarmOptions {
            gated,
            pre_shared_key: (!gated).then(|| [1; 32].into()),
            public_dht: vec![server.addr.clone()],
            ..SwarmOptions::default()
        };
        let refused = start_with(config(184, dir.path()), options).await;
        let field = match refused {
            Err(SwarmError::BadConfig { field, .. }) => field,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it started"),
        };
        assert_eq!(field, "public_dht");
    }
}
