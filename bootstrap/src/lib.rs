//! Bootstrap addresses: the nodes a node dials first.
//!
//! No address is built in: a list comes from the owner's arguments or from a file, and any node can
//! stand in one. This crate checks the *text* of the addresses, so that a mistake is named with its
//! line and its remedy before anything is dialled. The address form is libp2p's
//! [multiaddr](https://github.com/multiformats/multiaddr), narrowed to the transports a node speaks.
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
mod list;
mod peer_id;

pub use address::{AddressError, BootstrapAddress};
pub use list::{BootstrapError, BootstrapList, MAX_ADDRESSES};
pub use peer_id::{PeerIdError, PeerIdText};
