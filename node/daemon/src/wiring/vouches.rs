//! The credentials a node keeps, what was taken back of them, and the reputation that follows.

use std::sync::PoisonError;

use pagi_api::{
    ApiError,
    trust::{AddCredential, CredentialView},
};
use pagi_credentials::{Claims, StatusEntry, StatusList, Verified, issue, list_id, proof, verify};
use pagi_messages::{
    Did, SigningIdentity, cid_of,
    event::{from_unix_ms, rfc3339},
};
use pagi_reputation::Standing;
use pagi_store::{AuditRecord, Batch, Store};
use pagi_twin::{Mind, now_ms, now_text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    shelf::{Kept, Shelf, Standings, refused},
    views::{internal, store_error},
};

/// Most credentials kept.
const MAX_KEPT: usize = 10_000;

/// An issuer's own account of its status list.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    next: u64,
    revoked: Vec<u64>,
}

/// What became of a credential or a status list that was heard of.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was new and is kept.
    New,
    /// It was known, or something newer is.
    Known,
    /// It holds, and is of no concern here.
    Passing,
    /// It does not hold.
    Bad(String),
}

/// The credentials.
pub struct Vouches {
    node: Did,
    store: Store,
    mind: Mind,
    /// Held while a place in a status list is given or taken.
    writing: Mutex<()>,
    /// What is in store, verified. Behind a lock, as it is asked from anywhere; never held over an
    /// await.
    shelf: std::sync::Mutex<Option<Shelf>>,
}

fn id_of(document: &Value) -> Result<String, ApiError> {
    let bytes = proof::canonical(document).map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(cid_of(&bytes).to_string())
}

impl Vouches {
    pub fn new(node: Did, store: Store, mind: Mind) -> Self {
        Self {
            node,
            store,
            mind,
            writing: Mutex::default(),
            shelf: std::sync::Mutex::default(),
        }
    }

    /// What is in store, for a look or a change; read from the store the first time.
    fn shelf<T>(&self, with: impl FnOnce(&mut Shelf) -> T) -> Result<T, ApiError> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = match &mut *shelf {
            Some(shelf) => shelf,
            empty => {
                let kept = self.store.documents("credential/").map_err(store_error)?;
                let kept = kept.into_iter().filter_map(|(name, value)| {
                    let id = name.strip_prefix("credential/")?.to_owned();
                    Some((id, serde_json::from_value(value).ok()?))
                });
                let lists = self.store.documents("status/").map_err(store_error)?;
                let lists = lists.into_iter().map(|(_, list)| list);
                empty.insert(Shelf::new(kept, lists, now_ms() / 1000))
            }
        };
        Ok(with(shelf))
    }

    /// Stores a credential, and puts it up.
    async fn keep(&self, id: String, kept: Kept, batch: Batch) -> Result<(), ApiError> {
        let batch = batch.document(format!("credential/{id}"), json!(kept));
        self.store.write(batch).await.map_err(store_error)?;
        self.shelf(|shelf| shelf.put(id, kept, now_ms() / 1000))
    }

    /// Stores a status list, and puts it up.
    async fn keep_list(
        &self,
        list: StatusList,
        document: Value,
        batch: Batch,
    ) -> Result<(), ApiError> {
        let batch = batch.document(format!("status/{}", list.issuer), document.clone());
        self.store.write(batch).await.map_err(store_error)?;
        self.shelf(|shelf| shelf.put_list(list, document))
    }

    /// Removes others' credentials that are long over.
    ///
    /// # Errors
    /// [`ApiError`] where the store fails.
    pub async fn sweep(&self) -> Result<(), ApiError> {
        let over = self.shelf(|shelf| shelf.over(now_ms() / 1000))?;
        if over.is_empty() {
            return Ok(());
        }
        let batch = over.iter().fold(Batch::new(), |batch, id| {
            batch.document_gone(format!("credential/{id}"))
        });
        self.store.write(batch).await.map_err(store_error)?;
        self.shelf(|shelf| shelf.remove(&over))
    }

    /// Verifies a credential, and against the status list that is known of its issuer.
    pub fn check(&self, document: &Value) -> Result<Verified, String> {
        let verified = verify(document, now_ms() / 1000).map_err(|error| error.to_string())?;
        let status = self.shelf(|shelf| {
            let list = shelf.list(&verified.issuer);
            list.map_or(Ok(()), |list| verified.check_status(list))
        });
        if let Ok(status) = status {
            status.map_err(|error| error.to_string())?;
        }
        Ok(verified)
    }

    fn identity_of(&self, did: &str) -> Result<SigningIdentity, ApiError> {
        let keys = self.mind.keys();
        for twin in self.store.list_twins().map_err(store_error)? {
            let current = keys.twin(&twin.twin_id).map_err(internal)?;
            if current.did().as_str() == did {
                return Ok(current);
            }
            if let Some(previous) = keys.previous_twin(&twin.twin_id).map_err(internal)?
                && previous.did().as_str() == did
            {
                return Ok(previous);
            }
        }
        Err(ApiError::Conflict(format!(
            "the key of its issuer {did} is not on this node"
        )))
    }

    fn account(&self, issuer: &Did) -> Result<Account, ApiError> {
        let name = format!("statuslist/{issuer}");
        Ok(match self.store.document(&name).map_err(store_error)? {
            Some(value) => serde_json::from_value(value).map_err(internal)?,
            None => Account::default(),
        })
    }

    /// Issues a reputation credential as `issuer`, and keeps it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn issue(
        &self,
        issuer: &SigningIdentity,
        subject: &Did,
        score: f64,
        contributions: Value,
        days: u64,
        public: bool,
    ) -> Result<Value, ApiError> {
        let _writing = self.writing.lock().await;
        let mut account = self.account(issuer.did())?;
        let entry = StatusEntry {
            list: list_id(issuer.did()),
            index: account.next,
        };
        account.next += 1;
        let now = now_ms() / 1000;
        let until = now.saturating_add(days.saturating_mul(24 * 3600));
        let claims = Claims::Reputation {
            reputation_score: score,
            contributions,
        };
        let document = issue(issuer, subject, &claims, now, until, Some(&entry))
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let id = id_of(&document)?;
        let audit = AuditRecord::new(
            now_text(),
            issuer.did().as_str(),
            "credential_issued",
            "done",
        )
        .about(subject.as_str())
        .with_detail(json!({"id": id, "score": score, "public": public}));
        let kept = Kept {
            document: document.clone(),
            own: true,
            public,
        };
        let batch = Batch::new()
            .document(format!("statuslist/{}", issuer.did()), json!(account))
            .audit(audit);
        self.keep(id, kept, batch).await?;
        Ok(document)
    }

    /// Keeps a credential that somebody brought.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] where it does not hold.
    pub async fn add(&self, request: AddCredential) -> Result<CredentialView, ApiError> {
        self.check(&request.document).map_err(ApiError::invalid)?;
        let id = id_of(&request.document)?;
        let (full, known) =
            self.shelf(|shelf| (shelf.len() >= MAX_KEPT, shelf.get(&id).map(|kept| kept.own)))?;
        if full && known.is_none() {
            return Err(ApiError::Conflict(format!(
                "{MAX_KEPT} credentials are kept already"
            )));
        }
        let kept = Kept {
            document: request.document,
            own: known == Some(true),
            public: request.publish,
        };
        self.keep(id.clone(), kept.clone(), Batch::new()).await?;
        self.view(id, kept)
    }

    /// Takes a credential back; gives it and the status list that says so.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], and [`ApiError::Conflict`] where no twin of this node issued it.
    pub async fn revoke(&self, id: &str) -> Result<(CredentialView, Value), ApiError> {
        let _writing = self.writing.lock().await;
        let kept = self.shelf(|shelf| shelf.get(id).cloned())?;
        let kept = kept.ok_or_else(|| ApiError::NotFound {
            what: "credential",
            id: id.chars().take(100).collect(),
        })?;
        let id = id.to_owned();
        let issuer = kept.document["issuer"].as_str().unwrap_or_default();
        let issuer = self.identity_of(issuer)?;
        let place = kept.document["credentialStatus"]["statusListIndex"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| {
                ApiError::Conflict("the credential has no place in a status list".to_owned())
            })?;
        let mut account = self.account(issuer.did())?;
        if !account.revoked.contains(&place) {
            account.revoked.push(place);
        }
        let mut list = StatusList::new(issuer.did());
        for place in &account.revoked {
            list.revoke(*place);
        }
        let now = now_ms() / 1000;
        let document = list
            .issue(&issuer, now)
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let list = StatusList::verify(&document, now).map_err(internal)?;
        let audit = AuditRecord::new(
            now_text(),
            issuer.did().as_str(),
            "credential_revoked",
            "done",
        )
        .about(&id);
        let batch = Batch::new()
            .document(format!("statuslist/{}", issuer.did()), json!(account))
            .audit(audit);
        self.keep_list(list, document.clone(), batch).await?;
        Ok((self.view(id, kept)?, document))
    }

    /// Hears of a credential.
    pub async fn hear_credential(&self, document: &str) -> Heard {
        let Ok(document) = serde_json::from_str::<Value>(document) else {
            return Heard::Bad("it is not JSON".to_owned());
        };
        let verified = match verify(&document, now_ms() / 1000) {
            Ok(verified) => verified,
            Err(error) => return refused(&error),
        };
        let Ok(id) = id_of(&document) else {
            return Heard::Passing;
        };
        let look = self.shelf(|shelf| (shelf.get(&id).is_some(), shelf.len() >= MAX_KEPT));
        let Ok((known, full)) = look else {
            return Heard::Passing;
        };
        if known {
            return Heard::Known;
        }
        // Only those who are believed are listened to: strangers cannot fill the shelf.
        let believed = self
            .standing(&verified.issuer)
            .is_ok_and(|standing| standing.standing > 0.0);
        if !believed || full {
            return Heard::Passing;
        }
        let kept = Kept {
            document,
            own: false,
            public: true,
        };
        match self.keep(id, kept, Batch::new()).await {
            Ok(()) => Heard::New,
            Err(error) => {
                tracing::warn!(%error, "a credential could not be kept");
                Heard::Passing
            }
        }
    }

    /// Hears of a status list.
    pub async fn hear_list(&self, document: &str) -> Heard {
        let Ok(document) = serde_json::from_str::<Value>(document) else {
            return Heard::Bad("it is not JSON".to_owned());
        };
        let list = match StatusList::verify(&document, now_ms() / 1000) {
            Ok(list) => list,
            Err(error) => return refused(&error),
        };
        if list.id != list_id(&list.issuer) {
            return Heard::Bad("it is not the list of its issuer".to_owned());
        }
        let look = self.shelf(|shelf| {
            let known = shelf.list(&list.issuer);
            (
                known.is_some_and(|known| !list.replaces(known)),
                shelf.is_issuer(&list.issuer),
            )
        });
        match look {
            Ok((true, _)) => return Heard::Known,
            Ok((false, true)) => {}
            _ => return Heard::Passing,
        }
        match self.keep_list(list, document, Batch::new()).await {
            Ok(()) => Heard::New,
            Err(error) => {
                tracing::warn!(%error, "a status list could not be kept");
                Heard::Passing
            }
        }
    }

    /// The credentials and the status lists that are told to others, at most `limit` of each.
    pub fn public(&self, limit: usize) -> (Vec<String>, Vec<String>) {
        self.shelf(|shelf| shelf.public(limit, now_ms() / 1000))
            .unwrap_or_default()
    }

    /// Every credential kept.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn views(&self) -> Result<Vec<CredentialView>, ApiError> {
        let kept = self.shelf(|shelf| shelf.all())?;
        kept.into_iter()
            .map(|(id, kept)| self.view(id, kept))
            .collect()
    }

    fn view(&self, id: String, kept: Kept) -> Result<CredentialView, ApiError> {
        let status = match self.check(&kept.document) {
            Ok(_) => "valid".to_owned(),
            Err(why) => why,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(CredentialView {
            issuer: text(&kept.document["issuer"]),
            subject: text(&kept.document["credentialSubject"]["id"]),
            kind: text(&kept.document["type"][1]),
            score: kept.document["credentialSubject"]["reputation_score"].as_f64(),
            valid_until: kept.document["validUntil"].as_str().map(str::to_owned),
            status,
            own: kept.own,
            public: kept.public,
            id,
            document: kept.document,
        })
    }

    /// Everybody's standing as this node's twins see it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn standings(&self) -> Result<Standings, ApiError> {
        let mut roots = vec![self.node.clone()];
        for twin in self.store.list_twins().map_err(store_error)? {
            roots.extend(twin.did.parse::<Did>());
        }
        self.shelf(|shelf| shelf.standings(roots, now_ms() / 1000))
    }

    /// How far `did` is believed.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn standing(&self, did: &Did) -> Result<Standing, ApiError> {
        Ok(self.standings()?.get(did).cloned().unwrap_or_default())
    }

    /// How far `did` is believed, from 0 to 1, as it was a minute ago at the most: for what asks often.
    pub fn esteem(&self, did: &Did) -> f64 {
        let seen = self.shelf(|shelf| shelf.reckoned(now_ms() / 1000));
        let seen = match seen {
            Ok(Some(seen)) => Ok(seen),
            _ => self.standings(),
        };
        match seen {
            Ok(seen) => seen.get(did).map_or(0.0, |one| one.standing),
            Err(error) => {
                tracing::warn!(%error, "standings cannot be worked out");
                0.0
            }
        }
    }

    /// Whether anything kept here is about `did`.
    pub fn concerns(&self, did: &Did) -> bool {
        self.shelf(|shelf| shelf.concerns(did)).unwrap_or(false)
    }
}

/// A time in milliseconds as text.
pub(super) fn time_text(ms: u64) -> String {
    rfc3339(from_unix_ms(ms))
}
