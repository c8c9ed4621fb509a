//! `did:key` identifiers for Ed25519 keys, and their DID documents.
//!
//! Sources: W3C DID Core 1.0, the did:key method specification, and Multikey as used by
//! `Ed25519VerificationKey2020`/`X25519KeyAgreementKey2020`.

use std::{fmt, str::FromStr, sync::Arc};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use multibase::Base;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Multicodec prefix of an Ed25519 public key (0xed, unsigned varint).
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
/// Multicodec prefix of an X25519 public key (0xec, unsigned varint).
const X25519_PUB: [u8; 2] = [0xec, 0x01];

/// Identity multihash of 36 bytes, then protobuf: field 1 (type) = 1 (Ed25519), field 2 of 32 bytes.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Why a DID, key or signature was not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DidError {
    /// The text is not a `did:key` of an Ed25519 key.
    #[error("`{did}` is not an Ed25519 did:key: {reason}")]
    Malformed {
        /// The offending text, cut to 128 characters.
        did: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The signature is not 64 bytes of base58btc multibase (`z…`).
    #[error("the signature is not 64 bytes in base58btc multibase (z…)")]
    MalformedSignature,
    /// The signature does not belong to this key and message.
    #[error("the signature does not match the key of {0}")]
    WrongSignature(String),
}

/// The DID of a node or a twin: `did:key:z6Mk…`, always of a valid Ed25519 public key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
// Shared, because live views and certificates hold many copies of few.
pub struct Did(Arc<str>);

impl Did {
    /// The DID of an Ed25519 public key.
    #[must_use]
    pub fn from_public_key(key: &VerifyingKey) -> Self {
        Self(format!("did:key:{}", multikey(ED25519_PUB, key.as_bytes())).into())
    }

    /// The DID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The multibase part after `did:key:`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        self.0.trim_start_matches("did:key:")
    }

    /// The public key inside this DID.
    ///
    /// # Errors
    /// [`DidError::Malformed`] where the text does not hold a valid key.
    pub fn public_key(&self) -> Result<VerifyingKey, DidError> {
        decode(&self.0)
    }

    /// The id of the verification method that signs: `did:key:z6Mk…#z6Mk…`.
    #[must_use]
    pub fn signing_key_id(&self) -> String {
        format!("{}#{}", self.0, self.fingerprint())
    }

    /// The X25519 public key that the did:key method derives for key agreement (32 bytes).
    ///
    /// # Errors
    /// [`DidError::Malformed`] where the text does not hold a valid key, or holds one of small order:
    /// every secret agreed with such a key is known to everyone.
    pub fn agreement_key(&self) -> Result<[u8; 32], DidError> {
        let key = self.public_key()?;
        if key.is_weak() {
            return Err(DidError::Malformed {
                did: self.0.to_string(),
                reason: "the key is of small order",
            });
        }
        Ok(key.to_montgomery().to_bytes())
    }

    /// The id of the key agreement method: `did:key:z6Mk…#z6LS…`.
    ///
    /// # Errors
    /// As [`Did::agreement_key`].
    pub fn agreement_key_id(&self) -> Result<String, DidError> {
        Ok(format!(
            "{}#{}",
            self.0,
            multikey(X25519_PUB, &self.agreement_key()?)
        ))
    }

    /// The libp2p peer id of the same key: base58btc of the identity multihash of the protobuf-encoded
    /// public key (libp2p "Peer Ids and Keys" specification).
    ///
    /// # Errors
    /// [`DidError::Malformed`] where the text does not hold a valid key.
    pub fn peer_id(&self) -> Result<String, DidError> {
        let key = self.public_key()?;
        let bytes = [&PEER_ID_PREFIX[..], key.as_bytes()].concat();
        let text = multibase::encode(Base::Base58Btc, bytes);
        Ok(text.trim_start_matches('z').to_owned())
    }

    /// The DID of an Ed25519 libp2p peer id (`12D3Koo…`).
    ///
    /// # Errors
    /// [`DidError::Malformed`] where it is not the peer id of an Ed25519 key.
    pub fn from_peer_id(peer_id: &str) -> Result<Self, DidError> {
        let malformed = |reason| DidError::Malformed {
            did: peer_id.chars().take(128).collect(),
            reason,
        };
        if peer_id.len() > 64 {
            return Err(malformed("it is too long for a peer id"));
        }
        let (_, bytes) = multibase::decode(format!("z{peer_id}"))
            .map_err(|_| malformed("it is not a base58btc peer id"))?;
        let key: [u8; 32] = bytes
            .strip_prefix(&PEER_ID_PREFIX)
            .and_then(|key| key.try_into().ok())
            .ok_or(malformed("it is not the peer id of an Ed25519 key"))?;
        let key = VerifyingKey::from_bytes(&key)
            .map_err(|_| malformed("the key is not a point of the curve"))?;
        Ok(Self::from_public_key(&key))
    }

    /// Checks `signature` (multibase, `z…`) over `message` against this DID's key.
    ///
    /// # Errors
    /// [`DidError::MalformedSignature`] or [`DidError::WrongSignature`].
    pub fn verify(&self, message: &[u8], signature: &str) -> Result<(), DidError> {
        let key = self.public_key()?;
        let (base, bytes) =
            multibase::decode(signature).map_err(|_| DidError::MalformedSignature)?;
        if base != Base::Base58Btc {
            return Err(DidError::MalformedSignature);
        }
        let signature = Signature::from_slice(&bytes).map_err(|_| DidError::MalformedSignature)?;
        key.verify_strict(message, &signature)
            .map_err(|_| DidError::WrongSignature(self.0.to_string()))
    }

    /// The DID document (W3C DID Core 1.0): one Ed25519 verification method for authentication and
    /// assertion, and the X25519 key derived from it for key agreement.
    ///
    /// # Errors
    /// [`DidError::Malformed`] where the text does not hold a valid key.
    pub fn document(&self) -> Result<Value, DidError> {
        let key = self.public_key()?;
        let agreement = multikey(X25519_PUB, key.to_montgomery().as_bytes());
        let signing_id = self.signing_key_id();
        let agreement_id = format!("{}#{agreement}", self.0);
        Ok(json!({
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/ed25519-2020/v1",
                "https://w3id.org/security/suites/x25519-2020/v1"
            ],
            "id": self.as_str(),
            "verificationMethod": [{
                "id": signing_id,
                "type": "Ed25519VerificationKey2020",
                "controller": self.as_str(),
                "publicKeyMultibase": self.fingerprint(),
            }],
            "authentication": [signing_id],
            "assertionMethod": [signing_id],
            "capabilityInvocation": [signing_id],
            "capabilityDelegation": [signing_id],
            "keyAgreement": [{
                "id": agreement_id,
                "type": "X25519KeyAgreementKey2020",
                "controller": self.as_str(),
                "publicKeyMultibase": agreement,
            }],
        }))
    }
}

fn multikey(prefix: [u8; 2], key: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(34);
    bytes.extend_from_slice(&prefix);
    bytes.extend_from_slice(key);
    multibase::encode(Base::Base58Btc, bytes)
}

fn decode(did: &str) -> Result<VerifyingKey, DidError> {
    let malformed = |reason| DidError::Malformed {
        did: did.chars().take(128).collect(),
        reason,
    };
    let encoded = did
        .strip_prefix("did:key:")
        .ok_or(malformed("it must start with did:key:"))?;
    if encoded.len() > 64 {
        return Err(malformed("it is too long"));
    }
    let (base, bytes) =
        multibase::decode(encoded).map_err(|_| malformed("the key is not multibase"))?;
    if base != Base::Base58Btc {
        return Err(malformed("the key must be base58btc (z…)"));
    }
    let key = bytes
        .strip_prefix(&ED25519_PUB)
        .ok_or(malformed("the key is not of type Ed25519 (z6Mk…)"))?;
    let key: [u8; 32] = key
        .try_into()
        .map_err(|_| malformed("the key is not 32 bytes long"))?;
    VerifyingKey::from_bytes(&key).map_err(|_| malformed("the key is not a point of the curve"))
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        decode(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Did {
    type Error = DidError;

    fn try_from(text: String) -> Result<Self, DidError> {
        text.parse()
    }
}

impl From<Did> for String {
    fn from(did: Did) -> Self {
        did.0.to_string()
    }
}

/// A private Ed25519 key and its DID. The key is zeroised on drop and never printed.
#[derive(Clone)]
pub struct SigningIdentity {
    key: SigningKey,
    did: Did,
}

impl SigningIdentity {
    /// The identity of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let did = Did::from_public_key(&key.verifying_key());
        Self { key, did }
    }

    /// The public DID.
    #[must_use]
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// Signs `message`; the signature is base58btc multibase (`z…`).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        multibase::encode(Base::Base58Btc, self.key.sign(message).to_bytes())
    }

    /// The X25519 secret that belongs to [`Did::agreement_key`] (32 bytes, not yet clamped: RFC 7748
    /// section 5 has X25519 itself do that). Wiped when it goes out of scope.
    #[must_use]
    pub fn x25519_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_scalar_bytes())
    }
}

impl fmt::Debug for SigningIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningIdentity({})", self.did)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_published_did_key_pair_matches() {
        // RFC 8032 section 7.1, test 1: seed and public key.
        let seed: [u8; 32] = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let identity = SigningIdentity::from_seed(&seed);
        assert_eq!(
            identity.did().public_key().unwrap().as_bytes()[..4],
            [0xd7, 0x5a, 0x98, 0x01]
        );
        assert!(identity.did().as_str().starts_with("did:key:z6Mk"));
    }

    #[test]
    fn the_x25519_key_is_the_one_the_did_key_specification_derives() {
        // From the did:key specification's example of an Ed25519 key with derived X25519.
        let did: Did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
            .parse()
            .unwrap();
        let document = did.document().unwrap();
        let agreement = document["keyAgreement"][0]["publicKeyMultibase"]
            .as_str()
            .unwrap();
        assert!(agreement.starts_with("z6LS"), "{agreement}");
        assert_eq!(document["id"], did.as_str());
    }

    #[test]
    fn the_agreement_key_and_its_secret_belong_together() {
        for seed in 0..8 {
            let identity = SigningIdentity::from_seed(&[seed; 32]);
            let public =
                curve25519_dalek::MontgomeryPoint::mul_base_clamped(*identity.x25519_secret());
            assert_eq!(public.to_bytes(), identity.did().agreement_key().unwrap());
            let document = identity.did().document().unwrap();
            assert_eq!(
                document["keyAgreement"][0]["id"],
                identity.did().agreement_key_id().unwrap()
            );
            assert_eq!(
                document["authentication"][0],
                identity.did().signing_key_id()
            );
        }
    }

    #[test]
    fn a_key_of_small_order_agrees_on_nothing() {
        // The neutral element of the curve: a valid point, and everyone's secret with it is the same.
        let mut neutral = [0_u8; 32];
        neutral[0] = 1;
        let did = Did::from_public_key(&VerifyingKey::from_bytes(&neutral).unwrap());
        assert!(matches!(
            did.agreement_key(),
            Err(DidError::Malformed { .. })
        ));
    }

    #[test]
    fn foreign_and_broken_dids_are_refused() {
        for text in [
            "",
            "did:web:example.org",
            "did:key:",
            "did:key:z6Mk",
            "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
            "did:key:f6Mkha",
        ] {
            assert!(text.parse::<Did>().is_err(), "{text}");
        }
    }

    #[test]
    fn peer_ids_and_dids_are_two_names_of_one_key() {
        let did = SigningIdentity::from_seed(&[7; 32]).did().clone();
        let peer_id = did.peer_id().unwrap();
        assert!(peer_id.starts_with("12D3KooW"), "{peer_id}");
        assert_eq!(Did::from_peer_id(&peer_id).unwrap(), did);
        for text in [
            "",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "12D3Koo",
            "é",
        ] {
            assert!(Did::from_peer_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_key_material() {
        let identity = SigningIdentity::from_seed(&[7; 32]);
        assert_eq!(
            format!("{identity:?}"),
            format!("SigningIdentity({})", identity.did())
        );
    }

    proptest! {
        #[test]
        fn signatures_hold_for_their_message_and_key_only(
            seed: [u8; 32], other: [u8; 32], message: Vec<u8>, flip in 0usize..64,
        ) {
            prop_assume!(seed != other);
            let identity = SigningIdentity::from_seed(&seed);
            let signature = identity.sign(&message);
            prop_assert!(identity.did().verify(&message, &signature).is_ok());
            let stranger = SigningIdentity::from_seed(&other);
            prop_assert!(stranger.did().verify(&message, &signature).is_err());
            let mut longer = message.clone();
            longer.push(0);
            prop_assert!(identity.did().verify(&longer, &signature).is_err());
            let (_, mut bytes) = multibase::decode(&signature).unwrap();
            bytes[flip] ^= 1;
            let bent = multibase::encode(Base::Base58Btc, bytes);
            prop_assert!(identity.did().verify(&message, &bent).is_err());
        }

        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = text.parse::<Did>();
            let _ = format!("did:key:{text}").parse::<Did>();
        }
    }
}
