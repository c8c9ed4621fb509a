//! How long it takes to store a file durably: in batches, as `Swarm::add_file` does it, and block by
//! block through rust-ipfs's store. Prints the median of five rounds, with new content in each.
//!
//! Usage: add_speed FOLDER [MIB]; the folder should be on the disk that matters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measuring tool ends with what went wrong"
)]

use std::time::{Duration, Instant};

use futures::stream;
use pagi_swarm::SwarmConfig;

const CHUNK: usize = 256 * 1024;
const ROUNDS: usize = 5;

fn chunk(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(CHUNK);
    while bytes.len() < CHUNK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().expect("a folder");
    let mib: usize = args.next().map_or(100, |mib| mib.parse().unwrap());
    let chunks = mib * 1024 * 1024 / CHUNK;
    let dir = std::path::Path::new(&folder).join(format!("add-speed-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let (swarm, _inbound) = pagi_swarm::start(SwarmConfig::new([1; 32], &dir))
        .await
        .unwrap();
    let (mut batched, mut single) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let content: Vec<Vec<u8>> = (0..chunks)
            .map(|n| chunk((round * chunks + n) as u64))
            .collect();
        let pieces = content.clone().into_iter().map(Ok::<_, std::io::Error>);
        let start = Instant::now();
        swarm.add_file(stream::iter(pieces), None).await.unwrap();
        batched.push(start.elapsed());

        // The same blocks again, in a store that does not have them.
        let other = dir.join(format!("other-{round}"));
        std::fs::create_dir(&other).unwrap();
        let config = SwarmConfig::new([2; 32], &other);
        let (second, _inbound) = pagi_swarm::start(config).await.unwrap();
        let entries: Vec<_> = content
            .into_iter()
            .map(|data| (pagi_swarm::raw_cid(&data), data))
            .collect();
        let start = Instant::now();
        for (cid, data) in entries {
            second.keep_block(&cid, data).await.unwrap();
        }
        single.push(start.elapsed());
        second.shutdown().await;
    }
    swarm.shutdown().await;
    std::fs::remove_dir_all(&dir).unwrap();
    let (batched, single) = (median(batched), median(single));
    println!(
        "{mib} MiB: in batches {:.2} s, block by block {:.2} s, {:.1} times as long",
        batched.as_secs_f64(),
        single.as_secs_f64(),
        single.as_secs_f64() / batched.as_secs_f64()
    );
}
