//! `pagi artifact`.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use pagi_api::{
    swarm::{ArtifactView, RejectArtifact},
    tools::{ExecuteTool, ToolResult},
};
use pagi_playbook::{Bullet, Delta, Setting};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    CliError, Context, context::read_input, lesson::Spoken, playbook::difference_lines,
    select::TwinArg,
};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi artifact …`.
#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// List refinement artifacts, the newest first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Show one artifact
    Show {
        /// Its content id
        cid: String,
    },
    /// Approve one that waits for a person (hive.review = "manual")
    Approve {
        /// Its content id
        cid: String,
    },
    /// Reject one that is not merged yet
    Reject {
        /// Its content id
        cid: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Offer a lesson by hand, signed by a twin
    New(NewArgs),
}

/// `pagi artifact new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What was learned, in words that name no one
    critique: String,
    /// A lesson in words
    #[arg(long, value_name = "SECTION: TEXT")]
    bullet: Vec<String>,
    /// A setting to write, its value as JSON or a plain word: `memory.working_limit=32`
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// A delta as JSON, from a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    delta: Option<OsString>,
    #[command(flatten)]
    twin: TwinArg,
}

/// Runs a `pagi artifact` command.
pub async fn artifact(command: ArtifactCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        ArtifactCommand::List { limit } => {
            let path = format!("/artifacts?limit={limit}");
            let artifacts: Vec<ArtifactView> = client.get(&path).await?;
            ctx.show(&artifacts, || {
                if artifacts.is_empty() {
                    return "there are no artifacts yet".to_owned();
                }
                let now = OffsetDateTime::now_utc();
                let mut table = Table::new(&["ARTIFACT", "STATUS", "WHEN", "LEARNED"]);
                for one in &artifacts {
                    table.row([
                        one.cid.clone(),
                        one.status.clone(),
                        render::ago(&one.ts, now),
                        one.critique.clone(),
                    ]);
                }
                table.render(ctx.width)
            })
        }
        ArtifactCommand::Show { cid } => {
            let one: ArtifactView = client.get(&format!("/artifacts/{}", encode(&cid))).await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&one, || shown(&one, &spoken))
        }
        ArtifactCommand::Approve { cid } => {
            let path = format!("/artifacts/{}/approve", encode(&cid));
            let one: ArtifactView = client.post(&path, &json!({})).await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&one, || shown(&one, &spoken))
        }
        ArtifactCommand::Reject { cid, reason } => {
            let path = format!("/artifacts/{}/reject", encode(&cid));
            let one: ArtifactView = client.post(&path, &RejectArtifact { reason }).await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&one, || shown(&one, &spoken))
        }
        ArtifactCommand::New(args) => {
            let delta = args.delta()?;
            let twin = args.twin.resolve(&client).await?;
            let body = ExecuteTool {
                twin_id: None,
                parameters: json!({"twin_id": twin.twin_id, "critique": args.critique,
                                   "delta": delta}),
            };
            let pushed: ToolResult = client.post("/execute/hive_push", &body).await?;
            let cid = pushed.result["cid"].as_str().unwrap_or_default();
            let one: ArtifactView = client.get(&format!("/artifacts/{}", encode(cid))).await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&one, || shown(&one, &spoken))
        }
    }
}

/// One artifact, with what it would change as a diff.
fn shown(one: &ArtifactView, spoken: &Spoken) -> String {
    let line = render::clean_line;
    let mut pairs = vec![
        ("artifact", render::bold(&line(&one.cid))),
        ("author", line(&one.author)),
        ("status", line(&one.status)),
    ];
    if let Some(reason) = &one.reason {
        pairs.push(("reason", line(reason)));
    }
    pairs.extend([
        ("base", line(&one.base)),
        ("when", line(&one.ts)),
        ("learned", render::clean_text(&one.critique)),
    ]);
    if one.changes.is_empty() {
        pairs.push(("adds", spoken.delta(&one.delta)));
        return render::fields(&pairs);
    }
    format!(
        "{}\n{}",
        render::fields(&pairs),
        difference_lines(&one.changes, spoken)
    )
}

impl NewArgs {
    /// The delta the arguments spell out.
    fn delta(&self) -> Result<Delta, CliError> {
        let mut delta = Delta::default();
        if let Some(file) = &self.delta {
            delta = serde_json::from_str(&read_input(file)?).map_err(|error| {
                CliError::usage(
                    format!("the delta cannot be read: {error}"),
                    "it is a JSON object with `cases`, `bullets`, `counts` and `set`",
                )
            })?;
        }
        for bullet in &self.bullet {
            let (section, text) = bullet.split_once(':').ok_or_else(|| {
                CliError::usage(
                    format!("`{bullet}` names no section"),
                    "write --bullet \"SECTION: TEXT\"",
                )
            })?;
            delta.bullets.push(Bullet::new(section, text));
        }
        for setting in &self.set {
            let (path, value) = setting.split_once('=').ok_or_else(|| {
                CliError::usage(
                    format!("`{setting}` has no value"),
                    "write --set PATH=VALUE, for instance --set memory.working_limit=32",
                )
            })?;
            let value: Value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            delta.set.push(Setting {
                path: path.split('.').map(str::to_owned).collect(),
                value: (!value.is_null()).then_some(value),
            });
        }
        if delta.is_empty() {
            return Err(CliError::usage(
                "there is nothing to offer",
                "give --bullet, --set or --delta",
            ));
        }
        Ok(delta)
    }
}
