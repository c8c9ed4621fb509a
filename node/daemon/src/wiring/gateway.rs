//! The tool gateway: the plugin host behind grants, egress rules and the store.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use pagi_api::{
    ApiError, Violation,
    tools::{AllowTool, Plugin, RegisterTool, Tool, ToolDefinition},
};
use pagi_plugin_host::{Annotations, Caller, ToolError, ToolHost, ToolSource, ToolSpec};
use pagi_policy::{Egress, Grant, ToolFacts, check_url, decide};
use pagi_store::{AuditRecord, Batch, Store, StoreError, ToolRecord};
use pagi_twin::{
    now_text,
    planner::{ToolInfo, answer::CallFailure},
    ports::Tools,
};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::plugins::shown;
use crate::config::{Config, PluginGrant};

/// The prototype's names for tools.
const ALIASES: [(&str, &str); 2] = [
    ("swarm_sync_pull_latest_playbook", "hive_pull"),
    ("swarm_sync_push_artifact", "hive_push"),
];

/// The tool gateway.
pub struct Gateway {
    host: ToolHost,
    store: Store,
    egress: Egress,
    grant_all_plugins: bool,
    scan: Option<PathBuf>,
    /// Where installed plugins are.
    installed: PathBuf,
    found: RwLock<Vec<Plugin>>,
}

impl Gateway {
    /// Registers the built-in tools and, from the store, those the user registered before. One that
    /// cannot be registered any more (its file is gone) is logged and skipped, not forgotten.
    ///
    /// # Errors
    /// [`ToolError`] where a built-in tool cannot be registered.
    pub async fn open(
        host: ToolHost,
        store: Store,
        config: &Config,
        installed: PathBuf,
    ) -> Result<Self, ToolError> {
        pagi_builtin_tools::register_all(&host)?;
        let records = store
            .list_tools()
            .map_err(|error| ToolError::failed(error.to_string()))?;
        for record in records {
            let spec: ToolSpec = match serde_json::from_value(record.spec) {
                Ok(spec) => spec,
                Err(error) => {
                    tracing::warn!(tool = record.name, %error, "a stored tool cannot be read");
                    continue;
                }
            };
            if let Err(error) = host.register(spec).await {
                tracing::warn!(tool = record.name, %error, "a stored tool cannot be used now");
            }
        }
        let dir = PathBuf::from(&config.plugins.dir);
        let scan = (config.plugins.auto_discover && !config.plugins.dir.is_empty()).then_some(dir);
        Ok(Self {
            host,
            store,
            egress: config.egress.clone(),
            grant_all_plugins: config.plugins.grant == PluginGrant::All,
            scan,
            installed,
            found: RwLock::default(),
        })
    }

    /// The plugin host.
    pub fn host(&self) -> &ToolHost {
        &self.host
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Where installed plugins are.
    pub(super) fn installed(&self) -> &Path {
        &self.installed
    }

    /// The plugins found. Whoever changes what is found holds it for as long as that takes.
    pub(super) fn found(&self) -> &RwLock<Vec<Plugin>> {
        &self.found
    }

    /// Loads the plugins of the configured folder, where there is one, and the installed ones. A
    /// plugin that is in both is the installed one.
    pub async fn discover(&self) {
        let mut found = Vec::new();
        if let Some(dir) = self.scan.as_ref().filter(|dir| **dir != self.installed) {
            found = shown(self.host.discover(dir).await, false);
        }
        let installed = shown(self.host.discover(&self.installed).await, true);
        let replaced = |plugin: &Plugin| {
            installed
                .iter()
                .any(|other| other.name == plugin.name && other.error.is_none())
        };
        found.retain(|plugin| !replaced(plugin));
        found.extend(installed);
        *self.found.write().await = found;
    }

    /// Plugins found.
    pub async fn plugins(&self) -> Vec<Plugin> {
        self.found.read().await.clone()
    }

    /// What was said of each tool for a twin; of none for the node's user.
    fn grants(&self, twin_id: Option<&str>) -> Result<BTreeMap<String, bool>, StoreError> {
        twin_id.map_or_else(|| Ok(BTreeMap::new()), |twin_id| self.store.grants(twin_id))
    }

    fn grant(
        &self,
        spec: &ToolSpec,
        twin_id: Option<&str>,
        grants: &BTreeMap<String, bool>,
    ) -> Grant {
        let facts = ToolFacts {
            name: &spec.name,
            native: spec.source == ToolSource::Native,
            read_only: spec.annotations.read_only,
            owner_twin: spec.owner_twin.as_deref(),
            default_allowed: !matches!(spec.source, ToolSource::Plugin { .. }),
        };
        decide(&facts, twin_id, grants, self.grant_all_plugins)
    }

    /// Registers a tool durably.
    ///
    /// # Errors
    /// [`ApiError`]; nothing has changed then.
    pub async fn register(&self, request: RegisterTool) -> Result<Tool, ApiError> {
        let definition = request.tool;
        if let Some(twin_id) = &request.twin_id {
            self.require_twin(twin_id)?;
        }
        if is_http(&definition.plugin_url) {
            check_url(&definition.plugin_url, &self.egress)
                .map_err(|refusal| ApiError::Forbidden(refusal.to_string()))?;
        }
        let spec = ToolSpec {
            name: definition.name,
            description: definition.description,
            plugin_url: definition.plugin_url,
            endpoint: definition.endpoint,
            parameters: if definition.parameters.is_null() {
                json!({"type": "object"})
            } else {
                definition.parameters
            },
            annotations: Annotations {
                read_only: definition.read_only,
                idempotent: definition.idempotent,
                open_world: true,
            },
            owner_twin: request.twin_id,
            source: ToolSource::Registered,
        };
        let before = self.host.get(&spec.name);
        let spec = self.host.register(spec).await.map_err(api_error)?;
        let record = ToolRecord {
            name: spec.name.clone(),
            spec: serde_json::to_value(&spec)
                .map_err(|error| ApiError::Internal(error.to_string()))?,
            registered_by: spec.owner_twin.clone(),
        };
        if let Err(error) = self.store.put_tool(record).await {
            // Not durable, so not acknowledged and not there.
            self.host.unregister(&spec.name);
            if let Some(before) = before {
                let _ = self.host.register(before).await;
            }
            return Err(ApiError::Internal(error.to_string()));
        }
        Ok(view(spec, None))
    }

    fn require_twin(&self, twin_id: &str) -> Result<(), ApiError> {
        match self.store.get_twin(twin_id) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(ApiError::NotFound {
                what: "twin",
                id: twin_id.chars().take(64).collect(),
            }),
            Err(error) => Err(ApiError::Internal(error.to_string())),
        }
    }

    /// Every tool, or those of a twin with whether it may call them.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for an unknown twin.
    pub fn list(&self, twin_id: Option<&str>) -> Result<Vec<Tool>, ApiError> {
        if let Some(twin_id) = twin_id {
            self.require_twin(twin_id)?;
        }
        let internal = |error: StoreError| ApiError::Internal(error.to_string());
        let grants = self.grants(twin_id).map_err(internal)?;
        let mut tools = Vec::new();
        for spec in self.host.list() {
            let allowed = match twin_id {
                None => None,
                // Another twin's tool is no business of this one.
                Some(twin_id) if spec.owner_twin.as_deref().is_some_and(|own| own != twin_id) => {
                    continue;
                }
                Some(_) => Some(self.grant(&spec, twin_id, &grants).is_allowed()),
            };
            tools.push(view(spec, allowed));
        }
        Ok(tools)
    }

    /// Grants or denies a tool to a twin, durably and audited.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for an unknown twin or tool.
    pub async fn allow(&self, twin_id: &str, request: AllowTool) -> Result<Tool, ApiError> {
        self.require_twin(twin_id)?;
        let spec = self
            .host
            .get(real_name(&request.name))
            .ok_or_else(|| ApiError::NotFound {
                what: "tool",
                id: request.name.clone(),
            })?;
        let verdict = if request.allowed { "allowed" } else { "denied" };
        let audit = AuditRecord::new(now_text(), "user", "grant_changed", verdict)
            .about(&spec.name)
            .with_detail(json!({"twin_id": twin_id}));
        let batch = Batch::new()
            .allow(twin_id, &spec.name, request.allowed)
            .audit(audit);
        self.store
            .write(batch)
            .await
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        let grants = self
            .grants(Some(twin_id))
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        let grant = self.grant(&spec, Some(twin_id), &grants);
        Ok(view(spec, Some(grant.is_allowed())))
    }

    /// Calls a tool: grant, egress, schema, then the tool itself.
    ///
    /// # Errors
    /// [`ToolError`].
    pub async fn execute(
        &self,
        name: &str,
        twin_id: Option<&str>,
        parameters: Value,
    ) -> Result<Value, ToolError> {
        let name = real_name(name);
        let spec = self
            .host
            .get(name)
            .ok_or_else(|| ToolError::Unknown { name: clip(name) })?;
        let grants = self
            .grants(twin_id)
            .map_err(|error| ToolError::failed(error.to_string()))?;
        if let Grant::Denied { why } = self.grant(&spec, twin_id, &grants) {
            return Err(ToolError::Denied { reason: why });
        }
        if is_http(&spec.plugin_url) {
            check_url(&spec.plugin_url, &self.egress).map_err(|refusal| ToolError::Denied {
                reason: refusal.to_string(),
            })?;
        }
        let caller = Caller {
            twin_id: twin_id.map(str::to_owned),
        };
        let parameters = match parameters {
            Value::Null => json!({}),
            // The prototype wrapped what it pushed.
            Value::Object(mut wrapped)
                if name == "hive_push" && wrapped.contains_key("artifact") =>
            {
                wrapped.remove("artifact").unwrap_or_default()
            }
            other => other,
        };
        self.host.execute(name, &caller, parameters).await
    }
}

#[async_trait]
impl Tools for Gateway {
    async fn catalog(&self, twin_id: &str) -> Vec<ToolInfo> {
        let twin_id = (!twin_id.is_empty()).then_some(twin_id);
        let Ok(grants) = self.grants(twin_id) else {
            return Vec::new();
        };
        let allowed = |spec: &ToolSpec| self.grant(spec, twin_id, &grants).is_allowed();
        self.host
            .list()
            .into_iter()
            .filter(allowed)
            .map(info)
            .collect()
    }

    async fn withheld(&self, twin_id: &str) -> Vec<ToolInfo> {
        let Ok(grants) = self.grants(Some(twin_id)) else {
            return Vec::new();
        };
        let own = |spec: &ToolSpec| spec.owner_twin.as_deref().is_none_or(|own| own == twin_id);
        let withheld = |spec: &ToolSpec| {
            own(spec)
                && !grants.contains_key(&spec.name)
                && !self.grant(spec, Some(twin_id), &grants).is_allowed()
        };
        self.host
            .list()
            .into_iter()
            .filter(withheld)
            .map(info)
            .collect()
    }

    async fn call(
        &self,
        twin_id: &str,
        name: &str,
        parameters: Value,
    ) -> Result<Value, CallFailure> {
        self.execute(name, Some(twin_id), parameters)
            .await
            .map_err(|error| CallFailure {
                kind: error.kind().into(),
                message: error.to_string(),
            })
    }

    fn leaves_node(&self, name: &str) -> bool {
        self.host
            .get(real_name(name))
            .is_some_and(|spec| is_http(&spec.plugin_url) || spec.annotations.open_world)
    }
}

/// A tool as the planner sees it.
fn info(spec: ToolSpec) -> ToolInfo {
    ToolInfo {
        name: spec.name,
        description: spec.description,
        parameters: spec.parameters,
        read_only: spec.annotations.read_only,
    }
}

/// Whether a tool's address leads out of the node. The scheme's letters may be large or small.
fn is_http(plugin_url: &str) -> bool {
    let scheme = plugin_url.trim().split(':').next().unwrap_or_default();
    ["http", "https"]
        .iter()
        .any(|http| scheme.eq_ignore_ascii_case(http))
}

fn real_name(name: &str) -> &str {
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, real)| real)
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

fn view(spec: ToolSpec, allowed: Option<bool>) -> Tool {
    Tool {
        source: match spec.source {
            ToolSource::Native => "native".to_owned(),
            ToolSource::Registered => "registered".to_owned(),
            ToolSource::Plugin { name, version } => format!("plugin:{name}@{version}"),
        },
        definition: ToolDefinition {
            name: spec.name,
            description: spec.description,
            plugin_url: spec.plugin_url,
            endpoint: spec.endpoint,
            parameters: spec.parameters,
            read_only: spec.annotations.read_only,
            idempotent: spec.annotations.idempotent,
        },
        twin_id: spec.owner_twin,
        allowed,
    }
}

/// A tool's failure as the API reports it.
pub fn api_error(error: ToolError) -> ApiError {
    match error {
        ToolError::Unknown { name } => ApiError::NotFound {
            what: "tool",
            id: name,
        },
        ToolError::InvalidParameters { ref violations, .. } => ApiError::Invalid {
            detail: error.to_string(),
            violations: violations
                .iter()
                .map(|violation| Violation {
                    path: violation.path.clone(),
                    message: violation.message.clone(),
                })
                .collect(),
        },
        ToolError::InvalidSpec { .. } | ToolError::InvalidManifest { .. } => {
            ApiError::invalid(error.to_string())
        }
        ToolError::Denied { reason } => ApiError::Forbidden(reason),
        ToolError::Timeout { .. } => ApiError::Timeout(error.to_string()),
        other => ApiError::Upstream(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_leaves_the_node_is_known_as_such() {
        for url in ["http://x/", "HTTP://x/", " https://x", "hTTps://x"] {
            assert!(is_http(url), "{url}");
        }
        assert!(!is_http("") && !is_http("wasm:///x.wasm") && !is_http("WASM:///x.wasm"));
    }
}
