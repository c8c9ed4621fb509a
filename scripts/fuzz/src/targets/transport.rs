//! What goes over streams: frames, requests for blocks, bitswap.

use pagi_messages::{block_request, cid_of};
use pagi_swarm::{read_frame, reread_bitswap, write_frame};

const MAX_FRAME: usize = 4096;

pub fn frame_seeds() -> Vec<Vec<u8>> {
    [&b""[..], b"x", &[7; 100], &[7; MAX_FRAME]]
        .iter()
        .map(|data| write_frame(data, MAX_FRAME).expect("it fits"))
        .collect()
}

pub fn frame(data: &[u8]) -> bool {
    let Ok(read) = read_frame(data, MAX_FRAME) else {
        let announced = data
            .first_chunk::<4>()
            .map(|length| u32::from_be_bytes(*length) as usize);
        let whole = announced
            .is_some_and(|length| length <= MAX_FRAME && data.len().saturating_sub(4) >= length);
        assert!(!whole, "a whole frame is refused");
        return false;
    };
    assert!(read.len() <= MAX_FRAME);
    let written = write_frame(&read, MAX_FRAME).expect("what was read can be written");
    assert_eq!(written, data[..written.len()]);
    true
}

pub fn block_request_seeds() -> Vec<Vec<u8>> {
    vec![
        block_request::encode(&cid_of(b"one")),
        block_request::encode(&cid::Cid::new_v1(0x55, *cid_of(b"raw").hash())),
    ]
}

pub fn block_request(data: &[u8]) -> bool {
    match block_request::decode(data) {
        Some(Some(cid)) => {
            let bytes = block_request::encode(&cid);
            assert_eq!(block_request::decode(&bytes), Some(Some(cid)));
            let text: Option<cid::Cid> = cid.to_string().parse().ok();
            assert_eq!(text, Some(cid), "its text names another");
            true
        }
        Some(None) | None => false,
    }
}

const MAX_ENTRIES: usize = 100;

/// Messages spelled out by hand: a want, a block with its prefix, a presence, an old block.
pub fn bitswap_seeds() -> Vec<Vec<u8>> {
    let cid = cid::Cid::new_v1(0x55, *cid_of(b"x").hash()).to_bytes();
    let mut want = vec![0x0a, 48, 0x0a, 44, 0x0a, 36];
    want.extend(&cid);
    want.extend([0x10, 1, 0x20, 1, 0x28, 1, 0x10, 1]);
    let block = vec![0x1a, 9, 0x0a, 4, 1, 0x55, 0x12, 32, 0x12, 1, b'x'];
    let mut presence = vec![0x22, 40, 0x0a, 36];
    presence.extend(&cid);
    presence.extend([0x10, 1]);
    let old = vec![0x12, 1, b'x'];
    let all = [&want[..], &block, &presence, &old].concat();
    vec![want, block, presence, old, all]
}

pub fn bitswap(data: &[u8]) -> bool {
    let Some(written) = reread_bitswap(data, MAX_ENTRIES) else {
        return false;
    };
    let again = reread_bitswap(&written, MAX_ENTRIES).expect("what was written can be read");
    assert_eq!(written, again);
    true
}
