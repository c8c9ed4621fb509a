//! DAG-PB, the node format of files and folders: named links with sizes, and data.

use cid::Cid;
use sha2::{Digest, Sha256};

use super::wire::{Field, put_bytes, put_number, take_field};

/// Multicodec of DAG-PB.
pub(crate) const DAG_PB: u64 = 0x70;
/// Multicodec of bytes without structure.
pub(crate) const RAW: u64 = 0x55;
/// Multicodec of DAG-CBOR.
pub(crate) const DAG_CBOR: u64 = 0x71;
/// Multihash code of SHA-256.
pub(crate) const SHA2_256: u64 = 0x12;

/// A link to another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) cid: Cid,
    pub(crate) name: String,
    /// Bytes of all blocks below, as its author claims.
    pub(crate) size: u64,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) links: Vec<Link>,
    pub(crate) data: Option<Vec<u8>>,
}

impl Node {
    /// The one form a node has: links in their order, then the data.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut inner = Vec::new();
        for link in &self.links {
            inner.clear();
            put_bytes(&mut inner, 1, &link.cid.to_bytes());
            put_bytes(&mut inner, 2, link.name.as_bytes());
            put_number(&mut inner, 3, link.size);
            put_bytes(&mut out, 2, &inner);
        }
        if let Some(data) = &self.data {
            put_bytes(&mut out, 1, data);
        }
        out
    }

    /// Reads a node; links and data may come in either order.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut node = Node::default();
        while !bytes.is_empty() {
            match take_field(&mut bytes).ok_or("a field is cut short")? {
                (1, Field::Bytes(data)) if node.data.is_none() => node.data = Some(data.to_vec()),
                (2, Field::Bytes(link)) => node.links.push(read_link(link)?),
                _ => return Err("a field that DAG-PB does not have"),
            }
        }
        Ok(node)
    }
}

fn read_link(mut bytes: &[u8]) -> Result<Link, &'static str> {
    let (mut cid, mut name, mut size) = (None, String::new(), 0);
    while !bytes.is_empty() {
        match take_field(&mut bytes).ok_or("a link is cut short")? {
            (1, Field::Bytes(hash)) => {
                cid = Some(Cid::try_from(hash).map_err(|_| "a link without a CID")?);
            }
            (2, Field::Bytes(text)) => {
                name = String::from_utf8(text.to_vec()).map_err(|_| "a name that is no UTF-8")?;
            }
            (3, Field::Number(n)) => size = n,
            _ => return Err("a field that a link does not have"),
        }
    }
    let cid = cid.ok_or("a link without a CID")?;
    Ok(Link { cid, name, size })
}

/// The CID of a block: version 1, SHA-256.
pub(crate) fn cid_of(codec: u64, data: &[u8]) -> Cid {
    let digest = Sha256::digest(data);
    // 32 bytes always fit into the 64 that a multihash holds.
    let hash = cid::multihash::Multihash::wrap(SHA2_256, &digest).unwrap_or_default();
    Cid::new_v1(codec, hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_comes_back_and_an_empty_one_is_empty() {
        let link = |name: &str, size| Link {
            cid: cid_of(RAW, name.as_bytes()),
            name: name.into(),
            size,
        };
        let node = Node {
            links: vec![link("", 0), link("ä", u64::MAX)],
            data: Some(vec![1, 2, 3]),
        };
        assert_eq!(Node::decode(&node.encode()), Ok(node));
        assert_eq!(Node::decode(&[]), Ok(Node::default()));
    }

    #[test]
    fn data_may_come_first_and_nothing_may_be_missing() {
        let mut bytes = Vec::new();
        let mut link = Vec::new();
        put_bytes(&mut link, 1, &cid_of(RAW, b"x").to_bytes());
        put_bytes(&mut bytes, 1, b"data");
        put_bytes(&mut bytes, 2, &link);
        let node = Node::decode(&bytes).unwrap();
        assert_eq!(
            (node.links.len(), node.data.unwrap()),
            (1, b"data".to_vec())
        );
        for bad in [
            &[0x12, 0x00][..],
            &[0x0a, 0x05, 1],
            &[0x18, 1],
            &[0x0a, 0, 0x0a, 0],
        ] {
            assert!(Node::decode(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Node::decode(&bytes);
        }
    }
}
