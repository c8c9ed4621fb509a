//! A deterministic swarm at work: real machines and real signatures, simulated clocks, network,
//! disks and work.
//!
//! One seed decides everything. Messages are lost, delayed, duplicated and so reordered; nodes lie in
//! groups that cannot hear each other; a crash can strike between any two outputs, and the disk then
//! has lost every Persist that no later output was carried out after. Work in progress dies with its
//! node.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use pagi_messages::{Did, SigningIdentity, Verified};
use pagi_task::{
    Change, Config, Durable, FailReason, Input, LocalCapabilities, Machine, Outcome, Output, Phase,
    Recipient, TaskId, TaskKey, TaskMessage, TaskSpec, Verdict,
};

/// The simulated day begins here, in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x0074_a5c5_eed0_fa11)
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
    pub const QUIET: Self = Self {
        loss_percent: 0,
        duplicate_percent: 0,
        delay_ms: (5, 60),
    };
}

enum Event {
    Tick {
        node: usize,
        at: u64,
    },
    Deliver {
        to: usize,
        message: Rc<Verified<TaskMessage>>,
    },
    WorkDone {
        node: usize,
        life: u32,
        task: TaskKey,
        attempt: u32,
    },
}

struct Node {
    identity: SigningIdentity,
    machine: Option<Machine>,
    disk: Durable,
    /// Persisted but not yet durable.
    staged: Vec<Change>,
    clock_error: i64,
    group: usize,
    tick_at: Option<u64>,
    /// Counts starts: work of an earlier life is dead.
    life: u32,
    started_at: u64,
    crash_in: Option<usize>,
    capabilities: BTreeSet<String>,
    work_ms: (u64, u64),
}

/// What happened, for the invariants.
#[derive(Default)]
pub struct Trace {
    /// Tasks that became durable at their asker.
    pub asked: BTreeMap<TaskKey, TaskSpec>,
    /// Who was assigned what, as sent.
    pub assigned: BTreeMap<TaskKey, BTreeMap<u32, BTreeSet<usize>>>,
    /// Every Done: worker, attempt, output.
    pub done: BTreeMap<TaskKey, BTreeSet<(Did, u32, String)>>,
    /// The highest attempt assigned when Done was said first.
    pub latest_at_done: BTreeMap<TaskKey, u32>,
    pub failed: BTreeMap<TaskKey, BTreeSet<String>>,
    pub reasons: BTreeMap<TaskKey, FailReason>,
    /// When each task ended, in simulated time, by the node that asked.
    pub ended: BTreeMap<TaskKey, u64>,
    /// Nodes that were told that their result was accepted.
    pub accepted: BTreeMap<TaskKey, BTreeSet<(usize, u32)>>,
    /// Results sent: by whom, under which attempt.
    pub results: BTreeSet<(TaskKey, usize, u32)>,
    /// Work begun: by whom, under which attempt.
    pub starts: BTreeMap<TaskKey, BTreeSet<(usize, u32)>>,
    /// Messages refused as misbehaviour. All nodes here are honest.
    pub misbehaviour: Vec<String>,
    pub sent: usize,
}

pub struct Sim {
    pub config: Config,
    pub net: Net,
    pub rng: Rng,
    pub trace: Trace,
    /// (node, task) pairs where the work fails.
    pub unable: BTreeSet<(usize, TaskId)>,
    now: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
}

impl Sim {
    pub fn new(seed: u64, n: usize, net: Net, config: Config) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = (0..n)
            .map(|index| Node {
                identity: SigningIdentity::from_seed(&[index as u8 + 1; 32]),
                machine: None,
                disk: Durable::default(),
                staged: Vec::new(),
                clock_error: rng.between(0, 1_000) as i64 - 500,
                group: 0,
                tick_at: None,
                life: 0,
                started_at: 0,
                crash_in: None,
                capabilities: BTreeSet::from(["any".to_owned()]),
                work_ms: (200, 4_000),
            })
            .collect();
        let mut sim = Self {
            config,
            net,
            rng,
            trace: Trace::default(),
            unable: BTreeSet::new(),
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            nodes,
        };
        for node in 0..n {
            sim.start(node);
        }
        sim
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn did(&self, node: usize) -> &Did {
        self.nodes[node].identity.did()
    }

    pub fn node_of(&self, did: &Did) -> usize {
        (0..self.len()).find(|node| self.did(*node) == did).unwrap()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].machine.is_some()
    }

    pub fn started_at(&self, node: usize) -> u64 {
        self.nodes[node].started_at
    }

    pub fn disk(&self, node: usize) -> &Durable {
        &self.nodes[node].disk
    }

    pub fn machine(&self, node: usize) -> &Machine {
        self.nodes[node].machine.as_ref().unwrap()
    }

    pub fn set_group(&mut self, node: usize, group: usize) {
        self.nodes[node].group = group;
    }

    pub fn heal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.group = 0);
    }

    pub fn set_capabilities(&mut self, node: usize, names: &[&str]) {
        self.nodes[node].capabilities = names.iter().map(|name| (*name).to_owned()).collect();
        self.tell_capabilities(node);
    }

    pub fn has_capability(&self, node: usize, name: &str) -> bool {
        self.nodes[node].capabilities.contains(name)
    }

    pub fn set_work_ms(&mut self, node: usize, from: u64, to: u64) {
        self.nodes[node].work_ms = (from, to);
    }

    fn tell_capabilities(&mut self, node: usize) {
        let local = LocalCapabilities {
            twin: self.did(node).clone(),
            capabilities: self.nodes[node].capabilities.clone(),
            keywords: BTreeSet::new(),
        };
        self.drive(node, Input::Capabilities(Some(local)));
    }

    fn clock(&self, node: usize) -> u64 {
        (EPOCH_MS + self.now).saturating_add_signed(self.nodes[node].clock_error)
    }

    pub fn start(&mut self, node: usize) {
        let (clock, config, now) = (self.clock(node), self.config.clone(), self.now);
        let this = &mut self.nodes[node];
        let did = this.identity.did().clone();
        this.machine = Some(Machine::new(config, did, this.disk.clone(), clock));
        this.life += 1;
        this.started_at = now;
        self.tell_capabilities(node);
    }

    pub fn crash(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.machine = None;
        this.staged.clear();
        this.tick_at = None;
        this.crash_in = None;
    }

    /// Crashes the node before its next but `outputs` output; never with nothing.
    pub fn crash_after(&mut self, node: usize, outputs: Option<usize>) {
        self.nodes[node].crash_in = outputs;
    }

    /// Gives a task to a node that is up. The key of the task, durable or not.
    pub fn ask(&mut self, node: usize, id: &str, need: &str, within_ms: u64) -> TaskKey {
        let id: TaskId = id.parse().unwrap();
        let asker = self.did(node).clone();
        let spec = TaskSpec {
            id: id.clone(),
            twin: asker.clone(),
            goal: format!("the goal of {id}"),
            summary: String::new(),
            keywords: vec!["word".into()],
            needs: vec![need.into()],
            deadline_ms: EPOCH_MS + self.now + within_ms,
        };
        self.drive(node, Input::LocalTask(spec));
        TaskKey { asker, id }
    }

    fn push(&mut self, delay: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), event);
    }

    fn schedule_tick(&mut self, node: usize) {
        let clock = self.clock(node);
        let now = self.now;
        let this = &mut self.nodes[node];
        let Some(machine) = &this.machine else { return };
        let next = machine.next_tick_ms();
        assert!(next > clock, "a tick must lie ahead");
        let at = now + (next - clock);
        if this.tick_at.is_none_or(|due| at < due || due <= now) {
            this.tick_at = Some(at);
            self.push(at - now, Event::Tick { node, at });
        }
    }

    fn transmit(&mut self, from: usize, to: usize, message: &Rc<Verified<TaskMessage>>) {
        if to == from || self.nodes[to].group != self.nodes[from].group {
            return;
        }
        let copies = 1 + u64::from(self.rng.percent(self.net.duplicate_percent));
        for _ in 0..copies {
            if !self.rng.percent(self.net.loss_percent) {
                let delay = self.rng.between(self.net.delay_ms.0, self.net.delay_ms.1);
                let message = Rc::clone(message);
                self.push(delay, Event::Deliver { to, message });
            }
        }
    }

    fn commit(&mut self, node: usize) {
        let asker = self.did(node).clone();
        let this = &mut self.nodes[node];
        for change in std::mem::take(&mut this.staged) {
            if let Change::Asked(id, Some(record)) = &change {
                let key = TaskKey {
                    asker: asker.clone(),
                    id: id.clone(),
                };
                self.trace.asked.insert(key, record.spec.clone());
            }
            this.disk.apply(change);
        }
    }

    /// Gives a node an input and carries out what it answers, as a driver does.
    pub fn drive(&mut self, node: usize, input: Input) {
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
            if let Output::Persist(change) = output {
                self.nodes[node].staged.push(change);
            } else {
                self.commit(node);
                self.carry_out(node, output);
            }
        }
        if self.nodes[node].crash_in == Some(0) {
            self.crash(node);
            return;
        }
        self.commit(node);
        self.schedule_tick(node);
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let asker = self.did(node).clone();
        let own = |id: TaskId| TaskKey {
            asker: asker.clone(),
            id,
        };
        match output {
            Output::Send { to, message } => self.send(node, &to, message),
            Output::Start { task, attempt, .. } => {
                let (from, to) = self.nodes[node].work_ms;
                let delay = self.rng.between(from, to);
                let life = self.nodes[node].life;
                let begun = self.trace.starts.entry(task.clone()).or_default();
                begun.insert((node, attempt));
                let work = Event::WorkDone {
                    node,
                    life,
                    task,
                    attempt,
                };
                self.push(delay, work);
            }
            Output::Settled {
                task,
                attempt,
                verdict,
            } => {
                if verdict == Verdict::Accepted {
                    let accepted = self.trace.accepted.entry(task).or_default();
                    accepted.insert((node, attempt));
                }
            }
            Output::Done {
                id,
                worker,
                attempt,
                output,
                ..
            } => {
                let key = own(id);
                let latest = self.trace.assigned.get(&key).and_then(|a| a.keys().max());
                let latest = latest.copied().unwrap_or(0);
                let known = self.trace.latest_at_done.entry(key.clone());
                known.or_insert(latest);
                self.trace.ended.entry(key.clone()).or_insert(self.now);
                let done = self.trace.done.entry(key).or_default();
                done.insert((worker, attempt, output));
            }
            Output::Failed { id, reason } => {
                let key = own(id);
                self.trace.ended.entry(key.clone()).or_insert(self.now);
                let failed = self.trace.failed.entry(key.clone()).or_default();
                failed.insert(reason.to_string());
                self.trace.reasons.insert(key, reason);
            }
            Output::Refused { author, reason } => {
                if reason.is_misbehaviour() {
                    let text = format!("{node} of {}: {reason}", self.node_of(&author));
                    self.trace.misbehaviour.push(text);
                }
            }
            Output::Persist(_)
            | Output::Abort { .. }
            | Output::Assigned { .. }
            | Output::Progress { .. }
            | Output::Rejected { .. } => {}
        }
    }

    fn send(&mut self, node: usize, to: &Recipient, message: TaskMessage) {
        match &message {
            TaskMessage::Assign {
                id,
                worker,
                attempt,
                ..
            } => {
                let key = TaskKey {
                    asker: self.did(node).clone(),
                    id: id.clone(),
                };
                let worker = self.node_of(worker);
                let attempts = self.trace.assigned.entry(key).or_default();
                attempts.entry(*attempt).or_default().insert(worker);
            }
            TaskMessage::Result { task, attempt, .. } => {
                self.trace.results.insert((task.clone(), node, *attempt));
            }
            _ => {}
        }
        self.trace.sent += 1;
        let message = Rc::new(Verified::sign(&self.nodes[node].identity, message).unwrap());
        match to {
            Recipient::Everyone => {
                for to in 0..self.len() {
                    self.transmit(node, to, &message);
                }
            }
            Recipient::Only(did) => self.transmit(node, self.node_of(did), &message),
        }
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
                let message = Box::new(Verified::clone(&message));
                self.drive(to, Input::Message(message));
            }
            Event::WorkDone {
                node,
                life,
                task,
                attempt,
            } => {
                if self.nodes[node].life == life {
                    let outcome = if self.unable.contains(&(node, task.id.clone())) {
                        Outcome::Failed {
                            reason: "this node cannot".into(),
                        }
                    } else {
                        Outcome::Completed {
                            output: format!("{} by {node}", task.id),
                        }
                    };
                    let input = Input::LocalResult {
                        task,
                        attempt,
                        outcome,
                    };
                    self.drive(node, input);
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

    /// Runs until `done` holds, looked at every 20 ms, for at most `ms`. Whether it came to hold.
    pub fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + ms;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            self.run_for(20);
        }
        true
    }

    /// The worker a task is with, as its asker sees it.
    pub fn worker(&self, key: &TaskKey) -> Option<usize> {
        let asker = self.node_of(&key.asker);
        let (_, record) = self.machine(asker).asked().find(|(id, _)| **id == key.id)?;
        match &record.phase {
            Phase::Assigned { worker } => Some(self.node_of(&worker.did)),
            _ => None,
        }
    }

    pub fn is_done(&self, key: &TaskKey) -> bool {
        self.trace.done.contains_key(key)
    }

    pub fn is_over(&self, key: &TaskKey) -> bool {
        self.trace.ended.contains_key(key)
    }
}
