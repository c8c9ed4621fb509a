//! Opening anonymous envelopes whose content is encrypted with A256GCM (RFC 7518 section 5.3; DIDComm
//! recommends it) or XC20P (draft-amringer-jose-chacha-02; DIDComm allows it, and some agents use it by
//! default). This crate does not seal with either.

use affinidi_crypto::jose::{
    aes_kw, ecdh, gcm,
    key_agreement::{PrivateKeyAgreement, PublicKeyAgreement},
};
use affinidi_messaging_didcomm::jwe::envelope::ALG_ANONCRYPT;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use serde_json::{Map, Value};

use super::{Envelope, Recipient};
use crate::error::DidcommError;

/// A content encryption of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    A256Gcm,
    XC20P,
}

impl Encryption {
    pub(super) fn named(enc: &str) -> Option<Self> {
        match enc {
            "A256GCM" => Some(Self::A256Gcm),
            "XC20P" => Some(Self::XC20P),
            _ => None,
        }
    }
}

/// Opens an anonymous envelope for `recipient`. Its header has passed the checks of the layer above.
pub(super) fn open(
    envelope: &Envelope,
    recipient: &Recipient,
    header: &Map<String, Value>,
    encryption: Encryption,
    secret: &PrivateKeyAgreement,
) -> Result<Vec<u8>, DidcommError> {
    let decode = |part: &'static str, text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| DidcommError::malformed(part, error))
    };
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let undecryptable = |_| DidcommError::Undecryptable;

    let epk = header.get("epk").unwrap_or(&Value::Null);
    let ephemeral =
        PublicKeyAgreement::from_jwk(epk).map_err(|error| DidcommError::malformed("epk", error))?;
    let (apu, apv) = (decode("apu", text("apu"))?, decode("apv", text("apv"))?);
    let wrapped = decode("encrypted_key", &recipient.encrypted_key)?;
    let iv = decode("iv", &envelope.iv)?;
    let mut ciphertext = decode("ciphertext", &envelope.ciphertext)?;
    let tag = decode("tag", &envelope.tag)?;

    let kek = ecdh::derive_key_es_recipient(
        secret,
        &ephemeral,
        ALG_ANONCRYPT.as_bytes(),
        &apu,
        &apv,
        256,
    )
    .map_err(undecryptable)?;
    let kek: [u8; 32] = kek.try_into().map_err(|_| DidcommError::Undecryptable)?;
    let cek = aes_kw::unwrap(&kek, &wrapped).map_err(undecryptable)?;
    let aad = envelope.protected.as_bytes();
    match encryption {
        Encryption::A256Gcm => {
            gcm::decrypt_a256(&ciphertext, &cek, &iv, aad, &tag).map_err(undecryptable)
        }
        Encryption::XC20P => {
            let nonce: [u8; 24] = iv
                .try_into()
                .map_err(|_| DidcommError::malformed("iv", "it is not 24 bytes"))?;
            if tag.len() != 16 {
                return Err(DidcommError::malformed("tag", "it is not 16 bytes"));
            }
            ciphertext.extend_from_slice(&tag);
            XChaCha20Poly1305::new_from_slice(&cek)
                .map_err(|_| DidcommError::Undecryptable)?
                .decrypt(
                    (&nonce).into(),
                    Payload {
                        msg: &ciphertext,
                        aad,
                    },
                )
                .map_err(|_| DidcommError::Undecryptable)
        }
    }
}

#[cfg(test)]
mod tests {
    use affinidi_crypto::jose::key_agreement::{Curve, EphemeralKeyPair};
    use pagi_messages::SigningIdentity;
    use serde_json::json;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::jwe::{open, secret_of};

    /// An A256GCM envelope, put together from the primitives.
    fn sealed(plaintext: &[u8], recipient: &SigningIdentity) -> Value {
        let kid = recipient.did().agreement_key_id().unwrap();
        let key = PublicKeyAgreement::X25519(recipient.did().agreement_key().unwrap());
        let ephemeral = EphemeralKeyPair::generate(Curve::X25519);
        let apv = Sha256::digest(&kid);
        let protected = URL_SAFE_NO_PAD.encode(
            json!({
                "typ": "didcomm-encrypted+json", "alg": "ECDH-ES+A256KW", "enc": "A256GCM",
                "apv": URL_SAFE_NO_PAD.encode(apv), "epk": ephemeral.public.to_jwk(),
            })
            .to_string(),
        );
        let (cek, iv) = ([7; 32], [8; 12]);
        let (ciphertext, tag) =
            gcm::encrypt_a256(plaintext, &cek, &iv, protected.as_bytes()).unwrap();
        let kek = ecdh::derive_sender_key(&ephemeral, &key, &[], &apv).unwrap();
        json!({
            "protected": protected,
            "recipients": [{"header": {"kid": kid},
                "encrypted_key": URL_SAFE_NO_PAD.encode(aes_kw::wrap(&kek, &cek).unwrap())}],
            "iv": URL_SAFE_NO_PAD.encode(iv),
            "ciphertext": URL_SAFE_NO_PAD.encode(ciphertext),
            "tag": URL_SAFE_NO_PAD.encode(tag),
        })
    }

    fn open_as(envelope: &Value, recipient: &SigningIdentity) -> Result<Vec<u8>, DidcommError> {
        let kid = recipient.did().agreement_key_id().unwrap();
        let opened = open(&envelope.to_string(), &kid, &secret_of(recipient), |_| {
            unreachable!("an anonymous envelope has no sender")
        })?;
        Ok(opened.unwrap().plaintext)
    }

    #[test]
    fn a256gcm_opens_and_every_part_of_it_counts() {
        let bob = SigningIdentity::from_seed(&[2; 32]);
        let envelope = sealed(b"hello", &bob);
        assert_eq!(open_as(&envelope, &bob).unwrap(), b"hello");
        for path in [
            "/iv",
            "/ciphertext",
            "/tag",
            "/recipients/0/encrypted_key",
            "/protected",
        ] {
            for change in ["", "AAAA", "!"] {
                let mut bent = envelope.clone();
                *bent.pointer_mut(path).unwrap() = change.into();
                assert!(open_as(&bent, &bob).is_err(), "{path} {change}");
            }
        }
    }

    #[test]
    fn every_part_of_the_specification_xc20p_example_counts() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/data/didcomm-v2-appendix.json"))
                .unwrap();
        let kid = "did:example:bob#key-x25519-1";
        let secret = vectors["secrets"][kid].as_str().unwrap();
        let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
        let secret = PrivateKeyAgreement::X25519(secret.try_into().unwrap());
        let envelope = &vectors["anoncrypt_x25519_xc20p"];
        let open = |envelope: &Value| {
            open(&envelope.to_string(), kid, &secret, |_| {
                unreachable!("it is anonymous")
            })
        };
        assert!(open(envelope).is_ok());
        for path in ["/iv", "/ciphertext", "/tag", "/recipients/0/encrypted_key"] {
            let text = envelope.pointer(path).unwrap().as_str().unwrap();
            let first = if text.starts_with('A') { "B" } else { "A" };
            for change in ["".to_owned(), format!("{first}{}", &text[1..])] {
                let mut bent = envelope.clone();
                *bent.pointer_mut(path).unwrap() = change.clone().into();
                assert!(open(&bent).is_err(), "{path} {change}");
            }
        }
    }
}
