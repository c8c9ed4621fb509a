//! What keeps a node from being reached, and what it reports, as a cause and a next step.

use std::{io, path::Path};

use hyper::StatusCode;
use pagi_api::Problem;

use crate::cli::CliError;

/// What to do about a node that is not running.
const START: &str = "start it with `pagi run` or `pagi up`";
/// What to do about a node that does not behave.
pub(super) const DOCTOR: &str = "`pagi doctor` checks the node and says how to mend it";

/// A connection that broke.
pub(super) fn lost(error: &hyper::Error) -> CliError {
    let cause = format!("the connection to the node was lost: {error}");
    CliError::new(cause, "`pagi status` shows whether it still runs")
}

/// Why the socket `path` cannot be connected to.
pub(super) fn unix_failure(path: &Path, error: &io::Error) -> CliError {
    let place = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            let why = if error.kind() == io::ErrorKind::NotFound {
                "there is no socket at"
            } else {
                "nobody listens at"
            };
            CliError::new(format!("the node is not running: {why} {place}"), START)
        }
        io::ErrorKind::PermissionDenied => CliError::new(
            format!("the socket {place} belongs to another user"),
            "run as the user who started the node, or use --control with its token",
        ),
        io::ErrorKind::InvalidInput => CliError::new(
            format!("the path {place} is too long for a unix socket"),
            "use a shorter --data-dir, or --control HOST:PORT",
        ),
        _ => CliError::new(format!("cannot reach the node at {place}: {error}"), DOCTOR),
    }
}

/// Why `authority` cannot be connected to.
pub(super) fn tcp_failure(authority: &str, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => CliError::new(
            format!("the node is not running: nobody listens at {authority}"),
            format!("{START}, or correct --control"),
        ),
        _ => CliError::new(
            format!("cannot reach a node at {authority}: {error}"),
            "check the address given with --control or PAGI_CONTROL",
        ),
    }
}

/// The failure a problem document (or any other body of an error answer) stands for.
pub(super) fn problem(status: StatusCode, body: &[u8]) -> CliError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => from_problem(&problem),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let text: String = text.trim().chars().take(200).collect();
            let colon = if text.is_empty() { "" } else { ": " };
            CliError::from_node(
                status.as_u16(),
                format!("the node answered {status}{colon}{text}"),
            )
        }
    }
}

/// The failure a problem document stands for.
pub(super) fn from_problem(problem: &Problem) -> CliError {
    let detail = if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    };
    let mut cause = detail.clone();
    for violation in &problem.violations {
        if detail.contains(&violation.message) {
            continue;
        }
        let place = if violation.path.is_empty() {
            "the whole"
        } else {
            &violation.path
        };
        cause.push_str(&format!("; {place}: {}", violation.message));
    }
    CliError::from_node(problem.status, cause)
}
