//! What the attackers do.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libp2p::Stream;
use libp2p::identity::Keypair;
use serde_json::{Value, json};

use crate::attacker::{
    Attacker, Refused, add_provider, frame, packet, poison, put_value, record_key, send, signed,
    unsigned, wantlist,
};
use crate::{Options, TOPIC, key};

/// All attacks there are.
pub const ALL: [&str; 13] = [
    "unsigned",   // gossip without a signature
    "forged",     // signed by another than it says
    "replayed",   // what honest nodes signed earlier
    "stolen",     // what honest nodes will say, under the attacker's own name
    "oversize",   // gossip larger than allowed, and frames larger still
    "malformed",  // bytes that are no gossip
    "spam",       // valid gossip, far too much of it
    "topics",     // gossip on topics nobody listens to
    "requests",   // requests, far too many
    "slow",       // requests that never end
    "dht",        // records and routes that are wrong, and far too many
    "identities", // many names from one address
    "wants",      // bitswap wantlists without end
];

const GOSSIP: &str = "/pagi/pagi/meshsub/1.1.0";
/// Messages in one packet of spam: as many as gossipsub takes.
const PACKET: u64 = 64;

/// What one kind of attack has sent.
#[derive(Default)]
struct Offered {
    /// Messages, requests, records or wants that the victims' machine took.
    sent: AtomicU64,
    /// Those of the present second, and most of one second.
    second: AtomicU64,
    most: AtomicU64,
    /// Names under which it was tried, and those that got in.
    names: AtomicU64,
    connected: AtomicU64,
}

impl Offered {
    fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.second.fetch_add(count, Ordering::Relaxed);
    }
}

/// Attacks until the time is up, and says what was sent.
pub async fn all(options: Options) -> Value {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(options.seconds);
    let options = Arc::new(options);
    let lives = Arc::new(AtomicU32::new(0));
    let mut kinds = Vec::new();
    let mut work = tokio::task::JoinSet::new();
    for (kind, attack) in options.attacks.iter().enumerate() {
        let offered = Arc::new(Offered::default());
        kinds.push((attack.clone(), Arc::clone(&offered)));
        for n in 0..options.attackers {
            let (offered, lives) = (Arc::clone(&offered), Arc::clone(&lives));
            let (attack, options) = (attack.clone(), Arc::clone(&options));
            work.spawn(async move {
                let victim = &options.victims[(n + kind) % options.victims.len()];
                if attack == "identities" {
                    if n == 0 {
                        let from = IpAddr::from([127, 200, 0, 1]);
                        crowd(victim, from, options.identities, end, &offered).await;
                    }
                    return;
                }
                while Instant::now() < end {
                    // As somebody else, from somewhere else.
                    let [_, a, b, c] = lives.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    let from = IpAddr::from([127, 1 + a, b, c.max(1)]);
                    offered.names.fetch_add(1, Ordering::Relaxed);
                    let life = Life {
                        options: &options,
                        offered: &offered,
                        begin,
                        end,
                    };
                    if life.live(&attack, victim, from).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            });
        }
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while Instant::now() < end {
        tick.tick().await;
        for (_, offered) in &kinds {
            let second = offered.second.swap(0, Ordering::Relaxed);
            offered.most.fetch_max(second, Ordering::Relaxed);
        }
    }
    work.abort_all();
    let report = kinds.iter().map(|(attack, offered)| {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let report = json!({
            "sent": get(&offered.sent), "most_in_a_second": get(&offered.most),
            "names": get(&offered.names), "connected": get(&offered.connected),
        });
        (attack.clone(), report)
    });
    Value::Object(report.collect())
}

/// Many identities from one address, each of which sends a little.
async fn crowd(victim: &str, from: IpAddr, count: usize, end: Instant, offered: &Offered) {
    let mut crowd = Vec::new();
    for n in 0..count {
        if Instant::now() > end {
            return;
        }
        offered.names.fetch_add(1, Ordering::Relaxed);
        let Ok(mut attacker) = Attacker::connect(victim, from).await else {
            continue;
        };
        offered.connected.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut stream) = attacker.gossip().await {
            let message = attacker.signed(TOPIC, format!("spam crowd {n}").as_bytes(), 1);
            if send(&mut stream, &packet(&[message])).await.is_ok() {
                offered.sent(1);
            }
        }
        crowd.push(attacker);
    }
    tokio::time::sleep_until(end.into()).await;
}

/// One attack under one name, until it is thrown out.
struct Life<'a> {
    options: &'a Options,
    offered: &'a Offered,
    begin: Instant,
    end: Instant,
}

impl Life<'_> {
    async fn live(&self, attack: &str, victim: &str, from: IpAddr) -> Result<(), Refused> {
        let mut attacker = match attack {
            "dht" => Attacker::connect_as_member(victim, from, poison).await?,
            _ => Attacker::connect(victim, from).await?,
        };
        self.offered.connected.fetch_add(1, Ordering::Relaxed);
        let protocol = match attack {
            "requests" | "slow" => "/pagi/pagi/request/1",
            "dht" => "/pagi/pagi/kad/1",
            "wants" => "/ipfs/bitswap/1.2.0",
            _ => GOSSIP,
        };
        let mut stream = attacker.open(protocol).await?;
        let mut held = Vec::new();
        let began = Instant::now();
        let mut n = 0;
        while Instant::now() < self.end {
            n += 1;
            let count = match attack {
                "slow" => self.trickle(&mut attacker, &mut held, n).await?,
                "requests" => {
                    stream = attacker.open(protocol).await?;
                    let request = [&1000u32.to_be_bytes()[..], &[7; 1000]].concat();
                    send(&mut stream, &request).await?;
                    1
                }
                "dht" => {
                    if n % 50 == 0 {
                        stream = attacker.open(protocol).await?;
                    }
                    send(&mut stream, &self.record(&attacker, n)).await?;
                    1
                }
                "wants" => {
                    send(&mut stream, &wantlist(10_000, salt(&attacker) ^ n)).await?;
                    10_000
                }
                "malformed" | "oversize" => {
                    // The victim closes the stream.
                    let _ = send(&mut stream, &self.bad(attack, &attacker, n)).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream = attacker.gossip().await?;
                    1
                }
                _ => self.gossip(attack, &attacker, &mut stream, n).await?,
            };
            self.offered.sent(count);
            if attack == "spam" {
                let each = self.options.spam / self.options.attackers as u64;
                let due = Duration::from_millis(n * PACKET * 1000 / each.max(1));
                tokio::time::sleep_until((began + due).into()).await;
            }
            if !attacker.is_connected() {
                return Err("thrown out".into());
            }
        }
        Ok(())
    }

    async fn gossip(
        &self,
        attack: &str,
        attacker: &Attacker,
        stream: &mut Stream,
        n: u64,
    ) -> Result<u64, Refused> {
        let own = attacker.peer.to_bytes();
        let salt = salt(attacker);
        let data = format!("spam {salt} {n}").into_bytes();
        let message = match attack {
            "spam" => {
                let spam: Vec<_> = (0..PACKET)
                    .map(|m| n * PACKET + m)
                    .map(|n| attacker.signed(TOPIC, format!("spam {salt} {n}").as_bytes(), n))
                    .collect();
                send(stream, &packet(&spam)).await?;
                return Ok(PACKET);
            }
            "unsigned" => unsigned(&own, TOPIC, &data, n),
            "forged" => signed(&Keypair::generate_ed25519(), &own, TOPIC, &data, n),
            "topics" => attacker.signed(&format!("topic {n}"), &data, n),
            "replayed" | "stolen" => {
                let (honest, rate) = (self.options.honest as u64, self.options.rate);
                let said = self.begin.elapsed().as_millis() as u64 * rate / 1000;
                let which = (n % honest) as usize;
                if attack == "stolen" {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let data = format!("honest {which} {}", said + 2 + n / honest % 10);
                    attacker.signed(TOPIC, data.as_bytes(), n)
                } else {
                    // Said so long ago that gossipsub has forgotten it.
                    let old = said.saturating_sub(10 * rate);
                    if old == 0 {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        return Ok(0);
                    }
                    let data = format!("honest {which} {}", n / honest % old);
                    let author = key(which);
                    let name = author.public().to_peer_id().to_bytes();
                    signed(&author, &name, TOPIC, data.as_bytes(), n)
                }
            }
            other => return Err(format!("{other} is no attack").into()),
        };
        send(stream, &packet(&[message])).await?;
        Ok(1)
    }

    /// Bytes that are no gossip, or too much of it.
    fn bad(&self, attack: &str, attacker: &Attacker, n: u64) -> Vec<u8> {
        match (attack, n % 3) {
            ("oversize", 0) => packet(&[attacker.signed(TOPIC, &vec![9; 256 * 1024 + 1], n)]),
            ("oversize", 1) => packet(&[attacker.signed(TOPIC, &vec![9; 4 << 20], n)]),
            // A frame of which only the length comes.
            ("oversize", _) => vec![0xff, 0xff, 0xff, 0xff, 0x07],
            (_, 0) => frame(&[0xff; 500]),
            (_, 1) => vec![0xff; 500],
            _ => {
                let whole = packet(&[attacker.signed(TOPIC, b"half", n)]);
                whole[..whole.len() / 2].to_vec()
            }
        }
    }

    /// Something wrong, or one too many, for the DHT.
    fn record(&self, attacker: &Attacker, n: u64) -> Vec<u8> {
        let at = [
            &[0x12, 32][..],
            &[3; 16],
            &salt(attacker).to_be_bytes(),
            &n.to_be_bytes(),
        ];
        let honest = (n as usize / 4) % self.options.honest;
        match n % 4 {
            0 => add_provider(&attacker.peer, &at.concat()),
            1 => put_value(&at.concat(), &[9; 1000]),
            // Where an honest node is to be found, by somebody else's word.
            2 => put_value(&record_key(&key(honest)), &[9; 200]),
            _ => put_value(&record_key(&key(honest)), &attacker.whereabouts()),
        }
    }

    /// Half-open requests, and megabytes that trickle.
    async fn trickle(
        &self,
        attacker: &mut Attacker,
        held: &mut Vec<Stream>,
        n: u64,
    ) -> Result<u64, Refused> {
        let mut slow = attacker.open("/pagi/pagi/request/1").await?;
        if n.is_multiple_of(2) {
            send(&mut slow, &(1u32 << 20).to_be_bytes()).await?;
        }
        held.push(slow);
        for slow in held.iter_mut().rev().take(10) {
            let _ = send(slow, &[1]).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        held.truncate(500);
        Ok(1)
    }
}

fn salt(attacker: &Attacker) -> u64 {
    let own = attacker.peer.to_bytes();
    own.iter()
        .fold(0, |salt, byte| salt.rotate_left(7) ^ u64::from(*byte))
}
