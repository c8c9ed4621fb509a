//! Private keys on disk: one for the node, one per twin, each 32 bytes in a file of mode 0600.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use pagi_messages::SigningIdentity;
use zeroize::Zeroizing;

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
    #[error("{path} is not a key file: it must hold exactly 32 bytes; restore it from a backup")]
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
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Random(String),
}

/// The folder of the node's keys.
#[derive(Clone, Debug)]
pub struct KeyStore {
    dir: PathBuf,
}

impl KeyStore {
    /// Opens `dir`, making it (mode 0700) where it is missing.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
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
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The node's seed, made on first use.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn node_seed(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        load_or_create(&self.dir.join("node.key"))
    }

    /// A twin's identity, made where it has none yet.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn twin(&self, twin_id: &str) -> Result<SigningIdentity, KeyError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if twin_id.is_empty() || twin_id.len() > 64 || !twin_id.chars().all(plain) {
            return Err(KeyError::Name(twin_id.chars().take(64).collect()));
        }
        let seed = load_or_create(&self.dir.join("twins").join(format!("{twin_id}.key")))?;
        Ok(SigningIdentity::from_seed(&seed))
    }
}

fn load_or_create(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    match load(path) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            create(path)
        }
        other => other,
    }
}

fn load(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let at = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(at)?;
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
    let mut seed = Zeroizing::new([0; 32]);
    let malformed = || KeyError::Malformed {
        path: path.to_owned(),
    };
    file.read_exact(seed.as_mut()).map_err(|_| malformed())?;
    match file.read(&mut [0]) {
        Ok(0) => Ok(seed),
        _ => Err(malformed()),
    }
}

/// Writes a new key to a temporary file, syncs it and links it into place, so that a crash leaves
/// either no key or a whole one, and two processes cannot end with different keys.
fn create(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let at = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| KeyError::Random(error.to_string()))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(at)?;
    file.write_all(seed.as_ref())
        .and_then(|()| file.sync_all())
        .map_err(at)?;
    let linked = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            if let Some(dir) = path.parent() {
                fs::File::open(dir)
                    .and_then(|dir| dir.sync_all())
                    .map_err(at)?;
            }
            Ok(seed)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(at(error)),
    }
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
