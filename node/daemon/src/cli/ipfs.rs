//! `pagi ipfs`: documents by content id.

use std::ffi::OsString;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CliError, Context, context::read_input};
use crate::{client::encode, render};

/// `pagi ipfs …`.
#[derive(Debug, Subcommand)]
pub enum IpfsCommand {
    /// Store a JSON document as DAG-CBOR and print its content id
    Put {
        /// The file; `-` is standard input
        file: OsString,
    },
    /// Print the document with this content id, from here or from the swarm
    Get {
        /// The content id
        cid: String,
    },
}

/// The answer to a document that was stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    cid: String,
}

/// Runs a `pagi ipfs` command.
pub async fn ipfs(command: IpfsCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        IpfsCommand::Put { file } => {
            let text = read_input(&file)?;
            let document: Value = serde_json::from_str(&text).map_err(|error| {
                let cause = format!("{} is not JSON: {error}", file.to_string_lossy());
                CliError::new(cause, "give one JSON document")
            })?;
            let stored: Stored = client.post("/ipfs/dag", &document).await?;
            ctx.show(&stored, || render::clean_line(&stored.cid))
        }
        IpfsCommand::Get { cid } => {
            let document: Value = client.get(&format!("/ipfs/dag/{}", encode(&cid))).await?;
            ctx.show(&document, || {
                let text = format!("{document:#}");
                // Into a file or a pipe it goes exactly as it is.
                if ctx.width.is_some() {
                    render::clean_text(&text)
                } else {
                    text
                }
            })
        }
    }
}
