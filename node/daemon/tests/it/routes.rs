//! Which routes are open, and the prototype's ports.

use std::net::TcpListener;

use serde_json::json;

use crate::{http::Http, node::Home};

#[tokio::test]
async fn five_routes_are_open_and_the_others_want_the_token() {
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
                "/receive",
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

#[tokio::test]
async fn a_node_with_a_domain_shows_the_document_of_its_did_web() {
    let home = Home::new();
    std::fs::create_dir_all(home.data()).unwrap();
    let config = "[node]\ndomain = \"example.org\"\n";
    std::fs::write(home.data().join("config.toml"), config).unwrap();
    let node = home.start().await;
    let document = node.stranger().get("/.well-known/did.json").await.ok();
    assert_eq!(
        (&document["id"], &document["alsoKnownAs"]),
        (&json!("did:web:example.org"), &json!([node.ready.did]))
    );
    let file = home.root().join("did.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let checked = home
        .json(&["did", "did:web:example.org", "--document", file])
        .await;
    assert_eq!(checked, document);
    let key = home.json(&["did", &node.ready.did]).await;
    assert_eq!(key["id"], node.ready.did);
    let elsewhere = home
        .pagi(&["did", "did:web:example.org"])
        .await
        .complaint(1);
    assert!(
        elsewhere.contains("https://example.org/.well-known/did.json"),
        "{elsewhere}"
    );
    let foreign = home
        .pagi(&["did", "did:web:example.com", "--document", file])
        .await;
    foreign.complaint(1);
    home.pagi(&["did", "did:peer:2"]).await.complaint(1);
}
