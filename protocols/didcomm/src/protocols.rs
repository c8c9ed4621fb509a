//! The protocols spoken over DIDComm, as typed contents: each has a constructor that makes a message and
//! [`Content::of`] reads one.
//!
//! A message type is `<document>/<protocol>/<major>.<minor>/<name>`; a receiver must understand every
//! minor version of a major version it speaks (DIDComm v2.1, section "Semver Rules").

pub mod basic_message;
pub mod discover_features;
pub mod pickup;
pub mod problem_report;
pub mod research;
pub mod routing;
pub mod trust_ping;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use basic_message::BasicMessage;
pub use discover_features::{Disclosure, DiscoverFeatures, Query};
pub use pickup::Pickup;
pub use problem_report::ProblemReport;
pub use research::Research;
pub use routing::Forward;
pub use trust_ping::TrustPing;

use crate::{error::DidcommError, message::Message};

/// What a message says, where its protocol is spoken here.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// <https://didcomm.org/trust-ping/2.0/>
    TrustPing(TrustPing),
    /// <https://didcomm.org/discover-features/2.0/>
    DiscoverFeatures(DiscoverFeatures),
    /// <https://didcomm.org/basicmessage/2.0/>
    BasicMessage(BasicMessage),
    /// <https://didcomm.org/report-problem/2.0/>
    ProblemReport(ProblemReport),
    /// `urn:pagi:coordinate-research/1.0/`
    Research(Research),
    /// <https://didcomm.org/routing/2.0/>
    Forward(Forward),
    /// <https://didcomm.org/messagepickup/3.0/>, <https://didcomm.org/coordinate-mediation/3.0/>
    Pickup(Pickup),
    /// Another protocol: the caller decides what to do with it.
    Other,
}

impl Content {
    /// Reads the content of a message.
    ///
    /// # Errors
    /// [`DidcommError::Unsupported`] for an unknown message name or major version of a protocol spoken
    /// here, [`DidcommError::Malformed`] for a body that does not fit its type.
    pub fn of(message: &Message) -> Result<Self, DidcommError> {
        let Some((protocol, version, name)) = split_type(&message.type_) else {
            return Ok(Self::Other);
        };
        let read: fn(&str, &Message) -> Result<Option<Self>, DidcommError> = match protocol {
            trust_ping::PROTOCOL => {
                |name, message| Ok(TrustPing::read(name, message)?.map(Self::TrustPing))
            }
            discover_features::PROTOCOL => |name, message| {
                Ok(DiscoverFeatures::read(name, message)?.map(Self::DiscoverFeatures))
            },
            basic_message::PROTOCOL => {
                |name, message| Ok(BasicMessage::read(name, message)?.map(Self::BasicMessage))
            }
            problem_report::PROTOCOL => {
                |name, message| Ok(ProblemReport::read(name, message)?.map(Self::ProblemReport))
            }
            research::PROTOCOL => {
                |name, message| Ok(Research::read(name, message)?.map(Self::Research))
            }
            routing::PROTOCOL => {
                |name, message| Ok(Forward::read(name, message)?.map(Self::Forward))
            }
            pickup::PROTOCOL => |name, message| Ok(Pickup::read(name, message)?.map(Self::Pickup)),
            pickup::MEDIATION => {
                |name, message| Ok(Pickup::read_mediation(name, message)?.map(Self::Pickup))
            }
            _ => return Ok(Self::Other),
        };
        let spoken = match protocol {
            research::PROTOCOL => "1",
            pickup::PROTOCOL | pickup::MEDIATION => "3",
            _ => "2",
        };
        if version.split('.').next() != Some(spoken) {
            return Err(DidcommError::unsupported("type", &message.type_));
        }
        read(name, message)?.ok_or_else(|| DidcommError::unsupported("type", &message.type_))
    }
}

/// The protocol identifiers spoken here, for an answer to a discover-features query.
#[must_use]
pub fn spoken() -> Vec<String> {
    vec![
        format!("{}/2.0", trust_ping::PROTOCOL),
        format!("{}/2.0", discover_features::PROTOCOL),
        format!("{}/2.0", basic_message::PROTOCOL),
        format!("{}/2.0", problem_report::PROTOCOL),
        format!("{}/1.0", research::PROTOCOL),
    ]
}

/// Protocol (without version), version and message name of a message type.
fn split_type(type_: &str) -> Option<(&str, &str, &str)> {
    let (rest, name) = type_.rsplit_once('/')?;
    let (protocol, version) = rest.rsplit_once('/')?;
    Some((protocol, version, name))
}

/// A body as the JSON object it is on the wire.
fn body_of<T: Serialize>(body: &T) -> Map<String, Value> {
    match serde_json::to_value(body) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Reads a body; members it does not know are passed over, as DIDComm asks.
fn read_body<T: DeserializeOwned>(message: &Message) -> Result<T, DidcommError> {
    serde_json::from_value(Value::Object(message.body.clone()))
        .map_err(|error| DidcommError::malformed("body", error))
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use serde_json::json;

    use super::*;
    use crate::message::Headers;

    fn message(type_: &str, body: Value) -> Message {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let Value::Object(body) = body else {
            unreachable!()
        };
        Headers::new("1", &did, &did, 5).message(type_, body)
    }

    #[test]
    fn a_minor_version_is_understood_and_a_major_one_is_not() {
        for (type_, ok) in [
            ("https://didcomm.org/trust-ping/2.0/ping", true),
            ("https://didcomm.org/trust-ping/2.7/ping", true),
            ("https://didcomm.org/trust-ping/1.0/ping", false),
            ("https://didcomm.org/trust-ping/20.0/ping", false),
            ("https://didcomm.org/trust-ping/2.0/pong", false),
            ("urn:pagi:coordinate-research/2.0/propose", false),
        ] {
            let read = Content::of(&message(type_, json!({})));
            assert_eq!(read.is_ok(), ok, "{type_}");
        }
        for other in ["https://example.org/x/1.0/y", "a/b", "a/"] {
            assert_eq!(
                Content::of(&message(other, json!({}))).unwrap(),
                Content::Other
            );
        }
    }

    #[test]
    fn every_protocol_spoken_is_read() {
        for protocol in spoken() {
            let unknown = message(&format!("{protocol}/no-such-name"), json!({}));
            assert!(
                matches!(Content::of(&unknown), Err(DidcommError::Unsupported { .. })),
                "{protocol}"
            );
        }
    }
}
