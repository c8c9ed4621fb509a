//! The host against real modules, a real HTTP server and real plugin folders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code"
)]

mod cancellation;
mod discovery;
mod hostile_guests;
mod http_tools;
mod registry;
mod server;
mod text_stats;

use pagi_plugin_host::{
    Annotations, Caller, HostConfig, ToolError, ToolHost, ToolSource, ToolSpec,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A host that loads modules from a directory of its own.
struct Bench {
    host: ToolHost,
    dir: TempDir,
}

impl Bench {
    fn new(adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = HostConfig {
            wasm_root: vec![dir.path().to_owned()],
            ..HostConfig::default()
        };
        adjust(&mut config);
        Self {
            host: ToolHost::new(config).unwrap(),
            dir,
        }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Compiles `wat` and registers its function `run` as the tool `name`.
    async fn register_wat(&self, name: &str, wat: &str) -> Result<ToolSpec, ToolError> {
        let module = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
        let path = self.write(&format!("{name}.wasm"), module);
        self.host.register(wasm_tool(name, &path)).await
    }

    async fn call(&self, name: &str) -> Result<Value, ToolError> {
        self.host
            .execute(name, &Caller::default(), json!({"text": "hello"}))
            .await
    }
}

fn tool(name: &str, plugin_url: &str, endpoint: &str) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: String::new(),
        plugin_url: plugin_url.into(),
        endpoint: endpoint.into(),
        parameters: json!({"type": "object"}),
        annotations: Annotations::default(),
        owner_twin: None,
        source: ToolSource::Registered,
    }
}

fn wasm_tool(name: &str, path: &Path) -> ToolSpec {
    tool(name, &format!("wasm://{}", path.display()), "/run")
}

/// A module that keeps to the ABI, with `extra` added: text of the function `run` and whatever
/// it needs.
fn guest(extra: &str) -> String {
    guest_importing("", extra)
}

fn guest_importing(imports: &str, extra: &str) -> String {
    format!(
        r#"(module {imports}
          (memory (export "memory") 1)
          (data (i32.const 64) "{{\"ok\":true}}")
          (func (export "alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "dealloc") (param i32 i32))
          {extra})"#
    )
}

/// `run` that answers `{"ok":true}`.
const GOOD_RUN: &str = r#"(func (export "run") (param i32 i32) (result i64)
    (i64.const 0x40_0000_000b))"#;

/// `run` that answers with its input.
const ECHO_RUN: &str = r#"(func (export "run") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
            (i64.extend_i32_u (local.get 1))))"#;
