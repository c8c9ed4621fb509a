//! The handle to the hive, and the tasks behind it.

mod presence;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use cid::Cid;
use pagi_election::{Config, Input, Leader, Status};
use pagi_messages::{
    Coordination, Did, Event, EventType, SigningIdentity, TwinPresence, Verified,
    event::from_unix_ms,
};
use pagi_playbook::{Artifact, Dag, Genesis, GenesisError, Revision, State, Verification, canary};
use pagi_store::{Batch, Store};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    election::{self, Driver, Office},
    error::HiveError,
    gates,
    inbox::{self, Judgement},
    library::{self, Library, LibraryParts, Review, Snapshot},
    live_view::{LiveView, SeenTwin},
    outbox::Outbox,
    ports::{Content, Evaluate, Gossip, Topic},
};

/// How a hive is set up.
pub struct HiveConfig {
    /// The node's key: its DID is that of the peer id.
    pub identity: SigningIdentity,
    /// The playbook every node of the swarm starts from.
    pub genesis: Genesis,
    /// Timing of the election.
    pub election: Config,
    /// Who decides what is merged.
    pub review: Review,
    /// How artifacts are tried before they are merged; none: not at all.
    pub canary: Option<canary::Config>,
    /// Runs the task suite for the MO; without it the other gates decide alone.
    pub evaluate: Option<Arc<dyn Evaluate>>,
}

/// A cloneable handle to the hive.
#[derive(Clone)]
pub struct Hive {
    inner: Arc<Inner>,
}

struct Inner {
    identity: SigningIdentity,
    store: Store,
    outbox: Outbox,
    library: mpsc::Sender<library::Command>,
    election: mpsc::Sender<election::Command>,
    /// What was heard of other nodes, for the election; it waits behind `election`.
    members: mpsc::Sender<Input>,
    /// The nodes heard lately, this one too, for the library.
    live: watch::Sender<Arc<BTreeSet<Did>>>,
    snapshot: watch::Receiver<Snapshot>,
    office: watch::Receiver<Option<Office>>,
    view: Mutex<LiveView>,
    twins: Mutex<BTreeMap<String, TwinPresence>>,
    /// Twins to be announced: new or changed ones.
    changed: watch::Sender<BTreeSet<String>>,
    greet: Notify,
    roll_wanted: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

fn outcomes((reached, failed): (u32, u32)) -> canary::Outcomes {
    canary::Outcomes { reached, failed }
}

/// Milliseconds since the Unix epoch by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
        .unwrap_or(0)
}

impl Hive {
    /// Replays the stored history and starts the tasks.
    ///
    /// # Errors
    /// [`HiveError`] where the stored history does not hold.
    pub async fn start(
        config: HiveConfig,
        store: Store,
        gossip: Arc<dyn Gossip>,
        content: Arc<dyn Content>,
    ) -> Result<Self, HiveError> {
        let dag = replay(config.genesis, &store)?;
        let (_, genesis) = dag.genesis().block()?;
        content.put(genesis).await?;
        let (snapshot_tx, snapshot) = watch::channel(library::snapshot(&dag));
        let ethics = gates::ethics(&State::new(dag.genesis()).map_err(GenesisError::from)?)?;
        let (office_tx, office) = watch::channel(None);
        let alone = BTreeSet::from([config.identity.did().clone()]);
        let (live_tx, live) = watch::channel(Arc::new(alone));
        let (library_tx, library_rx) = mpsc::channel(256);
        let (election_tx, election_rx) = mpsc::channel(256);
        let (members_tx, members_rx) = mpsc::channel(1024);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let driver = Driver::new(
            config.election,
            config.identity.clone(),
            store.clone(),
            gossip.clone(),
            content.clone(),
            office_tx,
            stop.clone(),
        )?;
        tasks.spawn(driver.run(election_rx, members_rx));
        let (outbox, sending) = Outbox::new(gossip.clone(), config.identity.clone(), stop.clone());
        tasks.spawn(sending);
        let parts = LibraryParts {
            dag,
            identity: config.identity.clone(),
            store: store.clone(),
            gossip,
            outbox: outbox.clone(),
            content,
            evaluate: config.evaluate,
            ethics,
            review: config.review,
            canary: config.canary,
            office: office.clone(),
            live,
            snapshot: snapshot_tx,
        };
        tasks.spawn(Library::run(parts, library_rx, stop.clone()));
        let hive = Self {
            inner: Arc::new(Inner {
                identity: config.identity,
                store,
                outbox,
                library: library_tx,
                election: election_tx,
                members: members_tx,
                live: live_tx,
                snapshot,
                office,
                view: Mutex::default(),
                twins: Mutex::default(),
                changed: watch::Sender::default(),
                greet: Notify::new(),
                roll_wanted: Notify::new(),
                stop,
                tasks,
            }),
        };
        hive.inner.tasks.spawn(hive.clone().presence());
        Ok(hive)
    }

    /// Stops the tasks; an MO gives its office back first.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The node's DID.
    #[must_use]
    pub fn did(&self) -> &Did {
        self.inner.identity.did()
    }

    /// The playbook in force.
    #[must_use]
    pub fn playbook(&self) -> Snapshot {
        self.inner.snapshot.borrow().clone()
    }

    /// Follows the playbook.
    #[must_use]
    pub fn watch_playbook(&self) -> watch::Receiver<Snapshot> {
        self.inner.snapshot.clone()
    }

    /// The MO in office.
    #[must_use]
    pub fn office(&self) -> Option<Office> {
        self.inner.office.borrow().clone()
    }

    /// Follows the office.
    #[must_use]
    pub fn watch_office(&self) -> watch::Receiver<Option<Office>> {
        self.inner.office.clone()
    }

    /// The election at a glance.
    ///
    /// # Errors
    /// [`HiveError::Closed`].
    pub async fn election(&self) -> Result<(Status, Option<Leader>), HiveError> {
        let (reply, answer) = oneshot::channel();
        let command = election::Command::Status(reply);
        self.inner
            .election
            .send(command)
            .await
            .map_err(|_| HiveError::Closed)?;
        answer.await.map_err(|_| HiveError::Closed)
    }

    /// Gives the office back, or does not take it for a lease.
    ///
    /// # Errors
    /// [`HiveError::Closed`].
    pub async fn step_down(&self) -> Result<(), HiveError> {
        self.election_input(Input::StepDown).await
    }

    async fn election_input(&self, input: Input) -> Result<(), HiveError> {
        let command = election::Command::Input(input);
        self.inner
            .election
            .send(command)
            .await
            .map_err(|_| HiveError::Closed)
    }

    /// Validates, stores, pins and announces an artifact of this node. Under manual review it is
    /// announced when a person has approved it.
    ///
    /// # Errors
    /// [`HiveError::Refused`] where this node's own gates refuse it.
    pub async fn publish(&self, artifact: Verified<Artifact>) -> Result<Cid, HiveError> {
        self.ask(|reply| library::Command::Publish {
            artifact: Box::new(artifact),
            reply,
        })
        .await
    }

    /// As MO, takes merged artifacts back, all of them in one revision. Returns the artifact that
    /// says so.
    ///
    /// # Errors
    /// [`HiveError::NotMo`] elsewhere, [`HiveError::Refused`] where one of them is not merged or all
    /// are reverted already.
    pub async fn revert(&self, artifacts: Vec<Cid>, reason: String) -> Result<Cid, HiveError> {
        self.ask(|reply| library::Command::Revert {
            artifacts,
            reason,
            reply,
        })
        .await
    }

    /// A person's judgement of an artifact that waits for one: approved, or rejected for a reason.
    ///
    /// # Errors
    /// [`HiveError::UnknownArtifact`], [`HiveError::NotWaiting`], and [`HiveError::Refused`] where
    /// a gate refuses it by now.
    pub async fn review(&self, cid: Cid, verdict: Result<(), String>) -> Result<(), HiveError> {
        self.ask(|reply| library::Command::Review {
            cid,
            verdict,
            reply,
        })
        .await
    }

    /// A goal of this node's user ended. Counts for trials; returns at once.
    pub fn goal_ended(&self, reached: bool) {
        // A queue that is full loses one of many.
        let _ = self
            .inner
            .library
            .try_send(library::Command::GoalEnded { reached });
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, HiveError>>) -> library::Command,
    ) -> Result<T, HiveError> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .library
            .send(command(reply))
            .await
            .map_err(|_| HiveError::Closed)?;
        answer.await.map_err(|_| HiveError::Closed)?
    }

    async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Dag) -> T + Send + 'static,
    ) -> Result<T, HiveError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |dag: &Dag| {
            let _ = reply.send(look(dag));
        });
        let command = library::Command::Inspect(look);
        self.inner
            .library
            .send(command)
            .await
            .map_err(|_| HiveError::Closed)?;
        answer.await.map_err(|_| HiveError::Closed)
    }

    /// The newest revisions, newest first.
    ///
    /// # Errors
    /// [`HiveError::Closed`].
    pub async fn log(&self, limit: usize) -> Result<Vec<(Cid, Verified<Revision>)>, HiveError> {
        self.inspect(move |dag| {
            dag.log(limit)
                .into_iter()
                .map(|(cid, revision)| (cid, revision.clone()))
                .collect()
        })
        .await
    }

    /// The playbook as it was at a revision, or at the genesis; none where it is unknown.
    ///
    /// # Errors
    /// [`HiveError::Closed`].
    pub async fn state_at(&self, cid: Cid) -> Result<Option<State>, HiveError> {
        self.inspect(move |dag| dag.state_at(&cid)).await
    }

    /// Replays the history as it lies on disk, every hash, signature and link checked.
    ///
    /// # Errors
    /// [`HiveError::History`] with the first bad link.
    pub async fn verify(&self) -> Result<Verification, HiveError> {
        let genesis = self.inspect(|dag| dag.genesis().clone()).await?;
        let store = self.inner.store.clone();
        let checked = tokio::task::spawn_blocking(move || Ok(replay(genesis, &store)?.verify()?));
        checked.await.map_err(|_| HiveError::Closed)?
    }

    /// Takes in a gossip message; the answer is for gossipsub.
    pub async fn gossip(&self, topic: Topic, publisher: &str, data: &[u8]) -> Judgement {
        let now = now_ms();
        let sent = match topic {
            Topic::Election => match inbox::election(publisher, data, now) {
                Err(rejection) => return rejection.judgement(),
                Ok(message) => self.election_input(Input::Message(message)).await,
            },
            Topic::Coordination => match inbox::coordination(publisher, data, now) {
                Err(rejection) => return rejection.judgement(),
                Ok(message) => self.coordination(message, data, now).await,
            },
        };
        match sent {
            Ok(()) => Judgement::Accept,
            Err(error) => Judgement::Ignore(error.to_string()),
        }
    }

    async fn coordination(
        &self,
        message: Verified<Coordination>,
        data: &[u8],
        now: u64,
    ) -> Result<(), HiveError> {
        let from = message.author().clone();
        if self.node_heard(&from, now) {
            // Everybody greets in a small swarm; in a large one that would be a storm, and whoever
            // came to know somebody now may lack others as well.
            if self.view(|view| view.is_small()) {
                self.inner.greet.notify_one();
            }
            self.inner.roll_wanted.notify_one();
        }
        self.act_on(message, from, data, now).await
    }

    /// Does what a message asks for, however it came here.
    pub(crate) async fn act_on(
        &self,
        message: Verified<Coordination>,
        from: Did,
        data: &[u8],
        now: u64,
    ) -> Result<(), HiveError> {
        let command = match message.body().clone() {
            Coordination::TwinOnline(presence) => {
                return self.twin_heard(&from, presence, data, now).await;
            }
            Coordination::TaskBroadcast { task, .. } => {
                let event = self.event(EventType::TaskBroadcast, json!({"task": task}));
                self.inner
                    .store
                    .append_event(event.about(from.to_string()))
                    .await?;
                return Ok(());
            }
            Coordination::NodeOnline { heads, .. } => {
                self.view(|view| view.keep(&from, None, data, now));
                library::Command::HeadsAnnounced { heads, from }
            }
            Coordination::PlaybookUpdate { cid, .. } => library::Command::HeadsAnnounced {
                heads: vec![cid],
                from,
            },
            Coordination::ArtifactPublished { cid, .. } => {
                library::Command::ArtifactAnnounced { cid, from }
            }
            Coordination::CanaryOpened {
                trial,
                artifacts,
                bar,
                until,
                ..
            } => library::Command::TrialAnnounced {
                offer: canary::Offer {
                    id: trial,
                    artifacts,
                    bar,
                    until_ms: until,
                },
                from,
            },
            Coordination::CanaryOutcomes {
                trial,
                before,
                since,
                ..
            } => library::Command::OutcomesHeard {
                trial,
                report: canary::Report {
                    before: outcomes(before),
                    since: outcomes(since),
                },
                from,
            },
            Coordination::ArtifactRefused { cid, reason, .. } => {
                library::Command::ArtifactRefused { cid, reason, from }
            }
        };
        self.inner
            .library
            .send(command)
            .await
            .map_err(|_| HiveError::Closed)
    }

    fn event(&self, kind: EventType, payload: Value) -> Event {
        Event::new(
            Uuid::new_v4(),
            from_unix_ms(now_ms()),
            kind,
            "swarm",
            payload,
        )
    }

    fn view<T>(&self, look: impl FnOnce(&mut LiveView) -> T) -> T {
        look(
            &mut self
                .inner
                .view
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Tells the library who is alive.
    fn view_changed(&self) {
        let live = self.nodes().into_iter().chain([self.did().clone()]);
        self.inner.live.send_replace(Arc::new(live.collect()));
    }

    /// Nodes heard lately, this one not among them.
    #[must_use]
    pub fn nodes(&self) -> Vec<Did> {
        self.view(|view| view.nodes())
    }

    /// Twins of other nodes heard lately.
    #[must_use]
    pub fn known_twins(&self) -> Vec<SeenTwin> {
        self.view(|view| view.twins())
    }

    /// A peer connected and listens to the coordination topic: say hello soon.
    pub fn peer_listens(&self) {
        self.inner.greet.notify_one();
        self.inner.roll_wanted.notify_one();
    }

    /// Waits until a neighbour should be asked for its roll.
    pub async fn roll_wanted(&self) {
        self.inner.roll_wanted.notified().await;
    }

    /// A peer's last connection closed. In a small swarm that is the first sign of a dead node; in a
    /// large one, connections come and go.
    pub async fn peer_gone(&self, peer_id: &str) {
        let Ok(did) = Did::from_peer_id(peer_id) else {
            return;
        };
        if self.view(|view| view.peer_gone(&did, now_ms())) {
            self.view_changed();
            let _ = self.election_input(Input::MemberLost { did }).await;
        }
    }

    /// Offers a task to the swarm.
    ///
    /// # Errors
    /// [`HiveError`] where it was not recorded.
    pub async fn broadcast_task(&self, task: Value) -> Result<(), HiveError> {
        let event = self.event(EventType::TaskBroadcast, json!({"task": task, "own": true}));
        self.inner.store.write(Batch::new().event(event)).await?;
        self.share_task(task).await
    }

    /// As [`Hive::broadcast_task`], for a task whose event is logged already.
    ///
    /// # Errors
    /// [`HiveError`] where it was not sent.
    pub async fn share_task(&self, task: Value) -> Result<(), HiveError> {
        let message = Coordination::TaskBroadcast {
            task,
            timestamp: now_ms(),
        };
        self.inner.outbox.say_now(message).await
    }
}

fn replay(genesis: Genesis, store: &Store) -> Result<Dag, HiveError> {
    let mut blocks = Vec::new();
    for (cid, bytes) in store.revisions()? {
        let cid: Cid = cid.parse().map_err(|_| HiveError::NotACid(cid))?;
        blocks.push((cid, bytes));
    }
    Ok(Dag::replay(genesis, blocks)?)
}
