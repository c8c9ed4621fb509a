//! Private messages: the one route that strangers use, and the twins' inboxes.

use axum::{Json, extract::State, http::StatusCode};
use pagi_api::messages::{
    MarkRead, MarkedRead, MessageReceipt, ReceivedMessage, SendMessage, SentMessage,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Api, Route};
use crate::{
    extract::{JsonObject, JsonText, Params, Segment},
    failure::Failure,
};

const TAG: &str = "messages";
const DEFAULT_MESSAGES: usize = 100;
const MOST_MESSAGES: usize = 1000;
/// What a packed message may come as.
const PACKED: &[&str] = &[
    "application/didcomm-encrypted+json",
    "application/didcomm-signed+json",
    "application/json",
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/receive", receive)
            .about(TAG, "Take a packed DIDComm message in")
            .detail(
                "Open, for it takes messages from strangers; it takes none that is neither \
                 encrypted for nor signed to a twin of this node. 202 when it is in store, 404 \
                 when no recipient lives here, 400 when it cannot be believed, 409 when it was here \
                 before, 403 when the ethics gate refuses it, 413 beyond 256 KiB, 429 when there \
                 are too many.",
            )
            .takes::<Value>(r#"{"protected":"…","recipients":[],"iv":"…","ciphertext":"…","tag":"…"}"#)
            .takes_as(PACKED)
            .open()
            .accepts()
            .gives::<MessageReceipt>(),
        Route::post("/messages/{twin_id}", send)
            .about(TAG, "Send a private message as a twin")
            .detail(
                "To the node that announced the recipient's twin, or to `to_url`. What cannot be \
                 delivered now is `queued` and tried again until it expires.",
            )
            .takes::<SendMessage>(r#"{"to_did":"did:key:z6Mk…","body":"The disk is full."}"#)
            .gives::<SentMessage>(),
        Route::get("/messages/{twin_id}", inbox)
            .about(TAG, "List the newest messages a twin received, oldest first")
            .query::<Inbox>()
            .gives::<Vec<ReceivedMessage>>(),
        Route::post("/messages/{twin_id}/read", mark_read)
            .about(TAG, "Mark messages as read")
            .takes::<MarkRead>(r#"{"seqs":[1,2]}"#)
            .gives::<MarkedRead>(),
    ]
}

/// The query of `GET /messages/{twin_id}`.
#[derive(Deserialize, JsonSchema)]
struct Inbox {
    /// Only those that were not marked as read.
    unread: Option<bool>,
    /// How many at most, up to 1000; 100 unless given.
    limit: Option<usize>,
}

async fn receive(
    State(api): State<Api>,
    JsonText(packed): JsonText,
) -> Result<(StatusCode, Json<MessageReceipt>), Failure> {
    Ok((
        StatusCode::ACCEPTED,
        Json(api.node.receive_message(&packed).await?),
    ))
}

async fn send(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(request): JsonObject<SendMessage>,
) -> Result<Json<SentMessage>, Failure> {
    Ok(Json(api.node.send_message(&twin_id, request).await?))
}

async fn inbox(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    Params(query): Params<Inbox>,
) -> Result<Json<Vec<ReceivedMessage>>, Failure> {
    let limit = query.limit.unwrap_or(DEFAULT_MESSAGES).min(MOST_MESSAGES);
    let unread = query.unread.unwrap_or(false);
    Ok(Json(api.node.messages(&twin_id, unread, limit).await?))
}

async fn mark_read(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(request): JsonObject<MarkRead>,
) -> Result<Json<MarkedRead>, Failure> {
    Ok(Json(api.node.mark_read(&twin_id, request).await?))
}
