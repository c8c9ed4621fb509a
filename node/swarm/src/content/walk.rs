//! Blocks of a DAG, one after the other, fetched ahead and held to bounds.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use ipld_core::ipld::Ipld;
use tokio_util::task::AbortOnDropHandle;

use super::dagpb::{DAG_CBOR, DAG_PB, Node, RAW};
use super::error::ContentError;
use crate::error::SwarmError;

/// Blocks asked for ahead of the one that is needed.
const AHEAD: usize = 32;
/// Largest block taken from anyone, in bytes.
const MAX_BLOCK: u64 = 2 * 1024 * 1024;
/// Links waiting to be followed.
const MAX_WAITING: usize = 1_000_000;

/// Where blocks come from.
#[async_trait]
pub trait BlockSource: Send + Sync + 'static {
    /// The block of `cid`, its bytes checked against it.
    ///
    /// # Errors
    /// [`SwarmError::Timeout`] when nobody delivers it, [`SwarmError::NotFound`] when it is looked
    /// for in the local store alone and is not there, and others where the node fails.
    async fn block(&self, cid: &Cid) -> Result<Vec<u8>, SwarmError>;
}

/// How much of a DAG is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DagLimits {
    /// Bytes, those of a block as often as it comes up in a file.
    pub bytes: u64,
    /// Blocks, counted the same way.
    pub blocks: u64,
    /// Steps from the root.
    pub depth: u32,
    /// Links of one block.
    pub links: usize,
}

impl Default for DagLimits {
    fn default() -> Self {
        DagLimits {
            bytes: 64 * 1024 * 1024 * 1024,
            blocks: 4 * 1024 * 1024,
            depth: 128,
            links: 64 * 1024,
        }
    }
}

struct Item {
    cid: Cid,
    depth: u32,
    expected: Option<u64>,
    fetch: Option<AbortOnDropHandle<Result<Vec<u8>, SwarmError>>>,
}

/// A block that was reached.
pub(super) struct Reached {
    pub(super) cid: Cid,
    pub(super) data: Vec<u8>,
    pub(super) depth: u32,
    /// Bytes of a file that its parent says are here.
    pub(super) expected: Option<u64>,
}

/// A walk in order, parents first.
pub(super) struct Walk {
    source: Arc<dyn BlockSource>,
    limits: DagLimits,
    queue: VecDeque<Item>,
    bytes: u64,
    blocks: u64,
}

impl Walk {
    pub(super) fn new(source: Arc<dyn BlockSource>, limits: DagLimits, root: Cid) -> Self {
        let root = Item {
            cid: root,
            depth: 0,
            expected: None,
            fetch: None,
        };
        Walk {
            source,
            limits,
            queue: VecDeque::from([root]),
            bytes: 0,
            blocks: 0,
        }
    }

    /// The next block; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Reached>, ContentError> {
        for item in self.queue.iter_mut().take(AHEAD) {
            if item.fetch.is_none() {
                let (source, cid) = (Arc::clone(&self.source), item.cid);
                let fetch = tokio::spawn(async move { block(&*source, &cid).await });
                item.fetch = Some(AbortOnDropHandle::new(fetch));
            }
        }
        let Some(item) = self.queue.pop_front() else {
            return Ok(None);
        };
        let data = match item.fetch {
            Some(fetch) => fetch.await.map_err(ContentError::store)?,
            None => block(&*self.source, &item.cid).await,
        };
        let data = data.map_err(|error| ContentError::fetch(&item.cid, error))?;
        within("bytes in one block", data.len() as u64, MAX_BLOCK)?;
        self.blocks += 1;
        self.bytes += data.len() as u64;
        within("blocks", self.blocks, self.limits.blocks)?;
        within("bytes", self.bytes, self.limits.bytes)?;
        Ok(Some(Reached {
            cid: item.cid,
            data,
            depth: item.depth,
            expected: item.expected,
        }))
    }

    /// Goes on with what a block links to before anything else.
    pub(super) fn follow(
        &mut self,
        depth: u32,
        links: Vec<(Cid, Option<u64>)>,
    ) -> Result<(), ContentError> {
        if links.is_empty() {
            return Ok(());
        }
        within(
            "links in one block",
            links.len() as u64,
            self.limits.links as u64,
        )?;
        within("levels", u64::from(depth) + 1, u64::from(self.limits.depth))?;
        let waiting = self.queue.len() + links.len();
        within("links", waiting as u64, MAX_WAITING as u64)?;
        for (cid, expected) in links.into_iter().rev() {
            self.queue.push_front(Item {
                cid,
                depth: depth + 1,
                expected,
                fetch: None,
            });
        }
        Ok(())
    }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), ContentError> {
    match found <= limit {
        true => Ok(()),
        false => Err(ContentError::Limit { what, limit }),
    }
}

/// A block from `source`, or the bytes that an identity CID itself holds.
pub(super) async fn block(source: &dyn BlockSource, cid: &Cid) -> Result<Vec<u8>, SwarmError> {
    match cid.hash().code() {
        0 => Ok(cid.hash().digest().to_vec()),
        _ => source.block(cid).await,
    }
}

/// What a block links to, in order.
pub(super) fn links(cid: &Cid, data: &[u8]) -> Result<Vec<Cid>, ContentError> {
    let malformed = |reason| ContentError::Malformed { cid: *cid, reason };
    match cid.codec() {
        RAW => Ok(Vec::new()),
        DAG_PB => {
            let node = Node::decode(data).map_err(malformed)?;
            Ok(node.links.into_iter().map(|link| link.cid).collect())
        }
        DAG_CBOR => {
            let value: Ipld =
                serde_ipld_dagcbor::from_slice(data).map_err(|_| malformed("not DAG-CBOR"))?;
            let mut links = Vec::new();
            value.references(&mut links);
            Ok(links)
        }
        _ => Err(malformed("its codec is not known here")),
    }
}

/// Each block of a DAG once, parents first.
pub(super) struct Blocks {
    walk: Walk,
    seen: HashSet<Cid>,
}

impl Blocks {
    pub(super) fn new(source: Arc<dyn BlockSource>, limits: DagLimits, root: Cid) -> Self {
        Blocks {
            walk: Walk::new(source, limits, root),
            seen: HashSet::from([root]),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<(Cid, Vec<u8>)>, ContentError> {
        let Some(reached) = self.walk.next().await? else {
            return Ok(None);
        };
        let below = links(&reached.cid, &reached.data)?;
        within(
            "links in one block",
            below.len() as u64,
            self.walk.limits.links as u64,
        )?;
        let new = below.into_iter().filter(|cid| self.seen.insert(*cid));
        let new = new.map(|cid| (cid, None)).collect();
        self.walk.follow(reached.depth, new)?;
        Ok(Some((reached.cid, reached.data)))
    }
}
