//! A language model's server as nodes know them: the OpenAI chat completions API over TCP.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::post,
};
use futures::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

/// What the server was asked.
#[derive(Debug)]
pub struct Asked {
    pub authorization: Option<String>,
    pub body: Value,
}

/// What the server answers.
pub enum Reply {
    /// Deltas, streamed one by one.
    Stream(Vec<Value>),
    /// A whole message, whether or not a stream was asked for.
    Whole(Value),
    /// A status and the server's words.
    Status(u16, &'static str),
}

type Script = dyn Fn(&Value) -> Reply + Send + Sync;

#[derive(Clone)]
struct Model {
    script: Arc<Script>,
    asked: mpsc::UnboundedSender<Asked>,
}

/// A running server; it stops when dropped.
pub struct ModelServer {
    pub url: String,
    asked: mpsc::UnboundedReceiver<Asked>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Answers each request as `script` says.
    pub async fn start(script: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let model = Model {
            script: Arc::new(script),
            asked: sender,
        };
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .with_state(model);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, task }
    }

    /// What it was asked since the last look.
    pub fn asked(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn chat(State(model): State<Model>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let reply = (model.script)(&body);
    let authorization = headers
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    let _ = model.asked.send(Asked {
        authorization,
        body,
    });
    let envelope = |object: &str, choice: Value| {
        json!({"id": "chatcmpl-1", "object": object, "created": 1_700_000_000,
               "model": "tester", "choices": [choice]})
    };
    match reply {
        Reply::Status(status, words) => {
            let error = json!({"error": {"message": words, "type": "server_error"}});
            (StatusCode::from_u16(status).unwrap(), Json(error)).into_response()
        }
        Reply::Whole(message) => {
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            Json(envelope("chat.completion", choice)).into_response()
        }
        Reply::Stream(deltas) => {
            let chunks = deltas.into_iter().map(|delta| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
                envelope("chat.completion.chunk", choice).to_string()
            });
            let end = envelope(
                "chat.completion.chunk",
                json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
            );
            let lines: Vec<String> = chunks
                .chain([end.to_string(), "[DONE]".to_owned()])
                .collect();
            let events = lines
                .into_iter()
                .map(|data| Ok::<_, Infallible>(Event::default().data(data)));
            Sse::new(stream::iter(events)).into_response()
        }
    }
}

/// Text, in pieces.
pub fn text(words: &str) -> Vec<Value> {
    words
        .split_inclusive(' ')
        .map(|piece| json!({"content": piece}))
        .collect()
}

/// A tool call, its arguments in two pieces as servers send them.
pub fn call(id: &str, name: &str, arguments: &str) -> Vec<Value> {
    let (first, second) = arguments.split_at(arguments.len() / 2);
    vec![
        json!({"role": "assistant", "content": null, "tool_calls": [{"index": 0, "id": id,
            "type": "function", "function": {"name": name, "arguments": first}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": second}}]}),
    ]
}

/// The content of the last message, where it is a tool's result.
pub fn tool_result(request: &Value) -> Option<String> {
    let last = request["messages"].as_array()?.last()?;
    (last["role"] == "tool").then(|| last["content"].as_str().unwrap_or_default().to_owned())
}
