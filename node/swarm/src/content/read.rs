//! Files and folders out of blocks: paths, listings, content in order.

use std::collections::HashSet;
use std::sync::Arc;

use cid::Cid;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::dagpb::{DAG_PB, Node, RAW};
use super::error::ContentError;
use super::hamt::{DIGITS, FANOUT, MURMUR3, hash};
use super::unixfs::{Kind, UnixFs};
use super::walk::{BlockSource, DagLimits, Walk, block};

/// Entries of one folder.
const MAX_ENTRIES: usize = 1_000_000;
/// Levels of a folder's hash tree.
const MAX_SHARDS: usize = 8;
/// Entries looked at side by side.
const LOOKED_AT: usize = 32;

/// What a CID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// Something else: a document, for instance.
    Other,
}

/// An entry of a folder, or the root itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name; empty for a root.
    pub name: String,
    /// Its CID.
    pub cid: Cid,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file; of anything else what its blocks take. Both as their author says.
    pub size: u64,
    /// Where a symbolic link leads.
    pub target: Option<String>,
}

fn malformed(cid: &Cid, reason: &'static str) -> ContentError {
    ContentError::Malformed { cid: *cid, reason }
}

/// A DAG-PB block with what its data says.
fn unixfs(cid: &Cid, data: &[u8]) -> Result<(Node, UnixFs), ContentError> {
    let node = Node::decode(data).map_err(|reason| malformed(cid, reason))?;
    let data = node.data.as_deref().unwrap_or_default();
    let meta = UnixFs::decode(data).map_err(|reason| malformed(cid, reason))?;
    Ok((node, meta))
}

async fn fetch(source: &dyn BlockSource, cid: &Cid) -> Result<Vec<u8>, ContentError> {
    block(source, cid)
        .await
        .map_err(|error| ContentError::fetch(cid, error))
}

/// What `cid` is, under `name`.
pub(super) async fn describe(
    source: &dyn BlockSource,
    cid: &Cid,
    name: String,
) -> Result<Entry, ContentError> {
    let entry = |kind, size, target| Entry {
        name,
        cid: *cid,
        kind,
        size,
        target,
    };
    match cid.codec() {
        RAW => {
            let data = fetch(source, cid).await?;
            Ok(entry(EntryKind::File, data.len() as u64, None))
        }
        DAG_PB => {
            let data = fetch(source, cid).await?;
            let (node, meta) = unixfs(cid, &data)?;
            let all = node
                .links
                .iter()
                .fold(data.len() as u64, |sum, link| sum.saturating_add(link.size));
            Ok(match meta.kind {
                Kind::File | Kind::Raw => {
                    let inline = meta.data.map_or(0, |data| data.len() as u64);
                    entry(EntryKind::File, meta.size.unwrap_or(inline), None)
                }
                Kind::Folder | Kind::Shard => entry(EntryKind::Folder, all, None),
                Kind::Symlink => {
                    let target = String::from_utf8(meta.data.unwrap_or_default());
                    let target = target.map_err(|_| malformed(cid, "a target that is no UTF-8"))?;
                    entry(EntryKind::Symlink, target.len() as u64, Some(target))
                }
                Kind::Metadata => entry(EntryKind::Other, all, None),
            })
        }
        _ => {
            let data = fetch(source, cid).await?;
            Ok(entry(EntryKind::Other, data.len() as u64, None))
        }
    }
}

/// Follows a path of names from `root`.
pub(super) async fn resolve(
    source: &dyn BlockSource,
    root: &Cid,
    path: &[String],
) -> Result<Cid, ContentError> {
    let mut at = *root;
    for name in path {
        if at.codec() != DAG_PB {
            return Err(not_a_folder(&at, "a file"));
        }
        let data = fetch(source, &at).await?;
        let (node, meta) = unixfs(&at, &data)?;
        let found = match meta.kind {
            Kind::Folder => node.links.into_iter().find(|link| link.name == *name),
            Kind::Shard => {
                let found = in_shards(source, at, node, meta, name).await?;
                found.map(|cid| super::dagpb::Link {
                    cid,
                    name: name.clone(),
                    size: 0,
                })
            }
            Kind::Symlink => return Err(not_a_folder(&at, "a symbolic link")),
            _ => return Err(not_a_folder(&at, "a file")),
        };
        at = found.map(|link| link.cid).ok_or(ContentError::NoEntry {
            folder: at,
            name: name.clone(),
        })?;
    }
    Ok(at)
}

fn not_a_folder(cid: &Cid, found: &'static str) -> ContentError {
    ContentError::Kind {
        cid: *cid,
        found,
        wanted: "a folder",
    }
}

/// Checks that a part of a hash tree is of the one kind known here.
fn check_shard(cid: &Cid, meta: &UnixFs) -> Result<(), ContentError> {
    match meta.hash == Some(MURMUR3) && meta.fanout == Some(FANOUT) {
        true => Ok(()),
        false => Err(malformed(cid, "a folder with another hash tree")),
    }
}

/// Looks an entry up in a hash tree.
async fn in_shards(
    source: &dyn BlockSource,
    mut at: Cid,
    mut node: Node,
    mut meta: UnixFs,
    name: &str,
) -> Result<Option<Cid>, ContentError> {
    for place in hash(name) {
        check_shard(&at, &meta)?;
        let prefix = format!("{place:02X}");
        let full = format!("{prefix}{name}");
        let mut below = None;
        for link in &node.links {
            if link.name == full {
                return Ok(Some(link.cid));
            }
            if link.name == prefix {
                below = Some(link.cid);
            }
        }
        let Some(next) = below else { return Ok(None) };
        at = next;
        let data = fetch(source, &at).await?;
        (node, meta) = unixfs(&at, &data)?;
        if meta.kind != Kind::Shard {
            return Err(malformed(&at, "no part of a folder"));
        }
    }
    Ok(None)
}

/// The entries of a folder, by name, each looked at.
pub(super) async fn list(
    source: &dyn BlockSource,
    folder: &Cid,
) -> Result<Vec<Entry>, ContentError> {
    if folder.codec() != DAG_PB {
        return Err(not_a_folder(folder, "no folder"));
    }
    let data = fetch(source, folder).await?;
    let (node, meta) = unixfs(folder, &data)?;
    let mut links = Vec::new();
    match meta.kind {
        Kind::Folder => {
            let all = node.links.into_iter();
            links = all.map(|link| (link.name, link.cid, link.size)).collect();
        }
        Kind::Shard => {
            let mut parts = vec![(*folder, node, meta, 0)];
            let mut seen = HashSet::from([*folder]);
            while let Some((cid, node, meta, depth)) = parts.pop() {
                check_shard(&cid, &meta)?;
                for link in node.links {
                    match link.name.get(DIGITS..) {
                        None => return Err(malformed(&cid, "a place without a number")),
                        Some("") => {
                            if depth == MAX_SHARDS || !seen.insert(link.cid) {
                                return Err(malformed(&cid, "a hash tree that is too deep"));
                            }
                            let data = fetch(source, &link.cid).await?;
                            let (node, meta) = unixfs(&link.cid, &data)?;
                            if meta.kind != Kind::Shard {
                                return Err(malformed(&link.cid, "no part of a folder"));
                            }
                            parts.push((link.cid, node, meta, depth + 1));
                        }
                        Some(name) => links.push((name.to_owned(), link.cid, link.size)),
                    }
                    if links.len() > MAX_ENTRIES {
                        let (what, limit) = ("entries in a folder", MAX_ENTRIES as u64);
                        return Err(ContentError::Limit { what, limit });
                    }
                }
            }
        }
        Kind::Symlink => return Err(not_a_folder(folder, "a symbolic link")),
        _ => return Err(not_a_folder(folder, "a file")),
    }
    links.sort();
    for pair in links.windows(2) {
        if let [(a, ..), (b, ..)] = pair
            && a == b
        {
            return Err(malformed(folder, "two entries have the same name"));
        }
    }
    stream::iter(links)
        .map(|(name, cid, size)| async move {
            match cid.codec() {
                // A leaf is a file, and its size stands in the link.
                RAW => Ok(Entry {
                    name,
                    cid,
                    kind: EntryKind::File,
                    size,
                    target: None,
                }),
                _ => describe(source, &cid, name).await,
            }
        })
        .buffered(LOOKED_AT)
        .try_collect()
        .await
}

/// The content of a file, piece by piece.
pub(super) struct FileReader {
    walk: Walk,
    given: u64,
    limit: u64,
}

impl FileReader {
    pub(super) fn new(source: Arc<dyn BlockSource>, limits: DagLimits, file: Cid) -> Self {
        FileReader {
            walk: Walk::new(source, limits, file),
            given: 0,
            limit: limits.bytes,
        }
    }

    /// The next piece, never an empty one; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ContentError> {
        while let Some(reached) = self.walk.next().await? {
            let (cid, expected) = (reached.cid, reached.expected);
            let fits = |size: u64| match expected.is_none_or(|expected| expected == size) {
                true => Ok(()),
                false => Err(malformed(&cid, "its size is not what the file says")),
            };
            let piece = match cid.codec() {
                RAW => {
                    fits(reached.data.len() as u64)?;
                    reached.data
                }
                DAG_PB => {
                    let (node, meta) = unixfs(&cid, &reached.data)?;
                    match meta.kind {
                        Kind::File | Kind::Raw => {}
                        Kind::Folder | Kind::Shard => return Err(not_a_file(&cid, "a folder")),
                        Kind::Symlink => return Err(not_a_file(&cid, "a symbolic link")),
                        Kind::Metadata => return Err(not_a_file(&cid, "no file")),
                    }
                    let piece = meta.data.unwrap_or_default();
                    if meta.parts.len() != node.links.len() {
                        return Err(malformed(&cid, "its parts have no sizes"));
                    }
                    let size = meta
                        .parts
                        .iter()
                        .try_fold(piece.len() as u64, |sum, part| sum.checked_add(*part));
                    let size = size.ok_or_else(|| malformed(&cid, "a size beyond all bounds"))?;
                    if meta.size.is_some_and(|claimed| claimed != size) {
                        return Err(malformed(&cid, "its size is not that of its parts"));
                    }
                    fits(size)?;
                    if self.given.saturating_add(size) > self.limit {
                        let (what, limit) = ("bytes", self.limit);
                        return Err(ContentError::Limit { what, limit });
                    }
                    let links = node.links.into_iter().zip(meta.parts);
                    let links = links.map(|(link, size)| (link.cid, Some(size)));
                    self.walk.follow(reached.depth, links.collect())?;
                    piece
                }
                _ => return Err(not_a_file(&cid, "a document")),
            };
            if !piece.is_empty() {
                self.given += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

fn not_a_file(cid: &Cid, found: &'static str) -> ContentError {
    ContentError::Kind {
        cid: *cid,
        found,
        wanted: "a file",
    }
}
