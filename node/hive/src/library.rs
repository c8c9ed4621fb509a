//! The playbook library: one task that owns the DAG, takes artifacts and revisions in, and, while
//! this node is MO, merges.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use cid::Cid;
use pagi_messages::{
    Coordination, Did, Event, EventType, SigningIdentity, Verified,
    event::{from_unix_ms, rfc3339},
    wire::MAX_BLOCK_BYTES,
};
use pagi_playbook::{
    Artifact, Dag, Insert, Limits, Merged, Revision, State, block, validate_artifact,
};
use pagi_store::{ArtifactRecord, AuditRecord, Batch, Store};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    bundle::{self, BundleError, Checked},
    election::Office,
    error::HiveError,
    hive::{now_ms, say},
    ports::{Content, Gossip},
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
}

pub(crate) enum Command {
    Publish {
        artifact: Box<Verified<Artifact>>,
        reply: oneshot::Sender<Result<Cid, HiveError>>,
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
    Inspect(Box<dyn FnOnce(&Dag) + Send>),
}

/// What a fetch that ran beside the task came back with.
enum Fetched {
    Artifact {
        cid: Cid,
        result: Result<(Box<Verified<Artifact>>, Vec<u8>), BundleError>,
    },
    Revisions {
        heads: Vec<Cid>,
        from: Did,
        result: Result<Vec<Checked>, BundleError>,
    },
}

/// Artifacts that arrive together are merged together: the MO waits this long for more.
const GATHER: Duration = Duration::from_millis(150);
/// Own artifacts that nobody merged are announced again this often.
const REMIND: Duration = Duration::from_secs(10);
/// Announcements remembered at the most.
const MAX_ANNOUNCED: usize = 4096;
/// Fetches under way at the most.
const MAX_FETCHES: usize = 16;
/// Time for all that one announcement makes this node fetch.
const FETCH_PATIENCE: Duration = Duration::from_secs(120);
/// Artifacts in one revision at the most.
const MAX_MERGED: usize = 64;

pub(crate) struct Library {
    dag: Dag,
    identity: SigningIdentity,
    store: Store,
    gossip: Arc<dyn Gossip>,
    content: Arc<dyn Content>,
    office: watch::Receiver<Option<Office>>,
    snapshot: watch::Sender<Snapshot>,
    /// Artifacts heard of and not merged yet, with a node that has them.
    announced: BTreeMap<Cid, Did>,
    /// Artifacts fetched and checked, waiting for the next revision.
    ready: BTreeMap<Cid, (Verified<Artifact>, Vec<u8>)>,
    fetching: BTreeSet<Cid>,
    fetched: mpsc::Sender<Fetched>,
    tasks: TaskTracker,
    /// Ends what is being fetched when the node stops.
    stop: CancellationToken,
}

pub(crate) struct LibraryParts {
    pub(crate) dag: Dag,
    pub(crate) identity: SigningIdentity,
    pub(crate) store: Store,
    pub(crate) gossip: Arc<dyn Gossip>,
    pub(crate) content: Arc<dyn Content>,
    pub(crate) office: watch::Receiver<Option<Office>>,
    pub(crate) snapshot: watch::Sender<Snapshot>,
}

pub(crate) fn snapshot(dag: &Dag) -> Snapshot {
    Snapshot {
        head: dag.head(),
        heads: dag.heads(),
        genesis: dag.root(),
        revisions: dag.len(),
        state: Arc::new(dag.state()),
    }
}

impl Library {
    pub(crate) async fn run(
        parts: LibraryParts,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let (fetched, mut results) = mpsc::channel(64);
        let mut library = Self {
            dag: parts.dag,
            identity: parts.identity,
            store: parts.store,
            gossip: parts.gossip,
            content: parts.content,
            office: parts.office,
            snapshot: parts.snapshot,
            announced: BTreeMap::new(),
            ready: BTreeMap::new(),
            fetching: BTreeSet::new(),
            fetched,
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        };
        let mut remind = tokio::time::interval(REMIND);
        remind.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut office = library.office.clone();
        let mut merge_at: Option<tokio::time::Instant> = None;
        loop {
            let gather = async {
                match merge_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    None => break,
                    Some(command) => library.command(command).await,
                },
                Some(fetched) = results.recv() => library.arrived(fetched).await,
                changed = office.changed() => match changed {
                    Err(_) => break,
                    Ok(()) => library.office_changed().await,
                },
                _ = remind.tick() => library.remind().await,
                () = gather => {
                    merge_at = None;
                    library.merge().await
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, "the playbook library failed");
            }
            if merge_at.is_none() && library.has_work() {
                merge_at = Some(tokio::time::Instant::now() + GATHER);
            }
        }
        library.tasks.close();
        library.tasks.wait().await;
    }

    fn my_office(&self) -> Option<Office> {
        self.office
            .borrow()
            .clone()
            .filter(|office| office.mo == *self.identity.did())
    }

    /// Whether this node, being MO, has artifacts to merge or heads to join.
    fn has_work(&self) -> bool {
        self.my_office().is_some() && (!self.ready.is_empty() || self.dag.heads().len() > 1)
    }

    async fn command(&mut self, command: Command) -> Result<(), HiveError> {
        match command {
            Command::Publish { artifact, reply } => {
                let _ = reply.send(self.publish(*artifact).await);
            }
            Command::ArtifactAnnounced { cid, from } => {
                if self.dag.view().applied(&cid) || self.announced.len() >= MAX_ANNOUNCED {
                    return Ok(());
                }
                self.announced.entry(cid).or_insert(from);
                self.fetch_announced();
            }
            Command::ArtifactRefused { cid, reason, from } => {
                let mo = self
                    .office
                    .borrow()
                    .as_ref()
                    .map(|office| office.mo.clone());
                if mo.as_ref() == Some(&from) {
                    self.announced.remove(&cid);
                    let batch = Batch::new().known_artifact_status(
                        cid.to_string(),
                        "rejected",
                        Some(reason),
                    );
                    self.store.write(batch).await?;
                }
            }
            Command::HeadsAnnounced { heads, from } => self.fetch_heads(heads, from),
            Command::Inspect(look) => look(&self.dag),
        }
        Ok(())
    }

    /// Checks an artifact of this node, stores and pins it durably, and announces it.
    async fn publish(&mut self, artifact: Verified<Artifact>) -> Result<Cid, HiveError> {
        validate_artifact(self.dag.view(), artifact.body(), &Limits::default())?;
        let (cid, bytes) = block::seal(&artifact)?;
        self.content.put(bytes.clone()).await?;
        let now = from_unix_ms(now_ms());
        let event = Event::new(
            Uuid::new_v4(),
            now,
            EventType::ArtifactPublished,
            "hive",
            json!({"cid": cid.to_string(), "critique": artifact.body().critique,
                   "base": artifact.body().base.to_string()}),
        )
        .about_twin(&artifact.body().twin_id)
        .about(cid.to_string());
        let audit = AuditRecord::new(
            rfc3339(now),
            artifact.author().to_string(),
            "artifact_published",
            "accepted",
        )
        .about(cid.to_string());
        let batch = Batch::new()
            .artifact(self.record(cid, &artifact, bytes.clone(), "pending"))
            .event(event)
            .audit(audit);
        self.store.write(batch).await?;
        self.ready.insert(cid, (artifact, bytes));
        self.announce(Coordination::ArtifactPublished {
            cid,
            timestamp: now_ms(),
        })
        .await;
        Ok(cid)
    }

    fn record(
        &self,
        cid: Cid,
        artifact: &Verified<Artifact>,
        bytes: Vec<u8>,
        status: &str,
    ) -> ArtifactRecord {
        ArtifactRecord {
            cid: cid.to_string(),
            author: artifact.author().to_string(),
            twin_id: artifact.body().twin_id.clone(),
            status: status.to_owned(),
            reason: None,
            base: Some(artifact.body().base.to_string()),
            bytes,
            ts: rfc3339(from_unix_ms(artifact.body().timestamp)),
        }
    }

    async fn announce(&self, message: Coordination) {
        match say(self.gossip.as_ref(), &self.identity, message).await {
            Ok(()) => {}
            Err(HiveError::Network(error)) => {
                tracing::debug!(%error, "an announcement was not sent; it is repeated later");
            }
            Err(error) => tracing::error!(%error, "an announcement could not be encoded"),
        }
    }

    async fn office_changed(&mut self) -> Result<(), HiveError> {
        if self.my_office().is_some() {
            self.fetch_announced();
        }
        self.remind().await
    }

    /// Announces own artifacts that nobody merged yet, and takes them up again after a restart.
    async fn remind(&mut self) -> Result<(), HiveError> {
        let pending: Vec<ArtifactRecord> = self
            .store
            .list_artifacts()?
            .into_iter()
            .filter(|record| record.status == "pending")
            .take(MAX_MERGED)
            .collect();
        for record in pending {
            let Ok(cid) = record.cid.parse::<Cid>() else {
                continue;
            };
            if self.dag.view().applied(&cid) {
                self.store
                    .set_artifact_status(record.cid, "merged", None)
                    .await?;
                continue;
            }
            if let Entry::Vacant(entry) = self.ready.entry(cid) {
                match block::open::<Artifact>(&cid, &record.bytes) {
                    Ok(artifact) => {
                        entry.insert((artifact, record.bytes));
                    }
                    Err(error) => {
                        let reason = Some(error.to_string());
                        self.store
                            .set_artifact_status(record.cid, "rejected", reason)
                            .await?;
                        continue;
                    }
                }
            }
            if self.my_office().is_none() {
                self.announce(Coordination::ArtifactPublished {
                    cid,
                    timestamp: now_ms(),
                })
                .await;
            }
        }
        Ok(())
    }

    /// As MO, fetches what was announced.
    fn fetch_announced(&mut self) {
        if self.my_office().is_none() {
            return;
        }
        let wanted: Vec<(Cid, Did)> = self
            .announced
            .iter()
            .filter(|(cid, _)| !self.fetching.contains(*cid) && !self.ready.contains_key(*cid))
            .map(|(cid, from)| (*cid, from.clone()))
            .take(MAX_FETCHES.saturating_sub(self.fetching.len()))
            .collect();
        for (cid, from) in wanted {
            self.fetching.insert(cid);
            let content = self.content.clone();
            let state = self.snapshot.borrow().state.clone();
            self.fetch_beside(async move {
                let providers: Vec<String> = from.peer_id().into_iter().collect();
                let result = match content.get(&cid, &providers).await {
                    Ok(bytes) => bundle::open_artifact(&cid, &bytes, None, &state)
                        .map(|artifact| (Box::new(artifact), bytes)),
                    Err(cause) => Err(BundleError::Missing { cid, cause }),
                };
                Fetched::Artifact { cid, result }
            });
        }
    }

    /// Fetches beside the task, until the node stops; what came of it arrives as a result.
    fn fetch_beside(&self, work: impl Future<Output = Fetched> + Send + 'static) {
        let (fetched, stop) = (self.fetched.clone(), self.stop.clone());
        self.tasks.spawn(stop.run_until_cancelled_owned(async move {
            let _ = fetched.send(work.await).await;
        }));
    }

    fn fetch_heads(&mut self, heads: Vec<Cid>, from: Did) {
        let unknown: Vec<Cid> = heads
            .into_iter()
            .take(pagi_playbook::dag::MAX_PARENTS)
            .filter(|cid| !self.dag.contains(cid) && !self.fetching.contains(cid))
            .collect();
        if unknown.is_empty() || self.fetching.len() >= MAX_FETCHES {
            return;
        }
        self.fetching.extend(unknown.iter().copied());
        let known: BTreeSet<Cid> = self
            .dag
            .log(usize::MAX)
            .into_iter()
            .map(|(cid, _)| cid)
            .chain([self.dag.root()])
            .collect();
        let content = self.content.clone();
        let state = self.snapshot.borrow().state.clone();
        self.fetch_beside(async move {
            let providers: Vec<String> = from.peer_id().into_iter().collect();
            let fetching = bundle::fetch(content.as_ref(), &unknown, &providers, &known, &state);
            let result = tokio::time::timeout(FETCH_PATIENCE, fetching)
                .await
                .unwrap_or(Err(BundleError::Slow));
            Fetched::Revisions {
                heads: unknown,
                from,
                result,
            }
        });
    }

    async fn arrived(&mut self, fetched: Fetched) -> Result<(), HiveError> {
        match fetched {
            Fetched::Artifact { cid, result } => {
                self.fetching.remove(&cid);
                match result {
                    Ok((artifact, bytes)) => {
                        if !self.dag.view().applied(&cid) {
                            self.ready.insert(cid, (*artifact, bytes));
                        }
                    }
                    Err(error) if error.is_misbehaviour() => {
                        self.refuse(cid, error.to_string()).await?;
                    }
                    // It may come back with its author; the author announces it again.
                    Err(error) => {
                        tracing::info!(%error, "an announced artifact was not fetched");
                        self.announced.remove(&cid);
                    }
                }
                self.fetch_announced();
                Ok(())
            }
            Fetched::Revisions {
                heads,
                from,
                result,
            } => {
                for head in &heads {
                    self.fetching.remove(head);
                }
                match result {
                    Ok(revisions) => self.adopt(revisions, &from).await,
                    Err(error) => {
                        tracing::warn!(%error, %from, "an announced revision was not adopted");
                        let audit = AuditRecord::new(
                            rfc3339(from_unix_ms(now_ms())),
                            from.to_string(),
                            "revision_adopted",
                            "refused",
                        )
                        .with_detail(json!({"error": error.to_string()}));
                        self.store.append_audit(audit).await?;
                        Ok(())
                    }
                }
            }
        }
    }

    /// Takes revisions of others in: all of them or none, in one transaction.
    async fn adopt(&mut self, revisions: Vec<Checked>, from: &Did) -> Result<(), HiveError> {
        let mut dag = self.dag.clone();
        let mut added = Vec::new();
        for checked in revisions {
            match dag.insert(checked.cid, &checked.revision) {
                Ok(Insert::Added) => added.push(checked),
                Ok(Insert::Duplicate) => {}
                Ok(Insert::MissingParents(missing)) => {
                    tracing::warn!(?missing, %from, "a revision's parents are missing");
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, %from, "a revision does not fit the history");
                    return Ok(());
                }
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for checked in &added {
            if let Some(certificate) = &checked.certificate {
                self.content.put(certificate.clone()).await?;
            }
            for (cid, artifact, bytes) in &checked.artifacts {
                self.content.put(bytes.clone()).await?;
                batch = batch.artifact(self.record(*cid, artifact, bytes.clone(), "merged"));
            }
            self.content.put(checked.bytes.clone()).await?;
            batch = batch.revision(checked.cid.to_string(), checked.bytes.clone());
        }
        let bodies: Vec<(Cid, &Verified<Revision>)> = added
            .iter()
            .map(|checked| (checked.cid, &checked.revision))
            .collect();
        let batch = self.adoption(batch, &dag, &bodies);
        self.store.write(batch).await?;
        self.install(dag);
        Ok(())
    }

    /// Adds heads, events and audit entries of an adoption to a batch.
    fn adoption(&self, batch: Batch, dag: &Dag, added: &[(Cid, &Verified<Revision>)]) -> Batch {
        let now = from_unix_ms(now_ms());
        let before = self.dag.head().to_string();
        let mut batch = batch.heads(dag.heads().iter().map(ToString::to_string).collect());
        for (cid, revision) in added {
            let merged: Vec<String> = revision
                .body()
                .merged
                .iter()
                .map(|merged| merged.artifact.to_string())
                .collect();
            let detail = json!({"cid": cid.to_string(), "before": before,
                "head": dag.head().to_string(), "author": revision.author(),
                "term": revision.body().term, "merged": merged});
            let event = Event::new(
                Uuid::new_v4(),
                now,
                EventType::PlaybookUpdated,
                "hive",
                detail.clone(),
            )
            .about(cid.to_string());
            let action = if revision.author() == self.identity.did() {
                "revision_authored"
            } else {
                "revision_adopted"
            };
            let audit = AuditRecord::new(
                rfc3339(now),
                revision.author().to_string(),
                action,
                "accepted",
            )
            .about(cid.to_string())
            .with_detail(detail);
            batch = batch.event(event).audit(audit);
        }
        batch
    }

    fn install(&mut self, dag: Dag) {
        self.dag = dag;
        let view = self.dag.view();
        self.ready.retain(|cid, _| !view.applied(cid));
        self.announced.retain(|cid, _| !view.applied(cid));
        self.snapshot.send_replace(snapshot(&self.dag));
    }

    /// As MO, merges what is ready into one revision, which joins all heads.
    async fn merge(&mut self) -> Result<(), HiveError> {
        let Some(office) = self.my_office() else {
            return Ok(());
        };
        let mut dag = self.dag.clone();
        let mut batch = Batch::new();
        let mut merged: Vec<Merged> = Vec::new();
        let mut size = 0;
        let mut refused: Vec<(Cid, String)> = Vec::new();
        let mut state = dag.state();
        for (cid, (artifact, bytes)) in &self.ready {
            if merged.len() >= MAX_MERGED || size + bytes.len() > MAX_BLOCK_BYTES / 2 {
                break;
            }
            if state.applied(cid) {
                continue;
            }
            if let Err(refusal) = validate_artifact(&state, artifact.body(), &Limits::default()) {
                refused.push((*cid, format!("the {} gate: {refusal}", refusal.gate())));
                continue;
            }
            size += bytes.len();
            merged.push(Merged {
                artifact: *cid,
                author: artifact.author().clone(),
                delta: artifact.body().delta.clone(),
            });
            self.content.put(bytes.clone()).await?;
            batch = batch.artifact(self.record(*cid, artifact, bytes.clone(), "merged"));
            // The next artifact is judged against what this one adds.
            state = state.preview(merged.last().cloned().into_iter().collect());
        }
        for (cid, reason) in refused {
            self.refuse(cid, reason).await?;
        }
        if merged.is_empty() && self.dag.heads().len() < 2 {
            return Ok(());
        }
        let revision = dag.next(
            merged,
            office.term,
            Some(office.certificate),
            None,
            now_ms(),
        );
        let signed = Verified::sign(&self.identity, revision)?;
        let (cid, bytes) = block::seal(&signed)?;
        dag.insert(cid, &signed)?;
        self.content.put(bytes.clone()).await?;
        let batch = self.adoption(
            batch.revision(cid.to_string(), bytes),
            &dag,
            &[(cid, &signed)],
        );
        self.store.write(batch).await?;
        self.install(dag);
        self.announce(Coordination::PlaybookUpdate {
            cid,
            timestamp: now_ms(),
        })
        .await;
        Ok(())
    }

    /// As MO, refuses an artifact for good and says so.
    async fn refuse(&mut self, cid: Cid, reason: String) -> Result<(), HiveError> {
        tracing::info!(%cid, %reason, "an artifact was refused");
        self.ready.remove(&cid);
        self.announced.remove(&cid);
        let audit = AuditRecord::new(
            rfc3339(from_unix_ms(now_ms())),
            self.identity.did().to_string(),
            "artifact_refused",
            "refused",
        )
        .about(cid.to_string())
        .with_detail(json!({"reason": reason}));
        let batch = Batch::new()
            .known_artifact_status(cid.to_string(), "rejected", Some(reason.clone()))
            .audit(audit);
        self.store.write(batch).await?;
        self.announce(Coordination::ArtifactRefused {
            cid,
            reason,
            timestamp: now_ms(),
        })
        .await;
        Ok(())
    }
}
