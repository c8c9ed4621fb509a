//! Folders as hash trees: 256 places a node, filled by one byte after the other of the name's
//! murmur3 hash.

use super::build::{Made, Top, emit};
use super::dagpb::Link;
use super::unixfs::{Kind, UnixFs};

/// Multicodec of murmur3-x64-64.
pub(super) const MURMUR3: u64 = 0x22;
/// Places of a node.
pub(super) const FANOUT: u64 = 256;
/// Digits of a place before the name of a link.
pub(super) const DIGITS: usize = 2;

/// Builds the tree of `entries`, whose names differ.
pub(super) fn build(entries: &[Link], out: &mut Vec<Made>) -> Top {
    let hashed = entries.iter().map(|link| (hash(&link.name), link));
    shard(hashed.collect(), 0, out)
}

fn shard(entries: Vec<([u8; 8], &Link)>, depth: usize, out: &mut Vec<Made>) -> Top {
    let mut places: Vec<Vec<([u8; 8], &Link)>> = vec![Vec::new(); 256];
    for (hash, link) in entries {
        // Names whose whole hashes agree share the last place; no two such names are known.
        let place = usize::from(hash.get(depth).copied().unwrap_or_default());
        if let Some(at) = places.get_mut(place) {
            at.push((hash, link));
        }
    }
    let (mut links, mut bits) = (Vec::new(), [0u8; 32]);
    for (place, found) in places.into_iter().enumerate() {
        match found.as_slice() {
            [] => continue,
            [(_, link)] => links.push(Link {
                name: format!("{place:02X}{}", link.name),
                ..(*link).clone()
            }),
            several if depth >= 7 => links.extend(several.iter().map(|(_, link)| Link {
                name: format!("{place:02X}{}", link.name),
                ..(*link).clone()
            })),
            _ => {
                let below = shard(found, depth + 1, out);
                links.push(Link {
                    cid: below.cid,
                    name: format!("{place:02X}"),
                    size: below.size,
                });
            }
        }
        if let Some(byte) = bits.get_mut(31 - place / 8) {
            *byte |= 1 << (place % 8);
        }
    }
    let first = bits.iter().position(|byte| *byte != 0).unwrap_or(32);
    let data = UnixFs {
        data: Some(bits.get(first..).unwrap_or_default().to_vec()),
        hash: Some(MURMUR3),
        fanout: Some(FANOUT),
        ..UnixFs::new(Kind::Shard)
    };
    emit(links, &data, out)
}

/// The first half of the 128-bit murmur3 hash of a name, big-endian.
pub(super) fn hash(name: &str) -> [u8; 8] {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let bytes = name.as_bytes();
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        let (low, high) = block.split_at(8);
        h1 ^= mix1(word(low));
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(high));
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(word(high));
    h1 ^= mix1(word(low));
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1.wrapping_add(h2).to_be_bytes()
}

fn finish(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_murmur3() {
        // Published values of the 128-bit variant, seed 0, first half.
        assert_eq!(hash(""), [0; 8]);
        assert_eq!(hash("hello").map(u64::from).len(), 8);
        assert_eq!(u64::from_be_bytes(hash("hello")), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            u64::from_be_bytes(hash("hello, world")),
            0x342f_ac62_3a5e_bc8e
        );
        assert_eq!(
            u64::from_be_bytes(hash("19 Jan 2038 at 3:14:07 AM")),
            0xb89e_5988_b737_affc
        );
    }
}
