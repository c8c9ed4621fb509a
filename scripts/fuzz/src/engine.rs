//! The loop: pick an input, bend it, check it, keep it where it reached something new.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    time::{Duration, Instant},
};

use crate::{
    memory,
    mutate::{Material, Rng, bend, words_of},
    targets::Target,
};

/// What the engine is told of each check.
pub trait Feedback {
    /// Called before a check, with its input.
    fn begin(&mut self, input: &[u8]);

    /// Called after it: whether it reached code, or a count of it, that no earlier one did. `taken`
    /// says whether the decoder took the input.
    fn reached(&mut self, taken: bool) -> bool;

    /// Pairs of numbers the checks compared and found different, since it was last asked.
    fn compared(&mut self) -> Vec<(u64, u64)>;

    /// Called with an input that is kept.
    fn kept(&mut self, input: &[u8]);
}

/// Without counters: an input is kept where the decoder took it.
#[derive(Default)]
pub struct NoFeedback;

impl Feedback for NoFeedback {
    fn begin(&mut self, _: &[u8]) {}

    fn reached(&mut self, taken: bool) -> bool {
        taken
    }

    fn compared(&mut self) -> Vec<(u64, u64)> {
        Vec::new()
    }

    fn kept(&mut self, _: &[u8]) {}
}

/// How long to go on: until either is used up.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Time.
    pub time: Duration,
    /// Inputs.
    pub inputs: u64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Inputs checked.
    pub inputs: u64,
    /// How many of them the decoder took.
    pub taken: u64,
    /// Inputs kept to bend further, seeds included.
    pub corpus: usize,
    /// The most bytes one check held.
    pub peak_bytes: usize,
}

/// An input for which a check does not hold.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The target.
    pub target: &'static str,
    /// What does not hold.
    pub what: String,
    /// The input, made as small as a few hundred tries could make it.
    pub input: Vec<u8>,
}

/// Kept inputs at the most; an older one gives way.
const MAX_CORPUS: usize = 4096;
/// Tries to make a finding smaller.
const SHRINKS: usize = 400;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that are caught here from being printed, once per process.
fn silence() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}

/// One check of one input: whether the decoder took it, and the most bytes it held.
///
/// # Errors
/// What does not hold.
pub fn once(target: &Target, input: &[u8]) -> Result<(bool, usize), String> {
    silence();
    QUIET.set(true);
    let (outcome, peak) =
        memory::peak(|| panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input))));
    QUIET.set(false);
    let taken = outcome.map_err(|cause| words(&*cause))?;
    let allowed = target.memory + 256 * input.len();
    if peak > allowed {
        return Err(format!(
            "{} bytes of input made it hold {peak} bytes, more than {allowed}",
            input.len()
        ));
    }
    Ok((taken, peak))
}

fn words(cause: &(dyn Any + Send)) -> String {
    cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}

/// Runs `target` from its seeds and `corpus` until `budget` is used up.
///
/// # Errors
/// The first [`Finding`].
pub fn run(
    target: &Target,
    seed: u64,
    budget: Budget,
    corpus: Vec<Vec<u8>>,
    feedback: &mut dyn Feedback,
) -> Result<Stats, Box<Finding>> {
    let start = Instant::now();
    let mut rng = Rng::new(seed);
    let mut material = Material::default();
    let mut stats = Stats::default();
    let mut kept: Vec<Vec<u8>> = (target.seeds)();
    let seeds = kept.len();
    kept.extend(corpus);
    for input in &kept {
        material.words.extend(words_of(input));
    }
    material.words.sort();
    material.words.dedup();
    for input in kept.clone() {
        check(target, &input, feedback, &mut stats)?;
    }
    while stats.inputs < budget.inputs && start.elapsed() < budget.time {
        // The newest are the least explored.
        let at = match rng.below(3) {
            0 => kept.len() - 1 - rng.below(kept.len().min(16)),
            _ => rng.below(kept.len()),
        };
        let other = rng.below(kept.len());
        let (Some(input), Some(other)) = (kept.get(at), kept.get(other)) else {
            break;
        };
        let input = bend(input, other, &material, target.max_bytes, &mut rng);
        let new = check(target, &input, feedback, &mut stats)?;
        material.compared.extend(feedback.compared());
        if material.compared.len() > 1024 {
            material.compared.drain(..512);
        }
        if new {
            feedback.kept(&input);
            if kept.len() >= MAX_CORPUS {
                let old = seeds + rng.below(kept.len() - seeds);
                kept.swap_remove(old);
            }
            kept.push(input);
        }
    }
    stats.corpus = kept.len();
    Ok(stats)
}

fn check(
    target: &Target,
    input: &[u8],
    feedback: &mut dyn Feedback,
    stats: &mut Stats,
) -> Result<bool, Box<Finding>> {
    feedback.begin(input);
    let outcome = once(target, input);
    stats.inputs += 1;
    match outcome {
        Ok((taken, peak)) => {
            stats.taken += u64::from(taken);
            stats.peak_bytes = stats.peak_bytes.max(peak);
            Ok(feedback.reached(taken))
        }
        Err(what) => {
            let (input, what) = shrink(target, input.to_vec(), what);
            Err(Box::new(Finding {
                target: target.name,
                what,
                input,
            }))
        }
    }
}

/// Takes parts away while some check still does not hold.
fn shrink(target: &Target, mut input: Vec<u8>, mut what: String) -> (Vec<u8>, String) {
    let (mut tries, mut size) = (0, input.len() / 2);
    while size > 0 && tries < SHRINKS {
        let mut at = 0;
        while at < input.len() && tries < SHRINKS {
            let mut smaller = input.clone();
            smaller.drain(at..(at + size).min(input.len()));
            tries += 1;
            match once(target, &smaller) {
                Err(still) => (input, what) = (smaller, still),
                Ok(_) => at += size,
            }
        }
        size /= 2;
    }
    (input, what)
}
