//! Blocks asked for twice: over bitswap, and by a private request to the nodes that may have them.
//!
//! Bitswap gets a head start; then both ways run together and the first answer counts. The request
//! reaches nodes by name, over connections made for it, and in a gated swarm also where one side has
//! not let the other in yet and its bitswap is deaf.
//!
//! The request is one of [`block_request`]. Whoever is let into the swarm may ask.

use std::time::Duration;

use cid::Cid;
use futures::{
    StreamExt,
    future::{BoxFuture, select_ok},
    stream::FuturesUnordered,
};
use pagi_messages::block_request;
use pagi_swarm::{InboundRequest, Swarm, SwarmError};

/// Nodes asked at the same time.
const MAX_ASKED: usize = 16;
/// How long bitswap is tried alone.
pub const HEAD_START: Duration = Duration::from_millis(200);
/// Time between two rounds of asking: a node may connect, or get the block, meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// A block, and the node that gave it where one was asked.
pub struct Asked {
    pub block: Vec<u8>,
    pub by: Option<String>,
}

/// Fetches a block: from here, over bitswap, or from `providers` and the connected nodes.
///
/// # Errors
/// [`SwarmError::Timeout`] when nobody delivered it in time, and as [`Swarm::get_block`].
pub async fn fetch(
    swarm: &Swarm,
    cid: &Cid,
    providers: &[String],
    time: Duration,
) -> Result<Vec<u8>, SwarmError> {
    let asked = fetch_asking(swarm, cid, providers, None, HEAD_START, time).await?;
    Ok(asked.block)
}

/// As [`fetch`], with another head start for bitswap. `first` is asked alone before the others are,
/// since each that has a block sends it.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_asking(
    swarm: &Swarm,
    cid: &Cid,
    providers: &[String],
    first: Option<String>,
    head_start: Duration,
    time: Duration,
) -> Result<Asked, SwarmError> {
    // Bitswap looks here first, and then needs no head start.
    let over_bitswap = async {
        let block = swarm.get_block(cid, providers, time).await?;
        Ok(Asked { block, by: None })
    };
    let by_request = async {
        tokio::time::sleep(head_start).await;
        let asked = tokio::time::timeout(time, ask(swarm, cid, providers, first, time));
        asked.await.map_err(|_| SwarmError::Timeout)
    };
    let both: [BoxFuture<'_, _>; 2] = [Box::pin(over_bitswap), Box::pin(by_request)];
    select_ok(both).await.map(|(asked, _)| asked)
}

/// Asks nodes until one has the block; pending for ever where none has.
async fn ask(
    swarm: &Swarm,
    cid: &Cid,
    providers: &[String],
    first: Option<String>,
    time: Duration,
) -> Asked {
    if let Some(node) = first {
        let alone = tokio::time::timeout(AGAIN, ask_one(swarm, cid, node, time));
        if let Ok(Some(asked)) = alone.await {
            return asked;
        }
    }
    loop {
        let mut nodes = providers.to_vec();
        if let Ok(peers) = swarm.peers().await {
            let others = peers.into_iter().filter(|peer| peer.admitted);
            let others = others.map(|peer| peer.peer_id);
            nodes.extend(others.filter(|peer| !providers.contains(peer)));
        }
        nodes.truncate(MAX_ASKED);
        let mut replies: FuturesUnordered<_> = nodes
            .into_iter()
            .map(|node| ask_one(swarm, cid, node, time))
            .collect();
        while let Some(reply) = replies.next().await {
            if let Some(asked) = reply {
                return asked;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks one node; what it sends is checked, and kept as bitswap would keep it, for the next node
/// that asks.
async fn ask_one(swarm: &Swarm, cid: &Cid, node: String, time: Duration) -> Option<Asked> {
    let request = block_request::encode(cid);
    match swarm.request(&node, request, time).await {
        Ok(block) if block.is_empty() => None,
        Ok(block) => match swarm.keep_block(cid, block.clone()).await {
            Ok(()) => Some(Asked {
                block,
                by: Some(node),
            }),
            Err(error) => {
                tracing::debug!(%cid, node, %error, "a node sent a block that is none");
                None
            }
        },
        Err(error) => {
            tracing::debug!(%cid, node, %error, "a node was asked for a block in vain");
            None
        }
    }
}

/// Answers a request for a block; gives back a request for anything else.
pub async fn answer(swarm: &Swarm, request: InboundRequest) -> Option<InboundRequest> {
    let Some(wanted) = block_request::decode(&request.data) else {
        return Some(request);
    };
    let block = match wanted {
        Some(cid) => swarm
            .local_block(&cid)
            .await
            .ok()
            .flatten()
            .unwrap_or_default(),
        None => Vec::new(),
    };
    request.reply.send(block);
    None
}
