//! Says in the swarm's DHT where this node and its twins are, and looks up where others are.

use std::time::Duration;

use pagi_messages::{Did, SigningIdentity};
use pagi_swarm::{Swarm, SwarmError};
use pagi_twin::Mind;

/// How often it is said: records hold for a day, but whoever keeps them may go.
const AGAIN: Duration = Duration::from_secs(30 * 60);
/// How soon after a failure; a lone node has nobody to tell.
const SOON: Duration = Duration::from_secs(30);
/// Time for a search.
const SEARCH_TIME: Duration = Duration::from_secs(5);

/// Says it, again and again.
pub async fn announce(swarm: Swarm, node: SigningIdentity, mind: Mind) {
    loop {
        let mut identities = vec![node.clone()];
        for twin in mind.twins().unwrap_or_default() {
            match mind.keys().twin(&twin.twin_id) {
                Ok(identity) => identities.push(identity),
                Err(error) => tracing::warn!(twin = twin.twin_id, %error, "a twin without a key"),
            }
        }
        let mut pause = AGAIN;
        for identity in identities {
            match swarm.announce(&identity).await {
                Ok(()) => {}
                Err(SwarmError::Closed) => return,
                Err(error) => {
                    tracing::debug!(did = %identity.did(), %error, "whereabouts not announced");
                    pause = SOON;
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// The node where a DID is by its own word, connected with if that can be done.
pub async fn node_of(swarm: &Swarm, did: &Did) -> Option<Did> {
    let found = swarm.resolve(did, SEARCH_TIME).await.ok()??;
    let node = Did::from_peer_id(&found.peer_id).ok()?;
    for addr in &found.addrs {
        let addr = format!("{addr}/p2p/{}", found.peer_id);
        let dialled = tokio::time::timeout(SEARCH_TIME, swarm.dial(&addr)).await;
        if matches!(dialled, Ok(Ok(()))) {
            break;
        }
    }
    Some(node)
}
