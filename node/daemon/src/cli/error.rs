//! How a command fails: one line with the cause, one line with the next step.

use std::process::ExitCode;

use crate::render;

/// A failure a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct CliError {
    /// What went wrong, one line.
    pub cause: String,
    /// What to do about it, one line.
    pub next: String,
    /// The HTTP status, where the node answered with a problem document.
    pub status: Option<u16>,
    /// The exit code: 1, or 2 for bad usage.
    pub code: u8,
    /// The command's own document is on stdout already, so that the error must not add another.
    pub reported: bool,
}

impl CliError {
    /// A failure with `cause` and what to do `next`.
    pub fn new(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            next: next.into(),
            status: None,
            code: 1,
            reported: false,
        }
    }

    /// Bad usage found after the arguments were parsed: exit code 2.
    pub fn usage(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(cause, next)
        }
    }

    /// A failure of a command that has printed its result already.
    pub fn after_output(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            reported: true,
            ..Self::new(cause, next)
        }
    }

    /// The failure a node reports with HTTP status `status`.
    pub fn from_node(status: u16, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        let next = next_step(status, &cause).to_owned();
        Self {
            status: Some(status),
            ..Self::new(cause, next)
        }
    }

    /// Whether trying again cannot help: the node answered, and holds the request itself for wrong.
    pub fn is_final(&self) -> bool {
        self.status.is_some_and(|status| status < 500)
    }
}

/// What to do about a problem document. `cause` names the thing where one is missing.
fn next_step(status: u16, cause: &str) -> &'static str {
    match status {
        401 => "pass the node's token with --token or PAGI_TOKEN; `pagi token` prints it there",
        403 if cause.contains("is stopped by") => {
            "`pagi stop` says who; `pagi resume`, or `pagi resume --override` on this node alone"
        }
        403 if cause.contains("founder") => "`pagi swarm show` lists the founders: ask one of them",
        403 => "see `pagi audit` for what was refused; `pagi tool allow` grants a tool to a twin",
        404 if cause.contains("twin") => "`pagi twin list` shows the twins there are",
        404 if cause.contains("tool") => "`pagi tool list` shows the tools there are",
        404 if cause.contains("artifact") => "`pagi artifact list` shows the artifacts there are",
        404 if cause.contains("plugin") => "`pagi plugin list` shows the plugins there are",
        404 if cause.contains("revision") => "`pagi playbook log` shows the revisions there are",
        404 => "check the name; `pagi status` shows which node answers",
        409 if cause.contains("a name alone") => {
            "`pagi swarm create NAME --invited`, then start the node again"
        }
        409 => "look at the current state first: `pagi status`",
        413 => "send less at once",
        429 => "wait a little and try again",
        400 | 422 => "correct the value; `--help` after the command shows what it takes",
        504 => "try again; `pagi doctor` checks the services the node depends on",
        _ => "`pagi doctor` checks the node and says how to mend it",
    }
}

/// Nobody reads standard output any more. The command ends quietly and successfully.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct OutputClosed;

/// Reports `error` to the user (as a JSON document on stdout if `json`) and gives the exit code.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if error.chain().any(|cause| cause.is::<OutputClosed>()) {
        return ExitCode::SUCCESS;
    }
    let error = explain(error);
    if json && !error.reported {
        // A closed stdout changes nothing any more.
        let _ = super::context::write_stdout(&document(&error).to_string());
    } else {
        super::context::write_stderr(&lines(&error));
    }
    ExitCode::from(error.code)
}

/// The [`CliError`] in `error`, with what was said about it on its way up.
fn explain(error: &anyhow::Error) -> CliError {
    let mut said = Vec::new();
    for cause in error.chain() {
        if let Some(known) = cause.downcast_ref::<CliError>() {
            let mut known = known.clone();
            if !said.is_empty() {
                known.cause = format!("{} ({})", known.cause, said.join("; "));
            }
            return known;
        }
        said.push(cause.to_string());
    }
    CliError::new(
        format!("{error:#}"),
        "`pagi doctor` checks the node and says how to mend it",
    )
}

/// The error as two lines for a person.
fn lines(error: &CliError) -> String {
    format!(
        "{} {}\n{} {}",
        render::bad("error:"),
        render::clean_line(&error.cause),
        render::bold("next:"),
        render::clean_line(&error.next),
    )
}

/// The error as a JSON document.
fn document(error: &CliError) -> serde_json::Value {
    let mut inner = serde_json::json!({ "cause": error.cause, "next": error.next });
    if let Some(status) = error.status {
        inner["status"] = status.into();
    }
    serde_json::json!({ "error": inner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_two_lines_whatever_it_holds() {
        let error = CliError::new("first\nsecond\u{1b}[31m", "do\nthis");
        let text = lines(&error);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.starts_with("error: first second"), "{plain:?}");
        assert!(plain.contains("\nnext: do this"), "{plain:?}");
    }

    #[test]
    fn the_json_form_has_cause_next_and_status() {
        let json = document(&CliError::from_node(404, "there is no twin `x`"));
        assert_eq!(json["error"]["cause"], "there is no twin `x`");
        assert_eq!(json["error"]["status"], 404);
        assert!(
            json["error"]["next"]
                .as_str()
                .unwrap()
                .contains("pagi twin list")
        );
        assert!(
            document(&CliError::new("a", "b"))["error"]
                .get("status")
                .is_none()
        );
    }

    #[test]
    fn the_kind_survives_context_added_on_the_way_up() {
        let error = anyhow::Error::from(CliError::usage("a", "b")).context("while testing");
        let found = explain(&error);
        assert_eq!((found.cause.as_str(), found.code), ("a (while testing)", 2));
        let other = explain(&anyhow::anyhow!("x").context("y"));
        assert_eq!((other.cause.as_str(), other.code), ("y: x", 1));
    }
}
