//! Bounds on what an instance may take from the host.

use crate::config::WasmLimits;
use wasmtime::ResourceLimiter;

const MOST_TABLE_ELEMENTS: usize = 100_000;
/// A refused request costs the guest little fuel and the host much time, so a guest that keeps
/// asking is stopped.
const MOST_REFUSALS: u32 = 16;

/// Refuses memory and tables beyond the limits and remembers that it did, so that a guest that
/// dies of it is reported as out of memory rather than by the trap it ran into afterwards.
#[derive(Debug)]
pub(super) struct Limiter {
    max_memory_bytes: usize,
    refusals: u32,
}

impl Limiter {
    pub(super) fn new(limits: &WasmLimits) -> Self {
        Self {
            max_memory_bytes: limits.max_memory_bytes,
            refusals: 0,
        }
    }

    /// Whether something was refused so far.
    pub(super) fn refused(&self) -> bool {
        self.refusals > 0
    }

    /// The memory limit, in bytes.
    pub(super) fn max_memory_bytes(&self) -> usize {
        self.max_memory_bytes
    }

    fn allow(&mut self, desired: usize, max: usize) -> wasmtime::Result<bool> {
        if desired <= max {
            return Ok(true);
        }
        self.refusals += 1;
        if self.refusals > MOST_REFUSALS {
            return Err(wasmtime::Error::msg("asked for memory too often"));
        }
        Ok(false)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.allow(desired, self.max_memory_bytes)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.allow(desired, MOST_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        8
    }

    fn memories(&self) -> usize {
        1
    }
}
