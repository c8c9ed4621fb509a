//! Fetching revisions with everything that makes them believable, and checking the whole.
//!
//! A node believes no MO: of every revision it fetches the election certificate and each merged
//! artifact, and checks that the certificate elects the revision's author in the revision's term,
//! that each artifact is signed by its author, carries the very delta that was merged, and passes
//! the gates that protect ethics and secrets.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use cid::Cid;
use pagi_election::Certificate;
use pagi_messages::{
    Did, Verified,
    content::{check_cid, from_dag_cbor, to_dag_cbor},
    wire::MAX_BLOCK_BYTES,
};
use pagi_playbook::{Artifact, Limits, Revision, State, block, validate_artifact};

use crate::ports::{Content, NetworkError};

/// Revisions fetched for one announcement at the most; more history comes with the next.
const MAX_REVISIONS: usize = 10_000;

/// Why an announced revision was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A block is not to be had.
    #[error("{cid} cannot be fetched: {cause}")]
    Missing {
        /// The block.
        cid: Cid,
        /// The cause.
        cause: NetworkError,
    },
    /// A block is not what it should be.
    #[error("{cid} is not sound: {cause}")]
    Unsound {
        /// The block.
        cid: Cid,
        /// What is wrong with it.
        cause: String,
    },
    /// It took too long; it may be tried again when it is announced again.
    #[error("the unknown revisions did not arrive in time")]
    Slow,
    /// The history is longer than this node follows at once.
    #[error("more than {MAX_REVISIONS} unknown revisions")]
    TooLong,
}

impl BundleError {
    /// Whether whoever announced it is at fault, rather than the network.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::Unsound { .. })
    }
}

/// A revision that was checked, with what it rests on.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its CID.
    pub cid: Cid,
    /// The revision.
    pub revision: Verified<Revision>,
    /// Its block.
    pub bytes: Vec<u8>,
    /// The artifacts it merged, with their blocks.
    pub artifacts: Vec<(Cid, Verified<Artifact>, Vec<u8>)>,
    /// The certificate's block.
    pub certificate: Option<Vec<u8>>,
}

/// Fetches the unknown ancestry of `heads`, parents before children, each revision checked.
///
/// `known` are the revisions held already, the genesis among them. `state` is what the gates compare
/// with; it is asked nothing that depends on the order of revisions.
///
/// # Errors
/// [`BundleError`] with the first block that is missing or unsound; nothing is to be taken in then.
pub async fn fetch(
    content: &dyn Content,
    heads: &[Cid],
    providers: &[String],
    known: &BTreeSet<Cid>,
    state: &State,
) -> Result<Vec<Checked>, BundleError> {
    let mut found: BTreeMap<Cid, Checked> = BTreeMap::new();
    let mut wanted: Vec<Cid> = heads.to_vec();
    let mut certificates: BTreeMap<Cid, (Certificate, Vec<u8>)> = BTreeMap::new();
    while let Some(cid) = wanted.pop() {
        if known.contains(&cid) || found.contains_key(&cid) {
            continue;
        }
        if found.len() >= MAX_REVISIONS {
            return Err(BundleError::TooLong);
        }
        let bytes = get(content, &cid, providers).await?;
        let revision: Verified<Revision> =
            block::open(&cid, &bytes).map_err(|error| BundleError::Unsound {
                cid,
                cause: error.to_string(),
            })?;
        wanted.extend(revision.body().parents.iter().copied());
        let certificate =
            certificate(content, providers, &cid, &revision, &mut certificates).await?;
        let mut artifacts = Vec::new();
        for merged in &revision.body().merged {
            let bytes = get(content, &merged.artifact, providers).await?;
            let artifact = open_artifact(&merged.artifact, &bytes, Some(&merged.author), state)?;
            if artifact.body().delta != merged.delta {
                return Err(BundleError::Unsound {
                    cid,
                    cause: format!("it merges another delta than {} holds", merged.artifact),
                });
            }
            artifacts.push((merged.artifact, artifact, bytes));
        }
        found.insert(
            cid,
            Checked {
                cid,
                revision,
                bytes,
                artifacts,
                certificate,
            },
        );
    }
    let mut ordered: Vec<Checked> = found.into_values().collect();
    // A parent's number is always lower than its child's.
    ordered.sort_by_key(|checked| (checked.revision.body().lamport, checked.cid));
    Ok(ordered)
}

async fn certificate(
    content: &dyn Content,
    providers: &[String],
    cid: &Cid,
    revision: &Verified<Revision>,
    cache: &mut BTreeMap<Cid, (Certificate, Vec<u8>)>,
) -> Result<Option<Vec<u8>>, BundleError> {
    let unsound = |cause: String| BundleError::Unsound { cid: *cid, cause };
    let Some(at) = revision.body().certificate else {
        return Err(unsound("it names no election certificate".into()));
    };
    let (certificate, bytes) = match cache.entry(at) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let bytes = get(content, &at, providers).await?;
            entry.insert((open_certificate(&at, &bytes)?, bytes))
        }
    };
    let (author, term) = (revision.author(), revision.body().term);
    if certificate.mo != *author || certificate.term != term {
        return Err(unsound(format!(
            "its certificate elects {} in term {}, not {author} in term {term}",
            certificate.mo, certificate.term
        )));
    }
    Ok(Some(bytes.clone()))
}

/// Reads and verifies a certificate block.
///
/// # Errors
/// [`BundleError::Unsound`].
pub fn open_certificate(cid: &Cid, bytes: &[u8]) -> Result<Certificate, BundleError> {
    let unsound = |cause: String| BundleError::Unsound { cid: *cid, cause };
    check_cid(cid, bytes).map_err(|error| unsound(error.to_string()))?;
    let certificate: Certificate =
        from_dag_cbor(bytes).map_err(|error| unsound(error.to_string()))?;
    // One certificate has one block, as one artifact and one revision have.
    let canonical = to_dag_cbor(&certificate).map_err(|error| unsound(error.to_string()))?;
    if canonical != bytes {
        return Err(unsound("it is not in canonical form".to_owned()));
    }
    certificate
        .verify()
        .map_err(|error| unsound(error.to_string()))?;
    Ok(certificate)
}

/// Reads an artifact block and passes it through every gate but novelty, which is the MO's to judge
/// at the time of merging.
///
/// # Errors
/// [`BundleError::Unsound`].
pub fn open_artifact(
    cid: &Cid,
    bytes: &[u8],
    author: Option<&Did>,
    state: &State,
) -> Result<Verified<Artifact>, BundleError> {
    let unsound = |cause: String| BundleError::Unsound { cid: *cid, cause };
    let artifact: Verified<Artifact> =
        block::open(cid, bytes).map_err(|error| unsound(error.to_string()))?;
    if author.is_some_and(|author| author != artifact.author()) {
        return Err(unsound(format!("it is signed by {}", artifact.author())));
    }
    // What counts may point at, and what is new, depends on the history it was merged into; the
    // gates judge that last, so an artifact that only falls short there passed all others.
    match validate_artifact(state, artifact.body(), &Limits::default()) {
        Err(refusal) if !refusal.is_relative() => {
            Err(unsound(format!("the {} gate: {refusal}", refusal.gate())))
        }
        _ => Ok(artifact),
    }
}

async fn get(
    content: &dyn Content,
    cid: &Cid,
    providers: &[String],
) -> Result<Vec<u8>, BundleError> {
    let bytes = content
        .get(cid, providers)
        .await
        .map_err(|cause| BundleError::Missing { cid: *cid, cause })?;
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(BundleError::Unsound {
            cid: *cid,
            cause: format!("{} bytes", bytes.len()),
        });
    }
    check_cid(cid, &bytes).map_err(|error| BundleError::Unsound {
        cid: *cid,
        cause: error.to_string(),
    })?;
    Ok(bytes)
}
