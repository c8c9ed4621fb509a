//! Building a node: keys, transports, block store, behaviour, listeners.

use std::fs::File;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use connexa::behaviour::BehaviourEvent;
use connexa::prelude::mdns;
use connexa::prelude::transport::dns::DnsResolver;
use connexa::prelude::transport::pnet::PreSharedKey;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId};
use rust_ipfs::builder::IpfsBuilder;
use rust_ipfs::repo::LockError;
use rust_ipfs::{Ipfs, Keypair};
use tokio::sync::{RwLock, mpsc};
use zeroize::Zeroizing;

use crate::behaviour::{Ends, NodeBehaviour, Setup};
use crate::blocks::{clear_temporary_files, sync_dirs};
use crate::commands::Command;
use crate::config::{Checked, CheckedOptions, SwarmConfig, SwarmOptions};
use crate::error::SwarmError;
use crate::handle::{Shared, Swarm};
use crate::inbound::Inbound;
use crate::names::or_system;
use crate::protocol::Names;
use crate::stats::Counters;

/// Log directives (in the syntax of `tracing_subscriber::EnvFilter`) that silence what the
/// libraries underneath report as errors though it is daily life, such as a failed dial.
pub const LOG_FILTER: &str =
    "connexa=off,rust_ipfs=warn,rust_ipfs::p2p=off,libp2p_gossipsub=error,libp2p_kad=error";

/// Commands waiting for the network task.
const COMMANDS: usize = 256;
/// A connection that no protocol needs is kept this long: connections are what a small swarm
/// consists of. Dead ones are found by ping.
const IDLE_SECONDS: u64 = 24 * 3600;

/// Starts a node: opens the block store, brings up the listeners, begins to dial the bootstrap
/// peers. Must be called inside a tokio runtime; the future may be spawned.
///
/// Nothing is contacted but the configured bootstrap peers, what they make known, and (with
/// `mdns`) the local network: no public bootstrap nodes, no relays, no port mapping.
///
/// # Errors
/// [`SwarmError::BadConfig`] and [`SwarmError::BadAddress`] for a bad configuration,
/// [`SwarmError::InUse`] when another node has the data directory open, [`SwarmError::Listen`]
/// when an address cannot be listened on, [`SwarmError::Start`] for anything else.
pub async fn start(config: SwarmConfig) -> Result<(Swarm, Inbound), SwarmError> {
    start_with(config, SwarmOptions::default()).await
}

/// Starts a node like [`start`], with more than the ordinary switched on.
///
/// # Errors
/// Those of [`start`]; [`SwarmError::BadAddress`] also for a QUIC address beside a pre-shared key.
pub async fn start_with(
    config: SwarmConfig,
    options: SwarmOptions,
) -> Result<(Swarm, Inbound), SwarmError> {
    let checked = config.check()?;
    let CheckedOptions {
        announce,
        known_peers,
        public_dht,
    } = options.check(&checked)?;
    let Checked { listen, bootstrap } = checked;
    let keypair = Keypair::ed25519_from_bytes(*config.secret_key).map_err(failed)?;
    let local: PeerId = keypair.public().to_peer_id();
    let names = Names::new(&config.swarm).map_err(failed)?;
    let store_dir = config.data_dir.join("ipfs");
    let counters = Arc::new(Counters::default());
    let limits = config.limits.clone();
    let counted = Arc::clone(&counters);
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let resolver = or_system(options.resolver);
    let setup = Setup {
        names,
        limits,
        counters: counted,
        commands: receiver,
        reach: options.reach,
        announce,
        resolver: Arc::clone(&resolver),
        gated: options.gated,
        blocks_dir: store_dir.join("blockstore"),
        public: (!public_dht.is_empty()).then(|| config.swarm.clone()),
    };
    let secret = options.pre_shared_key;

    // rust-ipfs's builder cannot move between threads, so it lives and dies on one.
    let runtime = tokio::runtime::Handle::current();
    let path = store_dir.clone();
    let met = config.mdns.then(|| commands.clone());
    let build = move || runtime.block_on(build(keypair, setup, &path, secret, met));
    let (ipfs, ends) = tokio::task::spawn_blocking(build).await.map_err(failed)??;

    let shared = Shared {
        local,
        peer_id: local.to_string(),
        limits: config.limits,
        gated: options.gated,
        store_dir,
        counters,
        commands,
        publishes: ends.publishes,
        resolver,
        ipfs: RwLock::new(Some(ipfs.clone())),
        content: Default::default(),
    };
    let swarm = Swarm {
        shared: Arc::new(shared),
    };
    for addr in listen {
        let text = addr.to_string();
        let listening = match port_is_free(&addr) {
            Ok(()) => ipfs
                .add_listening_address(addr)
                .await
                .map(|_| ())
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = listening {
            drop(ipfs);
            swarm.shutdown().await;
            return Err(SwarmError::Listen { addr: text, reason });
        }
    }
    // Only now: a peer met earlier would be told that this node listens nowhere.
    let peers = bootstrap.into_iter().chain(public_dht).collect();
    swarm.send(Command::Bootstrap { peers }).await?;
    let peers = known_peers;
    swarm.send(Command::Remember { peers }).await?;
    tracing::info!(peer_id = %local, swarm = config.swarm, "network started");
    Ok((swarm, ends.inbound))
}

/// Whether nobody listens on a TCP address. libp2p shares ports between sockets to dial from the
/// port it listens on; so without this check a second node on the same port would start, and get
/// half of the first one's connections.
fn port_is_free(addr: &Multiaddr) -> io::Result<()> {
    let mut parts = addr.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

async fn build(
    keypair: Keypair,
    setup: Setup,
    store_dir: &Path,
    secret: Option<Zeroizing<[u8; 32]>>,
    met: Option<mpsc::Sender<Command>>,
) -> Result<(Ipfs, Ends), SwarmError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let relay_client = setup.reach.relay_client;
    let limits = setup.limits.clone();
    let mut builder = IpfsBuilder::with_keypair(&keypair)
        .map_err(failed)?
        .with_custom_behaviour(move |keypair| {
            let (behaviour, ends) = NodeBehaviour::new(keypair, setup)?;
            let _ = sender.send(ends);
            Ok(behaviour)
        })
        .set_path(store_dir)
        .enable_tcp()
        // The machine's own resolver, not a public one.
        .enable_dns_with_resolver(DnsResolver::Local)
        .set_connection_limits(move |unlimited| {
            unlimited
                .with_max_established(Some(limits.max_connections))
                .with_max_established_per_peer(Some(limits.max_connections_per_peer))
                .with_max_pending_incoming(Some(limits.max_pending_connections))
                .with_max_pending_outgoing(Some(limits.max_pending_connections))
        })
        .set_idle_connection_timeout(IDLE_SECONDS);
    builder = match secret {
        // QUIC would go past the secret.
        Some(secret) => builder.enable_pnet(PreSharedKey::new(*secret)),
        None => builder.enable_quic(),
    };
    if relay_client {
        // The transport and its client only; what to do with them is decided in `nat.rs`.
        builder = builder.with_relay(false);
    }
    if let Some(met) = met {
        // rust-ipfs runs mDNS but does nothing with what it finds; the dialer does.
        builder = builder.with_mdns().swarm_events(move |_, event| {
            if let SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(found))) =
                event
            {
                // When the queue is full the next round of mDNS says it again.
                let _ = met.try_send(Command::Met {
                    peers: found.clone(),
                });
            }
        });
    }
    let ipfs = builder
        .start()
        .await
        .map_err(|error| match error.downcast_ref::<LockError>() {
            Some(LockError::RepoInUse) => SwarmError::InUse {
                path: store_dir.to_owned(),
            },
            _ => SwarmError::Start(error.into()),
        })?;
    let ends = receiver.try_recv().map_err(failed)?;
    match clear_temporary_files(store_dir) {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "cleared what interrupted writes left behind"),
        Err(error) => tracing::warn!(%error, "cannot clear temporary files"),
    }
    // The directories may be new: make their names last before any block goes into them.
    let parent = store_dir.parent().map(Path::to_owned);
    sync_dirs(parent.into_iter().chain([store_dir.to_owned()]).collect()).await?;
    Ok((ipfs, ends))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> SwarmError {
    SwarmError::Start(Box::new(error))
}

/// Whether no node has the block store open.
pub(crate) fn store_is_free(store_dir: &Path) -> bool {
    match File::open(store_dir.join("repo_lock")) {
        Ok(file) => file.try_lock().is_ok(),
        Err(_) => true,
    }
}
