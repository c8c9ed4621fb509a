//! The client against scripted answers on a real socket.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};

use super::*;

/// Answers one connection after the other with `answers`, and gives back the requests.
fn serve(listener: UnixListener, answers: Vec<Vec<String>>) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut requests = Vec::new();
        for parts in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            requests.push(read_request(&mut stream).await);
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        requests
    })
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            });
            if count == 0 || body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
    }
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn node(dir: &tempfile::TempDir, answers: Vec<Vec<String>>) -> (Client, JoinHandle<Vec<String>>) {
    let path = dir.path().join("control.sock");
    let requests = serve(UnixListener::bind(&path).unwrap(), answers);
    (Client::unix(path), requests)
}

#[tokio::test]
async fn no_socket_and_a_dead_socket_both_mean_not_running() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let client = Client::unix(&path);
    let missing = client.get::<Value>("/status").await.unwrap_err();
    assert!(missing.cause.contains("not running"), "{missing:?}");
    assert!(
        missing.next.contains("pagi run") && missing.next.contains("pagi up"),
        "{missing:?}"
    );
    assert_eq!((missing.code, missing.status), (1, None));
    drop(UnixListener::bind(&path).unwrap());
    let dead = client.get::<Value>("/status").await.unwrap_err();
    assert!(
        dead.cause.contains("not running") && dead.next.contains("pagi run"),
        "{dead:?}"
    );
}

#[tokio::test]
async fn a_closed_port_means_not_running_and_a_bad_address_is_bad_usage() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let client = Client::tcp(&address, "secret").unwrap();
    let error = client.get::<Value>("/status").await.unwrap_err();
    assert!(error.cause.contains("not running"), "{error:?}");
    for bad in ["localhost", "a b:1", "", "http://:x"] {
        assert_eq!(Client::tcp(bad, "t").unwrap_err().code, 2, "{bad:?}");
    }
    assert_eq!(Client::tcp("127.0.0.1:1", "a\nb").unwrap_err().code, 2);
}

#[tokio::test]
async fn tcp_requests_carry_token_and_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream
            .write_all(answer("200 OK", "application/json", "[1]").as_bytes())
            .await
            .unwrap();
        request
    });
    let client = Client::tcp(&format!("http://{address}/"), "secret").unwrap();
    assert_eq!(client.get::<Vec<u8>>("/twins").await.unwrap(), [1]);
    let request = server.await.unwrap().to_lowercase();
    assert!(
        request.contains("authorization: bearer secret\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("host: {address}\r\n")),
        "{request}"
    );
}

#[tokio::test]
async fn bodies_go_out_as_json_and_problems_come_back_as_errors() {
    let dir = tempfile::tempdir().unwrap();
    let problem = json!({
        "type": "urn:pagi:problem:invalid", "title": "The request is not valid", "status": 422,
        "detail": "1 parameter is wrong",
        "violations": [{ "path": "/x", "message": "is not a number" }],
    });
    let (client, requests) = node(
        &dir,
        vec![
            vec![answer("200 OK", "application/json", "{\"a\":1}")],
            vec![answer(
                "422 Unprocessable",
                "application/problem+json",
                &problem.to_string(),
            )],
            vec![answer("404 Not Found", "text/plain", "nothing here")],
            vec![answer("200 OK", "application/json", "no json")],
        ],
    );
    let sent = json!({ "goal": "größe" });
    assert_eq!(
        client.post::<Value>("/plan", &sent).await.unwrap(),
        json!({ "a": 1 })
    );
    let error = client.patch::<Value>("/x", &sent).await.unwrap_err();
    assert_eq!(error.cause, "1 parameter is wrong; /x: is not a number");
    assert_eq!(error.status, Some(422));
    let error = client.get::<Value>("/x").await.unwrap_err();
    assert!(
        error.cause.contains("404") && error.cause.contains("nothing here"),
        "{error:?}"
    );
    let error = client.get::<Value>("/x").await.unwrap_err();
    assert!(error.cause.contains("cannot be read"), "{error:?}");
    let requests = requests.await.unwrap();
    assert!(
        requests[0].starts_with("POST /plan HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(requests[0].ends_with(&sent.to_string()), "{}", requests[0]);
    assert!(requests[1].starts_with("PATCH /x"), "{}", requests[1]);
}

#[tokio::test]
async fn a_stream_gives_its_events_and_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (client, requests) = node(
        &dir,
        vec![vec![
            STREAM.to_owned(),
            chunk(": hi\n\nevent: text\nda"),
            chunk("ta: {\"delta\":\"a\"}\n\n"),
            "0\r\n\r\n".to_owned(),
        ]],
    );
    let mut stream = client
        .post_stream("/interact/x", &json!({ "goal": "g" }))
        .await
        .unwrap();
    let event = stream.next().await.unwrap().unwrap();
    assert_eq!(event.event, "text");
    assert_eq!(
        event_data::<Value>(&event).unwrap(),
        json!({ "delta": "a" })
    );
    assert_eq!(stream.next().await.unwrap(), None);
    let request = requests.await.unwrap().remove(0).to_lowercase();
    assert!(
        request.contains("accept: text/event-stream\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_broken_stream_is_an_error_and_so_is_an_answer_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _requests) = node(
        &dir,
        vec![
            vec![STREAM.to_owned(), chunk("data: 1\n\n")],
            vec![answer("200 OK", "application/json", "{}")],
        ],
    );
    let mut stream = client.post_stream("/x", &json!({})).await.unwrap();
    assert!(stream.next().await.unwrap().is_some());
    assert!(stream.next().await.unwrap_err().cause.contains("lost"));
    let error = client.post_stream("/x", &json!({})).await.unwrap_err();
    assert!(error.cause.contains("no event stream"), "{error:?}");
}

#[tokio::test]
async fn following_resumes_after_the_last_event_seen() {
    let dir = tempfile::tempdir().unwrap();
    let event = |id: u8| chunk(&format!("id: {id}\ndata: {id}\n\n"));
    let problem = |status: u16| {
        let problem = json!({ "type": "t", "title": "x", "status": status, "detail": "d" });
        chunk(&format!("event: problem\ndata: {problem}\n\n"))
    };
    let (client, requests) = node(
        &dir,
        vec![
            vec![STREAM.to_owned(), event(5), event(6)],
            vec![answer("503 Busy", "text/plain", "")],
            vec![STREAM.to_owned(), event(7), problem(503)],
            vec![STREAM.to_owned(), problem(403)],
            vec![STREAM.to_owned(), event(8)],
            vec![answer("401 Unauthorized", "text/plain", "")],
        ],
    );
    let lost = std::cell::Cell::new(0);
    let mut follow = client.follow("/events".into(), Some("4".into()));
    for expected in ["5", "6", "7"] {
        assert_eq!(
            follow.next(|| lost.set(lost.get() + 1)).await.unwrap().data,
            expected
        );
    }
    assert_eq!(lost.get(), 1);
    let refused = follow.next(|| ()).await.unwrap_err();
    assert_eq!(
        refused.status,
        Some(403),
        "a problem for good ends the stream"
    );
    let mut follow = client.follow("/events".into(), Some("7".into()));
    assert_eq!(follow.next(|| ()).await.unwrap().data, "8");
    assert_eq!(follow.next(|| ()).await.unwrap_err().status, Some(401));
    let ids: Vec<String> = requests
        .await
        .unwrap()
        .iter()
        .map(|text| last_id(text))
        .collect();
    assert_eq!(ids, ["4", "6", "6", "7", "7", "8"]);
}

fn last_id(request: &str) -> String {
    let line = request
        .lines()
        .find_map(|line| line.strip_prefix("last-event-id: "));
    line.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn following_a_node_that_never_answered_fails_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::unix(dir.path().join("control.sock"));
    let error = client
        .follow("/events".into(), None)
        .next(|| ())
        .await
        .unwrap_err();
    assert!(error.cause.contains("not running"), "{error:?}");
}

#[test]
fn names_are_percent_encoded() {
    assert_eq!(encode("a-b.c_d~9"), "a-b.c_d~9");
    assert_eq!(encode("a b/ü?&=%"), "a%20b%2F%C3%BC%3F%26%3D%25");
}

#[test]
fn a_problem_event_is_the_failure_it_carries() {
    let event = |data: &str| SseEvent {
        id: String::new(),
        event: PROBLEM.into(),
        data: data.into(),
    };
    let problem = json!({ "type": "t", "title": "x", "status": 503, "detail": "busy" });
    let error = event_data::<Value>(&event(&problem.to_string())).unwrap_err();
    assert_eq!((error.cause.as_str(), error.status), ("busy", Some(503)));
    assert_eq!(
        event_data::<Value>(&event("stopped")).unwrap_err().cause,
        "stopped"
    );
}
