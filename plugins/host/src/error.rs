//! What can go wrong with a tool, one variant per cause a caller may treat differently.

use serde::Serialize;
use std::fmt::Write as _;

/// One place where the parameters break the tool's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the parameters; empty for the parameters as a whole.
    pub path: String,
    /// What the schema wants there.
    pub message: String,
}

/// Failure of a registration, a discovery or a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No tool of that name is registered.
    #[error("no tool is named `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The description of the tool itself is unusable.
    #[error("tool `{name}` cannot be registered: {reason}")]
    InvalidSpec {
        /// The name as given, even when the name is what is wrong.
        name: String,
        /// Cause, for a person.
        reason: String,
    },
    /// The parameters do not fit the tool's JSON Schema; nothing was sent to the tool.
    #[error("parameters of `{tool}` do not fit its schema: {}", list(.violations))]
    InvalidParameters {
        /// The tool called.
        tool: String,
        /// At least one entry; long lists are cut.
        violations: Vec<Violation>,
    },
    /// The tool took longer than it may.
    #[error("no answer within {after_ms} ms")]
    Timeout {
        /// The limit that was reached, in milliseconds.
        after_ms: u64,
    },
    /// The guest stopped itself or did something WebAssembly forbids.
    #[error("the plugin trapped: {reason}")]
    Trap {
        /// The trap.
        reason: String,
    },
    /// The guest computed for longer than its fuel lasts.
    #[error("the plugin used up its {fuel} units of fuel")]
    OutOfFuel {
        /// Fuel granted to the call.
        fuel: u64,
    },
    /// The guest wanted more memory than it may have.
    #[error("the plugin wanted more than {max_bytes} bytes of memory")]
    OutOfMemory {
        /// The limit, in bytes.
        max_bytes: u64,
    },
    /// The module is not WebAssembly or does not keep to the ABI.
    #[error("the plugin breaks the plugin ABI: {reason}")]
    BadGuest {
        /// What is missing or wrong.
        reason: String,
    },
    /// The HTTP tool answered with a status other than 2xx.
    #[error("the tool answered HTTP {status}: {body_excerpt}")]
    Http {
        /// Status code.
        status: u16,
        /// First part of the body, made printable.
        body_excerpt: String,
    },
    /// The HTTP tool could not be talked to, or the connection broke.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Where the call went.
        url: String,
        /// Cause, from the network layer.
        reason: String,
    },
    /// The answer is longer than the limit.
    #[error("the answer is longer than {max_bytes} bytes")]
    ResponseTooLarge {
        /// The limit, in bytes.
        max_bytes: u64,
    },
    /// The answer is not JSON.
    #[error("the answer is not JSON: {excerpt}")]
    NotJson {
        /// First part of the answer, made printable.
        excerpt: String,
    },
    /// A rule of this node forbids it.
    #[error("denied: {reason}")]
    Denied {
        /// The rule.
        reason: String,
    },
    /// `manifest.toml` is unusable.
    #[error("the manifest is invalid: {reason}")]
    InvalidManifest {
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the plugin cannot be read.
    #[error("cannot read {path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// Cause, from the system.
        reason: String,
    },
    /// The tool itself reports that it failed.
    #[error("{message}")]
    Failed {
        /// What it says.
        message: String,
    },
}

impl ToolError {
    /// Stable machine code of the variant, in snake case (`unknown_tool`, `timeout`, ...).
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_tool",
            Self::InvalidSpec { .. } => "invalid_spec",
            Self::InvalidParameters { .. } => "invalid_parameters",
            Self::Timeout { .. } => "timeout",
            Self::Trap { .. } => "trap",
            Self::OutOfFuel { .. } => "out_of_fuel",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::BadGuest { .. } => "bad_guest",
            Self::Http { .. } => "http_status",
            Self::Unreachable { .. } => "unreachable",
            Self::ResponseTooLarge { .. } => "response_too_large",
            Self::NotJson { .. } => "not_json",
            Self::Denied { .. } => "denied",
            Self::InvalidManifest { .. } => "invalid_manifest",
            Self::Io { .. } => "io",
            Self::Failed { .. } => "failed",
        }
    }

    /// A failure reported by a tool in its own words.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
        }
    }

    pub(crate) fn bad_guest(reason: impl Into<String>) -> Self {
        Self::BadGuest {
            reason: reason.into(),
        }
    }

    pub(crate) fn denied(reason: impl Into<String>) -> Self {
        Self::Denied {
            reason: reason.into(),
        }
    }

    pub(crate) fn invalid_spec(name: &str, reason: impl Into<String>) -> Self {
        Self::InvalidSpec {
            name: excerpt(name.as_bytes()),
            reason: reason.into(),
        }
    }

    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

fn list(violations: &[Violation]) -> String {
    let mut out = String::new();
    for (index, violation) in violations.iter().enumerate() {
        let path = if violation.path.is_empty() {
            "(root)"
        } else {
            &violation.path
        };
        let separator = if index == 0 { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{separator}{path}: {}", violation.message);
    }
    out
}

/// First 300 characters of untrusted bytes, with control characters replaced.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    let head = bytes.get(..bytes.len().min(LONGEST * 4)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > LONGEST || head.len() < bytes.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(excerpt(b"a\x1b[31mb\n"), "a [31mb ");
        assert_eq!(excerpt("é".repeat(5000).as_bytes()).chars().count(), 301);
        assert_eq!(excerpt(&[0xff, b'x']), "\u{fffd}x");
    }

    #[test]
    fn violations_are_named_in_the_message() {
        let error = ToolError::InvalidParameters {
            tool: "t".into(),
            violations: vec![
                Violation {
                    path: String::new(),
                    message: "a".into(),
                },
                Violation {
                    path: "/x/0".into(),
                    message: "b".into(),
                },
            ],
        };
        assert!(error.to_string().ends_with("(root): a; /x/0: b"), "{error}");
    }
}
