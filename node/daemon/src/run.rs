//! `pagi run` and `pagi up`: the daemon, from the data directory to Ctrl-C.

use std::{net::SocketAddr, path::Path, time::Instant};

use pagi_api::{Node, membership::Membership, swarm::NodeInfo, twins::CreateTwin};
use pagi_control::{Control, ControlConfig, ControlError, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{CliError, Context, RunArgs},
    config::Config,
    render,
    wiring::Running,
};

/// The prototype's ports, bound with `--compat-ports`.
const COMPAT_PORTS: [u16; 10] = [8000, 8002, 8003, 8004, 8005, 8006, 8007, 8008, 8010, 8083];

/// What a started node says about itself: the document of `pagi run --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// libp2p peer id.
    pub peer_id: String,
    /// The node's DID.
    pub did: String,
    /// The swarm's name.
    pub swarm: String,
    /// The CID of the swarm's genesis, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm_id: Option<String>,
    /// Multiaddrs others can dial, each with `/p2p/PEERID`.
    pub listen: Vec<String>,
    /// `http://HOST:PORT` of the control API, where TCP is served.
    pub control: Option<String>,
    /// The control socket.
    pub socket: String,
    /// Milliseconds from the start of the process's work to ready.
    pub ready_ms: u64,
    /// The first twin, with `pagi up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin_id: Option<String>,
}

/// Runs a node until it is told to stop; `up` also makes a first twin and says what to type next.
///
/// # Errors
/// [`CliError`] with the part that failed and a next step.
pub async fn run(args: RunArgs, ctx: &Context, up: bool) -> anyhow::Result<()> {
    let start = Instant::now();
    start_logging(ctx.verbose);
    make_data_dir(&ctx.data_dir)?;
    if let Some(link) = &args.join {
        let joined =
            crate::cli::swarm::accept(link, &ctx.data_dir, &args.passphrase.source(), false)?;
        ctx.note(&format!("joining {}", joined.block.genesis().name));
    }
    let mut config = Config::load(&ctx.data_dir)?;
    config.take_arguments(&args)?;
    let running = Running::start(&ctx.data_dir, &config).await?;
    let control = match serve(&ctx.data_dir, &config, &running).await {
        Ok(control) => control,
        Err(error) => {
            running.stop(None).await;
            return Err(error.into());
        }
    };
    let twin_id = if up {
        Some(first_twin(&running, args.twin_name).await?)
    } else {
        None
    };
    let info = running.node.info().await?;
    let membership = running.node.membership().await?;
    let ready = Ready {
        peer_id: info.peer_id.clone(),
        did: info.did.clone(),
        swarm: info.swarm.clone(),
        swarm_id: membership.id.clone(),
        listen: info.listen.clone(),
        control: control
            .tcp_addr()
            .map(|address| format!("http://{address}")),
        socket: ctx.data_dir.join("control.sock").display().to_string(),
        ready_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        twin_id,
    };
    // Whoever reads that the node is ready may stop it at once.
    let stop = StopSignals::catch();
    ctx.show(&ready, || greeting(&ready, &info, &membership, up))?;
    let reason = stop.received().await;
    if !ctx.json {
        ctx.note(&format!("{reason}: stopping"));
    }
    running.stop(Some(control)).await;
    Ok(())
}

/// Logs to stderr: warnings, more with `-v`, or what `PAGI_LOG` asks for.
fn start_logging(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "warn,pagi=info,pagi_hive=info,pagi_swarm=info,pagi_twin=info,pagi_work=info",
        _ => "info,pagi=debug,pagi_hive=debug,pagi_swarm=debug,pagi_twin=debug,pagi_work=debug",
    };
    let default = format!("{default},{}", pagi_swarm::LOG_FILTER);
    let filter = EnvFilter::try_from_env("PAGI_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second installation fails, which only happens where tests share a process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

fn make_data_dir(dir: &Path) -> Result<(), CliError> {
    let made = std::fs::create_dir_all(dir);
    #[cfg(unix)]
    let made = made.and_then(|()| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
    });
    made.map_err(|error| {
        CliError::new(
            format!("cannot use the data directory {}: {error}", dir.display()),
            "choose another with --data-dir DIR",
        )
    })
}

async fn serve(data_dir: &Path, config: &Config, running: &Running) -> Result<Control, CliError> {
    let token = Token::load_or_create(&data_dir.join("token")).map_err(|error| {
        CliError::new(
            format!("the control token: {error}"),
            "move the token file away: a new one is made at the next start",
        )
    })?;
    let mut control = ControlConfig::new(token);
    control.unix_socket = Some(data_dir.join("control.sock"));
    if !config.node.control.is_empty() {
        let address: SocketAddr = config.node.control.parse().map_err(|_| {
            CliError::usage(
                format!("`{}` is not a control address", config.node.control),
                "give HOST:PORT with a numeric host, such as 127.0.0.1:8006 or 127.0.0.1:0",
            )
        })?;
        control.tcp = Some(address);
    }
    if config.node.compat_ports {
        let taken = control.tcp.map(|address| address.port());
        control.compat_ports = COMPAT_PORTS
            .into_iter()
            .filter(|port| Some(*port) != taken)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
    }
    pagi_control::serve(control, running.node.clone())
        .await
        .map_err(|error: ControlError| {
            CliError::new(
                format!("the control API cannot be served: {error}"),
                "choose another address, for instance --control 127.0.0.1:0",
            )
        })
}

async fn first_twin(running: &Running, name: Option<String>) -> anyhow::Result<String> {
    if let Some(twin) = running.node.twins().await?.into_iter().next() {
        return Ok(twin.twin_id);
    }
    let mut state = json!({"status": "active"});
    if let (Some(name), Value::Object(state)) = (name, &mut state) {
        state.insert("name".to_owned(), json!(name));
    }
    Ok(running
        .node
        .create_twin(CreateTwin {
            initial_state: state,
        })
        .await?
        .twin_id)
}

fn greeting(ready: &Ready, info: &NodeInfo, membership: &Membership, up: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!(
            "{} {value}\n",
            render::dim(&format!("{name:<10}"))
        ));
    };
    line("node", &ready.did);
    line("swarm", &ready.swarm);
    if let Some(id) = &ready.swarm_id {
        line("swarm id", id);
    }
    if membership.standing == "waiting" {
        line(
            "standing",
            "waiting to be let in; `pagi swarm status` says how far that is",
        );
    }
    for address in &ready.listen {
        line("listening", address);
    }
    if let Some(control) = &ready.control {
        line("control", control);
    }
    line("socket", &ready.socket);
    line("inference", &info.inference);
    line("keys", &keys_line(&info.keys));
    if let Some(why) = &info.stopped {
        line("STOPPED", why);
    }
    if let Some(twin_id) = &ready.twin_id {
        line("twin", twin_id);
    }
    text.push_str(&format!("ready in {}\n", render::millis(ready.ready_ms)));
    if up {
        text.push_str(
            "\nIn another terminal:\n  \
             pagi ask \"Check this machine's health and report anything above 80%\"\n  \
             pagi status\n  pagi events --follow\n\
             Another machine joins with:\n",
        );
        let address = ready
            .listen
            .iter()
            .find(|address| !address.contains("/127.0.0.1/") && !address.contains("/::1/"))
            .or(ready.listen.first());
        if ready.swarm_id.is_some() {
            text.push_str("  pagi swarm join …    with what `pagi swarm invite` prints here\n");
        } else if let Some(address) = address {
            text.push_str(&format!("  pagi up --bootstrap {address}\n"));
        }
    }
    text.push_str("Ctrl-C stops the node.");
    text
}

/// How the keys are kept, and how to keep them better.
fn keys_line(kept: &str) -> String {
    if kept == "encrypted" {
        return kept.to_owned();
    }
    format!("{kept}, mode 0600 (`pagi key encrypt` puts them under a passphrase)")
}

/// The signals that stop a node in order, caught from when this is made on.
struct StopSignals {
    #[cfg(unix)]
    caught: Option<[tokio::signal::unix::Signal; 2]>,
}

impl StopSignals {
    fn catch() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let both = || {
                std::io::Result::Ok([
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::interrupt())?,
                ])
            };
            Self {
                caught: both().ok(),
            }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for one; gives its name.
    async fn received(self) -> &'static str {
        #[cfg(unix)]
        if let Some([mut terminate, mut interrupt]) = self.caught {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            };
        }
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }
}
