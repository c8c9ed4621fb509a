//! What is packed comes out again, with exactly the proof its packing gives.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_didcomm::{
    Attachment, AttachmentData, Content, DidcommError, Message, Packing, ReplayError, ReplayGuard,
    pack, protocols::TrustPing, unpack,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::*;

const PACKINGS: [Packing; 5] = [
    Packing::Authcrypt,
    Packing::HiddenAuthcrypt,
    Packing::Anoncrypt,
    Packing::Signed,
    Packing::SignedThenEncrypted,
];

fn for_packing(message: Message, packing: Packing) -> Message {
    if packing == Packing::Anoncrypt {
        Message {
            from: None,
            ..message
        }
    } else {
        message
    }
}

#[test]
fn each_packing_proves_what_it_should() {
    for packing in PACKINGS {
        let message = for_packing(message(), packing);
        let packed = pack(&message, packing, Some(&alice()), bob().did()).unwrap();
        let unpacked = unpack(&packed, &bob(), NOW, &limits()).unwrap();
        assert_eq!(unpacked.message, message, "{packing:?}");
        let (authenticated, signed, encrypted) = match packing {
            Packing::Authcrypt | Packing::HiddenAuthcrypt => (true, false, true),
            Packing::Anoncrypt => (false, false, true),
            Packing::Signed => (false, true, false),
            Packing::SignedThenEncrypted => (false, true, true),
        };
        let alice = alice();
        assert_eq!(
            unpacked.authenticated_sender.is_some(),
            authenticated,
            "{packing:?}"
        );
        assert_eq!(unpacked.signed_by.is_some(), signed, "{packing:?}");
        assert_eq!(unpacked.encrypted, encrypted, "{packing:?}");
        assert_eq!(
            unpacked.sender(),
            (authenticated || signed).then(|| alice.did())
        );
        assert_eq!(unpacked.valid_until_s, Some(NOW + limits().max_age_s));
    }
}

/// Everything that can be read of an envelope without a key.
fn readable(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            if let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) {
                out.push_str(&String::from_utf8_lossy(&bytes));
                if let Ok(inner) = serde_json::from_slice(&bytes) {
                    readable(&inner, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| readable(item, out)),
        Value::Object(members) => members.values().for_each(|item| readable(item, out)),
        _ => {}
    }
}

#[test]
fn a_hidden_sender_is_known_to_the_recipient_alone() {
    for (packing, shown) in [
        (Packing::Authcrypt, true),
        (Packing::HiddenAuthcrypt, false),
    ] {
        let packed = pack(&message(), packing, Some(&alice()), bob().did()).unwrap();
        let mut seen = String::new();
        readable(&serde_json::from_str(&packed).unwrap(), &mut seen);
        assert!(seen.contains(bob().did().as_str()));
        assert_eq!(seen.contains(alice().did().as_str()), shown, "{packing:?}");
    }
}

#[test]
fn an_authcrypt_envelope_has_the_headers_the_specification_asks_for() {
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let envelope: Value = serde_json::from_str(&packed).unwrap();
    let kid = bob().did().agreement_key_id().unwrap();
    let skid = alice().did().agreement_key_id().unwrap();
    assert!(kid.contains("#z6LS") && skid.contains("#z6LS"));
    assert_eq!(envelope["recipients"][0]["header"]["kid"], kid);
    let protected = URL_SAFE_NO_PAD
        .decode(envelope["protected"].as_str().unwrap())
        .unwrap();
    let header: Value = serde_json::from_slice(&protected).unwrap();
    assert_eq!(header["typ"], "application/didcomm-encrypted+json");
    assert_eq!(header["alg"], "ECDH-1PU+A256KW");
    assert_eq!(header["enc"], "A256CBC-HS512");
    assert_eq!(header["skid"], skid);
    assert_eq!(header["apu"], URL_SAFE_NO_PAD.encode(&skid));
    assert_eq!(header["apv"], URL_SAFE_NO_PAD.encode(Sha256::digest(&kid)));
    assert_eq!(header["epk"]["crv"], "X25519");
    assert!(!packed.contains("hello"));
}

#[test]
fn an_anoncrypt_envelope_tells_nobody_who_sent_it() {
    let packed = pack(
        &anonymous(),
        Packing::Anoncrypt,
        Some(&alice()),
        bob().did(),
    )
    .unwrap();
    let envelope: Value = serde_json::from_str(&packed).unwrap();
    let protected = URL_SAFE_NO_PAD
        .decode(envelope["protected"].as_str().unwrap())
        .unwrap();
    let header: Value = serde_json::from_slice(&protected).unwrap();
    assert_eq!(header["alg"], "ECDH-ES+A256KW");
    assert!(header.get("skid").is_none() && header.get("apu").is_none());
}

#[test]
fn no_two_envelopes_of_one_message_are_alike() {
    let pack = || pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    assert_ne!(pack(), pack());
}

#[test]
fn attachments_unknown_headers_and_large_bodies_arrive() {
    let mut message = message();
    message.extra.insert("lang".into(), json!("de"));
    message
        .body
        .insert("text".into(), json!("x".repeat(500_000)));
    message.attachments.push(Attachment {
        id: Some("a".into()),
        data: AttachmentData {
            json: Some(json!([1, null])),
            ..AttachmentData::default()
        },
        ..Attachment::default()
    });
    let packed = pack(&message, Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    assert_eq!(
        unpack(&packed, &bob(), NOW, &limits()).unwrap().message,
        message
    );
}

#[test]
fn a_ping_is_answered_over_the_wire() {
    let ping = TrustPing::ping(Headers::new("p", alice().did(), bob().did(), NOW), true);
    let packed = pack(&ping, Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let unpacked = unpack(&packed, &bob(), NOW, &limits()).unwrap();
    assert_eq!(
        Content::of(&unpacked.message).unwrap(),
        Content::TrustPing(TrustPing::Ping {
            response_requested: true
        })
    );
    let headers = Headers::reply("r", &unpacked.message, bob().did(), NOW);
    let packed = pack(
        &TrustPing::response(headers),
        Packing::Authcrypt,
        Some(&bob()),
        alice().did(),
    );
    let response = unpack(&packed.unwrap(), &alice(), NOW, &limits()).unwrap();
    assert_eq!(response.message.thid.as_deref(), Some("p"));
    assert_eq!(response.authenticated_sender.as_ref(), Some(bob().did()));
}

#[test]
fn the_same_envelope_does_not_pass_twice() {
    let mut guard = ReplayGuard::new(1000);
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let unpacked = unpack(&packed, &bob(), NOW, &limits()).unwrap();
    assert_eq!(guard.admit(&unpacked, NOW), Ok(()));
    let again = unpack(&packed, &bob(), NOW + 1, &limits()).unwrap();
    assert_eq!(guard.admit(&again, NOW + 1), Err(ReplayError::Replayed));
    // Packed anew it is another envelope, but still the same message.
    let packed = pack(
        &message(),
        Packing::SignedThenEncrypted,
        Some(&alice()),
        bob().did(),
    );
    let again = unpack(&packed.unwrap(), &bob(), NOW + 1, &limits()).unwrap();
    assert_eq!(guard.admit(&again, NOW + 1), Err(ReplayError::Replayed));
    // When the guard forgets it, its time is up.
    let end = unpacked.valid_until_s.unwrap();
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    assert!(unpack(&packed, &bob(), end - 1, &limits()).is_ok());
    assert!(matches!(
        unpack(&packed, &bob(), end, &limits()),
        Err(DidcommError::TooOld { .. })
    ));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
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
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_comes_back_as_it_was(
        members in prop::collection::vec((".{0,8}", any_json()), 0..5),
        id in "[!-~]{1,64}",
        packing in prop::sample::select(PACKINGS.to_vec()),
        seeds: (u8, u8),
    ) {
        let sender = SigningIdentity::from_seed(&[seeds.0; 32]);
        let recipient = SigningIdentity::from_seed(&[seeds.1; 32]);
        let body: Map<String, Value> = members.into_iter().collect();
        let message = for_packing(
            Headers::new(id, sender.did(), recipient.did(), NOW).message("a:b/1.0/c", body),
            packing,
        );
        let packed = pack(&message, packing, Some(&sender), recipient.did()).unwrap();
        let unpacked = unpack(&packed, &recipient, NOW, &limits()).unwrap();
        prop_assert_eq!(unpacked.message, message);
    }
}
