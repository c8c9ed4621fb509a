//! The `pagi` program: the command line, and the node it starts.
//!
//! `cli` talks to a running node through `client`; `run` starts one from `config` through `wiring`;
//! `demo` starts several and lets them reach a goal together.

mod cli;
mod client;
mod config;
mod demo;
mod render;
mod run;
mod swarms;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
