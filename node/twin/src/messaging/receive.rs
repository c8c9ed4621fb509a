//! The way in: a packed message is opened, judged and stored.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_api::messages::MessageReceipt;
use pagi_didcomm::{Content, Fate, Limits, Receipt, Unpacked, unpack};
use pagi_messages::{Did, EventType, Signed, SigningIdentity};
use pagi_policy::{Subject, Verdict};
use pagi_store::{AuditRecord, Batch, InboxMessage, StoreError, TwinRecord};
use serde_json::{Map, Value, json};

use super::{MAX_PACKED_BYTES, MAX_RECIPIENTS, ReceiveError, answers::Asked, attached, text_of};
use crate::{
    error::TwinError,
    mind::{Mind, event_now, now_ms, now_text},
};

/// The standing from which on a sender is no stranger.
const BELIEVED: f64 = 0.1;

/// What came of a message, and the recipient's signed word on it where there is a recipient here and
/// the matter is settled.
pub struct Taken {
    /// What came of it.
    pub outcome: Result<MessageReceipt, ReceiveError>,
    /// The recipient's receipt.
    pub receipt: Option<Signed<Receipt>>,
}

impl Mind {
    /// Takes a packed message in for the twin of this node that it is meant for. It is stored, once
    /// and for good, when this returns.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive_message(&self, packed: &str) -> Result<MessageReceipt, ReceiveError> {
        self.take_message(packed).await.outcome
    }

    /// As [`Mind::receive_message`], with the recipient's receipt.
    pub async fn take_message(&self, packed: &str) -> Taken {
        let mut keys = Vec::new();
        let mut outcome = self.receive(packed, &mut keys).await;
        let fate = match &outcome {
            Ok(_) | Err(ReceiveError::Replayed) => Some(Fate::Stored),
            Err(error) if error.is_passing() => None,
            Err(error) => Some(Fate::Refused {
                reason: error.to_string(),
            }),
        };
        let receipt = match (fate, keys.first()) {
            (Some(fate), Some(key)) => Receipt::give(key, packed, fate).ok(),
            _ => None,
        };
        if let (Ok(taken), Some(receipt)) = (&mut outcome, &receipt) {
            taken.proof = serde_json::to_value(receipt).unwrap_or_default();
        }
        Taken { outcome, receipt }
    }

    async fn receive(
        &self,
        packed: &str,
        keys: &mut Vec<SigningIdentity>,
    ) -> Result<MessageReceipt, ReceiveError> {
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
        let twins = self.store().list_twins().map_err(TwinError::from)?;
        for to in recipients {
            let Some((twin, identity)) = self.addressee(&twins, &to)? else {
                continue;
            };
            let taken = self.take_in(&twin, &identity, packed, now).await;
            match taken {
                Ok(taken) if receipt.is_none() => {
                    receipt = Some(taken);
                    keys.insert(0, identity);
                }
                Ok(_) => {}
                Err(error) => {
                    refused = error;
                    keys.push(identity);
                }
            }
        }
        receipt.ok_or(refused)
    }

    async fn take_in(
        &self,
        twin: &TwinRecord,
        identity: &SigningIdentity,
        packed: &str,
        now_ms: u64,
    ) -> Result<MessageReceipt, ReceiveError> {
        let now_s = now_ms / 1000;
        let twin_id = twin.twin_id.as_str();
        let limits = Limits {
            max_bytes: MAX_PACKED_BYTES,
            ..Limits::default()
        };
        let unpacked = unpack(packed, identity, now_s, &limits)
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
        let contacts = self.contacts_of(twin_id)?;
        let lists = |list: &[String]| from.is_some_and(|from| list.iter().any(|one| one == from));
        if lists(&contacts.blocked) {
            return Err(ReceiveError::Refused(
                "the recipient takes no messages of this sender".to_owned(),
            ));
        }
        let believed = |from: &Did| {
            let esteem = self.inner.esteem.get();
            esteem.is_some_and(|esteem| esteem.standing(from) >= BELIEVED)
        };
        let known = lists(&contacts.known)
            || lists(&contacts.research)
            || unpacked.message.from.as_ref().is_some_and(believed);
        if !self.throttle(|throttle| throttle.admit(from, known, now_ms)) {
            return Err(ReceiveError::TooMany);
        }
        let verdict = self
            .gate(&self.inner.collective.playbook())?
            .judge(Subject::Text(&text_of(&unpacked.message)));
        if let Verdict::Refused(refusal) = verdict {
            let response = refusal.response.clone();
            self.refused(twin, from.unwrap_or("anonymous"), "incoming", refusal)
                .await?;
            return Err(ReceiveError::Refused(response));
        }
        let asked = Asked {
            twin,
            identity,
            message: &unpacked.message,
            allowed: lists(&contacts.research),
            now_ms,
        };
        let answer = self.answer(&asked, &content)?;
        let mut batch = received(twin_id, &unpacked, until_s, now_s, answer.settled);
        let answers = answer.outgoing.is_some();
        if let Some(outgoing) = answer.outgoing {
            batch = batch.outgoing(outgoing);
        }
        let stored = match self.store().write(batch).await {
            Ok(outcome) => outcome.messages,
            Err(StoreError::Duplicate { .. }) => return Err(ReceiveError::Replayed),
            Err(StoreError::Stale { .. }) => return Err(ReceiveError::Malformed("e.m.req.time")),
            Err(StoreError::Invalid { .. }) => return Err(ReceiveError::Malformed("e.m.msg")),
            Err(error) => return Err(TwinError::from(error).into()),
        };
        if answers {
            self.inner.outbox.notify_one();
        }
        if answer.research {
            for message in stored {
                self.start_research(message);
            }
        }
        Ok(MessageReceipt {
            status: "received".into(),
            id: unpacked.message.id,
            to: identity.did().to_string(),
            proof: Value::Null,
        })
    }
}

/// What a received message writes: itself, the event and the audit record. What it says is in the
/// inbox alone.
fn received(twin_id: &str, unpacked: &Unpacked, until_s: u64, now_s: u64, read: bool) -> Batch {
    let message = &unpacked.message;
    let from = message.from.as_ref().map(ToString::to_string);
    let detail = json!({"id": message.id, "from": from, "thid": message.thread(),
        "pthid": message.pthid, "msg_type": message.type_, "encrypted": unpacked.encrypted,
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
        attachments: attached(message),
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
/// [`ReceiveError::Malformed`] for what is neither encrypted nor signed.
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
