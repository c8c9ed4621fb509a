//! `pagi act`.

use std::ffi::OsString;

use clap::Subcommand;
use pagi_api::twins::{ActOutcome, ActRequest};
use serde_json::{Value, json};

use super::{CliError, Context, context::read_input, select::TwinArg, tool};
use crate::render;

/// `pagi act …`.
#[derive(Debug, Subcommand)]
pub enum ActCommand {
    /// Show a notification
    Notify {
        /// Its title
        title: String,
        /// Its text
        body: Option<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Write a file where the twin may write
    WriteFile {
        /// Where, relative to the twin's folder
        path: String,
        /// The content itself
        #[arg(required_unless_present = "from")]
        content: Option<String>,
        /// Take the content from this file; `-` is standard input
        #[arg(long, value_name = "FILE", conflicts_with = "content")]
        from: Option<OsString>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Call a tool as the twin
    CallTool {
        /// The tool
        name: String,
        /// Its parameters: KEY=VALUE pairs, or one JSON object
        #[arg(value_name = "KEY=VALUE|JSON")]
        parameters: Vec<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
}

/// Runs a `pagi act` command.
pub async fn act(command: ActCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let (twin, action, parameters) = match command {
        ActCommand::Notify { title, body, twin } => (
            twin,
            "notify",
            json!({ "title": title, "body": body.unwrap_or_default() }),
        ),
        ActCommand::WriteFile {
            path,
            content,
            from,
            twin,
        } => {
            let content = match (content, from) {
                (Some(content), _) => content,
                (None, Some(from)) => read_input(&from)?,
                (None, None) => {
                    return Err(CliError::usage("there is no content", "give it, or --from").into());
                }
            };
            (
                twin,
                "write_file",
                json!({ "path": path, "content": content }),
            )
        }
        ActCommand::CallTool {
            name,
            parameters,
            twin,
        } => {
            let parameters = tool::call_parameters(&client, &name, &parameters).await?;
            (
                twin,
                "call_tool",
                json!({ "name": name, "parameters": parameters }),
            )
        }
    };
    let twin_id = twin.resolve(&client).await?.twin_id;
    let request = ActRequest {
        twin_id,
        action: action.to_owned(),
        parameters,
    };
    let outcome: ActOutcome = client.post("/act", &request).await?;
    ctx.show(&outcome, || text(&outcome))
}

fn text(outcome: &ActOutcome) -> String {
    let head = format!(
        "{}: {}",
        render::clean_line(&outcome.action),
        render::clean_line(&outcome.status)
    );
    match &outcome.result {
        Value::Null => head,
        result => format!("{head}\n{}", tool::result_text(result)),
    }
}
