//! Twins, their memory, their emotion and their acts.

use axum::{Json, extract::State, http::StatusCode};
use pagi_api::{
    ApiError, Violation,
    twins::{
        ActOutcome, ActRequest, AppendMemory, CreateTwin, Emotion, Memory, SetEmotion, Twin,
        TwinDid,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Api, Route, non_empty};
use crate::{
    extract::{JsonObject, MaybeObject, Params, Segment},
    failure::Failure,
};

const TWINS: &str = "twins";
const MEMORY: &str = "memory";
const EMOTION: &str = "emotion and acts";
const DEFAULT_FINDS: usize = 10;
const MOST_FINDS: usize = 100;
const MOST_MEMORIES: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/twins", create)
            .about(TWINS, "Make a twin")
            .detail("Its state is `active` unless the first state says otherwise.")
            .takes::<CreateTwin>(r#"{"initial_state":{"status":"active","note":"first"}}"#)
            .or_nothing()
            .creates()
            .gives::<Twin>(),
        Route::get("/twins", list).about(TWINS, "List the twins").gives::<Vec<Twin>>(),
        Route::get("/twins/{twin_id}", show).about(TWINS, "Show a twin").gives::<Twin>(),
        Route::get("/twins/{twin_id}/did", did)
            .about(TWINS, "Show a twin's DID and DID document")
            .gives::<TwinDid>(),
        Route::patch("/twins/{twin_id}/state", patch_state)
            .about(TWINS, "Change a twin's state")
            .detail("A JSON merge patch (RFC 7396): keys are set, and removed by `null`.")
            .takes::<Map<String, Value>>(r#"{"status":"paused","note":null}"#)
            .gives::<Twin>(),
        Route::post("/memory/{twin_id}", append)
            .about(MEMORY, "Add to a twin's memory")
            .takes::<AppendMemory>(r#"{"role":"user","content":"Disks fill up on Fridays."}"#)
            .gives::<Memory>(),
        Route::get("/memory/{twin_id}", memories)
            .about(MEMORY, "List a twin's newest memories, oldest first")
            .query::<Newest>()
            .gives::<Vec<Memory>>(),
        Route::get("/memory/{twin_id}/search", search)
            .about(MEMORY, "Search a twin's memory, best first")
            .query::<Search>()
            .gives::<Vec<Memory>>(),
        Route::get("/emotion/{twin_id}", emotion)
            .about(EMOTION, "Show a twin's emotion")
            .gives::<Emotion>(),
        Route::post("/emotion/{twin_id}", set_emotion)
            .about(EMOTION, "Set a twin's emotion")
            .takes::<SetEmotion>(r#"{"mood":"calm","activation_level":0.2}"#)
            .gives::<Emotion>(),
        Route::post("/act", act)
            .about(EMOTION, "Let a twin act on the world")
            .takes::<ActRequest>(
                r#"{"twin_id":"TWIN_ID","action":"notify","parameters":{"title":"Hello","body":"It works."}}"#,
            )
            .gives::<ActOutcome>(),
    ]
}

/// The query of `GET /memory/{twin_id}`.
#[derive(Deserialize, JsonSchema)]
struct Newest {
    /// How many at most, up to 1000; all that are kept unless given.
    limit: Option<usize>,
}

/// The query of `GET /memory/{twin_id}/search`.
#[derive(Deserialize, JsonSchema)]
struct Search {
    /// What to look for. Must be given.
    q: Option<String>,
    /// How many at most, up to 100; 10 unless given.
    limit: Option<usize>,
}

async fn create(
    State(api): State<Api>,
    MaybeObject(request): MaybeObject<CreateTwin>,
) -> Result<(StatusCode, Json<Twin>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(api.node.create_twin(request).await?),
    ))
}

async fn list(State(api): State<Api>) -> Result<Json<Vec<Twin>>, Failure> {
    Ok(Json(api.node.twins().await?))
}

async fn show(State(api): State<Api>, Segment(twin_id): Segment) -> Result<Json<Twin>, Failure> {
    Ok(Json(api.node.twin(&twin_id).await?))
}

async fn did(State(api): State<Api>, Segment(twin_id): Segment) -> Result<Json<TwinDid>, Failure> {
    Ok(Json(api.node.twin_did(&twin_id).await?))
}

async fn patch_state(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(patch): JsonObject<Map<String, Value>>,
) -> Result<Json<Twin>, Failure> {
    Ok(Json(
        api.node.patch_state(&twin_id, Value::Object(patch)).await?,
    ))
}

async fn append(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(entry): JsonObject<AppendMemory>,
) -> Result<Json<Memory>, Failure> {
    Ok(Json(api.node.append_memory(&twin_id, entry).await?))
}

async fn memories(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    Params(query): Params<Newest>,
) -> Result<Json<Vec<Memory>>, Failure> {
    let limit = query.limit.map(|limit| limit.min(MOST_MEMORIES));
    Ok(Json(api.node.memories(&twin_id, limit).await?))
}

async fn search(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    Params(query): Params<Search>,
) -> Result<Json<Vec<Memory>>, Failure> {
    let Some(text) = non_empty(query.q) else {
        return Err(ApiError::Invalid {
            detail: "say what to look for: `?q=…`".into(),
            violations: vec![Violation {
                path: "/q".into(),
                message: "is missing".into(),
            }],
        }
        .into());
    };
    let limit = query.limit.unwrap_or(DEFAULT_FINDS).min(MOST_FINDS);
    Ok(Json(api.node.search_memory(&twin_id, &text, limit).await?))
}

async fn emotion(
    State(api): State<Api>,
    Segment(twin_id): Segment,
) -> Result<Json<Emotion>, Failure> {
    Ok(Json(api.node.emotion(&twin_id).await?))
}

async fn set_emotion(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(request): JsonObject<SetEmotion>,
) -> Result<Json<Emotion>, Failure> {
    Ok(Json(api.node.set_emotion(&twin_id, request).await?))
}

async fn act(
    State(api): State<Api>,
    JsonObject(request): JsonObject<ActRequest>,
) -> Result<Json<ActOutcome>, Failure> {
    Ok(Json(api.node.act(request).await?))
}
