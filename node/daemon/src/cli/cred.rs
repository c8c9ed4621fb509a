//! `pagi cred`.

use std::ffi::OsString;

use clap::Subcommand;
use pagi_api::tools::{ExecuteTool, ToolResult};
use serde_json::{Value, json};

use super::{CliError, Context, context::read_input, select::TwinArg};
use crate::render;

/// `pagi cred …`.
#[derive(Debug, Subcommand)]
pub enum CredCommand {
    /// Issue a reputation credential as a twin, and print it
    Issue {
        /// Whom it is about: a DID
        subject: String,
        /// The score, on a scale of the issuer's
        #[arg(allow_negative_numbers = true)]
        score: f64,
        /// What the score rests on: any JSON
        #[arg(long, value_name = "JSON", value_parser = json_text)]
        contributions: Option<Value>,
        /// Days it holds
        #[arg(long, value_name = "N", default_value_t = 90)]
        days: u32,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Check a credential: signature, issuer, terms and dates
    Verify {
        /// The file; `-` is standard input
        file: OsString,
    },
}

fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// Runs a `pagi cred` command.
pub async fn cred(command: CredCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        CredCommand::Issue {
            subject,
            score,
            contributions,
            days,
            twin,
        } => {
            let twin = twin.resolve(&client).await?;
            let body = ExecuteTool {
                twin_id: None,
                parameters: json!({
                    "issuer_twin_id": twin.twin_id, "subject_did": subject,
                    "reputation_score": score, "contributions": contributions,
                    "valid_days": days,
                }),
            };
            let issued: ToolResult = client.post("/execute/vc_issue_reputation", &body).await?;
            // It is a document in either case, to be kept in a file or sent.
            ctx.show(&issued.result, || {
                render::clean_text(&format!("{:#}", issued.result))
            })
        }
        CredCommand::Verify { file } => {
            let text = read_input(&file)?;
            let credential: Value = serde_json::from_str(&text).map_err(|error| {
                CliError::new(
                    format!("the credential is not JSON: {error}"),
                    "give the file that `pagi cred issue` wrote",
                )
            })?;
            let body = ExecuteTool {
                twin_id: None,
                parameters: json!({ "credential": credential }),
            };
            let checked: ToolResult = client.post("/execute/vc_verify", &body).await?;
            verdict(&checked.result, ctx)
        }
    }
}

fn verdict(checked: &Value, ctx: &Context) -> anyhow::Result<()> {
    let valid = checked["valid"] == true;
    let text = |member: &str| render::clean_line(checked[member].as_str().unwrap_or("?"));
    ctx.show(checked, || {
        if valid {
            format!(
                "{} {} about {}, issued by {}",
                render::good("valid:"),
                text("type"),
                text("subject"),
                text("issuer")
            )
        } else {
            format!("{} {}", render::bad("not valid:"), text("reason"))
        }
    })?;
    if valid {
        return Ok(());
    }
    Err(CliError::after_output(
        format!("the credential is not valid: {}", text("reason")),
        "ask its issuer for a new one",
    )
    .into())
}
