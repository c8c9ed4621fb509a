//! Routing 2.0: a letter that somebody is to pass on, or to keep, without being able to read it.

use pagi_messages::Did;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{body_of, read_body};
use crate::{
    error::DidcommError,
    message::{Attachment, AttachmentData, Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "https://didcomm.org/routing";
const FORWARD: &str = "https://didcomm.org/routing/2.0/forward";

/// Pass this on.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// To whom.
    pub next: Did,
    /// The packed message.
    pub packed: String,
}

#[derive(Serialize, Deserialize)]
struct ForwardBody {
    next: Did,
}

impl Forward {
    /// The message that asks to pass `packed` on.
    ///
    /// # Errors
    /// [`DidcommError::Malformed`] where `packed` is not JSON.
    pub fn message(&self, headers: Headers) -> Result<Message, DidcommError> {
        let json: Value = serde_json::from_str(&self.packed)
            .map_err(|error| DidcommError::malformed("the packed message", error))?;
        let next = self.next.clone();
        let mut message = headers.message(FORWARD, body_of(&ForwardBody { next }));
        message.attachments.push(Attachment {
            data: AttachmentData {
                json: Some(json),
                ..AttachmentData::default()
            },
            ..Attachment::default()
        });
        Ok(message)
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        if name != "forward" {
            return Ok(None);
        }
        let ForwardBody { next } = read_body(message)?;
        let [attachment] = message.attachments.as_slice() else {
            return Err(DidcommError::malformed(
                "message",
                "it must have one attachment",
            ));
        };
        let packed = text_of(attachment)?;
        Ok(Some(Self { next, packed }))
    }
}

/// The packed message in an attachment: as JSON, or in base64url.
pub(super) fn text_of(attachment: &Attachment) -> Result<String, DidcommError> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let malformed = |why| DidcommError::malformed("attachment", why);
    match (&attachment.data.json, &attachment.data.base64) {
        (Some(json), None) => Ok(json.to_string()),
        (None, Some(text)) => URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(malformed("it is not a text in base64url")),
        _ => Err(malformed("it must hold `json` or `base64`")),
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use serde_json::json;

    use super::*;
    use crate::Content;

    #[test]
    fn a_letter_comes_out_as_it_went_in() {
        let did = |n: u8| SigningIdentity::from_seed(&[n; 32]).did().clone();
        let forward = Forward {
            next: did(1),
            packed: json!({"b": 1, "a": "x"}).to_string(),
        };
        let message = forward
            .message(Headers::new("1", &did(2), &did(3), 5))
            .unwrap();
        assert_eq!(Content::of(&message).unwrap(), Content::Forward(forward));
        let mut two = message.clone();
        two.attachments.push(Attachment::default());
        assert!(Content::of(&two).is_err());
        let mut other = message;
        other.attachments[0].data = AttachmentData {
            base64: Some("eyJhIjoxfQ".into()),
            ..AttachmentData::default()
        };
        let Content::Forward(read) = Content::of(&other).unwrap() else {
            unreachable!()
        };
        assert_eq!(read.packed, "{\"a\":1}");
    }
}
