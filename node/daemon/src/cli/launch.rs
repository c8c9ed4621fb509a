//! The arguments of the commands that start nodes: `run`, `up` and `demo`.

use clap::Args;

use super::{CliError, Context};

/// `pagi run`. What is not given comes from the configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Listen here, a multiaddr such as /ip4/0.0.0.0/tcp/4001; may be given more than once
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Dial this node first, a multiaddr that ends in /p2p/PEERID; may be given more than once
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    /// Do not look for nodes on the local network
    #[arg(long)]
    pub no_mdns: bool,
    /// The swarm to belong to
    #[arg(long, value_name = "NAME")]
    pub swarm: Option<String>,
    /// Do tasks that other nodes of the swarm offer, with the tools `[work]` allows
    #[arg(long)]
    pub accept_work: bool,
    /// Relay for nodes that nobody can reach: for a node that everybody can
    #[arg(long)]
    pub relay_server: bool,
    /// Use no relay, and let nobody test whether this node can be reached
    #[arg(long)]
    pub no_relay: bool,
    /// Ask the router to forward a port
    #[arg(long)]
    pub upnp: bool,
    /// An address to be found at that the node cannot know; may be given more than once
    #[arg(long, value_name = "MULTIADDR")]
    pub announce: Vec<String>,
    /// Join the swarm of this pagi://join/… string first
    #[arg(long, value_name = "STRING", conflicts_with = "swarm")]
    pub join: Option<String>,
    /// Also serve the control API on the prototype's ports, on loopback
    #[arg(long)]
    pub compat_ports: bool,
    /// Serve the control API on the unix socket alone
    #[arg(long, conflicts_with = "compat_ports")]
    pub no_control_tcp: bool,
    /// Stand in for a meeting point: relay, and take more connections; `bootstrap` sets it.
    #[arg(skip)]
    pub meeting_point: bool,
    /// The control address; it comes from the global `--control`.
    #[arg(skip)]
    pub control: Option<String>,
    /// The first twin's name; only `up` sets it.
    #[arg(skip)]
    pub twin_name: Option<String>,
}

impl RunArgs {
    /// The same for a node that others start from.
    pub(super) fn meeting_point(self) -> Self {
        Self {
            meeting_point: true,
            ..self
        }
    }

    /// Takes `--control` over from the global options.
    pub(super) fn checked(mut self, ctx: &Context) -> Result<Self, CliError> {
        self.control.clone_from(&ctx.control);
        if self.no_control_tcp && self.control.is_some() {
            return Err(CliError::usage(
                "--no-control-tcp and a control address rule each other out",
                "leave one of them out; PAGI_CONTROL counts as --control",
            ));
        }
        Ok(self)
    }
}

/// `pagi up`.
#[derive(Clone, Debug, Default, Args)]
pub struct UpArgs {
    #[command(flatten)]
    run: RunArgs,
    /// The name of the first twin, where one is made
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl UpArgs {
    /// The arguments of the `run` that `up` is.
    pub(super) fn into_run(self) -> RunArgs {
        RunArgs {
            twin_name: self.name,
            ..self.run
        }
    }
}

/// `pagi demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// How many nodes to start
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// What one of them is to reach [default: a goal of the demo's own]
    pub goal: Option<String>,
}
