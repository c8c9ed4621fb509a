//! How a node comes into a swarm: whom it dials first, what the swarm is, and who may join.
//!
//! No address is built in: a list comes from the owner's arguments, from a file or from an
//! invitation, and any node can stand in one. Everything here is pure: it checks text and bytes, and
//! decides with the time as an argument, before anything is dialled.
//!
//! - [`BootstrapList`]: addresses in the form of libp2p's
//!   [multiaddr](https://github.com/multiformats/multiaddr), narrowed to the transports a node
//!   speaks; a mistake is named with its line and its remedy.
//! - [`SwarmGenesis`]: what a swarm is, as a block; the block's CID is the swarm's id.
//! - [`Invitation`] and [`Delegation`]: who may let whom in, signed.
//! - [`JoinTicket`]: all a newcomer needs, in one `pagi://join/…` string.
//! - [`Gatekeeper`]: admits or refuses each peer, and says what must be stored.
//!
//! ```
//! use pagi_bootstrap::BootstrapList;
//!
//! let list = BootstrapList::parse(
//!     "# the office\n\
//!      /ip4/192.0.2.7/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp\n",
//! )?;
//! assert_eq!(list.as_slice().len(), 1);
//! # Ok::<(), pagi_bootstrap::BootstrapError>(())
//! ```

mod address;
mod admission;
mod claim;
mod genesis;
mod invitation;
mod list;
mod peer_id;
mod ticket;

pub use address::{AddressError, BootstrapAddress};
pub use admission::{
    Admittance, Basis, GateInput, GateOutput, GateRecord, Gatekeeper, MAX_PRESENTED,
    MAX_REVOCATIONS,
};
pub use claim::{Claim, claim, key_of};
pub use genesis::{
    Admission, GenesisError, MAX_FOUNDERS, MAX_GENESIS_BYTES, SwarmBlock, SwarmGenesis, SwarmLimits,
};
pub use invitation::{
    Delegation, Invitation, Nonce, Refusal, Revocation, RevocationTarget, delegation_id,
    invitation_id, judge,
};
pub use list::{BootstrapError, BootstrapList, MAX_ADDRESSES};
pub use peer_id::{PeerIdError, PeerIdText};
pub use ticket::{
    JoinTicket, MAX_LINK_CHARS, MAX_TICKET_ADDRESSES, SwarmKey, SwarmRef, TICKET_PREFIX,
    TicketError,
};
