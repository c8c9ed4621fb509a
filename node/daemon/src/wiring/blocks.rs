//! Blocks asked for twice: over bitswap, and by a private request to the nodes that may have them.
//!
//! A node that was restarted must be able to fetch what it missed, and bitswap alone does not give
//! that: rust-ipfs 0.16 never opens a second session with a peer that it knew before, because its
//! table of sessions keeps the key of an ended one. Bitswap gets a head start; then both ways run
//! together and the first answer counts.
//!
//! The request is [`WANT`] and the CID's bytes; the reply is the block, or nothing where the node
//! does not have it. Whoever is let into the swarm may ask. A gated swarm has no bitswap, which would
//! serve anyone; there the request is the only way.

use std::time::Duration;

use cid::Cid;
use futures::{
    StreamExt,
    future::{BoxFuture, select_ok},
    stream::FuturesUnordered,
};
use pagi_messages::content::cid_of;
use pagi_swarm::{InboundRequest, Swarm, SwarmError};

/// What a request for a block starts with.
const WANT: &[u8] = b"pagi-block/1\0";
/// Nodes asked at the same time.
const MAX_ASKED: usize = 16;
/// How long bitswap is tried alone.
const HEAD_START: Duration = Duration::from_millis(200);
/// Time between two rounds of asking: a node may connect, or get the block, meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

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
    // Bitswap looks here first, and then needs no head start.
    let over_bitswap = swarm.get_block(cid, providers, time);
    let by_request = async {
        if !swarm.is_gated() {
            tokio::time::sleep(HEAD_START).await;
        }
        let asked = tokio::time::timeout(time, ask(swarm, cid, providers, time));
        let block = asked.await.map_err(|_| SwarmError::Timeout)?;
        // Kept as bitswap would keep it, for the next node that asks.
        swarm.put_block(block.clone(), false).await?;
        Ok(block)
    };
    let both: [BoxFuture<'_, _>; 2] = [Box::pin(over_bitswap), Box::pin(by_request)];
    select_ok(both).await.map(|(block, _)| block)
}

/// Asks nodes until one has the block; pending for ever where none has.
async fn ask(swarm: &Swarm, cid: &Cid, providers: &[String], time: Duration) -> Vec<u8> {
    let request = [WANT, &cid.to_bytes()].concat();
    loop {
        let mut nodes = providers.to_vec();
        if let Ok(peers) = swarm.peers().await {
            let others = peers.into_iter().filter(|peer| peer.admitted);
            let others = others.map(|peer| peer.peer_id);
            nodes.extend(others.filter(|peer| !providers.contains(peer)));
        }
        nodes.truncate(MAX_ASKED);
        let mut replies: FuturesUnordered<_> = nodes
            .iter()
            .map(|node| swarm.request(node, request.clone(), time))
            .collect();
        while let Some(reply) = replies.next().await {
            match reply {
                Ok(block) if cid_of(&block) == *cid => return block,
                Ok(_) => {}
                Err(error) => tracing::debug!(%cid, %error, "a node was asked for a block in vain"),
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Answers a request for a block; gives back a request for anything else.
pub async fn answer(swarm: &Swarm, request: InboundRequest) -> Option<InboundRequest> {
    let Some(wanted) = request.data.strip_prefix(WANT) else {
        return Some(request);
    };
    let block = match Cid::try_from(wanted) {
        Ok(cid) if swarm.has_block(&cid).await.unwrap_or(false) => swarm
            .get_block(&cid, &[], Duration::from_secs(5))
            .await
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    request.reply.send(block);
    None
}
