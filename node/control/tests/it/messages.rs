//! The open route for strangers' messages, and the inbox.

use serde_json::json;

use crate::{config, start, start_with};

const PACKED: &str = r#"{"ciphertext":"x","tag":"x"}"#;

#[tokio::test]
async fn a_stranger_hands_in_a_message_and_nothing_else() {
    let server = start().await;
    let stranger = server.stranger();
    for media in [
        "application/didcomm-encrypted+json",
        "application/didcomm-signed+json",
        "application/json",
    ] {
        let client = stranger.with("content-type", media);
        let answer = client.send("POST", "/receive", PACKED).await;
        assert_eq!(answer.status, 202, "{media}");
        assert_eq!(answer.json()["status"], "received");
    }
    assert_eq!(server.node.writes().len(), 3);
    let client = stranger.with("content-type", "application/didcomm-encrypted+json");
    for (body, status, kind) in [
        ("", 400, "malformed"),
        ("nonsense", 400, "malformed"),
        ("{}", 400, "malformed"),
        (r#"{"ciphertext":"x","tag":"again"}"#, 409, "conflict"),
        (r#"{"ciphertext":"x","tag":"much"}"#, 429, "too-many"),
    ] {
        let answer = client.send("POST", "/receive", body).await;
        answer.problem(status, kind);
    }
    let answer = client.send("POST", "/receive", &b"\"\xff\""[..]).await;
    answer.problem(400, "malformed");
    let plain = stranger.with("content-type", "text/plain");
    let answer = plain.send("POST", "/receive", PACKED).await;
    answer.problem(415, "unsupported-media-type");
    client
        .get("/receive")
        .await
        .problem(405, "method-not-allowed");
    // A page of another origin may not even hand in a message.
    let page = client.with("origin", "http://evil.example");
    let answer = page.send("POST", "/receive", PACKED).await;
    answer.problem(403, "forbidden");
    for path in ["/receive/", "/receive/x", "//receive", "/messages/t1"] {
        let answer = client.send("POST", path, PACKED).await;
        answer.problem(401, "unauthorized");
    }
    assert_eq!(server.node.writes().len(), 3);
}

#[tokio::test]
async fn a_message_too_large_is_not_read() {
    let mut config = config();
    config.max_body_bytes = 100;
    let server = start_with(config).await;
    let client = server.stranger().with("content-type", "application/json");
    let body = json!({ "ciphertext": "x".repeat(200) }).to_string();
    let answer = client.send("POST", "/receive", body).await;
    answer.problem(413, "too-large");
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn an_inbox_can_be_narrowed() {
    let server = start().await;
    let client = server.client();
    client.post("/twins", &json!({})).await;
    let all = client.get("/messages/t1").await.json();
    assert_eq!(
        (all.as_array().unwrap().len(), &all[0]["read"]),
        (2, &json!(true))
    );
    let unread = client.get("/messages/t1?unread=true&limit=1").await.json();
    assert_eq!(unread.as_array().unwrap().len(), 1);
    assert_eq!(unread[0]["read"], false);
    client
        .get("/messages/t1?unread=maybe")
        .await
        .problem(400, "malformed");
    client.get("/messages/t9").await.problem(404, "not-found");
    let marked = client
        .post("/messages/t1/read", &json!({ "seqs": [1, 2] }))
        .await;
    assert_eq!(marked.json(), json!({ "read": 2 }));
    let answer = client.post("/messages/t1", &json!({ "body": "x" })).await;
    assert_eq!(
        answer.problem(422, "invalid")["violations"][0]["path"],
        "/to_did"
    );
}
