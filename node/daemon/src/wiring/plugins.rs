//! Installing and removing plugins: a folder is tried apart from the node, copied whole, and only
//! then loaded.
//!
//! Installed plugins live in `plugins` in the data directory and are loaded at every start. A copy
//! is made beside its place and renamed, so that a crash leaves a whole plugin or none.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use pagi_api::{ApiError, tools::Plugin};
use pagi_plugin_host::{Discovery, HostConfig, ToolError, ToolHost};
use pagi_store::{AuditRecord, Batch};
use pagi_twin::now_text;
use serde_json::json;

use super::{
    gateway::{Gateway, api_error},
    views::{internal, store_error},
};

/// Most files and folders of a plugin.
const MAX_ENTRIES: usize = 256;
/// Most bytes of a plugin.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Deepest folder in a plugin.
const MAX_DEPTH: usize = 8;
/// What the names of unfinished copies and of removed plugins start with.
const UNFINISHED: &str = ".pagi-";

/// Why a folder cannot be installed.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A link or a device.
    #[error("{} is neither a plain file nor a folder", path.display())]
    Kind {
        /// What.
        path: PathBuf,
    },
    /// It is too much.
    #[error("it is larger than {MAX_BYTES} bytes, {MAX_ENTRIES} files or {MAX_DEPTH} folders deep")]
    TooLarge,
}

/// The plugins of a discovery as the API shows them.
pub(super) fn shown(found: Discovery, installed: bool) -> Vec<Plugin> {
    let loaded = found.loaded.into_iter().map(|plugin| Plugin {
        name: plugin.name,
        version: plugin.version,
        tools: plugin.tools,
        path: plugin.dir.display().to_string(),
        installed,
        error: None,
    });
    let failed = found.failed.into_iter().map(|plugin| Plugin {
        name: plugin
            .dir
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        version: String::new(),
        tools: Vec::new(),
        path: plugin.dir.display().to_string(),
        installed,
        error: Some(plugin.error.to_string()),
    });
    loaded.chain(failed).collect()
}

/// Makes the folder of installed plugins, and clears what a crash left in it.
pub(super) fn open_folder(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Gateway {
    /// Copies the plugin in `source` into the node and loads it, durably and audited.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for a folder that is no plugin or cannot be copied,
    /// [`ApiError::Conflict`] where its name or that of one of its tools is taken,
    /// [`ApiError::Forbidden`] for a kind of plugin that is granted nothing. Nothing has changed then.
    pub async fn install(&self, source: &str) -> Result<Plugin, ApiError> {
        let source = PathBuf::from(source);
        if !source.is_absolute() {
            return Err(ApiError::invalid(
                "path: give the absolute path of the plugin's folder",
            ));
        }
        let mut found = self.found().write().await;
        let folder = self.installed().to_owned();
        let staging = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&folder)
            .map_err(internal)?;
        let copy = staging.path().join("plugin");
        let (from, to) = (source.clone(), copy.clone());
        tokio::task::spawn_blocking(move || copy_folder(&from, &to))
            .await
            .map_err(internal)?
            .map_err(|error| {
                ApiError::invalid(format!("the folder cannot be installed: {error}"))
            })?;
        let plugin = tried(staging.path(), &source).await?;
        if let Some(other) = found
            .iter()
            .find(|other| other.name == plugin.name)
            .map(|other| other.path.clone())
        {
            return Err(ApiError::Conflict(format!(
                "there is a plugin `{}` already, in {other}: remove it first",
                plugin.name
            )));
        }
        if let Some(taken) = plugin
            .tools
            .iter()
            .find(|tool| self.host().get(tool).is_some())
        {
            return Err(ApiError::Conflict(format!(
                "there is a tool `{taken}` already; the plugin cannot have another of this name"
            )));
        }
        let target = folder.join(&plugin.name);
        if target.exists() {
            return Err(ApiError::Conflict(format!(
                "{} is there already: move it away",
                target.display()
            )));
        }
        let audit = AuditRecord::new(now_text(), "user", "plugin_installed", "allowed")
            .about(&plugin.name)
            .with_detail(json!({"version": plugin.version, "tools": plugin.tools,
                                "from": source.display().to_string()}));
        fs::rename(&copy, &target).map_err(internal)?;
        sync(&folder).map_err(internal)?;
        let loaded = shown(self.host().discover(&folder).await, true);
        let installed = loaded
            .iter()
            .find(|other| other.name == plugin.name)
            .cloned();
        let outcome = match installed {
            Some(installed) if installed.error.is_none() => self
                .store()
                .write(Batch::new().audit(audit))
                .await
                .map(|_| installed)
                .map_err(store_error),
            Some(Plugin {
                error: Some(error), ..
            }) => Err(ApiError::invalid(error)),
            _ => Err(internal("the plugin was not found where it was put")),
        };
        match outcome {
            Ok(installed) => {
                found.retain(|other| !other.installed);
                found.extend(loaded);
                Ok(installed)
            }
            Err(error) => {
                self.host().unregister_plugin(&plugin.name);
                fs::remove_dir_all(&target).map_err(internal)?;
                Err(error)
            }
        }
    }

    /// Takes an installed plugin away: its folder, its tools, and what was granted of them, so that
    /// another plugin with tools of the same names does not inherit it. Audited.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::Conflict`] for a plugin that was not installed.
    pub async fn remove(&self, name: &str) -> Result<Plugin, ApiError> {
        let mut found = self.found().write().await;
        let mut named = found.iter().filter(|plugin| plugin.name == name);
        let Some(plugin) = named.clone().find(|plugin| plugin.installed).cloned() else {
            return Err(match named.next() {
                Some(other) => ApiError::Conflict(format!(
                    "the plugin `{name}` was not installed but found in {}: take it away there",
                    other.path
                )),
                None => ApiError::NotFound {
                    what: "plugin",
                    id: name.chars().take(64).collect(),
                },
            });
        };
        let trash = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(self.installed())
            .map_err(internal)?;
        let audit = AuditRecord::new(now_text(), "user", "plugin_removed", "allowed")
            .about(name)
            .with_detail(json!({"version": plugin.version, "tools": plugin.tools}));
        let batch = plugin
            .tools
            .iter()
            .fold(Batch::new(), |batch, tool| batch.revoke(tool))
            .audit(audit);
        self.store().write(batch).await.map_err(store_error)?;
        fs::rename(&plugin.path, trash.path().join("plugin")).map_err(internal)?;
        sync(self.installed()).map_err(internal)?;
        self.host().unregister_plugin(name);
        found.retain(|other| other.path != plugin.path);
        if let Err(error) = trash.close() {
            tracing::warn!(%error, "what was removed is deleted at the next start");
        }
        Ok(plugin)
    }
}

/// Loads the one plugin below `staging` in a host of its own, which is dropped again.
async fn tried(staging: &Path, source: &Path) -> Result<Plugin, ApiError> {
    let trial = ToolHost::new(HostConfig::default()).map_err(api_error)?;
    let mut found = trial.discover(staging).await;
    if let Some(failed) = found.failed.pop() {
        return Err(match failed.error {
            ToolError::Denied { reason } => ApiError::Forbidden(reason),
            other => ApiError::invalid(format!("the plugin cannot be used: {other}")),
        });
    }
    shown(found, true)
        .pop()
        .ok_or_else(|| ApiError::invalid(format!("{} holds no manifest.toml", source.display())))
}

/// Copies plain files and folders, to disk.
fn copy_folder(from: &Path, to: &Path) -> Result<(), CopyError> {
    let mut left = (MAX_ENTRIES, MAX_BYTES);
    copy_into(from, to, MAX_DEPTH, &mut left)
}

fn copy_into(
    from: &Path,
    to: &Path,
    depth: usize,
    left: &mut (usize, u64),
) -> Result<(), CopyError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Io { path, source }
    };
    if depth == 0 {
        return Err(CopyError::TooLarge);
    }
    fs::create_dir(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        left.0 = left.0.checked_sub(1).ok_or(CopyError::TooLarge)?;
        // Of the entry itself: links are not followed.
        let kind = entry.file_type().map_err(at(&path))?;
        if kind.is_dir() {
            copy_into(&path, &target, depth - 1, left)?;
        } else if kind.is_file() {
            let mut source = File::open(&path).map_err(at(&path))?;
            let mut copy = File::create_new(&target).map_err(at(&target))?;
            let mut bounded = io::Read::take(&mut source, left.1.saturating_add(1));
            let copied = io::copy(&mut bounded, &mut copy).map_err(at(&path))?;
            left.1 = left.1.checked_sub(copied).ok_or(CopyError::TooLarge)?;
            copy.sync_all().map_err(at(&target))?;
        } else {
            return Err(CopyError::Kind { path });
        }
    }
    sync(to).map_err(at(to))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_whole_within_limits_and_without_links() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::create_dir_all(source.join("inner")).unwrap();
        fs::write(source.join("manifest.toml"), "x").unwrap();
        fs::write(source.join("inner/deep"), "y").unwrap();
        let copy = dir.path().join("copy");
        copy_folder(&source, &copy).unwrap();
        assert_eq!(fs::read_to_string(copy.join("inner/deep")).unwrap(), "y");
        let refused = |name: &str| copy_folder(&source, &dir.path().join(name)).unwrap_err();
        assert!(matches!(
            copy_folder(&source.join("none"), &dir.path().join("a")),
            Err(CopyError::Io { .. })
        ));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/passwd", source.join("link")).unwrap();
            assert!(matches!(refused("b"), CopyError::Kind { .. }));
            fs::remove_file(source.join("link")).unwrap();
        }
        for n in 0..MAX_ENTRIES {
            fs::write(source.join(n.to_string()), "").unwrap();
        }
        assert!(matches!(refused("c"), CopyError::TooLarge));
    }

    #[test]
    fn what_a_crash_left_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("plugins");
        open_folder(&folder).unwrap();
        fs::create_dir_all(folder.join(".pagi-x/plugin")).unwrap();
        fs::create_dir_all(folder.join("kept")).unwrap();
        open_folder(&folder).unwrap();
        assert!(folder.join("kept").is_dir() && !folder.join(".pagi-x").exists());
    }
}
