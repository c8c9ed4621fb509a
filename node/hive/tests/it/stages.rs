//! A node that is far behind catches up stage by stage.

use pagi_hive::bundle::STAGE_REVISIONS;
use pagi_messages::Verified;
use pagi_playbook::{Dag, Genesis, block};
use pagi_store::{Batch, Store};

use crate::bus::{Bus, one_mo, same_head, start};

/// Longer than one stage, and longer than what was once followed at all.
const BEHIND: usize = 10_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ten_thousand_revisions_behind_catches_up() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    // A history as a node alone makes it, laid straight into its store.
    let first = start(&bus, 1, &dir.path().join("a")).await;
    one_mo(&[&first]).await;
    let office = first.hive.office().unwrap();
    let (identity, peer) = (first.identity.clone(), first.peer.clone());
    first.die(&bus).await;
    let mut dag = Dag::new(Genesis::from_toml("test", pagi_playbooks::BASE).unwrap()).unwrap();
    let mut batch = Batch::new();
    for n in 0..BEHIND {
        let certificate = Some(office.certificate);
        let revision = dag.next(Vec::new(), office.term, certificate, None, n as u64);
        let signed = Verified::sign(&identity, revision).unwrap();
        let (cid, bytes) = block::seal(&signed).unwrap();
        dag.insert(cid, &signed).unwrap();
        bus.plant(&peer, bytes.clone());
        batch = batch.revision(cid.to_string(), bytes);
    }
    let heads = dag.heads().iter().map(ToString::to_string).collect();
    let store = Store::open(&dir.path().join("a")).unwrap();
    store.write(batch.heads(heads)).await.unwrap();
    store.close().await;

    bus.heal();
    let a = start(&bus, 1, &dir.path().join("a")).await;
    assert_eq!(a.hive.playbook().revisions, BEHIND);
    let b = start(&bus, 2, &dir.path().join("b")).await;
    one_mo(&[&a, &b]).await;
    same_head(&[&a, &b], &[]).await;
    assert_eq!(b.hive.playbook().revisions, BEHIND);
    assert_eq!(b.hive.verify().await.unwrap().revisions, BEHIND);
    const { assert!(BEHIND > 5 * STAGE_REVISIONS) };
}
