//! Names on the wire. Every protocol but bitswap and ping carries the swarm's name, so nodes of
//! different swarms find nothing to talk about.

use libp2p::StreamProtocol;
use sha2::{Digest, Sha256};

/// What every pagi node's identify protocol version starts with.
const FAMILY: &str = "/pagi/";

/// Length of a gossip message id, in bytes.
pub(crate) const MESSAGE_ID_BYTES: usize = 32;

/// The protocol names of one swarm.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Identify protocol version; equal for peers of the same swarm.
    pub(crate) identify: String,
    /// Prefix of the gossipsub protocol ids.
    pub(crate) gossip: String,
    /// Request/response between applications.
    pub(crate) request: StreamProtocol,
    /// Publishers asking whether a message has arrived, see `pace.rs`.
    pub(crate) pace: StreamProtocol,
    /// The swarm's own DHT.
    pub(crate) kad: StreamProtocol,
}

impl Names {
    /// Names for a swarm whose name has been checked.
    pub(crate) fn new(swarm: &str) -> Result<Self, libp2p::swarm::InvalidProtocol> {
        let of = |suffix: &str| StreamProtocol::try_from_owned(format!("{FAMILY}{swarm}/{suffix}"));
        Ok(Names {
            identify: format!("{FAMILY}{swarm}/1"),
            gossip: format!("{FAMILY}{swarm}/meshsub"),
            request: of("request/1")?,
            pace: of("pace/1")?,
            kad: of("kad/1")?,
        })
    }

    /// Whether a node that speaks these protocols answers questions to the swarm's DHT.
    pub(crate) fn serves_dht(&self, protocols: &[String]) -> bool {
        protocols.iter().any(|name| name == self.kad.as_ref())
    }

    /// Whether an identify protocol version is that of a pagi node of some other swarm.
    pub(crate) fn is_foreign(&self, identify: &str) -> bool {
        identify.starts_with(FAMILY) && identify != self.identify
    }
}

/// The id of a gossip message: SHA-256 over topic, author and content, so the same content of one
/// author on one topic is one message, however often it is published. The author is part of it: whoever
/// says what another will say, or has just said, would otherwise keep the true message from everybody
/// it reaches first.
pub(crate) fn message_id(topic: &str, author: &[u8], data: &[u8]) -> [u8; MESSAGE_ID_BYTES] {
    let mut hash = Sha256::new();
    for part in [topic.as_bytes(), author] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(data);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_swarm_and_tell_foreigners_apart() {
        let names = Names::new("pagi").unwrap();
        assert_eq!(names.request.as_ref(), "/pagi/pagi/request/1");
        assert_eq!(names.kad.as_ref(), "/pagi/pagi/kad/1");
        assert!(!names.is_foreign("/pagi/pagi/1"));
        assert!(names.is_foreign("/pagi/other/1"));
        assert!(
            !names.is_foreign("ipfs/0.1.0"),
            "plain IPFS nodes may exchange blocks"
        );
    }

    #[test]
    fn message_ids_separate_topic_author_and_content() {
        assert_eq!(message_id("a", b"b", b"cd"), message_id("a", b"b", b"cd"));
        assert_ne!(message_id("a", b"b", b"cd"), message_id("ab", b"", b"cd"));
        assert_ne!(message_id("a", b"b", b"cd"), message_id("a", b"bc", b"d"));
        assert_ne!(message_id("a", b"b", b"cd"), message_id("a", b"x", b"cd"));
    }
}
