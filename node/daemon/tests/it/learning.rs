//! A swarm that learns: nodes that did none of the work do better on goals that nobody worked on.
//!
//! The small form of `scripts/learning.py`, with the same goals and tools.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use pagi_messages::cid_of;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    node::{Home, Node, tool_calls},
    wait::until,
};

#[derive(Clone, Deserialize)]
struct ToolData {
    name: String,
    description: String,
    answers: BTreeMap<String, Value>,
}

#[derive(Clone, Deserialize)]
struct Task {
    goal: String,
    tools: Vec<String>,
    expect: String,
}

type Tools = Arc<Vec<ToolData>>;

const TOOLS: &str = include_str!("../../../../scripts/learning/tools.json");
const TASKS: &str = include_str!("../../../../scripts/learning/tasks.jsonl");

async fn answer(
    State(tools): State<Tools>,
    Path(name): Path<String>,
    Json(query): Json<Value>,
) -> Json<Value> {
    let query = query["query"].as_str().unwrap_or_default().to_lowercase();
    let tool = tools.iter().find(|tool| tool.name == name).unwrap();
    let rows = tool.answers.iter();
    let found: Vec<&Value> = rows
        .filter(|(key, _)| query.contains(key.as_str()))
        .map(|(_, row)| row)
        .collect();
    Json(json!({ "results": found }))
}

async fn serve(tools: Tools) -> String {
    let router = Router::new()
        .route("/{name}", post(answer))
        .with_state(tools);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn equip(node: &Node, tools: &[ToolData], url: &str) {
    for tool in tools {
        let parameters = json!({"type": "object", "required": ["query"],
            "properties": {"query": {"type": "string"}}});
        let definition = json!({"name": tool.name, "description": tool.description,
            "plugin_url": url, "endpoint": format!("/{}", tool.name), "parameters": parameters,
            "read_only": true, "idempotent": true});
        node.post("/register_tool", json!({ "tool": definition }))
            .await;
    }
}

/// The same judgement before and after: reached, by the tool, with the expected answer.
async fn reaches(node: &Node, twin: &str, task: &Task) -> (bool, Value) {
    let done = node.ask(twin, &task.goal).await;
    let called = tool_calls(&done)
        .iter()
        .any(|step| step["name"] == task.tools[0]);
    let output = done["output"].as_str().unwrap_or_default().to_lowercase();
    let right =
        done["status"] == "completed" && called && output.contains(&task.expect.to_lowercase());
    (right, done)
}

/// The goals of `tasks` that a node reaches, each with a twin of its own.
async fn measure(node: &Node, tasks: &[Task]) -> Vec<String> {
    let head = node.get("/playbook").await["head"].clone();
    let mut right = Vec::new();
    for task in tasks {
        let twin = node.post("/twins", json!({})).await["twin_id"].clone();
        if reaches(node, twin.as_str().unwrap(), task).await.0 {
            right.push(task.goal.clone());
        }
    }
    assert_eq!(
        node.get("/playbook").await["head"],
        head,
        "measuring changed the playbook"
    );
    right
}

fn frozen(home: &Home) {
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(
        home.data().join("config.toml"),
        "[hive]\nreview = \"manual\"\n",
    )
    .unwrap();
}

/// Everything a node shares of what it learned.
async fn shared(node: &Node) -> String {
    let mut all = node.get("/playbook").await["document"]["learned"].to_string();
    for artifact in node.get("/artifacts").await.as_array().unwrap() {
        let cid = artifact["cid"].as_str().unwrap();
        all.push_str(&node.get(&format!("/artifacts/{cid}")).await.to_string());
    }
    words(&all)
}

/// The words of a text between single spaces; CIDs, DIDs and signatures, in which short ones occur by
/// chance, are left out.
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let short: Vec<&str> = words.filter(|word| (1..30).contains(&word.len())).collect();
    format!(" {} ", short.join(" "))
}

#[tokio::test]
async fn a_node_that_did_no_work_gains_from_the_work_of_others_and_no_expectation_leaks() {
    let tools: Tools = Arc::new(serde_json::from_str(TOOLS).unwrap());
    let lines = TASKS.lines().filter(|line| line.starts_with('{'));
    let mut tasks: Vec<Task> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // The HTTP tools alone; a hash of the goal says which half is held out.
    tasks.retain(|task| tools.iter().any(|tool| tool.name == task.tools[0]));
    tasks.sort_by_key(|task| cid_of(task.goal.as_bytes()));
    let (held, worked) = tasks.split_at(tasks.len() / 2);
    let url = serve(tools.clone()).await;

    let alone = Home::new();
    frozen(&alone);
    let before = {
        let node = alone.start().await;
        node.alone_in_office().await;
        equip(&node, &tools, &url).await;
        measure(&node, held).await
    };

    let homes = [Home::new(), Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    let idle = homes[2].launch().bootstrap(&first).start().await;
    let nodes = [&first, &second, &idle];
    until("one MO", async || {
        let mut seen = Vec::new();
        for node in nodes {
            seen.push(node.get("/mo").await["mo"].clone());
        }
        let here = nodes.iter().any(|node| seen[0] == node.ready.did.as_str());
        match here && seen.iter().all(|mo| *mo == seen[0]) {
            true => Ok(()),
            false => Err(format!("{seen:?}")),
        }
    })
    .await;
    let mut twins = Vec::new();
    for node in nodes {
        equip(node, &tools, &url).await;
        twins.push(
            node.post("/twins", json!({})).await["twin_id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let (mut lessons, mut shares) = (Vec::new(), [0, 0]);
    for (at, task) in worked.iter().enumerate() {
        let (_, done) = reaches(nodes[at % 2], &twins[at % 2], task).await;
        if let Some(cid) = done["artifact_cid"].as_str() {
            lessons.push((at % 2, cid.to_owned()));
            shares[at % 2] += 1;
        }
    }
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    until("every lesson to be judged and on all nodes", async || {
        for (at, cid) in &lessons {
            let one = nodes[*at].get(&format!("/artifacts/{cid}")).await;
            if one["status"] != "merged" && one["status"] != "rejected" {
                return Err(one.to_string());
            }
        }
        let mut heads = Vec::new();
        for node in nodes {
            heads.push(node.get("/playbook").await["heads"].clone());
        }
        match heads.iter().all(|head| *head == heads[0]) && heads[0].as_array().unwrap().len() == 1
        {
            true => Ok(()),
            false => Err(format!("{heads:?}")),
        }
    })
    .await;

    let everything = shared(&first).await + &shared(&second).await + &shared(&idle).await;
    assert!(everything.contains(" terms "), "nothing was learned");
    for task in held {
        for secret in [&task.expect, &task.goal] {
            assert!(!everything.contains(&words(secret)), "{secret} leaked");
        }
    }

    for node in [first, second, idle] {
        node.terminate().await;
    }
    let mut after = Vec::new();
    for home in [&homes[0], &homes[2]] {
        frozen(home);
        let node = home.start().await;
        node.alone_in_office().await;
        after.push(measure(&node, held).await);
    }
    eprintln!(
        "held out {}: {} reached before, {} after; shares {shares:?}",
        held.len(),
        before.len(),
        after[1].len()
    );
    assert_eq!(after[0], after[1], "who did no work gains as much");
    assert!(
        after[1].len() > before.len(),
        "{before:?} then {:?}",
        after[1]
    );
}
