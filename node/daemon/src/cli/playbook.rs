//! `pagi playbook`.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use pagi_api::{
    swarm::{
        ArtifactView, PlaybookChange, PlaybookCheck, PlaybookDiff, PlaybookView, RevertPlaybook,
        RevisionView,
    },
    tools::{ExecuteTool, ToolResult},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{CliError, Context, context::read_input, lesson::Spoken, select::TwinArg};
use crate::{
    client::{Client, encode},
    render::{self, Table},
};

/// How long an import waits for the Master Orchestrator's judgement.
const JUDGED_WITHIN: Duration = Duration::from_secs(10);

/// Entries of a kind that an overview shows.
const MOST_SHOWN: usize = 10;

/// `pagi playbook …`.
#[derive(Debug, Subcommand)]
pub enum PlaybookCommand {
    /// Show the adopted playbook
    Show {
        /// The whole document as TOML
        #[arg(long)]
        toml: bool,
    },
    /// List its revisions, the newest first
    Log {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Replay its whole history and check every link
    Verify,
    /// Write the adopted playbook as TOML to a file, or to stdout
    Export {
        /// The file
        file: Option<PathBuf>,
        /// Replace the file if there is one
        #[arg(long, requires = "file")]
        force: bool,
    },
    /// Show what differs between two revisions
    Diff {
        /// The earlier one [default: the one before TO]
        from: Option<String>,
        /// The later one [default: the head]
        to: Option<String>,
    },
    /// Offer a playbook's settings to the swarm: what differs becomes an artifact, signed by a twin
    Import {
        /// A TOML file as `pagi playbook export` writes it; `-` is standard input
        file: OsString,
        /// Why
        #[arg(long, value_name = "TEXT")]
        critique: Option<String>,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Take merged artifacts back, in one revision; on the Master Orchestrator's node
    Revert {
        /// Artifacts, or revisions with all they merged
        #[arg(required_unless_present = "to")]
        cids: Vec<String>,
        /// Or take back everything that was merged after this revision
        #[arg(long, value_name = "CID", conflicts_with = "cids")]
        to: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Runs a `pagi playbook` command.
pub async fn playbook(command: PlaybookCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        PlaybookCommand::Show { toml } => {
            let view: PlaybookView = client.get("/playbook").await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&view, || {
                if toml {
                    view.toml.clone()
                } else {
                    overview(&view, &spoken)
                }
            })
        }
        PlaybookCommand::Log { limit } => {
            let path = format!("/playbook/log?limit={limit}");
            let revisions: Vec<RevisionView> = client.get(&path).await?;
            ctx.show(&revisions, || log(ctx, &revisions))
        }
        PlaybookCommand::Verify => {
            let check: PlaybookCheck = client.get("/playbook/verify").await?;
            verified(&check, ctx)
        }
        PlaybookCommand::Export { file, force } => {
            let view: PlaybookView = client.get("/playbook").await?;
            match file {
                None => {
                    let document = json!({ "head": view.head, "toml": view.toml });
                    ctx.show(&document, || view.toml.clone())
                }
                Some(file) => {
                    write(&file, &view.toml, force)?;
                    let document = json!({ "head": view.head, "file": file });
                    ctx.show(&document, || {
                        format!(
                            "wrote {} to {}",
                            render::clean_line(&view.head),
                            file.display()
                        )
                    })
                }
            }
        }
        PlaybookCommand::Diff { from, to } => {
            let mut path = "/playbook/diff".to_owned();
            let named = [("from", from), ("to", to)].into_iter();
            for (at, (name, cid)) in named
                .filter_map(|(name, cid)| Some((name, cid?)))
                .enumerate()
            {
                let mark = if at == 0 { '?' } else { '&' };
                path.push_str(&format!("{mark}{name}={}", encode(&cid)));
            }
            let found: PlaybookDiff = client.get(&path).await?;
            let spoken = Spoken::ask(&client).await;
            ctx.show(&found, || difference(&found, &spoken))
        }
        PlaybookCommand::Import {
            file,
            critique,
            twin,
        } => {
            let toml = read_input(&file)?;
            let critique =
                critique.unwrap_or_else(|| format!("imported from {}", file.to_string_lossy()));
            let twin = twin.resolve(&client).await?;
            let artifact = import(&client, &twin.twin_id, &critique, &toml).await?;
            ctx.show(&artifact, || imported(&artifact))
        }
        PlaybookCommand::Revert { cids, to, reason } => {
            let request = RevertPlaybook { cids, to, reason };
            let asked: Result<ArtifactView, CliError> =
                client.post("/playbook/revert", &request).await;
            let artifact = asked.map_err(|error| {
                if !error.cause.contains("not the MO") {
                    return error;
                }
                CliError::new(
                    error.cause,
                    "run it on the node that `pagi mo status` names",
                )
            })?;
            let artifact = judged(&client, &artifact.cid).await?;
            ctx.show(&artifact, || imported(&artifact))
        }
    }
}

/// Offers a playbook as a twin, and looks what becomes of the artifact for a little while.
async fn import(
    client: &Client,
    twin_id: &str,
    critique: &str,
    toml: &str,
) -> Result<ArtifactView, CliError> {
    let body = ExecuteTool {
        twin_id: None,
        parameters: json!({
            "twin_id": twin_id, "critique": critique, "updated_playbook": toml,
        }),
    };
    let pushed: Result<ToolResult, CliError> = client.post("/execute/hive_push", &body).await;
    let pushed = pushed.map_err(|error| {
        if !error.cause.contains("delta is empty") {
            return error;
        }
        CliError::new(
            "nothing differs from the settings of the adopted playbook, so there is nothing to offer",
            "change the file; what is under [learned] comes from goals and cannot be imported",
        )
    })?;
    judged(client, pushed.result["cid"].as_str().unwrap_or_default()).await
}

/// An artifact, once it is judged or a little while has passed.
async fn judged(client: &Client, cid: &str) -> Result<ArtifactView, CliError> {
    let path = format!("/artifacts/{}", encode(cid));
    let end = tokio::time::Instant::now() + JUDGED_WITHIN;
    loop {
        let artifact: ArtifactView = client.get(&path).await?;
        if artifact.status != "pending" || tokio::time::Instant::now() >= end {
            return Ok(artifact);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn imported(artifact: &ArtifactView) -> String {
    let line = render::clean_line;
    let status = match artifact.status.as_str() {
        "merged" => render::good("merged"),
        "pending" => render::warn("pending: the Master Orchestrator has not judged it yet"),
        other => render::bad(&line(other)),
    };
    let mut pairs = vec![("artifact", line(&artifact.cid)), ("status", status)];
    if let Some(reason) = &artifact.reason {
        pairs.push(("reason", line(reason)));
    }
    render::fields(&pairs)
}

fn difference(found: &PlaybookDiff, spoken: &Spoken) -> String {
    let line = render::clean_line;
    let mut text = format!("from {}\nto   {}\n", line(&found.from), line(&found.to));
    if found.changes.is_empty() {
        text.push_str("nothing differs");
    }
    text.push_str(&difference_lines(&found.changes, spoken));
    text
}

/// Changes, what goes with `-` and what comes with `+`.
pub fn difference_lines(changes: &[PlaybookChange], spoken: &Spoken) -> String {
    let line = render::clean_line;
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!(
            "\n{} {}\n",
            render::dim(&line(&change.kind)),
            render::bold(&line(&change.name))
        ));
        for (mark, value) in [("-", &change.before), ("+", &change.after)] {
            let Some(value) = value else { continue };
            for part in spoken.entry(&change.kind, value).lines() {
                let part = format!("{mark} {}", line(part));
                let part = if mark == "-" {
                    render::bad(&part)
                } else {
                    render::good(&part)
                };
                text.push_str(&part);
                text.push('\n');
            }
        }
    }
    text
}

fn verified(check: &PlaybookCheck, ctx: &Context) -> anyhow::Result<()> {
    let problem = check.problem.as_deref().unwrap_or("a link does not hold");
    ctx.show(check, || {
        if check.valid {
            let head = render::clean_line(&check.head);
            format!(
                "{} {}, head {head}",
                render::good("valid:"),
                render::count(check.revisions, "revision")
            )
        } else {
            format!(
                "{} {}",
                render::bad("not valid:"),
                render::clean_line(problem)
            )
        }
    })?;
    if check.valid {
        return Ok(());
    }
    let next = "stop the node and restore its data directory; peers will send what is missing";
    Err(CliError::after_output(
        format!("the playbook's history is not valid: {problem}"),
        next,
    )
    .into())
}

fn write(file: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            let name = file.display();
            if error.kind() == io::ErrorKind::AlreadyExists {
                CliError::new(
                    format!("{name} exists already"),
                    "name another file, or use --force",
                )
            } else {
                CliError::new(
                    format!("cannot write {name}: {error}"),
                    "name a file you may write",
                )
            }
        })
}

fn overview(view: &PlaybookView, spoken: &Spoken) -> String {
    let line = render::clean_line;
    let mut pairs = vec![
        ("head", render::bold(&line(&view.head))),
        ("genesis", line(&view.genesis)),
        ("revisions", view.revisions.to_string()),
    ];
    if view.heads.len() > 1 {
        let heads: Vec<String> = view.heads.iter().map(|head| line(head)).collect();
        pairs.push(("open heads", heads.join("\n")));
    }
    let document = &view.document;
    if let Some(version) = document.get("version") {
        pairs.push(("version", render::value(version)));
    }
    let instructions = document.get("instructions").unwrap_or(&Value::Null);
    let prompt = instructions.get("system_prompt").unwrap_or(instructions);
    if let Some(prompt) = prompt.as_str() {
        pairs.push(("instructions", render::clean_text(prompt.trim_end())));
    }
    let counted = document.get("learned").map(learned).unwrap_or_default();
    let mut lines = vec![if counted.is_empty() {
        "nothing yet".to_owned()
    } else {
        counted
    }];
    for (key, kind) in [("cases", "case"), ("bullets", "bullet")] {
        let entries = document["learned"][key].as_array().into_iter().flatten();
        lines.extend(entries.take(MOST_SHOWN).map(|one| spoken.entry(kind, one)));
    }
    pairs.push(("learned", lines.join("\n")));
    format!(
        "{}\n\n{}",
        render::fields(&pairs),
        render::dim("the whole document: pagi playbook show --toml")
    )
}

/// How much of what was learned.
fn learned(learned: &Value) -> String {
    let size = |value: &Value| match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::Null => 0,
        _ => 1,
    };
    let Value::Object(map) = learned else {
        return String::new();
    };
    let parts = map
        .iter()
        .map(|(key, value)| (render::clean_line(key), size(value)));
    let parts: Vec<String> = parts
        .filter(|(_, size)| *size > 0)
        .map(|(key, size)| render::count(size, key.strip_suffix('s').unwrap_or(&key)))
        .collect();
    parts.join(", ")
}

fn log(ctx: &Context, revisions: &[RevisionView]) -> String {
    if revisions.is_empty() {
        return "there are no revisions yet".to_owned();
    }
    let now = OffsetDateTime::now_utc();
    let mut table = Table::new(&["REVISION", "TERM", "MERGED", "WHEN", "CHANGED"]);
    for revision in revisions {
        table.row([
            revision.cid.clone(),
            revision.term.to_string(),
            revision.merged.len().to_string(),
            render::ago(&revision.ts, now),
            revision.summary.clone(),
        ]);
    }
    table.render(ctx.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_replaces_a_file_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("playbook.toml");
        write(&file, "first, and longer", false).unwrap();
        assert!(
            write(&file, "second", false)
                .unwrap_err()
                .next
                .contains("--force")
        );
        write(&file, "second", true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "second");
        let missing = dir.path().join("none/x.toml");
        assert!(
            write(&missing, "x", false)
                .unwrap_err()
                .cause
                .contains("cannot write")
        );
    }

    #[test]
    fn what_was_learned_is_counted() {
        assert_eq!(
            learned(&json!({ "cases": { "a": 1, "b": 2 }, "bullets": [1], "x": [] })),
            "2 cases, 1 bullet"
        );
        assert_eq!(learned(&json!(null)), "");
    }
}
