//! The playbook library: one task that owns the DAG, takes artifacts and revisions in, and, while
//! this node is MO, merges.
//!
//! The task itself only decides and writes to the store. Whatever waits for the network or for a
//! task suite runs beside it and comes back as [`Done`]: fetching ([`history`], [`artifacts`]),
//! storing blocks, evaluating and merging ([`merging`]).

mod artifacts;
mod history;
mod merging;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cid::Cid;
use pagi_messages::{Did, SigningIdentity, Verified};
use pagi_playbook::{Artifact, Dag, State, canary};
use pagi_policy::EthicsGate;
use pagi_store::Store;
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    belief::Standing,
    election::Office,
    error::HiveError,
    hive::now_ms,
    intake::{Intake, Quota},
    outbox::Outbox,
    ports::{Content, Evaluate, Gossip},
};

/// The playbook in force, as everybody else sees it.
#[derive(Clone)]
pub struct Snapshot {
    /// The head: the highest by (term, lamport, CID), or the genesis.
    pub head: Cid,
    /// Every head.
    pub heads: Vec<Cid>,
    /// The genesis.
    pub genesis: Cid,
    /// Number of revisions.
    pub revisions: usize,
    /// What the playbook says.
    pub state: Arc<State>,
    /// The same with what this node tries before it is merged; none where it tries nothing.
    pub trial: Option<Arc<State>>,
}

impl Snapshot {
    /// What goals are run by.
    #[must_use]
    pub fn in_force(&self) -> &Arc<State> {
        self.trial.as_ref().unwrap_or(&self.state)
    }
}

/// Who decides what is merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    /// The gates alone.
    #[default]
    Auto,
    /// The gates, and then a person: what this node's twins learn and, while it is MO, what others
    /// announce waits for `pagi artifact approve`.
    Manual,
}

pub(crate) enum Command {
    Publish {
        artifact: Box<Verified<Artifact>>,
        reply: oneshot::Sender<Result<Cid, HiveError>>,
    },
    Revert {
        artifacts: Vec<Cid>,
        reason: String,
        reply: oneshot::Sender<Result<Cid, HiveError>>,
    },
    Review {
        cid: Cid,
        /// Approved, or rejected for this reason.
        verdict: Result<(), String>,
        reply: oneshot::Sender<Result<(), HiveError>>,
    },
    ArtifactAnnounced {
        cid: Cid,
        from: Did,
    },
    ArtifactRefused {
        cid: Cid,
        reason: String,
        from: Did,
    },
    HeadsAnnounced {
        heads: Vec<Cid>,
        from: Did,
    },
    TrialAnnounced {
        offer: canary::Offer,
        from: Did,
    },
    OutcomesHeard {
        trial: Cid,
        report: canary::Report,
        from: Did,
    },
    GoalEnded {
        reached: bool,
    },
    Inspect(Box<dyn FnOnce(&Dag) + Send>),
}

/// What came of work beside the task.
enum Done {
    Artifact(artifacts::Fetched),
    Published(artifacts::Published),
    Head(history::Fetched),
    Adopt(history::Adopted),
    Merge(Box<merging::Finished>),
    Trial(trial::Fetched),
}

/// Artifacts that arrive together are merged together: the MO waits this long for more.
const GATHER: Duration = Duration::from_millis(150);
/// The longest wait after merges that failed; it doubles up to that.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Own artifacts that nobody merged are announced again this often.
const REMIND: Duration = Duration::from_secs(10);
/// A node heard for so long is a member of the swarm, milliseconds.
const MEMBER_AFTER_MS: u64 = 120_000;
/// Members remembered.
const MAX_MEMBERS: usize = 4096;
/// Where the members are kept.
const MEMBERS: &str = "hive_members";
/// Refused heads that were audited already.
const MAX_NOTED: usize = 4096;

/// Announced artifacts.
const ARTIFACTS: Quota = Quota {
    waiting: 256,
    total: 8192,
    fetches: 4,
    all_fetches: 16,
};
/// Announced heads.
const HEADS: Quota = Quota {
    waiting: 32,
    total: 2048,
    fetches: 2,
    all_fetches: 8,
};

/// An artifact that passed the gates and waits for the next revision.
struct Waiting {
    artifact: Verified<Artifact>,
    bytes: Vec<u8>,
}

pub(crate) struct Library {
    dag: Dag,
    /// The term of every revision held, for those who fetch.
    known: Arc<BTreeMap<Cid, u64>>,
    identity: SigningIdentity,
    store: Store,
    gossip: Arc<dyn Gossip>,
    outbox: Outbox,
    content: Arc<dyn Content>,
    evaluate: Option<Arc<dyn Evaluate>>,
    ethics: Arc<EthicsGate>,
    review: Review,
    office: watch::Receiver<Option<Office>>,
    live: watch::Receiver<Arc<BTreeSet<Did>>>,
    snapshot: watch::Sender<Snapshot>,
    /// Since when each live node is heard, milliseconds.
    since: BTreeMap<Did, u64>,
    members: Arc<BTreeSet<Did>>,
    /// Artifacts heard of and not merged yet.
    announced: Intake,
    /// Heads heard of and not taken in yet.
    heads: Intake,
    /// Artifacts fetched and checked, waiting for the next revision.
    ready: BTreeMap<Cid, Waiting>,
    /// Artifacts that point at what is not known here yet.
    deferred: BTreeMap<Cid, Waiting>,
    /// Artifacts of this node that nobody merged yet.
    own: BTreeSet<Cid>,
    /// Heads whose refusal is audited.
    noted: BTreeSet<Cid>,
    merging: bool,
    canary: trial::Canary,
    /// Merges that failed in a row.
    failures: u32,
    done: mpsc::Sender<Done>,
    tasks: TaskTracker,
    /// Ends what runs beside the task when the node stops.
    stop: CancellationToken,
}

pub(crate) struct LibraryParts {
    pub(crate) dag: Dag,
    pub(crate) identity: SigningIdentity,
    pub(crate) store: Store,
    pub(crate) gossip: Arc<dyn Gossip>,
    pub(crate) outbox: Outbox,
    pub(crate) content: Arc<dyn Content>,
    pub(crate) evaluate: Option<Arc<dyn Evaluate>>,
    pub(crate) ethics: Arc<EthicsGate>,
    pub(crate) review: Review,
    pub(crate) canary: Option<canary::Config>,
    pub(crate) office: watch::Receiver<Option<Office>>,
    pub(crate) live: watch::Receiver<Arc<BTreeSet<Did>>>,
    pub(crate) snapshot: watch::Sender<Snapshot>,
}

pub(crate) fn snapshot(dag: &Dag) -> Snapshot {
    Snapshot {
        head: dag.head(),
        heads: dag.heads(),
        genesis: dag.root(),
        revisions: dag.len(),
        state: Arc::new(dag.state()),
        trial: None,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Library {
    pub(crate) async fn run(
        parts: LibraryParts,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let (done, mut results) = mpsc::channel(64);
        let mut library = Self {
            known: history::terms(&parts.dag),
            dag: parts.dag,
            members: stored_members(&parts.store),
            identity: parts.identity,
            store: parts.store,
            gossip: parts.gossip,
            outbox: parts.outbox,
            content: parts.content,
            evaluate: parts.evaluate,
            ethics: parts.ethics,
            review: parts.review,
            office: parts.office,
            live: parts.live,
            snapshot: parts.snapshot,
            since: BTreeMap::new(),
            announced: Intake::new(ARTIFACTS),
            heads: Intake::new(HEADS),
            ready: BTreeMap::new(),
            deferred: BTreeMap::new(),
            own: BTreeSet::new(),
            noted: BTreeSet::new(),
            merging: false,
            canary: trial::Canary::new(parts.canary),
            failures: 0,
            done,
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        };
        if let Err(error) = library.take_up().await {
            tracing::error!(%error, "pending artifacts could not be taken up");
        }
        let mut remind = tokio::time::interval(REMIND);
        remind.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut office, mut live) = (library.office.clone(), library.live.clone());
        let (mut merge_at, mut elections): (Option<Instant>, bool) = (None, true);
        loop {
            library.fetch_due();
            let (due, trial_due) = (library.next_due(), library.trial_due());
            let outcome = tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = results.recv() => library.finished(done).await,
                changed = office.changed(), if elections => match changed {
                    // The election has ended on this node; what others do is taken in no more, but
                    // its own twins still learn, and it answers.
                    Err(_) => {
                        elections = false;
                        Ok(())
                    }
                    Ok(()) => library.office_changed().await,
                },
                changed = live.changed() => match changed {
                    Err(_) => break,
                    Ok(()) => library.view_changed().await,
                },
                command = commands.recv() => match command {
                    None => break,
                    Some(command) => library.command(command).await,
                },
                _ = remind.tick() => library.remind().await,
                () = at(due) => Ok(()),
                () = at(trial_due) => library.trials().await,
                () = at(merge_at) => {
                    merge_at = None;
                    library.start_merge().await
                }
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "the playbook library failed");
                library.failures = library.failures.saturating_add(1);
            }
            if merge_at.is_none() && library.has_work() {
                merge_at = Some(Instant::now() + library.pause());
            }
        }
        library.tasks.close();
        library.tasks.wait().await;
    }

    /// How long to wait before the next merge.
    fn pause(&self) -> Duration {
        GATHER
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST_PAUSE)
    }

    fn my_office(&self) -> Option<Office> {
        self.office
            .borrow()
            .clone()
            .filter(|office| office.mo == *self.identity.did())
    }

    /// Whether this node, being MO, has artifacts to merge or heads to join.
    fn has_work(&self) -> bool {
        !self.merging
            && self.my_office().is_some()
            && (self.may_merge() || self.dag.heads().len() > 1)
    }

    /// Whether something that waits does not wait for the end of a trial.
    fn may_merge(&self) -> bool {
        let reverts = |waiting: &Waiting| !waiting.artifact.body().delta.revert.is_empty();
        match self.canary.is_busy() {
            true => self.ready.values().any(reverts),
            false => !self.ready.is_empty(),
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            me: self.identity.did().clone(),
            live: self.live.borrow().clone(),
            members: self.members.clone(),
            office: self.office.borrow().clone(),
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), HiveError> {
        match command {
            Command::Publish { artifact, reply } => self.publish(*artifact, reply),
            Command::Revert {
                artifacts,
                reason,
                reply,
            } => self.revert(artifacts, reason, reply),
            Command::Review {
                cid,
                verdict,
                reply,
            } => {
                let _ = reply.send(self.reviewed(cid, verdict).await);
            }
            Command::ArtifactAnnounced { cid, from } => {
                let here = self.ready.contains_key(&cid) || self.deferred.contains_key(&cid);
                if !here && !self.dag.view().applied(&cid) {
                    self.announced.offer(cid, &from, now_ms());
                }
            }
            Command::ArtifactRefused { cid, reason, from } => {
                self.refused_elsewhere(cid, reason, &from).await?;
            }
            Command::HeadsAnnounced { heads, from } => {
                let now = now_ms();
                let office = self.office.borrow().clone();
                let by_mo = office.is_some_and(|office| office.mo == from);
                for head in heads.into_iter().take(HEADS.waiting) {
                    if self.dag.contains(&head) {
                        continue;
                    }
                    if by_mo {
                        self.heads.offer_by_mo(head, &from, now);
                    } else {
                        self.heads.offer(head, &from, now);
                    }
                }
            }
            Command::TrialAnnounced { offer, from } => {
                self.trial_announced(offer, &from).await?;
            }
            Command::OutcomesHeard {
                trial,
                report,
                from,
            } => {
                self.outcomes_heard(trial, &from, report);
            }
            Command::GoalEnded { reached } => {
                self.goal_ended(reached);
                self.trials().await?;
            }
            Command::Inspect(look) => look(&self.dag),
        }
        Ok(())
    }

    async fn finished(&mut self, done: Done) -> Result<(), HiveError> {
        match done {
            Done::Artifact(fetched) => self.artifact_fetched(fetched).await,
            Done::Published(published) => self.published(published).await,
            Done::Head(fetched) => self.head_fetched(fetched).await,
            Done::Adopt(adopted) => self.adopt(adopted).await,
            Done::Merge(finished) => self.merged(*finished).await,
            Done::Trial(fetched) => self.trial_fetched(fetched).await,
        }
    }

    /// Starts every fetch that is due and within its quota.
    fn fetch_due(&mut self) {
        let now = now_ms();
        if self.my_office().is_some() {
            while let Some((cid, sources)) = self.announced.next(now) {
                self.fetch_artifact(cid, sources);
            }
        }
        while let Some((cid, sources)) = self.heads.next(now) {
            self.fetch_head(cid, sources);
        }
    }

    /// When the next fetch is due; none where nothing waits.
    fn next_due(&self) -> Option<Instant> {
        let artifacts = self
            .announced
            .next_due_ms()
            .filter(|_| self.my_office().is_some());
        let due = [artifacts, self.heads.next_due_ms()]
            .into_iter()
            .flatten()
            .min()?;
        // What is due and not started waits for a quota, so for a result.
        let wait = due.saturating_sub(now_ms());
        (wait > 0).then(|| Instant::now() + Duration::from_millis(wait))
    }

    /// Runs work beside the task, until the node stops; what came of it arrives as a result.
    fn beside(&self, work: impl Future<Output = Done> + Send + 'static) {
        let (done, stop) = (self.done.clone(), self.stop.clone());
        self.tasks.spawn(stop.run_until_cancelled_owned(async move {
            let _ = done.send(work.await).await;
        }));
    }

    fn blame(&self, sources: &[Did], reason: &str) {
        for peer in sources.iter().flat_map(Did::peer_id) {
            self.gossip.misbehaved(&peer, reason);
        }
    }

    async fn office_changed(&mut self) -> Result<(), HiveError> {
        let standing = self.standing();
        if let Some(office) = standing.office.as_ref().filter(|_| standing.has_mandate()) {
            self.remember(office.electorate.iter().cloned()).await?;
        }
        let now = now_ms();
        self.heads.wake(now);
        self.announced.wake(now);
        self.failures = 0;
        self.trials().await?;
        self.remind().await
    }

    async fn view_changed(&mut self) -> Result<(), HiveError> {
        let (now, live) = (now_ms(), self.live.borrow_and_update().clone());
        self.since.retain(|did, _| live.contains(did));
        for did in live.iter() {
            self.since.entry(did.clone()).or_insert(now);
        }
        self.heads.wake(now);
        let standing = self.standing();
        match standing.office.as_ref().filter(|_| standing.has_mandate()) {
            Some(office) => self.remember(office.electorate.iter().cloned()).await,
            None => Ok(()),
        }
    }

    /// Adds to the members, durably.
    async fn remember(&mut self, new: impl Iterator<Item = Did>) -> Result<(), HiveError> {
        let new: Vec<Did> = new.filter(|did| !self.members.contains(did)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut members = self.members.as_ref().clone();
        if members.len() + new.len() > MAX_MEMBERS {
            let live = self.live.borrow().clone();
            members.retain(|did| live.contains(did));
        }
        members.extend(new);
        self.store.put_setting(MEMBERS, json!(members)).await?;
        self.members = Arc::new(members);
        self.heads.wake(now_ms());
        Ok(())
    }

    /// Announces own artifacts that nobody merged yet, and counts who has been here for long.
    async fn remind(&mut self) -> Result<(), HiveError> {
        let now = now_ms();
        let long = |since: &u64| now.saturating_sub(*since) >= MEMBER_AFTER_MS;
        let known: Vec<Did> = self
            .since
            .iter()
            .filter(|(_, since)| long(since))
            .map(|(did, _)| did.clone())
            .collect();
        self.remember(known.into_iter()).await?;
        self.announce_own();
        self.announce_trial();
        Ok(())
    }
}

fn stored_members(store: &Store) -> Arc<BTreeSet<Did>> {
    let stored = store.get_setting(MEMBERS).ok().flatten();
    let members = stored.and_then(|value| serde_json::from_value(value).ok());
    Arc::new(members.unwrap_or_default())
}
