//! The twin's hands: a desktop notification, a file in the twin's own folder.
//!
//! Tool calls as acts go through the gateway and are not here. Every act is checked against the
//! node's allow-list and written to the audit log by the caller.

use std::{
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};
use serde::Deserialize;
use serde_json::{Value, json};

/// Largest file a twin may write, bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such act.
    #[error("there is no action `{0}`: use notify, write_file or call_tool")]
    Unknown(String),
    /// The node's user does not allow it.
    #[error(
        "the action `{0}` is not allowed on this node: add it to `actuator.allow` in the configuration"
    )]
    NotAllowed(String),
    /// The parameters do not fit.
    #[error("{0}")]
    Parameters(String),
    /// The path leaves the twin's folder.
    #[error("`{0}` is not a plain relative path inside the twin's folder")]
    Path(String),
    /// This machine shows no notifications.
    #[error("this machine shows no desktop notifications: {0}")]
    NoDesktop(String),
    /// The file system said no.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

#[derive(Deserialize)]
struct Notify {
    title: String,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct WriteFile {
    path: String,
    content: String,
}

fn read<'a, T: Deserialize<'a>>(parameters: &'a Value, takes: &str) -> Result<T, ActError> {
    T::deserialize(parameters)
        .map_err(|error| ActError::Parameters(format!("{takes}, but {error}")))
}

/// Shows a desktop notification: `{title, body}`.
///
/// # Errors
/// [`ActError::Parameters`], [`ActError::NoDesktop`].
pub fn notify(parameters: &Value) -> Result<Value, ActError> {
    let wanted: Notify = read(parameters, "notify takes {title, body}")?;
    notify_rust::Notification::new()
        .appname("pagi")
        .summary(&wanted.title)
        .body(&wanted.body)
        .show()
        .map_err(|error| ActError::NoDesktop(error.to_string()))?;
    Ok(json!({"shown": wanted.title}))
}

/// Writes `{path, content}` below `folder`; whole or not at all. Symbolic links that lead out of the
/// folder are not followed.
///
/// # Errors
/// [`ActError::Parameters`], [`ActError::Path`], [`ActError::Io`].
pub fn write_file(folder: &Path, parameters: &Value) -> Result<Value, ActError> {
    let wanted: WriteFile = read(parameters, "write_file takes {path, content}")?;
    if wanted.content.len() > MAX_FILE_BYTES {
        return Err(ActError::Parameters(format!(
            "the content has {} bytes; at most {MAX_FILE_BYTES} are allowed",
            wanted.content.len()
        )));
    }
    let path = PathBuf::from(&wanted.path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let named = path.file_name().is_some() && !wanted.path.ends_with('/');
    if !plain || !named || wanted.path.len() > 255 || wanted.path.contains('\0') {
        return Err(ActError::Path(wanted.path.chars().take(255).collect()));
    }
    let at = |source| ActError::Io {
        path: wanted.path.clone(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(at)?;
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).map_err(at)?;
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        dir.create_dir_all(parent).map_err(at)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = dir.create(&part).map_err(at)?;
    file.write_all(wanted.content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(at)?;
    dir.rename(&part, &dir, &path).map_err(at)?;
    Ok(json!({"path": wanted.path, "bytes": wanted.content.len()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_inside_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("files");
        let outside = root.path().join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        let done = write_file(&folder, &json!({"path": "notes/a.txt", "content": "hi"})).unwrap();
        assert_eq!(done["bytes"], 2);
        assert_eq!(
            std::fs::read_to_string(folder.join("notes/a.txt")).unwrap(),
            "hi"
        );
        for path in ["../x", "/etc/x", "a/../../x", "", ".", "a/", "./x"] {
            let error = write_file(&folder, &json!({"path": path, "content": "no"}));
            assert!(matches!(error, Err(ActError::Path(_))), "{path}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
            let error = write_file(&folder, &json!({"path": "link/x", "content": "no"}));
            assert!(matches!(error, Err(ActError::Io { .. })));
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        }
        assert!(matches!(
            write_file(&folder, &json!({"path": 1})),
            Err(ActError::Parameters(_))
        ));
        let large = "x".repeat(MAX_FILE_BYTES + 1);
        assert!(write_file(&folder, &json!({"path": "b", "content": large})).is_err());
    }
}
