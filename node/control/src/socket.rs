//! The unix socket's file: private from its first moment, taken over from a crashed node, never
//! from a living one.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use crate::config::ControlError;

/// A bound socket's file, removed on drop unless another file has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Listens on `path` with file mode 0600.
///
/// # Errors
/// [`ControlError::SocketInUse`] when a process answers there, [`ControlError::NotASocket`] when
/// there is another kind of file, [`ControlError::Unix`] for anything else.
pub(crate) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile), ControlError> {
    let unix_error = |source| ControlError::Unix {
        path: path.to_owned(),
        source,
    };
    // A longer path could be renamed to, but not connected to.
    std::os::unix::net::SocketAddr::from_pathname(path).map_err(unix_error)?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unix_error(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ControlError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => {
                return Err(ControlError::SocketInUse {
                    path: path.to_owned(),
                });
            }
            // Nobody listens: its node is gone, and the rename below replaces the file.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                tracing::info!(path = %path.display(), "replacing the socket of a crashed node");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unix_error(error)),
        },
    }
    let (listener, identity) = bind_private(path).map_err(unix_error)?;
    Ok((
        listener,
        SocketFile {
            path: path.to_owned(),
            identity,
        },
    ))
}

/// Binds inside a directory that only the owner can enter, restricts the socket there, and moves it
/// into place, so that there is no moment at which others could connect.
fn bind_private(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let mut random = [0; 3];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    // As short as can be: a socket's path may have some 100 bytes only.
    let nursery = path.with_file_name(format!(".c{}", hex::encode(random)));
    DirBuilder::new().mode(0o700).create(&nursery)?;
    let born = nursery.join("s");
    let bound = UnixListener::bind(&born).and_then(|listener| {
        fs::set_permissions(&born, Permissions::from_mode(0o600))?;
        let identity = identity(&born)?;
        fs::rename(&born, path)?;
        Ok((listener, identity))
    });
    if bound.is_err() {
        let _ = fs::remove_file(&born);
    }
    let _ = fs::remove_dir(&nursery);
    bound
}
