//! A newcomer learns from a neighbour's roll who is there; the neighbour cannot make anything up.

use std::collections::BTreeSet;

use pagi_messages::{
    Capabilities, Coordination, Did, SigningIdentity, TwinPresence, Verified, to_dag_cbor,
};

use crate::bus::{Bus, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_tells_of_nodes_and_twins_and_cannot_be_forged() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    // The third hears nothing.
    bus.isolate(3, 1);
    let mut nodes = Vec::new();
    for n in 1..=3 {
        nodes.push(start(&bus, n, &dir.path().join(n.to_string())).await);
    }
    let [a, b, c] = nodes.as_slice() else {
        unreachable!("three were started")
    };
    b.hive.set_twin(TwinPresence {
        twin_id: "twin-of-b".into(),
        did: b.twin.did().clone(),
        timestamp: 1,
        capabilities: Capabilities::default(),
    });
    until("a to have heard of both nodes and the twin", || {
        let both =
            a.hive.nodes().contains(b.identity.did()) && b.hive.nodes().contains(a.identity.did());
        both && pagi_hive::roll::decode(&a.hive.roll()).count() == 3
    })
    .await;
    assert_eq!(c.hive.nodes(), []);

    let roll = a.hive.roll();
    // A byte of a signed message changed, or its age: that entry is left out.
    let mut forged = roll.clone();
    for at in (0..forged.len()).step_by(40) {
        forged[at] ^= 1;
    }
    c.hive.take_roll(&forged, |_| true).await.unwrap();
    assert_eq!(c.hive.nodes(), []);
    c.hive.take_roll(b"rubbish", |_| true).await.unwrap();

    let new = c.hive.take_roll(&roll, |_| true).await.unwrap();
    assert_eq!(new, 2);
    let known: BTreeSet<Did> = c.hive.nodes().into_iter().collect();
    let both = [a, b].map(|node| node.identity.did().clone());
    assert_eq!(known, BTreeSet::from(both));
    let twins = c.hive.known_twins();
    assert_eq!(twins.len(), 1);
    assert_eq!(twins[0].node, *b.identity.did());
    // The age is the neighbour's word; what it cannot make younger is what was signed.
    let minute = 60_000;
    let signed_ms = |minutes: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(now.unwrap().as_millis()).unwrap() - minutes * minute
    };
    let stale = Verified::sign(
        &SigningIdentity::from_seed(&[9; 32]),
        Coordination::NodeOnline {
            timestamp: signed_ms(5),
            heads: Vec::new(),
        },
    );
    let stale = to_dag_cbor(stale.unwrap().as_signed()).unwrap();
    let mut made_young = 0_u64.to_be_bytes().to_vec();
    made_young.extend(u32::try_from(stale.len()).unwrap().to_be_bytes());
    made_young.extend(stale);
    // In a swarm of three a node that was silent for minutes is gone.
    assert_eq!(c.hive.take_roll(&made_young, |_| true).await.unwrap(), 0);
    assert_eq!(c.hive.nodes().len(), 2);

    // It is handed on, and brings nothing new a second time.
    assert_eq!(c.hive.take_roll(&roll, |_| true).await.unwrap(), 0);
    assert!(c.hive.roll().len() >= roll.len());
}
