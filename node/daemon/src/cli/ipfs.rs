//! `pagi ipfs`: files, folders and documents by content id.

mod add;
mod get;
mod progress;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use cid::Cid;
use clap::{Args, Subcommand};
use futures::stream;
use hyper::body::Bytes;
use pagi_api::content::{AddPin, Collected, ImportedCar, Listing, PinView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use self::progress::Progress;
use super::{CliError, Context, OutputClosed, context::read_input};
use crate::{
    client::{Client, Download, encode},
    render,
};

/// Multicodec of DAG-CBOR.
const DAG_CBOR: u64 = 0x71;
/// Bytes read from a file at once.
const READ: usize = 256 * 1024;

/// `pagi ipfs …`.
#[derive(Debug, Subcommand)]
pub enum IpfsCommand {
    /// Add files and folders, pin them and print their content ids
    Add(add::AddArgs),
    /// Print a file
    Cat {
        /// The content id, with the way from there: CID/folder/file
        path: String,
        #[command(flatten)]
        fetch: FetchArgs,
    },
    /// Save a file or a folder; print a document
    Get(get::GetArgs),
    /// List what is in a folder
    Ls {
        /// The content id, with the way from there: CID/folder
        path: String,
        #[command(flatten)]
        fetch: FetchArgs,
    },
    /// Keep content, or let it go
    #[command(subcommand)]
    Pin(PinCommand),
    /// Remove blocks that nothing needs: not pinned, not of the playbook, not fresh
    Gc,
    /// Write content as a CAR, to standard output unless told otherwise
    Export {
        /// The content id
        cid: String,
        /// The file to write; it must not exist
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        fetch: FetchArgs,
    },
    /// Take in a CAR and pin its roots
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
        /// Do not pin the roots
        #[arg(long)]
        no_pin: bool,
    },
    /// Store a JSON document as DAG-CBOR and print its content id
    Put {
        /// The file; `-` is standard input
        file: OsString,
    },
}

/// `pagi ipfs pin …`.
#[derive(Debug, Subcommand)]
pub enum PinCommand {
    /// Pin content with all below it, fetching what is missing
    Add {
        /// The content id
        cid: String,
        /// What to call the pin
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fetch: FetchArgs,
    },
    /// Take a pin back
    Rm {
        /// The content id
        cid: String,
    },
    /// List the pins
    Ls {
        /// List the node's own pins of single blocks too
        #[arg(long)]
        all: bool,
    },
}

/// How content is to be had.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Longest wait for one block; 0 looks on this node alone
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Most bytes to take
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
}

impl FetchArgs {
    fn query(&self) -> String {
        let mut query = format!("timeout={}", self.timeout);
        if let Some(most) = self.max_bytes {
            query.push_str(&format!("&max_bytes={most}"));
        }
        query
    }
}

/// A content id and the names that follow it.
struct Place {
    cid: Cid,
    text: String,
    path: String,
}

impl Place {
    /// Reads `CID/a/b`, with or without `/ipfs/` before it.
    fn parse(text: &str) -> Result<Self, CliError> {
        let rest = text.strip_prefix("ipfs://").unwrap_or(text);
        let rest = rest.strip_prefix("/ipfs/").unwrap_or(rest);
        let (cid, path) = rest.split_once('/').unwrap_or((rest, ""));
        let parsed = cid.parse().map_err(|_| {
            CliError::usage(
                format!("`{}` is not a content id", render::fit(cid, 80)),
                "give a CID such as bafybei…, with names after it: CID/folder/file",
            )
        })?;
        Ok(Self {
            cid: parsed,
            text: cid.to_owned(),
            path: path.trim_matches('/').to_owned(),
        })
    }

    fn url(&self, route: &str, fetch: &FetchArgs) -> String {
        format!(
            "/ipfs/{route}/{}?{}&path={}",
            encode(&self.text),
            fetch.query(),
            encode(&self.path)
        )
    }
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
        IpfsCommand::Add(args) => add::add(args, &client, ctx).await,
        IpfsCommand::Cat { path, fetch } => cat(&path, &fetch, &client, ctx).await,
        IpfsCommand::Get(args) => get::get(args, &client, ctx).await,
        IpfsCommand::Ls { path, fetch } => {
            let url = Place::parse(&path)?.url("ls", &fetch);
            let listing: Listing = client.get(&url).await?;
            ctx.show(&listing, || table(&listing, ctx))
        }
        IpfsCommand::Pin(command) => pin(command, &client, ctx).await,
        IpfsCommand::Gc => {
            let done: Collected = client.post("/ipfs/gc", &json!({})).await?;
            ctx.show(&done, || {
                let mut text = format!(
                    "removed {}, {}; kept {}",
                    render::count(done.removed as usize, "block"),
                    progress::bytes(done.bytes),
                    done.kept
                );
                if done.fresh > 0 {
                    text.push_str(&format!(", {} of them only for being new", done.fresh));
                }
                if done.missing > 0 {
                    text.push_str(&format!("; {} pinned blocks are not here", done.missing));
                }
                text
            })
        }
        IpfsCommand::Export { cid, output, fetch } => {
            let place = Place::parse(&cid)?;
            let url = format!("/ipfs/car/{}?{}", encode(&place.text), fetch.query());
            if ctx.json && output.is_none() {
                let cause = "a CAR and a JSON document do not go to one place";
                return Err(CliError::usage(cause, "with --json give -o FILE too").into());
            }
            let body = client.download(&url).await?;
            let Some(output) = output else {
                let sent = to_stdout(body, "exported", ctx).await?;
                ctx.note(&format!("exported {}", progress::bytes(sent)));
                return Ok(());
            };
            let sent = get::save(body, &output, ctx).await?;
            let done = json!({ "cid": place.text, "path": output, "bytes": sent });
            ctx.show(&done, || {
                let path = render::clean_line(&output.display().to_string());
                format!("exported {} to {path}", progress::bytes(sent))
            })
        }
        IpfsCommand::Import { file, no_pin } => {
            let mut progress = Progress::new("imported", ctx);
            progress.total = std::fs::metadata(&file).ok().map(|found| found.len());
            let body = open(&file, progress.counter()).await?;
            let path = format!("/ipfs/car?pin={}", !no_pin);
            let uploading = client.upload(&path, "application/vnd.ipld.car", body);
            let done: ImportedCar = progress.show_while(uploading).await?;
            ctx.show(&done, || {
                let mut lines: Vec<String> = done.roots.clone();
                let count = render::count(done.blocks as usize, "block");
                lines.push(format!("{count}, {}", progress::bytes(done.bytes)));
                lines.join("\n")
            })
        }
        IpfsCommand::Put { file } => {
            let text = read_input(&file)?;
            let document: Value = serde_json::from_str(&text).map_err(|error| {
                let cause = format!("{} is not JSON: {error}", file.to_string_lossy());
                CliError::new(
                    cause,
                    "give one JSON document; `pagi ipfs add` takes any file",
                )
            })?;
            let stored: Stored = client.post("/ipfs/dag", &document).await?;
            ctx.show(&stored, || render::clean_line(&stored.cid))
        }
    }
}

/// Prints the document with this content id.
async fn document(cid: &str, client: &Client, ctx: &Context) -> anyhow::Result<()> {
    let document: Value = client.get(&format!("/ipfs/dag/{}", encode(cid))).await?;
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

async fn cat(path: &str, fetch: &FetchArgs, client: &Client, ctx: &Context) -> anyhow::Result<()> {
    let place = Place::parse(path)?;
    let mut body = client.download(&place.url("files", fetch)).await?;
    if !ctx.json {
        to_stdout(body, "read", ctx).await?;
        return Ok(());
    }
    let mut content = Vec::new();
    while let Some(piece) = body.next().await? {
        content.extend_from_slice(&piece);
    }
    let size = content.len();
    let document = match String::from_utf8(content) {
        Ok(text) => json!({ "bytes": size, "text": text }),
        Err(error) => {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            json!({ "bytes": size, "base64": text })
        }
    };
    ctx.document(&document)
}

/// Writes what comes to standard output as it is; gives how many bytes that were.
async fn to_stdout(mut body: Download, what: &'static str, ctx: &Context) -> anyhow::Result<u64> {
    let mut progress = Progress::new(what, ctx);
    progress.total = body.size;
    let mut sent = 0;
    while let Some(piece) = body.next().await? {
        let mut out = io::stdout().lock();
        match out.write_all(&piece).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Err(OutputClosed.into());
            }
            Err(error) => {
                let cause = format!("cannot write to standard output: {error}");
                return Err(CliError::new(cause, "check where the output goes").into());
            }
        }
        drop(out);
        sent += piece.len() as u64;
        progress.advance(piece.len() as u64);
    }
    progress.end();
    Ok(sent)
}

async fn pin(command: PinCommand, client: &Client, ctx: &Context) -> anyhow::Result<()> {
    match command {
        PinCommand::Add { cid, name, fetch } => {
            let place = Place::parse(&cid)?;
            let path = format!("/ipfs/pins?{}", fetch.query());
            let request = AddPin {
                cid: place.text,
                name,
            };
            let pin: PinView = client.post(&path, &request).await?;
            ctx.show(&pin, || format!("pinned {}", pin.cid))
        }
        PinCommand::Rm { cid } => {
            let place = Place::parse(&cid)?;
            let path = format!("/ipfs/pins/{}", encode(&place.text));
            let pin: PinView = client
                .delete(&path)
                .await
                .map_err(|error| match error.status {
                    Some(404) => CliError {
                        next: "`pagi ipfs pin ls` shows the pins there are".into(),
                        ..error
                    },
                    _ => error,
                })?;
            ctx.show(&pin, || format!("unpinned {}", pin.cid))
        }
        PinCommand::Ls { all } => {
            let mut pins: Vec<PinView> = client.get("/ipfs/pins").await?;
            pins.retain(|pin| all || pin.recursive);
            ctx.show(&pins, || {
                if pins.is_empty() {
                    return "nothing is pinned".into();
                }
                let mut table = render::Table::new(&["CID", "KIND", "NAME"]);
                for pin in &pins {
                    let kind = if pin.recursive { "whole" } else { "block" };
                    table.row([
                        pin.cid.clone(),
                        kind.to_owned(),
                        render::clean_line(pin.name.as_deref().unwrap_or_default()),
                    ]);
                }
                table.render(ctx.width)
            })
        }
    }
}

fn table(listing: &Listing, ctx: &Context) -> String {
    let entries = match listing.entry.kind.as_str() {
        "folder" => listing.entries.as_slice(),
        _ => std::slice::from_ref(&listing.entry),
    };
    if entries.is_empty() {
        return "the folder is empty".into();
    }
    let mut table = render::Table::new(&["CID", "KIND", "SIZE", "NAME"]);
    for entry in entries {
        let name = match &entry.target {
            Some(target) => format!("{} -> {target}", entry.name),
            None => entry.name.clone(),
        };
        table.row([
            entry.cid.clone(),
            entry.kind.clone(),
            entry.size.to_string(),
            render::clean_line(&name),
        ]);
    }
    table.render(ctx.width)
}

/// A file, or standard input for `-`, as it is read; `counted` is told of every piece.
async fn open(
    path: &std::path::Path,
    counted: impl Fn(u64) + Send + 'static,
) -> Result<impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static, CliError> {
    let reader: Box<dyn tokio::io::AsyncRead + Send + Unpin> = if path.as_os_str() == "-" {
        Box::new(tokio::io::stdin())
    } else {
        let file = tokio::fs::File::open(path).await.map_err(|error| {
            let cause = format!("cannot read {}: {error}", path.display());
            CliError::new(cause, "check the file name and its rights")
        })?;
        Box::new(file)
    };
    Ok(stream::unfold(Some((reader, counted)), |state| async {
        let (mut reader, counted) = state?;
        let mut piece = vec![0; READ];
        match reader.read(&mut piece).await {
            Ok(0) => None,
            Ok(n) => {
                piece.truncate(n);
                counted(n as u64);
                Some((Ok(piece.into()), Some((reader, counted))))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_cid_and_names() {
        const EMPTY: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        for (text, path) in [
            (EMPTY.to_owned(), ""),
            (format!("{EMPTY}/"), ""),
            (format!("/ipfs/{EMPTY}/a/b c/"), "a/b c"),
            (format!("ipfs://{EMPTY}/ä"), "ä"),
        ] {
            let place = Place::parse(&text).unwrap();
            assert_eq!((place.text.as_str(), place.path.as_str()), (EMPTY, path));
        }
        for bad in ["", "/", "a/b", "/ipfs/"] {
            assert_eq!(Place::parse(bad).err().unwrap().code, 2, "{bad:?}");
        }
    }
}
