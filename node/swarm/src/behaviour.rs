//! The libp2p behaviour that rust-ipfs carries for us.
//!
//! [`NodeBehaviour`] wraps the protocols in [`Net`] and is their only user: it polls them, reacts
//! to their events (`events.rs`) and to what the handle asks for (`commands.rs`), and never
//! generates an event itself, as rust-ipfs requires. It runs inside rust-ipfs's swarm task and
//! owns all its state; the rest of the crate reaches it through channels only.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::{
    InboundRequestId, OutboundRequestId, ProtocolSupport, ResponseChannel,
};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, ListenOpts, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{
    Multiaddr, PeerId, autonat, dcutr, gossipsub, identify, kad, ping, relay, request_response,
    upnp,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use crate::admission::Admission;
use crate::bitswap;
use crate::codec::{BytesCodec, Intake};
use crate::commands::{Command, Publish, Query, Resend};
use crate::config::{Rate, SwarmLimits};
use crate::dialer::{Dial, Dialer};
use crate::error::SwarmError;
use crate::gate::Gate;
use crate::inbound::{Feedback, GossipMessage, Inbound, InboundRequest, Outbox, PeerEvent};
use crate::limiter::{Bucket, Limiter};
use crate::members::MembersOnly;
use crate::names::Resolver;
use crate::nat::{Nat, autonat_config, relay_config};
use crate::pace::{ANSWER_TIME, Arrivals, Id, Pacer, SEND_QUEUE};
use crate::peers::Peer;
use crate::protocol::{MESSAGE_ID_BYTES, Names, message_id};
use crate::public::{self, Public};
use crate::quota::Quota;
use crate::reach::{Reach, ip};
use crate::scoring;
use crate::seen::Seen;
use crate::shares::Shares;
use crate::sole::Sole;
use crate::stats::Counters;
use crate::watched::{Gossip, Known, Watched, subscriptions};
use crate::whereabouts;

/// Longest a request may take, whatever its caller says.
pub(crate) const MAX_REQUEST_TIME: Duration = Duration::from_secs(120);
/// Longest a request may take to arrive, or a reply to be read by the one who asked.
const TRANSFER_TIME: Duration = Duration::from_secs(30);
/// Questions about messages under way with one peer; no more are ever open at once.
const MAX_QUESTIONS: usize = 128;
/// Pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Messages signed and queued before other work gets its turn.
const PUBLISH_BATCH: usize = 16;
/// Things handed to or taken from the application before the network gets its turn.
const APPLICATION_BATCH: usize = 8;
/// Peer events waiting for the application.
const PEER_EVENTS: usize = 1024;
/// Peers whose names were resolved, waiting to be dialled.
const RESOLVED: usize = 64;
/// Gossip bytes that are not payload: signature, author, topic, framing.
const GOSSIP_OVERHEAD: usize = 4 * 1024;

/// The protocols; all but bitswap are libp2p's own.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Net {
    /// Exchanges blocks.
    pub(crate) blocks: bitswap::Behaviour,
    /// Requests between applications.
    pub(crate) requests: request_response::Behaviour<BytesCodec>,
    /// Questions whether a published message has arrived.
    pub(crate) pace: request_response::Behaviour<BytesCodec>,
    /// The swarm's DHT: finds peers and providers of content.
    pub(crate) kad: MembersOnly<kad::Behaviour<MemoryStore>>,
    /// The public IPFS DHT, where the user joined it.
    pub(crate) public: Toggle<kad::Behaviour<MemoryStore>>,
    /// Who a connected peer is, which swarm it belongs to and where it listens.
    pub(crate) identify: identify::Behaviour,
    /// Finds dead connections.
    pub(crate) ping: ping::Behaviour,
    /// Relays for others.
    pub(crate) relay: Toggle<Sole<relay::Behaviour>>,
    /// Turns relayed connections into direct ones. The relay client itself is rust-ipfs's.
    pub(crate) dcutr: Toggle<dcutr::Behaviour>,
    /// Tests whether nodes can be dialled.
    pub(crate) autonat: Toggle<autonat::Behaviour>,
    /// Asks the router to forward ports.
    pub(crate) upnp: Toggle<upnp::tokio::Behaviour>,
    /// Publish and subscribe; messages are forwarded only after the application's verdict. The last of
    /// them: see [`NodeBehaviour::poll_net`].
    pub(crate) gossip: Watched,
}

/// What the behaviour asks of the swarm on its own account.
#[derive(Debug)]
pub(crate) enum Action {
    Dial(DialOpts),
    Disconnect(PeerId),
    Close(PeerId, ConnectionId),
    Listen(ListenOpts),
    StopListening(ListenerId),
    Confirm(Multiaddr),
    Expire(Multiaddr),
}

impl Action {
    fn into_command<E, T>(self) -> ToSwarm<E, T> {
        match self {
            Action::Dial(opts) => ToSwarm::Dial { opts },
            Action::Disconnect(peer_id) => ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::All,
            },
            Action::Close(peer_id, connection) => ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            },
            Action::Listen(opts) => ToSwarm::ListenOn { opts },
            Action::StopListening(id) => ToSwarm::RemoveListener { id },
            Action::Confirm(addr) => ToSwarm::ExternalAddrConfirmed(addr),
            Action::Expire(addr) => ToSwarm::ExternalAddrExpired(addr),
        }
    }
}

/// Where the answer to something the handle asked for goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, SwarmError>>;

/// A dial the handle waits for.
pub(crate) struct Dialling {
    pub(crate) peer: Option<PeerId>,
    pub(crate) target: Multiaddr,
    pub(crate) answer: Answer<()>,
    /// Whether it leaves from the port this node listens on.
    pub(crate) own_port: bool,
}

/// A peer that is not to be connected with.
#[derive(Debug, thiserror::Error)]
#[error("peer is blocked")]
struct Blocked;

/// A peer whose old connections are not closed yet.
#[derive(Debug, thiserror::Error)]
#[error("a dead connection with the peer is still being closed")]
struct Closing;

/// A connection that is refused whoever it is.
#[derive(Debug, thiserror::Error)]
enum Full {
    #[error("too many connections from one address")]
    Address,
    #[error("too little memory left")]
    Memory,
}

/// What the behaviour is made from.
pub(crate) struct Setup {
    pub(crate) names: Names,
    pub(crate) limits: SwarmLimits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) reach: Reach,
    pub(crate) announce: Vec<Multiaddr>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) gated: bool,
    /// Where the blocks are.
    pub(crate) blocks_dir: PathBuf,
    /// The swarm's name, where the node is in the public DHT.
    pub(crate) public: Option<String>,
}

/// The handle's ends of the behaviour's channels.
pub(crate) struct Ends {
    pub(crate) publishes: mpsc::Sender<Publish>,
    pub(crate) inbound: Inbound,
}

/// See the module documentation.
pub(crate) struct NodeBehaviour {
    pub(crate) net: Net,
    /// The topics listened to.
    pub(crate) topics: Known,
    pub(crate) local: PeerId,
    pub(crate) names: Names,
    pub(crate) limits: SwarmLimits,
    pub(crate) counters: Arc<Counters>,

    // From the handle.
    commands: mpsc::Receiver<Command>,
    publishes: mpsc::Receiver<Publish>,
    feedback: mpsc::UnboundedReceiver<Feedback>,
    pub(crate) feedback_sender: mpsc::UnboundedSender<Feedback>,

    // To the application.
    pub(crate) gossip_out: Outbox<GossipMessage>,
    pub(crate) requests_out: Outbox<InboundRequest>,
    pub(crate) peers_out: Outbox<PeerEvent>,
    /// Bytes of gossip handed out and not yet judged.
    pub(crate) inbound_bytes: usize,
    /// Messages handed out and not yet judged, and whose they are.
    pub(crate) shares: Shares<PeerId>,
    /// Messages handed out whose arrival is not confirmed yet, because their author has many that wait.
    pub(crate) unconfirmed: HashMap<PeerId, VecDeque<Id>>,
    /// Bytes of requests handed out and not yet answered.
    pub(crate) request_bytes: usize,
    /// Who asked what is not answered yet.
    pub(crate) serving: HashMap<InboundRequestId, PeerId>,
    /// Replies that are not sent yet, in bytes, one by one and together.
    pub(crate) replying: HashMap<InboundRequestId, usize>,
    pub(crate) reply_bytes: usize,
    /// Messages taken in before.
    pub(crate) seen: Seen,
    /// Whose announcements of content are kept in the DHT.
    pub(crate) provided: Quota,

    /// What goes on in the public DHT.
    pub(crate) public: Public,

    // What is going on.
    pub(crate) peers: HashMap<PeerId, Peer>,
    pub(crate) admission: Admission<ConnectionId>,
    pub(crate) gate: Gate,
    pub(crate) limiter: Limiter<PeerId>,
    /// Own messages, held to the rate others take.
    own_rate: Option<(Rate, Bucket)>,
    /// Whether a peer is connected that holds us to that rate.
    pub(crate) far_peers: bool,
    /// Whether the process uses more memory than it should.
    pub(crate) memory_short: bool,
    pub(crate) nat: Nat,
    pub(crate) dialer: Dialer,
    pub(crate) resolver: Arc<dyn Resolver>,
    /// Peers whose host names were resolved, with what they stand for.
    resolved: mpsc::Receiver<Dial>,
    pub(crate) resolved_sender: mpsc::Sender<Dial>,
    pub(crate) dialling: HashMap<ConnectionId, Dialling>,
    pub(crate) requested: HashMap<OutboundRequestId, Answer<Vec<u8>>>,
    pub(crate) queries: HashMap<kad::QueryId, Query>,
    pub(crate) pacer: Pacer<PeerId>,
    pub(crate) asked: HashMap<OutboundRequestId, PeerId>,
    pub(crate) arrivals: Arrivals<ResponseChannel<Vec<u8>>>,
    pub(crate) resend: VecDeque<Resend>,
    pub(crate) actions: VecDeque<Action>,
    /// Whose turn it is.
    gossip_first: bool,
    tick: Interval,
}

impl NodeBehaviour {
    /// Builds the behaviour; must run inside a tokio runtime.
    pub(crate) fn new(keypair: &Keypair, setup: Setup) -> io::Result<(Self, Ends)> {
        let Setup {
            names,
            limits,
            counters,
            commands,
            reach,
            announce,
            resolver,
            gated,
            blocks_dir,
            public,
        } = setup;
        let local = keypair.public().to_peer_id();
        let topics = Known::new(Arc::clone(&counters));
        let blocks = bitswap::Behaviour::new(
            blocks_dir,
            limits.max_wants_per_peer,
            gated,
            Arc::clone(&counters),
        );
        let known = topics.clone();
        let mut net = Net::new(keypair, &names, &limits, &reach, gated, known, blocks)?;
        if public.is_some() {
            net.public = Some(public::behaviour(local)).into();
        }
        let now = Instant::now();
        let own_rate = limits.gossip_rate.map(below);
        let own_rate = own_rate.map(|rate| (rate, Bucket::new(rate, now)));
        let admission = Admission::new(limits.max_connections_per_ip, limits.spare_loopback);
        let limiter = Limiter::new(limits.gossip_rate, limits.request_rate);
        let window = Duration::from_secs(limits.seen_seconds.into());
        let seen = Seen::new(window, limits.seen_messages, now);
        let shares = Shares::new(limits.inbound_queue, limits.max_waiting_per_author);
        let provided = Quota::new(limits.max_dht_provided);
        let (publishes_sender, publishes) = mpsc::channel(limits.publish_queue);
        let (feedback_sender, feedback) = mpsc::unbounded_channel();
        let (gossip_out, gossip) = Outbox::new(limits.inbound_queue);
        let (requests_out, requests) = Outbox::new(limits.inbound_queue);
        let (peers_out, peers) = Outbox::new(PEER_EVENTS);
        let dialer = Dialer::new(local, limits.target_peers);
        let (resolved_sender, resolved) = mpsc::channel(RESOLVED);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let behaviour = NodeBehaviour {
            net,
            topics,
            local,
            names,
            limits,
            counters,
            commands,
            publishes,
            feedback,
            feedback_sender,
            gossip_out,
            requests_out,
            peers_out,
            inbound_bytes: 0,
            shares,
            unconfirmed: HashMap::new(),
            request_bytes: 0,
            serving: HashMap::new(),
            replying: HashMap::new(),
            reply_bytes: 0,
            seen,
            provided,
            public: Public::new(&public.unwrap_or_default()),
            peers: HashMap::new(),
            admission,
            gate: Gate::new(gated),
            limiter,
            own_rate,
            far_peers: false,
            memory_short: false,
            nat: Nat::new(reach, announce),
            dialer,
            resolver,
            resolved,
            resolved_sender,
            dialling: HashMap::new(),
            requested: HashMap::new(),
            queries: HashMap::new(),
            pacer: Pacer::new(),
            asked: HashMap::new(),
            arrivals: Arrivals::new(),
            resend: VecDeque::new(),
            actions: VecDeque::new(),
            gossip_first: false,
            tick,
        };
        let inbound = Inbound {
            gossip,
            requests,
            peers,
        };
        Ok((
            behaviour,
            Ends {
                publishes: publishes_sender,
                inbound,
            },
        ))
    }
}

impl Net {
    fn new(
        keypair: &Keypair,
        names: &Names,
        limits: &SwarmLimits,
        reach: &Reach,
        gated: bool,
        known: Known,
        blocks: bitswap::Behaviour,
    ) -> io::Result<Self> {
        let local = keypair.public().to_peer_id();
        let intake = Intake::new(limits.max_pending_request_bytes, Some(TRANSFER_TIME));
        let exchange = |protocol: &libp2p::StreamProtocol, max, streams, time: Duration| {
            let config = request_response::Config::default()
                .with_request_timeout(time)
                .with_max_concurrent_streams(streams);
            let protocols = [(protocol.clone(), ProtocolSupport::Full)];
            let intake = intake.clone();
            request_response::Behaviour::with_codec(BytesCodec { max, intake }, protocols, config)
        };
        let streams = limits.max_streams_per_peer;
        let relay = reach.relay_server.as_ref();
        let identify = identify::Config::new(names.identify.clone(), keypair.public())
            .with_agent_version(concat!("pagi/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(true);
        // A dead connection is found after two failures in a row: within 40 seconds.
        let ping = ping::Config::new()
            .with_interval(Duration::from_secs(10))
            .with_timeout(Duration::from_secs(10));
        Ok(Net {
            blocks,
            gossip: Watched::new(
                gossip(keypair, names, limits, known)?,
                limits.gossip_rate.map(packets),
            ),
            requests: exchange(
                &names.request,
                limits.max_request_bytes,
                streams,
                MAX_REQUEST_TIME,
            ),
            pace: exchange(&names.pace, MESSAGE_ID_BYTES, MAX_QUESTIONS, ANSWER_TIME),
            kad: MembersOnly::new(dht(local, names, limits, gated), gated),
            public: None.into(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            relay: relay
                .map(|limits| Sole::new(relay::Behaviour::new(local, relay_config(limits))))
                .into(),
            dcutr: reach
                .relay_client
                .then(|| dcutr::Behaviour::new(local))
                .into(),
            autonat: reach
                .autonat
                .then(|| autonat::Behaviour::new(local, autonat_config()))
                .into(),
            upnp: reach.upnp.then(upnp::tokio::Behaviour::default).into(),
        })
    }
}

/// Gossip that is signed, validated by hand, scored, and quick to form a mesh.
fn gossip(
    keypair: &Keypair,
    names: &Names,
    limits: &SwarmLimits,
    known: Known,
) -> io::Result<Gossip> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(names.gossip.clone())
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| {
            let author = message.source.map(|peer| peer.to_bytes());
            message_id(
                message.topic.as_str(),
                &author.unwrap_or_default(),
                &message.data,
            )
            .to_vec()
            .into()
        })
        .max_transmit_size(limits.max_gossip_bytes + GOSSIP_OVERHEAD)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_millis(700))
        // Own messages go to every subscriber at once, mesh or not.
        .flood_publish(true)
        // A verdict may take as long as a message stays in this history: about seven seconds.
        // A node of a small swarm is connected with everybody, and whom own messages reach at once need
        // not be told by many. What the mesh loses is asked for.
        .mesh_n(4)
        .mesh_n_low(3)
        .mesh_n_high(6)
        // An own message that comes back is turned away by `events.rs`. gossipsub would hold it against
        // the peer that brings it; but an honest one that just came takes in, and passes on, whatever
        // an attacker repeats to it.
        .allow_self_origin(true)
        // What one packet may make a node check.
        .max_messages_per_rpc(Some(64))
        .history_length(10)
        // gossipsub says "I have it" to its whole mesh for every copy that arrives, duplicates too:
        // for small messages that costs more than the copies it saves.
        .idontwant_message_size_threshold(32 * 1024)
        .history_gossip(3)
        // What is asked for at once must fit into the queue of the one who is asked.
        .max_ihave_length(SEND_QUEUE / 4)
        .duplicate_cache_time(Duration::from_secs(limits.duplicate_seconds.into()))
        .connection_handler_queue_len(SEND_QUEUE)
        // Never discard a queued message for its age: gossipsub does not give its place in the
        // queue back, and a queue that lost its places stays "full" for good. `pace.rs` keeps the
        // queues short instead.
        .publish_queue_duration(Duration::from_secs(3600))
        .forward_queue_duration(Duration::from_secs(3600))
        .build()
        .map_err(io::Error::other)?;
    let author = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut gossip =
        Gossip::new_with_subscription_filter_and_transform(author, config, subscriptions(), known)
            .map_err(io::Error::other)?;
    gossip
        .with_peer_score(
            scoring::params(limits.spare_loopback),
            scoring::thresholds(),
        )
        .map_err(io::Error::other)?;
    Ok(gossip)
}

/// Polls without tokio's budget: under a flood the task goes on and on, and channels held to the budget
/// would stay shut all the while.
fn unbudgeted<T>(cx: &mut Context<'_>, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    std::pin::pin!(tokio::task::unconstrained(std::future::poll_fn(poll))).poll(cx)
}

/// Packets a peer may send, given what it may publish on one topic: several topics, what it passes on
/// and what gossip needs besides.
fn packets(rate: Rate) -> Rate {
    Rate {
        per_second: rate.per_second.saturating_mul(8).max(100),
        burst: rate.burst.saturating_mul(4).max(1000),
    }
}

/// A rate that stays below another one, whatever the jitter on the way.
fn below(rate: Rate) -> Rate {
    let cut = |n: u32| (n - n / 5).max(1);
    Rate {
        per_second: cut(rate.per_second),
        burst: cut(rate.burst),
    }
}

/// The swarm's DHT, as a server unless nobody can reach this node: it is a DHT of this swarm's nodes
/// only.
fn dht(
    local: PeerId,
    names: &Names,
    limits: &SwarmLimits,
    gated: bool,
) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(names.kad.clone());
    config
        .set_query_timeout(Duration::from_secs(30))
        // What is kept is looked at before, see `dht.rs`.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(300)));
    if gated {
        // Strangers stay out of the routing table: only those let in are added.
        config.set_kbucket_inserts(kad::BucketInserts::Manual);
    }
    let store = MemoryStoreConfig {
        max_records: limits.max_dht_records,
        max_value_bytes: whereabouts::MAX_BYTES + 1,
        max_provided_keys: limits.max_dht_provided,
        ..Default::default()
    };
    let mut kad =
        kad::Behaviour::with_config(local, MemoryStore::with_config(local, store), config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

impl NetworkBehaviour for NodeBehaviour {
    type ConnectionHandler = THandler<Net>;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let full = match ip(remote) {
            _ if self.memory_short => Some(Full::Memory),
            Some(ip) if !self.admission.arrives(connection, ip, Instant::now()) => {
                Some(Full::Address)
            }
            _ => None,
        };
        if let Some(full) = full {
            tracing::debug!(%remote, reason = %full, "connection refused");
            self.counters.refused_connections.add(1);
            return Err(ConnectionDenied::new(full));
        }
        self.net
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.refuse_blocked(&peer)?;
        self.net
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addrs: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut found = self
            .net
            .handle_pending_outbound_connection(connection, peer, addrs, role)?;
        if let Some(peer) = peer {
            self.refuse_blocked(&peer)?;
            for addr in self.dialer.addrs(&peer) {
                if !found.contains(&addr) && !addrs.contains(&addr) {
                    found.push(addr);
                }
            }
        }
        Ok(found)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.refuse_blocked(&peer)?;
        self.net
            .handle_established_outbound_connection(connection, peer, addr, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.net.on_swarm_event(event);
        self.connection_changed(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.net
            .on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let mut published = 0;
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action.into_command());
            }
            // A few things of each kind in turn: however much the network brings, verdicts and calls of
            // the application are not left lying.
            let mut busy = false;
            for _ in 0..APPLICATION_BATCH {
                if !self.poll_application(cx) {
                    break;
                }
                busy = true;
            }
            if let Poll::Ready(Some(command)) = unbudgeted(cx, |cx| self.commands.poll_recv(cx)) {
                self.on_command(command);
                busy = true;
            }
            // Not polled while closed: the answers that open it again arrive through `net`.
            let now = Instant::now();
            if self.pacer.open(now) && self.may_publish(now) {
                if published >= PUBLISH_BATCH {
                    cx.waker().wake_by_ref();
                } else if let Poll::Ready(Some(publish)) =
                    unbudgeted(cx, |cx| self.publishes.poll_recv(cx))
                {
                    published += 1;
                    self.publish_counted(now);
                    self.publish(publish);
                    busy = true;
                }
            }
            match unbudgeted(cx, |cx| self.poll_net(cx)) {
                Poll::Ready(ToSwarm::GenerateEvent(event)) => {
                    self.on_event(event);
                    busy = true;
                }
                Poll::Ready(other) => {
                    return Poll::Ready(other.map_out(|_| unreachable!("events end above")));
                }
                Poll::Pending => {}
            }
            if let Poll::Ready(Some((peer, addrs))) =
                unbudgeted(cx, |cx| self.resolved.poll_recv(cx))
            {
                self.name_resolved(peer, addrs);
                busy = true;
            }
            if unbudgeted(cx, |cx| self.tick.poll_tick(cx)).is_ready() {
                self.on_tick(now);
                busy = true;
            }
            if !busy && self.actions.is_empty() {
                return Poll::Pending;
            }
        }
    }
}

impl NodeBehaviour {
    /// Polls the protocols, gossip first every second time. As a whole they are polled in order, each
    /// only when those before it have nothing to do; so a flood of gossip would silence what comes
    /// after, and a flood of requests the gossip.
    fn poll_net(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<NetEvent, THandlerInEvent<Net>>> {
        self.gossip_first = !self.gossip_first;
        if self.gossip_first
            && let Poll::Ready(event) = self.net.gossip.poll(cx)
        {
            return Poll::Ready(event.map_out(NetEvent::Gossip).map_in(Either::Right));
        }
        self.net.poll(cx)
    }

    fn refuse_blocked(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        let now = Instant::now();
        if self.admission.is_banned(peer, now) {
            self.counters.refused_connections.add(1);
            return Err(ConnectionDenied::new(Blocked));
        }
        match self
            .peers
            .get(peer)
            .is_some_and(|peer| peer.is_closing(now))
        {
            true => Err(ConnectionDenied::new(Closing)),
            false => Ok(()),
        }
    }

    /// Whether one more own message keeps to the rate others take. The clock reopens this: it is
    /// looked at again with every tick.
    fn may_publish(&mut self, now: Instant) -> bool {
        match &mut self.own_rate {
            Some((rate, bucket)) if self.far_peers => bucket.ready(*rate, now),
            _ => true,
        }
    }

    fn publish_counted(&mut self, now: Instant) {
        if let Some((rate, bucket)) = &mut self.own_rate {
            bucket.take(*rate, now);
        }
    }

    /// Moves a thing of each kind from or to the application; says whether there was one.
    fn poll_application(&mut self, cx: &mut Context<'_>) -> bool {
        let moved = unbudgeted(cx, |cx| Poll::Ready(self.move_one(cx)));
        matches!(moved, Poll::Ready(true))
    }

    /// One of each kind, so that none waits for another to come to an end.
    fn move_one(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Poll::Ready(Some(feedback)) = self.feedback.poll_recv(cx) {
            self.on_feedback(feedback);
            moved = true;
        }
        let mut arrived = None;
        let note = |m: &GossipMessage| arrived = Some((m.verdict.key(), m.verdict.author()));
        moved |= self.gossip_out.poll_deliver(cx, note).is_ready();
        if let Some((id, author)) = arrived {
            self.handed_out(id, author);
        }
        moved |= self.requests_out.poll_deliver(cx, |_| ()).is_ready();
        moved |= self.peers_out.poll_deliver(cx, |_| ()).is_ready();
        moved
    }
}
