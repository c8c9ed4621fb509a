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
