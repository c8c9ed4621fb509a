//! The join ticket: all that a newcomer needs, in one string to copy.
//!
//! `pagi://join/` and then base64url without padding of: one version byte, the ticket as strict
//! DAG-CBOR, and the first eight bytes of SHA-256 over both. The checksum finds typing and copying
//! mistakes; what the ticket says rests on the CID of the swarm and on signatures.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cid::Cid;
use pagi_messages::{
    Did, Signed,
    content::{ContentError, from_dag_cbor, to_dag_cbor},
};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    address::{AddressError, BootstrapAddress},
    claim::key_of,
    genesis::{GenesisError, SwarmBlock},
    invitation::{Invitation, Refusal, judge},
};

/// How every ticket begins.
pub const TICKET_PREFIX: &str = "pagi://join/";
/// Longest ticket, in characters.
pub const MAX_LINK_CHARS: usize = 16 * 1024;
/// Most bootstrap addresses in a ticket.
pub const MAX_TICKET_ADDRESSES: usize = 16;
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// What is wrong with a ticket.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// It does not begin as tickets do.
    #[error("an invitation to a swarm begins with {TICKET_PREFIX}")]
    Prefix,
    /// It is longer than any ticket.
    #[error("an invitation has at most {MAX_LINK_CHARS} characters")]
    TooLong,
    /// A character that no ticket has.
    #[error("the invitation is not base64url: part of it may be missing or altered")]
    Encoding,
    /// Cut off, or altered.
    #[error("the invitation's checksum does not hold: part of it is missing or altered")]
    Checksum,
    /// A form of a later release.
    #[error("invitation version {0} is not known here: a newer `pagi` may read it")]
    Version(u8),
    /// Not the one canonical form of what it says.
    #[error("the invitation is not in canonical form")]
    NotCanonical,
    /// Its bytes are not those of a ticket.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Too many addresses.
    #[error("an invitation holds at most {MAX_TICKET_ADDRESSES} addresses, not {0}")]
    TooManyAddresses(usize),
    /// An address does not hold.
    #[error("address {position}: {source}")]
    Address {
        /// Which one, from 1.
        position: usize,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The swarm's genesis does not hold.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The secret is not that of the invitation.
    #[error("the invitation inside is not the one this string was made for")]
    WrongSecret,
    /// The invitation inside is for another swarm.
    #[error("the invitation inside is for swarm {0}, not for this one")]
    WrongSwarm(Cid),
}

/// A secret of 32 bytes: a swarm's pre-shared key, or that of a join string. Never printed; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SwarmKey([u8; 32]);

impl SwarmKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SwarmKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SwarmKey(…)")
    }
}

impl Drop for SwarmKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Which swarm a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwarmRef {
    /// The whole genesis.
    Block(Box<SwarmBlock>),
    /// Its id; the genesis is fetched from the swarm.
    Id(Cid),
}

impl SwarmRef {
    /// The swarm's id.
    #[must_use]
    pub fn id(&self) -> &Cid {
        match self {
            Self::Block(block) => block.id(),
            Self::Id(id) => id,
        }
    }
}

/// All that a newcomer needs. A ticket with a key, or without an invitee, is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTicket {
    /// Whom to dial, at most [`MAX_TICKET_ADDRESSES`].
    pub bootstrap: Vec<BootstrapAddress>,
    /// The swarm.
    pub swarm: SwarmRef,
    /// The swarm's pre-shared key, where it has one.
    pub psk: Option<SwarmKey>,
    /// The newcomer's invitation, where the swarm asks for one.
    pub invitation: Option<Signed<Invitation>>,
    /// What shows that the newcomer holds the invitation, where that has a key.
    pub secret: Option<SwarmKey>,
}

/// The ticket as it is encoded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    bootstrap: Vec<String>,
    swarm: WireSwarm,
    psk: Option<ByteArray<32>>,
    invitation: Option<Signed<Invitation>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<ByteArray<32>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        for key in [self.psk.as_mut(), self.secret.as_mut()]
            .into_iter()
            .flatten()
        {
            key.zeroize();
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireSwarm {
    Block(ByteBuf),
    Id(Cid),
}

impl JoinTicket {
    /// Reads a ticket, with space around it or not. Its invitation belongs to its swarm; whether it
    /// holds for somebody, [`check`](Self::check) says.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > MAX_LINK_CHARS {
            return Err(TicketError::TooLong);
        }
        let encoded = text
            .strip_prefix(TICKET_PREFIX)
            .ok_or(TicketError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map(Zeroizing::new)
            .map_err(|_| TicketError::Encoding)?;
        let (body, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(TicketError::Checksum)?;
        if checksum_of(body) != *checksum {
            return Err(TicketError::Checksum);
        }
        let (version, cbor) = body.split_first().ok_or(TicketError::Checksum)?;
        if *version != VERSION {
            return Err(TicketError::Version(*version));
        }
        let ticket = Self::from_wire(&from_dag_cbor(cbor)?)?;
        if *ticket.encode()? == *bytes {
            Ok(ticket)
        } else {
            Err(TicketError::NotCanonical)
        }
    }

    /// The ticket as text.
    ///
    /// # Errors
    /// [`TicketError`] where it has too many addresses, holds the invitation of another swarm, or
    /// would be too long.
    pub fn to_link(&self) -> Result<String, TicketError> {
        let text = format!(
            "{TICKET_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(&*self.encode()?)
        );
        if text.len() > MAX_LINK_CHARS {
            return Err(TicketError::TooLong);
        }
        Ok(text)
    }

    /// Whether the ticket's invitation would let `me` in at `now_ms`, as far as the ticket itself
    /// shows. A ticket without an invitation or without the genesis passes.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, me: &Did, now_ms: u64) -> Result<(), Refusal> {
        match (&self.swarm, &self.invitation) {
            (SwarmRef::Block(block), Some(invitation)) => {
                judge(block, invitation, me, now_ms)?;
                if invitation.body.key.is_some() && self.secret.is_none() {
                    return Err(Refusal::NotHeld);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_parts(&self) -> Result<(), TicketError> {
        if self.bootstrap.len() > MAX_TICKET_ADDRESSES {
            return Err(TicketError::TooManyAddresses(self.bootstrap.len()));
        }
        let key = self.secret.as_ref().map(key_of);
        let named = self.invitation.as_ref().map(|signed| &signed.body.key);
        if key.is_some() && named != Some(&key) {
            return Err(TicketError::WrongSecret);
        }
        let invited = self.invitation.as_ref().map(|signed| signed.body.swarm);
        match invited.filter(|swarm| swarm != self.swarm.id()) {
            Some(swarm) => Err(TicketError::WrongSwarm(swarm)),
            None => Ok(()),
        }
    }

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, TicketError> {
        self.check_parts()?;
        let wire = Wire {
            bootstrap: self
                .bootstrap
                .iter()
                .map(|address| address.as_str().to_owned())
                .collect(),
            swarm: match &self.swarm {
                SwarmRef::Block(block) => WireSwarm::Block(ByteBuf::from(block.bytes())),
                SwarmRef::Id(id) => WireSwarm::Id(*id),
            },
            psk: self.psk.as_ref().map(|psk| ByteArray::new(psk.0)),
            invitation: self.invitation.clone(),
            secret: self.secret.as_ref().map(|secret| ByteArray::new(secret.0)),
        };
        let cbor = Zeroizing::new(to_dag_cbor(&wire)?);
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + cbor.len() + CHECKSUM_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&cbor);
        let checksum = checksum_of(&bytes);
        bytes.extend_from_slice(&checksum);
        Ok(bytes)
    }

    fn from_wire(wire: &Wire) -> Result<Self, TicketError> {
        if wire.bootstrap.len() > MAX_TICKET_ADDRESSES {
            return Err(TicketError::TooManyAddresses(wire.bootstrap.len()));
        }
        let addresses = wire.bootstrap.iter().enumerate().map(|(index, text)| {
            BootstrapAddress::parse(text).map_err(|source| TicketError::Address {
                position: index + 1,
                source,
            })
        });
        Ok(Self {
            bootstrap: addresses.collect::<Result<_, _>>()?,
            swarm: match &wire.swarm {
                WireSwarm::Block(bytes) => SwarmRef::Block(Box::new(SwarmBlock::open(bytes)?)),
                WireSwarm::Id(id) => SwarmRef::Id(*id),
            },
            psk: wire.psk.map(|psk| SwarmKey(*psk)),
            invitation: wire.invitation.clone(),
            secret: wire.secret.map(|secret| SwarmKey(*secret)),
        })
    }
}

fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::digest(bytes);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    checksum
}

impl FromStr for JoinTicket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        Self::parse(text)
    }
}
