//! Whole nodes, from outside: each test starts the real program in a directory of its own, on
//! loopback and on free ports, and talks to it as users do, over HTTP and the command line.
//!
//! A node is killed when the test that started it ends. Waits have deadlines and look for a
//! condition; `PAGI_TEST_KILLS` and `PAGI_TEST_SEED` make the crash tests longer and repeatable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod http;
mod intruder;
mod model_server;
mod node;
mod program;
mod secrets;
mod tool_server;
mod wait;

mod bystander;
mod catchup;
mod cli;
mod content;
mod crash;
mod demo;
mod diagnosis;
mod docs;
mod git;
mod heal;
mod join;
mod learning;
mod lost_keys;
mod messages;
mod model;
mod netns;
mod newcomer;
mod plugins;
mod prototype;
mod refusals;
mod review;
mod routes;
mod sleeping;
mod standing;
mod swarm;
mod trust;
mod work;

/// Every file beside this one is part of the binary: a forgotten `mod` would silently drop tests.
#[test]
fn no_file_is_forgotten() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let this = include_str!("main.rs");
    for entry in std::fs::read_dir(here).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(
                this.contains(&format!("\nmod {module};\n")),
                "{name} is not in main.rs"
            );
        }
    }
}
