//! Content by CID as the control API offers it, over the swarm's store and the network.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use cid::Cid;
use futures::{StreamExt, TryStreamExt};
use pagi_api::{ApiError, content::*};
use pagi_hive::Hive;
use pagi_messages::event::{from_unix_ms, rfc3339};
use pagi_store::Store;
use pagi_swarm::{
    Added, BlockSource, ContentError, DagLimits, Entry, EntryKind, EntryTarget, NewEntry, Pin,
    Swarm, SwarmError,
};

use super::{
    blocks::{self, Asked},
    views::{internal, parse_cid, store_error, swarm_error},
};

/// Longest wait for one block, unless the user says otherwise.
const TIMEOUT_S: u64 = 30;
/// Head start of bitswap: many blocks are on their way then, and each that is asked
/// for by request as well comes twice.
const HEAD_START: Duration = Duration::from_secs(1);
/// Nodes named in an error.
const NAMED: usize = 4;
/// Pins announced in the DHT after a start.
const ANNOUNCED: usize = 1000;

/// The node's content.
pub struct ContentNode {
    swarm: Swarm,
    hive: Hive,
    store: Store,
}

impl ContentNode {
    pub fn new(swarm: Swarm, hive: Hive, store: Store) -> Self {
        Self { swarm, hive, store }
    }

    fn source(&self, fetch: &Fetch) -> Arc<dyn BlockSource> {
        let seconds = match fetch.timeout_s.unwrap_or(TIMEOUT_S) {
            0 => return self.swarm.local_source(),
            seconds => seconds,
        };
        Arc::new(Fetcher {
            swarm: self.swarm.clone(),
            time: Duration::from_secs(seconds),
            asked: Mutex::default(),
        })
    }

    /// What a failure means to the user; it says whom a block was asked of.
    async fn explain(&self, error: ContentError, fetch: &Fetch) -> ApiError {
        let ContentError::Unavailable { cid } = &error else {
            return content_error(error);
        };
        let peers = self.swarm.peers().await.unwrap_or_default();
        let mut names: Vec<&str> = peers.iter().map(|peer| peer.peer_id.as_str()).collect();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let whom = match (names.as_slice(), more) {
            ([], _) => "no node is connected, and the DHT knows nobody who has it".to_owned(),
            (_, 0) => format!("asked {} and the DHT", names.join(", ")),
            (_, more) => format!("asked {}, {more} more and the DHT", names.join(", ")),
        };
        let seconds = fetch.timeout_s.unwrap_or(TIMEOUT_S);
        ApiError::Timeout(format!("{cid} was not found within {seconds} s: {whom}"))
    }

    /// Lets the swarm find content in the background.
    fn announce(&self, cid: Cid) {
        let swarm = self.swarm.clone();
        tokio::spawn(async move {
            let announced = swarm.provide(&cid).await;
            if let Err(error) = announced.and(swarm.provide_publicly(&cid).await) {
                tracing::debug!(%cid, %error, "content was not announced in the DHT");
            }
        });
    }

    /// What the hive needs: every revision, artifact and certificate, and the genesis.
    fn needed(&self) -> Result<Vec<Cid>, ApiError> {
        let snapshot = self.hive.playbook();
        let mut needed = snapshot.heads.clone();
        needed.extend([snapshot.head, snapshot.genesis]);
        needed.extend(self.hive.office().map(|office| office.certificate));
        let revisions = self.store.revisions().map_err(store_error)?;
        let artifacts = self.store.list_artifacts().map_err(store_error)?;
        let texts = revisions.into_iter().map(|(cid, _)| cid);
        for text in texts.chain(artifacts.into_iter().map(|artifact| artifact.cid)) {
            needed.push(parse_cid(&text)?);
        }
        Ok(needed)
    }
}

/// Announces the pinned content again: what the DHT knows of this node ends with the process.
pub async fn announce_pins(swarm: Swarm) {
    let pins = swarm.pins().await.unwrap_or_default();
    for pin in pins.into_iter().filter(|pin| pin.recursive).take(ANNOUNCED) {
        let announced = swarm.provide(&pin.cid).await;
        if let Err(error) = announced.and(swarm.provide_publicly(&pin.cid).await) {
            tracing::debug!(cid = %pin.cid, %error, "pinned content was not announced in the DHT");
        }
    }
}

/// Blocks from here, else from the network.
struct Fetcher {
    swarm: Swarm,
    time: Duration,
    /// The node that gave the last block on request, asked first for the next one.
    asked: Mutex<Option<String>>,
}

#[async_trait]
impl BlockSource for Fetcher {
    async fn block(&self, cid: &Cid) -> Result<Vec<u8>, SwarmError> {
        if let Some(block) = self.swarm.local_block(cid).await? {
            return Ok(block);
        }
        let first = self.asked.lock().ok().and_then(|asked| asked.clone());
        let Asked { block, by } =
            blocks::fetch_asking(&self.swarm, cid, &[], first, HEAD_START, self.time).await?;
        if let (Some(node), Ok(mut asked)) = (by, self.asked.lock()) {
            *asked = Some(node);
        }
        Ok(block)
    }
}

fn limits(fetch: &Fetch) -> DagLimits {
    let whole = DagLimits::default();
    DagLimits {
        bytes: fetch.max_bytes.unwrap_or(whole.bytes),
        ..whole
    }
}

fn names(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn added(added: Added, pinned: bool) -> AddedContent {
    AddedContent {
        cid: added.cid.to_string(),
        bytes: added.bytes,
        size: added.size,
        pinned,
    }
}

fn entry(entry: Entry) -> ContentEntry {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::Folder => "folder",
        EntryKind::Symlink => "symlink",
        EntryKind::Other => "other",
    };
    ContentEntry {
        name: entry.name,
        cid: entry.cid.to_string(),
        kind: kind.to_owned(),
        size: entry.size,
        target: entry.target,
    }
}

fn pin_view(pin: Pin) -> PinView {
    PinView {
        cid: pin.cid.to_string(),
        recursive: pin.recursive,
        name: pin.name,
        ts: (pin.at_ms > 0).then(|| rfc3339(from_unix_ms(pin.at_ms))),
    }
}

fn content_error(error: ContentError) -> ApiError {
    let text = error.to_string();
    match error {
        ContentError::Swarm(SwarmError::NotFound(cid)) => ApiError::NotFound {
            what: "block on this node",
            id: cid.to_string(),
        },
        ContentError::Swarm(error) => swarm_error(error),
        ContentError::Unavailable { .. } => ApiError::Timeout(text),
        ContentError::NoEntry { name, .. } => ApiError::NotFound {
            what: "entry",
            id: name,
        },
        ContentError::Kind { .. }
        | ContentError::Malformed { .. }
        | ContentError::Name { .. }
        | ContentError::Car { .. } => ApiError::invalid(text),
        ContentError::Limit { .. } => ApiError::TooLarge(text),
        ContentError::BrokenOff(_) => ApiError::Malformed(text),
        ContentError::Busy => ApiError::Conflict(text),
        ContentError::Damaged(_) => ApiError::Conflict(format!(
            "{text}; fetch it again (`pagi ipfs pin add`), or take its pin back"
        )),
        other => internal(other),
    }
}

#[async_trait]
impl Content for ContentNode {
    async fn add_file(&self, body: ByteStream, keep: Keep) -> Result<AddedContent, ApiError> {
        let pin = keep.pin.then_some(keep.name);
        let file = self
            .swarm
            .add_file(body, pin)
            .await
            .map_err(content_error)?;
        self.announce(file.cid);
        Ok(added(file, keep.pin))
    }

    async fn add_folder(&self, request: AddFolder) -> Result<AddedContent, ApiError> {
        let mut entries = Vec::with_capacity(request.entries.len());
        for entry in request.entries {
            let target = match (entry.cid, entry.symlink) {
                (Some(cid), None) => EntryTarget::Content(parse_cid(&cid)?),
                (None, Some(target)) => EntryTarget::Symlink(target),
                _ => {
                    let name = entry.name;
                    return Err(ApiError::invalid(format!(
                        "the entry {name:?} needs either `cid` or `symlink`"
                    )));
                }
            };
            let name = entry.name;
            entries.push(NewEntry { name, target });
        }
        let pin = request.pin.then_some(request.name);
        let folder = self.swarm.add_folder(entries, pin).await;
        let folder = folder.map_err(content_error)?;
        self.announce(folder.cid);
        Ok(added(folder, request.pin))
    }

    async fn cat(&self, cid: &str, path: &str, fetch: Fetch) -> Result<ContentBody, ApiError> {
        let source = self.source(&fetch);
        let root = parse_cid(cid)?;
        let found = match self.swarm.look_up(&source, &root, &names(path)).await {
            Ok(found) => found,
            Err(error) => return Err(self.explain(error, &fetch).await),
        };
        if found.kind != EntryKind::File {
            let kind = entry(found).kind;
            return Err(ApiError::invalid(format!("{cid} is a {kind}, not a file")));
        }
        let body = self.swarm.read_file(source, limits(&fetch), &found.cid);
        Ok(ContentBody {
            cid: found.cid.to_string(),
            size: Some(found.size),
            body: body.map_err(content_error).boxed(),
        })
    }

    async fn ls(&self, cid: &str, path: &str, fetch: Fetch) -> Result<Listing, ApiError> {
        let source = self.source(&fetch);
        let root = parse_cid(cid)?;
        let listing = async {
            let found = self.swarm.look_up(&source, &root, &names(path)).await?;
            let entries = match found.kind {
                EntryKind::Folder => self.swarm.list_folder(&source, &found.cid).await?,
                _ => Vec::new(),
            };
            Ok((found, entries))
        };
        match listing.await {
            Ok((found, entries)) => Ok(Listing {
                entry: entry(found),
                entries: entries.into_iter().map(entry).collect(),
            }),
            Err(error) => Err(self.explain(error, &fetch).await),
        }
    }

    async fn pin(&self, request: AddPin, fetch: Fetch) -> Result<PinView, ApiError> {
        let root = parse_cid(&request.cid)?;
        let (source, limits) = (self.source(&fetch), limits(&fetch));
        let name = request.name;
        if let Err(error) = self.swarm.pin_dag(&root, name, source, limits).await {
            return Err(self.explain(error, &fetch).await);
        }
        self.announce(root);
        let pins = self.swarm.pins().await.map_err(content_error)?;
        let pin = pins
            .into_iter()
            .find(|pin| pin.recursive && pin.cid == root);
        pin.map(pin_view)
            .ok_or_else(|| ApiError::Conflict("the pin was taken back meanwhile".into()))
    }

    async fn unpin(&self, cid: &str) -> Result<PinView, ApiError> {
        let root = parse_cid(cid)?;
        let pins = self.swarm.pins().await.map_err(content_error)?;
        let own = pins.iter().any(|pin| !pin.recursive && pin.cid == root);
        let pin = pins
            .into_iter()
            .find(|pin| pin.recursive && pin.cid == root);
        let Some(pin) = pin else {
            return Err(match own {
                true => ApiError::Forbidden(format!(
                    "{cid} is pinned by the node itself, for its playbook or as a document"
                )),
                false => ApiError::NotFound {
                    what: "pin",
                    id: cid.to_owned(),
                },
            });
        };
        self.swarm.unpin_dag(&root).await.map_err(content_error)?;
        Ok(pin_view(pin))
    }

    async fn pins(&self) -> Result<Vec<PinView>, ApiError> {
        let pins = self.swarm.pins().await.map_err(content_error)?;
        Ok(pins.into_iter().map(pin_view).collect())
    }

    async fn collect_garbage(&self) -> Result<Collected, ApiError> {
        let collected = self.swarm.collect_garbage(&self.needed()?).await;
        let collected = collected.map_err(content_error)?;
        Ok(Collected {
            removed: collected.removed,
            bytes: collected.bytes,
            kept: collected.kept,
            fresh: collected.fresh,
            missing: collected.missing,
        })
    }

    async fn export(&self, cid: &str, fetch: Fetch) -> Result<ContentBody, ApiError> {
        let root = parse_cid(cid)?;
        let source = self.source(&fetch);
        // The root first, so that what cannot be had at all is an error and no empty CAR.
        if let Err(error) = source.block(&root).await {
            let error = match error {
                SwarmError::Timeout => ContentError::Unavailable { cid: root },
                other => other.into(),
            };
            return Err(self.explain(error, &fetch).await);
        }
        let body = self.swarm.export_car(source, limits(&fetch), &root);
        Ok(ContentBody {
            cid: root.to_string(),
            size: None,
            body: body.map_err(content_error).boxed(),
        })
    }

    async fn import(&self, body: ByteStream, keep: Keep) -> Result<ImportedCar, ApiError> {
        let pin = keep.pin.then_some(keep.name);
        let car = self.swarm.import_car(body, pin).await;
        let car = car.map_err(content_error)?;
        for root in &car.roots {
            self.announce(*root);
        }
        Ok(ImportedCar {
            roots: car.roots.iter().map(ToString::to_string).collect(),
            blocks: car.blocks,
            bytes: car.bytes,
            pinned: keep.pin,
        })
    }
}
