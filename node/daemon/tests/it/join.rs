//! Swarms that are made, invited to, joined and left: who gets in, who does not, and what each of
//! them sees.

use std::fs;

use pagi_bootstrap::JoinTicket;
use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    swarm::agreed,
    wait::until,
};

/// A founder's node in a swarm of its own.
async fn founder(home: &Home, create: &[&str]) -> Node {
    home.json(&[&["swarm", "create", "crew"], create].concat())
        .await;
    home.start().await
}

/// What `pagi swarm invite` prints.
async fn invite(home: &Home, options: &[&str]) -> String {
    let invitation = home.json(&[&["swarm", "invite"], options].concat()).await;
    invitation["link"].as_str().unwrap().to_owned()
}

/// A node that joined with `link` before its start.
async fn join(home: &Home, link: &str) -> Node {
    home.json(&["swarm", "join", link]).await;
    home.start().await
}

/// The ticket without its invitation, or without its key.
fn without(link: &str, change: impl FnOnce(&mut JoinTicket)) -> String {
    let mut ticket = JoinTicket::parse(link).unwrap();
    change(&mut ticket);
    ticket.to_link().unwrap()
}

/// Waits until `node` was refused, and gives the reason it was told.
async fn refusal(node: &Node) -> String {
    until("the node to be told why it is refused", async || {
        let members = node.get("/swarm/members").await;
        match members["refused_by"][0]["reason"].as_str() {
            Some(reason) => Ok(reason.to_owned()),
            None => Err(members.to_string()),
        }
    })
    .await
}

/// Waits until `node` is in.
async fn standing(node: &Node, wanted: &str) {
    until("the node to be in", async || {
        let members = node.get("/swarm/members").await;
        if members["standing"] == wanted {
            Ok(())
        } else {
            Err(members.to_string())
        }
    })
    .await;
}

/// Waits until `node` says that it waits in one of these states, and gives why.
async fn waits(node: &Node, states: &[&str], next: &str) -> String {
    until("the node to say why it waits", async || {
        let members = node.get("/swarm/members").await;
        let waiting = &members["waiting"];
        if !states.iter().any(|state| waiting["state"] == *state) {
            return Err(members.to_string());
        }
        let said = waiting["next"].as_str().unwrap();
        assert!(said.contains(next), "{waiting}");
        Ok(waiting["reason"].as_str().unwrap().to_owned())
    })
    .await
}

/// Waits until all see each other's nodes.
async fn together(nodes: &[&Node]) {
    until("the nodes to see each other", async || {
        for node in nodes {
            let swarm = node.get("/swarm").await;
            let seen = swarm["nodes"].as_array().unwrap();
            if !nodes
                .iter()
                .all(|other| seen.contains(&json!(other.ready.did)))
            {
                return Err(format!("{} sees {seen:?}", node.ready.did));
            }
        }
        Ok(())
    })
    .await;
}

/// Whether a node is nowhere in what another knows of its swarm and its election.
async fn unseen(node: &Node, stranger: &Node) {
    let did = &stranger.ready.did;
    let swarm = node.get("/swarm").await;
    assert!(
        !swarm["nodes"].to_string().contains(did) && !swarm["twins"].to_string().contains(did),
        "{swarm}"
    );
    let mo = node.get("/mo").await;
    assert!(!mo["election"].to_string().contains(did), "{mo}");
    let members = node.get("/swarm/members").await;
    assert!(!members["members"].to_string().contains(did), "{members}");
}

#[tokio::test]
async fn three_invited_nodes_are_one_swarm_and_strangers_see_nothing_of_it() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = founder(&homes[0], &["--invited"]).await;
    standing(&first, "founder").await;
    let link = invite(&homes[0], &["--expires", "1h"]).await;
    assert!(link.starts_with("pagi://join/"));
    // One joins before it starts, one with its start.
    let second = join(&homes[1], &link).await;
    let third = homes[2].launch().arg("--join").arg(&link).start().await;
    let members = [&first, &second, &third];
    assert_eq!(first.ready.swarm, "crew");
    standing(&second, "member").await;
    standing(&third, "member").await;
    together(&members).await;
    let mo = agreed(&members, 2).await;

    let twin_id = second.twin().await;
    until(
        "a twin to be known to a node it is not connected by",
        async || {
            let swarm = third.get("/swarm").await;
            let found = swarm["twins"]
                .as_array()
                .unwrap()
                .iter()
                .any(|twin| twin["twin_id"] == twin_id && twin["node"] == second.ready.did);
            if found {
                Ok(())
            } else {
                Err(swarm.to_string())
            }
        },
    )
    .await;
    let document = json!({"secret": "of the crew"});
    let stored = first.post("/ipfs/dag", document.clone()).await;
    let path = format!("/ipfs/dag/{}", stored["cid"].as_str().unwrap());
    assert_eq!(third.get(&path).await, document);

    // One stranger knows the network's name alone, the other the whole genesis.
    let network = first.get("/swarm/members").await["network"].clone();
    let (by_name, by_genesis) = (Home::new(), Home::new());
    let by_name = by_name
        .launch()
        .arg("--swarm")
        .arg(network.as_str().unwrap())
        .bootstrap(&first)
        .start();
    let bare = without(&link, |ticket| {
        (ticket.invitation, ticket.secret) = (None, None);
    });
    let by_genesis = join(&by_genesis, &bare);
    let (by_name, by_genesis) = tokio::join!(by_name, by_genesis);
    for stranger in [&by_name, &by_genesis] {
        let (reason, fetched) = tokio::join!(refusal(stranger), stranger.http.get(&path));
        assert!(reason.contains("by invitation"), "{reason}");
        assert_ne!(fetched.status, 200, "{}", fetched.text());
        let swarm = stranger.get("/swarm").await;
        assert_eq!(swarm["nodes"], json!([stranger.ready.did]), "{swarm}");
        assert_eq!(swarm["twins"], json!([]), "{swarm}");
        for member in members {
            unseen(member, stranger).await;
        }
    }
    standing(&by_genesis, "waiting").await;
    waits(&by_genesis, &["uninvited"], "pagi swarm invite --for").await;
    let refused = first.get("/swarm/members").await["refused"].to_string();
    for stranger in [&by_name, &by_genesis] {
        assert!(refused.contains(&stranger.ready.did), "{refused}");
    }
    assert_eq!(agreed(&members, 2).await, mo, "strangers changed nothing");

    let metrics = first.http.get("/metrics").await.text().to_owned();
    for line in [
        "\npagi_swarm_members 3\n",
        "\npagi_swarm_banned ",
        "\npagi_swarm_connections ",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn each_invitation_that_does_not_hold_is_refused_for_its_own_reason() {
    let home = Home::new();
    let first = founder(&home, &["--invited"]).await;

    // Expired after it was stored, before it was used.
    let late = Home::new();
    let link = invite(&home, &["--expires", "4s"]).await;
    late.json(&["swarm", "join", &link]).await;
    let issued = std::time::Instant::now();
    until("the invitation to expire", async || {
        let age = issued.elapsed();
        if age > std::time::Duration::from_millis(4_500) {
            Ok(())
        } else {
            Err(format!("{age:?}"))
        }
    })
    .await;
    let complaint = late.pagi(&["swarm", "join", &link]).await.complaint(1);
    assert!(complaint.contains("expired"), "{complaint}");
    let late = late.start().await;

    // Used up.
    let link = invite(&home, &["--uses", "1"]).await;
    let (one, two) = (Home::new(), Home::new());
    let member = join(&one, &link).await;
    standing(&member, "member").await;
    let second = join(&two, &link).await;

    // A node that belongs to another swarm is told so, and belongs to it still.
    // For somebody else: refused here, and by the gate where the file was taken over.
    let owner = Home::new();
    let thief = Home::new();
    owner.json(&["swarm", "create", "x"]).await;
    thief.json(&["swarm", "create", "x"]).await;
    let did = owner.json(&["swarm", "list"]).await[0]["founders"][0].clone();
    let link = invite(&home, &["--for", did.as_str().unwrap()]).await;
    let complaint = thief.pagi(&["swarm", "join", &link]).await.complaint(1);
    assert!(
        complaint.contains("belongs to x (x-") && complaint.contains("swarm join --switch"),
        "{complaint}"
    );
    let complaint = thief
        .pagi(&["swarm", "join", "--switch", &link])
        .await
        .complaint(1);
    assert!(complaint.contains("the invitation is for"), "{complaint}");
    let still = thief.json(&["swarm", "show"]).await;
    assert_eq!(still["chosen"]["name"], "x", "{still}");
    owner.json(&["swarm", "join", "--switch", &link]).await;
    for entry in fs::read_dir(owner.data().join("swarms")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(
            entry.path(),
            thief.data().join("swarms").join(entry.file_name()),
        )
        .unwrap();
    }
    let thief = thief.start().await;

    // Revoked, by the string it was given out in.
    let link = invite(&home, &[]).await;
    home.json(&["swarm", "revoke", &link]).await;
    let revoked = Home::new();
    let revoked = join(&revoked, &link).await;

    for (node, wanted, state) in [
        (&late, "expired", "expired"),
        (&second, "used", "refused"),
        (&thief, "the invitation is for", "refused"),
        (&revoked, "revoked", "refused"),
    ] {
        let reason = refusal(node).await;
        assert!(reason.contains(wanted), "{wanted}: {reason}");
        assert!(!reason.contains("since 1970"), "{reason}");
        let next = format!("pagi swarm invite --for {}", node.ready.did);
        let why = waits(node, &[state], &next).await;
        assert!(why.contains(wanted), "{wanted}: {why}");
        unseen(&first, node).await;
    }
    let owner = owner.start().await;
    standing(&owner, "member").await;
    together(&[&first, &member, &owner]).await;

    // A member is put out: the others forget it, and it hears why.
    home.json(&["swarm", "revoke", &member.ready.did]).await;
    let reason = refusal(&member).await;
    assert!(reason.contains("revoked"), "{reason}");
    for node in [&first, &owner] {
        until("the member to be forgotten", async || {
            let swarm = node.get("/swarm").await;
            let mo = node.get("/mo").await;
            let known = swarm["nodes"].to_string() + &mo["election"].to_string();
            if known.contains(&member.ready.did) {
                Err(known)
            } else {
                Ok(())
            }
        })
        .await;
        unseen(node, &member).await;
    }
    // Only founders revoke and invite; a founder stays.
    let audit = first.get("/audit").await;
    assert!(audit.to_string().contains("put_out"), "{audit}");
    let complaint = one.pagi(&["swarm", "invite"]).await.complaint(1);
    assert!(complaint.contains("only founders"), "{complaint}");
    let complaint = one
        .pagi(&["swarm", "revoke", &owner.ready.did])
        .await
        .complaint(1);
    assert!(complaint.contains("only founders"), "{complaint}");
}

#[tokio::test]
async fn a_newcomer_whose_founder_is_away_is_told_so_until_it_gets_in() {
    let homes = [Home::new(), Home::new()];
    let first = founder(&homes[0], &["--invited"]).await;
    let listen = first.ready.listen[0].clone();
    let link = invite(&homes[0], &[]).await;
    first.terminate().await;
    let newcomer = join(&homes[1], &link).await;
    let why = waits(&newcomer, &["unreached"], "pagi doctor").await;
    assert!(why.contains(&listen), "{why}");
    for command in [&["swarm", "status"][..], &["status"]] {
        let shown = homes[1].pagi(command).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(
            shown.stdout.contains("waiting: no member was reached yet"),
            "{shown:?}"
        );
    }
    let doctor = homes[1].pagi(&["doctor", "--json"]).await.document_of(1);
    assert!(
        doctor.to_string().contains("no member was reached yet"),
        "{doctor}"
    );
    let first = homes[0].launch().listen(&listen).start().await;
    standing(&newcomer, "member").await;
    assert_eq!(newcomer.get("/swarm/members").await["waiting"], Value::Null);
    together(&[&first, &newcomer]).await;
}

#[tokio::test]
async fn who_does_not_have_the_swarms_key_does_not_get_past_the_handshake() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = founder(&homes[0], &["--invited", "--psk"]).await;
    let link = invite(&homes[0], &[]).await;
    let keyless = without(&link, |ticket| ticket.psk = None);
    let stranger = join(&homes[1], &keyless).await;
    let member = join(&homes[2], &link).await;
    together(&[&first, &member]).await;
    agreed(&[&first, &member], 2).await;
    // The stranger has dialled all the while; nobody knows it, not even as one that was refused.
    for node in [&first, &member] {
        let peers = node.get("/peers").await;
        assert_eq!(peers.as_array().unwrap().len(), 1, "{peers}");
        unseen(node, &stranger).await;
        let members = node.get("/swarm/members").await;
        assert_eq!(members["refused"], json!([]), "{members}");
        assert_eq!(members["pre_shared_key"], true);
    }
    assert_eq!(stranger.get("/peers").await, json!([]));
    let stats = stranger.get("/network").await["stats"].clone();
    assert_eq!(stats["connections"], 0, "{stats}");
    // With the key, the same node gets in.
    stranger.terminate().await;
    let friend = join(&homes[1], &link).await;
    together(&[&first, &member, &friend]).await;
    // The key is shown nowhere.
    let ticket = JoinTicket::parse(&link).unwrap();
    let shown = homes[0].pagi(&["swarm", "show"]).await;
    assert!(
        !shown
            .stdout
            .contains(&format!("{:?}", ticket.psk.unwrap().as_bytes()))
    );
}

#[tokio::test]
async fn a_node_comes_back_though_its_bootstrap_node_is_gone() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = founder(&homes[0], &["--invited"]).await;
    let link = invite(&homes[0], &[]).await;
    let second = join(&homes[1], &link).await;
    let third = join(&homes[2], &link).await;
    together(&[&first, &second, &third]).await;
    until("the third to be connected with the second", async || {
        let peers = third.get("/peers").await;
        if peers.to_string().contains(&second.ready.peer_id) {
            Ok(())
        } else {
            Err(peers.to_string())
        }
    })
    .await;
    let standing_before = third.get("/swarm/members").await["members"].clone();
    assert_eq!(standing_before.as_array().unwrap().len(), 3);
    assert_eq!(third.terminate().await.code(), Some(0));
    first.kill().await;
    // Its ticket knows the first alone; what it remembers knows the second.
    let third = homes[2].start().await;
    together(&[&second, &third]).await;
    agreed(&[&second, &third], 2).await;
    let members = third.get("/swarm/members").await;
    assert_eq!(members["members"], standing_before, "{members}");
    assert_eq!(members["standing"], "member");
}

#[tokio::test]
async fn swarms_are_made_shown_and_left_with_and_without_a_running_node() {
    let home = Home::new();
    let made = home.json(&["swarm", "create", "crew"]).await;
    assert_eq!(made["restart_needed"], false, "{made}");
    assert_eq!(made["admission"], "open");
    let shown = home.json(&["swarm", "show"]).await;
    assert_eq!(shown["chosen"]["id"], made["id"]);
    assert_eq!(shown["running"], Value::Null);

    // An open swarm lets everybody in who has its genesis.
    let node = home.start().await;
    let members = node.get("/swarm/members").await;
    assert_eq!(
        (&members["id"], &members["standing"]),
        (&made["id"], &json!("founder"))
    );
    let link = invite(&home, &[]).await;
    let other = Home::new();
    let guest = join(&other, &link).await;
    together(&[&node, &guest]).await;
    standing(&guest, "open").await;
    agreed(&[&node, &guest], 2).await;
    guest.terminate().await;

    // What it learns here stays here.
    let learned = node
        .ask(
            &node.twin().await,
            "Check this machine's health and report anything above 80%",
        )
        .await;
    assert_eq!(learned["status"], "completed", "{learned}");
    let head = until("the lesson to be merged", async || {
        let playbook = node.get("/playbook").await;
        if playbook["revisions"].as_u64() > Some(0) {
            Ok(playbook["head"].clone())
        } else {
            Err(playbook.to_string())
        }
    })
    .await;

    // A second one is made while the node runs: the node goes on where it is.
    let lab = ["swarm", "create", "lab", "--invited"];
    let complaint = home.pagi(&lab).await.complaint(1);
    assert!(
        complaint.contains("belongs to crew (crew-") && complaint.contains("--switch"),
        "{complaint}"
    );
    let second = home.json(&[&lab[..], &["--switch"]].concat()).await;
    assert_eq!(second["left"], made["network"], "{second}");
    assert_eq!(second["restart_needed"], true, "{second}");
    let shown = home.json(&["swarm", "show"]).await;
    assert_eq!(shown["running"]["id"], made["id"]);
    assert_eq!(shown["restart_needed"], true);
    assert_eq!(
        home.json(&["swarm", "list"])
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
    node.terminate().await;
    let node = home.start().await;
    assert_eq!(node.ready.swarm, "lab");
    node.alone_in_office().await;
    assert_ne!(node.get("/playbook").await["head"], head);
    assert_eq!(node.get("/playbook/verify").await["valid"], true);
    node.terminate().await;

    // By its name on the command line, and back where it learned.
    let named = home.launch().arg("--swarm").arg("elsewhere").start().await;
    assert_eq!(named.ready.swarm, "elsewhere");
    assert_eq!(named.get("/swarm/members").await["admission"], "name");
    let complaint = home.pagi(&["swarm", "invite"]).await.complaint(1);
    assert!(complaint.contains("a name alone"), "{complaint}");
    named.terminate().await;
    let node = home
        .launch()
        .arg("--swarm")
        .arg(made["network"].as_str().unwrap())
        .start()
        .await;
    assert_eq!(node.get("/playbook").await["head"], head);
    assert_eq!(node.get("/playbook/verify").await["valid"], true);
    node.terminate().await;

    // And for good, by the command that says so.
    let back = home
        .json(&["swarm", "switch", made["id"].as_str().unwrap()])
        .await;
    assert_eq!(
        (&back["id"], &back["left"]),
        (&made["id"], &second["network"]),
        "{back}"
    );
    let node = home.start().await;
    assert_eq!(node.ready.swarm, "crew");
    assert_eq!(node.get("/playbook").await["head"], head);
    let again = home.json(&["swarm", "switch", "lab"]).await;
    assert_eq!(again["restart_needed"], true, "{again}");
    let complaint = home.pagi(&["swarm", "switch", "none"]).await.complaint(1);
    assert!(complaint.contains("pagi swarm list"), "{complaint}");
    node.terminate().await;

    let left = home.json(&["swarm", "leave", "--forget"]).await;
    assert_eq!(left["left"], second["network"], "{left}");
    let complaint = home.pagi(&["swarm", "leave"]).await.complaint(1);
    assert!(complaint.contains("no swarm"), "{complaint}");
    assert_eq!(home.start().await.ready.swarm, "pagi");

    for (bad, code) in [
        (&["swarm", "create", "No Such"][..], 2),
        (&["swarm", "join", "http://example.org"][..], 2),
        (&["swarm", "join", "pagi://join/abc"][..], 2),
    ] {
        home.pagi(bad).await.complaint(code);
    }
}

#[tokio::test]
async fn bans_are_kept_over_restarts_and_taken_back() {
    let homes = [Home::new(), Home::new()];
    let one = homes[0].launch().arg("--swarm").arg("bans").start().await;
    let other = homes[1]
        .launch()
        .arg("--swarm")
        .arg("bans")
        .bootstrap(&one)
        .start()
        .await;
    together(&[&one, &other]).await;
    let banned = homes[0].json(&["peers", "ban", &other.ready.did]).await;
    assert_eq!(
        banned["bans"][0]["peer_id"], other.ready.peer_id,
        "{banned}"
    );
    assert_eq!(banned["bans"][0]["by_user"], true);
    let apart = async || {
        let peers = one.get("/peers").await;
        if peers == json!([]) {
            Ok(())
        } else {
            Err(peers.to_string())
        }
    };
    until("the banned peer to be gone", apart).await;
    let metrics = one.http.get("/metrics").await.text().to_owned();
    assert!(metrics.contains("\npagi_swarm_banned 1\n"), "{metrics}");
    assert_eq!(one.terminate().await.code(), Some(0));

    let one = homes[0]
        .launch()
        .arg("--swarm")
        .arg("bans")
        .bootstrap(&other)
        .start()
        .await;
    assert_eq!(one.get("/peers").await, json!([]));
    let network = homes[0].json(&["peers", "network"]).await;
    assert_eq!(
        network["bans"][0]["peer_id"], other.ready.peer_id,
        "{network}"
    );
    assert_eq!(network["limits"]["max_connections"], 256, "{network}");
    let metrics = one.http.get("/metrics").await.text().to_owned();
    // What is limited stands beside what is in use, in both places.
    for (limit, used) in [
        ("max_connections_per_peer", "connections"),
        ("max_connections_per_ip", "refused_connections"),
        ("max_streams_per_peer", "requests_open"),
        ("max_pending_request_bytes", "request_bytes"),
        ("max_inbound_bytes", "inbound_bytes"),
        ("max_gossip_bytes", "gossip_limited"),
        ("gossip_per_second", "requests_limited"),
        ("max_wants_per_peer", "wants"),
        ("max_dht_records", "dht_records"),
        ("max_dht_provided", "dht_provided"),
    ] {
        assert!(network["limits"][limit].is_u64(), "{limit}: {network}");
        assert!(network["stats"][used].is_u64(), "{used}: {network}");
        for line in [
            format!("\npagi_swarm_limit_{limit} "),
            format!("\npagi_swarm_{used} "),
        ] {
            assert!(metrics.contains(&line), "{line} is not in {metrics}");
        }
    }
    assert!(network["stats"]["memory_bytes"].as_u64() > Some(0));
    let shown = homes[0].pagi(&["peers"]).await;
    assert!(
        shown.stdout.contains(&other.ready.peer_id) && shown.stdout.contains("for good"),
        "{shown:?}"
    );
    let pardoned = homes[0]
        .json(&["peers", "unban", &other.ready.peer_id])
        .await;
    assert_eq!(pardoned["bans"], json!([]), "{pardoned}");
    let complaint = homes[0]
        .pagi(&["peers", "unban", &other.ready.peer_id])
        .await
        .complaint(1);
    assert!(complaint.contains("no ban"), "{complaint}");
    together(&[&one, &other]).await;
    homes[0]
        .pagi(&["peers", "ban", "nobody"])
        .await
        .complaint(1);
}

#[tokio::test]
async fn a_meeting_point_relays_and_brings_others_together() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let point = homes[0].launch_as("bootstrap").start().await;
    let network = point.get("/network").await;
    assert_eq!(network["relays_for_others"], true, "{network}");
    assert_eq!(network["limits"]["max_connections"], 1024, "{network}");
    assert_eq!(point.get("/twins").await, json!([]));
    let one = homes[1].launch().bootstrap(&point).start().await;
    let other = homes[2].launch().bootstrap(&point).start().await;
    together(&[&one, &other]).await;
}
