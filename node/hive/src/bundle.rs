//! Fetching revisions with everything that makes them believable, and checking the whole.
//!
//! Of every revision a node fetches the election certificate, each merged artifact and the report of
//! the evaluation, and checks that the certificate elects the revision's author in the revision's
//! term, that the term is not beyond the office and not below its parents', that each artifact is
//! signed by its author, carries the very delta that was merged, and passes the gates that protect
//! ethics and secrets. Whether the certificate itself is worth anything is judged by
//! [`belief`](crate::belief).
//!
//! A long history is fetched in stages: first its links alone, from the head down, then the oldest
//! revisions with all they rest on; the next stage goes on where this one ended.

use std::collections::{BTreeMap, btree_map::Entry};

use cid::Cid;
use pagi_election::Certificate;
use pagi_messages::{
    Did, Verified,
    content::{check_cid, from_dag_cbor, to_dag_cbor},
    wire::MAX_BLOCK_BYTES,
};
use pagi_playbook::{
    Artifact, Limits, Revision, State, block, evaluation::Report, validate_artifact,
};

use crate::ports::{Content, NetworkError};

/// Revisions of one stage.
pub const STAGE_REVISIONS: usize = 2_000;
/// Bytes of one stage: revisions, certificates, artifacts and reports.
pub const STAGE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes read to find the links of a history.
const WALK_BYTES: usize = 1024 * 1024 * 1024;
/// Unknown revisions whose links are followed.
const WALK_REVISIONS: usize = 1_000_000;
/// Bytes of revisions kept from the walk for the stage.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Artifacts merged by one revision at the most.
pub const MAX_MERGED: usize = 256;

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
    /// It took too long; it is tried again, and what arrived is not fetched anew.
    #[error("the unknown revisions did not arrive in time")]
    Slow,
    /// The history is longer or larger than this node follows.
    #[error("more unknown history than this node follows")]
    TooLong,
    /// Nothing is wrong with it, but it may not be taken in now.
    #[error("not believed now: {0}")]
    NotYet(String),
}

impl BundleError {
    /// Whether whoever announced it is at fault, rather than the network.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::Unsound { .. } | Self::TooLong)
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
    /// Other blocks it rests on: the certificate, the evaluation's report.
    pub others: Vec<Vec<u8>>,
}

/// Some of the unknown history of a head.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Checked revisions, parents before children; what they follow is known already.
    pub revisions: Vec<Checked>,
    /// There is more between these and the head.
    pub more: bool,
}

/// Where blocks are fetched from, and what they are checked against.
pub struct Quest<'a> {
    /// Blocks by CID.
    pub content: &'a dyn Content,
    /// Peer ids to ask first.
    pub providers: &'a [String],
    /// The term of each revision held already, and of the genesis (0).
    pub known: &'a BTreeMap<Cid, u64>,
    /// What the gates compare with; it is asked nothing that depends on the order of revisions.
    pub state: &'a State,
    /// The highest term a revision may have.
    pub ceiling: u64,
}

/// What the walk notes of a revision.
struct Link {
    lamport: u64,
    term: u64,
}

impl Quest<'_> {
    /// A head and its certificate, checked as far as they go without its ancestors.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn head(&self, cid: &Cid) -> Result<(Cid, Certificate), BundleError> {
        let bytes = self.get(cid).await?;
        let revision: Verified<Revision> = open(cid, &bytes)?;
        let at = revision
            .body()
            .certificate
            .ok_or_else(|| unsound(cid, "it names no election certificate"))?;
        let bytes = self.get(&at).await?;
        let certificate = open_certificate(&at, &bytes)?;
        elects(cid, &certificate, &revision)?;
        Ok((at, certificate))
    }

    /// Fetches the oldest unknown ancestors of `head`, and `head` itself where they are not too many.
    ///
    /// # Errors
    /// [`BundleError`] with the first block that is missing or unsound; nothing is to be taken in
    /// then.
    pub async fn fetch(&self, head: &Cid) -> Result<Bundle, BundleError> {
        let (links, mut kept) = self.walk(head).await?;
        let mut order: Vec<(u64, Cid)> = links
            .iter()
            .map(|(cid, link)| (link.lamport, *cid))
            .collect();
        // A parent's number is lower than its child's: the oldest so many need no others.
        order.sort();
        let all = order.len();
        let mut certificates = BTreeMap::new();
        let (mut revisions, mut spent) = (Vec::new(), 0);
        for (_, cid) in order.into_iter().take(STAGE_REVISIONS) {
            let bytes = match kept.remove(&cid) {
                Some(bytes) => bytes,
                None => self.get(&cid).await?,
            };
            let checked = self.check(cid, bytes, &links, &mut certificates).await?;
            spent += size(&checked);
            if spent > STAGE_BYTES && !revisions.is_empty() {
                break;
            }
            revisions.push(checked);
        }
        let more = revisions.len() < all;
        Ok(Bundle { revisions, more })
    }

    /// Follows the links of the unknown history, from the head down.
    async fn walk(
        &self,
        head: &Cid,
    ) -> Result<(BTreeMap<Cid, Link>, BTreeMap<Cid, Vec<u8>>), BundleError> {
        let (mut links, mut kept) = (BTreeMap::new(), BTreeMap::new());
        let (mut read, mut wanted) = (0, vec![*head]);
        while let Some(cid) = wanted.pop() {
            if self.known.contains_key(&cid) || links.contains_key(&cid) {
                continue;
            }
            let bytes = self.get(&cid).await?;
            read += bytes.len();
            if links.len() >= WALK_REVISIONS || read > WALK_BYTES {
                return Err(BundleError::TooLong);
            }
            let revision: Verified<Revision> = open(&cid, &bytes)?;
            let body = revision.body();
            if body.term > self.ceiling {
                return Err(BundleError::NotYet(format!(
                    "{cid} is of term {}, beyond {}, that of the office",
                    body.term, self.ceiling
                )));
            }
            wanted.extend(body.parents.iter().copied());
            let link = Link {
                lamport: body.lamport,
                term: body.term,
            };
            links.insert(cid, link);
            if read <= KEPT_BYTES {
                kept.insert(cid, bytes);
            }
        }
        Ok((links, kept))
    }

    async fn check(
        &self,
        cid: Cid,
        bytes: Vec<u8>,
        links: &BTreeMap<Cid, Link>,
        certificates: &mut BTreeMap<Cid, (Certificate, Vec<u8>)>,
    ) -> Result<Checked, BundleError> {
        let revision: Verified<Revision> = open(&cid, &bytes)?;
        let body = revision.body();
        for parent in &body.parents {
            let link = links.get(parent);
            let lamport = link.map_or(0, |link| link.lamport);
            let term = link
                .map(|link| link.term)
                .or_else(|| self.known.get(parent).copied());
            // Or the order of stages and of writes could be turned round.
            if lamport >= body.lamport || term.is_some_and(|term| term > body.term) {
                return Err(unsound(&cid, "its term or number is below its parents'"));
            }
        }
        if body.merged.len() > MAX_MERGED {
            return Err(unsound(&cid, "it merges too many artifacts at once"));
        }
        let at = body
            .certificate
            .ok_or_else(|| unsound(&cid, "it names no election certificate"))?;
        let (certificate, certificate_bytes) = match certificates.entry(at) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let bytes = self.get(&at).await?;
                entry.insert((open_certificate(&at, &bytes)?, bytes))
            }
        };
        elects(&cid, certificate, &revision)?;
        let mut others = vec![certificate_bytes.clone()];
        if let Some(report) = body.evaluation {
            let bytes = self.get(&report).await?;
            accepted(&report, &bytes)?;
            others.push(bytes);
        }
        let mut artifacts = Vec::new();
        for merged in &body.merged {
            if !merged.delta.revert.is_empty() && merged.author != *revision.author() {
                return Err(unsound(&cid, "it reverts at the word of someone else"));
            }
            let bytes = self.get(&merged.artifact).await?;
            let author = Some(&merged.author);
            let artifact = open_artifact(&merged.artifact, &bytes, author, self.state)?;
            if artifact.body().delta != merged.delta {
                let cause = format!("it merges another delta than {} holds", merged.artifact);
                return Err(unsound(&cid, cause));
            }
            artifacts.push((merged.artifact, artifact, bytes));
        }
        Ok(Checked {
            cid,
            revision,
            bytes,
            artifacts,
            others,
        })
    }

    async fn get(&self, cid: &Cid) -> Result<Vec<u8>, BundleError> {
        get(self.content, cid, self.providers).await
    }
}

fn size(checked: &Checked) -> usize {
    let artifacts = checked.artifacts.iter().map(|(_, _, bytes)| bytes.len());
    let others = checked.others.iter().map(Vec::len);
    checked.bytes.len() + artifacts.sum::<usize>() + others.sum::<usize>()
}

fn unsound(cid: &Cid, cause: impl Into<String>) -> BundleError {
    BundleError::Unsound {
        cid: *cid,
        cause: cause.into(),
    }
}

fn open<T: pagi_messages::Domain + serde::de::DeserializeOwned>(
    cid: &Cid,
    bytes: &[u8],
) -> Result<Verified<T>, BundleError> {
    block::open(cid, bytes).map_err(|error| unsound(cid, error.to_string()))
}

fn elects(
    cid: &Cid,
    certificate: &Certificate,
    revision: &Verified<Revision>,
) -> Result<(), BundleError> {
    let (author, term) = (revision.author(), revision.body().term);
    if certificate.mo == *author && certificate.term == term {
        return Ok(());
    }
    Err(unsound(
        cid,
        format!(
            "its certificate elects {} in term {}, not {author} in term {term}",
            certificate.mo, certificate.term
        ),
    ))
}

fn accepted(cid: &Cid, bytes: &[u8]) -> Result<(), BundleError> {
    let report: Report = from_dag_cbor(bytes).map_err(|error| unsound(cid, error.to_string()))?;
    report
        .verdict()
        .map_err(|worse| unsound(cid, format!("its own evaluation refuses it: {worse}")))
}

/// Reads and verifies a certificate block.
///
/// # Errors
/// [`BundleError::Unsound`].
pub fn open_certificate(cid: &Cid, bytes: &[u8]) -> Result<Certificate, BundleError> {
    check_cid(cid, bytes).map_err(|error| unsound(cid, error.to_string()))?;
    let certificate: Certificate =
        from_dag_cbor(bytes).map_err(|error| unsound(cid, error.to_string()))?;
    // One certificate has one block, as one artifact and one revision have.
    let canonical = to_dag_cbor(&certificate).map_err(|error| unsound(cid, error.to_string()))?;
    if canonical != bytes {
        return Err(unsound(cid, "it is not in canonical form".to_owned()));
    }
    certificate
        .verify()
        .map_err(|error| unsound(cid, error.to_string()))?;
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
    let artifact: Verified<Artifact> = open(cid, bytes)?;
    if author.is_some_and(|author| author != artifact.author()) {
        return Err(unsound(
            cid,
            format!("it is signed by {}", artifact.author()),
        ));
    }
    // What counts may point at, and what is new, depends on the history it was merged into; the
    // gates judge that last, so an artifact that only falls short there passed all others.
    match validate_artifact(state, artifact.body(), &Limits::default()) {
        Err(refusal) if !refusal.is_relative() => Err(unsound(
            cid,
            format!("the {} gate: {refusal}", refusal.gate()),
        )),
        _ => Ok(artifact),
    }
}

/// One block, its size and hash checked.
///
/// # Errors
/// [`BundleError::Missing`] and [`BundleError::Unsound`].
pub async fn get(
    content: &dyn Content,
    cid: &Cid,
    providers: &[String],
) -> Result<Vec<u8>, BundleError> {
    let bytes = content
        .get(cid, providers)
        .await
        .map_err(|cause| BundleError::Missing { cid: *cid, cause })?;
    if bytes.len() > MAX_BLOCK_BYTES {
        let cause = format!("the size gate: {} bytes in one block", bytes.len());
        return Err(unsound(cid, cause));
    }
    check_cid(cid, &bytes).map_err(|error| unsound(cid, error.to_string()))?;
    Ok(bytes)
}
