//! Watches how many blocks each peer wants over bitswap.
//!
//! rust-ipfs keeps every want of a peer until it is taken back or the peer goes, however many there
//! are, and says nothing of what comes in. So the lists are looked at from outside, and a peer whose
//! list is too long is parted with, which frees it. Between two looks a list can grow by what the
//! network task takes in meanwhile; the looks wait in the same queue.

use std::sync::Weak;
use std::time::Duration;

use libp2p::PeerId;

use crate::commands::Command;
use crate::handle::Shared;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Lists looked at in one look; with more peers, those whose turn it is.
const AT_ONCE: usize = 32;

/// Looks after the wantlists until the node stops.
pub(crate) async fn watch(shared: Weak<Shared>) {
    let mut after: Option<PeerId> = None;
    let mut tick = tokio::time::interval(PAUSE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        // Held for one look only: clones keep the block store open.
        let Some(ipfs) = shared.ipfs.read().await.clone() else {
            return;
        };
        let limit = shared.limits.max_wants_per_peer;
        let Ok(mut peers) = ipfs.get_bitswap_peers().await else {
            return;
        };
        peers.sort();
        let mut total = 0;
        for peer in turn(&peers, after) {
            let Ok(list) = ipfs.bitswap_wantlist(peer).await else {
                return;
            };
            total += list.len();
            if list.len() > limit {
                let wants = list.len();
                let told = Command::WantsTooMuch { peer, wants };
                if shared.commands.send(told).await.is_err() {
                    return;
                }
            }
            after = Some(peer);
        }
        shared.counters.wants.set(total as u64);
    }
}

/// Those of the sorted `peers` whose turn it is, beginning behind `after`.
fn turn(peers: &[PeerId], after: Option<PeerId>) -> Vec<PeerId> {
    let start = after.map_or(0, |after| peers.partition_point(|peer| *peer <= after));
    let (before, behind) = peers.split_at(start);
    behind.iter().chain(before).take(AT_ONCE).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_gets_its_turn() {
        let mut peers: Vec<PeerId> = (0..100).map(|_| PeerId::random()).collect();
        peers.sort();
        let (mut seen, mut after) = (std::collections::HashSet::new(), None);
        for _ in 0..peers.len().div_ceil(AT_ONCE) {
            let now = turn(&peers, after);
            assert_eq!(now.len(), AT_ONCE);
            after = now.last().copied();
            seen.extend(now);
        }
        assert_eq!(seen.len(), peers.len());
        assert_eq!(turn(&peers[..3], peers.last().copied()), peers[..3]);
        assert!(turn(&[], after).is_empty());
    }
}
