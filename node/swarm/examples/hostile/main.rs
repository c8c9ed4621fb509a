//! Honest nodes under attack: what is delivered, what it costs, who is thrown out.
//!
//! ```text
//! hostile [--honest 7] [--attackers 3] [--seconds 60] [--rate 5] [--identities 1000]
//!         [--attacks unsigned,forged,replayed,…] [--spam 10000]
//! ```
//! The honest nodes run in this process, meshed over loopback, publish `--rate` messages a second each,
//! ask each other and look each other up in the DHT. The attackers run in another process; each does
//! all of the attacks at once, and comes back under a new name and from a new address whenever it is
//! thrown out. Prints one JSON document: the share of the honest messages that arrived at the other
//! honest nodes, the memory of the honest process before and at most, what the nodes counted, and what
//! the attackers sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measuring program, not part of a node"
)]

mod attack;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/attacker.rs"]
mod attacker;

use std::collections::{HashMap, HashSet};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use pagi_messages::SigningIdentity;
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
    /// Messages a second of all spammers together.
    spam: u64,
    attacks: Vec<String>,
    victims: Vec<String>,
}

fn options() -> Options {
    let mut options = Options {
        honest: 7,
        attackers: 3,
        seconds: 60,
        rate: 5,
        identities: 1000,
        spam: 10_000,
        attacks: attack::ALL.iter().map(ToString::to_string).collect(),
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
            "--spam" => options.spam = number(),
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
        false => println!("{}", attack::all(options).await),
    }
}

/// The key of an honest node. The attackers know it, so that they can replay what it signed.
fn seed(n: usize) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[0] = n as u8 + 1;
    seed
}

fn key(n: usize) -> Keypair {
    Keypair::ed25519_from_bytes(seed(n)).unwrap()
}

/// The peer id of the node that a message says it is of.
fn author(data: &[u8]) -> Option<String> {
    let n = std::str::from_utf8(data).ok()?.split(' ').nth(1)?;
    Some(key(n.parse().ok()?).public().to_peer_id().to_string())
}

// ---- the honest ----

type Heard = Arc<Mutex<HashMap<usize, HashSet<Vec<u8>>>>>;

async fn defend(options: Options) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let heard: Heard = Arc::default();
    let mut swarms: Vec<Swarm> = Vec::new();
    let mut bootstrap = Vec::new();
    for n in 0..options.honest {
        let mut config = SwarmConfig::new(seed(n), dir.path().join(n.to_string()));
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
        config.bootstrap = bootstrap.clone();
        config.limits.spare_loopback = false;
        // All honest ones share one address here.
        config.limits.max_connections_per_ip = 64;
        // What is replayed is to get past gossipsub's own memory.
        config.limits.duplicate_seconds = 5;
        let (swarm, mut inbound) = start(config).await.unwrap();
        swarm.subscribe(TOPIC).await.unwrap();
        bootstrap.push(swarm.listen_addrs().await.unwrap().remove(0));
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Some(message) = inbound.gossip.recv().await {
                // Like the coordination messages of a node, these say who wrote them.
                let honest = message.data.starts_with(b"honest ");
                if honest && author(&message.data).as_deref() == Some(&message.author_peer) {
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
    for (n, swarm) in swarms.iter().enumerate() {
        let identity = SigningIdentity::from_seed(&seed(n));
        swarm.announce(&identity).await.unwrap();
    }
    let memory = rss_mib();
    let mut attackers = attackers(&options, &bootstrap);
    let (mut most, mut sent) = (memory, 0u64);
    let begin = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / options.rate.max(1)));
    let failed: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    let mut requests = 0u64;
    let found = Arc::new([const { AtomicU64::new(0) }; 3]);
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
                if let Err(error) = answer.await {
                    *failed.lock().unwrap().entry(error.to_string()).or_default() += 1;
                }
            });
            let (from, whom) = (
                sent as usize % swarms.len(),
                (sent as usize + 3) % swarms.len(),
            );
            let (from, right) = (swarms[from].clone(), swarms[whom].peer_id().to_owned());
            let (did, found) = (SigningIdentity::from_seed(&seed(whom)), Arc::clone(&found));
            tokio::spawn(async move {
                let place = from.resolve(did.did(), Duration::from_secs(20)).await;
                let which = match place {
                    Ok(Some(place)) if place.peer_id == right => 0,
                    Ok(Some(_)) => 1,
                    _ => 2,
                };
                found[which].fetch_add(1, Ordering::Relaxed);
            });
        }
        sent += 1;
        most = most.max(rss_mib());
    }
    tokio::time::sleep(SETTLE).await;
    let failed = failed.lock().unwrap().clone();
    let _ = attackers.start_kill();
    let offered = attackers.wait_with_output().await.unwrap().stdout;
    report(
        &options,
        &swarms,
        &heard,
        sent,
        json!({
            "before": memory, "most": most, "after": rss_mib(),
        }),
        json!({
            "requests": {
                "made": requests, "failed": failed.values().sum::<u64>(), "with": failed,
            },
            "lookups": {
                "right": found[0].load(Ordering::Relaxed),
                "wrong": found[1].load(Ordering::Relaxed),
                "none": found[2].load(Ordering::Relaxed),
            },
            "offered": serde_json::from_slice::<Value>(&offered).unwrap_or(Value::Null),
        }),
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
        .args(["--spam", &options.spam.to_string()])
        .args(["--rate", &options.rate.to_string()])
        .args(["--honest", &options.honest.to_string()])
        .stdout(Stdio::piped())
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
    work: Value,
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
        "work": work,
        "counted": {
            "received": sums["received"], "gossip_limited": sums["gossip_limited"],
            "replayed": sums["replayed"], "requests_in": sums["requests_in"],
            "requests_limited": sums["requests_limited"], "requests_bad": sums["requests_bad"],
            "records_refused": sums["records_refused"], "inbound_dropped": sums["inbound_dropped"],
            "wants_cut": sums["wants_cut"], "rejected": sums["rejected"],
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
