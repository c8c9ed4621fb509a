//! The envelope of the node's event log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

macro_rules! event_types {
    ($($variant:ident => $name:literal, $doc:literal;)*) => {
        /// The kinds of event a node records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventType {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)*
        }

        impl EventType {
            /// Every kind, in the order of the contract.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $name,)* }
            }
        }

        impl std::str::FromStr for EventType {
            type Err = UnknownEventType;

            fn from_str(text: &str) -> Result<Self, UnknownEventType> {
                match text {
                    $($name => Ok(EventType::$variant),)*
                    other => Err(UnknownEventType(other.chars().take(64).collect())),
                }
            }
        }
    };
}

event_types! {
    GoalReceived => "goal_received", "A goal reached a twin.";
    TwinRegistered => "twin_registered", "A twin was made.";
    TwinStateUpdated => "twin_state_updated", "A twin's state changed.";
    WorkingMemoryAppended => "working_memory_appended", "A memory entry was added.";
    ContextBuilt => "context_built", "A context was built for a goal.";
    InferenceRequested => "inference_requested", "A model was asked.";
    InferenceCompleted => "inference_completed", "A model answered.";
    PlanCreated => "plan_created", "A plan was asked for by itself.";
    PlanGenerated => "plan_generated", "The executive made a plan for a goal.";
    ToolExecuted => "tool_executed", "A tool was called, well or not.";
    EmotionStateUpdated => "emotion_state_updated", "A twin's mood moved.";
    ActionRequested => "action_requested", "An actuator was asked to act.";
    DidcommReceived => "didcomm_received", "A private message arrived.";
    ArtifactPublished => "artifact_published", "A refinement artifact was published.";
    PlaybookUpdated => "playbook_updated", "A playbook revision was adopted.";
    MoElected => "mo_elected", "A Master Orchestrator was elected.";
    EthicsRefused => "ethics_refused", "The ethics gate refused something.";
    TaskBroadcast => "task_broadcast", "Work was offered to the swarm.";
    TwinOnline => "twin_online", "A twin announced itself.";
}

/// A name that is not one of [`EventType::ALL`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown event type `{0}`")]
pub struct UnknownEventType(String);

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of the event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique id.
    pub id: Uuid,
    /// The kind.
    pub event_type: EventType,
    /// When, RFC 3339 in UTC.
    pub ts: String,
    /// The twin it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin_id: Option<String>,
    /// What it is about, where that is not a twin: a tool name, a CID, a DID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The part of the node that recorded it, or the name a publisher gave.
    pub source: String,
    /// The details, shape by kind.
    #[serde(default)]
    pub payload: Value,
}

impl Event {
    /// An event at `now` with a fresh id; `id` comes from the caller so that this crate draws no
    /// randomness.
    #[must_use]
    pub fn new(
        id: Uuid,
        now: OffsetDateTime,
        event_type: EventType,
        source: &str,
        payload: Value,
    ) -> Self {
        Self {
            id,
            event_type,
            ts: rfc3339(now),
            twin_id: None,
            subject: None,
            source: source.to_owned(),
            payload,
        }
    }

    /// The same event about a twin.
    #[must_use]
    pub fn about_twin(mut self, twin_id: impl Into<String>) -> Self {
        self.twin_id = Some(twin_id.into());
        self
    }

    /// The same event about a tool, CID or DID.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

/// `time` in RFC 3339, UTC. A year beyond 9999 cannot be written so and gives the epoch.
#[must_use]
pub fn rfc3339(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// Milliseconds since the Unix epoch as a time; out-of-range values give the epoch.
#[must_use]
pub fn from_unix_ms(ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_through_text_and_json() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse::<EventType>().unwrap(), *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!("nonsense".parse::<EventType>().is_err());
    }

    #[test]
    fn empty_fields_stay_out_of_the_json() {
        let event = Event::new(
            Uuid::nil(),
            from_unix_ms(1_700_000_000_000),
            EventType::GoalReceived,
            "executive",
            serde_json::json!({}),
        );
        let json = serde_json::to_string(&event).unwrap();
        assert!(
            !json.contains("subject") && json.contains("2023-11-14T22:13:20Z"),
            "{json}"
        );
    }
}
