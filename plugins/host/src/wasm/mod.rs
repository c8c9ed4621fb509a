//! The WebAssembly transport, core ABI.
//!
//! A module exports its `memory`, `alloc(len) -> ptr`, `dealloc(ptr, len)`, optionally `init()`,
//! and one function `(ptr, len) -> i64` per tool, where the result is `ptr << 32 | len` of JSON
//! text. It may import `pagi.register_tool` and nothing else.
//!
//! Each call gets a fresh instance, so nothing a call does outlives it. Fuel bounds the work,
//! an epoch deadline bounds the time, and a limiter bounds memory; `guest` reads what the
//! module hands back and trusts none of it.

mod guest;
mod limiter;

use crate::config::WasmLimits;
use crate::error::{ToolError, excerpt};
use guest::Guest;
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use wasmtime::{
    Config, Engine, ExternType, FuncType, Instance, InstancePre, Linker, Module, Store, ValType,
};

pub(crate) use guest::RegisteredTool;

/// How often a call past its deadline is told to stop.
const NUDGE: Duration = Duration::from_millis(20);

/// Compiler and limits shared by all modules of a host.
pub(crate) struct WasmRuntime {
    engine: Engine,
    linker: Linker<Guest>,
    limits: WasmLimits,
    permits: Arc<Semaphore>,
}

/// A compiled and linked module; clones share the code.
#[derive(Clone)]
pub(crate) struct Plugin {
    linked: InstancePre<Guest>,
}

impl WasmRuntime {
    pub(crate) fn new(limits: WasmLimits) -> Result<Self, ToolError> {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            .max_wasm_stack(512 << 10)
            .wasm_memory64(false)
            .wasm_multi_memory(false);
        let engine = Engine::new(&config)
            .map_err(|error| ToolError::failed(format!("no WebAssembly engine: {error:#}")))?;
        let mut linker = Linker::new(&engine);
        guest::link(&mut linker)?;
        let permits = Arc::new(Semaphore::new(limits.max_concurrent.clamp(1, 1024)));
        Ok(Self {
            engine,
            linker,
            limits,
            permits,
        })
    }

    /// Reads and compiles the module in `path` and checks its imports and common exports.
    pub(crate) async fn load(&self, path: &Path) -> Result<Plugin, ToolError> {
        let path = path.to_owned();
        let engine = self.engine.clone();
        let linker = self.linker.clone();
        let max = self.limits.max_module_bytes;
        tokio::task::spawn_blocking(move || {
            let module = Module::from_binary(&engine, &read_module(&path, max)?)
                .map_err(|error| ToolError::bad_guest(brief(&error)))?;
            check_module(&module)?;
            let linked = linker
                .instantiate_pre(&module)
                .map_err(|error| ToolError::bad_guest(brief(&error)))?;
            Ok(Plugin { linked })
        })
        .await
        .map_err(|_| ToolError::failed("the WebAssembly compiler failed"))?
    }

    /// Runs `init` and returns the tools it registered.
    pub(crate) async fn describe(&self, plugin: &Plugin) -> Result<Vec<RegisteredTool>, ToolError> {
        self.run(plugin, |store, _| Ok(store.data_mut().take_registered()))
            .await
    }

    /// Calls the exported function `export` with `parameters` and returns its JSON result.
    pub(crate) async fn call(
        &self,
        plugin: &Plugin,
        export: &str,
        parameters: &Value,
    ) -> Result<Value, ToolError> {
        let export = export.to_owned();
        let input = parameters.to_string().into_bytes();
        let max = self.limits.max_result_bytes;
        let result = self
            .run(plugin, move |store, instance| {
                guest::call(store, instance, &export, &input, max)
            })
            .await?;
        serde_json::from_slice(&result).map_err(|_| ToolError::NotJson {
            excerpt: excerpt(&result),
        })
    }

    /// Makes an instance on a blocking thread, runs `init`, then `job`, all within the limits.
    async fn run<T: Send + 'static>(
        &self,
        plugin: &Plugin,
        job: impl FnOnce(&mut Store<Guest>, &Instance) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| ToolError::failed("the WebAssembly runtime is shut down"))?;
        let stop = StopOnDrop {
            engine: self.engine.clone(),
            stopped: Arc::default(),
        };
        let stopped = Arc::clone(&stop.stopped);
        let (linked, limits) = (plugin.linked.clone(), self.limits.clone());
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut store = guest::store(linked.module().engine(), &limits, stopped)?;
            let instance = guest::start(&mut store, &linked)?;
            job(&mut store, &instance)
        });
        tokio::select! {
            done = running => done.map_err(|_| ToolError::failed("the plugin call panicked"))?,
            never = self.nudge_late_calls() => match never {},
        }
    }

    /// Advances the epoch once the deadline has passed. Every running call then looks at its own
    /// clock; those in time go on.
    async fn nudge_late_calls(&self) -> std::convert::Infallible {
        tokio::time::sleep(self.limits.deadline).await;
        loop {
            self.engine.increment_epoch();
            tokio::time::sleep(NUDGE).await;
        }
    }
}

impl Plugin {
    /// Checks that `export` is a tool: a function `(i32, i32) -> i64`.
    pub(crate) fn check_tool(&self, export: &str) -> Result<(), ToolError> {
        check_export(
            self.linked.module(),
            export,
            &[ValType::I32, ValType::I32],
            &[ValType::I64],
        )
    }
}

/// Stops the guest when nobody waits for it any more.
struct StopOnDrop {
    engine: Engine,
    stopped: Arc<AtomicBool>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.engine.increment_epoch();
    }
}

/// When a call must end.
struct Deadline {
    at: Instant,
    stopped: Arc<AtomicBool>,
}

impl Deadline {
    fn passed(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || Instant::now() >= self.at
    }
}

fn read_module(path: &Path, max: u64) -> Result<Vec<u8>, ToolError> {
    let io = |error: std::io::Error| ToolError::io(path, &error);
    let file = std::fs::File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(ToolError::bad_guest("the module is not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > max {
        return Err(ToolError::bad_guest(format!(
            "the module is larger than {max} bytes"
        )));
    }
    Ok(bytes)
}

fn check_module(module: &Module) -> Result<(), ToolError> {
    for import in module.imports() {
        if (import.module(), import.name()) != (guest::IMPORT_MODULE, guest::REGISTER_TOOL) {
            return Err(ToolError::bad_guest(format!(
                "it imports `{}.{}`; plugins may import only `pagi.register_tool`",
                excerpt(import.module().as_bytes()),
                excerpt(import.name().as_bytes()),
            )));
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => {}
        _ => return Err(ToolError::bad_guest("it exports no `memory`")),
    }
    check_export(module, "alloc", &[ValType::I32], &[ValType::I32])?;
    check_export(module, "dealloc", &[ValType::I32, ValType::I32], &[])?;
    if module.get_export("init").is_some() {
        check_export(module, "init", &[], &[])?;
    }
    Ok(())
}

fn check_export(
    module: &Module,
    name: &str,
    parameters: &[ValType],
    results: &[ValType],
) -> Result<(), ToolError> {
    let want = FuncType::new(module.engine(), parameters.to_vec(), results.to_vec());
    let name_shown = excerpt(name.as_bytes());
    match module.get_export(name) {
        Some(ExternType::Func(found)) if FuncType::eq(&found, &want) => Ok(()),
        Some(ExternType::Func(found)) => Err(ToolError::bad_guest(format!(
            "its function `{name_shown}` is {found} instead of {want}"
        ))),
        Some(_) => Err(ToolError::bad_guest(format!(
            "its export `{name_shown}` is no function"
        ))),
        None => Err(ToolError::bad_guest(format!(
            "it exports no function `{name_shown}`"
        ))),
    }
}

/// An engine error in one bounded line.
fn brief(error: &wasmtime::Error) -> String {
    excerpt(format!("{error:#}").as_bytes())
}
