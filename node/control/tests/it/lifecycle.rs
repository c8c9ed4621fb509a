//! How a server ends.

use std::time::{Duration, Instant};

use pagi_messages::EventType;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{DEADLINE, config, start, start_with, until};

#[tokio::test]
async fn a_shutdown_ends_event_streams_and_idle_connections_well_before_the_grace_is_over() {
    let server = start().await;
    let addr = server.addr();
    server.node.log(EventType::GoalReceived, None, "executive");
    let mut stream = server.client().follow("GET", "/events?after=0", "").await;
    assert_eq!(stream.next().await.unwrap().name, "goal_received");
    let _idle = TcpStream::connect(addr).await.unwrap();
    assert_eq!(server.client().get("/twins").await.status, 200);
    let grace = DEADLINE * 100;
    tokio::time::timeout(DEADLINE, server.control.shutdown(grace))
        .await
        .expect("an end in time");
    assert_eq!(stream.next().await, None);
    assert_eq!(server.node.followers(), 0);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_shutdown_lets_a_request_in_flight_end() {
    let server = start().await;
    let client = server.client();
    let call = tokio::spawn(async move { client.post("/execute/hang", &json!({})).await });
    until("the call arrives", || !server.node.writes().is_empty()).await;
    let node = server.node.clone();
    let shutdown = tokio::spawn(server.control.shutdown(DEADLINE));
    node.release.notify_one();
    assert_eq!(call.await.unwrap().status, 200);
    tokio::time::timeout(DEADLINE, shutdown)
        .await
        .expect("an end in time")
        .unwrap();
}

#[tokio::test]
async fn a_shutdown_drops_what_outlasts_the_grace() {
    let server = start().await;
    let client = server.client().with("accept", "text/event-stream");
    let client = client.with("content-type", "application/json");
    let mut goal = client
        .follow("POST", "/interact/t1", r#"{"goal":"hang"}"#)
        .await;
    assert_eq!(goal.next().await.unwrap().name, "step");
    let begun = Instant::now();
    server.control.shutdown(Duration::from_millis(50)).await;
    assert!(begun.elapsed() < DEADLINE);
    // The watcher is let go at once; the goal itself is what was dropped.
    assert_eq!(goal.next().await, None);
    server.node.release.notify_one();
    assert_eq!(server.node.finished(), 0);
}

#[tokio::test]
async fn dropping_the_server_ends_it() {
    let server = start().await;
    let addr = server.addr();
    drop(server.control);
    let gone = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone)
        .await
        .expect("an end in time");
}

#[tokio::test]
async fn connections_beyond_the_maximum_wait_their_turn() {
    let mut config = config();
    config.max_connections = 1;
    let server = start_with(config).await;
    let stream = server.client().follow("GET", "/events", "").await;
    let client = server.client();
    let waiting = tokio::spawn(async move { client.get("/twins").await });
    until("the first is served", || server.node.followers() == 1).await;
    assert!(!waiting.is_finished());
    drop(stream);
    assert_eq!(waiting.await.unwrap().status, 200);
}
