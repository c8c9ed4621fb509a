//! Asking a neighbour who else is there; what is asked and answered is the hive's, see
//! `pagi_hive::roll`.
//!
//! The request is [`ROLL`] alone, the reply what [`Hive::roll`] gives.

use std::time::{Duration, Instant};

use pagi_hive::Hive;
use pagi_swarm::{InboundRequest, Swarm};

use super::gate::Gate;

/// What a request for the roll is.
const ROLL: &[u8] = b"pagi-roll/1\0";
/// How long a neighbour may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Neighbours asked within [`WINDOW`] at the most: often many turn up at once, and they know the same.
const ASKED: usize = 3;
/// See [`ASKED`].
const WINDOW: Duration = Duration::from_secs(5);

/// Asks neighbours that turn up, not too many of them.
#[derive(Default)]
pub struct Asking {
    asked: Vec<Instant>,
}

impl Asking {
    /// Asks `peer`, unless enough others were asked just now.
    pub fn peer_listens(&mut self, swarm: &Swarm, hive: &Hive, gate: &Gate, peer: String) {
        let now = Instant::now();
        self.asked
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        if self.asked.len() >= ASKED {
            return;
        }
        self.asked.push(now);
        let (swarm, hive, gate) = (swarm.clone(), hive.clone(), gate.clone());
        tokio::spawn(async move {
            let reply = match swarm.request(&peer, ROLL.to_vec(), ANSWER_TIME).await {
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
        });
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
