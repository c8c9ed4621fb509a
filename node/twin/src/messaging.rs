//! Private messages of twins (DIDComm v2.1): written, sealed and handed to the courier on one side,
//! opened, judged and stored on the other.
//!
//! What is sent is authenticated encryption in an anonymous layer: the recipient, and nobody between,
//! can read it and tell who wrote it. A message is in the outbox before it is first tried, so that a crash loses none, and
//! is acknowledged by the other side only once it is stored there. It may so arrive more than once,
//! and is taken in once: the store knows messages by sender and id.

mod answers;
mod contacts;
mod outbox;
mod receive;
mod replies;
mod rotation;
mod throttle;

use std::{sync::PoisonError, time::Duration};

use cid::Cid;
use pagi_api::messages::{ReceivedMessage, SendMessage, SentMessage};
use pagi_didcomm::{Attachment, BasicMessage, Content, Headers, Message, Packing, pack};
use pagi_messages::{
    Did, EventType, SigningIdentity,
    event::{from_unix_ms, rfc3339},
};
use pagi_policy::{Refusal, Subject, Verdict};
use pagi_store::{AuditRecord, Batch, InboxMessage, OutboxMessage, TwinRecord};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::outbox::Tried;
pub use self::{
    receive::{Taken, recipients},
    replies::MAX_WAIT_S,
    throttle::Throttle,
};
use crate::{
    error::TwinError,
    mind::{Mind, event_now, now_ms, now_text},
};

/// Longest packed message, bytes.
pub const MAX_PACKED_BYTES: usize = 256 * 1024;
/// Most messages an inbox is asked for at a time.
pub const MOST_MESSAGES: usize = 1_000;
/// How long a message is tried, and valid: three days, in seconds.
const LIFE_S: u64 = 3 * 24 * 3600;
/// The same for an answer that is given of itself: it is of no use later.
const ANSWER_LIFE_S: u64 = 60;
/// Messages under way beyond which nothing is answered of itself, lest strangers fill the outbox.
const ANSWERED_UP_TO: usize = 100;
/// How long a first try may take until the outbox makes the next, milliseconds.
const FIRST_TRY_MS: u64 = 30_000;
/// Most recipients of one envelope that are looked at.
const MAX_RECIPIENTS: usize = 32;

/// Why an incoming message was not taken. The texts are for strangers: they say what is wrong and not
/// which check found it.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is longer than [`MAX_PACKED_BYTES`].
    #[error("the message is longer than {MAX_PACKED_BYTES} bytes")]
    TooLarge,
    /// It is no message, or not one that can be believed. The text is a DIDComm problem code.
    #[error("the message cannot be accepted ({0})")]
    Malformed(&'static str),
    /// No twin of this node is meant.
    #[error("no twin of this node is meant (`{0}`)")]
    UnknownRecipient(String),
    /// It was taken before.
    #[error("the message was received before")]
    Replayed,
    /// The ethics gate refused it.
    #[error("the message is refused: {0}")]
    Refused(String),
    /// The sender, or everybody together, sends too much.
    #[error("too many messages; try again later")]
    TooMany,
    /// The node itself failed.
    #[error("the message could not be stored")]
    Node(#[source] TwinError),
}

impl ReceiveError {
    /// Whether the same message may be taken at another time.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::TooMany | Self::Node(_))
    }
}

impl From<TwinError> for ReceiveError {
    fn from(error: TwinError) -> Self {
        Self::Node(error)
    }
}

impl Mind {
    /// Writes a message as a twin and sends it. It is stored before this returns, and tried again
    /// for three days where it cannot be delivered now.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`] and [`TwinError::Message`] for what cannot
    /// be sent, [`TwinError::Refused`] by the ethics gate, [`TwinError::NotTaken`] where the other
    /// side refuses it for good.
    pub async fn send_message(
        &self,
        twin_id: &str,
        request: SendMessage,
    ) -> Result<SentMessage, TwinError> {
        let twin = self.require(twin_id)?;
        let identity = self.inner.keys.twin(twin_id)?;
        let to: Did = request
            .to_did
            .parse()
            .map_err(|error| TwinError::Invalid(format!("to_did: {error}")))?;
        // A key that was given up reads nothing any more.
        let to = self.current_did(&to)?;
        let url = request.to_url.clone().filter(|url| !url.is_empty());
        if let Some(url) = &url {
            self.inner.courier.check(url).map_err(TwinError::Refused)?;
        }
        let wait = Duration::from_secs(request.wait_s.unwrap_or(0).min(MAX_WAIT_S));
        let now = now_ms();
        let message = compose(&request, identity.did(), &to, now / 1000)?;
        if let Verdict::Refused(refusal) = self
            .gate(&self.inner.collective.playbook())?
            .judge(Subject::Output(&text_of(&message)))
        {
            let why = refusal.explanation.clone();
            self.refused(&twin, to.as_str(), "outgoing", refusal)
                .await?;
            return Err(TwinError::Refused(why));
        }
        let packed = seal(&message, &identity, &to)?;
        let expires_at_ms = message.expires_time.unwrap_or(0).saturating_mul(1000);
        let outgoing = OutboxMessage {
            id: message.id.clone(),
            twin_id: twin_id.to_owned(),
            to: to.to_string(),
            to_url: url,
            msg_type: message.type_.clone(),
            packed,
            created_at: now_text(),
            expires_at_ms,
            attempts: 0,
            next_attempt_ms: now.saturating_add(FIRST_TRY_MS),
            last_error: None,
            held_by: None,
        };
        self.writes_to(twin_id, &to).await?;
        let after = self.store().last_event_seq()?;
        let audit = AuditRecord::new(now_text(), twin_id, "message_sent", "allowed")
            .about(to.as_str())
            .with_detail(json!({"id": message.id, "msg_type": message.type_}));
        self.store()
            .write(Batch::new().outgoing(outgoing.clone()).audit(audit))
            .await?;
        let (status, reason) = match self.attempt(outgoing).await? {
            Tried::Delivered => ("delivered", None),
            Tried::Held(by) => (
                "held",
                Some(format!("the recipient is away; {by} holds it")),
            ),
            Tried::Waits(why) => ("queued", Some(why)),
            Tried::Refused(why) => return Err(TwinError::NotTaken(why)),
        };
        let thid = message.thread().to_owned();
        let reply = if wait.is_zero() {
            None
        } else {
            let asked = (message.id.as_str(), thid.as_str());
            self.reply(twin_id, to.as_str(), asked, after, wait).await?
        };
        Ok(SentMessage {
            thid,
            reply,
            id: message.id,
            from: twin.did,
            to: to.to_string(),
            msg_type: message.type_,
            status: status.into(),
            reason,
            expires_at: rfc3339(from_unix_ms(expires_at_ms)),
            after,
        })
    }

    /// The newest `limit` messages of a twin, oldest first; only the unread ones with `unread`.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn inbox(
        &self,
        twin_id: &str,
        unread: bool,
        limit: usize,
    ) -> Result<Vec<ReceivedMessage>, TwinError> {
        self.require(twin_id)?;
        let messages = self
            .store()
            .inbox(twin_id, unread, limit.min(MOST_MESSAGES))?;
        Ok(messages.into_iter().map(view).collect())
    }

    /// Marks messages of a twin as read; gives how many of them there are.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub async fn mark_read(&self, twin_id: &str, seqs: Vec<u64>) -> Result<usize, TwinError> {
        self.require(twin_id)?;
        let batch = Batch::new().read_messages(twin_id, seqs);
        Ok(self.store().write(batch).await?.read)
    }

    /// The twin of this node with a DID.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub fn twin_with(&self, did: &str) -> Result<Option<TwinRecord>, TwinError> {
        Ok(self
            .store()
            .list_twins()?
            .into_iter()
            .find(|twin| twin.did == did))
    }

    fn throttle(&self, ask: impl FnOnce(&mut Throttle) -> bool) -> bool {
        ask(&mut self
            .inner
            .throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a refusal of a message: audited, and an event.
    async fn refused(
        &self,
        twin: &TwinRecord,
        other: &str,
        direction: &str,
        refusal: Refusal,
    ) -> Result<(), TwinError> {
        let detail = json!({"stage": "message", "direction": direction, "other": other,
            "rule": refusal.rule, "category": refusal.category,
            "explanation": refusal.explanation});
        let event = event_now(EventType::EthicsRefused, "ethics", detail.clone())
            .about_twin(&twin.twin_id)
            .about("message");
        let audit = AuditRecord::new(now_text(), &twin.twin_id, "ethics_refused", "refused")
            .about("message")
            .with_detail(detail);
        self.store()
            .write(Batch::new().event(event).audit(audit))
            .await?;
        Ok(())
    }
}

/// The message that `request` asks for.
fn compose(request: &SendMessage, from: &Did, to: &Did, now_s: u64) -> Result<Message, TwinError> {
    let mut headers = Headers::new(Uuid::new_v4().to_string(), from, to, now_s)
        .expires_at(now_s.saturating_add(LIFE_S));
    headers.thid = request.thid.clone().filter(|thid| !thid.is_empty());
    let msg_type = request.msg_type.as_deref().filter(|kind| !kind.is_empty());
    let mut message = match (msg_type, &request.body) {
        (None, Value::String(text)) => BasicMessage::message(headers, text, None),
        (None, body) => {
            let content = body.get("content").and_then(Value::as_str).ok_or_else(|| {
                TwinError::Invalid(
                    "body: without a msg_type it is a text, or {\"content\": \"a text\"}".into(),
                )
            })?;
            BasicMessage::message(headers, content, None)
        }
        (Some(kind), Value::Object(body)) => headers.message(kind, body.clone()),
        (Some(kind), Value::Null) => headers.message(kind, Map::new()),
        (Some(kind), Value::String(text)) => {
            let body = Map::from_iter([("content".to_owned(), json!(text))]);
            headers.message(kind, body)
        }
        (Some(_), _) => return Err(TwinError::Invalid("body: it must be an object".into())),
    };
    for text in &request.attachments {
        let cid: Cid = text
            .parse()
            .map_err(|_| TwinError::Invalid(format!("attachments: `{text}` is no CID")))?;
        let attachment = Attachment::by_cid(&cid.to_string(), &cid.hash().to_bytes());
        message.attachments.push(attachment);
    }
    // What the other side could not read is not sent.
    Content::of(&message)?;
    Ok(message)
}

fn seal(message: &Message, identity: &SigningIdentity, to: &Did) -> Result<String, TwinError> {
    let packed = pack(message, Packing::HiddenAuthcrypt, Some(identity), to)?;
    if packed.len() > MAX_PACKED_BYTES {
        return Err(TwinError::Invalid(format!(
            "the sealed message has {} bytes; at most {MAX_PACKED_BYTES} are allowed",
            packed.len()
        )));
    }
    Ok(packed)
}

/// What is attached to a message, as JSON.
fn attached(message: &Message) -> Vec<Value> {
    let attached = message.attachments.iter();
    attached
        .filter_map(|one| serde_json::to_value(one).ok())
        .collect()
}

/// Every text in a message's body and attachments, for the ethics gate.
fn text_of(message: &Message) -> String {
    fn walk(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, out)),
            Value::Object(map) => map.values().for_each(|item| walk(item, out)),
            _ => {}
        }
    }
    let mut text = String::new();
    message
        .body
        .values()
        .for_each(|value| walk(value, &mut text));
    // Names of content say nothing, and look like keys.
    for attachment in &message.attachments {
        for said in attachment.description.iter().chain(&attachment.filename) {
            text.push_str(said);
            text.push('\n');
        }
        attachment
            .data
            .json
            .iter()
            .for_each(|value| walk(value, &mut text));
    }
    text
}

fn view(message: InboxMessage) -> ReceivedMessage {
    ReceivedMessage {
        seq: message.seq,
        id: message.id,
        twin_id: message.twin_id,
        from: message.from,
        thid: message.thid,
        msg_type: message.msg_type,
        body: message.body,
        attachments: message.attachments,
        received_at: message.received_at,
        read: message.read,
    }
}
