//! The journal of a swarm, and the change from one swarm to another.

use pagi_store::{Batch, Store};
use serde_json::json;
use tempfile::tempdir;

use crate::samples::{TS, artifact, reopen};

#[tokio::test]
async fn each_swarm_has_a_journal_of_its_own() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .append_journal("crew", vec![json!(1), json!({"two": 2})])
        .await
        .unwrap();
    store.append_journal("crew2", vec![json!(9)]).await.unwrap();
    store.append_journal("crew", Vec::new()).await.unwrap();
    let store = reopen(store, dir.path()).await;
    store.append_journal("crew", vec![json!(3)]).await.unwrap();
    assert_eq!(
        store.journal("crew").unwrap(),
        [json!(1), json!({"two": 2}), json!(3)]
    );
    assert_eq!(store.journal("crew2").unwrap(), [json!(9)]);
    assert!(store.journal("cre").unwrap().is_empty());
}

#[tokio::test]
async fn a_swarm_finds_its_playbook_and_election_as_it_left_them() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let filled = |batch: Batch, name: &str| {
        batch
            .revision(format!("revision-{name}"), name.as_bytes().to_vec())
            .heads(vec![format!("revision-{name}")])
            .setting("election", json!({"term": name}))
            .setting("mine", json!("kept"))
            .peers(vec![format!("/ip4/127.0.0.1/tcp/1/p2p/{name}")])
            .artifact(artifact(&format!("artifact-{name}"), TS))
    };
    store.write(filled(Batch::new(), "old")).await.unwrap();
    let seen = |store: &Store| {
        (
            store.revisions().unwrap().len(),
            store.heads().unwrap(),
            store.get_setting("election").unwrap(),
            store.peers().unwrap().len(),
            store.list_artifacts().unwrap().len(),
        )
    };
    // The rows of a store that names no swarm are those of the swarm the node was in.
    store.enter_swarm("pagi", "pagi").await.unwrap();
    let old = seen(&store);
    assert_eq!(old.0, 1);
    store.enter_swarm("pagi", "crew").await.unwrap();
    assert_eq!(seen(&store), (0, Vec::new(), None, 0, 0));
    assert_eq!(store.get_setting("mine").unwrap(), Some(json!("kept")));
    store.write(filled(Batch::new(), "new")).await.unwrap();
    store.write(filled(Batch::new(), "newer")).await.unwrap();
    let store = reopen(store, dir.path()).await;
    let new = seen(&store);
    store.enter_swarm("other", "pagi").await.unwrap();
    assert_eq!(seen(&store), old);
    assert_eq!(
        store.get_artifact("artifact-old").unwrap().unwrap().cid,
        "artifact-old"
    );
    store.enter_swarm("pagi", "crew").await.unwrap();
    assert_eq!(seen(&store), new);
    assert_eq!(new.0, 2);
}
