//! `pagi stop` and `pagi resume`: the kill switch.

use clap::Args;
use pagi_api::trust::{GiveOrder, Halt};
use serde_json::json;
use time::OffsetDateTime;

use super::{Context, select::find};
use crate::render;

/// `pagi stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Stop this twin alone: its DID, or a twin of this node [default: the whole swarm]
    #[arg(long, value_name = "TWIN")]
    twin: Option<String>,
    /// Why, for people to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// `pagi resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Let this twin go on: its DID, or a twin of this node [default: the whole swarm]
    #[arg(long, value_name = "TWIN")]
    twin: Option<String>,
    /// Why, for people to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Go on here alone, in spite of every order to stop so far
    #[arg(long = "override", conflicts_with_all = ["twin", "reason"])]
    on_own: bool,
}

/// Stops the swarm or a twin.
pub async fn stop(args: StopArgs, ctx: &Context) -> anyhow::Result<()> {
    order("stop", args.twin, args.reason, ctx).await
}

/// Lets the swarm or a twin go on.
pub async fn resume(args: ResumeArgs, ctx: &Context) -> anyhow::Result<()> {
    if args.on_own {
        let halt: Halt = ctx.client()?.post("/halt/override", &json!({})).await?;
        return ctx.show(&halt, || told(&halt));
    }
    order("resume", args.twin, args.reason, ctx).await
}

async fn order(
    action: &str,
    twin: Option<String>,
    reason: String,
    ctx: &Context,
) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let twin = match twin {
        Some(did) if did.starts_with("did:") => Some(did),
        Some(name) => Some(find(&client, Some(&name)).await?.did),
        None => None,
    };
    let order = GiveOrder {
        action: action.to_owned(),
        twin,
        reason,
    };
    let halt: Halt = client.post("/halt", &order).await?;
    let of_twin = order.twin.as_deref().map(|twin| {
        let twin = render::clean_line(twin);
        match action {
            "stop" => format!("{} {twin}", render::bad("STOPPED:")),
            _ => format!("{} {twin}", render::good("going on:")),
        }
    });
    ctx.show(&halt, || {
        let lines = of_twin.into_iter().chain([told(&halt)]);
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn told(halt: &Halt) -> String {
    let head = match &halt.stopped {
        Some(why) => format!("{} {}", render::bad("STOPPED:"), render::clean_line(why)),
        None => format!("{} the node itself works", render::good("going:")),
    };
    let orders = halt.orders.iter().map(|order| {
        let target = order.twin.as_deref().unwrap_or("the swarm");
        let over = if order.overridden {
            " (overridden here)"
        } else {
            ""
        };
        render::clean_line(&format!(
            "{} {target}, by {} ({}), {}{over}",
            order.action,
            render::short_did(&order.by),
            order.rank,
            render::ago(&order.at, OffsetDateTime::now_utc())
        ))
    });
    std::iter::once(head)
        .chain(orders)
        .collect::<Vec<_>>()
        .join("\n")
}
