//! A private request for a block: a prefix, then the bytes of the CID. The reply is the block, or
//! nothing where the node does not have it.

use cid::Cid;

/// What a request for a block starts with.
const WANT: &[u8] = b"pagi-block/1\0";
/// The longest CID asked for, bytes: version, codec, hash code and length, and a hash of 64 bytes.
const MAX_CID: usize = 96;

/// A request for the block of `cid`.
#[must_use]
pub fn encode(cid: &Cid) -> Vec<u8> {
    [WANT, &cid.to_bytes()].concat()
}

/// The CID a request asks for; `Some(None)` where it is such a request but holds no CID, `None` where it
/// is a request for something else.
#[must_use]
pub fn decode(data: &[u8]) -> Option<Option<Cid>> {
    let wanted = data.strip_prefix(WANT)?;
    let cid = Cid::try_from(wanted).ok();
    // The reader stops where a CID ends: what follows it makes the request another.
    Some(cid.filter(|cid| wanted.len() <= MAX_CID && cid.to_bytes() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid_of;

    #[test]
    fn a_request_reads_back_and_nothing_may_follow_the_cid() {
        let cid = cid_of(b"x");
        let mut request = encode(&cid);
        assert_eq!(decode(&request), Some(Some(cid)));
        request.push(0);
        assert_eq!(decode(&request), Some(None));
        assert_eq!(decode(b"pagi-block/1\0"), Some(None));
        assert_eq!(decode(b"pagi-didcomm/1\0"), None);
    }
}
