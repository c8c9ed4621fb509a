//! Goals, watched or not, and what becomes of them when their client leaves.

use serde_json::{Value, json};

use crate::{Running, client::Client, start, until};

fn watcher(server: &Running) -> Client {
    server
        .client()
        .with("accept", "text/event-stream")
        .with("content-type", "application/json")
}

fn goal(text: &str) -> String {
    json!({ "goal": text }).to_string()
}

#[tokio::test]
async fn a_goal_is_answered_whole_or_step_by_step() {
    let server = start().await;
    let whole = server
        .client()
        .post("/interact/t1", &json!({ "goal": "add" }))
        .await
        .json();
    assert_eq!(whole["status"], "completed");
    assert_eq!(whole["steps"].as_array().unwrap().len(), 2);

    let mut stream = watcher(&server)
        .follow("POST", "/interact/t1", goal("add"))
        .await;
    let mut events: Vec<(String, Value)> = Vec::new();
    while let Some(event) = stream.next().await {
        events.push((event.name.clone(), event.json()));
    }
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["step", "text", "step", "done"]);
    assert_eq!(events[0].1["name"], "calculator");
    assert_eq!(events[1].1["delta"], "forty");
    assert_eq!(events[2].1["index"], 2);
    let done = events[3].1.as_object().unwrap();
    for (key, value) in whole.as_object().unwrap() {
        assert_eq!(done[key], *value, "{key}");
    }
}

#[tokio::test]
async fn a_task_is_shown_as_it_is_or_as_it_goes_on() {
    let server = start().await;
    let asked = server
        .client()
        .post("/swarm/tasks", &json!({ "goal": "add" }))
        .await;
    assert_eq!(
        (asked.status, asked.json()["status"].clone()),
        (202, json!("open"))
    );
    let shown = server.client().get("/swarm/tasks/1").await.json();
    assert_eq!(shown["status"], "open");
    let mut stream = watcher(&server).follow("GET", "/swarm/tasks/1", "").await;
    let mut names = Vec::new();
    while let Some(event) = stream.next().await {
        assert_eq!(event.json()["type"], event.name.as_str());
        names.push(event.name);
    }
    assert_eq!(names, ["offered", "done"]);
    for client in [server.client(), watcher(&server)] {
        let answer = client.get("/swarm/tasks/none").await;
        answer.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_step_is_seen_before_the_goal_ends() {
    let server = start().await;
    let mut stream = watcher(&server)
        .follow("POST", "/interact/t1", goal("hang"))
        .await;
    assert_eq!(stream.next().await.unwrap().name, "step");
    assert_eq!(server.node.finished(), 0);
    server.node.release.notify_one();
    assert_eq!(stream.next().await.unwrap().name, "text");
}

#[tokio::test]
async fn a_goal_turned_down_at_once_is_a_plain_problem() {
    let server = start().await;
    let answer = watcher(&server)
        .send("POST", "/interact/t9", goal("refuse"))
        .await;
    answer.problem(404, "not-found");
}

#[tokio::test]
async fn a_goal_that_fails_under_way_ends_the_stream_with_a_problem() {
    let server = start().await;
    for text in ["fail", "panic"] {
        let mut stream = watcher(&server)
            .follow("POST", "/interact/t1", goal(text))
            .await;
        assert_eq!(stream.next().await.unwrap().name, "step");
        let end = stream.next().await.unwrap();
        assert_eq!(end.name, "problem");
        assert_eq!(end.json()["type"], "urn:pagi:problem:internal");
        assert!(!end.data.contains("foresee in"), "{}", end.data);
        assert_eq!(stream.next().await, None);
    }
}

#[tokio::test]
async fn a_goal_goes_on_when_its_watcher_leaves() {
    let server = start().await;
    let mut stream = watcher(&server)
        .follow("POST", "/interact/t1", goal("hang"))
        .await;
    assert_eq!(stream.next().await.unwrap().name, "step");
    drop(stream);
    server.node.release.notify_one();
    until("the goal ends", || server.node.finished() == 1).await;
}

#[tokio::test]
async fn what_changes_something_goes_on_when_its_client_leaves() {
    let server = start().await;
    let calls = [
        ("/interact/t1", goal("hang"), "interact"),
        ("/execute/hang", "{}".into(), "hang"),
    ];
    for (count, (path, body, write)) in calls.into_iter().enumerate() {
        let client = server.client().with("content-type", "application/json");
        let call = tokio::spawn(async move { client.send("POST", path, body).await });
        until("the call arrives", || {
            server.node.writes().iter().any(|w| w.contains(write))
        })
        .await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        server.node.release.notify_one();
        until("the call ends", || server.node.finished() == count + 1).await;
    }
}
