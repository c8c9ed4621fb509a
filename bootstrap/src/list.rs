//! A list of bootstrap addresses, from text, TOML or arguments.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use crate::address::{AddressError, BootstrapAddress};

/// A list holds no more addresses than this.
pub const MAX_ADDRESSES: usize = 1000;

/// Why a list was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// An address in a file does not hold.
    #[error("line {line}: {source}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: AddressError,
    },
    /// An argument does not hold.
    #[error("bootstrap address {position} (`{text}`): {source}")]
    Argument {
        /// Which of the arguments, from 1.
        position: usize,
        /// The argument, cut to 128 characters.
        text: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The file looks like TOML and is not, or has no list `bootstrap`.
    #[error("line {line}: {reason}")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// There are too many addresses.
    #[error("a list holds at most {MAX_ADDRESSES} bootstrap addresses")]
    TooMany,
}

/// Checked addresses, each once, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapList(Vec<BootstrapAddress>);

/// The TOML form: `bootstrap = ["/ip4/…", …]`.
#[derive(Deserialize)]
struct Document {
    bootstrap: Vec<Spanned<String>>,
}

impl BootstrapList {
    /// Reads a file's text.
    ///
    /// Either one address a line, where `#` begins a comment and blank lines are skipped, or TOML
    /// with a list named `bootstrap`. The first line that is neither blank nor comment decides:
    /// addresses begin with `/`, TOML has a key or a table there.
    ///
    /// # Errors
    /// [`BootstrapError`] with the line of the first mistake.
    pub fn parse(text: &str) -> Result<Self, BootstrapError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let first = text
            .lines()
            .map(without_comment)
            .find(|line| !line.is_empty());
        match first {
            Some(line)
                if !line.starts_with('/') && (line.contains('=') || line.starts_with('[')) =>
            {
                Self::parse_toml(text)
            }
            _ => Self::parse_lines(text),
        }
    }

    /// Reads addresses given one by one, as repeated command-line options are.
    ///
    /// # Errors
    /// [`BootstrapError::Argument`] for the first one that does not hold.
    pub fn from_args<I>(args: I) -> Result<Self, BootstrapError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        collect(args.into_iter().enumerate().map(|(index, text)| {
            let text = text.as_ref();
            BootstrapAddress::parse(text).map_err(|source| BootstrapError::Argument {
                position: index + 1,
                text: text.chars().take(128).collect(),
                source,
            })
        }))
    }

    /// The addresses, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[BootstrapAddress] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These addresses, followed by those of `other` that are not among them.
    ///
    /// # Errors
    /// [`BootstrapError::TooMany`].
    pub fn merge(&self, other: &Self) -> Result<Self, BootstrapError> {
        collect(self.0.iter().chain(&other.0).cloned().map(Ok))
    }

    fn parse_lines(text: &str) -> Result<Self, BootstrapError> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, without_comment(line)));
        collect(
            lines
                .filter(|(_, line)| !line.is_empty())
                .map(|(line, text)| {
                    BootstrapAddress::parse(text)
                        .map_err(|source| BootstrapError::Line { line, source })
                }),
        )
    }

    fn parse_toml(text: &str) -> Result<Self, BootstrapError> {
        let document: Document = toml::from_str(text).map_err(|error| BootstrapError::Toml {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        collect(document.bootstrap.iter().map(|entry| {
            BootstrapAddress::parse(entry.get_ref()).map_err(|source| BootstrapError::Line {
                line: line_of(text, entry.span().start),
                source,
            })
        }))
    }
}

impl<'a> IntoIterator for &'a BootstrapList {
    type Item = &'a BootstrapAddress;
    type IntoIter = std::slice::Iter<'a, BootstrapAddress>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

fn collect(
    addresses: impl Iterator<Item = Result<BootstrapAddress, BootstrapError>>,
) -> Result<BootstrapList, BootstrapError> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for address in addresses {
        let address = address?;
        if seen.insert(address.canonical().to_owned()) {
            if list.len() == MAX_ADDRESSES {
                return Err(BootstrapError::TooMany);
            }
            list.push(address);
        }
    }
    Ok(BootstrapList(list))
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// The line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}
