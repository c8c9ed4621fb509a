//! Verifiable credentials: signed statements of one DID about another, that anybody can check offline.
//!
//! Sources: W3C Verifiable Credentials Data Model 2.0, Data Integrity 1.0, and Data Integrity EdDSA
//! Cryptosuites 1.0 (`eddsa-jcs-2022`). Nothing here has a clock, a network or a random number.
//!
//! - [`proof`]: the cryptosuite, for any JSON document;
//! - [`credential`]: the credentials this node issues and believes;
//! - [`status`]: lists of what was taken back;
//! - [`context`]: the terms they use, carried inside each credential, so that a verifier fetches nothing.
//!
//! A proof over the canonical JSON covers the whole document. JSON-LD meaning is a different matter: a
//! term that no context maps has none, so a credential that uses one is refused although it is signed.

pub mod context;
pub mod credential;
pub mod error;
pub mod proof;
pub mod status;

pub use credential::{
    Claims, Verified, issue, issue_capability, issue_membership, issue_reputation, verify,
};
pub use error::{CredentialError, ProofError};
pub use status::{StatusEntry, StatusList, list_id};
