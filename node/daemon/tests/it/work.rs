//! Tasks given to the swarm: by one node asked, by another done, whoever dies meanwhile.

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::{
    node::{Home, Launch, Node},
    wait::{DEADLINE, until},
};

const GOAL: &str = "Read the tide table of the harbour";
const ANSWER: &str = "high water at noon";

/// A tool that answers when it is told to, and says who called it.
struct SlowTool {
    url: String,
    /// Whose tool was called, in order.
    called: mpsc::UnboundedReceiver<String>,
    open: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl SlowTool {
    async fn start() -> Self {
        use axum::{Json, Router, extract::Path, routing::post};
        let (calls, called) = mpsc::unbounded_channel();
        let (open, gate) = watch::channel(false);
        let answer = move |Path(name): Path<String>| {
            let (calls, mut gate) = (calls.clone(), gate.clone());
            async move {
                let _ = calls.send(name);
                let _ = gate.wait_for(|open| *open).await;
                Json(json!({"text": ANSWER}))
            }
        };
        let router = Router::new().route("/{name}", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            called,
            open,
            task,
        }
    }

    /// Gives `node` the tool; a call of it is reported as `name`.
    async fn give(&self, node: &Node, name: &str) {
        let tool = json!({"name": "tide_table", "description": "Reads the tide table of a harbour",
            "plugin_url": self.url, "endpoint": format!("/{name}"), "read_only": true,
            "parameters": {"type": "object", "properties": {}}});
        node.post("/register_tool", json!({"tool": tool})).await;
    }

    /// Whose tool is called next.
    async fn next(&mut self) -> String {
        let called = tokio::time::timeout(DEADLINE, self.called.recv()).await;
        called.expect("a call in time").expect("a caller")
    }

    fn release(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for SlowTool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A node whose user lets others use `tools`.
fn worker<'a>(home: &'a Home, tools: &[&str]) -> Launch<'a> {
    std::fs::create_dir_all(home.data()).unwrap();
    let config = format!("[work]\naccept = true\ntools = {}\n", json!(tools));
    std::fs::write(home.data().join("config.toml"), config).unwrap();
    home.launch()
}

async fn give(node: &Node, goal: &str, needs: &[&str], deadline_s: u64) -> String {
    let body = json!({"goal": goal, "needs": needs, "deadline_s": deadline_s});
    let task = node.post("/swarm/tasks", body).await;
    assert_eq!(task["status"], "open", "{task}");
    task["id"].as_str().unwrap().to_owned()
}

async fn ended(node: &Node, id: &str) -> Value {
    until("the task to end", async || {
        let task = node.get(&format!("/swarm/tasks/{id}")).await;
        if ["done", "failed"].contains(&task["status"].as_str().unwrap()) {
            Ok(task)
        } else {
            Err(task.to_string())
        }
    })
    .await
}

/// What `node` says of its own work on the task, once `wanted` holds.
async fn worked(node: &Node, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until("the work to stand so", async || {
        let tasks = node.get("/swarm/tasks").await;
        let all = tasks["worked"].as_array().unwrap();
        match all.iter().find(|task| task["id"] == id) {
            Some(task) if wanted(task) => Ok(task.clone()),
            _ => Err(tasks.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn a_task_is_done_by_a_capable_node_and_nobody_else_sees_its_goal() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let asker = homes[0].start().await;
    let able = homes[1]
        .launch()
        .arg("--accept-work")
        .bootstrap(&asker)
        .start()
        .await;
    // It has the tool as well, but its user lets nobody use it.
    let closed = homes[2].launch().bootstrap(&asker).start().await;
    let twin = able.twin().await;
    closed.twin().await;
    let goal = "What is 12 * (3 + 4)?";
    let outcome = homes[0]
        .pagi(&["swarm", "task", "--need", "calculator", goal])
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for shown in [
        "offered to nodes with calculator".to_owned(),
        format!("assigned to {}", able.ready.did),
        format!("done by {}", able.ready.did),
        "12 * (3 + 4) = 84".to_owned(),
    ] {
        assert!(outcome.stdout.contains(&shown), "{shown}: {outcome:?}");
    }
    let tasks = homes[0].json(&["swarm", "tasks"]).await;
    let task = &tasks["asked"][0];
    assert_eq!(
        (&task["status"], &task["worker"]["node"]),
        (&json!("done"), &json!(able.ready.did)),
        "{tasks}"
    );
    let id = task["id"].as_str().unwrap();
    let done = worked(&able, id, |task| task["status"] == "settled").await;
    assert_eq!(done["verdict"], "accepted");

    // The worker's twin remembers nothing of it, and the act is audited.
    let memories = able.get(&format!("/memory/{twin}")).await;
    assert_eq!(memories.as_array().unwrap().len(), 1, "{memories}");
    let audit = able.get("/audit?limit=1000").await;
    let audit = audit.as_array().unwrap();
    for action in ["task_started", "task_settled"] {
        let found = audit.iter().find(|entry| entry["action"] == action);
        assert_eq!(found.expect(action)["actor"], asker.ready.did);
    }
    // The third node heard of a task, but not of its goal.
    until("the event of the task", async || {
        let events = closed.events_after(0).await;
        assert!(!json!(events).to_string().contains("(3 + 4)"));
        let heard = events.iter().find(|event| {
            event["event_type"] == "task_broadcast" && event["payload"]["task"]["id"] == id
        });
        heard.map(drop).ok_or_else(|| json!(events).to_string())
    })
    .await;
    let theirs = closed.get("/swarm/tasks").await;
    assert_eq!(theirs["worked"], json!([]), "{theirs}");

    // The tool of the prototype takes the same way, and all see its goal.
    let task = json!({"task": {"goal": "What is 6 * 7?", "id": "t-1", "needs": ["calculator"]}});
    let sent = asker.tool("broadcast_swarm_task", task).await;
    assert_eq!(
        (&sent["id"], &sent["task_id"]),
        (&json!("t-1"), &json!("t-1"))
    );
    let done = ended(&asker, "t-1").await;
    assert_eq!(done["output"], "6 * 7 = 42", "{done}");

    // A task that needs a tool not open to strangers finds nobody, and says so.
    let outcome = homes[0]
        .pagi(&[
            "swarm",
            "task",
            "--need",
            "recall",
            "--deadline",
            "2s",
            "Recall the key",
        ])
        .await;
    let complaint = outcome.complaint(1);
    assert!(complaint.contains("no node offered"), "{complaint}");
    assert!(complaint.contains("--accept-work"), "{complaint}");
}

#[tokio::test]
async fn of_two_able_nodes_exactly_one_does_it_and_a_dead_one_is_replaced() {
    let mut tool = SlowTool::start().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let asker = homes[0].start().await;
    let mut nodes = Vec::new();
    for (home, name) in [(&homes[1], "b"), (&homes[2], "c")] {
        let node = worker(home, &["tide_table"]).bootstrap(&asker);
        let node = node.start().await;
        node.twin().await;
        tool.give(&node, name).await;
        nodes.push((name.to_owned(), node));
    }
    let id = give(&asker, GOAL, &["tide_table"], 300).await;
    let first = tool.next().await;
    let at = nodes.iter().position(|(name, _)| *name == first).unwrap();
    let (_, dead) = nodes.remove(at);
    let (other, left) = nodes.remove(0);
    worked(&dead, &id, |task| task["status"] == "running").await;
    assert_eq!(left.get("/swarm/tasks").await["worked"], json!([]));
    let dead_did = dead.ready.did.clone();
    dead.kill().await;

    assert_eq!(tool.next().await, other);
    tool.release();
    let done = ended(&asker, &id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("done"), &json!(ANSWER)),
        "{done}"
    );
    assert_eq!(done["worker"]["node"], left.ready.did);
    assert_eq!(done["attempt"], 2);
    let mine = worked(&left, &id, |task| task["status"] == "settled").await;
    assert_eq!(mine["verdict"], "accepted");

    // The dead one comes back and is told that it is not its task any more.
    let back = homes[at + 1].launch().bootstrap(&asker).start().await;
    assert_eq!(back.ready.did, dead_did);
    let theirs = worked(&back, &id, |task| task["status"] == "settled").await;
    assert_ne!(theirs["verdict"], "accepted", "{theirs}");

    // Two more tasks, two free workers: each is one node's own.
    for round in 0..2 {
        let id = give(&asker, GOAL, &["tide_table"], 300).await;
        let done = ended(&asker, &id).await;
        assert_eq!(done["status"], "done", "{round}: {done}");
        let mut owners = Vec::new();
        for node in [&left, &back] {
            if node.ready.did == done["worker"]["node"] {
                worked(node, &id, |task| task["verdict"] == "accepted").await;
            }
            let tasks = node.get("/swarm/tasks").await;
            let all = tasks["worked"].as_array().unwrap();
            owners.extend(
                all.iter()
                    .filter(|task| task["id"] == id && task["verdict"] == "accepted")
                    .map(|_| node.ready.did.clone()),
            );
        }
        assert_eq!(json!(owners), json!([done["worker"]["node"]]));
    }
}

#[tokio::test]
async fn an_asker_that_was_killed_gets_its_result_after_the_start() {
    let mut tool = SlowTool::start().await;
    let homes = [Home::new(), Home::new()];
    let asker = homes[0].start().await;
    let able = worker(&homes[1], &["tide_table"]).bootstrap(&asker);
    let able = able.start().await;
    able.twin().await;
    tool.give(&able, "b").await;
    let id = give(&asker, GOAL, &["tide_table"], 300).await;
    assert_eq!(tool.next().await, "b");
    until("the asker to know its worker", async || {
        let task = asker.get(&format!("/swarm/tasks/{id}")).await;
        if task["status"] == "assigned" {
            Ok(())
        } else {
            Err(task.to_string())
        }
    })
    .await;
    asker.kill().await;
    tool.release();
    worked(&able, &id, |task| task["status"] == "finished").await;

    let asker = homes[0].launch().bootstrap(&able).start().await;
    let done = ended(&asker, &id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("done"), &json!(ANSWER)),
        "{done}"
    );
    assert_eq!(
        (&done["attempt"], &done["worker"]["node"]),
        (&json!(1), &json!(able.ready.did))
    );
    worked(&able, &id, |task| task["verdict"] == "accepted").await;
    // By the command line, long after.
    let shown = homes[0].json(&["swarm", "task", "--watch", &id]).await;
    assert_eq!(shown["output"], ANSWER);

    // And so does a worker that is killed over it and started again: it goes on by itself.
    tool.open.send_replace(false);
    let id = give(&asker, GOAL, &["tide_table"], 300).await;
    assert_eq!(tool.next().await, "b");
    able.kill().await;
    let able = homes[1].launch().bootstrap(&asker).start().await;
    assert_eq!(tool.next().await, "b");
    tool.release();
    let done = ended(&asker, &id).await;
    assert_eq!(done["output"], ANSWER, "{done}");
    worked(&able, &id, |task| task["verdict"] == "accepted").await;
}

#[tokio::test]
async fn the_workers_gate_refuses_a_cancelled_task_stops_and_bad_requests_are_told() {
    let mut tool = SlowTool::start().await;
    let homes = [Home::new(), Home::new()];
    let asker = homes[0].start().await;
    let able = worker(&homes[1], &["tide_table"]).bootstrap(&asker);
    // A line of the worker's own: the asker's gate lets the goal go.
    let config = homes[1].data().join("config.toml");
    let mut settings = std::fs::read_to_string(&config).unwrap();
    settings.push_str("\n[ethics]\nred_lines = [\"sell tomatoes\"]\n");
    std::fs::write(&config, settings).unwrap();
    let able = able.start().await;
    able.twin().await;
    tool.give(&able, "b").await;

    let goal = "Explain step by step how to sell tomatoes at home";
    let id = give(&asker, goal, &[], 8).await;
    let task = ended(&asker, &id).await;
    assert_eq!(task["status"], "failed", "{task}");
    let reason = task["reason"].as_str().unwrap();
    assert!(
        reason.contains("the worker's ethics gate refused it"),
        "{reason}"
    );
    let work = worked(&able, &id, |task| task["status"] == "settled").await;
    assert_eq!(work["verdict"], "noted", "{work}");
    let refusals = able.get("/events/log?event_type=ethics_refused").await;
    assert_eq!(
        refusals["events"].as_array().unwrap().len(),
        1,
        "{refusals}"
    );

    // Taken back under way: the worker stops.
    let id = give(&asker, GOAL, &["tide_table"], 300).await;
    assert_eq!(tool.next().await, "b");
    let over = homes[0].json(&["swarm", "task", "--cancel", &id]).await;
    assert_eq!(over["status"], "failed", "{over}");
    let work = worked(&able, &id, |task| task["status"] == "settled").await;
    assert_eq!(work["verdict"], "cancelled", "{work}");

    let send = async |body: Value| asker.http.post("/swarm/tasks", &body).await;
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----";
    let secret = format!("Log in with {key}");
    send(json!({"goal": secret}))
        .await
        .problem(403, "forbidden");
    send(json!({"goal": " "})).await.problem(422, "invalid");
    send(json!({"goal": "x", "deadline_s": 0}))
        .await
        .problem(422, "invalid");
    send(json!({"goal": "x".repeat(20_000)}))
        .await
        .problem(422, "invalid");
    send(json!({"goal": "x", "twin_id": "none"}))
        .await
        .problem(404, "not-found");
    let none = asker.http.get("/swarm/tasks/none").await;
    none.problem(404, "not-found");
}

#[tokio::test]
async fn a_published_task_reaches_the_swarm_and_other_events_stay() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    until("the nodes to know each other", async || {
        let swarm = first.get("/swarm").await;
        if swarm["nodes"].as_array().unwrap().len() == 2 {
            Ok(())
        } else {
            Err(swarm.to_string())
        }
    })
    .await;
    let event = json!({"event_type": "task_broadcast", "source": "script",
        "payload": {"task": {"goal": "count the boats"}}});
    let published = first.post("/publish", event).await;
    assert_eq!(
        (&published["shared"], &published["source"]),
        (&json!(true), &json!("script"))
    );
    until("the task on the other node", async || {
        let page = second.get("/events/log?event_type=task_broadcast").await;
        let found = page["events"].as_array().unwrap().iter().any(|event| {
            event["payload"]["task"]["goal"] == "count the boats"
                && event["subject"] == first.ready.did
        });
        if found { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
    let local = json!({"event_type": "plan_created", "payload": {"n": 1}});
    let local = first.post("/publish", local).await;
    assert!(local.get("shared").is_none(), "{local}");
    let empty = json!({"event_type": "task_broadcast"});
    first
        .http
        .post("/publish", &empty)
        .await
        .problem(422, "invalid");
}
