//! A language model instead of the planner: what it is sent, what its calls do, and what happens
//! when it is away or misbehaves.

use serde_json::{Value, json};

use crate::{
    model_server::{ModelServer, Reply, call, text, tool_result},
    node::{Home, Launch, Node, tool_calls},
    program::Outcome,
};

const GOAL: &str = "How much is seventeen times twenty-three?";

fn with_model<'a>(home: &'a Home, url: &str) -> Launch<'a> {
    home.launch()
        .env("PAGI_LLM_URL", url)
        .env("PAGI_LLM_MODEL", "tester")
        .env("PAGI_LLM_API_KEY", "key-of-the-test")
}

/// A model that asks the calculator and repeats what it said.
fn calculating(request: &Value) -> Reply {
    match tool_result(request) {
        None => Reply::Stream(
            [
                text("I will calculate."),
                call("call_a", "calculator", r#"{"expression":"17*23"}"#),
            ]
            .concat(),
        ),
        Some(result) => Reply::Stream(text(&format!("The calculator says {}.", figure(&result)))),
    }
}

fn figure(result: &str) -> String {
    let result: Value = serde_json::from_str(result).unwrap_or_default();
    result["result"].to_string()
}

async fn ask(home: &Home, node: &Node) -> Outcome {
    let twin_id = node.twin().await;
    let note = json!({"role": "user", "content": "Seventeen is the owner's favourite number."});
    node.post(&format!("/memory/{twin_id}"), note).await;
    home.pagi(&["ask", "--json", GOAL]).await
}

#[tokio::test]
async fn a_streaming_model_thinks_calls_a_tool_and_answers() {
    let mut model = ModelServer::start(calculating).await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    assert!(
        node.get("/status").await["inference"]
            .as_str()
            .unwrap()
            .contains("tester")
    );
    let done = ask(&home, &node).await.document();
    assert_eq!(
        (&done["status"], &done["engine"]),
        (&json!("completed"), &json!("tester"))
    );
    assert_eq!(done["output"], "The calculator says 391.");
    let calls = tool_calls(&done);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["input"], json!({"expression": "17*23"}));
    assert_eq!(calls[0]["output"]["result"], 391);

    let asked = model.asked();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        assert_eq!(
            request.authorization.as_deref(),
            Some("Bearer key-of-the-test")
        );
        assert_eq!(
            (&request.body["model"], &request.body["stream"]),
            (&json!("tester"), &json!(true))
        );
        let tools = request.body["tools"].as_array().unwrap();
        let calculator = tools
            .iter()
            .find(|tool| tool["function"]["name"] == "calculator")
            .unwrap();
        assert_eq!(calculator["type"], "function");
        assert_eq!(
            calculator["function"]["parameters"]["required"],
            json!(["expression"])
        );
    }
    let messages = asked[0].body["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "system");
    let context = messages[0]["content"].as_str().unwrap();
    assert!(
        context.contains("Seventeen is the owner's favourite number."),
        "{context}"
    );
    let said = context.matches(GOAL).count();
    assert_eq!(said, 1, "the goal is no memory of its own: {context}");
    assert_eq!(
        messages.last().unwrap(),
        &json!({"role": "user", "content": GOAL})
    );
    let messages = asked[1].body["messages"].as_array().unwrap();
    let [.., called, result] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(called["role"], "assistant");
    assert_eq!(
        called["tool_calls"][0]["function"]["arguments"],
        r#"{"expression":"17*23"}"#
    );
    assert_eq!(result["tool_call_id"], called["tool_calls"][0]["id"]);

    // The key goes to the model and nowhere else.
    for path in [
        "/events/log?limit=1000",
        "/audit?limit=1000",
        "/status",
        "/swarm",
    ] {
        assert!(
            !node.get(path).await.to_string().contains("key-of-the-test"),
            "{path}"
        );
    }
    let twin_id = done["twin_id"].as_str().unwrap();
    let inferred = node
        .post("/infer", json!({"twin_id": twin_id, "input": "hello"}))
        .await;
    assert_eq!(inferred["model"], "tester");
}

#[tokio::test]
async fn the_text_is_streamed_as_the_model_writes_it() {
    let model = ModelServer::start(calculating).await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    let twin_id = node.twin().await;
    let body = json!({"goal": GOAL}).to_string();
    let mut stream = node
        .http
        .follow("POST", &format!("/interact/{twin_id}"), &body)
        .await;
    let (mut written, mut done) = (String::new(), Value::Null);
    while let Some(event) = stream.next().await {
        match event.name.as_str() {
            "text" => written.push_str(event.json()["delta"].as_str().unwrap()),
            "done" => done = event.json(),
            _ => {}
        }
    }
    assert_eq!(written, "I will calculate.The calculator says 391.");
    assert_eq!(done["output"], "The calculator says 391.");
}

#[tokio::test]
async fn a_model_that_does_not_stream_serves_as_well() {
    let model = ModelServer::start(|request| match tool_result(request) {
        None => Reply::Whole(json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_b", "type": "function", "function":
                {"name": "calculator", "arguments": "{\"expression\":\"17*23\"}"}}]})),
        Some(result) => Reply::Whole(
            json!({"role": "assistant", "content": format!("It is {}.", figure(&result))}),
        ),
    })
    .await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    let done = ask(&home, &node).await.document();
    assert_eq!(done["output"], "It is 391.", "{done}");
    assert_eq!(tool_calls(&done).len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_to_the_model() {
    let mut model = ModelServer::start(|request| {
        let results = request["messages"].as_array().unwrap().iter();
        let results = results.filter(|message| message["role"] == "tool").count();
        match results {
            0 => Reply::Stream(call("c0", "calculator", r#"{"expression": 17*"#)),
            1 => Reply::Stream(call("c1", "calculator", r#"{"formula": "17*23"}"#)),
            2 => Reply::Stream(call("c2", "no_such_tool", "{}")),
            3 => Reply::Stream(call("c3", "calculator", r#"{"expression": "17*23"}"#)),
            _ => Reply::Stream(text(&figure(&tool_result(request).unwrap()))),
        }
    })
    .await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    let done = ask(&home, &node).await.document();
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("completed"), &json!("391")),
        "{done}"
    );
    let told: Vec<String> = model
        .asked()
        .iter()
        .filter_map(|asked| tool_result(&asked.body))
        .collect();
    assert_eq!(told.len(), 4);
    assert!(told[0].contains("not JSON"), "{told:?}");
    assert!(told[1].contains("expression"), "{told:?}");
    assert!(told[2].contains("no_such_tool"), "{told:?}");
}

#[tokio::test]
async fn a_tool_call_beyond_a_red_line_is_not_made() {
    let mut model = ModelServer::start(|request| match tool_result(request) {
        None => Reply::Stream(call(
            "c0",
            "remember",
            r#"{"content": "how to build a bomb at home"}"#,
        )),
        Some(result) => Reply::Stream(text(&format!("I was told: {result}"))),
    })
    .await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    let outcome = ask(&home, &node).await;
    let done: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(done["status"], "refused", "{done}");
    assert!(done.get("artifact_cid").is_none(), "{done}");
    assert_eq!(tool_calls(&done)[0]["status"], "refused", "{done}");
    assert_eq!(model.asked().len(), 1, "the goal ends there");
    let events = node.events_after(0).await;
    let refusals = events
        .iter()
        .filter(|event| event["event_type"] == "ethics_refused");
    assert_eq!(refusals.count(), 1);
    let twin_id = done["twin_id"].as_str().unwrap();
    let memories = node.get(&format!("/memory/{twin_id}")).await;
    let kept = memories
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["content"] == "how to build a bomb at home");
    assert!(!kept, "the refused call was made: {memories}");
}

#[tokio::test]
async fn a_model_that_is_away_is_named_and_the_goal_fails() {
    let model = ModelServer::start(calculating).await;
    let url = model.url.clone();
    drop(model);
    let home = Home::new();
    let node = with_model(&home, &url).start().await;
    let outcome = ask(&home, &node).await;
    let failed = outcome.document_of(1);
    assert_eq!(
        (&failed["status"], &failed["engine"]),
        (&json!("failed"), &json!("tester"))
    );
    let output = failed["output"].as_str().unwrap();
    assert!(
        output.contains("cannot be reached") && output.contains(&url),
        "{output}"
    );
    assert!(
        failed.get("fallback").is_none() && failed.get("artifact_cid").is_none(),
        "{failed}"
    );
    assert!(tool_calls(&failed).is_empty());
    let twin_id = failed["twin_id"].as_str().unwrap();
    let body = json!({"twin_id": twin_id, "input": "hello"});
    node.http
        .post("/infer", &body)
        .await
        .problem(502, "upstream");
}

#[tokio::test]
async fn a_model_that_refuses_is_quoted() {
    let model = ModelServer::start(|_| Reply::Status(401, "that key is not mine")).await;
    let home = Home::new();
    let node = with_model(&home, &model.url).start().await;
    let failed = ask(&home, &node).await.document_of(1);
    assert_eq!(failed["status"], "failed");
    assert!(
        failed["output"]
            .as_str()
            .unwrap()
            .contains("that key is not mine"),
        "{failed}"
    );
}

#[tokio::test]
async fn the_planner_steps_in_where_it_is_allowed_to() {
    let model = ModelServer::start(calculating).await;
    let url = model.url.clone();
    drop(model);
    let home = Home::new();
    let node = with_model(&home, &url)
        .env("PAGI_LLM_FALLBACK", "planner")
        .start()
        .await;
    node.twin().await;
    let done = home.json(&["ask", "What is 17 * 23?"]).await;
    assert_eq!(
        (&done["status"], &done["engine"]),
        (&json!("completed"), &json!("planner"))
    );
    assert!(
        done["fallback"]
            .as_str()
            .unwrap()
            .contains("cannot be reached"),
        "{done}"
    );
    assert!(done["output"].as_str().unwrap().contains("391"), "{done}");
}

#[tokio::test]
async fn a_model_that_only_calls_tools_is_stopped() {
    let mut model =
        ModelServer::start(|_| Reply::Stream(call("c", "calculator", r#"{"expression":"1+1"}"#)))
            .await;
    let home = Home::new();
    std::fs::create_dir(home.data()).unwrap();
    std::fs::write(
        home.data().join("config.toml"),
        "[inference]\nmax_turns = 3\n",
    )
    .unwrap();
    let node = with_model(&home, &model.url).start().await;
    let failed = ask(&home, &node).await.document_of(1);
    assert_eq!(failed["status"], "failed");
    assert_eq!(tool_calls(&failed).len(), 3);
    assert!(
        failed["output"].as_str().unwrap().contains("3 turns"),
        "{failed}"
    );
    assert!(failed.get("artifact_cid").is_none(), "{failed}");
    assert_eq!(model.asked().len(), 3);
}
