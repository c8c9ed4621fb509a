//! Verifiable credentials: signed statements of one DID about another, that anybody can check offline.
//!
//! Sources: W3C Verifiable Credentials Data Model 2.0, Data Integrity 1.0, and Data Integrity EdDSA
//! Cryptosuites 1.0. Issued is `eddsa-rdfc-2022`; that, `eddsa-jcs-2022` and the older
//! `Ed25519Signature2020` are verified. Nothing here has a clock, a network or a random number.
//!
//! - [`proof`]: the cryptosuites;
//! - [`credential`]: the credentials this node issues and believes;
//! - [`status`]: lists of what was taken back;
//! - [`context`]: the terms they use, carried inside each credential, so that a verifier fetches nothing.
//!
//! A proof over the canonical JSON covers the whole document, one over its RDF only what JSON-LD gives a
//! meaning. A term that no context maps has none, so a credential that uses one is refused either way.

pub mod context;
pub mod credential;
pub mod error;
pub mod proof;
mod rdf;
pub mod status;

pub use credential::{
    Claims, Verified, issue, issue_capability, issue_membership, issue_reputation, verify,
};
pub use error::{CredentialError, ProofError};
pub use proof::Suite;
pub use status::{StatusEntry, StatusList, list_id};
