//! What nodes say to each other and to their users, as pure data.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: times and seeds come in as
//! arguments. The rooms are:
//!
//! - [`did`]: `did:key` identifiers, keys and DID documents;
//! - [`signed`]: a body, its author and the author's signature over DAG-CBOR;
//! - [`content`]: DAG-CBOR bytes and their CIDs;
//! - [`event`]: the envelope of the node's event log;
//! - [`coordination`]: the messages of the swarm's coordination topic;
//! - [`block_request`]: a private request for a block;
//! - [`rotation`]: a key that takes the place of another;
//! - [`order`]: stop and go on, for a swarm or a twin;
//! - [`notice`]: what a swarm should know and keep;
//! - [`wire`]: topic names, protocol names and size limits.

pub mod block_request;
pub mod content;
pub mod coordination;
pub mod did;
pub mod event;
pub mod notice;
pub mod order;
pub mod rotation;
pub mod signed;
pub mod wire;

pub use content::{cid_of, from_dag_cbor, to_dag_cbor};
pub use coordination::{
    Capabilities, Coordination, MAX_PRESENCE_BYTES, MAX_PRESENCE_TOOLS, MAX_TWIN_ID_BYTES,
    TwinPresence,
};
pub use did::{Did, DidError, SigningIdentity};
pub use event::{Event, EventType};
pub use notice::{Announcement, Notice};
pub use order::{Action, Order, OrderRefused, Orders, Rank, Standing};
pub use rotation::{Rotation, RotationError, RotationStatement};
pub use signed::{Domain, Signed, SignedError, Verified};
