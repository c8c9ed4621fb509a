//! The libp2p behaviour that rust-ipfs carries for us.
//!
//! [`NodeBehaviour`] wraps the protocols in [`Net`] and is their only user: it polls them, reacts
//! to their events (`events.rs`) and to what the handle asks for (`commands.rs`), and never
//! generates an event itself, as rust-ipfs requires. It runs inside rust-ipfs's swarm task and
//! owns all its state; the rest of the crate reaches it through channels only.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::{OutboundRequestId, ProtocolSupport, ResponseChannel};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, gossipsub, identify, kad, ping, request_response};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use crate::codec::BytesCodec;
use crate::commands::{Command, Publish, Query, Resend};
use crate::config::SwarmLimits;
use crate::dialer::Dialer;
use crate::error::SwarmError;
use crate::inbound::{Feedback, GossipMessage, Inbound, InboundRequest, Outbox, PeerEvent};
use crate::pace::{ANSWER_TIME, Arrivals, Pacer, SEND_QUEUE};
use crate::peers::Peer;
use crate::protocol::{MESSAGE_ID_BYTES, Names, message_id};
use crate::scoring;
use crate::stats::Counters;

/// Longest a request may take, whatever its caller says.
pub(crate) const MAX_REQUEST_TIME: Duration = Duration::from_secs(120);
/// Requests under way with one peer, each direction.
const MAX_STREAMS: usize = 128;
/// Pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Messages signed and queued before other work gets its turn.
const PUBLISH_BATCH: usize = 16;
/// Peer events waiting for the application.
const PEER_EVENTS: usize = 1024;
/// Gossip bytes that are not payload: signature, author, topic, framing.
const GOSSIP_OVERHEAD: usize = 4 * 1024;

/// The protocols, each of them libp2p's own.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Net {
    /// Publish and subscribe; messages are forwarded only after the application's verdict.
    pub(crate) gossip: gossipsub::Behaviour,
    /// Requests between applications.
    pub(crate) requests: request_response::Behaviour<BytesCodec>,
    /// Questions whether a published message has arrived.
    pub(crate) pace: request_response::Behaviour<BytesCodec>,
    /// The swarm's DHT: finds peers and providers of content.
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    /// Who a connected peer is, which swarm it belongs to and where it listens.
    pub(crate) identify: identify::Behaviour,
    /// Finds dead connections.
    pub(crate) ping: ping::Behaviour,
}

/// What the behaviour asks of the swarm on its own account.
#[derive(Debug)]
pub(crate) enum Action {
    Dial(DialOpts),
    Disconnect(PeerId),
}

/// Where the answer to something the handle asked for goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, SwarmError>>;

/// A dial the handle waits for.
pub(crate) struct Dialling {
    pub(crate) peer: Option<PeerId>,
    pub(crate) target: String,
    pub(crate) answer: Answer<()>,
}

/// A peer that is not to be connected with.
#[derive(Debug, thiserror::Error)]
#[error("peer is blocked")]
struct Blocked;

/// What the behaviour is made from.
pub(crate) struct Setup {
    pub(crate) names: Names,
    pub(crate) limits: SwarmLimits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The handle's ends of the behaviour's channels.
pub(crate) struct Ends {
    pub(crate) publishes: mpsc::Sender<Publish>,
    pub(crate) inbound: Inbound,
}

/// See the module documentation.
pub(crate) struct NodeBehaviour {
    pub(crate) net: Net,
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

    // What is going on.
    pub(crate) peers: HashMap<PeerId, Peer>,
    pub(crate) blocked: HashSet<PeerId>,
    pub(crate) dialer: Dialer,
    pub(crate) dialling: HashMap<ConnectionId, Dialling>,
    pub(crate) requested: HashMap<OutboundRequestId, Answer<Vec<u8>>>,
    pub(crate) queries: HashMap<kad::QueryId, Query>,
    pub(crate) pacer: Pacer<PeerId>,
    pub(crate) asked: HashMap<OutboundRequestId, PeerId>,
    pub(crate) arrivals: Arrivals<ResponseChannel<Vec<u8>>>,
    pub(crate) resend: VecDeque<Resend>,
    pub(crate) actions: VecDeque<Action>,
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
        } = setup;
        let local = keypair.public().to_peer_id();
        let net = Net::new(keypair, &names, &limits)?;
        let (publishes_sender, publishes) = mpsc::channel(limits.publish_queue);
        let (feedback_sender, feedback) = mpsc::unbounded_channel();
        let (gossip_out, gossip) = Outbox::new(limits.inbound_queue);
        let (requests_out, requests) = Outbox::new(limits.inbound_queue);
        let (peers_out, peers) = Outbox::new(PEER_EVENTS);
        let dialer = Dialer::new(local, limits.target_peers);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let behaviour = NodeBehaviour {
            net,
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
            peers: HashMap::new(),
            blocked: HashSet::new(),
            dialer,
            dialling: HashMap::new(),
            requested: HashMap::new(),
            queries: HashMap::new(),
            pacer: Pacer::new(),
            asked: HashMap::new(),
            arrivals: Arrivals::new(),
            resend: VecDeque::new(),
            actions: VecDeque::new(),
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
    fn new(keypair: &Keypair, names: &Names, limits: &SwarmLimits) -> io::Result<Self> {
        let local = keypair.public().to_peer_id();
        let exchange = |protocol: &libp2p::StreamProtocol, max: usize, time: Duration| {
            let config = request_response::Config::default()
                .with_request_timeout(time)
                .with_max_concurrent_streams(MAX_STREAMS);
            let protocols = [(protocol.clone(), ProtocolSupport::Full)];
            request_response::Behaviour::with_codec(BytesCodec { max }, protocols, config)
        };
        let identify = identify::Config::new(names.identify.clone(), keypair.public())
            .with_agent_version(concat!("pagi/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(true);
        let ping = ping::Config::new().with_timeout(Duration::from_secs(10));
        Ok(Net {
            gossip: gossip(keypair, names, limits)?,
            requests: exchange(&names.request, limits.max_request_bytes, MAX_REQUEST_TIME),
            pace: exchange(&names.pace, MESSAGE_ID_BYTES, ANSWER_TIME),
            kad: dht(local, names),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
        })
    }
}

/// Gossip that is signed, validated by hand, scored, and quick to form a mesh.
fn gossip(
    keypair: &Keypair,
    names: &Names,
    limits: &SwarmLimits,
) -> io::Result<gossipsub::Behaviour> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(names.gossip.clone())
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| {
            message_id(message.topic.as_str(), &message.data)
                .to_vec()
                .into()
        })
        .max_transmit_size(limits.max_gossip_bytes + GOSSIP_OVERHEAD)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_millis(700))
        // Own messages go to every subscriber at once, mesh or not.
        .flood_publish(true)
        // A verdict may take as long as a message stays in this history: about seven seconds.
        .history_length(10)
        .history_gossip(3)
        .duplicate_cache_time(Duration::from_secs(120))
        .connection_handler_queue_len(SEND_QUEUE)
        // Never discard a queued message for its age: gossipsub does not give its place in the
        // queue back, and a queue that lost its places stays "full" for good. `pace.rs` keeps the
        // queues short instead.
        .publish_queue_duration(Duration::from_secs(3600))
        .forward_queue_duration(Duration::from_secs(3600))
        .build()
        .map_err(io::Error::other)?;
    let author = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut gossip = gossipsub::Behaviour::new(author, config).map_err(io::Error::other)?;
    gossip
        .with_peer_score(scoring::params(), scoring::thresholds())
        .map_err(io::Error::other)?;
    Ok(gossip)
}

/// The swarm's DHT, always as a server: it is a DHT of this swarm's nodes only.
fn dht(local: PeerId, names: &Names) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(names.kad.clone());
    config
        .set_query_timeout(Duration::from_secs(30))
        // Only provider records are kept, see `events.rs`.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(300)));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: 16_384,
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
                if !found.contains(addr) && !addrs.contains(addr) {
                    found.push(addr.clone());
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
                return Poll::Ready(match action {
                    Action::Dial(opts) => ToSwarm::Dial { opts },
                    Action::Disconnect(peer_id) => ToSwarm::CloseConnection {
                        peer_id,
                        connection: CloseConnection::All,
                    },
                });
            }
            match self.net.poll(cx) {
                Poll::Ready(ToSwarm::GenerateEvent(event)) => {
                    self.on_event(event);
                    continue;
                }
                Poll::Ready(other) => {
                    return Poll::Ready(other.map_out(|_| unreachable!("events end above")));
                }
                Poll::Pending => {}
            }
            if self.poll_application(cx) {
                continue;
            }
            if let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
                self.on_command(command);
                continue;
            }
            if self.tick.poll_tick(cx).is_ready() {
                self.on_tick(Instant::now());
                continue;
            }
            // Not polled while closed: the answers that open it again arrive through `net`.
            if self.pacer.open(Instant::now()) {
                if published >= PUBLISH_BATCH {
                    cx.waker().wake_by_ref();
                } else if let Poll::Ready(Some(publish)) = self.publishes.poll_recv(cx) {
                    published += 1;
                    self.publish(publish);
                    continue;
                }
            }
            return Poll::Pending;
        }
    }
}

impl NodeBehaviour {
    fn refuse_blocked(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        match self.blocked.contains(peer) {
            true => Err(ConnectionDenied::new(Blocked)),
            false => Ok(()),
        }
    }

    /// Moves one thing from or to the application; says whether there was one.
    fn poll_application(&mut self, cx: &mut Context<'_>) -> bool {
        if let Poll::Ready(Some(feedback)) = self.feedback.poll_recv(cx) {
            self.on_feedback(feedback);
            return true;
        }
        let mut arrived = None;
        if self
            .gossip_out
            .poll_deliver(cx, |m| arrived = Some(m.verdict.key()))
            .is_ready()
        {
            if let Some(id) = arrived {
                self.message_arrived(id);
            }
            return true;
        }
        self.requests_out.poll_deliver(cx, |_| ()).is_ready()
            || self.peers_out.poll_deliver(cx, |_| ()).is_ready()
    }
}
