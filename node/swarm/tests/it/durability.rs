//! What a process killed at any moment leaves behind.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use cid::Cid;

use crate::support::{config, dag_cbor};

/// Tells the child process where to write; without it the child test does nothing.
const DIR: &str = "PAGI_SWARM_TEST_DIR";

/// Runs in a process of its own: puts blocks and reports each once it is said to be durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of a_killed_process_loses_no_acknowledged_block"]
async fn child_that_puts_blocks() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let (swarm, _inbound) = pagi_swarm::start(config(80, dir.as_ref())).await.unwrap();
    for n in 0u64.. {
        let mut content = vec![0; 40_000];
        content[..8].copy_from_slice(&n.to_be_bytes());
        let cid = swarm
            .put_block(dag_cbor(&content), n.is_multiple_of(2))
            .await
            .unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nput {cid}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_no_acknowledged_block() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durability::child_that_puts_blocks",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut cids = lines.map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("put ")
                .map(|cid| cid.parse::<Cid>().unwrap())
        });
        acknowledged.extend(cids.by_ref().take(7 * round));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        acknowledged.extend(cids);

        let (swarm, _inbound) = pagi_swarm::start(config(80, dir.path())).await.unwrap();
        let check = swarm.verify_store().await.unwrap();
        assert_eq!(check.damaged, []);
        assert!(check.blocks > 0 && acknowledged.len() >= 7);
        for cid in &acknowledged {
            assert!(
                swarm.has_block(cid).await.unwrap(),
                "{cid} was acknowledged and is lost"
            );
        }
        let temporary = std::fs::read_dir(dir.path().join("ipfs/blockstore"))
            .unwrap()
            .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap())
            .filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "tmp")
            .count();
        assert_eq!(temporary, 0);
        swarm.shutdown().await;
    }
}
