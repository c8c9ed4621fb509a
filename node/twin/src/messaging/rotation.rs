//! Keys that took the place of others: a twin's own, and those heard of.

use pagi_messages::{Did, RotationStatement, SigningIdentity};
use pagi_store::{AuditRecord, Batch, TwinRecord};
use serde_json::json;

use crate::{
    error::TwinError,
    mind::{Mind, now_ms, now_text},
};

/// Most rotations that one DID is followed through.
const MAX_STEPS: usize = 16;

fn document(old: &Did) -> String {
    format!("rotation/{old}")
}

impl Mind {
    /// Gives a twin another key. The statement, signed by the old and the new one, is in store when
    /// this returns; the swarm is to be told.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`], [`TwinError::Key`].
    pub async fn rotate_key(&self, twin_id: &str) -> Result<RotationStatement, TwinError> {
        let _changing = self.inner.patching.lock().await;
        let twin = self.require(twin_id)?;
        let keys = &self.inner.keys;
        let (old, new) = (keys.twin(twin_id)?, keys.next_twin(twin_id)?);
        let statement = RotationStatement::make(&old, &new, now_ms())?;
        let audit = AuditRecord::new(now_text(), "user", "key_rotated", "allowed")
            .about(twin_id)
            .with_detail(json!({"old": old.did(), "new": new.did()}));
        let record = TwinRecord {
            did: new.did().to_string(),
            updated_at: now_text(),
            ..twin
        };
        let value = serde_json::to_value(&statement)
            .map_err(|error| TwinError::Invalid(error.to_string()))?;
        // The record decides: where the node ends between this and the next line, the key is put in
        // force at its next start.
        let batch = Batch::new()
            .twin(record)
            .document(document(old.did()), value)
            .audit(audit);
        self.store().write(batch).await?;
        keys.advance_twin(twin_id)?;
        Ok(statement)
    }

    /// Puts the keys in force that an interrupted rotation left aside, and takes away those of one
    /// that did not come to be.
    pub(crate) fn finish_rotations(&self) -> Result<(), TwinError> {
        for twin in self.store().list_twins()? {
            let keys = &self.inner.keys;
            if keys.twin(&twin.twin_id)?.did().as_str() == twin.did {
                keys.drop_next(&twin.twin_id);
            } else if keys.has_next(&twin.twin_id)?
                && keys.next_twin(&twin.twin_id)?.did().as_str() == twin.did
            {
                keys.advance_twin(&twin.twin_id)?;
            } else {
                tracing::error!(
                    twin_id = twin.twin_id,
                    did = twin.did,
                    "the key of this twin is not the one of its DID; restore it from a backup"
                );
            }
        }
        Ok(())
    }

    /// Notes a rotation heard of. Of two that an old key signed, the first one heard counts.
    ///
    /// # Errors
    /// [`TwinError::Invalid`] where the statement does not hold.
    pub async fn note_rotation(&self, statement: &RotationStatement) -> Result<bool, TwinError> {
        let rotation = statement
            .verify()
            .map_err(|error| TwinError::Invalid(error.to_string()))?;
        let name = document(&rotation.old);
        if self.store().document(&name)?.is_some() {
            return Ok(false);
        }
        let value = serde_json::to_value(statement)
            .map_err(|error| TwinError::Invalid(error.to_string()))?;
        let audit = AuditRecord::new(now_text(), rotation.old.as_str(), "key_rotated", "heard")
            .about(rotation.new.as_str());
        let batch = Batch::new().document(name, value).audit(audit);
        self.store().write(batch).await?;
        Ok(true)
    }

    /// Every rotation known here.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub fn rotations(&self) -> Result<Vec<RotationStatement>, TwinError> {
        let documents = self.store().documents("rotation/")?;
        let read = documents.into_iter().map(|(_, value)| value);
        Ok(read
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect())
    }

    /// The DID that is in force for `did`: itself, or what took its place.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub fn current_did(&self, did: &Did) -> Result<Did, TwinError> {
        let mut current = did.clone();
        for _ in 0..MAX_STEPS {
            let Some(value) = self.store().document(&document(&current))? else {
                break;
            };
            let statement: RotationStatement = serde_json::from_value(value)
                .map_err(|error| TwinError::Invalid(format!("a kept rotation: {error}")))?;
            current = statement.by_old.body.new;
        }
        Ok(current)
    }

    /// The twin of this node with a DID, and the key of that DID: the one in force, or the one before.
    pub(super) fn addressee(
        &self,
        twins: &[TwinRecord],
        did: &str,
    ) -> Result<Option<(TwinRecord, SigningIdentity)>, TwinError> {
        let keys = &self.inner.keys;
        if let Some(twin) = twins.iter().find(|twin| twin.did == did) {
            return Ok(Some((twin.clone(), keys.twin(&twin.twin_id)?)));
        }
        let Ok(did) = did.parse::<Did>() else {
            return Ok(None);
        };
        let current = self.current_did(&did)?;
        let Some(twin) = twins.iter().find(|twin| twin.did == current.as_str()) else {
            return Ok(None);
        };
        let previous = keys.previous_twin(&twin.twin_id)?;
        Ok(previous
            .filter(|key| *key.did() == did)
            .map(|key| (twin.clone(), key)))
    }
}
