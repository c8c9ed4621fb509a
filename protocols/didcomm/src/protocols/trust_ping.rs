//! Trust Ping 2.0: is the other side there, and does the channel to it work?

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{body_of, read_body};
use crate::{
    error::DidcommError,
    message::{Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "https://didcomm.org/trust-ping";
const PING: &str = "https://didcomm.org/trust-ping/2.0/ping";
const RESPONSE: &str = "https://didcomm.org/trust-ping/2.0/ping-response";

/// A ping or its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustPing {
    /// Are you there?
    Ping {
        /// Whether an answer is wanted.
        response_requested: bool,
    },
    /// I am. The message's `thid` is the ping's id.
    Response,
}

#[derive(Serialize, Deserialize)]
struct PingBody {
    #[serde(default = "yes")]
    response_requested: bool,
}

fn yes() -> bool {
    true
}

impl TrustPing {
    /// A ping.
    #[must_use]
    pub fn ping(headers: Headers, response_requested: bool) -> Message {
        headers.message(PING, body_of(&PingBody { response_requested }))
    }

    /// The response to a ping; make `headers` with [`Headers::reply`].
    #[must_use]
    pub fn response(headers: Headers) -> Message {
        headers.message(RESPONSE, Map::new())
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        Ok(match name {
            "ping" => {
                let PingBody { response_requested } = read_body(message)?;
                Some(Self::Ping { response_requested })
            }
            "ping-response" if message.thid.is_some() => Some(Self::Response),
            "ping-response" => {
                return Err(DidcommError::malformed(
                    "message",
                    "a ping-response without `thid`",
                ));
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::Content;

    #[test]
    fn a_ping_asks_for_an_answer_unless_it_says_not_to() {
        let alice = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let bob = SigningIdentity::from_seed(&[2; 32]).did().clone();
        let mut ping = TrustPing::ping(Headers::new("1", &alice, &bob, 5), false);
        let read = Content::of(&ping).unwrap();
        assert_eq!(
            read,
            Content::TrustPing(TrustPing::Ping {
                response_requested: false
            })
        );
        ping.body.clear();
        let read = Content::of(&ping).unwrap();
        assert_eq!(
            read,
            Content::TrustPing(TrustPing::Ping {
                response_requested: true
            })
        );

        let mut response = TrustPing::response(Headers::reply("2", &ping, &bob, 6));
        assert_eq!(response.to, [alice]);
        assert_eq!(response.thid.as_deref(), Some("1"));
        assert_eq!(
            Content::of(&response).unwrap(),
            Content::TrustPing(TrustPing::Response)
        );
        response.thid = None;
        assert!(Content::of(&response).is_err());
    }
}
