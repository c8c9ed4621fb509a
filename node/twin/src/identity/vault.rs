//! Keys under a passphrase.
//!
//! A vault holds one random key, sealed with a key that Argon2id (RFC 9106) makes of the passphrase.
//! Every private key of the node is sealed with the vault's key by XChaCha20-Poly1305, bound to its
//! name, so that two files cannot change places. A change of the passphrase writes the vault alone.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of the largest file that is read as a vault or as a sealed key.
pub const MAX_SEALED_BYTES: u64 = 8 * 1024;
/// Argon2id's memory in KiB, passes and lanes for a new vault (the second choice of RFC 9106).
const COST: Cost = Cost {
    memory_kib: 64 * 1024,
    passes: 3,
    lanes: 1,
};
/// The costliest vault that is opened, so that a made-up file cannot take the machine down.
const MOST: Cost = Cost {
    memory_kib: 1024 * 1024,
    passes: 16,
    lanes: 16,
};
/// Shortest passphrase, characters.
pub const MIN_PASSPHRASE: usize = 8;

const VAULT: &str = "pagi-vault/1";
const SEALED: &str = "pagi-sealed-key/1";

/// Why a vault or a sealed key does not open, or is not made.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The passphrase is not the one, or the file was changed.
    #[error("the passphrase is wrong, or the file was changed")]
    Wrong,
    /// It is no such file.
    #[error("it is not a file of this kind: {0}")]
    Malformed(&'static str),
    /// The passphrase is too short.
    #[error("a passphrase has at least {MIN_PASSPHRASE} characters")]
    TooShort,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Random(String),
}

/// A passphrase. It is wiped when it is dropped, and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase, without the line end it may have come with.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        let end = text.trim_end_matches(['\r', '\n']).len();
        Self(Zeroizing::new(text[..end].to_owned()))
    }

    /// Whether it is the same as another.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    /// Whether it may protect something new.
    ///
    /// # Errors
    /// [`VaultError::TooShort`].
    pub fn check(&self) -> Result<(), VaultError> {
        if self.0.chars().count() < MIN_PASSPHRASE {
            return Err(VaultError::TooShort);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What a passphrase protects, as it is in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    format: String,
    argon2id: Cost,
    salt: String,
    sealed: Sealed,
}

/// Bytes sealed with a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    format: String,
    nonce: String,
    ciphertext: String,
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| VaultError::Random(error.to_string()))?;
    Ok(bytes)
}

fn stretch(
    passphrase: &Passphrase,
    salt: &[u8],
    cost: Cost,
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|_| VaultError::Malformed("the cost cannot be"))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, key.as_mut())
        .map_err(|_| VaultError::Malformed("the salt cannot be"))?;
    Ok(key)
}

impl Sealed {
    fn seal(key: &[u8; 32], name: &str, secret: &[u8]) -> Result<Self, VaultError> {
        let nonce = random::<24>()?;
        let payload = Payload {
            msg: secret,
            aad: name.as_bytes(),
        };
        let ciphertext = XChaCha20Poly1305::new(key.into())
            .encrypt(XNonce::from_slice(nonce.as_ref()), payload)
            .map_err(|_| VaultError::Malformed("it is too long"))?;
        Ok(Self {
            format: SEALED.to_owned(),
            nonce: URL_SAFE_NO_PAD.encode(nonce.as_ref()),
            ciphertext: URL_SAFE_NO_PAD.encode(ciphertext),
        })
    }

    fn open(&self, key: &[u8; 32], name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if self.format != SEALED {
            return Err(VaultError::Malformed("its format is not known"));
        }
        let nonce: [u8; 24] = decode(&self.nonce)?
            .try_into()
            .map_err(|_| VaultError::Malformed("the nonce is not 24 bytes long"))?;
        let ciphertext = decode(&self.ciphertext)?;
        let payload = Payload {
            msg: &ciphertext,
            aad: name.as_bytes(),
        };
        XChaCha20Poly1305::new(key.into())
            .decrypt(XNonce::from_slice(&nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Wrong)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, VaultError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VaultError::Malformed("it is not base64url"))
}

impl Locked {
    /// Locks `secret` under a passphrase; `name` says what it is.
    pub(super) fn lock(
        passphrase: &Passphrase,
        name: &str,
        secret: &[u8],
    ) -> Result<Self, VaultError> {
        passphrase.check()?;
        let salt = random::<16>()?;
        let key = stretch(passphrase, salt.as_ref(), COST)?;
        Ok(Self {
            format: VAULT.to_owned(),
            argon2id: COST,
            salt: URL_SAFE_NO_PAD.encode(salt.as_ref()),
            sealed: Sealed::seal(&key, name, secret)?,
        })
    }

    /// What is locked.
    pub(super) fn unlock(
        &self,
        passphrase: &Passphrase,
        name: &str,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if self.format != VAULT {
            return Err(VaultError::Malformed("its format is not known"));
        }
        let cost = self.argon2id;
        if cost.memory_kib > MOST.memory_kib || cost.passes > MOST.passes || cost.lanes > MOST.lanes
        {
            return Err(VaultError::Malformed("it would cost too much to open"));
        }
        let key = stretch(passphrase, &decode(&self.salt)?, cost)?;
        self.sealed.open(&key, name)
    }
}

/// The key that seals the node's keys.
pub(super) struct Vault {
    key: Zeroizing<[u8; 32]>,
}

/// What a vault's own key is sealed as.
const OWN_NAME: &str = "vault";

impl Vault {
    /// A new vault.
    pub(super) fn make() -> Result<Self, VaultError> {
        Ok(Self { key: random()? })
    }

    /// The vault under a passphrase, as a file has it.
    pub(super) fn locked(&self, passphrase: &Passphrase) -> Result<Vec<u8>, VaultError> {
        let locked = Locked::lock(passphrase, OWN_NAME, self.key.as_ref())?;
        serde_json::to_vec(&locked).map_err(|_| VaultError::Malformed("it cannot be written"))
    }

    /// Opens a vault's file.
    pub(super) fn unlock(file: &[u8], passphrase: &Passphrase) -> Result<Self, VaultError> {
        let locked: Locked =
            serde_json::from_slice(file).map_err(|_| VaultError::Malformed("it is not a vault"))?;
        let key = locked.unlock(passphrase, OWN_NAME)?;
        let key: &[u8; 32] = key
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Malformed("its key is not 32 bytes long"))?;
        Ok(Self {
            key: Zeroizing::new(*key),
        })
    }

    /// A key's file.
    pub(super) fn seal(&self, name: &str, seed: &[u8; 32]) -> Result<Vec<u8>, VaultError> {
        let sealed = Sealed::seal(&self.key, name, seed)?;
        serde_json::to_vec(&sealed).map_err(|_| VaultError::Malformed("it cannot be written"))
    }

    /// The key in a file.
    pub(super) fn open(&self, name: &str, file: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let sealed: Sealed = serde_json::from_slice(file)
            .map_err(|_| VaultError::Malformed("it is not a sealed key"))?;
        let seed = sealed.open(&self.key, name)?;
        let seed: &[u8; 32] = seed
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Malformed("the key is not 32 bytes long"))?;
        Ok(Zeroizing::new(*seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_vault_opens_with_its_passphrase_alone_and_keys_stay_in_their_places() {
        let vault = Vault::make().unwrap();
        let file = vault.locked(&passphrase("correct horse\n")).unwrap();
        let opened = Vault::unlock(&file, &passphrase("correct horse")).unwrap();
        assert!(matches!(
            Vault::unlock(&file, &passphrase("correct cow.")),
            Err(VaultError::Wrong)
        ));
        let sealed = vault.seal("twins/a", &[7; 32]).unwrap();
        assert_eq!(*opened.open("twins/a", &sealed).unwrap(), [7; 32]);
        assert!(matches!(
            opened.open("twins/b", &sealed),
            Err(VaultError::Wrong)
        ));
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(opened.open("twins/a", &bent).is_err(), "byte {at}");
        }
        assert!(matches!(
            vault.locked(&passphrase("short")),
            Err(VaultError::TooShort)
        ));
        assert_eq!(
            format!("{:?}", passphrase("correct horse")),
            "Passphrase(…)"
        );
        // Nothing of the key is in either file.
        let hidden = URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(!String::from_utf8(sealed).unwrap().contains(&hidden));
    }

    #[test]
    fn a_vault_that_would_cost_too_much_is_not_tried() {
        let file = Vault::make()
            .unwrap()
            .locked(&passphrase("correct horse"))
            .unwrap();
        let mut costly: serde_json::Value = serde_json::from_slice(&file).unwrap();
        costly["argon2id"]["memory_kib"] = serde_json::json!(u32::MAX);
        let costly = serde_json::to_vec(&costly).unwrap();
        assert!(matches!(
            Vault::unlock(&costly, &passphrase("correct horse")),
            Err(VaultError::Malformed(_))
        ));
        for bad in [&b"{}"[..], b"", b"[1]", &[0; 32]] {
            assert!(Vault::unlock(bad, &passphrase("correct horse")).is_err());
        }
    }
}
