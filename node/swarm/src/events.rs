//! What happens in the network, and what the behaviour does about it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Instant;

use libp2p::kad::store::RecordStore;
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{
    ConnectionClosed, ConnectionId, DialError, DialFailure, FromSwarm, ListenFailure,
};
use libp2p::{PeerId, gossipsub, identify, ping, request_response};

use crate::behaviour::{Action, Dialling, NetEvent, NodeBehaviour};
use crate::bitswap;
use crate::codec::Asked;
use crate::config::split_peer;
use crate::error::SwarmError;
use crate::gate::STRANGER;
use crate::inbound::{GossipMessage, InboundRequest, PeerEvent, Reply, Verdict};
use crate::memory::resident_bytes;
use crate::pace::Id;
use crate::peers::{Link, usable};
use crate::reach::ip;
use crate::scoring;
use crate::trim::{self, Tie};

/// What a request longer than allowed says about the peer that made it, in messages too many.
const TOO_LONG: u32 = 50;
/// What one says that does not arrive, or whose reply is not read; that also happens to the honest.
const SLOW: u32 = 10;

/// What bitswap that is none, or blocks without end that nobody asked for, say.
const NO_BLOCKS: u32 = 50;

type Exchange = request_response::Event<Asked, Vec<u8>>;

impl NodeBehaviour {
    pub(crate) fn on_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Blocks(event) => self.on_blocks(event),
            NetEvent::Gossip(event) => self.on_gossip(event),
            NetEvent::Requests(event) => self.on_request(event),
            NetEvent::Pace(event) => self.on_pace(event),
            NetEvent::Kad(event) => self.on_kad(event),
            NetEvent::Public(event) => self.on_public(event),
            NetEvent::Identify(event) => self.on_identify(event),
            NetEvent::Ping(event) => self.on_ping(event),
            NetEvent::Relay(event) => self.on_relay(event),
            NetEvent::Dcutr(event) => self.on_dcutr(event),
            NetEvent::Autonat(event) => self.on_autonat(event),
            NetEvent::Upnp(event) => self.on_upnp(event),
        }
    }

    /// Twice a second: dials, resends, and forgetting what nobody waits for.
    pub(crate) fn on_tick(&mut self, now: Instant) {
        self.dial_due(now);
        self.resend_due(now);
        self.arrivals.expire(now);
        self.drop_idle_queries();
        self.admission.expire(now);
        self.limiter.sweep(now);
        self.seen.turn(now);
        self.forget_records(now);
        self.public_tick(now);
        for (peer, excess) in self.net.gossip.excess() {
            self.counters.gossip_limited.add(excess.into());
            if !self.spared(&peer) {
                self.limiter.fault(peer, excess, now);
            }
        }
        for (peer, score) in self.limiter.scores(now) {
            if !self.gate.is_in(&peer) {
                continue;
            }
            self.net.gossip.set_application_score(&peer, score);
        }
        self.part_with_offenders(now);
        if let Some(limit) = self.limits.max_memory_bytes {
            self.memory_short = resident_bytes().is_some_and(|bytes| bytes > limit);
        }
        self.nat_tick(now);
        self.part_with_idle(now);
        self.count_held();
    }

    /// What is held for others.
    fn count_held(&mut self) {
        let records = self.net.kad.store_mut().records().count();
        let held = &self.counters;
        held.dht_records.set(records as u64);
        let provided = self.provided.len();
        held.dht_provided.set(provided as u64);
        held.inbound_bytes.set(self.inbound_bytes as u64);
        let bytes = self.request_bytes + self.reply_bytes;
        held.request_bytes.set(bytes as u64);
        held.requests_open.set(self.replying.len() as u64);
    }

    // ---- connections ----

    pub(crate) fn connection_changed(&mut self, event: FromSwarm) {
        self.addresses_changed(&event);
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                self.peers
                    .entry(peer_id)
                    .or_default()
                    .connections
                    .insert(connection_id, Link::new(endpoint, Instant::now()));
                if !self.gate.is_in(&peer_id) {
                    self.net.gossip.set_application_score(&peer_id, STRANGER);
                }
                self.dialer.connected(peer_id);
                self.dialled(connection_id, peer_id);
                self.prove(peer_id);
                self.count_connections();
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                remaining_established,
                ..
            }) => {
                self.admission.leaves(&connection_id);
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.connections.remove(&connection_id);
                }
                if remaining_established == 0 {
                    self.peer_gone(peer_id);
                }
                self.count_connections();
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.admission.leaves(&connection_id);
            }
            FromSwarm::DialFailure(DialFailure {
                peer_id,
                error,
                connection_id,
            }) => {
                self.dial_failed(peer_id, connection_id, error);
            }
            _ => {}
        }
    }

    fn dialled(&mut self, connection: ConnectionId, peer: PeerId) {
        let done: Vec<ConnectionId> = self
            .dialling
            .iter()
            .filter(|(id, dialling)| **id == connection || dialling.peer == Some(peer))
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            if let Some(Dialling { answer, .. }) = self.dialling.remove(&id) {
                self.called(peer);
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// Notes that the application wants to be connected with a peer.
    pub(crate) fn called(&mut self, peer: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.called = true;
        }
    }

    fn dial_failed(&mut self, peer: Option<PeerId>, connection: ConnectionId, error: &DialError) {
        let needless = matches!(error, DialError::DialPeerConditionFalse(_));
        // A connected peer may be dialled at other addresses, to test them or for a better way.
        let lost = |peer: &PeerId| !self.peers.contains_key(peer);
        if let Some(peer) = peer.filter(|peer| !needless && lost(peer)) {
            self.dialer.failed(peer, Instant::now());
        }
        if let Some(Dialling {
            peer,
            target,
            answer,
            own_port,
        }) = self.dialling.remove(&connection)
        {
            if own_port && is_port_taken(error) {
                self.dial_from(target, answer, false);
                return;
            }
            let connected = peer.is_some_and(|peer| self.peers.contains_key(&peer));
            let _ = answer.send(match connected {
                true => Ok(()),
                false => Err(SwarmError::Unreachable {
                    peer: target.to_string(),
                    reason: error.to_string(),
                }),
            });
        }
    }

    fn peer_gone(&mut self, peer: PeerId) {
        self.dialer.disconnected(peer, Instant::now());
        self.pacer.forget(&peer);
        self.gone_for_reach(&peer);
        if let Some(gone) = self.peers.remove(&peer).filter(|gone| gone.member) {
            let peer_id = peer.to_string();
            self.tell(match gone.parted {
                true => PeerEvent::Parted { peer_id },
                false => PeerEvent::Disconnected { peer_id },
            });
        }
        self.count_members();
    }

    /// Notes an address at which a member of this swarm was reached.
    fn prove(&mut self, peer: PeerId) {
        let member = self.peers.get(&peer).filter(|peer| peer.member);
        if let Some(addr) = member.and_then(|peer| peer.proven()) {
            let addr = split_peer(addr.clone()).0;
            self.dialer.proved(peer, addr, Instant::now());
        }
    }

    /// A peer with none but dead connections is gone, though closing them may take a while.
    fn connection_dead(&mut self, id: PeerId, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if let Some(link) = peer.connections.get_mut(&connection) {
            link.dead = Some(Instant::now());
        }
        if peer.alive().next().is_none() && std::mem::replace(&mut peer.member, false) {
            self.pacer.forget(&id);
            self.gone_for_reach(&id);
            self.tell(PeerEvent::Disconnected {
                peer_id: id.to_string(),
            });
        }
        self.count_members();
        self.count_connections();
    }

    /// Gives up connections this node has too many of.
    fn part_with_idle(&mut self, now: Instant) {
        let busy = |id: &PeerId| {
            let requests = &self.net.requests;
            let mut asked = self.requested.keys();
            asked.any(|request| requests.is_pending_outbound(id, request))
                || self.serving.values().any(|peer| peer == id)
                || self.net.blocks.is_busy(id)
        };
        let meshed: HashSet<&PeerId> = self.net.gossip.all_mesh_peers().collect();
        let ties = self.peers.iter().filter_map(|(id, peer)| {
            Some(Tie {
                peer: *id,
                dialled: peer.is_dialled(),
                needed: peer.called
                    || peer.parted
                    || !peer.member
                    || peer.is_relayed()
                    || self.dialer.is_bootstrap(id)
                    || self.nat.relies_on(id)
                    || busy(id),
                in_mesh: meshed.contains(id),
                used: peer.used()?,
            })
        });
        for id in trim::surplus(ties, self.limits.target_peers, now) {
            tracing::debug!(peer = %id, "parting with a peer: there are enough");
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.parted = true;
            }
            self.counters.parted.add(1);
            self.actions.push_back(Action::Disconnect(id));
        }
    }

    /// Bans the connected peers whose score is hopeless, for a while.
    fn part_with_offenders(&mut self, now: Instant) {
        let graylist = scoring::thresholds().graylist_threshold;
        let gossip = &self.net.gossip;
        let bad = |peer: &PeerId| {
            let score = gossip.peer_score(peer);
            score.is_some_and(|score| score < graylist) || self.limiter.hopeless(peer)
        };
        let offenders: Vec<PeerId> = self
            .peers
            .keys()
            // A stranger's score is low for being one. It is the application that sends it away.
            .filter(|peer| self.gate.is_in(peer) && bad(peer))
            .copied()
            .collect();
        for id in offenders {
            self.part_with(id, now);
        }
        self.count_banned();
    }

    /// Disconnects a peer for its misconduct and bans it for a while.
    fn part_with(&mut self, id: PeerId, now: Instant) {
        if self.admission.is_banned(&id, now) {
            return;
        }
        let links = self.peers.get(&id).map(|peer| &peer.connections);
        // Behind a relay is not where the relay is.
        let ips: Vec<IpAddr> = links
            .into_iter()
            .flat_map(|links| links.values())
            .filter(|link| !link.relayed)
            .filter_map(|link| ip(&link.addr))
            .collect();
        let (time, kept_out) = self.admission.ban_offender(id, ips.iter().copied(), now);
        let seconds = time.as_secs();
        let (score, offences) = (self.net.gossip.peer_score(&id), self.limiter.offences(&id));
        tracing::warn!(
            peer = %id, seconds, ?ips, kept_out, score, offences,
            "peer banned for misconduct"
        );
        self.counters.bans.add(1);
        self.actions.push_back(Action::Disconnect(id));
        self.tell(PeerEvent::Banned {
            peer_id: id.to_string(),
            seconds,
        });
    }

    fn on_blocks(&mut self, event: bitswap::Event) {
        match event {
            bitswap::Event::WantsTooMuch { peer, wants } => self.wants_too_much(peer, wants),
            bitswap::Event::Misbehaved { peer } => {
                if !self.spared(&peer) {
                    self.limiter.fault(peer, NO_BLOCKS, Instant::now());
                }
            }
        }
    }

    /// Parts with a peer whose wantlist is longer than one may be. One of this machine may come back at
    /// once.
    fn wants_too_much(&mut self, peer: PeerId, wants: usize) {
        self.counters.wants_cut.add(1);
        tracing::warn!(%peer, wants, "a peer wants too many blocks at once");
        if self.spared(&peer) {
            self.actions.push_back(Action::Disconnect(peer));
        } else if self.peers.contains_key(&peer) {
            self.part_with(peer, Instant::now());
            self.count_banned();
        }
    }

    pub(crate) fn count_banned(&self) {
        let (peers, ips) = self.admission.counts(Instant::now());
        self.counters.banned.set(peers as u64);
        self.counters.banned_ips.set(ips as u64);
    }

    fn count_connections(&mut self) {
        let links = || self.peers.values().flat_map(|peer| peer.alive());
        self.counters.connections.set(links().count() as u64);
        let relayed = links().filter(|link| link.relayed).count();
        self.counters.relayed.set(relayed as u64);
        let spare = self.limits.spare_loopback;
        self.far_peers = self.peers.values().any(|peer| !(spare && peer.is_local()));
    }

    /// Whether a peer is not held to any rate.
    pub(crate) fn spared(&self, peer: &PeerId) -> bool {
        self.limits.spare_loopback && self.peers.get(peer).is_some_and(|peer| peer.is_local())
    }

    fn count_members(&self) {
        let members = self.peers.values().filter(|peer| peer.member).count();
        self.counters.connected.set(members as u64);
    }

    fn tell(&mut self, event: PeerEvent) {
        if let Err(event) = self.peers_out.push(event) {
            self.counters.inbound_dropped.add(1);
            tracing::debug!(?event, "peer event dropped: nobody reads them");
        }
    }

    // ---- who is there ----

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            peer_id,
            connection_id,
            info,
        } = event
        else {
            return;
        };
        let now = Instant::now();
        if self.names.is_foreign(&info.protocol_version) {
            tracing::info!(%peer_id, theirs = info.protocol_version, "peer is of another swarm");
            self.dialer.quarantine(peer_id, now);
            self.actions.push_back(Action::Disconnect(peer_id));
            return;
        }
        let member = info.protocol_version == self.names.identify;
        let Some(peer) = self.peers.get_mut(&peer_id) else {
            return;
        };
        let link = peer.connections.get(&connection_id);
        let addrs = usable(&info.listen_addrs, link.map(|link| &link.addr));
        peer.identified(&info, addrs.clone());
        if !member {
            return; // a plain IPFS node: blocks only
        }
        let new = !std::mem::replace(&mut peer.member, true);
        // A node that cannot be reached does not offer to answer.
        if info.protocols.contains(&self.names.kad) && self.gate.is_in(&peer_id) {
            for addr in &addrs {
                self.net.kad.add_address(&peer_id, addr.clone());
            }
        } else {
            self.net.kad.remove_peer(&peer_id);
        }
        self.dialer.learn(peer_id, addrs.clone(), now);
        self.dialer.connected(peer_id);
        self.dialer.settled(peer_id);
        self.prove(peer_id);
        self.consider_for_reach(peer_id, &info, now);
        if new {
            self.count_members();
            if self.counters.connected.get() == 1 {
                // The first peer: ask it right away who else is there.
                let _ = self.net.kad.bootstrap();
            }
            self.tell(PeerEvent::Connected {
                peer_id: peer_id.to_string(),
                addrs: addrs.iter().map(ToString::to_string).collect(),
                agent: info.agent_version.chars().take(128).collect(),
            });
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(rtt) => {
                if let Some(peer) = self.peers.get_mut(&event.peer) {
                    peer.rtt_ms = Some(rtt.as_secs_f64() * 1000.0);
                }
            }
            Err(failure) if is_dead(&failure) => {
                tracing::info!(peer = %event.peer, %failure, "connection is dead: closing it");
                self.actions
                    .push_back(Action::Close(event.peer, event.connection));
                self.connection_dead(event.peer, event.connection);
            }
            Err(_) => {}
        }
    }

    // ---- gossip ----

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.on_message(propagation_source, message_id, message);
            }
            // What this node does not listen to is nothing to tell: names are made up in no time.
            gossipsub::Event::Subscribed { topic, .. } if !self.topics.has(&topic) => {}
            gossipsub::Event::Subscribed { peer_id, topic } => {
                let topic = topic.into_string();
                self.tell(PeerEvent::Subscribed {
                    peer_id: peer_id.to_string(),
                    topic,
                });
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                let (own, others) = (failed_messages.publish, failed_messages.forward);
                tracing::warn!(%peer_id, own, others, "send queue full: messages dropped");
                self.counters.publish_dropped.add(own as u64);
                self.counters.forward_dropped.add(others as u64);
            }
            _ => {}
        }
    }

    fn on_message(&mut self, from: PeerId, id: gossipsub::MessageId, message: gossipsub::Message) {
        self.counters.received.add(1);
        if !self.gate.is_in(&from) {
            return self.message_dropped(Verdict::new(self.feedback_sender.clone(), id, from, 0));
        }
        let topic = message.topic.as_str();
        let author = message.source.unwrap_or(from);
        let peers = self.counters.connected.get() as usize;
        // Looked up before anything is counted as its author's: what is said again says nothing of the
        // author, who would otherwise be silenced by whoever repeats it.
        let replayed = author == self.local
            || Id::try_from(&id.0[..]).is_ok_and(|key| self.seen.contains(&key));
        let now = Instant::now();
        let taken = self.spared(&from)
            || match replayed {
                true => self.limiter.repeated(from, topic, now),
                false => self.limiter.message(from, author, topic, peers, now),
            };
        if !taken {
            self.counters.gossip_limited.add(1);
            return self.message_dropped(Verdict::new(self.feedback_sender.clone(), id, from, 0));
        }
        if replayed {
            self.counters.replayed.add(1);
            let verdict = Verdict::new(self.feedback_sender.clone(), id, from, 0);
            self.message_arrived(verdict.key());
            return verdict.ignore();
        }
        let bytes = message.data.len();
        let author = message
            .source
            .filter(|_| bytes <= self.limits.max_gossip_bytes);
        let verdict = Verdict::new(self.feedback_sender.clone(), id, from, bytes);
        self.inbound_bytes += bytes;
        let Some(author) = author else {
            return verdict.reject();
        };
        let full = self.inbound_bytes > self.limits.max_inbound_bytes;
        if full || !self.shares.take(author) {
            return self.message_dropped(verdict);
        }
        let verdict = verdict.of(author);
        let message = GossipMessage {
            topic: message.topic.into_string(),
            forwarder: from.to_string(),
            author_peer: author.to_string(),
            data: message.data,
            verdict,
        };
        if let Err(message) = self.gossip_out.push(message) {
            self.message_dropped(message.verdict);
        }
    }

    fn message_dropped(&mut self, verdict: Verdict) {
        self.counters.inbound_dropped.add(1);
        self.message_arrived(verdict.key());
        verdict.ignore();
    }

    /// A message went to the application. Its author hears that it arrived once no more than half of
    /// what may wait does: so one that listens is never so far ahead that something is dropped.
    pub(crate) fn handed_out(&mut self, id: Id, author: Option<PeerId>) {
        match author.filter(|author| self.shares.is_far_ahead(author)) {
            Some(author) => self.unconfirmed.entry(author).or_default().push_back(id),
            None => self.message_arrived(id),
        }
    }

    /// A message of this author was judged: what was held back may be confirmed.
    pub(crate) fn confirm(&mut self, author: &PeerId) {
        if !self.shares.is_far_ahead(author)
            && let Some(ids) = self.unconfirmed.remove(author)
        {
            for id in ids {
                self.message_arrived(id);
            }
        }
    }

    /// Answers publishers who wait for this message to arrive here.
    pub(crate) fn message_arrived(&mut self, id: Id) {
        for answer in self.arrivals.arrived(id) {
            let _ = self.net.pace.send_response(answer, Vec::new());
        }
    }

    fn on_pace(&mut self, event: Exchange) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request, channel, ..
                } => {
                    let Some(request) = self.whole(peer, request) else {
                        return;
                    };
                    let Ok(id) = Id::try_from(request) else {
                        return;
                    };
                    if let Some(answer) = self.arrivals.asked(id, Instant::now(), channel) {
                        let _ = self.net.pace.send_response(answer, Vec::new());
                    }
                }
                request_response::Message::Response { request_id, .. } => {
                    if let Some(peer) = self.asked.remove(&request_id) {
                        self.pacer.answered(&peer);
                    }
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some(peer) = self.asked.remove(&request_id) {
                    tracing::debug!(%peer, %error, "peer does not confirm messages");
                    self.pacer.failed(&peer, Instant::now());
                }
            }
            _ => {}
        }
    }

    // ---- requests ----

    fn on_request(&mut self, event: Exchange) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request,
                    channel,
                    request_id,
                } => {
                    let Some(request) = self.whole(peer, request) else {
                        return;
                    };
                    self.counters.requests_in.add(1);
                    let bytes = request.len();
                    let full = self.request_bytes + bytes > self.limits.max_pending_request_bytes;
                    let spared = self.spared(&peer);
                    if full || !(spared || self.limiter.request(peer, Instant::now())) {
                        tracing::debug!(%peer, "a request was not taken: too many");
                        self.counters.requests_limited.add(1);
                        return;
                    }
                    self.request_bytes += bytes;
                    self.serving.insert(request_id, peer);
                    if let Some(peer) = self.peers.get_mut(&peer) {
                        peer.asked = Some(Instant::now());
                    }
                    let reply =
                        Reply::new(self.feedback_sender.clone(), channel, request_id, bytes);
                    let peer_id = peer.to_string();
                    let request = InboundRequest {
                        peer_id,
                        data: request,
                        reply,
                    };
                    if self.requests_out.push(request).is_err() {
                        self.counters.inbound_dropped.add(1);
                    }
                }
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    if let Some(answer) = self.requested.remove(&request_id) {
                        let _ = answer.send(Ok(response));
                    }
                }
            },
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                if let Some(answer) = self.requested.remove(&request_id) {
                    let _ = answer.send(Err(request_error(peer, error)));
                }
            }
            request_response::Event::ResponseSent { request_id, .. } => {
                self.serving.remove(&request_id);
                self.replied(&request_id);
            }
            request_response::Event::InboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.serving.remove(&request_id);
                self.replied(&request_id);
                // Only replies fail here: see [`Asked`] for requests.
                if let request_response::InboundFailure::Io(error) = &error
                    && error.kind() == std::io::ErrorKind::TimedOut
                {
                    self.bad_request(peer, SLOW, "a reply is not read");
                }
            }
        }
    }

    /// The request, unless it is none.
    fn whole(&mut self, peer: PeerId, asked: Asked) -> Option<Vec<u8>> {
        match asked {
            Asked::Whole(request) => return Some(request),
            Asked::TooLong => self.bad_request(peer, TOO_LONG, "a request is too long"),
            Asked::Late => self.bad_request(peer, SLOW, "a request does not arrive"),
        }
        None
    }

    fn bad_request(&mut self, peer: PeerId, weight: u32, what: &str) {
        tracing::debug!(%peer, what, "a bad request");
        self.counters.requests_bad.add(1);
        if !self.spared(&peer) {
            self.limiter.fault(peer, weight, Instant::now());
        }
    }
}

/// Whether a dial failed because a connection from the port this node listens on to the same address
/// is not quite gone. The transports wrap the system's error too deep to get at it.
fn is_port_taken(error: &DialError) -> bool {
    error.to_string().contains("Address already in use")
}

/// Whether a failed ping says that nobody is at the other end. The protocol keeps the first failure
/// to itself, and after it opens a new stream; so a connection that went dead is reported as one
/// where a stream could not be opened, not as one where an answer was late.
fn is_dead(failure: &ping::Failure) -> bool {
    match failure {
        ping::Failure::Timeout | ping::Failure::Other { .. } => true,
        ping::Failure::Unsupported => false,
    }
}

fn request_error(peer: PeerId, error: request_response::OutboundFailure) -> SwarmError {
    use request_response::OutboundFailure;
    let reason = error.to_string();
    let peer = peer.to_string();
    match error {
        OutboundFailure::DialFailure => SwarmError::Unreachable { peer, reason },
        OutboundFailure::Timeout => SwarmError::Timeout,
        OutboundFailure::UnsupportedProtocols => SwarmError::Unsupported { peer },
        OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => {
            SwarmError::NoReply { peer, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_connection_is_told_from_a_peer_that_does_not_ping() {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert!(is_dead(&ping::Failure::Other {
            error: Box::new(late)
        }));
        assert!(is_dead(&ping::Failure::Timeout));
        assert!(!is_dead(&ping::Failure::Unsupported));
    }
}
