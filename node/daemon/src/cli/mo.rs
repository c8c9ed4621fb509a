//! `pagi mo`.

use clap::Subcommand;
use pagi_api::swarm::MoView;
use pagi_messages::event::{from_unix_ms, rfc3339};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Context;
use crate::render;

/// `pagi mo …`.
#[derive(Debug, Subcommand)]
pub enum MoCommand {
    /// Show who is Master Orchestrator, in which term and why
    Status,
    /// Give the role up, if this node has it
    StepDown,
}

/// Runs a `pagi mo` command.
pub async fn mo(command: MoCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let view: MoView = match command {
        MoCommand::Status => client.get("/mo").await?,
        MoCommand::StepDown => client.post("/mo/step-down", &json!({})).await?,
    };
    ctx.show(&view, || {
        let mut pairs = vec![("MO", summary(&view)), ("term", view.term.to_string())];
        if let Some(cid) = &view.certificate {
            pairs.push(("certificate", render::clean_line(cid)));
        }
        let election: Vec<(String, String)> = match &view.election {
            Value::Object(map) => map
                .iter()
                .filter(|(key, _)| !["mo", "term", "certificate"].contains(&key.as_str()))
                .map(|(key, value)| told(key, value, OffsetDateTime::now_utc()))
                .filter(|(_, text)| !text.is_empty())
                .collect(),
            Value::Null => Vec::new(),
            other => vec![("election".to_owned(), render::value(other))],
        };
        pairs.extend(
            election
                .iter()
                .map(|(key, value)| (key.as_str(), value.clone())),
        );
        render::fields(&pairs)
    })
}

/// Who is MO, in a few words.
pub fn summary(view: &MoView) -> String {
    match (&view.mo, view.is_me) {
        (Some(_), true) => format!("{} (term {})", render::good("this node"), view.term),
        (Some(did), false) => format!("{} (term {})", render::clean_line(did), view.term),
        (None, _) => render::warn("none known"),
    }
}

/// One of the election's details for a person: times and spans in words.
fn told(key: &str, value: &Value, now: OffsetDateTime) -> (String, String) {
    match (key, value.as_u64()) {
        ("since_ms", Some(ms)) => {
            let since = rfc3339(from_unix_ms(ms));
            ("since".to_owned(), render::until(&since, now))
        }
        ("lease_remaining_ms", Some(ms)) => (
            "lease".to_owned(),
            format!("for another {}", render::millis(ms)),
        ),
        _ => (render::clean_line(&key.replace('_', " ")), list(value)),
    }
}

/// A value for a person, the items of a list below each other.
fn list(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(render::value).collect();
            items.join("\n")
        }
        other => render::value(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_an_office_are_in_words() {
        let now = OffsetDateTime::from_unix_timestamp(120).unwrap();
        let told = |key: &str, value: Value| told(key, &value, now);
        assert_eq!(
            told("since_ms", json!(60_000)),
            ("since".into(), "1970-01-01 00:01 UTC, 1 min ago".into())
        );
        assert_eq!(
            told("lease_remaining_ms", json!(4_799)),
            ("lease".into(), "for another 4.79 s".into())
        );
        assert_eq!(
            told("elected_by", json!(["a", "b"])),
            ("elected by".into(), "a\nb".into())
        );
    }
}
