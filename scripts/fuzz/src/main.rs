//! `fuzz list`, `fuzz TARGET SECONDS [CORPUS-DIR] [SEED]`, `fuzz check TARGET FILE…`.
//!
//! Built by `scripts/fuzz.sh` with coverage counters in every crate of the workspace but this one,
//! which holds what the counters report to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for the workshop: what goes wrong may end it"
)]

mod coverage;

use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, File},
    hash::{Hash, Hasher},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use pagi_fuzz::{Budget, Feedback, Stats, TARGETS, Target, once, run, targets::named};

/// The stack of a thread on which a node decodes: a runtime's worker.
const STACK: usize = 2 * 1024 * 1024;
/// A single check that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

static CHECKS: AtomicU64 = AtomicU64::new(0);

/// Coverage as feedback; the input under check is in a file, should the process not survive it.
struct Watch {
    map: coverage::Map,
    current: File,
    corpus: Option<PathBuf>,
}

impl Feedback for Watch {
    fn begin(&mut self, input: &[u8]) {
        CHECKS.fetch_add(1, Ordering::Relaxed);
        let _ = self.current.write_all_at(input, 0);
        let _ = self
            .current
            .set_len(u64::try_from(input.len()).unwrap_or(0));
        coverage::reset();
    }

    fn reached(&mut self, taken: bool) -> bool {
        if coverage::is_on() {
            self.map.new_edges()
        } else {
            taken
        }
    }

    fn compared(&mut self) -> Vec<(u64, u64)> {
        coverage::compared()
    }

    fn kept(&mut self, input: &[u8]) {
        if let Some(dir) = &self.corpus {
            let _ = fs::write(dir.join(name_of(input)), input);
        }
    }
}

fn name_of(input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["list"] => {
            for target in TARGETS {
                println!("{:18} {}", target.name, target.about);
            }
            ExitCode::SUCCESS
        }
        ["check", target, files @ ..] => with(target, |target| check(target, files)),
        [target, seconds, rest @ ..] => match seconds.parse() {
            Ok(seconds) => with(target, |target| fuzz(target, seconds, rest)),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("fuzz list | fuzz TARGET SECONDS [CORPUS-DIR] [SEED] | fuzz check TARGET FILE…");
    ExitCode::from(2)
}

fn with(name: &str, work: impl FnOnce(&'static Target) -> ExitCode + Send) -> ExitCode {
    let Some(target) = named(name) else {
        eprintln!("there is no target `{name}`: `fuzz list` names them");
        return ExitCode::from(2);
    };
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || work(target))
            .expect("a thread")
            .join()
            .unwrap_or(ExitCode::FAILURE)
    })
}

fn check(target: &Target, files: &[&str]) -> ExitCode {
    let mut holds = true;
    for file in files {
        let input = fs::read(file).expect("the file can be read");
        match once(target, &input) {
            Ok((taken, peak)) => println!("{file}: holds, taken: {taken}, {peak} bytes held"),
            Err(what) => {
                println!("{file}: {what}");
                holds = false;
            }
        }
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fuzz(target: &'static Target, seconds: u64, rest: &[&str]) -> ExitCode {
    let corpus = rest.first().map(PathBuf::from);
    let seed = rest
        .get(1)
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()) ^ now());
    let mut inputs = Vec::new();
    if let Some(dir) = &corpus {
        fs::create_dir_all(dir).expect("the corpus folder can be made");
        for entry in fs::read_dir(dir).expect("it can be read").flatten() {
            inputs.extend(fs::read(entry.path()).ok());
        }
    }
    let current = std::env::temp_dir().join(format!("fuzz-{}-{}", target.name, std::process::id()));
    let file = File::create(&current).expect("a file for the input under check");
    let mut watch = Watch {
        map: coverage::Map::default(),
        current: file,
        corpus: corpus.clone(),
    };
    watch_for_hangs(current.clone());
    let budget = Budget {
        time: Duration::from_secs(seconds),
        inputs: u64::MAX,
    };
    let start = Instant::now();
    let outcome = run(target, seed, budget, inputs, &mut watch);
    let _ = fs::remove_file(&current);
    match outcome {
        Ok(stats) => {
            report(target, &stats, start.elapsed(), &watch.map);
            ExitCode::SUCCESS
        }
        Err(finding) => {
            let at = found(corpus.as_deref(), target, &finding.input);
            eprintln!(
                "{}: {}\n  seed {seed}, input of {} bytes in {}\n  keep it: scripts/fuzz/regressions/{}/",
                target.name,
                finding.what,
                finding.input.len(),
                at.display(),
                target.name,
            );
            ExitCode::FAILURE
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

fn report(target: &Target, stats: &Stats, time: Duration, map: &coverage::Map) {
    let rate = stats.inputs as f64 / time.as_secs_f64().max(0.001);
    let edges = if coverage::is_on() {
        format!("{} of {} edges", map.edges(), coverage::size())
    } else {
        "without coverage".to_owned()
    };
    println!(
        "{:18} {} inputs ({rate:.0}/s), {} taken, corpus {}, {edges}, peak {} KiB",
        target.name,
        stats.inputs,
        stats.taken,
        stats.corpus,
        stats.peak_bytes / 1024,
    );
}

fn found(corpus: Option<&Path>, target: &Target, input: &[u8]) -> PathBuf {
    let dir = corpus
        .and_then(Path::parent)
        .map_or_else(std::env::temp_dir, Path::to_owned);
    let at = dir.join(format!("found-{}-{}", target.name, name_of(input)));
    let _ = fs::write(&at, input);
    at
}

/// Ends the process where one check takes too long; the input stays in `current`.
fn watch_for_hangs(current: PathBuf) {
    thread::spawn(move || {
        let mut seen = (CHECKS.load(Ordering::Relaxed), Instant::now());
        loop {
            thread::sleep(Duration::from_secs(1));
            let checks = CHECKS.load(Ordering::Relaxed);
            if checks != seen.0 {
                seen = (checks, Instant::now());
            } else if seen.1.elapsed() > HANG {
                eprintln!("a check hangs: the input is in {}", current.display());
                std::process::exit(70);
            }
        }
    });
}
