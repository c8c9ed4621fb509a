//! A plain HTTP/1.1 client of the control API, one connection for each request.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HeaderMap},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use crate::wait::DEADLINE;

/// Where to send requests, and the headers that each of them carries.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// The connection ended before the answer did.
#[derive(Debug)]
pub struct Lost;

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        let kind = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        assert_eq!(kind, Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The body of a problem document with this status and kind (RFC 9457).
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(
            problem["type"],
            format!("urn:pagi:problem:{kind}"),
            "{problem}"
        );
        assert_eq!(problem["status"], status);
        for key in ["title", "detail"] {
            assert!(
                problem[key].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    /// The same client with one more header; an earlier one of that name goes.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(known, _)| known != name);
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.expect("an answer")
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let json = self.with("content-type", "application/json");
        json.send("PATCH", path, body.to_string()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        self.try_send(method, path, body).await.expect("an answer")
    }

    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, Lost> {
        let json = self.with("content-type", "application/json");
        json.try_send("POST", path, body.to_string()).await
    }

    /// As [`Http::send`], to a node that may die meanwhile.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Lost> {
        let (parts, body) = self.open(method, path, body.into()).await?.into_parts();
        let body = timeout(DEADLINE, body.collect())
            .await
            .expect("a body in time");
        let body = body.map_err(|_| Lost)?.to_bytes();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    /// Begins to follow an event stream.
    pub async fn follow(&self, method: &str, path: &str, body: &str) -> Events {
        let json = self
            .with("content-type", "application/json")
            .with("accept", "text/event-stream");
        let response = json
            .open(method, path, body.to_owned().into())
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200, "{method} {path}");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Events {
            body: response.into_body(),
            text: String::new(),
        }
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Lost> {
        let mut request = Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let exchange = async {
            let stream = TcpStream::connect(self.address).await.map_err(|_| Lost)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|_| Lost)?;
            // The connection lives as long as the response's body is being read.
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(|_| Lost)
        };
        timeout(DEADLINE, exchange)
            .await
            .expect("an answer in time")
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentEvent {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

impl SentEvent {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

/// An event stream being read. Dropping it closes the connection.
pub struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    /// The next event, comments aside; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let mut event = SentEvent::default();
                for line in block.lines() {
                    match line.split_once(':') {
                        Some(("id", value)) => event.id = Some(value.trim().to_owned()),
                        Some(("event", value)) => event.name = value.trim().to_owned(),
                        Some(("data", value)) => event.data.push_str(value.trim_start()),
                        _ => {}
                    }
                }
                if !event.data.is_empty() {
                    return Some(event);
                }
            }
            let frame = timeout(DEADLINE, self.body.frame())
                .await
                .expect("an event in time")?;
            let Ok(data) = frame.expect("a whole stream").into_data() else {
                continue;
            };
            self.text
                .push_str(std::str::from_utf8(&data).expect("UTF-8"));
        }
    }
}
