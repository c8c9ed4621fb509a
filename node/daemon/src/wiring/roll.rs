//! Asking neighbours who else is there; what is asked and answered is the hive's, see
//! `pagi_hive::roll`.
//!
//! The request is [`ROLL`] alone, the reply what [`Hive::roll`] gives.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use pagi_hive::Hive;
use pagi_swarm::{InboundRequest, Swarm};
use tokio::task::JoinHandle;

use super::gate::Gate;

/// What a request for the roll is.
const ROLL: &[u8] = b"pagi-roll/1\0";
/// How long a neighbour may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// One neighbour is asked at once, and others after these pauses: when many nodes start together,
/// the first knows little more itself.
const AGAIN: [Duration; 3] = [
    Duration::from_secs(4),
    Duration::from_secs(12),
    Duration::from_secs(40),
];

/// Asks neighbours, one at a time, whenever somebody turns up that nobody had told of.
pub fn spawn(swarm: Swarm, hive: Hive, gate: Gate) -> JoinHandle<()> {
    tokio::spawn(async move {
        let chance = RandomState::new();
        let mut round = 0_u64;
        loop {
            hive.roll_wanted().await;
            for pause in [Duration::ZERO].into_iter().chain(AGAIN) {
                tokio::time::sleep(pause).await;
                let Ok(mut peers) = swarm.peers().await else {
                    return;
                };
                peers.retain(|peer| gate.has_peer(&peer.peer_id));
                round += 1;
                let count = u64::try_from(peers.len()).unwrap_or(u64::MAX);
                let place = chance.hash_one(round).checked_rem(count);
                let place = place.and_then(|place| usize::try_from(place).ok());
                if let Some(peer) = place.and_then(|place| peers.get(place)) {
                    ask(&swarm, &hive, &gate, &peer.peer_id).await;
                }
            }
        }
    })
}

async fn ask(swarm: &Swarm, hive: &Hive, gate: &Gate, peer: &str) {
    let reply = match swarm.request(peer, ROLL.to_vec(), ANSWER_TIME).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::debug!(peer, %error, "a neighbour did not tell who is there");
            return;
        }
    };
    match hive.take_roll(&reply, |did| gate.has(did)).await {
        Ok(new) => tracing::debug!(peer, new, "a neighbour told who is there"),
        Err(error) => tracing::warn!(%error, "a roll was not taken in"),
    }
}

/// Answers a request for the roll; gives back a request for anything else.
pub fn answer(hive: &Hive, request: InboundRequest) -> Option<InboundRequest> {
    if request.data != ROLL {
        return Some(request);
    }
    request.reply.send(hive.roll());
    None
}
