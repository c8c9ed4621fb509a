//! UnixFS: what the data of a DAG-PB node says about a file or a folder.

use super::wire::{Field, put_bytes, put_number, take_field, take_varint};

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Raw = 0,
    Folder = 1,
    File = 2,
    Metadata = 3,
    Symlink = 4,
    /// A part of a folder that is spread over a hash tree.
    Shard = 5,
}

impl Kind {
    fn from_number(n: u64) -> Option<Self> {
        [
            Kind::Raw,
            Kind::Folder,
            Kind::File,
            Kind::Metadata,
            Kind::Symlink,
            Kind::Shard,
        ]
        .into_iter()
        .find(|kind| *kind as u64 == n)
    }
}

/// The data of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnixFs {
    pub(crate) kind: Kind,
    /// Content of a leaf, target of a symlink, bit field of a shard.
    pub(crate) data: Option<Vec<u8>>,
    /// Bytes of the file.
    pub(crate) size: Option<u64>,
    /// Bytes of the file below each link.
    pub(crate) parts: Vec<u64>,
    /// Hash function of a shard.
    pub(crate) hash: Option<u64>,
    /// Places of a shard.
    pub(crate) fanout: Option<u64>,
}

impl UnixFs {
    pub(crate) fn new(kind: Kind) -> Self {
        UnixFs {
            kind,
            data: None,
            size: None,
            parts: Vec::new(),
            hash: None,
            fanout: None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, 1, self.kind as u64);
        if let Some(data) = &self.data {
            put_bytes(&mut out, 2, data);
        }
        if let Some(size) = self.size {
            put_number(&mut out, 3, size);
        }
        for part in &self.parts {
            put_number(&mut out, 4, *part);
        }
        if let Some(hash) = self.hash {
            put_number(&mut out, 5, hash);
        }
        if let Some(fanout) = self.fanout {
            put_number(&mut out, 6, fanout);
        }
        out
    }

    /// Reads the data of a node; modes and times are passed over.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut kind = None;
        let mut found = UnixFs::new(Kind::Raw);
        while !bytes.is_empty() {
            match take_field(&mut bytes).ok_or("a UnixFS field is cut short")? {
                (1, Field::Number(n)) => kind = Some(Kind::from_number(n).ok_or("unknown kind")?),
                (2, Field::Bytes(data)) => found.data = Some(data.to_vec()),
                (3, Field::Number(n)) => found.size = Some(n),
                (4, Field::Number(n)) => found.parts.push(n),
                (4, Field::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        let part = take_varint(&mut packed).ok_or("a size is cut short")?;
                        found.parts.push(part);
                    }
                }
                (5, Field::Number(n)) => found.hash = Some(n),
                (6, Field::Number(n)) => found.fanout = Some(n),
                _ => {}
            }
        }
        found.kind = kind.ok_or("no UnixFS kind")?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_back_packed_or_not() {
        let whole = UnixFs {
            data: Some(vec![7]),
            size: Some(300),
            parts: vec![1, 299],
            hash: Some(0x22),
            fanout: Some(256),
            ..UnixFs::new(Kind::File)
        };
        assert_eq!(UnixFs::decode(&whole.encode()), Ok(whole));
        let packed = UnixFs::decode(&[8, 2, 0x22, 3, 1, 0xac, 2]).unwrap();
        assert_eq!(packed.parts, [1, 300]);
        for bad in [&[][..], &[8, 9], &[0x22, 1, 0x80], &[8]] {
            assert!(UnixFs::decode(bad).is_err(), "{bad:?}");
        }
    }
}
