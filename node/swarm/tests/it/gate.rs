//! Strangers in a gated swarm: what they get before they are let in, which is nothing.

use std::time::Duration;

use pagi_swarm::{Published, SwarmError, SwarmOptions};

use crate::support::{Node, acquainted, dag_cbor, node_opt, until};

const TOPIC: &str = "gated";

fn gated() -> SwarmOptions {
    SwarmOptions {
        gated: true,
        ..SwarmOptions::default()
    }
}

async fn admitted(one: &Node, other: &Node) {
    one.swarm.admit(&other.id()).await.unwrap();
    until("the peer to count as let in", || async {
        one.peer(other).await.is_some_and(|peer| peer.admitted)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_hears_nothing_says_nothing_and_gets_no_block() {
    let mut founder = node_opt(131, |_| (), gated()).await;
    let addr = founder.addr().await;
    let dialling = |config: &mut pagi_swarm::SwarmConfig| config.bootstrap = vec![addr.clone()];
    let mut member = node_opt(132, dialling, gated()).await;
    // The stranger keeps no gate of its own.
    let mut stranger = node_opt(133, dialling, SwarmOptions::default()).await;
    for other in [&member, &stranger] {
        acquainted(&founder, other).await;
    }
    for node in [&founder, &member, &stranger] {
        node.swarm.subscribe(TOPIC).await.unwrap();
    }
    assert!(!founder.peer(&stranger).await.unwrap().admitted);
    admitted(&founder, &member).await;
    admitted(&member, &founder).await;
    until("the founder to reach the member", || async {
        founder.peer(&member).await.is_some_and(|peer| peer.in_mesh)
    })
    .await;

    // The stranger may ask, so that it can show what it has.
    let ask = {
        let (swarm, to) = (stranger.swarm.clone(), founder.id());
        tokio::spawn(async move {
            swarm
                .request(&to, b"let me in".to_vec(), Duration::from_secs(30))
                .await
        })
    };
    let request = founder.inbound.requests.recv().await.unwrap();
    assert_eq!(request.peer_id, stranger.id());
    request.reply.send(b"no".to_vec());
    assert_eq!(ask.await.unwrap().unwrap(), b"no");

    // Its gossip goes nowhere: what the founder hears next is the member's.
    let _ = stranger
        .swarm
        .publish(TOPIC, b"from outside".to_vec())
        .await;
    let block = dag_cbor(&[9; 300]);
    let cid = founder.swarm.put_block(block, true).await.unwrap();
    let got = stranger
        .swarm
        .get_block(&cid, &[founder.id()], Duration::from_secs(3))
        .await;
    assert!(matches!(got, Err(SwarmError::Timeout)), "{got:?}");
    member
        .swarm
        .publish(TOPIC, b"inside".to_vec())
        .await
        .unwrap();
    let heard = founder.message().await;
    assert_eq!(heard.data, b"inside");
    heard.verdict.accept();

    // Nor is anything told to it, while the member hears it all.
    let said = founder.swarm.publish(TOPIC, b"for members".to_vec()).await;
    assert_eq!(said.unwrap(), Published::Sent);
    let heard = member.message().await;
    assert_eq!(heard.data, b"for members");
    heard.verdict.accept();
    assert!(stranger.inbound.gossip.try_recv().is_err());

    // Once let in, it is one of them; put out, it is gone.
    founder.swarm.admit(&stranger.id()).await.unwrap();
    until("the newcomer to hear the founder", || async {
        let text = format!("welcome {:?}", std::time::Instant::now());
        founder
            .swarm
            .publish(TOPIC, text.into_bytes())
            .await
            .unwrap();
        founder
            .peer(&stranger)
            .await
            .is_some_and(|peer| peer.in_mesh)
    })
    .await;
    let welcome = stranger.message().await;
    assert!(welcome.data.starts_with(b"welcome"));
    welcome.verdict.accept();
    founder
        .swarm
        .ban_peer(&stranger.id(), Some(Duration::from_secs(3600)))
        .await
        .unwrap();
    until("the banned peer to be gone", || async {
        founder.peer(&stranger).await.is_none()
    })
    .await;
}
