//! Every way of changing a credential is noticed, and told apart where it matters.

use pagi_credentials::{
    CredentialError, ProofError, Suite, context::contexts, proof::add_proof, verify,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Signed by the issuer after `change`: sound in its proof, wrong in what it says.
fn signed_after(change: impl FnOnce(&mut Value)) -> Value {
    let mut credential = credential();
    credential.as_object_mut().unwrap().remove("proof");
    change(&mut credential);
    add_proof(&credential, &issuer(), Some(NOW), Suite::Jcs).unwrap()
}

fn without_proof() -> Value {
    let mut credential = credential();
    credential.as_object_mut().unwrap().remove("proof");
    credential
}

#[test]
fn each_failure_has_its_reason() {
    let mut changed = credential();
    changed["credentialSubject"]["reputation_score"] = json!(1.0);
    assert_eq!(
        verify(&changed, NOW),
        Err(ProofError::WrongSignature {
            signer: issuer().did().clone()
        }
        .into())
    );

    // Another issuer under the same signature.
    let mut swapped = credential();
    swapped["issuer"] = mallory().did().as_str().into();
    assert_eq!(
        verify(&swapped, NOW),
        Err(CredentialError::ForeignIssuer {
            issuer: mallory().did().clone(),
            signer: issuer().did().clone()
        })
    );
    // Mallory signs, soundly, in the issuer's name.
    let forged = add_proof(&without_proof(), &mallory(), Some(NOW), Suite::Rdfc).unwrap();
    assert_eq!(
        verify(&forged, NOW),
        Err(CredentialError::ForeignIssuer {
            issuer: issuer().did().clone(),
            signer: mallory().did().clone()
        })
    );

    assert_eq!(
        verify(&without_proof(), NOW),
        Err(ProofError::Missing.into())
    );
    assert_eq!(verify(&json!([]), NOW), Err(ProofError::NotAnObject.into()));
    assert_eq!(
        verify(&json!(null), NOW),
        Err(ProofError::NotAnObject.into())
    );

    let with_proof = |member: &str, value: Value| {
        let mut credential = credential();
        credential["proof"][member] = value;
        match verify(&credential, NOW) {
            Err(CredentialError::Proof(error)) => error,
            other => panic!("{member}: {other:?}"),
        }
    };
    for (member, value) in [
        ("cryptosuite", json!("ecdsa-rdfc-2019")),
        ("cryptosuite", json!("")),
        ("type", json!("Ed25519Signature2020")),
    ] {
        assert!(matches!(
            with_proof(member, value),
            ProofError::UnsupportedSuite { .. }
        ));
    }
    assert_eq!(
        with_proof("proofPurpose", json!("authentication")),
        ProofError::WrongPurpose("authentication".into())
    );
    assert_eq!(
        with_proof("previousProof", json!("urn:uuid:1")),
        ProofError::UnknownMember("previousProof".into())
    );
    assert_eq!(
        with_proof("@context", json!(["https://example.org"])),
        ProofError::ForeignContext
    );
    for method in [
        String::new(),
        "https://example.org/key".to_owned(),
        issuer().did().to_string(),
        issuer().did().agreement_key_id().unwrap(),
        format!("{}#{}", issuer().did(), mallory().did().fingerprint()),
    ] {
        let found = with_proof("verificationMethod", method.clone().into());
        assert_eq!(
            found,
            ProofError::UnknownMethod(method.chars().take(64).collect())
        );
    }
    for (member, value) in [
        ("proofValue", json!("")),
        ("proofValue", json!("z")),
        ("proofValue", json!("uAAAA")),
        ("proofValue", json!(7)),
        ("created", json!("yesterday")),
        ("created", json!("2027-01-15T08:00:00")),
        ("expires", json!(1)),
        ("type", json!(["DataIntegrityProof"])),
        ("cryptosuite", json!(null)),
    ] {
        assert!(
            matches!(
                with_proof(member, value.clone()),
                ProofError::Malformed { .. }
            ),
            "{member} {value}"
        );
    }
    let mut listed = credential();
    listed["proof"] = json!([listed["proof"]]);
    assert!(matches!(
        verify(&listed, NOW),
        Err(CredentialError::Proof(ProofError::Malformed {
            member: "proof",
            ..
        }))
    ));
}

#[test]
fn a_sound_signature_does_not_make_nonsense_believable() {
    type Change = fn(&mut Value);
    let unmapped: [Change; 3] = [
        |credential| credential["trustMe"] = json!(true),
        |credential| credential["credentialSubject"]["trustMe"] = json!(true),
        // A term of another credential type.
        |credential| credential["credentialSubject"]["role"] = json!("admin"),
    ];
    for change in unmapped {
        let found = verify(&signed_after(change), NOW);
        assert!(
            matches!(found, Err(CredentialError::UnmappedTerm(_))),
            "{found:?}"
        );
    }
    let contexts: [Change; 4] = [
        |credential| credential["@context"] = json!("https://www.w3.org/ns/credentials/v2"),
        |credential| credential["@context"] = json!([contexts()[1], contexts()[0]]),
        |credential| credential["@context"][1]["role"] = json!("urn:other:role"),
        |credential| {
            credential["@context"]
                .as_array_mut()
                .unwrap()
                .push(json!("https://example.org"));
        },
    ];
    for change in contexts {
        assert_eq!(
            verify(&signed_after(change), NOW),
            Err(CredentialError::UnknownContext)
        );
    }
    let malformed: [(&str, Change); 9] = [
        ("type", |credential| {
            credential["type"] = json!("ReputationCredential")
        }),
        ("type", |credential| {
            credential["type"] = json!(["VerifiableCredential"])
        }),
        ("type", |credential| {
            credential["type"] = json!(["VerifiableCredential", 7, "ReputationCredential"]);
        }),
        ("credentialSubject", |credential| {
            credential["credentialSubject"] = json!([])
        }),
        ("credentialSubject.id", |credential| {
            credential["credentialSubject"]["id"] = json!(7)
        }),
        ("reputation_score", |credential| {
            credential["credentialSubject"]["reputation_score"] = json!("1.0");
        }),
        ("validFrom", |credential| {
            credential["validFrom"] = json!("2027-01-15")
        }),
        ("validUntil", |credential| {
            credential["validUntil"] = json!(NOW)
        }),
        ("issuer", |credential| {
            credential["issuer"] = json!({"id": issuer().did().as_str()})
        }),
    ];
    for (expected, change) in malformed {
        match verify(&signed_after(change), NOW) {
            Err(CredentialError::Malformed { member, .. }) => assert_eq!(member, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let unknown = signed_after(|credential| credential["type"][1] = json!("CrownCredential"));
    assert_eq!(
        verify(&unknown, NOW),
        Err(CredentialError::UnknownType("CrownCredential".into()))
    );
    for role in ["issuer", "credentialSubject.id"] {
        let foreign = signed_after(|credential| {
            let at = format!("/{}", role.replace('.', "/"));
            *credential.pointer_mut(&at).unwrap() = json!("did:web:example.org");
        });
        assert!(matches!(
            verify(&foreign, NOW),
            Err(CredentialError::Did { role: found, .. }) if found == role
        ));
    }
}

#[test]
fn an_end_cannot_be_added_to_a_proof() {
    let mut ended = credential();
    ended["proof"]["expires"] = json!("2027-01-15T07:59:55Z");
    assert!(matches!(
        verify(&ended, NOW),
        Err(CredentialError::Proof(ProofError::WrongSignature { .. }))
    ));
}

#[test]
fn a_neighbouring_number_cannot_slip_in() {
    // 2^53 and 2^53 + 1 have one canonical form; neither is signed or believed.
    let mut changed = credential();
    changed["credentialSubject"]["contributions"] = json!((1_u64 << 53) + 1);
    assert!(matches!(
        verify(&changed, NOW),
        Err(CredentialError::Proof(ProofError::InexactNumber(_)))
    ));
}

/// Paths of all values in a document, containers as well.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                paths(item, &format!("{path}/{at}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                paths(member, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// Every path of the credential under every suite.
fn all_paths() -> Vec<(Suite, String)> {
    let of = |suite| {
        let mut found = Vec::new();
        paths(&under(suite), "", &mut found);
        found.into_iter().map(move |path| (suite, path))
    };
    SUITES.into_iter().flat_map(of).collect()
}

#[test]
fn under_each_suite_each_failure_has_its_own_reason() {
    for suite in SUITES {
        let good = under(suite);
        assert!(verify(&good, NOW).is_ok(), "{suite:?}");
        let mut changed = good.clone();
        changed["credentialSubject"]["reputation_score"] = json!(1);
        let changed = verify(&changed, NOW).unwrap_err();
        let mut swapped = good.clone();
        swapped["issuer"] = mallory().did().as_str().into();
        let swapped = verify(&swapped, NOW).unwrap_err();
        let expired = verify(&good, NOW + 11).unwrap_err();
        assert!(
            matches!(
                (&changed, &swapped, &expired),
                (
                    CredentialError::Proof(ProofError::WrongSignature { .. }),
                    CredentialError::ForeignIssuer { .. },
                    CredentialError::Expired { .. }
                )
            ),
            "{suite:?}: {changed}; {swapped}; {expired}"
        );
        let mut unmapped = good;
        unmapped["credentialSubject"]["trustMe"] = json!(true);
        let unmapped = verify(&unmapped, NOW).unwrap_err();
        // Canonical JSON covers a term without a meaning as well, so there it is a change first.
        if suite == Suite::Jcs {
            assert!(matches!(unmapped, CredentialError::Proof(_)), "{unmapped}");
        } else {
            assert_eq!(unmapped, CredentialError::UnmappedTerm("trustMe".into()));
        }
    }
}

#[test]
fn what_means_the_same_in_rdf_is_not_taken_for_the_same() {
    // The signature holds in each case, for JSON-LD would make nothing of the difference.
    for (at, value) in [
        ("/credentialSubject/reputation_score", json!([0.875])),
        ("/issuer", json!([issuer().did().as_str()])),
        ("/issuer", json!({"id": issuer().did().as_str()})),
        (
            "/type",
            json!(["ReputationCredential", "VerifiableCredential"]),
        ),
        ("/validFrom", json!({"@value": "2027-01-15T07:59:50Z"})),
        (
            "/@context/1/reputation_score",
            json!({"@id": "urn:pagi:credentials#reputation_score"}),
        ),
        (
            "/credentialSubject/reputation_score",
            json!(0.875_000_000_000_000_1),
        ),
    ] {
        for suite in [Suite::Rdfc, Suite::Signature2020] {
            let mut other = under(suite);
            *other.pointer_mut(at).unwrap() = value.clone();
            assert!(verify(&other, NOW).is_err(), "{suite:?} {at} {value}");
        }
    }
}

#[test]
fn removing_any_part_is_noticed() {
    let found = all_paths();
    assert!(found.len() > 90, "{}", found.len());
    for (suite, path) in found.iter().filter(|(_, path)| !path.is_empty()) {
        // What is left without this context is a sound credential of the suite that needs none.
        let credential = under(*suite);
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut less = credential.clone();
        match less.pointer_mut(parent).unwrap() {
            Value::Object(members) => {
                members
                    .remove(&name.replace("~1", "/").replace("~0", "~"))
                    .unwrap();
            }
            Value::Array(items) => {
                items.remove(name.parse().unwrap());
            }
            _ => panic!("{path}"),
        }
        assert!(verify(&less, NOW).is_err(), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changing_any_part_is_noticed(
        (suite, path) in prop::sample::select(all_paths()),
        other in prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e3..1e3).prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
        ],
    ) {
        let original = under(suite);
        let mut changed = original.clone();
        *changed.pointer_mut(&path).unwrap() = other;
        prop_assume!(changed != original);
        prop_assert!(verify(&changed, NOW).is_err());
    }

    #[test]
    fn changing_one_character_is_noticed(
        suite in prop::sample::select(SUITES.to_vec()), at in 0usize..2000, with in "[ -~]",
    ) {
        let original = under(suite);
        let text = original.to_string();
        let at = at % text.len();
        let bent = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        if let Ok(changed) = serde_json::from_str::<Value>(&bent) {
            prop_assume!(changed != original);
            prop_assert!(verify(&changed, NOW).is_err(), "{}", bent);
        }
    }

    #[test]
    fn adding_a_member_anywhere_is_noticed(
        (suite, path) in prop::sample::select(all_paths()), name in "[a-z]{1,8}",
    ) {
        let mut more = under(suite);
        match more.pointer_mut(&path).unwrap() {
            Value::Object(members) => {
                prop_assume!(!members.contains_key(&name));
                members.insert(name, json!(1));
            }
            Value::Array(items) => items.push(json!(1)),
            _ => return Ok(()),
        }
        prop_assert!(verify(&more, NOW).is_err());
    }
}
