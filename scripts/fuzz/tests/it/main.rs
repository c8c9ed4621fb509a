//! Every target for a moment, the inputs that once failed, and that the engine finds what is there.
//!
//! `PAGI_FUZZ_SECONDS` gives each target that long instead of a fixed number of inputs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test helpers may panic: that is how a test fails"
)]

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use pagi_fuzz::{Budget, NoFeedback, TARGETS, Target, once, run};

fn budget() -> Budget {
    match std::env::var("PAGI_FUZZ_SECONDS").map(|seconds| seconds.parse()) {
        Ok(Ok(seconds)) => Budget {
            time: Duration::from_secs(seconds),
            inputs: u64::MAX,
        },
        _ => Budget {
            time: Duration::from_secs(2),
            inputs: 1500,
        },
    }
}

#[test]
fn every_target_takes_its_seeds() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for (at, seed) in seeds.iter().enumerate() {
            match once(target, seed) {
                Ok((taken, _)) => assert!(taken, "{} refuses its seed {at}", target.name),
                Err(what) => panic!("{}, seed {at}: {what}", target.name),
            }
        }
    }
}

#[test]
fn every_target_holds_for_a_while() {
    let mut findings = Vec::new();
    for target in TARGETS {
        match run(target, 1, budget(), Vec::new(), &mut NoFeedback) {
            Ok(stats) => println!("{:18} {stats:?}", target.name),
            Err(found) => findings.push(format!(
                "{}: {}\ninput: {}",
                found.target,
                found.what,
                found.input.escape_ascii()
            )),
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
}

#[test]
fn what_once_failed_holds() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    for dir in fs::read_dir(&root).unwrap().flatten() {
        let name = dir.file_name().into_string().unwrap();
        if !dir.path().is_dir() {
            continue;
        }
        assert!(names.contains(name.as_str()), "{name} is no target");
        let target = pagi_fuzz::targets::named(&name).unwrap();
        for file in fs::read_dir(dir.path()).unwrap().flatten() {
            let input = fs::read(file.path()).unwrap();
            if let Err(what) = once(target, &input) {
                panic!("{}: {what}", file.path().display());
            }
        }
    }
}

fn toy(check: fn(&[u8]) -> bool) -> Target {
    Target {
        name: "toy",
        about: "",
        seeds: || vec![br#"{"a": 1, "list": [1, 2]}"#.to_vec()],
        check,
        max_bytes: 1024,
        memory: 64 * 1024,
    }
}

#[test]
fn the_engine_finds_a_panic_and_makes_it_small() {
    let target = toy(|data| {
        let value = serde_json::from_slice::<serde_json::Value>(data).ok();
        assert!(value.is_none_or(|value| value.get("a").is_some() || value.get("list").is_none()));
        true
    });
    let budget = Budget {
        time: Duration::from_secs(60),
        inputs: 200_000,
    };
    let found = run(&target, 1, budget, Vec::new(), &mut NoFeedback).unwrap_err();
    assert!(found.what.contains("assertion failed"), "{}", found.what);
    assert!(found.input.len() < 30, "{}", found.input.escape_ascii());
    assert!(once(&target, &found.input).is_err());
}

#[test]
fn the_engine_finds_greed() {
    let target = toy(|data| Vec::<u8>::with_capacity(data.len() * 100_000).capacity() > 0);
    let budget = Budget {
        time: Duration::from_secs(60),
        inputs: 10,
    };
    let found = run(&target, 1, budget, Vec::new(), &mut NoFeedback).unwrap_err();
    assert!(found.what.contains("made it hold"), "{}", found.what);
}
