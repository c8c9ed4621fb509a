//! Twins and tools as the prototype's clients use them.

use serde_json::json;

use crate::start;

#[tokio::test]
async fn a_twin_is_made_from_nothing_from_an_empty_object_or_from_a_state() {
    let server = start().await;
    let client = server.client();
    assert_eq!(client.send("POST", "/twins", "").await.status, 201);
    assert_eq!(client.post("/twins", &json!({})).await.status, 201);
    let state = json!({ "initial_state": { "status": "active", "note": "first" } });
    let twin = client.post("/twins", &state).await.json();
    assert_eq!(twin["state"]["note"], "first");
    assert!(twin["did"].is_string() && twin["did_document"].is_object());
    assert_eq!(
        client.get("/twins").await.json().as_array().unwrap().len(),
        3
    );
    assert_eq!(client.get("/twins/t3").await.json()["twin_id"], "t3");
    assert_eq!(
        client.get("/twins/t3/did").await.json()["did"],
        "did:key:z6Mk"
    );
    let patch = client.with("content-type", "application/json");
    let patched = patch
        .send("PATCH", "/twins/t3/state", r#"{"status":"paused"}"#)
        .await;
    assert_eq!(patched.json()["state"], json!({ "status": "paused" }));
}

#[tokio::test]
async fn memory_is_added_listed_and_searched() {
    let server = start().await;
    let client = server.client();
    client.send("POST", "/twins", "").await;
    for content in ["one fish", "two fish", "red bird", "größe & mehr"] {
        let entry = json!({ "role": "user", "content": content });
        assert_eq!(client.post("/memory/t1", &entry).await.status, 200);
    }
    assert_eq!(
        client
            .get("/memory/t1")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(
        client
            .get("/memory/t1?limit=1")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let found = client.get("/memory/t1/search?q=fish&limit=5").await.json();
    assert_eq!(found.as_array().unwrap().len(), 2);
    let found = client
        .get("/memory/t1/search?q=gr%C3%B6%C3%9Fe+%26")
        .await
        .json();
    assert_eq!(found[0]["content"], "größe & mehr");
    client
        .get("/memory/t1/search?q=")
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn a_tool_is_called_with_or_without_twin_and_parameters() {
    let server = start().await;
    let client = server.client();
    let call = json!({ "twin_id": "t1", "parameters": { "expression": "6*7" } });
    let result = client.post("/execute/calculator", &call).await.json();
    assert_eq!(result["result"], call);
    assert_eq!(
        client.send("POST", "/execute/calculator", "").await.status,
        200
    );
    assert_eq!(client.get("/tools").await.json()[0].get("allowed"), None);
    assert_eq!(client.get("/tools/t1").await.json()[0]["allowed"], true);
    // A segment is one name, decoded once.
    assert_eq!(
        client.send("POST", "/execute/a%2Fb%2520", "").await.json()["tool"],
        "a/b%20"
    );
}

#[tokio::test]
async fn a_document_comes_back_by_its_cid() {
    let server = start().await;
    for document in [
        json!({ "a": [1, null] }),
        json!([1, 2]),
        json!("text"),
        json!(null),
    ] {
        let stored = server.client().post("/ipfs/dag", &document).await.json();
        let path = format!("/ipfs/dag/{}", stored["cid"].as_str().unwrap());
        assert_eq!(server.client().get(&path).await.json(), document);
    }
}

#[tokio::test]
async fn the_two_contexts_differ_by_mood() {
    let server = start().await;
    let request = json!({ "twin_id": "t1", "goal": "x" });
    assert!(
        server
            .client()
            .post("/build", &request)
            .await
            .json()
            .get("mood")
            .is_none()
    );
    let emotional = server
        .client()
        .post("/pagi/context/build", &request)
        .await
        .json();
    assert_eq!(emotional["mood"], "calm");
    let revisions = server.client().get("/playbook/log").await.json();
    assert_eq!(revisions.as_array().unwrap().len(), 50);
}
