//! How the election grows: the real machine on 10 to 10,000 nodes, with loss, churn and a partition.
//!
//! ```text
//! cargo run -p pagi-election --example scale --config 'profile.dev.package.pagi-election.opt-level=3' -- [SEED] [SIZES…] [seeds=N]
//! ```
//!
//! Network and clocks are simulated from one seed, which is printed; signatures are real. A message
//! takes one hop of 5 to 100 ms for every factor of 8 in the number of nodes, and is lost with the
//! given chance on its way to each receiver. Drivers report who comes and goes a second later, as
//! presence would. Convergence is the time until 99 of 100 running nodes follow one running MO.
//!
//! At every step it is checked that no voter gives two votes in a term, crashes and restarts included,
//! that no stored term falls, and that no node follows a lower term than before within one life. The run
//! ends with the seed where one does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a simulation that cannot go on has failed"
)]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    rc::Rc,
    time::Instant,
};

use pagi_election::{Config, Durable, ElectionMessage, Input, Machine, Output};
use pagi_messages::{Did, SigningIdentity, Verified};

const EPOCH_MS: u64 = 1_700_000_000_000;
/// Nodes that are first to come up: until they are heard of.
const REPORT_MS: u64 = 1_000;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

enum Event {
    Tick { node: usize, at: u64 },
    Deliver { to: usize, message: usize },
}

struct Node {
    identity: SigningIdentity,
    machine: Option<Machine>,
    disk: Durable,
    group: usize,
    tick_at: u64,
    /// The highest term it followed in its present life.
    followed: u64,
}

struct Sim {
    nodes: Vec<Node>,
    loss: u64,
    hops: u64,
    rng: Rng,
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    messages: Vec<Rc<Verified<ElectionMessage>>>,
    sent: u64,
    received: u64,
    elections: u64,
    seed: u64,
    /// Whom each node voted for in each term.
    votes: BTreeMap<(usize, u64), (Did, String)>,
}

impl Sim {
    fn new(seed: u64, n: usize, loss: u64) -> Self {
        let nodes = (0..n)
            .map(|i| {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key[8..16].copy_from_slice(&(i as u64).to_le_bytes());
                Node {
                    identity: SigningIdentity::from_seed(&key),
                    machine: None,
                    disk: Durable::default(),
                    group: 0,
                    tick_at: 0,
                    followed: 0,
                }
            })
            .collect();
        let hops = 1 + (n as f64).log(8.0).floor() as u64;
        let mut sim = Self {
            nodes,
            loss,
            hops,
            rng: Rng(seed ^ 0x5eed),
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            messages: Vec::new(),
            sent: 0,
            received: 0,
            elections: 0,
            seed,
            votes: BTreeMap::new(),
        };
        (0..n).for_each(|node| sim.start(node));
        for node in 0..n {
            for other in 0..n {
                sim.report(node, other, true);
            }
            sim.schedule(node);
        }
        sim
    }

    fn did(&self, node: usize) -> &Did {
        self.nodes[node].identity.did()
    }

    fn start(&mut self, node: usize) {
        let (seed, clock) = (self.rng.next(), EPOCH_MS + self.now);
        let this = &mut self.nodes[node];
        let did = this.identity.did().clone();
        let machine = Machine::new(Config::default(), did, this.disk.clone(), clock, seed);
        this.machine = Some(machine);
        this.tick_at = 0;
        this.followed = 0;
    }

    /// Tells one node's machine that another came or went; what follows of it follows at its tick.
    fn report(&mut self, node: usize, other: usize, up: bool) {
        if node == other {
            return;
        }
        let did = self.did(other).clone();
        let input = if up {
            Input::MemberSeen { did, reputation: 1 }
        } else {
            Input::MemberLost { did }
        };
        self.drive(node, input);
    }

    fn push(&mut self, at: u64, event: Event) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.events[slot] = Some(event);
                slot
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.order += 1;
        self.queue.push(Reverse((at, self.order, slot)));
    }

    fn schedule(&mut self, node: usize) {
        let clock = EPOCH_MS + self.now;
        let this = &mut self.nodes[node];
        let Some(machine) = &this.machine else { return };
        let at = self.now + machine.next_tick_ms().saturating_sub(clock).max(1);
        if this.tick_at <= self.now || at < this.tick_at {
            this.tick_at = at;
            self.push(at, Event::Tick { node, at });
        }
    }

    fn drive(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let clock = EPOCH_MS + self.now;
            let Some(machine) = &mut self.nodes[node].machine else {
                return;
            };
            for output in machine.handle(input, clock) {
                match output {
                    Output::Persist(durable) => {
                        let disk = &mut self.nodes[node].disk;
                        let falls = durable.term < disk.term || durable.certified < disk.certified;
                        assert!(!falls, "seed {}: a stored term of {node} falls", self.seed);
                        *disk = durable;
                    }
                    Output::Send(body) => {
                        self.check_vote(node, &body);
                        let message = Verified::sign(&self.nodes[node].identity, body).unwrap();
                        self.broadcast(node, &message);
                        inputs.push_back(Input::Message(message));
                    }
                    Output::Elected { mo, term, .. } => {
                        let seed = self.seed;
                        let followed = &mut self.nodes[node].followed;
                        assert!(
                            term >= *followed,
                            "seed {seed}: {node} follows a lower term"
                        );
                        *followed = term;
                        self.elections += u64::from(mo == *self.did(node));
                    }
                    Output::Vacant { .. } | Output::Refused { .. } => {}
                }
            }
        }
    }

    fn check_vote(&mut self, node: usize, body: &ElectionMessage) {
        let ElectionMessage::Vote {
            term,
            candidate,
            electorate,
            ..
        } = body
        else {
            return;
        };
        let vote = (candidate.clone(), electorate.to_string());
        let first = self
            .votes
            .entry((node, *term))
            .or_insert_with(|| vote.clone());
        let seed = self.seed;
        assert!(
            *first == vote,
            "seed {seed}: {node} votes twice in term {term}"
        );
    }

    fn broadcast(&mut self, from: usize, message: &Verified<ElectionMessage>) {
        self.sent += 1;
        self.messages.push(Rc::new(message.clone()));
        let id = self.messages.len() - 1;
        for to in 0..self.nodes.len() {
            let reaches = to != from && self.nodes[to].group == self.nodes[from].group;
            if !reaches || self.rng.below(100) < self.loss {
                continue;
            }
            let delay: u64 = (0..self.hops).map(|_| 5 + self.rng.below(96)).sum();
            self.push(self.now + delay, Event::Deliver { to, message: id });
        }
    }

    fn run_for(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(Reverse((at, _, slot))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            let event = self.events[slot].take();
            self.free.push(slot);
            match event {
                Some(Event::Tick { node, at }) if self.nodes[node].tick_at == at => {
                    self.nodes[node].tick_at = 0;
                    self.drive(node, Input::Tick);
                    self.schedule(node);
                }
                Some(Event::Deliver { to, message }) if self.nodes[to].machine.is_some() => {
                    self.received += 1;
                    let message = Verified::clone(&self.messages[message]);
                    self.drive(to, Input::Message(message));
                    self.schedule(to);
                }
                _ => {}
            }
        }
        self.now = until;
    }

    /// The share of a group's running nodes that follow the MO most of them follow, if that runs.
    fn agreement(&self, group: usize) -> f64 {
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].group == group && self.nodes[*node].machine.is_some())
            .collect();
        let mut counts: std::collections::BTreeMap<Did, usize> = Default::default();
        for node in &up {
            let leader = self.nodes[*node].machine.as_ref().and_then(Machine::leader);
            if let Some(leader) = leader {
                *counts.entry(leader.did).or_default() += 1;
            }
        }
        let best = counts.into_iter().max_by_key(|(_, count)| *count);
        match best {
            Some((mo, count)) if up.iter().any(|node| *self.did(*node) == mo) => {
                count as f64 / up.len() as f64
            }
            _ => 0.0,
        }
    }

    /// Runs until the groups agree; how long that took.
    fn converge(&mut self, groups: &[usize], limit: u64) -> Option<u64> {
        let start = self.now;
        loop {
            if groups.iter().all(|group| self.agreement(*group) >= 0.99) {
                return Some(self.now - start);
            }
            if self.now - start > limit {
                self.complain(groups);
                return None;
            }
            self.run_for(50);
        }
    }

    /// Says what keeps the groups from agreeing.
    fn complain(&self, groups: &[usize]) {
        eprintln!("seed {}, {} ms: no agreement", self.seed, self.now);
        let apart = groups.iter().filter(|group| self.agreement(**group) < 0.99);
        for group in apart {
            for (at, node) in self.nodes.iter().enumerate().take(40) {
                let Some(machine) = node.machine.as_ref().filter(|_| node.group == *group) else {
                    continue;
                };
                let status = machine.status(EPOCH_MS + self.now);
                let mo = status
                    .mo
                    .and_then(|mo| (0..self.nodes.len()).find(|other| *self.did(*other) == mo));
                eprintln!(
                    "  {at} of group {group}: {:?}, MO {mo:?}, term {}, stored {:?}, {} live; {}",
                    status.role,
                    status.term,
                    (node.disk.term, node.disk.certified),
                    machine.view().len(),
                    status.why_not_me
                );
            }
        }
    }

    fn mo(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|node| {
            let machine = self.nodes[*node].machine.as_ref();
            machine.is_some_and(Machine::is_mo)
        })
    }

    fn report_to_all(&mut self, changes: &[(usize, bool)]) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].machine.is_none() {
                continue;
            }
            for (other, up) in changes {
                if self.nodes[*other].group == self.nodes[node].group || !*up {
                    self.report(node, *other, *up);
                }
            }
            self.schedule(node);
        }
    }

    /// A second in which `leaving` nodes crash and those that crashed before come back.
    fn churn(&mut self, leaving: usize, gone: &mut VecDeque<Vec<usize>>) {
        let n = self.nodes.len() as u64;
        let mut left = Vec::new();
        for _ in 0..leaving {
            let node = self.rng.below(n) as usize;
            if self.nodes[node].machine.take().is_some() {
                left.push(node);
            }
        }
        let back = if gone.len() >= 3 {
            gone.pop_front()
        } else {
            None
        };
        let back = back.unwrap_or_default();
        gone.push_back(left.clone());
        self.run_for(REPORT_MS);
        let mut changes: Vec<(usize, bool)> = left.into_iter().map(|node| (node, false)).collect();
        for node in &back {
            self.start(*node);
            for other in 0..self.nodes.len() {
                if self.nodes[other].machine.is_some() {
                    self.report(*node, other, true);
                }
            }
            changes.push((*node, true));
        }
        self.report_to_all(&changes);
    }
}

fn percentile(mut values: Vec<u64>, percent: usize) -> u64 {
    values.sort();
    let at = (values.len() * percent).div_ceil(100).max(1) - 1;
    values.get(at).copied().unwrap_or(0)
}

fn times(values: &[Option<u64>]) -> String {
    let good: Vec<u64> = values.iter().flatten().copied().collect();
    let missed = values.len() - good.len();
    let text = format!("{}/{}", percentile(good.clone(), 50), percentile(good, 99));
    if missed == 0 {
        text
    } else {
        format!("{text} ({missed} not in time)")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seed: u64 = arguments.next().map_or(1, |seed| {
        seed.parse().unwrap_or_else(|_| panic!("{seed} is no seed"))
    });
    let rest: Vec<String> = arguments.collect();
    let wanted: Option<u64> = rest
        .iter()
        .find_map(|text| text.strip_prefix("seeds=")?.parse().ok());
    let mut sizes: Vec<usize> = rest.iter().filter_map(|size| size.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10, 100, 1000, 10_000];
    }
    println!(
        "times in ms of simulated time, p50/p99 over the seeds; 10 % loss; churn 1 % of nodes a second"
    );
    println!(
        "| nodes | seeds | first MO | dead MO replaced | both halves | healed | churn: agreed | MOs in 20 s | sent/node/s | received/node/s | took s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for n in sizes {
        let usual = match n {
            0..=10 => 30,
            11..=100 => 10,
            101..=1000 => 3,
            _ => 1,
        };
        let runs = wanted.unwrap_or(usual);
        let started = Instant::now();
        let (mut first, mut dead, mut split, mut healed) = (vec![], vec![], vec![], vec![]);
        let (mut agreed, mut looked, mut mos, mut sent, mut received) = (0, 0, 0, 0.0, 0.0);
        for seed in seed..seed + runs {
            let mut sim = Sim::new(seed, n, 10);
            first.push(sim.converge(&[0], 60_000));
            if let Some(mo) = sim.mo() {
                sim.nodes[mo].machine = None;
                dead.push(sim.converge(&[0], 60_000));
                sim.report_to_all(&[(mo, false)]);
                sim.start(mo);
                for other in 0..n {
                    sim.report(mo, other, true);
                }
                sim.report_to_all(&[(mo, true)]);
            }
            sim.run_for(6_000);
            let (half, all): (Vec<usize>, Vec<usize>) = ((0..n / 2).collect(), (0..n).collect());
            for node in &half {
                sim.nodes[*node].group = 1;
            }
            for node in &all {
                for other in &all {
                    if sim.nodes[*node].group != sim.nodes[*other].group {
                        sim.report(*node, *other, false);
                    }
                }
            }
            split.push(sim.converge(&[0, 1], 60_000));
            sim.nodes.iter_mut().for_each(|node| node.group = 0);
            for node in &all {
                for other in &all {
                    sim.report(*node, *other, true);
                }
                sim.schedule(*node);
            }
            healed.push(sim.converge(&[0], 60_000));
            sim.run_for(12_000);
            let (before, at) = ((sim.sent, sim.received, sim.elections), sim.now);
            let mut gone = VecDeque::new();
            for _ in 0..20 {
                let few = usize::from(n >= 10 && sim.rng.below(10) == 0);
                sim.churn((n / 100).max(few), &mut gone);
                looked += 1;
                agreed += usize::from(sim.agreement(0) >= 0.95);
            }
            let seconds = (sim.now - at) as f64 / 1000.0;
            sent += (sim.sent - before.0) as f64 / n as f64 / seconds / runs as f64;
            received += (sim.received - before.1) as f64 / n as f64 / seconds / runs as f64;
            mos += sim.elections - before.2;
        }
        println!(
            "| {n} | {seed}..{} | {} | {} | {} | {} | {:.0} % | {:.1} | {sent:.3} | {received:.2} | {:.0} |",
            seed + runs - 1,
            times(&first),
            times(&dead),
            times(&split),
            times(&healed),
            100.0 * agreed as f64 / looked.max(1) as f64,
            mos as f64 / runs as f64,
            started.elapsed().as_secs_f64(),
        );
    }
}
