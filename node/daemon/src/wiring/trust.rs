//! The native tools of twins that deal with one another: private messages and credentials.

use std::sync::Arc;

use pagi_api::messages::SendMessage;
use pagi_messages::{Did, Notice};
use pagi_plugin_host::ToolError;
use pagi_twin::{Mind, TwinError, messaging::MOST_MESSAGES};
use serde::Deserialize;
use serde_json::{Value, json};

use super::natives::{Native, READS, SHARES, WRITES, failed, identity, native, read, twin_of};
use super::notices::Board;

/// Days a credential holds unless said otherwise.
const DEFAULT_DAYS: u64 = 90;

/// The tools.
pub(super) fn tools(mind: &Mind, board: &Arc<Board>) -> [Native; 4] {
    [
        send_message(mind.clone()),
        get_inbox(mind.clone()),
        issue(mind.clone(), board.clone()),
        verify_credential(board.clone()),
    ]
}

fn send_message(mind: Mind) -> Native {
    #[derive(Deserialize)]
    struct In {
        from_twin_id: Option<String>,
        to_did: String,
        to_url: Option<String>,
        msg_type: Option<String>,
        #[serde(default)]
        body: Value,
        thid: Option<String>,
        #[serde(default)]
        attachments: Vec<String>,
        wait_s: Option<u64>,
    }
    native(
        "didcomm_send_message",
        "Sends a private, encrypted DIDComm message from a twin to a DID",
        json!({"type": "object", "required": ["to_did", "body"], "properties": {
            "from_twin_id": {"type": "string", "description": "the sending twin"},
            "to_did": {"type": "string", "minLength": 1, "description": "the recipient's DID"},
            "to_url": {"type": ["string", "null"], "description": "where to post it, if not to the recipient's node"},
            "msg_type": {"type": ["string", "null"], "description": "message type URI; a basic message without it"},
            "thid": {"type": ["string", "null"], "description": "the thread it answers in"},
            "attachments": {"type": "array", "maxItems": 64, "items": {"type": "string"},
                "description": "CIDs of what is attached"},
            "wait_s": {"type": ["integer", "null"], "minimum": 0, "maximum": 20,
                "description": "seconds to wait for an answer"},
            "body": {"type": ["object", "string"], "description": "what to say"}}}),
        SHARES,
        move |caller, parameters| {
            let mind = mind.clone();
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.from_twin_id)?;
                let request = SendMessage {
                    to_did: input.to_did,
                    to_url: input.to_url,
                    msg_type: input.msg_type,
                    body: input.body,
                    thid: input.thid,
                    attachments: input.attachments,
                    wait_s: input.wait_s,
                };
                let sent =
                    mind.send_message(&twin_id, request)
                        .await
                        .map_err(|error| match error {
                            TwinError::Refused(reason) | TwinError::Stopped(reason) => {
                                ToolError::Denied { reason }
                            }
                            other => failed(other),
                        })?;
                serde_json::to_value(sent).map_err(failed)
            }
        },
    )
}

fn get_inbox(mind: Mind) -> Native {
    #[derive(Deserialize)]
    struct In {
        did: String,
        #[serde(default)]
        unread: bool,
        #[serde(default = "hundred")]
        limit: usize,
    }
    fn hundred() -> usize {
        100
    }
    native(
        "didcomm_get_inbox",
        "Gets the private DIDComm messages that a twin's DID received",
        json!({"type": "object", "required": ["did"], "properties": {
            "did": {"type": "string", "description": "the twin's own DID"},
            "unread": {"type": "boolean", "description": "only those not marked as read"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_MESSAGES}}}),
        READS,
        move |caller, parameters| {
            let mind = mind.clone();
            async move {
                let input: In = read(parameters)?;
                let twin = mind.twin_with(&input.did).map_err(failed)?;
                // A twin is not even told whose other inboxes are here.
                if let Some(own) = &caller.twin_id
                    && twin.as_ref().is_none_or(|twin| twin.twin_id != *own)
                {
                    return Err(ToolError::Denied {
                        reason: format!("twin {own} may read its own inbox only"),
                    });
                }
                let twin = twin.ok_or_else(|| ToolError::failed("no twin here has that DID"))?;
                let messages = mind
                    .inbox(&twin.twin_id, input.unread, input.limit)
                    .map_err(failed)?;
                Ok(json!({"did": twin.did, "messages": messages}))
            }
        },
    )
}

fn issue(mind: Mind, board: Arc<Board>) -> Native {
    #[derive(Deserialize)]
    struct In {
        issuer_twin_id: Option<String>,
        subject_did: String,
        reputation_score: f64,
        #[serde(default)]
        contributions: Value,
        #[serde(default = "ninety")]
        valid_days: u64,
        #[serde(default)]
        publish: bool,
    }
    fn ninety() -> u64 {
        DEFAULT_DAYS
    }
    native(
        "vc_issue_reputation",
        "Issues a verifiable reputation credential about a DID, signed by a twin",
        json!({"type": "object", "required": ["subject_did", "reputation_score"], "properties": {
            "issuer_twin_id": {"type": "string", "description": "the twin that vouches"},
            "subject_did": {"type": "string", "description": "whom it is about"},
            "reputation_score": {"type": "number"},
            "contributions": {"description": "what the score rests on: any JSON"},
            "publish": {"type": "boolean", "description": "tell the swarm of it"},
            "valid_days": {"type": "integer", "minimum": 1, "maximum": 3650}}}),
        WRITES,
        move |caller, parameters| {
            let (mind, board) = (mind.clone(), board.clone());
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.issuer_twin_id)?;
                let identity = identity(&mind, &twin_id)?;
                let subject: Did = input.subject_did.parse().map_err(failed)?;
                let contributions = match input.contributions {
                    Value::Null => json!([]),
                    other => other,
                };
                let document = board
                    .vouches
                    .issue(
                        &identity,
                        &subject,
                        input.reputation_score,
                        contributions,
                        input.valid_days,
                        input.publish,
                    )
                    .await
                    .map_err(failed)?;
                if input.publish {
                    let document = document.to_string();
                    board.post(Notice::Credential { document }).await;
                }
                Ok(document)
            }
        },
    )
}

fn verify_credential(board: Arc<Board>) -> Native {
    #[derive(Deserialize)]
    struct In {
        credential: Value,
    }
    native(
        "vc_verify",
        "Verifies a verifiable credential: signature, issuer, terms, dates and revocation",
        json!({"type": "object", "required": ["credential"], "properties": {
            "credential": {"description": "the credential"}}}),
        READS,
        move |_, parameters| {
            let board = board.clone();
            async move {
                let input: In = read(parameters)?;
                Ok(match board.vouches.check(&input.credential) {
                    Ok(verified) => json!({"valid": true, "issuer": verified.issuer,
                        "subject": verified.subject, "type": verified.claims.type_name()}),
                    Err(reason) => json!({"valid": false, "reason": reason}),
                })
            }
        },
    )
}
