//! `pagi status`.

use pagi_api::swarm::{MoView, NodeInfo, SwarmView};
use serde_json::json;

use super::{Context, mo};
use crate::render;

/// Shows the node, its swarm and the MO at a glance.
pub async fn status(ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let node: NodeInfo = client.get("/status").await?;
    let swarm: SwarmView = client.get("/swarm").await?;
    let mo: MoView = client.get("/mo").await?;
    let document = json!({
        "node": node,
        "swarm": {
            "name": swarm.name,
            "nodes": swarm.nodes,
            "twins": swarm.twins,
            "playbook": swarm.playbook,
            "stats": swarm.stats,
        },
        "mo": mo,
    });
    ctx.show(&document, || glance(&node, &swarm, &mo))
}

fn glance(node: &NodeInfo, swarm: &SwarmView, mo: &MoView) -> String {
    let line = render::clean_line;
    let listen: Vec<String> = node.listen.iter().map(|addr| line(addr)).collect();
    render::fields(&[
        ("node", render::bold(&line(&node.peer_id))),
        ("did", line(&node.did)),
        (
            "version",
            format!(
                "{}, up {}",
                line(&node.version),
                render::seconds(node.uptime_s)
            ),
        ),
        (
            "swarm",
            format!(
                "{}: {} heard lately, {} connected, {}",
                line(&swarm.name),
                render::count(swarm.nodes.len(), "node"),
                render::count(node.peers, "peer"),
                render::count(swarm.twins.len(), "known twin"),
            ),
        ),
        ("MO", mo::summary(mo)),
        ("playbook", line(&swarm.playbook)),
        (
            "here",
            format!(
                "{}, {}",
                render::count(node.twins, "twin"),
                render::count(node.tools, "tool")
            ),
        ),
        ("inference", line(&node.inference)),
        (
            "listening",
            if listen.is_empty() {
                "nowhere".into()
            } else {
                listen.join("\n")
            },
        ),
    ])
}
