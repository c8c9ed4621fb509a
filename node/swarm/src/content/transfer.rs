//! Reading files and folders, pinning whole DAGs, CAR files out and in.

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use rust_ipfs::Block;
use rust_ipfs::repo::PinMode;
use serde::Serialize;
use tokio::sync::mpsc;

use super::add::write_batches;
use super::build::Made;
use super::car::{self, Part};
use super::error::ContentError;
use super::pins::{self, Pin};
use super::read::{self, Entry, FileReader};
use super::walk::{BlockSource, Blocks, DagLimits};
use crate::blocks::sync_dirs;
use crate::error::SwarmError;
use crate::handle::Swarm;

/// Blocks of an import written at once.
const BATCH: usize = 64;
/// Bytes of those.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Pieces of content as they come.
pub type Pieces = BoxStream<'static, Result<Vec<u8>, ContentError>>;

/// What [`Swarm::import_car`] took in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The roots the CAR names.
    pub roots: Vec<Cid>,
    /// Blocks in it.
    pub blocks: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// The local store as a source of blocks.
#[derive(Clone, Debug)]
struct Local(Swarm);

#[async_trait]
impl BlockSource for Local {
    async fn block(&self, cid: &Cid) -> Result<Vec<u8>, SwarmError> {
        let block = self.0.local_block(cid).await?;
        block.ok_or(SwarmError::NotFound(*cid))
    }
}

impl Swarm {
    /// The local store as a source of blocks, without the network.
    pub fn local_source(&self) -> Arc<dyn BlockSource> {
        Arc::new(Local(self.clone()))
    }

    /// Pins `root` and everything below it, fetching what is missing from `source`, which keeps what
    /// it fetched in the store. All of it, and the pin, are durable when this returns.
    ///
    /// # Errors
    /// [`ContentError::Unavailable`] for a block nobody delivers, [`ContentError::Limit`] beyond
    /// `limits`, [`ContentError::Malformed`] for a block whose links cannot be read.
    pub async fn pin_dag(
        &self,
        root: &Cid,
        name: Option<String>,
        source: Arc<dyn BlockSource>,
        limits: DagLimits,
    ) -> Result<u64, ContentError> {
        let _gate = self.shared.content.gate.read().await;
        let mut blocks = Blocks::new(source, limits, *root);
        let mut count = 0;
        while blocks.next().await?.is_some() {
            count += 1;
        }
        sync_dirs(vec![self.blocks_dir()]).await?;
        self.pin_root(root, name).await?;
        Ok(count)
    }

    /// Takes the pin of a whole DAG back; whether there was one. Pins of single blocks stay.
    ///
    /// # Errors
    /// [`SwarmError::Store`] where the disk fails.
    pub async fn unpin_dag(&self, root: &Cid) -> Result<bool, ContentError> {
        let (dir, cid) = (pins::folder(&self.shared.store_dir), *root);
        let removed = tokio::task::spawn_blocking(move || pins::remove(&dir, &cid));
        let removed = removed.await.map_err(ContentError::store)?;
        if let Ok(mut fresh) = self.shared.content.fresh.lock() {
            fresh.drop_dag(root, std::time::Instant::now());
        }
        removed.map_err(ContentError::store)
    }

    /// Every pin: those of whole DAGs, then those of single blocks.
    ///
    /// # Errors
    /// [`SwarmError::Store`] where the disk fails, [`SwarmError::Closed`] after shutdown.
    pub async fn pins(&self) -> Result<Vec<Pin>, ContentError> {
        let ipfs = self.ipfs().await?;
        let mut pins = self.roots().await?;
        let mut single = Vec::new();
        let mut listed = ipfs.repo().list_pins(None).await;
        while let Some(pin) = listed.next().await {
            let (cid, mode) = pin.map_err(ContentError::store)?;
            if mode != PinMode::Indirect {
                single.push(Pin {
                    cid,
                    recursive: mode == PinMode::Recursive,
                    name: None,
                    at_ms: 0,
                });
            }
        }
        single.sort_by_key(|pin| pin.cid);
        pins.extend(single);
        Ok(pins)
    }

    /// Records the pin of a DAG whose blocks are here.
    pub(super) async fn pin_root(&self, cid: &Cid, name: Option<String>) -> Result<(), SwarmError> {
        let (dir, cid) = (pins::folder(&self.shared.store_dir), *cid);
        tokio::task::spawn_blocking(move || pins::add(&dir, &cid, name))
            .await
            .map_err(SwarmError::store)?
            .map_err(SwarmError::store)
    }

    /// Follows `path` from `root` and says what is there.
    ///
    /// # Errors
    /// [`ContentError::NoEntry`], [`ContentError::Kind`] where the path goes on below a file, and as
    /// [`Swarm::pin_dag`].
    pub async fn look_up(
        &self,
        source: &Arc<dyn BlockSource>,
        root: &Cid,
        path: &[String],
    ) -> Result<Entry, ContentError> {
        let cid = read::resolve(&**source, root, path).await?;
        let name = path.last().cloned().unwrap_or_default();
        read::describe(&**source, &cid, name).await
    }

    /// The entries of a folder, by name. Two entries of one name make it malformed; names are as
    /// their author chose them, see [`crate::check_name`].
    ///
    /// # Errors
    /// [`ContentError::Kind`] for anything but a folder, and as [`Swarm::pin_dag`].
    pub async fn list_folder(
        &self,
        source: &Arc<dyn BlockSource>,
        folder: &Cid,
    ) -> Result<Vec<Entry>, ContentError> {
        read::list(&**source, folder).await
    }

    /// The content of a file, in order, as it comes. It ends with an error where a block is missing,
    /// malformed or beyond `limits`.
    pub fn read_file(&self, source: Arc<dyn BlockSource>, limits: DagLimits, file: &Cid) -> Pieces {
        let reader = FileReader::new(source, limits, *file);
        stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// A CAR (version 1) of everything at and below `root`, parents first, each block once.
    pub fn export_car(
        &self,
        source: Arc<dyn BlockSource>,
        limits: DagLimits,
        root: &Cid,
    ) -> Pieces {
        let head = car::header(&[*root]);
        let blocks = Blocks::new(source, limits, *root);
        let body = stream::unfold(Some(blocks), |blocks| async {
            let mut blocks = blocks?;
            match blocks.next().await {
                Ok(Some((cid, data))) => Some((Ok(car::section(&cid, &data)), Some(blocks))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        stream::once(async { Ok(head) }).chain(body).boxed()
    }

    /// Takes a CAR (version 1) in. Every block is checked against its CID; with `pin` every root is
    /// pinned, for which all below it must be in the CAR or here. Durable when this returns; when it
    /// fails, blocks before the fault may have been stored, unpinned.
    ///
    /// # Errors
    /// [`ContentError::Car`] for what is no CAR or damaged, [`SwarmError::NotFound`] when something
    /// below a root is missing, [`ContentError::BrokenOff`] when `body` fails.
    pub async fn import_car<S, E>(
        &self,
        body: S,
        pin: Option<Option<String>>,
    ) -> Result<Imported, ContentError>
    where
        S: Stream<Item = Result<Vec<u8>, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let gate = self.shared.content.gate.read().await;
        self.ipfs().await?;
        let (batches, written) = mpsc::channel(2);
        let mut intake = Some(Intake::default());
        let mut body = std::pin::pin!(body);
        let read = async {
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(|error| ContentError::BrokenOff(error.into()))?;
                let mut taking = intake.take().unwrap_or_default();
                // Hashing is work for a thread that may block.
                let taken = tokio::task::spawn_blocking(move || {
                    let result = taking.take(&piece);
                    (taking, result)
                });
                let (mut taken, result) = taken.await.map_err(ContentError::store)?;
                result?;
                if taken.open_bytes >= BATCH_BYTES || taken.open.len() >= BATCH {
                    taken.open_bytes = 0;
                    if batches.send(std::mem::take(&mut taken.open)).await.is_err() {
                        break;
                    }
                }
                intake = Some(taken);
            }
            let mut whole = intake.take().unwrap_or_default();
            whole.end()?;
            let _ = batches.send(std::mem::take(&mut whole.open)).await;
            drop(batches);
            Ok::<Imported, ContentError>(whole.imported())
        };
        let (imported, stored) = tokio::join!(read, write_batches(self.blocks_dir(), written));
        let imported = imported?;
        stored?;
        drop(gate);
        for root in &imported.roots {
            match &pin {
                Some(name) => {
                    let local = self.local_source();
                    self.pin_dag(root, name.clone(), local, DagLimits::default())
                        .await?;
                }
                None => self.note_fresh(*root),
            }
        }
        Ok(imported)
    }
}

/// A CAR on its way in.
#[derive(Default)]
struct Intake {
    reader: car::Reader,
    roots: Vec<Cid>,
    blocks: u64,
    bytes: u64,
    open: Vec<Made>,
    open_bytes: usize,
}

impl Intake {
    fn take(&mut self, piece: &[u8]) -> Result<(), ContentError> {
        self.reader.push(piece);
        loop {
            let offset = self.reader.offset;
            let fault = |reason: String| ContentError::Car { offset, reason };
            match self.reader.next().map_err(|reason| fault(reason.into()))? {
                None => return Ok(()),
                Some(Part::Roots(roots)) => self.roots = roots,
                Some(Part::Block(cid, data)) => {
                    self.blocks += 1;
                    if cid.hash().code() == 0 {
                        continue;
                    }
                    self.bytes += data.len() as u64;
                    let block = Block::new_unchecked(cid, data);
                    block.verify().map_err(|error| match error.kind() {
                        std::io::ErrorKind::InvalidData => {
                            fault(format!("the bytes of {cid} do not fit it"))
                        }
                        _ => fault(format!("the hash function of {cid} is not known here")),
                    })?;
                    let (cid, data) = block.into_inner();
                    self.open_bytes += data.len();
                    self.open.push((cid, data.to_vec()));
                }
            }
        }
    }

    fn end(&self) -> Result<(), ContentError> {
        match self.reader.is_whole() {
            true => Ok(()),
            false => Err(ContentError::Car {
                offset: self.reader.offset,
                reason: "it is cut short".into(),
            }),
        }
    }

    fn imported(self) -> Imported {
        Imported {
            roots: self.roots,
            blocks: self.blocks,
            bytes: self.bytes,
        }
    }
}
