//! Which of several offers is taken.

use pagi_messages::Did;
use sha2::{Digest, Sha256};

use crate::task::TaskId;

/// An offer, with what the asker knows of its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The node that offers.
    pub did: &'a Did,
    /// How many attempts at this task it already had.
    pub tries: u32,
    /// How well its capabilities fit, in percent; its own word.
    pub score: u8,
    /// How busy it is, in percent; its own word.
    pub load: u8,
    /// Its reputation; more is better.
    pub reputation: u32,
}

/// The best candidate: fewest tries, then the higher score, the lower load, the higher reputation,
/// and the lower hash of task, attempt and DID, which spreads equal offers over equal nodes.
pub fn best<'a>(
    id: &TaskId,
    attempt: u32,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Option<Candidate<'a>> {
    candidates.into_iter().min_by_key(|candidate| {
        let mut hasher = Sha256::new();
        hasher.update(id.as_str());
        hasher.update([0]);
        hasher.update(attempt.to_be_bytes());
        hasher.update(candidate.did.as_str());
        let hash: [u8; 32] = hasher.finalize().into();
        (
            candidate.tries,
            u8::MAX - candidate.score,
            candidate.load,
            u32::MAX - candidate.reputation,
            hash,
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pagi_messages::SigningIdentity;

    use super::*;

    #[test]
    fn each_ground_decides_when_those_before_it_are_equal() {
        let dids: Vec<Did> = (0..2)
            .map(|seed| SigningIdentity::from_seed(&[seed; 32]).did().clone())
            .collect();
        let id: TaskId = "t".parse().unwrap();
        let of = |index: usize, tries, score, load, reputation| Candidate {
            did: &dids[index],
            tries,
            score,
            load,
            reputation,
        };
        for (better, worse) in [
            ((0, 10, 90, 0), (1, 100, 0, 9)),
            ((1, 90, 90, 0), (1, 80, 0, 9)),
            ((1, 80, 10, 0), (1, 80, 20, 9)),
            ((1, 80, 10, 9), (1, 80, 10, 8)),
        ] {
            for winner in 0..2 {
                let winner_of = of(winner, better.0, better.1, better.2, better.3);
                let loser = of(1 - winner, worse.0, worse.1, worse.2, worse.3);
                assert_eq!(best(&id, 1, [winner_of, loser]), Some(winner_of));
                assert_eq!(best(&id, 1, [loser, winner_of]), Some(winner_of));
            }
        }
        // Equal offers: the hash decides, and not always for the same node.
        let winners: BTreeSet<&Did> = (1..20)
            .filter_map(|attempt| best(&id, attempt, [of(0, 0, 1, 1, 1), of(1, 0, 1, 1, 1)]))
            .map(|candidate| candidate.did)
            .collect();
        assert_eq!(winners.len(), 2);
        assert_eq!(best(&id, 1, []), None);
    }
}
