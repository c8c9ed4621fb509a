//! The credentials a node keeps, what was taken back of them, and the reputation that follows.

use std::{collections::BTreeMap, sync::Arc};

use pagi_api::{
    ApiError,
    trust::{AddCredential, CredentialView},
};
use pagi_credentials::{Claims, StatusEntry, StatusList, Verified, issue, list_id, proof, verify};
use pagi_messages::{
    Did, SigningIdentity, cid_of,
    event::{from_unix_ms, rfc3339},
};
use pagi_reputation::{Flow, Standing, Vouch, standings};
use pagi_store::{AuditRecord, Batch, Store};
use pagi_twin::{Mind, now_ms, now_text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    esteem::{Esteem, Standings},
    views::{internal, store_error},
};

/// Most credentials kept.
const MAX_KEPT: usize = 10_000;

/// A credential as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    document: Value,
    /// Whether a twin of this node issued it.
    own: bool,
    /// Whether it is told to the swarm.
    public: bool,
}

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
    esteem: Esteem,
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
            esteem: Esteem::default(),
        }
    }

    fn kept(&self) -> Result<Vec<(String, Kept)>, ApiError> {
        let documents = self.store.documents("credential/").map_err(store_error)?;
        let read = documents.into_iter().filter_map(|(name, value)| {
            let id = name.strip_prefix("credential/")?.to_owned();
            Some((id, serde_json::from_value(value).ok()?))
        });
        Ok(read.collect())
    }

    /// The status list known of an issuer.
    fn list(&self, issuer: &Did) -> Option<StatusList> {
        let document = self.store.document(&format!("status/{issuer}")).ok()??;
        StatusList::verify(&document, now_ms() / 1000).ok()
    }

    /// Verifies a credential, and against the status list that is known of its issuer.
    pub fn check(&self, document: &Value) -> Result<Verified, String> {
        let verified = verify(document, now_ms() / 1000).map_err(|error| error.to_string())?;
        if let Some(list) = self.list(&verified.issuer) {
            verified
                .check_status(&list)
                .map_err(|error| error.to_string())?;
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
            .document(format!("credential/{id}"), json!(kept))
            .audit(audit);
        self.store.write(batch).await.map_err(store_error)?;
        self.esteem.changed();
        Ok(document)
    }

    /// Keeps a credential that somebody brought.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] where it does not hold.
    pub async fn add(&self, request: AddCredential) -> Result<CredentialView, ApiError> {
        self.check(&request.document).map_err(ApiError::invalid)?;
        let id = id_of(&request.document)?;
        let known = self.kept()?;
        if known.len() >= MAX_KEPT && !known.iter().any(|(other, _)| *other == id) {
            return Err(ApiError::Conflict(format!(
                "{MAX_KEPT} credentials are kept already"
            )));
        }
        let own = known.iter().any(|(other, kept)| *other == id && kept.own);
        let kept = Kept {
            document: request.document,
            own,
            public: request.publish,
        };
        let batch = Batch::new().document(format!("credential/{id}"), json!(kept));
        self.store.write(batch).await.map_err(store_error)?;
        self.esteem.changed();
        self.view(id, kept)
    }

    /// Takes a credential back; gives it and the status list that says so.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], and [`ApiError::Conflict`] where no twin of this node issued it.
    pub async fn revoke(&self, id: &str) -> Result<(CredentialView, Value), ApiError> {
        let _writing = self.writing.lock().await;
        let kept = self.kept()?.into_iter().find(|(other, _)| other == id);
        let (id, kept) = kept.ok_or_else(|| ApiError::NotFound {
            what: "credential",
            id: id.chars().take(100).collect(),
        })?;
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
        let list = list
            .issue(&issuer, now_ms() / 1000)
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let audit = AuditRecord::new(
            now_text(),
            issuer.did().as_str(),
            "credential_revoked",
            "done",
        )
        .about(&id);
        let batch = Batch::new()
            .document(format!("statuslist/{}", issuer.did()), json!(account))
            .document(format!("status/{}", issuer.did()), list.clone())
            .audit(audit);
        self.store.write(batch).await.map_err(store_error)?;
        self.esteem.changed();
        Ok((self.view(id, kept)?, list))
    }

    /// Hears of a credential.
    pub async fn hear_credential(&self, document: &str) -> Heard {
        let Ok(document) = serde_json::from_str::<Value>(document) else {
            return Heard::Bad("it is not JSON".to_owned());
        };
        let verified = match verify(&document, now_ms() / 1000) {
            Ok(verified) => verified,
            Err(error) => return Heard::Bad(error.to_string()),
        };
        let (Ok(id), Ok(known)) = (id_of(&document), self.kept()) else {
            return Heard::Passing;
        };
        if known.iter().any(|(other, _)| *other == id) {
            return Heard::Known;
        }
        // Only those who are believed are listened to: strangers cannot fill the shelf.
        let believed = self
            .standing(&verified.issuer)
            .is_ok_and(|standing| standing.standing > 0.0);
        if !believed || known.len() >= MAX_KEPT {
            return Heard::Passing;
        }
        let kept = Kept {
            document,
            own: false,
            public: true,
        };
        let batch = Batch::new().document(format!("credential/{id}"), json!(kept));
        match self.store.write(batch).await {
            Ok(_) => {
                self.esteem.changed();
                Heard::New
            }
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
            Err(error) => return Heard::Bad(error.to_string()),
        };
        if list.id != list_id(&list.issuer) {
            return Heard::Bad("it is not the list of its issuer".to_owned());
        }
        if self
            .list(&list.issuer)
            .is_some_and(|known| !list.replaces(&known))
        {
            return Heard::Known;
        }
        let concerns = self.kept().is_ok_and(|kept| {
            kept.iter()
                .any(|(_, kept)| kept.document["issuer"] == list.issuer.as_str())
        });
        if !concerns {
            return Heard::Passing;
        }
        let batch = Batch::new().document(format!("status/{}", list.issuer), document);
        match self.store.write(batch).await {
            Ok(_) => {
                self.esteem.changed();
                Heard::New
            }
            Err(error) => {
                tracing::warn!(%error, "a status list could not be kept");
                Heard::Passing
            }
        }
    }

    /// The credentials and the status lists that are told to others, at most `limit` of each.
    pub fn public(&self, limit: usize) -> (Vec<String>, Vec<String>) {
        let kept = self.kept().unwrap_or_default();
        let credentials = kept.into_iter().filter(|(_, kept)| kept.public);
        let lists = self.store.documents("status/").unwrap_or_default();
        (
            credentials
                .take(limit)
                .map(|(_, kept)| kept.document.to_string())
                .collect(),
            lists
                .into_iter()
                .take(limit)
                .map(|(_, list)| list.to_string())
                .collect(),
        )
    }

    /// Every credential kept.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn views(&self) -> Result<Vec<CredentialView>, ApiError> {
        let kept = self.kept()?;
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
        let now_ms = now_ms();
        if let Some(seen) = self.esteem.seen(now_ms, Some(&roots)) {
            return Ok(seen);
        }
        let now_s = now_ms / 1000;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let kept: BTreeMap<String, Kept> = self.kept()?.into_iter().collect();
        self.esteem.retain(|id| kept.contains_key(id));
        let mut lists: BTreeMap<Did, Option<StatusList>> = BTreeMap::new();
        let mut vouches = Vec::new();
        for (id, kept) in &kept {
            let check = || verify(&kept.document, now_s).ok();
            let Some(verified) = self.esteem.proven(id, check) else {
                continue;
            };
            let list = lists
                .entry(verified.issuer.clone())
                .or_insert_with(|| self.list(&verified.issuer));
            let revoked = list
                .as_ref()
                .is_some_and(|list| verified.check_status(list).is_err());
            let early = verified
                .valid_from_s
                .is_some_and(|from| seconds(from) > now_s);
            if let Claims::Reputation {
                reputation_score, ..
            } = verified.claims
                && !revoked
                && !early
            {
                // One whose time is up has no weight.
                vouches.push(Vouch {
                    issuer: verified.issuer,
                    subject: verified.subject,
                    score: reputation_score,
                    issued_s: verified.valid_from_s.map_or(0, seconds),
                    until_s: verified.valid_until_s.map(seconds),
                });
            }
        }
        let seen = Arc::new(standings(&roots, &vouches, &Flow::default(), now_s));
        self.esteem.keep(now_ms, roots, &seen);
        Ok(seen)
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
        let seen = self.esteem.seen(now_ms(), None);
        let seen = seen.map_or_else(|| self.standings(), Ok);
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
        self.kept().is_ok_and(|kept| {
            kept.iter().any(|(_, kept)| {
                kept.document["issuer"] == did.as_str()
                    || kept.document["credentialSubject"]["id"] == did.as_str()
            })
        })
    }
}

/// A time in milliseconds as text.
pub(super) fn time_text(ms: u64) -> String {
    rfc3339(from_unix_ms(ms))
}
