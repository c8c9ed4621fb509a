//! What gates say to each other: a private request right after two nodes connect, both ways, and
//! signed notices by gossip.
//!
//! A request is [`ASK`] and an [`Ask`] as DAG-CBOR; the reply is an [`Answer`] as DAG-CBOR. A notice
//! is gossiped as a [`Notice`]: what it says rests on its author's signature, so that any member can
//! pass it on.

use cid::Cid;
use pagi_bootstrap::{Admittance, Claim, Invitation, Revocation};
use pagi_messages::{
    Did, Signed,
    content::{ContentError, cid_of, from_dag_cbor, to_dag_cbor},
};
use serde::{Deserialize, Serialize};

/// What a request from gate to gate starts with.
pub const ASK: &[u8] = b"pagi-gate/1\0";
/// Most admittances that lead from a founder to a member.
pub const MAX_PROOF: usize = 64;
/// Most notices in one answer.
pub const PAGE: usize = 200;
/// Longest reason that is passed on, characters.
const MAX_REASON: usize = 200;

/// What one gate asks another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// May I come in? Here is what I have.
    Hello {
        /// The swarm's id.
        swarm: Cid,
        /// The asking node's invitations.
        invitations: Vec<Signed<Invitation>>,
        /// Who let it in, who let that one in, and so on, a founder's word first.
        proof: Vec<Signed<Admittance>>,
        /// What shows that it holds its invitations.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<Signed<Claim>>,
    },
    /// You are not let in, and this is why.
    Refused {
        /// The reason.
        reason: String,
    },
    /// The notices after so many.
    Notices {
        /// How many the asking node has seen of the other's.
        after: u64,
    },
    /// Who let this node in?
    WhoIs {
        /// The node.
        did: Did,
    },
}

/// What the other gate answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// You are in.
    Welcome {
        /// What proves it to others.
        proof: Vec<Signed<Admittance>>,
        /// What all notices held here come to, whatever their order.
        digest: String,
    },
    /// You are not.
    Refused {
        /// The reason.
        reason: String,
    },
    /// A page of notices, in the order they were taken.
    Notices {
        /// The notices.
        notices: Vec<Notice>,
        /// How many there are in all.
        total: u64,
    },
    /// What proves that a node is in; nothing where it is not.
    Proof {
        /// The admittances, a founder's word first.
        proof: Vec<Signed<Admittance>>,
    },
    /// This node keeps no gate.
    NoGate,
}

/// What members tell each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Somebody was let in.
    Admittance(Box<Signed<Admittance>>),
    /// A founder took something back.
    Revocation(Signed<Revocation>),
}

impl Notice {
    /// The name of what it says.
    ///
    /// # Errors
    /// [`ContentError::Encode`] where it has no canonical bytes.
    pub fn id(&self) -> Result<Cid, ContentError> {
        Ok(cid_of(&to_dag_cbor(self)?))
    }
}

/// The bytes of a request.
///
/// # Errors
/// [`ContentError::Encode`].
pub fn request(ask: &Ask) -> Result<Vec<u8>, ContentError> {
    Ok([ASK, &to_dag_cbor(ask)?].concat())
}

/// The request in `data`, where it is one from gate to gate.
pub fn read(data: &[u8]) -> Option<Result<Ask, ContentError>> {
    data.strip_prefix(ASK).map(from_dag_cbor)
}

/// A reason of another node, fit to be shown.
pub fn cut(reason: &str) -> String {
    let shown = reason.chars().filter(|c| !c.is_control());
    shown.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use pagi_messages::{SigningIdentity, Verified};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_is_read_again() {
        let founder = SigningIdentity::from_seed(&[1; 32]);
        let swarm = cid_of(b"swarm");
        let revocation = Revocation {
            swarm,
            targets: Vec::new(),
            issued_ms: 1,
        };
        let notice =
            Notice::Revocation(Verified::sign(&founder, revocation).unwrap().into_signed());
        let hello = Ask::Hello {
            swarm,
            invitations: Vec::new(),
            proof: Vec::new(),
            claims: Vec::new(),
        };
        for ask in [
            hello,
            Ask::Notices { after: 3 },
            Ask::WhoIs {
                did: founder.did().clone(),
            },
        ] {
            let bytes = request(&ask).unwrap();
            assert_eq!(read(&bytes).unwrap().unwrap(), ask);
            assert!(read(&bytes[1..]).is_none());
        }
        let answer = Answer::Notices {
            notices: vec![notice],
            total: 1,
        };
        let bytes = to_dag_cbor(&answer).unwrap();
        assert_eq!(from_dag_cbor::<Answer>(&bytes).unwrap(), answer);
        assert_eq!(cut("a\nb"), "ab");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data: Vec<u8>) {
            let framed = [ASK, &data].concat();
            prop_assert!(read(&framed).is_some());
            let _ = from_dag_cbor::<Answer>(&data);
            let _ = from_dag_cbor::<Notice>(&data);
        }
    }
}
