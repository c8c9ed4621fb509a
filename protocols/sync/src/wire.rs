//! What is asked and answered, as DAG-CBOR. Whoever reads it knows nothing of the sender's honesty.

use pagi_messages::{
    Did,
    content::{ContentError, from_dag_cbor, to_dag_cbor},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::index::{Fingerprint, Id, Stamp};

/// Largest request or response, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Authors in one summary.
pub const MAX_AUTHORS: usize = 1024;
/// Ranges in one request.
pub const MAX_RANGES: usize = 64;
/// Messages in one range up to which they are listed rather than split.
pub const MAX_LISTED: usize = 512;
/// Messages listed in one response.
pub const MAX_LISTED_TOTAL: usize = 8192;
/// Parts a range is split into.
pub const PARTS: usize = 16;
/// Messages asked for at once.
pub const MAX_FETCHED: usize = 2048;
/// Bytes of messages in one response.
pub const MAX_FETCHED_BYTES: usize = 768 * 1024;

/// What the asking node has of one author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Whose messages.
    pub author: Did,
    /// It wants nothing of this time or earlier.
    pub floor: u64,
    /// What it has after that.
    pub has: Fingerprint,
}

/// Messages of one author from one time on and before another, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Whose messages.
    pub author: Did,
    /// From this time on,
    pub from: u64,
    /// before this time.
    pub to: u64,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Where do we differ?
    Compare {
        /// Before this time. What is younger may still be on its way by gossip.
        to: u64,
        /// The asking node wants nothing of this time or earlier, whoever wrote it.
        horizon: u64,
        /// Up to this time it had everything of the asked one when it last was through.
        done: u64,
        /// What it has. Of authors that are not here it has nothing.
        has: Vec<Summary>,
    },
    /// What is there in these?
    Expand {
        /// Parts of what differed.
        spans: Vec<Span>,
    },
    /// Send these.
    Fetch {
        /// By author.
        wanted: Vec<Wanted>,
    },
}

/// Messages of one author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose.
    pub author: Did,
    /// Which.
    pub stamps: Vec<Stamp>,
}

/// What the answering node has in one span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where.
    pub span: Span,
    /// What.
    pub has: Holding,
}

/// Messages in a nutshell, or one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// In a nutshell.
    Print(Fingerprint),
    /// One by one: when, and which.
    Listed(Vec<(u64, Id)>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Compare`] and [`Request::Expand`]: what is there.
    Parts {
        /// Where there is something; what is left out holds nothing, or is the same.
        parts: Vec<Part>,
    },
    /// To [`Request::Fetch`]: the messages as they were signed. Those that are gone are left out.
    Messages {
        /// In the order asked for.
        messages: Vec<ByteBuf>,
    },
}

/// The bytes of a question or an answer.
///
/// # Errors
/// [`ContentError::Encode`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, ContentError> {
    to_dag_cbor(value)
}

/// Reads a question.
///
/// # Errors
/// [`ContentError::Decode`].
pub fn request(bytes: &[u8]) -> Result<Request, ContentError> {
    from_dag_cbor(bytes)
}

/// Reads an answer.
///
/// # Errors
/// [`ContentError::Decode`].
pub fn response(bytes: &[u8]) -> Result<Response, ContentError> {
    from_dag_cbor(bytes)
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_messages_fit() {
        let author = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let id = Id([255; 16]);
        let has = Fingerprint {
            count: u32::MAX,
            ids: id,
        };
        let summary = Summary {
            author: author.clone(),
            floor: u64::MAX >> 1,
            has,
        };
        let compare = Request::Compare {
            to: u64::MAX >> 1,
            horizon: 0,
            done: 0,
            has: vec![summary; MAX_AUTHORS],
        };
        let stamp = Stamp {
            at: u64::MAX >> 1,
            id,
        };
        let wanted = Wanted {
            author: author.clone(),
            stamps: vec![stamp; MAX_FETCHED],
        };
        let fetch = Request::Fetch {
            wanted: vec![wanted],
        };
        for request in [compare, fetch] {
            let bytes = encode(&request).unwrap();
            assert!(bytes.len() <= MAX_BYTES, "{}", bytes.len());
            assert_eq!(super::request(&bytes).unwrap(), request);
        }
        let span = Span {
            author,
            from: 0,
            to: u64::MAX >> 1,
        };
        let part = |has| Part {
            span: span.clone(),
            has,
        };
        let listed = vec![(u64::MAX >> 1, id); MAX_LISTED_TOTAL];
        let mut parts = vec![part(Holding::Listed(listed))];
        parts.extend(vec![part(Holding::Print(has)); MAX_RANGES * PARTS]);
        let response = Response::Parts { parts };
        let bytes = encode(&response).unwrap();
        assert!(bytes.len() <= MAX_BYTES, "{}", bytes.len());
        assert_eq!(super::response(&bytes).unwrap(), response);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = request(&bytes);
            let _ = response(&bytes);
        }
    }
}
