//! `pagi swarm show`: the swarm a node belongs to, and how it stands there.

use pagi_api::membership::{Membership, RefusedNode};
use serde_json::json;

use super::{
    Context,
    swarm::{about, described, next_step},
};
use crate::{render, swarms};

/// Shows the swarm and how this node stands in it.
pub async fn show(ctx: &Context) -> anyhow::Result<()> {
    let chosen = swarms::current(&ctx.data_dir)?;
    let client = ctx.client()?;
    let running = match client.get::<Membership>("/swarm/members").await {
        Ok(membership) => Some(membership),
        Err(error) if error.status.is_some() => return Err(error.into()),
        Err(_) => None,
    };
    let next_id = chosen.as_ref().map(|swarm| swarm.block.id().to_string());
    let restart = running
        .as_ref()
        .is_some_and(|running| chosen.is_some() && running.id != next_id);
    let document = json!({
        "chosen": chosen.as_ref().map(described),
        "running": running,
        "restart_needed": restart,
    });
    ctx.show(&document, || {
        let mut text = match (&running, &chosen) {
            (Some(running), _) => members(running),
            (None, Some(chosen)) => format!(
                "{}: {}\n{}\nthe node is not running: `pagi up` starts it",
                render::bold(&chosen.block.genesis().name),
                about(chosen),
                chosen.block.id()
            ),
            (None, None) => {
                "no swarm was made or joined, so the configuration's name counts; the node is not \
                 running"
                    .to_owned()
            }
        };
        if restart {
            text.push_str(&format!("\nnext: {}", next_step(true)));
        }
        text
    })
}

fn members(membership: &Membership) -> String {
    let lines = |items: &[String]| {
        if items.is_empty() {
            return "none".to_owned();
        }
        let items: Vec<String> = items.iter().map(|item| render::clean_line(item)).collect();
        items.join("\n")
    };
    let refused = |nodes: &[RefusedNode]| {
        let nodes: Vec<String> = nodes
            .iter()
            .map(|node| format!("{}: {}", node.did, render::clean_line(&node.reason)))
            .collect();
        nodes.join("\n")
    };
    let mut pairs = vec![
        ("swarm", render::bold(&render::clean_line(&membership.name))),
        ("network", render::clean_line(&membership.network)),
    ];
    if let Some(id) = &membership.id {
        pairs.push(("id", render::clean_line(id)));
    }
    let mut admission = match membership.admission.as_str() {
        "name" => "whoever uses the name is in".to_owned(),
        "open" => "open to everybody".to_owned(),
        "invited" => "by invitation".to_owned(),
        other => render::clean_line(other),
    };
    if membership.pre_shared_key {
        admission.push_str(", with a pre-shared key");
    }
    pairs.push(("admission", admission));
    pairs.push(("this node", standing(membership)));
    if membership.id.is_some() {
        pairs.push(("founders", lines(&membership.founders)));
        pairs.push(("members", lines(&membership.members)));
    }
    if !membership.revoked.is_empty() {
        pairs.push(("revoked", lines(&membership.revoked)));
    }
    if !membership.refused.is_empty() {
        pairs.push(("refused", refused(&membership.refused)));
    }
    if !membership.refused_by.is_empty() {
        pairs.push(("refused by", render::warn(&refused(&membership.refused_by))));
    }
    render::fields(&pairs)
}

/// How a node stands in its swarm; of one that waits, why, and what to do about it.
pub fn standing(membership: &Membership) -> String {
    let line = render::clean_line;
    match &membership.waiting {
        None if membership.standing == "open" => "in, as everybody is".to_owned(),
        None => line(&membership.standing),
        Some(waiting) => {
            let paint = match waiting.state.as_str() {
                "unreached" | "judged" => render::warn,
                _ => render::bad,
            };
            format!(
                "{}: {}\nnext: {}",
                paint(&line(&membership.standing)),
                line(&waiting.reason),
                line(&waiting.next)
            )
        }
    }
}
