//! Topic names, protocol names and size limits.

/// The swarm a node belongs to unless it is told otherwise.
pub const DEFAULT_SWARM: &str = "pagi";

/// Largest gossip message, in bytes.
pub const MAX_GOSSIP_BYTES: usize = 256 * 1024;
/// Largest artifact or playbook revision block, in bytes.
pub const MAX_BLOCK_BYTES: usize = 1024 * 1024;
/// How far a message's timestamp may lie ahead of the receiver's clock, in milliseconds.
pub const MAX_CLOCK_SKEW_MS: u64 = 120_000;
/// How old a coordination message may be when it arrives, in milliseconds.
pub const MAX_MESSAGE_AGE_MS: u64 = 600_000;

/// The coordination topic of `swarm`. The default swarm has the bare name.
#[must_use]
pub fn coordination_topic(swarm: &str) -> String {
    scoped("pagi-swarm-coordination-v1", swarm)
}

/// The election topic of `swarm`.
#[must_use]
pub fn election_topic(swarm: &str) -> String {
    scoped("pagi-swarm-election-v1", swarm)
}

/// The topic of `swarm` on which work is offered.
#[must_use]
pub fn work_topic(swarm: &str) -> String {
    scoped("pagi-swarm-work-v1", swarm)
}

fn scoped(topic: &str, swarm: &str) -> String {
    if swarm == DEFAULT_SWARM {
        topic.to_owned()
    } else {
        format!("{topic}/{swarm}")
    }
}

/// Whether `name` may be a swarm's name: 1 to 32 of `a-z 0-9 - _`, starting with a letter or digit.
#[must_use]
pub fn is_swarm_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        && !name.starts_with(['-', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarms_have_topics_of_their_own() {
        assert_eq!(coordination_topic("pagi"), "pagi-swarm-coordination-v1");
        assert_ne!(coordination_topic("lab"), coordination_topic("pagi"));
        assert_ne!(work_topic("lab"), work_topic("pagi"));
        assert!(is_swarm_name("lab-2") && !is_swarm_name("") && !is_swarm_name("A/b"));
    }
}
