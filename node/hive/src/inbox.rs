//! Which gossip is let through: decoding, size, signature, author, age. Pure.

use pagi_election::ElectionMessage;
use pagi_messages::{
    Coordination, Did, Domain, Signed, Verified,
    content::{ContentError, from_dag_cbor},
    wire::{MAX_CLOCK_SKEW_MS, MAX_GOSSIP_BYTES, MAX_MESSAGE_AGE_MS},
};
use serde::de::DeserializeOwned;

/// What to tell gossipsub of a message. Every message ends in exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Forward it.
    Accept,
    /// Do not forward it; whoever sent it is at fault.
    Reject(String),
    /// Do not forward it; nobody is at fault.
    Ignore(String),
}

/// Why a message is not acted on.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is larger than any honest message.
    #[error("{0} bytes, more than {MAX_GOSSIP_BYTES}")]
    TooLarge(usize),
    /// It is not a message of this topic.
    #[error(transparent)]
    Malformed(#[from] ContentError),
    /// The signature is not the author's.
    #[error("the signature is wrong: {0}")]
    Signature(String),
    /// The author is not the peer that published it.
    #[error("published by {publisher}, signed by {author}")]
    WrongPublisher {
        /// The publishing peer.
        publisher: String,
        /// The signing DID.
        author: Did,
    },
    /// It says more of a twin than anybody wants to keep.
    #[error("the presence of a twin is too large")]
    Immodest,
    /// Its timestamp lies too far in the future.
    #[error("sent {0} ms in the future")]
    Future(u64),
    /// It is too old to be acted on.
    #[error("sent {0} ms ago")]
    Old(u64),
}

impl Rejection {
    /// The verdict for gossipsub: clocks differ and meshes delay, so age is nobody's fault.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        match self {
            Self::Future(_) | Self::Old(_) => Judgement::Ignore(self.to_string()),
            _ => Judgement::Reject(self.to_string()),
        }
    }
}

/// Reads a coordination message.
///
/// # Errors
/// [`Rejection`].
pub fn coordination(
    publisher: &str,
    data: &[u8],
    now_ms: u64,
) -> Result<Verified<Coordination>, Rejection> {
    let message: Verified<Coordination> = read(publisher, data)?;
    modest(message.body())?;
    fresh(message.body().timestamp(), now_ms)?;
    Ok(message)
}

/// Reads a coordination message that someone else than its author hands on: the signature alone
/// says whose it is. `None` for presence that is `known` (by its author and, of a twin, its id), which
/// saves the check of the signature.
///
/// # Errors
/// [`Rejection`].
pub fn relayed(
    data: &[u8],
    now_ms: u64,
    known: impl Fn(&Did, Option<&str>) -> bool,
) -> Result<Option<Verified<Coordination>>, Rejection> {
    let signed: Signed<Coordination> = decoded(data)?;
    let twin = match &signed.body {
        Coordination::TwinOnline(presence) => Some(presence.twin_id.as_str()),
        _ => None,
    };
    if known(&signed.author, twin) {
        return Ok(None);
    }
    modest(&signed.body)?;
    let message = verified(signed)?;
    fresh(message.body().timestamp(), now_ms)?;
    Ok(Some(message))
}

/// Reads an election message.
///
/// # Errors
/// [`Rejection`].
pub fn election(
    publisher: &str,
    data: &[u8],
    now_ms: u64,
) -> Result<Verified<ElectionMessage>, Rejection> {
    let message: Verified<ElectionMessage> = read(publisher, data)?;
    fresh(message.body().timestamp(), now_ms)?;
    Ok(message)
}

fn read<T: Domain + DeserializeOwned>(
    publisher: &str,
    data: &[u8],
) -> Result<Verified<T>, Rejection> {
    let signed: Signed<T> = decoded(data)?;
    if Did::from_peer_id(publisher).ok().as_ref() != Some(&signed.author) {
        return Err(Rejection::WrongPublisher {
            publisher: publisher.chars().take(64).collect(),
            author: signed.author,
        });
    }
    verified(signed)
}

fn decoded<T: DeserializeOwned>(data: &[u8]) -> Result<Signed<T>, Rejection> {
    if data.len() > MAX_GOSSIP_BYTES {
        return Err(Rejection::TooLarge(data.len()));
    }
    Ok(from_dag_cbor(data)?)
}

fn verified<T: Domain>(signed: Signed<T>) -> Result<Verified<T>, Rejection> {
    signed
        .verify()
        .map_err(|error| Rejection::Signature(error.to_string()))
}

fn modest(message: &Coordination) -> Result<(), Rejection> {
    match message {
        Coordination::TwinOnline(presence) if !presence.is_modest() => Err(Rejection::Immodest),
        _ => Ok(()),
    }
}

fn fresh(timestamp: u64, now_ms: u64) -> Result<(), Rejection> {
    let ahead = timestamp.saturating_sub(now_ms);
    let behind = now_ms.saturating_sub(timestamp);
    if ahead > MAX_CLOCK_SKEW_MS {
        Err(Rejection::Future(ahead))
    } else if behind > MAX_MESSAGE_AGE_MS {
        Err(Rejection::Old(behind))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::{Capabilities, SigningIdentity, TwinPresence, cid_of, to_dag_cbor};
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn bytes(identity: &SigningIdentity, timestamp: u64) -> Vec<u8> {
        let body = Coordination::PlaybookUpdate {
            cid: cid_of(b"x"),
            timestamp,
        };
        to_dag_cbor(Verified::sign(identity, body).unwrap().as_signed()).unwrap()
    }

    #[test]
    fn only_fresh_messages_of_their_own_author_pass() {
        let one = SigningIdentity::from_seed(&[1; 32]);
        let two = SigningIdentity::from_seed(&[2; 32]);
        let peer = one.did().peer_id().unwrap();
        assert!(coordination(&peer, &bytes(&one, NOW), NOW).is_ok());
        let verdict = |data: &[u8]| match coordination(&peer, data, NOW) {
            Ok(_) => Judgement::Accept,
            Err(rejection) => rejection.judgement(),
        };
        assert!(matches!(verdict(&bytes(&two, NOW)), Judgement::Reject(_)));
        let old = bytes(&one, NOW - MAX_MESSAGE_AGE_MS - 1);
        assert!(matches!(verdict(&old), Judgement::Ignore(_)));
        let future = bytes(&one, NOW + MAX_CLOCK_SKEW_MS + 1);
        assert!(matches!(verdict(&future), Judgement::Ignore(_)));
        assert!(matches!(verdict(b""), Judgement::Reject(_)));
        assert!(matches!(
            verdict(&vec![0; MAX_GOSSIP_BYTES + 1]),
            Judgement::Reject(_)
        ));
        let mut bent = bytes(&one, NOW);
        let last = bent.len() - 1;
        bent[last] ^= 1;
        assert!(matches!(verdict(&bent), Judgement::Reject(_)));
    }

    #[test]
    fn a_twin_that_says_too_much_of_itself_is_refused() {
        let one = SigningIdentity::from_seed(&[1; 32]);
        let peer = one.did().peer_id().unwrap();
        let body = |tools| {
            let presence = TwinPresence {
                twin_id: "t".into(),
                did: one.did().clone(),
                timestamp: NOW,
                capabilities: Capabilities {
                    tools,
                    ..Capabilities::default()
                },
            };
            let message = Coordination::TwinOnline(presence);
            to_dag_cbor(Verified::sign(&one, message).unwrap().as_signed()).unwrap()
        };
        let (usual, large) = (body(vec!["a".into()]), body(vec![String::new(); 1000]));
        assert!(coordination(&peer, &usual, NOW).is_ok());
        let refused = coordination(&peer, &large, NOW).unwrap_err();
        assert!(matches!(refused.judgement(), Judgement::Reject(_)));
        assert!(relayed(&large, NOW, |_, _| false).is_err());
        assert!(relayed(&usual, NOW, |_, _| false).is_ok());
    }

    #[test]
    fn a_message_of_one_topic_does_not_pass_on_the_other() {
        let one = SigningIdentity::from_seed(&[1; 32]);
        let peer = one.did().peer_id().unwrap();
        assert!(election(&peer, &bytes(&one, NOW), NOW).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data: Vec<u8>, publisher in ".{0,80}") {
            prop_assert!(coordination(&publisher, &data, NOW).is_err());
            prop_assert!(election(&publisher, &data, NOW).is_err());
        }
    }
}
