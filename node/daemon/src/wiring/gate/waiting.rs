//! Why this node is not in its swarm yet, and what its user can do about it. Pure.

use pagi_api::membership::Waiting;
use pagi_bootstrap::BootstrapAddress;
use pagi_messages::{
    Did,
    event::{from_unix_ms, rfc3339},
};

use super::door::Entry;

/// What a node that waits knows of its own case.
pub struct Door<'a> {
    /// This node.
    pub me: &'a Did,
    /// Whom to ask.
    pub founder: Option<&'a Did>,
    /// Whether a founder put this node out.
    pub put_out: bool,
    /// Until when its invitation holds, milliseconds since the Unix epoch, where it has one.
    pub invitation: Option<u64>,
    /// Connected nodes that have not said whether they let it in.
    pub undecided: usize,
    /// Who refused it last, why, and how many nodes did.
    pub refused: Option<(&'a Did, &'a Entry, usize)>,
    /// The addresses its swarm is looked for at.
    pub dialled: &'a [BootstrapAddress],
    /// The time, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// Addresses named in a reason.
const NAMED: usize = 2;

/// Why it waits.
pub fn why(door: &Door<'_>) -> Waiting {
    let founder = door.founder.map_or("a founder", Did::as_str);
    let new = format!(
        "ask {founder} for an invitation of its own: `pagi swarm invite --for {}` there, and \
         `pagi swarm join` here with what it prints",
        door.me
    );
    let waiting = |state: &str, reason: String, next: String| Waiting {
        state: state.to_owned(),
        reason,
        next,
    };
    if door.put_out {
        return waiting(
            "put_out",
            "a founder put this node out of the swarm".to_owned(),
            format!("{founder} can say why; a node that is put out gets in by no invitation"),
        );
    }
    let Some(until) = door.invitation else {
        return waiting(
            "uninvited",
            "the swarm lets in who is invited, and this node has no invitation".to_owned(),
            new,
        );
    };
    if until <= door.now_ms {
        let until = rfc3339(from_unix_ms(until));
        return waiting("expired", format!("its invitation expired at {until}"), new);
    }
    if let Some((did, entry, nodes)) = door.refused {
        let others = match nodes {
            0 | 1 => String::new(),
            more => format!(" and {} more", more - 1),
        };
        let next = if entry.reason.contains("clock") {
            "set the clocks of this machine and of that one right".to_owned()
        } else {
            new
        };
        return waiting(
            "refused",
            format!("refused by {did}{others}: {}", entry.reason),
            next,
        );
    }
    if door.undecided > 0 {
        return waiting(
            "judged",
            format!(
                "the invitation is being judged by {}",
                crate::render::count(door.undecided, "node")
            ),
            "wait a few seconds and look again".to_owned(),
        );
    }
    let mut named: Vec<&str> = door.dialled.iter().map(BootstrapAddress::as_str).collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let mut at = named.join(", ");
    if more > 0 {
        at.push_str(&format!(" and {more} more"));
    }
    if at.is_empty() {
        at = "no address at all: its string holds none".to_owned();
    }
    waiting(
        "unreached",
        format!("no member was reached yet; tried is {at}"),
        "see that the node which invited runs and can be reached from here, or ask it for a new \
         string: addresses change; `pagi doctor` looks at this side"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;

    fn did(seed: u8) -> Did {
        SigningIdentity::from_seed(&[seed; 32]).did().clone()
    }

    #[test]
    fn each_way_to_wait_has_a_reason_and_a_next_step_of_its_own() {
        let (me, founder, member) = (did(1), did(2), did(3));
        let refused = Entry {
            reason: "the invitation has been used as often as it may be".to_owned(),
            at_ms: 5,
            times: 2,
        };
        let early = Entry {
            reason: "it was issued ahead of this node's clock".to_owned(),
            ..refused.clone()
        };
        let address = format!("/ip4/127.0.0.1/tcp/4011/p2p/{}", founder.peer_id().unwrap());
        let dialled = [BootstrapAddress::parse(&address).unwrap()];
        let door = || Door {
            me: &me,
            founder: Some(&founder),
            put_out: false,
            invitation: Some(9_000),
            undecided: 0,
            refused: None,
            dialled: &dialled,
            now_ms: 1_000,
        };
        let cases = [
            (door(), "unreached", "/tcp/4011/", "runs"),
            (
                Door {
                    dialled: &[],
                    ..door()
                },
                "unreached",
                "no address",
                "new string",
            ),
            (
                Door {
                    undecided: 2,
                    ..door()
                },
                "judged",
                "by 2 nodes",
                "wait",
            ),
            (
                Door {
                    undecided: 2,
                    refused: Some((&member, &refused, 3)),
                    ..door()
                },
                "refused",
                "and 2 more: the invitation has been used",
                "pagi swarm invite --for did:key:",
            ),
            (
                Door {
                    refused: Some((&member, &early, 1)),
                    ..door()
                },
                "refused",
                ": it was issued ahead",
                "clocks",
            ),
            (
                Door {
                    now_ms: 9_000,
                    refused: Some((&member, &refused, 1)),
                    ..door()
                },
                "expired",
                "at 1970-01-01T00:00:09Z",
                "pagi swarm join",
            ),
            (
                Door {
                    invitation: None,
                    ..door()
                },
                "uninvited",
                "no invitation",
                me.as_str(),
            ),
            (
                Door {
                    put_out: true,
                    undecided: 1,
                    ..door()
                },
                "put_out",
                "put this node out",
                founder.as_str(),
            ),
        ];
        for (door, state, reason, next) in cases {
            let found = why(&door);
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.reason.contains(reason), "{found:?}");
            assert!(found.next.contains(next), "{found:?}");
        }
    }
}
