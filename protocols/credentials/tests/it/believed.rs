//! What is issued is believed, whichever way its JSON was written down in between.

use pagi_credentials::{
    Claims, CredentialError, ProofError, issue_capability, issue_membership, issue_reputation,
    verify,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

#[test]
fn a_reputation_credential_says_what_was_put_in() {
    let credential = credential();
    assert_eq!(
        credential["type"],
        json!(["VerifiableCredential", "ReputationCredential"])
    );
    assert_eq!(credential["issuer"], issuer().did().as_str());
    assert_eq!(credential["validFrom"], "2027-01-15T07:59:50Z");
    assert_eq!(credential["proof"]["cryptosuite"], "eddsa-rdfc-2022");
    assert_eq!(
        credential["proof"]["verificationMethod"],
        issuer().did().signing_key_id()
    );
    let verified = verify(&credential, NOW).unwrap();
    assert_eq!(&verified.issuer, issuer().did());
    assert_eq!(&verified.subject, subject().did());
    assert_eq!(
        verified.claims,
        Claims::Reputation {
            reputation_score: 0.875,
            contributions: json!([{"cid": "bafy1", "useful": true}, 7]),
        }
    );
    assert_eq!(verified.valid_from_s, i64::try_from(NOW - 10).ok());
    assert_eq!(verified.valid_until_s, i64::try_from(NOW + 10).ok());
}

#[test]
fn membership_and_capability_are_told_apart() {
    let (issuer, subject) = (issuer(), subject());
    let membership =
        issue_membership(&issuer, subject.did(), "research", "member", NOW, NOW).unwrap();
    assert_eq!(
        verify(&membership, NOW).unwrap().claims,
        Claims::Membership {
            swarm: "research".into(),
            role: "member".into()
        }
    );
    let capability = issue_capability(&issuer, subject.did(), "read", "urn:x:y", NOW, NOW).unwrap();
    let claims = verify(&capability, NOW).unwrap().claims;
    assert_eq!(claims.type_name(), "CapabilityCredential");
    assert_eq!(
        claims,
        Claims::Capability {
            capability: "read".into(),
            resource: "urn:x:y".into()
        }
    );
    let empty = issue_membership(&issuer, subject.did(), "", "member", NOW, NOW);
    assert!(matches!(
        empty,
        Err(CredentialError::Malformed {
            member: "swarm",
            ..
        })
    ));
}

#[test]
fn a_credential_holds_from_its_first_second_to_its_last() {
    let credential = credential();
    for now in [NOW - 10, NOW, NOW + 10] {
        assert!(verify(&credential, now).is_ok());
    }
    assert!(matches!(
        verify(&credential, NOW - 11),
        Err(CredentialError::NotYetValid { .. })
    ));
    assert!(matches!(
        verify(&credential, NOW + 11),
        Err(CredentialError::Expired { .. })
    ));
    assert!(matches!(
        verify(&credential, 0),
        Err(CredentialError::NotYetValid { .. })
    ));
    assert!(matches!(
        verify(&credential, u64::MAX),
        Err(CredentialError::Expired { .. })
    ));
}

#[test]
fn what_could_not_be_verified_is_not_issued() {
    let issue = |score, contributions, from, until| {
        issue_reputation(
            &issuer(),
            subject().did(),
            score,
            contributions,
            from,
            until,
        )
    };
    for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(
            issue(score, json!(1), NOW, NOW),
            Err(CredentialError::Malformed {
                member: "reputation_score",
                ..
            })
        ));
    }
    assert!(issue(1.0, json!(1), NOW, NOW - 1).is_err());
    assert!(issue(1.0, json!(1), NOW, u64::MAX).is_err());
    assert!(
        issue(1.0, json!(1), NOW, 253_402_300_800).is_err(),
        "the year 10000"
    );
    for inexact in [
        json!(1_u64 << 53),
        json!([{"a": -(1_i64 << 53)}]),
        json!(u64::MAX),
    ] {
        assert!(matches!(
            issue(1.0, inexact, NOW, NOW),
            Err(CredentialError::Proof(ProofError::InexactNumber(_)))
        ));
    }
    assert!(issue(1.0, json!((1_u64 << 53) - 1), NOW, NOW).is_ok());
}

/// The same JSON with the members of every object in another order.
fn reordered(value: &Value, by: usize) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<_> = members
                .iter()
                .map(|(name, value)| (name.clone(), reordered(value, by)))
                .collect();
            let at = by % pairs.len().max(1);
            pairs.rotate_left(at);
            if by % 2 == 1 {
                pairs.reverse();
            }
            Value::Object(pairs.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| reordered(item, by)).collect(),
        other => other.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn order_and_layout_do_not_matter(
        score in -1e12..1e12_f64, contributions in any_json(), by in 0usize..8, pretty: bool,
    ) {
        let credential = issue_reputation(
            &issuer(), subject().did(), score, contributions.clone(), NOW, NOW,
        ).unwrap();
        let other = reordered(&credential, by);
        let text = if pretty {
            serde_json::to_string_pretty(&other).unwrap()
        } else {
            other.to_string()
        };
        let read: Value = serde_json::from_str(&text).unwrap();
        let verified = verify(&read, NOW).unwrap();
        // RDF has 16 digits, and no fractions below a millionth here.
        let Claims::Reputation { reputation_score, contributions: found } = verified.claims else {
            unreachable!()
        };
        prop_assert!((reputation_score - score).abs() <= score.abs() * 1e-15 + 1e-6);
        prop_assert_eq!(found, contributions);
    }
}
