//! Whether an answer is about what the goal asks for. Pure.
//!
//! A tool that fits some of a goal's words may answer another question: the disk for the memory, the
//! twins for the files. So the things a goal names are looked for in what the answering tools are, in
//! what they returned and in the answer; where a thing is missing, the goal was not reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

use super::{slots::without_literals, words::LIGHT};
use crate::lexical::terms;

/// Words for the same thing.
const SAME: &[&[&str]] = &[
    &["memory", "ram"],
    &["cpu", "processor"],
    &[
        "disk",
        "drive",
        "storage",
        "hdd",
        "ssd",
        "partition",
        "volume",
        "space",
        "filesystem",
    ],
    &[
        "machine", "computer", "host", "pc", "laptop", "system", "server", "desktop", "device",
    ],
    &["health", "state", "status", "condition"],
    &["load", "workload"],
    &["process", "program", "task"],
    &["network", "net"],
    &["twin", "agent"],
    &["note", "memory", "notes", "reminder"],
    &[
        "sum",
        "total",
        "result",
        "calculation",
        "expression",
        "arithmetic",
    ],
    &["temperature", "thermometer", "heat"],
    &["message", "mail"],
    &["word", "text"],
];

/// Things: an answer that does not speak of one that the goal names is an answer to something else.
const THINGS: &str = "account address alarm album appointment archive article artifact battery bill \
    birthday bluetooth book bookmark branch browser bug calendar camera car certificate chat code \
    commit contact contract country cpu credential currency customer database date deadline device \
    diary dictionary directory disk document door download drive email event exchange expense file \
    flight folder forecast game gpu holiday hotel house image inbox internet invoice issue joke key \
    keyboard language letter license light list log mail map meeting memory message microphone money \
    monitor mouse movie music network news newspaper note order package page paper password payment \
    peer phone photo picture playbook playlist poem port price printer process processor project ram \
    receipt recipe repository reservation router salary schedule screen screenshot sensor server \
    service song sonnet speaker spreadsheet stock storage story swap swarm table temperature ticket \
    timer timetable traffic train translation twin update upload user video volume weather website \
    wifi window wine";

static THING_STEMS: LazyLock<BTreeSet<String>> = LazyLock::new(|| stems(THINGS));
static LIGHT_STEMS: LazyLock<BTreeSet<String>> = LazyLock::new(|| stems(LIGHT));
static GROUPS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for group in SAME {
        let stems: Vec<String> = group.iter().flat_map(|word| terms(word)).collect();
        for stem in &stems {
            let of = groups.entry(stem.clone()).or_default();
            of.extend(stems.iter().cloned());
        }
    }
    groups
});

fn stems(words: &str) -> BTreeSet<String> {
    terms(words).into_iter().collect()
}

/// `words` (stems) and every word for the same thing.
#[must_use]
pub fn widened(words: &BTreeSet<String>) -> BTreeSet<String> {
    let same = words.iter().filter_map(|word| GROUPS.get(word)).flatten();
    words.iter().chain(same).cloned().collect()
}

/// `words`, where each that `known` lacks gives way to those for the same thing that it has.
#[must_use]
pub fn translated(words: &BTreeSet<String>, known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for word in words {
        let same = GROUPS.get(word).map(Vec::as_slice).unwrap_or_default();
        let others: Vec<&String> = same.iter().filter(|other| known.contains(*other)).collect();
        if known.contains(word) || others.is_empty() {
            out.insert(word.clone());
        } else {
            out.extend(others.into_iter().cloned());
        }
    }
    out
}

/// Whether a stem names a thing.
#[must_use]
pub fn is_thing(stem: &str) -> bool {
    THING_STEMS.contains(stem)
}

/// Whether a stem carries too little to be looked for.
#[must_use]
pub fn is_light(stem: &str) -> bool {
    LIGHT_STEMS.contains(stem)
}

/// What a goal asks about, as pairs of word and stem: literals, names and light words aside.
fn asked(goal: &str) -> Vec<(String, String)> {
    let bare = without_literals(goal);
    let mut found = Vec::new();
    for (at, word) in bare.split_whitespace().enumerate() {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let name = at > 0
            && core.starts_with(char::is_uppercase)
            && !core.chars().all(|c| c.is_uppercase());
        for stem in terms(core) {
            if !(is_light(&stem) || name && !is_thing(&stem)) {
                found.push((core.to_owned(), stem));
            }
        }
    }
    found
}

/// The words of `goal` that `known` (stems) does not speak of, where that means that the goal was not
/// reached: a thing is missing, or more than half of what was asked. `literal` says that the matter of
/// the goal was a literal that a tool took (an expression, a URL), so that only things count.
#[must_use]
pub fn missing(goal: &str, known: &BTreeSet<String>, literal: bool) -> Vec<String> {
    let known = widened(known);
    let asked = asked(goal);
    let missing: Vec<&(String, String)> = asked
        .iter()
        .filter(|(_, stem)| !known.contains(stem))
        .collect();
    let thing = missing.iter().any(|(_, stem)| is_thing(stem));
    if thing || !literal && 2 * missing.len() > asked.len() {
        missing.into_iter().map(|(word, _)| word.clone()).collect()
    } else {
        Vec::new()
    }
}

/// Whether `known` (stems) speaks of anything that `goal` asks about or names.
#[must_use]
pub fn touches(goal: &str, known: &BTreeSet<String>) -> bool {
    let known = widened(known);
    let all = terms(&without_literals(goal));
    all.iter()
        .any(|stem| !is_light(stem) && known.contains(stem))
}

/// The stems in a tool's result: its keys and its texts, of at most 2,000 values.
#[must_use]
pub fn spoken_of(result: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, left: &mut usize, out: &mut BTreeSet<String>) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        match value {
            Value::String(text) => {
                let end = (0..=text.len().min(4096))
                    .rev()
                    .find(|at| text.is_char_boundary(*at));
                out.extend(terms(text.get(..end.unwrap_or(0)).unwrap_or_default()));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, left, out)),
            Value::Object(record) => {
                for (key, item) in record {
                    out.extend(terms(key));
                    walk(item, left, out);
                }
            }
            _ => {}
        }
    }
    let (mut out, mut left) = (BTreeSet::new(), 2000);
    walk(result, &mut left, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lacks(goal: &str, known: &str) -> Vec<String> {
        missing(goal, &stems(known), false)
    }

    #[test]
    fn a_thing_that_is_not_spoken_of_is_missing() {
        assert_eq!(lacks("list files", "list the twins known"), ["files"]);
        assert_eq!(lacks("How much free RAM is there?", "disk free"), ["RAM"]);
        assert!(lacks("How much free RAM is there?", "memory used").is_empty());
        assert!(lacks("tell me the free disk space", "disk free total").is_empty());
        let health = "Health of this machine: CPU, memory, disk";
        for goal in [
            "Check this machine's health and report anything above 80%",
            "Is the health of this machine fine, or above 90%?",
            "How full is the disk?",
            "Check the health of machine \"Project Nightingale\" for Zacharias",
        ] {
            assert!(
                lacks(goal, health).is_empty(),
                "{goal}: {:?}",
                lacks(goal, health)
            );
        }
        assert!(!lacks("What is the weather?", health).is_empty());
    }

    #[test]
    fn results_speak_of_their_keys_and_texts() {
        let spoken = spoken_of(&json!({"memories": [{"content": "the backup runs at 3"}]}));
        assert!(missing("When does the backup run?", &spoken, false).is_empty());
        assert!(!missing("When does the train leave?", &spoken, false).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(goal in ".{0,80}", text in ".{0,80}") {
            let _ = missing(&goal, &spoken_of(&json!({ "a": [text] })), false);
        }
    }
}
