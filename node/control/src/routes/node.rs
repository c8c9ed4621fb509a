//! The node itself: how it does, who it is, and what it offers.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use pagi_api::{ApiError, swarm::NodeInfo};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Api, Route};
use crate::failure::Failure;

const TAG: &str = "node";
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/status", status)
            .about(TAG, "The node at a glance")
            .gives::<NodeInfo>(),
        Route::get("/healthz", healthz)
            .about(TAG, "Whether the node is well")
            .detail("503 when it is not.")
            .open()
            .gives::<Health>(),
        Route::get("/metrics", metrics)
            .about(TAG, "Counters in Prometheus text format")
            .open()
            .gives_as(
                "text/plain",
                |_| json!({ "type": "string" }),
                "Prometheus text 0.0.4.",
            ),
        Route::get("/.well-known/did.json", did_document)
            .about(TAG, "The node's DID document")
            .open()
            .gives::<Value>(),
        Route::get("/openapi.json", openapi)
            .about(TAG, "This document")
            .open()
            .gives::<Value>(),
    ]
}

/// How the node does.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

async fn status(State(api): State<Api>) -> Result<Json<NodeInfo>, Failure> {
    Ok(Json(api.node.info().await?))
}

async fn healthz(State(api): State<Api>) -> Result<Json<Health>, Failure> {
    match api.node.info().await {
        Ok(_) => Ok(Json(Health { status: "ok" })),
        Err(error) => {
            // The cause is for the log: this route is open to anyone who can reach the port.
            tracing::warn!(%error, "the node is not well");
            Err(ApiError::Unavailable("the node is not well; its log says why".into()).into())
        }
    }
}

async fn metrics(State(api): State<Api>) -> Result<Response, Failure> {
    let text = api.node.metrics().await?;
    Ok(([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response())
}

async fn did_document(State(api): State<Api>) -> Result<Json<Value>, Failure> {
    Ok(Json(api.node.did_document().await?))
}

async fn openapi() -> Json<Value> {
    Json(crate::openapi())
}
