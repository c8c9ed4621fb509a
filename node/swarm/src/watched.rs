//! gossipsub behind two doors of our own.
//!
//! What a peer sends that is not a valid message of a topic this node listens to never reaches
//! `limiter.rs`: gossipsub drops it, but only after work, and it keeps messages of unknown topics for
//! a while. So [`Watched`] counts what a peer sends before gossipsub looks at it and throws the
//! excess away, and [`Known`] turns messages of unknown topics away before they are kept.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::gossipsub::{
    self, DataTransform, MaxCountSubscriptionFilter, RawMessage, TopicHash, TopicSubscriptionFilter,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::config::Rate;
use crate::limiter::Bucket;
use crate::stats::Counters;

/// gossipsub that takes messages of known topics only, and keeps few topics of each peer.
pub(crate) type Gossip = gossipsub::Behaviour<Known, MaxCountSubscriptionFilter<Short>>;

/// Longest topic a peer may name, in bytes.
const MAX_TOPIC_BYTES: usize = 192;
/// Topics of one peer that are kept, and those it may name at once. What goes beyond is ignored.
const MAX_TOPICS: usize = 64;
const MAX_TOPICS_AT_ONCE: usize = 256;

/// Lets a peer subscribe to whatever it likes, but not by names of any length.
#[derive(Clone, Default)]
pub(crate) struct Short;

impl TopicSubscriptionFilter for Short {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        topic.as_str().len() <= MAX_TOPIC_BYTES
    }
}

/// See [`Short`].
pub(crate) fn subscriptions() -> MaxCountSubscriptionFilter<Short> {
    MaxCountSubscriptionFilter {
        filter: Short,
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: MAX_TOPICS_AT_ONCE,
    }
}

/// The topics this node listens to. Clones share them. gossipsub asks it to unpack each copy of a
/// message before it looks whether it knows the message, so copies are counted here.
#[derive(Clone)]
pub(crate) struct Known {
    topics: Arc<RwLock<HashSet<TopicHash>>>,
    counters: Arc<Counters>,
}

impl Known {
    /// No topics yet; copies are counted in `counters`.
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Known {
            topics: Arc::default(),
            counters,
        }
    }

    /// Adds a topic.
    pub(crate) fn add(&self, topic: TopicHash) {
        let mut known = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic);
    }
}

impl Known {
    /// Whether this node listens to a topic.
    pub(crate) fn has(&self, topic: &TopicHash) -> bool {
        let known = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        known.contains(topic)
    }
}

impl DataTransform for Known {
    fn inbound_transform(&self, raw: RawMessage) -> Result<gossipsub::Message, io::Error> {
        self.counters.gossip_copies.add(1);
        let known = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&raw.topic) {
            return Err(io::Error::other("not a topic of this node"));
        }
        Ok(gossipsub::Message {
            source: raw.source,
            data: raw.data,
            sequence_number: raw.sequence_number,
            topic: raw.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}

/// See the module documentation.
pub(crate) struct Watched {
    inner: Gossip,
    rate: Option<Rate>,
    counts: HashMap<PeerId, Count>,
}

struct Count {
    bucket: Bucket,
    excess: u32,
}

impl Watched {
    /// Takes so many packets from a peer; `None` for any number.
    pub(crate) fn new(inner: Gossip, rate: Option<Rate>) -> Self {
        Watched {
            inner,
            rate,
            counts: HashMap::new(),
        }
    }

    /// The peers that sent more than they may since the last call, and by how much.
    pub(crate) fn excess(&mut self) -> Vec<(PeerId, u32)> {
        self.counts
            .iter_mut()
            .filter(|(_, count)| count.excess > 0)
            .map(|(peer, count)| (*peer, std::mem::take(&mut count.excess)))
            .collect()
    }

    /// Counts something a peer sent; false when it is too much.
    fn take(&mut self, peer: PeerId, now: Instant) -> bool {
        let Some(rate) = self.rate else {
            return true;
        };
        let count = self.counts.entry(peer).or_insert_with(|| Count {
            bucket: Bucket::new(rate, now),
            excess: 0,
        });
        let within = count.bucket.take(rate, now);
        if !within {
            count.excess = count.excess.saturating_add(1);
        }
        within
    }
}

impl Deref for Watched {
    type Target = Gossip;

    fn deref(&self) -> &Gossip {
        &self.inner
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Gossip {
        &mut self.inner
    }
}

impl NetworkBehaviour for Watched {
    type ConnectionHandler = <Gossip as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(connection, peer, addr, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::ConnectionClosed(closed) = &event
            && closed.remaining_established == 0
        {
            // A count that could be washed clean by reconnecting would be none: what is too much
            // has been reported twice a second, and bans outlive connections.
            self.counts.remove(&closed.peer_id);
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.take(peer, Instant::now()) {
            self.inner
                .on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
