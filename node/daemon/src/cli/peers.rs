//! `pagi peers`.

use clap::{Args, Subcommand};
use pagi_api::{
    membership::{Ban, NetworkView, NewBan},
    swarm::Peer,
};

use super::{Context, swarm::seconds};
use crate::{
    client::encode,
    render::{self, Table},
};

/// `pagi peers`: without a command, the connected peers.
#[derive(Debug, Args)]
pub struct PeersArgs {
    #[command(subcommand)]
    command: Option<PeersCommand>,
}

/// `pagi peers …`.
#[derive(Debug, Subcommand)]
enum PeersCommand {
    /// Show how this node is reached, whom it keeps away, and its limits
    Network,
    /// Disconnect a peer and keep it away, over restarts too
    Ban {
        /// Its peer id, or its DID
        peer: String,
        /// For so long, such as 30m, 12h or 7d [default: for good]
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        time: Option<u64>,
    },
    /// Let a peer come back
    Unban {
        /// Its peer id, or its DID
        peer: String,
    },
}

/// Runs a `pagi peers` command.
pub async fn peers(args: PeersArgs, ctx: &Context) -> anyhow::Result<()> {
    let client = ctx.client()?;
    let network: NetworkView = match args.command {
        None => {
            let peers: Vec<Peer> = client.get("/peers").await?;
            // The document is the list; the network has one of its own.
            if ctx.json {
                return ctx.document(&peers);
            }
            let network: NetworkView = client.get("/network").await?;
            return ctx.print(&format!(
                "{}\n\n{}",
                table(&peers, ctx.width),
                summary(&network, false)
            ));
        }
        Some(PeersCommand::Network) => client.get("/network").await?,
        Some(PeersCommand::Ban { peer, time }) => {
            let body = NewBan {
                peer,
                seconds: time,
            };
            client.post("/peers/bans", &body).await?
        }
        Some(PeersCommand::Unban { peer }) => {
            client
                .delete(&format!("/peers/bans/{}", encode(&peer)))
                .await?
        }
    };
    ctx.show(&network, || summary(&network, true))
}

/// What of the statistics stands beside the limits.
const IN_USE: [&str; 23] = [
    "connections",
    "relayed",
    "refused_connections",
    "memory_bytes",
    "requests_open",
    "request_bytes",
    "requests_limited",
    "requests_bad",
    "inbound_bytes",
    "inbound_dropped",
    "gossip_limited",
    "publish_waiting",
    "publish_dropped",
    "forward_dropped",
    "wants",
    "wants_cut",
    "blocks_in",
    "blocks_unasked",
    "blocks_out",
    "dht_records",
    "dht_provided",
    "records_refused",
    "bans",
];

fn table(peers: &[Peer], width: Option<usize>) -> String {
    if peers.is_empty() {
        return "no peers are connected".to_owned();
    }
    let mut table = Table::new(&[
        "PEER",
        "IN",
        "VIA",
        "LINKS",
        "MESH",
        "SCORE",
        "LIMITED",
        "AGENT",
        "ADDRESSES",
    ]);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    for peer in peers {
        table.row([
            peer.peer_id.clone(),
            yes(peer.admitted),
            if peer.relayed { "relay" } else { "direct" }.to_owned(),
            peer.connections.to_string(),
            yes(peer.in_mesh),
            peer.score
                .filter(|_| peer.admitted)
                .map(|score| format!("{score:.1}"))
                .unwrap_or_default(),
            peer.limited.to_string(),
            peer.agent.clone().unwrap_or_default(),
            peer.addrs.join(" "),
        ]);
    }
    table.render(width)
}

fn summary(network: &NetworkView, whole: bool) -> String {
    let list = |items: &[String], none: &str| {
        if items.is_empty() {
            none.to_owned()
        } else {
            let items: Vec<String> = items.iter().map(|item| render::clean_line(item)).collect();
            items.join("\n")
        }
    };
    let bans: Vec<String> = network.bans.iter().map(ban).collect();
    let limits: Vec<String> = network
        .limits
        .as_object()
        .into_iter()
        .flatten()
        // Pairs of numbers are shown under names of their own.
        .filter(|(_, value)| !value.is_null() && !value.is_object())
        .map(|(name, value)| format!("{} {}", render::clean_line(name), render::value(value)))
        .collect();
    let used = IN_USE.iter().filter_map(|name| {
        let value = network.stats.get(*name)?;
        Some(format!("{name} {}", render::value(value)))
    });
    let used: Vec<String> = used.collect();
    let mut reach = render::clean_line(&network.reach);
    if network.relays_for_others {
        reach.push_str(", relays for others");
    }
    if !network.dht_server {
        reach.push_str(", only asks the DHT");
    }
    if let Some(peers) = network.public_dht_peers {
        reach.push_str(&format!(", in the public IPFS DHT ({peers} peers)"));
    }
    let mut pairs = vec![
        ("reach", reach),
        (
            "found at",
            list(&network.external_addrs, "its listen addresses"),
        ),
        ("relays", list(&network.relays, "none")),
    ];
    if let Some(reason) = &network.port_mapping {
        pairs.push(("router", render::clean_line(reason)));
    }
    pairs.push(("kept away", list(&bans, "nobody")));
    if whole {
        pairs.push(("limits", limits.join("\n")));
        pairs.push(("in use, refused", used.join("\n")));
        return render::fields(&pairs);
    }
    let note = "`pagi peers network` shows the limits and what is in use";
    format!("{}\n\n{}", render::fields(&pairs), render::dim(note))
}

fn ban(ban: &Ban) -> String {
    let time = match ban.seconds_left {
        Some(left) => format!("for {}", render::seconds(left)),
        None => "for good".to_owned(),
    };
    let by = if ban.by_user { "by you" } else { "by the gate" };
    format!("{} {time}, {by}", ban.peer_id)
}
