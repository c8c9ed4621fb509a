//! Data Integrity proofs with Ed25519 (Data Integrity EdDSA Cryptosuites 1.0): a signature over the
//! SHA-256 of the canonical proof configuration followed by the SHA-256 of the canonical document.
//!
//! Canonical is the JSON Canonicalization Scheme (RFC 8785) for `eddsa-jcs-2022` (section 3.3), and the
//! canonical RDF of the document for `eddsa-rdfc-2022` (section 3.2) and the older
//! `Ed25519Signature2020`.

use pagi_messages::{Did, DidError, SigningIdentity};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{error::ProofError, rdf};

const TYPE: &str = "DataIntegrityProof";
const PURPOSE: &str = "assertionMethod";
/// Largest whole number that canonical JSON tells from its neighbours (RFC 7493 section 2.2).
const MAX_EXACT: u64 = (1 << 53) - 1;
/// Members a proof may have; another, such as `previousProof` or `domain`, asks for a check not made here.
const MEMBERS: [&str; 9] = [
    "id",
    "type",
    "cryptosuite",
    "created",
    "expires",
    "verificationMethod",
    "proofPurpose",
    "proofValue",
    "@context",
];

/// How a document is brought into the form that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `eddsa-jcs-2022`: the canonical JSON, whatever it means.
    Jcs,
    /// `eddsa-rdfc-2022`: the canonical RDF of a document whose every term has a meaning here.
    Rdfc,
    /// `Ed25519Signature2020`, the same under an older name; read, and written only for tests.
    Signature2020,
}

impl Suite {
    const ALL: [Self; 3] = [Self::Jcs, Self::Rdfc, Self::Signature2020];

    /// The `type` and `cryptosuite` of its proofs.
    const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Jcs => (TYPE, Some("eddsa-jcs-2022")),
            Self::Rdfc => (TYPE, Some("eddsa-rdfc-2022")),
            Self::Signature2020 => ("Ed25519Signature2020", None),
        }
    }
}

/// A time as the credential formats have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The time `seconds` after the start of 1970; `None` beyond the year 9999.
    pub(crate) fn from_s(seconds: u64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
        (time.year() <= 9999).then_some(Self(time))
    }

    /// Reads an XML Schema 1.1 `dateTimeStamp`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self)
    }

    /// Whole seconds since the start of 1970, rounded down.
    pub(crate) fn seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Whether this is not after `now_s`.
    pub(crate) fn is_reached(self, now_s: u64) -> bool {
        self.0.unix_timestamp_nanos() <= i128::from(now_s) * 1_000_000_000
    }

    /// Whether this is before `now_s`.
    pub(crate) fn is_past(self, now_s: u64) -> bool {
        self.0.unix_timestamp_nanos() < i128::from(now_s) * 1_000_000_000
    }

    pub(crate) fn text(self) -> Option<String> {
        self.0.format(&Rfc3339).ok()
    }
}

/// Adds a proof by `signer` to a document (sections 3.2.1 and 3.3.1). `created_s`, in seconds since
/// 1970, is left out of the proof where it is `None`.
///
/// # Errors
/// [`ProofError::NotAnObject`], [`ProofError::Present`], [`ProofError::InexactNumber`],
/// [`ProofError::Malformed`] for a time beyond the year 9999; where RDF is signed, also
/// [`ProofError::UnknownContext`] and [`ProofError::UnmappedTerm`].
pub fn add_proof(
    document: &Value,
    signer: &SigningIdentity,
    created_s: Option<u64>,
    suite: Suite,
) -> Result<Value, ProofError> {
    let mut secured = document.as_object().ok_or(ProofError::NotAnObject)?.clone();
    if secured.contains_key("proof") {
        return Err(ProofError::Present);
    }
    let mut proof = Map::new();
    let (proof_type, cryptosuite) = suite.names();
    proof.insert("type".into(), proof_type.into());
    if let Some(cryptosuite) = cryptosuite {
        proof.insert("cryptosuite".into(), cryptosuite.into());
    }
    if let Some(seconds) = created_s {
        let created =
            Timestamp::from_s(seconds)
                .and_then(Timestamp::text)
                .ok_or(ProofError::Malformed {
                    member: "created",
                    reason: "is beyond the year 9999",
                })?;
        proof.insert("created".into(), created.into());
    }
    proof.insert(
        "verificationMethod".into(),
        signer.did().signing_key_id().into(),
    );
    proof.insert("proofPurpose".into(), PURPOSE.into());
    if suite == Suite::Jcs
        && let Some(context) = secured.get("@context")
    {
        proof.insert("@context".into(), context.clone());
    }
    let hash = hash_data(suite, &proof, &secured)?;
    proof.insert("proofValue".into(), signer.sign(&hash).into());
    secured.insert("proof".into(), Value::Object(proof));
    Ok(Value::Object(secured))
}

/// Verifies the proof of a document at `now_s` (sections 3.2.2 and 3.3.2) and returns whose key made it. Whether
/// that somebody may speak on the matter is for the caller to decide.
///
/// # Errors
/// Every variant of [`ProofError`] but [`ProofError::Present`].
pub fn verify_proof(document: &Value, now_s: u64) -> Result<Did, ProofError> {
    let mut unsecured = document.as_object().ok_or(ProofError::NotAnObject)?.clone();
    let proof = unsecured.remove("proof").ok_or(ProofError::Missing)?;
    let Value::Object(mut options) = proof else {
        return Err(malformed("proof", "is not a single object"));
    };
    if let Some(name) = options
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(ProofError::UnknownMember(cut(name)));
    }
    let proof_type = text(&options, "type")?;
    let cryptosuite = if proof_type == TYPE || options.contains_key("cryptosuite") {
        Some(text(&options, "cryptosuite")?)
    } else {
        None
    };
    let suite = Suite::ALL
        .into_iter()
        .find(|suite| suite.names() == (proof_type, cryptosuite))
        .ok_or_else(|| ProofError::UnsupportedSuite {
            proof_type: cut(proof_type),
            cryptosuite: cut(cryptosuite.unwrap_or_default()),
        })?;
    let purpose = text(&options, "proofPurpose")?;
    if purpose != PURPOSE {
        return Err(ProofError::WrongPurpose(cut(purpose)));
    }
    let signer = signer_of(text(&options, "verificationMethod")?)?;
    optional_time(&options, "created")?;
    let expires = optional_time(&options, "expires")?;
    if let Some(context) = options.get("@context") {
        let sound = match suite {
            Suite::Jcs => starts_with(unsecured.get("@context"), context),
            Suite::Rdfc | Suite::Signature2020 => unsecured.get("@context") == Some(context),
        };
        if !sound {
            return Err(ProofError::ForeignContext);
        }
        unsecured.insert("@context".into(), context.clone());
    }
    let value = match options.remove("proofValue") {
        Some(Value::String(value)) => value,
        Some(_) => return Err(malformed("proofValue", "is not a text")),
        None => return Err(malformed("proofValue", "is missing")),
    };
    signer
        .verify(&hash_data(suite, &options, &unsecured)?, &value)
        .map_err(|error| match error {
            DidError::MalformedSignature => {
                malformed("proofValue", "is not 64 bytes in base58btc multibase (z…)")
            }
            _ => ProofError::WrongSignature {
                signer: signer.clone(),
            },
        })?;
    // Only a time that is signed can be held against the proof.
    if let Some(expires) = expires
        && expires.is_past(now_s)
    {
        return Err(ProofError::Expired {
            expires: expires.seconds(),
            now: now_s,
        });
    }
    Ok(signer)
}

/// The canonical form of a JSON value (RFC 8785).
///
/// # Errors
/// [`ProofError::InexactNumber`] for a whole number beyond ±(2^53 − 1): it would share its canonical form
/// with others, and so could be changed without anybody noticing. [`ProofError::NotCanonical`] where
/// serialisation fails.
pub fn canonical(value: &Value) -> Result<Vec<u8>, ProofError> {
    check_numbers(value)?;
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| ProofError::NotCanonical(error.to_string()))
}

/// Sections 3.2.4 and 3.3.4: the two hashes, the configuration's first.
fn hash_data(
    suite: Suite,
    config: &Map<String, Value>,
    document: &Map<String, Value>,
) -> Result<[u8; 64], ProofError> {
    let json = |object: &Map<String, Value>| canonical(&Value::Object(object.clone()));
    let (config, document) = match suite {
        Suite::Jcs => (json(config)?, json(document)?),
        Suite::Rdfc | Suite::Signature2020 => {
            // The contexts are known once the document is read.
            let document = rdf::of_document(document, suite == Suite::Signature2020)?.into_bytes();
            (rdf::of_proof(config)?.into_bytes(), document)
        }
    };
    let mut data = [0; 64];
    data[..32].copy_from_slice(&Sha256::digest(config));
    data[32..].copy_from_slice(&Sha256::digest(document));
    Ok(data)
}

fn check_numbers(value: &Value) -> Result<(), ProofError> {
    match value {
        Value::Number(number) => {
            let exact = match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number <= MAX_EXACT,
                (None, Some(number)) => number.unsigned_abs() <= MAX_EXACT,
                (None, None) => true,
            };
            if exact {
                Ok(())
            } else {
                Err(ProofError::InexactNumber(cut(&number.to_string())))
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(members) => members.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// The DID whose signing key a verification method names (`did:key:z6Mk…#z6Mk…`).
fn signer_of(method: &str) -> Result<Did, ProofError> {
    let unknown = || ProofError::UnknownMethod(cut(method));
    let did: Did = method
        .split('#')
        .next()
        .unwrap_or_default()
        .parse()
        .map_err(|_| unknown())?;
    if did.signing_key_id() == method {
        Ok(did)
    } else {
        Err(unknown())
    }
}

/// Whether the document's context starts with all of the proof's, in order. A context that is no list
/// counts as a list of one.
fn starts_with(document: Option<&Value>, proof: &Value) -> bool {
    let list = |value: &'_ Value| -> Vec<Value> {
        match value {
            Value::Array(items) => items.clone(),
            other => vec![other.clone()],
        }
    };
    document.is_some_and(|document| list(document).starts_with(&list(proof)))
}

fn text<'a>(options: &'a Map<String, Value>, member: &'static str) -> Result<&'a str, ProofError> {
    match options.get(member) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(malformed(member, "is not a text")),
        None => Err(malformed(member, "is missing")),
    }
}

fn optional_time(
    options: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<Timestamp>, ProofError> {
    if !options.contains_key(member) {
        return Ok(None);
    }
    Timestamp::parse(text(options, member)?)
        .map(Some)
        .ok_or(malformed(member, "is not a date and time with a time zone"))
}

fn malformed(member: &'static str, reason: &'static str) -> ProofError {
    ProofError::Malformed { member, reason }
}

/// At most 64 characters of a text, for an error message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A document whose proof has the given members beside the usual ones, soundly signed.
    fn signed_with(members: &[(&str, Value)]) -> Value {
        let signer = SigningIdentity::from_seed(&[1; 32]);
        let document = json!({"@context": ["urn:a", "urn:b"], "claim": 1});
        let mut proof = json!({
            "type": TYPE, "cryptosuite": "eddsa-jcs-2022", "proofPurpose": PURPOSE,
            "verificationMethod": signer.did().signing_key_id(),
        });
        for (name, value) in members {
            proof[*name] = value.clone();
        }
        let mut unsecured = document.clone();
        if let Some(context) = proof.get("@context") {
            unsecured["@context"] = context.clone();
        }
        let hash = hash_data(
            Suite::Jcs,
            proof.as_object().unwrap(),
            unsecured.as_object().unwrap(),
        )
        .unwrap();
        proof["proofValue"] = signer.sign(&hash).into();
        let mut secured = document;
        secured["proof"] = proof;
        secured
    }

    #[test]
    fn a_proof_that_has_expired_holds_no_longer() {
        let secured = signed_with(&[("expires", json!("1970-01-01T00:01:40Z"))]);
        assert!(verify_proof(&secured, 100).is_ok());
        assert_eq!(
            verify_proof(&secured, 101),
            Err(ProofError::Expired {
                expires: 100,
                now: 101
            })
        );
    }

    #[test]
    fn the_document_may_have_contexts_after_those_of_the_proof_but_none_before() {
        for context in [
            json!(["urn:a", "urn:b"]),
            json!(["urn:a"]),
            json!("urn:a"),
            json!([]),
        ] {
            let secured = signed_with(&[("@context", context.clone())]);
            assert!(verify_proof(&secured, 0).is_ok(), "{context}");
        }
        for context in [
            json!(["urn:b"]),
            json!("urn:b"),
            json!(["urn:a", "urn:b", "urn:c"]),
        ] {
            let secured = signed_with(&[("@context", context)]);
            assert_eq!(verify_proof(&secured, 0), Err(ProofError::ForeignContext));
        }
        // Without a context of its own the proof covers the document's.
        let mut secured = signed_with(&[]);
        assert!(verify_proof(&secured, 0).is_ok());
        secured["@context"] = json!(["urn:a"]);
        assert!(matches!(
            verify_proof(&secured, 0),
            Err(ProofError::WrongSignature { .. })
        ));
    }

    #[test]
    fn times_are_read_to_the_fraction_of_a_second() {
        let time = Timestamp::parse("1970-01-01T00:00:01.5Z").unwrap();
        assert!(!time.is_reached(1) && time.is_reached(2));
        assert!(!time.is_past(1) && time.is_past(2));
        assert_eq!(
            Timestamp::parse("1970-01-01T02:00:00+02:00")
                .unwrap()
                .seconds(),
            0
        );
        assert_eq!(
            Timestamp::from_s(0).unwrap().text().unwrap(),
            "1970-01-01T00:00:00Z"
        );
        assert!(Timestamp::from_s(u64::MAX).is_none());
        for bad in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-02-30T00:00:00Z",
        ] {
            assert!(Timestamp::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_document_is_signed_once() {
        let signer = SigningIdentity::from_seed(&[1; 32]);
        let secured = add_proof(&json!({"a": 1}), &signer, None, Suite::Jcs).unwrap();
        assert!(secured["proof"].get("@context").is_none());
        assert_eq!(verify_proof(&secured, 0).as_ref(), Ok(signer.did()));
        assert_eq!(
            add_proof(&secured, &signer, None, Suite::Jcs),
            Err(ProofError::Present)
        );
        assert_eq!(
            add_proof(&json!(7), &signer, None, Suite::Jcs),
            Err(ProofError::NotAnObject)
        );
        let late = add_proof(&json!({"a": 1}), &signer, Some(u64::MAX), Suite::Jcs);
        assert!(matches!(
            late,
            Err(ProofError::Malformed {
                member: "created",
                ..
            })
        ));
    }
}
