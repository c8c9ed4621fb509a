//! The records of the store.

use std::{fmt, str::FromStr};

use pagi_messages::{Event, EventType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much of the logs is kept. The oldest entries go first; sequence numbers keep rising. Each
/// limit is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Events kept.
    pub max_events: u64,
    /// Audit records kept.
    pub max_audit: u64,
    /// Memory entries kept for each twin.
    pub max_memories_per_twin: u64,
    /// Received messages kept for each twin.
    pub max_messages_per_twin: u64,
    /// Received messages remembered so that they are not accepted again. Beyond it the nearest to
    /// their end are forgotten, and refused from then on.
    pub max_messages_remembered: u64,
    /// Messages that may be under way at a time; further ones are refused.
    pub max_outbox: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            max_events: 200_000,
            max_audit: 200_000,
            max_memories_per_twin: 100_000,
            max_messages_per_twin: 2_000,
            max_messages_remembered: 200_000,
            max_outbox: 1_000,
        }
    }
}

/// A twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinRecord {
    /// The twin's id.
    pub twin_id: String,
    /// The twin's DID, as text.
    pub did: String,
    /// Its state, of any JSON shape.
    pub state: Value,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it last changed, RFC 3339.
    pub updated_at: String,
}

/// Who said what a memory entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user.
    User,
    /// The twin.
    Assistant,
    /// The node.
    System,
}

impl Role {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role `{0}`: use user, assistant or system")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "user" => Ok(Self::User),
            "assistant" => Ok(Self::Assistant),
            "system" => Ok(Self::System),
            other => Err(UnknownRole(other.chars().take(64).collect())),
        }
    }
}

/// One entry of a twin's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEntry {
    /// Its place in the twin's memory: from 1, without gaps, never given twice.
    pub seq: u64,
    /// A UUID.
    pub id: String,
    /// Whose memory.
    pub twin_id: String,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
    /// When, RFC 3339.
    pub ts: String,
}

/// How a twin feels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmotionRecord {
    /// The mood's name.
    pub mood: String,
    /// How strongly, 0 to 1. Must be finite.
    pub activation_level: f64,
    /// How pleasant, -1 to 1. Must be finite.
    pub valence: f64,
    /// When it last moved, milliseconds since the Unix epoch.
    pub updated_at_ms: u64,
}

/// A registered tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRecord {
    /// Its name, the key.
    pub name: String,
    /// Its specification, of any JSON shape.
    pub spec: Value,
    /// Who registered it.
    pub registered_by: Option<String>,
}

/// An event and its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// From 1, strictly rising, never given twice.
    pub seq: u64,
    /// The event.
    pub event: Event,
}

/// Which events to see: each field that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this kind only.
    pub event_type: Option<EventType>,
    /// About this twin only.
    pub twin_id: Option<String>,
    /// From this source only.
    pub source: Option<String>,
}

impl EventFilter {
    /// Whether `event` passes.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.passes(event.event_type, event.twin_id.as_deref(), &event.source)
    }

    pub(crate) fn passes(&self, kind: EventType, twin_id: Option<&str>, source: &str) -> bool {
        self.event_type.is_none_or(|wanted| wanted == kind)
            && self
                .twin_id
                .as_deref()
                .is_none_or(|wanted| twin_id == Some(wanted))
            && self.source.as_deref().is_none_or(|wanted| source == wanted)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.event_type.is_none() && self.twin_id.is_none() && self.source.is_none()
    }
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// From 1, strictly rising, never given twice. The store gives it; what a writer puts here is
    /// not looked at.
    #[serde(default)]
    pub seq: u64,
    /// When, RFC 3339.
    pub ts: String,
    /// Who acted: a twin id, a DID, a part of the node.
    pub actor: String,
    /// What it did, for instance `tool_call`.
    pub action: String,
    /// What it did it to.
    #[serde(default)]
    pub subject: Option<String>,
    /// How it was judged, for instance `allowed` or `refused`.
    pub verdict: String,
    /// The details, of any JSON shape.
    #[serde(default)]
    pub detail: Value,
}

impl AuditRecord {
    /// A record to append: without a subject, with empty details.
    #[must_use]
    pub fn new(
        ts: impl Into<String>,
        actor: impl Into<String>,
        action: impl Into<String>,
        verdict: impl Into<String>,
    ) -> Self {
        Self {
            seq: 0,
            ts: ts.into(),
            actor: actor.into(),
            action: action.into(),
            subject: None,
            verdict: verdict.into(),
            detail: Value::Null,
        }
    }

    /// The same record about `subject`.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same record with details.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// A refinement artifact this node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// The CID of `bytes`, the key.
    pub cid: String,
    /// The author's DID.
    pub author: String,
    /// The twin it came from.
    pub twin_id: String,
    /// `pending`, `merged`, `rejected` or `approved`. The store does not look at it.
    pub status: String,
    /// Why it has that status.
    pub reason: Option<String>,
    /// The CID of the playbook revision it refines.
    pub base: Option<String>,
    /// The signed artifact, DAG-CBOR.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// When it arrived, RFC 3339.
    pub ts: String,
}

#[cfg(test)]
mod tests {
    use pagi_messages::event::from_unix_ms;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn roles_have_one_name_everywhere() {
        for role in [Role::User, Role::Assistant, Role::System] {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.to_string());
        }
        assert!("User".parse::<Role>().is_err());
    }

    #[test]
    fn every_set_field_of_a_filter_must_match() {
        let event = Event::new(
            Uuid::nil(),
            from_unix_ms(0),
            EventType::ToolExecuted,
            "executive",
            Value::Null,
        )
        .about_twin("t1");
        let all = EventFilter {
            event_type: Some(EventType::ToolExecuted),
            twin_id: Some("t1".into()),
            source: Some("executive".into()),
        };
        assert!(EventFilter::default().matches(&event) && all.matches(&event));
        for wrong in [
            EventFilter {
                event_type: Some(EventType::MoElected),
                ..all.clone()
            },
            EventFilter {
                twin_id: Some("t2".into()),
                ..all.clone()
            },
            EventFilter {
                source: Some("hive".into()),
                ..all
            },
        ] {
            assert!(!wrong.matches(&event), "{wrong:?}");
        }
    }
}
