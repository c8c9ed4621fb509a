//! The condition in a goal ("anything above 80 %") and the figures it is checked against.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::coverage::{is_thing, widened};
use crate::lexical::term_set;

/// Which side of the limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// A limit that figures are checked against.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Which side of the limit counts.
    pub comparison: Comparison,
    /// The limit.
    pub limit: f64,
    /// The limit is a percentage.
    pub percent: bool,
    /// The limit is an amount of bytes.
    pub bytes: bool,
}

#[allow(
    clippy::expect_used,
    reason = "the pattern is a literal, compiled in a test"
)]
static CONDITION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
        (?P<at_least>at\s+least|no\s+less\s+than|>=|≥)
        |(?P<at_most>at\s+most|no\s+more\s+than|up\s+to|<=|≤)
        |(?P<above>above|over|more\s+than|greater\s+than|higher\s+than|exceed(?:s|ing)?|beyond|>)
        |(?P<below>below|under|less\s+than|lower\s+than|fewer\s+than|<)",
    )
    .expect("a literal pattern compiles")
});
#[allow(
    clippy::expect_used,
    reason = "the pattern is a literal, compiled in a test"
)]
static LIMIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\s*(-?\d+(?:\.\d+)?)\s*(?:(%|percent|per\s+cent)|([kmgt])i?b(?:ytes?)?\b)?")
        .expect("a literal pattern compiles")
});

impl Condition {
    /// The first condition in `goal`.
    #[must_use]
    pub fn parse(goal: &str) -> Option<Self> {
        Self::all(goal).next()
    }

    /// How many conditions `goal` has.
    #[must_use]
    pub fn count(goal: &str) -> usize {
        Self::all(goal).count()
    }

    fn all(goal: &str) -> impl Iterator<Item = Self> {
        CONDITION.captures_iter(goal).filter_map(move |found| {
            let end = found.get(0)?.end();
            let limit = LIMIT.captures(goal.get(end..)?)?;
            let comparison = if found.name("at_least").is_some() {
                Comparison::AtLeast
            } else if found.name("at_most").is_some() {
                Comparison::AtMost
            } else if found.name("above").is_some() {
                Comparison::Above
            } else {
                Comparison::Below
            };
            let unit = limit.get(3).map(|unit| unit.as_str().to_lowercase());
            let factor = match unit.as_deref() {
                Some("k") => 1024.0,
                Some("m") => 1_048_576.0,
                Some("g") => 1_073_741_824.0,
                Some("t") => 1_099_511_627_776.0,
                _ => 1.0,
            };
            Some(Self {
                comparison,
                limit: limit.get(1)?.as_str().parse::<f64>().ok()? * factor,
                percent: limit.get(2).is_some(),
                bytes: unit.is_some(),
            })
        })
    }

    /// Whether `value` is on the side that counts.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
        }
    }

    /// `above 80 %`.
    #[must_use]
    pub fn words(&self) -> String {
        let side = match self.comparison {
            Comparison::Above => "above",
            Comparison::AtLeast => "at least",
            Comparison::Below => "below",
            Comparison::AtMost => "at most",
        };
        if self.bytes {
            return format!("{side} {}", bytes(self.limit));
        }
        let unit = if self.percent { " %" } else { "" };
        format!("{side} {}{unit}", tidy(self.limit))
    }
}

/// A number in a tool's result, with the words that name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it measures: `cpu`, `disk /home used`.
    pub label: String,
    /// The value.
    pub value: f64,
    /// It is a percentage.
    pub percent: bool,
}

impl Figure {
    /// `cpu 12.3 %`, `memory used 1.2 GiB`.
    #[must_use]
    pub fn words(&self) -> String {
        match self.label.strip_suffix("bytes") {
            Some(label) => format!("{label}{}", bytes(self.value)),
            None if self.percent => format!("{} {} %", self.label, tidy(self.value)),
            None => format!("{} {}", self.label, tidy(self.value)),
        }
    }
}

/// `value` with at most one decimal, none where it is whole.
#[must_use]
pub fn tidy(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 {
        format!("{rounded:.0}")
    } else {
        format!("{rounded:.1}")
    }
}

/// `value` bytes in the largest binary unit that leaves at least 1.
fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value.abs() < 1024.0 {
            return format!("{} {unit}", tidy(value));
        }
        value /= 1024.0;
    }
    format!("{} TiB", tidy(value))
}

/// Keys whose text names the record they stand in.
const NAMING_KEYS: &[&str] = &["name", "mount", "label", "title", "id", "device"];

/// Every number in `result`.
#[must_use]
pub fn figures(result: &Value) -> Vec<Figure> {
    let mut found = Vec::new();
    collect(result, &mut Vec::new(), &mut found, 0);
    found
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<Figure>, depth: usize) {
    if depth > 8 || found.len() >= 500 {
        return;
    }
    match value {
        Value::Number(number) => {
            if let Some(value) = number.as_f64().filter(|value| value.is_finite()) {
                let key = path.last().map(String::as_str).unwrap_or("");
                let percent = key.contains("percent") || key.contains("pct") || key.ends_with('%');
                let label = path
                    .iter()
                    .map(|part| part.replace("percent", "").replace("pct", ""))
                    .map(|part| part.replace('_', " ").trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ");
                let label = if label.is_empty() {
                    "value".to_owned()
                } else {
                    label
                };
                found.push(Figure {
                    label,
                    value,
                    percent,
                });
            }
        }
        Value::Array(items) => {
            let singular = path.pop();
            for (index, item) in items.iter().enumerate() {
                let base = singular.clone().unwrap_or_default();
                let base = base.strip_suffix('s').unwrap_or(&base).to_owned();
                let own = item.as_object().and_then(|record| {
                    NAMING_KEYS
                        .iter()
                        .find_map(|key| record.get(*key).and_then(Value::as_str))
                });
                let before = path.len();
                path.push(base);
                match own {
                    Some(own) => path.push(own.to_owned()),
                    None if items.len() > 1 => path.push((index + 1).to_string()),
                    None => {}
                }
                collect(item, path, found, depth + 1);
                path.truncate(before);
            }
            path.extend(singular);
        }
        Value::Object(record) => {
            for (key, item) in record {
                path.push(key.clone());
                collect(item, path, found, depth + 1);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The figures of `result` that `condition` is about: percentages for a percentage, amounts for an
/// amount, and for a bare number only figures that the goal names. Of the first two, those that the
/// goal names where it names any.
#[must_use]
pub fn relevant(result: &Value, condition: &Condition, goal: &str) -> Vec<Figure> {
    let mut all = figures(result);
    let bare = !condition.percent && !condition.bytes;
    if asks_for_what_is_free(goal) {
        all.iter_mut().for_each(free_of_used);
    }
    all.retain(|figure| {
        let bytes = figure.label.ends_with("bytes");
        if bare {
            !bytes
        } else {
            figure.percent == condition.percent && bytes == condition.bytes
        }
    });
    let named = named(&all, goal);
    if named.is_empty() && !bare {
        all
    } else {
        named
    }
}

/// Words that say which figure of a thing is meant, not which thing.
const WHICH: &str = "free available used occupied total left average maximum minimum full empty";

fn which() -> &'static BTreeSet<String> {
    static STEMS: LazyLock<BTreeSet<String>> = LazyLock::new(|| term_set(WHICH));
    &STEMS
}

fn asks_for_what_is_free(goal: &str) -> bool {
    let goal = term_set(goal);
    ["free", "avail", "left"]
        .iter()
        .any(|word| goal.contains(*word))
}

/// A percentage of what is used as one of what is free.
fn free_of_used(figure: &mut Figure) {
    if figure.percent
        && term_set(&figure.label).contains("use")
        && (0.0..=100.0).contains(&figure.value)
    {
        figure.value = 100.0 - figure.value;
        figure.label = figure.label.replace("used", "free");
    }
}

/// The figures whose label names a thing that `goal` names, by that word or one for the same; of those,
/// the ones that `goal` says which of (free, used, total), where it says so.
#[must_use]
pub fn named(figures: &[Figure], goal: &str) -> Vec<Figure> {
    let goal = widened(&term_set(goal));
    let shared = |figure: &Figure| -> BTreeSet<String> {
        term_set(&figure.label)
            .intersection(&goal)
            .cloned()
            .collect()
    };
    let things: Vec<&Figure> = figures
        .iter()
        .filter(|figure| !shared(figure).is_subset(which()))
        .collect();
    // "How much free RAM?" is not answered by what else is free.
    let pool: Vec<&Figure> = match things.is_empty() {
        false => things,
        true if goal.iter().any(|word| is_thing(word)) => Vec::new(),
        true => figures
            .iter()
            .filter(|figure| !shared(figure).is_empty())
            .collect(),
    };
    let said: Vec<&Figure> = pool
        .iter()
        .copied()
        .filter(|figure| !shared(figure).is_disjoint(which()))
        .collect();
    let chosen = if said.is_empty() { pool } else { said };
    chosen.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_found_in_words() {
        for (goal, words) in [
            (
                "Check this machine's health and report anything above 80%",
                "above 80 %",
            ),
            ("warn me if memory is at least 90 percent", "at least 90 %"),
            ("disks under 10.5% free", "below 10.5 %"),
            ("more than 3 processes", "above 3"),
            ("load <= 2", "at most 2"),
            ("memory over 2 GB", "above 2 GiB"),
        ] {
            assert_eq!(Condition::parse(goal).unwrap().words(), words, "{goal}");
        }
        for goal in ["fly over the sea", "what is above us", "under the mat"] {
            assert_eq!(Condition::parse(goal), None, "{goal}");
        }
    }

    #[test]
    fn figures_carry_the_names_around_them() {
        let result = json!({
            "cpu_percent": 12.34,
            "disks": [{"mount": "/", "used_percent": 91, "free_bytes": 5}],
            "load_average": [0.5, 0.25],
        });
        let words: Vec<String> = figures(&result).iter().map(Figure::words).collect();
        assert_eq!(
            words,
            [
                "cpu 12.3 %",
                "disk / used 91 %",
                "disk / free 5 B",
                "load average 1 0.5",
                "load average 2 0.3"
            ]
        );
        let condition = Condition::parse("above 80%").unwrap();
        let percent = relevant(&result, &condition, "above 80%");
        assert_eq!(percent.len(), 2);
        assert!(condition.holds(percent[1].value) && !condition.holds(percent[0].value));
        let disk = relevant(&result, &condition, "is the disk above 80% full?");
        assert_eq!(
            disk.iter().map(Figure::words).collect::<Vec<_>>(),
            ["disk / used 91 %"]
        );
        let room = Condition::parse("less than 10 MB").unwrap();
        let free = relevant(&result, &room, "is the free disk less than 10 MB?");
        assert!(free.len() == 1 && room.holds(free[0].value), "{free:?}");
        let bare = Condition::parse("above 80").unwrap();
        assert!(relevant(&result, &bare, "anything above 80").is_empty());
        assert_eq!(bytes(1.5 * 1024.0 * 1024.0 * 1024.0), "1.5 GiB");
        let load = Condition::parse("load over 0.3").unwrap();
        assert_eq!(relevant(&result, &load, "load over 0.3").len(), 2);
    }

    proptest! {
        #[test]
        fn never_panics(goal in ".{0,80}", limit in proptest::num::f64::ANY) {
            let _ = Condition::parse(&goal);
            let _ = tidy(limit);
        }
    }
}
