//! What `pagi doctor` finds, and how bad usage is told.

use serde_json::Value;

use crate::{
    node::Home,
    program::{command, run},
    wait::until,
};

/// The check of a name in what the doctor found.
fn check<'a>(doctor: &'a Value, name: &str) -> &'a Value {
    let checks = doctor["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {doctor}"))
}

#[tokio::test]
async fn the_doctor_knows_the_bootstrap_addresses_of_the_command_line() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    until("the nodes to meet", async || {
        let peers = second.get("/peers").await;
        if peers.as_array().unwrap().is_empty() {
            Err(peers.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    first.kill().await;
    until("the doctor to miss the bootstrap node", async || {
        let outcome = homes[1].pagi(&["doctor", "--json"]).await;
        let doctor: Value = serde_json::from_str(&outcome.stdout).unwrap();
        match check(&doctor, "peers")["status"].as_str() {
            Some("fail") => Ok(()),
            _ => Err(doctor.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn the_doctor_finds_what_keeps_a_node_from_starting() {
    let home = Home::new();
    home.start().await.terminate().await;
    let doctor = async || home.pagi(&["doctor", "--json"]).await.document_of(1);
    let found = doctor().await;
    for name in ["configuration", "store", "keys"] {
        assert_eq!(check(&found, name)["status"], "ok", "{found}");
    }
    assert_eq!(check(&found, "node")["status"], "fail");

    let file = home.data().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "[node]\nlisten = 3\n").unwrap();
    let found = doctor().await;
    assert_eq!(check(&found, "configuration")["status"], "fail", "{found}");
    std::fs::write(&file, text).unwrap();

    let mut missing = command(home.root());
    missing
        .args(["doctor", "--json", "--data-dir"])
        .arg(home.data())
        .env("PLUGIN_DIR", home.root().join("no-plugins"));
    let found = run(&mut missing).await.document_of(1);
    assert_eq!(check(&found, "plugin folder")["status"], "fail", "{found}");

    std::fs::write(home.data().join("pagi.redb"), "no database").unwrap();
    let found = doctor().await;
    assert_eq!(check(&found, "store")["status"], "fail", "{found}");
}

#[tokio::test]
async fn bad_usage_is_told_in_json_too() {
    let home = Home::new();
    for (words, part) in [
        (&["no-such-command", "--json"][..], "no-such-command"),
        (&["--json", "twin"], "subcommand"),
        (&["demo", "--json", "--nodes", "0"], "--nodes"),
        (&["ask", "--json"], "required"),
        (&["status", "--json", "--unknown"], "--unknown"),
    ] {
        let document = home.pagi(words).await.document_of(2);
        let cause = document["error"]["cause"].as_str().unwrap();
        assert!(cause.contains(part), "{words:?}: {cause}");
        assert!(document["error"]["next"].is_string());
    }
    // Help is no failure, and what follows `--` is no option.
    assert_eq!(home.pagi(&["--help", "--json"]).await.code, Some(0));
}
