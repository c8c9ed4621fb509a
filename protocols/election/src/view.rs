//! The members this node believes alive, and their rank.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use pagi_messages::Did;
use sha2::{Digest, Sha256};

/// The live view: this node, the members its driver reports, and the MO it follows, less those
/// whose lease ran out and who have not been heard of since.
#[derive(Clone, Debug)]
pub struct View {
    me: Did,
    /// Whether this node's own reputation was reported.
    rated: bool,
    members: BTreeMap<Did, u32>,
    silent: BTreeSet<Did>,
    followed: Option<Did>,
}

impl View {
    /// A view that holds `me` alone. Until its own reputation is reported, a node ranks itself
    /// with the best it knows.
    #[must_use]
    pub fn new(me: Did) -> Self {
        Self {
            members: BTreeMap::from([(me.clone(), 0)]),
            silent: BTreeSet::new(),
            followed: None,
            rated: false,
            me,
        }
    }

    /// Notes that `did` is alive. True where it was not in the view before.
    pub fn seen(&mut self, did: Did, reputation: u32) -> bool {
        self.rated |= did == self.me;
        let back = self.silent.remove(&did);
        self.members.insert(did, reputation).is_none() || back
    }

    /// Notes that `did` is gone. This node itself never is.
    pub fn lost(&mut self, did: &Did) {
        if *did != self.me {
            self.members.remove(did);
            self.silent.remove(did);
        }
    }

    /// Notes that something `did` signed arrived just now.
    pub(crate) fn heard(&mut self, did: &Did) {
        self.silent.remove(did);
    }

    /// Leaves `did` out until it is seen or heard again.
    pub(crate) fn fell_silent(&mut self, did: &Did) {
        if *did != self.me && self.members.contains_key(did) {
            self.silent.insert(did.clone());
        }
    }

    /// The MO this node follows counts as alive, whether it was reported or not.
    pub(crate) fn follow(&mut self, mo: Option<&Did>) {
        self.followed = mo.filter(|mo| **mo != self.me).cloned();
    }

    /// Whether `did` is in the live view.
    #[must_use]
    pub fn contains(&self, did: &Did) -> bool {
        self.followed.as_ref() == Some(did)
            || (self.members.contains_key(did) && !self.silent.contains(did))
    }

    /// How many are in the live view, this node included; at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        let guest = self
            .followed
            .as_ref()
            .is_some_and(|mo| !self.members.contains_key(mo) || self.silent.contains(mo));
        self.members.len() - self.silent.len() + usize::from(guest)
    }

    /// Never true: this node is always in its own view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How many of `dids` are in the live view.
    pub fn count<'a>(&self, dids: impl Iterator<Item = &'a Did>) -> usize {
        dids.filter(|did| self.contains(did)).count()
    }

    /// The live view in ascending order of DID.
    #[must_use]
    pub fn live(&self) -> Vec<Did> {
        let mut live: Vec<Did> = self
            .members
            .keys()
            .filter(|did| !self.silent.contains(*did))
            .cloned()
            .collect();
        if let Some(mo) = &self.followed
            && let Err(place) = live.binary_search(mo)
        {
            live.insert(place, mo.clone());
        }
        live
    }

    /// The live view by rank for `term`, best first: members with at least `min_reputation` before
    /// the others, then higher reputation, then the lower SHA-256 of term and DID. The hash deals
    /// the places out anew in every term.
    #[must_use]
    pub fn ranked(&self, term: u64, min_reputation: u32) -> Vec<Did> {
        let mut ranked = self.live();
        let best = self.members.values().copied().max().unwrap_or(0);
        ranked.sort_by_cached_key(|did| {
            let reputation = if *did == self.me && !self.rated {
                best
            } else {
                self.members.get(did).copied().unwrap_or(0)
            };
            let hash: [u8; 32] = Sha256::new()
                .chain_update(term.to_be_bytes())
                .chain_update(did.as_str())
                .finalize()
                .into();
            (reputation < min_reputation, Reverse(reputation), hash)
        });
        ranked
    }

    /// The electorate for `term`: the best `max` by rank, in ascending order of DID.
    #[must_use]
    pub fn electorate(&self, term: u64, max: usize, min_reputation: u32) -> Vec<Did> {
        let mut electorate = self.ranked(term, min_reputation);
        electorate.truncate(max);
        electorate.sort();
        electorate
    }

    /// This node's place by rank for `term`; 0 is best.
    #[must_use]
    pub fn my_rank(&self, term: u64, min_reputation: u32) -> usize {
        let ranked = self.ranked(term, min_reputation);
        ranked
            .iter()
            .position(|did| *did == self.me)
            .unwrap_or(ranked.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{is_electorate, tests::identities};

    fn dids(n: usize) -> Vec<Did> {
        identities(n)
            .iter()
            .map(|identity| identity.did().clone())
            .collect()
    }

    #[test]
    fn every_member_with_the_same_view_ranks_alike_and_terms_shuffle() {
        let all = dids(20);
        let views: Vec<View> = all
            .iter()
            .map(|me| {
                let mut view = View::new(me.clone());
                for did in &all {
                    view.seen(did.clone(), 5);
                }
                view
            })
            .collect();
        for view in &views {
            assert_eq!(view.ranked(3, 0), views[0].ranked(3, 0));
        }
        assert_ne!(views[0].ranked(3, 0), views[0].ranked(4, 0));
        let electorate = views[0].electorate(3, 7, 0);
        assert!(electorate.len() == 7 && is_electorate(&electorate));
    }

    #[test]
    fn reputation_and_eligibility_come_before_the_hash() {
        let all = dids(4);
        let mut view = View::new(all[0].clone());
        for (did, reputation) in all.iter().zip([1, 50, 9, 20]) {
            view.seen(did.clone(), reputation);
        }
        let order: Vec<_> = [1, 3, 2, 0].iter().map(|i| all[*i].clone()).collect();
        assert_eq!(view.ranked(1, 10), order);
        assert_eq!(view.my_rank(1, 10), 3);
    }

    #[test]
    fn a_node_of_unreported_reputation_ranks_itself_with_the_best() {
        let all = dids(6);
        let mut view = View::new(all[0].clone());
        all[1..].iter().for_each(|did| {
            view.seen(did.clone(), 7);
        });
        assert!((1..50).any(|term| view.my_rank(term, 0) == 0));
        view.seen(all[0].clone(), 1);
        assert_eq!(view.my_rank(1, 0), 5);
    }

    #[test]
    fn the_silent_are_left_out_until_heard_and_the_followed_counts_once() {
        let all = dids(3);
        let mut view = View::new(all[0].clone());
        assert!(view.seen(all[1].clone(), 0));
        assert!(!view.seen(all[1].clone(), 0));
        view.follow(Some(&all[2]));
        assert_eq!((view.len(), view.live().len()), (3, 3));
        view.seen(all[2].clone(), 0);
        assert_eq!((view.len(), view.live().len()), (3, 3));
        view.follow(None);
        view.fell_silent(&all[2]);
        assert!(!view.contains(&all[2]));
        assert_eq!((view.len(), view.live().len()), (2, 2));
        view.heard(&all[2]);
        assert!(view.contains(&all[2]));
        view.fell_silent(&all[2]);
        assert!(
            view.seen(all[2].clone(), 0),
            "a member that comes back is news"
        );
        view.lost(&all[2]);
        view.lost(&all[0]);
        assert_eq!(view.live(), {
            let mut left = vec![all[0].clone(), all[1].clone()];
            left.sort();
            left
        });
    }
}
