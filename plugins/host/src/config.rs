//! Limits the host applies, with their defaults.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Judges an address before a connection to it is made; an error says why it may not be reached.
#[derive(Clone)]
pub struct AddressCheck(Arc<dyn Fn(IpAddr) -> Result<(), String> + Send + Sync>);

impl AddressCheck {
    /// A check by a function.
    pub fn new(check: impl Fn(IpAddr) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    pub(crate) fn judge(&self, address: IpAddr) -> Result<(), String> {
        (self.0)(address)
    }
}

impl fmt::Debug for AddressCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AddressCheck(…)")
    }
}

/// Settings of a [`ToolHost`](crate::ToolHost).
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Longest time one call may take, whatever the transport. Default 30 s.
    pub call_timeout: Duration,
    /// Most tools held at once. Default 2,000.
    pub max_tools: usize,
    /// Limits of HTTP tools.
    pub http: HttpLimits,
    /// Limits of WebAssembly tools.
    pub wasm: WasmLimits,
    /// Directories that `wasm:///` addresses may name files in. Empty (the default) means none.
    /// Modules that a manifest names inside its own plugin folder load regardless.
    pub wasm_root: Vec<PathBuf>,
    /// Lets `wasm:///` addresses name any file of this machine. Default `false`.
    pub allow_any_path: bool,
    /// Judges every address that HTTP tools connect to, after its name was resolved: the connection
    /// goes to the very address that was judged. `None` (the default) lets all pass.
    pub address_check: Option<AddressCheck>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(30),
            max_tools: 2000,
            http: HttpLimits::default(),
            wasm: WasmLimits::default(),
            wasm_root: Vec::new(),
            allow_any_path: false,
            address_check: None,
        }
    }
}

/// Limits of HTTP tools.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Longest answer, in bytes. Default 1 MiB.
    pub max_response_bytes: usize,
    /// Most attempts for one call, the first included, where repeating is safe. Default 3.
    pub max_attempts: usize,
    /// Longest time to set up a connection. Default 5 s.
    pub connect_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_response_bytes: 1 << 20,
            max_attempts: 3,
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Limits of WebAssembly tools. All but the last two hold for one call.
#[derive(Debug, Clone)]
pub struct WasmLimits {
    /// Units of fuel, roughly one per instruction. Default 2,000,000,000.
    pub fuel: u64,
    /// Most linear memory, in bytes. Default 64 MiB.
    pub max_memory_bytes: usize,
    /// Longest result, in bytes. Default 1 MiB.
    pub max_result_bytes: usize,
    /// Longest time to run. Default 5 s.
    pub deadline: Duration,
    /// Largest module file, in bytes. Default 16 MiB.
    pub max_module_bytes: u64,
    /// Most calls that run at the same time; more wait their turn. Default 8.
    pub max_concurrent: usize,
}

impl Default for WasmLimits {
    fn default() -> Self {
        Self {
            fuel: 2_000_000_000,
            max_memory_bytes: 64 << 20,
            max_result_bytes: 1 << 20,
            deadline: Duration::from_secs(5),
            max_module_bytes: 16 << 20,
            max_concurrent: 8,
        }
    }
}
