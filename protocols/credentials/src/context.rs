//! The JSON-LD context of this node's own credentials.
//!
//! It travels inside the credential rather than behind an address: a verifier fetches nothing, and no
//! server of anybody's has to stay up for a credential to keep its meaning.

use serde_json::{Value, json};

/// The context every Verifiable Credential 2.0 starts with.
pub const CREDENTIALS_V2: &str = "https://www.w3.org/ns/credentials/v2";

/// What proofs of the suite `Ed25519Signature2020` add.
pub const ED25519_2020: &str = "https://w3id.org/security/suites/ed25519-2020/v1";

/// The terms of our credentials. `contributions` may hold any JSON, which JSON-LD then takes as a whole.
#[must_use]
pub fn own_context() -> Value {
    json!({
        "@protected": true,
        "ReputationCredential": "urn:pagi:credentials#ReputationCredential",
        "MembershipCredential": "urn:pagi:credentials#MembershipCredential",
        "CapabilityCredential": "urn:pagi:credentials#CapabilityCredential",
        "reputation_score": "urn:pagi:credentials#reputation_score",
        "contributions": { "@id": "urn:pagi:credentials#contributions", "@type": "@json" },
        "swarm": "urn:pagi:credentials#swarm",
        "role": "urn:pagi:credentials#role",
        "capability": "urn:pagi:credentials#capability",
        "resource": "urn:pagi:credentials#resource"
    })
}

/// The whole `@context` of our credentials.
#[must_use]
pub fn contexts() -> Value {
    json!([CREDENTIALS_V2, own_context()])
}

/// Whether `found` is `wanted`, or that and the context of `Ed25519Signature2020`.
pub(crate) fn is_context(found: Option<&Value>, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_array() else {
        return false;
    };
    match found.and_then(Value::as_array).map(Vec::as_slice) {
        Some([before @ .., last]) if last == ED25519_2020 => before == wanted.as_slice(),
        Some(found) => found == wanted.as_slice(),
        None => false,
    }
}

/// Members of a credential that the context of the Data Model maps and that are read here.
pub(crate) const CREDENTIAL_TERMS: [&str; 11] = [
    "@context",
    "id",
    "type",
    "name",
    "description",
    "issuer",
    "validFrom",
    "validUntil",
    "credentialSubject",
    "credentialStatus",
    "proof",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_term_is_an_absolute_iri() {
        let context = own_context();
        let terms = context.as_object().unwrap();
        for (term, mapping) in terms.iter().filter(|(term, _)| !term.starts_with('@')) {
            let iri = mapping
                .as_str()
                .or_else(|| mapping["@id"].as_str())
                .unwrap();
            assert_eq!(iri, format!("urn:pagi:credentials#{term}"));
        }
        assert_eq!(contexts()[0], CREDENTIALS_V2);
    }
}
