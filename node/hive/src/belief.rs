//! Whether the head of a history may be believed: who voted for its author, and what this node knows
//! of the voters. Pure.
//!
//! Anyone can certify itself with an electorate of one, so a valid certificate alone proves nothing.
//! What counts is whether the swarm this node lives in stands behind a head. It does when
//!
//! 1. the MO this node follows made it or says that it is its head, or
//! 2. its certificate is a *mandate*: most of its voters are known here, and its electorate is more
//!    than half of the live nodes (of 31 at the most).
//!
//! The office itself must be a mandate, and no revision may be of a higher term than the office: a
//! claim of a far term would win every later write otherwise. The ancestors of a believed head are
//! believed with it, because whoever made the head checked them; so a newcomer needs to know today's
//! swarm only, not the voters of years ago.
//!
//! What is neither is the work of a part of the swarm that was cut off, or of nobody. Only the MO may
//! take it in, only where its voters are members of the swarm, and only after it passed the gates
//! that artifacts pass: such a certificate gives no more power than an artifact does. Everybody else
//! waits until the MO has joined it.

use std::{collections::BTreeSet, sync::Arc};

use cid::Cid;
use pagi_election::{Certificate, MAX_ELECTORATE};
use pagi_messages::Did;

use crate::election::Office;

/// What a certificate is worth here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Most voters are known and the electorate speaks for the live swarm.
    Mandate,
    /// Most voters are known; the electorate is a small part of the live swarm.
    Narrow,
    /// Most voters are not known.
    Strange,
}

/// What this node knows of the swarm.
#[derive(Clone, Debug)]
pub struct Standing {
    /// This node.
    pub me: Did,
    /// The nodes heard lately, this one too.
    pub live: Arc<BTreeSet<Did>>,
    /// Nodes that belonged to an electorate this node followed, or that it has long known.
    pub members: Arc<BTreeSet<Did>>,
    /// The MO this node follows.
    pub office: Option<Office>,
}

/// What to do with an announced head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Take it in.
    Believed,
    /// As MO: take it in if it passes every gate.
    Probation,
    /// Not now; why not.
    NotYet(String),
}

impl Standing {
    /// Weighs a certificate by its electorate and voters.
    pub fn weigh<'a>(
        &self,
        electorate: usize,
        voters: impl ExactSizeIterator<Item = &'a Did>,
    ) -> Weight {
        let all = voters.len();
        let known = voters
            .filter(|voter| self.live.contains(*voter) || self.members.contains(*voter))
            .count();
        if known * 2 <= all {
            Weight::Strange
        } else if electorate * 2 > self.live.len().min(MAX_ELECTORATE) {
            Weight::Mandate
        } else {
            Weight::Narrow
        }
    }

    /// Whether the office followed is a mandate.
    #[must_use]
    pub fn has_mandate(&self) -> bool {
        self.office.as_ref().is_some_and(|office| {
            self.weigh(office.electorate.len(), office.voters.iter()) == Weight::Mandate
        })
    }

    /// Whether this node is the MO.
    #[must_use]
    pub fn is_mo(&self) -> bool {
        let office = self.office.as_ref();
        office.is_some_and(|office| office.mo == self.me)
    }

    /// The highest term a revision may have; 0 where nothing may be taken in.
    #[must_use]
    pub fn ceiling(&self) -> u64 {
        let office = self.office.as_ref().filter(|_| self.has_mandate());
        office.map_or(0, |office| office.term)
    }

    /// Judges a head by its certificate and by who announced it.
    #[must_use]
    pub fn judge(&self, at: &Cid, certificate: &Certificate, announced_by: &[Did]) -> Belief {
        let Some(office) = &self.office else {
            return Belief::NotYet("no MO is in office here".into());
        };
        if !self.has_mandate() {
            return Belief::NotYet(format!(
                "the MO in office was elected by {} of {} live nodes",
                office.voters.len(),
                self.live.len()
            ));
        }
        if certificate.term > office.term {
            return Belief::NotYet(format!(
                "its term {} is beyond {}, that of the office",
                certificate.term, office.term
            ));
        }
        if *at == office.certificate || announced_by.contains(&office.mo) {
            return Belief::Believed;
        }
        let voters = certificate.voters();
        match self.weigh(certificate.electorate.len(), voters) {
            Weight::Mandate => Belief::Believed,
            _ if self.is_mo() && self.are_members(certificate) => Belief::Probation,
            Weight::Narrow => Belief::NotYet(format!(
                "its electorate of {} does not speak for {} live nodes, and the MO has not joined it",
                certificate.electorate.len(),
                self.live.len()
            )),
            Weight::Strange => Belief::NotYet(format!(
                "most of its {} voters are not known here",
                certificate.votes.len()
            )),
        }
    }

    /// Whether most voters are members: being heard just now is not enough.
    fn are_members(&self, certificate: &Certificate) -> bool {
        let members = certificate
            .voters()
            .filter(|voter| self.members.contains(*voter))
            .count();
        members * 2 > certificate.votes.len()
    }
}

#[cfg(test)]
mod tests {
    use pagi_election::{ElectionMessage, electorate_digest};
    use pagi_messages::{SigningIdentity, Verified};

    use super::*;

    fn node(n: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[n; 32])
    }

    fn dids(ns: &[u8]) -> Vec<Did> {
        let mut dids: Vec<Did> = ns.iter().map(|n| node(*n).did().clone()).collect();
        dids.sort();
        dids
    }

    fn certificate(term: u64, electorate: &[u8], voters: &[u8]) -> Certificate {
        let members = dids(electorate);
        let mo = node(voters[0]).did().clone();
        let mut votes: Vec<_> = voters
            .iter()
            .map(|voter| {
                let body = ElectionMessage::Vote {
                    term,
                    candidate: mo.clone(),
                    electorate: electorate_digest(&members).unwrap(),
                    timestamp: 1,
                };
                Verified::sign(&node(*voter), body).unwrap().into_signed()
            })
            .collect();
        votes.sort_by(|a, b| a.author.cmp(&b.author));
        let certificate = Certificate {
            term,
            mo,
            electorate: members,
            votes,
        };
        certificate.verify().unwrap();
        certificate
    }

    fn office(certificate: &Certificate) -> Office {
        Office {
            mo: certificate.mo.clone(),
            term: certificate.term,
            certificate: certificate.cid().unwrap(),
            electorate: certificate.electorate.clone(),
            voters: certificate.voters().cloned().collect(),
        }
    }

    fn standing(me: u8, live: &[u8], members: &[u8], followed: &Certificate) -> Standing {
        Standing {
            me: node(me).did().clone(),
            live: Arc::new(dids(live).into_iter().collect()),
            members: Arc::new(dids(members).into_iter().collect()),
            office: Some(office(followed)),
        }
    }

    fn judge(standing: &Standing, certificate: &Certificate, by: &[u8]) -> Belief {
        standing.judge(&certificate.cid().unwrap(), certificate, &dids(by))
    }

    #[test]
    fn a_certificate_of_ones_own_vote_is_believed_by_nobody() {
        let now = certificate(5, &[1, 2, 3], &[1, 2]);
        let forged = certificate(5, &[9], &[9]);
        // Whether or not it said hello, to the MO as to a follower.
        for live in [&[1, 2, 3][..], &[1, 2, 3, 9][..]] {
            for me in [1, 3] {
                let here = standing(me, live, &[1, 2, 3], &now);
                assert!(matches!(judge(&here, &forged, &[9]), Belief::NotYet(_)));
            }
        }
        // Nor is a node alone with it.
        let alone = certificate(1, &[1], &[1]);
        let here = standing(1, &[1, 9], &[1], &alone);
        assert!(matches!(judge(&here, &forged, &[9]), Belief::NotYet(_)));
    }

    #[test]
    fn no_term_beyond_the_office_is_believed() {
        let now = certificate(5, &[1, 2, 3], &[1, 2]);
        let here = standing(3, &[1, 2, 3], &[], &now);
        let far = certificate(pagi_election::TERM_MAX, &[1, 2, 3], &[2, 3]);
        assert!(matches!(judge(&here, &far, &[1]), Belief::NotYet(_)));
        assert_eq!(here.ceiling(), 5);
    }

    #[test]
    fn a_newcomer_believes_what_the_mo_of_its_live_swarm_calls_its_head() {
        let now = certificate(9, &[1, 2, 3], &[1, 2]);
        let old = certificate(2, &[7, 8], &[7, 8]);
        let empty = standing(4, &[4], &[], &now);
        assert!(matches!(judge(&empty, &now, &[1]), Belief::NotYet(_)));
        let full = standing(4, &[1, 2, 3, 4], &[], &now);
        assert_eq!(judge(&full, &now, &[3]), Belief::Believed);
        assert_eq!(judge(&full, &old, &[1]), Belief::Believed);
        assert!(matches!(judge(&full, &old, &[3]), Belief::NotYet(_)));
    }

    #[test]
    fn the_head_of_a_dead_mo_is_believed_while_its_voters_are_known() {
        let before = certificate(4, &[1, 2, 3], &[1, 2]);
        let now = certificate(5, &[2, 3], &[2, 3]);
        let here = standing(3, &[2, 3], &[1, 2, 3], &now);
        assert_eq!(judge(&here, &before, &[2]), Belief::Believed);
        assert_eq!(judge(&here, &before, &[3]), Belief::Believed);
    }

    #[test]
    fn only_the_mo_takes_in_what_a_part_that_was_cut_off_did() {
        let now = certificate(7, &[1, 2, 3, 4, 5], &[1, 2, 3]);
        let apart = certificate(6, &[4, 5], &[4, 5]);
        let all = [1, 2, 3, 4, 5];
        assert_eq!(
            judge(&standing(1, &all, &all, &now), &apart, &[4]),
            Belief::Probation
        );
        assert!(matches!(
            judge(&standing(2, &all, &all, &now), &apart, &[4]),
            Belief::NotYet(_)
        ));
        // From the MO it is its head like any other.
        assert_eq!(
            judge(&standing(2, &all, &all, &now), &apart, &[1]),
            Belief::Believed
        );
    }

    #[test]
    fn an_office_without_a_mandate_vouches_for_nothing() {
        let own = certificate(3, &[9], &[9]);
        let here = standing(1, &[1, 2, 3, 9], &[], &own);
        assert!(!here.has_mandate());
        assert_eq!(here.ceiling(), 0);
        assert!(matches!(judge(&here, &own, &[9]), Belief::NotYet(_)));
    }
}
