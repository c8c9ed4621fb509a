//! The command line: one file per group of commands.
//!
//! `run`, `up` and `demo` start nodes; every other command talks to a running node through
//! [`crate::client`]. A command prints its result to stdout: text for a person, or exactly one JSON
//! document with `--json`. It exits with 0 on success, 2 on bad usage and 1 otherwise, then with one
//! line for the cause and one for the next step on stderr.

mod act;
mod artifact;
mod ask;
mod completions;
mod context;
mod cred;
mod did;
mod doctor;
mod emotion;
mod error;
mod events;
mod halt;
mod ipfs;
mod key;
mod launch;
mod lesson;
mod memory;
mod mo;
mod msg;
mod names;
mod pairs;
mod peers;
mod playbook;
mod plugin;
mod select;
mod status;
pub(crate) mod swarm;
mod swarm_show;
mod swarm_task;
mod swarm_twins;
mod token;
mod tool;
mod twin;

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use self::{
    context::Context,
    error::{CliError, OutputClosed},
    launch::{DemoArgs, RunArgs},
};

/// A peer-to-peer node for autonomous agents.
#[derive(Debug, Parser)]
#[command(
    name = "pagi",
    version,
    arg_required_else_help = true,
    propagate_version = false,
    after_help = "Start here:\n  pagi demo              three nodes on this machine reach a goal together\n  pagi up                start a node with a first twin\n  pagi ask \"a goal\"      give the twin something to do"
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Keep keys, state and the control socket here [default: `pagi` in the user's data directory]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PAGI_DATA_DIR",
        hide_env_values = true
    )]
    data_dir: Option<OsString>,
    /// The control address HOST:PORT: `run` listens there, other commands connect there instead of
    /// to the socket in the data directory
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "PAGI_CONTROL",
        hide_env_values = true
    )]
    control: Option<String>,
    /// The control token for --control [default: the `token` file in the data directory]
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "PAGI_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Tell more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print the result alone: no steps, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a few nodes on this machine and let them reach a goal together
    Demo(launch::DemoArgs),
    /// Run a node until it is told to stop
    Run(launch::RunArgs),
    /// Run a node with a first twin and a short welcome
    Up(launch::UpArgs),
    /// Show the node, its swarm and the Master Orchestrator at a glance
    Status,
    /// Run a node that others start from: it relays, takes more connections, and has no twin
    Bootstrap(launch::RunArgs),
    /// Make, join, leave and show swarms; invite to them; give them tasks
    #[command(subcommand)]
    Swarm(swarm::SwarmCommand),
    /// List the connected peers; keep some away
    Peers(peers::PeersArgs),
    /// Find out what is wrong and how to mend it
    Doctor,
    /// Give a twin a goal; print its steps and its answer
    Ask(ask::AskArgs),
    /// Show the tool calls a goal would take, without making them
    Plan(ask::PlanArgs),
    /// Make, list, show and change twins
    #[command(subcommand)]
    Twin(twin::TwinCommand),
    /// What a twin remembers
    #[command(subcommand)]
    Memory(memory::MemoryCommand),
    /// How a twin feels
    #[command(subcommand)]
    Emotion(emotion::EmotionCommand),
    /// Let a twin act on this machine
    #[command(subcommand)]
    Act(act::ActCommand),
    /// Call, register and allow tools
    #[command(subcommand)]
    Tool(tool::ToolCommand),
    /// List, install and remove plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// The playbook all nodes share
    #[command(subcommand)]
    Playbook(playbook::PlaybookCommand),
    /// What twins learned and offered to the playbook
    #[command(subcommand)]
    Artifact(artifact::ArtifactCommand),
    /// Private messages between twins
    #[command(subcommand)]
    Msg(msg::MsgCommand),
    /// Show the document of a DID, without a network
    Did(did::DidArgs),
    /// Credentials: what a twin vouches for
    #[command(subcommand)]
    Cred(cred::CredCommand),
    /// The private keys of the node and its twins
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Stop the swarm or a twin, as a founder or the Master Orchestrator
    Stop(halt::StopArgs),
    /// Let the swarm or a twin go on, or this node in spite of an order
    Resume(halt::ResumeArgs),
    /// The Master Orchestrator
    #[command(subcommand)]
    Mo(mo::MoCommand),
    /// Documents by content id
    #[command(subcommand)]
    Ipfs(ipfs::IpfsCommand),
    /// Show the event log, or follow it
    Events(events::EventsArgs),
    /// Show who did what: tool calls, refusals, acts of the Master Orchestrator
    Audit(events::AuditArgs),
    /// Print the token that TCP callers of the control API need
    Token,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Parses the command line, runs the command and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help, version or bad usage; a closed stdout or stderr changes nothing about it.
            if error.use_stderr() && wants_json(std::env::args_os().skip(1)) {
                return error::report(&bad_usage(&error).into(), true);
            }
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.global.json;
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::report(&error, json),
    }
}

/// Whether `--json` is among arguments that could not be parsed.
fn wants_json(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments
        .by_ref()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// Bad usage as every other failure: the first line is the cause, the rest is help.
fn bad_usage(error: &clap::Error) -> CliError {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let cause = first.strip_prefix("error: ").unwrap_or(first);
    let more = text
        .lines()
        .skip(1)
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty());
    let cause = std::iter::once(cause).chain(more).collect::<Vec<_>>();
    CliError::usage(
        cause.join(" "),
        "`--help` after the command shows what it takes",
    )
}

fn start(cli: Cli) -> anyhow::Result<()> {
    let ctx = Context::new(cli.global)?;
    let starts_a_node = matches!(
        cli.command,
        Command::Demo(_) | Command::Run(_) | Command::Up(_) | Command::Bootstrap(_)
    );
    let mut builder = if starts_a_node {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    // Four are enough for a node, on machines with many cores too; each has memory of its own.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    builder.worker_threads(cores.min(4));
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(dispatch(cli.command, &ctx));
    // Nothing that is left (a blocking name look-up, a read of stdin) may keep the process alive.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, ctx: &Context) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => crate::demo::demo(args, ctx).await,
        Command::Run(args) => crate::run::run(args.checked(ctx)?, ctx, false).await,
        Command::Up(args) => crate::run::run(args.into_run().checked(ctx)?, ctx, true).await,
        Command::Bootstrap(args) => {
            crate::run::run(args.meeting_point().checked(ctx)?, ctx, false).await
        }
        Command::Swarm(command) => swarm::swarm(command, ctx).await,
        Command::Status => status::status(ctx).await,
        Command::Peers(args) => peers::peers(args, ctx).await,
        Command::Doctor => doctor::doctor(ctx).await,
        Command::Ask(args) => ask::ask(args, ctx).await,
        Command::Plan(args) => ask::plan(args, ctx).await,
        Command::Twin(command) => twin::twin(command, ctx).await,
        Command::Memory(command) => memory::memory(command, ctx).await,
        Command::Emotion(command) => emotion::emotion(command, ctx).await,
        Command::Act(command) => act::act(command, ctx).await,
        Command::Tool(command) => tool::tool(command, ctx).await,
        Command::Plugin(command) => plugin::plugin(command, ctx).await,
        Command::Playbook(command) => playbook::playbook(command, ctx).await,
        Command::Artifact(command) => artifact::artifact(command, ctx).await,
        Command::Msg(command) => msg::msg(command, ctx).await,
        Command::Cred(command) => cred::cred(command, ctx).await,
        Command::Did(args) => did::did(args, ctx),
        Command::Key(command) => key::key(command, ctx).await,
        Command::Stop(args) => halt::stop(args, ctx).await,
        Command::Resume(args) => halt::resume(args, ctx).await,
        Command::Mo(command) => mo::mo(command, ctx).await,
        Command::Ipfs(command) => ipfs::ipfs(command, ctx).await,
        Command::Events(args) => events::events(args, ctx).await,
        Command::Audit(args) => events::audit(args, ctx).await,
        Command::Token => token::token(ctx),
        Command::Completions(args) => completions::completions(&args, ctx),
    }
}

#[cfg(test)]
mod tests;
