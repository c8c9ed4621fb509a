//! Canary rollout: artifacts are tried on a cohort before they are merged. Pure.
//!
//! The MO opens a trial ([`Trial::open`]). Whoever's hash for it lies below the trial's bar is the
//! cohort: it uses the artifacts on top of the playbook until the trial ends, the rest does not. Every
//! node counts how its goals end and reports that, signed, with how they ended before. The MO compares
//! by how much success *changed* in the cohort and in the rest, so that a cohort whose goals are harder
//! than others' is not held against the artifacts, and says [`Verdict::Promote`] or
//! [`Verdict::Revert`]. Nothing was merged by then: reverting is forgetting.
//!
//! In a swarm of fewer than [`Config::min_swarm`] nodes there is no trial: a cohort of one or two nodes
//! says nothing, and the gates and the task suite decide alone.

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use pagi_messages::{
    Did,
    content::{ContentError, cid_of, to_dag_cbor},
};
use serde::{Deserialize, Serialize};

/// How trials are run. Times are milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The part of the swarm that tries artifacts, 0 to 1.
    pub share: f64,
    /// Fewer live nodes than this try nothing.
    pub min_swarm: usize,
    /// The smallest cohort.
    pub min_cohort: usize,
    /// Goals that must have ended in the cohort, and in the rest, for a comparison.
    pub min_outcomes: u32,
    /// How long a trial runs; where too few goals ended, up to twice as long.
    pub window_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            share: 0.1,
            min_swarm: 30,
            min_cohort: 3,
            min_outcomes: 20,
            window_ms: 10 * 60_000,
        }
    }
}

/// At most so many goals of one node count: nobody speaks for the cohort alone.
pub const MOST_OF_ONE: u32 = 20;
/// A cohort so many standard errors worse than the rest ends the trial at once.
const CLEARLY_WORSE: f64 = 3.0;
/// At the end, so many are enough (one-sided, 5 %).
const WORSE: f64 = 1.645;

/// How goals ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Goals that were reached.
    pub reached: u32,
    /// Goals that were not.
    pub failed: u32,
}

impl Outcomes {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.reached.saturating_add(self.failed)
    }

    /// Counts one goal.
    pub fn count(&mut self, reached: bool) {
        let of = if reached {
            &mut self.reached
        } else {
            &mut self.failed
        };
        *of = of.saturating_add(1);
    }
}

/// What a trial is about, as the MO announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The trial's id.
    pub id: Cid,
    /// What is tried.
    pub artifacts: Vec<Cid>,
    /// The highest [`draw`] of the cohort.
    pub bar: u32,
    /// When it ends at the latest, milliseconds since the Unix epoch.
    pub until_ms: u64,
}

impl Offer {
    /// Whether `node` is of the cohort.
    #[must_use]
    pub fn is_cohort(&self, node: &Did) -> bool {
        draw(&self.id, node) <= self.bar
    }
}

/// The lot `node` draws for a trial: the first four bytes of a SHA-256 hash. Another trial, another lot.
#[must_use]
pub fn draw(trial: &Cid, node: &Did) -> u32 {
    let hash = cid_of(&[trial.to_bytes().as_slice(), node.to_string().as_bytes()].concat());
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(hash.hash().digest()) {
        *to = *from;
    }
    u32::from_be_bytes(first)
}

/// What a node says of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How its goals ended before.
    pub before: Outcomes,
    /// How they ended since.
    pub since: Outcomes,
}

/// One side of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Arm {
    /// Nodes that reported goals.
    pub nodes: u32,
    /// Share of goals reached before, where any is known.
    pub before: Option<f64>,
    /// Share of goals reached since.
    pub since: Option<f64>,
    /// Goals counted since.
    pub goals: u32,
}

/// Both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Those who tried.
    pub cohort: Arm,
    /// Those who did not.
    pub rest: Arm,
    /// By how many standard errors the cohort did worse; none where too few goals ended.
    pub worse: Option<f64>,
}

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Ask again at this time, or when a report comes.
    Wait(u64),
    /// No harm was seen.
    Promote(Comparison),
    /// The cohort does worse.
    Revert(Comparison),
}

/// A trial, as its MO keeps it.
#[derive(Clone, Debug)]
pub struct Trial {
    config: Config,
    offer: Offer,
    half_ms: u64,
    live: BTreeSet<Did>,
    reports: BTreeMap<Did, Report>,
}

impl Trial {
    /// Opens a trial of `artifacts` among the `live` nodes. None where the swarm is too small for one.
    ///
    /// # Errors
    /// [`ContentError`] where the trial has no id.
    pub fn open(
        config: &Config,
        mo: &Did,
        artifacts: Vec<Cid>,
        live: &BTreeSet<Did>,
        now_ms: u64,
    ) -> Result<Option<Self>, ContentError> {
        if live.len() < config.min_swarm || artifacts.is_empty() {
            return Ok(None);
        }
        let named: Vec<String> = artifacts.iter().map(ToString::to_string).collect();
        let id = cid_of(&to_dag_cbor(&("canary", mo, &named, now_ms))?);
        let wanted = (config.share * live.len() as f64).ceil() as usize;
        // The rest must be able to speak as well.
        let size = wanted
            .max(config.min_cohort)
            .clamp(1, live.len().div_ceil(2));
        let mut lots: Vec<u32> = live.iter().map(|node| draw(&id, node)).collect();
        lots.sort_unstable();
        let Some(bar) = lots.get(size - 1).copied() else {
            return Ok(None);
        };
        let window = config.window_ms;
        Ok(Some(Self {
            config: config.clone(),
            offer: Offer {
                id,
                artifacts,
                bar,
                until_ms: now_ms.saturating_add(window.saturating_mul(2)),
            },
            half_ms: now_ms.saturating_add(window),
            live: live.clone(),
            reports: BTreeMap::new(),
        }))
    }

    /// What the swarm is told.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Takes in what a node reports; the last word of each counts. A node that was not there when the
    /// trial began has none. Returns whether it was taken in.
    pub fn report(&mut self, trial: &Cid, node: &Did, report: Report) -> bool {
        let known = *trial == self.offer.id && self.live.contains(node);
        if known {
            self.reports.insert(node.clone(), report);
        }
        known
    }

    /// Whether to go on, promote or revert.
    #[must_use]
    pub fn verdict(&self, now_ms: u64) -> Verdict {
        let comparison = self.compare();
        let ended = now_ms >= self.offer.until_ms;
        match comparison.worse {
            Some(worse) if worse >= CLEARLY_WORSE => Verdict::Revert(comparison),
            Some(worse) if now_ms >= self.half_ms && worse >= WORSE => Verdict::Revert(comparison),
            Some(_) if now_ms >= self.half_ms => Verdict::Promote(comparison),
            // Nobody had goals to try it on: the gates and the suite have let it pass.
            None if ended => Verdict::Promote(comparison),
            _ if now_ms < self.half_ms => Verdict::Wait(self.half_ms),
            _ => Verdict::Wait(self.offer.until_ms),
        }
    }

    /// Both sides as they stand.
    #[must_use]
    pub fn compare(&self) -> Comparison {
        let (mut cohort, mut rest) = (Sum::default(), Sum::default());
        for (node, report) in &self.reports {
            let side = if self.offer.is_cohort(node) {
                &mut cohort
            } else {
                &mut rest
            };
            side.add(report);
        }
        let least = f64::from(self.config.min_outcomes);
        let enough = |side: &Sum| side.since.goals >= least;
        let worse = (enough(&cohort) && enough(&rest)).then(|| {
            // Where either side has too little of a past, the present is compared alone.
            let past = cohort.before.goals >= least && rest.before.goals >= least;
            let change =
                |side: &Sum| side.since.rate() - if past { side.before.rate() } else { 0.0 };
            let spread = |side: &Sum| {
                side.since.variance() + if past { side.before.variance() } else { 0.0 }
            };
            let error = (spread(&cohort) + spread(&rest)).sqrt();
            (change(&rest) - change(&cohort)) / error.max(f64::MIN_POSITIVE)
        });
        Comparison {
            cohort: cohort.arm(),
            rest: rest.arm(),
            worse,
        }
    }
}

/// Goals of several nodes, each node's share capped.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    reached: f64,
    goals: f64,
}

impl Tally {
    fn add(&mut self, outcomes: Outcomes) {
        let total = f64::from(outcomes.total());
        if total > 0.0 {
            let weight = f64::from(outcomes.total().min(MOST_OF_ONE)) / total;
            self.reached += weight * f64::from(outcomes.reached);
            self.goals += weight * total;
        }
    }

    fn rate(&self) -> f64 {
        if self.goals > 0.0 {
            self.reached / self.goals
        } else {
            0.0
        }
    }

    /// Of the rate; with one reached and one missed goal added, so that a run of luck is not certain.
    fn variance(&self) -> f64 {
        let p = (self.reached + 1.0) / (self.goals + 2.0);
        p * (1.0 - p) / self.goals.max(1.0)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    nodes: u32,
    before: Tally,
    since: Tally,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        if report.since.total() > 0 {
            self.nodes = self.nodes.saturating_add(1);
            self.before.add(report.before);
            self.since.add(report.since);
        }
    }

    fn arm(&self) -> Arm {
        let share = |tally: &Tally| (tally.goals > 0.0).then(|| tally.rate());
        Arm {
            nodes: self.nodes,
            before: share(&self.before),
            since: share(&self.since),
            goals: self.since.goals as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    fn nodes(n: u8) -> BTreeSet<Did> {
        (0..n)
            .map(|n| SigningIdentity::from_seed(&[n; 32]).did().clone())
            .collect()
    }

    fn open(n: u8) -> Option<Trial> {
        let live = nodes(n);
        let mo = live.first().unwrap().clone();
        Trial::open(&Config::default(), &mo, vec![cid_of(b"a")], &live, 1000).unwrap()
    }

    fn outcomes(reached: u32, failed: u32) -> Outcomes {
        Outcomes { reached, failed }
    }

    fn say(trial: &mut Trial, cohort: Report, rest: Report) {
        let (offer, live) = (trial.offer.clone(), trial.live.clone());
        for node in &live {
            let one = if offer.is_cohort(node) { cohort } else { rest };
            assert!(trial.report(&offer.id, node, one));
        }
    }

    #[test]
    fn a_small_swarm_tries_nothing() {
        assert!(open(29).is_none());
        let trial = open(30).unwrap();
        let cohort = trial.live.iter().filter(|node| trial.offer.is_cohort(node));
        assert_eq!(cohort.count(), 3);
    }

    #[test]
    fn what_harms_is_reverted_and_what_does_not_is_promoted() {
        let usual = Report {
            before: outcomes(16, 4),
            since: outcomes(16, 4),
        };
        let harmed = Report {
            before: outcomes(16, 4),
            since: outcomes(4, 16),
        };
        let mut trial = open(30).unwrap();
        say(&mut trial, harmed, usual);
        // So much harm does not wait for the end.
        assert!(matches!(trial.verdict(1001), Verdict::Revert(_)));
        let mut trial = open(30).unwrap();
        say(&mut trial, usual, usual);
        let half = 1000 + Config::default().window_ms;
        assert_eq!(trial.verdict(1001), Verdict::Wait(half));
        assert!(matches!(trial.verdict(half), Verdict::Promote(_)));
    }

    #[test]
    fn harder_goals_are_no_harm() {
        // The cohort reaches little, but no less than before.
        let hard = Report {
            before: outcomes(4, 16),
            since: outcomes(4, 16),
        };
        let easy = Report {
            before: outcomes(19, 1),
            since: outcomes(19, 1),
        };
        let mut trial = open(40).unwrap();
        say(&mut trial, hard, easy);
        let half = 1000 + Config::default().window_ms;
        assert!(matches!(trial.verdict(half), Verdict::Promote(_)));
    }

    #[test]
    fn without_goals_a_trial_ends_at_last() {
        let trial = open(35).unwrap();
        let window = Config::default().window_ms;
        let end = 1000 + 2 * window;
        assert_eq!(trial.verdict(1000 + window), Verdict::Wait(end));
        let Verdict::Promote(comparison) = trial.verdict(end) else {
            panic!("not promoted")
        };
        assert_eq!(comparison.worse, None);
    }

    #[test]
    fn strangers_and_other_trials_have_no_say() {
        let mut trial = open(30).unwrap();
        let stranger = SigningIdentity::from_seed(&[200; 32]).did().clone();
        let report = Report::default();
        let id = trial.offer.id;
        assert!(!trial.report(&id, &stranger, report));
        let one = trial.live.first().unwrap().clone();
        assert!(!trial.report(&cid_of(b"other"), &one, report));
    }

    proptest! {
        #[test]
        fn the_cohort_is_as_large_as_it_should_be(n in 30u8..120, seed in any::<u64>()) {
            let live = nodes(n);
            let mo = live.first().unwrap().clone();
            let artifacts = vec![cid_of(&seed.to_be_bytes())];
            let trial = Trial::open(&Config::default(), &mo, artifacts, &live, seed).unwrap().unwrap();
            let cohort = live.iter().filter(|node| trial.offer.is_cohort(node)).count();
            prop_assert_eq!(cohort, usize::from(n).div_ceil(10).max(3));
        }

        #[test]
        fn one_node_cannot_speak_for_many(reached in 0u32..u32::MAX, failed in 0u32..u32::MAX) {
            let mut trial = open(30).unwrap();
            let (offer, live) = (trial.offer.clone(), trial.live.clone());
            let one = live.iter().find(|node| offer.is_cohort(node)).unwrap();
            let report = Report { before: Outcomes::default(), since: outcomes(reached, failed) };
            trial.report(&offer.id, one, report);
            prop_assert!(trial.compare().cohort.goals <= MOST_OF_ONE);
        }
    }
}
