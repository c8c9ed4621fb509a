//! Node processes.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    http::Http,
    program::{self, Outcome},
    wait::{DEADLINE, until},
};

/// What outlives a node's processes: its data directory and its log.
pub struct Home {
    root: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    /// Where commands run with [`Home::pagi`] have their home.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.root.path().join("log.txt")
    }

    /// A node to be started here, in a given way.
    pub fn launch(&self) -> Launch<'_> {
        self.launch_as("run")
    }

    /// The same with another command that runs a node.
    pub fn launch_as(&self, name: &str) -> Launch<'_> {
        let mut command = program::command(self.root());
        command
            .args([name, "--json", "--no-mdns", "--control", "127.0.0.1:0"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
            .arg("--data-dir")
            .arg(self.data());
        Launch {
            home: self,
            command,
        }
    }

    /// Starts a node.
    pub async fn start(&self) -> Node {
        self.launch().start().await
    }

    /// Runs `pagi ARGS` on this data directory, and so over the socket in it, to its end.
    pub async fn pagi(&self, args: &[&str]) -> Outcome {
        let mut command = program::command(self.root());
        program::run(command.args(args).arg("--data-dir").arg(self.data())).await
    }

    /// As [`Home::pagi`] with `--json`; the one document that comes of success.
    pub async fn json(&self, args: &[&str]) -> Value {
        let outcome = self.pagi(&[args, &["--json"]].concat()).await;
        assert_eq!(outcome.code, Some(0), "pagi {args:?}: {outcome:?}");
        outcome.document()
    }
}

/// A node about to be started.
pub struct Launch<'a> {
    home: &'a Home,
    command: Command,
}

impl Launch<'_> {
    pub fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Dial `node` first.
    pub fn bootstrap(self, node: &Node) -> Self {
        self.arg("--bootstrap").arg(&node.ready.listen[0])
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(mut self) -> Child {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.log())
            .unwrap();
        self.command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts the node and waits until it is ready.
    pub async fn start(self) -> Node {
        let (data, log) = (self.home.data(), self.home.log());
        let mut child = self.spawn();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(DEADLINE, stdout.next_line())
            .await
            .expect("a node in time")
            .unwrap();
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let Some(line) = line else {
            panic!("the node ended: {}", said())
        };
        let ready: Ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("not a ready document ({error}): {line}\n{}", said()));
        let address = ready
            .control
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let token = std::fs::read_to_string(data.join("token"))
            .unwrap()
            .trim()
            .to_owned();
        let http = Http::new(address).with("authorization", &format!("Bearer {token}"));
        Node {
            ready,
            token,
            http,
            child,
            log,
            _stdout: stdout,
        }
    }

    /// Starts a node that must not come up, to its end.
    pub async fn fail(mut self) -> Outcome {
        program::run(&mut self.command).await
    }
}

/// The first line of `pagi run --json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ready {
    pub peer_id: String,
    pub did: String,
    pub swarm: String,
    pub listen: Vec<String>,
    pub control: String,
    pub socket: PathBuf,
}

/// A running node. Dropping it kills it.
pub struct Node {
    pub ready: Ready,
    pub token: String,
    /// The control API over TCP, with the token.
    pub http: Http,
    child: Child,
    log: PathBuf,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Node {
    /// The control API without the token.
    pub fn stranger(&self) -> Http {
        Http::new(self.http.address())
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(path).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.ok()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let (http, path) = (self.http.clone(), path.to_owned());
        async move {
            let answer = http.post(&path, &body).await;
            let good = (200..300).contains(&answer.status);
            assert!(
                good,
                "{caller}: POST {path}: {} {}",
                answer.status,
                answer.text()
            );
            answer.ok()
        }
    }

    /// Calls a tool as the node's user; what it returned.
    pub async fn tool(&self, name: &str, parameters: Value) -> Value {
        let body = serde_json::json!({"parameters": parameters});
        self.post(&format!("/execute/{name}"), body).await["result"].take()
    }

    /// Makes a twin that remembers something, so that a goal has a place to look first.
    pub async fn twin(&self) -> String {
        let twin = self.post("/twins", serde_json::json!({})).await;
        let twin_id = twin["twin_id"].as_str().unwrap().to_owned();
        let note =
            serde_json::json!({"role": "user", "content": "The disk should stay below 90%."});
        self.post(&format!("/memory/{twin_id}"), note).await;
        twin_id
    }

    /// Runs a goal.
    pub async fn ask(&self, twin_id: &str, goal: &str) -> Value {
        let body = serde_json::json!({"goal": goal});
        self.post(&format!("/interact/{twin_id}"), body).await
    }

    /// Waits until the node is MO of itself, after which it does nothing of its own accord.
    pub async fn alone_in_office(&self) {
        until("the lone node to be MO", async || {
            let mo = self.get("/mo").await;
            if mo["is_me"] == true {
                Ok(())
            } else {
                Err(mo.to_string())
            }
        })
        .await;
    }

    /// Every event after `after`, page by page.
    pub async fn events_after(&self, after: u64) -> Vec<Value> {
        let (mut all, mut last) = (Vec::new(), after);
        loop {
            let page = self
                .get(&format!("/events/log?after={last}&limit=1000"))
                .await;
            let events = page["events"].as_array().unwrap();
            if events.is_empty() {
                return all;
            }
            all.extend_from_slice(events);
            last = page["last"].as_u64().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap()));
        kill_process(pid.expect("a living node"), signal).unwrap();
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and the end in time.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        timeout(DEADLINE, self.child.wait())
            .await
            .expect("an end in time")
            .unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- {} said:\n{}", self.ready.did, tail.join("\n"));
        }
    }
}

/// The steps of an interaction that called tools.
pub fn tool_calls(interaction: &Value) -> Vec<&Value> {
    let steps = interaction["steps"].as_array().expect("steps");
    steps.iter().filter(|step| step["kind"] == "tool").collect()
}
