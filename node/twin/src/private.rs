//! What the event log and the audit log show of a tool call. Private messages are in the inbox and
//! the outbox alone; a log says that one was sent or read, and not what it says.

use serde_json::{Map, Value, json};

/// Tools whose parameters and results hold private texts.
const PRIVATE: [&str; 2] = ["didcomm_send_message", "didcomm_get_inbox"];
/// Their members that may be shown.
const SHOWN: [&str; 14] = [
    "twin_id",
    "from_twin_id",
    "to_did",
    "msg_type",
    "thid",
    "did",
    "unread",
    "limit",
    "id",
    "from",
    "to",
    "status",
    "expires_at",
    "wait_s",
];

/// The parameters or the result of a call of `tool`, as a log may show them.
#[must_use]
pub fn shown(tool: &str, value: &Value) -> Value {
    if !PRIVATE.contains(&tool) {
        return value.clone();
    }
    let Value::Object(members) = value else {
        return json!({"private": true});
    };
    let mut shown: Map<String, Value> = members
        .iter()
        .filter(|(name, value)| SHOWN.contains(&name.as_str()) && !value.is_object())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    shown.insert("private".to_owned(), json!(true));
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_sees_who_wrote_to_whom_and_nothing_of_what() {
        let sent = json!({"from_twin_id": "a", "to_did": "d", "body": {"content": "secret"},
            "to_url": "http://u:secret@x/"});
        let seen = shown("didcomm_send_message", &sent);
        assert_eq!(
            seen,
            json!({"from_twin_id": "a", "to_did": "d", "private": true})
        );
        let read = json!({"did": "d", "messages": [{"body": "secret"}]});
        assert_eq!(
            shown("didcomm_get_inbox", &read),
            json!({"did": "d", "private": true})
        );
        assert_eq!(
            shown("didcomm_get_inbox", &json!("secret"))["private"],
            true
        );
        assert_eq!(shown("calculator", &sent), sent);
    }
}
