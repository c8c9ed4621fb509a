//! Removing what nothing needs: marks what pins and roots reach, then removes the other blocks.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cid::Cid;
use futures::StreamExt;
use rust_ipfs::repo::PinMode;
use serde::Serialize;

use super::error::ContentError;
use super::walk::links;
use super::{dagpb::RAW, pins};
use crate::blocks::{State, block_file, state, v1};
use crate::error::SwarmError;
use crate::handle::Swarm;

/// How long what was just stored or fetched is kept without a pin: whoever asked for it may be
/// about to pin it, or to put it into a folder.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Fresh CIDs remembered.
const MAX_FRESH: usize = 64 * 1024;
/// How long content that is being added is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What [`Swarm::collect_garbage`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Blocks removed.
    pub removed: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Blocks kept.
    pub kept: u64,
    /// Blocks kept because they were stored or fetched in the last ten minutes, at least.
    pub fresh: u64,
    /// Blocks that pinned content needs and that are not here.
    pub missing: u64,
}

/// What was stored or fetched lately.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    noted: HashMap<Cid, Instant>,
    /// DAGs whose user took the pin back: what of them was there by then is fresh no longer.
    dropped: HashMap<Cid, Instant>,
}

impl Fresh {
    /// Remembers `cid`.
    pub(crate) fn note(&mut self, cid: Cid, now: Instant) {
        if self.noted.len() >= MAX_FRESH {
            self.noted.retain(|_, at| now.duration_since(*at) < FRESH);
        }
        if self.noted.len() < MAX_FRESH {
            self.noted.insert(v1(&cid), now);
        }
    }

    /// Remembers that `root` and all below it need not be kept for being fresh.
    pub(crate) fn drop_dag(&mut self, root: &Cid, now: Instant) {
        self.dropped.retain(|_, at| now.duration_since(*at) < FRESH);
        if self.dropped.len() < MAX_FRESH {
            self.dropped.insert(v1(root), now);
        }
    }

    fn take_dropped(&mut self) -> HashMap<Cid, Instant> {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets those of `cids` that were noted before `at`.
    fn forget(&mut self, cids: &HashSet<Cid>, at: Instant) {
        self.noted
            .retain(|cid, noted| !(cids.contains(cid) && *noted <= at));
    }

    fn list(&mut self, now: Instant) -> Vec<Cid> {
        self.noted.retain(|_, at| now.duration_since(*at) < FRESH);
        self.noted.keys().copied().collect()
    }
}

impl Swarm {
    /// Removes every block that is not pinned, not below a pin, not in or below `keep`, and was not
    /// stored or fetched in the last ten minutes, unless it was unpinned since.
    ///
    /// # Errors
    /// [`ContentError::Busy`] when content is added or pinned for longer than half a minute;
    /// [`ContentError::Damaged`] when a block that must be kept cannot be read, so that nothing is
    /// known of what is below it; nothing is removed then.
    pub async fn collect_garbage(&self, keep: &[Cid]) -> Result<Collected, ContentError> {
        let gate = tokio::time::timeout(PATIENCE, self.shared.content.gate.write());
        let _alone = gate.await.map_err(|_| ContentError::Busy)?;
        let ipfs = self.ipfs().await?;
        let mut collected = Collected::default();
        let mut marked: HashSet<Cid> = HashSet::new();

        let mut direct = ipfs.repo().list_pins(None).await;
        let mut roots = Vec::new();
        while let Some(pin) = direct.next().await {
            match pin.map_err(ContentError::store)? {
                (cid, PinMode::Recursive) => roots.push(cid),
                (cid, _) => {
                    marked.insert(v1(&cid));
                }
            }
        }
        roots.extend(self.roots().await?.into_iter().map(|pin| pin.cid));
        roots.extend(keep);
        let direct = std::mem::take(&mut marked);
        for root in roots {
            collected.missing += self.mark(root, &mut marked, true).await?;
        }
        marked.extend(direct);
        let needed = marked.len();
        for (root, at) in self.dropped_dags() {
            let mut below = HashSet::new();
            self.mark(root, &mut below, false).await?;
            if let Ok(mut fresh) = self.shared.content.fresh.lock() {
                fresh.forget(&below, at);
            }
        }
        for fresh in self.fresh_cids() {
            // What is missing below something fresh may still be on its way.
            self.mark(fresh, &mut marked, false).await?;
        }
        collected.fresh = (marked.len() - needed) as u64;

        let mut blocks = ipfs.repo().list_blocks().await;
        let mut doomed = Vec::new();
        while let Some(cid) = blocks.next().await {
            match marked.contains(&v1(&cid)) {
                true => collected.kept += 1,
                false => doomed.push(cid),
            }
        }
        let dir = self.blocks_dir();
        let removed = tokio::task::spawn_blocking(move || remove(dir, doomed));
        let (removed, bytes) = removed
            .await
            .map_err(ContentError::store)?
            .map_err(ContentError::store)?;
        collected.removed = removed;
        collected.bytes = bytes;
        Ok(collected)
    }

    fn dropped_dags(&self) -> HashMap<Cid, Instant> {
        let fresh = self.shared.content.fresh.lock();
        fresh.map_or_else(|_| HashMap::new(), |mut fresh| fresh.take_dropped())
    }

    fn fresh_cids(&self) -> Vec<Cid> {
        let fresh = self.shared.content.fresh.lock();
        fresh.map_or_else(|_| Vec::new(), |mut fresh| fresh.list(Instant::now()))
    }

    /// Marks what is here at and below `root`; how many blocks are missing.
    async fn mark(
        &self,
        root: Cid,
        marked: &mut HashSet<Cid>,
        needed: bool,
    ) -> Result<u64, ContentError> {
        let ipfs = self.ipfs().await?;
        let (mut open, mut missing) = (vec![root], 0);
        while let Some(cid) = open.pop() {
            if cid.hash().code() == 0 || !marked.insert(v1(&cid)) {
                continue;
            }
            if cid.codec() == RAW {
                if needed && !ipfs.repo().contains(&cid).await.unwrap_or(false) {
                    missing += 1;
                }
                continue;
            }
            match state(&ipfs, &cid).await? {
                // A codec that is not known here has no links that could be followed.
                State::Good(block) => open.extend(links(&cid, block.data()).unwrap_or_default()),
                State::Missing => missing += 1,
                State::Damaged if needed => return Err(ContentError::Damaged(cid)),
                State::Damaged => {}
            }
        }
        Ok(missing)
    }

    /// The pins of whole DAGs.
    pub(super) async fn roots(&self) -> Result<Vec<pins::Pin>, SwarmError> {
        let dir = pins::folder(&self.shared.store_dir);
        tokio::task::spawn_blocking(move || pins::list(&dir))
            .await
            .map_err(SwarmError::store)?
            .map_err(SwarmError::store)
    }
}

fn remove(dir: PathBuf, doomed: Vec<Cid>) -> io::Result<(u64, u64)> {
    let (mut removed, mut bytes) = (0, 0);
    for cid in doomed {
        let path = block_file(&dir, &cid);
        let size = std::fs::metadata(&path).map_or(0, |found| found.len());
        match std::fs::remove_file(&path) {
            Ok(()) => {
                removed += 1;
                bytes += size;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((removed, bytes))
}

#[cfg(test)]
mod tests {
    use super::super::dagpb::cid_of;
    use super::*;

    #[test]
    fn what_is_fresh_does_not_stay_so() {
        let (mut fresh, start) = (Fresh::default(), Instant::now());
        let cids: Vec<Cid> = (0u8..3).map(|n| cid_of(RAW, &[n])).collect();
        fresh.note(cids[0], start);
        fresh.note(cids[1], start + FRESH / 2);
        fresh.note(cids[2], start + FRESH / 2);
        fresh.forget(&[cids[2], cids[1]].into(), start + FRESH / 4);
        fresh.forget(&[cids[2]].into(), start + FRESH / 2);
        assert_eq!(fresh.list(start + FRESH / 2).len(), 2);
        assert_eq!(fresh.list(start + FRESH), [cids[1]]);
        assert!(fresh.list(start + FRESH * 2).is_empty());
    }
}
