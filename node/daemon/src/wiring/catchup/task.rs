//! The task that owns the index of the log.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use pagi_hive::{Hive, Judgement, ports::NetworkError};
use pagi_messages::Did;
use pagi_store::{Batch, LogKey, Store, StoreError};
use pagi_swarm::{InboundRequest, Swarm, SwarmError};
use pagi_sync::{Id, Index, Key, Limits, Outcome, Request, Session, Stamp, answer, wire};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

use super::{Command, Counts, Gate, SYNC, key_of};

/// The youngest messages are left to gossip.
const LEFT_TO_GOSSIP: Duration = Duration::from_secs(3);
/// Time between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);
/// A node is compared with this soon after it came, at the earliest and at the latest.
const AFTER_COMING: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// A random node is compared with this often,
const QUIET: Duration = Duration::from_secs(30);
/// and this often when much is going on, or something was missing.
const BUSY: Duration = Duration::from_secs(5);
/// New messages since the last comparing that are much.
const MUCH: u64 = 500;
/// Time for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Own messages older than this may go even though somebody who is here lacks them.
const HELD: Duration = Duration::from_secs(3600);
/// How long a node that went is waited for.
const GONE: Duration = Duration::from_secs(120);
/// A node that compares its log with this one is expected to do it this often.
const COMPARES: Duration = Duration::from_secs(600);
/// How long a node that kept this one waiting for nothing comes last.
const LAST: Duration = Duration::from_secs(600);
/// Fetched messages judged at the same time.
const JUDGED_AT_ONCE: usize = 64;
/// Nodes remembered.
const MAX_PEERS: usize = 4096;
/// Requests one node may make at once, and per second.
const ASKED: (f64, f64) = (60.0, 20.0);

/// A node of the swarm.
struct Peer {
    /// Whether it is let in. Strangers are only remembered, for the case that they will be.
    member: bool,
    /// When it went; `None` while it is here.
    gone: Option<Instant>,
    /// When to compare with it, beside the random choice.
    due: Option<Instant>,
    /// Up to where this node had all of its messages last.
    done: u64,
    /// Up to where it had all of this node's messages last.
    has: u64,
    /// When it came, or asked to compare last.
    compared: Instant,
    /// When it kept this node waiting for nothing.
    slow: Option<Instant>,
    /// Requests it may make.
    tokens: f64,
    filled: Instant,
}

/// A message of this node that waits for room.
struct Waiting {
    key: Key,
    data: Vec<u8>,
    done: oneshot::Sender<Result<(), NetworkError>>,
}

/// What work beside the task comes back with.
enum Done {
    /// A message could not be stored.
    NotStored(Key),
    Stored,
    /// The other node's answer.
    Answer(Result<Vec<u8>, SwarmError>),
    /// The hive has judged what came.
    Judged,
}

pub(super) struct Task {
    store: Store,
    swarm: Swarm,
    own: Did,
    index: Index,
    commands: mpsc::Receiver<Command>,
    /// For those that judge.
    back: mpsc::WeakSender<Command>,
    counts: Arc<Counts>,
    peers: HashMap<String, Peer>,
    /// Messages being judged.
    claimed: HashSet<Key>,
    waiting: VecDeque<Waiting>,
    session: Option<(String, Session)>,
    /// New messages since the last session.
    news: u64,
    /// When to compare with a random node.
    next: Instant,
    work: JoinSet<Done>,
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// A random time between two.
fn between(least: Duration, most: Duration) -> Duration {
    let random = Uuid::new_v4().as_u128() as u32;
    least + (most - least).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Tells whoever waits what became of a message.
fn tell(done: Option<oneshot::Sender<Result<(), NetworkError>>>, result: Result<(), NetworkError>) {
    if let Some(done) = done {
        // It may have given up waiting.
        let _ = done.send(result);
    }
}

fn log_key((author, stamp): &Key) -> LogKey {
    LogKey {
        author: author.to_string(),
        at: stamp.at,
        id: stamp.id.0,
    }
}

impl Task {
    pub(super) fn new(
        store: Store,
        swarm: Swarm,
        own: Did,
        commands: mpsc::Receiver<Command>,
        back: mpsc::Sender<Command>,
        counts: Arc<Counts>,
    ) -> Result<Self, StoreError> {
        let mut index = Index::new(Limits::default());
        index.keep_own(own.clone());
        index.vouch([own.clone()]);
        for (author, at) in store.log_floors()? {
            if let Ok(author) = author.parse() {
                index.restore_floor(author, at);
            }
        }
        for (key, size) in store.logged_messages()? {
            let id = Id(key.id);
            if let Ok(author) = key.author.parse() {
                index.restore(author, Stamp { at: key.at, id }, size);
            }
        }
        Ok(Self {
            store,
            swarm,
            own,
            index,
            commands,
            back: back.downgrade(),
            counts,
            peers: HashMap::new(),
            claimed: HashSet::new(),
            waiting: VecDeque::new(),
            session: None,
            news: 0,
            next: Instant::now() + BUSY,
            work: JoinSet::new(),
        })
    }

    pub(super) async fn run(mut self, hive: Hive, gate: Gate) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looked = SystemTime::now();
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command, &gate),
                    None => return,
                },
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.done(done, &hive, &gate),
                    Err(error) => tracing::error!(%error, "work of the log failed"),
                },
                _ = tick.tick() => {
                    let now = SystemTime::now();
                    let asleep = now.duration_since(looked).unwrap_or_default() > 5 * TICK;
                    looked = now;
                    self.look(asleep, &gate);
                }
            }
            self.counts.sync_waiting.set(self.waiting.len());
        }
    }

    fn command(&mut self, command: Command, gate: &Gate) {
        match command {
            Command::Log { key, data, done } => {
                self.waiting.push_back(Waiting { key, data, done });
                self.log_waiting();
            }
            Command::Claim { key, new } => {
                let wanted = self.index.wants(&key.0, &key.1, now_ms());
                // One that the log does not want, because it is full, still is new to the hive.
                let known = self.index.contains(&key.0, &key.1);
                let free = (wanted || !known) && self.claimed.insert(key.clone());
                if new.send(free).is_err() && free {
                    self.claimed.remove(&key);
                }
            }
            Command::Settle { key, data, synced } => {
                self.claimed.remove(&key);
                match data {
                    Some(data) => {
                        match synced {
                            true => self.counts.sync_by_sync.one(),
                            false => self.counts.sync_by_gossip.one(),
                        }
                        self.put(key, data, None);
                    }
                    None if synced => {
                        self.counts.sync_refused.one();
                        self.index.refuse(key.0, key.1);
                    }
                    None => {}
                }
            }
            // Requests of strangers end at the gate.
            Command::Asked(request) => self.asked(request),
            Command::Peer { peer_id, here } => {
                self.peer(peer_id, here);
                self.meet(gate);
            }
        }
    }

    // ---- the log ----

    /// Puts in the own messages there is room for.
    fn log_waiting(&mut self) {
        while let Some(first) = self.waiting.front() {
            if first.done.is_closed() {
                self.waiting.pop_front(); // given up
                continue;
            }
            if !self.has_room() {
                return;
            }
            if let Some(Waiting { key, data, done }) = self.waiting.pop_front() {
                self.counts.sync_own.one();
                self.put(key, data, Some(done));
            }
        }
    }

    /// Whether a message of this node can be put in without losing one that somebody lacks.
    fn has_room(&self) -> bool {
        if self.index.fill(&self.own) < 0.98 {
            return true;
        }
        let Some(oldest) = self.index.oldest(&self.own) else {
            return true;
        };
        let lacking = self
            .peers
            .values()
            // One that never compares does not wait for anything either.
            .any(|peer| peer.member && peer.has < oldest && peer.compared.elapsed() < COMPARES);
        let held = u64::try_from(HELD.as_millis()).unwrap_or(u64::MAX);
        !lacking || oldest < now_ms().saturating_sub(held)
    }

    /// Puts a message into index and store; `done` hears when it is durable.
    fn put(
        &mut self,
        key: Key,
        data: Vec<u8>,
        done: Option<oneshot::Sender<Result<(), NetworkError>>>,
    ) {
        let now = now_ms();
        let evicted = match self.index.insert(&key.0, key.1, data.len(), now) {
            Outcome::Added { evicted } => evicted,
            Outcome::Known => {
                tell(done, Ok(()));
                return;
            }
            refused => {
                let reason = format!("the log does not take the message: {refused:?}");
                // One that is handled and not kept is not to be fetched over and over.
                self.index.refuse(key.0, key.1);
                tell(done, Err(NetworkError(reason)));
                return;
            }
        };
        self.news += 1;
        self.counts.sync_log_bytes.set(self.index.bytes() as usize);
        let mut batch = Batch::new().log_message(log_key(&key), data);
        for gone in evicted {
            batch = batch
                .log_floor(gone.0.to_string(), self.index.floor(&gone.0))
                .forget_message(log_key(&gone));
        }
        let store = self.store.clone();
        self.work.spawn(async move {
            let written = store.write(batch).await;
            let failed = written.is_err();
            if let Err(error) = &written {
                tracing::error!(%error, "a coordination message was not logged");
            }
            tell(
                done,
                written
                    .map(drop)
                    .map_err(|error| NetworkError(error.to_string())),
            );
            match failed {
                true => Done::NotStored(key),
                false => Done::Stored,
            }
        });
    }

    /// Looks at the clock.
    fn look(&mut self, asleep: bool, gate: &Gate) {
        let now = Instant::now();
        self.meet(gate);
        let expired = self.index.expire(now_ms());
        if !expired.is_empty() {
            let mut batch = Batch::new();
            for key in &expired {
                batch = batch.forget_message(log_key(key));
                if self.index.floor(&key.0) <= self.index.horizon(now_ms()) {
                    batch = batch.forget_floor(key.0.to_string());
                }
            }
            let store = self.store.clone();
            self.work.spawn(async move {
                if let Err(error) = store.write(batch).await {
                    tracing::warn!(%error, "old messages stay in the log until the next start");
                }
                Done::Stored
            });
        }
        self.counts.sync_log_messages.set(self.index.len());
        self.counts.sync_log_bytes.set(self.index.bytes() as usize);
        self.peers
            .retain(|_, peer| peer.gone.is_none_or(|gone| now < gone + GONE));
        if asleep {
            // This process stood still: gossip went by.
            self.next = now;
        }
        self.log_waiting();
        self.begin();
    }

    // ---- other nodes ----

    fn peer(&mut self, peer_id: String, here: bool) {
        let now = Instant::now();
        match here {
            true => {
                if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer_id) {
                    return;
                }
                let due = now + between(AFTER_COMING.0, AFTER_COMING.1);
                let peer = self.peers.entry(peer_id).or_insert_with(|| Peer {
                    member: false,
                    gone: None,
                    due: None,
                    done: 0,
                    has: 0,
                    compared: now,
                    slow: None,
                    tokens: ASKED.0,
                    filled: now,
                });
                if peer.gone.take().is_some() {
                    peer.compared = now;
                }
                peer.due = Some(due);
            }
            false => {
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.gone = Some(now);
                    peer.due = None;
                }
            }
        }
    }

    /// Looks which of the nodes are let in by now.
    fn meet(&mut self, gate: &Gate) {
        let mut here = vec![self.own.clone()];
        for (peer_id, peer) in &mut self.peers {
            let Ok(did) = Did::from_peer_id(peer_id) else {
                continue;
            };
            peer.member = gate.has(&did);
            if peer.member && peer.gone.is_none() {
                here.push(did);
            }
        }
        self.index.vouch(here);
    }

    /// Answers a request, unless its sender asks too often.
    fn asked(&mut self, request: InboundRequest) {
        let now = Instant::now();
        let allowed = self.peers.get_mut(&request.peer_id).is_some_and(|peer| {
            let passed = now.saturating_duration_since(peer.filled).as_secs_f64();
            peer.filled = now;
            peer.tokens = (peer.tokens + passed * ASKED.1).min(ASKED.0);
            let allowed = peer.tokens >= 1.0;
            peer.tokens -= f64::from(u8::from(allowed));
            allowed
        });
        let question = request.data.strip_prefix(SYNC).filter(|_| allowed);
        let Some(question) = question.and_then(|bytes| wire::request(bytes).ok()) else {
            self.counts.sync_limited.one();
            return; // closed without an answer
        };
        if let Request::Compare { done, .. } = &question
            && let Some(peer) = self.peers.get_mut(&request.peer_id)
        {
            peer.has = peer.has.max(*done);
            peer.compared = now;
        }
        let store = &self.store;
        let response = answer(&self.index, &question, |author, stamp| {
            let key = log_key(&(author.clone(), *stamp));
            store.logged_message(&key).ok().flatten()
        });
        match wire::encode(&response) {
            Ok(bytes) => {
                self.counts.sync_answered.one();
                request.reply.send(bytes);
            }
            Err(error) => tracing::error!(%error, "an answer could not be encoded"),
        }
        self.log_waiting();
    }

    /// Begins a session, if one is due.
    fn begin(&mut self) {
        if self.session.is_some() {
            return;
        }
        let now = Instant::now();
        let here = |peer: &Peer| peer.member && peer.gone.is_none();
        let quick = |peer: &Peer| peer.slow.is_none_or(|at| at.elapsed() >= LAST);
        let anybody = self.peers.values().any(|peer| here(peer) && quick(peer));
        let here = |peer: &Peer| here(peer) && (quick(peer) || !anybody);
        let due = self
            .peers
            .iter_mut()
            .find(|(_, peer)| here(peer) && peer.due.is_some_and(|due| due <= now));
        let chosen = match due {
            Some((peer_id, peer)) => {
                peer.due = None;
                Some(peer_id.clone())
            }
            None if now >= self.next || (self.news >= MUCH && now + QUIET >= self.next + BUSY) => {
                let count = self.peers.values().filter(|peer| here(peer)).count();
                let which = Uuid::new_v4().as_u128() as usize % count.max(1);
                let mut present = self.peers.iter().filter(|(_, peer)| here(peer));
                present.nth(which).map(|(peer_id, _)| peer_id.clone())
            }
            None => return,
        };
        self.next = now + QUIET;
        self.news = 0;
        let Some(peer_id) = chosen else {
            return;
        };
        let done = self.peers.get(&peer_id).map_or(0, |peer| peer.done);
        let left = u64::try_from(LEFT_TO_GOSSIP.as_millis()).unwrap_or(0);
        self.counts.sync_sessions.one();
        let session = Session::new(now_ms().saturating_sub(left), done);
        self.session = Some((peer_id, session));
        self.ask();
    }

    /// Asks the next question of the session, or ends it.
    fn ask(&mut self) {
        let Some((peer_id, session)) = &mut self.session else {
            return;
        };
        let question = session.next(&self.index, now_ms());
        let question = question.map(|question| wire::encode(&question));
        match question {
            Some(Ok(bytes)) => {
                let (swarm, peer_id) = (self.swarm.clone(), peer_id.clone());
                let bytes = [SYNC, &bytes].concat();
                self.work.spawn(async move {
                    Done::Answer(swarm.request(&peer_id, bytes, ANSWER_TIME).await)
                });
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a question could not be encoded");
                self.session = None;
            }
            None => self.end(),
        }
    }

    fn end(&mut self) {
        let Some((peer_id, session)) = self.session.take() else {
            return;
        };
        match session.complete() {
            Some(to) => {
                self.counts.sync_complete.one();
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    let first = peer.done == 0;
                    peer.done = peer.done.max(to);
                    if first {
                        // What was too young now is not any more in a moment.
                        peer.due = Some(Instant::now() + BUSY);
                    }
                }
            }
            None => {
                if session.was_slow()
                    && let Some(peer) = self.peers.get_mut(&peer_id)
                {
                    tracing::debug!(peer_id, "another log gives nothing and takes its time");
                    peer.slow = Some(Instant::now());
                }
                self.soon();
            }
        }
    }

    fn soon(&mut self) {
        self.next = self.next.min(Instant::now() + BUSY);
    }

    fn done(&mut self, done: Done, hive: &Hive, gate: &Gate) {
        match done {
            Done::Stored => {}
            Done::NotStored(key) => self.index.remove(&key.0, &key.1),
            Done::Judged => {
                if let Some((_, session)) = &mut self.session {
                    session.judged();
                }
                self.ask();
            }
            Done::Answer(Ok(bytes)) => self.answered(&bytes, hive, gate),
            Done::Answer(Err(error)) => {
                if let Some((peer_id, _)) = self.session.take() {
                    tracing::debug!(peer_id, %error, "no answer of another log");
                }
                self.soon();
            }
        }
    }

    /// Takes an answer of the other node.
    fn answered(&mut self, bytes: &[u8], hive: &Hive, gate: &Gate) {
        let Some((peer_id, session)) = &mut self.session else {
            return;
        };
        let messages = wire::response(bytes)
            .map_err(|error| error.to_string())
            .and_then(|response| {
                let messages = session.response(&self.index, response);
                messages.map_err(|fault| fault.to_string())
            })
            .and_then(|messages| {
                let mut keyed = Vec::with_capacity(messages.len());
                for data in messages {
                    let key = key_of(&data).ok_or("a message that is none of the log")?;
                    session
                        .came(&key.0, key.1)
                        .map_err(|fault| fault.to_string())?;
                    keyed.push((key, data));
                }
                Ok(keyed)
            });
        match messages {
            Ok(messages) if messages.is_empty() => {
                session.judged();
                self.ask();
            }
            Ok(messages) => {
                // What is missing here may be missing for a reason that lasts: look again soon.
                self.soon();
                self.judge(messages, hive.clone(), gate);
            }
            Err(reason) => {
                tracing::warn!(peer_id, reason, "another log's answer breaks the rules");
                self.counts.sync_faults.one();
                self.session = None;
                self.soon();
            }
        }
    }

    /// Lets the hive judge what came, beside the task.
    fn judge(&mut self, messages: Vec<(Key, Vec<u8>)>, hive: Hive, gate: &Gate) {
        let mut new = Vec::new();
        for (key, data) in messages {
            if !gate.has(&key.0) {
                // It may be in without this node having heard of it: then it is asked for again.
                self.counts.sync_refused.one();
                continue;
            }
            if self.index.wants(&key.0, &key.1, now_ms()) && self.claimed.insert(key.clone()) {
                new.push((key, data));
            }
        }
        let Some(back) = self.back.upgrade() else {
            return;
        };
        self.work.spawn(async move {
            let hive = &hive;
            let mut settled = futures::stream::iter(new)
                .map(|(key, data)| async move {
                    let judgement = hive.caught_up(&data).await;
                    if let Judgement::Reject(reason) | Judgement::Ignore(reason) = &judgement {
                        tracing::debug!(author = %key.0, reason, "a fetched message was not taken");
                    }
                    let data = (judgement == Judgement::Accept).then_some(data);
                    Command::Settle {
                        key,
                        data,
                        synced: true,
                    }
                })
                // Their writes share commits.
                .buffered(JUDGED_AT_ONCE);
            while let Some(settled) = settled.next().await {
                if back.send(settled).await.is_err() {
                    break;
                }
            }
            Done::Judged
        });
    }
}
