//! The Merkle DAG of revisions: what may enter it, its heads, its history and its fold.
//!
//! A revision enters only after its parents, so whatever a DAG holds is complete down to the
//! genesis, and a cycle would need a hash collision. Who may author a revision in which term is
//! not decided here: the author stays visible, and the hive judges it before it inserts.

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use pagi_messages::{Verified, wire};

use crate::{
    block,
    revision::{Genesis, GenesisError, Merged, Revision},
    state::State,
};

mod error;

pub use error::{BadLink, LinkError, RevisionError};

/// Most parents of a revision. [`Dag::next`] joins this many heads at once.
pub const MAX_PARENTS: usize = 256;

/// What became of a revision that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is in.
    Added,
    /// It was in already.
    Duplicate,
    /// These parents must come first, sorted.
    MissingParents(Vec<Cid>),
}

/// What a sound history amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The genesis.
    pub genesis: Cid,
    /// How many revisions were replayed.
    pub revisions: usize,
    /// How many distinct artifacts they merged.
    pub artifacts: usize,
    /// The heads, sorted.
    pub heads: Vec<Cid>,
}

/// The revisions a node holds.
#[derive(Clone, Debug)]
pub struct Dag {
    genesis: Genesis,
    root: Cid,
    revisions: BTreeMap<Cid, Verified<Revision>>,
    heads: BTreeSet<Cid>,
    state: State,
}

impl Dag {
    /// A DAG that holds its genesis alone.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn new(genesis: Genesis) -> Result<Self, GenesisError> {
        let root = genesis.check()?;
        let state = State::new(&genesis)?;
        Ok(Self {
            genesis,
            root,
            revisions: BTreeMap::new(),
            heads: BTreeSet::new(),
            state,
        })
    }

    /// Rebuilds a DAG from stored blocks, which may come in any order, checking every hash,
    /// signature and link: `pagi playbook verify` on what lies on disk.
    ///
    /// # Errors
    /// [`BadLink`] for the first block that is not sound.
    pub fn replay<B: AsRef<[u8]>>(
        genesis: Genesis,
        blocks: impl IntoIterator<Item = (Cid, B)>,
    ) -> Result<Self, BadLink> {
        let mut revisions = Vec::new();
        for (cid, bytes) in blocks {
            let revision = block::open(&cid, bytes.as_ref()).map_err(|error| BadLink {
                cid,
                cause: error.into(),
            })?;
            revisions.push((cid, revision));
        }
        Self::rebuild(genesis, revisions)
    }

    fn rebuild(
        genesis: Genesis,
        mut revisions: Vec<(Cid, Verified<Revision>)>,
    ) -> Result<Self, BadLink> {
        let root = genesis.block().map(|(cid, _)| cid).unwrap_or_default();
        let mut dag = Self::new(genesis).map_err(|error| BadLink {
            cid: root,
            cause: error.into(),
        })?;
        // Parents have lower numbers than their children, so this order never meets a child first.
        revisions.sort_by_key(|(cid, revision)| (revision.body().lamport, *cid));
        for (cid, revision) in revisions {
            let cause = match dag.insert(cid, &revision) {
                Ok(Insert::Added | Insert::Duplicate) => continue,
                Ok(Insert::MissingParents(missing)) => LinkError::MissingParents(missing),
                Err(error) => error.into(),
            };
            return Err(BadLink { cid, cause });
        }
        Ok(dag)
    }

    /// Takes in a revision whose signature was checked.
    ///
    /// # Errors
    /// [`RevisionError`]; the DAG is then as it was.
    pub fn insert(
        &mut self,
        cid: Cid,
        revision: &Verified<Revision>,
    ) -> Result<Insert, RevisionError> {
        let (actual, bytes) = block::seal(revision)?;
        if actual != cid {
            return Err(RevisionError::WrongCid {
                claimed: cid,
                actual,
            });
        }
        if self.revisions.contains_key(&cid) {
            return Ok(Insert::Duplicate);
        }
        if bytes.len() > wire::MAX_BLOCK_BYTES {
            return Err(RevisionError::TooLarge {
                cid,
                bytes: bytes.len(),
            });
        }
        let body = revision.body();
        self.check_parents(&body.parents)?;
        let missing: Vec<_> = body
            .parents
            .iter()
            .filter(|parent| !self.contains(parent))
            .copied()
            .collect();
        if !missing.is_empty() {
            return Ok(Insert::MissingParents(missing));
        }
        let expected = self.lamport_after(&body.parents);
        if body.lamport != expected {
            return Err(RevisionError::WrongLamport {
                found: body.lamport,
                expected,
            });
        }
        check_merged(&body.merged)?;

        for parent in &body.parents {
            self.heads.remove(parent);
        }
        self.heads.insert(cid);
        self.state.absorb(cid, body);
        self.revisions.insert(cid, revision.clone());
        Ok(Insert::Added)
    }

    fn check_parents(&self, parents: &[Cid]) -> Result<(), RevisionError> {
        if !(1..=MAX_PARENTS).contains(&parents.len()) {
            return Err(RevisionError::ParentCount {
                found: parents.len(),
            });
        }
        for (one, two) in parents.iter().zip(parents.iter().skip(1)) {
            match one.cmp(two) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(RevisionError::DuplicateParent(*one)),
                std::cmp::Ordering::Greater => return Err(RevisionError::UnsortedParents),
            }
        }
        if parents.len() > 1 && parents.contains(&self.root) {
            return Err(RevisionError::GenesisAmongParents);
        }
        Ok(())
    }

    fn lamport_after(&self, parents: &[Cid]) -> u64 {
        let lamport = |cid| {
            self.revisions
                .get(cid)
                .map_or(0, |parent| parent.body().lamport)
        };
        parents
            .iter()
            .map(lamport)
            .max()
            .unwrap_or(0)
            .saturating_add(1)
    }

    /// The revision that would follow all heads, joining them where there are several. It is not
    /// signed and not in the DAG yet.
    #[must_use]
    pub fn next(
        &self,
        merged: Vec<Merged>,
        term: u64,
        certificate: Option<Cid>,
        evaluation: Option<Cid>,
        timestamp: u64,
    ) -> Revision {
        let mut parents: Vec<_> = self.heads.iter().copied().collect();
        if parents.len() > MAX_PARENTS {
            parents.sort_by_key(|cid| std::cmp::Reverse(self.rank(cid)));
            parents.truncate(MAX_PARENTS);
            parents.sort();
        }
        if parents.is_empty() {
            parents.push(self.root);
        }
        let lamport = self.lamport_after(&parents);
        Revision {
            parents,
            lamport,
            term,
            certificate,
            merged,
            evaluation,
            timestamp,
        }
    }

    fn rank(&self, cid: &Cid) -> (u64, u64, Cid) {
        let body = self.revisions.get(cid).map(Verified::body);
        body.map_or((0, 0, *cid), |body| (body.term, body.lamport, *cid))
    }

    /// The genesis CID.
    #[must_use]
    pub fn root(&self) -> Cid {
        self.root
    }

    /// The genesis.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The revisions that none follows, sorted; empty while there is the genesis alone.
    #[must_use]
    pub fn heads(&self) -> Vec<Cid> {
        self.heads.iter().copied().collect()
    }

    /// The head: of several the highest by (term, lamport, CID), and the genesis where there is
    /// none.
    #[must_use]
    pub fn head(&self) -> Cid {
        self.heads
            .iter()
            .copied()
            .max_by_key(|cid| self.rank(cid))
            .unwrap_or(self.root)
    }

    /// How many revisions it holds, the genesis not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.revisions.len()
    }

    /// Whether it holds the genesis alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    /// Whether it holds this revision, or this is its genesis.
    #[must_use]
    pub fn contains(&self, cid: &Cid) -> bool {
        *cid == self.root || self.revisions.contains_key(cid)
    }

    /// The revision with this CID.
    #[must_use]
    pub fn get(&self, cid: &Cid) -> Option<&Verified<Revision>> {
        self.revisions.get(cid)
    }

    /// The fold over all heads.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.clone()
    }

    /// The fold over all heads, by reference.
    #[must_use]
    pub fn view(&self) -> &State {
        &self.state
    }

    /// The fold over one revision and its ancestors, or the genesis alone. None where the CID is
    /// unknown.
    #[must_use]
    pub fn state_at(&self, cid: &Cid) -> Option<State> {
        if !self.contains(cid) {
            return None;
        }
        if self.heads.len() == 1 && self.heads.contains(cid) {
            return Some(self.state());
        }
        let mut state = State::new(&self.genesis).ok()?;
        let mut reach: Vec<_> = self
            .reach([*cid])
            .into_iter()
            .filter_map(|cid| Some((cid, self.get(&cid)?)))
            .collect();
        // In the order of stamps, so that no write makes the settings fold anew.
        reach.sort_by_key(|(cid, _)| self.rank(cid));
        for (cid, revision) in reach {
            state.absorb(cid, revision.body());
        }
        Some(state)
    }

    /// `from` and all their ancestors that are held, the genesis included.
    fn reach(&self, from: impl IntoIterator<Item = Cid>) -> BTreeSet<Cid> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<_> = from.into_iter().filter(|cid| self.contains(cid)).collect();
        while let Some(cid) = open.pop() {
            if seen.insert(cid)
                && let Some(revision) = self.revisions.get(&cid)
            {
                open.extend(revision.body().parents.iter().copied());
            }
        }
        seen
    }

    fn newest_first(&self, cids: impl IntoIterator<Item = Cid>) -> Vec<Cid> {
        let order = |cid: &Cid| {
            let (term, lamport, cid) = self.rank(cid);
            std::cmp::Reverse((lamport, term, cid))
        };
        let mut cids: Vec<_> = cids.into_iter().collect();
        cids.sort_by_key(order);
        cids
    }

    /// All ancestors of a revision, newest first and the genesis last; itself left out.
    #[must_use]
    pub fn ancestors(&self, cid: &Cid) -> Vec<Cid> {
        let mut reach = self.reach([*cid]);
        reach.remove(cid);
        self.newest_first(reach)
    }

    /// Whether `ancestor` is `cid` or one of its ancestors.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: &Cid, cid: &Cid) -> bool {
        self.reach([*cid]).contains(ancestor)
    }

    /// Up to `limit` revisions, newest first: no revision comes before one that follows it.
    #[must_use]
    pub fn log(&self, limit: usize) -> Vec<(Cid, &Verified<Revision>)> {
        self.newest_first(self.revisions.keys().copied())
            .into_iter()
            .take(limit)
            .filter_map(|cid| Some((cid, self.get(&cid)?)))
            .collect()
    }

    /// The revisions a node with these heads lacks, oldest first, so that they can be inserted in
    /// order. Heads that are unknown here are passed over.
    #[must_use]
    pub fn beyond(&self, heads: &[Cid]) -> Vec<Cid> {
        let known = self.reach(heads.iter().copied());
        let mut lacking = self.newest_first(
            self.revisions
                .keys()
                .filter(|cid| !known.contains(cid))
                .copied(),
        );
        lacking.reverse();
        lacking
    }

    /// Takes in all revisions of another DAG with the same genesis, and says how many were new.
    ///
    /// # Errors
    /// [`RevisionError::OtherGenesis`].
    pub fn join(&mut self, other: &Self) -> Result<usize, RevisionError> {
        if self.root != other.root {
            return Err(RevisionError::OtherGenesis {
                ours: self.root,
                theirs: other.root,
            });
        }
        let mut added = 0;
        for cid in other.beyond(&self.heads()) {
            if let Some(revision) = other.get(&cid)
                && self.insert(cid, revision)? == Insert::Added
            {
                added += 1;
            }
        }
        Ok(added)
    }

    /// Replays the whole history: every signature, hash, link and the state.
    ///
    /// # Errors
    /// [`BadLink`] for the first revision that is not sound.
    pub fn verify(&self) -> Result<Verification, BadLink> {
        let mut revisions = Vec::with_capacity(self.revisions.len());
        for (cid, revision) in &self.revisions {
            let verified = revision
                .as_signed()
                .clone()
                .verify()
                .map_err(|error| BadLink {
                    cid: *cid,
                    cause: error.into(),
                })?;
            revisions.push((*cid, verified));
        }
        let again = Self::rebuild(self.genesis.clone(), revisions)?;
        if again.state != self.state || again.heads != self.heads {
            return Err(BadLink {
                cid: self.head(),
                cause: LinkError::State,
            });
        }
        Ok(Verification {
            genesis: self.root,
            revisions: self.revisions.len(),
            artifacts: self.state.artifacts(),
            heads: self.heads(),
        })
    }
}

fn check_merged(merged: &[Merged]) -> Result<(), RevisionError> {
    let mut seen = BTreeSet::new();
    for merged in merged {
        if !seen.insert(merged.artifact) {
            return Err(RevisionError::RepeatedArtifact(merged.artifact));
        }
        merged
            .delta
            .check()
            .map_err(|reason| RevisionError::Delta {
                artifact: merged.artifact,
                reason,
            })?;
    }
    Ok(())
}
