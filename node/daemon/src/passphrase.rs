//! Where a passphrase comes from: a file, the environment, a command of the user's, or a person at the
//! terminal.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pagi_twin::identity::{KeyError, KeyStore, vault::Passphrase};
use zeroize::Zeroizing;

use crate::cli::CliError;

/// The variable that holds a passphrase.
const VARIABLE: &str = "PAGI_PASSPHRASE";
/// Longest passphrase, bytes.
const MAX_BYTES: u64 = 4096;
/// The variable that holds a command which prints one, such as one that asks the system's keyring.
const COMMAND: &str = "PAGI_PASSPHRASE_COMMAND";
const NEXT: &str = "set PAGI_PASSPHRASE or PAGI_PASSPHRASE_COMMAND, give --passphrase-file FILE, or run it at a terminal to be asked";

/// Where the passphrase of a node's keys comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file that holds it.
    pub file: Option<PathBuf>,
}

impl Source {
    /// The passphrase, asked for with `what` where somebody is there to ask.
    ///
    /// # Errors
    /// [`CliError`] where there is none.
    pub fn get(&self, what: &str) -> Result<Passphrase, CliError> {
        if let Some(path) = &self.file {
            return read(path);
        }
        if let Ok(text) = std::env::var(VARIABLE)
            && !text.is_empty()
        {
            return Ok(Passphrase::new(Zeroizing::new(text)));
        }
        if let Some(command) = command() {
            return printed_by(&command);
        }
        ask(what)
    }

    /// A passphrase for something new: where a person is asked, twice.
    ///
    /// # Errors
    /// [`CliError`] where there is none, it is too short, or the two differ.
    pub fn get_new(&self, what: &str) -> Result<Passphrase, CliError> {
        let asked = self.file.is_none()
            && std::env::var(VARIABLE).unwrap_or_default().is_empty()
            && command().is_none();
        let first = self.get(what)?;
        first
            .check()
            .map_err(|error| CliError::usage(error.to_string(), "choose a longer one"))?;
        if asked && !first.is(&ask("The same again: ")?) {
            return Err(CliError::usage(
                "the two passphrases differ",
                "try again; nothing has changed",
            ));
        }
        Ok(first)
    }
}

fn command() -> Option<String> {
    std::env::var(COMMAND).ok().filter(|text| !text.is_empty())
}

/// What the user's own command prints. It may ask the user to unlock a keyring, and so has no deadline.
fn printed_by(command: &str) -> Result<Passphrase, CliError> {
    let failed = |why: String| {
        CliError::new(
            format!("{COMMAND} gave no passphrase: {why}"),
            "run the command by hand: it must print the passphrase and end with success",
        )
    };
    let done = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(done.stdout)
        .map(Zeroizing::new)
        .map_err(|_| failed("what it prints is not text".to_owned()))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if !done.status.success() || line.is_empty() {
        return Err(failed(done.status.to_string()));
    }
    Ok(Passphrase::new(Zeroizing::new(line.to_owned())))
}

fn read(path: &Path) -> Result<Passphrase, CliError> {
    let cannot = |error: std::io::Error| {
        CliError::new(
            format!(
                "cannot read the passphrase file {}: {error}",
                path.display()
            ),
            "check its name and its rights",
        )
    };
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > MAX_BYTES {
        return Err(CliError::usage(
            format!("the passphrase file {} is too long", path.display()),
            "it holds the passphrase and nothing else",
        ));
    }
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(cannot)?;
    Ok(Passphrase::new(text))
}

/// Asks a person, without showing what is typed.
fn ask(what: &str) -> Result<Passphrase, CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::new(
            "the keys of this node are encrypted and there is no passphrase",
            NEXT,
        ));
    }
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "{what}").and_then(|()| out.flush());
    let before = rustix::termios::tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        let _ = rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Now, &silent);
    }
    let mut text = Zeroizing::new(String::with_capacity(256));
    let read = stdin.read_line(&mut text);
    if let Some(before) = &before {
        let _ = rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Now, before);
    }
    let _ = writeln!(out);
    match read {
        Ok(length) if length > 0 => Ok(Passphrase::new(text)),
        _ => Err(CliError::new("no passphrase was given", NEXT)),
    }
}

/// Opens the keys of a data directory; a passphrase is asked for only where they need one.
///
/// # Errors
/// [`CliError`] with the next step.
pub fn open_keys(data_dir: &Path, source: &Source) -> Result<KeyStore, CliError> {
    let dir = data_dir.join("keys");
    let passphrase = if KeyStore::needs_passphrase(&dir) {
        Some(source.get("Passphrase of this node's keys: ")?)
    } else {
        None
    };
    KeyStore::open_with(&dir, passphrase.as_ref()).map_err(|error| explain(&error))
}

/// A failure of the keys, with what to do about it.
pub fn explain(error: &KeyError) -> CliError {
    let next = match error {
        KeyError::Locked => NEXT,
        KeyError::Vault { .. } => "give the right passphrase, or restore the keys from a backup",
        KeyError::Backup(_) => "give the passphrase the backup was made with",
        KeyError::Occupied(_) => "choose an empty --data-dir, or replace the keys with --force",
        KeyError::Exposed { .. } => "run `chmod 600` on it",
        _ => "restore them from a backup, or choose another --data-dir",
    };
    CliError::new(format!("the keys: {error}"), next)
}
