//! The Git bridge, against a bare repository on this machine.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    wait::until,
};

fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Whether there is a `git` to test with; says so where there is none.
fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: there is no `git` program on this machine");
    }
    found
}

fn configure(home: &Home, settings: &str) {
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("config.toml"), settings).unwrap();
}

async fn push(node: &Node, twin: &str, critique: &str) -> Value {
    let delta = json!({"counts": [{"target": "tool:calculator", "helpful": 1, "harmful": 0}]});
    node.tool(
        "hive_push",
        json!({"twin_id": twin, "critique": critique, "delta": delta}),
    )
    .await
}

async fn mirrored(node: &Node, subject: &str) -> Value {
    until("the Git job to end", async || {
        let audit = node.get("/audit?limit=1000").await;
        let one = audit
            .as_array()
            .unwrap()
            .iter()
            .find(|record| record["action"] == "git_mirrored" && record["subject"] == subject)
            .cloned();
        one.ok_or(audit.to_string())
    })
    .await
}

#[tokio::test]
async fn playbook_and_artifacts_are_mirrored_in_the_prototypes_layout() {
    if !has_git() {
        return;
    }
    let home = Home::new();
    let bare = home.root().join("hive.git");
    git(home.root(), &["init", "--quiet", "--bare", "hive.git"]).unwrap();
    configure(&home, &format!("[hive.git]\nremote = {bare:?}\n"));
    let node = home.start().await;
    node.alone_in_office().await;
    let twin = node.twin().await;

    let pulled = node.tool("hive_pull", json!({})).await;
    let record = mirrored(&node, pulled["cid"].as_str().unwrap()).await;
    assert_eq!(record["verdict"], "accepted", "{record}");
    let toml = git(&bare, &["show", "main:playbook.toml"]).unwrap();
    assert_eq!(toml, pulled["playbook"].as_str().unwrap());

    let pushed = push(&node, &twin, "calculators help").await;
    let branch = pushed["git_branch"].as_str().unwrap();
    let record = mirrored(&node, pushed["cid"].as_str().unwrap()).await;
    assert_eq!(record["verdict"], "accepted", "{record}");
    assert!(branch.starts_with("swarm/improvement/2"), "{branch}");
    let uuid = branch.split_once("Z-").unwrap().1;
    let file = format!("{branch}:hive_artifacts/{uuid}.toml");
    let artifact = git(&bare, &["show", &file]).unwrap();
    assert!(
        artifact.contains("critique = \"calculators help\""),
        "{artifact}"
    );
    // A reviewer sees what it would change, on top of the main branch.
    let parent = git(&bare, &["rev-parse", &format!("{branch}^")]).unwrap();
    assert_eq!(parent, git(&bare, &["rev-parse", "main"]).unwrap());
    let changed = git(&bare, &["diff", "--name-only", "main", branch]).unwrap();
    assert!(changed.contains("playbook.toml"), "{changed}");

    // Merged by the MO, it reaches the main branch with the next pull.
    until("the artifact to be merged", async || {
        let one = node
            .get(&format!("/artifacts/{}", pushed["cid"].as_str().unwrap()))
            .await;
        match one["status"] == "merged" {
            true => Ok(()),
            false => Err(one.to_string()),
        }
    })
    .await;
    let pulled = node.tool("hive_pull", json!({})).await;
    mirrored(&node, pulled["cid"].as_str().unwrap()).await;
    let toml = git(&bare, &["show", "main:playbook.toml"]).unwrap();
    assert_eq!(toml, pulled["playbook"].as_str().unwrap());
    assert_eq!(
        git(&bare, &["rev-list", "--count", "main"]).unwrap().trim(),
        "2"
    );
}

#[tokio::test]
async fn without_git_or_a_remote_the_hive_goes_on_and_says_what_is_wrong() {
    let home = Home::new();
    configure(
        &home,
        "[hive.git]\nremote = \"/nowhere/at/all.git\"\nprogram = \"/nowhere/git\"\n",
    );
    let node = home.start().await;
    node.alone_in_office().await;
    let twin = node.twin().await;
    let pushed = push(&node, &twin, "calculators help").await;
    let record = mirrored(&node, pushed["cid"].as_str().unwrap()).await;
    assert_eq!(record["verdict"], "failed");
    let why = record["detail"]["error"].as_str().unwrap();
    assert!(
        why.contains("/nowhere/git") && why.contains("install Git"),
        "{why}"
    );
    node.terminate().await;

    let home = Home::new();
    configure(&home, "[hive.git]\nremote = \"--upload-pack=sh\"\n");
    let refused = home.launch().fail().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("[hive.git] remote"), "{refused:?}");
}
