//! Why a proof or a credential is not accepted.

use pagi_messages::{Did, DidError};

/// Why the proof of a document does not hold, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The document is not a JSON object.
    #[error("the document is not a JSON object")]
    NotAnObject,
    /// The document has no proof.
    #[error("the document has no proof")]
    Missing,
    /// The document has a proof already.
    #[error("the document has a proof already")]
    Present,
    /// A member of the proof is missing or has the wrong form.
    #[error("the proof's `{member}` {reason}")]
    Malformed {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The proof is of a type and cryptosuite that is not spoken here.
    #[error(
        "the proof is of type `{proof_type}` and cryptosuite `{cryptosuite}`, which is none of eddsa-jcs-2022, eddsa-rdfc-2022 and Ed25519Signature2020"
    )]
    UnsupportedSuite {
        /// Its `type`, cut to 64 characters.
        proof_type: String,
        /// Its `cryptosuite`, cut to 64 characters.
        cryptosuite: String,
    },
    /// The proof serves another purpose than the one asked for.
    #[error("the proof's purpose is `{0}`, not assertionMethod")]
    WrongPurpose(String),
    /// The proof has a member this suite does not know, so its meaning would be passed over.
    #[error("the proof has a member `{0}` that is not understood")]
    UnknownMember(String),
    /// The verification method does not name the signing key of a did:key.
    #[error("the verification method `{0}` is not the signing key of an Ed25519 did:key")]
    UnknownMethod(String),
    /// The document's context does not start with the proof's.
    #[error("the proof was made under another @context than the document has")]
    ForeignContext,
    /// The signature does not match: a claim, or the proof itself, was changed.
    #[error(
        "the signature of {signer} does not match: the document was changed after it was signed"
    )]
    WrongSignature {
        /// Who is said to have signed.
        signer: Did,
    },
    /// The proof's own end has passed.
    #[error("the proof expired at {expires}, it is now {now}")]
    Expired {
        /// Seconds since 1970.
        expires: i64,
        /// Seconds since 1970.
        now: u64,
    },
    /// The contexts are not known here, so what the document means is not either.
    #[error("the document's @context is not one this node knows, so its meaning is not known")]
    UnknownContext,
    /// A term or value that has no meaning under the contexts, and that no signature would cover.
    #[error("the term or value `{0}` means nothing under the document's @context")]
    UnmappedTerm(String),
    /// A number whose canonical form is that of another number too.
    #[error(
        "the number {0} cannot be told from its neighbours in canonical form: it is beyond ±(2^53 − 1), or has too many digits"
    )]
    InexactNumber(String),
    /// The document could not be brought to its canonical form.
    #[error("the document has no canonical form: {0}")]
    NotCanonical(String),
}

/// Why a credential was not issued or is not believed. Each reason is told apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A member is missing or has the wrong form.
    #[error("the credential's `{member}` {reason}")]
    Malformed {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The credential's contexts are not the ones this node knows.
    #[error("the credential's @context is not the one of this node's credentials")]
    UnknownContext,
    /// A term that no context maps, so that it means nothing.
    #[error("the term `{0}` is mapped by no context of the credential")]
    UnmappedTerm(String),
    /// The credential is of no type that is known here.
    #[error("the credential is of no known type: {0}")]
    UnknownType(String),
    /// The proof was made with the key of somebody other than the issuer.
    #[error("the credential says it is issued by {issuer}, but {signer} signed it")]
    ForeignIssuer {
        /// Who is named as issuer.
        issuer: Did,
        /// Whose key signed.
        signer: Did,
    },
    /// A DID in the credential is not an Ed25519 did:key.
    #[error("the credential's {role} is not usable: {error}")]
    Did {
        /// `issuer` or `credentialSubject.id`.
        role: &'static str,
        /// What is wrong with it.
        error: DidError,
    },
    /// The credential's time is still to come.
    #[error("the credential is valid only from {valid_from}, it is now {now}")]
    NotYetValid {
        /// Seconds since 1970.
        valid_from: i64,
        /// Seconds since 1970.
        now: u64,
    },
    /// The issuer took it back.
    #[error("the credential was revoked by its issuer")]
    Revoked,
    /// The status list is not the one the credential names.
    #[error("the status list is not the one the credential names")]
    ForeignList,
    /// The credential's time is up.
    #[error("the credential was valid until {valid_until}, it is now {now}")]
    Expired {
        /// Seconds since 1970.
        valid_until: i64,
        /// Seconds since 1970.
        now: u64,
    },
}
