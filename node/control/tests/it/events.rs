//! The event log, paged and followed.

use pagi_messages::EventType;
use serde_json::json;

use crate::{config, start, start_with, until};

#[tokio::test]
async fn a_stream_resumes_after_the_last_id_and_follows() {
    let server = start().await;
    for _ in 0..3 {
        server
            .node
            .log(EventType::GoalReceived, Some("t1"), "executive");
    }
    let client = server.client();
    let mut resumed = client
        .with("last-event-id", "1")
        .follow("GET", "/events?after=0", "")
        .await;
    for seq in [2, 3] {
        let event = resumed.next().await.unwrap();
        assert_eq!(event.id.as_deref(), Some(seq.to_string().as_str()));
        assert_eq!(event.name, "goal_received");
        let envelope = event.json();
        assert_eq!(envelope["seq"], seq);
        assert_eq!(envelope["twin_id"], "t1");
        assert_eq!(envelope["payload"]["text"], "two\r\nlines");
    }
    let published = json!({ "event_type": "plan_created", "source": "script" });
    let answer = client.post("/publish", &published).await;
    assert_eq!(
        (answer.status, answer.json()["seq"].as_u64()),
        (200, Some(4))
    );
    let event = resumed.next().await.unwrap();
    assert_eq!(
        (event.id.as_deref(), event.name.as_str()),
        (Some("4"), "plan_created")
    );
}

#[tokio::test]
async fn without_a_place_a_stream_shows_what_happens_from_now_on() {
    let server = start().await;
    server.node.log(EventType::GoalReceived, None, "executive");
    let mut live = server
        .client()
        .with("last-event-id", "")
        .follow("GET", "/events", "")
        .await;
    let mut all = server.client().follow("GET", "/events?after=0", "").await;
    server.node.log(EventType::MoElected, None, "hive");
    assert_eq!(live.next().await.unwrap().name, "mo_elected");
    assert_eq!(all.next().await.unwrap().name, "goal_received");
    assert_eq!(all.next().await.unwrap().name, "mo_elected");
}

#[tokio::test]
async fn filters_pass_only_what_fits() {
    let server = start().await;
    let wanted = [
        ("event_type=mo_elected", 2),
        ("twin_id=t2", 3),
        ("source=script", 4),
        ("twin_id=t2&source=hive&event_type=&colour=red", 3),
    ];
    server
        .node
        .log(EventType::GoalReceived, Some("t1"), "executive");
    server.node.log(EventType::MoElected, None, "executive");
    server.node.log(EventType::GoalReceived, Some("t2"), "hive");
    server.node.log(EventType::GoalReceived, None, "script");
    for (filter, seq) in wanted {
        let mut stream = server
            .client()
            .follow("GET", &format!("/events?after=0&{filter}"), "")
            .await;
        assert_eq!(stream.next().await.unwrap().json()["seq"], seq, "{filter}");
        let page = server
            .client()
            .get(&format!("/events/log?{filter}"))
            .await
            .json();
        assert_eq!(page["events"].as_array().unwrap().len(), 1, "{filter}");
        assert_eq!(page["last"], seq, "{filter}");
    }
}

#[tokio::test]
async fn the_log_is_read_page_by_page_to_its_end() {
    let server = start().await;
    for _ in 0..5 {
        server.node.log(EventType::GoalReceived, None, "executive");
    }
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let page = server
            .client()
            .get(&format!("/events/log?after={after}&limit=2"))
            .await
            .json();
        let events = page["events"].as_array().unwrap();
        after = page["last"].as_u64().unwrap();
        if events.is_empty() {
            break;
        }
        seen.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
    }
    assert_eq!((seen, after), (vec![1, 2, 3, 4, 5], 5));
    for _ in 0..1200 {
        server.node.log(EventType::GoalReceived, None, "executive");
    }
    let pages = [("", 100), ("?limit=5000", 1000), ("?limit=0", 0)];
    for (query, size) in pages {
        let page = server
            .client()
            .get(&format!("/events/log{query}"))
            .await
            .json();
        assert_eq!(page["events"].as_array().unwrap().len(), size, "{query}");
    }
    let audit = server.client().get("/audit?after=7&limit=2").await.json();
    assert_eq!(audit[1]["seq"], 9);
}

#[tokio::test]
async fn a_stream_that_breaks_says_why_and_ends() {
    let server = start().await;
    server.node.log(EventType::GoalReceived, None, "executive");
    let mut stream = server
        .client()
        .follow("GET", "/events?after=0&source=broken", "")
        .await;
    assert_eq!(stream.next().await.unwrap().name, "goal_received");
    let problem = stream.next().await.unwrap();
    assert_eq!(problem.name, "problem");
    assert_eq!(problem.json()["status"], 500);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_and_a_left_one_is_let_go() {
    let mut config = config();
    config.limits.keep_alive = std::time::Duration::from_millis(20);
    let server = start_with(config).await;
    let mut stream = server.client().follow("GET", "/events", "").await;
    assert_eq!(stream.comment().await, "keep-alive");
    assert_eq!(server.node.followers(), 1);
    drop(stream);
    until("the stream is let go", || server.node.followers() == 0).await;
}
