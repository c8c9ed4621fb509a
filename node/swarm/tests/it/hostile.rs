//! Hostile peers: each sends what it should not over a real connection, and the honest nodes go on.
//!
//! Attackers connect from loopback addresses of their own, so that what is counted by address does
//! not hit the honest nodes.

use std::net::IpAddr;
use std::time::Duration;

use pagi_swarm::{Rate, SwarmConfig};

use crate::attacker::{
    Attacker, add_provider, frame, packet, poison, put_value, read_all, record_key, send, signed,
    unsigned, wantlist,
};
use crate::support::{DEADLINE, Node, mesh, node, node_with, until};

const TOPIC: &str = "test-topic";
const REQUEST: &str = "/pagi/pagi/request/1";

/// A node that treats loopback like any other network.
fn strict(config: &mut SwarmConfig) {
    config.limits.spare_loopback = false;
}

fn from(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A victim and an honest node, meshed.
async fn pair(seed: u8, change: impl FnOnce(&mut SwarmConfig)) -> (Node, Node) {
    let victim = node(seed, |config| {
        strict(config);
        change(config);
    })
    .await;
    let addr = victim.addr().await;
    let honest = node(seed + 1, |config| {
        strict(config);
        config.bootstrap = vec![addr];
    })
    .await;
    mesh(TOPIC, &[&victim, &honest], &[(0, 1)]).await;
    (victim, honest)
}

/// The next message of the honest node arrives, whatever else does.
async fn hears(victim: &mut Node, honest: &Node, text: &str) {
    honest
        .swarm
        .publish(TOPIC, text.as_bytes().to_vec())
        .await
        .unwrap();
    loop {
        let message = victim.message().await;
        let (author, data) = (message.author_peer.clone(), message.data.clone());
        message.verdict.accept();
        if author == honest.id() && data == text.as_bytes() {
            return;
        }
    }
}

async fn is_banned(victim: &Node, attacker: &Attacker) -> bool {
    let id = attacker.peer.to_string();
    let banned = victim.swarm.banned().await.unwrap();
    banned.iter().any(|banned| banned.peer_id == id)
}

async fn gets_banned(victim: &Node, attacker: &mut Attacker) {
    until("the attacker is banned", || is_banned(victim, attacker)).await;
    assert!(attacker.thrown_out(DEADLINE).await);
    let stats = victim.swarm.stats();
    assert!(stats.bans >= 1 && stats.banned >= 1, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_and_wrongly_signed_gossip_gets_its_sender_banned() {
    let (mut victim, honest) = pair(150, |_| ()).await;
    let addr = victim.addr().await;
    for (n, kind) in ["unsigned", "another's key", "another's name", "bent"]
        .into_iter()
        .enumerate()
    {
        let mut attacker = Attacker::connect(&addr, from(60 + n as u8)).await.unwrap();
        let mut stream = attacker.gossip().await.unwrap();
        let other = libp2p::identity::Keypair::generate_ed25519();
        let own = attacker.peer.to_bytes();
        for number in 0..8u64 {
            let data = format!("{kind} {number}").into_bytes();
            let message = match kind {
                "unsigned" => unsigned(&own, TOPIC, &data, number),
                "another's key" => signed(&other, &own, TOPIC, &data, number),
                "another's name" => {
                    let name = other.public().to_peer_id().to_bytes();
                    signed(&attacker.key, &name, TOPIC, &data, number)
                }
                _ => {
                    let mut message = attacker.signed(TOPIC, &data, number);
                    let end = message.len() - 1;
                    message[end] ^= 1;
                    message
                }
            };
            // Once banned, the rest is not taken.
            if send(&mut stream, &packet(&[message])).await.is_err() {
                break;
            }
        }
        gets_banned(&victim, &mut attacker).await;
        hears(&mut victim, &honest, kind).await;
    }
    assert_eq!(victim.swarm.stats().received, 4, "of the honest node alone");
    let back = Attacker::connect(&addr, from(70)).await;
    assert!(back.is_ok(), "others may come from elsewhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_oversize_gossip_is_not_taken() {
    let (mut victim, honest) = pair(152, |_| ()).await;
    let addr = victim.addr().await;
    let large = vec![9; 256 * 1024 + 1];
    let mut attacker = Attacker::connect(&addr, from(61)).await.unwrap();
    let whole = packet(&[attacker.signed(TOPIC, b"half", 1)]);
    let attacks: Vec<Vec<u8>> = vec![
        frame(&[0xff; 500]),
        vec![0xff; 500],
        frame(&[]),
        packet(&[vec![0x22, 0x05, b'a']]),
        packet(&[attacker.signed(TOPIC, &large, 2)]),
        whole[..whole.len() / 2].to_vec(),
    ];
    for attack in attacks {
        let Ok(mut stream) = attacker.gossip().await else {
            break;
        };
        // The victim may close the stream before all of it is sent.
        let _ = send(&mut stream, &attack).await;
        hears(
            &mut victim,
            &honest,
            &format!("after {} bytes", attack.len()),
        )
        .await;
    }
    assert_eq!(victim.swarm.stats().accepted, victim.swarm.stats().received);
    assert!(victim.swarm.stats().received >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_message_is_taken_once_though_gossip_has_forgotten_it() {
    let (mut victim, honest) = pair(154, |config| config.limits.duplicate_seconds = 1).await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(62))
        .await
        .unwrap();
    let mut stream = attacker.gossip().await.unwrap();
    let old = packet(&[attacker.signed(TOPIC, b"old news", 1)]);
    send(&mut stream, &old).await.unwrap();
    let message = victim.message().await;
    assert_eq!(message.data, b"old news");
    message.verdict.accept();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while victim.swarm.stats().replayed < 2 {
        assert!(tokio::time::Instant::now() < deadline, "no replay noticed");
        send(&mut stream, &old).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hears(&mut victim, &honest, "news").await;
    assert!(victim.inbound.gossip.try_recv().is_err());
    until("both are counted", || async {
        victim.swarm.stats().accepted == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_messages_that_come_back_are_not_held_against_who_brings_them() {
    let (victim, mut honest) = pair(175, |config| config.limits.duplicate_seconds = 1).await;
    let mut bringer = Attacker::connect(&victim.addr().await, from(75))
        .await
        .unwrap();
    let mut stream = bringer.gossip().await.unwrap();
    let own = libp2p::identity::Keypair::ed25519_from_bytes([175; 32]).unwrap();
    let name = own.public().to_peer_id().to_bytes();
    // More than the invalid ones that end an acquaintance.
    for n in 0..12u64 {
        let again = signed(&own, &name, TOPIC, format!("mine {n}").as_bytes(), n);
        send(&mut stream, &packet(&[again])).await.unwrap();
    }
    until("they are noticed", || async {
        victim.swarm.stats().replayed == 12
    })
    .await;
    hears(&mut honest, &victim, "still here").await;
    assert!(bringer.is_connected() && !is_banned(&victim, &bringer).await);
    assert_eq!(victim.swarm.stats().bans, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_author_does_not_fill_the_queue() {
    const EACH: usize = 10;
    let (mut victim, honest) = pair(177, |config| {
        config.limits.max_waiting_per_author = EACH;
        config.limits.inbound_queue = 2 * EACH;
    })
    .await;
    let mut loud = Attacker::connect(&victim.addr().await, from(76))
        .await
        .unwrap();
    let mut stream = loud.gossip().await.unwrap();
    for n in 0..100u64 {
        let message = loud.signed(TOPIC, format!("loud {n}").as_bytes(), n);
        send(&mut stream, &packet(&[message])).await.unwrap();
    }
    // Nobody reads meanwhile.
    until("the excess is dropped", || async {
        victim.swarm.stats().inbound_dropped == 100 - EACH as u64
    })
    .await;
    hears(&mut victim, &honest, "a word").await;
    until("all is judged", || async {
        victim.swarm.stats().accepted == EACH as u64 + 1
    })
    .await;
    for n in 100..110u64 {
        let message = loud.signed(TOPIC, format!("loud {n}").as_bytes(), n);
        send(&mut stream, &packet(&[message])).await.unwrap();
    }
    for _ in 0..EACH {
        let message = victim.message().await;
        assert_eq!(message.author_peer, loud.peer.to_string());
        message.verdict.accept();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_first_what_another_will_say_does_not_silence_it() {
    let (mut victim, honest) = pair(169, |_| ()).await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(71))
        .await
        .unwrap();
    let mut stream = attacker.gossip().await.unwrap();
    let stolen = packet(&[attacker.signed(TOPIC, b"the truth", 1)]);
    send(&mut stream, &stolen).await.unwrap();
    // The application sees that it is not of whom it says, and refuses it.
    let message = victim.message().await;
    assert_eq!(message.author_peer, attacker.peer.to_string());
    message.verdict.reject();
    until("it is judged", || async {
        victim.swarm.stats().rejected == 1
    })
    .await;
    hears(&mut victim, &honest, "the truth").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_valid_gossip_is_cut_and_its_sender_banned() {
    const SPAM: u64 = 20_000;
    const BURST: u32 = 200;
    let (mut victim, honest) = pair(156, |config| {
        config.limits.gossip_rate = Some(Rate {
            per_second: 50,
            burst: BURST,
        });
    })
    .await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(63))
        .await
        .unwrap();
    let mut stream = attacker.gossip().await.unwrap();
    let spam: Vec<Vec<u8>> = (0..SPAM)
        .map(|n| packet(&[attacker.signed(TOPIC, format!("spam {n}").as_bytes(), n)]))
        .collect();
    let flood = tokio::spawn(async move {
        for message in spam {
            if send(&mut stream, &message).await.is_err() {
                return;
            }
        }
    });
    for n in 0..20 {
        hears(&mut victim, &honest, &format!("honest {n}")).await;
    }
    gets_banned(&victim, &mut attacker).await;
    flood.await.unwrap();
    let stats = victim.swarm.stats();
    assert!(stats.gossip_limited > 100, "{stats:?}");
    let seconds = DEADLINE.as_secs() as u32;
    assert!(
        stats.accepted <= u64::from(BURST + 50 * seconds),
        "{stats:?}"
    );
    let peer = victim.peer(&honest).await.unwrap();
    assert!(peer.in_mesh && peer.limited == 0, "{peer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_topics_nobody_listens_to_gets_its_sender_banned() {
    let (mut victim, honest) = pair(158, |config| {
        config.limits.gossip_rate = Some(Rate {
            per_second: 50,
            burst: 200,
        });
    })
    .await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(64))
        .await
        .unwrap();
    let mut stream = attacker.gossip().await.unwrap();
    for n in 0..40_000 {
        let topic = format!("topic {n}");
        let message = attacker.signed(&topic, b"x", n);
        if send(&mut stream, &packet(&[message])).await.is_err() {
            break;
        }
    }
    gets_banned(&victim, &mut attacker).await;
    hears(&mut victim, &honest, "still here").await;
    assert_eq!(victim.swarm.stats().received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_identities_of_one_address_gain_nothing() {
    const ALLOWED: u32 = 8;
    let (mut victim, honest) = pair(160, |config| {
        config.limits.max_connections_per_ip = ALLOWED;
    })
    .await;
    let addr = victim.addr().await;
    let mut sybils = Vec::new();
    for _ in 0..40 {
        if let Ok(attacker) = Attacker::connect(&addr, from(65)).await {
            sybils.push(attacker);
        }
    }
    assert_eq!(sybils.len(), ALLOWED as usize);
    assert!(victim.swarm.stats().refused_connections >= 32);
    // Four of them misbehave: then the address is kept out.
    for attacker in sybils.iter_mut().take(4) {
        let mut stream = attacker.gossip().await.unwrap();
        for number in 0..8 {
            let message = unsigned(&attacker.peer.to_bytes(), TOPIC, b"x", number);
            let _ = send(&mut stream, &packet(&[message])).await;
        }
        gets_banned(&victim, attacker).await;
    }
    until("the address is kept out", || async {
        victim.swarm.stats().banned_ips == 1
    })
    .await;
    assert!(Attacker::connect(&addr, from(65)).await.is_err());
    hears(&mut victim, &honest, "still here").await;
    let newcomer = node_with(162, &victim).await;
    crate::support::acquainted(&victim, &newcomer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_and_oversize_requests_leave_room_for_honest_ones() {
    let (mut victim, honest) = pair(163, |_| ()).await;
    let addr = victim.addr().await;
    let id = victim.id();
    let mut requests = std::mem::replace(&mut victim.inbound.requests, {
        let (_, closed) = tokio::sync::mpsc::channel(1);
        closed
    });
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            request.reply.send(request.data);
        }
    });
    let mut attacker = Attacker::connect(&addr, from(66)).await.unwrap();
    let mut open = Vec::new();
    for n in 0..200u32 {
        let Ok(mut stream) = attacker.open(REQUEST).await else {
            break;
        };
        // A megabyte is announced, a little of it comes; or nothing at all.
        if n % 2 == 0 {
            let _ = send(&mut stream, &(1024u32 * 1024).to_be_bytes()).await;
            let _ = send(&mut stream, &[1; 100]).await;
        }
        open.push(stream);
    }
    let answer = honest.swarm.request(&id, b"hello".to_vec(), DEADLINE);
    assert_eq!(answer.await.unwrap(), b"hello");

    let mut rude = Attacker::connect(&addr, from(67)).await.unwrap();
    for _ in 0..40 {
        let Ok(mut stream) = rude.open(REQUEST).await else {
            break;
        };
        let _ = send(&mut stream, &u32::MAX.to_be_bytes()).await;
        let _ = read_all(&mut stream).await;
    }
    gets_banned(&victim, &mut rude).await;
    // Fewer would not be enough for a ban.
    assert!(victim.swarm.stats().requests_bad >= 7);
    let answer = honest.swarm.request(&id, b"again".to_vec(), DEADLINE);
    assert_eq!(answer.await.unwrap(), b"again");
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_cannot_fill_the_dht() {
    let (mut victim, honest) = pair(165, |_| ()).await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(68))
        .await
        .unwrap();
    let key = |n: u32| [&[0x12, 32][..], &[5; 28], &n.to_be_bytes()].concat();
    let mut stream = attacker.open("/pagi/pagi/kad/1").await.unwrap();
    for n in 0..3000 {
        send(&mut stream, &add_provider(&attacker.peer, &key(n)))
            .await
            .unwrap();
    }
    until("the excess is refused", || async {
        victim.swarm.stats().records_refused == 3000 - 1024
    })
    .await;
    for n in 0..10 {
        send(&mut stream, &put_value(&key(n), &[7; 3000]))
            .await
            .unwrap();
    }
    until("the records are refused", || async {
        victim.swarm.stats().records_refused == 3000 - 1024 + 10
    })
    .await;
    hears(&mut victim, &honest, "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_without_end_is_banned_and_what_it_wanted_is_forgotten() {
    const ALLOWED: usize = 5000;
    let (mut victim, honest) = pair(171, |config| {
        config.limits.max_wants_per_peer = ALLOWED;
    })
    .await;
    let addr = victim.addr().await;
    let mut modest = Attacker::connect(&addr, from(72)).await.unwrap();
    let mut stream = modest.open("/ipfs/bitswap/1.2.0").await.unwrap();
    let some = wantlist(ALLOWED as u32 - 1, 1);
    send(&mut stream, &some).await.unwrap();
    until("what it wants is counted", || async {
        victim.swarm.stats().wants == ALLOWED as u64 - 1
    })
    .await;
    let mut greedy = Attacker::connect(&addr, from(73)).await.unwrap();
    let mut flood = greedy.open("/ipfs/bitswap/1.2.0").await.unwrap();
    for salt in 0..1000 {
        if send(&mut flood, &wantlist(1000, salt)).await.is_err() {
            break;
        }
    }
    gets_banned(&victim, &mut greedy).await;
    assert_eq!(victim.swarm.stats().wants_cut, 1);
    until("its list is gone", || async {
        victim.swarm.stats().wants == ALLOWED as u64 - 1
    })
    .await;
    assert!(modest.is_connected());
    hears(&mut victim, &honest, "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poisoned_records_and_routes_do_not_lead_astray() {
    let (mut victim, honest) = pair(173, |_| ()).await;
    let identity = pagi_messages::SigningIdentity::from_seed(&[174; 32]);
    honest.swarm.announce(&identity).await.unwrap();
    let addr = victim.addr().await;
    let mut attacker = Attacker::connect_as_member(&addr, from(74), poison)
        .await
        .unwrap();
    until("it passes for a node", || async {
        victim.swarm.stats().connected == 2
    })
    .await;
    let mut stream = attacker.open("/pagi/pagi/kad/1").await.unwrap();
    let key = libp2p::identity::Keypair::ed25519_from_bytes([174; 32]).unwrap();
    let record = put_value(&record_key(&key), &attacker.whereabouts());
    send(&mut stream, &record).await.unwrap();
    until("its record is refused", || async {
        victim.swarm.stats().records_refused == 1
    })
    .await;
    let place = victim.swarm.resolve(identity.did(), DEADLINE).await;
    assert_eq!(place.unwrap().unwrap().peer_id, honest.id());
    // Of a node nobody announced there is only what the attacker says.
    let nobody = pagi_messages::SigningIdentity::from_seed(&[99; 32]);
    let place = victim.swarm.resolve(nobody.did(), Duration::from_secs(20));
    assert_eq!(place.await.unwrap(), None);
    for _ in 0..20 {
        if send(&mut stream, &record).await.is_err() {
            break;
        }
    }
    gets_banned(&victim, &mut attacker).await;
    hears(&mut victim, &honest, "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_wants_does_not_keep_honest_nodes_from_talking() {
    let (mut victim, honest) = pair(167, |_| ()).await;
    let mut attacker = Attacker::connect(&victim.addr().await, from(69))
        .await
        .unwrap();
    let mut stream = attacker.open("/ipfs/bitswap/1.2.0").await.unwrap();
    let flood = tokio::spawn(async move {
        for salt in 0..5 {
            if send(&mut stream, &wantlist(20_000, salt)).await.is_err() {
                return;
            }
        }
    });
    for n in 0..20 {
        hears(&mut victim, &honest, &format!("honest {n}")).await;
    }
    flood.await.unwrap();
    let block = crate::support::dag_cbor(&[3; 400]);
    let cid = honest.swarm.put_block(block.clone(), true).await.unwrap();
    let got = victim
        .swarm
        .get_block(&cid, &[honest.id()], Duration::from_secs(30))
        .await;
    assert_eq!(got.unwrap(), block);
    assert!(attacker.is_connected() || is_banned(&victim, &attacker).await);
}
