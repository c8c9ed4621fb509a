//! Genesis and revisions: the blocks of the playbook DAG.

use cid::Cid;
use pagi_messages::{
    Did, Domain, cid_of,
    content::{ContentError, to_dag_cbor},
    wire,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    delta::Delta,
    document::{self, DocumentError},
    toml_form,
};

/// Where a swarm's playbook starts. Nodes with the same swarm name and document have the same
/// genesis CID. Its block is unsigned: it is what a swarm is founded on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The swarm's name.
    pub swarm: String,
    /// The playbook as a tree of settings; `learned` may hold cases and bullets to start with.
    pub document: Value,
}

/// Why a genesis was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The swarm's name is not allowed.
    #[error("`{0}` cannot be a swarm's name: use 1 to 32 of a-z, 0-9, - and _")]
    SwarmName(String),
    /// The document is not a playbook.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The genesis has no block form.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The block is too large.
    #[error(
        "the genesis block has {bytes} bytes, more than {}",
        wire::MAX_BLOCK_BYTES
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Genesis {
    /// A genesis from a playbook document.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn new(swarm: impl Into<String>, document: Value) -> Result<Self, GenesisError> {
        let genesis = Self {
            swarm: swarm.into(),
            document,
        };
        genesis.check()?;
        Ok(genesis)
    }

    /// A genesis from the TOML form of a playbook.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn from_toml(swarm: impl Into<String>, toml: &str) -> Result<Self, GenesisError> {
        Self::new(swarm, toml_form::parse_toml(toml)?)
    }

    /// Its CID and the bytes of its block.
    ///
    /// # Errors
    /// [`ContentError::Encode`].
    pub fn block(&self) -> Result<(Cid, Vec<u8>), ContentError> {
        let bytes = to_dag_cbor(self)?;
        Ok((cid_of(&bytes), bytes))
    }

    /// Checks name, document and size, and gives the CID.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn check(&self) -> Result<Cid, GenesisError> {
        if !wire::is_swarm_name(&self.swarm) {
            return Err(GenesisError::SwarmName(crate::delta::cut(&self.swarm)));
        }
        document::check(&self.document)?;
        let (cid, bytes) = self.block()?;
        if bytes.len() > wire::MAX_BLOCK_BYTES {
            return Err(GenesisError::TooLarge { bytes: bytes.len() });
        }
        Ok(cid)
    }
}

/// One artifact inside a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merged {
    /// The signed artifact's block.
    #[serde(with = "crate::link::one")]
    pub artifact: Cid,
    /// Who signed the artifact.
    pub author: Did,
    /// What was merged of it.
    pub delta: Delta,
}

/// A step of the playbook's history. It travels signed by the MO's DID, as a DAG-CBOR block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// What it follows, sorted and distinct: revisions, or the genesis alone.
    #[serde(with = "crate::link::list")]
    pub parents: Vec<Cid>,
    /// One more than the highest among its parents; the genesis has 0.
    pub lamport: u64,
    /// The election term it was made in.
    pub term: u64,
    /// The election certificate of that term, where there was an election.
    #[serde(with = "crate::link::option")]
    pub certificate: Option<Cid>,
    /// The artifacts it merged; none where it only joins forks.
    pub merged: Vec<Merged>,
    /// The report of the evaluation that let them in.
    #[serde(with = "crate::link::option")]
    pub evaluation: Option<Cid>,
    /// Milliseconds since the Unix epoch, by its author's clock.
    pub timestamp: u64,
}

impl Domain for Revision {
    const DOMAIN: &'static str = "revision/1";
}
