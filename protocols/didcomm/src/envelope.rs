//! Packing and unpacking: the layers of an envelope, and the rules on who may be believed
//! (DIDComm v2.1, sections "Message Formats", "Message Encryption" and "Message Headers").

use pagi_messages::{Did, SigningIdentity};
use serde_json::{Map, Value};

use crate::{error::DidcommError, jwe, jws, message::Message};

/// How a message is protected on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Encrypted; the recipient alone can be sure who sent it, but the key id of the sender stands on
    /// the outside for everybody who carries the message.
    Authcrypt,
    /// As [`Packing::Authcrypt`], within an anonymous layer: whoever carries it learns the recipient and
    /// nothing else. The usual choice.
    HiddenAuthcrypt,
    /// Encrypted; nobody can tell who sent it. The message may not name a sender.
    Anoncrypt,
    /// Signed and readable by all: anybody can prove who sent it.
    Signed,
    /// Signed, then encrypted anonymously: the recipient can prove to others who sent it.
    SignedThenEncrypted,
}

/// What [`unpack`] lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest packed message in bytes.
    pub max_bytes: usize,
    /// How long after its `created_time` a message is accepted, in seconds. This is also how long a
    /// replay guard has to remember one.
    pub max_age_s: u64,
    /// How far the sender's clock may be ahead, in seconds.
    pub max_skew_s: u64,
}

impl Default for Limits {
    /// 1 MiB, a week (a message may have waited in a mailbox), five minutes.
    fn default() -> Self {
        Self {
            max_bytes: 1024 * 1024,
            max_age_s: 7 * 24 * 3600,
            max_skew_s: 300,
        }
    }
}

/// A message that came out of an envelope, and what the envelope proves.
///
/// `message.from` is always what `authenticated_sender` or `signed_by` proves, or is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpacked {
    /// The plaintext message.
    pub message: Message,
    /// Whose key authenticated the encryption (authcrypt). Proof to the recipient alone.
    pub authenticated_sender: Option<Did>,
    /// Whose key signed the message. Proof to anybody.
    pub signed_by: Option<Did>,
    /// Whether the message was encrypted on its way.
    pub encrypted: bool,
    /// Until when this very message would be accepted again, in seconds since 1970: how long a
    /// [`crate::ReplayGuard`] must remember it. `None` where the message bears no time at all.
    pub valid_until_s: Option<u64>,
}

impl Unpacked {
    /// Who sent the message, where the envelope proves it.
    #[must_use]
    pub fn sender(&self) -> Option<&Did> {
        self.authenticated_sender
            .as_ref()
            .or(self.signed_by.as_ref())
    }
}

/// Packs `message` for `recipient`.
///
/// Wherever the packing proves a sender, `message.from` must be that sender. A `to` that is there must
/// hold the recipient; a signed message must have one, lest somebody pass it on as if it had been meant
/// for another. A message for several recipients is packed once for each.
///
/// # Errors
/// [`DidcommError::SenderRequired`], [`DidcommError::MissingFrom`], [`DidcommError::FromMismatch`],
/// [`DidcommError::UnprovenFrom`] (an anonymous message that names a sender),
/// [`DidcommError::NotAddressed`], [`DidcommError::Malformed`], [`DidcommError::Did`] for a recipient
/// without a usable key, [`DidcommError::Sealing`].
pub fn pack(
    message: &Message,
    packing: Packing,
    sender: Option<&SigningIdentity>,
    recipient: &Did,
) -> Result<String, DidcommError> {
    let json = message.to_json()?;
    let signed = matches!(packing, Packing::Signed | Packing::SignedThenEncrypted);
    let sender = match packing {
        Packing::Anoncrypt => None,
        _ => Some(sender.ok_or(DidcommError::SenderRequired)?),
    };
    check_from(message, sender.map(SigningIdentity::did))?;
    check_to(message, recipient, signed)?;
    match (packing, sender) {
        (Packing::Signed, Some(sender)) => jws::seal(json.as_bytes(), sender),
        (Packing::SignedThenEncrypted, Some(sender)) => jwe::seal(
            jws::seal(json.as_bytes(), sender)?.as_bytes(),
            None,
            recipient,
        ),
        (Packing::HiddenAuthcrypt, sender) => jwe::seal(
            jwe::seal(json.as_bytes(), sender, recipient)?.as_bytes(),
            None,
            recipient,
        ),
        (_, sender) => jwe::seal(json.as_bytes(), sender, recipient),
    }
}

/// Opens a packed message as `recipient` at `now_s` (seconds since 1970).
///
/// Accepts the four packings of [`Packing`], a signed message within authcrypt, and any of these within
/// an anonymous outer layer that hides the sender from mediators. Whoever passes this function still
/// has to pass a [`crate::ReplayGuard`].
///
/// # Errors
/// Every variant of [`DidcommError`] but the two about sending; see there.
pub fn unpack(
    packed: &str,
    recipient: &SigningIdentity,
    now_s: u64,
    limits: &Limits,
) -> Result<Unpacked, DidcommError> {
    if packed.len() > limits.max_bytes {
        return Err(DidcommError::TooLarge {
            bytes: packed.len(),
            limit: limits.max_bytes,
        });
    }
    let kid = recipient.did().agreement_key_id()?;
    let secret = jwe::secret_of(recipient);
    let (mut anonymous, mut authenticated, mut signed) = (false, None, None);
    let mut text = packed.to_owned();
    let message = loop {
        let bytes = match kind(&text)? {
            // From outside to inside: at most one anonymous layer, then at most one authenticated,
            // then at most one signature. This also bounds the loop.
            Kind::Encrypted => {
                if authenticated.is_some() || signed.is_some() {
                    return Err(DidcommError::Nesting);
                }
                let opened = jwe::open(&text, &kid, &secret, |skid| Ok(jwe::sender_of(skid)?.1))?
                    .ok_or_else(|| DidcommError::WrongRecipient {
                    recipient: recipient.did().clone(),
                })?;
                match opened.sender_kid {
                    Some(skid) => authenticated = Some(jwe::sender_of(&skid)?.0),
                    None if anonymous => return Err(DidcommError::Nesting),
                    None => anonymous = true,
                }
                opened.plaintext
            }
            Kind::Signed => {
                if signed.is_some() {
                    return Err(DidcommError::Nesting);
                }
                let opened = jws::open(&text, jws::signer_of)?;
                signed = Some(opened.signer);
                opened.payload
            }
            Kind::Plain => break Message::from_json(text.as_bytes())?,
        };
        text = String::from_utf8(bytes)
            .map_err(|_| DidcommError::malformed("message", "it is not UTF-8"))?;
    };
    let encrypted = anonymous || authenticated.is_some();
    if !encrypted && signed.is_none() {
        return Err(DidcommError::Unprotected);
    }
    // Where both are there, each must be the one `from` names.
    for proven in authenticated.iter().chain(&signed) {
        check_from(&message, Some(proven))?;
    }
    if authenticated.is_none() && signed.is_none() {
        check_from(&message, None)?;
    }
    check_to(&message, recipient.did(), signed.is_some())?;
    let valid_until_s = check_times(&message, now_s, limits)?;
    Ok(Unpacked {
        message,
        authenticated_sender: authenticated,
        signed_by: signed,
        encrypted,
        valid_until_s,
    })
}

enum Kind {
    Encrypted,
    Signed,
    Plain,
}

/// Which layer a JSON text is, by the members only that layer has.
fn kind(text: &str) -> Result<Kind, DidcommError> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| DidcommError::malformed("message", error))?;
    Ok(if object.contains_key("ciphertext") {
        Kind::Encrypted
    } else if object.contains_key("signatures") {
        Kind::Signed
    } else {
        Kind::Plain
    })
}

fn check_from(message: &Message, proven: Option<&Did>) -> Result<(), DidcommError> {
    match (&message.from, proven) {
        (Some(claimed), Some(proven)) if claimed == proven => Ok(()),
        (Some(claimed), Some(proven)) => Err(DidcommError::FromMismatch {
            claimed: claimed.clone(),
            proven: proven.clone(),
        }),
        (None, Some(_)) => Err(DidcommError::MissingFrom),
        (Some(claimed), None) => Err(DidcommError::UnprovenFrom {
            claimed: claimed.clone(),
        }),
        (None, None) => Ok(()),
    }
}

fn check_to(message: &Message, recipient: &Did, required: bool) -> Result<(), DidcommError> {
    if message.to.contains(recipient) || (message.to.is_empty() && !required) {
        return Ok(());
    }
    Err(DidcommError::NotAddressed {
        recipient: recipient.clone(),
    })
}

fn check_times(message: &Message, now: u64, limits: &Limits) -> Result<Option<u64>, DidcommError> {
    // The second named is already too late, so that a replay guard may forget a message as soon as
    // its `valid_until_s` is reached.
    if let Some(expires_time) = message.expires_time
        && expires_time <= now
    {
        return Err(DidcommError::Expired { expires_time, now });
    }
    let oldest_end = match message.created_time {
        Some(created_time) if created_time > now.saturating_add(limits.max_skew_s) => {
            return Err(DidcommError::FromTheFuture { created_time, now });
        }
        Some(created_time) => {
            let end = created_time.saturating_add(limits.max_age_s);
            if end <= now {
                return Err(DidcommError::TooOld { created_time, now });
            }
            Some(end)
        }
        None => None,
    };
    match (oldest_end, message.expires_time) {
        (Some(end), Some(expires)) => Ok(Some(end.min(expires))),
        (Some(end), None) => Ok(Some(end)),
        (None, Some(expires_time)) => {
            let latest = now
                .saturating_add(limits.max_age_s)
                .saturating_add(limits.max_skew_s);
            if expires_time > latest {
                return Err(DidcommError::LivesTooLong { expires_time });
            }
            Ok(Some(expires_time))
        }
        (None, None) => Ok(None),
    }
}
