//! What LLVM's coverage instrumentation reports to: a counter of one byte for each edge, and the
//! numbers that were compared (SanitizerCoverage, "Inline 8bit-counters" and "Tracing data flow").
//!
//! A build without instrumentation calls none of this; there are no counters then.

#![allow(
    unsafe_code,
    reason = "the compiler's counters are a raw range of memory, reported by calls from outside"
)]

use std::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};

static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static END: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

const PAIRS: usize = 64;
static LEFT: [AtomicU64; PAIRS] = [const { AtomicU64::new(0) }; PAIRS];
static RIGHT: [AtomicU64; PAIRS] = [const { AtomicU64::new(0) }; PAIRS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Called by each instrumented module before `main`, always with the range of the whole program.
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    START.store(start, Ordering::Relaxed);
    END.store(end, Ordering::Relaxed);
}

fn differ(a: u64, b: u64) {
    if a != b {
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % PAIRS;
        LEFT[at].store(a, Ordering::Relaxed);
        RIGHT[at].store(b, Ordering::Relaxed);
    }
}

macro_rules! comparisons {
    ($($name:ident $kind:ty;)*) => {
        $(
            /// Two numbers were compared.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(a: $kind, b: $kind) {
                differ(u64::from(a), u64::from(b));
            }
        )*
    };
}

comparisons! {
    __sanitizer_cov_trace_cmp1 u8;
    __sanitizer_cov_trace_cmp2 u16;
    __sanitizer_cov_trace_cmp4 u32;
    __sanitizer_cov_trace_cmp8 u64;
    __sanitizer_cov_trace_const_cmp1 u8;
    __sanitizer_cov_trace_const_cmp2 u16;
    __sanitizer_cov_trace_const_cmp4 u32;
    __sanitizer_cov_trace_const_cmp8 u64;
}

/// A number was looked up among the cases of a `match`.
///
/// # Safety
/// `cases` is a table as LLVM makes it: how many cases, how many bits they have, then the cases.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_trace_switch(value: u64, cases: *const u64) {
    // SAFETY: the compiler passes a table of at least two numbers: how many cases, how many bits
    // they have, then the cases.
    unsafe {
        let count = usize::try_from(*cases).unwrap_or(0).min(64);
        let at = NEXT.load(Ordering::Relaxed);
        if let Some(case) = at.checked_rem(count) {
            differ(value, *cases.add(2 + case));
        }
    }
}

/// How many counters there are.
pub fn size() -> usize {
    let (start, end) = (START.load(Ordering::Relaxed), END.load(Ordering::Relaxed));
    (end as usize).saturating_sub(start as usize)
}

/// Whether this build counts.
pub fn is_on() -> bool {
    size() > 0
}

/// Sets every counter to zero.
pub fn reset() {
    if is_on() {
        // SAFETY: the range is the program's own counters, there for as long as it runs.
        unsafe { ptr::write_bytes(START.load(Ordering::Relaxed), 0, size()) }
    }
}

/// Pairs of numbers compared lately.
pub fn compared() -> Vec<(u64, u64)> {
    let filled = NEXT.swap(0, Ordering::Relaxed).min(PAIRS);
    (0..filled)
        .map(|at| {
            (
                LEFT[at].load(Ordering::Relaxed),
                RIGHT[at].load(Ordering::Relaxed),
            )
        })
        .collect()
}

/// Which edges were reached so far, and how often: a bit for 1, 2, 3, 4, 8, 16, 32 and 128 times.
#[derive(Default)]
pub struct Map {
    seen: Vec<u8>,
    edges: usize,
}

impl Map {
    /// Adds the counters as they are now; whether there is anything new among them.
    pub fn new_edges(&mut self) -> bool {
        self.seen.resize(size(), 0);
        let start = START.load(Ordering::Relaxed);
        let mut new = false;
        for (at, seen) in self.seen.iter_mut().enumerate() {
            // SAFETY: `at` is below the size of the range. Other threads of the program may count on;
            // a count that is missed is seen the next time.
            let count = unsafe { ptr::read_volatile(start.add(at)) };
            if count == 0 {
                continue;
            }
            let bit = match count {
                1 => 1,
                2 => 2,
                3 => 4,
                4..=7 => 8,
                8..=15 => 16,
                16..=31 => 32,
                32..=127 => 64,
                _ => 128,
            };
            if *seen & bit == 0 {
                self.edges += usize::from(*seen == 0);
                *seen |= bit;
                new = true;
            }
        }
        new
    }

    /// Edges reached so far.
    pub fn edges(&self) -> usize {
        self.edges
    }
}
