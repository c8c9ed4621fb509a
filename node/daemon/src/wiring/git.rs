//! The Git bridge: playbook and artifacts in a Git repository, so that people can review on a forge.
//!
//! The layout is the earlier prototype's: `playbook.toml` on the main branch, and for each artifact a
//! branch `swarm/improvement/{timestamp}-{uuid}` with `hive_artifacts/{uuid}.toml` and the playbook as
//! it would be. Off unless `[hive.git] remote` is set. It goes one way: what is merged on the forge
//! changes nothing here (`pagi artifact approve` does). A worker runs the `git` program one job at a
//! time; the tools only queue, so a slow or missing forge holds nothing up. How each job ended is in the
//! audit log.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cid::Cid;
use pagi_playbook::{Artifact, State, to_toml};
use pagi_store::{AuditRecord, Store};
use pagi_twin::now_text;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{process::Command, sync::mpsc};
use uuid::Uuid;

/// Jobs that wait at the most.
const WAITING: usize = 64;
/// Time for one call of `git`.
const PATIENCE: Duration = Duration::from_secs(60);
/// A push that somebody was faster than is tried so often.
const TRIES: usize = 3;

/// `[hive.git]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GitSection {
    /// Where to push: a path or URL that `git` takes. Empty: the bridge is off.
    pub remote: String,
    /// The branch that holds the playbook.
    pub branch: String,
    /// The program.
    pub program: PathBuf,
}

impl Default for GitSection {
    fn default() -> Self {
        Self {
            remote: String::new(),
            branch: "main".into(),
            program: "git".into(),
        }
    }
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The settings cannot be used.
    #[error("[hive.git] {0}")]
    Settings(String),
    /// There is no such program.
    #[error("`{program}` cannot be run ({cause}): install Git, or set [hive.git] program")]
    NoGit {
        /// The program.
        program: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Git said no.
    #[error("git {what}: {said}")]
    Git {
        /// What was done.
        what: String,
        /// Its last line.
        said: String,
    },
    /// Git took too long.
    #[error("git {0} took longer than a minute")]
    Slow(String),
    /// The working copy cannot be written.
    #[error("{path}: {cause}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Too many jobs wait.
    #[error("{WAITING} jobs wait for Git already; see `pagi audit` for why they do not end")]
    Busy,
}

/// One thing to bring to the repository.
enum Job {
    Playbook {
        head: Cid,
        toml: String,
    },
    Artifact {
        branch: String,
        uuid: Uuid,
        cid: Cid,
        artifact: String,
        playbook: String,
        critique: String,
    },
}

/// Takes jobs.
#[derive(Clone)]
pub struct Bridge {
    queue: mpsc::Sender<Job>,
}

impl Bridge {
    /// The bridge and its worker; none where it is off.
    ///
    /// # Errors
    /// [`GitError::Settings`].
    pub fn open(
        section: &GitSection,
        data_dir: &Path,
        store: Store,
    ) -> Result<Option<(Self, impl Future<Output = ()> + Send + use<>)>, GitError> {
        let remote = section.remote.trim();
        if remote.is_empty() {
            return Ok(None);
        }
        if remote.starts_with('-') || remote.starts_with("ext::") {
            let why = "remote: give a path or a URL (https://…, ssh://…, git@host:path)";
            return Err(GitError::Settings(why.into()));
        }
        if !is_branch(&section.branch) {
            let why = "branch: give a branch's name, such as \"main\"";
            return Err(GitError::Settings(why.into()));
        }
        let (queue, mut jobs) = mpsc::channel::<Job>(WAITING);
        let copy = Copy {
            program: section.program.clone(),
            remote: remote.to_owned(),
            branch: section.branch.clone(),
            dir: data_dir.join("git"),
        };
        let worker = async move {
            while let Some(job) = jobs.recv().await {
                let (subject, detail) = job.words(&copy.branch);
                let (verdict, detail) = match copy.run(&job).await {
                    Ok(()) => ("accepted", detail),
                    Err(error) => {
                        tracing::warn!(%error, "the Git repository was not brought up to date");
                        let mut detail = detail;
                        detail["error"] = json!(error.to_string());
                        ("failed", detail)
                    }
                };
                let record = AuditRecord::new(now_text(), "hive", "git_mirrored", verdict)
                    .about(subject)
                    .with_detail(detail);
                if let Err(error) = store.append_audit(record).await {
                    tracing::error!(%error, "the audit log cannot be written");
                }
            }
        };
        Ok(Some((Self { queue }, worker)))
    }

    /// Queues the playbook for the main branch.
    ///
    /// # Errors
    /// [`GitError::Busy`].
    pub fn playbook(&self, head: Cid, state: &State) -> Result<(), GitError> {
        let toml = state.to_toml();
        let job = Job::Playbook { head, toml };
        self.queue.try_send(job).map_err(|_| GitError::Busy)
    }

    /// Queues an artifact for a branch of its own, and `candidate`, the playbook as it would be.
    /// Returns the branch.
    ///
    /// # Errors
    /// [`GitError::Busy`].
    pub fn artifact(
        &self,
        cid: Cid,
        author: &str,
        artifact: &Artifact,
        candidate: &State,
    ) -> Result<String, GitError> {
        let uuid = artifact.nonce.parse().unwrap_or_else(|_| Uuid::new_v4());
        let time: String = stamp(artifact.timestamp);
        let branch = format!("swarm/improvement/{time}-{uuid}");
        let document = json!({
            "cid": cid.to_string(), "author": author, "twin_id": artifact.twin_id,
            "base": artifact.base.to_string(), "timestamp": artifact.timestamp,
            "critique": artifact.critique, "delta": artifact.delta, "evidence": artifact.evidence,
        });
        let job = Job::Artifact {
            branch: branch.clone(),
            uuid,
            cid,
            artifact: to_toml(&document),
            playbook: candidate.to_toml(),
            critique: artifact.critique.clone(),
        };
        self.queue.try_send(job).map_err(|_| GitError::Busy)?;
        Ok(branch)
    }
}

impl Job {
    fn words(&self, main: &str) -> (String, Value) {
        match self {
            Self::Playbook { head, .. } => (head.to_string(), json!({"branch": main})),
            Self::Artifact { cid, branch, .. } => (cid.to_string(), json!({"branch": branch})),
        }
    }
}

/// `20261124T131500Z`: what a branch's name may hold of a time.
fn stamp(milliseconds: u64) -> String {
    let text = pagi_messages::event::rfc3339(pagi_messages::event::from_unix_ms(milliseconds));
    let seconds = text
        .split('.')
        .next()
        .unwrap_or(&text)
        .trim_end_matches('Z');
    let digits: String = seconds
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == 'T')
        .collect();
    format!("{digits}Z")
}

fn is_branch(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("//")
        && !name.ends_with(".lock")
}

/// The node's working copy.
struct Copy {
    program: PathBuf,
    remote: String,
    branch: String,
    dir: PathBuf,
}

impl Copy {
    async fn run(&self, job: &Job) -> Result<(), GitError> {
        self.prepare().await?;
        match job {
            Job::Playbook { head, toml } => {
                let mut last = Ok(());
                for _ in 0..TRIES {
                    self.start_from_main(&self.branch).await?;
                    self.write("playbook.toml", toml).await?;
                    if !self.commit(&format!("Playbook {head}")).await? {
                        return Ok(());
                    }
                    last = self.push(&self.branch).await;
                    if last.is_ok() {
                        break;
                    }
                }
                last
            }
            Job::Artifact {
                branch,
                uuid,
                cid,
                artifact,
                playbook,
                critique,
            } => {
                self.start_from_main(branch).await?;
                self.write("playbook.toml", playbook).await?;
                let file = format!("hive_artifacts/{uuid}.toml");
                self.write(&file, artifact).await?;
                let title: String = critique
                    .lines()
                    .next()
                    .unwrap_or("")
                    .chars()
                    .take(72)
                    .collect();
                self.commit(&format!("{title}\n\nArtifact {cid}")).await?;
                self.push(branch).await
            }
        }
    }

    /// A working copy with the newest main branch of the remote, if it has one.
    async fn prepare(&self) -> Result<(), GitError> {
        let made = tokio::fs::create_dir_all(&self.dir).await;
        made.map_err(|cause| self.file(&self.dir, cause))?;
        self.git(&["init", "--quiet"]).await?;
        self.git(&["config", "remote.origin.url", &self.remote])
            .await?;
        let heads = self
            .git(&["ls-remote", "--heads", "origin", &self.branch])
            .await?;
        if heads.trim().is_empty() {
            // What an earlier remote had is not this one's.
            let _ = self
                .git(&["update-ref", "-d", "refs/remotes/origin/pagi-main"])
                .await;
            return Ok(());
        }
        let refs = format!("+refs/heads/{}:refs/remotes/origin/pagi-main", self.branch);
        self.git(&["fetch", "--quiet", "--no-tags", "origin", &refs])
            .await?;
        Ok(())
    }

    /// Checks the remote's main branch out as `branch`, or an empty one where it has none.
    async fn start_from_main(&self, branch: &str) -> Result<(), GitError> {
        let main = "refs/remotes/origin/pagi-main";
        if branch == self.branch {
            self.prepare().await?;
        }
        let there = self.git(&["rev-parse", "--verify", "--quiet", main]).await;
        // Whatever the last job left is of no use.
        let name = format!("refs/heads/{branch}");
        self.git(&["symbolic-ref", "HEAD", &name]).await?;
        match there {
            Ok(_) => {
                self.git(&["update-ref", &name, main]).await?;
                self.git(&["reset", "--quiet", "--hard"]).await?;
            }
            Err(GitError::Git { .. }) => {
                let _ = self.git(&["update-ref", "-d", &name]).await;
                self.git(&["read-tree", "--empty"]).await?;
            }
            Err(error) => return Err(error),
        }
        self.git(&["clean", "--quiet", "-d", "--force", "-x"])
            .await?;
        Ok(())
    }

    async fn write(&self, name: &str, text: &str) -> Result<(), GitError> {
        let path = self.dir.join(name);
        if let Some(folder) = path.parent() {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|cause| self.file(folder, cause))?;
        }
        let written = tokio::fs::write(&path, text).await;
        written.map_err(|cause| self.file(&path, cause))
    }

    /// Commits what was written. Returns whether anything differs.
    async fn commit(&self, message: &str) -> Result<bool, GitError> {
        self.git(&["add", "--all", "."]).await?;
        if self
            .git(&["status", "--porcelain"])
            .await?
            .trim()
            .is_empty()
        {
            return Ok(false);
        }
        self.git(&["commit", "--quiet", "--no-verify", "-m", message])
            .await?;
        Ok(true)
    }

    async fn push(&self, branch: &str) -> Result<(), GitError> {
        let refs = format!("HEAD:refs/heads/{branch}");
        self.git(&["push", "--quiet", "--no-verify", "origin", &refs])
            .await?;
        Ok(())
    }

    /// Runs `git`; what it printed.
    async fn git(&self, args: &[&str]) -> Result<String, GitError> {
        let what = args.first().copied().unwrap_or_default().to_owned();
        let settings = [
            "core.hooksPath=/dev/null",
            "commit.gpgSign=false",
            "protocol.ext.allow=never",
            "core.autocrlf=false",
            "user.name=pagi",
            "user.email=pagi@localhost",
            "gc.auto=0",
        ];
        let mut command = Command::new(&self.program);
        command
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .args(args)
            .current_dir(&self.dir)
            // Not the repository that somebody started the node in.
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .env(
                "GIT_CEILING_DIRECTORIES",
                self.dir.parent().unwrap_or(&self.dir),
            )
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match tokio::time::timeout(PATIENCE, command.output()).await {
            Err(_) => return Err(GitError::Slow(what)),
            Ok(Err(cause)) => {
                let program = self.program.display().to_string();
                return Err(GitError::NoGit { program, cause });
            }
            Ok(Ok(output)) => output,
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().rfind(|line| !line.trim().is_empty());
        let said = line.unwrap_or("it gave no reason").to_owned();
        Err(GitError::Git {
            what,
            said: without_password(&said, &self.remote),
        })
    }

    fn file(&self, path: &Path, cause: std::io::Error) -> GitError {
        GitError::File {
            path: path.to_owned(),
            cause,
        }
    }
}

/// `text` without what the remote's URL holds before its host.
fn without_password(text: &str, remote: &str) -> String {
    let login = remote
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|host| host.rsplit_once('@'))
        .map(|(login, _)| login);
    let text = match login {
        Some(login) if !login.is_empty() => text.replace(login, "…"),
        _ => text.to_owned(),
    };
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_times_are_names_git_takes() {
        assert_eq!(stamp(1_700_000_000_123), "20231114T221320Z");
        for good in ["main", "swarm/improvement/20231114T221320Z-x", "v1.2"] {
            assert!(is_branch(good), "{good}");
        }
        for bad in ["", "-f", "a..b", "/a", "a/", "a b", "a.lock", "a//b", "a:b"] {
            assert!(!is_branch(bad), "{bad}");
        }
    }

    #[test]
    fn no_password_is_told() {
        let remote = "https://ada:secret@forge.example/playbooks.git";
        let said = format!("fatal: unable to access '{remote}'");
        let told = without_password(&said, remote);
        assert!(
            !told.contains("secret") && told.contains("forge.example"),
            "{told}"
        );
    }
}
