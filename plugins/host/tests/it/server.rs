//! A small HTTP/1.1 server that answers by a script and counts what it gets.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answer with this status and body.
    Status(u16, String),
    /// Answer with exactly these bytes.
    Raw(Vec<u8>),
    /// Start an answer and never end it: the header, then chunks until the client goes away.
    Endless,
    /// Read the request and never answer.
    Hang,
    /// Read the request and close the connection.
    Close,
}

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub body: Value,
}

/// The server; it stops with the test's runtime.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th connection with the n-th reply, later ones with the last.
    pub async fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let reply = script.get(number).or(script.last()).unwrap().clone();
                tokio::spawn(serve(stream, reply, Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests().len()
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, log: Arc<Mutex<Vec<Request>>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    log.lock().unwrap().push(request);
    match reply {
        Reply::Status(status, body) => {
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
            let mut next = head.to_owned();
            while stream.write_all(next.as_bytes()).await.is_ok() {
                next.clone_from(&chunk);
            }
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => {}
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
            if body.len() >= length {
                let line = head.lines().next().unwrap().to_owned();
                return Some(Request {
                    line,
                    body: serde_json::from_str(body).unwrap(),
                });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
