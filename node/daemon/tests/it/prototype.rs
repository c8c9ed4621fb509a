//! The prototype's examples, one after another against one node: only port and token are new.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::{
    http::Http,
    node::{Home, Node, tool_calls},
    tool_server::ToolServer,
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

async fn signatures(node: &Node, twin_id: &str) {
    let artifact = json!({"title": "report", "figures": [1, 2.5, null], "nested": {"a": "ä"}});
    let signed = node
        .tool(
            "did_sign_artifact",
            json!({"twin_id": twin_id, "artifact": artifact}),
        )
        .await;
    let twin = node.get(&format!("/twins/{twin_id}")).await;
    assert_eq!(
        (&signed["did"], &signed["artifact"]),
        (&twin["did"], &artifact)
    );
    assert!(
        signed["signature"].as_str().unwrap().starts_with('z'),
        "{signed}"
    );
    let verify = async |did: &Value, artifact: &Value, signature: &Value| {
        let parameters = json!({"did": did, "artifact": artifact, "signature": signature});
        node.tool("did_verify_artifact", parameters).await["valid"] == true
    };
    assert!(verify(&signed["did"], &artifact, &signed["signature"]).await);
    let mut tampered = artifact.clone();
    tampered["figures"][0] = json!(2);
    assert!(!verify(&signed["did"], &tampered, &signed["signature"]).await);
    assert!(!verify(&json!(node.ready.did), &artifact, &signed["signature"]).await);
    let mut bent = signed["signature"].as_str().unwrap().to_owned();
    let last = if bent.pop() == Some('2') { '3' } else { '2' };
    bent.push(last);
    assert!(!verify(&signed["did"], &artifact, &json!(bent)).await);
    let nobody = json!({"parameters": {"twin_id": "nobody", "artifact": 1}});
    assert!(
        node.http
            .post("/execute/did_sign_artifact", &nobody)
            .await
            .status
            >= 400
    );
}

/// The prototype's pull and push of playbooks by their old names, push with its old wrapping.
async fn refinement(node: &Node, twin_id: &str) {
    let pulled = node
        .tool("swarm_sync_pull_latest_playbook", json!({}))
        .await;
    assert_eq!(pulled["cid"], node.get("/playbook").await["head"]);
    let mut toml: toml::Table = pulled["playbook"].as_str().unwrap().parse().unwrap();
    let shown = toml["context_engineering"]["retrieval_top_k"]
        .as_integer()
        .unwrap();
    toml["context_engineering"]["retrieval_top_k"] = (shown + 1).into();
    let artifact = json!({"twin_id": twin_id, "critique": "one more memory helps",
                          "updated_playbook": toml::to_string(&toml).unwrap()});
    let pushed = node
        .tool("swarm_sync_push_artifact", json!({"artifact": artifact}))
        .await;
    let cid = pushed["cid"].as_str().unwrap().to_owned();
    until("the pushed playbook to be merged", async || {
        let view = node.get(&format!("/artifacts/{cid}")).await;
        if view["status"] == "merged" {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
    let document = node.get("/playbook").await["document"].clone();
    assert_eq!(
        document["context_engineering"]["retrieval_top_k"],
        shown + 1
    );
}

async fn tools(node: &Node, twin_id: &str) {
    let mut server = ToolServer::start().await;
    let tool = |name: &str, endpoint: &str| {
        json!({"twin_id": twin_id, "tool": {
            "name": name, "description": "Reports the temperature and humidity of the greenhouse",
            "plugin_url": server.url, "endpoint": endpoint, "read_only": true,
            "parameters": {"type": "object", "properties": {"unit": {"enum": ["celsius", "kelvin"]}},
                           "additionalProperties": false}}})
    };
    let registered = node
        .http
        .post("/register_tool", &tool("greenhouse", "/greenhouse"))
        .await;
    assert_eq!(registered.status, 201);
    assert_eq!(registered.ok()["source"], "registered");
    node.post("/register_tool", tool("broken", "/broken")).await;
    let all = node.get("/tools").await;
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    for name in [
        "greenhouse",
        "calculator",
        "system_monitor",
        "remember",
        "recall",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let mine = node.get(&format!("/tools/{twin_id}")).await;
    let mine = mine
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "greenhouse")
        .unwrap();
    assert_eq!(
        (&mine["allowed"], &mine["twin_id"]),
        (&json!(true), &json!(twin_id))
    );

    let call = json!({"twin_id": twin_id, "parameters": {"unit": "kelvin"}});
    let result = node.post("/execute/greenhouse", call).await;
    assert_eq!(
        (&result["tool"], &result["status"]),
        (&json!("greenhouse"), &json!("ok"))
    );
    assert_eq!(result["result"]["unit"], "kelvin");
    assert_eq!(
        server.called.recv().await.unwrap(),
        json!({"unit": "kelvin"})
    );
    let wrong = json!({"twin_id": twin_id, "parameters": {"unit": "rankine"}});
    let problem = node
        .http
        .post("/execute/greenhouse", &wrong)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["violations"][0]["path"], "/unit");
    assert!(
        server.called.try_recv().is_err(),
        "parameters that do not fit reached the tool"
    );
    let failed = node
        .http
        .post("/execute/broken", &json!({"twin_id": twin_id}))
        .await;
    let problem = failed.problem(502, "upstream");
    assert!(
        problem["detail"].as_str().unwrap().contains("on fire"),
        "{problem}"
    );
    assert!(server.called.recv().await.is_some());

    // It belongs to one twin: another neither sees nor calls it.
    let other = node.twin().await;
    let theirs = node.get(&format!("/tools/{other}")).await;
    assert!(
        theirs
            .as_array()
            .unwrap()
            .iter()
            .all(|tool| tool["name"] != "greenhouse")
    );
    let call = json!({"twin_id": other, "parameters": {}});
    node.http
        .post("/execute/greenhouse", &call)
        .await
        .problem(403, "forbidden");

    let done = node
        .ask(twin_id, "What is the temperature of the greenhouse?")
        .await;
    assert_eq!(done["status"], "completed", "{done}");
    assert!(done["output"].as_str().unwrap().contains("21.5"), "{done}");
    assert!(server.called.recv().await.is_some());

    let deny = json!({"name": "greenhouse", "allowed": false});
    assert_eq!(
        node.post(&format!("/tools/{twin_id}/allow"), deny).await["allowed"],
        false
    );
    let call = json!({"twin_id": twin_id, "parameters": {}});
    node.http
        .post("/execute/greenhouse", &call)
        .await
        .problem(403, "forbidden");
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

#[tokio::test]
async fn four_routes_are_open_and_the_others_want_the_token() {
    let home = Home::new();
    let node = home.start().await;
    let stranger = node.stranger();
    assert_eq!(stranger.get("/healthz").await.ok(), json!({"status": "ok"}));
    assert_eq!(
        stranger.get("/.well-known/did.json").await.ok()["id"],
        node.ready.did
    );
    let metrics = stranger.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.text().contains("\npagi_event_log_last_seq "),
        "{}",
        metrics.text()
    );
    let paths = stranger.get("/openapi.json").await.ok()["paths"].clone();
    for path in [
        "/twins",
        "/interact/{twin_id}",
        "/events",
        "/execute/{tool_name}",
        "/mo",
    ] {
        assert!(paths.get(path).is_some(), "{path} is not documented");
    }
    // What the document says needs a token, does; a path variable is as good as another.
    for (path, methods) in paths.as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace(['{', '}'], "");
            let open = [
                "/healthz",
                "/metrics",
                "/.well-known/did.json",
                "/openapi.json",
            ];
            let answer = stranger.send(&method.to_uppercase(), &path, "").await;
            if !open.contains(&path.as_str()) {
                answer.problem(401, "unauthorized");
            }
        }
    }
}

#[tokio::test]
async fn the_prototypes_ports_serve_the_same() {
    const PORTS: [u16; 10] = [8000, 8002, 8003, 8004, 8005, 8006, 8007, 8008, 8010, 8083];
    let taken = || {
        PORTS
            .into_iter()
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_err())
    };
    if let Some(port) = taken() {
        eprintln!("SKIPPED: port {port} is in use here, so --compat-ports cannot be tried");
        return;
    }
    let home = Home::new();
    let node = home.launch().arg("--compat-ports").start().await;
    let twin_id = node.twin().await;
    for port in PORTS {
        let stranger = Http::new(([127, 0, 0, 1], port).into());
        stranger.get("/twins").await.problem(401, "unauthorized");
        let owner = stranger.with("authorization", &format!("Bearer {}", node.token));
        assert_eq!(
            owner.get("/twins").await.ok()[0]["twin_id"],
            twin_id,
            "port {port}"
        );
    }
}
