//! Requests that are wrong in some way: each gets its problem, and changes nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    SECRET,
    client::{raw, status_of},
    config, start, start_with, until,
};

#[tokio::test]
async fn a_body_that_is_not_json_is_400() {
    let server = start().await;
    let client = server.client().with("content-type", "application/json");
    for body in [
        "{",
        "nonsense",
        "{}{}",
        "{} x",
        "\u{feff}{}",
        "{'a':1}",
        "[1,]",
        " ",
    ] {
        client
            .send("POST", "/twins", body)
            .await
            .problem(400, "malformed");
        client
            .send("POST", "/ipfs/dag", body)
            .await
            .problem(400, "malformed");
    }
    client
        .send("POST", "/twins", &b"{\"a\":\"\xff\"}"[..])
        .await
        .problem(400, "malformed");
    client
        .send("POST", "/ipfs/dag", "[".repeat(100_000))
        .await
        .problem(400, "malformed");
    client
        .send("POST", "/plan", "")
        .await
        .problem(400, "malformed");
    client
        .send("POST", "/ipfs/dag", "")
        .await
        .problem(400, "malformed");
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn json_of_the_wrong_shape_is_422_and_names_the_field() {
    let server = start().await;
    let cases: [(&str, Value, &str); 12] = [
        ("/publish", json!({}), "/event_type"),
        ("/publish", json!({ "event_type": 1 }), "/event_type"),
        ("/memory/t1", json!({ "role": "user" }), "/content"),
        (
            "/emotion/t1",
            json!({ "mood": "calm", "activation_level": "x" }),
            "/activation_level",
        ),
        (
            "/emotion/t1",
            json!({ "mood": "calm", "activation_level": 2 }),
            "/activation_level",
        ),
        (
            "/register_tool",
            json!({ "tool": { "description": "x" } }),
            "/tool/name",
        ),
        ("/register_tool", json!({ "tool": ["x"] }), "/tool"),
        (
            "/tools/t1/allow",
            json!({ "name": "x", "allowed": "yes" }),
            "/allowed",
        ),
        ("/interact/t1", json!({ "goal": null }), "/goal"),
        ("/interact/t1", json!(["a goal"]), ""),
        ("/execute/calculator", json!(null), ""),
        ("/twins", json!("active"), ""),
    ];
    for (path, body, field) in cases {
        let problem = server
            .client()
            .post(path, &body)
            .await
            .problem(422, "invalid");
        assert_eq!(
            problem["violations"][0]["path"], field,
            "{path} {body}: {problem}"
        );
    }
    let patch = server.client().with("content-type", "application/json");
    patch
        .send("PATCH", "/twins/t1/state", "[]")
        .await
        .problem(422, "invalid");
    server
        .client()
        .get("/memory/t1/search")
        .await
        .problem(422, "invalid");
    server
        .client()
        .get("/events?event_type=x")
        .await
        .problem(422, "invalid");
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn unknown_fields_of_body_and_query_are_ignored() {
    let server = start().await;
    let client = server.client();
    let goal = json!({ "goal": "add", "priority": 3 });
    assert_eq!(client.post("/interact/t1?trace=1", &goal).await.status, 200);
    assert_eq!(
        client.get("/events/log?after=0&colour=red").await.status,
        200
    );
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let server = start().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "x",
    ] {
        let client = server.client().with("content-type", kind);
        client
            .send("POST", "/twins", "{}")
            .await
            .problem(415, "unsupported-media-type");
    }
    server
        .client()
        .send("POST", "/twins", "{}")
        .await
        .problem(415, "unsupported-media-type");
    let zipped = server
        .client()
        .with("content-type", "application/json")
        .with("content-encoding", "gzip");
    zipped
        .send("POST", "/twins", "{}")
        .await
        .problem(415, "unsupported-media-type");
    assert!(server.node.writes().is_empty());
    let merge_patch = server
        .client()
        .with("content-type", "application/merge-patch+json");
    assert_eq!(server.client().send("POST", "/twins", "").await.status, 201);
    assert_eq!(
        merge_patch
            .send("PATCH", "/twins/t1/state", "{\"a\":1}")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_one_at_the_limit_is_not() {
    let mut config = config();
    config.max_body_bytes = 1000;
    let server = start_with(config).await;
    let client = server.client();
    let document = |size: usize| json!("x".repeat(size - 2));
    assert_eq!(client.post("/ipfs/dag", &document(1000)).await.status, 200);
    for size in [1001, 5000] {
        client
            .post("/ipfs/dag", &document(size))
            .await
            .problem(413, "too-large");
    }
    assert_eq!(server.node.writes().len(), 1);

    // Without a declared length, and with one that is not even begun to be read.
    let head = format!(
        "POST /ipfs/dag HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n\
         content-type: application/json\r\nconnection: close\r\n"
    );
    let chunk = format!("400\r\n{}\r\n", "1".repeat(0x400));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let answer = raw(server.addr(), chunked.as_bytes(), Duration::from_secs(10)).await;
    assert_eq!(status_of(&answer), 413);
    for length in [
        "content-length: 999999999\r\n",
        "content-length: 2000\r\nexpect: 100-continue\r\n",
    ] {
        let declared = format!("{head}{length}\r\n");
        let answer = raw(server.addr(), declared.as_bytes(), Duration::from_secs(10)).await;
        assert_eq!(
            status_of(&answer),
            413,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(server.node.writes().len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let mut config = config();
    config.limits.body = Duration::from_millis(100);
    let server = start_with(config).await;
    let head = format!(
        "POST /twins HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n\
         content-type: application/json\r\ncontent-length: 20\r\n\r\n{{\"initial"
    );
    let answer = raw(server.addr(), head.as_bytes(), Duration::from_secs(10)).await;
    assert_eq!(status_of(&answer), 408);
    assert!(String::from_utf8_lossy(&answer).contains("application/problem+json"));
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let mut config = config();
    config.limits.head = Duration::from_millis(100);
    let server = start_with(config).await;
    let answer = raw(
        server.addr(),
        b"GET /twins HTTP/1.1\r\nhost: loc",
        Duration::from_secs(15),
    );
    let answer = tokio::time::timeout(Duration::from_secs(10), answer)
        .await
        .unwrap();
    assert!(
        matches!(status_of(&answer), 0 | 408),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_504_and_its_work_goes_on() {
    let mut config = config();
    config.limits.answer = Duration::from_millis(100);
    let server = start_with(config).await;
    server
        .client()
        .post("/execute/hang", &json!({}))
        .await
        .problem(504, "timeout");
    assert_eq!(server.node.finished(), 0);
    server.node.release.notify_one();
    until("the tool ends", || server.node.finished() == 1).await;
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_answer_while_it_goes_on() {
    let mut config = config();
    config.limits.answer = Duration::from_millis(400);
    let server = start_with(config).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let head = format!(
        "POST /ipfs/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n\
         content-type: application/octet-stream\r\ncontent-length: 12\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..12 {
        // As slow senders are.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(status_of(&answer), 200, "{text}");
    assert!(text.contains("\"bytes\":12"), "{text}");
}

#[tokio::test]
async fn an_unknown_route_is_404_and_a_wrong_method_405() {
    let server = start().await;
    for path in [
        "/",
        "/nothing",
        "/twins/",
        "/twins/t1/nothing",
        "/Receive",
        "/Twins",
    ] {
        server.client().get(path).await.problem(404, "not-found");
        server
            .client()
            .post(path, &json!({}))
            .await
            .problem(404, "not-found");
    }
    for (method, path, allow) in [
        ("DELETE", "/twins", &["GET", "HEAD", "POST"][..]),
        ("PUT", "/twins/t1/state", &["PATCH"]),
        ("GET", "/act", &["POST"]),
        ("POST", "/healthz", &["GET", "HEAD"]),
        ("BREW", "/tools", &["GET", "HEAD"]),
    ] {
        let answer = server.client().send(method, path, "").await;
        answer.problem(405, "method-not-allowed");
        let mut allowed: Vec<_> = answer.headers["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .map(str::trim)
            .collect();
        allowed.sort_unstable();
        assert_eq!(allowed, allow, "{method} {path}");
    }
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_400() {
    let server = start().await;
    for path in [
        "/events/log?after=-1",
        "/events/log?limit=many",
        "/events/log?limit=1&limit=2",
        "/events?after=99999999999999999999",
        "/memory/t1?limit=1.5",
        "/audit?after=",
        "/twins/%ff",
    ] {
        server.client().get(path).await.problem(400, "malformed");
    }
    let client = server.client().with("last-event-id", "latest");
    client.get("/events").await.problem(400, "malformed");
}

#[tokio::test]
async fn what_the_node_refuses_keeps_its_status() {
    let server = start().await;
    let client = server.client();
    client.get("/twins/none").await.problem(404, "not-found");
    let act = json!({ "twin_id": "t1", "action": "write_file" });
    client.post("/act", &act).await.problem(403, "forbidden");
    let tool = json!({ "tool": { "name": "calculator" } });
    client
        .post("/register_tool", &tool)
        .await
        .problem(409, "conflict");
    let infer = |input: &str| json!({ "twin_id": "t1", "input": input });
    client
        .post("/infer", &infer("broken"))
        .await
        .problem(502, "upstream");
    client
        .post("/infer", &infer("late"))
        .await
        .problem(504, "timeout");
    client
        .get("/ipfs/dag/bafy1")
        .await
        .problem(404, "not-found");
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn a_panic_is_500_without_its_words_and_the_server_goes_on() {
    let server = start().await;
    let problem = server
        .client()
        .post("/execute/panic", &json!({}))
        .await
        .problem(500, "internal");
    assert!(!problem.to_string().contains("tool"), "{problem}");
    assert_eq!(server.client().get("/twins").await.status, 200);
}
