//! The gateway between a node and its tools.
//!
//! A [`ToolHost`] holds every tool a twin may call, whatever stands behind it: Rust code of this
//! node ([`NativeTool`]), an HTTP service, or a function of a WebAssembly module. Callers see one
//! [`ToolSpec`] and one [`ToolHost::execute`]; the host checks the parameters against the tool's
//! JSON Schema, applies time and size limits, and turns every failure into a [`ToolError`].
//!
//! Where things are:
//!
//! | file | holds |
//! |---|---|
//! | `spec` | what a tool looks like from outside, and the rules for its name |
//! | `config` | limits, with their defaults |
//! | `schema` | compiled parameter schemas |
//! | `host` | the registry and `execute` |
//! | `http` | the HTTP transport and its retry rule |
//! | `wasm` | the WebAssembly transport (core ABI) |
//! | `manifest` | `manifest.toml`, parsed and checked without touching the disk |
//! | `discover` | the scan of a plugin directory |
//!
//! A guest gets no power: no WASI, no clock, no files, no network, only `pagi.register_tool`.

mod config;
mod discover;
mod error;
mod host;
mod http;
mod manifest;
mod schema;
mod spec;
mod wasm;

pub use config::{AddressCheck, HostConfig, HttpLimits, WasmLimits};
pub use discover::{Discovery, FailedPlugin, LoadedPlugin};
pub use error::{ToolError, Violation};
pub use host::ToolHost;
pub use manifest::{Manifest, ManifestTool, PluginType};
pub use spec::{Annotations, Caller, NativeTool, ToolSource, ToolSpec};
