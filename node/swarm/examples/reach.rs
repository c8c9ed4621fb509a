//! One node of a swarm on the command line, for trying out ways through routers.
//!
//! ```text
//! reach --data DIR [--seed 0..255] [--listen ADDR]... [--bootstrap ADDR]... [--known ADDR]...
//!       [--announce ADDR]... [--relay-server] [--relay-client] [--autonat] [--upnp] [--mdns]
//!       [--psk HEX]
//! ```
//! Reads commands from standard input, one a line: `status`, `publish TEXT`, `put BYTES`,
//! `get CID [PEER]`, `dial ADDR`. Prints one JSON document a line, and ends with its input.

use std::error::Error;
use std::time::Duration;

use pagi_swarm::{
    Inbound, LOG_FILTER, Reach, RelayLimits, Swarm, SwarmConfig, SwarmOptions, start_with,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use zeroize::Zeroizing;

const TOPIC: &str = "reach";
const FETCH_TIME: Duration = Duration::from_secs(60);

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| LOG_FILTER.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let (config, options) = arguments()?;
    let (swarm, inbound) = start_with(config, options).await?;
    swarm.subscribe(TOPIC).await?;
    say(json!({
        "event": "started",
        "peer_id": swarm.peer_id(),
        "addrs": swarm.listen_addrs().await?,
    }));
    tokio::spawn(listen(inbound));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match obey(&swarm, &line).await {
            Ok(answer) => say(answer),
            Err(error) => say(json!({"event": "error", "of": line, "error": error.to_string()})),
        }
    }
    swarm.shutdown().await;
    Ok(())
}

/// Reads the command line.
fn arguments() -> Result<(SwarmConfig, SwarmOptions), Failure> {
    let mut config = SwarmConfig::new([1; 32], "");
    config.listen.clear();
    let mut options = SwarmOptions::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--relay-server" => options.reach.relay_server = Some(RelayLimits::default()),
            "--relay-client" => options.reach.relay_client = true,
            "--autonat" => options.reach.autonat = true,
            "--upnp" => options.reach.upnp = true,
            "--mdns" => config.mdns = true,
            _ => {
                let value = args.next().ok_or(format!("{flag} needs a value"))?;
                match flag.as_str() {
                    "--data" => config.data_dir = value.into(),
                    "--seed" => config.secret_key = Zeroizing::new([value.parse()?; 32]),
                    "--listen" => config.listen.push(value),
                    "--bootstrap" => config.bootstrap.push(value),
                    "--known" => options.known_peers.push(value),
                    "--announce" => options.announce.push(value),
                    "--psk" => options.pre_shared_key = Some(secret(&value)?),
                    other => return Err(format!("{other} is not an option").into()),
                }
            }
        }
    }
    if options.reach == Reach::default() {
        tracing::info!("no way through routers is switched on");
    }
    Ok((config, options))
}

/// 32 bytes from 64 hexadecimal digits.
fn secret(hex: &str) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    if hex.len() != 64 || !hex.is_ascii() {
        return Err("--psk takes 64 hexadecimal digits".into());
    }
    for (n, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * n..2 * n + 2], 16)?;
    }
    Ok(key)
}

/// Reports what arrives, and says yes to all of it.
async fn listen(inbound: Inbound) {
    let Inbound {
        mut gossip,
        mut requests,
        mut peers,
    } = inbound;
    loop {
        tokio::select! {
            Some(message) = gossip.recv() => {
                let text = String::from_utf8_lossy(&message.data).into_owned();
                say(json!({"event": "gossip", "text": text, "author": message.author_peer}));
                message.verdict.accept();
            }
            Some(request) = requests.recv() => request.reply.send(request.data),
            Some(event) = peers.recv() => say(json!({"event": "peer", "peer": event})),
            else => return,
        }
    }
}

/// Carries out one command.
async fn obey(swarm: &Swarm, line: &str) -> Result<Value, Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match words[..] {
        ["status"] => json!({
            "event": "status",
            "peers": swarm.peers().await?,
            "reach": swarm.reach().await?,
            "stats": swarm.stats(),
            "addrs": swarm.listen_addrs().await?,
            "remembered": swarm.remembered_peers().await?,
        }),
        ["publish", ..] => {
            let text = line.trim_start().trim_start_matches("publish").trim();
            let sent = swarm.publish(TOPIC, text.into()).await?;
            json!({"event": "published", "outcome": sent})
        }
        ["put", bytes] => {
            let cid = swarm.put_block(byte_string(bytes.parse()?), true).await?;
            json!({"event": "put", "cid": cid.to_string()})
        }
        ["get", cid, ref peers @ ..] => {
            let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
            let started = std::time::Instant::now();
            let block = swarm.get_block(&cid.parse()?, &peers, FETCH_TIME).await?;
            let millis = started.elapsed().as_millis();
            json!({"event": "got", "cid": cid, "bytes": block.len(), "millis": millis})
        }
        ["dial", addr] => {
            swarm.dial(addr).await?;
            json!({"event": "dialled", "addr": addr})
        }
        _ => return Err("not a command".into()),
    })
}

/// A DAG-CBOR byte string of `length` bytes.
fn byte_string(length: u32) -> Vec<u8> {
    let mut block = match length {
        0..=23 => vec![0x40 | length as u8],
        24..=0xff => vec![0x58, length as u8],
        0x100..=0xffff => [&[0x59][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[0x5a][..], &length.to_be_bytes()].concat(),
    };
    block.extend((0..length).map(|n| n as u8));
    block
}

fn say(document: Value) {
    println!("{document}");
}
