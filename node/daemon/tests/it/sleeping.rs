//! Mail for one who is away: kept sealed by another node, over its death, and handed out once.

use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    secrets,
    wait::until,
};

/// A counter of `/metrics`.
async fn counter(node: &Node, name: &str) -> f64 {
    let metrics = node.stranger().get("/metrics").await;
    let text = metrics.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name}: {text}"));
    line.trim().parse().unwrap()
}

async fn reaches(node: &Node, name: &str, wanted: f64) {
    until(name, async || {
        let is = counter(node, name).await;
        if is == wanted {
            Ok(())
        } else {
            Err(is.to_string())
        }
    })
    .await;
}

async fn did(node: &Node, twin_id: &str) -> String {
    let did = node.get(&format!("/twins/{twin_id}/did")).await;
    did["did"].as_str().unwrap().to_owned()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_message_to_a_sleeper_comes_once_though_its_keeper_was_killed() {
    const SECRET: &str = "the heron nests behind the mill";
    let homes = [Home::new(), Home::new(), Home::new()];
    let keeper = homes[0].launch().arg("--keep-mail").start().await;
    let sender = homes[1].launch().bootstrap(&keeper).start().await;
    let receiver = homes[2].launch().bootstrap(&keeper).start().await;
    let (alice, bob) = (sender.twin().await, receiver.twin().await);
    let bob_did = did(&receiver, &bob).await;
    // Both have a box.
    reaches(&keeper, "pagi_mail_boxes ", 2.0).await;

    // The receiver is away for the whole of it.
    receiver.kill().await;
    let request = json!({"to_did": bob_did, "body": SECRET});
    let sent = sender.post(&format!("/messages/{alice}"), request).await;
    assert_eq!(sent["status"], "held", "{sent}");
    assert!(
        sent["reason"].as_str().unwrap().contains(&keeper.ready.did),
        "{sent}"
    );
    // A second time changes nothing: it is held, and waits to be confirmed.
    reaches(&keeper, "pagi_mail_letters ", 1.0).await;
    sender.kill().await;
    keeper.kill().await;

    // What the keeper has is sealed: neither text nor sender are in anything it wrote.
    let mut bytes = std::fs::read(homes[0].root().join("log.txt")).unwrap();
    for file in std::fs::read_dir(homes[0].data()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(holds(&bytes, &bob_did), "the letter is not there at all");
    assert!(!holds(&bytes, SECRET) && !holds(&bytes, sent["id"].as_str().unwrap()));

    let keeper = homes[0].launch().arg("--keep-mail").start().await;
    assert_eq!(counter(&keeper, "pagi_mail_letters ").await, 1.0);
    let receiver = homes[2].launch().bootstrap(&keeper).start().await;
    let message = until("the letter", async || {
        let inbox = receiver.get(&format!("/messages/{bob}")).await;
        match inbox.as_array().unwrap().as_slice() {
            [message] => Ok(message.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(message["body"]["content"], SECRET);
    assert_eq!(message["id"], sent["id"]);
    // It was taken out only after it was in store here.
    reaches(&keeper, "pagi_mail_letters ", 0.0).await;

    // The sender comes back, and so does the receiver once more: it stays one message.
    receiver.kill().await;
    let receiver = homes[2].launch().bootstrap(&keeper).start().await;
    let sender = homes[1]
        .launch()
        .bootstrap(&keeper)
        .bootstrap(&receiver)
        .start()
        .await;
    let request = json!({"to_did": bob_did, "body": "and one more", "wait_s": 0});
    let path = format!("/messages/{alice}");
    until("the way to the receiver", async || {
        let swarm = sender.get("/swarm").await;
        let twins = swarm["twins"].as_array().unwrap();
        match twins.iter().any(|twin| twin["did"] == bob_did) {
            true => Ok(()),
            false => Err(swarm.to_string()),
        }
    })
    .await;
    let again = sender.post(&path, request).await;
    assert_eq!(again["status"], "delivered", "{again}");
    let inbox = receiver.get(&format!("/messages/{bob}")).await;
    let texts: Vec<&Value> = inbox
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["body"]["content"])
        .collect();
    assert_eq!(texts, [&json!(SECRET), &json!("and one more")]);
    for (home, node) in [(&homes[1], &sender), (&homes[2], &receiver)] {
        secrets::none_shown(home, node).await;
    }
}
