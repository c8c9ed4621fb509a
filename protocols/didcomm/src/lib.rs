//! DIDComm v2 between `did:key` identities, as pure data: what goes into an envelope, what may come
//! out of one, and which messages were here before.
//!
//! Nothing here opens a socket or reads a clock; the time of an [`unpack`] comes in as an argument.
//! Ephemeral keys and nonces are the one exception to purity: the cipher suite draws them from the
//! operating system itself, so that no caller can hand in a repeated one.
//!
//! - [`message`]: the plaintext message and its attachments;
//! - [`envelope`]: [`pack`] and [`unpack`], with the rules on who may be believed;
//! - [`replay`]: a bounded memory of messages already accepted;
//! - [`receipt`]: the recipient's signed word on what became of a message;
//! - [`mod@resolve`]: documents of DIDs that hold theirs;
//! - [`protocols`]: trust ping, discover features, basic message, problem report, and research
//!   coordination.
//!
//! Source: DIDComm Messaging v2.1 (Decentralized Identity Foundation). Only X25519 and Ed25519 keys of
//! `did:key` are spoken. What is sent is encrypted with A256CBC-HS512, which every DIDComm agent must
//! know; anonymous envelopes with A256GCM or XC20P are understood as well.

pub mod envelope;
pub mod error;
mod header;
mod jwe;
mod jws;
pub mod message;
pub mod protocols;
pub mod receipt;
pub mod replay;
pub mod resolve;

pub use envelope::{Limits, Packing, Unpacked, pack, unpack};
pub use error::DidcommError;
pub use message::{Attachment, AttachmentData, Headers, Message};
pub use protocols::{
    BasicMessage, Content, DiscoverFeatures, Forward, Pickup, ProblemReport, Research, TrustPing,
};
pub use receipt::{Fate, Receipt, ReceiptError};
pub use replay::{ReplayError, ReplayGuard};

/// Media type of a plaintext message.
pub const PLAIN: &str = "application/didcomm-plain+json";
/// Media type of a signed message.
pub const SIGNED: &str = "application/didcomm-signed+json";
/// Media type of an encrypted message: what an HTTP transport sends as `Content-Type`.
pub const ENCRYPTED: &str = "application/didcomm-encrypted+json";

/// Whether `typ` names the media type `expected`; RFC 7515 section 4.1.9 lets `application/` be left out.
pub(crate) fn same_media_type(typ: &str, expected: &str) -> bool {
    typ == expected || (!typ.contains('/') && expected.strip_prefix("application/") == Some(typ))
}
