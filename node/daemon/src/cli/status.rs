//! `pagi status`.

use pagi_api::{
    membership::Membership,
    swarm::{MoView, NodeInfo, SwarmView},
};
use serde_json::json;

use super::{Context, mo, swarm_show::standing};
use crate::render;

/// Shows the node, its swarm and the MO at a glance.
pub async fn status(ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let node: NodeInfo = client.get("/status").await?;
    let swarm: SwarmView = client.get("/swarm").await?;
    let mo: MoView = client.get("/mo").await?;
    let membership: Membership = client.get("/swarm/members").await?;
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
        "membership": membership,
    });
    ctx.show(&document, || glance(&node, &swarm, &mo, &membership))
}

fn glance(node: &NodeInfo, swarm: &SwarmView, mo: &MoView, membership: &Membership) -> String {
    let line = render::clean_line;
    let listen: Vec<String> = node.listen.iter().map(|addr| line(addr)).collect();
    let stopped = node.stopped.as_ref().map(|why| {
        format!(
            "{}\n{}\n",
            render::bad(&format!("STOPPED: {}", line(why))),
            render::dim("`pagi resume --override` lets this node go on in spite of it")
        )
    });
    stopped.unwrap_or_default()
        + &render::fields(&[
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
            ("standing", standing(membership)),
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
            ("keys", line(&node.keys)),
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
