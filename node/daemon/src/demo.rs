//! `pagi demo`: real node processes on loopback reach a goal and learn from it, for a person to
//! watch.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use pagi_api::{
    goal::{GoalStatus, Interaction, Step, StepKind},
    swarm::{ArtifactView, MoView, PlaybookView, SwarmView},
    twins::{Memory, Twin},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    cli::{CliError, Context, DemoArgs},
    client::{Client, event_data},
    render,
    run::Ready,
};

/// The goal unless one is given.
pub const DEFAULT_GOAL: &str = "Check this machine's health and report anything above 80%";
/// Time for a node process to be ready, for the swarm to meet, and for a playbook to spread.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a node of the demo logs, below its directory.
const LOG: &str = "log.txt";
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// A node of the demo, in the final document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NodeRow {
    peer_id: String,
    did: String,
}

/// How far the playbook got, in the final document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PlaybookRow {
    before: String,
    after: String,
    adopted_by: usize,
}

/// The same kind of goal on another node, in the final document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AgainRow {
    status: GoalStatus,
    case: Option<String>,
    tool_calls_before: usize,
    tool_calls_after: usize,
    output: String,
}

/// The final document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    nodes: Vec<NodeRow>,
    mo: String,
    goal: String,
    status: GoalStatus,
    steps: Vec<Step>,
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_cid: Option<String>,
    playbook: PlaybookRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<AgainRow>,
    duration_ms: u64,
}

/// A node process of the demo; it is killed when dropped.
struct DemoNode {
    ready: Ready,
    client: Client,
    child: Child,
}

/// Runs the demo.
///
/// # Errors
/// [`CliError`] with what did not happen and where the nodes' logs are.
pub async fn demo(args: DemoArgs, ctx: &Context) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("pagi-demo-").tempdir()?;
    let mut interrupted = false;
    let done = tokio::select! {
        done = play(&args, ctx, dir.path()) => done,
        _ = tokio::signal::ctrl_c() => {
            interrupted = true;
            Err(CliError::new("the demo was interrupted", "start it again with `pagi demo`").into())
        }
    };
    let told = |error: &anyhow::Error| {
        let known = error.downcast_ref::<CliError>();
        interrupted || known.is_some_and(|error| error.reported)
    };
    if let Err(error) = &done
        && !told(error)
    {
        // What went wrong is in the nodes' logs.
        ctx.note(&logs(dir.path(), args.nodes));
    }
    remove(dir).await;
    done
}

/// The last lines of the nodes' logs.
fn logs(dir: &Path, nodes: u8) -> String {
    const LINES: usize = 12;
    let mut text = Vec::new();
    for index in 0..nodes {
        let log = dir.join(format!("node{index}")).join(LOG);
        let told = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = told.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LINES));
        text.extend(last.map(|line| format!("node {index}: {}", render::clean_line(line))));
    }
    if text.is_empty() {
        text.push("the nodes' logs are empty".to_owned());
    }
    text.join("\n")
}

/// Removes the demo's directory. Nodes that were killed may still write to it for a moment.
async fn remove(dir: tempfile::TempDir) {
    let path = dir.keep();
    for _ in 0..40 {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
            _ => return,
        }
        tokio::time::sleep(GLANCE).await;
    }
    tracing::warn!(path = %path.display(), "the demo's directory could not be removed");
}

async fn play(args: &DemoArgs, ctx: &Context, dir: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let goal = args.goal.clone().unwrap_or_else(|| DEFAULT_GOAL.to_owned());
    let say = |text: String| {
        if !ctx.json && !ctx.quiet {
            let _ = ctx.print(&text);
        }
    };
    let clock = || render::dim(&format!("{:>6.2} s", start.elapsed().as_secs_f64()));

    say(render::bold(&format!(
        "{} starting {} on this machine",
        clock(),
        render::count(args.nodes.into(), "node")
    )));
    let mut nodes: Vec<DemoNode> = Vec::new();
    for index in 0..args.nodes {
        let bootstrap = nodes
            .first()
            .and_then(|node| node.ready.listen.first().cloned());
        let node = launch(&dir.join(format!("node{index}")), bootstrap).await?;
        say(format!("{} node {index} {}", clock(), node.ready.did));
        nodes.push(node);
    }

    let mo = wait(
        start,
        match args.nodes {
            1 => "the node to elect itself Master Orchestrator",
            _ => "the nodes to meet and elect a Master Orchestrator",
        },
        || agreed_mo(&nodes),
    )
    .await?;
    let mo_index = nodes
        .iter()
        .position(|node| node.ready.did == mo)
        .unwrap_or(0);
    say(format!(
        "{} elected: node {mo_index} is Master Orchestrator",
        clock()
    ));

    // A node that is not MO works, so that the artifact really crosses the network.
    let worker = if nodes.len() > 1 {
        (mo_index + 1) % nodes.len()
    } else {
        0
    };
    let before: PlaybookView = at(&nodes, worker)?.client.get("/playbook").await?;
    let twin = make_twin(at(&nodes, worker)?).await?;
    say(render::bold(&format!(
        "{} node {worker}'s twin gets the goal: {goal}",
        clock()
    )));
    let first = ask(at(&nodes, worker)?, &twin, &goal, |step| {
        say(render::step_line(step, ctx.width));
    })
    .await?;
    say(format!(
        "{} {}: {}",
        clock(),
        status(first.status),
        render::clean_text(&first.output)
    ));

    let mut after = before.clone();
    // Without a lesson there is nothing to adopt.
    let mut adopted_by = 0;
    let mut again = None;
    if let Some(cid) = &first.artifact_cid {
        say(format!(
            "{} artifact {cid} is signed and announced",
            clock()
        ));
        after = wait(start, "every node to adopt the new playbook", || {
            adopted(&nodes, &before.head, cid)
        })
        .await?;
        adopted_by = count_heads(&nodes, &after.head).await?;
        say(render::good(&format!(
            "{} node {mo_index} validated and merged it; {adopted_by} of {} adopted {}",
            clock(),
            render::count(nodes.len(), "node"),
            after.head
        )));
        let other = (worker + 1) % nodes.len();
        let twin = make_twin(at(&nodes, other)?).await?;
        say(render::bold(&match nodes.len() {
            1 => format!("{} the same goal by another twin of the node", clock()),
            _ => format!(
                "{} the same goal on node {other}, which never saw it",
                clock()
            ),
        }));
        let second = ask(at(&nodes, other)?, &twin, &goal, |step| {
            say(render::step_line(step, ctx.width));
        })
        .await?;
        let row = AgainRow {
            status: second.status,
            case: second.case.clone(),
            tool_calls_before: tool_calls(&first),
            tool_calls_after: tool_calls(&second),
            output: second.output.clone(),
        };
        say(format!(
            "{} {}: {} tool calls instead of {}{}",
            clock(),
            status(second.status),
            row.tool_calls_after,
            row.tool_calls_before,
            row.case
                .as_ref()
                .map(|case| format!(", by the learned {case}"))
                .unwrap_or_default()
        ));
        again = Some(row);
    }

    let report = Report {
        nodes: nodes
            .iter()
            .map(|node| NodeRow {
                peer_id: node.ready.peer_id.clone(),
                did: node.ready.did.clone(),
            })
            .collect(),
        mo,
        goal,
        status: first.status,
        steps: first.steps,
        output: first.output,
        artifact_cid: first.artifact_cid,
        playbook: PlaybookRow {
            before: before.head,
            after: after.head,
            adopted_by,
        },
        again,
        duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    for node in nodes {
        node.stop().await;
    }
    if ctx.json {
        ctx.document(&report)?;
    } else if ctx.quiet {
        ctx.print(&render::clean_text(&report.output))?;
    }
    if report.status == GoalStatus::Completed {
        return Ok(());
    }
    Err(CliError::after_output(
        format!("the goal ended as {}", status(report.status)),
        "see the output above, or try another goal: pagi demo \"…\"",
    )
    .into())
}

fn at(nodes: &[DemoNode], index: usize) -> Result<&DemoNode, CliError> {
    nodes
        .get(index)
        .ok_or_else(|| CliError::new("the demo has no nodes", "report this as a bug"))
}

fn status(status: GoalStatus) -> &'static str {
    match status {
        GoalStatus::Completed => "completed",
        GoalStatus::Refused => "refused",
        GoalStatus::Failed => "failed",
    }
}

fn tool_calls(interaction: &Interaction) -> usize {
    interaction
        .steps
        .iter()
        .filter(|step| step.kind == StepKind::Tool)
        .count()
}

/// Starts a node process and waits for its ready document.
async fn launch(dir: &Path, bootstrap: Option<String>) -> anyhow::Result<DemoNode> {
    std::fs::create_dir_all(dir)?;
    let log = dir.join(LOG);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["run", "--json", "--no-mdns", "--no-control-tcp"])
        .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
        .arg("--data-dir")
        .arg(dir)
        .env_remove("PAGI_CONTROL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?)
        .kill_on_drop(true);
    if let Some(address) = bootstrap {
        command.args(["--bootstrap", &address]);
    }
    let mut child = command.spawn()?;
    let failed = |why: &str| {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        let last = told.lines().last().unwrap_or("it said nothing").to_owned();
        CliError::new(
            format!("a node did not start: {why}: {last}"),
            "try `pagi run` by itself",
        )
    };
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| failed("it has no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .map_err(|_| failed("it was not ready in time"))??
        .ok_or_else(|| failed("it ended"))?;
    let ready: Ready = serde_json::from_str(&line).map_err(|_| failed("it is not ready"))?;
    let client = Client::unix(PathBuf::from(&ready.socket));
    Ok(DemoNode {
        ready,
        client,
        child,
    })
}

impl DemoNode {
    async fn stop(mut self) {
        #[cfg(unix)]
        if let Some(pid) = self
            .child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid as i32))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            if tokio::time::timeout(Duration::from_secs(10), self.child.wait())
                .await
                .is_ok()
            {
                return;
            }
        }
        let _ = self.child.kill().await;
    }
}

/// Waits until `look` finds something; a node that does not answer yet has not found it.
async fn wait<T, F>(start: Instant, what: &str, look: impl Fn() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<Option<T>, CliError>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < deadline {
        match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = None,
            Err(error) => last = Some(error.cause),
        }
        tokio::time::sleep(GLANCE).await;
    }
    let why = last.map(|cause| format!(" ({cause})")).unwrap_or_default();
    Err(CliError::new(
        format!(
            "waited {} for {what}{why}",
            render::seconds(start.elapsed().as_secs())
        ),
        "try again; if it happens again, report it with the nodes' logs",
    ))
}

/// The MO, once every node sees all nodes and the same MO with the same term.
async fn agreed_mo(nodes: &[DemoNode]) -> Result<Option<String>, CliError> {
    let mut agreed: Option<(String, u64)> = None;
    for node in nodes {
        let swarm: SwarmView = node.client.get("/swarm").await?;
        let mo: MoView = node.client.get("/mo").await?;
        let Some(did) = mo.mo else { return Ok(None) };
        if swarm.nodes.len() < nodes.len() {
            return Ok(None);
        }
        let electorate = mo.election["electorate"].as_array().map_or(0, Vec::len);
        let claim = (did, mo.term);
        // An office a node took while it was alone is not yet the swarm's.
        if 2 * electorate <= nodes.len() || agreed.as_ref().is_some_and(|agreed| *agreed != claim) {
            return Ok(None);
        }
        agreed = Some(claim);
    }
    Ok(agreed.map(|(mo, _)| mo))
}

async fn make_twin(node: &DemoNode) -> Result<Twin, CliError> {
    let state = json!({"initial_state": {"status": "active", "note": "demo"}});
    let twin: Twin = node.client.post("/twins", &state).await?;
    let note = json!({"role": "user", "content": "The owner wants the disk of this machine to stay below 90%."});
    let _: Memory = node
        .client
        .post(&format!("/memory/{}", twin.twin_id), &note)
        .await?;
    Ok(twin)
}

async fn ask(
    node: &DemoNode,
    twin: &Twin,
    goal: &str,
    on_step: impl Fn(&Step),
) -> Result<Interaction, CliError> {
    let path = format!("/interact/{}", twin.twin_id);
    let mut stream = node
        .client
        .post_stream(&path, &json!({"goal": goal}))
        .await?;
    while let Some(event) = stream.next().await? {
        match event.event.as_str() {
            "step" => on_step(&event_data(&event)?),
            // A `problem` becomes the error it describes.
            "done" | "problem" => return event_data(&event),
            _ => {}
        }
    }
    Err(CliError::new(
        "the node closed the stream before the goal ended",
        "see the node's log",
    ))
}

/// The playbook, once every node has the same head, other than `before`, and `artifact` in it.
async fn adopted(
    nodes: &[DemoNode],
    before: &str,
    artifact: &str,
) -> Result<Option<PlaybookView>, CliError> {
    let mut head: Option<PlaybookView> = None;
    for node in nodes {
        let playbook: PlaybookView = node.client.get("/playbook").await?;
        if playbook.head == before || head.as_ref().is_some_and(|head| head.head != playbook.head) {
            return Ok(None);
        }
        // A node that has not heard of the artifact says 404: not adopted yet.
        let Ok(view) = node
            .client
            .get::<ArtifactView>(&format!("/artifacts/{artifact}"))
            .await
        else {
            return Ok(None);
        };
        match view.status.as_str() {
            "merged" => {}
            "rejected" => {
                let why = view.reason.unwrap_or_default();
                return Err(CliError::new(
                    format!("the artifact was rejected: {why}"),
                    "report this as a bug",
                ));
            }
            _ => return Ok(None),
        }
        head = Some(playbook);
    }
    Ok(head)
}

async fn count_heads(nodes: &[DemoNode], head: &str) -> Result<usize, CliError> {
    let mut count = 0;
    for node in nodes {
        let playbook: PlaybookView = node.client.get("/playbook").await?;
        count += usize::from(playbook.head == head);
    }
    Ok(count)
}
