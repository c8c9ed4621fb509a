//! As MO: what is ready becomes one revision that joins all heads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cid::Cid;
use pagi_messages::{
    Coordination, Did, SigningIdentity, Verified, content::to_dag_cbor, wire::MAX_BLOCK_BYTES,
};
use pagi_playbook::{
    Artifact, Dag, Merged, Revision, State, block,
    evaluation::{Report, Worse},
};
use pagi_store::Batch;

use super::{Done, Library, artifacts::record, trial::Cleared};
use crate::{
    election::Office,
    error::HiveError,
    gates::{self, Refused},
    hive::now_ms,
    ports::{Content, Evaluate, EvaluateError},
};

/// Artifacts in one revision at the most.
const MAX_MERGED: usize = 64;

/// One artifact to merge.
pub(super) struct Picked {
    cid: Cid,
    artifact: Verified<Artifact>,
    bytes: Vec<u8>,
}

/// A merge that runs beside the library.
pub(super) struct Job {
    office: Office,
    picked: Vec<Picked>,
    /// Judged only: it is tried on a part of the swarm before it is merged.
    trial: bool,
}

/// A merge that ended.
pub(super) struct Finished {
    job: Job,
    result: Result<Made, HiveError>,
}

/// A revision whose blocks are stored.
pub(super) struct Made {
    /// What the evaluation let through of the job's artifacts.
    kept: BTreeSet<Cid>,
    refused: Vec<(Cid, Refused)>,
    revision: Option<(Cid, Verified<Revision>, Vec<u8>)>,
}

/// Runs the suite under both playbooks.
pub(super) async fn compare(
    evaluate: &dyn Evaluate,
    current: &Arc<State>,
    candidate: &Arc<State>,
) -> Result<Report, EvaluateError> {
    evaluate.evaluate(current.clone(), candidate.clone()).await
}

impl Library {
    /// Picks what to merge and starts the work.
    pub(super) async fn start_merge(&mut self) -> Result<(), HiveError> {
        let Some(office) = self.my_office() else {
            return Ok(());
        };
        if self.merging {
            return Ok(());
        }
        let beyond = |cid: &Cid| self.known.get(cid).is_some_and(|term| *term > office.term);
        if self.dag.heads().iter().any(beyond) {
            // Those who hold it make this node stand again above it.
            self.failures = self.failures.saturating_add(1);
            return Ok(());
        }
        let me = self.identity.did().clone();
        let mut state = self.dag.state();
        let (mut picked, mut size) = (Vec::new(), 0);
        let mut stopped = Vec::new();
        for cid in fair_order(&self.ready) {
            let Some(waiting) = self.ready.get(&cid) else {
                continue;
            };
            if picked.len() >= MAX_MERGED || size + waiting.bytes.len() > MAX_BLOCK_BYTES / 2 {
                break;
            }
            if let Err(refused) = gates::check(&state, &waiting.artifact, &self.ethics, &me) {
                stopped.push((
                    cid,
                    waiting.artifact.clone(),
                    waiting.bytes.clone(),
                    refused,
                ));
                continue;
            }
            size += waiting.bytes.len();
            let one = Picked {
                cid,
                artifact: waiting.artifact.clone(),
                bytes: waiting.bytes.clone(),
            };
            // The next artifact is judged against what this one adds.
            state = state.preview(vec![merged(&one)]);
            picked.push(one);
        }
        for (cid, artifact, bytes, refused) in stopped {
            self.gate_refused(cid, artifact, bytes, refused).await?;
        }
        if picked.iter().any(Picked::reverts) {
            // A person takes something back: that is a revision of its own, and asks no suite.
            picked.retain(Picked::reverts);
        }
        let mut trial = false;
        if !picked.iter().any(Picked::reverts) {
            let all = picked.iter().map(|one| one.cid).collect();
            let live = self.live.borrow().len();
            let cleared = match self.canary.clear(&all, live) {
                Cleared::Merge(cleared) => cleared,
                Cleared::Try(cleared) => {
                    trial = true;
                    cleared
                }
                Cleared::Nothing => BTreeSet::new(),
            };
            picked.retain(|one| cleared.contains(&one.cid));
        }
        trial &= !picked.is_empty();
        if picked.is_empty() && self.dag.heads().len() < 2 {
            return Ok(());
        }
        self.merging = true;
        let (dag, identity) = (self.dag.clone(), self.identity.clone());
        let (content, evaluate) = (self.content.clone(), self.evaluate.clone());
        let job = Job {
            office,
            picked,
            trial,
        };
        self.beside(async move {
            let result = job.run(dag, identity, content, evaluate).await;
            Done::Merge(Box::new(Finished { job, result }))
        });
        Ok(())
    }

    /// Takes the made revision in, if this node still holds the office it was made in.
    pub(super) async fn merged(&mut self, finished: Finished) -> Result<(), HiveError> {
        let Finished { job, result } = finished;
        self.merging = false;
        let made = result?;
        for (cid, refused) in made.refused {
            self.announced.refuse(cid);
            self.refuse(cid, refused).await?;
        }
        let Some((cid, revision, bytes)) = made.revision else {
            if job.trial && self.my_office().as_ref() == Some(&job.office) {
                self.failures = 0;
                return self.open_trial(job.office, made.kept).await;
            }
            return Ok(());
        };
        if self.my_office().as_ref() != Some(&job.office) {
            tracing::info!(%cid, "a revision was dropped: its term of office is over");
            return Ok(());
        }
        let mut dag = self.dag.clone();
        dag.insert(cid, &revision)?;
        let mut batch = Batch::new();
        for one in &job.picked {
            if made.kept.contains(&one.cid) {
                let bytes = one.bytes.clone();
                batch = batch.artifact(record(one.cid, &one.artifact, bytes, "merged"));
            }
        }
        let batch = batch.revision(cid.to_string(), bytes);
        let batch = self.adoption(batch, &dag, [(cid, &revision)].into_iter());
        self.store.write(batch).await?;
        self.install(dag);
        self.failures = 0;
        self.outbox.say(Coordination::PlaybookUpdate {
            cid,
            timestamp: now_ms(),
        });
        Ok(())
    }
}

impl Picked {
    fn reverts(&self) -> bool {
        !self.artifact.body().delta.revert.is_empty()
    }
}

impl Job {
    async fn run(
        &self,
        mut dag: Dag,
        identity: SigningIdentity,
        content: Arc<dyn Content>,
        evaluate: Option<Arc<dyn Evaluate>>,
    ) -> Result<Made, HiveError> {
        let current = Arc::new(dag.state());
        let judged = !self.picked.is_empty() && !self.picked.iter().any(Picked::reverts);
        let (kept, refused, report) = match evaluate.filter(|_| judged) {
            Some(evaluate) => self.judge(evaluate.as_ref(), &current).await?,
            None => (self.picked.iter().collect(), Vec::new(), None),
        };
        let mut made = Made {
            kept: kept.iter().map(|one| one.cid).collect(),
            refused,
            revision: None,
        };
        if self.trial {
            for one in &kept {
                content.put(one.bytes.clone()).await?;
            }
            return Ok(made);
        }
        if kept.is_empty() && dag.heads().len() < 2 {
            return Ok(made);
        }
        let report = match report {
            Some(report) => Some(content.put(to_dag_cbor(&report)?).await?),
            None => None,
        };
        for one in &kept {
            content.put(one.bytes.clone()).await?;
        }
        let merged = kept.into_iter().map(merged).collect();
        let office = &self.office;
        let certificate = Some(office.certificate);
        let revision = dag.next(merged, office.term, certificate, report, now_ms());
        let signed = Verified::sign(&identity, revision)?;
        let (cid, bytes) = block::seal(&signed)?;
        dag.insert(cid, &signed)?;
        content.put(bytes.clone()).await?;
        made.revision = Some((cid, signed, bytes));
        Ok(made)
    }

    /// Evaluates all artifacts together and, where that fails, one by one.
    async fn judge(
        &self,
        evaluate: &dyn Evaluate,
        current: &Arc<State>,
    ) -> Result<(Vec<&Picked>, Vec<(Cid, Refused)>, Option<Report>), HiveError> {
        let candidate = |of: &[&Picked]| {
            let merged = of.iter().map(|one| merged(one)).collect();
            Arc::new(current.preview(merged))
        };
        let all: Vec<&Picked> = self.picked.iter().collect();
        let report = compare(evaluate, current, &candidate(&all)).await?;
        let worse = match report.verdict() {
            Ok(()) => return Ok((all, Vec::new(), Some(report))),
            Err(worse) => worse,
        };
        if let [one] = all[..] {
            return Ok((Vec::new(), vec![(one.cid, refusal(&worse))], None));
        }
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        let (mut state, mut last) = (current.clone(), None);
        for one in all {
            kept.push(one);
            let with = candidate(&kept);
            let report = compare(evaluate, &state, &with).await?;
            match report.verdict() {
                Ok(()) => state = with,
                Err(worse) => {
                    kept.pop();
                    refused.push((one.cid, refusal(&worse)));
                }
            }
        }
        if !kept.is_empty() {
            last = Some(compare(evaluate, current, &state).await?);
        }
        Ok((kept, refused, last))
    }
}

fn refusal(worse: &Worse) -> Refused {
    Refused::new("evaluation", worse.to_string())
}

fn merged(one: &Picked) -> Merged {
    Merged {
        artifact: one.cid,
        author: one.artifact.author().clone(),
        delta: one.artifact.body().delta.clone(),
    }
}

/// Authors take turns, so that one with many artifacts fills no revision alone.
fn fair_order(ready: &BTreeMap<Cid, super::Waiting>) -> Vec<Cid> {
    let mut counts: BTreeMap<&Did, usize> = BTreeMap::new();
    let mut order: Vec<(usize, Cid)> = ready
        .iter()
        .map(|(cid, waiting)| {
            let turn = counts.entry(waiting.artifact.author()).or_default();
            *turn += 1;
            (*turn, *cid)
        })
        .collect();
    order.sort();
    order.into_iter().map(|(_, cid)| cid).collect()
}
