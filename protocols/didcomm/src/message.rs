//! The plaintext message (DIDComm v2.1, sections "Message Headers" and "Attachments").

use pagi_messages::Did;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{PLAIN, error::DidcommError, same_media_type};

/// Longest message id and thread id, in bytes.
const MAX_ID: usize = 256;
/// Longest message type, in bytes.
const MAX_TYPE: usize = 512;
/// Most recipients in `to`, and most attachments.
const MAX_ITEMS: usize = 256;

/// A plaintext message. Headers this crate does not know are kept in [`Message::extra`] and survive a
/// round trip; `from_prior` (DID rotation) is among them and is not acted upon.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Unique among the sender's messages, 1 to 256 bytes without control characters.
    pub id: String,
    /// Message type URI, e.g. `https://didcomm.org/basicmessage/2.0/message`.
    pub type_: String,
    /// The sender. Believe it only in a message that came out of [`crate::unpack`].
    pub from: Option<Did>,
    /// The recipients; empty where the message names none.
    pub to: Vec<Did>,
    /// The thread this belongs to; absent in the message that opens a thread.
    pub thid: Option<String>,
    /// The thread that gave rise to this one.
    pub pthid: Option<String>,
    /// Seconds since 1970.
    pub created_time: Option<u64>,
    /// Seconds since 1970 after which the sender considers the message void.
    pub expires_time: Option<u64>,
    /// What the message type says; always an object.
    pub body: Map<String, Value>,
    /// Attached documents.
    pub attachments: Vec<Attachment>,
    /// Every other header, as it came.
    pub extra: Map<String, Value>,
}

/// An attachment (DIDComm v2.1, section "Attachments").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Unique within the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Human-readable description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A hint at a file name; never a path to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Media type of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Further detail on the format, where the media type does not say enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// When the content was last changed, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastmod_time: Option<u64>,
    /// Length of the content in bytes, as the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_count: Option<u64>,
    /// The content, or where it is.
    pub data: AttachmentData,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Attachment {
    /// An attachment that is fetched by its CID: `cid` as text, and the multihash in it.
    #[must_use]
    pub fn by_cid(cid: &str, multihash: &[u8]) -> Self {
        Self {
            id: Some(cid.to_owned()),
            data: AttachmentData {
                hash: Some(multibase::encode(multibase::Base::Base58Btc, multihash)),
                links: vec![format!("ipfs://{cid}")],
                ..AttachmentData::default()
            },
            ..Self::default()
        }
    }
}

/// The content of an [`Attachment`], or where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttachmentData {
    /// Detached signature over the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jws: Option<Value>,
    /// Multihash of the content; wanted wherever `links` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where the content can be fetched. Nothing in this crate fetches it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The content in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The content as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
}

/// The headers a new message is made with; the message's protocol supplies type and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Headers {
    /// See [`Message::id`]; the caller draws it (a UUID, say).
    pub id: String,
    /// See [`Message::from`].
    pub from: Option<Did>,
    /// See [`Message::to`].
    pub to: Vec<Did>,
    /// See [`Message::thid`].
    pub thid: Option<String>,
    /// See [`Message::pthid`].
    pub pthid: Option<String>,
    /// See [`Message::created_time`].
    pub created_time: Option<u64>,
    /// See [`Message::expires_time`].
    pub expires_time: Option<u64>,
}

impl Headers {
    /// A message of its own thread from `from` to `to`, made at `now_s` (seconds since 1970).
    #[must_use]
    pub fn new(id: impl Into<String>, from: &Did, to: &Did, now_s: u64) -> Self {
        Self {
            id: id.into(),
            from: Some(from.clone()),
            to: vec![to.clone()],
            thid: None,
            pthid: None,
            created_time: Some(now_s),
            expires_time: None,
        }
    }

    /// An answer by `from` in the thread of `message`, addressed to its sender where it has one.
    #[must_use]
    pub fn reply(id: impl Into<String>, message: &Message, from: &Did, now_s: u64) -> Self {
        Self {
            id: id.into(),
            from: Some(from.clone()),
            to: message.from.iter().cloned().collect(),
            thid: Some(message.thread().to_owned()),
            pthid: None,
            created_time: Some(now_s),
            expires_time: None,
        }
    }

    /// The same headers with a time after which the message is void (seconds since 1970).
    #[must_use]
    pub fn expires_at(mut self, expires_time: u64) -> Self {
        self.expires_time = Some(expires_time);
        self
    }

    /// The message with these headers.
    #[must_use]
    pub fn message(self, type_: impl Into<String>, body: Map<String, Value>) -> Message {
        Message {
            id: self.id,
            type_: type_.into(),
            from: self.from,
            to: self.to,
            thid: self.thid,
            pthid: self.pthid,
            created_time: self.created_time,
            expires_time: self.expires_time,
            body,
            attachments: Vec::new(),
            extra: Map::new(),
        }
    }
}

/// The message as JSON has it.
#[derive(Serialize, Deserialize)]
struct Wire {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(rename = "type")]
    type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Did>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to: Vec<Did>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pthid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_time: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_time: Option<u64>,
    #[serde(default)]
    body: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Header names that belong to a field of [`Message`], and so may not hide in [`Message::extra`].
const KNOWN: [&str; 11] = [
    "id",
    "typ",
    "type",
    "from",
    "to",
    "thid",
    "pthid",
    "created_time",
    "expires_time",
    "body",
    "attachments",
];

impl Message {
    /// The id of the thread this message belongs to: its `thid`, or else its own id.
    #[must_use]
    pub fn thread(&self) -> &str {
        self.thid.as_deref().unwrap_or(&self.id)
    }

    /// The message as JSON (`application/didcomm-plain+json`).
    ///
    /// # Errors
    /// [`DidcommError::Malformed`] where a header breaks the rules of [`Message`].
    pub fn to_json(&self) -> Result<String, DidcommError> {
        self.check()?;
        if let Some(name) = self
            .extra
            .keys()
            .find(|name| KNOWN.contains(&name.as_str()))
        {
            return Err(DidcommError::malformed(
                "message",
                format!("`{name}` stands twice"),
            ));
        }
        let message = self.clone();
        let wire = Wire {
            id: message.id,
            typ: Some(PLAIN.to_owned()),
            type_: message.type_,
            from: message.from,
            to: message.to,
            thid: message.thid,
            pthid: message.pthid,
            created_time: message.created_time,
            expires_time: message.expires_time,
            body: message.body,
            attachments: message.attachments,
            extra: message.extra,
        };
        serde_json::to_string(&wire).map_err(|error| DidcommError::malformed("message", error))
    }

    /// The message in a JSON text. It proves nothing about its sender: use [`crate::unpack`].
    ///
    /// # Errors
    /// [`DidcommError::Malformed`] where it is not a DIDComm plaintext message, or names a DID other than
    /// an Ed25519 `did:key`.
    pub fn from_json(json: &[u8]) -> Result<Self, DidcommError> {
        let wire: Wire = serde_json::from_slice(json)
            .map_err(|error| DidcommError::malformed("message", error))?;
        if let Some(typ) = &wire.typ
            && !same_media_type(typ, PLAIN)
        {
            return Err(DidcommError::unsupported("typ", typ));
        }
        let message = Self {
            id: wire.id,
            type_: wire.type_,
            from: wire.from,
            to: wire.to,
            thid: wire.thid,
            pthid: wire.pthid,
            created_time: wire.created_time,
            expires_time: wire.expires_time,
            body: wire.body,
            attachments: wire.attachments,
            extra: wire.extra,
        };
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), DidcommError> {
        let malformed = |reason: &str| DidcommError::malformed("message", reason);
        let is_id =
            |id: &str| (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        if !is_id(&self.id) {
            return Err(malformed(
                "`id` must be 1 to 256 bytes without control characters",
            ));
        }
        if !self.thid.iter().chain(&self.pthid).all(|id| is_id(id)) {
            return Err(malformed(
                "a thread id must be 1 to 256 bytes without control characters",
            ));
        }
        let type_ = &self.type_;
        if !(1..=MAX_TYPE).contains(&type_.len())
            || !type_.contains('/')
            || type_.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(malformed(
                "`type` must be a message type URI of at most 512 bytes",
            ));
        }
        if self.to.len() > MAX_ITEMS || self.attachments.len() > MAX_ITEMS {
            return Err(malformed("more than 256 recipients or attachments"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use serde_json::json;

    use super::*;

    fn did(seed: u8) -> Did {
        SigningIdentity::from_seed(&[seed; 32]).did().clone()
    }

    #[test]
    fn unknown_headers_and_attachments_survive() {
        let json = json!({
            "id": "1", "typ": "didcomm-plain+json", "type": "https://example.org/x/1.0/y",
            "from": did(1), "to": [did(2)], "lang": "de", "please_ack": [""],
            "body": {"z": 1, "a": [null]},
            "attachments": [{"id": "a", "media_type": "text/plain", "odd": true,
                "data": {"base64": "aGk", "hash": "z1"}}],
        });
        let message = Message::from_json(json.to_string().as_bytes()).unwrap();
        assert_eq!(message.extra["lang"], "de");
        assert_eq!(message.attachments[0].extra["odd"], true);
        assert_eq!(message.thread(), "1");
        let again = Message::from_json(message.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(again, message);
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        let good = json!({"id": "1", "type": "a/1.0/b", "body": {}});
        assert!(Message::from_json(good.to_string().as_bytes()).is_ok());
        for (member, value) in [
            ("id", json!("")),
            ("id", json!(7)),
            ("id", json!("a\nb")),
            ("id", json!("a".repeat(257))),
            ("type", json!("")),
            ("type", json!("no-slash")),
            ("type", json!("a/ b")),
            ("typ", json!("application/json")),
            ("from", json!("did:web:example.org")),
            ("to", json!("not a list")),
            ("to", json!(["did:key:z"])),
            ("thid", json!("")),
            ("created_time", json!("yesterday")),
            ("created_time", json!(-1)),
            ("expires_time", json!(1.5)),
            ("body", json!([])),
            ("body", json!("text")),
            ("attachments", json!([{"id": "no data"}])),
        ] {
            let mut bad = good.clone();
            bad[member] = value.clone();
            assert!(
                Message::from_json(bad.to_string().as_bytes()).is_err(),
                "{member}: {value}"
            );
        }
        assert!(Message::from_json(b"{\"id\":\"1\",\"id\":\"2\",\"type\":\"a/1.0/b\"}").is_err());
        assert!(Message::from_json(b"").is_err());
    }

    #[test]
    fn a_header_cannot_stand_twice() {
        let mut message = Headers::new("1", &did(1), &did(2), 5).message("a/1.0/b", Map::new());
        message.extra.insert("from".into(), json!(did(3)));
        assert!(message.to_json().is_err());
    }
}
