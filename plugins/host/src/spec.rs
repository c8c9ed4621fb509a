//! What a tool looks like from outside, and the rules its name, address and endpoint keep to.

use crate::ToolError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// A tool as callers, planners and the REST interface see it.
///
/// In JSON, `name` alone is required; `POST /register_tool` sends
/// `{name, description, plugin_url, endpoint, parameters}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Unique name: a letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`.
    pub name: String,
    /// What the tool does, for people, planners and search.
    #[serde(default)]
    pub description: String,
    /// Where the tool is: `http://…`, `https://…` or `wasm:///absolute/path.wasm`.
    /// Empty for native tools.
    #[serde(default)]
    pub plugin_url: String,
    /// HTTP: path appended to `plugin_url`. WebAssembly: name of the exported function, the
    /// tool's name when empty.
    #[serde(default)]
    pub endpoint: String,
    /// JSON Schema (2020-12 unless `$schema` says otherwise) of the parameters.
    #[serde(default = "any_object")]
    pub parameters: Value,
    /// What callers may assume about its effects.
    #[serde(default)]
    pub annotations: Annotations,
    /// Twin that registered the tool and alone may call it; `None` opens it to every twin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_twin: Option<String>,
    /// How the tool came here. Set by the host; what a registration says here is ignored.
    #[serde(default)]
    pub source: ToolSource,
}

impl ToolSpec {
    /// A spec of a native tool open to every twin; `parameters` is its JSON Schema.
    pub fn native(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            plugin_url: String::new(),
            endpoint: String::new(),
            parameters,
            annotations: Annotations::default(),
            owner_twin: None,
            source: ToolSource::Native,
        }
    }

    /// The same spec with other annotations.
    #[must_use]
    pub fn with_annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = annotations;
        self
    }
}

/// The schema that allows any JSON object.
pub(crate) fn any_object() -> Value {
    json!({"type": "object"})
}

/// Hints about what a call does. Without a hint the worst is assumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotations {
    /// Changes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// A repeated call has no further effect, so the host may repeat one that broke off.
    #[serde(default)]
    pub idempotent: bool,
    /// Talks to the world outside this node.
    #[serde(default)]
    pub open_world: bool,
}

impl Annotations {
    /// Whether a call may be sent again when its fate is unknown.
    #[must_use]
    pub fn repeatable(self) -> bool {
        self.read_only || self.idempotent
    }
}

/// How a tool came into the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToolSource {
    /// Code of this node.
    Native,
    /// Registered while the node runs.
    #[default]
    Registered,
    /// Found in a plugin folder.
    Plugin {
        /// Name of the plugin.
        name: String,
        /// Its version, as the manifest writes it.
        version: String,
    },
}

/// On whose behalf a tool is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The twin; `None` stands for the operator of the node.
    pub twin_id: Option<String>,
}

impl Caller {
    /// A twin of this node.
    pub fn twin(id: impl Into<String>) -> Self {
        Self {
            twin_id: Some(id.into()),
        }
    }
}

/// A tool written in Rust as part of the node.
#[async_trait]
pub trait NativeTool: Send + Sync {
    /// What to register; asked for once.
    fn spec(&self) -> ToolSpec;

    /// Runs the tool. The parameters already fit the schema, and the host drops the call when
    /// its time is over.
    ///
    /// # Errors
    /// Whatever the tool reports, [`ToolError::Failed`] if nothing fits better.
    async fn call(&self, caller: &Caller, parameters: Value) -> Result<Value, ToolError>;
}

/// Where a registered tool is reached, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Address to post to.
    Http(Url),
    /// Module address and exported function.
    Wasm { url: Url, export: String },
}

const LONGEST_NAME: usize = 64;
const LONGEST_DESCRIPTION: usize = 8 << 10;
const LONGEST_ADDRESS: usize = 2 << 10;

/// Checks name and description.
pub(crate) fn check_naming(spec: &ToolSpec) -> Result<(), ToolError> {
    if !is_name(&spec.name) {
        return Err(ToolError::invalid_spec(
            &spec.name,
            "a name is a letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`",
        ));
    }
    if spec.description.len() > LONGEST_DESCRIPTION {
        return Err(ToolError::invalid_spec(
            &spec.name,
            format!("the description is longer than {LONGEST_DESCRIPTION} bytes"),
        ));
    }
    Ok(())
}

pub(crate) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= LONGEST_NAME
        && chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Name of the exported function an endpoint stands for.
pub(crate) fn export_name(spec: &ToolSpec) -> String {
    match spec.endpoint.strip_prefix('/').unwrap_or(&spec.endpoint) {
        "" => spec.name.clone(),
        export => export.to_owned(),
    }
}

/// Checks address and endpoint and joins them.
pub(crate) fn target(spec: &ToolSpec) -> Result<Target, ToolError> {
    let invalid = |reason: String| ToolError::invalid_spec(&spec.name, reason);
    for (what, text) in [
        ("plugin_url", &spec.plugin_url),
        ("endpoint", &spec.endpoint),
    ] {
        if text.len() > LONGEST_ADDRESS {
            return Err(invalid(format!(
                "{what} is longer than {LONGEST_ADDRESS} bytes"
            )));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid(format!(
                "{what} holds blanks or control characters"
            )));
        }
    }
    if spec.plugin_url.is_empty() {
        return Err(invalid("plugin_url is missing".into()));
    }
    let base = Url::parse(&spec.plugin_url)
        .map_err(|error| invalid(format!("plugin_url is no address: {error}")))?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(invalid(
            "plugin_url may not hold a user name or password".into(),
        ));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(invalid(
            "plugin_url may not hold a query or fragment".into(),
        ));
    }
    match base.scheme() {
        "http" | "https" => http_target(spec, &base).map(Target::Http),
        "wasm" => {
            if base.host_str().is_some_and(|host| !host.is_empty()) {
                return Err(invalid(
                    "a wasm address has three slashes: wasm:///path".into(),
                ));
            }
            Ok(Target::Wasm {
                export: export_name(spec),
                url: base,
            })
        }
        other => Err(invalid(format!(
            "scheme `{other}` is none of http, https, wasm"
        ))),
    }
}

fn http_target(spec: &ToolSpec, base: &Url) -> Result<Url, ToolError> {
    let endpoint = spec.endpoint.strip_prefix('/').unwrap_or(&spec.endpoint);
    let joined = if endpoint.is_empty() {
        base.clone()
    } else {
        let text = format!("{}/{endpoint}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| {
            ToolError::invalid_spec(&spec.name, format!("endpoint is no path: {error}"))
        })?
    };
    // The endpoint is text of the registrant; it must not lead to another server.
    if joined.origin() != base.origin() || joined.fragment().is_some() {
        return Err(ToolError::invalid_spec(
            &spec.name,
            "endpoint must be a path",
        ));
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(plugin_url: &str, endpoint: &str) -> ToolSpec {
        ToolSpec {
            plugin_url: plugin_url.into(),
            endpoint: endpoint.into(),
            ..ToolSpec::native("t", "", any_object())
        }
    }

    fn http(plugin_url: &str, endpoint: &str) -> Option<String> {
        match target(&spec(plugin_url, endpoint)) {
            Ok(Target::Http(url)) => Some(url.to_string()),
            _ => None,
        }
    }

    #[test]
    fn names() {
        for good in ["a", "_x", "did_sign.v1-b", &"n".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a/b", "é", "a\0", &"n".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn http_addresses_are_joined() {
        assert_eq!(http("http://h:1", "/e").as_deref(), Some("http://h:1/e"));
        assert_eq!(http("http://h:1/", "e").as_deref(), Some("http://h:1/e"));
        assert_eq!(
            http("https://h/base", "/e?x=1").as_deref(),
            Some("https://h/base/e?x=1")
        );
        assert_eq!(http("http://h/base", "").as_deref(), Some("http://h/base"));
        assert_eq!(
            http("http://good", "@evil/x").as_deref(),
            Some("http://good/@evil/x")
        );
    }

    #[test]
    fn bad_addresses_are_refused() {
        for (url, endpoint) in [
            ("", "/e"),
            ("h:1/e", ""),
            ("ftp://h", "/e"),
            ("file:///etc/passwd", ""),
            ("http://user:pw@h", "/e"),
            ("http://h?q=1", "/e"),
            ("http://h", "/a b"),
            ("http://h", "/e#f"),
            ("wasm://host/p.wasm", "e"),
        ] {
            assert!(target(&spec(url, endpoint)).is_err(), "{url} {endpoint}");
        }
    }

    #[test]
    fn wasm_exports() {
        for (endpoint, want) in [("", "t"), ("/", "t"), ("/run", "run"), ("run", "run")] {
            let Ok(Target::Wasm { export, .. }) = target(&spec("wasm:///p.wasm", endpoint)) else {
                panic!("refused {endpoint}");
            };
            assert_eq!(export, want);
        }
    }

    #[test]
    fn json_shape() {
        let spec: ToolSpec = serde_json::from_value(json!({
            "name": "w", "description": "d", "plugin_url": "http://h", "endpoint": "/e",
            "parameters": {"type": "object"}
        }))
        .unwrap();
        assert_eq!(spec.source, ToolSource::Registered);
        let out = serde_json::to_value(&spec).unwrap();
        assert_eq!(out["source"], json!({"kind": "registered"}));
        assert_eq!(serde_json::from_value::<ToolSpec>(out).unwrap(), spec);
    }

    proptest! {
        #[test]
        fn an_endpoint_never_changes_the_server(endpoint in "[!-~]{0,24}") {
            if let Ok(Target::Http(url)) = target(&spec("http://good:81/base", &endpoint)) {
                prop_assert_eq!(url.host_str(), Some("good"));
                prop_assert_eq!(url.port(), Some(81));
            }
        }
    }
}
