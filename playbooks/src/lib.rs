//! Starter playbooks in TOML, embedded in the binary.
//!
//! [`BASE`] is what a swarm is founded on unless its founder says otherwise. The others are bases
//! for swarms with one kind of work. All draw the same red lines; each can be changed by whoever
//! founds a swarm with it, and by no one afterwards.

/// The default genesis document.
pub const BASE: &str = include_str!("../base.toml");

/// Every starter playbook by name, sorted.
const STARTERS: &[(&str, &str)] = &[
    ("base", BASE),
    ("emotional", include_str!("../emotional.toml")),
    ("mo", include_str!("../mo.toml")),
    ("monitoring", include_str!("../monitoring.toml")),
    ("productivity", include_str!("../productivity.toml")),
    ("research", include_str!("../research.toml")),
    ("security", include_str!("../security.toml")),
];

/// The TOML of the starter playbook called `name`, such as `research`.
#[must_use]
pub fn starter(name: &str) -> Option<&'static str> {
    STARTERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, toml)| *toml)
}

/// The names of all starter playbooks, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    STARTERS.iter().map(|(name, _)| *name)
}

/// Every starter suite of tasks by name, sorted, as JSON Lines.
const SUITES: &[(&str, &str)] = &[
    ("base", include_str!("../suites/base.jsonl")),
    ("monitoring", include_str!("../suites/monitoring.jsonl")),
    ("research", include_str!("../suites/research.jsonl")),
];

/// The suite called `name`; `base` is what the MO judges candidates by unless told otherwise.
#[must_use]
pub fn suite(name: &str) -> Option<&'static str> {
    let named = SUITES.iter().find(|(known, _)| *known == name);
    named.map(|(_, lines)| *lines)
}

/// The names of all starter suites, sorted.
pub fn suites() -> impl Iterator<Item = &'static str> {
    SUITES.iter().map(|(name, _)| *name)
}
