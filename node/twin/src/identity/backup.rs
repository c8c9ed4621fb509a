//! A backup of every key, in one file under a passphrase of its own.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::{
    KeyError, KeyStore, NODE, twin_key,
    vault::{Locked, Passphrase, VaultError},
};

/// What a backup is sealed as.
const NAME: &str = "pagi-key-backup/1";
/// Largest backup that is read, bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is in a backup. It has no `Debug`, and its keys are wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    node: Secret,
    /// The twins.
    pub twins: Vec<BackupTwin>,
}

/// A twin in a backup.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupTwin {
    /// The twin's id.
    pub twin_id: String,
    /// Its DID.
    pub did: String,
    /// Its state, so that it can be made again.
    pub state: Value,
    /// When it was made, RFC 3339.
    pub created_at: String,
    #[serde(default)]
    key: Secret,
}

impl BackupTwin {
    /// A twin to be backed up.
    #[must_use]
    pub fn new(twin_id: String, did: String, state: Value, created_at: String) -> Self {
        Self {
            twin_id,
            did,
            state,
            created_at,
            key: Secret::default(),
        }
    }
}

/// A private key in base64url.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Secret(String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    fn of(seed: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(seed))
    }

    fn seed(&self) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(&self.0)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Malformed("a key is not base64url"))?;
        let seed: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Malformed("a key is not 32 bytes long"))?;
        Ok(Zeroizing::new(*seed))
    }
}

impl KeyStore {
    /// The node's key and those of `twins`, sealed with a passphrase, as text for a file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn export(
        &self,
        mut twins: Vec<BackupTwin>,
        passphrase: &Passphrase,
    ) -> Result<String, KeyError> {
        for twin in &mut twins {
            twin.key = Secret::of(&*self.load(&twin_key(&twin.twin_id)?)?);
        }
        let backup = Backup {
            node: Secret::of(&*self.node_seed()?),
            twins,
        };
        let wrote = |_| KeyError::Backup(VaultError::Malformed("it cannot be written"));
        let plain = Zeroizing::new(serde_json::to_vec(&backup).map_err(wrote)?);
        let locked = Locked::lock(passphrase, NAME, &plain).map_err(KeyError::Backup)?;
        serde_json::to_string(&locked).map_err(wrote)
    }

    /// Puts the keys of a backup in their places, and gives what else is in it.
    ///
    /// # Errors
    /// [`KeyError::Backup`] where it does not open; [`KeyError::Occupied`] where another key is in the
    /// place of one of them, unless `force` says to replace it. Nothing is replaced then.
    pub fn import(
        &self,
        text: &str,
        passphrase: &Passphrase,
        force: bool,
    ) -> Result<Backup, KeyError> {
        let malformed = |why| KeyError::Backup(VaultError::Malformed(why));
        if text.len() > MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        let locked: Locked =
            serde_json::from_str(text).map_err(|_| malformed("it is not a key backup"))?;
        let plain = locked.unlock(passphrase, NAME).map_err(KeyError::Backup)?;
        let backup: Backup = serde_json::from_slice(&plain)
            .map_err(|_| malformed("what is in it is not a key backup"))?;
        let mut seeds = vec![(
            NODE.to_owned(),
            backup.node.seed().map_err(KeyError::Backup)?,
        )];
        for twin in &backup.twins {
            let seed = twin.key.seed().map_err(KeyError::Backup)?;
            seeds.push((twin_key(&twin.twin_id)?, seed));
        }
        if !force {
            for (name, seed) in &seeds {
                if self.path(name).exists() && *self.load(name)? != **seed {
                    return Err(KeyError::Occupied(name.clone()));
                }
            }
        }
        for (name, seed) in &seeds {
            self.restore(name, seed, force)?;
        }
        Ok(backup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_restores_every_key_elsewhere_and_replaces_none_unasked() {
        let passphrase = Passphrase::new(Zeroizing::new("correct horse".to_owned()));
        let wrong = Passphrase::new(Zeroizing::new("another horse".to_owned()));
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = KeyStore::open(here.path()).unwrap();
        let (node, did) = (
            keys.node_seed().unwrap(),
            keys.twin("a").unwrap().did().clone(),
        );
        let twin = BackupTwin::new("a".into(), did.to_string(), Value::Null, "now".into());
        let text = keys.export(vec![twin], &passphrase).unwrap();
        assert!(!text.contains(&URL_SAFE_NO_PAD.encode(node.as_ref())));

        let other = KeyStore::open(there.path()).unwrap();
        assert!(matches!(
            other.import(&text, &wrong, false),
            Err(KeyError::Backup(VaultError::Wrong))
        ));
        let own = other.node_seed().unwrap();
        assert!(matches!(
            other.import(&text, &passphrase, false),
            Err(KeyError::Occupied(_))
        ));
        assert_eq!(*other.node_seed().unwrap(), *own);
        assert!(!there.path().join("twins/a.key").exists());
        let backup = other.import(&text, &passphrase, true).unwrap();
        assert_eq!(backup.twins[0].did, did.to_string());
        assert_eq!(*other.node_seed().unwrap(), *node);
        assert_eq!(*other.twin("a").unwrap().did(), did);
        other.import(&text, &passphrase, false).unwrap();
        assert!(other.import("{}", &passphrase, false).is_err());
    }
}
