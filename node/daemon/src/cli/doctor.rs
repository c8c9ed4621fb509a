//! `pagi doctor`: what is wrong, and how to mend it.
//!
//! Each check ends in a [`Check`]. The checks of the data directory work without a node; the others
//! are left out when the node does not answer.

mod local;
mod offline;
mod remote;

use serde::Serialize;
use serde_json::json;

use super::{CliError, Context};
use crate::render;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but deserves a look.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    status: Verdict,
    /// What was found.
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: Verdict::Ok,
            detail: detail.into(),
            fix: None,
        }
    }

    fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Verdict::Warn,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Verdict::Fail,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }

    fn line(&self) -> String {
        let mark = match self.status {
            Verdict::Ok => render::good("ok  "),
            Verdict::Warn => render::warn("warn"),
            Verdict::Fail => render::bad("fail"),
        };
        let mut text = format!(
            "{mark}  {:<15} {}",
            self.name,
            render::clean_line(&self.detail)
        );
        if let Some(fix) = &self.fix {
            text.push_str(&format!("\n{:<22}fix: {}", "", render::clean_line(fix)));
        }
        text
    }
}

/// Runs every check and shows what it found.
pub async fn doctor(ctx: &Context) -> anyhow::Result<()> {
    let mut checks = local::checks(&ctx.data_dir);
    match ctx.client() {
        Ok(client) => {
            let asked = remote::checks(&client).await;
            // What a node that does not run would stumble over at its next start.
            if asked
                .iter()
                .any(|check| check.name == "node" && check.status == Verdict::Fail)
            {
                checks.extend(offline::checks(&ctx.data_dir));
            }
            checks.extend(asked);
        }
        Err(error) => checks.push(Check::fail("control token", error.cause, error.next)),
    }
    let count = |verdict| {
        checks
            .iter()
            .filter(|check| check.status == verdict)
            .count()
    };
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    ctx.show(&json!({ "ok": failed == 0, "checks": checks }), || {
        let lines: Vec<String> = checks.iter().map(Check::line).collect();
        format!(
            "{}\n\n{failed} failed, {warned} to look at",
            lines.join("\n")
        )
    })?;
    match checks
        .into_iter()
        .find(|check| check.status == Verdict::Fail)
    {
        None => Ok(()),
        Some(first) => {
            let cause = if failed == 1 {
                format!("a check failed: {}: {}", first.name, first.detail)
            } else {
                format!(
                    "{failed} checks failed, the first: {}: {}",
                    first.name, first.detail
                )
            };
            Err(CliError::after_output(cause, first.fix.unwrap_or_default()).into())
        }
    }
}
