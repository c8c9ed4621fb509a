//! The credentials of this node: reputation, membership of a swarm, and capability.
//!
//! Each names its issuer and its subject by did:key and is proven by the issuer's key alone. It ends
//! with its time, or when its entry in the issuer's status list says so.

use pagi_messages::{Did, SigningIdentity};
use serde_json::{Map, Value, json};

use crate::{
    context::{CREDENTIAL_TERMS, contexts, is_context},
    error::{CredentialError, ProofError},
    proof::{Suite, Timestamp, add_proof, cut, verify_proof},
    rdf::told_exactly,
    status::{StatusEntry, StatusList},
};

/// Longest text in a claim, in bytes.
const MAX_TEXT: usize = 1024;

/// What a credential says of its subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Claims {
    /// `ReputationCredential`: how the issuer has found the subject's work.
    Reputation {
        /// A finite number; its scale is the issuer's.
        reputation_score: f64,
        /// What the score rests on: a count, a list of CIDs, or whatever the issuer records.
        contributions: Value,
    },
    /// `MembershipCredential`: the subject belongs to a swarm.
    Membership {
        /// The swarm's id.
        swarm: String,
        /// The subject's role in it.
        role: String,
    },
    /// `CapabilityCredential`: the subject may do something. It is the issuer's word alone: whoever
    /// guards the resource decides whose word counts.
    Capability {
        /// What the subject may do.
        capability: String,
        /// With what.
        resource: String,
    },
}

impl Claims {
    /// The credential type, as it stands beside `VerifiableCredential`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Reputation { .. } => "ReputationCredential",
            Self::Membership { .. } => "MembershipCredential",
            Self::Capability { .. } => "CapabilityCredential",
        }
    }
}

/// A credential whose proof, terms and times hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Who says it, proven by the signature.
    pub issuer: Did,
    /// Of whom.
    pub subject: Did,
    /// What is said.
    pub claims: Claims,
    /// From when on, in whole seconds since 1970; `None` where the credential names no start.
    pub valid_from_s: Option<i64>,
    /// Until when, in whole seconds since 1970; `None` where the credential names no end.
    pub valid_until_s: Option<i64>,
    /// Its place in the issuer's status list; `None` where it cannot be taken back.
    pub status: Option<StatusEntry>,
}

impl Verified {
    /// Checks the credential against its issuer's status list.
    ///
    /// # Errors
    /// [`CredentialError::Revoked`] where it was taken back, [`CredentialError::ForeignList`] where the
    /// list is not the one the credential names, or ends before its place.
    pub fn check_status(&self, list: &StatusList) -> Result<(), CredentialError> {
        let Some(entry) = &self.status else {
            return Ok(());
        };
        if list.issuer != self.issuer || list.id != entry.list {
            return Err(CredentialError::ForeignList);
        }
        match list.get(entry.index) {
            None => Err(CredentialError::ForeignList),
            Some(true) => Err(CredentialError::Revoked),
            Some(false) => Ok(()),
        }
    }
}

/// Issues a reputation credential for `subject`, valid from `valid_from_s` to `valid_until_s` (seconds
/// since 1970). `contributions` may be any JSON: a count, a list of CIDs.
///
/// # Errors
/// [`CredentialError::Malformed`] for a score that is not finite or times that are out of order or beyond
/// the year 9999; [`CredentialError::Proof`] for a number in `contributions` that canonical JSON cannot
/// represent exactly.
pub fn issue_reputation(
    issuer: &SigningIdentity,
    subject: &Did,
    reputation_score: f64,
    contributions: Value,
    valid_from_s: u64,
    valid_until_s: u64,
) -> Result<Value, CredentialError> {
    let claims = Claims::Reputation {
        reputation_score,
        contributions,
    };
    issue(issuer, subject, &claims, valid_from_s, valid_until_s, None)
}

/// Issues a credential that `subject` belongs to `swarm` in `role`; times as in [`issue_reputation`].
///
/// # Errors
/// [`CredentialError::Malformed`] for an empty or overlong text (1024 bytes) or times out of order.
pub fn issue_membership(
    issuer: &SigningIdentity,
    subject: &Did,
    swarm: &str,
    role: &str,
    valid_from_s: u64,
    valid_until_s: u64,
) -> Result<Value, CredentialError> {
    let claims = Claims::Membership {
        swarm: swarm.to_owned(),
        role: role.to_owned(),
    };
    issue(issuer, subject, &claims, valid_from_s, valid_until_s, None)
}

/// Issues a credential that `subject` may do `capability` with `resource`; times as in
/// [`issue_reputation`].
///
/// # Errors
/// As [`issue_membership`].
pub fn issue_capability(
    issuer: &SigningIdentity,
    subject: &Did,
    capability: &str,
    resource: &str,
    valid_from_s: u64,
    valid_until_s: u64,
) -> Result<Value, CredentialError> {
    let claims = Claims::Capability {
        capability: capability.to_owned(),
        resource: resource.to_owned(),
    };
    issue(issuer, subject, &claims, valid_from_s, valid_until_s, None)
}

/// Issues a credential with these claims, with a proof of `eddsa-rdfc-2022`; times as in
/// [`issue_reputation`]. With a `status` it can be taken back by the issuer's status list. A score is
/// rounded to the 16 digits that RDF has.
///
/// # Errors
/// As [`issue_reputation`] and [`issue_membership`].
pub fn issue(
    issuer: &SigningIdentity,
    subject: &Did,
    claims: &Claims,
    valid_from_s: u64,
    valid_until_s: u64,
    status: Option<&StatusEntry>,
) -> Result<Value, CredentialError> {
    let draft = draft(
        issuer.did(),
        subject,
        claims,
        valid_from_s,
        valid_until_s,
        status,
    )?;
    Ok(add_proof(&draft, issuer, Some(valid_from_s), Suite::Rdfc)?)
}

/// A credential without its proof; see [`issue`].
fn draft(
    issuer: &Did,
    subject: &Did,
    claims: &Claims,
    valid_from_s: u64,
    valid_until_s: u64,
    status: Option<&StatusEntry>,
) -> Result<Value, CredentialError> {
    if valid_until_s < valid_from_s {
        return Err(malformed("validUntil", "is before validFrom"));
    }
    let time = |seconds, member| {
        Timestamp::from_s(seconds)
            .and_then(Timestamp::text)
            .ok_or(malformed(member, "is beyond the year 9999"))
    };
    let mut subject = json!({ "id": subject.as_str() });
    let claimed = match claims {
        Claims::Reputation {
            reputation_score,
            contributions,
        } => {
            if !reputation_score.is_finite() {
                return Err(malformed("reputation_score", "is not a finite number"));
            }
            [
                ("reputation_score", json!(told_exactly(*reputation_score))),
                ("contributions", contributions.clone()),
            ]
        }
        Claims::Membership { swarm, role } => [("swarm", json!(swarm)), ("role", json!(role))],
        Claims::Capability {
            capability,
            resource,
        } => [
            ("capability", json!(capability)),
            ("resource", json!(resource)),
        ],
    };
    for (term, value) in claimed {
        subject[term] = value;
    }
    // What could not be read back is not issued.
    if let Value::Object(subject) = &subject {
        read_claims(claims.type_name(), subject)?;
    }
    let mut credential = json!({
        "@context": contexts(),
        "type": ["VerifiableCredential", claims.type_name()],
        "issuer": issuer.as_str(),
        "validFrom": time(valid_from_s, "validFrom")?,
        "validUntil": time(valid_until_s, "validUntil")?,
        "credentialSubject": subject,
    });
    if let Some(status) = status {
        credential["credentialStatus"] = status.to_json();
    }
    Ok(credential)
}

/// Verifies a credential at `now_s` (seconds since 1970): its proof, that the issuer made it, that every
/// term it uses has a meaning, and that its time is now.
///
/// # Errors
/// One distinct [`CredentialError`] for each reason; where several hold, the proof's comes first, for
/// nothing a broken proof covers can be relied upon.
pub fn verify(credential: &Value, now_s: u64) -> Result<Verified, CredentialError> {
    let signer = verify_proof(credential, now_s).map_err(|error| reason(credential, error))?;
    let Value::Object(members) = credential else {
        return Err(malformed("credential", "is not an object"));
    };
    if !is_context(members.get("@context"), &contexts()) {
        return Err(CredentialError::UnknownContext);
    }
    if let Some(term) = members
        .keys()
        .find(|term| !CREDENTIAL_TERMS.contains(&term.as_str()))
    {
        return Err(CredentialError::UnmappedTerm(cut(term)));
    }
    let issuer = did(members.get("issuer"), "issuer")?;
    if issuer != signer {
        return Err(CredentialError::ForeignIssuer { issuer, signer });
    }
    let type_name = read_type(members.get("type"))?;
    let Some(Value::Object(subject)) = members.get("credentialSubject") else {
        return Err(malformed("credentialSubject", "is not a single object"));
    };
    let subject_did = did(subject.get("id"), "credentialSubject.id")?;
    let claims = read_claims(type_name, subject)?;
    let status = members
        .get("credentialStatus")
        .map(StatusEntry::from_json)
        .transpose()?;
    let valid_from = time(members, "validFrom")?;
    let valid_until = time(members, "validUntil")?;
    if let Some(from) = valid_from
        && !from.is_reached(now_s)
    {
        return Err(CredentialError::NotYetValid {
            valid_from: from.seconds(),
            now: now_s,
        });
    }
    if let Some(until) = valid_until
        && until.is_past(now_s)
    {
        return Err(CredentialError::Expired {
            valid_until: until.seconds(),
            now: now_s,
        });
    }
    Ok(Verified {
        issuer,
        subject: subject_did,
        claims,
        valid_from_s: valid_from.map(Timestamp::seconds),
        valid_until_s: valid_until.map(Timestamp::seconds),
        status,
    })
}

/// What is wrong with a credential whose proof does not hold, as precisely as can be said.
pub(crate) fn reason(credential: &Value, error: ProofError) -> CredentialError {
    match error {
        ProofError::UnknownContext => CredentialError::UnknownContext,
        ProofError::UnmappedTerm(term) => CredentialError::UnmappedTerm(term),
        ProofError::WrongSignature { signer } => match did(credential.get("issuer"), "issuer") {
            Ok(issuer) if issuer != signer => CredentialError::ForeignIssuer { issuer, signer },
            _ => ProofError::WrongSignature { signer }.into(),
        },
        other => other.into(),
    }
}

/// The one type beside `VerifiableCredential`.
fn read_type(value: Option<&Value>) -> Result<&str, CredentialError> {
    let types: Option<Vec<&str>> = value
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect());
    match (
        types.as_deref(),
        value.and_then(Value::as_array).map(Vec::len),
    ) {
        (Some(["VerifiableCredential", own]), Some(2)) => Ok(own),
        _ => Err(malformed(
            "type",
            "is not VerifiableCredential and one type more",
        )),
    }
}

fn read_claims(type_name: &str, subject: &Map<String, Value>) -> Result<Claims, CredentialError> {
    let terms: [&'static str; 2] = match type_name {
        "ReputationCredential" => ["reputation_score", "contributions"],
        "MembershipCredential" => ["swarm", "role"],
        "CapabilityCredential" => ["capability", "resource"],
        other => return Err(CredentialError::UnknownType(cut(other))),
    };
    if let Some(term) = subject
        .keys()
        .find(|term| *term != "id" && !terms.contains(&term.as_str()))
    {
        return Err(CredentialError::UnmappedTerm(cut(term)));
    }
    let text = |term: &'static str| match subject.get(term) {
        Some(Value::String(text)) if (1..=MAX_TEXT).contains(&text.len()) => Ok(text.clone()),
        _ => Err(malformed(term, "is not a text of 1 to 1024 bytes")),
    };
    Ok(match type_name {
        "ReputationCredential" => Claims::Reputation {
            reputation_score: subject
                .get("reputation_score")
                .and_then(Value::as_f64)
                .ok_or(malformed("reputation_score", "is not a number"))?,
            contributions: subject
                .get("contributions")
                .cloned()
                .ok_or(malformed("contributions", "is missing"))?,
        },
        "MembershipCredential" => Claims::Membership {
            swarm: text("swarm")?,
            role: text("role")?,
        },
        _ => Claims::Capability {
            capability: text("capability")?,
            resource: text("resource")?,
        },
    })
}

pub(crate) fn did(value: Option<&Value>, role: &'static str) -> Result<Did, CredentialError> {
    let text = value
        .and_then(Value::as_str)
        .ok_or(malformed(role, "is not a DID"))?;
    text.parse()
        .map_err(|error| CredentialError::Did { role, error })
}

pub(crate) fn time(
    members: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<Timestamp>, CredentialError> {
    let Some(value) = members.get(member) else {
        return Ok(None);
    };
    value
        .as_str()
        .and_then(Timestamp::parse)
        .map(Some)
        .ok_or(malformed(member, "is not a date and time with a time zone"))
}

pub(crate) fn malformed(member: &'static str, reason: &'static str) -> CredentialError {
    CredentialError::Malformed { member, reason }
}
