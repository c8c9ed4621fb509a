//! `pagi mo`.

use clap::Subcommand;
use pagi_api::swarm::MoView;
use serde_json::{Value, json};

use super::Context;
use crate::render;

/// `pagi mo …`.
#[derive(Debug, Subcommand)]
pub enum MoCommand {
    /// Show who is Master Orchestrator, in which term and why
    Status,
    /// Give the role up, if this node has it
    StepDown,
}

/// Runs a `pagi mo` command.
pub async fn mo(command: MoCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let view: MoView = match command {
        MoCommand::Status => client.get("/mo").await?,
        MoCommand::StepDown => client.post("/mo/step-down", &json!({})).await?,
    };
    ctx.show(&view, || {
        let mut pairs = vec![("MO", summary(&view)), ("term", view.term.to_string())];
        if let Some(cid) = &view.certificate {
            pairs.push(("certificate", render::clean_line(cid)));
        }
        let election: Vec<(String, String)> = match &view.election {
            Value::Object(map) => map
                .iter()
                .filter(|(key, _)| !["mo", "term", "certificate"].contains(&key.as_str()))
                .map(|(key, value)| (render::clean_line(key), list(value)))
                .filter(|(_, text)| !text.is_empty())
                .collect(),
            Value::Null => Vec::new(),
            other => vec![("election".to_owned(), render::value(other))],
        };
        pairs.extend(
            election
                .iter()
                .map(|(key, value)| (key.as_str(), value.clone())),
        );
        render::fields(&pairs)
    })
}

/// Who is MO, in a few words.
pub fn summary(view: &MoView) -> String {
    match (&view.mo, view.is_me) {
        (Some(_), true) => format!("{} (term {})", render::good("this node"), view.term),
        (Some(did), false) => format!("{} (term {})", render::clean_line(did), view.term),
        (None, _) => render::warn("none known"),
    }
}

/// A value for a person, the items of a list below each other.
fn list(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(render::value).collect();
            items.join("\n")
        }
        other => render::value(other),
    }
}
