//! What a sender, or somebody between sender and recipient, may not get away with.

use affinidi_crypto::jose::key_agreement::{PrivateKeyAgreement, PublicKeyAgreement};
use affinidi_messaging_didcomm::{jwe::encrypt, jws::sign};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_didcomm::{DidcommError, Limits, Message, Packing, pack, unpack};
use pagi_messages::{Did, SigningIdentity};
use serde_json::{Value, json};

use super::*;

fn open(packed: &str) -> Result<Message, DidcommError> {
    unpack(packed, &bob(), NOW, &limits()).map(|unpacked| unpacked.message)
}

fn public(did: &Did) -> PublicKeyAgreement {
    PublicKeyAgreement::X25519(did.agreement_key().unwrap())
}

/// Seals any bytes for Bob as `key`, under the key id of `named`: what `pack` would never do.
fn authcrypt(plaintext: &[u8], named: &Did, key: &SigningIdentity) -> String {
    let secret = PrivateKeyAgreement::X25519(*key.x25519_secret());
    let kid = bob().did().agreement_key_id().unwrap();
    let to = public(bob().did());
    encrypt::authcrypt(
        plaintext,
        &named.agreement_key_id().unwrap(),
        &secret,
        &[(&kid, &to)],
    )
    .unwrap()
}

fn anoncrypt(plaintext: &[u8]) -> String {
    let kid = bob().did().agreement_key_id().unwrap();
    encrypt::anoncrypt(plaintext, &[(&kid, &public(bob().did()))]).unwrap()
}

/// Signs any bytes under the key id of `named`.
fn signed(payload: &[u8], named: &Did, seed: u8) -> String {
    sign::sign_ed25519(payload, &named.signing_key_id(), &[seed; 32]).unwrap()
}

fn json_of(message: &Message) -> Vec<u8> {
    message.to_json().unwrap().into_bytes()
}

/// Re-encodes the protected header of a JSON envelope after a change to it.
fn with_header(packed: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut envelope: Value = serde_json::from_str(packed).unwrap();
    let signed = envelope.get("signatures").is_some();
    let at = if signed {
        &mut envelope["signatures"][0]["protected"]
    } else {
        &mut envelope["protected"]
    };
    let decoded = URL_SAFE_NO_PAD.decode(at.as_str().unwrap()).unwrap();
    let mut header: Value = serde_json::from_slice(&decoded).unwrap();
    change(&mut header);
    *at = URL_SAFE_NO_PAD.encode(header.to_string()).into();
    envelope.to_string()
}

#[test]
fn the_wrong_recipient_opens_nothing() {
    for packing in [
        Packing::Authcrypt,
        Packing::Anoncrypt,
        Packing::SignedThenEncrypted,
    ] {
        let message = if packing == Packing::Anoncrypt {
            anonymous()
        } else {
            message()
        };
        let packed = pack(&message, packing, Some(&alice()), bob().did()).unwrap();
        assert!(matches!(
            unpack(&packed, &mallory(), NOW, &limits()),
            Err(DidcommError::WrongRecipient { .. })
        ));
        // Rewriting the key id does not help: the digest of the recipients is authenticated.
        let mut envelope: Value = serde_json::from_str(&packed).unwrap();
        envelope["recipients"][0]["header"]["kid"] =
            mallory().did().agreement_key_id().unwrap().into();
        assert!(matches!(
            unpack(&envelope.to_string(), &mallory(), NOW, &limits()),
            Err(DidcommError::Malformed { .. })
        ));
    }
    let packed = pack(&message(), Packing::Signed, Some(&alice()), bob().did()).unwrap();
    assert!(matches!(
        unpack(&packed, &mallory(), NOW, &limits()),
        Err(DidcommError::NotAddressed { .. })
    ));
}

#[test]
fn a_sender_cannot_be_somebody_else() {
    let plain = json_of(&message());
    // Mallory's key, Alice's `from`.
    assert!(matches!(
        open(&authcrypt(&plain, mallory().did(), &mallory())),
        Err(DidcommError::FromMismatch { claimed, proven })
            if &claimed == alice().did() && &proven == mallory().did()
    ));
    // Mallory's key, Alice's key id.
    assert!(matches!(
        open(&authcrypt(&plain, alice().did(), &mallory())),
        Err(DidcommError::Undecryptable)
    ));
    // Bob's own key, Alice's `from`.
    assert!(open(&authcrypt(&plain, bob().did(), &bob())).is_err());
    assert!(matches!(
        open(&signed(&plain, mallory().did(), 3)),
        Err(DidcommError::FromMismatch { .. })
    ));
    assert!(matches!(
        open(&signed(&plain, alice().did(), 3)),
        Err(DidcommError::WrongSignature { signer }) if &signer == alice().did()
    ));
    assert!(matches!(
        open(&anoncrypt(&plain)),
        Err(DidcommError::UnprovenFrom { .. })
    ));
    let unsigned = json_of(&anonymous());
    assert!(matches!(
        open(&authcrypt(&unsigned, alice().did(), &alice())),
        Err(DidcommError::MissingFrom)
    ));
    assert!(matches!(
        open(&signed(&unsigned, alice().did(), 1)),
        Err(DidcommError::MissingFrom)
    ));
}

#[test]
fn signer_and_sealer_must_be_one() {
    let inner = signed(&json_of(&message()), alice().did(), 1);
    // The same in one hand is accepted, though this crate does not emit it.
    let packed = authcrypt(inner.as_bytes(), alice().did(), &alice());
    let unpacked = unpack(&packed, &bob(), NOW, &limits()).unwrap();
    assert_eq!(unpacked.signed_by, unpacked.authenticated_sender);
    let packed = authcrypt(inner.as_bytes(), mallory().did(), &mallory());
    assert!(matches!(
        open(&packed),
        Err(DidcommError::FromMismatch { .. })
    ));
}

#[test]
fn a_signed_message_cannot_be_passed_on_to_another() {
    let for_mallory = Message {
        to: vec![mallory().did().clone()],
        ..message()
    };
    let inner = pack(
        &for_mallory,
        Packing::Signed,
        Some(&alice()),
        mallory().did(),
    )
    .unwrap();
    assert!(matches!(
        open(&anoncrypt(inner.as_bytes())),
        Err(DidcommError::NotAddressed { .. })
    ));
    let to_nobody = Message {
        to: Vec::new(),
        ..message()
    };
    let inner = signed(&json_of(&to_nobody), alice().did(), 1);
    assert!(matches!(
        open(&inner),
        Err(DidcommError::NotAddressed { .. })
    ));
}

#[test]
fn only_the_nestings_of_the_specification_open() {
    let plain = json_of(&message());
    let auth = authcrypt(&plain, alice().did(), &alice());
    assert!(open(&anoncrypt(auth.as_bytes())).is_ok());
    let anon = anoncrypt(&json_of(&anonymous()));
    for nested in [
        anoncrypt(anon.as_bytes()),
        authcrypt(anon.as_bytes(), alice().did(), &alice()),
        authcrypt(auth.as_bytes(), alice().did(), &alice()),
        signed(auth.as_bytes(), alice().did(), 1),
        signed(anon.as_bytes(), alice().did(), 1),
        signed(
            signed(&plain, alice().did(), 1).as_bytes(),
            alice().did(),
            1,
        ),
    ] {
        assert!(matches!(open(&nested), Err(DidcommError::Nesting)));
    }
    assert!(matches!(
        open(&message().to_json().unwrap()),
        Err(DidcommError::Unprotected)
    ));
}

#[test]
fn times_are_kept() {
    let limits = Limits {
        max_age_s: 1000,
        max_skew_s: 100,
        ..limits()
    };
    let at = |created: Option<u64>, expires: Option<u64>| {
        let message = Message {
            created_time: created,
            expires_time: expires,
            ..message()
        };
        let packed = pack(&message, Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
        unpack(&packed, &bob(), NOW, &limits).map(|unpacked| unpacked.valid_until_s)
    };
    assert_eq!(at(None, None).unwrap(), None);
    assert_eq!(at(Some(NOW), None).unwrap(), Some(NOW + 1000));
    assert_eq!(at(Some(NOW), Some(NOW + 1)).unwrap(), Some(NOW + 1));
    assert_eq!(
        at(Some(NOW + 100), Some(u64::MAX)).unwrap(),
        Some(NOW + 1100)
    );
    assert_eq!(at(None, Some(NOW + 1100)).unwrap(), Some(NOW + 1100));
    assert!(matches!(
        at(Some(NOW), Some(NOW)),
        Err(DidcommError::Expired { .. })
    ));
    assert!(matches!(
        at(None, Some(0)),
        Err(DidcommError::Expired { .. })
    ));
    assert!(matches!(
        at(Some(NOW + 101), None),
        Err(DidcommError::FromTheFuture { .. })
    ));
    assert!(matches!(
        at(Some(u64::MAX), None),
        Err(DidcommError::FromTheFuture { .. })
    ));
    assert!(matches!(
        at(Some(NOW - 1000), None),
        Err(DidcommError::TooOld { .. })
    ));
    assert!(matches!(
        at(Some(0), None),
        Err(DidcommError::TooOld { .. })
    ));
    assert!(matches!(
        at(None, Some(NOW + 1101)),
        Err(DidcommError::LivesTooLong { .. })
    ));
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_read() {
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let limits = Limits {
        max_bytes: packed.len() - 1,
        ..limits()
    };
    assert!(matches!(
        unpack(&packed, &bob(), NOW, &limits),
        Err(DidcommError::TooLarge { bytes, .. }) if bytes == packed.len()
    ));
}

#[test]
fn headers_that_would_change_the_meaning_are_refused() {
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let signed = pack(&message(), Packing::Signed, Some(&alice()), bob().did()).unwrap();
    for (envelope, name, value) in [
        (&packed, "crit", json!(["exp"])),
        (&packed, "zip", json!("DEF")),
        (&packed, "enc", json!("A256GCM")),
        (&packed, "enc", json!("XC20P")),
        (&packed, "enc", json!("A128CBC-HS256")),
        (&packed, "alg", json!("ECDH-ES")),
        (&packed, "alg", json!("none")),
        (&packed, "alg", json!("dir")),
        (&packed, "typ", json!("JWT")),
        (&packed, "epk", json!({"kty": "EC", "crv": "P-256"})),
        (&signed, "crit", json!(["b64"])),
        (&signed, "b64", json!(false)),
        (&signed, "alg", json!("none")),
        (&signed, "alg", json!("HS256")),
        (&signed, "alg", json!("ES256")),
        (&signed, "typ", json!("JWT")),
    ] {
        let bent = with_header(envelope, |header| header[name] = value.clone());
        assert!(
            matches!(open(&bent), Err(DidcommError::Unsupported { .. })),
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("skid", json!(null)),
        ("skid", json!(alice().did().as_str())),
        ("skid", json!(mallory().did().agreement_key_id().unwrap())),
        ("apu", json!("AAAA")),
        ("apv", json!("AAAA")),
        ("alg", json!(7)),
    ] {
        let bent = with_header(&packed, |header| header[name] = value.clone());
        assert!(
            matches!(open(&bent), Err(DidcommError::Malformed { .. })),
            "{name} {value}"
        );
    }
    // Downgrading authcrypt to anoncrypt leaves nothing that decrypts.
    let bent = with_header(&packed, |header| header["alg"] = json!("ECDH-ES+A256KW"));
    assert!(matches!(open(&bent), Err(DidcommError::Undecryptable)));
}

#[test]
fn a_sender_with_a_key_of_small_order_is_refused() {
    // Every secret agreed with the neutral element is zero: anybody could seal in its name.
    let weak = multibase::encode(
        multibase::Base::Base58Btc,
        [&[0xed, 0x01, 0x01][..], &[0; 31]].concat(),
    );
    let weak: Did = format!("did:key:{weak}").parse().unwrap();
    let skid = format!("{weak}#z6LSanything");
    let packed = pack(&message(), Packing::Authcrypt, Some(&alice()), bob().did()).unwrap();
    let bent = with_header(&packed, |header| {
        header["skid"] = skid.clone().into();
        header["apu"] = URL_SAFE_NO_PAD.encode(&skid).into();
    });
    assert!(matches!(open(&bent), Err(DidcommError::Did(_))));
    assert!(
        pack(
            &Message {
                to: Vec::new(),
                ..message()
            },
            Packing::Authcrypt,
            Some(&alice()),
            &weak
        )
        .is_err()
    );
}

#[test]
fn packing_refuses_what_unpacking_would() {
    let pack = |message: &Message, packing, sender: Option<&SigningIdentity>| {
        pack(message, packing, sender, bob().did())
    };
    let alice = alice();
    for packing in [
        Packing::Authcrypt,
        Packing::Signed,
        Packing::SignedThenEncrypted,
    ] {
        assert!(matches!(
            pack(&message(), packing, None),
            Err(DidcommError::SenderRequired)
        ));
        assert!(matches!(
            pack(&message(), packing, Some(&mallory())),
            Err(DidcommError::FromMismatch { .. })
        ));
        assert!(matches!(
            pack(&anonymous(), packing, Some(&alice)),
            Err(DidcommError::MissingFrom)
        ));
        let elsewhere = Message {
            to: vec![mallory().did().clone()],
            ..message()
        };
        assert!(matches!(
            pack(&elsewhere, packing, Some(&alice)),
            Err(DidcommError::NotAddressed { .. })
        ));
    }
    assert!(matches!(
        pack(&message(), Packing::Anoncrypt, None),
        Err(DidcommError::UnprovenFrom { .. })
    ));
    let nobody = Message {
        to: Vec::new(),
        ..message()
    };
    assert!(pack(&nobody, Packing::Authcrypt, Some(&alice)).is_ok());
    assert!(pack(&nobody, Packing::Signed, Some(&alice)).is_err());
    let nameless = Message {
        id: String::new(),
        ..message()
    };
    assert!(matches!(
        pack(&nameless, Packing::Authcrypt, Some(&alice)),
        Err(DidcommError::Malformed { .. })
    ));
}
