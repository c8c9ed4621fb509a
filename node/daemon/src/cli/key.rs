//! `pagi key`: the private keys of a node and its twins. All but `rotate` work on the data directory
//! of a node that is not running.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pagi_api::trust::RotatedKey;
use pagi_store::{Store, TwinRecord};
use pagi_twin::{
    identity::{BackupTwin, KeyStore},
    now_text,
};
use serde_json::json;

use super::{CliError, Context, context::read_input, select::TwinArg};
use crate::{
    client::encode,
    passphrase::{self, Source},
    render,
};

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct PassphraseArg {
    /// Read the passphrase of the keys from this file [default: PAGI_PASSPHRASE, or it is asked for]
    #[arg(long, value_name = "FILE", env = "PAGI_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseArg {
    /// The source that is meant.
    pub fn source(&self) -> Source {
        Source {
            file: self.passphrase_file.clone(),
        }
    }
}

/// `pagi key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Say how the keys are kept
    Show,
    /// Put the keys under a passphrase, or change it
    Encrypt {
        /// Read the new passphrase from this file [default: PAGI_PASSPHRASE, or it is asked for]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Keep the keys as they are, in files only their owner may read
    Decrypt {
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Write a backup of every key, under a passphrase of its own
    Export {
        /// The file to write
        file: PathBuf,
        /// Read the backup's passphrase from this file [default: PAGI_PASSPHRASE, or it is asked for]
        #[arg(long, value_name = "FILE")]
        backup_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Put the keys of a backup in place
    Import {
        /// The backup
        file: PathBuf,
        /// Replace keys that are there
        #[arg(long)]
        force: bool,
        /// Read the backup's passphrase from this file [default: PAGI_PASSPHRASE, or it is asked for]
        #[arg(long, value_name = "FILE")]
        backup_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Give a twin another key, signed by the old one and the new one, and tell the swarm
    Rotate {
        #[command(flatten)]
        twin: TwinArg,
    },
}

/// Runs a `pagi key` command.
pub async fn key(command: KeyCommand, ctx: &Context) -> anyhow::Result<()> {
    match command {
        KeyCommand::Show => {
            let encrypted = KeyStore::needs_passphrase(&ctx.data_dir.join("keys"));
            let document = json!({"encrypted": encrypted, "dir": ctx.data_dir.join("keys")});
            ctx.show(&document, || told(encrypted).to_owned())
        }
        KeyCommand::Encrypt {
            new_passphrase_file,
            passphrase,
        } => {
            let store = idle(ctx)?;
            let mut keys = passphrase::open_keys(&ctx.data_dir, &passphrase.source())?;
            let source = Source {
                file: new_passphrase_file.or(passphrase.passphrase_file),
            };
            let new = source.get_new("New passphrase for the keys: ")?;
            keys.node_seed()
                .and_then(|_| keys.encrypt(&new))
                .map_err(|error| passphrase::explain(&error))?;
            store.close().await;
            ctx.show(&json!({"encrypted": true}), || {
                format!(
                    "{} from now on the node needs the passphrase to start",
                    render::good("encrypted:")
                )
            })
        }
        KeyCommand::Decrypt { passphrase } => {
            let store = idle(ctx)?;
            let mut keys = passphrase::open_keys(&ctx.data_dir, &passphrase.source())?;
            keys.decrypt()
                .map_err(|error| passphrase::explain(&error))?;
            store.close().await;
            ctx.show(&json!({"encrypted": false}), || told(false).to_owned())
        }
        KeyCommand::Export {
            file,
            backup_passphrase_file,
            passphrase,
        } => {
            let store = idle(ctx)?;
            let keys = passphrase::open_keys(&ctx.data_dir, &passphrase.source())?;
            let source = Source {
                file: backup_passphrase_file,
            };
            let secret = source.get_new("Passphrase for the backup: ")?;
            let twins: Vec<BackupTwin> = store
                .list_twins()?
                .into_iter()
                .map(|twin| BackupTwin::new(twin.twin_id, twin.did, twin.state, twin.created_at))
                .collect();
            let count = twins.len();
            let text = keys
                .export(twins, &secret)
                .map_err(|error| passphrase::explain(&error))?;
            store.close().await;
            write_new(&file, &text)?;
            let document = json!({"file": file, "twins": count});
            ctx.show(&document, || {
                format!(
                    "{} the node's key and those of {} are in {}",
                    render::good("written:"),
                    render::count(count, "twin"),
                    file.display()
                )
            })
        }
        KeyCommand::Import {
            file,
            force,
            backup_passphrase_file,
            passphrase,
        } => {
            let text = read_input(&file.into_os_string())?;
            let store = idle(ctx)?;
            let keys = passphrase::open_keys(&ctx.data_dir, &passphrase.source())?;
            let source = Source {
                file: backup_passphrase_file,
            };
            let secret = source.get("Passphrase of the backup: ")?;
            let backup = keys
                .import(&text, &secret, force)
                .map_err(|error| passphrase::explain(&error))?;
            let count = backup.twins.len();
            for twin in &backup.twins {
                // The record goes with the key: a twin that is there keeps its state.
                let known = store.get_twin(&twin.twin_id)?;
                let record = TwinRecord {
                    twin_id: twin.twin_id.clone(),
                    did: twin.did.clone(),
                    state: known.map_or_else(|| twin.state.clone(), |known| known.state),
                    created_at: twin.created_at.clone(),
                    updated_at: now_text(),
                };
                store.put_twin(record).await?;
            }
            store.close().await;
            ctx.show(&json!({"twins": count}), || {
                format!(
                    "{} the node's key and those of {}",
                    render::good("restored:"),
                    render::count(count, "twin")
                )
            })
        }
        KeyCommand::Rotate { twin } => {
            let client = ctx.client()?;
            let twin = twin.resolve(&client).await?;
            let path = format!("/twins/{}/rotate", encode(&twin.twin_id));
            let rotated: RotatedKey = client.post(&path, &json!({})).await?;
            ctx.show(&rotated, || {
                format!(
                    "{} {}\nin place of {}",
                    render::good("in force:"),
                    render::clean_line(&rotated.new),
                    render::clean_line(&rotated.old)
                )
            })
        }
    }
}

fn told(encrypted: bool) -> &'static str {
    if encrypted {
        "the keys are encrypted under a passphrase"
    } else {
        "the keys are plain files that only their owner may read (mode 0600); `pagi key encrypt` puts \
         them under a passphrase"
    }
}

/// The store, and with it the certainty that no node uses the directory.
fn idle(ctx: &Context) -> Result<Store, CliError> {
    if !ctx.data_dir.join("keys").exists() && !ctx.data_dir.exists() {
        std::fs::create_dir_all(&ctx.data_dir).map_err(|error| {
            CliError::new(
                format!("cannot use {}: {error}", ctx.data_dir.display()),
                "choose another directory with --data-dir DIR",
            )
        })?;
    }
    Store::open(&ctx.data_dir).map_err(|error| {
        CliError::new(
            format!("the data directory cannot be used now: {error}"),
            "stop the node that uses it first",
        )
    })
}

/// Writes a file that only its owner may read, and that was not there.
fn write_new(path: &std::path::Path, text: &str) -> Result<(), CliError> {
    use std::io::Write;

    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| {
            CliError::new(
                format!("cannot write {}: {error}", path.display()),
                "choose a file that is not there yet",
            )
        })
}
