//! Whom a twin listens to: the blocked, those whose research questions it answers, and those it has
//! written to itself. All others are strangers, and may send less.

use pagi_api::messages::{ChangeContacts, Contacts};
use pagi_messages::Did;
use pagi_store::{AuditRecord, Batch};
use serde_json::json;

use crate::{
    error::TwinError,
    mind::{Mind, now_text},
};

/// Most DIDs in each list; of those written to, the oldest goes first.
const MAX_LISTED: usize = 1_000;

fn document(twin_id: &str) -> String {
    format!("contacts/{twin_id}")
}

impl Mind {
    /// Whom a twin listens to.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`].
    pub fn contacts(&self, twin_id: &str) -> Result<Contacts, TwinError> {
        self.require(twin_id)?;
        self.contacts_of(twin_id)
    }

    pub(super) fn contacts_of(&self, twin_id: &str) -> Result<Contacts, TwinError> {
        Ok(match self.store().document(&document(twin_id))? {
            Some(value) => serde_json::from_value(value)
                .map_err(|error| TwinError::Invalid(format!("the contacts: {error}")))?,
            None => Contacts::default(),
        })
    }

    /// Changes whom a twin listens to.
    ///
    /// # Errors
    /// [`TwinError::UnknownTwin`]; [`TwinError::Invalid`] for what is no DID and for a full list.
    pub async fn change_contacts(
        &self,
        twin_id: &str,
        change: ChangeContacts,
    ) -> Result<Contacts, TwinError> {
        self.require(twin_id)?;
        let _changing = self.inner.patching.lock().await;
        let mut contacts = self.contacts_of(twin_id)?;
        let lists = [
            (&mut contacts.blocked, &change.block, &change.unblock),
            (&mut contacts.research, &change.allow, &change.disallow),
        ];
        for (list, more, less) in lists {
            for did in more {
                did.parse::<Did>()
                    .map_err(|error| TwinError::Invalid(error.to_string()))?;
                if !list.contains(did) {
                    list.push(did.clone());
                }
            }
            list.retain(|did| !less.contains(did));
            if list.len() > MAX_LISTED {
                return Err(TwinError::Invalid(format!(
                    "a list of contacts has at most {MAX_LISTED} DIDs"
                )));
            }
        }
        let detail = serde_json::to_value(&change).unwrap_or_default();
        let audit = AuditRecord::new(now_text(), "user", "contact_changed", "allowed")
            .about(twin_id)
            .with_detail(detail);
        let batch = self.contacts_batch(twin_id, &contacts).audit(audit);
        self.store().write(batch).await?;
        Ok(contacts)
    }

    /// Whether any twin of this node has written to `did`.
    #[must_use]
    pub fn writes_with(&self, did: &Did) -> bool {
        let documents = self.store().documents("contacts/").unwrap_or_default();
        documents
            .into_iter()
            .filter_map(|(_, value)| serde_json::from_value::<Contacts>(value).ok())
            .any(|contacts| contacts.known.iter().any(|one| one == did.as_str()))
    }

    fn contacts_batch(&self, twin_id: &str, contacts: &Contacts) -> Batch {
        Batch::new().document(document(twin_id), json!(contacts))
    }

    /// Remembers that a twin writes to `did`, so that what comes back is no stranger's.
    pub(super) async fn writes_to(&self, twin_id: &str, did: &Did) -> Result<(), TwinError> {
        let known = |contacts: &Contacts| contacts.known.iter().any(|one| one == did.as_str());
        if known(&self.contacts_of(twin_id)?) {
            return Ok(());
        }
        let _changing = self.inner.patching.lock().await;
        let mut contacts = self.contacts_of(twin_id)?;
        if !known(&contacts) {
            contacts.known.push(did.to_string());
            let beyond = contacts.known.len().saturating_sub(MAX_LISTED);
            contacts.known.drain(..beyond);
            self.store()
                .write(self.contacts_batch(twin_id, &contacts))
                .await?;
        }
        Ok(())
    }
}
