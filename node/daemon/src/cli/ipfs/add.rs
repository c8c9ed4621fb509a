//! `pagi ipfs add`: files and folders into the node. Files go to the node one by one, a few at a
//! time; folders are made of them from the inside out, and the outermost is pinned.

use std::path::{Path, PathBuf};

use clap::Args;
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use pagi_api::content::{AddFolder, AddedContent, FolderEntry};
use serde::Serialize;

use super::{CliError, Context, open, progress::Progress};
use crate::{
    client::{Client, encode},
    render,
};

/// Files on their way at the same time.
const AT_ONCE: usize = 8;
/// Folders in folders.
const MAX_DEPTH: usize = 100;

/// `pagi ipfs add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Files and folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Take folders with everything in them
    #[arg(short, long)]
    recursive: bool,
    /// Take entries whose names begin with a dot too
    #[arg(long)]
    hidden: bool,
    /// Do not pin: it lasts until the next `pagi ipfs gc`
    #[arg(long)]
    no_pin: bool,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Done {
    added: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    path: String,
    #[serde(flatten)]
    content: AddedContent,
}

/// Something to be added.
enum Plan {
    File { path: PathBuf, size: u64 },
    Folder { entries: Vec<(String, Plan)> },
    Symlink { target: String },
}

/// Runs `pagi ipfs add`.
pub async fn add(args: AddArgs, client: &Client, ctx: &Context) -> anyhow::Result<()> {
    let mut plans = Vec::new();
    for path in &args.paths {
        plans.push((path, plan(path, &args, ctx)?));
    }
    let mut progress = Progress::new("added", ctx);
    let total = plans.iter().map(|(_, plan)| plan.size()).sum();
    progress.total = (!args.paths.iter().any(|path| path.as_os_str() == "-")).then_some(total);
    let counter = progress.counter();
    let pin = !args.no_pin;
    let work = async {
        let mut added = Vec::new();
        for (path, plan) in plans {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let content = match plan {
                Plan::File { path, .. } => {
                    upload(client, &path, pin, name.as_deref(), counter.clone()).await?
                }
                Plan::Folder { entries } => {
                    folder(client, entries, pin, name, counter.clone()).await?
                }
                Plan::Symlink { .. } => continue,
            };
            let path = path.display().to_string();
            added.push(Item { path, content });
        }
        Ok::<_, CliError>(Done { added })
    };
    let done = progress.show_while(work).await?;
    ctx.show(&done, || {
        let lines = done.added.iter().map(|item| {
            let path = render::clean_line(&item.path);
            format!("{} {path}", item.content.cid)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// What there is to do for a path that the user named.
fn plan(path: &Path, args: &AddArgs, ctx: &Context) -> Result<Plan, CliError> {
    if path.as_os_str() == "-" {
        let path = path.to_owned();
        return Ok(Plan::File { path, size: 0 });
    }
    // A path that is named is followed, what is in a folder is not.
    let found = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if found.is_dir() {
        if !args.recursive {
            return Err(CliError::usage(
                format!("{} is a folder", path.display()),
                "add -r to take it with everything in it",
            ));
        }
        return plan_folder(path, args, ctx, 0);
    }
    if !found.is_file() {
        let cause = format!("{} is neither a file nor a folder", path.display());
        return Err(CliError::new(
            cause,
            "give a file or a folder, or `-` for standard input",
        ));
    }
    Ok(Plan::File {
        path: path.to_owned(),
        size: found.len(),
    })
}

fn plan_folder(path: &Path, args: &AddArgs, ctx: &Context, depth: usize) -> Result<Plan, CliError> {
    if depth > MAX_DEPTH {
        let cause = format!("{} is more than {MAX_DEPTH} folders deep", path.display());
        return Err(CliError::new(cause, "add the inner folders by themselves"));
    }
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let inner = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            let cause = format!("the name of {} is not UTF-8", inner.display());
            return Err(CliError::new(
                cause,
                "rename it; names in shared folders are UTF-8",
            ));
        };
        if name.starts_with('.') && !args.hidden {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let plan = if kind.is_dir() {
            plan_folder(&inner, args, ctx, depth + 1)?
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&inner).map_err(failed)?;
            let target = target.to_string_lossy().into_owned();
            Plan::Symlink { target }
        } else if kind.is_file() {
            let size = entry.metadata().map_err(failed)?.len();
            Plan::File { path: inner, size }
        } else {
            ctx.note(&format!("left out: {} is no file", inner.display()));
            continue;
        };
        entries.push((name, plan));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Plan::Folder { entries })
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    let cause = format!("cannot read {}: {error}", path.display());
    CliError::new(cause, "check the path and its rights")
}

impl Plan {
    fn size(&self) -> u64 {
        match self {
            Plan::File { size, .. } => *size,
            Plan::Folder { entries } => entries.iter().map(|(_, plan)| plan.size()).sum(),
            Plan::Symlink { .. } => 0,
        }
    }
}

async fn upload(
    client: &Client,
    path: &Path,
    pin: bool,
    name: Option<&str>,
    counter: impl Fn(u64) + Send + Clone + 'static,
) -> Result<AddedContent, CliError> {
    let body = open(path, counter).await?;
    let mut url = format!("/ipfs/files?pin={pin}");
    if let (true, Some(name)) = (pin, name) {
        url.push_str(&format!("&name={}", encode(name)));
    }
    client.upload(&url, "application/octet-stream", body).await
}

fn folder<C: Fn(u64) + Send + Sync + Clone + 'static>(
    client: &Client,
    plans: Vec<(String, Plan)>,
    pin: bool,
    name: Option<String>,
    counter: C,
) -> BoxFuture<'_, Result<AddedContent, CliError>> {
    Box::pin(async move {
        let entries = stream::iter(plans)
            .map(|(name, plan)| {
                let counter = counter.clone();
                async move {
                    let (cid, symlink) = match plan {
                        Plan::File { path, .. } => {
                            let added = upload(client, &path, false, None, counter).await?;
                            (Some(added.cid), None)
                        }
                        Plan::Folder { entries } => {
                            let added = folder(client, entries, false, None, counter).await?;
                            (Some(added.cid), None)
                        }
                        Plan::Symlink { target } => (None, Some(target)),
                    };
                    Ok::<_, CliError>(FolderEntry { name, cid, symlink })
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let request = AddFolder { entries, pin, name };
        client.post("/ipfs/folders", &request).await
    })
}
