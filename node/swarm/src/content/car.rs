//! CAR version 1: a header that names roots, then blocks, each with its length and CID.

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::wire::{put_varint, take_varint};

/// Longest header, in bytes.
const MAX_HEADER: u64 = 64 * 1024;
/// Longest block with its CID, in bytes.
const MAX_SECTION: u64 = 2 * 1024 * 1024 + 256;

#[derive(Serialize, Deserialize)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

/// The bytes a CAR begins with.
pub(crate) fn header(roots: &[Cid]) -> Vec<u8> {
    let header = Header {
        roots: roots.to_vec(),
        version: 1,
    };
    let body = serde_ipld_dagcbor::to_vec(&header).unwrap_or_default();
    let mut out = Vec::with_capacity(body.len() + 2);
    put_varint(&mut out, body.len() as u64);
    out.extend(body);
    out
}

/// A block as it stands in a CAR.
pub(crate) fn section(cid: &Cid, data: &[u8]) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut out = Vec::with_capacity(cid.len() + data.len() + 4);
    put_varint(&mut out, (cid.len() + data.len()) as u64);
    out.extend(cid);
    out.extend_from_slice(data);
    out
}

/// A part of a CAR that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The roots; always first.
    Roots(Vec<Cid>),
    /// A block, not yet checked against its CID.
    Block(Cid, Vec<u8>),
}

/// Reads a CAR as its bytes come in.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of the parts given out so far.
    pub(crate) offset: u64,
    begun: bool,
}

impl Reader {
    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What is wrong at [`Reader::offset`].
    pub(crate) fn next(&mut self) -> Result<Option<Part>, &'static str> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let mut input = rest;
        let Some(length) = take_varint(&mut input) else {
            return match rest.len() < 10 {
                true => Ok(None),
                false => Err("a length that is none"),
            };
        };
        let (limit, what) = match self.begun {
            false => (MAX_HEADER, "no CAR: the header is too long"),
            true => (MAX_SECTION, "a block is larger than 2 MiB"),
        };
        if length > limit {
            return Err(what);
        }
        let length = length as usize;
        let Some(body) = input.get(..length) else {
            return Ok(None);
        };
        let part = match self.begun {
            false => read_header(body)?,
            true => read_section(body)?,
        };
        self.begun = true;
        let used = rest.len() - input.len() + length;
        self.start += used;
        self.offset += used as u64;
        Ok(Some(part))
    }

    /// Whether the CAR may end here.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun && self.start == self.buffer.len()
    }
}

fn read_header(body: &[u8]) -> Result<Part, &'static str> {
    let header: Header =
        serde_ipld_dagcbor::from_slice(body).map_err(|_| "no CAR: the header cannot be read")?;
    match header.version {
        1 => Ok(Part::Roots(header.roots)),
        _ => Err("not CAR version 1"),
    }
}

fn read_section(body: &[u8]) -> Result<Part, &'static str> {
    let mut rest = body;
    let cid = Cid::read_bytes(&mut rest).map_err(|_| "a block without a CID")?;
    Ok(Part::Block(cid, rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::dagpb::{RAW, cid_of};
    use super::*;

    fn sample() -> (Vec<u8>, Vec<Part>) {
        let blocks = [&b""[..], b"one", &[7; 5000]];
        let cids: Vec<Cid> = blocks.iter().map(|data| cid_of(RAW, data)).collect();
        let mut bytes = header(&cids[1..2]);
        let mut parts = vec![Part::Roots(vec![cids[1]])];
        for (cid, data) in cids.iter().zip(blocks) {
            bytes.extend(section(cid, data));
            parts.push(Part::Block(*cid, data.to_vec()));
        }
        (bytes, parts)
    }

    fn read(bytes: &[u8], step: usize) -> Result<Vec<Part>, &'static str> {
        let (mut reader, mut parts) = (Reader::default(), Vec::new());
        for piece in bytes.chunks(step) {
            reader.push(piece);
            while let Some(part) = reader.next()? {
                parts.push(part);
            }
        }
        match reader.is_whole() {
            true => Ok(parts),
            false => Err("cut short"),
        }
    }

    #[test]
    fn a_car_comes_back_however_it_arrives() {
        let (bytes, parts) = sample();
        for step in [1, 2, 7, 4096, bytes.len()] {
            assert_eq!(read(&bytes, step), Ok(sample().1), "{step}");
        }
        assert_eq!(parts.len(), 4);
    }

    #[test]
    fn a_damaged_car_is_refused() {
        let (bytes, _) = sample();
        for cut in [0, 1, 10, bytes.len() - 1] {
            assert!(read(&bytes[..cut], 100).is_err(), "{cut}");
        }
        assert!(read(&[0xff; 40], 40).is_err());
        let mut version = bytes.clone();
        let at = version.windows(7).position(|w| w == b"version").unwrap();
        version[at + 7] = 2;
        assert_eq!(read(&version, 100), Err("not CAR version 1"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, step in 1usize..50) {
            let _ = read(&bytes, step);
        }
    }
}
