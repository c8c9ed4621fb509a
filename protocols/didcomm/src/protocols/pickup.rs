//! Message Pickup 3.0, and as much of Coordinate Mediation 3.0 as leads to it: how one who was away
//! gets the letters that another kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{body_of, read_body, routing::text_of};
use crate::{
    error::DidcommError,
    message::{Attachment, AttachmentData, Headers, Message},
};

/// Message pickup without its version.
pub const PROTOCOL: &str = "https://didcomm.org/messagepickup";
/// Coordinate mediation without its version.
pub const MEDIATION: &str = "https://didcomm.org/coordinate-mediation";
/// Most letters of one delivery.
pub const MAX_DELIVERED: usize = 100;

/// A step of either protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Pickup {
    /// Will you keep letters for me?
    MediateRequest {
        /// The asker's signed word, which it shows to those who write to it.
        lease: Value,
    },
    /// I will; letters go to these DIDs.
    MediateGrant {
        /// The keeper's DIDs.
        routing_did: Vec<String>,
    },
    /// I will not.
    MediateDeny,
    /// What do you have for me?
    StatusRequest,
    /// So many.
    Status(Status),
    /// Give me some of them.
    DeliveryRequest {
        /// At most so many.
        limit: usize,
    },
    /// Here they are.
    Delivery(Vec<Letter>),
    /// I have these; keep them no longer.
    MessagesReceived {
        /// Ids of a delivery's letters.
        ids: Vec<String>,
    },
}

/// Body of `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Letters kept.
    pub message_count: usize,
    /// Their bytes.
    #[serde(default)]
    pub total_bytes: usize,
    /// How long the oldest has waited, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_waited_seconds: Option<u64>,
    /// Whether letters are sent on as they come; never.
    #[serde(default)]
    pub live_delivery: bool,
}

/// A letter of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What to call it in `messages-received`.
    pub id: String,
    /// The packed message.
    pub packed: String,
}

#[derive(Serialize, Deserialize)]
struct LeaseBody {
    lease: Value,
}
#[derive(Serialize, Deserialize)]
struct GrantBody {
    routing_did: Vec<String>,
}
#[derive(Serialize, Deserialize)]
struct LimitBody {
    limit: usize,
}
#[derive(Serialize, Deserialize)]
struct ReceivedBody {
    message_id_list: Vec<String>,
}

impl Pickup {
    /// The message for this step; make `headers` of an answer with [`Headers::reply`].
    ///
    /// # Errors
    /// [`DidcommError::Malformed`] where a letter is not JSON.
    pub fn message(&self, headers: Headers) -> Result<Message, DidcommError> {
        let pickup = |name: &str| format!("{PROTOCOL}/3.0/{name}");
        let mediation = |name: &str| format!("{MEDIATION}/3.0/{name}");
        Ok(match self {
            Self::MediateRequest { lease } => {
                let lease = lease.clone();
                headers.message(mediation("mediate-request"), body_of(&LeaseBody { lease }))
            }
            Self::MediateGrant { routing_did } => {
                let routing_did = routing_did.clone();
                let body = body_of(&GrantBody { routing_did });
                headers.message(mediation("mediate-grant"), body)
            }
            Self::MediateDeny => headers.message(mediation("mediate-deny"), Map::new()),
            Self::StatusRequest => {
                // "all": the answer comes on the same connection.
                let mut message = headers.message(pickup("status-request"), Map::new());
                returned(&mut message);
                message
            }
            Self::Status(status) => headers.message(pickup("status"), body_of(status)),
            Self::DeliveryRequest { limit } => {
                let body = body_of(&LimitBody { limit: *limit });
                let mut message = headers.message(pickup("delivery-request"), body);
                returned(&mut message);
                message
            }
            Self::Delivery(letters) => {
                let mut message = headers.message(pickup("delivery"), Map::new());
                for letter in letters {
                    let json = serde_json::from_str(&letter.packed)
                        .map_err(|error| DidcommError::malformed("a letter", error))?;
                    message.attachments.push(Attachment {
                        id: Some(letter.id.clone()),
                        data: AttachmentData {
                            json: Some(json),
                            ..AttachmentData::default()
                        },
                        ..Attachment::default()
                    });
                }
                message
            }
            Self::MessagesReceived { ids } => {
                let message_id_list = ids.clone();
                let body = body_of(&ReceivedBody { message_id_list });
                let mut message = headers.message(pickup("messages-received"), body);
                returned(&mut message);
                message
            }
        })
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        Ok(Some(match name {
            "status-request" => Self::StatusRequest,
            "status" => Self::Status(read_body(message)?),
            "delivery-request" => Self::DeliveryRequest {
                limit: read_body::<LimitBody>(message)?.limit,
            },
            "delivery" => {
                let letters = message.attachments.iter().take(MAX_DELIVERED);
                let letters = letters.map(|attachment| {
                    let id = attachment.id.clone();
                    Ok(Letter {
                        id: id.ok_or(DidcommError::malformed("attachment", "it has no `id`"))?,
                        packed: text_of(attachment)?,
                    })
                });
                Self::Delivery(letters.collect::<Result<_, DidcommError>>()?)
            }
            "messages-received" => Self::MessagesReceived {
                ids: read_body::<ReceivedBody>(message)?.message_id_list,
            },
            _ => return Ok(None),
        }))
    }

    pub(super) fn read_mediation(
        name: &str,
        message: &Message,
    ) -> Result<Option<Self>, DidcommError> {
        Ok(Some(match name {
            "mediate-request" => Self::MediateRequest {
                lease: read_body::<LeaseBody>(message)?.lease,
            },
            "mediate-grant" => Self::MediateGrant {
                routing_did: read_body::<GrantBody>(message)?.routing_did,
            },
            "mediate-deny" => Self::MediateDeny,
            _ => return Ok(None),
        }))
    }
}

/// Asks for the answer on the connection that the message came on.
fn returned(message: &mut Message) {
    message
        .extra
        .insert("return_route".to_owned(), json!("all"));
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::Content;

    #[test]
    fn every_step_is_read_back_as_what_it_is() {
        let did = |n: u8| SigningIdentity::from_seed(&[n; 32]).did().clone();
        for step in [
            Pickup::MediateRequest {
                lease: json!({"a": 1}),
            },
            Pickup::MediateGrant {
                routing_did: vec!["did:x".into()],
            },
            Pickup::MediateDeny,
            Pickup::StatusRequest,
            Pickup::Status(Status {
                message_count: 2,
                total_bytes: 9,
                longest_waited_seconds: Some(3),
                live_delivery: false,
            }),
            Pickup::DeliveryRequest { limit: 5 },
            Pickup::Delivery(vec![Letter {
                id: "l".into(),
                packed: "{\"z\":1,\"a\":2}".into(),
            }]),
            Pickup::MessagesReceived {
                ids: vec!["l".into()],
            },
        ] {
            let headers = Headers::new("1", &did(1), &did(2), 5);
            let message = step.message(headers).unwrap();
            assert_eq!(Content::of(&message).unwrap(), Content::Pickup(step));
        }
    }
}
