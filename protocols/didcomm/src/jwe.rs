//! The encrypted layer: JWE in general JSON form (RFC 7516), ECDH-1PU+A256KW (authcrypt) or
//! ECDH-ES+A256KW (anoncrypt) over X25519. Content is encrypted with A256CBC-HS512; anonymous envelopes
//! of others may also have A256GCM or XC20P.

mod content;

use affinidi_crypto::jose::key_agreement::{PrivateKeyAgreement, PublicKeyAgreement};
use affinidi_messaging_didcomm::{
    SenderKey,
    jwe::{
        decrypt::decrypt_bound,
        encrypt,
        envelope::{ALG_ANONCRYPT, ALG_AUTHCRYPT},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_messages::{Did, SigningIdentity};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{ENCRYPTED, error::DidcommError, header::Header};

/// Most recipients of one envelope; all are keys of one DID.
const MAX_RECIPIENTS: usize = 32;

/// The envelope, for the checks that come before any key is used. A member outside of it, such as `aad`,
/// would change what is authenticated, so none is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    protected: String,
    recipients: Vec<Recipient>,
    iv: String,
    ciphertext: String,
    tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient {
    header: RecipientHeader,
    encrypted_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipientHeader {
    kid: String,
}

/// What an envelope held.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) plaintext: Vec<u8>,
    /// Key id of the authenticated sender; `None` for anoncrypt.
    pub(crate) sender_kid: Option<String>,
}

/// Encrypts `plaintext` for `recipient`, authenticated by `sender` where there is one.
pub(crate) fn seal(
    plaintext: &[u8],
    sender: Option<&SigningIdentity>,
    recipient: &Did,
) -> Result<String, DidcommError> {
    let kid = recipient.agreement_key_id()?;
    let key = PublicKeyAgreement::X25519(recipient.agreement_key()?);
    let recipients = [(kid.as_str(), &key)];
    let sealed = match sender {
        Some(sender) => encrypt::authcrypt(
            plaintext,
            &sender.did().agreement_key_id()?,
            &secret_of(sender),
            &recipients,
        ),
        None => encrypt::anoncrypt(plaintext, &recipients),
    };
    sealed.map_err(|error| DidcommError::Sealing(error.to_string()))
}

/// The X25519 secret of an identity, in the cipher suite's type; wiped on drop.
pub(crate) fn secret_of(identity: &SigningIdentity) -> PrivateKeyAgreement {
    PrivateKeyAgreement::X25519(*identity.x25519_secret())
}

/// The DID and the X25519 key that the key id of a did:key names (`did:key:z6Mk…#z6LS…`).
pub(crate) fn sender_of(kid: &str) -> Result<(Did, PublicKeyAgreement), DidcommError> {
    let did = kid.split('#').next().unwrap_or_default();
    let did: Did = did.parse()?;
    if did.agreement_key_id()? != kid {
        return Err(DidcommError::malformed(
            "skid",
            "it is not the key agreement key of its DID",
        ));
    }
    let key = PublicKeyAgreement::X25519(did.agreement_key()?);
    Ok((did, key))
}

/// Opens an envelope with the key `kid`. `sender_key` resolves the key id of an authenticated sender; it
/// is asked only once everything else about the envelope is in order.
///
/// Returns `Ok(None)` where the envelope is well formed but not for `kid`.
pub(crate) fn open(
    packed: &str,
    kid: &str,
    secret: &PrivateKeyAgreement,
    sender_key: impl FnOnce(&str) -> Result<PublicKeyAgreement, DidcommError>,
) -> Result<Option<Opened>, DidcommError> {
    let envelope: Envelope = serde_json::from_str(packed)
        .map_err(|error| DidcommError::malformed("encrypted envelope", error))?;
    let (sender_kid, content) = check_headers(&envelope)?;
    let Some(recipient) = envelope
        .recipients
        .iter()
        .find(|recipient| recipient.header.kid == kid)
    else {
        return Ok(None);
    };
    if let Some((header, encryption)) = content {
        let plaintext = content::open(&envelope, recipient, &header, encryption, secret)?;
        return Ok(Some(Opened {
            plaintext,
            sender_kid: None,
        }));
    }
    let key = sender_kid.as_deref().map(sender_key).transpose()?;
    let sender = match (&sender_kid, &key) {
        (Some(kid), Some(key)) => Some(SenderKey::new(kid, key)),
        _ => None,
    };
    let opened =
        decrypt_bound(packed, kid, secret, sender).map_err(|_| DidcommError::Undecryptable)?;
    if opened.sender_kid != sender_kid {
        return Err(DidcommError::Undecryptable);
    }
    Ok(Some(Opened {
        plaintext: opened.plaintext,
        sender_kid,
    }))
}

/// The protected header, and how the content is encrypted, where it is not with A256CBC-HS512.
type OtherContent = (Map<String, Value>, content::Encryption);

/// Checks the protected header and returns the sender's key id for authcrypt.
fn check_headers(
    envelope: &Envelope,
) -> Result<(Option<String>, Option<OtherContent>), DidcommError> {
    let part = "protected header";
    // RFC 7515 section 4.1.11: what is critical and not understood must not be passed over; `zip` would
    // change the content.
    let header = Header::open(part, &envelope.protected, ["crit", "zip"], ENCRYPTED)?;
    let enc = header.text("enc")?.unwrap_or_default();
    let other = content::Encryption::named(enc);
    if other.is_none() && enc != "A256CBC-HS512" {
        return Err(DidcommError::unsupported("enc", enc));
    }
    let curve = header
        .members
        .get("epk")
        .and_then(|epk| epk.get("crv"))
        .and_then(Value::as_str);
    if curve != Some("X25519") {
        return Err(DidcommError::unsupported("crv", curve.unwrap_or_default()));
    }
    let mut kids: Vec<&str> = envelope
        .recipients
        .iter()
        .map(|recipient| recipient.header.kid.as_str())
        .collect();
    if kids.is_empty() || kids.len() > MAX_RECIPIENTS {
        return Err(DidcommError::malformed(
            "recipients",
            "there must be 1 to 32",
        ));
    }
    kids.sort_unstable();
    let apv = URL_SAFE_NO_PAD.encode(Sha256::digest(kids.join(".")));
    if header.text("apv")? != Some(&apv) {
        return Err(DidcommError::malformed(
            part,
            "`apv` is not the digest of the recipients",
        ));
    }
    match header.text("alg")?.unwrap_or_default() {
        ALG_ANONCRYPT => {
            let other = other.map(|encryption| (header.members.clone(), encryption));
            Ok((None, other))
        }
        // ECDH-1PU wants an encryption that commits to its key, which these do not.
        ALG_AUTHCRYPT if other.is_some() => Err(DidcommError::unsupported("enc", enc)),
        ALG_AUTHCRYPT => {
            let skid = header
                .text("skid")?
                .ok_or_else(|| DidcommError::malformed(part, "authcrypt without `skid`"))?;
            if header.text("apu")? != Some(&URL_SAFE_NO_PAD.encode(skid)) {
                return Err(DidcommError::malformed(
                    part,
                    "`apu` does not encode `skid`",
                ));
            }
            Ok((Some(skid.to_owned()), None))
        }
        other => Err(DidcommError::unsupported("alg", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A to C of the DIDComm v2 specification: keys and messages with X25519.
    const VECTORS: &str = include_str!("../tests/data/didcomm-v2-appendix.json");

    fn bytes(value: &Value) -> [u8; 32] {
        URL_SAFE_NO_PAD
            .decode(value.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn open_vector(name: &str, kid: &str) -> Result<Option<Opened>, DidcommError> {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let secret = PrivateKeyAgreement::X25519(bytes(&vectors["secrets"][kid]));
        let alice = bytes(&vectors["public"]["did:example:alice#key-x25519-1"]);
        open(&vectors[name].to_string(), kid, &secret, |skid| {
            assert_eq!(skid, "did:example:alice#key-x25519-1");
            Ok(PublicKeyAgreement::X25519(alice))
        })
    }

    #[test]
    fn the_specification_authcrypt_example_opens_with_each_recipient_key() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for key in 1..=3 {
            let opened = open_vector(
                "authcrypt_x25519",
                &format!("did:example:bob#key-x25519-{key}"),
            )
            .unwrap()
            .unwrap();
            assert_eq!(
                opened.sender_kid.as_deref(),
                Some("did:example:alice#key-x25519-1")
            );
            let plaintext: Value = serde_json::from_slice(&opened.plaintext).unwrap();
            assert_eq!(plaintext, vectors["plaintext"]);
        }
    }

    #[test]
    fn the_specification_anoncrypt_example_opens_with_each_recipient_key() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for key in 1..=3 {
            let kid = format!("did:example:bob#key-x25519-{key}");
            let opened = open_vector("anoncrypt_x25519_xc20p", &kid)
                .unwrap()
                .unwrap();
            assert_eq!(opened.sender_kid, None);
            let plaintext: Value = serde_json::from_slice(&opened.plaintext).unwrap();
            assert_eq!(plaintext, vectors["plaintext"]);
        }
    }

    #[test]
    fn only_the_did_keys_own_agreement_key_is_a_sender() {
        let identity = SigningIdentity::from_seed(&[7; 32]);
        let other = SigningIdentity::from_seed(&[8; 32]);
        let kid = identity.did().agreement_key_id().unwrap();
        assert_eq!(&sender_of(&kid).unwrap().0, identity.did());
        let foreign = other.did().agreement_key_id().unwrap();
        let foreign = foreign.split('#').nth(1).unwrap();
        for bad in [
            identity.did().to_string(),
            identity.did().signing_key_id(),
            format!("{}#{foreign}", identity.did()),
            format!("{kid}#x"),
            "did:example:alice#key-1".to_owned(),
            String::new(),
        ] {
            assert!(sender_of(&bad).is_err(), "{bad}");
        }
    }
}
