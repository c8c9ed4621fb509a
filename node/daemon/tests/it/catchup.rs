//! What gossip did not bring is caught up on: after an absence, after a crash, after a burst.

use std::collections::BTreeSet;

use futures::StreamExt;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    node::{Home, Node},
    wait::until,
};

/// Offers `count` tasks from a node, several at once; their names, each acknowledged.
async fn offer(node: &Node, round: &str, count: usize) -> BTreeSet<String> {
    futures::stream::iter(0..count)
        .map(|n| async move {
            let name = format!("{round}-{n}");
            let payload = json!({"task": {"id": name, "goal": "count the stars"}});
            let event =
                json!({"event_type": "task_broadcast", "source": "test", "payload": payload});
            node.post("/publish", event).await;
            name
        })
        .buffer_unordered(8)
        .collect()
        .await
}

/// The tasks a node heard of, each once.
async fn heard(node: &Node) -> BTreeSet<String> {
    let mut heard = BTreeSet::new();
    for event in node.events_after(0).await {
        if event["event_type"] == "task_broadcast" {
            let name = event["payload"]["task"]["id"].as_str().unwrap().to_owned();
            assert!(heard.insert(name), "twice: {event}");
        }
    }
    heard
}

async fn has_all(node: &Node, wanted: &BTreeSet<String>) {
    until("the node to catch up", async || {
        let heard = heard(node).await;
        let missing: Vec<&String> = wanted.difference(&heard).take(3).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => {
                let stats = node.get("/swarm").await["stats"].take();
                Err(format!(
                    "{} of {}, not {missing:?}; {stats}",
                    heard.len(),
                    wanted.len()
                ))
            }
        }
    })
    .await;
}

async fn stat(node: &Node, name: &str) -> u64 {
    let stats = node.get("/swarm").await["stats"].take();
    stats[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {stats}"))
}

#[tokio::test]
async fn a_node_that_was_away_catches_up_even_from_others_and_after_a_crash() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let author = homes[0].start().await;
    let mut wanted = offer(&author, "alone", 40).await;
    let keeper = homes[1].launch().bootstrap(&author).start().await;
    has_all(&keeper, &wanted).await;
    assert_eq!(
        stat(&keeper, "sync_by_sync").await,
        40,
        "gossip was over long before"
    );

    // The author dies right after the last acknowledgement and comes back: nothing is lost.
    wanted.extend(offer(&author, "before the crash", 20).await);
    author.kill().await;
    let author = homes[0].launch().bootstrap(&keeper).start().await;
    assert_eq!(stat(&author, "sync_log_messages").await, 60);
    has_all(&keeper, &wanted).await;

    // The author is gone for good: a newcomer has it from the other one, with the author's word.
    author.terminate().await;
    let late = homes[2].launch().bootstrap(&keeper).start().await;
    has_all(&late, &wanted).await;
    // What is known is not fetched again, nor acted on again, after a restart.
    late.kill().await;
    let late = homes[2].launch().bootstrap(&keeper).start().await;
    until("a comparing of the logs", async || {
        match stat(&late, "sync_complete").await {
            0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    assert_eq!(stat(&late, "sync_by_sync").await, 0);
    assert_eq!(heard(&late).await, wanted);
}

#[tokio::test]
async fn a_burst_reaches_a_node_that_stood_still_for_part_of_it() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let sender = homes[0].start().await;
    let slow = homes[1].launch().bootstrap(&sender).start().await;
    let quick = homes[2].launch().bootstrap(&sender).start().await;
    for node in [&sender, &slow, &quick] {
        until("the nodes to meet", async || {
            match stat(node, "connected").await {
                2 => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
    }
    slow.signal(Signal::STOP);
    let wanted = offer(&sender, "burst", 1500).await;
    slow.signal(Signal::CONT);
    has_all(&quick, &wanted).await;
    has_all(&slow, &wanted).await;
    let peers = sender.get("/peers").await;
    assert_eq!(peers.as_array().map(Vec::len), Some(2), "{peers}");
}
