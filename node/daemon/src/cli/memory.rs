//! `pagi memory`.

use clap::{Subcommand, ValueEnum};
use pagi_api::twins::{AppendMemory, Memory};
use time::OffsetDateTime;

use super::{CliError, Context, select::TwinArg};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi memory …`.
#[derive(Debug, Subcommand)]
pub enum MemoryCommand {
    /// Let a twin remember something
    Add {
        /// Who said it
        #[arg(long, value_enum, default_value_t = Role::User)]
        role: Role,
        /// What to remember
        #[arg(required = true)]
        text: Vec<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// List what a twin remembers, the newest last
    List {
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Search what a twin remembers, the best match first
    Search {
        /// What to look for
        #[arg(required = true)]
        query: Vec<String>,
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: u32,
        #[command(flatten)]
        twin: TwinArg,
    },
}

/// Who said what is remembered.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// The user
    User,
    /// The twin
    Assistant,
    /// An instruction
    System,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// Runs a `pagi memory` command.
pub async fn memory(command: MemoryCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        MemoryCommand::Add { role, text, twin } => {
            let content = text.join(" ");
            if content.trim().is_empty() {
                let next = "give it in quotes: pagi memory add \"text\"";
                return Err(CliError::usage("there is nothing to remember", next).into());
            }
            let twin = twin.resolve(&client).await?;
            let path = format!("/memory/{}", encode(&twin.twin_id));
            let body = AppendMemory {
                role: role.name().to_owned(),
                content,
            };
            let entry: Memory = client.post(&path, &body).await?;
            ctx.show(&entry, || format!("remembered as entry {}", entry.seq))
        }
        MemoryCommand::List { limit, twin } => {
            let twin = twin.resolve(&client).await?;
            let path = format!("/memory/{}?limit={limit}", encode(&twin.twin_id));
            let entries: Vec<Memory> = client.get(&path).await?;
            ctx.show(&entries, || {
                list(ctx, &entries, "nothing is remembered yet")
            })
        }
        MemoryCommand::Search { query, limit, twin } => {
            let twin = twin.resolve(&client).await?;
            let query = encode(&query.join(" "));
            let path = format!(
                "/memory/{}/search?q={query}&limit={limit}",
                encode(&twin.twin_id)
            );
            let entries: Vec<Memory> = client.get(&path).await?;
            ctx.show(&entries, || list(ctx, &entries, "nothing fits"))
        }
    }
}

fn list(ctx: &Context, entries: &[Memory], none: &str) -> String {
    if entries.is_empty() {
        return none.to_owned();
    }
    let now = OffsetDateTime::now_utc();
    let scored = entries.iter().any(|entry| entry.score.is_some());
    let mut table = Table::new(&["SEQ", if scored { "SCORE" } else { "WHEN" }, "ROLE", "TEXT"]);
    for entry in entries {
        let second = match entry.score {
            Some(score) => format!("{score:.2}"),
            None if scored => String::new(),
            None => render::ago(&entry.ts, now),
        };
        table.row([
            entry.seq.to_string(),
            second,
            entry.role.clone(),
            entry.content.clone(),
        ]);
    }
    table.render(ctx.width)
}
