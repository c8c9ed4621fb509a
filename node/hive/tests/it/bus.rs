//! A network in memory at the seam of the hive's ports, with partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use cid::Cid;
use pagi_election::Config;
use pagi_hive::{
    Hive, HiveConfig, Judgement, Review,
    ports::{Content, Evaluate, EvaluateError, Gossip, NetworkError, Topic},
};
use pagi_messages::{SigningIdentity, Verified, cid_of};
use pagi_playbook::{
    Artifact, Case, CaseStep, Count, Delta, Evidence, Genesis, State as Playbook, canary,
    evaluation::{Report, Suite, threshold},
};
use pagi_store::Store;

#[derive(Default)]
struct State {
    hives: BTreeMap<String, Hive>,
    blocks: BTreeMap<String, BTreeMap<Cid, Vec<u8>>>,
    /// Nodes of different groups do not reach each other; 0 unless set.
    groups: BTreeMap<String, u32>,
    verdicts: Vec<(String, Judgement)>,
    /// Who was reported to the network as misbehaving, by whom, and why.
    blamed: Vec<(String, String)>,
    /// Nodes whose blocks cannot be stored.
    full: BTreeSet<String>,
    /// Nodes whose gossip is never sent.
    stuck: BTreeSet<String>,
    /// Nodes that never answer when they are asked for what they do not have.
    silent: BTreeSet<String>,
    /// How often each block was asked for.
    asked: BTreeMap<Cid, usize>,
}

/// The network.
#[derive(Clone, Default)]
pub struct Bus(Arc<Mutex<State>>);

impl Bus {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub fn split(&self, node: &Node, group: u32) {
        self.state(|state| state.groups.insert(node.peer.clone(), group));
    }

    /// Puts node `n` into a group before it is started.
    pub fn isolate(&self, n: u8, group: u32) {
        let peer = SigningIdentity::from_seed(&[n; 32])
            .did()
            .peer_id()
            .unwrap();
        self.state(|state| state.groups.insert(peer, group));
    }

    pub fn heal(&self) {
        let hives: Vec<Hive> = self.state(|state| {
            state.groups.clear();
            state.hives.values().cloned().collect()
        });
        for hive in hives {
            hive.peer_listens();
        }
    }

    /// Blocks of `node` cannot be stored any more, or can again.
    pub fn set_full(&self, peer: &str, full: bool) {
        self.state(|state| {
            if full {
                state.full.insert(peer.to_owned());
            } else {
                state.full.remove(peer);
            }
        });
    }

    /// What `peer` publishes never leaves it, and publishing never returns, from now on.
    pub fn set_stuck(&self, peer: &str) {
        self.state(|state| state.stuck.insert(peer.to_owned()));
    }

    /// Whoever asks `peer` for a block that nobody has waits for ever, from now on.
    pub fn set_silent(&self, peer: &str) {
        self.state(|state| state.silent.insert(peer.to_owned()));
    }

    /// The reasons `peer` was reported for.
    pub fn blame_of(&self, peer: &str) -> Vec<String> {
        self.state(|state| {
            let all = state.blamed.iter().filter(|(who, _)| who == peer);
            all.map(|(_, why)| why.clone()).collect()
        })
    }

    /// How often a block was asked for that was not where it was asked for.
    pub fn times_asked(&self, cid: &Cid) -> usize {
        self.state(|state| state.asked.get(cid).copied().unwrap_or(0))
    }

    fn reachable(state: &State, one: &str, two: &str) -> bool {
        let group = |peer: &str| state.groups.get(peer).copied().unwrap_or(0);
        group(one) == group(two)
    }

    /// Puts a block where only `peer` has it.
    pub fn plant(&self, peer: &str, bytes: Vec<u8>) -> Cid {
        let cid = cid_of(&bytes);
        self.state(|state| {
            state
                .blocks
                .entry(peer.to_owned())
                .or_default()
                .insert(cid, bytes);
        });
        cid
    }

    /// What other nodes made of what `peer` sent, acceptances left out.
    pub fn complaints(&self, peer: &str) -> Vec<Judgement> {
        self.state(|state| {
            state
                .verdicts
                .iter()
                .filter(|(from, verdict)| from == peer && *verdict != Judgement::Accept)
                .map(|(_, verdict)| verdict.clone())
                .collect()
        })
    }

    /// Sends bytes as `peer` to everyone it reaches.
    pub fn send(&self, peer: &str, topic: Topic, data: &[u8]) {
        let receivers: Vec<Hive> = self.state(|state| {
            state
                .hives
                .iter()
                .filter(|(other, _)| *other != peer && Self::reachable(state, peer, other))
                .map(|(_, hive)| hive.clone())
                .collect()
        });
        for hive in receivers {
            let (bus, peer, data) = (self.clone(), peer.to_owned(), data.to_vec());
            tokio::spawn(async move {
                let verdict = hive.gossip(topic, &peer, &data).await;
                bus.state(|state| state.verdicts.push((peer, verdict)));
            });
        }
    }
}

struct Line {
    bus: Bus,
    peer: String,
}

#[async_trait]
impl Gossip for Line {
    async fn publish(&self, topic: Topic, data: Vec<u8>) -> Result<(), NetworkError> {
        if self.bus.state(|state| state.stuck.contains(&self.peer)) {
            std::future::pending::<()>().await;
        }
        self.bus.send(&self.peer, topic, &data);
        Ok(())
    }

    fn misbehaved(&self, peer: &str, reason: &str) {
        let entry = (peer.to_owned(), reason.to_owned());
        self.bus.state(|state| state.blamed.push(entry));
    }
}

/// Judges a state by its cases alone: a goal of one keyword is reached by the tool of the best case
/// for it, or by the tool of its own name.
struct Judge;

const SUITE: &str = "{\"goal\":\"disk\",\"tools\":[\"system_monitor\"]}\n\
    {\"goal\":\"sum\",\"tools\":[\"calculator\"]}";

#[async_trait]
impl Evaluate for Judge {
    async fn evaluate(
        &self,
        current: Arc<Playbook>,
        candidate: Arc<Playbook>,
    ) -> Result<Report, EvaluateError> {
        let suite = Suite::parse(SUITE).map_err(|error| EvaluateError(error.to_string()))?;
        let run = |state: &Playbook| -> Vec<bool> {
            let passes = suite.tasks.iter().map(|task| {
                let known = |case: &Case| case.terms.contains(&task.goal);
                let best = state
                    .cases()
                    .filter(|(case, _)| known(case))
                    .max_by_key(|(case, tally)| (tally.score(), case.id.clone()));
                best.is_none_or(|(case, _)| {
                    case.steps
                        .iter()
                        .all(|step| task.tools.contains(&step.tool))
                })
            });
            passes.collect()
        };
        let bar = threshold(&current);
        Ok(Report::new(&suite, &run(&current), &run(&candidate), bar))
    }
}

#[async_trait]
impl Content for Line {
    async fn put(&self, block: Vec<u8>) -> Result<Cid, NetworkError> {
        if self.bus.state(|state| state.full.contains(&self.peer)) {
            return Err(NetworkError("the disk is full".into()));
        }
        Ok(self.bus.plant(&self.peer, block))
    }

    async fn get(&self, cid: &Cid, providers: &[String]) -> Result<Vec<u8>, NetworkError> {
        let found = self
            .bus
            .state(|state| {
                let own = state.blocks.get(&self.peer);
                if own.is_none_or(|own| !own.contains_key(cid)) {
                    *state.asked.entry(*cid).or_default() += 1;
                }
                std::iter::once(&self.peer)
                    .chain(providers)
                    .filter(|peer| Bus::reachable(state, &self.peer, peer))
                    .find_map(|peer| state.blocks.get(peer)?.get(cid).cloned())
            })
            .ok_or_else(|| NetworkError(format!("nobody has {cid}")));
        let silent = |state: &mut State| providers.iter().any(|peer| state.silent.contains(peer));
        if found.is_err() && self.bus.state(silent) {
            std::future::pending::<()>().await;
        }
        found
    }
}

/// A node: its key, its hive and its store.
pub struct Node {
    pub identity: SigningIdentity,
    pub twin: SigningIdentity,
    pub peer: String,
    pub hive: Hive,
    pub store: Store,
}

/// Starts node `n` with its store in `dir`.
pub async fn start(bus: &Bus, n: u8, dir: &Path) -> Node {
    start_with(bus, n, dir, Review::Auto).await
}

/// Starts node `n` with its store in `dir`, under `review`.
pub async fn start_with(bus: &Bus, n: u8, dir: &Path, review: Review) -> Node {
    start_as(bus, n, dir, review, None).await
}

/// Starts node `n` with its store in `dir`, trying artifacts as `canary` says.
pub async fn start_as(
    bus: &Bus,
    n: u8,
    dir: &Path,
    review: Review,
    canary: Option<canary::Config>,
) -> Node {
    let identity = SigningIdentity::from_seed(&[n; 32]);
    let peer = identity.did().peer_id().unwrap();
    let store = Store::open(dir).unwrap();
    let line = Arc::new(Line {
        bus: bus.clone(),
        peer: peer.clone(),
    });
    let genesis = Genesis::from_toml("test", pagi_playbooks::BASE).unwrap();
    let election = Config {
        lease_ms: 1_500,
        heartbeat_ms: 200,
        settle_ms: 300,
        ..Config::default()
    };
    let config = HiveConfig {
        identity: identity.clone(),
        genesis,
        election,
        review,
        canary,
        evaluate: Some(Arc::new(Judge)),
    };
    let hive = Hive::start(config, store.clone(), line.clone(), line)
        .await
        .unwrap();
    bus.state(|state| state.hives.insert(peer.clone(), hive.clone()));
    for hive in bus.state(|state| state.hives.values().cloned().collect::<Vec<_>>()) {
        hive.peer_listens();
    }
    let twin = SigningIdentity::from_seed(&[n + 100; 32]);
    Node {
        identity,
        twin,
        peer,
        hive,
        store,
    }
}

impl Node {
    /// Ends the node without a goodbye: nobody hears from it again.
    pub async fn die(self, bus: &Bus) {
        let others = bus.state(|state| {
            state.hives.remove(&self.peer);
            state.groups.insert(self.peer.clone(), u32::MAX);
            state.hives.values().cloned().collect::<Vec<_>>()
        });
        self.hive.shutdown().await;
        self.store.close().await;
        for hive in others {
            hive.peer_gone(&self.peer).await;
        }
    }

    /// Makes and signs an artifact that teaches one case.
    pub fn lesson(&self, terms: &[&str], tool: &str) -> Verified<Artifact> {
        let case = Case::new(
            terms.iter().map(|term| (*term).to_owned()),
            vec![CaseStep {
                tool: tool.to_owned(),
                parameters: BTreeMap::new(),
            }],
        );
        let count = Count {
            target: case.id.clone(),
            helpful: 1,
            harmful: 0,
        };
        let delta = Delta {
            cases: vec![case],
            counts: vec![count],
            ..Delta::default()
        };
        self.artifact("goals of this kind are reached by one tool", delta)
    }

    pub fn artifact(&self, critique: &str, delta: Delta) -> Verified<Artifact> {
        let artifact = Artifact {
            twin_id: "t".into(),
            base: self.hive.playbook().head,
            critique: critique.to_owned(),
            delta,
            evidence: Evidence {
                status: "completed".into(),
                steps: 1,
                tools: Vec::new(),
                before: BTreeMap::new(),
                after: BTreeMap::new(),
            },
            timestamp: 1,
            nonce: "n".into(),
        };
        Verified::sign(&self.twin, artifact).unwrap()
    }

    pub fn status_of(&self, cid: &Cid) -> Option<String> {
        self.store
            .get_artifact(&cid.to_string())
            .unwrap()
            .map(|record| record.status)
    }

    pub fn is_mo(&self) -> bool {
        self.hive
            .office()
            .is_some_and(|office| office.mo == *self.identity.did())
    }
}

/// Waits until `look` holds.
pub async fn until(what: &str, look: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !look() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until all nodes follow one MO whose electorate speaks for most of them.
pub async fn one_mo(nodes: &[&Node]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut claims = Vec::new();
        for node in nodes {
            let (status, _) = node.hive.election().await.unwrap();
            claims.push((status.mo, status.term, status.electorate.len()));
        }
        let first = claims[0].clone();
        if first.0.is_some()
            && 2 * first.2 > nodes.len()
            && claims.iter().all(|claim| *claim == first)
            && nodes
                .iter()
                .all(|node| node.hive.office().map(|office| office.mo) == first.0)
        {
            return;
        }
        assert!(Instant::now() < deadline, "no common MO: {claims:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all nodes have the same head and it contains every artifact.
pub async fn same_head(nodes: &[&Node], artifacts: &[Cid]) {
    until("the same head with every artifact on every node", || {
        let first = nodes[0].hive.playbook();
        nodes.iter().all(|node| {
            let playbook = node.hive.playbook();
            playbook.head == first.head
                && playbook.heads.len() == 1
                && artifacts.iter().all(|cid| playbook.state.applied(cid))
        })
    })
    .await;
}
