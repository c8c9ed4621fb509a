//! The fold of a genesis and a set of revisions.
//!
//! A state depends on which revisions it has seen, never on their order or number of arrivals:
//!
//! - cases and bullets only grow, by id; should two ever share an id, the smaller content stands;
//! - an artifact counts once, by its CID, however many revisions merged it: of differing claims
//!   about it, the one with the lowest stamp stands;
//! - settings are written in the order of their stamps, so the last writer by (term, lamport,
//!   revision CID) stands; the genesis has (0, 0).
//!
//! Entries that harmed clearly more often than they helped are *retired*: they leave the views but
//! stay in the history, and come back should the counts turn.

use std::collections::{BTreeMap, btree_map::Entry};

use cid::Cid;
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
    /// How many artifacts found it helpful.
    pub helpful: u64,
    /// How many artifacts found it harmful.
    pub harmful: u64,
}

impl Tally {
    /// Whether it harmed at least [`RETIRE_MARGIN`] times more often than it helped.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.harmful >= self.helpful.saturating_add(RETIRE_MARGIN)
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

/// The counts of one artifact, and where it was merged first.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    stamp: Stamp,
    counts: Vec<Count>,
}

/// What a set of revisions amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The genesis settings, without what is `learned`.
    base: Value,
    /// The settings now, without what is `learned`.
    settings: Value,
    writes: BTreeMap<Stamp, Setting>,
    cases: BTreeMap<String, Case>,
    bullets: BTreeMap<String, Bullet>,
    tallies: BTreeMap<String, Tally>,
    applied: BTreeMap<Cid, Counted>,
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
            tallies: BTreeMap::new(),
            applied: BTreeMap::new(),
        };
        for (case, tally) in &learned.cases {
            state.learn_case(case);
            state.tallies.insert(case.id.clone(), *tally);
        }
        for (bullet, tally) in &learned.bullets {
            state.learn_bullet(bullet);
            state.tallies.insert(bullet.id.clone(), *tally);
        }
        state.tallies.extend(learned.tools);
        state.tallies.retain(|_, tally| *tally != Tally::default());
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
            merged
                .delta
                .cases
                .iter()
                .for_each(|case| self.learn_case(case));
            merged
                .delta
                .bullets
                .iter()
                .for_each(|bullet| self.learn_bullet(bullet));
            self.count(
                merged.artifact,
                Counted {
                    stamp,
                    counts: merged.delta.counts.clone(),
                },
            );
            for (number, setting) in merged.delta.set.iter().enumerate() {
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
                self.writes.insert(stamp, setting.clone());
            }
        }
        if rebuild {
            self.settings = self.base.clone();
            for setting in self.writes.values() {
                document::apply(&mut self.settings, setting);
            }
        }
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
    fn count(&mut self, artifact: Cid, counted: Counted) {
        if let Some(standing) = self.applied.get(&artifact) {
            if standing.stamp <= counted.stamp {
                return;
            }
            for count in &standing.counts {
                if let Entry::Occupied(mut place) = self.tallies.entry(count.target.clone()) {
                    let tally = place.get_mut();
                    tally.helpful = tally.helpful.saturating_sub(count.helpful.into());
                    tally.harmful = tally.harmful.saturating_sub(count.harmful.into());
                    if *tally == Tally::default() {
                        place.remove();
                    }
                }
            }
        }
        for count in &counted.counts {
            let tally = self.tallies.entry(count.target.clone()).or_default();
            tally.helpful = tally.helpful.saturating_add(count.helpful.into());
            tally.harmful = tally.harmful.saturating_add(count.harmful.into());
        }
        self.applied.insert(artifact, counted);
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
        self.all_cases().filter(|(_, tally)| !tally.is_retired())
    }

    /// All cases, retired ones too.
    pub fn all_cases(&self) -> impl Iterator<Item = (&Case, Tally)> {
        self.cases.values().map(|case| (case, self.tally(&case.id)))
    }

    /// The bullets that are not retired, by id, with their counts.
    pub fn bullets(&self) -> impl Iterator<Item = (&Bullet, Tally)> {
        self.all_bullets().filter(|(_, tally)| !tally.is_retired())
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

#[cfg(test)]
mod tests {
    use pagi_messages::{SigningIdentity, cid_of};

    use super::*;
    use crate::{delta::Delta, revision::Merged};

    fn start() -> State {
        let document = json!({"a": {"x": 1}, "learned": {"bullets": [
            {"id": Bullet::new("s", "kept").id, "section": "s", "text": "kept", "helpful": 2},
        ]}});
        State::new(&Genesis::new("lab", document).unwrap()).unwrap()
    }

    fn revision(term: u64, lamport: u64, merged: Vec<(&str, Delta)>) -> (Cid, Revision) {
        let author = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let label = format!("{term}/{lamport}/{merged:?}");
        let merged = merged
            .into_iter()
            .map(|(name, delta)| Merged {
                artifact: cid_of(name.as_bytes()),
                author: author.clone(),
                delta,
            })
            .collect();
        let parents = vec![cid_of(b"genesis")];
        let revision = Revision {
            parents,
            lamport,
            term,
            certificate: None,
            merged,
            evaluation: None,
            timestamp: 0,
        };
        (cid_of(label.as_bytes()), revision)
    }

    fn set(path: &[&str], value: Option<Value>) -> Delta {
        let path = path.iter().map(|&part| part.into()).collect();
        Delta {
            set: vec![Setting { path, value }],
            ..Delta::default()
        }
    }

    fn count(target: &str, helpful: u32, harmful: u32) -> Delta {
        let count = Count {
            target: target.into(),
            helpful,
            harmful,
        };
        Delta {
            counts: vec![count],
            ..Delta::default()
        }
    }

    #[test]
    fn genesis_learning_counts() {
        let state = start();
        let (bullet, tally) = state.bullets().next().unwrap();
        assert_eq!((bullet.text.as_str(), tally.helpful), ("kept", 2));
        assert_eq!(state.document()["learned"]["bullets"][0]["helpful"], 2);
        let again = Genesis::new("lab", state.document()).unwrap();
        assert_eq!(State::new(&again).unwrap().document(), state.document());
    }

    #[test]
    fn the_last_writer_by_stamp_stands_in_any_order() {
        let (high, low) = (
            revision(
                2,
                1,
                vec![("one", set(&["a", "x"], Some(json!("high term"))))],
            ),
            revision(
                1,
                9,
                vec![("two", set(&["a"], Some(json!({"y": "low term"}))))],
            ),
        );
        let fold = |order: [&(Cid, Revision); 2]| {
            let mut state = start();
            order
                .into_iter()
                .for_each(|(cid, revision)| state.absorb(*cid, revision));
            state
        };
        let one = fold([&high, &low]);
        assert_eq!(one, fold([&low, &high]));
        assert_eq!(
            one.setting(&["a"]),
            Some(&json!({"y": "low term", "x": "high term"}))
        );
        assert_eq!(one.setting(&["nothing", "here"]), None);
    }

    #[test]
    fn an_artifact_counts_once_and_the_earliest_claim_stands() {
        let (first, second) = (
            revision(1, 1, vec![("same", count("tool:calculator", 1, 0))]),
            revision(1, 2, vec![("same", count("tool:calculator", 0, 1))]),
        );
        for order in [[&first, &second], [&second, &first]] {
            let mut state = start();
            order
                .into_iter()
                .for_each(|(cid, revision)| state.absorb(*cid, revision));
            assert_eq!(
                state.tally("tool:calculator"),
                Tally {
                    helpful: 1,
                    harmful: 0
                }
            );
            assert!(state.applied(&cid_of(b"same")) && !state.applied(&cid_of(b"other")));
            assert_eq!(state.artifacts(), 1);
        }
    }

    #[test]
    fn what_harms_is_retired_and_may_come_back() {
        let mut state = start();
        let id = Bullet::new("s", "kept").id;
        for name in ["a", "b", "c", "d"] {
            let (cid, revision) = revision(1, 1, vec![(name, count(&id, 0, 1))]);
            state.absorb(cid, &revision);
        }
        assert_eq!(state.bullets().count(), 1, "2 helpful, 4 harmful");
        let (cid, worse) = revision(1, 2, vec![("e", count(&id, 0, 1))]);
        state.absorb(cid, &worse);
        assert_eq!(
            (state.bullets().count(), state.all_bullets().count()),
            (0, 1)
        );
        assert_eq!(state.document()["learned"]["bullets"], json!([]));
        let (cid, better) = revision(1, 3, vec![("f", count(&id, 1, 0))]);
        state.absorb(cid, &better);
        assert_eq!(state.bullets().count(), 1);
    }

    #[test]
    fn of_two_contents_under_one_id_the_same_one_stands_in_any_order() {
        let forged = |text: &str| Bullet {
            text: text.into(),
            ..Bullet::new("s", "one")
        };
        let fold = |order: [&str; 2]| {
            let mut state = start();
            order
                .iter()
                .for_each(|text| state.learn_bullet(&forged(text)));
            state
        };
        assert_eq!(fold(["one", "two"]), fold(["two", "one"]));
    }
}
