//! A network in memory, and nodes on it that can be killed and started again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use pagi_messages::{Did, SigningIdentity};
use pagi_store::{Store, StoreLimits};
use pagi_task::{Config, LocalCapabilities, Outcome, TaskId, TaskSpec};
use pagi_work::{
    Parts, Work, open,
    ports::{Bench, Job, Progress, Wire, WireError},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub const DEADLINE: Duration = Duration::from_secs(30);

/// Who can be reached.
#[derive(Default)]
pub struct Net {
    nodes: Mutex<BTreeMap<Did, Work>>,
}

struct Link {
    net: Arc<Net>,
    from: Did,
}

#[async_trait]
impl Wire for Link {
    async fn gossip(&self, data: Vec<u8>) -> Result<(), WireError> {
        let nodes = self.net.nodes.lock().unwrap().clone();
        let peer = self.from.peer_id().unwrap();
        for (_, work) in nodes.into_iter().filter(|(did, _)| *did != self.from) {
            let _ = work.gossiped(&peer, &data);
        }
        Ok(())
    }

    async fn send(&self, to: &Did, data: Vec<u8>) -> Result<(), WireError> {
        let work = self.net.nodes.lock().unwrap().get(to).cloned();
        let work = work.ok_or_else(|| WireError("nobody is there".into()))?;
        let peer = self.from.peer_id().unwrap();
        let brought = work.brought(&peer, &data).await;
        brought.map_err(|rejection| WireError(rejection.to_string()))
    }
}

/// Where jobs wait until they are let go on; it outlives its node.
pub struct Place {
    pub begun: mpsc::UnboundedReceiver<Job>,
    begin: mpsc::UnboundedSender<Job>,
    pub outcome: watch::Sender<Option<Outcome>>,
}

impl Place {
    pub fn new() -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        Self {
            begun,
            begin,
            outcome: watch::Sender::new(None),
        }
    }

    pub async fn next(&mut self) -> Job {
        let job = timeout(DEADLINE, self.begun.recv()).await;
        job.expect("a job in time").expect("a job")
    }

    /// Lets jobs end so, those that run and those to come.
    pub fn end(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

struct Desk {
    twin: Did,
    capabilities: BTreeSet<String>,
    begin: mpsc::UnboundedSender<Job>,
    outcome: watch::Receiver<Option<Outcome>>,
}

#[async_trait]
impl Bench for Desk {
    async fn able(&self) -> Option<LocalCapabilities> {
        (!self.capabilities.is_empty()).then(|| LocalCapabilities {
            twin: self.twin.clone(),
            capabilities: self.capabilities.clone(),
            keywords: BTreeSet::new(),
        })
    }

    fn load(&self, jobs: usize) -> u8 {
        u8::try_from(jobs * 10).unwrap()
    }

    async fn run(&self, job: Job, progress: Progress) -> Outcome {
        let panics = job.goal == "panic";
        progress.say(50, "half of it");
        let _ = self.begin.send(job);
        assert!(!panics, "as it was told");
        let mut outcome = self.outcome.clone();
        let outcome = outcome.wait_for(Option::is_some).await;
        outcome.unwrap().clone().unwrap()
    }
}

/// A running node.
pub struct Node {
    pub did: Did,
    pub work: Work,
    pub store: Store,
    net: Arc<Net>,
    driver: JoinHandle<()>,
}

pub fn config() -> Config {
    Config {
        window_ms: 100,
        broadcast_ms: 100,
        broadcast_max_ms: 300,
        assign_retry_ms: 100,
        lease_ms: 1_500,
        keepalive_ms: 200,
        result_retry_ms: 100,
        result_retry_max_ms: 300,
        ..Config::default()
    }
}

impl Node {
    /// Starts the node of `seed` over what lies in `dir`; it offers `capabilities`, or no work.
    pub fn start(
        net: &Arc<Net>,
        seed: u8,
        dir: &Path,
        place: &Place,
        capabilities: &[&str],
    ) -> Self {
        let identity = SigningIdentity::from_seed(&[seed; 32]);
        let did = identity.did().clone();
        let store = Store::open_with(dir, StoreLimits::default()).unwrap();
        let bench = Desk {
            twin: SigningIdentity::from_seed(&[seed + 100; 32]).did().clone(),
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            begin: place.begin.clone(),
            outcome: place.outcome.subscribe(),
        };
        let (work, driver) = open(Parts {
            identity,
            config: config(),
            store: store.clone(),
            wire: Arc::new(Link {
                net: net.clone(),
                from: did.clone(),
            }),
            bench: Arc::new(bench),
        })
        .unwrap();
        net.nodes.lock().unwrap().insert(did.clone(), work.clone());
        let driver = tokio::spawn(driver.run(CancellationToken::new()));
        Self {
            did,
            work,
            store,
            net: net.clone(),
            driver,
        }
    }

    /// Stops the driver where it stands, and frees the directory.
    pub async fn kill(self) {
        self.net.nodes.lock().unwrap().remove(&self.did);
        self.driver.abort();
        let store = self.store.clone();
        drop(self);
        store.close().await;
    }

    pub fn spec(&self, id: &str, goal: &str, need: &str) -> TaskSpec {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        TaskSpec {
            id: id.parse().unwrap(),
            twin: self.did.clone(),
            goal: goal.into(),
            summary: String::new(),
            keywords: vec!["word".into()],
            needs: vec![need.into()],
            deadline_ms: u64::try_from(now.as_millis()).unwrap() + 60_000,
        }
    }
}

pub fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

/// Looks until `look` finds something and gives it.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= end => panic!("waited for {what}; last seen: {seen}"),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
