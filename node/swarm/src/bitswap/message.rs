//! Messages of bitswap 1.2.0 (<https://specs.ipfs.tech/bitswap-protocol/>), a protocol buffer each.
//!
//! What comes in is read with bounds: so many entries and no more, and blocks of a size others would
//! take as well. The CID of a block is worked out from its bytes, so what is read here fits its CID.

use cid::{Cid, Version};
use multihash_codetable::{Code, MultihashDigest};

use crate::content::wire::{Field, put_bytes, put_number, put_varint, take_field, take_varint};

/// Largest block of a message, in bytes; Kubo's own bound.
pub(crate) const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// Blocks read of one message; others send far fewer. An empty one takes two bytes on the wire.
const MAX_BLOCKS: usize = 4096;

/// What an entry of a wantlist asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To be sent the block.
    Block,
    /// To be told whether it is there.
    Have,
    /// Not to be sent or told anything of it any more.
    Cancel,
}

/// An entry of a wantlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) cid: Cid,
    pub(crate) ask: Ask,
    /// Whether to be told that it is not there.
    pub(crate) dont_have: bool,
}

/// A whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The entries are all there are: earlier ones are taken back.
    pub(crate) full: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) blocks: Vec<(Cid, Vec<u8>)>,
    /// Whether the sender has a block.
    pub(crate) presences: Vec<(Cid, bool)>,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not a bitswap message")]
    Bytes,
    #[error("too many entries in one message")]
    TooMany,
}

impl Message {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.blocks.is_empty() && self.presences.is_empty() && !self.full
    }

    /// The bytes on the wire, without the length in front.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let size: usize = self.blocks.iter().map(|(_, data)| data.len() + 32).sum();
        let mut out = Vec::with_capacity(size + 64 * (self.entries.len() + self.presences.len()));
        if self.full || !self.entries.is_empty() {
            let mut list = Vec::new();
            for entry in &self.entries {
                let mut item = Vec::with_capacity(48);
                put_bytes(&mut item, 1, &entry.cid.to_bytes());
                put_number(&mut item, 2, 1); // priority
                match entry.ask {
                    Ask::Cancel => put_number(&mut item, 3, 1),
                    Ask::Have => put_number(&mut item, 4, 1),
                    Ask::Block => {}
                }
                if entry.dont_have {
                    put_number(&mut item, 5, 1);
                }
                put_bytes(&mut list, 1, &item);
            }
            if self.full {
                put_number(&mut list, 2, 1);
            }
            put_bytes(&mut out, 1, &list);
        }
        for (cid, data) in &self.blocks {
            let mut block = Vec::with_capacity(data.len() + 16);
            put_bytes(&mut block, 1, &prefix(cid));
            put_bytes(&mut block, 2, data);
            put_bytes(&mut out, 3, &block);
        }
        for (cid, there) in &self.presences {
            let mut presence = Vec::with_capacity(44);
            put_bytes(&mut presence, 1, &cid.to_bytes());
            if !there {
                put_number(&mut presence, 2, 1);
            }
            put_bytes(&mut out, 4, &presence);
        }
        out
    }

    /// Reads a message of at most `most` entries, and as many presences.
    pub(crate) fn decode(mut input: &[u8], most: usize) -> Result<Self, Malformed> {
        let mut message = Message::default();
        while !input.is_empty() {
            match take_field(&mut input).ok_or(Malformed::Bytes)? {
                (1, Field::Bytes(list)) => message.take_list(list, most)?,
                (2, Field::Bytes(data)) => message.take_block(&[0, 0x70, 0x12, 32], data)?,
                (3, Field::Bytes(block)) => {
                    let (prefix, data) = two(block)?;
                    message.take_block(prefix, data)?;
                }
                (4, Field::Bytes(presence)) => {
                    if message.presences.len() >= most {
                        return Err(Malformed::TooMany);
                    }
                    message.take_presence(presence)?;
                }
                _ => {}
            }
        }
        Ok(message)
    }

    fn take_list(&mut self, mut list: &[u8], most: usize) -> Result<(), Malformed> {
        while !list.is_empty() {
            match take_field(&mut list).ok_or(Malformed::Bytes)? {
                (1, Field::Bytes(entry)) => {
                    if self.entries.len() >= most {
                        return Err(Malformed::TooMany);
                    }
                    self.entries.push(take_entry(entry)?);
                }
                (2, Field::Number(full)) => self.full = full != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps a block, unless nobody here could tell what its CID is.
    fn take_block(&mut self, prefix: &[u8], data: &[u8]) -> Result<(), Malformed> {
        if data.len() > MAX_BLOCK_BYTES || self.blocks.len() >= MAX_BLOCKS {
            return Err(Malformed::Bytes);
        }
        if let Some(cid) = cid_of(prefix, data)? {
            self.blocks.push((cid, data.to_vec()));
        }
        Ok(())
    }

    fn take_presence(&mut self, mut input: &[u8]) -> Result<(), Malformed> {
        let (mut cid, mut there) = (None, true);
        while !input.is_empty() {
            match take_field(&mut input).ok_or(Malformed::Bytes)? {
                (1, Field::Bytes(bytes)) => cid = Some(read_cid(bytes)?),
                (2, Field::Number(kind)) => there = kind == 0,
                _ => {}
            }
        }
        self.presences.push((cid.ok_or(Malformed::Bytes)?, there));
        Ok(())
    }
}

/// Reads a bitswap message of at most `most` entries and writes it anew; `None` where it is none. For
/// tests that feed it arbitrary bytes.
#[doc(hidden)]
pub fn reread_bitswap(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let message = Message::decode(bytes, most).ok()?;
    Some(message.encode())
}

fn take_entry(mut input: &[u8]) -> Result<Entry, Malformed> {
    let (mut cid, mut ask, mut cancel, mut dont_have) = (None, Ask::Block, false, false);
    while !input.is_empty() {
        match take_field(&mut input).ok_or(Malformed::Bytes)? {
            (1, Field::Bytes(bytes)) => cid = Some(read_cid(bytes)?),
            (3, Field::Number(n)) => cancel = n != 0,
            (4, Field::Number(n)) => ask = if n == 0 { Ask::Block } else { Ask::Have },
            (5, Field::Number(n)) => dont_have = n != 0,
            _ => {}
        }
    }
    Ok(Entry {
        cid: cid.ok_or(Malformed::Bytes)?,
        ask: if cancel { Ask::Cancel } else { ask },
        dont_have,
    })
}

/// The first two fields of a block: its prefix and its bytes.
fn two(mut input: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut prefix, mut data) = (&[][..], &[][..]);
    while !input.is_empty() {
        match take_field(&mut input).ok_or(Malformed::Bytes)? {
            (1, Field::Bytes(bytes)) => prefix = bytes,
            (2, Field::Bytes(bytes)) => data = bytes,
            _ => {}
        }
    }
    Ok((prefix, data))
}

fn read_cid(bytes: &[u8]) -> Result<Cid, Malformed> {
    Cid::read_bytes(bytes).map_err(|_| Malformed::Bytes)
}

/// A CID without its digest: version, codec, hash function, length of the digest.
fn prefix(cid: &Cid) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    put_varint(&mut out, cid.version().into());
    put_varint(&mut out, cid.codec());
    put_varint(&mut out, cid.hash().code());
    put_varint(&mut out, u64::from(cid.hash().size()));
    out
}

/// The CID of `data`; `None` where the hash function is not known here, or its digest cut.
fn cid_of(mut prefix: &[u8], data: &[u8]) -> Result<Option<Cid>, Malformed> {
    let mut number = || take_varint(&mut prefix).ok_or(Malformed::Bytes);
    let (version, codec, function, length) = (number()?, number()?, number()?, number()?);
    let version = Version::try_from(version).map_err(|_| Malformed::Bytes)?;
    // A block that is its own hash is not fetched from anyone.
    let Some(function) = Code::try_from(function).ok().filter(|_| function != 0) else {
        return Ok(None);
    };
    let hash = function.digest(data);
    if u64::from(hash.size()) != length {
        return Ok(None);
    }
    let cid = Cid::new(version, codec, hash).map_err(|_| Malformed::Bytes)?;
    Ok(Some(cid))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn raw(data: &[u8]) -> Cid {
        Cid::new_v1(0x55, Code::Sha2_256.digest(data))
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let ask = prop_oneof![Just(Ask::Block), Just(Ask::Have), Just(Ask::Cancel)];
        let entry = (any::<u64>(), ask, any::<bool>()).prop_map(|(n, ask, dont_have)| Entry {
            cid: raw(&n.to_be_bytes()),
            ask,
            dont_have,
        });
        vec(entry, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            full: bool,
            entries in entries(),
            blocks in vec(vec(any::<u8>(), 0..300), 0..5),
            there in vec((any::<u64>(), any::<bool>()), 0..5),
        ) {
            let message = Message {
                full,
                entries,
                blocks: blocks.into_iter().map(|data| (raw(&data), data)).collect(),
                presences: there.iter().map(|(n, has)| (raw(&n.to_be_bytes()), *has)).collect(),
            };
            prop_assert_eq!(Message::decode(&message.encode(), 100), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Message::decode(&bytes, 10);
        }
    }

    #[test]
    fn only_so_many_entries_are_read() {
        let entry = |n: u8| Entry {
            cid: raw(&[n]),
            ask: Ask::Have,
            dont_have: true,
        };
        let message = Message {
            entries: (0..5).map(entry).collect(),
            ..Message::default()
        };
        assert!(Message::decode(&message.encode(), 5).is_ok());
        let refused = Message::decode(&message.encode(), 4);
        assert_eq!(refused, Err(Malformed::TooMany));
    }

    #[test]
    fn only_so_many_blocks_are_read() {
        assert!(Message::decode(&[0x12, 0].repeat(MAX_BLOCKS), 1).is_ok());
        let refused = Message::decode(&[0x12, 0].repeat(MAX_BLOCKS + 1), 1);
        assert_eq!(refused, Err(Malformed::Bytes));
    }

    #[test]
    fn blocks_of_old_senders_have_version_0() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 2, b"hello");
        let message = Message::decode(&bytes, 1).unwrap();
        let cid = Cid::new_v0(Code::Sha2_256.digest(b"hello")).unwrap();
        assert_eq!(message.blocks, [(cid, b"hello".to_vec())]);
    }

    /// Spelled out by hand after the protocol's definition.
    #[test]
    fn the_wire_form_is_that_of_the_specification() {
        let cid = raw(b"x");
        let message = Message {
            entries: vec![Entry {
                cid,
                ask: Ask::Have,
                dont_have: true,
            }],
            ..Message::default()
        };
        let id = cid.to_bytes();
        let mut expected = vec![0x0a, 46, 0x0a, 44, 0x0a, 36];
        expected.extend(id);
        expected.extend([0x10, 1, 0x20, 1, 0x28, 1]);
        assert_eq!(message.encode(), expected);
    }

    #[test]
    fn unknown_hash_functions_are_passed_over() {
        let mut block = Vec::new();
        put_bytes(&mut block, 1, &[1, 0x55, 0x7f, 32]);
        put_bytes(&mut block, 2, b"hello");
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 3, &block);
        assert_eq!(Message::decode(&bytes, 1), Ok(Message::default()));
    }
}
