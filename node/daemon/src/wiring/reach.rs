//! How the node stands in the network: what its options are made of, whom it remembers over restarts,
//! whom its user keeps away, and what it tells about all that.

use std::{collections::BTreeMap, time::Duration};

use pagi_api::{
    ApiError,
    membership::{Ban, NetworkView, NewBan},
};
use pagi_messages::Did;
use pagi_store::{Store, StoreError};
use pagi_swarm::{
    PRESENT, Rate, Reach, Reachability, RelayLimits, Swarm, SwarmLimits, SwarmOptions,
};
use pagi_twin::now_ms;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use zeroize::Zeroizing;

use super::{
    catchup::Catchup,
    views::{internal, store_error, swarm_error},
};
use crate::{
    config::{Config, NetworkSection, Switch},
    swarms::KnownSwarm,
};

/// The setting that holds the user's bans.
const BANS: &str = "bans";
/// How long the addresses of a peer that came are collected before they are stored.
const SETTLE: Duration = Duration::from_millis(700);
/// How often the remembered peers are stored anyway.
const PERIOD: Duration = Duration::from_secs(60);

/// The options of the network.
pub fn options(
    config: &Config,
    known: Option<&KnownSwarm>,
    known_peers: Vec<String>,
) -> SwarmOptions {
    let network = &config.network;
    let behind_router = match network.relay {
        Switch::On => true,
        Switch::Off => false,
        // A node that listens on this machine alone is not behind a router.
        Switch::Auto => config
            .node
            .listen
            .iter()
            .any(|address| !(address.contains("/127.0.0.1/") || address.contains("/::1/"))),
    };
    SwarmOptions {
        reach: Reach {
            relay_client: behind_router && !network.relay_server,
            relay_server: network.relay_server.then(RelayLimits::default),
            autonat: behind_router || network.relay_server,
            upnp: network.upnp,
        },
        announce: network.announce.clone(),
        known_peers,
        public_dht: network.public_dht.clone(),
        resolver: None,
        pre_shared_key: known
            .and_then(|known| known.key.as_ref())
            .map(|key| Zeroizing::new(*key.as_bytes())),
        gated: known.is_some_and(|known| {
            known.block.genesis().admission == pagi_bootstrap::Admission::Invited
        }),
    }
}

/// The limits of the network.
pub fn limits(network: &NetworkSection) -> SwarmLimits {
    let default = SwarmLimits::default();
    let rate = |per_second: u32| {
        (per_second > 0).then_some(Rate {
            per_second,
            burst: per_second.saturating_mul(5),
        })
    };
    SwarmLimits {
        max_connections: network.max_connections,
        max_connections_per_ip: network.max_connections_per_ip,
        max_memory_bytes: (network.max_memory_mib > 0)
            .then(|| network.max_memory_mib.saturating_mul(1024 * 1024)),
        gossip_rate: rate(network.gossip_per_second),
        request_rate: rate(network.requests_per_second),
        target_peers: network.target_peers,
        ..default
    }
}

/// Bans by the user: until when, in milliseconds since the Unix epoch; for good without.
type Bans = BTreeMap<String, Option<u64>>;

fn bans(store: &Store) -> Result<Bans, StoreError> {
    let stored = store.get_setting(BANS)?.unwrap_or_else(|| json!({}));
    let now = now_ms();
    let mut bans: Bans = serde_json::from_value(stored).unwrap_or_default();
    bans.retain(|_, until| until.is_none_or(|until| until > now));
    Ok(bans)
}

/// Puts the user's bans into force.
pub async fn enforce_bans(store: &Store, swarm: &Swarm) -> Result<(), ApiError> {
    for (peer, until) in bans(store).map_err(store_error)? {
        let time = until.map(|until| Duration::from_millis(until.saturating_sub(now_ms())));
        swarm.ban_peer(&peer, time).await.map_err(swarm_error)?;
    }
    Ok(())
}

/// A peer id, from one or from a node's DID.
fn peer_id(text: &str) -> Result<String, ApiError> {
    let did = if text.starts_with("did:") {
        text.parse::<Did>().map_err(|error| error.to_string())
    } else {
        Did::from_peer_id(text).map_err(|error| error.to_string())
    };
    did.and_then(|did| did.peer_id().map_err(|error| error.to_string()))
        .map_err(|error| ApiError::invalid(format!("`{text}` is no peer id and no DID: {error}")))
}

/// Keeps a peer away, over restarts too.
pub async fn ban(store: &Store, swarm: &Swarm, request: NewBan) -> Result<String, ApiError> {
    let peer = peer_id(&request.peer)?;
    if peer == swarm.peer_id() {
        return Err(ApiError::Conflict("this node cannot ban itself".to_owned()));
    }
    if request.seconds == Some(0) {
        return Err(ApiError::invalid("a ban lasts at least a second"));
    }
    let time = request.seconds.map(Duration::from_secs);
    let until = request
        .seconds
        .map(|seconds| now_ms().saturating_add(seconds.saturating_mul(1000)));
    let mut all = bans(store).map_err(store_error)?;
    all.insert(peer.clone(), until);
    store
        .put_setting(BANS, serde_json::to_value(&all).map_err(internal)?)
        .await
        .map_err(store_error)?;
    swarm.ban_peer(&peer, time).await.map_err(swarm_error)?;
    Ok(peer)
}

/// Lets a peer come back.
pub async fn unban(store: &Store, swarm: &Swarm, peer: &str) -> Result<String, ApiError> {
    let peer = peer_id(peer)?;
    let mut all = bans(store).map_err(store_error)?;
    let stored = all.remove(&peer).is_some();
    let kept_away = swarm
        .banned()
        .await
        .map_err(swarm_error)?
        .iter()
        .any(|banned| banned.peer_id == peer);
    if !(stored || kept_away) {
        return Err(ApiError::NotFound {
            what: "ban of peer",
            id: peer,
        });
    }
    store
        .put_setting(BANS, serde_json::to_value(&all).map_err(internal)?)
        .await
        .map_err(store_error)?;
    swarm.unblock_peer(&peer).await.map_err(swarm_error)?;
    Ok(peer)
}

/// How the node is reached, whom it keeps away, and its limits.
pub async fn view(
    store: &Store,
    swarm: &Swarm,
    relays_for_others: bool,
) -> Result<NetworkView, ApiError> {
    let reach = swarm.reach().await.map_err(swarm_error)?;
    let by_user = bans(store).map_err(store_error)?;
    let bans = swarm
        .banned()
        .await
        .map_err(swarm_error)?
        .into_iter()
        .map(|banned| Ban {
            by_user: by_user.contains_key(&banned.peer_id),
            peer_id: banned.peer_id,
            seconds_left: banned.seconds_left,
        })
        .collect();
    Ok(NetworkView {
        reach: match reach.reachability {
            Reachability::Public => "public",
            Reachability::Private | Reachability::Unknown if !reach.relays.is_empty() => "relayed",
            Reachability::Private => "private",
            Reachability::Unknown => "unknown",
        }
        .to_owned(),
        external_addrs: reach.external_addrs,
        relays: reach.relays,
        relays_for_others,
        dht_server: reach.dht_server,
        public_dht_peers: reach.public_dht_peers,
        port_mapping: reach.port_mapping,
        bans,
        limits: limits_value(swarm.limits())?,
        stats: serde_json::to_value(swarm.stats()).map_err(internal)?,
    })
}

fn limits_value(limits: &SwarmLimits) -> Result<Value, ApiError> {
    let rate = |rate: Option<Rate>| json!(rate.map(|rate| rate.per_second));
    let mut all = serde_json::to_value(limits).map_err(internal)?;
    if let Value::Object(all) = &mut all {
        all.insert("gossip_per_second".to_owned(), rate(limits.gossip_rate));
        all.insert("requests_per_second".to_owned(), rate(limits.request_rate));
    }
    Ok(all)
}

/// Statistics of the log that are present numbers.
const PRESENT_LOG: [&str; 3] = ["sync_log_messages", "sync_log_bytes", "sync_waiting"];

/// The counters of the network and of the log that other nodes catch up from, in one object.
pub fn statistics(swarm: &Swarm, catchup: &Catchup) -> Result<Value, ApiError> {
    let mut stats = serde_json::to_value(swarm.stats()).map_err(internal)?;
    let log = serde_json::to_value(catchup.stats()).map_err(internal)?;
    if let (Value::Object(stats), Value::Object(log)) = (&mut stats, log) {
        stats.extend(log);
    }
    Ok(stats)
}

/// The swarm's counters and bans in Prometheus text format.
pub async fn metrics(swarm: &Swarm, catchup: &Catchup, members: usize) -> Result<String, ApiError> {
    let stats = statistics(swarm, catchup)?;
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
        ));
    };
    for (name, value) in stats.as_object().into_iter().flatten() {
        let name = name.as_str();
        let present = PRESENT.contains(&name) || PRESENT_LOG.contains(&name);
        put(
            &format!("pagi_swarm_{name}"),
            if present { "gauge" } else { "counter" },
            "See the swarm statistics.",
            value.as_f64().unwrap_or(0.0),
        );
    }
    let limits = limits_value(swarm.limits())?;
    for (name, value) in limits.as_object().into_iter().flatten() {
        // What is not limited, and pairs whose numbers have names of their own, are left out.
        if let Some(value) = value.as_f64() {
            put(
                &format!("pagi_swarm_limit_{name}"),
                "gauge",
                "See the limits of the swarm.",
                value,
            );
        }
    }
    put(
        "pagi_swarm_members",
        "gauge",
        "Members of an invited swarm known here.",
        members as f64,
    );
    let reach = swarm.reach().await.map_err(swarm_error)?;
    put(
        "pagi_swarm_public",
        "gauge",
        "1 where others can dial this node directly.",
        f64::from(u8::from(reach.reachability == Reachability::Public)),
    );
    put(
        "pagi_swarm_relays",
        "gauge",
        "Relays that hold a reservation for this node.",
        reach.relays.len() as f64,
    );
    Ok(text)
}

/// Stores the remembered peers soon after one came, and from time to time.
pub fn keep_peers(store: Store, swarm: Swarm, came: std::sync::Arc<Notify>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = came.notified() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(PERIOD) => {}
            }
            remember_peers(&store, &swarm).await;
        }
    })
}

/// Stores the addresses of peers worth dialling after a restart. Those of an earlier life stay as
/// long as there are none.
pub async fn remember_peers(store: &Store, swarm: &Swarm) {
    let Ok(peers) = swarm.remembered_peers().await else {
        return;
    };
    if peers.is_empty() || store.peers().is_ok_and(|stored| stored == peers) {
        return;
    }
    if let Err(error) = store.put_peers(peers).await {
        tracing::warn!(%error, "the known peers could not be stored");
    }
}
