//! The secret that opens the TCP side of the control API.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use subtle::ConstantTimeEq;

const RANDOM_BYTES: usize = 32;
const HEX_CHARS: usize = RANDOM_BYTES * 2;

/// 256 random bits in hex. It is never printed by `Debug` and compared in constant time.
#[derive(Clone)]
pub struct Token(Arc<str>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("cannot use the token file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not hold 64 hex digits.
    #[error("{} does not hold a control token: delete it to get a new one", path.display())]
    NotAToken {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read the file, so the token may have leaked.
    #[error(
        "the token file {} has mode {mode:o}, so others may have read it: delete it to get a new \
         token",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl Token {
    /// The token in `path`, made at the first call.
    ///
    /// A new file has mode 0600 from the moment it exists, and is never written through a link or
    /// over another file.
    ///
    /// # Errors
    /// When the file cannot be read or made, does not hold a token, or is open to others.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        match Self::create(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(path)
            }
            other => other,
        }
    }

    /// The token in `path`.
    ///
    /// # Errors
    /// When the file cannot be read, does not hold a token, or is open to others.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let io_error = |source| TokenError::Io {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(io_error)?;
        if !metadata.is_file() {
            return Err(TokenError::NotAToken {
                path: path.to_owned(),
            });
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(1024).read_to_end(&mut text))
            .map_err(io_error)?;
        std::str::from_utf8(&text)
            .ok()
            .and_then(Self::parse)
            .ok_or_else(|| TokenError::NotAToken {
                path: path.to_owned(),
            })
    }

    fn create(path: &Path) -> Result<Self, TokenError> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(TokenError::Randomness)?;
        let token = hex::encode(random);
        let io_error = |source| TokenError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io_error)?;
        let written = file
            .write_all(format!("{token}\n").as_bytes())
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            let _ = fs::remove_file(path);
            return Err(io_error(source));
        }
        Ok(Self(token.into()))
    }

    /// A token from its 64 hex digits, with or without white space around them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (text.len() == HEX_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| Self(text.into()))
    }

    /// The secret itself, for showing it to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_read_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = Token::load_or_create(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            Token::load_or_create(&path).unwrap().expose(),
            made.expose()
        );
        let other = Token::load_or_create(&dir.path().join("other")).unwrap();
        assert_ne!(other.expose(), made.expose());
        assert!(made.matches(made.expose().as_bytes()));
        for wrong in [
            other.expose(),
            "",
            &made.expose()[1..],
            &format!("{}0", made.expose()),
        ] {
            assert!(!made.matches(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{made:?}").contains(made.expose()));
    }

    #[test]
    fn a_bad_or_open_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for bad in [
            "",
            "short",
            &"g".repeat(64),
            &"a".repeat(65),
            &"a".repeat(5000),
        ] {
            fs::write(&path, bad).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Token::load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, TokenError::NotAToken { .. }),
                "{bad}: {error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        fs::write(&path, "a".repeat(64)).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Token::load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, TokenError::Exposed { .. }),
                "{mode:o}: {error}"
            );
        }
        let missing = dir.path().join("missing/token");
        assert!(matches!(
            Token::load_or_create(&missing),
            Err(TokenError::Io { .. })
        ));
        assert!(matches!(
            Token::load_or_create(dir.path()),
            Err(TokenError::NotAToken { .. })
        ));
    }

    #[test]
    fn a_dangling_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("token"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(Token::load_or_create(&link).is_err());
        assert!(!target.exists());
    }
}
