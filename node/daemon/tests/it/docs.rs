//! The documents say what is so: README's marked examples run, ARCHITECTURE's paths exist.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{process::Command, time::timeout};

use crate::{node::Home, wait::DEADLINE};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// The shell blocks that stand behind a `<!-- run: TITLE -->` line, with their titles.
fn marked_blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("<!-- run: ") {
        let (title, after) = after.split_once(" -->").unwrap();
        let (_, block) = after.split_once("```sh\n").unwrap();
        let (block, after) = block.split_once("```").unwrap();
        blocks.push((title.to_owned(), block.to_owned()));
        rest = after;
    }
    blocks
}

fn has(tool: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_readme_run_as_they_stand() {
    let home = Home::new();
    let node = home.start().await;
    let blocks = marked_blocks(&document("README.md"));
    assert_eq!(
        blocks.len(),
        3,
        "README lost an example, or this test has to learn of one"
    );
    let twin = home.pagi(&["twin", "create"]).await;
    assert_eq!(twin.code, Some(0), "{twin:?}");
    let binaries = Path::new(env!("CARGO_BIN_EXE_pagi")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    for (title, block) in blocks {
        if block.contains("curl") && !has("curl") {
            eprintln!("NOT RUN, for there is no curl here: {title}");
            continue;
        }
        let run = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .env("PATH", &path)
            .env("HOME", home.root())
            .env("PAGI_DATA_DIR", home.data())
            .env("API", &node.ready.control)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(3 * DEADLINE, run)
            .await
            .expect("an end in time")
            .unwrap();
        assert!(
            output.status.success(),
            "{title}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_paths_of_the_architecture_exist() {
    let text = document("ARCHITECTURE.md");
    assert!(
        !document("README.md").contains("@@"),
        "a placeholder was left"
    );
    let mut paths = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path = quoted.contains('/')
            && !quoted.contains(['{', ' ', '<'])
            && [
                "protocols/",
                "node/",
                "plugins/",
                "bootstrap/",
                "playbooks/",
                "scripts/",
            ]
            .iter()
            .any(|room| quoted.starts_with(room));
        if is_path {
            assert!(repository().join(quoted).exists(), "{quoted} is not there");
            paths += 1;
        }
    }
    assert!(paths > 20, "only {paths} paths found");
}
