//! The command line's way to a running node: HTTP/1.1 over the unix socket in the data directory,
//! or over TCP with the control token.
//!
//! Every failure comes back as a [`CliError`]: what the node reports as a problem document
//! (RFC 9457), and what keeps the node from being reached at all.

mod content;
mod failure;
mod sse;

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use pagi_api::Problem;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep, timeout},
};

pub use self::content::Download;
pub use self::sse::SseEvent;
use self::{
    failure::{DOCTOR, from_problem, lost, problem, tcp_failure, unix_failure},
    sse::SseParser,
};
use crate::cli::CliError;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest wait for an answer that is not a stream: a little more than the node allows itself,
/// so that its own account of what took so long arrives.
const ANSWER: Duration = Duration::from_secs(630);
/// The longest silence of a followed stream; a node sends a comment far more often.
const SILENCE: Duration = Duration::from_secs(90);
/// The largest answer taken, bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How long a lost event stream is tried again before it is given up.
const RECONNECT: Duration = Duration::from_secs(60);

/// A node's control API. Each call opens a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
}

#[derive(Clone, Debug)]
enum Endpoint {
    Unix(PathBuf),
    Tcp {
        authority: String,
        bearer: header::HeaderValue,
    },
}

impl Client {
    /// The node that serves the unix socket `path`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: Endpoint::Unix(path.into()),
        }
    }

    /// The node that serves `address` (`HOST:PORT`, with or without `http://`) to the holder of
    /// `token`.
    ///
    /// # Errors
    /// [`CliError`] (bad usage) when either cannot be put into a request.
    pub fn tcp(address: &str, token: &str) -> Result<Self, CliError> {
        let text = address
            .strip_prefix("http://")
            .unwrap_or(address)
            .trim_end_matches('/');
        let authority = text.parse::<hyper::http::uri::Authority>().ok();
        let Some(authority) = authority.filter(|found| found.port_u16().is_some()) else {
            let cause = format!("`{address}` is not a control address");
            return Err(CliError::usage(
                cause,
                "give HOST:PORT, for example 127.0.0.1:8006",
            ));
        };
        let mut bearer =
            header::HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                CliError::usage(
                    "the token holds characters no token has",
                    "`pagi token` prints it",
                )
            })?;
        bearer.set_sensitive(true);
        let authority = authority.as_str().to_owned();
        Ok(Self {
            endpoint: Endpoint::Tcp { authority, bearer },
        })
    }

    /// Where the node is looked for, for a person.
    pub fn place(&self) -> String {
        match &self.endpoint {
            Endpoint::Unix(path) => path.display().to_string(),
            Endpoint::Tcp { authority, .. } => authority.clone(),
        }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`CliError`]: the node is not running, it reports a problem, or its answer is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.call(Method::GET, path, None).await
    }

    /// `POST path` with `body`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.call(Method::POST, path, Some(encode_body(body)?))
            .await
    }

    /// `PATCH path` with `body`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.call(Method::PATCH, path, Some(encode_body(body)?))
            .await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.call(Method::DELETE, path, None).await
    }

    /// `POST path` with `body`, answered by a stream of events.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_stream(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<SseStream, CliError> {
        self.stream(Method::POST, path, Some(encode_body(body)?), None)
            .await
    }

    /// `GET path` as a stream of events that reconnects, resuming after `last_id` or, later, after
    /// the last event seen.
    pub fn follow(&self, path: String, last_id: Option<String>) -> Follow<'_> {
        Follow {
            client: self,
            path,
            last_id,
            stream: None,
            connected_before: false,
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<T, CliError> {
        let request = self.request(method, path, body, "application/json", None)?;
        let answer = timeout(ANSWER, async {
            let response = self.send(request).await?;
            let status = response.status();
            let bytes = read_body(response).await?;
            if !status.is_success() {
                return Err(problem(status, &bytes));
            }
            serde_json::from_slice(&bytes).map_err(|error| {
                CliError::new(
                    format!("the node's answer to {path} cannot be read: {error}"),
                    "use a `pagi` of the node's version; `pagi doctor` compares them",
                )
            })
        });
        answer.await.unwrap_or_else(|_| {
            let cause = format!("the node did not answer within {} s", ANSWER.as_secs());
            Err(CliError::new(cause, DOCTOR))
        })
    }

    async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        last_id: Option<&str>,
    ) -> Result<SseStream, CliError> {
        let request = self.request(method, path, body, "text/event-stream", last_id)?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            let body = timeout(ANSWER, read_body(response)).await;
            let body = body.unwrap_or_else(|_| Ok(Bytes::new()))?;
            return Err(problem(status, &body));
        }
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(CliError::new(
                format!("the node answered {path} with no event stream"),
                "use a `pagi` of the node's version; `pagi doctor` compares them",
            ));
        }
        Ok(SseStream {
            body: response.into_body(),
            parser: SseParser::default(),
            ready: VecDeque::new(),
            silence: None,
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        accept: &'static str,
        last_id: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, CliError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept);
        request = match &self.endpoint {
            Endpoint::Unix(_) => request.header(header::HOST, "localhost"),
            Endpoint::Tcp { authority, bearer } => request
                .header(header::HOST, authority)
                .header(header::AUTHORIZATION, bearer),
        };
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| {
                CliError::usage(
                    format!("the request cannot be made: {error}"),
                    "correct the value",
                )
            })
    }

    async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, CliError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match &self.endpoint {
            Endpoint::Unix(path) => {
                let stream = connect(UnixStream::connect(path)).await;
                exchange(stream.map_err(|error| unix_failure(path, &error))?, request).await
            }
            Endpoint::Tcp { authority, .. } => {
                let stream = connect(TcpStream::connect(authority)).await;
                exchange(
                    stream.map_err(|error| tcp_failure(authority, &error))?,
                    request,
                )
                .await
            }
        }
    }
}

/// The answer to a request as it streams in.
#[derive(Debug)]
pub struct SseStream {
    body: Incoming,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
    silence: Option<Duration>,
}

impl SseStream {
    /// The next event; `None` when the node ended the stream.
    ///
    /// # Errors
    /// [`CliError`] when the connection is lost or an event is too large.
    pub async fn next(&mut self) -> Result<Option<SseEvent>, CliError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let frame = match self.silence {
                None => self.body.frame().await,
                Some(longest) => timeout(longest, self.body.frame()).await.map_err(|_| {
                    let cause = format!("the node said nothing for {} s", longest.as_secs());
                    CliError::new(cause, DOCTOR)
                })?,
            };
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(bytes) = frame.map_err(|error| lost(&error))?.into_data() {
                let pushed = self.parser.push(&bytes, &mut self.ready);
                pushed.map_err(|error| CliError::new(error.to_string(), DOCTOR))?;
            }
        }
    }
}

/// A stream of events that survives a lost connection or a restarted node.
#[derive(Debug)]
pub struct Follow<'a> {
    client: &'a Client,
    path: String,
    last_id: Option<String>,
    stream: Option<SseStream>,
    connected_before: bool,
}

impl Follow<'_> {
    /// The next event. A lost connection is made again for up to a minute, and resumes after the
    /// last event seen; `on_lost` is told once per loss.
    ///
    /// # Errors
    /// [`CliError`] when the first connection fails, the node refuses the request, or the node
    /// stays away.
    pub async fn next(&mut self, on_lost: impl Fn()) -> Result<SseEvent, CliError> {
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.next().await {
                    // The node ended the stream on purpose: for good, or because it is stopping or
                    // this reader fell behind.
                    Ok(Some(event)) if event.event == PROBLEM => {
                        if let Err(error) = event_data::<Value>(&event)
                            && error.is_final()
                        {
                            return Err(error);
                        }
                    }
                    Ok(Some(event)) => {
                        if !event.id.is_empty() {
                            self.last_id = Some(event.id.clone());
                        }
                        return Ok(event);
                    }
                    Ok(None) | Err(_) => {}
                }
                self.stream = None;
                on_lost();
            }
            self.stream = Some(self.connect().await?);
        }
    }

    async fn connect(&mut self) -> Result<SseStream, CliError> {
        let deadline = Instant::now() + RECONNECT;
        let mut pause = Duration::from_millis(100);
        loop {
            let last_id = self.last_id.as_deref();
            let error = match self
                .client
                .stream(Method::GET, &self.path, None, last_id)
                .await
            {
                Ok(mut stream) => {
                    stream.silence = Some(SILENCE);
                    // A node that accepts and drops at once must not be asked in a tight loop.
                    if std::mem::replace(&mut self.connected_before, true) {
                        sleep(pause).await;
                    }
                    return Ok(stream);
                }
                Err(error) => error,
            };
            if !self.connected_before || error.is_final() || Instant::now() + pause > deadline {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// `text` as one path segment or query value: percent-encoded (RFC 3986, section 2.1).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn encode_body(body: &impl Serialize) -> Result<Bytes, CliError> {
    let encoded = serde_json::to_vec(body);
    encoded.map(Bytes::from).map_err(|error| {
        CliError::usage(
            format!("the request cannot be written: {error}"),
            "correct the value",
        )
    })
}

async fn connect<S>(connecting: impl Future<Output = io::Result<S>>) -> io::Result<S> {
    timeout(CONNECT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn exchange<S, B>(stream: S, request: Request<B>) -> Result<Response<Incoming>, CliError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| lost(&error))?;
    // The task ends with the connection; what goes wrong there shows in the answer's body too.
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .map_err(|error| lost(&error))
}

async fn read_body(response: Response<Incoming>) -> Result<Bytes, CliError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| CliError::new(format!("the node's answer broke off: {error}"), DOCTOR))
}

/// The event a stream ends with when it fails; its data is a problem document.
const PROBLEM: &str = "problem";

/// The data of an event as a `T`. A `problem` event is the failure it carries.
///
/// # Errors
/// [`CliError`] for a `problem` event, and when the data is not a `T`.
pub fn event_data<T: DeserializeOwned>(event: &SseEvent) -> Result<T, CliError> {
    if event.event == PROBLEM {
        return Err(match serde_json::from_str::<Problem>(&event.data) {
            Ok(problem) => from_problem(&problem),
            Err(_) => CliError::new(event.data.clone(), DOCTOR),
        });
    }
    serde_json::from_str(&event.data).map_err(|error| {
        CliError::new(
            format!("the event `{}` cannot be read: {error}", event.event),
            "use a `pagi` of the node's version; `pagi doctor` compares them",
        )
    })
}

#[cfg(test)]
mod tests;
