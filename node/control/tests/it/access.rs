//! Who gets in: token, `Host`, `Origin`.

use serde_json::json;

use crate::{SECRET, config, start, start_with};

const GUARDED: [(&str, &str); 9] = [
    ("GET", "/twins"),
    ("POST", "/twins"),
    ("POST", "/interact/t1"),
    ("GET", "/events"),
    ("POST", "/mo/step-down"),
    ("POST", "/artifacts/bafy/approve"),
    ("POST", "/artifacts/bafy/reject"),
    ("POST", "/playbook/revert"),
    ("GET", "/no/such/route"),
];

#[tokio::test]
async fn without_the_token_nothing_is_shown_and_nothing_happens() {
    let server = start().await;
    for (method, path) in GUARDED {
        let answer = server.stranger().send(method, path, "").await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let wrong = SECRET.replace('0', "1");
    for shown in [
        format!("Bearer {wrong}"),
        format!("Basic {SECRET}"),
        SECRET.into(),
    ] {
        let client = server.stranger().with("authorization", &shown);
        client
            .post("/twins", &json!({}))
            .await
            .problem(401, "unauthorized");
    }
    assert!(server.node.writes().is_empty());
    assert_eq!(server.client().send("POST", "/twins", "").await.status, 201);
}

#[tokio::test]
async fn four_routes_are_open() {
    let server = start().await;
    for path in [
        "/healthz",
        "/metrics",
        "/.well-known/did.json",
        "/openapi.json",
    ] {
        let answer = server.stranger().get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(
            server.stranger().send("HEAD", path, "").await.status,
            200,
            "{path}"
        );
    }
    assert_eq!(
        server.stranger().get("/healthz").await.json(),
        json!({ "status": "ok" })
    );
    let metrics = server.stranger().get("/metrics").await;
    assert_eq!(
        metrics.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(metrics.body.starts_with(b"# TYPE"));
}

#[tokio::test]
async fn an_ill_node_says_so_without_the_cause() {
    let server = start().await;
    server
        .node
        .ill
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let problem = server
        .stranger()
        .get("/healthz")
        .await
        .problem(503, "unavailable");
    assert!(!problem.to_string().contains("secret"), "{problem}");
    server
        .client()
        .get("/status")
        .await
        .problem(500, "internal");
}

#[tokio::test]
async fn a_foreign_host_is_refused_even_with_the_token() {
    let server = start().await;
    let port = server.addr().port();
    for host in [
        "evil.example",
        &format!("evil.example:{port}"),
        "10.0.0.1",
        "localhost.evil",
    ] {
        let client = server.client().with("host", host);
        client
            .post("/twins", &json!({}))
            .await
            .problem(421, "misdirected");
        client.get("/healthz").await.problem(421, "misdirected");
    }
    assert!(server.node.writes().is_empty());
    for host in [
        "localhost",
        &format!("localhost:{port}"),
        "127.0.0.1:1",
        "[::1]:8006",
    ] {
        assert_eq!(
            server
                .client()
                .with("host", host)
                .get("/twins")
                .await
                .status,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn further_hosts_can_be_named() {
    let mut config = config();
    config.extra_hosts = vec!["node.example".into()];
    let server = start_with(config).await;
    assert_eq!(
        server
            .client()
            .with("host", "Node.Example:80")
            .get("/twins")
            .await
            .status,
        200
    );
    server
        .client()
        .with("host", "other.example")
        .get("/twins")
        .await
        .problem(421, "misdirected");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_even_with_the_token() {
    let server = start().await;
    let here = format!("localhost:{}", server.addr().port());
    let client = server.client().with("host", &here);
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "https://localhost",
    ] {
        let page = client.with("origin", origin);
        page.post("/twins", &json!({}))
            .await
            .problem(403, "forbidden");
        page.get("/healthz").await.problem(403, "forbidden");
        page.send("OPTIONS", "/twins", "")
            .await
            .problem(403, "forbidden");
    }
    assert!(server.node.writes().is_empty());
    let own = client.with("origin", &format!("http://{here}"));
    let answer = own.post("/twins", &json!({})).await;
    assert_eq!(answer.status, 201);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn compat_ports_serve_the_same_behind_the_same_token() {
    let mut config = config();
    config.compat_ports = vec![
        "127.0.0.1:0".parse().unwrap(),
        "127.0.0.1:0".parse().unwrap(),
    ];
    let server = start_with(config).await;
    assert_eq!(server.control.compat_addrs().len(), 2);
    for addr in server.control.compat_addrs() {
        let stranger = crate::client::Client::tcp(*addr);
        stranger.get("/twins").await.problem(401, "unauthorized");
        stranger
            .with("host", "evil.example")
            .get("/healthz")
            .await
            .problem(421, "misdirected");
        let owner = stranger.with("authorization", &format!("Bearer {SECRET}"));
        assert_eq!(owner.get("/twins").await.status, 200);
    }
}
