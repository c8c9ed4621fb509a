//! Who belongs to the swarm, invitations to it, and the network the node stands in.

use axum::{Json, extract::State};
use pagi_api::membership::{
    InvitationView, Membership, NetworkView, NewBan, NewInvitation, NewRevocation,
};

use super::{Api, Route};
use crate::{
    extract::{JsonObject, MaybeObject, Segment},
    failure::Failure,
};

const TAG: &str = "swarm";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/swarm/members", members)
            .about(TAG, "Who belongs to the swarm, and who was refused")
            .gives::<Membership>(),
        Route::post("/swarm/invitations", invite)
            .about(TAG, "Invite a newcomer")
            .detail(
                "The answer's `link` holds all a newcomer needs: addresses, the swarm's genesis, its \
                 key where it has one, and an invitation. 403 where this node may not invite, 409 \
                 where its swarm is a name alone.",
            )
            .takes::<NewInvitation>(r#"{"expires_s":604800,"uses":1}"#)
            .gives::<InvitationView>(),
        Route::post("/swarm/revocations", revoke)
            .about(TAG, "Take an invitation back, or put a member out")
            .detail("For founders. It is in store and on its way to the others when this answers.")
            .takes::<NewRevocation>(r#"{"targets":["did:key:z6Mk…"]}"#)
            .gives::<Membership>(),
        Route::get("/network", network)
            .about(TAG, "How the node is reached, whom it keeps away, and its limits")
            .gives::<NetworkView>(),
        Route::post("/peers/bans", ban)
            .about(TAG, "Disconnect a peer and keep it away")
            .takes::<NewBan>(r#"{"peer":"12D3KooW…","seconds":3600}"#)
            .gives::<NetworkView>(),
        Route::delete("/peers/bans/{peer}", unban)
            .about(TAG, "Let a peer come back")
            .gives::<NetworkView>(),
    ]
}

async fn members(State(api): State<Api>) -> Result<Json<Membership>, Failure> {
    Ok(Json(api.node.membership().await?))
}

async fn invite(
    State(api): State<Api>,
    MaybeObject(request): MaybeObject<NewInvitation>,
) -> Result<Json<InvitationView>, Failure> {
    Ok(Json(api.node.invite(request).await?))
}

async fn revoke(
    State(api): State<Api>,
    JsonObject(request): JsonObject<NewRevocation>,
) -> Result<Json<Membership>, Failure> {
    Ok(Json(api.node.revoke(request).await?))
}

async fn network(State(api): State<Api>) -> Result<Json<NetworkView>, Failure> {
    Ok(Json(api.node.network().await?))
}

async fn ban(
    State(api): State<Api>,
    JsonObject(request): JsonObject<NewBan>,
) -> Result<Json<NetworkView>, Failure> {
    Ok(Json(api.node.ban(request).await?))
}

async fn unban(
    State(api): State<Api>,
    Segment(peer): Segment,
) -> Result<Json<NetworkView>, Failure> {
    Ok(Json(api.node.unban(&peer).await?))
}
