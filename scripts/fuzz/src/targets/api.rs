//! Event envelopes and REST bodies.

use pagi_api::{
    PublishEvent,
    goal::{BuildContext, GoalRequest, InferRequest, PlanRequest},
    messages::{MarkRead, SendMessage},
    tools::{AllowTool, ExecuteTool, InstallPlugin, RegisterTool},
    twins::{ActRequest, AppendMemory, CreateTwin, SetEmotion},
};
use pagi_messages::{Event, EventType, event::from_unix_ms};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::NOW_MS;

pub fn event_seeds() -> Vec<Vec<u8>> {
    EventType::ALL
        .iter()
        .map(|kind| {
            let payload = json!({"tool": "calculator", "result": {"n": 1.5}, "ok": true});
            let event = Event::new(
                Uuid::from_u128(7),
                from_unix_ms(NOW_MS),
                *kind,
                "x",
                payload,
            )
            .about_twin("twin-1")
            .about("calculator");
            serde_json::to_vec(&event).expect("an event is JSON")
        })
        .collect()
}

pub fn event(data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Event>(data) else {
        return false;
    };
    let json = serde_json::to_vec(&event).expect("what was read can be written");
    let again: Event = serde_json::from_slice(&json).expect("and read");
    assert_eq!(again, event);
    assert_eq!(event.event_type.as_str().parse(), Ok(event.event_type));
    true
}

pub fn body_seeds() -> Vec<Vec<u8>> {
    [
        json!({"initial_state": {"status": "active", "note": "first"}}),
        json!({"role": "user", "content": "the disk was full"}),
        json!({"twin_id": "t", "goal": "check the disk"}),
        json!({"twin_id": "t", "input": "how full is it?", "context": "x"}),
        json!({"goal": "check the disk"}),
        json!({"mood": "curious", "activation_level": 0.6}),
        json!({"twin_id": "t", "action": "notify", "parameters": {"title": "x"}}),
        json!({"twin_id": "t", "tool": {"name": "greet", "description": "greets", "plugin_url":
            "http://127.0.0.1:9000", "endpoint": "/greet", "parameters": {"type": "object"}}}),
        json!({"twin_id": "t", "parameters": {"expression": "1+1"}}),
        json!({"name": "greet", "allowed": true}),
        json!({"event_type": "goal_received", "source": "x", "payload": {}}),
        json!({"path": "/plugins/x"}),
        json!({"to_did": "did:key:z", "msg_type": "x", "body": {"content": "hi"}, "thid": "t"}),
        json!({"seqs": [1, 2]}),
    ]
    .iter()
    .map(|body| body.to_string().into_bytes())
    .collect()
}

pub fn body(data: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return false;
    };
    // Every route may get every body.
    [
        trip::<CreateTwin>,
        trip::<AppendMemory>,
        trip::<BuildContext>,
        trip::<InferRequest>,
        trip::<GoalRequest>,
        trip::<PlanRequest>,
        trip::<SetEmotion>,
        trip::<ActRequest>,
        trip::<RegisterTool>,
        trip::<ExecuteTool>,
        trip::<AllowTool>,
        trip::<InstallPlugin>,
        trip::<PublishEvent>,
        trip::<SendMessage>,
        trip::<MarkRead>,
    ]
    .iter()
    .map(|trip| trip(&value))
    .fold(false, |any, taken| any | taken)
}

fn trip<T: Serialize + DeserializeOwned>(value: &Value) -> bool {
    let Ok(typed) = serde_json::from_value::<T>(value.clone()) else {
        return false;
    };
    let written = serde_json::to_value(&typed).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("and read");
    let twice = serde_json::to_value(&again).expect("and written");
    assert_eq!(twice, written);
    true
}
