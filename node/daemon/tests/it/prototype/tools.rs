//! Tools of the prototype's examples: signatures, the playbook's pull and push, and a tool of the
//! user's own.

use serde_json::{Value, json};

use crate::{node::Node, tool_server::ToolServer, wait::until};

pub async fn signatures(node: &Node, twin_id: &str) {
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
pub async fn refinement(node: &Node, twin_id: &str) {
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

pub async fn tools(node: &Node, twin_id: &str) {
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
