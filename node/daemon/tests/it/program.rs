//! Runs of the program to their end.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// Longer than any command takes, the demo too.
const PATIENCE: Duration = Duration::from_secs(180);

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The one JSON document that a successful command printed.
    #[track_caller]
    pub fn document(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.whole_stdout()
    }

    /// The one JSON document that a command printed which ended with `code`.
    #[track_caller]
    pub fn document_of(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.whole_stdout()
    }

    #[track_caller]
    fn whole_stdout(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(error) => panic!("stdout is not one JSON document ({error}): {self:?}"),
        }
    }

    /// The text for a person of a command that ended with `code`: one line with the cause and one
    /// with the next step.
    #[track_caller]
    pub fn complaint(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [cause, next] = lines.as_slice() else {
            panic!("not two lines: {self:?}")
        };
        assert!(
            cause.starts_with("error: ") && next.starts_with("next: "),
            "{self:?}"
        );
        self.stderr.clone()
    }
}

/// The program with an environment of its own, whose home is `root`.
pub fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagi"));
    command
        .env_clear()
        .env("HOME", root)
        .env("TMPDIR", root)
        .env("RUST_BACKTRACE", "1");
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `command` to its end.
pub async fn run(command: &mut Command) -> Outcome {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("an end in time")
        .unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
