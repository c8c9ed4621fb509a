//! What one peer wants of this node, and finding it. The list is pure; [`look_up`] reads the disk.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cid::Cid;
use rust_ipfs::Block;

use super::message::{Ask, Entry, MAX_BLOCK_BYTES};
use crate::blocks::{block_file, v1};

/// Blocks of at most so many bytes are sent where only their presence was asked for; Kubo's own bound.
const SMALL: u64 = 1024;
/// Bytes of blocks in one message; the last block may go beyond.
const MESSAGE_BYTES: usize = 512 * 1024;
/// How long a want is kept where the list is full. Some never take back what they got elsewhere.
const KEPT: Duration = Duration::from_secs(60);
/// Time over which entries are counted, and how many a peer may send in it.
const WINDOW: Duration = Duration::from_secs(4);
const MAX_IN_WINDOW: usize = 131_072;

/// One block a peer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The CID as the peer says it.
    pub(crate) cid: Cid,
    /// The block itself, not only whether it is there.
    pub(crate) block: bool,
    /// Whether to say that it is not there.
    pub(crate) dont_have: bool,
}

#[derive(Debug)]
struct Kept {
    wanted: Wanted,
    queued: bool,
    since: Instant,
}

/// What one peer wants, until it has it or takes it back.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    wants: HashMap<Cid, Kept>,
    queue: VecDeque<Cid>,
    window: Option<(Instant, usize)>,
}

/// Too many entries in the list, or in a short time; how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany(pub(crate) usize);

impl Ledger {
    /// Blocks wanted.
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }

    /// Whether something is to be looked up.
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes a peer's entries in, which are all there are where `full`. It may want `limit` blocks, and
    /// of those beyond `room` nothing is kept or answered.
    pub(crate) fn update(
        &mut self,
        full: bool,
        entries: &[Entry],
        limit: usize,
        room: usize,
        now: Instant,
    ) -> Result<(), TooMany> {
        let counted = match self.window {
            Some((since, counted)) if now < since + WINDOW => {
                self.window = Some((since, counted + entries.len()));
                counted + entries.len()
            }
            _ => {
                self.window = Some((now, entries.len()));
                entries.len()
            }
        };
        if counted > MAX_IN_WINDOW {
            return Err(TooMany(counted));
        }
        if full {
            self.wants.clear();
            self.queue.clear();
        }
        if self.wants.len() + entries.len() > limit {
            self.wants
                .retain(|_, kept| kept.queued || now < kept.since + KEPT);
        }
        for entry in entries {
            let key = v1(&entry.cid);
            if entry.ask == Ask::Cancel {
                self.wants.remove(&key);
                continue;
            }
            let block = entry.ask == Ask::Block;
            let held = self.wants.len();
            match self.wants.get_mut(&key) {
                Some(kept) => {
                    // Asking for less takes nothing back.
                    kept.wanted.block |= block;
                    kept.wanted.dont_have |= entry.dont_have;
                    if !kept.queued {
                        kept.queued = true;
                        self.queue.push_back(key);
                    }
                }
                None if held >= limit => return Err(TooMany(held + 1)),
                None if held >= room => {}
                None => {
                    let wanted = Wanted {
                        cid: entry.cid,
                        block,
                        dont_have: entry.dont_have,
                    };
                    let kept = Kept {
                        wanted,
                        queued: true,
                        since: now,
                    };
                    self.wants.insert(key, kept);
                    self.queue.push_back(key);
                }
            }
        }
        // What was taken back may still stand in the queue, but not more often than this.
        if self.queue.len() > 2 * self.wants.len() + 1024 {
            let wants = &self.wants;
            let mut seen = std::collections::HashSet::new();
            self.queue
                .retain(|key| wants.get(key).is_some_and(|kept| kept.queued) && seen.insert(*key));
        }
        Ok(())
    }

    /// Takes at most `most` entries to look up.
    pub(crate) fn batch(&mut self, most: usize) -> Vec<Wanted> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(key) = self.queue.pop_front()
        {
            if let Some(kept) = self.wants.get_mut(&key)
                && std::mem::take(&mut kept.queued)
            {
                batch.push(kept.wanted);
            }
        }
        batch
    }

    /// Takes back what was not looked up.
    pub(crate) fn put_back(&mut self, rest: &[Wanted]) {
        for wanted in rest.iter().rev() {
            let key = v1(&wanted.cid);
            if let Some(kept) = self.wants.get_mut(&key)
                && !kept.queued
            {
                kept.queued = true;
                self.queue.push_front(key);
            }
        }
    }

    /// A block is here now.
    pub(crate) fn stored(&mut self, cid: &Cid) {
        let key = v1(cid);
        if let Some(kept) = self.wants.get_mut(&key)
            && !kept.queued
        {
            kept.queued = true;
            self.queue.push_back(key);
        }
    }

    /// The peer is sent a block, or (without `block`) told that it is here.
    pub(crate) fn answered(&mut self, cid: &Cid, block: bool) {
        let key = v1(cid);
        if self
            .wants
            .get(&key)
            .is_some_and(|kept| block || !kept.wanted.block)
        {
            self.wants.remove(&key);
        }
    }
}

/// What was found for a peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) blocks: Vec<(Cid, Vec<u8>)>,
    pub(crate) presences: Vec<(Cid, bool)>,
    /// Not looked up, because the message is full.
    pub(crate) rest: Vec<Wanted>,
}

impl Found {
    /// Bytes of the blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.iter().map(|(_, data)| data.len()).sum()
    }
}

/// Looks blocks up in the store `dir`; damaged ones are not there.
pub(crate) fn look_up(dir: &Path, batch: Vec<Wanted>) -> Found {
    let mut found = Found::default();
    let mut bytes = 0;
    let mut batch = batch.into_iter();
    while bytes < MESSAGE_BYTES
        && let Some(wanted) = batch.next()
    {
        match look(dir, &wanted) {
            Ok(Some(data)) => {
                bytes += data.len();
                found.blocks.push((wanted.cid, data));
            }
            Ok(None) => found.presences.push((wanted.cid, true)),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(cid = %wanted.cid, %error, "a wanted block cannot be read");
                }
                if wanted.dont_have {
                    found.presences.push((wanted.cid, false));
                }
            }
        }
    }
    found.rest = batch.collect();
    found
}

/// A block's bytes; `None` where it is there and only that was asked.
fn look(dir: &Path, wanted: &Wanted) -> io::Result<Option<Vec<u8>>> {
    let path = block_file(dir, &wanted.cid);
    let size = std::fs::metadata(&path)?.len();
    if size > MAX_BLOCK_BYTES as u64 {
        return Err(io::ErrorKind::NotFound.into());
    }
    if !wanted.block && size > SMALL {
        return Ok(None);
    }
    let block = Block::new_unchecked(wanted.cid, std::fs::read(&path)?);
    block.verify()?;
    Ok(Some(block.data().to_vec()))
}

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest};

    use super::*;

    fn cid(data: &[u8]) -> Cid {
        Cid::new_v1(0x55, Code::Sha2_256.digest(data))
    }

    fn entry(n: u32, ask: Ask) -> Entry {
        Entry {
            cid: cid(&n.to_be_bytes()),
            ask,
            dont_have: true,
        }
    }

    fn update(ledger: &mut Ledger, entries: &[Entry]) -> Result<(), TooMany> {
        ledger.update(false, entries, 100, 100, Instant::now())
    }

    #[test]
    fn wants_are_looked_up_once_until_they_change() {
        let mut ledger = Ledger::default();
        update(&mut ledger, &[entry(1, Ask::Have), entry(2, Ask::Block)]).unwrap();
        let batch = ledger.batch(10);
        assert_eq!(batch.len(), 2);
        assert!(!ledger.has_work());
        ledger.put_back(&batch[1..]);
        assert_eq!(ledger.batch(10), batch[1..]);
        // It is told of one, and wants the block then.
        ledger.answered(&batch[0].cid, false);
        assert_eq!(ledger.len(), 1);
        update(&mut ledger, &[entry(1, Ask::Block)]).unwrap();
        assert!(ledger.batch(10)[0].block);
        // A want stays until the block comes, however often it is only told of it.
        ledger.answered(&batch[1].cid, false);
        ledger.stored(&batch[1].cid);
        assert_eq!(ledger.batch(10), batch[1..]);
        ledger.answered(&batch[1].cid, true);
        ledger.stored(&batch[1].cid);
        assert_eq!(ledger.batch(10), []);
    }

    #[test]
    fn what_is_taken_back_is_not_looked_up() {
        let mut ledger = Ledger::default();
        update(&mut ledger, &[entry(1, Ask::Have), entry(2, Ask::Have)]).unwrap();
        update(&mut ledger, &[entry(1, Ask::Cancel)]).unwrap();
        let wanted: Vec<Cid> = ledger.batch(10).iter().map(|wanted| wanted.cid).collect();
        assert_eq!(wanted, [entry(2, Ask::Have).cid]);
        let now = Instant::now();
        ledger
            .update(true, &[entry(3, Ask::Have)], 100, 100, now)
            .unwrap();
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn a_list_has_an_end() {
        let mut ledger = Ledger::default();
        let many: Vec<Entry> = (0..101).map(|n| entry(n, Ask::Have)).collect();
        update(&mut ledger, &many[..100]).unwrap();
        update(&mut ledger, &many[..100]).unwrap();
        assert_eq!(update(&mut ledger, &many[100..]), Err(TooMany(101)));
        // What was looked up long ago makes room.
        ledger.batch(1000);
        let later = Instant::now() + KEPT;
        ledger.update(false, &many[100..], 100, 100, later).unwrap();
        assert_eq!(ledger.len(), 1);
        // Without room nothing new is kept, which is no offence.
        let mut ledger = Ledger::default();
        ledger
            .update(false, &many, 200, 10, Instant::now())
            .unwrap();
        assert_eq!(ledger.len(), 10);
    }

    #[test]
    fn coming_and_going_has_an_end_too() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let round: Vec<Entry> = (0..50)
            .flat_map(|n| [entry(n, Ask::Have), entry(n, Ask::Cancel)])
            .collect();
        let mut rounds = 0;
        while ledger.update(false, &round, 100, 100, now).is_ok() {
            rounds += 1;
            assert!(ledger.queue.len() <= 2 * ledger.len() + 1024 + round.len());
        }
        assert_eq!(rounds, MAX_IN_WINDOW / round.len());
        assert!(ledger.update(false, &round, 100, 100, now + WINDOW).is_ok());
    }

    #[test]
    fn blocks_are_found_small_ones_at_once_and_damaged_ones_not() {
        let dir = tempfile::tempdir().unwrap();
        let keep = |data: &[u8]| {
            let cid = cid(data);
            let file = block_file(dir.path(), &cid);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, data).unwrap();
            cid
        };
        let (small, large) = (keep(&[1; 1024]), keep(&[2; 1025]));
        let (huge, damaged) = (keep(&[3; MESSAGE_BYTES]), keep(b"x"));
        let file = block_file(dir.path(), &damaged);
        std::fs::write(file, b"y").unwrap();
        let want = |cid, block| Wanted {
            cid,
            block,
            dont_have: true,
        };
        let quiet = Wanted {
            dont_have: false,
            ..want(cid(b"elsewhere"), true)
        };
        let last = want(small, true);
        let batch = vec![
            want(small, false),
            want(large, false),
            want(damaged, true),
            want(cid(b"nowhere"), false),
            quiet,
            want(huge, true),
            last,
        ];
        let found = look_up(dir.path(), batch);
        let blocks: Vec<Cid> = found.blocks.iter().map(|(cid, _)| *cid).collect();
        assert_eq!(blocks, [small, huge]);
        let presences = [(large, true), (damaged, false), (cid(b"nowhere"), false)];
        assert_eq!(found.presences, presences);
        assert_eq!(found.rest, [last]);
    }
}
