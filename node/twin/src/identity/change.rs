//! What is done to all keys at once, and the change of one twin's key.

use std::fs;

use pagi_messages::SigningIdentity;
use zeroize::Zeroizing;

use super::{KeyError, KeyStore, NODE, VAULT_FILE, put, read, sync_folder, twin_key};
use crate::identity::vault::{Passphrase, Vault};

/// A twin's next key, while it is not in force yet.
const NEXT: &str = "~next";
/// A twin's key before the one in force.
const PREVIOUS: &str = "~previous";

impl KeyStore {
    /// The names of every key there is: the node's, and the twins'.
    pub(super) fn names(&self) -> Result<Vec<String>, KeyError> {
        let twins = self.dir.join("twins");
        let at = |source| KeyError::Io {
            path: twins.clone(),
            source,
        };
        let mut names = Vec::new();
        if self.path(NODE).exists() {
            names.push(NODE.to_owned());
        }
        for entry in fs::read_dir(&twins).map_err(at)? {
            let file = entry.map_err(at)?.file_name();
            if let Some(twin) = file.to_str().and_then(|name| name.strip_suffix(".key")) {
                names.push(format!("twins/{twin}"));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Seals what is not sealed.
    pub(super) fn seal_all(&self) -> Result<(), KeyError> {
        for name in self.names()? {
            if read(&self.path(&name))?.len() == 32 {
                self.replace(&name, &*self.load(&name)?)?;
            }
        }
        Ok(())
    }

    /// Puts the keys under a passphrase; where they are under one already, it is changed.
    ///
    /// # Errors
    /// [`KeyError`]. What was done till then is completed when the keys are opened next.
    pub fn encrypt(&mut self, passphrase: &Passphrase) -> Result<(), KeyError> {
        let path = self.dir.join(VAULT_FILE);
        let failed = |source| KeyError::Vault {
            path: path.clone(),
            source,
        };
        let vault = match self.vault.clone() {
            Some(vault) => vault,
            None => std::sync::Arc::new(Vault::make().map_err(failed)?),
        };
        put(&path, &vault.locked(passphrase).map_err(failed)?)?;
        self.vault = Some(vault);
        self.seal_all()
    }

    /// Writes the keys as they are, in files that only their owner may read.
    ///
    /// # Errors
    /// [`KeyError`]. What was done till then is undone when the keys are opened next.
    pub fn decrypt(&mut self) -> Result<(), KeyError> {
        let names = self.names()?;
        let mut seeds = Vec::new();
        for name in &names {
            seeds.push(self.load(name)?);
        }
        let vault = self.vault.take();
        for (name, seed) in names.iter().zip(seeds) {
            if let Err(error) = self.replace(name, &seed) {
                self.vault = vault;
                return Err(error);
            }
        }
        let path = self.dir.join(VAULT_FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(KeyError::Io { path, source })
            }
            _ => sync_folder(&path),
        }
    }

    /// A twin's next key, made where there is none yet. It is not in force.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn next_twin(&self, twin_id: &str) -> Result<SigningIdentity, KeyError> {
        let name = format!("{}{NEXT}", twin_key(twin_id)?);
        Ok(SigningIdentity::from_seed(&*self.load_or_create(&name)?))
    }

    /// Whether a twin has a next key.
    pub(crate) fn has_next(&self, twin_id: &str) -> Result<bool, KeyError> {
        let name = format!("{}{NEXT}", twin_key(twin_id)?);
        Ok(self.path(&name).exists())
    }

    /// Puts a twin's next key in force; the one before is kept, to read what is still on its way.
    /// Nothing happens where there is no next key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn advance_twin(&self, twin_id: &str) -> Result<(), KeyError> {
        let name = twin_key(twin_id)?;
        let next = format!("{name}{NEXT}");
        if !self.path(&next).exists() {
            return Ok(());
        }
        // The keys are sealed by name, so they are written anew and not renamed. The next one goes
        // last: until then all of this can be done again.
        let (current, coming) = (self.load(&name)?, self.load(&next)?);
        if *current != *coming {
            self.replace(&format!("{name}{PREVIOUS}"), &current)?;
            self.replace(&name, &coming)?;
        }
        let path = self.path(&next);
        fs::remove_file(&path).map_err(|source| KeyError::Io {
            path: path.clone(),
            source,
        })?;
        sync_folder(&path)
    }

    /// Takes a next key away that never came into force.
    pub(crate) fn drop_next(&self, twin_id: &str) {
        if let Ok(name) = twin_key(twin_id) {
            let _ = fs::remove_file(self.path(&format!("{name}{NEXT}")));
        }
    }

    /// A twin's key before the one in force, if it had one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn previous_twin(&self, twin_id: &str) -> Result<Option<SigningIdentity>, KeyError> {
        let name = format!("{}{PREVIOUS}", twin_key(twin_id)?);
        if !self.path(&name).exists() {
            return Ok(None);
        }
        Ok(Some(SigningIdentity::from_seed(&*self.load(&name)?)))
    }

    /// Puts a key from a backup in its place.
    ///
    /// # Errors
    /// [`KeyError::Occupied`] where another key is there, unless `force` says to replace it.
    pub(super) fn restore(
        &self,
        name: &str,
        seed: &Zeroizing<[u8; 32]>,
        force: bool,
    ) -> Result<(), KeyError> {
        if self.path(name).exists() {
            if *self.load(name)? == **seed {
                return Ok(());
            }
            if !force {
                return Err(KeyError::Occupied(name.to_owned()));
            }
        }
        self.replace(name, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::vault;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn keys_go_under_a_passphrase_and_come_out_again_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = KeyStore::open(dir.path()).unwrap();
        let node = keys.node_seed().unwrap();
        let did = keys.twin("a").unwrap().did().clone();
        keys.encrypt(&passphrase("correct horse")).unwrap();
        assert!(matches!(KeyStore::open(dir.path()), Err(KeyError::Locked)));
        let wrong = KeyStore::open_with(dir.path(), Some(&passphrase("wrong horse")));
        assert!(matches!(
            wrong,
            Err(KeyError::Vault {
                source: vault::VaultError::Wrong,
                ..
            })
        ));
        for file in ["node.key", "twins/a.key", VAULT_FILE] {
            let bytes = fs::read(dir.path().join(file)).unwrap();
            assert!(
                !bytes.windows(32).any(|part| part == node.as_ref()),
                "{file}"
            );
            assert!(bytes.starts_with(b"{"), "{file}");
        }
        let mut again =
            KeyStore::open_with(dir.path(), Some(&passphrase("correct horse"))).unwrap();
        assert_eq!(*again.node_seed().unwrap(), *node);
        assert_eq!(*again.twin("a").unwrap().did(), did);
        // A twin made now is sealed too; two files that change places do not open.
        again.twin("b").unwrap();
        let (a, b) = (
            dir.path().join("twins/a.key"),
            dir.path().join("twins/b.key"),
        );
        fs::copy(&b, &a).unwrap();
        assert!(matches!(again.twin("a"), Err(KeyError::Vault { .. })));
        fs::remove_file(&a).unwrap();

        // Another passphrase, and an unsealed key that an interrupted run left.
        again.encrypt(&passphrase("another horse")).unwrap();
        fs::write(&a, [5; 32]).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&a, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut last = KeyStore::open_with(dir.path(), Some(&passphrase("another horse"))).unwrap();
        assert!(fs::read(&a).unwrap().starts_with(b"{"));
        last.decrypt().unwrap();
        let plain = KeyStore::open(dir.path()).unwrap();
        assert_eq!(*plain.node_seed().unwrap(), *node);
        assert_eq!(fs::read(&a).unwrap(), [5; 32]);
    }

    #[test]
    fn a_twins_key_is_changed_whole_and_the_one_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = KeyStore::open(dir.path()).unwrap();
        keys.encrypt(&passphrase("correct horse")).unwrap();
        let old = keys.twin("a").unwrap();
        assert!(keys.previous_twin("a").unwrap().is_none());
        let next = keys.next_twin("a").unwrap();
        assert_eq!(keys.next_twin("a").unwrap().did(), next.did());
        assert_eq!(keys.twin("a").unwrap().did(), old.did());
        keys.advance_twin("a").unwrap();
        keys.advance_twin("a").unwrap();
        assert_eq!(keys.twin("a").unwrap().did(), next.did());
        let previous = keys.previous_twin("a").unwrap().unwrap();
        assert_eq!(previous.did(), old.did());
    }
}
