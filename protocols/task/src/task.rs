//! A task, its names and its bounds.

use std::{fmt, str::FromStr};

use pagi_messages::{Did, DidError};
use serde::{Deserialize, Serialize};

/// Longest task id, in characters.
pub const MAX_ID_CHARS: usize = 64;
/// Longest goal, in bytes.
pub const MAX_GOAL_BYTES: usize = 16 * 1024;
/// Longest summary, in bytes.
pub const MAX_SUMMARY_BYTES: usize = 512;
/// Most keywords, and most needs.
pub const MAX_WORDS: usize = 32;
/// Longest keyword or need, in bytes.
pub const MAX_WORD_BYTES: usize = 64;
/// Longest output of a task, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;
/// Longest note or reason, in bytes.
pub const MAX_NOTE_BYTES: usize = 512;

/// Why a text names no task.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskIdError {
    /// Not an id.
    #[error("a task's id is 1 to {MAX_ID_CHARS} of letters, digits, - and _")]
    Id,
    /// Not `DID/ID`.
    #[error("a task's full name is the asker's DID, a slash and the task's id")]
    Key,
    /// The DID in it does not hold.
    #[error(transparent)]
    Did(#[from] DidError),
}

/// A task's id among those of its asker: 1 to 64 of letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

impl TaskId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TaskId {
    type Err = TaskIdError;

    fn from_str(text: &str) -> Result<Self, TaskIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=MAX_ID_CHARS).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TaskIdError::Id)
        }
    }
}

impl TryFrom<String> for TaskId {
    type Error = TaskIdError;

    fn try_from(text: String) -> Result<Self, TaskIdError> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

/// A task's name among all: its asker's node and its id. As text `DID/ID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskKey {
    /// The asker's node.
    pub asker: Did,
    /// The id among the asker's tasks.
    pub id: TaskId,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.asker, self.id)
    }
}

impl FromStr for TaskKey {
    type Err = TaskIdError;

    fn from_str(text: &str) -> Result<Self, TaskIdError> {
        let (asker, id) = text.split_once('/').ok_or(TaskIdError::Key)?;
        Ok(Self {
            asker: asker.parse()?,
            id: id.parse()?,
        })
    }
}

impl TryFrom<String> for TaskKey {
    type Error = TaskIdError;

    fn try_from(text: String) -> Result<Self, TaskIdError> {
        text.parse()
    }
}

impl From<TaskKey> for String {
    fn from(key: TaskKey) -> Self {
        key.to_string()
    }
}

/// A task as its asker gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The id; new for every task.
    pub id: TaskId,
    /// The twin that asks.
    pub twin: Did,
    /// The goal. Only the worker it is assigned to gets to see it.
    pub goal: String,
    /// What everyone may know of the goal; may be empty.
    pub summary: String,
    /// Words of the goal that everyone may know; they find nodes that know such goals.
    pub keywords: Vec<String>,
    /// Names of capabilities that a worker must have.
    pub needs: Vec<String>,
    /// When the result is no longer wanted, in milliseconds since the Unix epoch.
    pub deadline_ms: u64,
}

/// How a worker's attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The goal is reached.
    Completed {
        /// The output, at most [`MAX_OUTPUT_BYTES`].
        output: String,
    },
    /// The worker could not, or would not.
    Failed {
        /// Why, at most [`MAX_NOTE_BYTES`].
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// The same within its bounds: an output that is too long is a failure, a reason is cut.
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Completed { output } if output.len() > MAX_OUTPUT_BYTES => Self::Failed {
                reason: format!(
                    "the output has {} bytes, of which {MAX_OUTPUT_BYTES} are allowed",
                    output.len()
                ),
            },
            Self::Failed { reason } => Self::Failed {
                reason: cut(reason),
            },
            completed => completed,
        }
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Completed { output } => within(output, MAX_OUTPUT_BYTES, "output"),
            Self::Failed { reason } => within(reason, MAX_NOTE_BYTES, "reason"),
        }
    }
}

impl TaskSpec {
    /// Checks the bounds; the error names the part that is too large.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        within(&self.goal, MAX_GOAL_BYTES, "goal")?;
        within(&self.summary, MAX_SUMMARY_BYTES, "summary")?;
        words(&self.keywords, "keywords")?;
        words(&self.needs, "needs")
    }
}

pub(crate) fn within(text: &str, most: usize, part: &'static str) -> Result<(), &'static str> {
    if text.len() <= most {
        Ok(())
    } else {
        Err(part)
    }
}

pub(crate) fn words(list: &[String], part: &'static str) -> Result<(), &'static str> {
    let fits = list.len() <= MAX_WORDS && list.iter().all(|word| word.len() <= MAX_WORD_BYTES);
    if fits { Ok(()) } else { Err(part) }
}

/// Cuts a note to [`MAX_NOTE_BYTES`] at a character's edge.
pub(crate) fn cut(mut note: String) -> String {
    if note.len() > MAX_NOTE_BYTES {
        let edge = (0..=MAX_NOTE_BYTES)
            .rev()
            .find(|at| note.is_char_boundary(*at));
        note.truncate(edge.unwrap_or(0));
    }
    note
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;

    #[test]
    fn names_are_checked_and_read_back() {
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(bad.parse::<TaskId>(), Err(TaskIdError::Id), "{bad}");
        }
        let key = TaskKey {
            asker: SigningIdentity::from_seed(&[1; 32]).did().clone(),
            id: "a-1_Z".parse().unwrap(),
        };
        assert_eq!(key.to_string().parse::<TaskKey>().unwrap(), key);
        assert_eq!("a-1".parse::<TaskKey>(), Err(TaskIdError::Key));
        assert!(matches!(
            "did:key:z/a".parse::<TaskKey>(),
            Err(TaskIdError::Did(_))
        ));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<TaskKey>(&json).unwrap(), key);
    }

    #[test]
    fn what_is_too_long_is_cut_or_a_failure() {
        let long = Outcome::Completed {
            output: "x".repeat(MAX_OUTPUT_BYTES + 1),
        };
        assert!(long.check().is_err());
        let bounded = long.bounded();
        assert!(bounded.is_failure() && bounded.check().is_ok());
        let note = cut("ä".repeat(MAX_NOTE_BYTES));
        assert!(note.len() <= MAX_NOTE_BYTES && note.chars().all(|c| c == 'ä'));
    }
}
