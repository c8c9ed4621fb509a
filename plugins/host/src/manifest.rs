//! `manifest.toml` of a plugin folder, parsed and checked. No disk access here.
//!
//! ```toml
//! [plugin]
//! name = "weather"
//! version = "1.2.0"
//! plugin_type = "wasm"          # wasm | http | binary | shared_lib
//! wasm_path = "plugin.wasm"     # wasm only; the default; inside the plugin folder
//! # url = "http://127.0.0.1:9000"   # http only; a tool may have its own plugin_url
//!
//! [[tools]]
//! name = "forecast"
//! description = "Weather forecast of a place"
//! endpoint = "forecast"         # exported function, or HTTP path
//! parameters = { type = "object", required = ["place"] }   # JSON Schema, or its JSON text
//! annotations = { read_only = true }
//! ```

use crate::error::{ToolError, excerpt};
use crate::spec::{Annotations, any_object, is_name};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

const MOST_TOOLS: usize = 256;

/// What stands behind a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginType {
    /// A WebAssembly module in the plugin folder.
    Wasm,
    /// An HTTP service that runs elsewhere.
    Http,
    /// A program; needs powers no plugin is granted, so it is refused.
    Binary,
    /// A library loaded into this process; refused like `Binary`.
    SharedLib,
}

/// A checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Name of the plugin, by the rules of tool names.
    pub name: String,
    /// Its version; not interpreted.
    pub version: String,
    /// What stands behind it.
    pub plugin_type: PluginType,
    /// Module file, relative to the plugin folder, without `..`.
    pub wasm_path: PathBuf,
    /// Address of the tools that have none of their own (`http` only).
    pub url: Option<String>,
    /// The tools it describes; a WebAssembly plugin may register more from `init`.
    pub tools: Vec<ManifestTool>,
}

/// One `[[tools]]` entry.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestTool {
    /// Name of the tool.
    pub name: String,
    /// What it does; may be empty.
    pub description: String,
    /// Exported function or HTTP path; may be empty.
    pub endpoint: String,
    /// JSON Schema of the parameters; any object by default.
    pub parameters: Value,
    /// Address of this tool alone (`http` only).
    pub plugin_url: Option<String>,
    /// What callers may assume about its effects.
    pub annotations: Annotations,
}

#[derive(Deserialize)]
struct RawManifest {
    plugin: RawPlugin,
    #[serde(default)]
    tools: Vec<RawTool>,
}

#[derive(Deserialize)]
struct RawPlugin {
    name: String,
    version: String,
    plugin_type: PluginType,
    wasm_path: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct RawTool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    endpoint: String,
    parameters: Option<toml::Value>,
    plugin_url: Option<String>,
    #[serde(default)]
    annotations: Annotations,
}

impl Manifest {
    /// Parses the text of a `manifest.toml`.
    ///
    /// # Errors
    /// [`ToolError::InvalidManifest`] for text that is no TOML, lacks a required key, names a
    /// module outside the folder, or holds parameters that are no schema object.
    pub fn parse(text: &str) -> Result<Self, ToolError> {
        let raw: RawManifest =
            toml::from_str(text).map_err(|error| invalid(excerpt(error.to_string().as_bytes())))?;
        let plugin = raw.plugin;
        if !is_name(&plugin.name) {
            return Err(invalid(
                "plugin.name is a letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`",
            ));
        }
        if plugin.version.is_empty() || plugin.version.len() > 64 {
            return Err(invalid("plugin.version must have 1 to 64 bytes"));
        }
        if raw.tools.len() > MOST_TOOLS {
            return Err(invalid(format!(
                "it describes more than {MOST_TOOLS} tools"
            )));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = raw
            .tools
            .iter()
            .find(|tool| !names.insert(tool.name.as_str()))
        {
            return Err(invalid(format!(
                "the tool `{}` is described twice",
                shown(&twice.name)
            )));
        }
        Ok(Self {
            name: plugin.name,
            version: plugin.version,
            plugin_type: plugin.plugin_type,
            wasm_path: inner_path(plugin.wasm_path.as_deref().unwrap_or("plugin.wasm"))?,
            url: plugin.url,
            tools: raw.tools.into_iter().map(tool).collect::<Result<_, _>>()?,
        })
    }
}

fn invalid(reason: impl Into<String>) -> ToolError {
    ToolError::InvalidManifest {
        reason: reason.into(),
    }
}

/// A path that stays below the folder it starts in.
fn inner_path(text: &str) -> Result<PathBuf, ToolError> {
    let path = Path::new(text);
    let inner = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if text.is_empty() || text.contains('\0') || !inner {
        return Err(invalid(
            "plugin.wasm_path must name a file inside the plugin folder, relative and without `..`",
        ));
    }
    Ok(path.to_owned())
}

fn tool(raw: RawTool) -> Result<ManifestTool, ToolError> {
    if !is_name(&raw.name) {
        return Err(invalid(format!(
            "the tool name `{}` is not a letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`",
            shown(&raw.name)
        )));
    }
    let parameters = match raw.parameters {
        None => any_object(),
        Some(toml::Value::String(text)) => serde_json::from_str(&text).map_err(|error| {
            invalid(format!(
                "parameters of `{}` are no JSON: {error}",
                shown(&raw.name)
            ))
        })?,
        Some(table) => serde_json::to_value(table).map_err(|error| {
            invalid(format!(
                "parameters of `{}` have no JSON form: {error}",
                shown(&raw.name)
            ))
        })?,
    };
    if !parameters.is_object() {
        return Err(invalid(format!(
            "parameters of `{}` must be a schema object",
            shown(&raw.name)
        )));
    }
    Ok(ManifestTool {
        name: raw.name,
        description: raw.description,
        endpoint: raw.endpoint,
        parameters,
        plugin_url: raw.plugin_url,
        annotations: raw.annotations,
    })
}

fn shown(name: &str) -> String {
    excerpt(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn tool_names_are_checked_and_stand_once() {
        let with = |tools: &[&str]| {
            let tools: String = tools
                .iter()
                .map(|name| format!("[[tools]]\nname = {name:?}\n"))
                .collect();
            Manifest::parse(&format!("{HEAD}{tools}"))
        };
        assert!(with(&["a", "b"]).is_ok());
        let long = "n".repeat(65);
        for bad in [&["a b"][..], &[""], &[long.as_str()], &["a", "a"]] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
    }

    const HEAD: &str = "[plugin]\nname = \"p\"\nversion = \"1\"\nplugin_type = \"wasm\"\n";

    #[test]
    fn parameters_as_table_or_as_json_text() {
        let manifest = Manifest::parse(&format!(
            "{HEAD}[[tools]]\nname = \"a\"\n[tools.parameters]\ntype = \"object\"\nrequired = [\"x\"]\n\
             [[tools]]\nname = \"b\"\nparameters = '''{{\"type\": \"object\"}}'''\n\
             annotations = {{ read_only = true }}\n[[tools]]\nname = \"c\"\n"
        ))
        .unwrap();
        assert_eq!(manifest.wasm_path, Path::new("plugin.wasm"));
        assert_eq!(
            manifest.tools[0].parameters,
            json!({"type": "object", "required": ["x"]})
        );
        assert_eq!(manifest.tools[1].parameters, json!({"type": "object"}));
        assert!(manifest.tools[1].annotations.read_only);
        assert_eq!(manifest.tools[2].parameters, any_object());
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for path in ["../p.wasm", "/etc/passwd", "a/../../b", "", "a\\u0000b"] {
            let text = format!("{HEAD}wasm_path = \"{path}\"\n");
            assert!(
                matches!(
                    Manifest::parse(&text),
                    Err(ToolError::InvalidManifest { .. })
                ),
                "{path}"
            );
        }
        Manifest::parse(&format!("{HEAD}wasm_path = \"./build/p.wasm\"\n")).unwrap();
    }

    #[test]
    fn broken_manifests_are_refused() {
        for text in [
            "",
            "[plugin]",
            "not toml",
            "[plugin]\nname = \"p\"\nversion = \"1\"\nplugin_type = \"exe\"\n",
            "[plugin]\nname = \"../p\"\nversion = \"1\"\nplugin_type = \"wasm\"\n",
            "[plugin]\nname = \"p\"\nversion = \"\"\nplugin_type = \"wasm\"\n",
            &format!("{HEAD}[[tools]]\nname = \"a\"\nparameters = \"[\"\n"),
            &format!("{HEAD}[[tools]]\nname = \"a\"\nparameters = \"3\"\n"),
            &format!("{HEAD}[[tools]]\nname = \"a\"\nparameters = 3\n"),
        ] {
            assert!(Manifest::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_handled(text in "\\PC{0,200}") {
            let _ = Manifest::parse(&text);
        }

        #[test]
        fn accepted_paths_stay_inside(path in "[a./]{1,12}") {
            if let Ok(path) = inner_path(&path) {
                prop_assert!(path.components().all(|part| part != Component::ParentDir));
                prop_assert!(path.is_relative());
            }
        }
    }
}
