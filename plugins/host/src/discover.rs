//! The scan of a plugin directory: each folder with a `manifest.toml` is one plugin.
//!
//! A plugin comes in whole or not at all, and a bad one never stops the others.

use crate::error::ToolError;
use crate::host::{Entry, ToolHost, Transport, wasm_url};
use crate::manifest::{Manifest, ManifestTool, PluginType};
use crate::spec::{self, Annotations, Target, ToolSource, ToolSpec, any_object};
use crate::wasm::RegisteredTool;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LARGEST_MANIFEST: u64 = 256 << 10;
const MANIFEST: &str = "manifest.toml";

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Plugins whose tools can now be called.
    pub loaded: Vec<LoadedPlugin>,
    /// Plugins that cannot be used, and why.
    pub failed: Vec<FailedPlugin>,
}

/// A plugin in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedPlugin {
    /// Name from the manifest.
    pub name: String,
    /// Version from the manifest.
    pub version: String,
    /// What stands behind it.
    pub plugin_type: PluginType,
    /// Its folder.
    pub dir: PathBuf,
    /// Names of its tools, in the manifest's order, then those it registered itself.
    pub tools: Vec<String>,
}

/// A plugin that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPlugin {
    /// Its folder, or the directory scanned if that cannot be read.
    pub dir: PathBuf,
    /// Cause.
    pub error: ToolError,
}

impl ToolHost {
    /// Loads every plugin in `dir`, in order of folder names.
    ///
    /// A plugin that was loaded before is replaced. Folders without a `manifest.toml` are passed
    /// over, and a `dir` that does not exist holds no plugins.
    pub async fn discover(&self, dir: &Path) -> Discovery {
        let mut found = Discovery::default();
        let folders = match folders(dir).await {
            Ok(folders) => folders,
            Err(error) => {
                found.failed.push(FailedPlugin {
                    dir: dir.to_owned(),
                    error,
                });
                return found;
            }
        };
        let mut names = BTreeSet::new();
        for folder in folders {
            match self.load_plugin(&folder, &mut names).await {
                Ok(plugin) => {
                    tracing::info!(plugin = %plugin.name, tools = plugin.tools.len(), "plugin loaded");
                    found.loaded.push(plugin);
                }
                Err(error) => {
                    tracing::warn!(dir = %folder.display(), %error, "plugin refused");
                    found.failed.push(FailedPlugin { dir: folder, error });
                }
            }
        }
        found
    }

    async fn load_plugin(
        &self,
        folder: &Path,
        names: &mut BTreeSet<String>,
    ) -> Result<LoadedPlugin, ToolError> {
        let manifest = Manifest::parse(&read_manifest(&folder.join(MANIFEST)).await?)?;
        if !names.insert(manifest.name.clone()) {
            return Err(ToolError::denied(format!(
                "another folder holds a plugin named `{}`",
                manifest.name
            )));
        }
        let entries = match manifest.plugin_type {
            PluginType::Wasm => self.wasm_entries(folder, &manifest).await?,
            PluginType::Http => http_entries(&manifest)?,
            PluginType::Binary | PluginType::SharedLib => {
                return Err(ToolError::denied(
                    "plugins of type binary and shared_lib run with the powers of this node and \
                     no plugin is granted those; build it as wasm or serve it over http",
                ));
            }
        };
        let tools: Vec<String> = entries
            .iter()
            .map(|entry| entry.name().to_owned())
            .collect();
        if tools.is_empty() {
            return Err(ToolError::InvalidManifest {
                reason: "the plugin has no tools".into(),
            });
        }
        self.replace_plugin(&manifest.name, entries)?;
        Ok(LoadedPlugin {
            name: manifest.name,
            version: manifest.version,
            plugin_type: manifest.plugin_type,
            dir: folder.to_owned(),
            tools,
        })
    }

    async fn wasm_entries(
        &self,
        folder: &Path,
        manifest: &Manifest,
    ) -> Result<Vec<Entry>, ToolError> {
        let module = module_path(folder, &manifest.wasm_path).await?;
        let url = wasm_url(&module)?;
        let plugin = self.wasm().load(&module).await?;
        let registered = self.wasm().describe(&plugin).await?;
        merge(&manifest.tools, registered)
            .into_iter()
            .map(|tool| {
                let spec = tool_spec(manifest, tool, url.clone());
                spec::check_naming(&spec)?;
                let export = spec::export_name(&spec);
                plugin.check_tool(&export)?;
                Entry::new(
                    spec,
                    Transport::Wasm {
                        plugin: plugin.clone(),
                        export,
                    },
                )
            })
            .collect()
    }
}

fn http_entries(manifest: &Manifest) -> Result<Vec<Entry>, ToolError> {
    manifest
        .tools
        .iter()
        .cloned()
        .map(|tool| {
            let url = tool
                .plugin_url
                .clone()
                .or_else(|| manifest.url.clone())
                .unwrap_or_default();
            let spec = tool_spec(manifest, tool, url);
            match spec::target(&spec)? {
                Target::Http(url) => Entry::new(spec, Transport::Http(url)),
                Target::Wasm { .. } => Err(ToolError::invalid_spec(
                    &spec.name,
                    "an http plugin needs an http or https address",
                )),
            }
        })
        .collect()
}

fn tool_spec(manifest: &Manifest, tool: ManifestTool, plugin_url: String) -> ToolSpec {
    ToolSpec {
        name: tool.name,
        description: tool.description,
        plugin_url,
        endpoint: tool.endpoint,
        parameters: tool.parameters,
        annotations: tool.annotations,
        owner_twin: None,
        source: ToolSource::Plugin {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
        },
    }
}

/// Tools of the manifest, completed and followed by what the module registered. Where both speak
/// of a tool, the manifest wins.
fn merge(described: &[ManifestTool], registered: Vec<RegisteredTool>) -> Vec<ManifestTool> {
    let mut tools = described.to_vec();
    for new in registered {
        match tools.iter_mut().find(|tool| tool.name == new.name) {
            Some(tool) => {
                if tool.description.is_empty() {
                    tool.description = new.description;
                }
                if tool.endpoint.is_empty() {
                    tool.endpoint = new.endpoint;
                }
            }
            None => tools.push(ManifestTool {
                name: new.name,
                description: new.description,
                endpoint: new.endpoint,
                parameters: any_object(),
                plugin_url: None,
                annotations: Annotations::default(),
            }),
        }
    }
    tools
}

async fn folders(dir: &Path) -> Result<Vec<PathBuf>, ToolError> {
    let io = |error: std::io::Error| ToolError::io(dir, &error);
    let mut entries = match tokio::fs::read_dir(dir).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut folders = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(io)? {
        let folder = entry.path();
        if tokio::fs::symlink_metadata(folder.join(MANIFEST))
            .await
            .is_ok()
        {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

async fn read_manifest(path: &Path) -> Result<String, ToolError> {
    let io = |error: std::io::Error| ToolError::io(path, &error);
    let metadata = tokio::fs::metadata(path).await.map_err(io)?;
    if !metadata.is_file() || metadata.len() > LARGEST_MANIFEST {
        return Err(ToolError::InvalidManifest {
            reason: format!("it must be a plain file of at most {LARGEST_MANIFEST} bytes"),
        });
    }
    tokio::fs::read_to_string(path).await.map_err(io)
}

/// The real path of the module, which links must not lead out of the plugin folder.
async fn module_path(folder: &Path, inside: &Path) -> Result<PathBuf, ToolError> {
    let module = folder.join(inside);
    let io = |error: std::io::Error| ToolError::io(&module, &error);
    let root = tokio::fs::canonicalize(folder).await.map_err(io)?;
    let real = tokio::fs::canonicalize(&module).await.map_err(io)?;
    if !real.starts_with(&root) {
        return Err(ToolError::denied(
            "plugin.wasm_path leads out of the plugin folder",
        ));
    }
    Ok(real)
}
