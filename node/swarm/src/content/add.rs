//! Files and folders into the store.
//!
//! A file is read, cut and hashed, and written by three hands at once, with little between them: its
//! blocks go to disk in batches while the rest still comes in, and the call returns when all of it is
//! durable.

use std::path::PathBuf;

use cid::Cid;
use futures::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;

use super::build::{self, CHUNK, FileBuilder, Made, Top};
use super::dagpb::{DAG_PB, Link, Node};
use super::error::ContentError;
use super::writer::{Writer, Written};
use crate::error::SwarmError;
use crate::handle::Swarm;

/// Pieces of a body waiting to be cut.
const PIECES: usize = 16;
/// Batches waiting to be written.
const BATCHES: usize = 2;
/// Blocks of a batch; at most 8 MiB of chunks.
const BATCH: usize = 32;

/// What was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Its CID.
    pub cid: Cid,
    /// Bytes of the file; 0 for a folder.
    pub bytes: u64,
    /// Bytes of all its blocks.
    pub size: u64,
    /// Blocks that were not here before, the root aside.
    pub new_blocks: u64,
}

/// An entry of a folder to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub target: EntryTarget,
}

/// What an entry of a new folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryTarget {
    /// Content of this node.
    Content(Cid),
    /// A symbolic link to a path.
    Symlink(String),
}

impl Swarm {
    /// Adds a file whose content comes as `body`; it is cut and linked as Kubo's
    /// `ipfs add --cid-version=1 --raw-leaves` does it. With `pin` (and the name in it) the whole is
    /// pinned; without, it lasts until the next [`Swarm::collect_garbage`] after ten minutes.
    /// Everything is durable when this returns; when it fails, what was written meanwhile is left
    /// to garbage collection.
    ///
    /// # Errors
    /// [`ContentError::BrokenOff`] when `body` fails, [`SwarmError::Store`] when the disk does, or
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn add_file<S, E>(
        &self,
        body: S,
        pin: Option<Option<String>>,
    ) -> Result<Added, ContentError>
    where
        S: Stream<Item = Result<Vec<u8>, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _gate = self.shared.content.gate.read().await;
        self.ipfs().await?;
        let (pieces, cut) = mpsc::channel(PIECES);
        let (batches, written) = mpsc::channel(BATCHES);
        let cutter = tokio::task::spawn_blocking(move || cut_up(cut, &batches));
        let writer = write_batches(self.blocks_dir(), written);
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| ContentError::BrokenOff(error.into()))?;
            if pieces.send(Some(piece)).await.is_err() {
                break; // The writer failed and says why.
            }
        }
        let _ = pieces.send(None).await;
        let written = writer.await?;
        let made = cutter.await.map_err(ContentError::store)?;
        let (top, root) = made.ok_or_else(|| ContentError::store("the file was not cut"))?;
        self.seal(top, root, written, pin).await
    }

    /// Makes a folder of content that is here already.
    ///
    /// # Errors
    /// [`ContentError::Name`] for a name that is a path, empty or there twice,
    /// [`SwarmError::NotFound`] for content that is not here, and as [`Swarm::add_file`].
    pub async fn add_folder(
        &self,
        entries: Vec<NewEntry>,
        pin: Option<Option<String>>,
    ) -> Result<Added, ContentError> {
        let _gate = self.shared.content.gate.read().await;
        let mut made: Vec<Made> = Vec::new();
        let mut links = Vec::with_capacity(entries.len());
        for entry in entries {
            let (cid, size) = match entry.target {
                EntryTarget::Content(cid) => (cid, self.whole_size(&cid).await?),
                EntryTarget::Symlink(target) => {
                    let top = build::symlink(&target, &mut made);
                    (top.cid, top.size)
                }
            };
            let name = entry.name;
            links.push(Link { cid, name, size });
        }
        let top = build::folder(links, &mut made)
            .map_err(|(name, reason)| ContentError::Name { name, reason })?;
        let root = made
            .pop()
            .ok_or_else(|| ContentError::store("a folder without a block"))?;
        let (batches, written) = mpsc::channel(BATCHES);
        let writer = write_batches(self.blocks_dir(), written);
        let mut rest = made.into_iter().peekable();
        while rest.peek().is_some() {
            let batch: Vec<Made> = rest.by_ref().take(BATCH).collect();
            if batches.send(batch).await.is_err() {
                break;
            }
        }
        drop(batches);
        let written = writer.await?;
        self.seal(top, root, written, pin).await
    }

    /// Bytes of a local block and of all below it, as it says.
    async fn whole_size(&self, cid: &Cid) -> Result<u64, ContentError> {
        let data = self.local_block(cid).await?;
        let data = data.ok_or(SwarmError::NotFound(*cid))?;
        let mut size = data.len() as u64;
        if cid.codec() == DAG_PB {
            let node = Node::decode(&data)
                .map_err(|reason| ContentError::Malformed { cid: *cid, reason })?;
            for link in node.links {
                size = size.saturating_add(link.size);
            }
        }
        Ok(size)
    }

    /// Stores the root, which tells those who wait for it, when everything below is durable.
    async fn seal(
        &self,
        top: Top,
        root: Made,
        written: Written,
        pin: Option<Option<String>>,
    ) -> Result<Added, ContentError> {
        let (cid, data) = root;
        self.store_block(cid, data).await?;
        match pin {
            Some(name) => self.pin_root(&cid, name).await?,
            None => self.note_fresh(cid),
        }
        Ok(Added {
            cid,
            bytes: top.bytes,
            size: top.size,
            new_blocks: written.new,
        })
    }
}

/// Cuts what comes in into chunks and passes the blocks on, all but the root. `None` when the body
/// broke off or the blocks cannot be passed on.
fn cut_up(
    mut pieces: mpsc::Receiver<Option<Vec<u8>>>,
    batches: &mpsc::Sender<Vec<Made>>,
) -> Option<(Top, Made)> {
    let mut builder = FileBuilder::default();
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut made = Vec::new();
    loop {
        let piece = pieces.blocking_recv()?;
        let Some(piece) = piece else { break };
        let mut piece = piece.as_slice();
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(CHUNK - chunk.len()));
            chunk.extend_from_slice(now);
            piece = later;
            if chunk.len() == CHUNK {
                let whole = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                builder.push(whole, &mut made);
            }
        }
        while made.len() > BATCH {
            let rest = made.split_off(BATCH);
            batches
                .blocking_send(std::mem::replace(&mut made, rest))
                .ok()?;
        }
    }
    if !chunk.is_empty() {
        builder.push(chunk, &mut made);
    }
    let top = builder.finish(&mut made);
    let root = made.pop()?;
    batches.blocking_send(made).ok()?;
    Some((top, root))
}

/// Begins to write batches, until no more come; then makes them durable.
pub(super) fn write_batches(
    dir: PathBuf,
    mut batches: mpsc::Receiver<Vec<Made>>,
) -> impl Future<Output = Result<Written, ContentError>> {
    let writing = tokio::task::spawn_blocking(move || {
        let mut writer = Writer::new(dir);
        while let Some(batch) = batches.blocking_recv() {
            writer.write(&batch)?;
        }
        writer.finish()
    });
    async move {
        let written = writing.await.map_err(ContentError::store)?;
        written.map_err(ContentError::store)
    }
}
