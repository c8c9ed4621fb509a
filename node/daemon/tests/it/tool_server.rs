//! A server of tools, as a user would write one.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

/// A running server of tools; it stops when dropped.
pub struct ToolServer {
    pub url: String,
    /// The parameters of each call, in order.
    pub called: mpsc::UnboundedReceiver<Value>,
    task: JoinHandle<()>,
}

impl ToolServer {
    /// Serves `/greenhouse`, which reports figures, and `/broken`, which fails.
    pub async fn start() -> Self {
        let (sender, called) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/greenhouse", post(greenhouse))
            .route("/broken", post(broken))
            .with_state(sender);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, called, task }
    }
}

impl Drop for ToolServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Calls = State<mpsc::UnboundedSender<Value>>;

async fn greenhouse(State(calls): Calls, Json(parameters): Json<Value>) -> Json<Value> {
    let unit = parameters["unit"].as_str().unwrap_or("celsius").to_owned();
    let _ = calls.send(parameters);
    Json(json!({"temperature": 21.5, "humidity_percent": 64, "unit": unit}))
}

async fn broken(State(calls): Calls, Json(parameters): Json<Value>) -> (StatusCode, &'static str) {
    let _ = calls.send(parameters);
    (StatusCode::INTERNAL_SERVER_ERROR, "the sensor is on fire")
}
