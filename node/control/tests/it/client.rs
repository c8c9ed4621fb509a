//! A plain HTTP/1.1 client, and below it raw bytes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::DEADLINE;

#[derive(Clone)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Where to send requests, and headers that each of them carries.
#[derive(Clone)]
pub struct Client {
    target: Target,
    headers: Vec<(String, String)>,
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{error}: {} {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// Asserts a problem document of this status and kind, and gives it.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:pagi:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{problem}"
        );
        problem
    }
}

impl Client {
    pub fn tcp(addr: SocketAddr) -> Self {
        Self {
            target: Target::Tcp(addr),
            headers: Vec::new(),
        }
    }

    pub fn unix(path: &Path) -> Self {
        Self {
            target: Target::Unix(path.to_owned()),
            headers: Vec::new(),
        }
    }

    /// The same client with one more header; an earlier one of that name goes.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(known, _)| known != name);
        client.headers.push((name.into(), value.into()));
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    /// Sends JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with("content-type", "application/json")
            .send("POST", path, body.to_string())
            .await
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        let response = self.open(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = timeout(DEADLINE, body.collect())
            .await
            .expect("a body in time")
            .unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        }
    }

    /// Begins to follow an event stream.
    pub async fn follow(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Events {
        let response = self.open(method, path, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            body: response.into_body(),
            text: String::new(),
        }
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> axum::http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let answering = async {
            match &self.target {
                Target::Tcp(addr) => {
                    exchange(TcpStream::connect(addr).await.unwrap(), request).await
                }
                Target::Unix(path) => {
                    exchange(UnixStream::connect(path).await.unwrap(), request).await
                }
            }
        };
        timeout(DEADLINE, answering)
            .await
            .expect("an answer in time")
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> axum::http::Response<Incoming>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    // The connection lives as long as the response's body is being read.
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq)]
pub struct SentEvent {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

impl SentEvent {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// An event stream being read. Dropping it closes the connection.
pub struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    /// The next block of lines; `None` when the stream has ended well.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block = self.text[..end].to_owned();
                self.text.drain(..end + 2);
                return Some(block);
            }
            let frame = timeout(DEADLINE, self.body.frame())
                .await
                .expect("an event in time")?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event, comments aside; `None` when the stream has ended well.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            let block = self.block().await?;
            let mut event = SentEvent::default();
            for line in block.lines() {
                match line.split_once(':') {
                    Some(("id", value)) => event.id = Some(value.trim().into()),
                    Some(("event", value)) => event.name = value.trim().into(),
                    Some(("data", value)) => event.data.push_str(value.trim_start()),
                    _ => {}
                }
            }
            if !event.data.is_empty() {
                return Some(event);
            }
        }
    }

    /// The next comment.
    pub async fn comment(&mut self) -> String {
        loop {
            let block = self.block().await.expect("a stream that goes on");
            if let Some(comment) = block.strip_prefix(':') {
                return comment.trim().to_owned();
            }
        }
    }
}

/// Sends `bytes` as they are and gives all that comes back until the server closes, or until
/// nothing came for `patience` after the last byte.
pub async fn raw(addr: SocketAddr, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may close before it has read everything: that is an answer too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(Ok(size)) = timeout(patience, stream.read(&mut chunk)).await {
        if size == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..size]);
    }
    answer
}

/// The status of a raw response.
pub fn status_of(raw: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(raw);
    text.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}
