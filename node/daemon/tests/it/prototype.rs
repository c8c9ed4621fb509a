//! The prototype's examples, one after another against one node: only port and token are new.

mod tools;

use serde_json::{Value, json};

use self::tools::{refinement, signatures, tools};
use crate::{
    node::{Home, Node, tool_calls},
    wait::until,
};

const HEALTH: &str = "Check this machine's health and report anything above 80%";

#[tokio::test]
async fn the_prototypes_calls_work_one_after_another() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    let twin_id = a_twin(&node).await;
    memory(&node, &twin_id).await;
    context_and_inference(&node, &twin_id).await;
    emotion_and_acts(&home, &node, &twin_id).await;
    let learned = a_goal(&node, &twin_id).await;
    the_same_goal_streamed(&node, &twin_id).await;
    swarm_views(&node, &twin_id, &learned).await;
    signatures(&node, &twin_id).await;
    refinement(&node, &twin_id).await;
    tools(&node, &twin_id).await;
    events(&node, &twin_id).await;
}

async fn a_twin(node: &Node) -> String {
    let body = json!({"initial_state": {"status": "active", "note": "x"}});
    let answer = node.http.post("/twins", &body).await;
    assert_eq!(answer.status, 201);
    let twin = answer.ok();
    let twin_id = twin["twin_id"].as_str().unwrap().to_owned();
    assert_eq!(twin["state"], json!({"status": "active", "note": "x"}));
    let did = twin["did"].as_str().unwrap();
    assert!(did.starts_with("did:key:z6Mk"), "{did}");
    let document = &twin["did_document"];
    assert_eq!(document["id"], did);
    assert_eq!(document["verificationMethod"][0]["controller"], did);
    let agreement = &document["keyAgreement"][0];
    assert_eq!(agreement["type"], "X25519KeyAgreementKey2020");
    assert!(
        agreement["publicKeyMultibase"]
            .as_str()
            .unwrap()
            .starts_with("z6LS")
    );

    let shown = node.get(&format!("/twins/{twin_id}/did")).await;
    assert_eq!(
        (&shown["did"], &shown["did_document"]),
        (&twin["did"], document)
    );
    let listed = node.get("/twins").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["twin_id"], twin_id);

    let patch = json!({"note": null, "rank": 3});
    let patched = node
        .http
        .patch(&format!("/twins/{twin_id}/state"), &patch)
        .await
        .ok();
    assert_eq!(patched["state"], json!({"status": "active", "rank": 3}));
    assert_eq!(
        node.get(&format!("/twins/{twin_id}")).await["state"],
        patched["state"]
    );
    twin_id
}

async fn memory(node: &Node, twin_id: &str) {
    let path = format!("/memory/{twin_id}");
    let said = [
        (
            "user",
            "The owner wants the disk of this machine to stay below 90%.",
        ),
        ("assistant", "Backups run on Sunday night."),
        ("system", "Answers are short."),
    ];
    for (at, (role, content)) in said.iter().enumerate() {
        let entry = node
            .post(&path, json!({"role": role, "content": content}))
            .await;
        assert_eq!(
            (&entry["role"], &entry["content"]),
            (&json!(role), &json!(content))
        );
        assert_eq!(entry["seq"], at + 1);
    }
    let listed = node.get(&path).await;
    let contents: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, said.map(|(_, content)| content));
    let newest = node.get(&format!("{path}?limit=1")).await;
    assert_eq!(
        (newest.as_array().unwrap().len(), &newest[0]),
        (1, &listed[2])
    );
    let found = node
        .get(&format!("{path}/search?q=when%20is%20the%20backup"))
        .await;
    assert_eq!(found[0]["content"], said[1].1);
    assert!(found[0]["score"].as_f64().unwrap() > 0.0);
    assert_eq!(
        node.get(&format!("{path}/search?q=zeppelin")).await,
        json!([])
    );
}

async fn context_and_inference(node: &Node, twin_id: &str) {
    let goal = json!({"twin_id": twin_id, "goal": "When do backups run?"});
    let built = node.post("/build", goal.clone()).await;
    assert_eq!(built["twin_id"], twin_id);
    let context = built["context"].as_str().unwrap();
    assert!(
        context.contains("Backups run on Sunday night."),
        "{context}"
    );
    let layers: Vec<&str> = built["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["layer"].as_str().unwrap())
        .collect();
    for layer in ["system", "tools", "memory", "goal"] {
        assert!(layers.contains(&layer), "{layers:?}");
    }
    assert!(
        built["tokens"].as_u64() <= built["max_tokens"].as_u64(),
        "{built}"
    );
    assert!(built.get("mood").is_none());
    let emotional = node.post("/pagi/context/build", goal).await;
    assert!(
        emotional["mood"].is_string() && emotional["context"].is_string(),
        "{emotional}"
    );

    let input = json!({"twin_id": twin_id, "input": "When do backups run?", "context": context});
    let inferred = node.post("/infer", input).await;
    assert!(
        inferred["output"].as_str().unwrap().contains("Sunday"),
        "{inferred}"
    );
    assert_eq!(inferred["model"], "planner");

    let plan = node
        .post("/plan", json!({"twin_id": twin_id, "goal": HEALTH}))
        .await;
    let steps = plan["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["tool"] == "system_monitor"),
        "{plan}"
    );
    let bare = node
        .post("/plan", json!({"goal": "What is 17 * 23?"}))
        .await;
    assert_eq!(bare["steps"][0]["tool"], "calculator");
    assert_eq!(
        bare["steps"][0]["parameters"],
        json!({"expression": "17 * 23"})
    );
}

async fn emotion_and_acts(home: &Home, node: &Node, twin_id: &str) {
    let path = format!("/emotion/{twin_id}");
    let rest = node.get(&path).await;
    assert!(
        rest["mood"].is_string() && rest["activation_level"].is_number(),
        "{rest}"
    );
    let set = node
        .post(&path, json!({"mood": "excited", "activation_level": 0.8}))
        .await;
    assert_eq!(set["mood"], "excited");
    let now = node.get(&path).await;
    assert_eq!(now["mood"], "excited");
    let level = now["activation_level"].as_f64().unwrap();
    assert!(level > 0.5 && level <= 0.8, "{now}");

    let act = |path: &str| {
        json!({"twin_id": twin_id, "action": "write_file",
               "parameters": {"path": path, "content": "from the twin"}})
    };
    let done = node.post("/act", act("notes/today.txt")).await;
    assert_eq!(
        (&done["status"], &done["result"]["bytes"]),
        (&json!("done"), &json!(13))
    );
    let file = home
        .data()
        .join("twins")
        .join(twin_id)
        .join("files/notes/today.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "from the twin");
    node.http
        .post("/act", &act("../../../escaped"))
        .await
        .problem(422, "invalid");
    let call = json!({"twin_id": twin_id, "action": "call_tool", "parameters":
        {"name": "calculator", "parameters": {"expression": "6*7"}}});
    assert_eq!(node.post("/act", call).await["result"]["result"], 42);
}

/// Runs a goal that teaches the playbook something; the artifact's CID.
async fn a_goal(node: &Node, twin_id: &str) -> String {
    let before = node.get("/playbook").await["head"].clone();
    let done = node.ask(twin_id, HEALTH).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(
        (&done["twin_id"], &done["goal"]),
        (&json!(twin_id), &json!(HEALTH))
    );
    assert_eq!(done["playbook"], before);
    assert!(
        done["output"]
            .as_str()
            .unwrap()
            .contains(|c: char| c.is_ascii_digit()),
        "{done}"
    );
    let steps = done["steps"].as_array().unwrap();
    let mut kinds: Vec<&str> = steps
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    kinds.dedup();
    let flow = [
        "ethics",
        "playbook",
        "context",
        "plan",
        "tool",
        "ethics",
        "answer",
        "reflection",
        "artifact",
    ];
    assert_eq!(kinds, flow);
    let called: Vec<&Value> = tool_calls(&done)
        .into_iter()
        .map(|step| &step["name"])
        .collect();
    assert_eq!(called, ["recall", "system_monitor"]);
    let cid = done["artifact_cid"].as_str().unwrap().to_owned();
    assert!(cid.starts_with("bafyrei"), "{cid}");

    until("the lone MO to merge the artifact", async || {
        let view = node.get(&format!("/artifacts/{cid}")).await;
        let head = node.get("/playbook").await["head"].clone();
        let merged = view["status"] == "merged" && head != before;
        if merged {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
    cid
}

async fn the_same_goal_streamed(node: &Node, twin_id: &str) {
    let body = json!({"goal": HEALTH}).to_string();
    let mut stream = node
        .http
        .follow("POST", &format!("/interact/{twin_id}"), &body)
        .await;
    let mut steps = Vec::new();
    let done = loop {
        let event = stream.next().await.expect("a done event");
        let data = event.json();
        assert_eq!(data["type"], event.name);
        match event.name.as_str() {
            "step" => steps.push(data),
            "done" => break data,
            other => panic!("{other}: {data}"),
        }
    };
    assert_eq!(stream.next().await, None);
    assert_eq!(done["status"], "completed");
    assert!(done["case"].is_string(), "what was learned is used: {done}");
    assert_eq!(tool_calls(&done).len(), 1);
    let told = done["steps"].as_array().unwrap();
    assert_eq!(steps.len(), told.len());
    for (shown, told) in steps.iter().zip(told) {
        assert_eq!(
            (&shown["index"], &shown["kind"]),
            (&told["index"], &told["kind"])
        );
    }
}

async fn swarm_views(node: &Node, twin_id: &str, artifact: &str) {
    let swarm = node.get("/swarm").await;
    assert_eq!(swarm["name"], "pagi");
    assert_eq!(swarm["nodes"], json!([node.ready.did]));
    assert_eq!(swarm["mo"], node.ready.did);
    assert_eq!(
        (&swarm["twins"][0]["twin_id"], &swarm["twins"][0]["local"]),
        (&json!(twin_id), &json!(true))
    );
    assert_eq!(node.get("/peers").await, json!([]));
    let playbook = node.get("/playbook").await;
    assert_eq!(playbook["heads"], json!([playbook["head"]]));
    assert!(playbook["revisions"].as_u64().unwrap() >= 1 && playbook["toml"].is_string());
    let log = node.get("/playbook/log").await;
    assert_eq!(log[0]["cid"], playbook["head"]);
    assert_eq!(log[0]["author"], node.ready.did);
    assert_eq!(node.get("/playbook/verify").await["valid"], true);
    let artifacts = node.get("/artifacts").await;
    let artifacts = artifacts.as_array().unwrap();
    assert!(
        artifacts
            .iter()
            .any(|view| view["cid"] == artifact && view["status"] == "merged")
    );
    let mo = node.get("/mo").await;
    assert_eq!(
        (&mo["mo"], &mo["is_me"]),
        (&json!(node.ready.did), &json!(true))
    );
    assert!(
        mo["term"].as_u64().unwrap() >= 1 && mo["certificate"].is_string(),
        "{mo}"
    );
    // The certificate can be fetched by its CID, like any document of the swarm.
    let certificate = node
        .get(&format!(
            "/ipfs/dag/{}",
            mo["certificate"].as_str().unwrap()
        ))
        .await;
    assert_eq!(certificate["term"], mo["term"], "{certificate}");
    let status = node.get("/status").await;
    assert_eq!(
        (&status["did"], &status["twins"]),
        (&json!(node.ready.did), &json!(1))
    );
}

async fn events(node: &Node, twin_id: &str) {
    let mark = |n: u64| {
        json!({"event_type": "goal_received", "twin_id": twin_id, "source": "e2e",
                               "payload": {"n": n}})
    };
    let mut stream = node.http.follow("GET", "/events?source=e2e", "").await;
    let mut published = Vec::new();
    for n in 1..=3 {
        published.push(node.post("/publish", mark(n)).await);
    }
    node.post(
        "/publish",
        json!({"event_type": "goal_received", "source": "other"}),
    )
    .await;
    let mut seen = Vec::new();
    for event in &published {
        let sent = stream.next().await.unwrap();
        assert_eq!(sent.id.as_deref(), Some(event["seq"].to_string().as_str()));
        assert_eq!((sent.name.as_str(), &sent.json()), ("goal_received", event));
        seen.push(sent);
    }
    drop(stream);
    for n in 4..=5 {
        published.push(node.post("/publish", mark(n)).await);
    }
    // A client that reconnects misses nothing and sees nothing twice.
    let again = node
        .http
        .with("last-event-id", seen[1].id.as_deref().unwrap());
    let mut stream = again.follow("GET", "/events?source=e2e", "").await;
    for event in &published[2..] {
        assert_eq!(&stream.next().await.unwrap().json(), event);
    }

    let after = published[0]["seq"].as_u64().unwrap() - 1;
    let page = node
        .get(&format!("/events/log?after={after}&source=e2e&limit=2"))
        .await;
    assert_eq!(page["events"], json!([published[0], published[1]]));
    assert_eq!(page["last"], published[1]["seq"]);
    let all = node.events_after(0).await;
    let seqs: Vec<u64> = all
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    let kinds: std::collections::BTreeSet<&str> = all
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    for kind in [
        "goal_received",
        "twin_registered",
        "twin_state_updated",
        "working_memory_appended",
        "context_built",
        "inference_requested",
        "inference_completed",
        "plan_created",
        "plan_generated",
        "tool_executed",
        "emotion_state_updated",
        "action_requested",
        "artifact_published",
        "playbook_updated",
        "mo_elected",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
}
