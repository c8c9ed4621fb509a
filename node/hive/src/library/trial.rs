//! Canary trials: as MO, artifacts are tried on a part of the swarm before they are merged; as anybody,
//! this node tries them or not, and reports how its goals end. The rules are in
//! [`pagi_playbook::canary`].

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use cid::Cid;
use pagi_messages::{Coordination, Did, Verified};
use pagi_playbook::{
    Artifact, Merged, State,
    canary::{Comparison, Config, MOST_OF_ONE, Offer, Outcomes, Report, Trial, Verdict},
};
use pagi_store::AuditRecord;
use serde_json::json;
use tokio::time::Instant;

use super::{Done, Library, Review, artifacts::now_text};
use crate::{
    bundle,
    election::Office,
    error::HiveError,
    gates::{self, Refused},
    hive::now_ms,
};

/// Artifacts in one trial at the most.
const MOST_TRIED: usize = 64;
/// Goals remembered from before a trial.
const PAST: usize = 4 * MOST_OF_ONE as usize;
/// The longest a trial may be announced for.
const LONGEST_MS: u64 = 24 * 3_600_000;
/// After a report the MO waits this long for more before it decides.
const LOOK_EVERY_MS: u64 = 500;
/// Reports of one's own trial are sent this often at the most.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// Where this node stands with trials.
pub(super) struct Canary {
    config: Option<Config>,
    /// As MO: the trial under way.
    running: Option<Running>,
    /// As MO: artifacts that a trial let through.
    promoted: BTreeSet<Cid>,
    /// As MO: artifacts of a trial that showed harm, in halves, to be tried apart.
    halves: VecDeque<BTreeSet<Cid>>,
    /// The trial this node is part of.
    part: Option<Part>,
    /// How goals ended lately, outside of trials.
    past: VecDeque<bool>,
}

struct Running {
    office: Office,
    trial: Trial,
    /// When to decide next, milliseconds: each look goes through all reports.
    look_ms: u64,
}

impl Running {
    fn report(&mut self, trial: &Cid, node: &Did, report: Report) {
        if self.trial.report(trial, node, report) {
            self.look_ms = self.look_ms.min(now_ms().saturating_add(LOOK_EVERY_MS));
        }
    }
}

struct Part {
    office: Office,
    offer: Offer,
    cohort: bool,
    /// What is tried here; none yet, or never, where this node is of the rest.
    tried: Option<Vec<(Cid, Verified<Artifact>)>>,
    fetching: bool,
    before: Outcomes,
    since: Outcomes,
    said: Option<Instant>,
    unsaid: bool,
}

/// What is to be tried was fetched, or not.
pub(super) struct Fetched {
    trial: Cid,
    artifacts: Vec<(Cid, Verified<Artifact>)>,
}

/// What a merge may take.
pub(super) enum Cleared {
    /// These, without a trial.
    Merge(BTreeSet<Cid>),
    /// These are to be judged and tried first.
    Try(BTreeSet<Cid>),
    /// None now.
    Nothing,
}

impl Canary {
    pub(super) fn new(config: Option<Config>) -> Self {
        Self {
            config,
            running: None,
            promoted: BTreeSet::new(),
            halves: VecDeque::new(),
            part: None,
            past: VecDeque::new(),
        }
    }

    /// What of `picked` may be merged now by the MO of a swarm of `live` nodes.
    pub(super) fn clear(&mut self, picked: &BTreeSet<Cid>, live: usize) -> Cleared {
        let Some(config) = &self.config else {
            return Cleared::Merge(picked.clone());
        };
        let cleared: BTreeSet<Cid> = picked.intersection(&self.promoted).copied().collect();
        if !cleared.is_empty() {
            return Cleared::Merge(cleared);
        }
        if self.running.is_some() {
            return Cleared::Nothing;
        }
        if live < config.min_swarm {
            return Cleared::Merge(picked.clone());
        }
        while let Some(half) = self.halves.pop_front() {
            let half: BTreeSet<Cid> = picked.intersection(&half).copied().collect();
            if !half.is_empty() {
                return Cleared::Try(half);
            }
        }
        Cleared::Try(picked.clone())
    }

    /// Whether artifacts wait for the trial under way.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// When the trial under way may be decided, milliseconds.
    fn due_ms(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.look_ms)
    }

    /// Artifacts that are merged or refused need nothing more.
    pub(super) fn settled(&mut self, is_settled: impl Fn(&Cid) -> bool) {
        self.promoted.retain(|cid| !is_settled(cid));
        if self
            .part
            .as_ref()
            .is_some_and(|part| part.offer.artifacts.iter().any(&is_settled))
        {
            self.part = None;
        }
    }
}

impl Library {
    /// When to look at trials again.
    pub(super) fn trial_due(&self) -> Option<Instant> {
        let part = self.canary.part.as_ref();
        let due = [self.canary.due_ms(), part.map(|part| part.offer.until_ms)];
        let wait = due.into_iter().flatten().min()?.saturating_sub(now_ms());
        let decide = Instant::now() + Duration::from_millis(wait.max(10));
        let unsaid = part.filter(|part| part.unsaid);
        let say = unsaid.and_then(|part| part.said.map(|said| said + REPORT_EVERY));
        Some(say.map_or(decide, |say| say.min(decide)))
    }

    /// As MO, opens a trial of judged artifacts. Where the swarm has become too small they are cleared.
    pub(super) async fn open_trial(
        &mut self,
        office: Office,
        artifacts: BTreeSet<Cid>,
    ) -> Result<(), HiveError> {
        let Some(config) = self.canary.config.clone().filter(|_| !artifacts.is_empty()) else {
            return Ok(());
        };
        let (me, now) = (self.identity.did().clone(), now_ms());
        let live = self.live.borrow().clone();
        let list = artifacts.iter().copied().collect();
        let Some(trial) = Trial::open(&config, &me, list, &live, now)? else {
            self.canary.promoted.extend(artifacts);
            return Ok(());
        };
        let offer = trial.offer().clone();
        let cohort = live.iter().filter(|node| offer.is_cohort(node)).count();
        let audit = AuditRecord::new(now_text(), me.to_string(), "canary_opened", "accepted")
            .about(offer.id.to_string())
            .with_detail(
                json!({"artifacts": texts(&offer.artifacts), "cohort": cohort,
                "nodes": live.len(), "until": offer.until_ms}),
            );
        self.store.append_audit(audit).await?;
        self.canary.running = Some(Running {
            office: office.clone(),
            trial,
            look_ms: now.saturating_add(LOOK_EVERY_MS),
        });
        self.announce_trial();
        self.take_part(offer, &office);
        Ok(())
    }

    /// As MO, says again what is tried: not everybody heard it, and some came later.
    pub(super) fn announce_trial(&mut self) {
        let Some(running) = &self.canary.running else {
            return;
        };
        let offer = running.trial.offer();
        self.outbox.say(Coordination::CanaryOpened {
            trial: offer.id,
            artifacts: offer.artifacts.clone(),
            bar: offer.bar,
            until: offer.until_ms,
            timestamp: now_ms(),
        });
    }

    /// The MO says that it tries something.
    pub(super) async fn trial_announced(
        &mut self,
        offer: Offer,
        from: &Did,
    ) -> Result<(), HiveError> {
        let office = self.office.borrow().clone();
        let Some(office) = office.filter(|office| office.mo == *from) else {
            return Ok(());
        };
        let now = now_ms();
        let known = self.canary.part.as_ref().map(|part| part.offer.id);
        let sound = offer.until_ms > now
            && offer.until_ms - now <= LONGEST_MS
            && (1..=MOST_TRIED).contains(&offer.artifacts.len());
        if !sound || self.canary.config.is_none() {
            return Ok(());
        }
        if known == Some(offer.id) {
            self.fetch_tried();
            return Ok(());
        }
        self.take_part(offer, &office);
        Ok(())
    }

    /// This node is part of a trial, on the side its lot says.
    fn take_part(&mut self, offer: Offer, office: &Office) {
        let cohort = offer.is_cohort(self.identity.did());
        let mut before = Outcomes::default();
        self.canary
            .past
            .iter()
            .for_each(|ended| before.count(*ended));
        self.canary.part = Some(Part {
            office: office.clone(),
            offer,
            cohort,
            tried: None,
            fetching: false,
            before,
            since: Outcomes::default(),
            said: None,
            unsaid: false,
        });
        self.show();
        self.fetch_tried();
    }

    /// Fetches what this node is to try. Where a person decides what the node takes in, nothing is
    /// tried, and nothing reported.
    fn fetch_tried(&mut self) {
        let manual = self.review == Review::Manual;
        let part = self.canary.part.as_mut();
        let Some(part) =
            part.filter(|part| part.cohort && part.tried.is_none() && !part.fetching && !manual)
        else {
            return;
        };
        part.fetching = true;
        let (offer, mo) = (part.offer.clone(), part.office.mo.clone());
        let content = self.content.clone();
        let state = self.snapshot.borrow().state.clone();
        let providers: Vec<String> = mo.peer_id().into_iter().collect();
        self.beside(async move {
            let mut artifacts = Vec::new();
            for cid in &offer.artifacts {
                let got = bundle::get(content.as_ref(), cid, &providers).await;
                match got.and_then(|bytes| bundle::open_artifact(cid, &bytes, None, &state)) {
                    Ok(artifact) => artifacts.push((*cid, artifact)),
                    Err(error) => tracing::debug!(%cid, %error, "not tried"),
                }
            }
            Done::Trial(Fetched {
                trial: offer.id,
                artifacts,
            })
        });
    }

    /// What is to be tried is here: it passes this node's own gates, or it is not tried.
    pub(super) async fn trial_fetched(&mut self, fetched: Fetched) -> Result<(), HiveError> {
        let Fetched { trial, artifacts } = fetched;
        let Some(part) = self.canary.part.as_mut() else {
            return Ok(());
        };
        if part.offer.id != trial {
            return Ok(());
        }
        part.fetching = false;
        let mut state = self.dag.state();
        let whole = artifacts.len() == part.offer.artifacts.len();
        for (cid, artifact) in &artifacts {
            let reverts = !artifact.body().delta.revert.is_empty();
            let checked = gates::check(&state, artifact, &self.ethics, &part.office.mo);
            let refused = checked.err().filter(|refused| !refused.relative);
            if reverts || refused.is_some() {
                let why = refused.map_or("a revert is not tried".into(), |why| why.to_string());
                tracing::warn!(%cid, %why, "not tried: this node's own gates refuse it");
                // Not asked for again.
                part.fetching = true;
                return Ok(());
            }
            state = state.preview(vec![merged(*cid, artifact)]);
        }
        if !whole {
            return Ok(());
        }
        part.tried = Some(artifacts);
        let mo = part.office.mo.to_string();
        let tried = texts(&part.offer.artifacts);
        self.show();
        let audit = AuditRecord::new(now_text(), mo, "canary_joined", "accepted")
            .about(trial.to_string())
            .with_detail(json!({"artifacts": tried}));
        self.store.append_audit(audit).await?;
        Ok(())
    }

    /// The playbook with what is tried here; none where nothing is.
    pub(super) fn on_trial(&self) -> Option<Arc<State>> {
        let tried = self.canary.part.as_ref()?.tried.as_ref()?;
        let all = tried.iter().map(|(cid, artifact)| merged(*cid, artifact));
        Some(Arc::new(self.dag.state().preview(all.collect())))
    }

    /// A goal of this node's user ended.
    pub(super) fn goal_ended(&mut self, reached: bool) {
        let Some(part) = self.canary.part.as_mut() else {
            self.canary.past.push_back(reached);
            if self.canary.past.len() > PAST {
                self.canary.past.pop_front();
            }
            return;
        };
        // The cohort speaks of what it tried, or not at all.
        if part.cohort && part.tried.is_none() {
            return;
        }
        part.since.count(reached);
        part.unsaid = true;
        if part.said.is_none_or(|said| said.elapsed() >= REPORT_EVERY) {
            self.say_outcomes();
        }
    }

    /// Tells the MO how goals end here.
    fn say_outcomes(&mut self) {
        let me = self.identity.did().clone();
        let Some(part) = self.canary.part.as_mut().filter(|part| part.unsaid) else {
            return;
        };
        part.unsaid = false;
        part.said = Some(Instant::now());
        let (trial, before, since) = (part.offer.id, part.before, part.since);
        if let Some(running) = &mut self.canary.running {
            running.report(&trial, &me, Report { before, since });
            return;
        }
        self.outbox.say(Coordination::CanaryOutcomes {
            trial,
            before: (before.reached, before.failed),
            since: (since.reached, since.failed),
            timestamp: now_ms(),
        });
    }

    /// As MO, hears how goals of `from` end.
    pub(super) fn outcomes_heard(&mut self, trial: Cid, from: &Did, report: Report) {
        if let Some(running) = &mut self.canary.running {
            running.report(&trial, from, report);
        }
    }

    /// Ends what has lost its office or its time, reports, and decides as MO.
    pub(super) async fn trials(&mut self) -> Result<(), HiveError> {
        let office = self.office.borrow().clone();
        let (mine, now) = (self.my_office(), now_ms());
        let canary = &mut self.canary;
        let kept = |running: &Running| mine.as_ref() == Some(&running.office);
        if !canary.running.as_ref().is_none_or(kept) {
            // The next MO tries for itself.
            canary.running = None;
        }
        if mine.is_none() {
            canary.promoted.clear();
            canary.halves.clear();
        }
        let over = |part: &Part| {
            part.offer.until_ms <= now
                || office.as_ref().map(|office| &office.mo) != Some(&part.office.mo)
        };
        if canary.part.as_ref().is_some_and(over) {
            self.leave_trial();
        }
        let part = self.canary.part.as_ref();
        let waited = |part: &Part| part.said.is_none_or(|said| said.elapsed() >= REPORT_EVERY);
        if part.is_some_and(waited) {
            self.say_outcomes();
        }
        self.decide(now).await
    }

    async fn decide(&mut self, now: u64) -> Result<(), HiveError> {
        let running = self.canary.running.as_mut();
        let Some(running) = running.filter(|running| now >= running.look_ms) else {
            return Ok(());
        };
        let (comparison, harmful) = match running.trial.verdict(now) {
            Verdict::Wait(at) => {
                running.look_ms = at;
                return Ok(());
            }
            Verdict::Promote(comparison) => (comparison, false),
            Verdict::Revert(comparison) => (comparison, true),
        };
        let offer = running.trial.offer().clone();
        self.canary.running = None;
        self.leave_trial();
        let (action, outcome) = if harmful {
            ("canary_reverted", "refused")
        } else {
            ("canary_promoted", "accepted")
        };
        let me = self.identity.did().to_string();
        let audit = AuditRecord::new(now_text(), me, action, outcome)
            .about(offer.id.to_string())
            .with_detail(json!({"artifacts": texts(&offer.artifacts), "comparison": comparison}));
        self.store.append_audit(audit).await?;
        if !harmful {
            self.canary.promoted.extend(offer.artifacts);
            return Ok(());
        }
        if let [one] = offer.artifacts[..] {
            let reason = said(&comparison);
            self.announced.refuse(one);
            return self.refuse(one, Refused::new("canary", reason)).await;
        }
        // Which of them it was is found by trying halves.
        let (first, second) = offer.artifacts.split_at(offer.artifacts.len() / 2);
        for half in [first, second] {
            self.canary.halves.push_back(half.iter().copied().collect());
        }
        Ok(())
    }

    fn leave_trial(&mut self) {
        self.canary.part = None;
        self.show();
    }
}

fn merged(cid: Cid, artifact: &Verified<Artifact>) -> Merged {
    Merged {
        artifact: cid,
        author: artifact.author().clone(),
        delta: artifact.body().delta.clone(),
    }
}

fn texts(cids: &[Cid]) -> Vec<String> {
    cids.iter().map(ToString::to_string).collect()
}

fn said(comparison: &Comparison) -> String {
    let percent = |share: Option<f64>| match share {
        Some(share) => format!("{:.0} %", 100.0 * share),
        None => "unknown".to_owned(),
    };
    let (cohort, rest) = (&comparison.cohort, &comparison.rest);
    format!(
        "those who tried it reached {} of {} goals ({} before), the others {} of {} ({} before)",
        percent(cohort.since),
        cohort.goals,
        percent(cohort.before),
        percent(rest.since),
        rest.goals,
        percent(rest.before)
    )
}
