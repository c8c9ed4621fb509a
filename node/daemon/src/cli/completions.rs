//! `pagi completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Context};

/// `pagi completions SHELL`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completion script.
pub fn completions(args: &CompletionsArgs, ctx: &Context) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pagi", &mut script);
    let script = String::from_utf8(script)?;
    ctx.show(
        &json!({ "shell": args.shell.to_string(), "script": script }),
        || script.clone(),
    )
}
