//! Honest nodes under attack: what is delivered, what it costs, who is thrown out.
//!
//! ```text
//! hostile [--honest 7] [--attackers 3] [--seconds 60] [--rate 5] [--identities 1000]
//!         [--attacks spam,forged,topics,requests,slow,dht,identities,wants]
//! ```
//! The honest nodes run in this process, meshed over loopback, and publish `--rate` messages a second
//! each; the attackers run in another one, each from a loopback address of its own, and come back
//! under a new name whenever they are thrown out. Prints one JSON document: the share of the honest
//! messages that arrived at the other honest nodes, the memory of the honest process before and at
//! most, and what the nodes counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measuring program, not part of a node"
)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/attacker.rs"]
mod attacker;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attacker::{
    Attacker, Refused, add_provider, packet, put_value, send, signed, unsigned, wantlist,
};
use pagi_swarm::{LOG_FILTER, Swarm, SwarmConfig, start};
use serde_json::{Value, json};

const TOPIC: &str = "hostile";
/// After the end of the attack, time for what is under way.
const SETTLE: Duration = Duration::from_secs(15);

struct Options {
    honest: usize,
    attackers: usize,
    seconds: u64,
    rate: u64,
    identities: usize,
    attacks: Vec<String>,
    victims: Vec<String>,
}

fn options() -> Options {
    let all = "spam,forged,topics,requests,slow,dht,identities,wants";
    let mut options = Options {
        honest: 7,
        attackers: 3,
        seconds: 60,
        rate: 5,
        identities: 1000,
        attacks: all.split(',').map(String::from).collect(),
        victims: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args
            .next()
            .unwrap_or_else(|| panic!("{flag} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{flag}: {value}?"));
        match flag.as_str() {
            "--honest" => options.honest = number() as usize,
            "--attackers" => options.attackers = number() as usize,
            "--seconds" => options.seconds = number(),
            "--rate" => options.rate = number(),
            "--identities" => options.identities = number() as usize,
            "--attacks" => options.attacks = value.split(',').map(String::from).collect(),
            "--victim" => options.victims.push(value),
            other => panic!("{other} is not an option"),
        }
    }
    options
}

#[tokio::main]
async fn main() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("error,{LOG_FILTER}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let options = options();
    match options.victims.is_empty() {
        true => println!("{}", defend(options).await),
        false => attack(options).await,
    }
}

// ---- the honest ----

type Heard = Arc<Mutex<HashMap<usize, HashSet<Vec<u8>>>>>;

async fn defend(options: Options) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let heard: Heard = Arc::default();
    let mut swarms: Vec<Swarm> = Vec::new();
    let mut bootstrap = Vec::new();
    for n in 0..options.honest {
        let mut seed = [0; 32];
        seed[0] = n as u8 + 1;
        let mut config = SwarmConfig::new(seed, dir.path().join(n.to_string()));
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
        config.bootstrap = bootstrap.clone();
        config.limits.spare_loopback = false;
        // All honest ones share one address here.
        config.limits.max_connections_per_ip = 64;
        let (swarm, mut inbound) = start(config).await.unwrap();
        swarm.subscribe(TOPIC).await.unwrap();
        bootstrap.push(swarm.listen_addrs().await.unwrap().remove(0));
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Some(message) = inbound.gossip.recv().await {
                if message.data.starts_with(b"honest ") {
                    heard
                        .lock()
                        .unwrap()
                        .entry(n)
                        .or_default()
                        .insert(message.data.clone());
                    message.verdict.accept();
                } else if message.data.starts_with(b"spam ") {
                    // As an application that cannot tell spam from other messages would.
                    message.verdict.accept();
                } else {
                    message.verdict.reject();
                }
            }
        });
        tokio::spawn(async move {
            while let Some(request) = inbound.requests.recv().await {
                request.reply.send(request.data);
            }
        });
        swarms.push(swarm);
    }
    let meshed = Instant::now() + Duration::from_secs(60);
    for swarm in &swarms {
        while (swarm.stats().connected as usize) < options.honest - 1 {
            assert!(Instant::now() < meshed, "the honest nodes did not meet");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let memory = rss_mib();
    let mut attackers = attackers(&options, &bootstrap);
    let (mut most, mut sent) = (memory, 0u64);
    let begin = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / options.rate.max(1)));
    let failed = Arc::new(AtomicU64::new(0));
    let mut requests = 0u64;
    while begin.elapsed() < Duration::from_secs(options.seconds) {
        tick.tick().await;
        for (n, swarm) in swarms.iter().enumerate() {
            let (swarm, data) = (swarm.clone(), format!("honest {n} {sent}").into_bytes());
            tokio::spawn(async move { swarm.publish(TOPIC, data).await });
        }
        if sent.is_multiple_of(options.rate.max(1)) {
            requests += 1;
            let (from, to) = (swarms[0].clone(), swarms[1].peer_id().to_owned());
            let failed = Arc::clone(&failed);
            tokio::spawn(async move {
                let answer = from.request(&to, b"hello".to_vec(), Duration::from_secs(20));
                if answer.await.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        sent += 1;
        most = most.max(rss_mib());
    }
    let _ = attackers.kill().await;
    tokio::time::sleep(SETTLE).await;
    report(
        &options,
        &swarms,
        &heard,
        sent,
        json!({
            "before": memory, "most": most, "after": rss_mib(),
        }),
        json!({"made": requests, "failed": failed.load(Ordering::Relaxed)}),
    )
    .await
}

fn attackers(options: &Options, victims: &[String]) -> tokio::process::Child {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    for victim in victims {
        command.args(["--victim", victim]);
    }
    command
        .args(["--attackers", &options.attackers.to_string()])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--identities", &options.identities.to_string()])
        .args(["--attacks", &options.attacks.join(",")])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn report(
    options: &Options,
    swarms: &[Swarm],
    heard: &Heard,
    sent: u64,
    memory: Value,
    requests: Value,
) -> Value {
    let expected = sent * (options.honest * (options.honest - 1)) as u64;
    let arrived: usize = heard.lock().unwrap().values().map(HashSet::len).sum();
    let mut sums: HashMap<String, u64> = HashMap::new();
    let mut banned = HashSet::new();
    for swarm in swarms {
        let stats = serde_json::to_value(swarm.stats()).unwrap();
        for (name, value) in stats.as_object().unwrap() {
            *sums.entry(name.clone()).or_default() += value.as_u64().unwrap_or(0);
        }
        banned.extend(
            swarm
                .banned()
                .await
                .unwrap()
                .into_iter()
                .map(|peer| peer.peer_id),
        );
    }
    let honest_banned = swarms
        .iter()
        .filter(|swarm| banned.contains(swarm.peer_id()));
    json!({
        "honest": options.honest,
        "attackers": options.attackers,
        "attacks": options.attacks,
        "seconds": options.seconds,
        "sent": sent * options.honest as u64,
        "expected": expected,
        "arrived": arrived,
        "delivery": (arrived as f64 / expected.max(1) as f64 * 10_000.0).round() / 10_000.0,
        "honest_banned": honest_banned.count(),
        "identities_banned": banned.len(),
        "memory_mib": memory,
        "requests": requests,
        "counted": {
            "received": sums["received"], "gossip_limited": sums["gossip_limited"],
            "replayed": sums["replayed"], "requests_in": sums["requests_in"],
            "requests_limited": sums["requests_limited"], "requests_bad": sums["requests_bad"],
            "records_refused": sums["records_refused"], "inbound_dropped": sums["inbound_dropped"],
            "refused_connections": sums["refused_connections"], "bans": sums["bans"],
            "banned_ips": sums["banned_ips"], "connected": sums["connected"],
        },
    })
}

fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

// ---- the hostile ----

async fn attack(options: Options) {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut work = tokio::task::JoinSet::new();
    for n in 0..options.attackers {
        let from = IpAddr::from([127, 1, 0, n as u8 + 1]);
        for (kind, attack) in options.attacks.iter().enumerate() {
            let victim = options.victims[(n + kind) % options.victims.len()].clone();
            let (attack, identities) = (attack.clone(), options.identities);
            work.spawn(async move {
                if attack == "identities" {
                    return if n == 0 {
                        crowd(&victim, IpAddr::from([127, 2, 0, 1]), identities, end).await;
                    };
                }
                while Instant::now() < end {
                    let done = one(&attack, &victim, from, end).await;
                    if done.is_err() {
                        // Thrown out or kept out: as somebody else again.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            });
        }
    }
    while work.join_next().await.is_some() {}
}

/// Many identities from one address, each of which sends a little.
async fn crowd(victim: &str, from: IpAddr, count: usize, end: Instant) {
    let mut crowd = Vec::new();
    for n in 0..count {
        if Instant::now() > end {
            return;
        }
        let Ok(mut attacker) = Attacker::connect(victim, from).await else {
            continue;
        };
        if let Ok(mut stream) = attacker.gossip().await {
            let message = attacker.signed(TOPIC, format!("spam crowd {n}").as_bytes(), 1);
            let _ = send(&mut stream, &packet(&[message])).await;
        }
        crowd.push(attacker);
    }
    tokio::time::sleep_until(end.into()).await;
}

/// One attack under one name, until it is thrown out.
async fn one(attack: &str, victim: &str, from: IpAddr, end: Instant) -> Result<(), Refused> {
    let mut attacker = Attacker::connect(victim, from).await?;
    let own = attacker.peer.to_bytes();
    let stranger = libp2p::identity::Keypair::generate_ed25519();
    let salt = u64::from_be_bytes(own[own.len() - 8..].try_into()?);
    let mut n = 0u64;
    let kad = |attacker: &Attacker, n: u64| {
        let key = [
            &[0x12, 32][..],
            &[3; 16],
            &salt.to_be_bytes(),
            &n.to_be_bytes(),
        ]
        .concat();
        match n % 2 {
            0 => add_provider(&attacker.peer, &key),
            _ => put_value(&key, &[9; 1000]),
        }
    };
    let protocol = match attack {
        "spam" | "forged" | "topics" => "/pagi/pagi/meshsub/1.1.0",
        "requests" | "slow" => "/pagi/pagi/request/1",
        "dht" => "/pagi/pagi/kad/1",
        _ => "/ipfs/bitswap/1.2.0",
    };
    let mut held = Vec::new();
    let mut stream = attacker.open(protocol).await?;
    while Instant::now() < end {
        n += 1;
        let data = format!("spam {salt} {n}").into_bytes();
        match attack {
            "spam" => send(&mut stream, &packet(&[attacker.signed(TOPIC, &data, n)])).await?,
            "forged" => {
                let message = match n % 2 {
                    0 => unsigned(&own, TOPIC, &data, n),
                    _ => signed(&stranger, &own, TOPIC, &data, n),
                };
                send(&mut stream, &packet(&[message])).await?;
            }
            "topics" => {
                let message = attacker.signed(&format!("topic {n}"), &data, n);
                send(&mut stream, &packet(&[message])).await?;
            }
            "requests" => {
                stream = attacker.open(protocol).await?;
                send(
                    &mut stream,
                    &[&1000u32.to_be_bytes()[..], &[7; 1000]].concat(),
                )
                .await?;
            }
            "slow" => {
                // Half-open, and a megabyte that trickles.
                let mut slow = attacker.open(protocol).await?;
                if n.is_multiple_of(2) {
                    send(&mut slow, &(1u32 << 20).to_be_bytes()).await?;
                }
                held.push(slow);
                for slow in held.iter_mut().rev().take(10) {
                    let _ = send(slow, &[1]).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                held.truncate(500);
            }
            "dht" => {
                let message = kad(&attacker, n);
                stream = match n % 50 {
                    0 => attacker.open(protocol).await?,
                    _ => stream,
                };
                send(&mut stream, &message).await?;
            }
            _ => send(&mut stream, &wantlist(10_000, salt ^ n)).await?,
        }
        if !attacker.is_connected() {
            return Err("thrown out".into());
        }
    }
    Ok(())
}
