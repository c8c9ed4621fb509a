//! Bitswap: blocks for others, and blocks from others.
//!
//! Every peer gets one message at a time, the next when the last one is on its way. So what is held
//! for a peer that does not read is one message and the next one, and [`MAX_HELD`] bytes for all; what is held of its wishes is bounded by
//! [`SwarmLimits::max_wants_per_peer`], and by [`MAX_WANTS`] for all peers together. In a gated swarm
//! only those let in are listened to.
//!
//! | file | holds |
//! |---|---|
//! | `message.rs` | the wire form |
//! | `handler.rs` | the streams of one connection |
//! | `fetch.rs` | whom to ask for what this node wants (pure) |
//! | `serve.rs` | what one peer wants (pure), and finding it |
//!
//! [`SwarmLimits::max_wants_per_peer`]: crate::SwarmLimits::max_wants_per_peer

mod fetch;
mod handler;
pub(crate) mod message;
mod serve;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cid::Cid;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use crate::blocks::v1;
use crate::gate::Gate;
use crate::stats::Counters;

use fetch::{Fetcher, Received};
use handler::{Frame, FromConnection, Handler, ToConnection};
use message::{Malformed, Message};
use serve::{Found, Ledger, TooMany, look_up};

/// Wants of all peers together that are kept.
const MAX_WANTS: usize = 131_072;
/// Entries in one message.
const MAX_ENTRIES: usize = 1024;
/// Wants of one peer looked up at once.
const BATCH: usize = 256;
/// Peers whose wants are looked up at the same time.
const MAX_LOOKING: usize = 16;
/// Bytes of blocks that are held for others at once; a look-up may go beyond.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// Bytes of blocks nobody asked for that a peer may send before it counts as an offence.
const MAX_UNASKED: usize = 4 * 1024 * 1024;
/// Pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// What becomes of a block that is wanted.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It came, and fits its CID.
    Bytes(Vec<u8>),
    /// Somebody else put it into the store.
    Stored,
}

/// What the node should know of a peer.
#[derive(Debug)]
pub(crate) enum Event {
    /// It wants too many blocks.
    WantsTooMuch { peer: PeerId, wants: usize },
    /// It sent what is no message, or blocks without end that nobody asked for.
    Misbehaved { peer: PeerId },
}

/// A peer with which blocks are exchanged.
#[derive(Default)]
struct Session {
    /// Tells it from an earlier one with the same peer.
    number: u64,
    ledger: Ledger,
    /// What was found and is not under way yet.
    found: Option<Found>,
    looking: bool,
    sending: Option<ConnectionId>,
    /// What the message under way says: blocks, and which of them are only told of.
    sent: Vec<(Cid, bool)>,
    /// Bytes of blocks found for it that are not out yet.
    held: usize,
    unasked: usize,
}

/// See the module documentation.
pub(crate) struct Behaviour {
    dir: PathBuf,
    max_wants: usize,
    counters: Arc<Counters>,
    gate: Gate,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    sessions: HashMap<PeerId, Session>,
    fetcher: Fetcher,
    waiting: HashMap<Cid, Vec<oneshot::Sender<Fetched>>>,
    /// Peers to whom something may have to be sent.
    dirty: HashSet<PeerId>,
    looking: usize,
    /// Bytes of blocks found for all peers that are not out yet.
    held: usize,
    looked: mpsc::UnboundedReceiver<(PeerId, u64, Found)>,
    looked_sender: mpsc::UnboundedSender<(PeerId, u64, Found)>,
    /// Sessions there were.
    begun: u64,
    events: VecDeque<ToSwarm<Event, ToConnection>>,
    tick: Interval,
}

impl Behaviour {
    /// Serves blocks from the store `dir`. Must be called inside a tokio runtime.
    pub(crate) fn new(
        dir: PathBuf,
        max_wants: usize,
        gated: bool,
        counters: Arc<Counters>,
    ) -> Self {
        let (looked_sender, looked) = mpsc::unbounded_channel();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Behaviour {
            dir,
            max_wants,
            counters,
            gate: Gate::new(gated),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            fetcher: Fetcher::default(),
            waiting: HashMap::new(),
            dirty: HashSet::new(),
            looking: 0,
            held: 0,
            looked,
            looked_sender,
            begun: 0,
            events: VecDeque::new(),
            tick,
        }
    }

    /// Wants a block; the `named` peers are said to have it. It is wanted until it comes or `answer`
    /// is dropped at the other end.
    pub(crate) fn fetch(&mut self, cid: &Cid, named: &[PeerId], answer: oneshot::Sender<Fetched>) {
        self.waiting.entry(v1(cid)).or_default().push(answer);
        self.fetcher.want(cid, named, Instant::now());
        self.tell_wants();
    }

    /// Wants a block no longer, if nobody waits for it.
    pub(crate) fn given_up(&mut self, cid: &Cid) {
        let key = v1(cid);
        if let Some(answers) = self.waiting.get_mut(&key) {
            answers.retain(|answer| !answer.is_closed());
            if answers.is_empty() {
                self.waiting.remove(&key);
                self.fetcher.unwant(&key, Instant::now());
                self.tell_wants();
            }
        }
    }

    /// A block is in the store now.
    pub(crate) fn stored(&mut self, cid: &Cid) {
        let key = v1(cid);
        if let Some(waiting) = self.waiting.remove(&key) {
            self.fetcher.unwant(&key, Instant::now());
            for answer in waiting {
                let _ = answer.send(Fetched::Stored);
            }
            self.tell_wants();
        }
        for (peer, session) in &mut self.sessions {
            session.ledger.stored(&key);
            if session.ledger.has_work() {
                self.dirty.insert(*peer);
            }
        }
    }

    /// Exchanges blocks with a peer of a gated swarm from now on.
    pub(crate) fn admit(&mut self, peer: PeerId) {
        self.gate.admit(peer);
        let connections = self.connections.get(&peer).cloned().unwrap_or_default();
        for connection in &connections {
            self.events.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: ToConnection::Listen,
            });
        }
        if !connections.is_empty() {
            self.begin(peer);
        }
    }

    /// Exchanges blocks with a peer no longer.
    pub(crate) fn expel(&mut self, peer: &PeerId) {
        self.gate.expel(peer);
        self.end(peer);
    }

    fn begin(&mut self, peer: PeerId) {
        self.begun += 1;
        let number = self.begun;
        self.sessions.entry(peer).or_insert_with(|| Session {
            number,
            ..Session::default()
        });
        self.fetcher.peer_up(peer, Instant::now());
        self.dirty.insert(peer);
    }

    fn end(&mut self, peer: &PeerId) {
        if let Some(session) = self.sessions.remove(peer) {
            self.held = self.held.saturating_sub(session.held);
        }
        self.fetcher.peer_down(peer, Instant::now());
        self.tell_wants();
    }

    fn tell_wants(&mut self) {
        self.dirty.extend(self.fetcher.dirty());
    }

    fn on_message(&mut self, peer: PeerId, message: Message) {
        let now = Instant::now();
        for (cid, there) in &message.presences {
            self.fetcher.presence(&peer, cid, *there, now);
        }
        for (cid, data) in message.blocks {
            self.on_block(peer, cid, data, now);
        }
        if message.full || !message.entries.is_empty() {
            let total: usize = self.sessions.values().map(|s| s.ledger.len()).sum();
            let share = MAX_WANTS / self.sessions.len().max(1);
            let Some(session) = self.sessions.get_mut(&peer) else {
                return;
            };
            let room = match total < MAX_WANTS {
                true => usize::MAX,
                false => share,
            };
            let (full, entries) = (message.full, &message.entries);
            let limit = self.max_wants;
            if let Err(TooMany(wants)) = session.ledger.update(full, entries, limit, room, now) {
                self.too_much(peer, wants);
            }
        }
        self.dirty.insert(peer);
        self.tell_wants();
    }

    fn on_block(&mut self, peer: PeerId, cid: Cid, data: Vec<u8>, now: Instant) {
        self.counters.blocks_in.add(1);
        match self.fetcher.block(&peer, &cid, now) {
            Received::Wanted => {
                let mut waiting = self.waiting.remove(&v1(&cid)).unwrap_or_default();
                waiting.retain(|answer| !answer.is_closed());
                if let Some(last) = waiting.pop() {
                    for answer in waiting {
                        let _ = answer.send(Fetched::Bytes(data.clone()));
                    }
                    let _ = last.send(Fetched::Bytes(data));
                }
            }
            Received::Late => {}
            Received::Unasked => {
                self.counters.blocks_unasked.add(1);
                let Some(session) = self.sessions.get_mut(&peer) else {
                    return;
                };
                session.unasked += data.len() + 1024;
                if session.unasked > MAX_UNASKED {
                    session.unasked = 0;
                    self.misbehaved(peer);
                }
            }
        }
    }

    /// Forgets what a peer wants; the node decides what becomes of the peer.
    fn too_much(&mut self, peer: PeerId, wants: usize) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.ledger = Ledger::default();
        }
        let event = Event::WantsTooMuch { peer, wants };
        self.events.push_back(ToSwarm::GenerateEvent(event));
    }

    fn misbehaved(&mut self, peer: PeerId) {
        let event = Event::Misbehaved { peer };
        self.events.push_back(ToSwarm::GenerateEvent(event));
    }

    /// Sends a peer what is due, if the last message is out; has its wants looked up.
    fn pump(&mut self, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let connection = self.connections.get(&peer).and_then(|list| list.first());
        if session.sending.is_none()
            && let Some(connection) = connection
        {
            let found = session.found.take().unwrap_or_default();
            session.sent = found.blocks.iter().map(|(cid, _)| (*cid, true)).collect();
            let there = found.presences.iter();
            session.sent.extend(there.map(|(cid, _)| (*cid, false)));
            let (entries, full) = self.fetcher.take(&peer, MAX_ENTRIES);
            let message = Message {
                full,
                entries,
                blocks: found.blocks,
                presences: found.presences,
            };
            if !message.is_empty() {
                session.sending = Some(*connection);
                self.events.push_back(ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(*connection),
                    event: ToConnection::Write(Frame::new(&message)),
                });
            }
        }
        if session.found.is_none() && !session.looking && session.ledger.has_work() {
            let full = self.held >= MAX_HELD || (self.held > 0 && session.sending.is_some());
            if self.looking >= MAX_LOOKING || full {
                // Its turn comes when another look-up is done.
                self.dirty.insert(peer);
                return;
            }
            let batch = session.ledger.batch(BATCH);
            if batch.is_empty() {
                return;
            }
            session.looking = true;
            self.looking += 1;
            let (dir, sender) = (self.dir.clone(), self.looked_sender.clone());
            let number = session.number;
            tokio::task::spawn_blocking(move || {
                let _ = sender.send((peer, number, look_up(&dir, batch)));
            });
        }
    }

    fn on_looked_up(&mut self, peer: PeerId, number: u64, found: Found) {
        self.looking = self.looking.saturating_sub(1);
        let session = self.sessions.get_mut(&peer);
        if let Some(session) = session.filter(|session| session.number == number) {
            session.looking = false;
            session.ledger.put_back(&found.rest);
            let bytes = found.bytes();
            session.held += bytes;
            self.held += bytes;
            session.found = Some(found);
            self.dirty.insert(peer);
        }
    }

    /// The frame on a connection is out, or lost with it.
    fn sent(&mut self, peer: PeerId, connection: ConnectionId, lost: bool) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        if session.sending != Some(connection) {
            return;
        }
        session.sending = None;
        let waiting = session.found.as_ref().map_or(0, Found::bytes);
        self.held = self.held.saturating_sub(session.held - waiting);
        session.held = waiting;
        for (cid, block) in std::mem::take(&mut session.sent) {
            if lost {
                session.ledger.stored(&cid);
            } else {
                self.counters.blocks_out.add(block.into());
                session.ledger.answered(&cid, block);
            }
        }
        if lost {
            // Another way may be better.
            if let Some(list) = self.connections.get_mut(&peer)
                && !list.is_empty()
            {
                list.rotate_left(1);
            }
            self.fetcher.lost(&peer, Instant::now());
            self.tell_wants();
        }
        self.dirty.insert(peer);
    }

    /// Whether blocks are on their way from or to a peer.
    pub(crate) fn is_busy(&self, peer: &PeerId) -> bool {
        self.fetcher.waits_for(peer)
            || self.sessions.get(peer).is_some_and(|session| {
                session.sending.is_some()
                    || session.looking
                    || session.found.is_some()
                    || session.ledger.has_work()
            })
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        for cid in self.waiting.keys().copied().collect::<Vec<_>>() {
            self.given_up(&cid);
        }
        self.fetcher.tick(now);
        self.tell_wants();
        let mut wants = 0;
        for session in self.sessions.values_mut() {
            session.unasked = session.unasked.saturating_sub(MAX_UNASKED / 600);
            wants += session.ledger.len();
        }
        self.counters.wants.set(wants as u64);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.max_wants, self.gate.is_in(&peer)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.max_wants, self.gate.is_in(&peer)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let list = self.connections.entry(peer_id).or_default();
                // A direct way before one through a relay.
                match endpoint.is_relayed() {
                    true => list.push(connection_id),
                    false => list.insert(0, connection_id),
                }
                if list.len() == 1 && self.gate.is_in(&peer_id) {
                    self.begin(peer_id);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                remaining_established,
                ..
            }) => {
                if let Some(list) = self.connections.get_mut(&peer_id) {
                    list.retain(|id| *id != connection_id);
                }
                if remaining_established == 0 {
                    self.connections.remove(&peer_id);
                    self.end(&peer_id);
                } else {
                    self.sent(peer_id, connection_id, true);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            FromConnection::Sent => self.sent(peer, connection, false),
            FromConnection::Failed => self.sent(peer, connection, true),
            _ if !self.gate.is_in(&peer) => {}
            FromConnection::Received(message, _permit) => {
                // It may not have spoken bitswap when it was asked.
                if !self.sessions.contains_key(&peer) {
                    self.begin(peer);
                }
                self.on_message(peer, message);
            }
            FromConnection::Malformed(Malformed::TooMany) => {
                self.too_much(peer, self.max_wants + 1);
            }
            FromConnection::Malformed(Malformed::Bytes) => self.misbehaved(peer),
            FromConnection::Unsupported => self.end(&peer),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            if let Poll::Ready(Some((peer, number, found))) = self.looked.poll_recv(cx) {
                self.on_looked_up(peer, number, found);
                continue;
            }
            if self.tick.poll_tick(cx).is_ready() {
                self.on_tick();
                continue;
            }
            // Who has to wait for others is marked again.
            for peer in std::mem::take(&mut self.dirty) {
                self.pump(peer);
            }
            if self.events.is_empty() {
                return Poll::Pending;
            }
        }
    }
}
