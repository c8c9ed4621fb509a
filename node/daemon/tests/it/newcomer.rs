//! What somebody new is told: who is there, how far a question is, who did what, and what would help.

use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    wait::until,
};

/// The twin with a DID in `pagi swarm twins`, once it is reached in this way.
async fn reached(home: &Home, did: &str, reach: &str) -> Value {
    until("the twin to be listed", async || {
        let twins = home.json(&["swarm", "twins", "--others"]).await;
        let found = twins
            .as_array()
            .unwrap()
            .iter()
            .find(|twin| twin["did"] == did);
        match found {
            Some(twin) if twin["reach"] == reach => Ok(twin.clone()),
            _ => Err(twins.to_string()),
        }
    })
    .await
}

async fn made(home: &Home, name: &str, role: &str) -> String {
    let made = home
        .json(&["twin", "create", "--name", name, "--role", role])
        .await;
    made["did"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn twins_of_others_are_found_by_what_they_are_and_remembered_when_they_are_gone() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = homes[0].launch().arg("--keep-mail").start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    let alice = made(&homes[0], "Alice", "asks").await;
    let bob = made(&homes[1], "Bob", "reckons for others").await;
    let seen = reached(&homes[0], &bob, "connected").await;
    assert_eq!(
        (
            &seen["name"],
            &seen["role"],
            &seen["node"],
            &seen["reachable"]
        ),
        (
            &json!("Bob"),
            &json!("reckons for others"),
            &json!(second.ready.did),
            &json!(true)
        ),
        "{seen}"
    );
    let tools = seen["tools"].as_array().unwrap();
    assert!(tools.contains(&json!("calculator")), "{seen}");
    let shown = homes[0].pagi(&["swarm", "twins", "reckons"]).await;
    assert!(
        shown.stdout.contains(&bob) && shown.stdout.contains("connected"),
        "{shown:?}"
    );
    assert!(!shown.stdout.contains("Alice"), "{shown:?}");
    let both = homes[0]
        .json(&["swarm", "twins", "--tool", "calculator"])
        .await;
    assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
    let none = homes[0]
        .json(&["swarm", "twins", "--tool", "no_such"])
        .await;
    assert_eq!(none, json!([]));
    // A name that is changed is told anew.
    homes[1]
        .json(&["twin", "state", "Bob", "name=Robert"])
        .await;
    until("the new name", async || {
        let seen = reached(&homes[0], &bob, "connected").await;
        if seen["name"] == "Robert" {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;

    // A question is shown on its way, on stderr, and not with --json.
    homes[1].json(&["msg", "allow", &alice]).await;
    let question = ["msg", "ask", bob.as_str(), "What is 12 * (3 + 4)?"];
    let asked = homes[0].pagi(&question).await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.stdout.contains("84"), "{asked:?}");
    for told in [
        "sending to ",
        "delivered; waiting for the answer, up to 1 min",
    ] {
        assert!(asked.stderr.contains(told), "{told}: {asked:?}");
    }
    let asked = homes[0].pagi(&[&question[..], &["--json"]].concat()).await;
    assert!(
        asked.document()["reply"].to_string().contains("84"),
        "{asked:?}"
    );
    assert_eq!(asked.stderr, "");

    // Its node goes: it is listed as away, over a restart of this one too.
    boxes(&first, 1).await;
    second.kill().await;
    let gone = reached(&homes[0], &bob, "away").await;
    assert_eq!(
        (&gone["name"], &gone["reachable"]),
        (&json!("Robert"), &json!(false))
    );
    let hidden = homes[0]
        .json(&["swarm", "twins", "--others", "--reachable"])
        .await;
    assert_eq!(hidden, json!([]));
    let asked = homes[0]
        .pagi(&[&question[..], &["--wait", "1"]].concat())
        .await;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(
        asked.stderr.contains("kept in a mailbox until it is back")
            && asked.stderr.contains("no answer came in 1 s")
            && asked.stderr.contains("pagi swarm twins"),
        "{asked:?}"
    );
    first.terminate().await;
    let _first = homes[0].start().await;
    let still = reached(&homes[0], &bob, "away").await;
    assert_eq!(still["last_seen"], gone["last_seen"], "{still}");

    // A node that never met it knows nothing of it.
    let _third = homes[2].start().await;
    assert_eq!(homes[2].json(&["swarm", "twins"]).await, json!([]));
    let shown = homes[2].pagi(&["swarm", "twins"]).await;
    assert!(shown.stdout.contains("pagi twin create"), "{shown:?}");
}

/// Waits until so many twins have a mailbox at `node`.
async fn boxes(node: &Node, wanted: usize) {
    until("the mailboxes", async || {
        let metrics = node.stranger().get("/metrics").await.text().to_owned();
        if metrics.contains(&format!("\npagi_mail_boxes {wanted}\n")) {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
}

#[tokio::test]
async fn a_stopped_twin_is_listed_as_such_and_logs_name_people() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    let ada = made(&home, "Ada", "").await;
    home.json(&["twin", "create", "--name", "Bo"]).await;
    home.json(&[
        "tool",
        "call",
        "calculator",
        "expression=1+1",
        "--twin",
        "Ada",
    ])
    .await;
    home.json(&["tool", "call", "calculator", "expression=1+1"])
        .await;
    home.json(&["stop", "--twin", "Ada", "--reason", "a drill"])
        .await;
    let twins = home.json(&["twin", "list"]).await;
    let stopped = |name: &str| {
        let twins = twins.as_array().unwrap().iter();
        let mut named = twins.filter(|twin| twin["state"]["name"] == name);
        named.next().unwrap()["stopped"].clone()
    };
    assert!(
        stopped("Ada").as_str().unwrap().contains("a drill"),
        "{twins}"
    );
    assert_eq!(stopped("Bo"), Value::Null);
    let shown = home.pagi(&["twin", "list"]).await;
    let line = |name: &str| {
        let mut lines = shown.stdout.lines().filter(|line| line.contains(name));
        lines.next().unwrap().to_owned()
    };
    assert!(
        line(" Ada ").contains("STOPPED") && !line(" Bo ").contains("STOPPED"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("pagi resume"), "{shown:?}");
    let show = home.pagi(&["twin", "show", "Ada"]).await;
    assert!(show.stdout.contains("STOPPED"), "{show:?}");
    let known = home.pagi(&["swarm", "twins", "Ada"]).await;
    assert!(known.stdout.contains("STOPPED"), "{known:?}");
    home.json(&["resume", "--twin", &ada]).await;
    let twins = home.json(&["twin", "list"]).await.to_string();
    assert!(!twins.contains("a drill"), "{twins}");

    let audit = home.pagi(&["audit"]).await.stdout;
    for who in [" this node ", " twin Ada ", " you "] {
        assert!(audit.contains(who), "{who}: {audit}");
    }
    assert!(
        audit.contains("tool call calculator") && !audit.contains("{\"parameters\""),
        "{audit}"
    );
    let mo = home.pagi(&["mo", "status"]).await.stdout;
    assert!(mo.contains(" UTC, ") && !mo.contains("_ms"), "{mo}");
}

#[tokio::test]
async fn what_was_learned_is_told_in_words() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    home.json(&["twin", "create"]).await;
    let goal = "Check this machine's health and report anything above 80%";
    let learned = home.pagi(&["ask", goal]).await;
    let sentence = "goals about health, machine are reached by system_monitor";
    assert!(learned.stdout.contains(sentence), "{learned:?}");
    let head = until("the lesson to be merged", async || {
        let playbook = node.get("/playbook").await;
        match playbook["revisions"].as_u64() {
            Some(1) => Ok(playbook),
            _ => Err(playbook.to_string()),
        }
    })
    .await;
    assert!(head["document"].to_string().contains("machin\""), "{head}");
    let artifacts = home.json(&["artifact", "list"]).await;
    let cid = artifacts[0]["cid"].as_str().unwrap();
    for command in [
        &["playbook", "show"][..],
        &["playbook", "diff"],
        &["artifact", "list"],
        &["artifact", "show", cid],
    ] {
        let shown = home.pagi(command).await;
        assert!(shown.stdout.contains(sentence), "{command:?}: {shown:?}");
        assert!(!shown.stdout.contains("machin\""), "{command:?}: {shown:?}");
    }
}

#[tokio::test]
async fn a_goal_that_a_plugin_could_do_names_it_and_how_to_allow_it() {
    let home = Home::new();
    let _node = home.start().await;
    home.json(&["twin", "create", "--name", "Ada"]).await;
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/text_stats");
    let goal = "Count the words of \"one two three\"";
    let allow = "pagi tool allow text_stats";
    let before = home.pagi(&["ask", goal]).await;
    assert_eq!(before.code, Some(1), "{before:?}");
    assert!(!before.stdout.contains(allow), "{before:?}");
    home.json(&["plugin", "install", plugin]).await;
    for command in [["ask", goal], ["plan", goal]] {
        let told = home
            .pagi(&[&command[..], &["--twin", "Ada"]].concat())
            .await;
        assert!(told.stdout.contains(allow), "{told:?}");
        assert!(
            !told.stdout.contains("--twin"),
            "there is one twin: {told:?}"
        );
    }
    // What fits as well without it is done without it, and not a word is lost about it.
    let other = home.pagi(&["ask", "What is 12 * (3 + 4)?"]).await;
    assert_eq!(other.code, Some(0), "{other:?}");
    assert!(!other.stdout.contains(allow), "{other:?}");
    // With two twins the command says which one is meant.
    let bo = home.json(&["twin", "create", "--name", "Bo"]).await;
    let told = home.pagi(&["ask", "--twin", "Bo", goal]).await;
    let exact = format!("{allow} --twin {}", bo["twin_id"].as_str().unwrap());
    assert!(told.stdout.contains(&exact), "{told:?}");
    // What the user took away is not offered again.
    home.json(&["tool", "allow", "text_stats", "--deny", "--twin", "Bo"])
        .await;
    let told = home.pagi(&["ask", "--twin", "Bo", goal]).await;
    assert!(!told.stdout.contains(allow), "{told:?}");
    home.json(&["tool", "allow", "text_stats", "--twin", "Ada"])
        .await;
    let done = home.pagi(&["ask", "--twin", "Ada", goal]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn an_invitation_says_until_when_it_holds() {
    let home = Home::new();
    home.json(&["swarm", "create", "crew", "--invited"]).await;
    let _node = home.start().await;
    let invited = home.pagi(&["swarm", "invite", "--expires", "3d"]).await;
    assert!(invited.stdout.starts_with("pagi://join/"), "{invited:?}");
    assert!(invited.stderr.contains(" UTC, in 3 d"), "{invited:?}");
    let again = home
        .pagi(&["swarm", "create", "crew", "--invited"])
        .await
        .complaint(1);
    assert!(
        again.contains("belongs to crew (crew-") && again.contains("pagi swarm invite"),
        "{again}"
    );
    let chosen = home.json(&["swarm", "list"]).await;
    assert_eq!(chosen.as_array().unwrap().len(), 1, "{chosen}");
}
