//! Records to write.

use std::path::Path;

use pagi_messages::{Event, EventType, event::from_unix_ms};
use pagi_store::{ArtifactRecord, Store, TwinRecord};
use serde_json::{Value, json};
use uuid::Uuid;

pub const TS: &str = "2026-01-01T00:00:00Z";

pub fn event(kind: EventType, source: &str, payload: Value) -> Event {
    Event::new(
        Uuid::new_v4(),
        from_unix_ms(1_767_225_600_000),
        kind,
        source,
        payload,
    )
}

pub fn goal(tag: impl Into<Value>) -> Event {
    event(EventType::GoalReceived, "test", tag.into())
}

pub fn twin(id: &str, created_at: &str, note: impl Into<Value>) -> TwinRecord {
    TwinRecord {
        twin_id: id.to_owned(),
        did: format!("did:key:{id}"),
        state: json!({"status": "active", "note": note.into()}),
        created_at: created_at.to_owned(),
        updated_at: created_at.to_owned(),
    }
}

pub fn artifact(cid: &str, ts: &str) -> ArtifactRecord {
    ArtifactRecord {
        cid: cid.to_owned(),
        author: "did:key:author".to_owned(),
        twin_id: "t".to_owned(),
        status: "pending".to_owned(),
        reason: None,
        base: Some("bafybase".to_owned()),
        bytes: vec![0, 1, 255, 7],
        ts: ts.to_owned(),
    }
}

/// Closes `store` and opens `dir` again.
pub async fn reopen(store: Store, dir: &Path) -> Store {
    store.close().await;
    Store::open(dir).unwrap()
}
