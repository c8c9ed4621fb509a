//! Twins, their memory and their emotions: what the control API asks of a mind, goals apart.

use pagi_api::twins::{AppendMemory, CreateTwin, Emotion, Memory, SetEmotion, Twin, TwinDid};
use pagi_messages::{
    Did, EventType,
    event::{from_unix_ms, rfc3339},
};
use pagi_store::{Batch, EmotionRecord, MemoryEntry, Role, TwinRecord};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    emotion,
    error::TwinError,
    memory,
    mind::{Mind, event_now, now_ms, now_text},
};

/// Longest memory entry or goal, bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Memory entries a search or context looks at: the newest.
pub(crate) const SEARCHED_MEMORIES: usize = 5_000;

impl Mind {
    /// Makes a twin: its key first, then, in one transaction, its record and the event.
    ///
    /// # Errors
    /// [`TwinError`].
    pub async fn create_twin(&self, request: CreateTwin) -> Result<Twin, TwinError> {
        let mut state = match request.initial_state {
            Value::Null => Map::new(),
            Value::Object(state) => state,
            other => {
                return Err(TwinError::Invalid(format!(
                    "initial_state must be an object, for instance {{\"status\":\"active\"}}, not {other}"
                )));
            }
        };
        state.entry("status").or_insert_with(|| json!("active"));
        let twin_id = Uuid::new_v4().to_string();
        let did = self.inner.keys.twin(&twin_id)?.did().clone();
        let now = now_text();
        let record = TwinRecord {
            twin_id: twin_id.clone(),
            did: did.to_string(),
            state: Value::Object(state),
            created_at: now.clone(),
            updated_at: now,
        };
        let event = event_now(
            EventType::TwinRegistered,
            "identity",
            json!({"did": did, "state": record.state}),
        )
        .about_twin(&twin_id);
        self.store()
            .write(Batch::new().twin(record.clone()).event(event))
            .await?;
        self.shown(record, true)
    }

    /// Every twin, oldest first.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub fn twins(&self) -> Result<Vec<Twin>, TwinError> {
        self.store()
            .list_twins()?
            .into_iter()
            .map(|record| self.shown(record, false))
            .collect()
    }

    /// One twin.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn twin(&self, twin_id: &str) -> Result<Twin, TwinError> {
        self.shown(self.require(twin_id)?, true)
    }

    /// A twin as its user sees it, with whether it is stopped.
    fn shown(&self, record: TwinRecord, with_document: bool) -> Result<Twin, TwinError> {
        let stopped = self.stopped(Some(&record.did));
        Ok(Twin {
            stopped,
            ..view(record, with_document)?
        })
    }

    /// A twin's DID and document.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn twin_did(&self, twin_id: &str) -> Result<TwinDid, TwinError> {
        let record = self.require(twin_id)?;
        let did: Did = record.did.parse()?;
        Ok(TwinDid {
            twin_id: record.twin_id,
            did_document: did.document()?,
            did: did.to_string(),
        })
    }

    /// Merges `patch` into a twin's state (RFC 7396).
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`] where the patch is no object.
    pub async fn patch_state(&self, twin_id: &str, patch: Value) -> Result<Twin, TwinError> {
        let _patching = self.inner.patching.lock().await;
        let mut record = self.require(twin_id)?;
        let Value::Object(_) = &patch else {
            return Err(TwinError::Invalid(
                "a state patch must be a JSON object (RFC 7396)".to_owned(),
            ));
        };
        merge_patch(&mut record.state, &patch);
        record.updated_at = now_text();
        let event = event_now(
            EventType::TwinStateUpdated,
            "identity",
            json!({"state": record.state, "patch": patch}),
        )
        .about_twin(twin_id);
        self.store()
            .write(Batch::new().twin(record.clone()).event(event))
            .await?;
        self.shown(record, true)
    }

    /// Adds to a twin's memory.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`].
    pub async fn append_memory(
        &self,
        twin_id: &str,
        entry: AppendMemory,
    ) -> Result<Memory, TwinError> {
        self.require(twin_id)?;
        let role: Role = entry
            .role
            .parse()
            .map_err(|error| TwinError::Invalid(format!("{error}")))?;
        if entry.content.trim().is_empty() {
            return Err(TwinError::Invalid("the content is empty".to_owned()));
        }
        if entry.content.len() > MAX_TEXT_BYTES {
            return Err(TwinError::Invalid(format!(
                "the content has {} bytes; at most {MAX_TEXT_BYTES} are allowed",
                entry.content.len()
            )));
        }
        let batch = remember(Batch::new(), twin_id, role, &entry.content);
        let outcome = self.store().write(batch).await?;
        outcome
            .memories
            .into_iter()
            .next()
            .map(|entry| memory_view(entry, None))
            .ok_or_else(|| TwinError::Invalid("the store kept no entry".to_owned()))
    }

    /// A twin's newest entries, oldest first.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn memories(&self, twin_id: &str, limit: Option<usize>) -> Result<Vec<Memory>, TwinError> {
        self.require(twin_id)?;
        let mut entries = self
            .store()
            .memories(twin_id, Some(limit.unwrap_or(1000)), true)?;
        entries.reverse();
        Ok(entries
            .into_iter()
            .map(|entry| memory_view(entry, None))
            .collect())
    }

    /// A twin's entries that fit `query`, best first.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn search_memory(
        &self,
        twin_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Memory>, TwinError> {
        self.require(twin_id)?;
        let entries = self
            .store()
            .memories(twin_id, Some(SEARCHED_MEMORIES), true)?;
        Ok(memory::search(entries, query, limit)
            .into_iter()
            .map(|(entry, score)| memory_view(entry, Some((score * 1000.0).round() / 1000.0)))
            .collect())
    }

    pub(crate) fn emotion_record(&self, twin_id: &str) -> Result<EmotionRecord, TwinError> {
        let now = now_ms();
        Ok(match self.store().get_emotion(twin_id)? {
            Some(record) => emotion::decayed(&record, now),
            None => emotion::at_rest(now),
        })
    }

    /// A twin's emotion now.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn emotion(&self, twin_id: &str) -> Result<Emotion, TwinError> {
        self.require(twin_id)?;
        Ok(emotion_view(&self.emotion_record(twin_id)?))
    }

    /// Sets a twin's emotion.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Invalid`] where the level is not within 0 to 1.
    pub async fn set_emotion(
        &self,
        twin_id: &str,
        wanted: SetEmotion,
    ) -> Result<Emotion, TwinError> {
        self.require(twin_id)?;
        let mood = wanted.mood.trim();
        if mood.is_empty() || mood.chars().count() > 32 {
            return Err(TwinError::Invalid(
                "a mood is a word of 1 to 32 characters".to_owned(),
            ));
        }
        if !(0.0..=1.0).contains(&wanted.activation_level) {
            return Err(TwinError::Invalid(format!(
                "activation_level must be between 0 and 1, not {}",
                wanted.activation_level
            )));
        }
        let record = EmotionRecord {
            mood: mood.to_owned(),
            activation_level: wanted.activation_level,
            valence: emotion::valence_of(mood),
            updated_at_ms: now_ms(),
        };
        self.store()
            .write(feel(Batch::new(), twin_id, &record, "set"))
            .await?;
        Ok(emotion_view(&record))
    }
}

/// `goal` is neither empty nor too long.
///
/// # Errors
/// [`TwinError::Invalid`].
pub(crate) fn check_goal(goal: &str) -> Result<(), TwinError> {
    if goal.trim().is_empty() {
        return Err(TwinError::Invalid(
            "the goal is empty: say what to reach".to_owned(),
        ));
    }
    if goal.len() > MAX_TEXT_BYTES {
        return Err(TwinError::Invalid(format!(
            "the goal has {} bytes; at most {MAX_TEXT_BYTES} are allowed",
            goal.len()
        )));
    }
    Ok(())
}

/// Adds a memory entry and its event.
pub(crate) fn remember(batch: Batch, twin_id: &str, role: Role, content: &str) -> Batch {
    let event = event_now(
        EventType::WorkingMemoryAppended,
        "memory",
        json!({"role": role.as_str(), "content": content}),
    )
    .about_twin(twin_id);
    batch
        .memory(twin_id, role, content, now_text())
        .event(event)
}

/// Adds an emotion and its event.
pub(crate) fn feel(batch: Batch, twin_id: &str, record: &EmotionRecord, why: &str) -> Batch {
    let event = event_now(
        EventType::EmotionStateUpdated,
        "emotion",
        json!({"mood": record.mood, "activation_level": record.activation_level,
               "valence": record.valence, "why": why}),
    )
    .about_twin(twin_id);
    batch.emotion(twin_id, record.clone()).event(event)
}

pub(crate) fn elapsed_ms(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn view(record: TwinRecord, with_document: bool) -> Result<Twin, TwinError> {
    let did: Did = record.did.parse()?;
    let did_document = if with_document {
        Some(did.document()?)
    } else {
        None
    };
    Ok(Twin {
        twin_id: record.twin_id,
        state: record.state,
        did: record.did,
        did_document,
        created_at: record.created_at,
        updated_at: record.updated_at,
        stopped: None,
    })
}

fn memory_view(entry: MemoryEntry, score: Option<f64>) -> Memory {
    Memory {
        seq: entry.seq,
        id: entry.id,
        twin_id: entry.twin_id,
        role: entry.role.to_string(),
        content: entry.content,
        ts: entry.ts,
        score,
    }
}

fn emotion_view(record: &EmotionRecord) -> Emotion {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    Emotion {
        mood: record.mood.clone(),
        activation_level: round(record.activation_level),
        valence: round(record.valence),
        updated_at: rfc3339(from_unix_ms(record.updated_at_ms)),
    }
}

fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patch_follows_rfc_7396() {
        let mut target = json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge_patch(
            &mut target,
            &json!({"a": null, "b": {"c": 9}, "e": {"f": null, "g": 1}}),
        );
        assert_eq!(target, json!({"b": {"c": 9, "d": 3}, "e": {"g": 1}}));
    }
}
