//! The registry of tools, and the one way to call them.

use crate::config::HostConfig;
use crate::error::ToolError;
use crate::http;
use crate::schema::Schema;
use crate::spec::{self, Caller, NativeTool, Target, ToolSource, ToolSpec};
use crate::wasm::{Plugin, WasmRuntime};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use url::Url;

/// All tools of a node. Clones share one registry.
#[derive(Clone)]
pub struct ToolHost {
    inner: Arc<Inner>,
}

struct Inner {
    config: HostConfig,
    http: reqwest::Client,
    wasm: WasmRuntime,
    /// Held only to look up or swap entries, never across an await.
    tools: RwLock<Tools>,
}

type Tools = BTreeMap<String, Arc<Entry>>;

/// A tool ready to be called.
pub(crate) struct Entry {
    spec: ToolSpec,
    schema: Schema,
    transport: Transport,
}

/// How a tool is reached.
pub(crate) enum Transport {
    Native(Arc<dyn NativeTool>),
    Http(Url),
    Wasm { plugin: Plugin, export: String },
}

impl ToolHost {
    /// An empty host.
    ///
    /// Chooses the cryptography of the TLS library for the process if nobody has yet.
    ///
    /// # Errors
    /// [`ToolError::Failed`] if the HTTP client or the WebAssembly engine cannot be set up.
    pub fn new(config: HostConfig) -> Result<Self, ToolError> {
        Ok(Self {
            inner: Arc::new(Inner {
                http: http::client(&config.http, config.address_check.as_ref())?,
                wasm: WasmRuntime::new(config.wasm.clone())?,
                tools: RwLock::default(),
                config,
            }),
        })
    }

    /// Adds a tool of this node.
    ///
    /// # Errors
    /// [`ToolError::InvalidSpec`] for a bad name or schema, [`ToolError::Denied`] if the name is
    /// taken.
    pub fn register_native(&self, tool: Arc<dyn NativeTool>) -> Result<(), ToolError> {
        let mut spec = tool.spec();
        spec.source = ToolSource::Native;
        let entry = Entry::new(spec, Transport::Native(tool))?;
        self.insert(vec![entry])
    }

    /// Adds or replaces a tool outside this node and returns its spec as stored.
    ///
    /// The source becomes [`ToolSource::Registered`], whatever `spec` says. A registration
    /// replaces an earlier one of the same owner, and nothing else.
    ///
    /// # Errors
    /// [`ToolError::InvalidSpec`] for a bad name, address, endpoint or schema,
    /// [`ToolError::Denied`] if the name is taken, the registry is full, or a `wasm:///` address
    /// lies outside [`HostConfig::wasm_root`], and [`ToolError::Io`] or [`ToolError::BadGuest`]
    /// if the module cannot be used.
    pub async fn register(&self, spec: ToolSpec) -> Result<ToolSpec, ToolError> {
        let mut spec = spec;
        spec.source = ToolSource::Registered;
        if spec.parameters.is_null() {
            spec.parameters = spec::any_object();
        }
        spec::check_naming(&spec)?;
        room_for(&self.read(), &spec, self.inner.config.max_tools)?;
        let transport = match spec::target(&spec)? {
            Target::Http(url) => Transport::Http(url),
            Target::Wasm { url, export } => {
                let path = self.allowed_path(&spec.name, &url).await?;
                let plugin = self.inner.wasm.load(&path).await?;
                plugin.check_tool(&export)?;
                Transport::Wasm { plugin, export }
            }
        };
        self.insert(vec![Entry::new(spec.clone(), transport)?])?;
        Ok(spec)
    }

    /// Removes a tool that is not native; `false` if there is none of that name.
    pub fn unregister(&self, name: &str) -> bool {
        let mut tools = self.write();
        let removable = tools
            .get(name)
            .is_some_and(|entry| entry.spec.source != ToolSource::Native);
        removable && tools.remove(name).is_some()
    }

    /// Removes all tools of a plugin and returns how many there were.
    pub fn unregister_plugin(&self, plugin: &str) -> usize {
        let mut tools = self.write();
        let before = tools.len();
        tools.retain(|_, entry| !is_from(&entry.spec, plugin));
        before - tools.len()
    }

    /// All tools, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ToolSpec> {
        self.read()
            .values()
            .map(|entry| entry.spec.clone())
            .collect()
    }

    /// The tool of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ToolSpec> {
        self.read().get(name).map(|entry| entry.spec.clone())
    }

    /// Checks parameters against the tool's schema without calling it.
    ///
    /// # Errors
    /// [`ToolError::Unknown`] or [`ToolError::InvalidParameters`].
    pub fn check(&self, name: &str, parameters: &Value) -> Result<(), ToolError> {
        self.entry(name)?.schema.check(name, parameters)
    }

    /// Calls a tool and returns what it answers.
    ///
    /// A tool with an owner may be called by that twin and by the operator (a [`Caller`] without
    /// a twin) alone. Dropping the future stops the call.
    ///
    /// # Errors
    /// [`ToolError::Unknown`], [`ToolError::Denied`] or [`ToolError::InvalidParameters`] before
    /// anything is called; [`ToolError::Timeout`] when [`HostConfig::call_timeout`] is over; else
    /// whatever the transport reports.
    pub async fn execute(
        &self,
        name: &str,
        caller: &Caller,
        parameters: Value,
    ) -> Result<Value, ToolError> {
        let entry = self.entry(name)?;
        if let (Some(owner), Some(twin)) = (&entry.spec.owner_twin, &caller.twin_id)
            && owner != twin
        {
            return Err(ToolError::denied(format!(
                "the tool `{name}` belongs to another twin"
            )));
        }
        entry.schema.check(name, &parameters)?;
        let limit = self.inner.config.call_timeout;
        tokio::time::timeout(limit, self.dispatch(&entry, caller, parameters))
            .await
            .unwrap_or_else(|_| {
                let after_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Err(ToolError::Timeout { after_ms })
            })
    }

    async fn dispatch(
        &self,
        entry: &Entry,
        caller: &Caller,
        parameters: Value,
    ) -> Result<Value, ToolError> {
        let inner = &self.inner;
        match &entry.transport {
            Transport::Native(tool) => tool.call(caller, parameters).await,
            Transport::Http(url) => {
                let repeatable = entry.spec.annotations.repeatable();
                http::check_literal(url, inner.config.address_check.as_ref())?;
                http::post(
                    &inner.http,
                    &inner.config.http,
                    url,
                    repeatable,
                    &parameters,
                )
                .await
            }
            Transport::Wasm { plugin, export } => {
                inner.wasm.call(plugin, export, &parameters).await
            }
        }
    }

    /// The file a `wasm:///` address names, if registrations may use it.
    async fn allowed_path(&self, name: &str, url: &Url) -> Result<PathBuf, ToolError> {
        let path = url.to_file_path().map_err(|()| {
            ToolError::invalid_spec(name, "plugin_url names no absolute path: wasm:///path")
        })?;
        let config = &self.inner.config;
        if config.allow_any_path {
            return Ok(path);
        }
        let outside = || {
            ToolError::denied("the module lies outside the directories wasm tools may load from")
        };
        // A file that is missing or unreadable gets the same answer as one that is outside.
        let real = tokio::fs::canonicalize(&path)
            .await
            .map_err(|_| outside())?;
        for root in &config.wasm_root {
            if let Ok(root) = tokio::fs::canonicalize(root).await
                && real.starts_with(&root)
            {
                return Ok(real);
            }
        }
        Err(outside())
    }

    pub(crate) fn wasm(&self) -> &WasmRuntime {
        &self.inner.wasm
    }

    /// Puts all tools of a plugin in place of those it had, or none of them.
    pub(crate) fn replace_plugin(
        &self,
        plugin: &str,
        entries: Vec<Entry>,
    ) -> Result<(), ToolError> {
        let mut tools = self.write();
        let mut next = tools.clone();
        next.retain(|_, entry| !is_from(&entry.spec, plugin));
        add(&mut next, entries, self.inner.config.max_tools)?;
        *tools = next;
        Ok(())
    }

    fn insert(&self, entries: Vec<Entry>) -> Result<(), ToolError> {
        add(&mut self.write(), entries, self.inner.config.max_tools)
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>, ToolError> {
        self.read()
            .get(name)
            .cloned()
            .ok_or_else(|| ToolError::Unknown {
                name: crate::error::excerpt(name.as_bytes()),
            })
    }

    // Entries are swapped whole, so a panic elsewhere leaves nothing half done.
    fn read(&self) -> RwLockReadGuard<'_, Tools> {
        self.inner
            .tools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tools> {
        self.inner
            .tools
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ToolHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolHost")
            .field("tools", &self.read().len())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Checks naming and schema.
    pub(crate) fn new(spec: ToolSpec, transport: Transport) -> Result<Self, ToolError> {
        spec::check_naming(&spec)?;
        let schema = Schema::compile(&spec.name, &spec.parameters)?;
        Ok(Self {
            spec,
            schema,
            transport,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }
}

fn add(tools: &mut Tools, entries: Vec<Entry>, max: usize) -> Result<(), ToolError> {
    for entry in entries {
        room_for(tools, &entry.spec, max)?;
        tools.insert(entry.spec.name.clone(), Arc::new(entry));
    }
    Ok(())
}

/// Whether `spec` may be put into `tools`: its name is free, or it replaces an earlier
/// registration of the same owner.
fn room_for(tools: &Tools, spec: &ToolSpec, max: usize) -> Result<(), ToolError> {
    match tools.get(&spec.name) {
        Some(held) => {
            let replaces = spec.source == ToolSource::Registered
                && held.spec.source == ToolSource::Registered
                && held.spec.owner_twin == spec.owner_twin;
            if replaces {
                Ok(())
            } else {
                Err(taken(&held.spec))
            }
        }
        None if tools.len() >= max => Err(ToolError::denied(format!(
            "the registry is full with {max} tools"
        ))),
        None => Ok(()),
    }
}

fn taken(held: &ToolSpec) -> ToolError {
    let by = match &held.source {
        ToolSource::Native => "a tool of this node".to_owned(),
        ToolSource::Plugin { name, .. } => format!("the plugin `{name}`"),
        ToolSource::Registered => "another owner's tool".to_owned(),
    };
    ToolError::denied(format!("the name `{}` is taken by {by}", held.name))
}

fn is_from(spec: &ToolSpec, plugin: &str) -> bool {
    matches!(&spec.source, ToolSource::Plugin { name, .. } if name == plugin)
}

/// The `wasm:///` address of a module file.
pub(crate) fn wasm_url(path: &Path) -> Result<String, ToolError> {
    Url::from_file_path(path)
        .ok()
        .and_then(|url| {
            url.as_str()
                .strip_prefix("file:")
                .map(|rest| format!("wasm:{rest}"))
        })
        .ok_or_else(|| ToolError::failed(format!("{} is no absolute path", path.display())))
}
