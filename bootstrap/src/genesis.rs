//! The swarm's genesis: what a swarm is, who founded it and who may join, as one block.
//!
//! The block is strict DAG-CBOR and its CID (CIDv1, dag-cbor, sha2-256) is the swarm's id, so
//! nobody can change a swarm's rules without making another swarm.

use cid::Cid;
use pagi_messages::{
    Did, cid_of,
    content::{ContentError, check_cid, from_dag_cbor, to_dag_cbor},
    wire::is_swarm_name,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// Most founders of a swarm.
pub const MAX_FOUNDERS: usize = 16;
/// Largest genesis block, in bytes.
pub const MAX_GENESIS_BYTES: usize = 4 * 1024;
/// The form of genesis this code reads and writes.
const VERSION: u8 = 1;
/// Characters of the swarm's id in its network name.
const ID_CHARS: usize = 16;
/// Characters of the swarm's name in its network name.
const NAME_CHARS: usize = 32 - ID_CHARS - 1;

/// Why a genesis does not hold.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The name is not a swarm name.
    #[error("a swarm's name is 1 to 32 of a-z, 0-9, - and _, and begins with a letter or digit")]
    Name,
    /// No founders, or too many.
    #[error("a swarm has 1 to {MAX_FOUNDERS} founders, not {0}")]
    Founders(usize),
    /// The founders are not in ascending order, or one is named twice.
    #[error("the founders must be in ascending order, each once")]
    FounderOrder,
    /// A limit that lets nobody in.
    #[error("the swarm's limits must be above zero and leave room for its founders")]
    Limits,
    /// The block is larger than any genesis.
    #[error("a genesis block has at most {MAX_GENESIS_BYTES} bytes, not {0}")]
    TooLarge(usize),
    /// A form of a later release.
    #[error("genesis version {0} is not known here: a newer `pagi` may read it")]
    Version(u8),
    /// The bytes are not the one canonical form of what they say.
    #[error("the block is not in canonical form")]
    NotCanonical,
    /// The bytes are not a genesis, or not the one that was asked for.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Who may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Anyone who is not revoked.
    Open,
    /// Founders, and whoever shows an invitation.
    Invited,
}

/// The swarm's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmLimits {
    /// Most members, founders included. Counted where admission is [`Admission::Invited`].
    pub max_members: u32,
    /// Longest validity of an invitation or a delegation, in milliseconds.
    pub max_validity_ms: u64,
}

impl Default for SwarmLimits {
    fn default() -> Self {
        Self {
            max_members: 10_000,
            max_validity_ms: 400 * 24 * 3_600_000,
        }
    }
}

/// What a swarm is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmGenesis {
    /// The form of this block; 1.
    pub version: u8,
    /// The swarm's name: see [`is_swarm_name`].
    pub name: String,
    /// Who may invite, delegate and revoke: in ascending order, each once.
    pub founders: Vec<Did>,
    /// Who may join.
    pub admission: Admission,
    /// Bounds.
    pub limits: SwarmLimits,
    /// The genesis of the swarm's playbook.
    pub playbook: Cid,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Keeps two swarms of one name apart. Random, from whoever makes the swarm.
    pub nonce: ByteArray<16>,
}

impl SwarmGenesis {
    /// A genesis with founders in the order the block needs. A founder named twice counts once.
    ///
    /// # Errors
    /// [`GenesisError`] where a part does not hold.
    pub fn new(
        name: &str,
        mut founders: Vec<Did>,
        admission: Admission,
        limits: SwarmLimits,
        playbook: Cid,
        created_ms: u64,
        nonce: [u8; 16],
    ) -> Result<Self, GenesisError> {
        founders.sort();
        founders.dedup();
        let genesis = Self {
            version: VERSION,
            name: name.to_owned(),
            founders,
            admission,
            limits,
            playbook,
            created_ms,
            nonce: ByteArray::new(nonce),
        };
        genesis.check()?;
        Ok(genesis)
    }

    fn check(&self) -> Result<(), GenesisError> {
        if self.version != VERSION {
            return Err(GenesisError::Version(self.version));
        }
        if !is_swarm_name(&self.name) {
            return Err(GenesisError::Name);
        }
        if !(1..=MAX_FOUNDERS).contains(&self.founders.len()) {
            return Err(GenesisError::Founders(self.founders.len()));
        }
        if !self.founders.is_sorted_by(|a, b| a < b) {
            return Err(GenesisError::FounderOrder);
        }
        let founders = u32::try_from(self.founders.len()).unwrap_or(u32::MAX);
        if self.limits.max_members < founders || self.limits.max_validity_ms == 0 {
            return Err(GenesisError::Limits);
        }
        Ok(())
    }

    /// Whether `did` founded the swarm.
    #[must_use]
    pub fn is_founder(&self, did: &Did) -> bool {
        self.founders.binary_search(did).is_ok()
    }

    /// The block of this genesis.
    ///
    /// # Errors
    /// [`GenesisError`] where a part does not hold or the block would be too large.
    pub fn seal(self) -> Result<SwarmBlock, GenesisError> {
        self.check()?;
        let bytes = to_dag_cbor(&self)?;
        if bytes.len() > MAX_GENESIS_BYTES {
            return Err(GenesisError::TooLarge(bytes.len()));
        }
        Ok(SwarmBlock {
            id: cid_of(&bytes),
            bytes,
            genesis: self,
        })
    }
}

/// A checked genesis with its block and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmBlock {
    id: Cid,
    bytes: Vec<u8>,
    genesis: SwarmGenesis,
}

impl SwarmBlock {
    /// Reads and checks a block.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn open(bytes: &[u8]) -> Result<Self, GenesisError> {
        if bytes.len() > MAX_GENESIS_BYTES {
            return Err(GenesisError::TooLarge(bytes.len()));
        }
        let genesis: SwarmGenesis = from_dag_cbor(bytes)?;
        let block = genesis.seal()?;
        if block.bytes == bytes {
            Ok(block)
        } else {
            Err(GenesisError::NotCanonical)
        }
    }

    /// Reads and checks the block of the swarm `id`.
    ///
    /// # Errors
    /// [`GenesisError`]; the bytes of another swarm are [`ContentError::WrongHash`].
    pub fn open_as(id: &Cid, bytes: &[u8]) -> Result<Self, GenesisError> {
        check_cid(id, bytes)?;
        Self::open(bytes)
    }

    /// The swarm's id.
    #[must_use]
    pub fn id(&self) -> &Cid {
        &self.id
    }

    /// The block.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the block says.
    #[must_use]
    pub fn genesis(&self) -> &SwarmGenesis {
        &self.genesis
    }

    /// A swarm name for topics and protocol names that two swarms of one name do not share: the
    /// name, cut to 15 characters, and the last 16 characters (80 bits) of the id.
    #[must_use]
    pub fn network_name(&self) -> String {
        let id = self.id.to_string();
        let tail = id.get(id.len().saturating_sub(ID_CHARS)..).unwrap_or(&id);
        let name = self.genesis.name.get(..NAME_CHARS);
        format!("{}-{tail}", name.unwrap_or(&self.genesis.name))
    }
}
