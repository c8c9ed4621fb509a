//! Contacts, keys, credentials, reputation, and the kill switch.

use axum::{Json, extract::State};
use pagi_api::{
    messages::{ChangeContacts, Contacts},
    trust::{AddCredential, CredentialView, GiveOrder, Halt, RotatedKey},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Api, Route};
use crate::{
    extract::{JsonObject, Params, Segment},
    failure::Failure,
};

const TAG: &str = "trust";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/contacts/{twin_id}", contacts)
            .about(TAG, "Show whom a twin listens to")
            .gives::<Contacts>(),
        Route::patch("/contacts/{twin_id}", change_contacts)
            .about(TAG, "Block senders, or allow them research questions")
            .takes::<ChangeContacts>(r#"{"block":["did:key:z6Mk…"]}"#)
            .gives::<Contacts>(),
        Route::post("/twins/{twin_id}/rotate", rotate)
            .about(TAG, "Give a twin another key")
            .detail(
                "The old and the new key sign that one takes the place of the other; the swarm is \
                 told. Mail to the old DID is still read.",
            )
            .gives::<RotatedKey>(),
        Route::get("/halt", halt)
            .about(TAG, "Show whether the node is stopped, and by which orders")
            .gives::<Halt>(),
        Route::post("/halt", order)
            .about(TAG, "Stop the swarm or one of its twins, or let it go on")
            .detail("403 unless this node is a founder of the swarm or its Master Orchestrator.")
            .takes::<GiveOrder>(r#"{"action":"stop","reason":"a test"}"#)
            .gives::<Halt>(),
        Route::post("/halt/override", override_halt)
            .about(TAG, "Go on here in spite of every order to stop so far")
            .gives::<Halt>(),
        Route::get("/credentials", credentials)
            .about(TAG, "List the credentials kept here")
            .gives::<Vec<CredentialView>>(),
        Route::post("/credentials", add)
            .about(TAG, "Keep a credential that holds")
            .takes::<AddCredential>(r#"{"document":{},"publish":false}"#)
            .gives::<CredentialView>(),
        Route::post("/credentials/{id}/revoke", revoke)
            .about(
                TAG,
                "Take a credential back that a twin of this node issued",
            )
            .gives::<CredentialView>(),
        Route::get("/reputation", explain)
            .about(TAG, "Show how far a DID is believed, and why")
            .query::<Whom>()
            .gives::<Value>(),
    ]
}

/// The query of `GET /reputation`.
#[derive(Deserialize, JsonSchema)]
struct Whom {
    /// The DID.
    did: String,
}

async fn contacts(
    State(api): State<Api>,
    Segment(twin_id): Segment,
) -> Result<Json<Contacts>, Failure> {
    Ok(Json(api.node.contacts(&twin_id).await?))
}

async fn change_contacts(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(change): JsonObject<ChangeContacts>,
) -> Result<Json<Contacts>, Failure> {
    Ok(Json(api.node.change_contacts(&twin_id, change).await?))
}

async fn rotate(
    State(api): State<Api>,
    Segment(twin_id): Segment,
) -> Result<Json<RotatedKey>, Failure> {
    Ok(Json(api.node.rotate_key(&twin_id).await?))
}

async fn halt(State(api): State<Api>) -> Result<Json<Halt>, Failure> {
    Ok(Json(api.node.halt().await?))
}

async fn order(
    State(api): State<Api>,
    JsonObject(order): JsonObject<GiveOrder>,
) -> Result<Json<Halt>, Failure> {
    Ok(Json(api.node.give_order(order).await?))
}

async fn override_halt(State(api): State<Api>) -> Result<Json<Halt>, Failure> {
    Ok(Json(api.node.override_halt().await?))
}

async fn credentials(State(api): State<Api>) -> Result<Json<Vec<CredentialView>>, Failure> {
    Ok(Json(api.node.credentials().await?))
}

async fn add(
    State(api): State<Api>,
    JsonObject(request): JsonObject<AddCredential>,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(api.node.add_credential(request).await?))
}

async fn revoke(
    State(api): State<Api>,
    Segment(id): Segment,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(api.node.revoke_credential(&id).await?))
}

async fn explain(
    State(api): State<Api>,
    Params(query): Params<Whom>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(api.node.explain(&query.did).await?))
}
