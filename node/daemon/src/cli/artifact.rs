//! `pagi artifact`.

use clap::Subcommand;
use pagi_api::swarm::ArtifactView;
use time::OffsetDateTime;

use super::Context;
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
            ctx.show(&one, || {
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
                    ("delta", render::clean_text(&format!("{:#}", one.delta))),
                ]);
                render::fields(&pairs)
            })
        }
    }
}
