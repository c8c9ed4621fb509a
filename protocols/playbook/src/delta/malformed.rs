//! Why a delta is not well formed.

use crate::document::DocumentError;

/// Why a delta, or a part of it, is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// An id is not the one its content has.
    #[error("the id `{id}` does not match its content, whose id is `{expected}`")]
    WrongId {
        /// The id found.
        id: String,
        /// The id of the content.
        expected: String,
    },
    /// A field's value is not of the right form.
    #[error("{what} `{value}` {reason}")]
    Field {
        /// Which field.
        what: &'static str,
        /// Its value, cut to 80 characters.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too many of something, or something too long.
    #[error("{found} {what}, where at most {limit} are allowed")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The same thing twice.
    #[error("{what} `{value}` occurs more than once")]
    Repeated {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// One artifact counts at most once for and once against a target, and not for nothing.
    #[error("the count of `{target}` must add 0 or 1, and something: {helpful} and {harmful}")]
    Increment {
        /// The target.
        target: String,
        /// The helpful increment found.
        helpful: u32,
        /// The harmful increment found.
        harmful: u32,
    },
    /// The setting touches what learning must not change.
    #[error(
        "`{path}` cannot be changed by a delta: ethics and red lines come from the genesis, and `learned` from cases and bullets"
    )]
    Protected {
        /// The path, joined by dots.
        path: String,
    },
    /// A value has no place in a playbook document.
    #[error("a value is not fit for a playbook: {0}")]
    Value(#[from] DocumentError),
}
