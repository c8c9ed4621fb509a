//! The signed layer: JWS in general JSON form (RFC 7515 section 7.2.1) with one EdDSA signature.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use multibase::Base;
use pagi_messages::{Did, SigningIdentity};
use serde::{Deserialize, Serialize};

use crate::{SIGNED, error::DidcommError, header::Header};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    signatures: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    protected: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<EntryHeader>,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryHeader {
    kid: String,
}

/// What a signed envelope held, once its signature has been verified.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) payload: Vec<u8>,
    pub(crate) signer: Did,
}

/// Signs `payload` as `signer`. The key id stands in the protected header, and once more in the
/// unprotected one, where other agents look for it.
pub(crate) fn seal(payload: &[u8], signer: &SigningIdentity) -> Result<String, DidcommError> {
    let kid = signer.did().signing_key_id();
    let header = serde_json::json!({ "typ": SIGNED, "alg": "EdDSA", "kid": kid });
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let signature = signer.sign(format!("{protected}.{payload}").as_bytes());
    let (_, signature) =
        multibase::decode(signature).map_err(|error| DidcommError::Sealing(error.to_string()))?;
    let envelope = Envelope {
        payload,
        signatures: vec![Entry {
            protected,
            header: Some(EntryHeader { kid }),
            signature: URL_SAFE_NO_PAD.encode(signature),
        }],
    };
    serde_json::to_string(&envelope).map_err(|error| DidcommError::Sealing(error.to_string()))
}

/// The DID whose signing key a key id names (`did:key:z6Mk…#z6Mk…`).
pub(crate) fn signer_of(kid: &str) -> Result<Did, DidcommError> {
    let did: Did = kid.split('#').next().unwrap_or_default().parse()?;
    if did.signing_key_id() != kid {
        return Err(DidcommError::malformed(
            "kid",
            "it is not the signing key of its DID",
        ));
    }
    Ok(did)
}

/// Verifies the one signature of an envelope. `signer` resolves the key id to the DID whose key it is.
pub(crate) fn open(
    packed: &str,
    signer: impl FnOnce(&str) -> Result<Did, DidcommError>,
) -> Result<Opened, DidcommError> {
    let part = "signed envelope";
    let envelope: Envelope =
        serde_json::from_str(packed).map_err(|error| DidcommError::malformed(part, error))?;
    let [entry] = envelope.signatures.as_slice() else {
        return Err(DidcommError::malformed(
            part,
            "there must be exactly one signature",
        ));
    };
    // RFC 7515 section 4.1.11, and RFC 7797 for `b64`.
    let header = Header::open(part, &entry.protected, ["crit", "b64"], SIGNED)?;
    match header.text("alg")?.unwrap_or_default() {
        "EdDSA" | "Ed25519" => {}
        other => return Err(DidcommError::unsupported("alg", other)),
    }
    let outside = entry.header.as_ref().map(|header| header.kid.as_str());
    let kid = match (header.text("kid")?, outside) {
        (Some(inside), Some(outside)) if inside != outside => {
            return Err(DidcommError::malformed(part, "its two key ids differ"));
        }
        (Some(kid), _) | (None, Some(kid)) => kid,
        (None, None) => return Err(DidcommError::malformed(part, "no key id")),
    };
    let signer = signer(kid)?;
    let signature = URL_SAFE_NO_PAD
        .decode(&entry.signature)
        .map_err(|error| DidcommError::malformed(part, error))?;
    signer
        .verify(
            format!("{}.{}", entry.protected, envelope.payload).as_bytes(),
            &multibase::encode(Base::Base58Btc, signature),
        )
        .map_err(|_| DidcommError::WrongSignature {
            signer: signer.clone(),
        })?;
    let payload = URL_SAFE_NO_PAD
        .decode(&envelope.payload)
        .map_err(|error| DidcommError::malformed(part, error))?;
    Ok(Opened { payload, signer })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_specification_example_verifies_and_its_other_algorithms_do_not() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/data/didcomm-v2-appendix.json")).unwrap();
        let key = vectors["public"]["did:example:alice#key-1"]
            .as_str()
            .unwrap();
        let key = URL_SAFE_NO_PAD.decode(key).unwrap();
        let multikey = multibase::encode(Base::Base58Btc, [&[0xed, 0x01][..], &key].concat());
        let alice: Did = format!("did:key:{multikey}").parse().unwrap();
        let resolve = |kid: &str| {
            assert_eq!(kid, "did:example:alice#key-1");
            Ok(alice.clone())
        };
        let opened = open(&vectors["signed_eddsa"].to_string(), resolve).unwrap();
        let plaintext: Value = serde_json::from_slice(&opened.payload).unwrap();
        assert_eq!(plaintext, vectors["plaintext"]);
        for unspoken in ["signed_es256", "signed_es256k"] {
            let refused = open(&vectors[unspoken].to_string(), |_| Ok(alice.clone()));
            assert!(matches!(
                refused,
                Err(DidcommError::Unsupported { header: "alg", .. })
            ));
        }
    }

    #[test]
    fn a_key_id_that_is_not_the_signing_key_is_refused() {
        let identity = SigningIdentity::from_seed(&[7; 32]);
        assert_eq!(
            &signer_of(&identity.did().signing_key_id()).unwrap(),
            identity.did()
        );
        for bad in [
            identity.did().to_string(),
            identity.did().agreement_key_id().unwrap(),
            "did:example:alice#key-1".to_owned(),
        ] {
            assert!(signer_of(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_key_ids_that_differ_are_refused() {
        let signer = SigningIdentity::from_seed(&[7; 32]);
        let other = SigningIdentity::from_seed(&[8; 32]).did().signing_key_id();
        let packed = seal(b"{}", &signer).unwrap();
        assert!(open(&packed, signer_of).is_ok());
        let mut bent: Value = serde_json::from_str(&packed).unwrap();
        bent["signatures"][0]["header"]["kid"] = other.into();
        assert!(matches!(
            open(&bent.to_string(), signer_of),
            Err(DidcommError::Malformed { .. })
        ));
    }
}
