//! Verifiable credentials.

use pagi_credentials::{
    Claims, StatusList, Suite, issue_capability, issue_membership, issue_reputation,
    proof::{add_proof, canonical, verify_proof},
    verify,
};
use serde_json::{Value, json};

use super::{NOW_S, identity};

pub fn seeds() -> Vec<Vec<u8>> {
    let (issuer, to) = (identity(1), identity(2));
    let until = NOW_S + 1000;
    let list = StatusList::new(issuer.did());
    [
        list.issue(&issuer, NOW_S),
        issue_reputation(&issuer, to.did(), 0.75, json!(["a", 1]), NOW_S, until),
        issue_membership(&issuer, to.did(), "lab", "member", NOW_S, until),
        issue_capability(&issuer, to.did(), "read", "urn:x", NOW_S, until),
    ]
    .into_iter()
    .map(|credential| credential.expect("it is issued").to_string().into_bytes())
    .collect()
}

pub fn check(data: &[u8]) -> bool {
    let Ok(credential) = serde_json::from_slice::<Value>(data) else {
        return false;
    };
    if let Ok(verified) = verify(&credential, NOW_S) {
        believed(&credential, &verified, 1);
    }
    if let Ok(bytes) = canonical(&credential) {
        let again: Value = serde_json::from_slice(&bytes).expect("canonical JSON is JSON");
        assert_eq!(
            canonical(&again).expect("it has a form"),
            bytes,
            "the canonical form is not fixed"
        );
    }
    // The same content, proven by us: the rest of the rules are reached.
    let Value::Object(mut members) = credential else {
        return false;
    };
    members.remove("proof");
    if let Some(issuer) = members.get_mut("issuer") {
        *issuer = identity(3).did().as_str().into();
    }
    let document = Value::Object(members);
    let mut held = false;
    for suite in [Suite::Jcs, Suite::Rdfc, Suite::Signature2020] {
        held |= proven_by_us(&document, suite);
    }
    held
}

fn proven_by_us(document: &Value, suite: Suite) -> bool {
    let Ok(proven) = add_proof(document, &identity(3), Some(NOW_S), suite) else {
        return false;
    };
    let text = proven.to_string();
    let proven: Value = serde_json::from_str(&text).expect("what was proven is JSON");
    assert_eq!(
        verify_proof(&proven, NOW_S).expect("our proof holds"),
        *identity(3).did()
    );
    if let Ok(list) = StatusList::verify(&proven, NOW_S) {
        assert_eq!(list.issuer, *identity(3).did());
        return true;
    }
    match verify(&proven, NOW_S) {
        Ok(verified) => {
            believed(&proven, &verified, 3);
            true
        }
        Err(_) => false,
    }
}

fn believed(credential: &Value, verified: &pagi_credentials::Verified, issuer: u8) {
    assert_eq!(
        verified.issuer,
        *identity(issuer).did(),
        "an issuer who issued nothing"
    );
    assert_eq!(credential["issuer"], verified.issuer.as_str());
    assert_eq!(
        credential["credentialSubject"]["id"],
        verified.subject.as_str()
    );
    if let Claims::Reputation {
        reputation_score, ..
    } = verified.claims
    {
        assert!(reputation_score.is_finite());
    }
    let now = i64::try_from(NOW_S).unwrap_or(i64::MAX);
    assert!(verified.valid_from_s.is_none_or(|from| from <= now));
    assert!(verified.valid_until_s.is_none_or(|until| until >= now));
    // Any change of a proven member breaks the proof.
    let mut bent = credential.clone();
    bent["validUntil"] = json!("2999-01-01T00:00:00Z");
    if bent != *credential {
        assert!(verify(&bent, NOW_S).is_err(), "a bent credential passes");
    }
}
