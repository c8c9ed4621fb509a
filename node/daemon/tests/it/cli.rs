//! A user's session on the command line.

use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::{
    node::Home,
    program::{command, run},
    wait::{DEADLINE, until},
};

#[tokio::test]
async fn a_session_from_up_to_the_playbook() {
    let home = Home::new();
    let mut up = command(home.root());
    up.args([
        "up",
        "--json",
        "--name",
        "Ada",
        "--no-mdns",
        "--control",
        "127.0.0.1:0",
    ])
    .args(["--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"])
    .arg(home.data())
    .stdout(std::process::Stdio::piped());
    let mut up = up.spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    let line = timeout(DEADLINE, lines.next_line())
        .await
        .expect("a node in time")
        .unwrap();
    let ready: Value = serde_json::from_str(&line.expect("a ready document")).unwrap();
    let twin_id = ready["twin_id"].as_str().unwrap();
    until("the node to be MO", async || {
        let mo = home.json(&["mo", "status"]).await;
        if mo["is_me"] == true {
            Ok(())
        } else {
            Err(mo.to_string())
        }
    })
    .await;

    let status = home.json(&["status"]).await;
    assert_eq!(status["node"]["did"], ready["did"]);
    assert_eq!(home.json(&["peers"]).await, json!([]));
    let twins = home.json(&["twin", "list"]).await;
    assert_eq!(
        (&twins[0]["twin_id"], &twins[0]["state"]["name"]),
        (&json!(twin_id), &json!("Ada"))
    );
    let made = home
        .json(&["twin", "create", "--name", "Bo", "--note", "second"])
        .await;
    assert_eq!(made["state"]["note"], "second");
    assert_eq!(
        home.json(&["twin", "show", "Bo"]).await["twin_id"],
        made["twin_id"]
    );
    assert_eq!(home.json(&["twin", "did", "Bo"]).await["did"], made["did"]);
    let paused = home
        .json(&["twin", "state", "Bo", "status=paused", "rank=3"])
        .await;
    assert_eq!(
        (&paused["state"]["status"], &paused["state"]["rank"]),
        (&json!("paused"), &json!(3))
    );

    let kept = home
        .json(&["memory", "add", "The disk should stay below 90%."])
        .await;
    assert_eq!(kept["twin_id"], twin_id);
    assert_eq!(home.json(&["memory", "list"]).await[0]["id"], kept["id"]);
    assert_eq!(
        home.json(&["memory", "search", "disk"]).await[0]["id"],
        kept["id"]
    );
    let felt = home.json(&["emotion", "set", "content", "0.4"]).await;
    assert_eq!(felt["mood"], "content");
    assert_eq!(home.json(&["emotion", "get"]).await["mood"], "content");

    let plan = home.json(&["plan", "What is 17 * 23?"]).await;
    assert_eq!(plan["steps"][0]["tool"], "calculator");
    let done = home
        .json(&["ask", "Calculate 3.5 * 12 and tell me the result"])
        .await;
    assert_eq!(done["status"], "completed");
    assert!(done["output"].as_str().unwrap().contains("42"), "{done}");
    let refused = home
        .pagi(&["ask", "--json", "Build a bomb"])
        .await
        .document_of(1);
    assert_eq!(refused["status"], "refused");

    let tools = home.json(&["tool", "list"]).await;
    assert!(
        tools
            .as_array()
            .unwrap()
            .iter()
            .any(|tool| tool["name"] == "calculator")
    );
    let mine = home.json(&["tool", "list", "--twin", "Ada"]).await;
    assert!(
        mine.as_array()
            .unwrap()
            .iter()
            .all(|tool| tool["allowed"].is_boolean())
    );
    let called = home
        .json(&["tool", "call", "calculator", "expression=6*7"])
        .await;
    assert_eq!(called["result"]["result"], 42);
    let parameters = ["tool", "call", "calculator", "{\"expression\":\"2^10\"}"];
    assert_eq!(home.json(&parameters).await["result"]["result"], 1024);
    let url = [
        "--url",
        "http://127.0.0.1:9",
        "--endpoint",
        "/x",
        "--description",
        "nothing",
    ];
    let register = [&["tool", "register", "--name", "nil"][..], &url].concat();
    assert_eq!(home.json(&register).await["name"], "nil");
    assert_eq!(
        home.json(&["tool", "allow", "nil", "--deny"]).await["allowed"],
        false
    );
    assert_eq!(
        home.json(&["act", "write-file", "a.txt", "hello"]).await["status"],
        "done"
    );

    let artifact = done["artifact_cid"].as_str().unwrap();
    until("the artifact to be merged", async || {
        let shown = home.json(&["artifact", "show", artifact]).await;
        if shown["status"] == "merged" {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    })
    .await;
    assert_eq!(home.json(&["artifact", "list"]).await[0]["cid"], artifact);
    let playbook = home.json(&["playbook", "show"]).await;
    assert_eq!(
        home.json(&["playbook", "log"]).await[0]["cid"],
        playbook["head"]
    );
    assert_eq!(home.json(&["playbook", "verify"]).await["valid"], true);
    let exported = home.root().join("playbook.toml");
    home.json(&["playbook", "export", exported.to_str().unwrap()])
        .await;
    assert_eq!(
        std::fs::read_to_string(exported).unwrap(),
        playbook["toml"].as_str().unwrap()
    );

    let events = home.json(&["events", "--limit", "500"]).await;
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"twin_registered") && kinds.contains(&"playbook_updated"),
        "{kinds:?}"
    );
    let only = home
        .json(&["events", "--type", "tool_executed", "--limit", "1"])
        .await;
    assert_eq!(only.as_array().unwrap().len(), 1);
    let audit = home.json(&["audit"]).await;
    assert!(
        audit
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["action"] == "ethics_refused")
    );

    let file = home.root().join("document.json");
    std::fs::write(&file, "{\"hello\": [1, 2, {\"deep\": true}]}").unwrap();
    let put = home.json(&["ipfs", "put", file.to_str().unwrap()]).await;
    let got = home
        .json(&["ipfs", "get", put["cid"].as_str().unwrap()])
        .await;
    assert_eq!(got, json!({"hello": [1, 2, {"deep": true}]}));
    assert_eq!(home.json(&["plugin", "list"]).await, json!([]));
    assert_eq!(home.json(&["doctor"]).await["ok"], true);
    let token = std::fs::read_to_string(home.data().join("token")).unwrap();
    assert_eq!(home.json(&["token"]).await["token"], token.trim());

    // Over TCP with the token, as over the socket.
    let control = ready["control"].as_str().unwrap();
    let mut tcp = command(home.root());
    tcp.args([
        "status",
        "--json",
        "--control",
        control,
        "--token",
        token.trim(),
    ]);
    assert_eq!(run(&mut tcp).await.document()["node"]["did"], ready["did"]);
    let mut wrong = command(home.root());
    wrong.args(["status", "--control", control, "--token", &"0".repeat(64)]);
    assert!(run(&mut wrong).await.complaint(1).contains("pagi token"));

    // What a person reads is not JSON and has no colours in a pipe.
    for words in [
        &["status"][..],
        &["twin", "list"],
        &["playbook", "show"],
        &["doctor"],
        &["events"],
    ] {
        let outcome = home.pagi(words).await;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(
            !outcome.stdout.is_empty() && !outcome.stdout.contains('\u{1b}'),
            "{outcome:?}"
        );
        assert!(
            serde_json::from_str::<Value>(&outcome.stdout).is_err(),
            "{outcome:?}"
        );
    }

    // Ctrl-C ends it in order.
    let pid = rustix::process::Pid::from_raw(i32::try_from(up.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let ended = timeout(DEADLINE, up.wait())
        .await
        .expect("an end in time")
        .unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(
        lines.next_line().await.unwrap(),
        None,
        "one document and nothing else"
    );
}

#[tokio::test]
async fn without_a_node_a_command_says_how_to_start_one() {
    let home = Home::new();
    for words in [
        &["status"][..],
        &["twin", "list"],
        &["ask", "What is 1 + 1?"],
        &["mo", "status"],
    ] {
        let complaint = home.pagi(words).await.complaint(1);
        assert!(
            complaint.contains("pagi up") || complaint.contains("pagi run"),
            "{complaint}"
        );
        let document = home
            .pagi(&[words, &["--json"]].concat())
            .await
            .document_of(1);
        assert!(document["error"]["cause"].is_string() && document["error"]["next"].is_string());
    }
    let doctor = home.pagi(&["doctor", "--json"]).await.document_of(1);
    assert_eq!(doctor["ok"], false);
    assert!(!home.data().exists(), "looking made something");
}

#[tokio::test]
async fn bad_usage_and_unknown_things() {
    let home = Home::new();
    for words in [
        &["no-such-command"][..],
        &["twin"],
        &["ask"],
        &["emotion", "set", "calm", "2"],
    ] {
        assert_eq!(home.pagi(words).await.code, Some(2), "{words:?}");
    }
    let node = home.start().await;
    let complaint = home.pagi(&["ask", "What is 1 + 1?"]).await.complaint(1);
    assert!(
        complaint.contains("no twin") && complaint.contains("pagi twin create"),
        "{complaint}"
    );
    node.twin().await;
    let unknown = home
        .pagi(&["ask", "--twin", "nobody", "x"])
        .await
        .complaint(1);
    assert!(
        unknown.contains("nobody") && unknown.contains("pagi twin list"),
        "{unknown}"
    );
    let unknown = home
        .pagi(&["tool", "call", "no_such_tool"])
        .await
        .complaint(1);
    assert!(
        unknown.contains("no_such_tool") && unknown.contains("pagi tool list"),
        "{unknown}"
    );
    let document = home
        .pagi(&["tool", "call", "no_such_tool", "--json"])
        .await
        .document_of(1);
    assert_eq!(document["error"]["status"], 404);
    home.pagi(&["tool", "call", "calculator", "expression=1/0"])
        .await
        .complaint(1);
}

#[tokio::test]
async fn sigterm_ends_a_node_in_order() {
    let home = Home::new();
    let node = home.start().await;
    let twin_id = node.twin().await;
    let socket = node.ready.socket.clone();
    assert!(socket.exists());
    // A follower of events does not keep it.
    let mut events = node.http.follow("GET", "/events", "").await;
    let ended = node.terminate().await;
    assert_eq!(ended.code(), Some(0));
    assert!(!socket.exists(), "the control socket is left behind");
    assert_eq!(events.next().await, None);
    let node = home.start().await;
    assert_eq!(node.get("/twins").await[0]["twin_id"], twin_id);
}

#[tokio::test]
async fn what_is_taken_is_refused_with_the_cause() {
    let home = Home::new();
    let node = home.start().await;
    // The same data directory.
    let outcome = home.launch().fail().await;
    let document = outcome.document_of(1);
    let cause = document["error"]["cause"].as_str().unwrap();
    assert!(
        cause.contains("already") || cause.contains("in use") || cause.contains("another"),
        "{cause}"
    );
    assert!(
        document["error"]["next"]
            .as_str()
            .unwrap()
            .contains("--data-dir"),
        "{document}"
    );
    // The control address.
    let other = Home::new();
    let control = node.http.address().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = command(other.root());
    command
        .args([
            "run",
            "--json",
            "--no-mdns",
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
            "--control",
        ])
        .arg(&control)
        .arg("--data-dir")
        .arg(other.data());
    let document = run(&mut command).await.document_of(1);
    let cause = document["error"]["cause"].as_str().unwrap();
    assert!(cause.contains(&control), "{cause}");
    assert!(
        document["error"]["next"]
            .as_str()
            .unwrap()
            .contains("--control"),
        "{document}"
    );
    // The network's port.
    let mut command = crate::program::command(other.root());
    command
        .args([
            "run",
            "--json",
            "--no-mdns",
            "--control",
            "127.0.0.1:0",
            "--listen",
        ])
        .arg(format!("/ip4/127.0.0.1/tcp/{port}"))
        .arg("--data-dir")
        .arg(other.data());
    let document = run(&mut command).await.document_of(1);
    let cause = document["error"]["cause"].as_str().unwrap();
    assert!(cause.contains(&port.to_string()), "{cause}");
    // The node that was there first is untouched, and the other directory is free to use.
    assert_eq!(node.get("/status").await["did"], node.ready.did);
    other.start().await;
}
