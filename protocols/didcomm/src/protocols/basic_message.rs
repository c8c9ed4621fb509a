//! Basic Message 2.0: a line of text for a human, or for a mind.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{body_of, read_body};
use crate::{
    error::DidcommError,
    message::{Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "https://didcomm.org/basicmessage";
const MESSAGE: &str = "https://didcomm.org/basicmessage/2.0/message";

/// A text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicMessage {
    /// The text.
    pub content: String,
    /// Its language (the message's `lang` header, BCP 47), where the sender says.
    #[serde(skip)]
    pub lang: Option<String>,
}

impl BasicMessage {
    /// A message that says `content`.
    #[must_use]
    pub fn message(headers: Headers, content: impl Into<String>, lang: Option<&str>) -> Message {
        let body = Self {
            content: content.into(),
            lang: None,
        };
        let mut message = headers.message(MESSAGE, body_of(&body));
        if let Some(lang) = lang {
            message.extra.insert("lang".to_owned(), lang.into());
        }
        message
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        if name != "message" {
            return Ok(None);
        }
        let mut read: Self = read_body(message)?;
        read.lang = message
            .extra
            .get("lang")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::Content;

    #[test]
    fn text_and_language_arrive() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let mut message =
            BasicMessage::message(Headers::new("1", &did, &did, 5), "Grüß dich", Some("de"));
        let Content::BasicMessage(read) = Content::of(&message).unwrap() else {
            panic!("not a basic message");
        };
        assert_eq!(
            read,
            BasicMessage {
                content: "Grüß dich".into(),
                lang: Some("de".into())
            }
        );
        message.body.insert("content".into(), 7.into());
        assert!(Content::of(&message).is_err());
    }
}
