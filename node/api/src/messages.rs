//! Private messages between twins (DIDComm v2.1).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /messages/{twin_id}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SendMessage {
    /// The recipient's DID.
    pub to_did: String,
    /// Where to post it; to the node that announced the recipient's twin without it. A bare
    /// `http://HOST:PORT` means its `/receive`.
    #[serde(default)]
    pub to_url: Option<String>,
    /// The message type URI; a basic message without it.
    #[serde(default)]
    pub msg_type: Option<String>,
    /// What it says: an object, or the text of a basic message.
    #[serde(default)]
    pub body: Value,
    /// The thread it belongs to; it opens one of its own without it.
    #[serde(default)]
    pub thid: Option<String>,
    /// CIDs of what is attached: it stays where it is, and whoever reads the message fetches it.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// How long to wait for an answer in the thread, seconds; not at all without it.
    #[serde(default)]
    pub wait_s: Option<u64>,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SentMessage {
    /// Its id.
    pub id: String,
    /// Its thread.
    pub thid: String,
    /// The sending twin's DID.
    pub from: String,
    /// The recipient's DID.
    pub to: String,
    /// The message type URI.
    pub msg_type: String,
    /// `delivered`: the recipient's node has it in store; `held`: a mailbox has it for the recipient,
    /// who is away; `queued`: it is tried again until `expires_at`.
    pub status: String,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is void (RFC 3339).
    pub expires_at: String,
    /// The place in the event log after which its answers come.
    #[serde(default)]
    pub after: u64,
    /// The answer, where one was waited for and came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReceivedMessage>,
}

/// A message a twin received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReceivedMessage {
    /// Position in the twin's inbox, rising from 1.
    pub seq: u64,
    /// Its id, its sender's choice.
    pub id: String,
    /// The twin.
    pub twin_id: String,
    /// The DID that was proven to have sent it; absent for an anonymous message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its thread.
    pub thid: String,
    /// The message type URI.
    pub msg_type: String,
    /// What it says.
    pub body: Value,
    /// What is attached, as the message has it (DIDComm v2.1, section "Attachments"); something by CID
    /// has the link `ipfs://CID`. Nothing is fetched unasked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    /// When it arrived (RFC 3339).
    pub received_at: String,
    /// Whether it was marked as read.
    pub read: bool,
}

/// `POST /messages/{twin_id}/read`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MarkRead {
    /// The positions of the messages.
    pub seqs: Vec<u64>,
}

/// How many messages were marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MarkedRead {
    /// Those of them that are in the inbox.
    pub read: usize,
}

/// The answer to `POST /receive`: the message is in store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MessageReceipt {
    /// `received`.
    pub status: String,
    /// The message's id.
    pub id: String,
    /// The recipient's DID.
    pub to: String,
    /// The same, signed by the recipient: its DID, the CID of what was packed, and its fate.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub proof: Value,
}

/// Whom a twin listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Contacts {
    /// Those whose messages are refused.
    #[serde(default)]
    pub blocked: Vec<String>,
    /// Those whose research questions the twin answers.
    #[serde(default)]
    pub research: Vec<String>,
    /// Those the twin has written to; others may send less.
    #[serde(default)]
    pub known: Vec<String>,
}

/// `PATCH /contacts/{twin_id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ChangeContacts {
    /// DIDs to block.
    pub block: Vec<String>,
    /// DIDs to block no longer.
    pub unblock: Vec<String>,
    /// DIDs whose research questions are to be answered.
    pub allow: Vec<String>,
    /// DIDs whose research questions are not to be answered any longer.
    pub disallow: Vec<String>,
}
