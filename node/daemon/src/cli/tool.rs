//! `pagi tool`.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use pagi_api::tools::{AllowTool, ExecuteTool, RegisterTool, Tool, ToolDefinition, ToolResult};
use serde_json::{Value, json};

use super::{
    CliError, Context,
    context::read_input,
    pairs,
    select::{OptionalTwinArg, TwinArg},
};
use crate::{
    client::{Client, encode},
    render::{self, Table},
};

/// `pagi tool …`.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// List the tools of this node, or with --twin those a twin knows and whether it may call them
    List {
        #[command(flatten)]
        twin: OptionalTwinArg,
    },
    /// Call a tool, as its user or with --twin as a twin
    Call {
        /// The tool
        name: String,
        /// Its parameters: KEY=VALUE pairs, or one JSON object
        #[arg(value_name = "KEY=VALUE|JSON")]
        parameters: Vec<String>,
        #[command(flatten)]
        twin: OptionalTwinArg,
    },
    /// Register a tool, for every twin or with --twin for one
    Register(RegisterArgs),
    /// Allow a twin to call a tool
    Allow {
        /// The tool
        name: String,
        /// Take the right away instead
        #[arg(long)]
        deny: bool,
        #[command(flatten)]
        twin: TwinArg,
    },
}

/// `pagi tool register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// Take the definition from this JSON file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "description", "url", "endpoint", "parameters", "read_only", "idempotent"])]
    file: Option<OsString>,
    /// The tool's name
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// What it does, in words a planner can match
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Where it lives: http(s)://… or wasm:///path/plugin.wasm
    #[arg(long, required_unless_present = "file")]
    url: Option<String>,
    /// The path below the URL, or the export's name
    #[arg(long, default_value = "", hide_default_value = true)]
    endpoint: String,
    /// The JSON Schema of its parameters
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    parameters: Option<Value>,
    /// It changes nothing
    #[arg(long)]
    read_only: bool,
    /// Calling it twice is as calling it once
    #[arg(long)]
    idempotent: bool,
    #[command(flatten)]
    twin: OptionalTwinArg,
}

fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// Runs a `pagi tool` command.
pub async fn tool(command: ToolCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        ToolCommand::List { twin } => {
            let path = match twin.resolve(&client).await? {
                None => "/tools".to_owned(),
                Some(id) => format!("/tools/{}", encode(&id)),
            };
            let tools: Vec<Tool> = client.get(&path).await?;
            ctx.show(&tools, || list(ctx, &tools))
        }
        ToolCommand::Call {
            name,
            parameters,
            twin,
        } => {
            let parameters = call_parameters(&client, &name, &parameters).await?;
            let twin_id = twin.resolve(&client).await?;
            let path = format!("/execute/{}", encode(&name));
            let body = ExecuteTool {
                twin_id,
                parameters,
            };
            let result: ToolResult = client.post(&path, &body).await?;
            ctx.show(&result, || result_text(&result.result))
        }
        ToolCommand::Register(args) => {
            let mut request = definition(&args)?;
            if let Some(id) = args.twin.resolve(&client).await? {
                request.twin_id = Some(id);
            }
            let tool: Tool = client.post("/register_tool", &request).await?;
            ctx.show(&tool, || {
                format!("registered {}", render::clean_line(&tool.definition.name))
            })
        }
        ToolCommand::Allow { name, deny, twin } => {
            let twin = twin.resolve(&client).await?;
            let path = format!("/tools/{}/allow", encode(&twin.twin_id));
            let body = AllowTool {
                name,
                allowed: !deny,
            };
            let tool: Tool = client.post(&path, &body).await?;
            ctx.show(&tool, || {
                let verb = if deny {
                    "may no longer call"
                } else {
                    "may call"
                };
                let (twin, tool) = (&twin.twin_id, &tool.definition.name);
                format!(
                    "{} {verb} {}",
                    render::clean_line(twin),
                    render::clean_line(tool)
                )
            })
        }
    }
}

/// The parameters of a call of the tool `name`, read with its schema if the node lists the tool.
///
/// # Errors
/// [`CliError`] when the arguments are no parameters, or the node does not answer.
pub async fn call_parameters(
    client: &Client,
    name: &str,
    args: &[String],
) -> Result<Value, CliError> {
    // Bad usage is told before anything is asked of the node.
    pairs::parameters(args, None)?;
    let tools: Vec<Tool> = client.get("/tools").await?;
    let found = tools.iter().find(|tool| tool.definition.name == name);
    pairs::parameters(args, found.map(|tool| &tool.definition.parameters))
}

/// A tool's result for a person: text as it is, anything else as indented JSON.
pub fn result_text(result: &Value) -> String {
    match result {
        Value::String(text) => render::clean_text(text),
        other => render::clean_text(&format!("{other:#}")),
    }
}

/// The registration that the arguments or the file describe.
fn definition(args: &RegisterArgs) -> Result<RegisterTool, CliError> {
    match &args.file {
        Some(file) => from_file(&read_input(file)?),
        None => Ok(RegisterTool {
            twin_id: None,
            tool: ToolDefinition {
                name: args.name.clone().unwrap_or_default(),
                description: args.description.clone(),
                plugin_url: args.url.clone().unwrap_or_default(),
                endpoint: args.endpoint.clone(),
                parameters: args
                    .parameters
                    .clone()
                    .unwrap_or_else(|| json!({ "type": "object" })),
                read_only: args.read_only,
                idempotent: args.idempotent,
            },
        }),
    }
}

/// A tool definition, or a whole registration with the definition under `tool`.
fn from_file(text: &str) -> Result<RegisterTool, CliError> {
    let next = "give {\"name\": …, \"description\": …, \"plugin_url\": …, \"endpoint\": …, \"parameters\": …}";
    let bad = |error: serde_json::Error| {
        CliError::new(format!("the tool definition cannot be read: {error}"), next)
    };
    let value: Value = serde_json::from_str(text).map_err(bad)?;
    if value.get("tool").is_some() {
        serde_json::from_value(value).map_err(bad)
    } else {
        let tool = serde_json::from_value(value).map_err(bad)?;
        Ok(RegisterTool {
            twin_id: None,
            tool,
        })
    }
}

fn list(ctx: &Context, tools: &[Tool]) -> String {
    if tools.is_empty() {
        return "there are no tools".to_owned();
    }
    let granted = tools.iter().any(|tool| tool.allowed.is_some());
    let head: &[&'static str] = if granted {
        &["TOOL", "ALLOWED", "SOURCE", "DOES"]
    } else {
        &["TOOL", "FOR", "SOURCE", "DOES"]
    };
    let mut table = Table::new(head);
    for tool in tools {
        let second = match (granted, tool.allowed) {
            (true, Some(true)) => "yes".to_owned(),
            (true, Some(false)) => "no".to_owned(),
            (true, None) => String::new(),
            (false, _) => tool.twin_id.clone().unwrap_or_else(|| "all".to_owned()),
        };
        table.row([
            tool.definition.name.clone(),
            second,
            tool.source.clone(),
            tool.definition.description.clone(),
        ]);
    }
    table.render(ctx.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_definition_or_a_registration() {
        let bare = from_file(r#"{"name":"n","plugin_url":"http://127.0.0.1:1"}"#).unwrap();
        assert_eq!((bare.tool.name.as_str(), bare.twin_id), ("n", None));
        let whole = from_file(r#"{"twin_id":"t","tool":{"name":"n"}}"#).unwrap();
        assert_eq!(
            (whole.tool.name.as_str(), whole.twin_id.as_deref()),
            ("n", Some("t"))
        );
        for bad in ["", "{}", "[]", "{\"tool\":3}"] {
            let error = from_file(bad).unwrap_err();
            assert!(error.cause.contains("cannot be read"), "{bad}: {error:?}");
        }
    }

    #[test]
    fn results_are_text_or_indented_json() {
        assert_eq!(result_text(&json!("a\nb\u{7}")), "a\nb");
        assert_eq!(result_text(&json!({ "a": 1 })), "{\n  \"a\": 1\n}");
    }
}
