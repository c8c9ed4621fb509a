//! A node between two twins that carries their messages: what it sees of them, it can read none of.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_didcomm::{Limits, unpack};
use pagi_messages::{Coordination, SigningIdentity, TwinPresence, Verified, to_dag_cbor, wire};
use pagi_swarm::{Inbound, Swarm, SwarmConfig};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::{
    node::{Home, Node},
    wait::until,
};

/// What a request that brings a message starts with.
const MESSAGE: &[u8] = b"pagi-didcomm/1\0";

async fn did(node: &Node, twin_id: &str) -> String {
    let did = node.get(&format!("/twins/{twin_id}/did")).await;
    did["did"].as_str().unwrap().to_owned()
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Everything that can be read without a key: the texts, and what they are the base64url of.
fn readable(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            if let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) {
                out.push_str(&String::from_utf8_lossy(&bytes));
                out.push('\n');
                if let Ok(inner) = serde_json::from_slice(&bytes) {
                    readable(&inner, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| readable(item, out)),
        Value::Object(members) => {
            for (name, member) in members {
                out.push_str(name);
                out.push('\n');
                readable(member, out);
            }
        }
        _ => {}
    }
}

/// Carries what it is brought to the node where the recipient lives, and keeps a copy.
async fn carry(
    swarm: Swarm,
    mut inbound: Inbound,
    homes: Vec<(String, String)>,
    seen: mpsc::UnboundedSender<(String, Vec<u8>)>,
) {
    while let Some(request) = inbound.requests.recv().await {
        let Some(packed) = request.data.strip_prefix(MESSAGE) else {
            request.reply.send(b"null".to_vec());
            continue;
        };
        let outside: Value = serde_json::from_slice(packed).unwrap();
        let kid = outside["recipients"][0]["header"]["kid"].as_str().unwrap();
        let to = homes.iter().find(|(did, _)| kid.starts_with(did.as_str()));
        let (to, peer) = to.cloned().unwrap();
        seen.send((to, packed.to_vec())).unwrap();
        let swarm = swarm.clone();
        tokio::spawn(async move {
            let said = swarm
                .request(&peer, request.data.clone(), Duration::from_secs(10))
                .await;
            request.reply.send(said.unwrap_or_default());
        });
    }
}

#[tokio::test]
async fn a_node_that_carries_a_question_and_its_answer_can_read_neither() {
    let homes = [Home::new(), Home::new()];
    let (first, second) = (homes[0].start().await, homes[1].start().await);
    let (alice, bob) = (first.twin().await, second.twin().await);
    let (alice_did, bob_did) = (did(&first, &alice).await, did(&second, &bob).await);
    homes[1].json(&["msg", "allow", &alice_did]).await;

    // They would find each other by what the bystander's DHT tells.
    for (home, other) in [(&homes[0], &second), (&homes[1], &first)] {
        home.json(&["peers", "ban", &other.ready.did]).await;
    }
    // It is the one node both know, and says that both twins are with it.
    let seed = [43; 32];
    let bystander = SigningIdentity::from_seed(&seed);
    let dir = tempfile::tempdir().unwrap();
    let (swarm, inbound) = pagi_swarm::start(SwarmConfig {
        secret_key: Zeroizing::new(seed),
        data_dir: dir.path().to_owned(),
        swarm: "pagi".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        bootstrap: vec![
            first.ready.listen[0].clone(),
            second.ready.listen[0].clone(),
        ],
        mdns: false,
        limits: Default::default(),
    })
    .await
    .unwrap();
    let topic = wire::coordination_topic("pagi");
    swarm.subscribe(&topic).await.unwrap();
    let (send, mut seen) = mpsc::unbounded_channel();
    let nodes = vec![
        (alice_did.clone(), first.ready.peer_id.clone()),
        (bob_did.clone(), second.ready.peer_id.clone()),
    ];
    let carrier = tokio::spawn(carry(swarm.clone(), inbound, nodes, send));
    for (node, twin_id, twin) in [(&first, &bob, &bob_did), (&second, &alice, &alice_did)] {
        until("the bystander to be believed", async || {
            let claim = Coordination::TwinOnline(TwinPresence {
                twin_id: twin_id.clone(),
                did: twin.parse().unwrap(),
                timestamp: seconds() * 1000,
                capabilities: Default::default(),
            });
            let signed = Verified::sign(&bystander, claim).unwrap().into_signed();
            let _ = swarm.publish(&topic, to_dag_cbor(&signed).unwrap()).await;
            let known = node.get("/swarm").await;
            let twins = known["twins"].as_array().unwrap();
            match twins.iter().any(|one| one["did"] == *twin) {
                true => Ok(()),
                false => Err(known.to_string()),
            }
        })
        .await;
    }

    let question = "What is 12 * (3 + 4)?";
    let asked = homes[0].json(&["msg", "ask", &bob_did, question]).await;
    let reply = &asked["reply"];
    let (id, summary) = (
        asked["id"].as_str().unwrap(),
        reply["body"]["summary"].as_str().unwrap(),
    );
    assert_eq!(
        (&reply["thid"], &reply["from"]),
        (&json!(id), &json!(bob_did))
    );
    assert!(summary.contains("84"), "{asked}");

    // The copies: the question and the answer went this way.
    let mut copies = Vec::new();
    while let Ok(copy) = seen.try_recv() {
        copies.push(copy);
    }
    for to in [&alice_did, &bob_did] {
        assert!(copies.iter().any(|(whom, _)| whom == to), "none to {to}");
    }
    for (to, packed) in &copies {
        let text = std::str::from_utf8(packed).unwrap();
        let mut shown = String::new();
        readable(&serde_json::from_str(text).unwrap(), &mut shown);
        // For whom it is can be read, or it could not be carried.
        assert!(shown.contains(to.as_str()));
        let from = if *to == bob_did { &alice_did } else { &bob_did };
        let reply_id = reply["id"].as_str().unwrap();
        for secret in [
            question,
            "12 *",
            summary,
            "coordinate-research",
            "thid",
            id,
            reply_id,
            from,
        ] {
            assert!(!shown.contains(secret), "`{secret}` in {shown}");
        }
        let opened = unpack(text, &bystander, seconds(), &Limits::default());
        assert!(opened.is_err(), "{opened:?}");
    }
    carrier.abort();
    swarm.shutdown().await;
}
