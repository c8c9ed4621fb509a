//! The rooms' errors and records as the control API shows them.

use cid::Cid;
use pagi_api::{ApiError, EventFilter, LoggedEvent, swarm::ArtifactView};
use pagi_hive::HiveError;
use pagi_messages::EventType;
use pagi_playbook::{Artifact, Revision, block};
use pagi_store::{ArtifactRecord, StoreError};
use pagi_swarm::SwarmError;
use pagi_twin::{TwinError, actuator::ActError, messaging::ReceiveError};
use serde_json::{Value, json};

pub(super) fn internal(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(error.to_string())
}

pub(super) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Closed | StoreError::Interrupted => {
            ApiError::Unavailable("the node is shutting down".to_owned())
        }
        StoreError::Full { .. } => ApiError::Unavailable(format!("{error}; try again later")),
        other => internal(other),
    }
}

pub(super) fn twin_error(error: TwinError) -> ApiError {
    match error {
        TwinError::UnknownTwin(id) => ApiError::NotFound { what: "twin", id },
        TwinError::Invalid(detail) => ApiError::invalid(detail),
        TwinError::Store(error) => store_error(error),
        TwinError::Message(error) => ApiError::invalid(error.to_string()),
        TwinError::Refused(_) | TwinError::Unethical(_) | TwinError::Stopped(_) => {
            ApiError::Forbidden(error.to_string())
        }
        TwinError::Order(pagi_messages::OrderRefused::NoAuthority(_)) => {
            ApiError::Forbidden(error.to_string())
        }
        TwinError::Order(_) => ApiError::Conflict(error.to_string()),
        TwinError::NotTaken(_) => ApiError::Upstream(error.to_string()),
        TwinError::Act(error) => match error {
            ActError::NotAllowed(_) => ApiError::Forbidden(error.to_string()),
            ActError::NoDesktop(_) => ApiError::Unavailable(error.to_string()),
            ActError::Io { .. } => internal(error),
            ActError::Unknown(_) | ActError::Parameters(_) | ActError::Path(_) => {
                ApiError::invalid(error.to_string())
            }
        },
        other => internal(other),
    }
}

/// What a stranger hears of a message that was not taken.
pub(super) fn receive_error(error: ReceiveError) -> ApiError {
    let text = error.to_string();
    match error {
        ReceiveError::TooLarge => ApiError::TooLarge(text),
        ReceiveError::Malformed(_) => ApiError::Malformed(text),
        ReceiveError::UnknownRecipient(id) => ApiError::NotFound {
            what: "recipient",
            id,
        },
        ReceiveError::Replayed => ApiError::Conflict(text),
        ReceiveError::Refused(_) => ApiError::Forbidden(text),
        ReceiveError::TooMany => ApiError::TooMany(text),
        ReceiveError::Node(error) => {
            // The cause is for the log: the route is open to anyone who can reach the port.
            tracing::error!(%error, "a message could not be taken in");
            ApiError::Unavailable(text)
        }
    }
}

pub(super) fn hive_error(error: HiveError) -> ApiError {
    match error {
        HiveError::Closed => ApiError::Unavailable(error.to_string()),
        HiveError::Refused(_) => ApiError::Forbidden(error.to_string()),
        HiveError::NotMo | HiveError::NotWaiting { .. } => ApiError::Conflict(error.to_string()),
        HiveError::UnknownArtifact(cid) => ApiError::NotFound {
            what: "artifact",
            id: cid.to_string(),
        },
        HiveError::Store(error) => store_error(error),
        other => internal(other),
    }
}

pub(super) fn swarm_error(error: SwarmError) -> ApiError {
    ApiError::Unavailable(error.to_string())
}

pub(super) fn parse_cid(text: &str) -> Result<Cid, ApiError> {
    text.parse().map_err(|_| {
        ApiError::Malformed(format!(
            "`{}` is not a CID (bafy…)",
            text.chars().take(80).collect::<String>()
        ))
    })
}

pub(super) fn logged(event: pagi_store::LoggedEvent) -> LoggedEvent {
    LoggedEvent {
        seq: event.seq,
        event: event.event,
    }
}

/// The longest task that may be published, bytes of JSON.
const MAX_SHARED_TASK: usize = 64 * 1024;

/// What of a published event goes to the swarm: the task of a `task_broadcast`. Of no other event
/// does anything leave the node.
pub(super) fn shared_task(kind: EventType, payload: &Value) -> Result<Option<Value>, ApiError> {
    if kind != EventType::TaskBroadcast {
        return Ok(None);
    }
    let task = payload.get("task").unwrap_or(payload);
    if task.is_null() {
        return Err(ApiError::invalid(
            "a task_broadcast goes to the swarm and needs a payload: {\"task\":{\"goal\":\"…\"}}",
        ));
    }
    let bytes = task.to_string().len();
    if bytes > MAX_SHARED_TASK {
        return Err(ApiError::TooLarge(format!(
            "the task has {bytes} bytes; at most {MAX_SHARED_TASK} go to the swarm"
        )));
    }
    Ok(Some(task.clone()))
}

pub(super) fn filter(filter: EventFilter) -> pagi_store::EventFilter {
    pagi_store::EventFilter {
        event_type: filter.event_type,
        twin_id: filter.twin_id,
        source: filter.source,
    }
}

pub(super) type Ipld = ipld_core::ipld::Ipld;

/// IPLD as JSON: links as `{"/": CID}` and bytes as `{"/": {"bytes": base64}}` (DAG-JSON).
pub(super) fn ipld_json(value: Ipld) -> Value {
    match value {
        Ipld::Null => Value::Null,
        Ipld::Bool(value) => json!(value),
        Ipld::Integer(value) => i64::try_from(value)
            .map(|value| json!(value))
            .or_else(|_| u64::try_from(value).map(|value| json!(value)))
            .unwrap_or_else(|_| json!(value.to_string())),
        Ipld::Float(value) => json!(value),
        Ipld::String(value) => json!(value),
        Ipld::Bytes(value) => {
            let text =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, value);
            json!({"/": {"bytes": text}})
        }
        Ipld::List(items) => items.into_iter().map(ipld_json).collect(),
        Ipld::Map(items) => items
            .into_iter()
            .map(|(key, value)| (key, ipld_json(value)))
            .collect(),
        Ipld::Link(cid) => json!({"/": cid.to_string()}),
    }
}

/// What a revision changed, in words.
pub(super) fn summary(revision: &Revision) -> String {
    if revision.merged.is_empty() {
        return format!("joins {} heads", revision.parents.len());
    }
    let mut parts = Vec::new();
    let mut count = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
        }
    };
    let deltas = || revision.merged.iter().map(|merged| &merged.delta);
    count(deltas().map(|delta| delta.cases.len()).sum(), "case");
    count(deltas().map(|delta| delta.bullets.len()).sum(), "bullet");
    count(deltas().map(|delta| delta.counts.len()).sum(), "count");
    count(deltas().map(|delta| delta.set.len()).sum(), "setting");
    parts.join(", ")
}

pub(super) fn artifact_view(record: ArtifactRecord) -> Result<ArtifactView, ApiError> {
    let cid = parse_cid(&record.cid)?;
    let artifact = block::open::<Artifact>(&cid, &record.bytes).map_err(internal)?;
    let body = artifact.body();
    Ok(ArtifactView {
        cid: record.cid,
        author: record.author,
        status: record.status,
        reason: record.reason,
        base: body.base.to_string(),
        critique: body.critique.clone(),
        delta: serde_json::to_value(&body.delta).map_err(internal)?,
        changes: Vec::new(),
        ts: record.ts,
    })
}
