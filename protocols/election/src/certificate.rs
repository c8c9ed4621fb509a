//! The proof that a majority of an electorate voted for an MO.

use std::{cmp::Ordering, fmt, marker::PhantomData};

use cid::Cid;
use pagi_messages::{
    Did, Signed, cid_of,
    content::{ContentError, cid_text, to_dag_cbor},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};

use crate::message::{ElectionMessage, electorate_digest};

/// Most members of an electorate, and so most votes of a certificate.
pub const MAX_ELECTORATE: usize = 31;

/// The highest term there is: 2^53 - 1, the largest integer every JSON reader keeps exact.
pub const TERM_MAX: u64 = (1 << 53) - 1;

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Term 0 or beyond [`TERM_MAX`].
    #[error("{0} is not a term")]
    Term(u64),
    /// The electorate is empty, too large, unsorted or repeats a member.
    #[error("the electorate is not 1 to {MAX_ELECTORATE} distinct members in ascending order")]
    Electorate,
    /// Half of the electorate or less has voted.
    #[error("{votes} of {electorate} votes are no majority")]
    NoMajority {
        /// Votes in the certificate.
        votes: usize,
        /// Members of the electorate.
        electorate: usize,
    },
    /// The votes are unsorted, or one member voted twice.
    #[error("the votes are not in ascending order of distinct voters")]
    Repeated,
    /// A vote of someone who may not vote.
    #[error("{0} voted but is not of the electorate")]
    Outsider(Did),
    /// A vote for another term, candidate or electorate, or a message that is no vote.
    #[error("the vote of {0} is for something else")]
    WrongVote(Did),
    /// A vote whose signature does not hold.
    #[error("the vote of {0} is not signed by it")]
    WrongSignature(Did),
    /// The certificate has no canonical bytes.
    #[error("the certificate has no canonical form: {0}")]
    Content(String),
}

impl From<ContentError> for CertificateError {
    fn from(error: ContentError) -> Self {
        Self::Content(error.to_string())
    }
}

/// Votes of a strict majority of an electorate for one MO in one term.
///
/// Electorate and votes are in ascending order of DID, so that equal contents have one CID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The term.
    pub term: u64,
    /// The MO.
    pub mo: Did,
    /// Who could vote: 1 to [`MAX_ELECTORATE`] members, ascending and distinct. The MO need not
    /// be among them.
    #[serde(deserialize_with = "electorate_from")]
    pub electorate: Vec<Did>,
    /// The votes, each an [`ElectionMessage::Vote`], ascending by author and distinct.
    #[serde(deserialize_with = "votes_from")]
    pub votes: Vec<Signed<ElectionMessage>>,
}

impl Certificate {
    /// Checks the whole certificate, signatures last because they cost most.
    ///
    /// # Errors
    /// [`CertificateError`] with the first thing found wrong.
    pub fn verify(&self) -> Result<(), CertificateError> {
        if self.term == 0 || self.term > TERM_MAX {
            return Err(CertificateError::Term(self.term));
        }
        if !is_electorate(&self.electorate) {
            return Err(CertificateError::Electorate);
        }
        if !is_majority(self.votes.len(), self.electorate.len()) {
            return Err(CertificateError::NoMajority {
                votes: self.votes.len(),
                electorate: self.electorate.len(),
            });
        }
        if !self.votes.is_sorted_by(|a, b| a.author < b.author) {
            return Err(CertificateError::Repeated);
        }
        let digest = electorate_digest(&self.electorate)?;
        for vote in &self.votes {
            if self.electorate.binary_search(&vote.author).is_err() {
                return Err(CertificateError::Outsider(vote.author.clone()));
            }
            match &vote.body {
                ElectionMessage::Vote {
                    term,
                    candidate,
                    electorate,
                    ..
                } if *term == self.term && *candidate == self.mo && *electorate == digest => {}
                _ => return Err(CertificateError::WrongVote(vote.author.clone())),
            }
        }
        for vote in &self.votes {
            if vote.clone().verify().is_err() {
                return Err(CertificateError::WrongSignature(vote.author.clone()));
            }
        }
        Ok(())
    }

    /// The certificate's CID: that of its DAG-CBOR.
    ///
    /// # Errors
    /// [`ContentError::Encode`]; no certificate is known to cause it.
    pub fn cid(&self) -> Result<Cid, ContentError> {
        Ok(cid_of(&to_dag_cbor(self)?))
    }

    /// Who voted for the MO, in ascending order.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = &Did> {
        self.votes.iter().map(|vote| &vote.author)
    }

    /// The merge rule between certificates of equal strength: higher term, then larger electorate,
    /// then lower CID. [`Ordering::Greater`] where `self` is the better claim.
    #[must_use]
    pub fn claim_cmp(&self, other: &Self) -> Ordering {
        (self.term, self.electorate.len())
            .cmp(&(other.term, other.electorate.len()))
            .then_with(|| match (self.cid(), other.cid()) {
                (Ok(mine), Ok(theirs)) => theirs.to_bytes().cmp(&mine.to_bytes()),
                (mine, theirs) => mine.is_ok().cmp(&theirs.is_ok()),
            })
    }
}

/// Whether `votes` is a strict majority of `electorate` members.
pub(crate) fn is_majority(votes: usize, electorate: usize) -> bool {
    votes <= electorate && votes * 2 > electorate
}

/// Whether `electorate` is of allowed size, ascending and distinct.
pub(crate) fn is_electorate(electorate: &[Did]) -> bool {
    (1..=MAX_ELECTORATE).contains(&electorate.len()) && electorate.is_sorted_by(|a, b| a < b)
}

/// Reads at most [`MAX_ELECTORATE`] DIDs, so that a long list is dropped before its keys are
/// decoded.
pub(crate) fn electorate_from<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Did>, D::Error> {
    deserializer.deserialize_seq(Bounded(PhantomData))
}

/// Reads at most [`MAX_ELECTORATE`] votes, and nothing but votes: a heartbeat within a vote would
/// nest without end.
fn votes_from<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Signed<ElectionMessage>>, D::Error> {
    let votes: Vec<Signed<VoteOnly>> = deserializer.deserialize_seq(Bounded(PhantomData))?;
    Ok(votes
        .into_iter()
        .map(
            |Signed {
                 author,
                 body,
                 signature,
             }| {
                let VoteOnly::Vote {
                    term,
                    candidate,
                    electorate,
                    timestamp,
                } = body;
                let body = ElectionMessage::Vote {
                    term,
                    candidate,
                    electorate,
                    timestamp,
                };
                Signed {
                    author,
                    body,
                    signature,
                }
            },
        )
        .collect())
}

/// The one shape of [`ElectionMessage`] that a certificate's vote may have.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum VoteOnly {
    Vote {
        term: u64,
        candidate: Did,
        #[serde(with = "cid_text")]
        electorate: Cid,
        timestamp: u64,
    },
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ELECTORATE} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX_ELECTORATE {
                return Err(A::Error::custom(format_args!(
                    "more than {MAX_ELECTORATE} items"
                )));
            }
            list.push(item);
        }
        Ok(list)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pagi_messages::{SigningIdentity, Verified, from_dag_cbor};

    use super::*;

    pub(crate) fn identities(n: usize) -> Vec<SigningIdentity> {
        let mut all: Vec<_> = (1..=n)
            .map(|i| SigningIdentity::from_seed(&[u8::try_from(i).unwrap(); 32]))
            .collect();
        all.sort_by(|a, b| a.did().cmp(b.did()));
        all
    }

    pub(crate) fn vote(
        voter: &SigningIdentity,
        term: u64,
        candidate: &Did,
        electorate: &[Did],
    ) -> Signed<ElectionMessage> {
        let body = ElectionMessage::Vote {
            term,
            candidate: candidate.clone(),
            electorate: electorate_digest(electorate).unwrap(),
            timestamp: 1,
        };
        Verified::sign(voter, body).unwrap().into_signed()
    }

    /// A certificate of the first `votes` of `electorate` members, for the first.
    pub(crate) fn certificate_of(electorate: usize, votes: usize, term: u64) -> Certificate {
        let members = identities(electorate);
        let dids: Vec<Did> = members.iter().map(|member| member.did().clone()).collect();
        let mo = dids[0].clone();
        let votes = members
            .iter()
            .take(votes)
            .map(|member| vote(member, term, &mo, &dids))
            .collect();
        Certificate {
            term,
            mo,
            electorate: dids,
            votes,
        }
    }

    #[test]
    fn a_majority_of_good_votes_holds_and_survives_encoding() {
        for (electorate, votes) in [(1, 1), (2, 2), (3, 2), (3, 3), (4, 3), (5, 3), (31, 16)] {
            let certificate = certificate_of(electorate, votes, 7);
            assert_eq!(certificate.verify(), Ok(()), "{votes} of {electorate}");
            let bytes = to_dag_cbor(&certificate).unwrap();
            let back: Certificate = from_dag_cbor(&bytes).unwrap();
            assert_eq!(back, certificate);
            assert_eq!(back.cid().unwrap(), certificate.cid().unwrap());
            assert_eq!(back.verify(), Ok(()));
        }
    }

    #[test]
    fn half_is_no_majority() {
        for (electorate, votes) in [(1, 0), (2, 1), (4, 2), (5, 2), (31, 15)] {
            assert_eq!(
                certificate_of(electorate, votes, 7).verify(),
                Err(CertificateError::NoMajority { votes, electorate })
            );
        }
    }

    #[test]
    fn every_forgery_is_found() {
        let good = certificate_of(5, 3, 7);
        let all = identities(6);
        let spoiled = |spoil: &dyn Fn(&mut Certificate)| {
            let mut certificate = good.clone();
            spoil(&mut certificate);
            certificate.verify().unwrap_err()
        };
        // A vote moved to another term, MO or electorate.
        assert!(matches!(
            spoiled(&|c| c.term = 8),
            CertificateError::WrongVote(_)
        ));
        assert!(matches!(
            spoiled(&|c| c.mo = c.electorate[1].clone()),
            CertificateError::WrongVote(_)
        ));
        assert!(matches!(
            spoiled(&|c| {
                c.electorate.pop();
            }),
            CertificateError::WrongVote(_)
        ));
        // One voter counted twice.
        assert_eq!(
            spoiled(&|c| c.votes[1] = c.votes[0].clone()),
            CertificateError::Repeated
        );
        // A vote from outside.
        let outsider = all
            .iter()
            .find(|i| !good.electorate.contains(i.did()))
            .unwrap();
        assert_eq!(
            spoiled(&|c| {
                c.votes[0] = vote(outsider, 7, &c.mo, &c.electorate);
                c.votes.sort_by(|a, b| a.author.cmp(&b.author));
            }),
            CertificateError::Outsider(outsider.did().clone())
        );
        // A vote put into another member's mouth.
        assert!(matches!(
            spoiled(&|c| c.votes[2].signature = c.votes[0].signature.clone()),
            CertificateError::WrongSignature(_)
        ));
        // Terms that are none, electorates that are none.
        assert_eq!(spoiled(&|c| c.term = 0), CertificateError::Term(0));
        assert_eq!(
            spoiled(&|c| c.term = TERM_MAX + 1),
            CertificateError::Term(TERM_MAX + 1)
        );
        assert_eq!(
            spoiled(&|c| c.electorate.reverse()),
            CertificateError::Electorate
        );
        assert_eq!(
            spoiled(&|c| c.electorate.clear()),
            CertificateError::Electorate
        );
    }

    #[test]
    fn a_heartbeat_in_place_of_a_vote_is_refused_while_it_is_read() {
        let mut certificate = certificate_of(1, 1, 7);
        let inner = certificate.clone();
        certificate.votes[0].body = ElectionMessage::Heartbeat {
            term: 7,
            timestamp: 0,
            seq: 0,
            certificate: inner,
        };
        assert!(certificate.verify().is_err());
        let bytes = to_dag_cbor(&certificate).unwrap();
        assert!(from_dag_cbor::<Certificate>(&bytes).is_err());
    }

    #[test]
    fn claims_are_ordered_by_term_then_size_then_cid() {
        let small_late = certificate_of(1, 1, 8);
        let large_early = certificate_of(5, 3, 7);
        assert_eq!(small_late.claim_cmp(&large_early), Ordering::Greater);
        assert_eq!(
            certificate_of(5, 3, 8).claim_cmp(&small_late),
            Ordering::Greater
        );
        let (one, two) = (certificate_of(5, 3, 7), certificate_of(5, 4, 7));
        let lower_is_one = one.cid().unwrap().to_bytes() < two.cid().unwrap().to_bytes();
        assert_eq!(one.claim_cmp(&two) == Ordering::Greater, lower_is_one);
        assert_eq!(two.claim_cmp(&one), one.claim_cmp(&two).reverse());
        assert_eq!(one.claim_cmp(&one.clone()), Ordering::Equal);
    }
}
