//! The event log and the audit log.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName},
    response::Response,
};
use futures::{StreamExt, stream};
use pagi_api::{
    ApiError, EventFilter, LoggedEvent, PublishEvent, PublishedEvent, Violation, swarm::AuditEntry,
};
use pagi_messages::EventType;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Api, Route, event, non_empty, problem_event};
use crate::{
    extract::{JsonObject, Params},
    failure::Failure,
};

const TAG: &str = "events";
const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/publish", publish)
            .about(TAG, "Publish an event")
            .detail(
                "It is in the log when the answer comes. A `task_broadcast` is of a shared type: \
                 its payload's `task` (or else the payload) also goes to every node of the swarm, \
                 where it is an event, not work to be done (that is `POST /swarm/tasks`). Its \
                 answer has `shared: true`; all other events stay on this node. The answer is 200 and not \
                 201, as ever.",
            )
            .takes::<PublishEvent>(
                r#"{"event_type":"goal_received","source":"script","payload":{"goal":"hello"}}"#,
            )
            .gives_as(
                "application/json",
                published_event,
                "The event and its place in the log.",
            ),
        Route::get("/events", follow)
            .about(TAG, "Follow the event log")
            .detail(
                "Server-sent events: `id` is the place in the log, `event` the event's type and \
                 `data` the event. Without `after` and `Last-Event-ID` it shows what happens from \
                 now on; with either, what came after that place first. A client that reconnects \
                 with the last `id` it saw misses nothing and sees nothing twice. A stream that \
                 fails ends with an event `problem`.",
            )
            .query::<Follow>()
            .gives_as(
                "text/event-stream",
                logged_event,
                "Events, each with this as its data.",
            ),
        Route::get("/events/log", log)
            .about(TAG, "Read the event log")
            .detail("At most 1000 at a time. Pass `last` as the next `after`.")
            .query::<Log>()
            .gives_as("application/json", event_page, "Events, oldest first."),
        Route::get("/audit", audit)
            .about(TAG, "Read the audit log")
            .detail("Tool calls, refusals and acts of the MO; at most 1000 at a time.")
            .query::<Page>()
            .gives::<Vec<AuditEntry>>(),
    ]
}

/// The query of `GET /events`.
#[derive(Deserialize, JsonSchema)]
struct Follow {
    /// Show what came after this place in the log; the header `Last-Event-ID` has precedence.
    after: Option<u64>,
    /// Events of this type only.
    event_type: Option<String>,
    /// Events about this twin only.
    twin_id: Option<String>,
    /// Events from this source only.
    source: Option<String>,
}

/// The query of `GET /events/log`.
#[derive(Deserialize, JsonSchema)]
struct Log {
    /// Show what came after this place in the log; 0 unless given.
    after: Option<u64>,
    /// How many at most; 100 unless given.
    limit: Option<usize>,
    /// Events of this type only.
    event_type: Option<String>,
    /// Events about this twin only.
    twin_id: Option<String>,
    /// Events from this source only.
    source: Option<String>,
}

/// The query of `GET /audit`.
#[derive(Deserialize, JsonSchema)]
struct Page {
    /// Show what came after this place in the log; 0 unless given.
    after: Option<u64>,
    /// How many at most; 100 unless given.
    limit: Option<usize>,
}

#[derive(Serialize)]
struct EventPage {
    events: Vec<LoggedEvent>,
    last: u64,
}

fn logged_event(_: &mut SchemaGenerator) -> Value {
    let types: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    json!({
        "type": "object",
        "required": ["seq", "id", "event_type", "ts", "source", "payload"],
        "properties": {
            "seq": { "type": "integer", "minimum": 0, "description": "Place in the log." },
            "id": { "type": "string", "format": "uuid" },
            "event_type": { "enum": types },
            "ts": { "type": "string", "format": "date-time" },
            "twin_id": { "type": "string", "description": "The twin it is about." },
            "subject": { "type": "string", "description": "What it is about, if not a twin." },
            "source": { "type": "string", "description": "Who recorded or published it." },
            "payload": { "description": "The details, shape by type." },
        },
    })
}

fn published_event(generator: &mut SchemaGenerator) -> Value {
    let mut schema = logged_event(generator);
    schema["properties"]["shared"] = json!({
        "type": "boolean",
        "description": "`true` where it was sent to the swarm; all others stay on this node.",
    });
    schema
}

fn event_page(generator: &mut SchemaGenerator) -> Value {
    json!({
        "type": "object",
        "required": ["events", "last"],
        "properties": {
            "events": { "type": "array", "items": logged_event(generator) },
            "last": { "type": "integer", "description": "The place to read on from." },
        },
    })
}

async fn publish(
    State(api): State<Api>,
    JsonObject(request): JsonObject<PublishEvent>,
) -> Result<Json<PublishedEvent>, Failure> {
    Ok(Json(api.node.publish(request).await?))
}

async fn follow(
    State(api): State<Api>,
    Params(query): Params<Follow>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let after = last_event_id(&headers)?.or(query.after);
    let filter = filter(query.event_type, query.twin_id, query.source)?;
    let events = api.node.follow_events(after, filter).await?;
    let shown = stream::unfold(Some(events), |events| async {
        let mut events = events?;
        match events.next().await? {
            Ok(logged) => {
                let kind = logged.event.event_type.as_str();
                let shown = event(kind, &logged).id(logged.seq.to_string());
                Some((shown, Some(events)))
            }
            Err(error) => Some((problem_event(&error), None)),
        }
    });
    Ok(api.stream(shown))
}

async fn log(
    State(api): State<Api>,
    Params(query): Params<Log>,
) -> Result<Json<EventPage>, Failure> {
    let after = query.after.unwrap_or(0);
    let filter = filter(query.event_type, query.twin_id, query.source)?;
    let events = api
        .node
        .events(after, page_size(query.limit), filter)
        .await?;
    let last = events.last().map_or(after, |logged| logged.seq);
    Ok(Json(EventPage { events, last }))
}

async fn audit(
    State(api): State<Api>,
    Params(query): Params<Page>,
) -> Result<Json<Vec<AuditEntry>>, Failure> {
    Ok(Json(
        api.node
            .audit(query.after.unwrap_or(0), page_size(query.limit))
            .await?,
    ))
}

fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(DEFAULT_PAGE).min(LARGEST_PAGE)
}

/// The place a reconnecting client saw last.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers
        .get(&LAST_EVENT_ID)
        .filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    let seq = value.to_str().ok().and_then(|text| text.parse().ok());
    seq.map(Some).ok_or_else(|| {
        ApiError::Malformed("Last-Event-ID is not a place in the event log".into()).into()
    })
}

fn filter(
    event_type: Option<String>,
    twin_id: Option<String>,
    source: Option<String>,
) -> Result<EventFilter, Failure> {
    let event_type = non_empty(event_type)
        .map(|name| {
            name.parse::<EventType>()
                .map_err(|error| ApiError::Invalid {
                    detail: error.to_string(),
                    violations: vec![Violation {
                        path: "/event_type".into(),
                        message: "is not one of the event types".into(),
                    }],
                })
        })
        .transpose()?;
    Ok(EventFilter {
        event_type,
        twin_id: non_empty(twin_id),
        source: non_empty(source),
    })
}
