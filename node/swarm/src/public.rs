//! The public IPFS DHT, for a node whose user joined it: where content is looked for beyond the swarm,
//! where the user's own content can be found, and where nodes of a swarm meet that know no address of
//! each other (a provider record under the swarm's name).
//!
//! The node asks and never serves: it keeps no records of strangers and answers no queries. What it
//! learns there does not mix with the swarm's own DHT; peers met there are plain IPFS nodes to it, and
//! all but a few of them are parted with again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{GetProvidersOk, QueryId, QueryResult, RecordKey};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{PeerId, StreamProtocol, kad};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::behaviour::{Action, NodeBehaviour};

/// What the public DHT is called.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// Contents announced at the most.
const MAX_PROVIDED: usize = 4096;
/// Pause between two looks for others of the swarm; shorter while there is nobody.
const LOOK: Duration = Duration::from_secs(300);
const LOOK_ALONE: Duration = Duration::from_secs(20);
/// Connections with peers that are not of the swarm, beyond which the oldest are closed.
const STRANGERS: usize = 48;
/// A connection younger than this is not closed for that.
const YOUNG: Duration = Duration::from_secs(30);
/// How long a peer that was dialled for its content is spared.
const SPARED: Duration = Duration::from_secs(600);
/// Peers of a swarm dialled after one look.
const MAX_MET: usize = 16;

/// A query of the public DHT under way.
pub(crate) enum Asking {
    /// Who has this content.
    Find(mpsc::Sender<PeerId>),
    /// Who else is of this swarm; with how many were dialled.
    Meet(usize),
}

/// What goes on in the public DHT.
pub(crate) struct Public {
    pub(crate) asking: HashMap<QueryId, Asking>,
    meeting: RecordKey,
    met_at: Option<Instant>,
    announced: bool,
    wanted: HashMap<PeerId, Instant>,
}

impl Public {
    pub(crate) fn new(swarm: &str) -> Self {
        Public {
            asking: HashMap::new(),
            meeting: meeting_point(swarm),
            met_at: None,
            announced: false,
            wanted: HashMap::new(),
        }
    }

    /// Notes that a peer is dialled for its own sake.
    pub(crate) fn wants(&mut self, peer: PeerId, now: Instant) {
        self.wanted
            .retain(|_, at| now.saturating_duration_since(*at) < SPARED);
        self.wanted.insert(peer, now);
    }
}

/// The key under which nodes of a swarm announce themselves: the SHA-256 multihash of a text with its
/// name, so that it looks like any content.
fn meeting_point(swarm: &str) -> RecordKey {
    let digest = Sha256::digest(format!("pagi/rendezvous/1\0{swarm}"));
    let mut multihash = vec![0x12, 0x20];
    multihash.extend(digest);
    RecordKey::from(multihash)
}

/// The protocol. It gets to know the peers to start from when the dialer has reached them.
pub(crate) fn behaviour(local: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(PROTOCOL);
    config
        .set_query_timeout(Duration::from_secs(60))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(600)));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: MAX_PROVIDED,
        ..Default::default()
    };
    let store = MemoryStore::with_config(local, store);
    let mut kad = kad::Behaviour::with_config(local, store, config);
    kad.set_mode(Some(kad::Mode::Client));
    kad
}

impl NodeBehaviour {
    pub(crate) fn on_public(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed {
            id, result, step, ..
        } = event
        else {
            return;
        };
        if let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) =
            result
        {
            let others = providers.into_iter().filter(|peer| *peer != self.local);
            self.found_in_public(id, others.collect());
        }
        if step.last {
            self.public.asking.remove(&id);
        }
    }

    fn found_in_public(&mut self, id: QueryId, found: Vec<PeerId>) {
        match self.public.asking.get_mut(&id) {
            Some(Asking::Find(sender)) => {
                for peer in found {
                    let _ = sender.try_send(peer);
                }
            }
            Some(Asking::Meet(dialled)) => {
                let left = MAX_MET.saturating_sub(*dialled);
                let new = found
                    .into_iter()
                    .filter(|peer| !self.peers.contains_key(peer));
                let new: Vec<PeerId> = new.take(left).collect();
                *dialled += new.len();
                for peer in new {
                    tracing::debug!(%peer, "a node of this swarm is in the public DHT");
                    // The addresses are those the DHT just told.
                    let opts = DialOpts::peer_id(peer)
                        .condition(PeerCondition::DisconnectedAndNotDialing)
                        .build();
                    self.actions.push_back(Action::Dial(opts));
                }
            }
            None => {}
        }
    }

    /// Looks for content in the public DHT as well.
    pub(crate) fn find_in_public(&mut self, key: RecordKey, found: mpsc::Sender<PeerId>) {
        if let Some(kad) = self.net.public.as_mut() {
            let id = kad.get_providers(key);
            self.public.asking.insert(id, Asking::Find(found));
        }
    }

    /// Announces content in the public DHT, where the node is in it. Repeated twice a day.
    pub(crate) fn provide_in_public(&mut self, key: RecordKey) {
        if let Some(kad) = self.net.public.as_mut()
            && let Err(error) = kad.start_providing(key)
        {
            tracing::debug!(%error, "content is not announced in the public DHT");
        }
    }

    /// Meets others of the swarm, stops searches nobody waits for, and parts with strangers.
    pub(crate) fn public_tick(&mut self, now: Instant) {
        let Some(kad) = self.net.public.as_mut() else {
            return;
        };
        let idle = |asking: &Asking| matches!(asking, Asking::Find(found) if found.is_closed());
        let over: Vec<QueryId> = self
            .public
            .asking
            .iter()
            .filter(|(_, asking)| idle(asking))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.public.asking.remove(&id);
            if let Some(mut query) = kad.query_mut(&id) {
                query.finish();
            }
        }
        let members = self.peers.values().filter(|peer| peer.member).count();
        let pause = if members == 0 { LOOK_ALONE } else { LOOK };
        let due = self
            .public
            .met_at
            .is_none_or(|at| now.saturating_duration_since(at) >= pause);
        let meeting = || {
            self.public
                .asking
                .values()
                .any(|asking| matches!(asking, Asking::Meet(_)))
        };
        // Without anybody in the routing table a look finds nothing and an announcement goes nowhere.
        let anybody = kad.kbuckets().any(|bucket| !bucket.is_empty());
        if due && anybody && !meeting() {
            self.public.met_at = Some(now);
            if !self.public.announced {
                let announced = kad.start_providing(self.public.meeting.clone());
                self.public.announced = announced.is_ok();
            }
            if members < self.limits.target_peers {
                let id = kad.get_providers(self.public.meeting.clone());
                self.public.asking.insert(id, Asking::Meet(0));
            }
        }
        self.part_with_strangers(now);
    }

    fn part_with_strangers(&mut self, now: Instant) {
        let mut strangers: Vec<(Instant, PeerId)> = self
            .peers
            .iter()
            .filter(|(id, peer)| {
                !peer.member
                    && !self.dialer.is_bootstrap(id)
                    && !self.public.wanted.contains_key(id)
            })
            .filter_map(|(id, peer)| Some((peer.connections.values().map(|l| l.since).min()?, *id)))
            .collect();
        let excess = strangers.len().saturating_sub(STRANGERS);
        strangers.sort();
        for (since, id) in strangers.into_iter().take(excess) {
            if now.saturating_duration_since(since) >= YOUNG {
                self.actions.push_back(Action::Disconnect(id));
            }
        }
    }

    /// Peers in the routing table of the public DHT; `None` for a node that is not in it.
    pub(crate) fn public_peers(&mut self) -> Option<usize> {
        let kad = self.net.public.as_mut()?;
        Some(kad.kbuckets().map(|bucket| bucket.num_entries()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarms_meet_at_points_of_their_own() {
        let key = meeting_point("pagi");
        assert_eq!(key, meeting_point("pagi"));
        assert_ne!(key, meeting_point("pag"));
        let bytes = key.to_vec();
        assert_eq!((bytes[0], bytes[1], bytes.len()), (0x12, 32, 34));
    }
}
