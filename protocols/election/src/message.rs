//! What nodes say to each other on the election topic.

use cid::Cid;
use pagi_messages::{
    Did, Domain, cid_of,
    content::{ContentError, cid_text, to_dag_cbor},
};
use serde::{Deserialize, Serialize};

use crate::certificate::{self, Certificate};

/// A message of the election topic, signed by the node that sends it.
///
/// Timestamps are milliseconds since the Unix epoch by the sender's clock. They also keep two
/// sendings of the same thing apart, so that a gossip layer which drops exact copies lets repeats
/// through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ElectionMessage {
    /// The author asks these members for their votes.
    Candidate {
        /// The term it stands for.
        term: u64,
        /// Who may vote, in ascending order of DID, without repeats.
        #[serde(deserialize_with = "certificate::electorate_from")]
        electorate: Vec<Did>,
        /// Whose votes it has, as bits by their places in the electorate: they need not be sent again.
        #[serde(default, skip_serializing_if = "is_nobody")]
        heard: u32,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author's one vote of this term.
    Vote {
        /// The term.
        term: u64,
        /// Whom it is for.
        candidate: Did,
        /// [`electorate_digest`] of the electorate the candidate named.
        #[serde(with = "cid_text")]
        electorate: Cid,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author is MO, and alive.
    Heartbeat {
        /// The term of the certificate.
        term: u64,
        /// When this was sent.
        timestamp: u64,
        /// Counts the heartbeats of this term.
        seq: u64,
        /// Why the author is MO.
        certificate: Certificate,
    },
    /// The author is MO of this term and gives the office back.
    StepDown {
        /// The term.
        term: u64,
        /// When this was sent.
        timestamp: u64,
    },
    /// The author cannot vote for, or follow, `to` at its present term, because it has already
    /// voted in or followed a higher one. A hint: `to` may stand again above `term`.
    Ahead {
        /// The term the author is at.
        term: u64,
        /// Whom this is meant for.
        to: Did,
        /// When this was sent.
        timestamp: u64,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_nobody(heard: &u32) -> bool {
    *heard == 0
}

impl ElectionMessage {
    /// The term this message speaks of.
    #[must_use]
    pub fn term(&self) -> u64 {
        match self {
            Self::Candidate { term, .. }
            | Self::Vote { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::StepDown { term, .. }
            | Self::Ahead { term, .. } => *term,
        }
    }

    /// When the author says it was sent, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        match self {
            Self::Candidate { timestamp, .. }
            | Self::Vote { timestamp, .. }
            | Self::Heartbeat { timestamp, .. }
            | Self::StepDown { timestamp, .. }
            | Self::Ahead { timestamp, .. } => *timestamp,
        }
    }
}

impl Domain for ElectionMessage {
    const DOMAIN: &'static str = "election/1";
}

/// The CID that stands for an electorate inside a vote: that of its DIDs' list as DAG-CBOR.
///
/// # Errors
/// [`ContentError::Encode`]; no list of DIDs is known to cause it.
pub fn electorate_digest(electorate: &[Did]) -> Result<Cid, ContentError> {
    Ok(cid_of(&to_dag_cbor(electorate)?))
}

#[cfg(test)]
mod tests {
    use pagi_messages::{Signed, SigningIdentity, Verified, from_dag_cbor, wire::MAX_GOSSIP_BYTES};
    use serde_json::json;

    use super::*;
    use crate::certificate::{MAX_ELECTORATE, tests::certificate_of};

    fn round_trip(body: &ElectionMessage) -> usize {
        let identity = SigningIdentity::from_seed(&[1; 32]);
        let signed = Verified::sign(&identity, body.clone()).unwrap();
        let bytes = to_dag_cbor(signed.as_signed()).unwrap();
        let back: Signed<ElectionMessage> = from_dag_cbor(&bytes).unwrap();
        assert_eq!(back.verify().unwrap().body(), body);
        let text = serde_json::to_string(body).unwrap();
        assert_eq!(
            &serde_json::from_str::<ElectionMessage>(&text).unwrap(),
            body
        );
        bytes.len()
    }

    #[test]
    fn every_message_survives_the_wire_and_the_largest_fits_gossip() {
        let me = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let digest = electorate_digest(std::slice::from_ref(&me)).unwrap();
        for body in [
            ElectionMessage::Candidate {
                term: 1,
                electorate: vec![me.clone()],
                heard: 0,
                timestamp: 2,
            },
            ElectionMessage::Vote {
                term: 1,
                candidate: me.clone(),
                electorate: digest,
                timestamp: 2,
            },
            ElectionMessage::StepDown {
                term: 1,
                timestamp: 2,
            },
            ElectionMessage::Ahead {
                term: 9,
                to: me,
                timestamp: 2,
            },
        ] {
            round_trip(&body);
        }
        let largest = certificate_of(MAX_ELECTORATE, MAX_ELECTORATE, u64::MAX);
        let size = round_trip(&ElectionMessage::Heartbeat {
            term: u64::MAX,
            timestamp: u64::MAX,
            seq: u64::MAX,
            certificate: largest,
        });
        assert!(size < MAX_GOSSIP_BYTES / 8, "{size}");
    }

    #[test]
    fn the_tag_is_the_type() {
        let body = ElectionMessage::StepDown {
            term: 3,
            timestamp: 4,
        };
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            json!({"type": "step_down", "term": 3, "timestamp": 4})
        );
    }

    #[test]
    fn an_oversized_electorate_is_refused_while_it_is_read() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let body = ElectionMessage::Candidate {
            term: 1,
            electorate: vec![did; MAX_ELECTORATE + 1],
            heard: 0,
            timestamp: 0,
        };
        let bytes = to_dag_cbor(&body).unwrap();
        assert!(from_dag_cbor::<ElectionMessage>(&bytes).is_err());
    }
}
