//! Joins the rooms of a node: each of them names what it needs as small traits, and here, and only
//! here, the siblings meet.
//!
//! Start order: store, keys, network, hive, tools, mind, control. Stop order is the reverse, so that
//! nothing is acknowledged that cannot be stored any more.

mod api;
mod blocks;
mod changes;
mod gateway;
pub mod keys;
mod messages;
mod natives;
mod network;
mod plugins;
mod roll;
mod trust;
mod views;
mod work;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use pagi_control::Control;
use pagi_hive::{ElectionConfig, Hive, HiveConfig};
use pagi_messages::{SigningIdentity, wire};
use pagi_playbook::Genesis;
use pagi_plugin_host::{HostConfig, ToolHost};
use pagi_store::Store;
use pagi_swarm::{Swarm, SwarmConfig};
use pagi_twin::{Mind, MindConfig, identity::KeyStore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::{api::PagiNode, gateway::Gateway};
use crate::{cli::CliError, config::Config};

/// A running node.
pub struct Running {
    /// What it offers its user.
    pub node: Arc<PagiNode>,
    hive: Hive,
    swarm: Swarm,
    store: Store,
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
        let keys = KeyStore::open(&data_dir.join("keys")).map_err(|error| {
            cannot(
                "the keys",
                &error,
                "restore them or choose another --data-dir",
            )
        })?;
        let seed = keys
            .node_seed()
            .map_err(|error| cannot("the node's key", &error, "restore it from a backup"))?;
        let identity = SigningIdentity::from_seed(&seed);
        keys::remember(&store, identity.did()).await?;
        let (swarm, inbound) = pagi_swarm::start(SwarmConfig {
            secret_key: seed,
            data_dir: data_dir.to_owned(),
            swarm: config.node.swarm.clone(),
            listen: config.node.listen.clone(),
            bootstrap: config.node.bootstrap.clone(),
            mdns: config.node.mdns,
            limits: Default::default(),
        })
        .await
        .map_err(|error| {
            cannot(
                "the network",
                &error,
                "choose other addresses: --listen /ip4/0.0.0.0/tcp/0",
            )
        })?;
        let topics = network::Topics {
            coordination: wire::coordination_topic(&config.node.swarm),
            election: wire::election_topic(&config.node.swarm),
            work: wire::work_topic(&config.node.swarm),
        };
        let work_topic = topics.work.clone();
        for topic in [&topics.coordination, &topics.election, &topics.work] {
            swarm
                .subscribe(topic)
                .await
                .map_err(|error| cannot("the gossip topic", &error, "report this as a bug"))?;
        }
        let network = Arc::new(network::Network::new(swarm.clone(), topics));
        let genesis = Genesis::from_toml(config.node.swarm.clone(), pagi_playbooks::BASE)
            .map_err(|error| cannot("the starter playbook", &error, "report this as a bug"))?;
        let hive = Hive::start(
            HiveConfig {
                identity: identity.clone(),
                genesis: genesis.clone(),
                election: election(&config.node.bootstrap),
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
        let mind = Mind::new(
            store.clone(),
            keys,
            gateway.clone(),
            Arc::new(network::HivePort(hive.clone())),
            Arc::new(messages::Post::new(
                swarm.clone(),
                hive.clone(),
                config.egress.clone(),
            )?),
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
        natives::register(&gateway, &mind, &hive, &market)
            .map_err(|error| cannot("the native tools", &error, "report this as a bug"))?;
        gateway.discover().await;

        let mut pumps = network::pump(inbound, hive.clone(), mind.clone(), work, network);
        let stop_work = CancellationToken::new();
        let work = tokio::spawn(driver.run(stop_work.clone()));
        let outbox = mind.clone();
        pumps.push(tokio::spawn(async move { outbox.run_outbox().await }));
        pumps.push(roll::spawn(swarm.clone(), hive.clone()));
        let node = Arc::new(PagiNode::new(
            identity,
            config.node.swarm.clone(),
            config.node.bootstrap.clone(),
            genesis,
            store.clone(),
            swarm.clone(),
            hive.clone(),
            mind.clone(),
            gateway,
            market,
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
        self.hive.shutdown().await;
        // The step-down message is on its way; the network needs a moment of its own to send it.
        self.swarm.shutdown().await;
        for pump in self.pumps {
            pump.abort();
        }
        self.store.close().await;
    }
}

/// A node that has somebody to look for expects an MO there, and gives it time to be heard of.
fn election(bootstrap: &[String]) -> ElectionConfig {
    const JOIN_MS: u64 = 8_000;
    ElectionConfig {
        join_ms: if bootstrap.is_empty() { 0 } else { JOIN_MS },
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
    ToolHost::new(HostConfig {
        wasm_root: roots,
        ..HostConfig::default()
    })
    .map_err(|error| cannot("the plugin host", &error, "report this as a bug"))
}
