//! Which task messages are let in: size, signature, author, kind, age. Pure.

use pagi_messages::{
    Did, Signed, Verified,
    content::{ContentError, from_dag_cbor},
    wire::{MAX_CLOCK_SKEW_MS, MAX_MESSAGE_AGE_MS},
};
use pagi_task::{Refusal, TaskMessage};

/// Largest task message, in bytes: the largest output, its signature, and room.
pub const MAX_TASK_BYTES: usize = 96 * 1024;

/// Why a message is not acted on.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is larger than any honest message.
    #[error("{0} bytes, more than {MAX_TASK_BYTES}")]
    TooLarge(usize),
    /// It is no task message.
    #[error(transparent)]
    Malformed(#[from] ContentError),
    /// The signature is not the author's.
    #[error("the signature is wrong: {0}")]
    Signature(String),
    /// The author is not the peer that sent it.
    #[error("sent by {sender}, signed by {author}")]
    WrongSender {
        /// The sending peer.
        sender: String,
        /// The signing DID.
        author: Did,
    },
    /// A private message that was gossiped, or a broadcast that was not.
    #[error("it came by the wrong way")]
    WrongWay,
    /// A part of it is out of bounds.
    #[error(transparent)]
    Bounds(Refusal),
    /// Its timestamp is too far from this node's clock.
    #[error("sent at {0}, too far from this node's clock")]
    OutOfTime(u64),
    /// The node has no time for it now.
    #[error("the node is busy or stopping")]
    Busy,
}

impl Rejection {
    /// Whether the sender is at fault. Clocks differ and meshes delay, so age is nobody's fault.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::OutOfTime(_) | Self::Busy)
    }
}

/// Reads a message that `publisher` gossiped.
///
/// # Errors
/// [`Rejection`].
pub fn gossiped(
    publisher: &str,
    data: &[u8],
    now_ms: u64,
) -> Result<Verified<TaskMessage>, Rejection> {
    let message = read(publisher, data)?;
    if !matches!(message.body(), TaskMessage::Broadcast { .. }) {
        return Err(Rejection::WrongWay);
    }
    let timestamp = message.body().timestamp();
    let ahead = timestamp.saturating_sub(now_ms) > MAX_CLOCK_SKEW_MS;
    if ahead || now_ms.saturating_sub(timestamp) > MAX_MESSAGE_AGE_MS {
        return Err(Rejection::OutOfTime(timestamp));
    }
    Ok(message)
}

/// Reads a message that `sender` brought to this node alone.
///
/// # Errors
/// [`Rejection`].
pub fn private(sender: &str, data: &[u8]) -> Result<Verified<TaskMessage>, Rejection> {
    let message = read(sender, data)?;
    if matches!(message.body(), TaskMessage::Broadcast { .. }) {
        return Err(Rejection::WrongWay);
    }
    Ok(message)
}

fn read(sender: &str, data: &[u8]) -> Result<Verified<TaskMessage>, Rejection> {
    if data.len() > MAX_TASK_BYTES {
        return Err(Rejection::TooLarge(data.len()));
    }
    let signed: Signed<TaskMessage> = from_dag_cbor(data)?;
    if Did::from_peer_id(sender).ok().as_ref() != Some(&signed.author) {
        return Err(Rejection::WrongSender {
            sender: sender.chars().take(64).collect(),
            author: signed.author,
        });
    }
    signed.body.check().map_err(Rejection::Bounds)?;
    signed
        .verify()
        .map_err(|error| Rejection::Signature(error.to_string()))
}

#[cfg(test)]
mod tests {
    use pagi_messages::{SigningIdentity, to_dag_cbor};
    use pagi_task::{MAX_OUTPUT_BYTES, Outcome, TaskKey};
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn key(asker: &SigningIdentity) -> TaskKey {
        TaskKey {
            asker: asker.did().clone(),
            id: "t".parse().unwrap(),
        }
    }

    fn broadcast(timestamp: u64, keyword: &str) -> TaskMessage {
        TaskMessage::Broadcast {
            id: "t".parse().unwrap(),
            twin: SigningIdentity::from_seed(&[3; 32]).did().clone(),
            summary: String::new(),
            keywords: vec![keyword.into()],
            needs: Vec::new(),
            deadline_ms: NOW + 1,
            timestamp,
        }
    }

    fn bytes(identity: &SigningIdentity, message: TaskMessage) -> Vec<u8> {
        to_dag_cbor(Verified::sign(identity, message).unwrap().as_signed()).unwrap()
    }

    #[test]
    fn broadcasts_come_by_gossip_and_the_rest_privately_each_from_its_author() {
        let one = SigningIdentity::from_seed(&[1; 32]);
        let two = SigningIdentity::from_seed(&[2; 32]);
        let peer = one.did().peer_id().unwrap();
        let said = bytes(&one, broadcast(NOW, "star"));
        assert!(gossiped(&peer, &said, NOW).is_ok());
        assert!(matches!(private(&peer, &said), Err(Rejection::WrongWay)));
        let full = Outcome::Completed {
            output: "x".repeat(MAX_OUTPUT_BYTES),
        };
        let result = |outcome| TaskMessage::Result {
            task: key(&two),
            attempt: 1,
            outcome,
            timestamp: 0,
        };
        let told = bytes(&one, result(full));
        assert!(private(&peer, &told).is_ok(), "the largest output passes");
        let wrong = gossiped(&peer, &told, NOW).unwrap_err();
        assert!(matches!(wrong, Rejection::WrongWay) && wrong.is_fault());

        let other = two.did().peer_id().unwrap();
        for refused in [private(&other, &told), gossiped(&other, &said, NOW)] {
            assert!(matches!(refused, Err(Rejection::WrongSender { .. })));
        }
        let mut bent = told.clone();
        let last = bent.len() - 1;
        bent[last] ^= 1;
        assert!(private(&peer, &bent).is_err_and(|error| error.is_fault()));
        let long = bytes(&one, broadcast(NOW, &"x".repeat(65)));
        assert!(matches!(
            gossiped(&peer, &long, NOW),
            Err(Rejection::Bounds(_))
        ));
        let big = vec![0; MAX_TASK_BYTES + 1];
        assert!(matches!(private(&peer, &big), Err(Rejection::TooLarge(_))));
    }

    #[test]
    fn age_is_nobodys_fault() {
        let one = SigningIdentity::from_seed(&[1; 32]);
        let peer = one.did().peer_id().unwrap();
        for timestamp in [NOW - MAX_MESSAGE_AGE_MS - 1, NOW + MAX_CLOCK_SKEW_MS + 1] {
            let said = bytes(&one, broadcast(timestamp, "star"));
            assert!(gossiped(&peer, &said, NOW).is_err_and(|error| !error.is_fault()));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data: Vec<u8>, sender in ".{0,80}") {
            prop_assert!(gossiped(&sender, &data, NOW).is_err());
            prop_assert!(private(&sender, &data).is_err());
        }
    }
}
