//! Files and folders as blocks, the way `ipfs add --cid-version=1 --raw-leaves` of Kubo lays them
//! out: chunks of 256 KiB as raw leaves, balanced trees of at most 174 links, SHA-256, and folders
//! that become hash trees beyond 256 KiB of names and CIDs. The same content has the same CID.

use cid::Cid;

use super::dagpb::{DAG_PB, Link, Node, RAW, cid_of};
use super::hamt;
use super::unixfs::{Kind, UnixFs};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 256 * 1024;
/// Links of an inner node of a file.
const WIDTH: usize = 174;
/// Bytes of names and CIDs from which on a folder becomes a hash tree.
const SHARD_FROM: usize = 256 * 1024;

/// A block that was made.
pub(crate) type Made = (Cid, Vec<u8>);

/// The top of something that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) cid: Cid,
    /// Bytes of the file; 0 for a folder.
    pub(crate) bytes: u64,
    /// Bytes of all its blocks.
    pub(crate) size: u64,
}

/// Builds a file chunk by chunk. It holds one level of open links for each level of the tree.
#[derive(Debug, Default)]
pub(crate) struct FileBuilder {
    levels: Vec<Vec<Top>>,
}

impl FileBuilder {
    /// Takes the next chunk; finished blocks go to `out`.
    pub(crate) fn push(&mut self, chunk: Vec<u8>, out: &mut Vec<Made>) {
        let leaf = Top {
            cid: cid_of(RAW, &chunk),
            bytes: chunk.len() as u64,
            size: chunk.len() as u64,
        };
        out.push((leaf.cid, chunk));
        self.place(0, leaf, out);
    }

    /// Ends the file; its last blocks go to `out`.
    pub(crate) fn finish(mut self, out: &mut Vec<Made>) -> Top {
        if self.levels.is_empty() {
            self.push(Vec::new(), out);
        }
        let mut level = 0;
        loop {
            let last = level + 1 == self.levels.len();
            let open = self.levels.get_mut(level).map(std::mem::take);
            let open = open.unwrap_or_default();
            match open.as_slice() {
                [top] if last => return *top,
                _ => {
                    let above = inner(&open, out);
                    self.place(level + 1, above, out);
                }
            }
            level += 1;
        }
    }

    fn place(&mut self, level: usize, child: Top, out: &mut Vec<Made>) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let Some(open) = self.levels.get_mut(level) else {
            return;
        };
        // A full node is closed only when another child comes: it may be the top.
        let full = (open.len() == WIDTH).then(|| std::mem::take(open));
        open.push(child);
        if let Some(full) = full {
            let above = inner(&full, out);
            self.place(level + 1, above, out);
        }
    }
}

/// The node over some parts of a file.
fn inner(parts: &[Top], out: &mut Vec<Made>) -> Top {
    let bytes = parts.iter().map(|part| part.bytes).sum();
    let data = UnixFs {
        size: Some(bytes),
        parts: parts.iter().map(|part| part.bytes).collect(),
        ..UnixFs::new(Kind::File)
    };
    let links = parts.iter().map(|part| Link {
        cid: part.cid,
        name: String::new(),
        size: part.size,
    });
    let top = emit(links.collect(), &data, out);
    Top { bytes, ..top }
}

/// Puts a node out; `bytes` of the result is 0.
pub(super) fn emit(links: Vec<Link>, data: &UnixFs, out: &mut Vec<Made>) -> Top {
    let below: u64 = links
        .iter()
        .fold(0, |sum, link| sum.saturating_add(link.size));
    let node = Node {
        links,
        data: Some(data.encode()),
    };
    let block = node.encode();
    let top = Top {
        cid: cid_of(DAG_PB, &block),
        bytes: 0,
        size: below.saturating_add(block.len() as u64),
    };
    out.push((top.cid, block));
    top
}

/// A symbolic link.
pub(crate) fn symlink(target: &str, out: &mut Vec<Made>) -> Top {
    let data = UnixFs {
        data: Some(target.as_bytes().to_vec()),
        ..UnixFs::new(Kind::Symlink)
    };
    emit(Vec::new(), &data, out)
}

/// A folder of `entries`, whose names are checked.
///
/// # Errors
/// What is wrong with which name.
pub(crate) fn folder(
    mut entries: Vec<Link>,
    out: &mut Vec<Made>,
) -> Result<Top, (String, &'static str)> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in &entries {
        check_name(&entry.name).map_err(|reason| (entry.name.clone(), reason))?;
    }
    for pair in entries.windows(2) {
        if let [a, b] = pair
            && a.name == b.name
        {
            return Err((a.name.clone(), "is there twice"));
        }
    }
    let weight: usize = entries
        .iter()
        .map(|entry| entry.name.len() + entry.cid.to_bytes().len())
        .sum();
    if weight > SHARD_FROM {
        return Ok(hamt::build(&entries, out));
    }
    Ok(emit(entries, &UnixFs::new(Kind::Folder), out))
}

/// Whether a name is one step of a path and nothing else.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("is empty"),
        "." | ".." => Err("leads to another folder"),
        _ if name.contains('/') => Err("holds a `/`"),
        _ if name.contains('\0') => Err("holds a NUL"),
        _ if cfg!(windows) && name.contains(['\\', ':']) => Err("holds a `\\` or `:`"),
        _ if name.len() > 255 => Err("is longer than 255 bytes"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[Vec<u8>]) -> (Top, Vec<Made>) {
        let mut out = Vec::new();
        let mut builder = FileBuilder::default();
        for chunk in chunks {
            builder.push(chunk.clone(), &mut out);
        }
        let top = builder.finish(&mut out);
        (top, out)
    }

    #[test]
    fn well_known_cids_come_out() {
        // An empty file and an empty folder, as every IPFS node names them.
        assert_eq!(
            file(&[]).0.cid.to_string(),
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        );
        let mut out = Vec::new();
        assert_eq!(
            folder(Vec::new(), &mut out).unwrap().cid.to_string(),
            "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
        );
        assert_eq!(
            file(&[b"hello world".to_vec()]).0.cid.to_string(),
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        );
    }

    /// CIDs that the JavaScript importer gives with the same settings.
    #[test]
    fn another_importer_gives_the_same_cids() {
        let chunks = |n: u32| {
            let chunk = |n: u32| {
                let mut chunk = vec![0; CHUNK];
                chunk[..4].copy_from_slice(&n.to_be_bytes());
                chunk
            };
            (0..n).map(chunk).collect::<Vec<_>>()
        };
        for (n, cid) in [
            (
                3,
                "bafybeifsho7shkxqcayq2ne4opsaa4qr3vzyhl7f73j2ry67d2vk6lfcgi",
            ),
            (
                175,
                "bafybeihicefzfaxj3bnkubgjnmzobxskdbfefjh34p4gty6xlal4qblth4",
            ),
        ] {
            assert_eq!(file(&chunks(n)).0.cid.to_string(), cid, "{n} chunks");
        }
        let link = |name: &str, top: Top| Link {
            cid: top.cid,
            name: name.into(),
            size: top.size,
        };
        let small = |text: &str| file(&[text.as_bytes().to_vec()]).0;
        let mut out = Vec::new();
        let inner = folder(vec![link("ä", file(&[]).0)], &mut out).unwrap();
        let entries = vec![link("b", small("hello world")), link("a", inner)];
        assert_eq!(
            folder(entries, &mut out).unwrap().cid.to_string(),
            "bafybeia4sdw34ol6c4h5ecmukwlkbzp3qtz3mti777t3iekou5jwlafp3i"
        );
        for (n, cid) in [
            (
                4000,
                "bafybeiemwn6zchuzgcgrwsjnikrez6gajazqocyjkpfbntwaa6imgc5nze",
            ),
            (
                6000,
                "bafybeiajxwwd26tk3bh47pjgc6qheygdlthlfhsxypllyuttlxs5xdwc7e",
            ),
        ] {
            let name = |n: u32| link(&format!("entry number {n:05}"), small("one"));
            let top = folder((0..n).map(name).collect(), &mut out).unwrap();
            assert_eq!(top.cid.to_string(), cid, "{n} entries");
        }
    }

    #[test]
    fn trees_are_as_flat_as_their_width_allows() {
        for (leaves, nodes) in [
            (1, 0),
            (2, 1),
            (174, 1),
            (175, 3),
            (348, 3),
            (174 * 174, 175),
            (174 * 174 + 1, 178),
        ] {
            let chunks: Vec<Vec<u8>> = (0u32..leaves).map(|n| n.to_be_bytes().to_vec()).collect();
            let (top, blocks) = file(&chunks);
            assert_eq!(blocks.len(), leaves as usize + nodes, "{leaves} leaves");
            assert_eq!(top.bytes, u64::from(leaves) * 4);
            let stored: u64 = blocks.iter().map(|(_, data)| data.len() as u64).sum();
            assert_eq!(top.size, stored, "{leaves} leaves");
        }
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let entry = |name: &str| Link {
            cid: cid_of(RAW, b""),
            name: name.into(),
            size: 0,
        };
        for bad in ["", ".", "..", "a/b", "/", "a\0", &"x".repeat(256)] {
            assert!(
                folder(vec![entry(bad)], &mut Vec::new()).is_err(),
                "{bad:?}"
            );
        }
        assert!(folder(vec![entry("a"), entry("a")], &mut Vec::new()).is_err());
        assert!(folder(vec![entry("..."), entry("ä b")], &mut Vec::new()).is_ok());
    }
}
