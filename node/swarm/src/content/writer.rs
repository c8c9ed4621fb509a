//! Many blocks to disk at once, in the layout of rust-ipfs's store.
//!
//! rust-ipfs writes block by block: a file, a sync, a link, a sync of the directory, all of it under
//! one lock. Here the files of a batch are written first and synced together on several threads, so
//! that the disk's journal takes them in few commits; then they get their names, and the names are
//! made durable once, at the end. A block has its name only when its bytes are on disk, so a crash
//! leaves whole blocks and temporary files that the next start clears away.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blocks::{shard, v1};

use super::build::Made;

/// Threads that sync.
const SYNCERS: usize = 4;
/// Tells temporary files of this process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Blocks that were not there before.
    pub(crate) new: u64,
    /// Bytes of those.
    pub(crate) bytes: u64,
}

/// Writes batches of blocks; nothing is durable before [`Writer::finish`].
#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    touched: BTreeSet<PathBuf>,
    made_dirs: bool,
    written: Written,
}

struct Temporary {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Writer {
    /// A writer into the block store `dir`.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Writer {
            dir,
            touched: BTreeSet::new(),
            made_dirs: false,
            written: Written::default(),
        }
    }

    /// Writes blocks whose bytes fit their CIDs; a damaged file in a block's place is replaced.
    pub(crate) fn write(&mut self, blocks: &[Made]) -> io::Result<()> {
        let mut files = Vec::with_capacity(blocks.len());
        let result = self.fill(blocks, &mut files);
        let result = result
            .and_then(|()| side_by_side(&files, |temporary| temporary.file.sync_data()))
            .and_then(|()| {
                files
                    .iter()
                    .try_for_each(|temporary| fs::rename(&temporary.path, &temporary.target))
            });
        if result.is_err() {
            for temporary in &files {
                let _ = fs::remove_file(&temporary.path);
            }
        }
        result
    }

    fn fill(&mut self, blocks: &[Made], files: &mut Vec<Temporary>) -> io::Result<()> {
        let mut seen = HashSet::new();
        for (cid, data) in blocks {
            if !seen.insert(*cid) {
                continue;
            }
            let folder = self.dir.join(shard(cid));
            let name = format!("{}.data", v1(cid));
            let target = folder.join(&name);
            if holds(&target, data)? {
                // It may have been named by someone who has not synced the name yet.
                self.touched.insert(folder);
                continue;
            }
            if !folder.is_dir() {
                fs::create_dir_all(&folder)?;
                self.made_dirs = true;
            }
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{name}.{}.b{n}.tmp", std::process::id()));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            files.push(Temporary { file, path, target });
            if let Some(temporary) = files.last_mut() {
                temporary.file.write_all(data)?;
            }
            self.touched.insert(folder);
            self.written.new += 1;
            self.written.bytes += data.len() as u64;
        }
        Ok(())
    }

    /// Makes all that was written durable.
    pub(crate) fn finish(self) -> io::Result<Written> {
        let folders: Vec<PathBuf> = self.touched.into_iter().collect();
        side_by_side(&folders, |folder| File::open(folder)?.sync_all())?;
        if self.made_dirs {
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(self.written)
    }
}

/// Whether a file is there with exactly these bytes.
fn holds(path: &Path, data: &[u8]) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.len() == data.len() as u64 => Ok(fs::read(path)? == data),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does something to each item, on a few threads where it pays.
fn side_by_side<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    if items.len() < SYNCERS {
        return items.iter().try_for_each(work);
    }
    let share = items.len().div_ceil(SYNCERS);
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().try_for_each(work)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread that syncs failed")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::dagpb::{RAW, cid_of};
    use super::*;

    fn blocks(n: u32) -> Vec<Made> {
        (0..n)
            .map(|n| n.to_be_bytes().to_vec())
            .map(|data| (cid_of(RAW, &data), data))
            .collect()
    }

    fn files(dir: &Path) -> usize {
        let shards = fs::read_dir(dir).unwrap();
        shards
            .map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count())
            .sum()
    }

    #[test]
    fn each_block_is_written_once_and_a_damaged_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let write = |blocks: &[Made]| {
            let mut writer = Writer::new(dir.path().to_owned());
            writer.write(blocks).unwrap();
            writer.finish().unwrap()
        };
        let mut made = blocks(50);
        made.extend(blocks(3));
        assert_eq!(
            write(&made),
            Written {
                new: 50,
                bytes: 200
            }
        );
        assert_eq!(write(&made).new, 0);
        assert_eq!(files(dir.path()), 50);
        let (cid, data) = &made[7];
        let path = dir.path().join(shard(cid)).join(format!("{cid}.data"));
        for bad in [&b""[..], b"abcd"] {
            fs::write(&path, bad).unwrap();
            assert_eq!(write(&made).new, 1);
            assert_eq!(&fs::read(&path).unwrap(), data);
        }
    }

    #[test]
    fn a_failure_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let made = blocks(5);
        // A directory where a block belongs cannot be replaced by a file.
        let (cid, _) = &made[4];
        let path = dir.path().join(shard(cid)).join(format!("{cid}.data"));
        fs::create_dir_all(&path).unwrap();
        let mut writer = Writer::new(dir.path().to_owned());
        assert!(writer.write(&made).is_err());
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "tmp"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
