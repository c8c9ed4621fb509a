//! What the handle asks of the behaviour, and doing it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cid::Cid;
use libp2p::kad::{QueryId, RecordKey};
use libp2p::request_response::InboundRequestId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, gossipsub};
use tokio::sync::{mpsc, oneshot};

use crate::admission::Banned;
use crate::behaviour::{Action, Answer, Dialling, NodeBehaviour};
use crate::bitswap::Fetched;
use crate::codec::Asked;
use crate::config::{PeerAddr, split_peer};
use crate::dialer::Dial;
use crate::error::SwarmError;
use crate::handle::Published;
use crate::inbound::Feedback;
use crate::names::{is_named, resolve};
use crate::pace::Id;
use crate::peers::{PeerInfo, usable};
use crate::reach::{ReachInfo, Scope, scope};
use crate::scoring;

/// How long it may take to listen on all interfaces.
const INTERFACES_TIME: Duration = Duration::from_millis(400);
/// Addresses handed out to be remembered.
const MAX_REMEMBERED: usize = 128;
/// How long the names of one peer may take.
const NAME_TIME: Duration = Duration::from_secs(10);
/// Pause before a message that met full queues is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// One thing to do, with where to report.
pub(crate) enum Command {
    /// Subscribe to a topic.
    Subscribe { topic: String, answer: Answer<()> },
    /// Ask a peer, dialling it if need be.
    Request {
        peer: PeerId,
        data: Vec<u8>,
        answer: Answer<Vec<u8>>,
    },
    /// Connect to an address, or to a peer at whatever address is known.
    Dial { addr: Multiaddr, answer: Answer<()> },
    /// List connected peers.
    Peers {
        answer: oneshot::Sender<Vec<PeerInfo>>,
    },
    /// Announce content in the DHT; answered when the announcement is out.
    Provide { key: RecordKey, answer: Answer<()> },
    /// Announce content in the public DHT, where the node is in it.
    ProvidePublicly { key: RecordKey },
    /// Put a record into the DHT; answered when others have it.
    PutRecord {
        key: RecordKey,
        value: Vec<u8>,
        answer: Answer<()>,
    },
    /// Look for records in the DHT, this node's own copy first; closed when the search is over.
    GetRecord {
        key: RecordKey,
        found: mpsc::Sender<Vec<u8>>,
    },
    /// Look for providers in the DHT; closed when the search is over.
    FindProviders {
        key: RecordKey,
        found: mpsc::Sender<PeerId>,
    },
    /// Keep connected with these peers from now on.
    Bootstrap { peers: Vec<PeerAddr> },
    /// Consider peers found on the local network.
    Met { peers: Vec<(PeerId, Multiaddr)> },
    /// Dial these peers, met in an earlier life, when there are no better ones.
    Remember { peers: Vec<PeerAddr> },
    /// List addresses worth remembering.
    Remembered {
        answer: oneshot::Sender<Vec<String>>,
    },
    /// Disconnect a peer and keep it away, for a while or for good.
    Ban {
        peer: PeerId,
        time: Option<Duration>,
    },
    /// Fetch a block, which the `named` peers are said to have, until `answer` is dropped.
    Fetch {
        cid: Cid,
        named: Vec<PeerId>,
        answer: oneshot::Sender<Fetched>,
    },
    /// Want a block no longer, where nobody waits for it.
    GivenUp { cid: Cid },
    /// Tell those who wait for a block that it is in the store.
    Stored { cid: Cid },
    /// Let a peer of a gated swarm in.
    Admit { peer: PeerId },
    /// Let a peer come back.
    Pardon { peer: PeerId },
    /// List the peers kept away.
    Banned {
        answer: oneshot::Sender<Vec<Banned>>,
    },
    /// Tell how this node can be reached.
    Reach { answer: oneshot::Sender<ReachInfo> },
}

/// A message to publish.
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) data: Vec<u8>,
    pub(crate) answer: Answer<Published>,
}

/// A message that met full queues everywhere.
pub(crate) struct Resend {
    pub(crate) id: gossipsub::MessageId,
    pub(crate) at: Instant,
    pub(crate) answer: Answer<Published>,
}

/// A DHT query under way.
pub(crate) enum Query {
    Provide(Answer<()>),
    Put(Answer<()>),
    Get(mpsc::Sender<Vec<u8>>),
    Find(mpsc::Sender<PeerId>),
}

impl NodeBehaviour {
    pub(crate) fn on_command(&mut self, command: Command) {
        match command {
            Command::Subscribe { topic, answer } => {
                let _ = answer.send(self.subscribe(topic));
            }
            Command::Fetch { cid, named, answer } => self.net.blocks.fetch(&cid, &named, answer),
            Command::GivenUp { cid } => self.net.blocks.given_up(&cid),
            Command::Stored { cid } => self.net.blocks.stored(&cid),
            Command::Request { peer, data, answer } => {
                self.counters.requests_out.add(1);
                let id = self.net.requests.send_request(&peer, Asked::Whole(data));
                self.requested.insert(id, answer);
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.asked = Some(Instant::now());
                }
            }
            Command::Dial { addr, answer } => self.dial_from(addr, answer, true),
            Command::Peers { answer } => {
                let _ = answer.send(self.peer_infos());
            }
            Command::Provide { key, answer } => match self.net.kad.start_providing(key) {
                Ok(id) => {
                    self.queries.insert(id, Query::Provide(answer));
                }
                Err(error) => {
                    let _ = answer.send(Err(SwarmError::store(error.to_string())));
                }
            },
            Command::ProvidePublicly { key } => self.provide_in_public(key),
            Command::PutRecord { key, value, answer } => self.put_record(key, value, answer),
            Command::GetRecord { key, found } => self.get_record(key, found),
            Command::FindProviders { key, found } => {
                self.find_in_public(key.clone(), found.clone());
                let id = self.net.kad.get_providers(key);
                self.queries.insert(id, Query::Find(found));
            }
            Command::Bootstrap { peers } => {
                let now = Instant::now();
                let start = match self.nat.reach.relay_client {
                    // Hole punching needs connections that leave from the port this node listens
                    // on, and interfaces are found one after another.
                    true => now + INTERFACES_TIME,
                    false => now,
                };
                for (peer, addr) in peers {
                    self.dialer.bootstrap(peer, addr, start);
                }
                self.dial_due(now);
            }
            Command::Met { peers } => {
                let now = Instant::now();
                for (peer, addr) in peers {
                    self.dialer.learn(peer, usable(&[addr], None), now);
                }
                self.dial_due(now);
            }
            Command::Remember { peers } => {
                let now = Instant::now();
                for (peer, addr) in peers {
                    self.dialer.remember(peer, addr, now);
                }
                self.dial_due(now);
            }
            Command::Remembered { answer } => {
                let _ = answer.send(self.remembered());
            }
            Command::Admit { peer } => self.admit(peer),
            Command::Ban { peer, time } => {
                self.gate.expel(&peer);
                self.net.kad.expel(&peer);
                self.net.blocks.expel(&peer);
                self.admission.ban(peer, time, Instant::now());
                self.count_banned();
                self.actions.push_back(Action::Disconnect(peer));
            }
            Command::Pardon { peer } => {
                self.admission.pardon(&peer);
                self.count_banned();
            }
            Command::Banned { answer } => {
                let _ = answer.send(self.admission.banned(Instant::now()));
            }
            Command::Reach { answer } => {
                let _ = answer.send(self.reach_info());
            }
        }
    }

    /// Treats a peer as one of the swarm from now on.
    fn admit(&mut self, id: PeerId) {
        if !self.gate.admit(id) {
            return;
        }
        self.net.kad.admit(id);
        self.net.blocks.admit(id);
        self.net.gossip.set_application_score(&id, 0.0);
        if let Some(peer) = self.peers.get(&id)
            && self.names.serves_dht(&peer.protocols)
        {
            for addr in &peer.listen_addrs {
                self.net.kad.add_address(&id, addr.clone());
            }
            let _ = self.net.kad.bootstrap();
        }
    }

    fn subscribe(&mut self, topic: String) -> Result<(), SwarmError> {
        let failed = |reason: String| SwarmError::Subscribe {
            topic: topic.clone(),
            reason,
        };
        let ident = gossipsub::IdentTopic::new(topic.clone());
        self.net
            .gossip
            .subscribe(&ident)
            .map_err(|e| failed(e.to_string()))?;
        self.topics.add(ident.hash());
        self.net
            .gossip
            .set_topic_params(ident, scoring::topic())
            .map_err(|e| failed(e.to_string()))
    }

    /// Publishes one message; the pace has been found right.
    pub(crate) fn publish(&mut self, publish: Publish) {
        let Publish {
            topic,
            data,
            answer,
        } = publish;
        if answer.is_closed() {
            return; // the caller gave up while waiting
        }
        let bytes = data.len();
        let hash = gossipsub::IdentTopic::new(topic).hash();
        let key = crate::protocol::message_id(hash.as_str(), &self.local.to_bytes(), &data);
        if self.seen.contains(&key) {
            let _ = answer.send(Ok(Published::Duplicate));
            return;
        }
        let id = gossipsub::MessageId::from(key.to_vec());
        let result = match self.net.gossip.publish(hash.clone(), data) {
            Ok(id) => {
                self.published(&hash, &id, bytes);
                Ok(Published::Sent)
            }
            Err(gossipsub::PublishError::Duplicate) => Ok(Published::Duplicate),
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Ok(Published::NoPeers),
            Err(gossipsub::PublishError::AllQueuesFull(_)) => {
                // gossipsub remembers the message as published, so publishing it once more would
                // be refused as a duplicate; it is kept and forwarded a little later instead.
                self.published(&hash, &id, bytes);
                let at = Instant::now() + RESEND_AFTER;
                return self.resend.push_back(Resend { id, at, answer });
            }
            Err(gossipsub::PublishError::MessageTooLarge) => Err(SwarmError::TooLarge {
                size: bytes,
                limit: self.limits.max_gossip_bytes,
            }),
            Err(error) => Err(SwarmError::Publish(error.to_string())),
        };
        let _ = answer.send(result);
    }

    /// Counts a published message and, when it is a mark, asks its receivers about it.
    fn published(&mut self, topic: &gossipsub::TopicHash, id: &gossipsub::MessageId, bytes: usize) {
        self.counters.published.add(1);
        if let Ok(key) = Id::try_from(&id.0[..]) {
            self.seen.insert(&key, Instant::now());
        }
        if !self.pacer.published(bytes) {
            return;
        }
        let now = Instant::now();
        let receivers: Vec<PeerId> = self
            .net
            .gossip
            .all_peers()
            .filter(|(peer, topics)| topics.contains(&topic) && self.gate.is_in(peer))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in receivers {
            if self.pacer.mark(peer, now) {
                let question = self
                    .net
                    .pace
                    .send_request(&peer, Asked::Whole(id.0.clone()));
                self.asked.insert(question, peer);
            }
        }
    }

    /// Sends messages again that met full queues, once their pause is over.
    pub(crate) fn resend_due(&mut self, now: Instant) {
        while self.resend.front().is_some_and(|resend| resend.at <= now) {
            if let Some(Resend { id, answer, .. }) = self.resend.pop_front() {
                self.counters.publish_retries.add(1);
                let accept = gossipsub::MessageAcceptance::Accept;
                self.net
                    .gossip
                    .report_message_validation_result(&id, &self.local, accept);
                let _ = answer.send(Ok(Published::Sent));
            }
        }
    }

    /// Dials an address; with `own_port` from the port this node listens on, where it can.
    pub(crate) fn dial_from(&mut self, addr: Multiaddr, answer: Answer<()>, own_port: bool) {
        let target = addr.clone();
        let (addr, peer) = split_peer(addr);
        if let Some(peer) = peer {
            self.public.wants(peer, Instant::now());
        }
        let opts = match peer {
            Some(peer) if self.is_connected(&peer) => {
                self.called(peer);
                let _ = answer.send(Ok(()));
                return;
            }
            Some(peer) => {
                let mut opts = DialOpts::peer_id(peer).condition(PeerCondition::Disconnected);
                if !own_port {
                    opts = opts.allocate_new_port();
                }
                match addr.is_empty() {
                    true => opts.build(),
                    false => opts
                        .addresses(vec![addr])
                        .extend_addresses_through_behaviour()
                        .build(),
                }
            }
            None => {
                let opts = DialOpts::unknown_peer_id().address(addr);
                match own_port {
                    true => opts.build(),
                    false => opts.allocate_new_port().build(),
                }
            }
        };
        self.dialling.insert(
            opts.connection_id(),
            Dialling {
                peer,
                target,
                answer,
                own_port,
            },
        );
        self.actions.push_back(Action::Dial(opts));
    }

    fn is_connected(&self, peer: &PeerId) -> bool {
        let peer = self.peers.get(peer);
        peer.is_some_and(|peer| peer.alive().next().is_some())
    }

    /// Dials what the dialer chose.
    pub(crate) fn dial_due(&mut self, now: Instant) {
        for (peer, addrs) in self.dialer.due(now) as Vec<Dial> {
            if self.admission.is_banned(&peer, now) {
                continue;
            }
            let (names, numbers): (Vec<_>, Vec<_>) = addrs.into_iter().partition(is_named);
            if names.is_empty() {
                self.dial_peer(peer, numbers);
            } else {
                self.resolve_names(peer, names);
            }
        }
    }

    fn dial_peer(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addrs)
            .build();
        self.actions.push_back(Action::Dial(opts));
    }

    /// Asks beside the network task what the names in a peer's addresses stand for.
    fn resolve_names(&self, peer: PeerId, names: Vec<Multiaddr>) {
        let resolver = Arc::clone(&self.resolver);
        let resolved = self.resolved_sender.clone();
        // What a stranger says of itself is no way to make this node dial itself.
        let trusted = self.dialer.is_bootstrap(&peer);
        tokio::spawn(async move {
            let mut found = Vec::new();
            let asking = async {
                for name in names {
                    for addr in resolve(resolver.as_ref(), &name).await {
                        let addr = split_peer(addr).0;
                        if (trusted || scope(&addr) != Scope::Machine) && !found.contains(&addr) {
                            found.push(addr);
                        }
                    }
                }
            };
            let _ = tokio::time::timeout(NAME_TIME, asking).await;
            let _ = resolved.send((peer, found)).await;
        });
    }

    /// Dials a peer whose names were resolved.
    pub(crate) fn name_resolved(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) {
        let now = Instant::now();
        self.dialer.resolved(peer, addrs);
        let addrs = self.dialer.addrs(&peer);
        if addrs.is_empty() {
            tracing::info!(%peer, "the host name of a peer was not resolved; trying again later");
            self.dialer.failed(peer, now);
        } else if !self.is_connected(&peer) && !self.admission.is_banned(&peer, now) {
            self.dial_peer(peer, addrs);
        }
    }

    /// Addresses worth remembering: those this node reached, then those peers that came by
    /// themselves say they can be reached at.
    fn remembered(&self) -> Vec<String> {
        let reached = self.dialer.remembered();
        // A peer that is here says now where it listens; where it was reached once may be gone.
        let claimed = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.member)
            .flat_map(|(id, peer)| peer.listen_addrs.iter().map(|addr| (*id, addr.clone())));
        let mut seen = HashSet::new();
        reached
            .into_iter()
            .chain(claimed)
            .filter(|known| seen.insert(known.clone()))
            .take(MAX_REMEMBERED)
            .filter_map(|(peer, addr)| addr.with_p2p(peer).ok())
            .map(|addr| addr.to_string())
            .collect()
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let gossip = &self.net.gossip;
        let in_mesh: Vec<&PeerId> = gossip.all_mesh_peers().collect();
        let graylist = scoring::thresholds().graylist_threshold;
        let mut infos: Vec<PeerInfo> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.alive().next().is_some())
            .map(|(id, peer)| {
                let score = gossip.peer_score(id);
                PeerInfo {
                    score,
                    in_mesh: in_mesh.contains(&id),
                    admitted: self.gate.is_in(id),
                    graylisted: score.is_some_and(|score| score < graylist),
                    limited: self.limiter.offences(id),
                    ..peer.info(id)
                }
            })
            .collect();
        infos.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        infos
    }

    pub(crate) fn on_feedback(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::Verdict {
                id,
                forwarder,
                author,
                bytes,
                acceptance,
            } => {
                if let Some(author) = author {
                    self.shares.give_back(&author);
                    self.confirm(&author);
                }
                self.inbound_bytes = self.inbound_bytes.saturating_sub(bytes);
                match acceptance {
                    gossipsub::MessageAcceptance::Accept => {
                        self.counters.accepted.add(1);
                        if let Ok(key) = Id::try_from(&id.0[..]) {
                            self.seen.insert(&key, Instant::now());
                        }
                    }
                    gossipsub::MessageAcceptance::Reject => self.counters.rejected.add(1),
                    gossipsub::MessageAcceptance::Ignore => self.counters.ignored.add(1),
                }
                self.net
                    .gossip
                    .report_message_validation_result(&id, &forwarder, acceptance);
            }
            Feedback::Reply {
                channel,
                id,
                data,
                bytes,
            } => {
                self.request_bytes = self.request_bytes.saturating_sub(bytes);
                let Some(channel) = channel else {
                    return;
                };
                if data.len() > self.limits.max_request_bytes {
                    tracing::warn!(bytes = data.len(), "reply is too large and is not sent");
                } else if self.reply_bytes + data.len() > self.limits.max_pending_request_bytes {
                    tracing::debug!("a reply is not sent: too many wait to be read");
                    self.counters.replies_dropped.add(1);
                } else {
                    let bytes = data.len();
                    self.reply_bytes += bytes;
                    self.replying.insert(id, bytes);
                    if self.net.requests.send_response(channel, data).is_err() {
                        tracing::debug!("a reply came too late: the request is closed");
                        self.replied(&id);
                    }
                }
            }
        }
    }

    /// A reply is sent, or never will be.
    pub(crate) fn replied(&mut self, id: &InboundRequestId) {
        if let Some(bytes) = self.replying.remove(id) {
            self.reply_bytes = self.reply_bytes.saturating_sub(bytes);
        }
    }

    /// Stops DHT searches nobody waits for.
    pub(crate) fn drop_idle_queries(&mut self) {
        let idle: Vec<QueryId> = self
            .queries
            .iter()
            .filter(|(_, query)| match query {
                Query::Find(found) => found.is_closed(),
                Query::Get(found) => found.is_closed(),
                Query::Provide(_) | Query::Put(_) => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.queries.remove(&id);
            if let Some(mut query) = self.net.kad.query_mut(&id) {
                query.finish();
            }
        }
    }
}
