//! Why a message was not packed or not accepted.

use pagi_messages::{Did, DidError};

/// Why a message was not packed or not accepted. No variant carries plaintext or key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DidcommError {
    /// The packed message is larger than the limit.
    #[error("the message is {bytes} bytes long, more than the {limit} allowed")]
    TooLarge {
        /// Length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A part of the message does not have the form the specification gives it.
    #[error("malformed {part}: {reason}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The message is well formed but uses an algorithm, header or version that is not spoken here.
    #[error("unsupported {header}: `{value}`")]
    Unsupported {
        /// The header.
        header: &'static str,
        /// Its value, cut to 64 characters.
        value: String,
    },
    /// The message came neither signed nor encrypted.
    #[error("the message is neither signed nor encrypted")]
    Unprotected,
    /// The layers are nested in an order that DIDComm does not have.
    #[error("the layers of signing and encryption are nested in an order DIDComm does not allow")]
    Nesting,
    /// The message is encrypted for somebody else.
    #[error("the message is not encrypted for {recipient}")]
    WrongRecipient {
        /// Who tried to open it.
        recipient: Did,
    },
    /// The signed message is not addressed to this recipient: somebody may have passed it on.
    #[error("the message is not addressed to {recipient}")]
    NotAddressed {
        /// Who tried to open it, or whom it was to be packed for.
        recipient: Did,
    },
    /// Decryption failed: the envelope was changed, or was not sealed by the key it names.
    #[error("the envelope cannot be decrypted: it was changed, or its sender is not who it says")]
    Undecryptable,
    /// The signature does not match.
    #[error("the signature does not match the key of {signer}")]
    WrongSignature {
        /// Who is said to have signed.
        signer: Did,
    },
    /// The message names no sender although it is authenticated.
    #[error("the message has no `from` although it is signed or authenticated")]
    MissingFrom,
    /// The message names a sender that nothing proves.
    #[error("the message says it is from {claimed}, which an anonymous envelope does not prove")]
    UnprovenFrom {
        /// Whom it names.
        claimed: Did,
    },
    /// The message names another sender than the one whose key sealed or signed it.
    #[error("the message says it is from {claimed} but was sealed by {proven}")]
    FromMismatch {
        /// Whom it names.
        claimed: Did,
        /// Whose key it was.
        proven: Did,
    },
    /// This packing needs the sender's key.
    #[error("this packing needs a sender")]
    SenderRequired,
    /// The sender declared the message void after a time that has passed.
    #[error("the message expired at {expires_time}, it is now {now}")]
    Expired {
        /// Seconds since 1970.
        expires_time: u64,
        /// Seconds since 1970.
        now: u64,
    },
    /// The message is older than the limit.
    #[error("the message is from {created_time}, too old at {now}")]
    TooOld {
        /// Seconds since 1970.
        created_time: u64,
        /// Seconds since 1970.
        now: u64,
    },
    /// The message comes from the future, by more than clocks may differ.
    #[error("the message is from {created_time}, which is still to come at {now}")]
    FromTheFuture {
        /// Seconds since 1970.
        created_time: u64,
        /// Seconds since 1970.
        now: u64,
    },
    /// The message has no `created_time` and wants to stay valid longer than it may be remembered.
    #[error("the message has no created_time and expires only at {expires_time}")]
    LivesTooLong {
        /// Seconds since 1970.
        expires_time: u64,
    },
    /// A DID does not hold a usable key.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The cipher suite could not seal the message.
    #[error("the message could not be sealed: {0}")]
    Sealing(String),
}

impl DidcommError {
    pub(crate) fn malformed(part: &'static str, reason: impl ToString) -> Self {
        Self::Malformed {
            part,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unsupported(header: &'static str, value: impl ToString) -> Self {
        Self::Unsupported {
            header,
            value: value.to_string().chars().take(64).collect(),
        }
    }

    /// The DIDComm problem code (section "Problem Codes") that tells the sender what went wrong without
    /// telling an attacker which check it was.
    #[must_use]
    pub fn problem_code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "e.m.me.res.memory",
            Self::Expired { .. }
            | Self::TooOld { .. }
            | Self::FromTheFuture { .. }
            | Self::LivesTooLong { .. } => "e.m.req.time",
            Self::Did(_) => "e.m.did",
            Self::Malformed { .. } | Self::Unprotected | Self::Nesting => "e.m.msg",
            Self::Unsupported { .. }
            | Self::WrongRecipient { .. }
            | Self::NotAddressed { .. }
            | Self::Undecryptable
            | Self::WrongSignature { .. }
            | Self::MissingFrom
            | Self::UnprovenFrom { .. }
            | Self::FromMismatch { .. }
            | Self::SenderRequired => "e.m.trust.crypto",
            Self::Sealing(_) => "e.m.me",
        }
    }
}
