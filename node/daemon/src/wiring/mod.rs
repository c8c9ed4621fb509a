//! Joins the rooms of a node: each of them names what it needs as small traits, and here, and only
//! here, the siblings meet.
//!
//! Start order: store, keys, network, hive, tools, mind, control. Stop order is the reverse, so that
//! nothing is acknowledged that cannot be stored any more.

mod api;
mod blocks;
mod catchup;
mod changes;
mod content;
mod curate;
mod esteem;
mod evaluate;
mod gate;
mod gateway;
pub(crate) mod git;
pub mod keys;
mod mailroom;
mod messages;
mod natives;
mod network;
mod notices;
mod pickup;
mod plugins;
mod reach;
mod roll;
mod shelf;
mod sightings;
mod strikes;
mod trust;
mod views;
mod vouches;
mod whereabouts;
mod work;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use pagi_control::Control;
use pagi_hive::{ElectionConfig, Hive, HiveConfig};
use pagi_messages::{SigningIdentity, wire};
use pagi_plugin_host::{AddressCheck, HostConfig, ToolHost};
use pagi_store::Store;
use pagi_swarm::{Swarm, SwarmConfig};
use pagi_twin::{Mind, MindConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::{api::PagiNode, gateway::Gateway};
use crate::{
    cli::CliError,
    config::Config,
    passphrase,
    swarms::{self, KnownSwarm},
};

/// A running node.
pub struct Running {
    /// What it offers its user.
    pub node: Arc<PagiNode>,
    hive: Hive,
    swarm: Swarm,
    store: Store,
    heard: Arc<sightings::Heard>,
    pumps: Vec<JoinHandle<()>>,
    work: JoinHandle<()>,
    stop_work: CancellationToken,
}

/// A room that could not be opened.
fn cannot(what: &str, error: &dyn std::fmt::Display, next: &str) -> CliError {
    CliError::new(format!("{what}: {error}"), next.to_owned())
}

impl Running {
    /// Starts a node in `data_dir`. The control API is started by the caller, over [`Running::node`].
    ///
    /// # Errors
    /// [`CliError`] with the room that failed and a next step.
    pub async fn start(data_dir: &Path, config: &Config) -> Result<Self, CliError> {
        let started = Instant::now();
        let store = Store::open(data_dir).map_err(|error| {
            cannot(
                "the store",
                &error,
                "stop the other node that uses this directory, or choose another --data-dir",
            )
        })?;
        // Before a key is made: one that is lost must not be replaced.
        keys::missing(data_dir, &store)?;
        let keys = passphrase::open_keys(data_dir, &config.passphrase)?;
        let seed = keys
            .node_seed()
            .map_err(|error| cannot("the node's key", &error, "restore it from a backup"))?;
        let identity = SigningIdentity::from_seed(&seed);
        keys::remember(&store, identity.did()).await?;
        let place = Place::of(data_dir, config, &identity)?;
        store
            .enter_swarm(config.node.swarm.clone(), place.network.clone())
            .await
            .map_err(|error| cannot("the store", &error, "restore it from a backup"))?;
        let known_peers = store
            .peers()
            .map_err(|error| cannot("the store", &error, "restore it from a backup"))?;
        let expected = !place.bootstrap.is_empty() || !known_peers.is_empty();
        let (swarm, inbound) = pagi_swarm::start_with(
            SwarmConfig {
                secret_key: seed,
                data_dir: data_dir.to_owned(),
                swarm: place.network.clone(),
                listen: place.listen,
                bootstrap: place.bootstrap.clone(),
                mdns: config.node.mdns,
                limits: reach::limits(&config.network),
            },
            reach::options(config, place.known.as_ref(), known_peers),
        )
        .await
        .map_err(|error| {
            cannot(
                "the network",
                &error,
                "choose other addresses: --listen /ip4/0.0.0.0/tcp/0",
            )
        })?;
        let topics = network::Topics {
            coordination: wire::coordination_topic(&place.network),
            election: wire::election_topic(&place.network),
            work: wire::work_topic(&place.network),
        };
        let work_topic = topics.work.clone();
        for topic in [
            &topics.coordination,
            &topics.election,
            &topics.work,
            &gate::topic(&place.network),
        ] {
            swarm
                .subscribe(topic)
                .await
                .map_err(|error| cannot("the gossip topic", &error, "report this as a bug"))?;
        }
        let (catchup, sleeping) =
            catchup::Catchup::open(store.clone(), swarm.clone(), identity.did().clone()).map_err(
                |error| cannot("the log of messages", &error, "restore it from a backup"),
            )?;
        let network = network::Network::new(swarm.clone(), topics, catchup.clone());
        let network = Arc::new(network);
        let genesis = match &place.known {
            Some(known) => known.playbook.clone(),
            None => swarms::starter(&place.name)?,
        };
        let sandbox = Arc::new(evaluate::Sandbox::open(&config.hive.suite)?);
        let hive = Hive::start(
            HiveConfig {
                identity: identity.clone(),
                genesis: genesis.clone(),
                election: election(expected),
                review: config.hive.review,
                canary: config.hive.canary(),
                evaluate: Some(sandbox.clone()),
            },
            store.clone(),
            network.clone(),
            network.clone(),
        )
        .await
        .map_err(|error| {
            cannot(
                "the hive",
                &error,
                "restore the data directory from a backup",
            )
        })?;

        reach::enforce_bans(&store, &swarm)
            .await
            .map_err(|error| cannot("the bans", &error, "restore the store from a backup"))?;
        let genesis_founders = match &place.known {
            Some(known) => known.block.genesis().founders.clone(),
            None => Vec::new(),
        };
        let (gate, gatekeeper) = gate::Gate::open(
            identity.clone(),
            place.name.clone(),
            place.network.clone(),
            place.known,
            store.clone(),
            swarm.clone(),
            hive.clone(),
        )?;

        let installed = installed_plugins(data_dir);
        plugins::open_folder(&installed).map_err(|error| {
            cannot(
                "the folder of installed plugins",
                &error,
                "check the rights of the data directory",
            )
        })?;
        let gateway = Gateway::open(host(data_dir, config)?, store.clone(), config, installed)
            .await
            .map_err(|error| cannot("the tools", &error, "report this as a bug"))?;
        let gateway = Arc::new(gateway);
        sandbox.see(gateway.clone());
        let keeper = mailroom::Keeper::open(identity.clone(), store.clone(), config.mailbox.offer);
        let keeper = Arc::new(keeper.map_err(|error| {
            cannot(
                "the mailroom",
                &error,
                "restore the data directory from a backup",
            )
        })?);
        let post = Arc::new(messages::Post::new(
            swarm.clone(),
            hive.clone(),
            config.egress.clone(),
            keeper.clone(),
        )?);
        let mind = Mind::new(
            store.clone(),
            keys,
            gateway.clone(),
            Arc::new(network::HivePort(hive.clone())),
            post.clone(),
            MindConfig {
                engine: config.engine(std::env::var("PAGI_LLM_API_KEY").ok())?,
                ethics: config.ethics(),
                allowed_acts: config.actuator.allow.clone(),
                files: data_dir.join("twins"),
            },
        )
        .map_err(|error| cannot("the mind", &error, "correct [ethics] in config.toml"))?;
        let (work, driver) = pagi_work::open(pagi_work::Parts {
            identity: identity.clone(),
            config: config.work.machine(),
            store: store.clone(),
            wire: Arc::new(work::TaskWire {
                swarm: swarm.clone(),
                topic: work_topic,
            }),
            bench: Arc::new(work::TaskBench {
                mind: mind.clone(),
                section: config.work.clone(),
            }),
        })
        .map_err(|error| {
            cannot(
                "the tasks of the swarm",
                &error,
                "restore the data directory from a backup",
            )
        })?;
        let market = work::Market::new(work.clone(), hive.clone(), mind.clone());
        let mut founders = config.founders()?;
        founders.extend(genesis_founders);
        let vouches = vouches::Vouches::new(identity.did().clone(), store.clone(), mind.clone());
        let board = Arc::new(notices::Board::new(
            swarm.clone(),
            hive.clone(),
            mind.clone(),
            vouches,
            place.network.clone(),
            founders,
        ));
        mind.believes(Arc::new(esteem::Eyes(Arc::downgrade(&board))));
        swarm
            .subscribe(&board.topic)
            .await
            .map_err(|error| cannot("the notice topic", &error, "report this as a bug"))?;
        let collector = Arc::new(pickup::Collector {
            mind: mind.clone(),
            swarm: swarm.clone(),
            store: store.clone(),
            post,
            keepers: config.keepers()?,
            wake: Default::default(),
        });
        let git =
            git::Bridge::open(&config.hive.git, data_dir, store.clone()).map_err(|error| {
                cannot(
                    "the Git bridge",
                    &error,
                    "correct [hive.git] in config.toml",
                )
            })?;
        let (git, mirror) = git.unzip();
        natives::register(&gateway, &mind, &hive, &market, &board, git.as_ref())
            .map_err(|error| cannot("the native tools", &error, "report this as a bug"))?;
        gateway.discover().await;

        let awake = sleeping.run(hive.clone(), gate.clone());
        let desk = Arc::new(network::Desk {
            mind: mind.clone(),
            board: board.clone(),
            keeper: keeper.clone(),
            collector: collector.clone(),
        });
        let came = Arc::new(tokio::sync::Notify::new());
        let mut pumps = network::pump(
            inbound,
            hive.clone(),
            desk,
            work,
            network,
            gate.clone(),
            came.clone(),
        );
        pumps.push(gatekeeper);
        pumps.extend(mirror.map(tokio::spawn));
        pumps.push(reach::keep_peers(store.clone(), swarm.clone(), came));
        pumps.push(awake);
        pumps.push(tokio::spawn(whereabouts::announce(
            swarm.clone(),
            identity.clone(),
            mind.clone(),
        )));
        let stop_work = CancellationToken::new();
        let work = tokio::spawn(driver.run(stop_work.clone()));
        pumps.push(tokio::spawn(board.clone().keep_asking()));
        if config.mailbox.collect {
            pumps.push(tokio::spawn(collector.run()));
        }
        let sweeper = keeper.clone();
        pumps.push(tokio::spawn(async move { sweeper.sweep().await }));
        mind.resume_research()
            .map_err(|error| cannot("the inboxes", &error, "report this as a bug"))?;
        let outbox = mind.clone();
        pumps.push(tokio::spawn(async move { outbox.run_outbox().await }));
        pumps.push(tokio::spawn(content::announce_pins(swarm.clone())));
        pumps.push(roll::spawn(swarm.clone(), hive.clone(), gate.clone()));
        let heard = sightings::Heard::open(hive.clone(), store.clone(), &place.network)
            .map_err(|error| cannot("the store", &error, "restore it from a backup"))?;
        let heard = Arc::new(heard);
        pumps.push(tokio::spawn(heard.clone().watch()));
        let document = config.did_document(identity.did())?;
        let node = Arc::new(PagiNode::new(
            identity,
            place.name,
            document,
            place.bootstrap,
            genesis,
            store.clone(),
            swarm.clone(),
            catchup,
            hive.clone(),
            mind.clone(),
            gateway,
            market,
            gate,
            config.network.relay_server,
            board,
            keeper.clone(),
            heard.clone(),
            started,
        ));
        node.announce_twins()
            .await
            .map_err(|error| cannot("the twins", &error, "report this as a bug"))?;
        Ok(Self {
            node,
            hive,
            swarm,
            store,
            heard,
            pumps,
            work,
            stop_work,
        })
    }

    /// Stops everything, in order.
    pub async fn stop(self, control: Option<Control>) {
        if let Some(control) = control {
            control.shutdown(std::time::Duration::from_secs(5)).await;
        }
        self.stop_work.cancel();
        if let Err(error) = self.work.await {
            tracing::error!(%error, "the work of the swarm did not end well");
        }
        self.heard.keep().await;
        self.hive.shutdown().await;
        reach::remember_peers(&self.store, &self.swarm).await;
        // The step-down message is on its way; the network needs a moment of its own to send it.
        self.swarm.shutdown().await;
        for pump in self.pumps {
            pump.abort();
        }
        self.store.close().await;
    }
}

/// The swarm a node starts in.
struct Place {
    /// The swarm's name.
    name: String,
    /// Its name in topics and protocols.
    network: String,
    /// The swarm, unless it is a name alone.
    known: Option<KnownSwarm>,
    listen: Vec<String>,
    bootstrap: Vec<String>,
}

impl Place {
    /// The swarm named on the command line, else the one joined last, else the one the configuration
    /// names.
    fn of(data_dir: &Path, config: &Config, identity: &SigningIdentity) -> Result<Self, CliError> {
        let node = &config.node;
        let known = if node.swarm_named {
            swarms::find(data_dir, &node.swarm)?
        } else {
            swarms::current(data_dir)?
        };
        let (mut listen, mut bootstrap) = (node.listen.clone(), node.bootstrap.clone());
        let Some(known) = known else {
            return Ok(Self {
                name: node.swarm.clone(),
                network: node.swarm.clone(),
                known: None,
                listen,
                bootstrap,
            });
        };
        let me = identity.did().peer_id().ok();
        for address in &known.bootstrap {
            let own = me.as_deref() == Some(address.peer_id().as_str());
            let text = address.to_string();
            if !own && !bootstrap.contains(&text) {
                bootstrap.push(text);
            }
        }
        if known.key.is_some() {
            // The key is for TCP; QUIC would go past it.
            let tcp = |address: &String| !address.contains("/quic");
            listen.retain(tcp);
            bootstrap.retain(tcp);
            if listen.is_empty() {
                return Err(CliError::usage(
                    format!(
                        "the swarm `{}` has a pre-shared key, which works over TCP alone, and no TCP \
                         address is listened on",
                        known.block.genesis().name
                    ),
                    "listen on one: --listen /ip4/0.0.0.0/tcp/4011",
                ));
            }
        }
        Ok(Self {
            name: known.block.genesis().name.clone(),
            network: known.network(),
            listen,
            bootstrap,
            known: Some(known),
        })
    }
}

/// A node that has somebody to look for expects an MO there, and gives it time to be heard of.
fn election(expected: bool) -> ElectionConfig {
    const JOIN_MS: u64 = 8_000;
    ElectionConfig {
        join_ms: if expected { JOIN_MS } else { 0 },
        ..ElectionConfig::default()
    }
}

/// Where installed plugins are.
fn installed_plugins(data_dir: &Path) -> PathBuf {
    data_dir.join("plugins")
}

fn host(data_dir: &Path, config: &Config) -> Result<ToolHost, CliError> {
    let mut roots = vec![installed_plugins(data_dir)];
    if !config.plugins.dir.is_empty() {
        roots.push(config.plugins.dir.clone().into());
    }
    let egress = config.egress.clone();
    let check = move |address| {
        pagi_policy::check_address(address, &egress).map_err(|refusal| refusal.to_string())
    };
    ToolHost::new(HostConfig {
        wasm_root: roots,
        address_check: Some(AddressCheck::new(check)),
        ..HostConfig::default()
    })
    .map_err(|error| cannot("the plugin host", &error, "report this as a bug"))
}
