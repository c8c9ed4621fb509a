//! `pagi did`.

use std::path::{Path, PathBuf};

use clap::Args;
use pagi_didcomm::resolve::{ResolveError, check_web, resolve};
use serde_json::Value;

use super::{CliError, Context};

/// Longest document that is read, bytes.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// `pagi did DID`.
#[derive(Debug, Args)]
pub struct DidArgs {
    /// A did:key, a did:peer of method 0, 2 or 4, or a did:web
    #[arg(value_name = "DID")]
    did: String,
    /// The document of a did:web, as it was fetched, to be checked
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Shows the document of a DID. Nothing is fetched.
pub fn did(args: DidArgs, ctx: &Context) -> anyhow::Result<()> {
    let found = match &args.document {
        Some(file) => check_web(&args.did, read(file)?),
        None => resolve(&args.did),
    };
    let document = found.map_err(|error| {
        let next = match &error {
            ResolveError::Elsewhere { .. } => "give what is there with --document FILE",
            ResolveError::Foreign(_) => "do not believe it: it may be forged",
            _ => "check how the DID is written",
        };
        CliError::new(format!("{}: {error}", shortened(&args.did)), next)
    })?;
    let text = serde_json::to_string_pretty(&document)?;
    ctx.show(&document, || text)
}

fn read(file: &Path) -> Result<Value, CliError> {
    let cannot = |why: String| {
        let cause = format!("the document {} cannot be read: {why}", file.display());
        CliError::new(cause, "give the did.json as it was fetched")
    };
    let length = std::fs::metadata(file)
        .map_err(|error| cannot(error.to_string()))?
        .len();
    if length > MAX_DOCUMENT {
        return Err(cannot("it is longer than 1 MiB".to_owned()));
    }
    let bytes = std::fs::read(file).map_err(|error| cannot(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| cannot(error.to_string()))
}

fn shortened(did: &str) -> String {
    did.chars().take(80).collect()
}
