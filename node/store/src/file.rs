//! The file of a store, and the lock that keeps it to one process.
//!
//! `pagi.lock` is held for as long as the store is open. A new `pagi.redb` is made complete under
//! another name and then renamed, so that a crash at any moment leaves no store or a whole one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Builder, Database, DatabaseError, StorageError};

use crate::{error::StoreError, tables};

pub(crate) const DATABASE: &str = "pagi.redb";
const UNFINISHED: &str = "pagi.redb.new";
const LOCK: &str = "pagi.lock";

/// Memory the database may use for pages, in bytes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// An open database and the lock on its directory.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The database.
    pub(crate) db: Database,
    /// The lock: to be released after the database is closed.
    pub(crate) lock: File,
}

/// Opens the store of `dir`, made if it is not there.
pub(crate) fn open(dir: &Path) -> Result<Opened, StoreError> {
    create_dir(dir).map_err(|error| StoreError::io(dir, error))?;
    let lock = lock(dir)?;
    let path = dir.join(DATABASE);
    if !path
        .try_exists()
        .map_err(|error| StoreError::io(&path, error))?
    {
        create(dir, &path)?;
    }
    restrict(&path).map_err(|error| StoreError::io(&path, error))?;
    let db = open_database(dir, &path)?;
    tables::check_schema(&db, &path)?;
    tables::create_missing(&db)?;
    Ok(Opened { db, lock })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let file = private()
        .open(&path)
        .map_err(|error| StoreError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
    }
}

/// Makes an empty store at `path`. The caller holds the lock.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let unfinished = dir.join(UNFINISHED);
    let failed = |error| StoreError::io(&unfinished, error);
    match fs::remove_file(&unfinished) {
        Ok(()) => tracing::info!("removed a store that was never finished"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let file = private().open(&unfinished).map_err(failed)?;
    let db = builder()
        .create(&unfinished)
        .map_err(|error| open_error(dir, path, error))?;
    tables::create_all(&db)?;
    db.close()?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)?;
    // The names must be on disk too, or a power loss takes the file with all that was acknowledged.
    sync_dir(dir).map_err(|error| StoreError::io(dir, error))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => match sync_dir(parent) {
            // A directory that may not be listed was there before us, or we could not have made one.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                Err(StoreError::io(parent, error))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// How a database is opened. The integrity check costs one pass over the file and turns damage done
/// outside this program into an error, where the database would otherwise trust the file.
pub(crate) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
}

fn open_database(dir: &Path, path: &Path) -> Result<Database, StoreError> {
    // A last resort: whatever the bytes on disk, the caller gets an error.
    match catch_unwind(AssertUnwindSafe(|| builder().open(path))) {
        Ok(opened) => opened.map_err(|error| open_error(dir, path, error)),
        Err(_) => Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: "the database could not make sense of it".to_owned(),
        }),
    }
}

fn open_error(dir: &Path, path: &Path, error: DatabaseError) -> StoreError {
    let damaged = |reason: String| StoreError::Damaged {
        path: path.to_owned(),
        reason,
    };
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse {
                dir: dir.to_owned(),
            }
        }
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
            _ => StoreError::io(path, error),
        },
        other => damaged(other.to_string()),
    }
}

/// Opens files for reading and writing, made with mode 0600 if they are not there.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Takes others' rights to a file away.
fn restrict(path: &Path) -> io::Result<()> {
    #[cfg(not(unix))]
    let _ = path;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            fs::set_permissions(path, permissions)?;
        }
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(not(unix))]
    let _ = dir;
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}
