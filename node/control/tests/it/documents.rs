//! The OpenAPI document tells the truth about the running server.

use serde_json::Value;

use crate::start;

#[tokio::test]
async fn every_documented_example_works_and_answers_as_documented() {
    let server = start().await;
    let client = server.client();
    assert_eq!(client.send("POST", "/twins", "").await.status, 201);
    client.post("/ipfs/dag", &Value::Null).await;
    let document = server.stranger().get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut tried = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let (status, answer) = operation["responses"]
                .as_object()
                .unwrap()
                .iter()
                .next()
                .unwrap();
            if answer["content"].get("text/event-stream").is_some() && method == "get" {
                continue; // It never ends; the tests of events follow it.
            }
            let of_files = ["files", "folders", "ls", "pins", "gc", "car"];
            if of_files
                .iter()
                .any(|part| template.starts_with(&format!("/ipfs/{part}")))
            {
                continue; // Files need a real store; the tests of `pagi ipfs` go through these.
            }
            let path = template
                .replace("{twin_id}", "t1")
                .replace("{tool_name}", "calculator")
                .replace("{plugin_name}", "text_stats")
                .replace("{task_id}", "1")
                .replace("{id}", "c1")
                .replace("{cid}", "bafy1");
            let query = match template.as_str() {
                "/reputation" => "?did=x",
                template if template.ends_with("/search") => "?q=x",
                _ => "",
            };
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = if example.is_null() {
                String::new()
            } else {
                example.to_string()
            };
            let client = client.with("content-type", "application/json");
            let response = client
                .send(
                    &method.to_ascii_uppercase(),
                    &format!("{path}{query}"),
                    body,
                )
                .await;
            let shown = String::from_utf8_lossy(&response.body);
            assert_eq!(
                response.status.to_string(),
                *status,
                "{method} {path}: {shown}"
            );
            let media = response.headers["content-type"].to_str().unwrap();
            let media = media.split(';').next().unwrap();
            assert!(
                answer["content"].get(media).is_some(),
                "{method} {path}: {media}"
            );
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
}

#[tokio::test]
async fn only_what_the_document_marks_as_open_is() {
    let server = start().await;
    let document = server.stranger().get("/openapi.json").await.json();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation.get("security") == Some(&Value::Array(vec![]));
            let method = method.to_ascii_uppercase();
            let answer = server
                .stranger()
                .send(&method, &template.replace(['{', '}'], ""), "")
                .await;
            assert_eq!(answer.status != 401, open, "{method} {template}");
        }
    }
    assert!(server.node.writes().is_empty());
}

#[tokio::test]
async fn every_route_of_the_contract_is_documented() {
    let document = pagi_control::openapi();
    for (method, path) in [
        ("post", "/publish"),
        ("get", "/events"),
        ("get", "/events/log"),
        ("post", "/twins"),
        ("get", "/twins"),
        ("get", "/twins/{twin_id}"),
        ("get", "/twins/{twin_id}/did"),
        ("patch", "/twins/{twin_id}/state"),
        ("post", "/memory/{twin_id}"),
        ("get", "/memory/{twin_id}"),
        ("get", "/memory/{twin_id}/search"),
        ("post", "/build"),
        ("post", "/pagi/context/build"),
        ("post", "/infer"),
        ("post", "/interact/{twin_id}"),
        ("post", "/plan"),
        ("get", "/emotion/{twin_id}"),
        ("post", "/emotion/{twin_id}"),
        ("post", "/act"),
        ("post", "/register_tool"),
        ("get", "/tools"),
        ("get", "/tools/{twin_id}"),
        ("post", "/tools/{twin_id}/allow"),
        ("post", "/execute/{tool_name}"),
        ("get", "/plugins"),
        ("post", "/plugins"),
        ("delete", "/plugins/{plugin_name}"),
        ("post", "/receive"),
        ("post", "/messages/{twin_id}"),
        ("get", "/messages/{twin_id}"),
        ("post", "/messages/{twin_id}/read"),
        ("get", "/audit"),
        ("get", "/swarm"),
        ("get", "/swarm/twins"),
        ("post", "/swarm/tasks"),
        ("get", "/swarm/tasks"),
        ("get", "/swarm/tasks/{task_id}"),
        ("delete", "/swarm/tasks/{task_id}"),
        ("get", "/peers"),
        ("get", "/status"),
        ("get", "/playbook"),
        ("get", "/playbook/log"),
        ("get", "/playbook/verify"),
        ("get", "/playbook/diff"),
        ("get", "/artifacts"),
        ("get", "/artifacts/{cid}"),
        ("get", "/mo"),
        ("post", "/mo/step-down"),
        ("post", "/artifacts/{cid}/approve"),
        ("post", "/artifacts/{cid}/reject"),
        ("post", "/playbook/revert"),
        ("post", "/ipfs/dag"),
        ("get", "/ipfs/dag/{cid}"),
        ("post", "/ipfs/files"),
        ("get", "/ipfs/files/{cid}"),
        ("post", "/ipfs/folders"),
        ("get", "/ipfs/ls/{cid}"),
        ("get", "/ipfs/pins"),
        ("post", "/ipfs/pins"),
        ("delete", "/ipfs/pins/{cid}"),
        ("post", "/ipfs/gc"),
        ("get", "/ipfs/car/{cid}"),
        ("post", "/ipfs/car"),
        ("get", "/healthz"),
        ("get", "/metrics"),
        ("get", "/.well-known/did.json"),
        ("get", "/openapi.json"),
    ] {
        assert!(
            document["paths"][path][method].is_object(),
            "{method} {path}"
        );
    }
}
