//! What every command is given: the global options, the way to the node, and the terminal.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
    path::PathBuf,
};

use serde::Serialize;

use super::{CliError, GlobalArgs, OutputClosed};
use crate::client::Client;

/// The global options, resolved. It holds the token, so it has no `Debug`.
#[derive(Clone)]
pub struct Context {
    /// One JSON document on stdout instead of text for a person.
    pub json: bool,
    /// No progress and no notes, only the result.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// The node's data directory, absolute. It need not exist.
    pub data_dir: PathBuf,
    /// The control address, `HOST:PORT`: where `run` listens and the other commands connect.
    pub control: Option<String>,
    /// The control token, if one was given.
    pub token: Option<String>,
    /// Columns of the terminal; unset when stdout is no terminal, so that nothing is cut.
    pub width: Option<usize>,
}

impl Context {
    /// Resolves the global options.
    ///
    /// # Errors
    /// [`CliError`] when no data directory is given and the user has no home directory.
    pub fn new(args: GlobalArgs) -> Result<Self, CliError> {
        let data_dir = match args.data_dir.filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => default_data_dir()?,
        };
        let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
        Ok(Self {
            json: args.json,
            quiet: args.quiet,
            verbose: args.verbose,
            data_dir,
            control: args.control.filter(|text| !text.is_empty()),
            token: args.token.filter(|text| !text.is_empty()),
            width: terminal_width(),
        })
    }

    /// The way to the node: TCP with `--control`, the unix socket in the data directory without.
    ///
    /// # Errors
    /// [`CliError`] when TCP is asked for and there is no token.
    pub fn client(&self) -> Result<Client, CliError> {
        match &self.control {
            None => Ok(Client::unix(self.data_dir.join("control.sock"))),
            Some(address) => Client::tcp(address, &self.token()?),
        }
    }

    /// The control token: the one given, or the one in the data directory.
    ///
    /// # Errors
    /// [`CliError`] when there is neither.
    pub fn token(&self) -> Result<String, CliError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let path = self.data_dir.join("token");
        let next = "start the node once (`pagi run` makes the token), or pass one with --token";
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => Err(CliError::new(
                format!("the token file {} is empty", path.display()),
                next,
            )),
            Err(error) => {
                let cause = format!("cannot read the token file {}: {error}", path.display());
                Err(CliError::new(cause, next))
            }
        }
    }

    /// Prints `value` as JSON, or what `human` makes of it.
    ///
    /// # Errors
    /// [`OutputClosed`] when nobody reads stdout, and any other failure to write.
    pub fn show<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            self.document(value)
        } else {
            self.print(&human())
        }
    }

    /// Prints `value` as one JSON document: on one line, or indented for a terminal.
    ///
    /// # Errors
    /// As [`Context::show`].
    pub fn document<T: Serialize>(&self, value: &T) -> anyhow::Result<()> {
        let text = match self.width {
            Some(_) => serde_json::to_string_pretty(value)?,
            None => serde_json::to_string(value)?,
        };
        self.print(&text)
    }

    /// Prints `text` and a line end to stdout.
    ///
    /// # Errors
    /// As [`Context::show`].
    pub fn print(&self, text: &str) -> anyhow::Result<()> {
        write_stdout(text)
    }

    /// Tells a person something on stderr, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            write_stderr(text);
        }
    }
}

/// Writes `text` and a line end to stdout, without colours unless it is a terminal.
pub(super) fn write_stdout(text: &str) -> anyhow::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = anstream::stdout().lock();
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        Err(error) => {
            let cause = format!("cannot write to standard output: {error}");
            Err(CliError::new(cause, "check where the output goes").into())
        }
    }
}

/// Writes `text` and a line end to stderr; there is nowhere to report a failure to.
pub(super) fn write_stderr(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "{text}");
}

/// Writes `text` as it is to stderr, at once.
pub(super) fn write_stderr_part(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

fn default_data_dir() -> Result<PathBuf, CliError> {
    directories::BaseDirs::new()
        .map(|dirs| dirs.data_dir().join("pagi"))
        .ok_or_else(|| {
            CliError::new(
                "there is no home directory to keep data in",
                "pass one with --data-dir DIR",
            )
        })
}

fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| size.ws_col);
    Some(if columns == 0 {
        80
    } else {
        usize::from(columns)
    })
}

/// A file to read, where `-` is standard input.
///
/// # Errors
/// [`CliError`] when it cannot be read or is not UTF-8.
pub(super) fn read_input(path: &OsString) -> Result<String, CliError> {
    let read = if path == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| {
        let name = if path == "-" {
            "standard input".into()
        } else {
            path.to_string_lossy()
        };
        CliError::new(
            format!("cannot read {name}: {error}"),
            "check the file name and its rights",
        )
    })
}
