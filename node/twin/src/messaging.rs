//! Private messages of twins (DIDComm v2.1): written, sealed and handed to the courier on one side,
//! opened, judged and stored on the other.
//!
//! What is sent is authenticated encryption: the recipient, and nobody between, can read it and tell
//! who wrote it. A message is in the outbox before it is first tried, so that a crash loses none, and
//! is acknowledged by the other side only once it is stored there. It may so arrive more than once,
//! and is taken in once: the store knows messages by sender and id.

mod outbox;
mod throttle;

use std::sync::PoisonError;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_api::messages::{MessageReceipt, ReceivedMessage, SendMessage, SentMessage};
use pagi_didcomm::{
    BasicMessage, Content, Headers, Limits, Message, Packing, TrustPing, Unpacked, pack, unpack,
};
use pagi_messages::{
    Did, EventType, SigningIdentity,
    event::{from_unix_ms, rfc3339},
};
use pagi_policy::{Refusal, Subject, Verdict};
use pagi_store::{AuditRecord, Batch, InboxMessage, OutboxMessage, StoreError, TwinRecord};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::outbox::Tried;
pub use self::throttle::Throttle;
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
        let now = now_ms();
        let message = compose(&request, identity.did(), &to, now / 1000)?;
        if let Verdict::Refused(refusal) = self
            .gate(&self.inner.collective.playbook())?
            .judge(Subject::Output(&text_of(&message.body)))
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
            to_url: request.to_url.filter(|url| !url.is_empty()),
            msg_type: message.type_.clone(),
            packed,
            created_at: now_text(),
            expires_at_ms,
            attempts: 0,
            next_attempt_ms: now.saturating_add(FIRST_TRY_MS),
            last_error: None,
        };
        let audit = AuditRecord::new(now_text(), twin_id, "message_sent", "allowed")
            .about(to.as_str())
            .with_detail(json!({"id": message.id, "msg_type": message.type_}));
        self.store()
            .write(Batch::new().outgoing(outgoing.clone()).audit(audit))
            .await?;
        let (status, reason) = match self.attempt(outgoing).await? {
            Tried::Delivered => ("delivered", None),
            Tried::Waits(why) => ("queued", Some(why)),
            Tried::Refused(why) => return Err(TwinError::NotTaken(why)),
        };
        Ok(SentMessage {
            thid: message.thread().to_owned(),
            id: message.id,
            from: twin.did,
            to: to.to_string(),
            msg_type: message.type_,
            status: status.into(),
            reason,
            expires_at: rfc3339(from_unix_ms(expires_at_ms)),
        })
    }

    /// Takes a packed message in for the twin of this node that it is meant for. It is stored, once
    /// and for good, when this returns.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive_message(&self, packed: &str) -> Result<MessageReceipt, ReceiveError> {
        let now = now_ms();
        if packed.len() > MAX_PACKED_BYTES {
            return Err(ReceiveError::TooLarge);
        }
        if !self.throttle(|throttle| throttle.admit_any(now)) {
            return Err(ReceiveError::TooMany);
        }
        let recipients = recipients(packed)?;
        let named = recipients.first().map_or("", String::as_str);
        let mut refused = ReceiveError::UnknownRecipient(named.chars().take(100).collect());
        let mut receipt = None;
        for to in recipients {
            let Some(twin) = self.twin_with(&to)? else {
                continue;
            };
            match self.take_in(&twin, packed, now).await {
                Ok(taken) => receipt = receipt.or(Some(taken)),
                Err(error) => refused = error,
            }
        }
        receipt.ok_or(refused)
    }

    async fn take_in(
        &self,
        twin: &TwinRecord,
        packed: &str,
        now_ms: u64,
    ) -> Result<MessageReceipt, ReceiveError> {
        let now_s = now_ms / 1000;
        let twin_id = twin.twin_id.as_str();
        let identity = self.inner.keys.twin(twin_id).map_err(TwinError::from)?;
        let limits = Limits {
            max_bytes: MAX_PACKED_BYTES,
            ..Limits::default()
        };
        let unpacked = unpack(packed, &identity, now_s, &limits)
            .and_then(|unpacked| Ok((Content::of(&unpacked.message)?, unpacked)));
        let (content, unpacked) = unpacked.map_err(|error| {
            tracing::debug!(twin_id, %error, "a message was not accepted");
            ReceiveError::Malformed(error.problem_code())
        })?;
        // Without a time nobody could say how long to remember it.
        let until_s = unpacked
            .valid_until_s
            .ok_or(ReceiveError::Malformed("e.m.req.time"))?;
        let from = unpacked.message.from.as_ref().map(Did::as_str);
        if !self.throttle(|throttle| throttle.admit(from, now_ms)) {
            return Err(ReceiveError::TooMany);
        }
        let verdict = self
            .gate(&self.inner.collective.playbook())?
            .judge(Subject::Text(&text_of(&unpacked.message.body)));
        if let Verdict::Refused(refusal) = verdict {
            let response = refusal.response.clone();
            self.refused(twin, from.unwrap_or("anonymous"), "incoming", refusal)
                .await?;
            return Err(ReceiveError::Refused(response));
        }
        let ping = matches!(
            content,
            Content::TrustPing(TrustPing::Ping {
                response_requested: true
            })
        );
        let mut batch = received(twin_id, &unpacked, until_s, now_s, ping);
        let answer = match &unpacked.message.from {
            Some(sender)
                if ping && self.store().outbox_len().map_err(TwinError::from)? < ANSWERED_UP_TO =>
            {
                let headers = Headers::reply(
                    Uuid::new_v4().to_string(),
                    &unpacked.message,
                    identity.did(),
                    now_s,
                );
                let answer =
                    TrustPing::response(headers.expires_at(now_s.saturating_add(ANSWER_LIFE_S)));
                Some((sender.clone(), answer))
            }
            _ => None,
        };
        let answers = answer.is_some();
        if let Some((to, answer)) = answer {
            batch = batch.outgoing(OutboxMessage {
                packed: seal(&answer, &identity, &to)?,
                id: answer.id,
                twin_id: twin_id.to_owned(),
                to: to.to_string(),
                to_url: None,
                msg_type: answer.type_,
                created_at: now_text(),
                expires_at_ms: now_ms.saturating_add(ANSWER_LIFE_S * 1000),
                attempts: 0,
                next_attempt_ms: now_ms,
                last_error: None,
            });
        }
        match self.store().write(batch).await {
            Ok(_) => {}
            Err(StoreError::Duplicate { .. }) => return Err(ReceiveError::Replayed),
            Err(StoreError::Stale { .. }) => return Err(ReceiveError::Malformed("e.m.req.time")),
            Err(StoreError::Invalid { .. }) => return Err(ReceiveError::Malformed("e.m.msg")),
            Err(error) => return Err(TwinError::from(error).into()),
        }
        if answers {
            self.inner.outbox.notify_one();
        }
        Ok(MessageReceipt {
            status: "received".into(),
            id: unpacked.message.id,
            to: twin.did.clone(),
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
    let message = match (msg_type, &request.body) {
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
    // What the other side could not read is not sent.
    Content::of(&message)?;
    Ok(message)
}

fn seal(message: &Message, identity: &SigningIdentity, to: &Did) -> Result<String, TwinError> {
    let packed = pack(message, Packing::Authcrypt, Some(identity), to)?;
    if packed.len() > MAX_PACKED_BYTES {
        return Err(TwinError::Invalid(format!(
            "the sealed message has {} bytes; at most {MAX_PACKED_BYTES} are allowed",
            packed.len()
        )));
    }
    Ok(packed)
}

/// What a received message writes: itself, the event and the audit record. What it says is in the
/// inbox alone.
fn received(twin_id: &str, unpacked: &Unpacked, until_s: u64, now_s: u64, read: bool) -> Batch {
    let message = &unpacked.message;
    let from = message.from.as_ref().map(ToString::to_string);
    let detail = json!({"id": message.id, "from": from, "thid": message.thread(),
        "msg_type": message.type_, "encrypted": unpacked.encrypted,
        "signed": unpacked.signed_by.is_some()});
    let event =
        event_now(EventType::DidcommReceived, "messaging", detail.clone()).about_twin(twin_id);
    let audit = AuditRecord::new(
        now_text(),
        from.as_deref().unwrap_or("anonymous"),
        "message_received",
        "allowed",
    )
    .about(twin_id)
    .with_detail(detail);
    let message = InboxMessage {
        seq: 0,
        id: message.id.clone(),
        twin_id: twin_id.to_owned(),
        from,
        thid: message.thread().to_owned(),
        msg_type: message.type_.clone(),
        body: Value::Object(message.body.clone()),
        received_at: now_text(),
        read,
    };
    Batch::new()
        .receive(message, until_s, now_s)
        .event(event)
        .audit(audit)
}

/// The DIDs that a packed message is meant for, as its outside says: proof of nothing, but it tells
/// whose key to try.
///
/// # Errors
/// [`ReceiveError::Malformed`] where it is no envelope.
#[doc(hidden)]
pub fn recipients(packed: &str) -> Result<Vec<String>, ReceiveError> {
    let malformed = || ReceiveError::Malformed("e.m.msg");
    let outside: Map<String, Value> = serde_json::from_str(packed).map_err(|_| malformed())?;
    let mut found: Vec<String> = Vec::new();
    let mut add = |did: &str| {
        if found.len() < MAX_RECIPIENTS && !found.iter().any(|known| known == did) {
            found.push(did.to_owned());
        }
    };
    if let Some(list) = outside.get("recipients").and_then(Value::as_array) {
        let kids = list.iter().filter_map(|one| one["header"]["kid"].as_str());
        kids.filter_map(|kid| kid.split('#').next())
            .for_each(&mut add);
    } else if let Some(payload) = outside.get("payload").and_then(Value::as_str) {
        let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
        let inside: Value = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
        let to = inside["to"].as_array().into_iter().flatten();
        to.filter_map(Value::as_str).for_each(&mut add);
    } else {
        // Neither encrypted nor signed.
        return Err(malformed());
    }
    Ok(found)
}

/// Every text in a body, for the ethics gate.
fn text_of(body: &Map<String, Value>) -> String {
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
    body.values().for_each(|value| walk(value, &mut text));
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
        received_at: message.received_at,
        read: message.read,
    }
}
