//! A body, its author's DID, and the author's signature.
//!
//! The signature covers `"pagi-signed/" + domain + 0x00 + DAG-CBOR(body)`, so a signature made for
//! one kind of message can never be passed off as another kind. A decision machine takes
//! [`Verified`] values only: there is no way to make one but by checking or by signing.

use serde::{Deserialize, Serialize};

use crate::{
    content::{ContentError, to_dag_cbor},
    did::{Did, DidError, SigningIdentity},
};

/// Names the kind of a signed body.
pub trait Domain: Serialize {
    /// The domain separation text, unique per kind of body and version.
    const DOMAIN: &'static str;
}

/// Why a signed body was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// The body has no canonical bytes.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The signature or DID is wrong.
    #[error(transparent)]
    Did(#[from] DidError),
}

/// A body with its author and signature, as it travels. Not checked yet: see [`Signed::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// Who signed.
    pub author: Did,
    /// What was signed.
    pub body: T,
    /// Base58btc multibase Ed25519 signature.
    pub signature: String,
}

/// A signed body whose signature was checked, or that was signed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    signed: Signed<T>,
}

fn signing_bytes<T: Domain>(body: &T) -> Result<Vec<u8>, ContentError> {
    let mut bytes = Vec::from(b"pagi-signed/");
    bytes.extend_from_slice(T::DOMAIN.as_bytes());
    bytes.push(0);
    bytes.extend(to_dag_cbor(body)?);
    Ok(bytes)
}

impl<T: Domain> Signed<T> {
    /// Checks the signature.
    ///
    /// # Errors
    /// [`SignedError`] where the body has no canonical form or the signature is not the author's.
    pub fn verify(self) -> Result<Verified<T>, SignedError> {
        let bytes = signing_bytes(&self.body)?;
        self.author.verify(&bytes, &self.signature)?;
        Ok(Verified { signed: self })
    }
}

impl<T: Domain> Verified<T> {
    /// Signs `body` as `identity`.
    ///
    /// # Errors
    /// [`ContentError::Encode`] where the body has no canonical bytes.
    pub fn sign(identity: &SigningIdentity, body: T) -> Result<Self, ContentError> {
        let signature = identity.sign(&signing_bytes(&body)?);
        Ok(Self {
            signed: Signed {
                author: identity.did().clone(),
                body,
                signature,
            },
        })
    }
}

impl<T> Verified<T> {
    /// Who signed.
    #[must_use]
    pub fn author(&self) -> &Did {
        &self.signed.author
    }

    /// What was signed.
    #[must_use]
    pub fn body(&self) -> &T {
        &self.signed.body
    }

    /// The form that travels.
    #[must_use]
    pub fn as_signed(&self) -> &Signed<T> {
        &self.signed
    }

    /// The form that travels, by value.
    #[must_use]
    pub fn into_signed(self) -> Signed<T> {
        self.signed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::from_dag_cbor;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Vote {
        term: u64,
    }
    impl Domain for Vote {
        const DOMAIN: &'static str = "test-vote/1";
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Other {
        term: u64,
    }
    impl Domain for Other {
        const DOMAIN: &'static str = "test-other/1";
    }

    #[test]
    fn a_round_trip_verifies_and_any_change_does_not() {
        let identity = SigningIdentity::from_seed(&[1; 32]);
        let verified = Verified::sign(&identity, Vote { term: 4 }).unwrap();
        let bytes = to_dag_cbor(verified.as_signed()).unwrap();
        let read: Signed<Vote> = from_dag_cbor(&bytes).unwrap();
        assert!(read.clone().verify().is_ok());

        let mut changed = read.clone();
        changed.body.term = 5;
        assert!(changed.verify().is_err());
        let mut stolen = read.clone();
        stolen.author = SigningIdentity::from_seed(&[2; 32]).did().clone();
        assert!(stolen.verify().is_err());
    }

    #[test]
    fn a_signature_of_one_kind_does_not_pass_as_another() {
        let identity = SigningIdentity::from_seed(&[1; 32]);
        let vote = Verified::sign(&identity, Vote { term: 4 })
            .unwrap()
            .into_signed();
        let other = Signed {
            author: vote.author,
            body: Other { term: 4 },
            signature: vote.signature,
        };
        assert!(other.verify().is_err());
    }
}
