//! A member of an invited swarm that does not keep to the rules: it speaks the gate's protocol itself.

use std::sync::{Arc, OnceLock};

use cid::Cid;
use pagi_bootstrap::{Admittance, Claim, Invitation, JoinTicket, claim};
use pagi_messages::{Did, Signed, SigningIdentity, Verified, to_dag_cbor};
use pagi_swarm::SwarmConfig;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    node::{Home, Node},
    wait::until,
};

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Hello {
        swarm: Cid,
        invitations: Vec<Signed<Invitation>>,
        proof: Vec<Signed<Admittance>>,
        claims: Vec<Signed<Claim>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Welcome {
        proof: Vec<Signed<Admittance>>,
        digest: String,
    },
}

async fn members(node: &Node) -> String {
    node.get("/swarm/members").await["members"].to_string()
}

#[tokio::test]
async fn a_member_lets_nobody_in_by_an_invitation_it_only_read_and_puts_nobody_out() {
    let homes = [Home::new(), Home::new()];
    homes[0]
        .json(&["swarm", "create", "crew", "--invited"])
        .await;
    let founder = homes[0].start().await;
    let invite = async |options: &[&str]| {
        let invited = homes[0]
            .json(&[&["swarm", "invite"], options].concat())
            .await;
        invited["link"].as_str().unwrap().to_owned()
    };
    let once = invite(&["--uses", "1"]).await;
    homes[1].json(&["swarm", "join", &once]).await;
    let honest = homes[1].start().await;
    until("the honest node to be in", async || {
        let members = members(&founder).await;
        match members.contains(&honest.ready.did) {
            true => Ok(()),
            false => Err(members),
        }
    })
    .await;

    // The other holds a string of its own.
    let seed = [42; 32];
    let me = SigningIdentity::from_seed(&seed);
    let own = JoinTicket::parse(&invite(&[]).await).unwrap();
    let invitation = own.invitation.clone().unwrap();
    let held = |peer: &Did| claim(own.secret.as_ref().unwrap(), &invitation, peer).unwrap();
    let swarm_id = invitation.body.swarm;
    let network = founder.get("/swarm/members").await["network"].clone();
    let network = network.as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (swarm, mut inbound) = pagi_swarm::start(SwarmConfig {
        secret_key: Zeroizing::new(seed),
        data_dir: dir.path().to_owned(),
        swarm: network.to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        bootstrap: vec![founder.ready.listen[0].clone()],
        mdns: false,
        limits: Default::default(),
    })
    .await
    .unwrap();
    // It answers nothing that the founder understands until it has something to say.
    let answer = Arc::new(OnceLock::<Vec<u8>>::new());
    let armed = answer.clone();
    let answers = tokio::spawn(async move {
        while let Some(request) = inbound.requests.recv().await {
            let bytes = armed.get().cloned().unwrap_or_default();
            request.reply.send(bytes);
        }
    });
    let hello = Ask::Hello {
        swarm: swarm_id,
        invitations: vec![invitation.clone()],
        proof: Vec::new(),
        claims: vec![held(me.did())],
    };
    let hello = [&b"pagi-gate/1\0"[..], &to_dag_cbor(&hello).unwrap()].concat();
    until("the founder to let it in", async || {
        let time = std::time::Duration::from_secs(5);
        let _ = swarm
            .request(&founder.ready.peer_id, hello.clone(), time)
            .await;
        let members = members(&founder).await;
        match members.contains(me.did().as_str()) {
            true => Ok(()),
            false => Err(members),
        }
    })
    .await;

    // What it reads in notices, and what it can make of them.
    let read = JoinTicket::parse(&once).unwrap().invitation.unwrap();
    let stranger = SigningIdentity::from_seed(&[43; 32]).did().clone();
    let friend = SigningIdentity::from_seed(&[44; 32]).did().clone();
    let say = |peer: &Did, invitation: &Signed<Invitation>, claim, at_ms: u64| {
        let admittance = Admittance {
            swarm: swarm_id,
            peer: peer.clone(),
            invitation: invitation.clone(),
            claim,
            at_ms,
        };
        Verified::sign(&me, admittance).unwrap().into_signed()
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    // The last one is its to give: once that was taken, the others were judged.
    let proof = vec![
        say(&stranger, &read, None, read.body.issued_ms),
        say(&stranger, &read, Some(held(&stranger)), now),
        say(&stranger, &invitation, None, now),
        say(&friend, &invitation, Some(held(&friend)), now),
    ];
    let digest = String::new();
    let welcome = to_dag_cbor(&Answer::Welcome { proof, digest }).unwrap();
    answer.set(welcome).unwrap();
    until("the word it may give to be taken", async || {
        let members = members(&founder).await;
        match members.contains(friend.as_str()) {
            true => Ok(()),
            false => Err(members),
        }
    })
    .await;
    for node in [&founder, &honest] {
        let members = members(node).await;
        assert!(!members.contains(stranger.as_str()), "{members}");
        assert!(members.contains(&honest.ready.did), "{members}");
    }
    answers.abort();
    swarm.shutdown().await;
}
