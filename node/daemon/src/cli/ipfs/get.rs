//! `pagi ipfs get`: files and folders out of the node.
//!
//! What comes may be made by a stranger. Nothing is written outside the output folder: names are one
//! step each, folders on the way must be real folders and not symbolic links, symbolic links lead
//! only further in, and nothing that exists is replaced without `--force`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use futures::future::BoxFuture;
use pagi_api::content::{ContentEntry, Listing};
use pagi_swarm::check_name;
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::{CliError, Context, DAG_CBOR, FetchArgs, Place, document, progress::Progress};
use crate::{
    cli::ipfs::progress::bytes,
    client::{Client, Download, encode},
    render,
};

/// Folders in folders.
const MAX_DEPTH: usize = 100;

/// `pagi ipfs get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The content id, with the way from there: CID/folder/file
    path: String,
    /// Where to save it; in the current folder under its own name unless given
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fetch: FetchArgs,
}

/// What the command prints.
#[derive(Debug, Default, Serialize)]
struct Saved {
    path: String,
    cid: String,
    files: u64,
    folders: u64,
    bytes: u64,
    /// Entries that were not saved, and why.
    left_out: Vec<String>,
}

/// Runs `pagi ipfs get`.
pub async fn get(args: GetArgs, client: &Client, ctx: &Context) -> anyhow::Result<()> {
    let place = Place::parse(&args.path)?;
    if place.cid.codec() == DAG_CBOR && place.path.is_empty() && args.output.is_none() {
        return document(&place.text, client, ctx).await;
    }
    let listing: Listing = client.get(&place.url("ls", &args.fetch)).await?;
    let name = place
        .path
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    let output = match &args.output {
        Some(output) => output.clone(),
        None => {
            let name = name.unwrap_or(&place.text);
            PathBuf::from(checked(name, &place.text)?)
        }
    };
    let mut saver = Saver {
        client,
        fetch: &args.fetch,
        force: args.force,
        progress: Progress::new("saved", ctx),
        saved: Saved {
            path: output.display().to_string(),
            cid: listing.entry.cid.clone(),
            ..Saved::default()
        },
    };
    match listing.entry.kind.as_str() {
        "file" => {
            saver.progress.total = Some(listing.entry.size);
            saver.file(&listing.entry, &output).await?;
        }
        "folder" => saver.folder(listing, output, 0).await?,
        kind => {
            return Err(CliError::new(
                format!("{} is a {kind}, not a file or folder", args.path),
                "`pagi ipfs get CID` without -o prints a document",
            )
            .into());
        }
    }
    let Saver {
        mut progress,
        saved,
        ..
    } = saver;
    progress.end();
    for left in &saved.left_out {
        ctx.note(&format!("left out: {}", render::clean_line(left)));
    }
    ctx.show(&saved, || {
        let path = render::clean_line(&saved.path);
        let files = render::count(saved.files as usize, "file");
        format!("saved {path}: {files}, {}", bytes(saved.bytes))
    })
}

/// Saves what comes as a new file; gives how many bytes that were.
pub(super) async fn save(mut body: Download, path: &Path, ctx: &Context) -> Result<u64, CliError> {
    let mut progress = Progress::new("saved", ctx);
    progress.total = body.size;
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    let place = Temporary::beside(path)?;
    let failed = |error: io::Error| unwritable(path, &error);
    let mut file = tokio::fs::File::from_std(place.file.try_clone().map_err(failed)?);
    let mut saved = 0;
    while let Some(piece) = body.next().await? {
        file.write_all(&piece).await.map_err(failed)?;
        saved += piece.len() as u64;
        progress.advance(piece.len() as u64);
    }
    file.flush().await.map_err(failed)?;
    place.become_file(path, false)?;
    progress.end();
    Ok(saved)
}

/// A name that stays in its folder.
fn checked<'a>(name: &'a str, folder: &str) -> Result<&'a str, CliError> {
    match check_name(name) {
        Ok(()) => Ok(name),
        Err(reason) => Err(CliError::new(
            format!("in {folder} the name {name:?} {reason}, so it is not saved"),
            "do not trust where this came from; `pagi ipfs ls` shows what is in it",
        )),
    }
}

struct Saver<'a> {
    client: &'a Client,
    fetch: &'a FetchArgs,
    force: bool,
    progress: Progress,
    saved: Saved,
}

impl Saver<'_> {
    fn folder(
        &mut self,
        listing: Listing,
        path: PathBuf,
        depth: usize,
    ) -> BoxFuture<'_, Result<(), CliError>> {
        Box::pin(async move {
            if depth > MAX_DEPTH {
                let cause = format!("{} is more than {MAX_DEPTH} folders deep", path.display());
                return Err(CliError::new(cause, "save the inner folders by themselves"));
            }
            // All names first: a bad one is found before anything is written into the folder.
            for entry in &listing.entries {
                checked(&entry.name, &listing.entry.cid)?;
            }
            make_folder(&path, self.force)?;
            self.saved.folders += 1;
            for entry in listing.entries {
                let inner = path.join(&entry.name);
                match (entry.kind.as_str(), &entry.target) {
                    ("file", _) => self.file(&entry, &inner).await?,
                    ("folder", _) => {
                        let query = self.fetch.query();
                        let url = format!("/ipfs/ls/{}?{query}", encode(&entry.cid));
                        let listing = self.client.get(&url).await?;
                        self.folder(listing, inner, depth + 1).await?;
                    }
                    ("symlink", Some(target)) => self.symlink(target, &inner)?,
                    (kind, _) => {
                        let text = format!("{} is a {kind}", inner.display());
                        self.saved.left_out.push(text);
                    }
                }
            }
            Ok(())
        })
    }

    async fn file(&mut self, entry: &ContentEntry, path: &Path) -> Result<(), CliError> {
        let query = self.fetch.query();
        let url = format!("/ipfs/files/{}?{query}", encode(&entry.cid));
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let mut body = self.client.download(&url).await?;
        let place = Temporary::beside(path)?;
        let failed = |error: io::Error| unwritable(path, &error);
        let mut file = tokio::fs::File::from_std(place.file.try_clone().map_err(failed)?);
        while let Some(piece) = body.next().await? {
            file.write_all(&piece).await.map_err(failed)?;
            self.saved.bytes += piece.len() as u64;
            self.progress.advance(piece.len() as u64);
        }
        file.flush().await.map_err(failed)?;
        place.become_file(path, self.force)?;
        self.saved.files += 1;
        Ok(())
    }

    fn symlink(&mut self, target: &str, path: &Path) -> Result<(), CliError> {
        if !leads_in(target) {
            let text = format!("the link {} leads out, to {target:?}", path.display());
            self.saved.left_out.push(text);
            return Ok(());
        }
        if path.symlink_metadata().is_ok() {
            if !self.force {
                return Err(exists(path));
            }
            fs::remove_file(path).map_err(|error| unwritable(path, &error))?;
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(target, path).map_err(|error| unwritable(path, &error))?;
        #[cfg(not(unix))]
        self.saved
            .left_out
            .push(format!("the link {}", path.display()));
        Ok(())
    }
}

/// Whether a link leads only further in: with no step up, no chain of such links can leave.
fn leads_in(target: &str) -> bool {
    !target.is_empty()
        && !target.contains('\0')
        && Path::new(target)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Makes a folder, or with `force` goes on with one that is there. A symbolic link is no folder.
fn make_folder(path: &Path, force: bool) -> Result<(), CliError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let real = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            match force && real {
                true => Ok(()),
                false if !real && force => Err(CliError::new(
                    format!("{} is there and is no folder", path.display()),
                    "remove it, or choose another place with -o",
                )),
                false => Err(exists(path)),
            }
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn exists(path: &Path) -> CliError {
    CliError::new(
        format!("{} exists", path.display()),
        "choose another place with -o, or replace it with --force",
    )
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let cause = format!("cannot write {}: {error}", path.display());
    CliError::new(cause, "check the folder's rights and the room on the disk")
}

/// A file that gets its name when it is whole; without that it goes away.
struct Temporary {
    file: fs::File,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self, CliError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let short: String = name.chars().take(50).collect();
        for n in 0..100 {
            let temporary =
                path.with_file_name(format!(".{short}.{}.{n}.part", std::process::id()));
            match fs::File::create_new(&temporary) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        path: temporary,
                        kept: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(path, &error)),
            }
        }
        Err(exists(path))
    }

    /// A rename replaces a symbolic link and never follows it.
    fn become_file(mut self, path: &Path, force: bool) -> Result<(), CliError> {
        if !force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        fs::rename(&self.path, path).map_err(|error| unwritable(path, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_are_known() {
        for good in ["a", "a/b", "ä b", "..."] {
            assert!(leads_in(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a\0",
        ] {
            assert!(!leads_in(bad), "{bad}");
        }
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (out, elsewhere) = (dir.path().join("out"), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&elsewhere, &out).unwrap();
            assert!(make_folder(&out, false).is_err());
            assert!(make_folder(&out, true).is_err());
            let file = dir.path().join("file");
            fs::write(elsewhere.join("kept"), b"old").unwrap();
            std::os::unix::fs::symlink(elsewhere.join("kept"), &file).unwrap();
            assert!(
                Temporary::beside(&file)
                    .unwrap()
                    .become_file(&file, false)
                    .is_err()
            );
            Temporary::beside(&file)
                .unwrap()
                .become_file(&file, true)
                .unwrap();
            assert_eq!(fs::read(elsewhere.join("kept")).unwrap(), b"old");
            assert!(file.symlink_metadata().unwrap().is_file());
        }
        let real = dir.path().join("real");
        make_folder(&real, false).unwrap();
        assert!(make_folder(&real, false).is_err());
        make_folder(&real, true).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(".part")
            })
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
