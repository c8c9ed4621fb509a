//! The node's configuration: `config.toml` in the data directory, then the environment, then the
//! command line; the later wins.

use std::{collections::BTreeSet, path::Path, time::Duration};

use pagi_bootstrap::BootstrapList;
use pagi_hive::Review;
use pagi_messages::Did;
use pagi_playbook::canary;
use pagi_policy::{Egress, EthicsConfig, HarmCategory};
use pagi_twin::inference::{ChatModel, Engine, ModelConfig};
use serde::Deserialize;

use crate::{
    cli::{CliError, RunArgs},
    passphrase::Source,
    wiring::git::GitSection,
};

/// Where the file is, below the data directory.
pub const FILE: &str = "config.toml";

/// What is written on first use: every setting with its default, as comments.
pub const TEMPLATE: &str = r#"# Settings of this pagi node. Every line shows a default; remove the `#` to change it.

[node]
# swarm = "pagi"                                   # the swarm to belong to
# listen = ["/ip4/0.0.0.0/tcp/4011", "/ip4/0.0.0.0/udp/4011/quic-v1"]
# bootstrap = []                                   # nodes to dial first, each ends in /p2p/PEERID
# mdns = true                                      # look for nodes on the local network
# control = "127.0.0.1:8006"                       # the control API
# founders = []                                    # DIDs of nodes whose orders to stop are obeyed
# domain = ""                                      # where others reach /.well-known/did.json: did:web:DOMAIN

[network]
# relay = "auto"                                   # use relays where nobody can reach this node: "on", "off"
# relay_server = false                             # relay for others: for nodes everybody can reach
# upnp = false                                     # ask the router to forward a port
# announce = []                                    # addresses to be found at that the node cannot know
# public_dht = []                                  # join the public IPFS DHT by these nodes, each ends in /p2p/PEERID
# max_connections = 256
# max_connections_per_ip = 32
# max_memory_mib = 0                               # beyond it no inbound connections; 0: no limit
# target_peers = 8                                 # dial peers until so many are connected
# gossip_per_second = 300                          # from one peer on one topic; 0: no limit
# requests_per_second = 100                        # from one peer; 0: no limit

[inference]
# url = ""                                         # an OpenAI-compatible server; PAGI_LLM_URL
# model = ""                                       # PAGI_LLM_MODEL; the key is PAGI_LLM_API_KEY
# timeout_s = 120
# max_turns = 8                                    # turns with tool calls for one goal
# fallback = "none"                                # "planner": answer without the model while it is away

[plugins]
# dir = ""                                         # a folder of plugin folders; PLUGIN_DIR
# auto_discover = false                            # scan it at start; AUTO_DISCOVER_PLUGINS
# grant = "none"                                   # "all": every twin may call every plugin's tools

[actuator]
# allow = ["notify", "write_file", "call_tool"]    # what twins may do through POST /act

[ethics]
# red_lines = []                                   # added to the built-in ones and the playbook's
# harm_categories = []                             # [{ name = "…", terms = ["…"] }]

[work]
# accept = false                                   # do tasks that other nodes offer; run --accept-work
# max_parallel = 2                                 # at most so many at a time
# tools = ["calculator", "did_verify_artifact", "hive_pull", "list_known_twins", "vc_verify"] # what they may use

[hive]
# review = "auto"                                  # "manual": a person approves what is merged (pagi artifact approve)
# suite = "base"                                   # tasks a change must pass: a starter suite or a JSON Lines file
# canary = true                                    # as MO, try changes on a tenth of the swarm first
# canary_minutes = 10                              # how long; twice as long where few goals end
# canary_nodes = 30                                # smaller swarms try nothing: the gates alone decide

[hive.git]
# remote = ""                                      # a Git repository that hive_pull and hive_push mirror to
# branch = "main"                                  # its branch for playbook.toml
# program = "git"                                  # the git to run

[mailbox]
# offer = false                                    # keep letters for twins of others that are away
# collect = true                                   # have letters kept while this node is away
# keepers = []                                     # DIDs of the nodes to keep them; any that offers it

[egress]
# private_networks = true                          # http tools may reach private addresses
"#;

/// The configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node and its network.
    pub node: NodeSection,
    /// How it stands in the network.
    pub network: NetworkSection,
    /// The engine goals go to.
    pub inference: InferenceSection,
    /// Plugins.
    pub plugins: PluginsSection,
    /// Acts.
    pub actuator: ActuatorSection,
    /// The node's own ethics rules.
    pub ethics: EthicsSection,
    /// Tasks of other nodes.
    pub work: WorkSection,
    /// What the playbook takes in.
    pub hive: HiveSection,
    /// Letters kept for others, and by others.
    pub mailbox: MailboxSection,
    /// Where http tools may go.
    pub egress: Egress,
    /// Where the passphrase of the keys comes from; not in the file.
    #[serde(skip)]
    pub passphrase: Source,
}

/// `[mailbox]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxSection {
    /// Keep letters for twins of others.
    pub offer: bool,
    /// Have letters kept for the twins here.
    pub collect: bool,
    /// The nodes to keep them; any that offers it where there are none.
    pub keepers: Vec<String>,
}

impl Default for MailboxSection {
    fn default() -> Self {
        Self {
            offer: false,
            collect: true,
            keepers: Vec::new(),
        }
    }
}

/// `[hive]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HiveSection {
    /// Who decides what is merged.
    pub review: Review,
    /// A starter suite's name, or a file of JSON Lines.
    pub suite: String,
    /// Whether artifacts are tried on a part of the swarm before they are merged.
    pub canary: bool,
    /// How long a trial runs, in minutes.
    pub canary_minutes: u16,
    /// The smallest swarm that tries anything.
    pub canary_nodes: usize,
    /// A Git repository to mirror to.
    pub git: GitSection,
}

impl HiveSection {
    /// How artifacts are tried; none where they are not.
    #[must_use]
    pub fn canary(&self) -> Option<canary::Config> {
        self.canary.then(|| canary::Config {
            window_ms: u64::from(self.canary_minutes) * 60_000,
            min_swarm: self.canary_nodes,
            ..canary::Config::default()
        })
    }
}

impl Default for HiveSection {
    fn default() -> Self {
        Self {
            review: Review::Auto,
            suite: "base".to_owned(),
            canary: true,
            canary_minutes: 10,
            canary_nodes: 30,
            git: GitSection::default(),
        }
    }
}

/// `[node]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSection {
    /// The swarm's name.
    pub swarm: String,
    /// Multiaddrs to listen on.
    pub listen: Vec<String>,
    /// Multiaddrs to dial first.
    pub bootstrap: Vec<String>,
    /// Look for nodes on the local network.
    pub mdns: bool,
    /// `HOST:PORT` of the control API; empty for the unix socket alone.
    pub control: String,
    /// Also bind the prototype's ports.
    pub compat_ports: bool,
    /// The command line named the swarm: then no swarm that was joined counts.
    #[serde(skip)]
    pub swarm_named: bool,
    /// DIDs of nodes whose orders to stop are obeyed.
    pub founders: Vec<String>,
    /// The domain under which `/.well-known/did.json` is reached; empty where it is not.
    pub domain: String,
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            swarm: pagi_messages::wire::DEFAULT_SWARM.to_owned(),
            listen: vec![
                "/ip4/0.0.0.0/tcp/4011".to_owned(),
                "/ip4/0.0.0.0/udp/4011/quic-v1".to_owned(),
            ],
            bootstrap: Vec::new(),
            mdns: true,
            control: "127.0.0.1:8006".to_owned(),
            compat_ports: false,
            swarm_named: false,
            founders: Vec::new(),
            domain: String::new(),
        }
    }
}

/// `[network]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSection {
    /// Whether to use relays, and let others test whether this node can be reached.
    pub relay: Switch,
    /// Relay for others.
    pub relay_server: bool,
    /// Ask the router to forward a port.
    pub upnp: bool,
    /// Multiaddrs to be found at that the node cannot know.
    pub announce: Vec<String>,
    /// Multiaddrs of nodes to enter the public IPFS DHT by; the node stays out of it without.
    pub public_dht: Vec<String>,
    /// Connections in total.
    pub max_connections: u32,
    /// Inbound connections from one address.
    pub max_connections_per_ip: u32,
    /// Resident memory beyond which no inbound connection is taken, in MiB; 0 for no limit.
    pub max_memory_mib: u64,
    /// Peers to be connected with.
    pub target_peers: usize,
    /// Gossip messages a second from one peer on one topic; 0 for no limit.
    pub gossip_per_second: u32,
    /// Requests a second from one peer; 0 for no limit.
    pub requests_per_second: u32,
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self {
            relay: Switch::Auto,
            relay_server: false,
            upnp: false,
            announce: Vec::new(),
            public_dht: Vec::new(),
            max_connections: 256,
            max_connections_per_ip: 32,
            max_memory_mib: 0,
            target_peers: 8,
            gossip_per_second: 300,
            requests_per_second: 100,
        }
    }
}

/// What a node that everybody starts from holds itself to, where the configuration says nothing else.
const MEETING_POINT: (u32, u32, usize) = (1024, 128, 32);

impl NetworkSection {
    /// Makes the node one that others start from: it relays, and takes more connections.
    pub fn serve_others(&mut self) {
        let usual = Self::default();
        self.relay_server = true;
        let (connections, per_ip, peers) = MEETING_POINT;
        if self.max_connections == usual.max_connections {
            self.max_connections = connections;
        }
        if self.max_connections_per_ip == usual.max_connections_per_ip {
            self.max_connections_per_ip = per_ip;
        }
        if self.target_peers == usual.target_peers {
            self.target_peers = peers;
        }
    }
}

/// On, off, or as fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As fits.
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

/// `[inference]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceSection {
    /// Base URL of the server; empty for the planner.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Seconds for one answer.
    pub timeout_s: u64,
    /// Turns with tool calls for one goal.
    pub max_turns: u32,
    /// What answers while the model is away.
    pub fallback: Fallback,
}

impl Default for InferenceSection {
    fn default() -> Self {
        Self {
            url: String::new(),
            model: String::new(),
            timeout_s: 120,
            max_turns: 8,
            fallback: Fallback::None,
        }
    }
}

/// What answers while the model is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// Nothing: the goal fails and says why.
    None,
    /// The embedded planner.
    Planner,
}

/// `[plugins]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginsSection {
    /// A folder of plugin folders, beside the installed ones; without one those alone are loaded.
    pub dir: String,
    /// Scan it at start.
    pub auto_discover: bool,
    /// Who may call plugins' tools.
    pub grant: PluginGrant,
}

/// Who may call plugins' tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginGrant {
    /// Twins they were granted to.
    #[default]
    None,
    /// Every twin.
    All,
}

/// `[actuator]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActuatorSection {
    /// Acts twins may do.
    pub allow: BTreeSet<String>,
}

impl Default for ActuatorSection {
    fn default() -> Self {
        Self {
            allow: ["notify", "write_file", "call_tool"]
                .map(str::to_owned)
                .into(),
        }
    }
}

/// `[ethics]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EthicsSection {
    /// Red lines beside the built-in ones and the playbook's.
    pub red_lines: Vec<String>,
    /// Kinds of harm beside the built-in ones and the playbook's: a name and its terms.
    pub harm_categories: Vec<HarmCategory>,
}

/// `[work]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkSection {
    /// Do tasks that other nodes offer.
    pub accept: bool,
    /// At most so many at a time.
    pub max_parallel: usize,
    /// The tools such a task may use, as far as the twin may: nothing here acts on this machine or
    /// looks into what is private to it.
    pub tools: BTreeSet<String>,
}

impl Default for WorkSection {
    fn default() -> Self {
        Self {
            accept: false,
            max_parallel: 2,
            tools: [
                "calculator",
                "did_verify_artifact",
                "hive_pull",
                "list_known_twins",
                "vc_verify",
            ]
            .map(str::to_owned)
            .into(),
        }
    }
}

impl WorkSection {
    /// The settings of the task machine.
    #[must_use]
    pub fn machine(&self) -> pagi_task::Config {
        pagi_task::Config {
            max_running: self.max_parallel,
            ..Default::default()
        }
    }
}

impl Config {
    /// Reads the file of `data_dir`, writing the commented template where there is none, and lays
    /// the environment over it.
    ///
    /// # Errors
    /// [`CliError`] that names the file and what is wrong in it.
    pub fn load(data_dir: &Path) -> Result<Self, CliError> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::write(&path, TEMPLATE).map_err(|error| {
                    CliError::new(
                        format!("cannot write {}: {error}", path.display()),
                        "check the rights of the data directory, or choose one with --data-dir",
                    )
                })?;
                TEMPLATE.to_owned()
            }
            Err(error) => {
                return Err(CliError::new(
                    format!("cannot read {}: {error}", path.display()),
                    "check its rights, or move it away: a new one is made at the next start",
                ));
            }
        };
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let cause = error.to_string();
            let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
            CliError::new(
                format!("{} cannot be used: {cause}", path.display()),
                "correct that line, or move the file away: a new one is made at the next start",
            )
        })?;
        config
            .take_environment(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        Ok(config)
    }

    fn take_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), CliError> {
        if let Some(url) = variable("PAGI_LLM_URL") {
            self.inference.url = url;
        }
        if let Some(model) = variable("PAGI_LLM_MODEL") {
            self.inference.model = model;
        }
        if let Some(fallback) = variable("PAGI_LLM_FALLBACK") {
            self.inference.fallback = match fallback.as_str() {
                "planner" => Fallback::Planner,
                "none" => Fallback::None,
                other => {
                    return Err(CliError::usage(
                        format!("PAGI_LLM_FALLBACK is `{other}`"),
                        "set it to `planner` or `none`",
                    ));
                }
            };
        }
        if let Some(dir) = variable("PLUGIN_DIR") {
            self.plugins.dir = dir;
        }
        if let Some(flag) = variable("AUTO_DISCOVER_PLUGINS") {
            self.plugins.auto_discover =
                matches!(flag.to_lowercase().as_str(), "true" | "1" | "yes");
        }
        Ok(())
    }

    /// Lays the command line over it.
    ///
    /// # Errors
    /// [`CliError`] for a bootstrap address that cannot be dialled.
    pub fn take_arguments(&mut self, args: &RunArgs) -> Result<(), CliError> {
        if !args.listen.is_empty() {
            self.node.listen.clone_from(&args.listen);
        }
        if !args.bootstrap.is_empty() {
            self.node.bootstrap.clone_from(&args.bootstrap);
        }
        if args.no_mdns {
            self.node.mdns = false;
        }
        if let Some(swarm) = &args.swarm {
            self.node.swarm.clone_from(swarm);
            self.node.swarm_named = true;
        }
        self.network.relay_server |= args.relay_server;
        self.network.upnp |= args.upnp;
        if args.no_relay {
            self.network.relay = Switch::Off;
        }
        if !args.announce.is_empty() {
            self.network.announce.clone_from(&args.announce);
        }
        if args.meeting_point {
            self.network.serve_others();
        }
        if let Some(control) = &args.control {
            self.node.control.clone_from(control);
        }
        if args.no_control_tcp {
            self.node.control.clear();
        }
        self.node.compat_ports |= args.compat_ports;
        self.work.accept |= args.accept_work;
        self.mailbox.offer |= args.keep_mail;
        self.passphrase = args.passphrase.source();
        if !pagi_messages::wire::is_swarm_name(&self.node.swarm) {
            return Err(CliError::usage(
                format!("`{}` cannot be a swarm's name", self.node.swarm),
                "use 1 to 32 of a-z, 0-9, - and _, starting with a letter or digit",
            ));
        }
        let list = BootstrapList::from_args(&self.node.bootstrap).map_err(|error| {
            CliError::usage(error.to_string(), "correct the --bootstrap address")
        })?;
        self.node.bootstrap = list.as_slice().iter().map(ToString::to_string).collect();
        Ok(())
    }

    /// The founders of the swarm, as far as this node was told.
    ///
    /// # Errors
    /// [`CliError`] for what is no DID.
    pub fn founders(&self) -> Result<Vec<Did>, CliError> {
        dids(&self.node.founders, "node.founders")
    }

    /// The node's DID document: that of its did:web where it has a domain.
    ///
    /// # Errors
    /// [`CliError`] for what is no domain.
    pub fn did_document(&self, did: &Did) -> Result<serde_json::Value, CliError> {
        let domain = &self.node.domain;
        if domain.is_empty() {
            return did.document().map_err(|error| {
                CliError::new(format!("the node's DID: {error}"), "report this as a bug")
            });
        }
        pagi_didcomm::resolve::web_document(domain, did).map_err(|error| {
            CliError::usage(
                format!("node.domain = \"{domain}\": {error}"),
                "write a domain name, with :PORT where it is not 443",
            )
        })
    }

    /// The nodes to keep letters.
    ///
    /// # Errors
    /// [`CliError`] for what is no DID.
    pub fn keepers(&self) -> Result<Vec<Did>, CliError> {
        dids(&self.mailbox.keepers, "mailbox.keepers")
    }

    /// The engine goals go to.
    ///
    /// # Errors
    /// [`CliError`] where a URL is set without a model, or cannot be used.
    pub fn engine(&self, api_key: Option<String>) -> Result<Engine, CliError> {
        let section = &self.inference;
        if section.url.is_empty() {
            return Ok(Engine::Planner);
        }
        if section.model.is_empty() {
            return Err(CliError::usage(
                format!("the model server {} is set, but no model", section.url),
                "set PAGI_LLM_MODEL or inference.model to the name of a model it serves",
            ));
        }
        let model = ChatModel::new(&ModelConfig {
            url: section.url.clone(),
            model: section.model.clone(),
            api_key: api_key.map(Into::into),
            timeout: Duration::from_secs(section.timeout_s.max(1)),
            max_turns: section.max_turns,
            fall_back_to_planner: section.fallback == Fallback::Planner,
        })
        .map_err(|error| CliError::usage(error.to_string(), "correct PAGI_LLM_URL"))?;
        Ok(Engine::Model(Box::new(model)))
    }

    /// The node's ethics rules: the built-in ones and its own.
    #[must_use]
    pub fn ethics(&self) -> EthicsConfig {
        EthicsConfig::default().merge(&EthicsConfig {
            red_lines: self.ethics.red_lines.clone(),
            harm_categories: self.ethics.harm_categories.clone(),
            refusal_response: String::new(),
            alignment_check: true,
        })
    }
}

fn dids(list: &[String], setting: &str) -> Result<Vec<Did>, CliError> {
    let read = list.iter().map(|text| text.parse::<Did>());
    read.collect::<Result<_, _>>().map_err(|error| {
        CliError::usage(
            format!("{setting}: {error}"),
            "give DIDs of nodes (did:key:z6Mk…), as `pagi status` shows them",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_defaults() {
        let parsed: Config = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
        // Every commented setting parses too, so the template cannot promise what is not there.
        let live: String = TEMPLATE
            .lines()
            .skip(1)
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        let parsed: Config = toml::from_str(&live).unwrap();
        assert_eq!(parsed.node.control, Config::default().node.control);
        assert_eq!(parsed.actuator.allow, Config::default().actuator.allow);
        assert_eq!(parsed.work.tools, Config::default().work.tools);
    }

    #[test]
    fn a_bad_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "[node]\nlisten = 3\n").unwrap();
        let error = Config::load(dir.path()).unwrap_err();
        assert!(
            error.cause.contains("config.toml") && error.cause.contains("line 2"),
            "{error:?}"
        );
        std::fs::write(dir.path().join(FILE), "[node]\nlisen = []\n").unwrap();
        assert!(
            Config::load(dir.path())
                .unwrap_err()
                .cause
                .contains("lisen")
        );
    }

    #[test]
    fn a_model_needs_a_name() {
        let mut config = Config::default();
        assert_eq!(config.engine(None).unwrap().name(), "planner");
        config
            .take_environment(|name| (name == "PAGI_LLM_URL").then(|| "http://127.0.0.1:1".into()))
            .unwrap();
        assert!(config.engine(None).is_err());
        config.inference.model = "m".into();
        assert_eq!(config.engine(None).unwrap().name(), "m");
    }
}
