//! Several nodes: they meet, elect one MO, learn from each other, and survive the loss of any.

use serde_json::{Value, json};

use crate::{
    node::{Home, Node, tool_calls},
    wait::until,
};

const HEALTH: &str = "Check this machine's health and report anything above 80%";
const SUM: &str = "Calculate 3.5 * 12 and tell me the result";
const PLAYBOOK: &str = "Pull the newest playbook of the hive";

/// The MO's place among `nodes`, once all of them see the same MO in the same term, in an office
/// in whose election at least `voters` nodes had a vote, and no other node takes itself for MO.
pub async fn agreed(nodes: &[&Node], voters: usize) -> usize {
    until("the nodes to agree on one MO", async || {
        let (mut offices, mut mos) = (Vec::new(), Vec::new());
        for (at, node) in nodes.iter().enumerate() {
            let mo = node.get("/mo").await;
            if mo["is_me"] == true {
                mos.push(at);
            }
            let electorate = mo["election"]["electorate"].as_array().map_or(0, Vec::len);
            offices.push((mo["mo"].clone(), mo["term"].clone(), electorate));
        }
        let same = offices.windows(2).all(|pair| pair[0] == pair[1]);
        match mos.as_slice() {
            [mo] if same && offices[0].0 == nodes[*mo].ready.did && offices[0].2 >= voters => {
                Ok(*mo)
            }
            _ => Err(format!("{offices:?}")),
        }
    })
    .await
}

async fn term(node: &Node) -> u64 {
    node.get("/mo").await["term"].as_u64().unwrap()
}

/// The head, once all nodes have the same one with `artifact` merged.
async fn merged(nodes: &[&Node], artifact: &str) -> String {
    until("every node to adopt the artifact", async || {
        let mut seen = Vec::new();
        for node in nodes {
            let answer = node.http.get(&format!("/artifacts/{artifact}")).await;
            let status = match answer.status {
                200 => answer.ok()["status"].clone(),
                404 => Value::Null,
                _ => panic!("{}", answer.text()),
            };
            seen.push((status, node.get("/playbook").await["head"].clone()));
        }
        let same = seen.windows(2).all(|pair| pair[0] == pair[1]);
        if same && seen[0].0 == "merged" {
            Ok(seen[0].1.as_str().unwrap().to_owned())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
}

/// Runs `goal` with a new twin of `node`, and waits until `nodes` have what it taught.
async fn learn(node: &Node, goal: &str, nodes: &[&Node]) -> (Value, String) {
    let before = node.get("/playbook").await["head"].clone();
    let done = node.ask(&node.twin().await, goal).await;
    assert_eq!(done["status"], "completed", "{done}");
    let head = merged(nodes, done["artifact_cid"].as_str().expect("an artifact")).await;
    assert_ne!(before, head);
    for node in nodes {
        let check = node.get("/playbook/verify").await;
        assert_eq!(
            (&check["valid"], &check["head"]),
            (&json!(true), &json!(head)),
            "{check}"
        );
    }
    (done, head)
}

#[tokio::test]
async fn three_nodes_learn_together_and_outlive_their_mo() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    let third = homes[2].launch().bootstrap(&first).start().await;
    let mut nodes = vec![first, second, third];
    let all: Vec<&Node> = nodes.iter().collect();
    // Two of three speak for the swarm: an office of two need not be renewed for the third.
    let mo = agreed(&all, 2).await;

    // Each knows the others' twins.
    let twin_id = nodes[0].twin().await;
    until("the twin of one node to be known on another", async || {
        let swarm = nodes[1].get("/swarm").await;
        let twins = swarm["twins"].as_array().unwrap();
        let found = twins.iter().find(|twin| twin["twin_id"] == twin_id);
        let there =
            found.is_some_and(|twin| twin["node"] == nodes[0].ready.did && twin["local"] == false);
        if there && swarm["nodes"].as_array().unwrap().len() == 3 {
            Ok(())
        } else {
            Err(swarm.to_string())
        }
    })
    .await;
    let known = nodes[2].tool("list_known_twins", json!({})).await;
    assert!(known["twins"].is_array(), "{known}");

    // A goal on one node teaches all of them; another then needs fewer calls.
    let (worker, other) = ((mo + 1) % 3, (mo + 2) % 3);
    let (done, _) = learn(&nodes[worker], HEALTH, &all).await;
    let again = nodes[other].ask(&nodes[other].twin().await, HEALTH).await;
    assert_eq!(again["status"], "completed", "{again}");
    assert!(again["case"].is_string(), "{again}");
    assert!(
        again["output"]
            .as_str()
            .unwrap()
            .contains(|c: char| c.is_ascii_digit())
    );
    assert!(
        tool_calls(&again).len() < tool_calls(&done).len(),
        "{again}"
    );
    if let Some(artifact) = again["artifact_cid"].as_str() {
        merged(&all, artifact).await;
    }

    // Two learn at the same time: neither lesson is lost.
    let twins = [nodes[worker].twin().await, nodes[other].twin().await];
    let (one, two) = tokio::join!(
        nodes[worker].ask(&twins[0], SUM),
        nodes[other].ask(&twins[1], "Which twins are known in the swarm?"),
    );
    for done in [&one, &two] {
        assert_eq!(done["status"], "completed", "{done}");
        merged(&all, done["artifact_cid"].as_str().expect("an artifact")).await;
    }

    // The MO dies.
    let old_term = term(&nodes[mo]).await;
    let old = nodes.remove(mo);
    let (lost_did, lost_home) = (old.ready.did.clone(), &homes[mo]);
    old.kill().await;
    let left: Vec<&Node> = nodes.iter().collect();
    let new_mo = agreed(&left, 2).await;
    assert!(term(left[0]).await > old_term);
    let (_, head) = learn(left[1 - new_mo], PLAYBOOK, &left).await;

    // It comes back, a revision behind, and is one of them again.
    let back = lost_home
        .launch()
        .bootstrap(left[0])
        .bootstrap(left[1])
        .start()
        .await;
    assert_eq!(back.ready.did, lost_did);
    until("the node that was away to catch up", async || {
        let seen = back.get("/playbook").await["head"].clone();
        if seen == head {
            Ok(())
        } else {
            Err(format!("{seen}, not {head}"))
        }
    })
    .await;
    nodes.push(back);
    let all: Vec<&Node> = nodes.iter().collect();
    let mo = agreed(&all, 2).await;
    for node in &all {
        assert_eq!(node.get("/playbook").await["heads"], json!([head]));
        assert_eq!(node.get("/playbook/verify").await["valid"], true);
    }
    let home_of = |node: &Node| {
        homes
            .iter()
            .find(|home| home.data().join("control.sock") == node.ready.socket)
            .unwrap()
    };

    // The MO gives its office up; nobody else can.
    let follower = &nodes[(mo + 1) % 3];
    let complaint = home_of(follower)
        .pagi(&["mo", "step-down"])
        .await
        .complaint(1);
    assert!(complaint.contains("not the MO"), "{complaint}");
    let old_term = term(&nodes[mo]).await;
    let stepped = home_of(&nodes[mo]).json(&["mo", "step-down"]).await;
    assert_eq!(stepped["is_me"], false, "{stepped}");
    let successor = agreed(&all, 3).await;
    assert_ne!(successor, mo);
    assert!(term(&nodes[mo]).await > old_term);

    // An MO that is stopped in order is replaced as well.
    let leaving = nodes.remove(successor);
    assert_eq!(leaving.terminate().await.code(), Some(0));
    let left: Vec<&Node> = nodes.iter().collect();
    agreed(&left, 2).await;
}

#[tokio::test]
async fn documents_go_both_ways_after_a_node_was_away() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    for round in 0..3 {
        let second = homes[1].launch().bootstrap(&first).start().await;
        for (from, to) in [(&first, &second), (&second, &first)] {
            let document = json!({"round": round, "by": from.ready.did});
            let stored = from.post("/ipfs/dag", document.clone()).await;
            let path = format!("/ipfs/dag/{}", stored["cid"].as_str().unwrap());
            assert_eq!(to.get(&path).await, document);
        }
        second.kill().await;
    }
}

#[tokio::test]
async fn tasks_and_documents_cross_the_swarm() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    agreed(&[&first, &second], 2).await;

    let task = json!({"task": {"goal": "count the stars", "id": "t-1"}});
    first.tool("broadcast_swarm_task", task).await;
    until("the task to arrive", async || {
        let page = second.get("/events/log?event_type=task_broadcast").await;
        let found = page["events"].as_array().unwrap().iter().any(|event| {
            event["payload"]["task"]["id"] == "t-1" && event["subject"] == first.ready.did
        });
        if found { Ok(()) } else { Err(page.to_string()) }
    })
    .await;

    let document = json!({"made": "here", "list": [1, 2, 3]});
    let cid = first.post("/ipfs/dag", document.clone()).await["cid"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(second.get(&format!("/ipfs/dag/{cid}")).await, document);

    // What is private stays: memories and goals of one node are no event of another.
    let twin_id = first.twin().await;
    first.ask(&twin_id, "What is 2 + 2?").await;
    until("the other node to hear of the twin", async || {
        let page = second
            .get(&format!(
                "/events/log?event_type=twin_online&twin_id={twin_id}"
            ))
            .await;
        if page["events"] == json!([]) {
            Err(page.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    for event in second.events_after(0).await {
        let kind = event["event_type"].as_str().unwrap();
        let local = ["goal_received", "working_memory_appended", "tool_executed"].contains(&kind);
        assert!(!local, "{event}");
        assert!(
            !event.to_string().contains("The disk should stay"),
            "{event}"
        );
    }
    let peers = second.get("/peers").await;
    assert_eq!(peers[0]["peer_id"], first.ready.peer_id, "{peers}");
    assert_eq!(peers[0]["did"], first.ready.did);
}

#[tokio::test]
async fn swarms_of_different_names_do_not_mix() {
    let homes = [Home::new(), Home::new()];
    let ours = homes[0].launch().arg("--swarm").arg("ours").start().await;
    let theirs = homes[1]
        .launch()
        .arg("--swarm")
        .arg("theirs")
        .bootstrap(&ours)
        .start()
        .await;
    ours.alone_in_office().await;
    theirs.alone_in_office().await;
    for (node, name) in [(&ours, "ours"), (&theirs, "theirs")] {
        assert_eq!(node.ready.swarm, name);
        let swarm = node.get("/swarm").await;
        assert_eq!(
            (&swarm["name"], &swarm["nodes"]),
            (&json!(name), &json!([node.ready.did]))
        );
    }
}
