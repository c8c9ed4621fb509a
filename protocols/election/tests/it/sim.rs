//! A deterministic swarm: real machines and real signatures, simulated clocks, network and disks.
//!
//! One seed decides everything. Messages are lost, delayed, duplicated and so reordered; nodes lie
//! in groups that cannot hear each other; a crash can strike between any two outputs, and the disk
//! then has lost every Persist that was not committed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use cid::Cid;
use pagi_election::{Config, Durable, ElectionMessage, Input, Leader, Machine, Output};
use pagi_messages::{Did, SigningIdentity, Verified};

/// The simulated day begins here, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// How often a node says that it is present.
const PRESENCE_MS: u64 = 1_000;
/// After how much silence a node is lost to the others.
const PRESENCE_TIMEOUT_MS: u64 = 5_000;

/// SplitMix64, separate from the machines' own.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x005e_ed0f_a11d_1ce5)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn index(&mut self, len: usize) -> usize {
        (self.next() % len as u64) as usize
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What the network does to messages.
#[derive(Clone, Copy)]
pub struct Net {
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    pub delay_ms: (u64, u64),
}

impl Net {
    pub fn with_loss(loss_percent: u64) -> Self {
        Self {
            loss_percent,
            duplicate_percent: 3,
            delay_ms: (5, 100),
        }
    }
}

enum Event {
    Tick {
        node: usize,
        at: u64,
    },
    Deliver {
        to: usize,
        message: Rc<Verified<ElectionMessage>>,
    },
    Presence {
        node: usize,
    },
    PresenceArrives {
        to: usize,
        from: usize,
    },
}

struct Node {
    identity: SigningIdentity,
    machine: Option<Machine>,
    /// What is committed.
    disk: Durable,
    /// What was persisted but not committed.
    staged: Option<Durable>,
    /// Added to the simulated time by this node's clock; may step.
    clock_error: i64,
    group: usize,
    tick_at: Option<u64>,
    heard: BTreeMap<usize, u64>,
    /// Crash before this many more outputs are carried out.
    crash_in: Option<usize>,
}

/// What happened, for the invariants.
#[derive(Default)]
pub struct Trace {
    /// Every ballot ever sent, by voter and term.
    pub ballots: BTreeMap<(Did, u64), BTreeSet<(Did, Cid)>>,
    /// (term, certified) of each node at every commit and every start, in order.
    pub terms: BTreeMap<usize, Vec<(u64, u64)>>,
    /// The MOs and terms each node followed in its present life, in order.
    pub followed: BTreeMap<usize, Vec<(Did, u64)>>,
    /// (time, node, MO) whenever a node's MO became another node than before.
    pub changes: Vec<(u64, usize, Did)>,
    last_mo: BTreeMap<usize, Did>,
    /// Messages sent.
    pub sent: usize,
}

pub struct Sim {
    pub config: Config,
    pub net: Net,
    pub rng: Rng,
    pub trace: Trace,
    /// A driver with a bug: it sends before it commits.
    pub commits_late: bool,
    /// Whether the drivers report members at all.
    pub reports_members: bool,
    /// What one message costs the one machine that all nodes share, in microseconds.
    pub cost_us: u64,
    /// Until when it is busy.
    busy_us: u64,
    now: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
}

impl Sim {
    /// `n` nodes, none of them started.
    pub fn new(seed: u64, n: usize, net: Net) -> Self {
        let nodes = (0..n)
            .map(|i| {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key[8..16].copy_from_slice(&(i as u64).to_le_bytes());
                Node {
                    identity: SigningIdentity::from_seed(&key),
                    machine: None,
                    disk: Durable::default(),
                    staged: None,
                    clock_error: 0,
                    group: 0,
                    tick_at: None,
                    heard: BTreeMap::new(),
                    crash_in: None,
                }
            })
            .collect();
        let mut sim = Self {
            config: Config::default(),
            net,
            rng: Rng::new(seed),
            trace: Trace::default(),
            commits_late: false,
            reports_members: true,
            cost_us: 0,
            busy_us: 0,
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            nodes,
        };
        for node in 0..n {
            sim.nodes[node].clock_error = sim.rng.between(0, 4_000) as i64 - 2_000;
        }
        sim
    }

    /// The same, with every node started.
    pub fn started(seed: u64, n: usize, net: Net) -> Self {
        let mut sim = Self::new(seed, n, net);
        for node in 0..n {
            sim.start(node);
        }
        sim
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn did(&self, node: usize) -> &Did {
        self.nodes[node].identity.did()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].machine.is_some()
    }

    pub fn leader(&self, node: usize) -> Option<Leader> {
        self.nodes[node].machine.as_ref().and_then(Machine::leader)
    }

    /// The one node that the others call MO, if they agree.
    pub fn mo(&self) -> Option<usize> {
        let up = (0..self.len()).find(|node| self.is_up(*node))?;
        let leader = self.leader(up)?;
        (0..self.len()).find(|node| *self.did(*node) == leader.did)
    }

    pub fn group(&self, node: usize) -> usize {
        self.nodes[node].group
    }

    pub fn set_group(&mut self, node: usize, group: usize) {
        self.nodes[node].group = group;
    }

    pub fn heal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.group = 0);
    }

    /// Sets a node's clock forward or back.
    pub fn step_clock(&mut self, node: usize, by_ms: i64) {
        self.nodes[node].clock_error += by_ms;
    }

    fn clock(&self, node: usize) -> u64 {
        (EPOCH_MS + self.now).saturating_add_signed(self.nodes[node].clock_error)
    }

    pub fn start(&mut self, node: usize) {
        let seed = self.rng.next();
        let (clock, config) = (self.clock(node), self.config.clone());
        let this = &mut self.nodes[node];
        let did = this.identity.did().clone();
        this.machine = Some(Machine::new(config, did, this.disk.clone(), clock, seed));
        this.heard.clear();
        let terms = (this.disk.term, this.disk.certified);
        self.trace.terms.entry(node).or_default().push(terms);
        self.trace.followed.insert(node, Vec::new());
        self.push(1, Event::Presence { node });
        self.schedule_tick(node);
    }

    pub fn crash(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.machine = None;
        this.staged = None;
        this.tick_at = None;
        this.crash_in = None;
    }

    /// Crashes the node before its next but `outputs` output.
    pub fn crash_after(&mut self, node: usize, outputs: usize) {
        self.nodes[node].crash_in = Some(outputs);
    }

    fn push(&mut self, delay: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), event);
    }

    fn schedule_tick(&mut self, node: usize) {
        let clock = self.clock(node);
        let this = &mut self.nodes[node];
        let Some(machine) = &this.machine else { return };
        let next = machine.next_tick_ms();
        assert!(
            next > clock || this.clock_error != 0,
            "a tick must lie ahead"
        );
        let at = self.now + next.saturating_sub(clock).max(1);
        if this.tick_at.is_none_or(|due| at < due || due <= self.now) {
            this.tick_at = Some(at);
            self.push(at - self.now, Event::Tick { node, at });
        }
    }

    /// Sends to everyone in the sender's group, through the network.
    fn broadcast(&mut self, from: usize, cost_us: u64, make: impl Fn(usize) -> Event) {
        for to in 0..self.nodes.len() {
            if to == from || self.nodes[to].group != self.nodes[from].group {
                continue;
            }
            let copies = 1 + u64::from(self.rng.percent(self.net.duplicate_percent));
            for _ in 0..copies {
                if !self.rng.percent(self.net.loss_percent) {
                    let delay = self.rng.between(self.net.delay_ms.0, self.net.delay_ms.1);
                    self.busy_us = self.busy_us.max(self.now * 1000) + cost_us;
                    let busy = (self.busy_us / 1000).saturating_sub(self.now);
                    self.push(delay.max(busy), make(to));
                }
            }
        }
    }

    fn commit(&mut self, node: usize) {
        if let Some(durable) = self.nodes[node].staged.take() {
            let terms = (durable.term, durable.certified);
            self.trace.terms.entry(node).or_default().push(terms);
            self.nodes[node].disk = durable;
        }
    }

    /// Gives a node an input and carries out what it answers, as a driver does.
    pub fn drive(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let clock = self.clock(node);
            let Some(machine) = &mut self.nodes[node].machine else {
                return;
            };
            for output in machine.handle(input, clock) {
                if let Some(left) = &mut self.nodes[node].crash_in {
                    if *left == 0 {
                        self.crash(node);
                        return;
                    }
                    *left -= 1;
                }
                match output {
                    Output::Persist(durable) => self.nodes[node].staged = Some(durable),
                    Output::Send(body) => {
                        if !self.commits_late {
                            self.commit(node);
                        }
                        inputs.push_back(Input::Message(self.send(node, body)));
                    }
                    Output::Elected {
                        mo,
                        term,
                        certificate,
                    } => {
                        assert_eq!((&certificate.mo, certificate.term), (&mo, term));
                        self.trace
                            .followed
                            .entry(node)
                            .or_default()
                            .push((mo.clone(), term));
                        if self.trace.last_mo.insert(node, mo.clone()).as_ref() != Some(&mo) {
                            self.trace.changes.push((self.now, node, mo));
                        }
                    }
                    Output::Vacant { .. } | Output::Refused { .. } => {}
                }
            }
            if self.nodes[node].crash_in == Some(0) {
                self.crash(node);
                return;
            }
            self.commit(node);
        }
        self.schedule_tick(node);
    }

    fn send(&mut self, node: usize, body: ElectionMessage) -> Verified<ElectionMessage> {
        let message = Verified::sign(&self.nodes[node].identity, body).unwrap();
        if let ElectionMessage::Vote {
            term,
            candidate,
            electorate,
            ..
        } = message.body()
        {
            self.trace
                .ballots
                .entry((message.author().clone(), *term))
                .or_default()
                .insert((candidate.clone(), *electorate));
        }
        self.trace.sent += 1;
        let shared = Rc::new(message.clone());
        self.broadcast(node, self.cost_us, |to| Event::Deliver {
            to,
            message: Rc::clone(&shared),
        });
        message
    }

    fn presence(&mut self, node: usize) {
        if !self.is_up(node) {
            return;
        }
        self.broadcast(node, 0, |to| Event::PresenceArrives { to, from: node });
        let now = self.now;
        let heard = &mut self.nodes[node].heard;
        let lost: Vec<usize> = heard
            .iter()
            .filter(|(_, last)| now - **last > PRESENCE_TIMEOUT_MS)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in lost {
            self.nodes[node].heard.remove(&peer);
            let did = self.did(peer).clone();
            self.drive(node, Input::MemberLost { did });
        }
        let next = self.rng.between(PRESENCE_MS - 100, PRESENCE_MS + 100);
        self.push(next, Event::Presence { node });
    }

    /// Runs the next event if it is due by `until`. False where there was none.
    fn step(&mut self, until: u64) -> bool {
        let Some(entry) = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        else {
            return false;
        };
        self.now = entry.key().0;
        match entry.remove() {
            Event::Tick { node, at } => {
                if self.nodes[node].tick_at == Some(at) {
                    self.nodes[node].tick_at = None;
                    self.drive(node, Input::Tick);
                }
            }
            Event::Deliver { to, message } => {
                self.drive(to, Input::Message(Verified::clone(&message)));
            }
            Event::Presence { node } => self.presence(node),
            Event::PresenceArrives { to, from } => {
                if self.is_up(to) && self.reports_members {
                    self.nodes[to].heard.insert(from, self.now);
                    let did = self.did(from).clone();
                    self.drive(to, Input::MemberSeen { did, reputation: 1 });
                }
            }
        }
        true
    }

    pub fn run_for(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `done` holds, looked at every 20 ms, for at most `ms`. How long it took, or
    /// nothing.
    pub fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        let start = self.now;
        loop {
            if done(self) {
                return Some(self.now - start);
            }
            if self.now >= start + ms {
                return None;
            }
            self.run_for(20);
        }
    }
}
