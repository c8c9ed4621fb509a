//! The fold of a genesis and a set of revisions.
//!
//! A state depends on which revisions it has seen, never on their order or number of arrivals:
//!
//! - cases and bullets only grow, by id; should two ever share an id, the smaller content stands;
//! - an artifact counts once, by its CID, however many revisions merged it: of differing claims
//!   about it, the one with the lowest stamp stands;
//! - an author has one voice per entry, however many artifacts it signs: helpful where it found the
//!   entry helpful more often than harmful, harmful the other way round, both where it is even;
//! - what a reverted artifact counted and wrote does not count, and what it alone brought is gone
//!   from the views; a revert stands for good (the lesson may be offered again);
//! - settings are written in the order of their stamps, so the last writer by (term, lamport,
//!   revision CID) stands; the genesis has (0, 0).
//!
//! Entries that harmed clearly more often than they helped are *retired*: they leave the views but
//! stay in the history, and come back should the counts turn.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use cid::Cid;
use pagi_messages::Did;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    delta::{Bullet, Case, Count, Setting},
    document::{self, DocumentError},
    revision::{Genesis, Merged, Revision},
    toml_form,
};

/// How many more harmful than helpful counts retire a case or bullet.
pub const RETIRE_MARGIN: u64 = 3;

/// How often something helped and harmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many authors found it helpful.
    pub helpful: u64,
    /// How many authors found it harmful.
    pub harmful: u64,
}

impl Tally {
    /// Whether it harmed at least [`RETIRE_MARGIN`] times more often than it helped.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.harmful >= self.helpful.saturating_add(RETIRE_MARGIN)
    }

    /// What an author with these counts says: one voice, whatever the numbers.
    fn voice(self) -> Self {
        Self {
            helpful: u64::from(self.helpful > 0 && self.helpful >= self.harmful),
            harmful: u64::from(self.harmful > 0 && self.harmful >= self.helpful),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            helpful: self.helpful.saturating_add(other.helpful),
            harmful: self.harmful.saturating_add(other.harmful),
        }
    }

    fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// Helpful less harmful.
    #[must_use]
    pub fn score(&self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.helpful).saturating_sub(signed(self.harmful))
    }
}

/// The order of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    term: u64,
    lamport: u64,
    revision: Cid,
    /// Which of the revision's artifacts.
    merged: usize,
    /// Which of the artifact's settings.
    setting: usize,
}

/// What stands of one artifact: the claim with the lowest stamp.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    stamp: Stamp,
    author: Did,
    counts: Vec<Count>,
    revert: Vec<Cid>,
}

/// What a set of revisions amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The genesis settings, without what is `learned`.
    base: Value,
    /// The settings now, without what is `learned`.
    settings: Value,
    writes: BTreeMap<Stamp, (Cid, Setting)>,
    cases: BTreeMap<String, Case>,
    bullets: BTreeMap<String, Bullet>,
    /// Which artifacts brought a case or bullet.
    bearers: BTreeMap<String, BTreeSet<Cid>>,
    /// The cases and bullets of the genesis.
    founded: BTreeSet<String>,
    /// The genesis' counts.
    founding: BTreeMap<String, Tally>,
    /// What each author counted, by target and author.
    voices: BTreeMap<String, BTreeMap<Did, Tally>>,
    tallies: BTreeMap<String, Tally>,
    applied: BTreeMap<Cid, Counted>,
    reverted: BTreeSet<Cid>,
}

impl State {
    /// The state of a genesis alone.
    ///
    /// # Errors
    /// [`DocumentError`] where the genesis document is not a playbook.
    pub fn new(genesis: &Genesis) -> Result<Self, DocumentError> {
        document::check(&genesis.document)?;
        let learned = document::learned(&genesis.document)?;
        let mut base = genesis.document.clone();
        if let Value::Object(map) = &mut base {
            map.remove("learned");
        }
        base.sort_all_objects();
        let mut state = Self {
            settings: base.clone(),
            base,
            writes: BTreeMap::new(),
            cases: BTreeMap::new(),
            bullets: BTreeMap::new(),
            bearers: BTreeMap::new(),
            founded: BTreeSet::new(),
            founding: BTreeMap::new(),
            voices: BTreeMap::new(),
            tallies: BTreeMap::new(),
            applied: BTreeMap::new(),
            reverted: BTreeSet::new(),
        };
        for (case, tally) in &learned.cases {
            state.learn_case(case);
            state.founded.insert(case.id.clone());
            state.founding.insert(case.id.clone(), *tally);
        }
        for (bullet, tally) in &learned.bullets {
            state.learn_bullet(bullet);
            state.founded.insert(bullet.id.clone());
            state.founding.insert(bullet.id.clone(), *tally);
        }
        state.founding.extend(learned.tools);
        state.founding.retain(|_, tally| !tally.is_zero());
        state.tallies = state.founding.clone();
        Ok(state)
    }

    /// This state as it would be with `merged` on top of everything else: what a further artifact is
    /// judged against while a revision is being put together.
    #[must_use]
    pub fn preview(&self, merged: Vec<Merged>) -> Self {
        let mut preview = self.clone();
        let revision = Revision {
            parents: Vec::new(),
            lamport: u64::MAX,
            term: u64::MAX,
            certificate: None,
            merged,
            evaluation: None,
            timestamp: 0,
        };
        preview.absorb(Cid::default(), &revision);
        preview
    }

    /// Takes in a revision that was not taken in before.
    pub(crate) fn absorb(&mut self, cid: Cid, revision: &Revision) {
        let mut rebuild = false;
        for (index, merged) in revision.merged.iter().enumerate() {
            let stamp = Stamp {
                term: revision.term,
                lamport: revision.lamport,
                revision: cid,
                merged: index,
                setting: 0,
            };
            let delta = &merged.delta;
            for case in &delta.cases {
                self.learn_case(case);
                self.brought(&case.id, merged.artifact);
            }
            for bullet in &delta.bullets {
                self.learn_bullet(bullet);
                self.brought(&bullet.id, merged.artifact);
            }
            rebuild |= self.count(
                merged.artifact,
                Counted {
                    stamp,
                    author: merged.author.clone(),
                    counts: delta.counts.clone(),
                    revert: delta.revert.clone(),
                },
            );
            for (number, setting) in delta.set.iter().enumerate() {
                let stamp = Stamp {
                    setting: number,
                    ..stamp
                };
                let newest = self
                    .writes
                    .last_key_value()
                    .is_none_or(|(last, _)| *last < stamp);
                if newest && !rebuild {
                    document::apply(&mut self.settings, setting);
                } else {
                    rebuild = true;
                }
                self.writes
                    .insert(stamp, (merged.artifact, setting.clone()));
            }
        }
        if rebuild {
            self.refold();
        }
    }

    /// Works out anew what depends on which claims stand and which artifacts are reverted.
    fn refold(&mut self) {
        self.reverted = self
            .applied
            .values()
            .flat_map(|counted| counted.revert.iter().copied())
            .collect();
        self.voices.clear();
        for (artifact, counted) in &self.applied {
            if !self.reverted.contains(artifact) {
                hear(&mut self.voices, &counted.author, &counted.counts);
            }
        }
        self.tallies = self.founding.clone();
        for (target, voices) in &self.voices {
            let founding = self.founding.get(target).copied().unwrap_or_default();
            self.tallies.insert(target.clone(), sum(founding, voices));
        }
        self.settings = self.base.clone();
        for (artifact, setting) in self.writes.values() {
            if !self.reverted.contains(artifact) {
                document::apply(&mut self.settings, setting);
            }
        }
    }

    fn brought(&mut self, id: &str, artifact: Cid) {
        self.bearers
            .entry(id.to_owned())
            .or_default()
            .insert(artifact);
    }

    fn learn_case(&mut self, case: &Case) {
        match self.cases.entry(case.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(case.clone());
            }
            Entry::Occupied(mut place) if case.canonical() < place.get().canonical() => {
                place.insert(case.clone());
            }
            Entry::Occupied(_) => {}
        }
    }

    fn learn_bullet(&mut self, bullet: &Bullet) {
        match self.bullets.entry(bullet.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(bullet.clone());
            }
            Entry::Occupied(mut place) if bullet.canonical() < place.get().canonical() => {
                place.insert(bullet.clone());
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Counts an artifact, or puts a claim with a lower stamp in the place of the standing one.
    /// Returns whether everything must be worked out anew.
    fn count(&mut self, artifact: Cid, counted: Counted) -> bool {
        let standing = self.applied.get(&artifact);
        if standing.is_some_and(|standing| standing.stamp <= counted.stamp) {
            // Should it write settings, they have to be told from a reverted artifact's.
            return self.reverted.contains(&artifact);
        }
        let anew =
            standing.is_some() || !counted.revert.is_empty() || self.reverted.contains(&artifact);
        if !anew {
            hear(&mut self.voices, &counted.author, &counted.counts);
            for count in &counted.counts {
                let target = &count.target;
                let founding = self.founding.get(target).copied().unwrap_or_default();
                let voices = self.voices.get(target);
                let tally = voices.map_or(founding, |voices| sum(founding, voices));
                self.tallies.insert(target.clone(), tally);
            }
        }
        self.applied.insert(artifact, counted);
        anew
    }

    /// The playbook as a document: the settings, and what is learnt and not retired under
    /// `learned` as `cases`, `bullets` and, where there are any, `tools`, each entry with its
    /// counts. Keys are sorted, so equal states print equal text.
    #[must_use]
    pub fn document(&self) -> Value {
        let with_counts = |entry: Result<Value, serde_json::Error>, tally: Tally| {
            let mut entry = entry.unwrap_or_default();
            entry["helpful"] = tally.helpful.into();
            entry["harmful"] = tally.harmful.into();
            entry
        };
        let cases: Vec<_> = self
            .cases()
            .map(|(case, tally)| with_counts(serde_json::to_value(case), tally))
            .collect();
        let bullets: Vec<_> = self
            .bullets()
            .map(|(bullet, tally)| with_counts(serde_json::to_value(bullet), tally))
            .collect();
        let tools: Vec<_> = self
            .tools()
            .map(|(name, tally)| with_counts(Ok(json!({ "name": name })), tally))
            .collect();
        let mut learned = Map::new();
        learned.insert("cases".into(), cases.into());
        learned.insert("bullets".into(), bullets.into());
        if !tools.is_empty() {
            learned.insert("tools".into(), tools.into());
        }
        let mut document = self.settings.clone();
        document["learned"] = Value::Object(learned);
        document.sort_all_objects();
        document
    }

    /// The document as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml_form::to_toml(&self.document())
    }

    /// The settings alone, without what is `learned`.
    #[must_use]
    pub fn settings(&self) -> &Value {
        &self.settings
    }

    /// The setting at `path`.
    #[must_use]
    pub fn setting(&self, path: &[&str]) -> Option<&Value> {
        document::at(&self.settings, path)
    }

    /// The cases that are not retired, by id, with their counts.
    pub fn cases(&self) -> impl Iterator<Item = (&Case, Tally)> {
        self.all_cases()
            .filter(|(case, tally)| !tally.is_retired() && !self.is_withdrawn(&case.id))
    }

    /// All cases, retired ones too.
    pub fn all_cases(&self) -> impl Iterator<Item = (&Case, Tally)> {
        self.cases.values().map(|case| (case, self.tally(&case.id)))
    }

    /// The bullets that are not retired, by id, with their counts.
    pub fn bullets(&self) -> impl Iterator<Item = (&Bullet, Tally)> {
        self.all_bullets()
            .filter(|(bullet, tally)| !tally.is_retired() && !self.is_withdrawn(&bullet.id))
    }

    /// All bullets, retired ones too.
    pub fn all_bullets(&self) -> impl Iterator<Item = (&Bullet, Tally)> {
        self.bullets
            .values()
            .map(|bullet| (bullet, self.tally(&bullet.id)))
    }

    /// The tools that were counted, by name.
    pub fn tools(&self) -> impl Iterator<Item = (&str, Tally)> {
        self.tallies
            .iter()
            .filter_map(|(target, tally)| target.strip_prefix("tool:").map(|name| (name, *tally)))
    }

    /// The case with this id, retired or not.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&Case> {
        self.cases.get(id)
    }

    /// The bullet with this id, retired or not.
    #[must_use]
    pub fn bullet(&self, id: &str) -> Option<&Bullet> {
        self.bullets.get(id)
    }

    /// The counts of a case id, bullet id or `tool:NAME`; zeroes where there are none.
    #[must_use]
    pub fn tally(&self, target: &str) -> Tally {
        self.tallies.get(target).copied().unwrap_or_default()
    }

    /// Whether every artifact that brought this case or bullet is reverted.
    #[must_use]
    pub fn is_withdrawn(&self, id: &str) -> bool {
        let bearers = self.bearers.get(id);
        bearers.is_some_and(|all| all.iter().all(|one| self.reverted.contains(one)))
            && !self.founded.contains(id)
    }

    /// Whether a case or bullet is in force or retired, rather than unknown or withdrawn.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        (self.cases.contains_key(id) || self.bullets.contains_key(id)) && !self.is_withdrawn(id)
    }

    /// Whether another count like this one by `author` would leave its voice as it is.
    #[must_use]
    pub fn has_said(&self, author: &Did, count: &Count) -> bool {
        let said = self
            .voices
            .get(&count.target)
            .and_then(|voices| voices.get(author));
        said.is_some_and(|said| {
            let more = Tally {
                helpful: count.helpful.into(),
                harmful: count.harmful.into(),
            };
            said.voice() == said.plus(more).voice()
        })
    }

    /// Whether the artifact with this CID is merged and was reverted since.
    #[must_use]
    pub fn is_reverted(&self, artifact: &Cid) -> bool {
        self.reverted.contains(artifact)
    }

    /// Whether the artifact with this CID is merged.
    #[must_use]
    pub fn applied(&self, artifact: &Cid) -> bool {
        self.applied.contains_key(artifact)
    }

    /// How many artifacts are merged.
    #[must_use]
    pub fn artifacts(&self) -> usize {
        self.applied.len()
    }
}

/// Adds one artifact's counts to what its author counted.
fn hear(voices: &mut BTreeMap<String, BTreeMap<Did, Tally>>, author: &Did, counts: &[Count]) {
    for count in counts {
        let more = Tally {
            helpful: count.helpful.into(),
            harmful: count.harmful.into(),
        };
        let voices = voices.entry(count.target.clone()).or_default();
        let said = voices.entry(author.clone()).or_default();
        *said = said.plus(more);
    }
}

fn sum(founding: Tally, voices: &BTreeMap<Did, Tally>) -> Tally {
    voices
        .values()
        .fold(founding, |sum, said| sum.plus(said.voice()))
}

#[cfg(test)]
mod tests;
