//! Reflection: what a finished goal teaches the swarm, as a small delta. Pure.
//!
//! Goals are private, so a lesson never carries a goal's text. A case holds stemmed keywords only, and
//! of those only words that everybody has: of the tools, of the playbook, or built in as common. A word
//! nobody knows may be somebody's name, however it is written. Parameters travel as slots, not values.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use pagi_playbook::{Bullet, Case, CaseStep, Count, Delta, State};

use crate::{
    lexical::terms,
    planner::{
        answer::{Call, Judged},
        slots::without_literals,
        words,
    },
};

/// A finished goal, as reflection sees it.
pub struct Finished<'a> {
    /// The goal.
    pub goal: &'a str,
    /// The learned case that was followed.
    pub case: Option<&'a str>,
    /// A case that was followed first and did not reach the goal.
    pub failed_case: Option<&'a str>,
    /// The calls made, in order.
    pub calls: &'a [Call],
    /// How each call can be repeated for another goal; `None` where its parameters came from a model
    /// and cannot be told apart from private matter.
    pub templates: &'a [Option<CaseStep>],
    /// The judgement on them.
    pub judged: &'a Judged,
    /// The calls the answer rests on are about the goal, and about the whole of it: they may be learned
    /// as the way to reach it.
    pub teaches: bool,
    /// Words of the tool catalogue and the playbook, which are never private.
    pub vocabulary: &'a BTreeSet<String>,
    /// A word for each stem that everybody has; see [`crate::planner::spoken_words`].
    pub spoken: &'a BTreeMap<String, String>,
    /// Tools that change nothing: only their calls make a case, for a followed case must not act.
    pub reading: &'a BTreeSet<String>,
}

/// What was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// In words, without anything of the goal but keywords.
    pub critique: String,
    /// As a delta.
    pub delta: Delta,
}

/// A case is confirmed so often before further successes add nothing.
const ENOUGH_CONFIRMATIONS: u64 = 3;
/// A tool's faults are counted so often before further ones add nothing.
const ENOUGH_FAULTS: u64 = 5;
/// The longest keyword that may be shared.
const LONGEST_TERM: usize = 24;
/// At most so many keywords make a case.
const MOST_TERMS: usize = 12;
/// Failures that say something about the tool, not about this node or this goal.
const TOOL_FAULTS: [&str; 10] = [
    "timeout",
    "unreachable",
    "http_status",
    "trap",
    "out_of_fuel",
    "out_of_memory",
    "bad_guest",
    "not_json",
    "response_too_large",
    "failed",
];

static COMMON: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    [words::COMMON, words::LIGHT]
        .iter()
        .flat_map(|list| terms(list))
        .collect()
});

/// The keywords of a goal that may leave the node: those of `vocabulary`, and common words.
#[must_use]
pub fn shareable_terms(goal: &str, vocabulary: &BTreeSet<String>) -> Vec<String> {
    let bare = without_literals(goal);
    let mut words: Vec<&str> = Vec::new();
    for word in bare.split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let known = |term: &String| vocabulary.contains(term) || COMMON.contains(term);
        let plain = core
            .chars()
            .all(|c| c.is_alphabetic() || "'’-_".contains(c));
        if plain && terms(core).iter().all(known) {
            words.push(core);
        }
    }
    let kept: BTreeSet<String> = terms(&words.join(" "))
        .into_iter()
        .filter(|term| term.chars().count() <= LONGEST_TERM)
        .take(MOST_TERMS)
        .collect();
    kept.into_iter().collect()
}

/// What `finished` teaches beyond what the playbook has; `None` where that is nothing.
#[must_use]
pub fn reflect(finished: &Finished<'_>, known: &State) -> Option<Lesson> {
    let mut delta = Delta::default();
    let mut notes: Vec<String> = Vec::new();
    let faults = tool_faults(finished.calls);
    if finished.judged.reached {
        if finished.teaches {
            success(finished, known, &mut delta, &mut notes);
        }
    } else if let Some(case) = finished.case.filter(|_| faults.is_empty()) {
        delta.counts.push(Count {
            target: case.to_owned(),
            helpful: 0,
            harmful: 1,
        });
        notes.push(format!("{case} did not reach its goal"));
    }
    if let Some(case) = finished.failed_case {
        delta.counts.push(Count {
            target: case.to_owned(),
            helpful: 0,
            harmful: 1,
        });
        notes.push(format!("{case} did not reach its goal; another way did"));
    }
    failures(faults, known, &mut delta, &mut notes);
    if delta.is_empty() {
        return None;
    }
    Some(Lesson {
        critique: notes.join("; "),
        delta,
    })
}

/// The calls in which a tool was away or broken, with the kind of failure: nothing can be said of the
/// plan then.
fn tool_faults(calls: &[Call]) -> BTreeMap<&str, &str> {
    calls
        .iter()
        .filter_map(|call| {
            Some((
                call.tool.as_str(),
                call.result.as_ref().err()?.kind.as_str(),
            ))
        })
        .filter(|(_, kind)| TOOL_FAULTS.contains(kind))
        .collect()
}

fn success(finished: &Finished<'_>, known: &State, delta: &mut Delta, notes: &mut Vec<String>) {
    if let Some(case) = finished.case {
        if known.tally(case).helpful < ENOUGH_CONFIRMATIONS {
            delta.counts.push(Count {
                target: case.to_owned(),
                helpful: 1,
                harmful: 0,
            });
            notes.push(format!("{case} reached its goal again"));
        }
        return;
    }
    let terms = shareable_terms(finished.goal, finished.vocabulary);
    let steps: Option<Vec<CaseStep>> = finished
        .judged
        .contributed
        .iter()
        .map(|index| finished.templates.get(*index).cloned().flatten())
        .collect();
    let reads = |steps: &Vec<CaseStep>| {
        !steps.is_empty()
            && steps
                .iter()
                .all(|step| finished.reading.contains(&step.tool))
    };
    let Some(steps) = steps.filter(|steps| reads(steps) && !terms.is_empty()) else {
        return;
    };
    let spared = finished.calls.len() - finished.judged.contributed.len();
    let case = Case::new(terms, steps);
    let tools: Vec<&str> = case.steps.iter().map(|step| step.tool.as_str()).collect();
    let spoken = |term: &String| finished.spoken.get(term).unwrap_or(term).clone();
    let about: Vec<String> = case.terms.iter().map(spoken).collect();
    notes.push(format!(
        "goals about {} are reached by {}{}",
        about.join(", "),
        tools.join(", then "),
        match spared {
            0 => String::new(),
            1 => "; 1 further call added nothing".to_owned(),
            n => format!("; {n} further calls added nothing"),
        }
    ));
    delta.counts.push(Count {
        target: case.id.clone(),
        helpful: 1,
        harmful: 0,
    });
    if !known.cases().any(|(known, _)| known.id == case.id) {
        delta.cases.push(case);
    }
}

fn failures(
    faults: BTreeMap<&str, &str>,
    known: &State,
    delta: &mut Delta,
    notes: &mut Vec<String>,
) {
    for (tool, kind) in faults {
        if known.tally(&format!("tool:{tool}")).harmful >= ENOUGH_FAULTS {
            continue;
        }
        delta.counts.push(Count {
            target: format!("tool:{tool}"),
            helpful: 0,
            harmful: 1,
        });
        notes.push(format!("`{tool}` failed ({kind})"));
        let bullet = Bullet::new(
            "tools".to_owned(),
            format!("`{tool}` has failed with {kind}: have another tool ready."),
        );
        if !known.bullets().any(|(known, _)| known.id == bullet.id) {
            delta.bullets.push(bullet);
        }
    }
}
