//! `pagi swarm twins`.

use clap::Args;
use pagi_api::swarm::KnownTwin;
use time::OffsetDateTime;

use super::Context;
use crate::render::{self, Table};

/// `pagi swarm twins`.
#[derive(Debug, Args)]
pub struct TwinsArgs {
    /// Only those whose name, role, tools, id or DID hold all of these words
    words: Vec<String>,
    /// Only those a message would reach now
    #[arg(long)]
    reachable: bool,
    /// Only those that may call this tool; may be given more than once
    #[arg(long = "tool", value_name = "NAME")]
    tools: Vec<String>,
    /// Without those of this node
    #[arg(long)]
    others: bool,
}

/// Lists the twins of the swarm.
pub async fn twins(args: TwinsArgs, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let all: Vec<KnownTwin> = client.get("/swarm/twins").await?;
    let known = all.len();
    let found: Vec<KnownTwin> = all.into_iter().filter(|twin| args.fits(twin)).collect();
    ctx.show(&found, || match found.as_slice() {
        [] if known > 0 => format!("none of {} fits", render::count(known, "known twin")),
        [] => "no twin is known yet: those of other nodes turn up within seconds of a connection \
               (`pagi peers`), and `pagi twin create` makes one here"
            .to_owned(),
        found => list(ctx, found),
    })
}

impl TwinsArgs {
    fn fits(&self, twin: &KnownTwin) -> bool {
        let text = [
            twin.name.as_deref().unwrap_or_default(),
            twin.role.as_deref().unwrap_or_default(),
            &twin.tools.join(" "),
            &twin.twin_id,
            &twin.did,
            &twin.node,
        ]
        .join("\n")
        .to_lowercase();
        (!self.reachable || twin.reachable)
            && (!self.others || !twin.local)
            && self.tools.iter().all(|tool| twin.tools.contains(tool))
            && self
                .words
                .iter()
                .all(|word| text.contains(&word.to_lowercase()))
    }
}

fn list(ctx: &Context, twins: &[KnownTwin]) -> String {
    let now = OffsetDateTime::now_utc();
    let mut table = Table::new(&["NAME", "DID", "REACH", "HEARD", "NODE", "CAN"]);
    for twin in twins {
        let can = [
            twin.role.clone().unwrap_or_default(),
            match twin.tools.len() {
                0 => String::new(),
                _ => format!("[{}] {}", twin.inference, twin.tools.join(" ")),
            },
        ];
        let can = can
            .iter()
            .map(|part| part.trim())
            .filter(|part| !part.is_empty());
        table.row([
            twin.name
                .clone()
                .unwrap_or_else(|| twin.twin_id.chars().take(8).collect()),
            twin.did.clone(),
            reach(twin).to_owned(),
            if twin.local {
                String::new()
            } else {
                render::ago(&twin.last_seen, now)
            },
            if twin.local {
                "this one".to_owned()
            } else {
                render::short_did(&twin.node)
            },
            can.collect::<Vec<_>>().join(": "),
        ]);
    }
    let note = "`pagi msg send DID \"…\"` writes to one; who is away gets it when back";
    format!("{}\n\n{}", table.render(ctx.width), render::dim(note))
}

fn reach(twin: &KnownTwin) -> &'static str {
    match (twin.stopped.is_some(), twin.reach.as_str()) {
        (true, _) => "STOPPED",
        (_, "here") => "here",
        (_, "connected") => "connected",
        (_, "heard") => "over others",
        _ => "away",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn twin() -> KnownTwin {
        serde_json::from_value(json!({
            "twin_id": "b286f682-ff1f", "did": "did:key:z6MkAda", "node": "did:key:z6MkNode",
            "last_seen": "2026-01-01T00:00:00Z", "tools": ["recall", "word_count"],
            "inference": "planner", "local": false, "name": "Ada", "role": "Counts words",
            "reach": "away", "reachable": false,
        }))
        .unwrap()
    }

    fn args(words: &[&str]) -> TwinsArgs {
        TwinsArgs {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            reachable: false,
            tools: Vec::new(),
            others: false,
        }
    }

    #[test]
    fn a_twin_is_found_by_name_role_tool_and_reach() {
        let twin = twin();
        for words in [
            &["ada"][..],
            &["count", "word"],
            &["b286"],
            &["z6mkada"],
            &[],
        ] {
            assert!(args(words).fits(&twin), "{words:?}");
        }
        assert!(!args(&["ada", "grace"]).fits(&twin));
        let with = |change: &dyn Fn(&mut TwinsArgs)| {
            let mut args = args(&[]);
            change(&mut args);
            args.fits(&twin)
        };
        assert!(!with(&|args| args.reachable = true));
        assert!(with(&|args| args.others = true));
        assert!(with(&|args| args.tools = vec!["word_count".into()]));
        assert!(!with(&|args| args.tools = vec!["word".into()]));
    }
}
