//! One instance: its state, the single host function, and calls into it.
//!
//! Pointers and lengths from the guest are checked against its memory before use.

use super::limiter::Limiter;
use super::{Deadline, brief};
use crate::config::WasmLimits;
use crate::error::{ToolError, excerpt};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use wasmtime::{
    Caller, Engine, Instance, InstancePre, Linker, Memory, Store, Trap, UpdateDeadline, WasmParams,
    WasmResults,
};

pub(super) const IMPORT_MODULE: &str = "pagi";
pub(super) const REGISTER_TOOL: &str = "register_tool";

const MOST_REGISTERED: usize = 64;
const LONGEST_NAME: usize = 64;
const LONGEST_TEXT: usize = 4 << 10;

/// A tool that a module announced from its `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegisteredTool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) endpoint: String,
}

/// What the host keeps per instance.
pub(super) struct Guest {
    limiter: Limiter,
    fuel: u64,
    deadline_ms: u64,
    registered: Vec<RegisteredTool>,
}

impl Guest {
    pub(super) fn take_registered(&mut self) -> Vec<RegisteredTool> {
        std::mem::take(&mut self.registered)
    }
}

/// Raised inside the guest when its time is over.
#[derive(Debug, thiserror::Error)]
#[error("deadline passed")]
struct DeadlinePassed;

/// Raised inside the guest when it misuses a host function.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Offers the host functions to guests.
pub(super) fn link(linker: &mut Linker<Guest>) -> Result<(), ToolError> {
    linker
        .func_wrap(IMPORT_MODULE, REGISTER_TOOL, register_tool)
        .map(|_| ())
        .map_err(|error| ToolError::failed(format!("no host functions: {error:#}")))
}

#[allow(clippy::too_many_arguments, reason = "the ABI has six parameters")]
fn register_tool(
    mut caller: Caller<'_, Guest>,
    name: i32,
    name_len: i32,
    description: i32,
    description_len: i32,
    endpoint: i32,
    endpoint_len: i32,
) -> wasmtime::Result<()> {
    let misuse = |reason: String| {
        wasmtime::Error::new(Misuse(format!("{IMPORT_MODULE}.{REGISTER_TOOL}: {reason}")))
    };
    let memory = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory)
        .ok_or_else(|| misuse("the plugin exports no `memory`".into()))?;
    let data = memory.data(&caller);
    let text = |what: &str, ptr: i32, len: i32, longest: usize| {
        let range = span(data.len(), ptr.cast_unsigned(), len.cast_unsigned())
            .ok_or_else(|| misuse(format!("the {what} lies outside the plugin's memory")))?;
        if range.len() > longest {
            return Err(misuse(format!("the {what} is longer than {longest} bytes")));
        }
        data.get(range)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .map(str::to_owned)
            .ok_or_else(|| misuse(format!("the {what} is not UTF-8")))
    };
    let tool = RegisteredTool {
        name: text("name", name, name_len, LONGEST_NAME)?,
        description: text("description", description, description_len, LONGEST_TEXT)?,
        endpoint: text("endpoint", endpoint, endpoint_len, LONGEST_TEXT)?,
    };
    let registered = &mut caller.data_mut().registered;
    if registered.len() >= MOST_REGISTERED {
        return Err(misuse(format!("more than {MOST_REGISTERED} tools")));
    }
    registered.push(tool);
    Ok(())
}

/// A store with all limits armed.
pub(super) fn store(
    engine: &Engine,
    limits: &WasmLimits,
    stopped: Arc<AtomicBool>,
) -> Result<Store<Guest>, ToolError> {
    let deadline = Deadline {
        at: Instant::now() + limits.deadline,
        stopped,
    };
    let deadline_ms = u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX);
    let mut store = Store::new(
        engine,
        Guest {
            limiter: Limiter::new(limits),
            fuel: limits.fuel,
            deadline_ms,
            registered: Vec::new(),
        },
    );
    store.limiter(|guest| &mut guest.limiter);
    store
        .set_fuel(limits.fuel)
        .map_err(|error| ToolError::failed(format!("fuel cannot be set: {error:#}")))?;
    store.set_epoch_deadline(1);
    // A stop that came before the line above is seen here, a later one by the callback.
    if deadline.passed() {
        return Err(ToolError::Timeout {
            after_ms: deadline_ms,
        });
    }
    store.epoch_deadline_callback(move |_| {
        if deadline.passed() {
            Err(wasmtime::Error::new(DeadlinePassed))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    Ok(store)
}

/// Instantiates the module and runs its `init`, if it has one.
pub(super) fn start(
    store: &mut Store<Guest>,
    linked: &InstancePre<Guest>,
) -> Result<Instance, ToolError> {
    let instance = linked
        .instantiate(&mut *store)
        .map_err(|error| explain(store, &error))?;
    if linked.module().get_export("init").is_some() {
        invoke::<(), ()>(store, &instance, "init", ())?;
    }
    Ok(instance)
}

/// Hands `input` to the exported tool `export` and returns the bytes of its result.
pub(super) fn call(
    store: &mut Store<Guest>,
    instance: &Instance,
    export: &str,
    input: &[u8],
    max_result_bytes: usize,
) -> Result<Vec<u8>, ToolError> {
    let memory = instance
        .get_memory(&mut *store, "memory")
        .ok_or_else(|| ToolError::bad_guest("it exports no `memory`"))?;
    let len = i32::try_from(input.len())
        .map_err(|_| ToolError::failed("the parameters are too long for a plugin"))?;
    let ptr: i32 = invoke(store, instance, "alloc", len)?;
    let data = memory.data_mut(&mut *store);
    let size = data.len();
    span(size, ptr.cast_unsigned(), len.cast_unsigned())
        .and_then(|range| data.get_mut(range))
        .ok_or_else(|| {
            ToolError::bad_guest(format!(
                "alloc({len}) returned {}, outside its memory of {size} bytes",
                ptr.cast_unsigned()
            ))
        })?
        .copy_from_slice(input);

    let packed: i64 = invoke(store, instance, export, (ptr, len))?;
    let (ptr, len) = unpack(packed);
    let result = read(&memory, store, ptr, len, max_result_bytes)?;
    // The result is already safe, so a guest that stumbles here loses nothing.
    if let Err(error) = invoke::<_, ()>(
        store,
        instance,
        "dealloc",
        (ptr.cast_signed(), len.cast_signed()),
    ) {
        tracing::warn!(%error, export, "the plugin failed to free its result");
    }
    Ok(result)
}

fn read(
    memory: &Memory,
    store: &Store<Guest>,
    ptr: u32,
    len: u32,
    max: usize,
) -> Result<Vec<u8>, ToolError> {
    let data = memory.data(store);
    let bytes = span(data.len(), ptr, len)
        .and_then(|range| data.get(range))
        .ok_or_else(|| {
            ToolError::bad_guest(format!(
                "its result of {len} bytes at {ptr} lies outside its memory of {} bytes",
                data.len()
            ))
        })?;
    if bytes.len() > max {
        return Err(ToolError::ResponseTooLarge {
            max_bytes: max as u64,
        });
    }
    Ok(bytes.to_vec())
}

fn invoke<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guest>,
    instance: &Instance,
    name: &str,
    parameters: P,
) -> Result<R, ToolError> {
    instance
        .get_typed_func::<P, R>(&mut *store, name)
        .map_err(|error| ToolError::bad_guest(brief(&error)))?
        .call(&mut *store, parameters)
        .map_err(|error| explain(store, &error))
}

/// Names the cause of a failure inside the guest.
fn explain(store: &Store<Guest>, error: &wasmtime::Error) -> ToolError {
    let guest = store.data();
    if error.is::<DeadlinePassed>() {
        return ToolError::Timeout {
            after_ms: guest.deadline_ms,
        };
    }
    if let Some(Misuse(reason)) = error.downcast_ref() {
        return ToolError::bad_guest(excerpt(reason.as_bytes()));
    }
    if guest.limiter.refused() {
        return ToolError::OutOfMemory {
            max_bytes: guest.limiter.max_memory_bytes() as u64,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => ToolError::OutOfFuel { fuel: guest.fuel },
        Some(trap) => ToolError::Trap {
            reason: trap.to_string(),
        },
        None => ToolError::bad_guest(brief(error)),
    }
}

/// Splits a tool's result into pointer and length, both unsigned.
fn unpack(packed: i64) -> (u32, u32) {
    let bits = packed.cast_unsigned();
    ((bits >> 32) as u32, (bits & u64::from(u32::MAX)) as u32)
}

/// The range of `len` bytes at `ptr` if it lies within a memory of `size` bytes.
fn span(size: usize, ptr: u32, len: u32) -> Option<Range<usize>> {
    let start = usize::try_from(ptr).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= size).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_stay_inside(size in 0usize..200_000, ptr: u32, len: u32) {
            match span(size, ptr, len) {
                Some(range) => prop_assert!(range.end <= size && range.len() == len as usize),
                None => prop_assert!(u64::from(ptr) + u64::from(len) > size as u64),
            }
        }

        #[test]
        fn unpacking_undoes_packing(ptr: u32, len: u32) {
            let packed = (i64::from(ptr) << 32) | i64::from(len);
            prop_assert_eq!(unpack(packed), (ptr, len));
        }
    }
}
