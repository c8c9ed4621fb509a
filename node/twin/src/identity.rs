//! Private keys on disk: one for the node, one per twin, in a file of mode 0600 each: sealed with the
//! key of a [`vault`] that a passphrase opens, or, where there is no vault, as their 32 bytes.
//!
//! Where there is a vault, what is found unsealed is sealed at the next start, so an interrupted
//! [`KeyStore::encrypt`] is completed; an interrupted [`KeyStore::decrypt`] is undone.

mod backup;
mod change;
pub mod vault;

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use pagi_messages::SigningIdentity;
use zeroize::Zeroizing;

pub use self::backup::{Backup, BackupTwin};
use self::vault::{MAX_SEALED_BYTES, Passphrase, Vault, VaultError};

/// The file of the vault.
const VAULT_FILE: &str = "vault.json";
/// The node's key.
const NODE: &str = "node";

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system said no.
    #[error("cannot use the key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file does not hold a key.
    #[error("{path} is not a key file: restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the file.
    #[error("{path} can be read by others (mode {mode:o}); run `chmod 600` on it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The name cannot be a file's name.
    #[error("`{0}` cannot name a key")]
    Name(String),
    /// The keys are under a passphrase, and none was given.
    #[error("the keys are encrypted and no passphrase was given")]
    Locked,
    /// A vault or a sealed key does not open.
    #[error("{path}: {source}")]
    Vault {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VaultError,
    },
    /// A backup does not open, or cannot be made.
    #[error("the backup: {0}")]
    Backup(VaultError),
    /// Another key is in that place.
    #[error("there is another key for `{0}` already")]
    Occupied(String),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Random(String),
}

/// The folder of the node's keys.
#[derive(Clone)]
pub struct KeyStore {
    dir: PathBuf,
    vault: Option<Arc<Vault>>,
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore")
            .field("dir", &self.dir)
            .field("encrypted", &self.is_encrypted())
            .finish()
    }
}

impl KeyStore {
    /// Opens `dir`, making it (mode 0700) where it is missing.
    ///
    /// # Errors
    /// [`KeyError::Io`], and [`KeyError::Locked`] where the keys are encrypted.
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
        Self::open_with(dir, None)
    }

    /// Opens `dir`; `passphrase` is needed where the keys in it are encrypted, and not looked at where
    /// they are not.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Locked`], [`KeyError::Vault`].
    pub fn open_with(dir: &Path, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let at = |source| KeyError::Io {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir.join("twins")).map_err(at)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at)?;
        }
        let path = dir.join(VAULT_FILE);
        let vault = if Self::needs_passphrase(dir) {
            let passphrase = passphrase.ok_or(KeyError::Locked)?;
            let file = read(&path)?;
            let vault = Vault::unlock(&file, passphrase)
                .map_err(|source| KeyError::Vault { path, source })?;
            Some(Arc::new(vault))
        } else {
            None
        };
        let keys = Self {
            dir: dir.to_owned(),
            vault,
        };
        if keys.is_encrypted() {
            keys.seal_all()?;
        }
        Ok(keys)
    }

    /// Whether the keys in `dir` are encrypted.
    #[must_use]
    pub fn needs_passphrase(dir: &Path) -> bool {
        dir.join(VAULT_FILE).exists()
    }

    /// Whether the keys are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.vault.is_some()
    }

    /// The node's seed, made on first use.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn node_seed(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.load_or_create(NODE)
    }

    /// A twin's identity, made where it has none yet.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn twin(&self, twin_id: &str) -> Result<SigningIdentity, KeyError> {
        let seed = self.load_or_create(&twin_key(twin_id)?)?;
        Ok(SigningIdentity::from_seed(&seed))
    }

    /// Where the key called `name` is.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    fn load_or_create(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        match self.load(name) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create(name)
            }
            other => other,
        }
    }

    fn load(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let path = self.path(name);
        let file = read(&path)?;
        if let Ok(seed) = <&[u8; 32]>::try_from(file.as_slice()) {
            return Ok(Zeroizing::new(*seed));
        }
        if !file.starts_with(b"{") {
            return Err(KeyError::Malformed { path });
        }
        let vault = self.vault.as_ref().ok_or(KeyError::Locked)?;
        vault
            .open(name, &file)
            .map_err(|source| KeyError::Vault { path, source })
    }

    /// A key as its file has it.
    fn file_of(&self, name: &str, seed: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(Zeroizing::new(match &self.vault {
            None => seed.to_vec(),
            Some(vault) => vault.seal(name, seed).map_err(|source| KeyError::Vault {
                path: self.path(name),
                source,
            })?,
        }))
    }

    /// Makes a new key and links its file into place, so that a crash leaves either no key or a whole
    /// one, and two processes cannot end with different keys.
    fn create(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| KeyError::Random(error.to_string()))?;
        let path = self.path(name);
        let temporary = write_temporary(&path, &self.file_of(name, &seed)?)?;
        let linked = fs::hard_link(&temporary, &path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => {
                sync_folder(&path)?;
                Ok(seed)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.load(name),
            Err(source) => Err(KeyError::Io { path, source }),
        }
    }

    /// Writes a key in the place of what is there.
    fn replace(&self, name: &str, seed: &[u8; 32]) -> Result<(), KeyError> {
        put(&self.path(name), &self.file_of(name, seed)?)
    }
}

/// The name of a twin's key.
fn twin_key(twin_id: &str) -> Result<String, KeyError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if twin_id.is_empty() || twin_id.len() > 64 || !twin_id.chars().all(plain) {
        return Err(KeyError::Name(twin_id.chars().take(64).collect()));
    }
    Ok(format!("twins/{twin_id}"))
}

/// The bytes of a small file that only its owner may read.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let at = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(at)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(at)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
    }
    // With room for all of it, so that no part of a key is left behind where the buffer was.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SEALED_BYTES as usize + 1));
    file.take(MAX_SEALED_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(at)?;
    if bytes.len() as u64 > MAX_SEALED_BYTES {
        return Err(KeyError::Malformed {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// Writes `bytes` beside `path`, to be renamed or linked there, and syncs them.
fn write_temporary(path: &Path, bytes: &[u8]) -> Result<PathBuf, KeyError> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let at = |source| KeyError::Io {
        path: temporary.clone(),
        source,
    };
    let _ = fs::remove_file(&temporary);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(at)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(at)?;
    Ok(temporary)
}

/// Puts `bytes` at `path`, whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let temporary = write_temporary(path, bytes)?;
    fs::rename(&temporary, path).map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), KeyError> {
    let Some(dir) = path.parent() else {
        return Ok(());
    };
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| KeyError::Io {
            path: dir.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(&dir.path().join("keys")).unwrap();
        let did = keys.twin("a-1").unwrap().did().clone();
        assert_eq!(keys.twin("a-1").unwrap().did(), &did);
        assert_ne!(keys.twin("a-2").unwrap().did(), &did);
        assert_eq!(*keys.node_seed().unwrap(), *keys.node_seed().unwrap());
        let left: Vec<_> = fs::read_dir(dir.path().join("keys/twins"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 2, "no temporary file stays");
    }

    #[test]
    fn exposed_short_and_ill_named_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        keys.twin("a").unwrap();
        let path = dir.path().join("twins/a.key");
        assert!(matches!(keys.twin("../x"), Err(KeyError::Name(_))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(keys.twin("a"), Err(KeyError::Exposed { .. })));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, b"short").unwrap();
        assert!(matches!(keys.twin("a"), Err(KeyError::Malformed { .. })));
        assert_eq!(
            fs::read(&path).unwrap(),
            b"short",
            "a bad key file is never overwritten"
        );
    }
}
