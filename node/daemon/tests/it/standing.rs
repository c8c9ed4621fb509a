//! What a standing is good for.

use serde_json::Value;

use crate::{
    node::{Home, Launch, Node},
    wait::until,
};

/// A node whose user lets others use its calculator.
fn worker(home: &Home) -> Launch<'_> {
    std::fs::create_dir_all(home.data()).unwrap();
    let config = "[work]\naccept = true\ntools = [\"calculator\"]\n";
    std::fs::write(home.data().join("config.toml"), config).unwrap();
    home.launch()
}

/// Gives the swarm a sum to do; the DID of the node that did it.
async fn done_by(home: &Home) -> String {
    let args = [
        "swarm",
        "task",
        "--need",
        "calculator",
        "What is 12 * (3 + 4)?",
    ];
    let task = home.json(&args).await;
    assert_eq!(task["status"], "done", "{task}");
    task["worker"]["node"].as_str().unwrap().to_owned()
}

async fn sees(node: &Node, count: usize) {
    until("the workers to be known", async || {
        let swarm: Value = node.get("/swarm").await;
        match swarm["twins"].as_array().unwrap().len() >= count {
            true => Ok(()),
            false => Err(swarm.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_workers_that_are_alike_the_one_that_is_believed_gets_the_task() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let asker = homes[0].start().await;
    asker.twin().await;
    let mut workers = Vec::new();
    for home in &homes[1..] {
        let node = worker(home).bootstrap(&asker).start().await;
        node.twin().await;
        workers.push(node);
    }
    sees(&asker, 3).await;
    // As long as nobody knows them, chance decides anew for each task.
    let first = done_by(&homes[0]).await;
    let other = usize::from(workers[0].ready.did == first);
    let believed = workers[other].ready.did.clone();
    homes[0].json(&["cred", "issue", &believed, "1"]).await;
    let explained = homes[0].json(&["cred", "explain", &believed]).await;
    assert!(explained["standing"].as_f64().unwrap() > 0.7, "{explained}");
    // It counts from when the node is heard of again.
    workers.remove(other).kill().await;
    let _again = worker(&homes[1 + other]).bootstrap(&asker).start().await;
    until("every task to go to the believed one", async || {
        for _ in 0..6 {
            let node = done_by(&homes[0]).await;
            if node != believed {
                return Err(node);
            }
        }
        Ok(())
    })
    .await;
}
