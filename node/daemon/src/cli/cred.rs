//! `pagi cred`.

use std::ffi::OsString;

use clap::Subcommand;
use pagi_api::{
    tools::{ExecuteTool, ToolResult},
    trust::{AddCredential, CredentialView},
};
use serde_json::{Value, json};

use super::{CliError, Context, context::read_input, select::TwinArg};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi cred …`.
#[derive(Debug, Subcommand)]
pub enum CredCommand {
    /// Issue a reputation credential as a twin, and print it
    Issue {
        /// Whom it is about: a DID
        subject: String,
        /// The score, on a scale of the issuer's
        #[arg(allow_negative_numbers = true)]
        score: f64,
        /// What the score rests on: any JSON
        #[arg(long, value_name = "JSON", value_parser = json_text)]
        contributions: Option<Value>,
        /// Days it holds
        #[arg(long, value_name = "N", default_value_t = 90)]
        days: u32,
        /// Tell the swarm of it
        #[arg(long)]
        publish: bool,
        #[command(flatten)]
        twin: TwinArg,
    },
    /// Check a credential: signature, issuer, terms and dates
    Verify {
        /// The file; `-` is standard input
        file: OsString,
    },
    /// List the credentials kept here
    List,
    /// Keep a credential that holds
    Add {
        /// The file; `-` is standard input
        file: OsString,
        /// Tell the swarm of it
        #[arg(long)]
        publish: bool,
    },
    /// Take a credential back that a twin of this node issued, and tell the swarm
    Revoke {
        /// Its id in `pagi cred list`, or the last letters of it
        id: String,
    },
    /// Show how far a DID is believed here, and why
    Explain {
        /// The DID
        did: String,
    },
}

fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// Runs a `pagi cred` command.
pub async fn cred(command: CredCommand, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    match command {
        CredCommand::Issue {
            subject,
            score,
            contributions,
            days,
            publish,
            twin,
        } => {
            let twin = twin.resolve(&client).await?;
            let body = ExecuteTool {
                twin_id: None,
                parameters: json!({
                    "issuer_twin_id": twin.twin_id, "subject_did": subject,
                    "reputation_score": score, "contributions": contributions,
                    "valid_days": days, "publish": publish,
                }),
            };
            let issued: ToolResult = client.post("/execute/vc_issue_reputation", &body).await?;
            // It is a document in either case, to be kept in a file or sent.
            ctx.show(&issued.result, || {
                render::clean_text(&format!("{:#}", issued.result))
            })
        }
        CredCommand::List => {
            let kept: Vec<CredentialView> = client.get("/credentials").await?;
            ctx.show(&kept, || table(ctx, &kept))
        }
        CredCommand::Add { file, publish } => {
            let document = read_credential(&file)?;
            let body = AddCredential { document, publish };
            let kept: CredentialView = client.post("/credentials", &body).await?;
            ctx.show(&kept, || {
                format!("{} {}", render::good("kept:"), render::clean_line(&kept.id))
            })
        }
        CredCommand::Revoke { id } => {
            let kept: Vec<CredentialView> = client.get("/credentials").await?;
            let found: Vec<&CredentialView> =
                kept.iter().filter(|one| one.id.ends_with(&id)).collect();
            let [one] = found.as_slice() else {
                return Err(CliError::usage(
                    format!("`{id}` stands for {} credentials", found.len()),
                    "`pagi cred list` shows the credentials there are",
                )
                .into());
            };
            let path = format!("/credentials/{}/revoke", encode(&one.id));
            let revoked: CredentialView = client.post(&path, &json!({})).await?;
            ctx.show(&revoked, || {
                let (id, status) = (&revoked.id, &revoked.status);
                render::clean_line(&format!("{id}: {status}"))
            })
        }
        CredCommand::Explain { did } => {
            let path = format!("/reputation?did={}", encode(&did));
            let explained: Value = client.get(&path).await?;
            ctx.show(&explained, || explanation(ctx, &explained))
        }
        CredCommand::Verify { file } => {
            let credential = read_credential(&file)?;
            let body = ExecuteTool {
                twin_id: None,
                parameters: json!({ "credential": credential }),
            };
            let checked: ToolResult = client.post("/execute/vc_verify", &body).await?;
            verdict(&checked.result, ctx)
        }
    }
}

fn read_credential(file: &OsString) -> Result<Value, CliError> {
    serde_json::from_str(&read_input(file)?).map_err(|error| {
        CliError::new(
            format!("the credential is not JSON: {error}"),
            "give the file that `pagi cred issue` wrote",
        )
    })
}

fn table(ctx: &Context, kept: &[CredentialView]) -> String {
    if kept.is_empty() {
        return "no credentials are kept here".to_owned();
    }
    let mut table = Table::new(&["ID", "ISSUER", "SUBJECT", "SCORE", "STATUS", "", ""]);
    for one in kept {
        table.row([
            one.id.clone(),
            one.issuer.clone(),
            one.subject.clone(),
            one.score.map(|score| score.to_string()).unwrap_or_default(),
            one.status.clone(),
            if one.own { "own" } else { "" }.to_owned(),
            if one.public { "public" } else { "" }.to_owned(),
        ]);
    }
    table.render(ctx.width)
}

fn explanation(ctx: &Context, explained: &Value) -> String {
    let number = |value: &Value| format!("{:.4}", value.as_f64().unwrap_or(0.0));
    let steps = match explained["ring"].as_u64() {
        Some(0) => "a root: a twin of this node, or the node itself".to_owned(),
        Some(ring) => format!("{} from the roots", render::count(ring as usize, "step")),
        None => "nobody who is believed here vouches for it".to_owned(),
    };
    let mut text = format!("{} of 1: {steps}\n", number(&explained["standing"]));
    let shares = explained["shares"].as_array();
    if let Some(shares) = shares.filter(|shares| !shares.is_empty()) {
        let mut table = Table::new(&["ADDS", "ISSUER", "ITS STANDING", "SCORE", "FRESHNESS"]);
        for share in shares {
            table.row([
                number(&share["adds"]),
                share["issuer"].as_str().unwrap_or_default().to_owned(),
                number(&share["issuer_standing"]),
                number(&share["score"]),
                number(&share["freshness"]),
            ]);
        }
        text.push_str(&table.render(ctx.width));
    }
    if let Some(ignored) = explained["ignored"].as_u64().filter(|ignored| *ignored > 0) {
        let what = render::count(ignored as usize, "more credential");
        text.push_str(&format!("\n{what}, of no weight here"));
    }
    text
}

fn verdict(checked: &Value, ctx: &Context) -> anyhow::Result<()> {
    let valid = checked["valid"] == true;
    let text = |member: &str| render::clean_line(checked[member].as_str().unwrap_or("?"));
    ctx.show(checked, || {
        if valid {
            format!(
                "{} {} about {}, issued by {}",
                render::good("valid:"),
                text("type"),
                text("subject"),
                text("issuer")
            )
        } else {
            format!("{} {}", render::bad("not valid:"), text("reason"))
        }
    })?;
    if valid {
        return Ok(());
    }
    Err(CliError::after_output(
        format!("the credential is not valid: {}", text("reason")),
        "ask its issuer for a new one",
    )
    .into())
}
