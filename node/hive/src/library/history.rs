//! Revisions of others: fetched, believed or not, vetted where they are on probation, adopted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cid::Cid;
use pagi_messages::{
    Did, Event, EventType, Verified,
    event::{from_unix_ms, rfc3339},
};
use pagi_playbook::{Dag, Insert, Revision};
use pagi_store::{AuditRecord, Batch};
use serde_json::json;
use uuid::Uuid;

use super::{
    Done, Library, MAX_NOTED, Review, Waiting,
    artifacts::{now_text, record},
    merging::compare,
    snapshot,
};
use crate::{
    belief::Belief,
    bundle::{Bundle, BundleError, Checked, Quest},
    error::HiveError,
    gates,
    hive::now_ms,
    ports::NetworkError,
};

/// Time for one stage of what an announcement makes this node fetch.
const FETCH_PATIENCE: Duration = Duration::from_secs(120);

/// A head was fetched, or not.
pub(super) struct Fetched {
    head: Cid,
    sources: Vec<Did>,
    result: Result<(Bundle, Belief), BundleError>,
}

/// The blocks of revisions were stored, or not.
pub(super) struct Adopted {
    head: Cid,
    sources: Vec<Did>,
    bundle: Bundle,
    result: Result<(), Held>,
}

/// Why checked revisions were not adopted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Held {
    /// The candidate is worse than what there is.
    #[error("the evaluation gate: {0}")]
    Worse(String),
    /// The suite could not be run.
    #[error("{0}")]
    NotRun(String),
    /// A block could not be stored.
    #[error(transparent)]
    Store(NetworkError),
}

/// The term of every revision, 0 for the genesis.
pub(super) fn terms(dag: &Dag) -> Arc<BTreeMap<Cid, u64>> {
    let all = dag.log(usize::MAX).into_iter();
    let revisions = all.map(|(cid, revision)| (cid, revision.body().term));
    Arc::new(revisions.chain([(dag.root(), 0)]).collect())
}

impl Library {
    /// Fetches an announced head, if it is believed.
    pub(super) fn fetch_head(&mut self, head: Cid, sources: Vec<Did>) {
        if self.dag.contains(&head) {
            self.heads.forget(&head);
            return;
        }
        let (content, known) = (self.content.clone(), self.known.clone());
        let state = self.snapshot.borrow().state.clone();
        let standing = self.standing();
        self.beside(async move {
            let providers: Vec<String> = sources.iter().flat_map(Did::peer_id).collect();
            let quest = Quest {
                content: content.as_ref(),
                providers: &providers,
                known: &known,
                state: &state,
                ceiling: standing.ceiling(),
            };
            let fetch = async {
                let (at, certificate) = quest.head(&head).await?;
                let belief = standing.judge(&at, &certificate, &sources);
                if let Belief::NotYet(why) = belief {
                    return Err(BundleError::NotYet(why));
                }
                Ok::<_, BundleError>((quest.fetch(&head).await?, belief))
            };
            let result = tokio::time::timeout(FETCH_PATIENCE, fetch).await;
            Done::Head(Fetched {
                head,
                result: result.unwrap_or(Err(BundleError::Slow)),
                sources,
            })
        });
    }

    pub(super) async fn head_fetched(&mut self, fetched: Fetched) -> Result<(), HiveError> {
        let Fetched {
            head,
            sources,
            result,
        } = fetched;
        match result {
            Ok((bundle, Belief::Probation)) => self.vet(head, sources, bundle).await,
            Ok((bundle, _)) => {
                self.store_blocks(head, sources, bundle, None);
                Ok(())
            }
            Err(error) if error.is_misbehaviour() => {
                self.blame(&sources, &error.to_string());
                self.heads.refuse(head);
                self.note(head, &sources, &error.to_string()).await
            }
            Err(BundleError::NotYet(why)) => {
                self.heads.postpone(&head, now_ms());
                self.note(head, &sources, &format!("not believed now: {why}"))
                    .await
            }
            Err(error) => {
                tracing::debug!(%head, %error, "an announced revision could not be fetched");
                self.heads.retry(&head, now_ms());
                Ok(())
            }
        }
    }

    /// Audits why a head was not adopted, once.
    async fn note(&mut self, head: Cid, sources: &[Did], why: &str) -> Result<(), HiveError> {
        if self.noted.len() >= MAX_NOTED {
            self.noted.clear();
        }
        if !self.noted.insert(head) {
            return Ok(());
        }
        tracing::warn!(%head, why, "an announced revision was not adopted");
        let from = sources.first().map(ToString::to_string).unwrap_or_default();
        let audit = AuditRecord::new(now_text(), from, "revision_adopted", "refused")
            .about(head.to_string())
            .with_detail(json!({"error": why}));
        self.store.append_audit(audit).await?;
        Ok(())
    }

    /// As MO, passes the work of a part that was cut off through the gates for artifacts.
    async fn vet(&mut self, head: Cid, sources: Vec<Did>, bundle: Bundle) -> Result<(), HiveError> {
        let me = self.identity.did().clone();
        let mut dag = self.dag.clone();
        for checked in &bundle.revisions {
            for (cid, artifact, _) in &checked.artifacts {
                // Its own MO may have taken back what it merged.
                let mo = if artifact.body().delta.revert.is_empty() {
                    &me
                } else {
                    checked.revision.author()
                };
                let refused = match gates::check(dag.view(), artifact, &self.ethics, mo) {
                    Err(refused) if !refused.relative => refused.to_string(),
                    _ if self.review == Review::Manual && !self.dag.view().applied(cid) => {
                        // Each of its artifacts is looked at first; then it is joined.
                        self.announce_for_review(&bundle, &sources);
                        self.heads.postpone(&head, now_ms());
                        let why = "the review gate: a person has not approved its artifacts yet";
                        return self.note(head, &sources, why).await;
                    }
                    _ => continue,
                };
                self.heads.refuse(head);
                return self.note(head, &sources, &refused).await;
            }
            if let Err(error) = dag.insert(checked.cid, &checked.revision) {
                self.heads.refuse(head);
                return self.note(head, &sources, &error.to_string()).await;
            }
        }
        self.store_blocks(head, sources, bundle, Some(Arc::new(dag.state())));
        Ok(())
    }

    fn announce_for_review(&mut self, bundle: &Bundle, sources: &[Did]) {
        let artifacts = bundle.revisions.iter().flat_map(|one| &one.artifacts);
        for (cid, ..) in artifacts {
            for source in sources {
                self.announced.offer(*cid, source, now_ms());
            }
        }
    }

    /// Stores the blocks of checked revisions, after an evaluation of `candidate` where there is one.
    fn store_blocks(
        &self,
        head: Cid,
        sources: Vec<Did>,
        bundle: Bundle,
        candidate: Option<Arc<pagi_playbook::State>>,
    ) {
        let content = self.content.clone();
        let evaluate = self.evaluate.clone().zip(candidate);
        let current = self.snapshot.borrow().state.clone();
        self.beside(async move {
            let work = async {
                if let Some((evaluate, candidate)) = evaluate {
                    let report = compare(evaluate.as_ref(), &current, &candidate)
                        .await
                        .map_err(|error| Held::NotRun(error.to_string()))?;
                    // It was let in where it was made; here it must do no harm.
                    if !report.lost.is_empty() {
                        return Err(Held::Worse(format!(
                            "{} tasks fail with it, such as {:?}",
                            report.lost.len(),
                            report.lost[..1].concat()
                        )));
                    }
                }
                for checked in &bundle.revisions {
                    let artifacts = checked.artifacts.iter().map(|(_, _, bytes)| bytes);
                    for block in checked
                        .others
                        .iter()
                        .chain(artifacts)
                        .chain([&checked.bytes])
                    {
                        content.put(block.clone()).await.map_err(Held::Store)?;
                    }
                }
                Ok::<(), Held>(())
            };
            let result = work.await;
            Done::Adopt(Adopted {
                head,
                sources,
                bundle,
                result,
            })
        });
    }

    /// Takes revisions of others in: all of them or none, in one transaction.
    pub(super) async fn adopt(&mut self, adopted: Adopted) -> Result<(), HiveError> {
        let Adopted {
            head,
            sources,
            bundle,
            result,
        } = adopted;
        match result {
            Ok(()) => {}
            Err(held @ Held::Worse(_)) => {
                self.heads.refuse(head);
                return self.note(head, &sources, &held.to_string()).await;
            }
            Err(held) => {
                tracing::warn!(%head, %held, "an announced revision is tried again later");
                self.heads.retry(&head, now_ms());
                return Ok(());
            }
        }
        // The office may have changed while blocks were stored.
        let ceiling = self.standing().ceiling();
        let mut dag = self.dag.clone();
        let mut added = Vec::new();
        for checked in bundle.revisions {
            if checked.revision.body().term > ceiling {
                self.heads.postpone(&head, now_ms());
                return Ok(());
            }
            match dag.insert(checked.cid, &checked.revision) {
                Ok(Insert::Added) => added.push(checked),
                Ok(Insert::Duplicate) => {}
                Ok(Insert::MissingParents(missing)) => {
                    tracing::warn!(?missing, %head, "a revision's parents are missing");
                    self.heads.retry(&head, now_ms());
                    return Ok(());
                }
                Err(error) => {
                    self.blame(&sources, &error.to_string());
                    self.heads.refuse(head);
                    return self.note(head, &sources, &error.to_string()).await;
                }
            }
        }
        if !added.is_empty() {
            let mut batch = Batch::new();
            for checked in &added {
                for (cid, artifact, bytes) in &checked.artifacts {
                    batch = batch.artifact(record(*cid, artifact, bytes.clone(), "merged"));
                }
                batch = batch.revision(checked.cid.to_string(), checked.bytes.clone());
            }
            let bodies = added.iter().map(|one: &Checked| (one.cid, &one.revision));
            let batch = self.adoption(batch, &dag, bodies);
            self.store.write(batch).await?;
            self.install(dag);
        }
        if bundle.more {
            self.heads.again(&head, now_ms());
        } else {
            self.heads.forget(&head);
        }
        Ok(())
    }

    /// Adds heads, events and audit entries of an adoption to a batch.
    pub(super) fn adoption<'a>(
        &self,
        batch: Batch,
        dag: &Dag,
        added: impl Iterator<Item = (Cid, &'a Verified<Revision>)>,
    ) -> Batch {
        let now = from_unix_ms(now_ms());
        let before = self.dag.head().to_string();
        let mut batch = batch.heads(dag.heads().iter().map(ToString::to_string).collect());
        for (cid, revision) in added {
            let body = revision.body();
            let merged: Vec<String> = body
                .merged
                .iter()
                .map(|merged| merged.artifact.to_string())
                .collect();
            let detail = json!({"cid": cid.to_string(), "before": before,
                "head": dag.head().to_string(), "author": revision.author(),
                "term": body.term, "merged": merged,
                "evaluation": body.evaluation.map(|cid| cid.to_string())});
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
            let author = revision.author().to_string();
            let audit = AuditRecord::new(rfc3339(now), author, action, "accepted")
                .about(cid.to_string())
                .with_detail(detail);
            batch = batch.event(event).audit(audit);
        }
        batch
    }

    pub(super) fn install(&mut self, dag: Dag) {
        self.dag = dag;
        self.known = terms(&self.dag);
        let view = self.dag.view();
        self.ready.retain(|cid, _| !view.applied(cid));
        self.deferred.retain(|cid, _| !view.applied(cid));
        self.own.retain(|cid| !view.applied(cid));
        self.announced.drop_done(|cid| view.applied(cid));
        self.heads.drop_done(|cid| self.known.contains_key(cid));
        // What they point at may be known now.
        let me = self.identity.did();
        let known: Vec<Cid> = self
            .deferred
            .iter()
            .filter(|(_, waiting)| {
                !gates::check(view, &waiting.artifact, &self.ethics, me)
                    .is_err_and(|refused| refused.waits)
            })
            .map(|(cid, _)| *cid)
            .collect();
        for cid in known {
            if let Some(Waiting { artifact, bytes }) = self.deferred.remove(&cid) {
                self.ready.insert(cid, Waiting { artifact, bytes });
            }
        }
        self.canary.settled(|cid| self.dag.view().applied(cid));
        self.show();
    }

    /// Lets everybody see the playbook as it is now.
    pub(super) fn show(&mut self) {
        let mut now = snapshot(&self.dag);
        now.trial = self.on_trial();
        self.snapshot.send_replace(now);
    }
}
