//! The published test vectors of eddsa-jcs-2022 and of the JSON Canonicalization Scheme.

use pagi_credentials::{
    CredentialError, ProofError, Suite,
    proof::{add_proof, canonical, verify_proof},
    verify,
};
use pagi_messages::SigningIdentity;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../data/eddsa-jcs-2022.json")).unwrap()
}

/// The vectors' key: multibase, two bytes of multicodec, then the seed.
fn key() -> SigningIdentity {
    let vectors = vectors();
    let encoded = vectors["keyPair"]["privateKeyMultibase"].as_str().unwrap();
    let (_, bytes) = multibase::decode(encoded).unwrap();
    let seed: [u8; 32] = bytes
        .strip_prefix(&[0x80, 0x26])
        .unwrap()
        .try_into()
        .unwrap();
    SigningIdentity::from_seed(&seed)
}

#[test]
fn the_signed_vector_verifies() {
    let vectors = vectors();
    let signer = verify_proof(&vectors["signed"], NOW).unwrap();
    assert_eq!(
        signer.fingerprint(),
        vectors["keyPair"]["publicKeyMultibase"]
    );
    assert_eq!(&signer, key().did());
    // The vector is sound, yet no credential of ours.
    assert_eq!(
        verify(&vectors["signed"], NOW),
        Err(CredentialError::UnknownContext)
    );
}

#[test]
fn signing_the_unsigned_vector_gives_the_published_signature() {
    let vectors = vectors();
    // 2023-02-24T23:36:38Z
    let signed = add_proof(
        &vectors["unsigned"],
        &key(),
        Some(1_677_281_798),
        Suite::Jcs,
    )
    .unwrap();
    assert_eq!(signed, vectors["signed"]);
    let (_, signature) =
        multibase::decode(signed["proof"]["proofValue"].as_str().unwrap()).unwrap();
    assert_eq!(hex::encode(signature), vectors["signature"]);
}

#[test]
fn canonical_forms_and_hashes_are_the_published_ones() {
    let vectors = vectors();
    for (document, form, hash) in [
        ("unsigned", "canonicalDocument", "documentHash"),
        ("proofConfig", "canonicalProofConfig", "proofConfigHash"),
    ] {
        let bytes = canonical(&vectors[document]).unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), vectors[form]);
        assert_eq!(hex::encode(Sha256::digest(&bytes)), vectors[hash]);
    }
}

#[test]
fn a_changed_vector_does_not_verify() {
    let mut changed = vectors()["signed"].clone();
    changed["credentialSubject"]["alumniOf"] = "The School of Hard Knocks".into();
    assert!(matches!(
        verify_proof(&changed, NOW),
        Err(ProofError::WrongSignature { .. })
    ));
}

/// RFC 8785, sections 3.2.2, 3.2.3 and appendix B.
#[test]
fn the_canonical_form_is_that_of_rfc_8785() {
    let literals: Value = serde_json::from_str(
        r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals":[null,true,false]}"#,
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(canonical(&literals).unwrap()).unwrap(),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
         \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    );
    let order: Value = serde_json::from_str(
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",
            "\u00f6":"Latin Small Letter O With Diaeresis"}"#,
    )
    .unwrap();
    let text = String::from_utf8(canonical(&order).unwrap()).unwrap();
    let at = |word: &str| text.find(word).unwrap();
    let words = [
        "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
    ];
    assert!(
        words.windows(2).all(|pair| at(pair[0]) < at(pair[1])),
        "{text}"
    );
    for (bits, expected) in [
        (0x0000_0000_0000_0000_u64, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
    ] {
        let number = json!(f64::from_bits(bits));
        assert_eq!(
            String::from_utf8(canonical(&number).unwrap()).unwrap(),
            expected
        );
    }
}
