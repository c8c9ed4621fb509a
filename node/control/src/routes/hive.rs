//! The swarm, the playbook, artifacts, the MO, and documents by CID.

use axum::{Json, extract::State};
use pagi_api::swarm::{
    ArtifactView, KnownTwin, MoView, Peer, PlaybookCheck, PlaybookDiff, PlaybookView,
    RejectArtifact, RevertPlaybook, RevisionView, SwarmView,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Api, Route, non_empty};
use crate::{
    extract::{AnyJson, JsonObject, Params, Segment},
    failure::Failure,
};

const SWARM: &str = "swarm";
const PLAYBOOK: &str = "playbook";
const CONTENT: &str = "content";
const DEFAULT_REVISIONS: usize = 50;
const DEFAULT_ARTIFACTS: usize = 100;
const MOST: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/swarm", swarm)
            .about(SWARM, "The swarm at a glance")
            .gives::<SwarmView>(),
        Route::get("/swarm/twins", swarm_twins)
            .about(
                SWARM,
                "List the twins known: here, heard lately, and heard before",
            )
            .gives::<Vec<KnownTwin>>(),
        Route::get("/peers", peers)
            .about(SWARM, "List the connected peers")
            .gives::<Vec<Peer>>(),
        Route::get("/mo", mo)
            .about(SWARM, "Who is Master Orchestrator, and why")
            .gives::<MoView>(),
        Route::post("/mo/step-down", step_down)
            .about(SWARM, "Give the role of Master Orchestrator up")
            .gives::<MoView>(),
        Route::get("/playbook", playbook)
            .about(PLAYBOOK, "Show the playbook")
            .gives::<PlaybookView>(),
        Route::get("/playbook/log", playbook_log)
            .about(PLAYBOOK, "List the playbook's revisions, newest first")
            .query::<Revisions>()
            .gives::<Vec<RevisionView>>(),
        Route::get("/playbook/verify", verify_playbook)
            .about(
                PLAYBOOK,
                "Replay the playbook's history and check every link",
            )
            .gives::<PlaybookCheck>(),
        Route::get("/playbook/diff", playbook_diff)
            .about(
                PLAYBOOK,
                "Show what differs between two revisions of the playbook",
            )
            .query::<Between>()
            .gives::<PlaybookDiff>(),
        Route::get("/artifacts", artifacts)
            .about(PLAYBOOK, "List the refinement artifacts, newest first")
            .query::<Artifacts>()
            .gives::<Vec<ArtifactView>>(),
        Route::get("/artifacts/{cid}", artifact)
            .about(PLAYBOOK, "Show a refinement artifact")
            .gives::<ArtifactView>(),
        Route::post("/artifacts/{cid}/approve", approve_artifact)
            .about(PLAYBOOK, "Approve an artifact that waits for a person")
            .gives::<ArtifactView>(),
        Route::post("/artifacts/{cid}/reject", reject_artifact)
            .about(PLAYBOOK, "Reject an artifact that is not merged yet")
            .takes::<RejectArtifact>(r#"{"reason":"it misleads"}"#)
            .gives::<ArtifactView>(),
        Route::post("/playbook/revert", revert_playbook)
            .about(
                PLAYBOOK,
                "Take merged artifacts back in one revision; on the MO's node alone",
            )
            .takes::<RevertPlaybook>(r#"{"cids":["bafy"],"reason":"it misleads"}"#)
            .gives::<ArtifactView>(),
        Route::post("/ipfs/dag", put_document)
            .about(CONTENT, "Store a document as DAG-CBOR and pin it")
            .takes::<Value>(r#"{"hello":"world"}"#)
            .gives::<StoredDocument>(),
        Route::get("/ipfs/dag/{cid}", get_document)
            .about(
                CONTENT,
                "Fetch a document by its CID, from here or from the swarm",
            )
            .gives::<Value>(),
    ]
}

/// The query of `GET /playbook/log`.
#[derive(Deserialize, JsonSchema)]
struct Revisions {
    /// How many at most, up to 1000; 50 unless given.
    limit: Option<usize>,
}

/// The query of `GET /playbook/diff`.
#[derive(Deserialize, JsonSchema)]
struct Between {
    /// The CID of the earlier revision, or of the genesis; the one before `to` unless given.
    from: Option<String>,
    /// The CID of the later one; the head unless given.
    to: Option<String>,
}

/// The query of `GET /artifacts`.
#[derive(Deserialize, JsonSchema)]
struct Artifacts {
    /// How many at most, up to 1000; 100 unless given.
    limit: Option<usize>,
}

/// A stored document.
#[derive(Serialize, JsonSchema)]
struct StoredDocument {
    /// Its CID.
    cid: String,
}

async fn swarm(State(api): State<Api>) -> Result<Json<SwarmView>, Failure> {
    Ok(Json(api.node.swarm().await?))
}

async fn swarm_twins(State(api): State<Api>) -> Result<Json<Vec<KnownTwin>>, Failure> {
    Ok(Json(api.node.swarm_twins().await?))
}

async fn peers(State(api): State<Api>) -> Result<Json<Vec<Peer>>, Failure> {
    Ok(Json(api.node.peers().await?))
}

async fn mo(State(api): State<Api>) -> Result<Json<MoView>, Failure> {
    Ok(Json(api.node.mo().await?))
}

async fn step_down(State(api): State<Api>) -> Result<Json<MoView>, Failure> {
    Ok(Json(api.node.step_down().await?))
}

async fn playbook(State(api): State<Api>) -> Result<Json<PlaybookView>, Failure> {
    Ok(Json(api.node.playbook().await?))
}

async fn playbook_log(
    State(api): State<Api>,
    Params(query): Params<Revisions>,
) -> Result<Json<Vec<RevisionView>>, Failure> {
    let limit = query.limit.unwrap_or(DEFAULT_REVISIONS).min(MOST);
    Ok(Json(api.node.playbook_log(limit).await?))
}

async fn verify_playbook(State(api): State<Api>) -> Result<Json<PlaybookCheck>, Failure> {
    Ok(Json(api.node.verify_playbook().await?))
}

async fn playbook_diff(
    State(api): State<Api>,
    Params(query): Params<Between>,
) -> Result<Json<PlaybookDiff>, Failure> {
    let (from, to) = (non_empty(query.from), non_empty(query.to));
    Ok(Json(
        api.node
            .playbook_diff(from.as_deref(), to.as_deref())
            .await?,
    ))
}

async fn artifacts(
    State(api): State<Api>,
    Params(query): Params<Artifacts>,
) -> Result<Json<Vec<ArtifactView>>, Failure> {
    let limit = query.limit.unwrap_or(DEFAULT_ARTIFACTS).min(MOST);
    Ok(Json(api.node.artifacts(limit).await?))
}

async fn artifact(
    State(api): State<Api>,
    Segment(cid): Segment,
) -> Result<Json<ArtifactView>, Failure> {
    Ok(Json(api.node.artifact(&cid).await?))
}

async fn approve_artifact(
    State(api): State<Api>,
    Segment(cid): Segment,
) -> Result<Json<ArtifactView>, Failure> {
    Ok(Json(api.node.approve_artifact(&cid).await?))
}

async fn reject_artifact(
    State(api): State<Api>,
    Segment(cid): Segment,
    JsonObject(request): JsonObject<RejectArtifact>,
) -> Result<Json<ArtifactView>, Failure> {
    Ok(Json(api.node.reject_artifact(&cid, request).await?))
}

async fn revert_playbook(
    State(api): State<Api>,
    JsonObject(request): JsonObject<RevertPlaybook>,
) -> Result<Json<ArtifactView>, Failure> {
    Ok(Json(api.node.revert_playbook(request).await?))
}

async fn put_document(
    State(api): State<Api>,
    AnyJson(document): AnyJson,
) -> Result<Json<StoredDocument>, Failure> {
    Ok(Json(StoredDocument {
        cid: api.node.put_document(document).await?,
    }))
}

async fn get_document(
    State(api): State<Api>,
    Segment(cid): Segment,
) -> Result<Json<Value>, Failure> {
    Ok(Json(api.node.get_document(&cid).await?))
}
