//! A batch is written whole or not at all, whatever its neighbours do.

use pagi_store::{AuditRecord, Batch, EventFilter, Role, Store, StoreError};
use serde_json::json;
use tempfile::tempdir;

use crate::samples::{TS, artifact, goal, reopen, twin};

#[tokio::test]
async fn a_batch_is_one_transaction_with_one_outcome() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let outcome = store
        .write(
            Batch::new()
                .twin(twin("t", TS, "new"))
                .event(goal(1))
                .memory("t", Role::User, "first", TS)
                .audit(AuditRecord::new(TS, "t", "create", "allowed"))
                .artifact(artifact("bafy1", TS))
                // Sees what the batch did before it.
                .artifact_status("bafy1", "approved", None)
                .memory("t", Role::Assistant, "second", TS)
                .event(goal(2)),
        )
        .await
        .unwrap();
    assert_eq!(
        (&outcome.events[..], &outcome.audits[..]),
        (&[1, 2][..], &[1][..])
    );
    let store = reopen(store, dir.path()).await;
    assert_eq!(store.memories("t", None, false).unwrap(), outcome.memories);
    assert_eq!(
        store.get_artifact("bafy1").unwrap().unwrap().status,
        "approved"
    );
    assert_eq!(store.audit_after(0, 9).unwrap().len(), 1);
    assert!(store.get_twin("t").unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_batches_leave_nothing_and_harm_no_neighbour() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        writers.spawn(async move {
            let key = format!("k{n:03}");
            let batch = Batch::new()
                .setting(&key, json!(n))
                .event(goal(&*key))
                .memory("t", Role::User, &*key, TS);
            let bad = n % 5 == 0;
            let batch = if bad {
                batch.artifact_status("none", "merged", None)
            } else {
                batch
            };
            (key, bad, store.write(batch).await)
        });
    }
    let mut acknowledged = Vec::new();
    while let Some(done) = writers.join_next().await {
        match done.unwrap() {
            (
                key,
                true,
                Err(StoreError::NotFound {
                    table: "artifacts", ..
                }),
            ) => {
                assert_eq!(store.get_setting(&key).unwrap(), None);
            }
            (key, false, Ok(outcome)) => acknowledged.push((outcome.events[0], key)),
            other => panic!("{other:?}"),
        }
    }
    acknowledged.sort();
    assert_eq!(acknowledged.len(), 160);
    let store = reopen(store, dir.path()).await;
    let events = store
        .events_after(0, usize::MAX, &EventFilter::default())
        .unwrap();
    let logged: Vec<_> = events
        .iter()
        .map(|logged| {
            (
                logged.seq,
                logged.event.payload.as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(logged, acknowledged);
    let remembered: Vec<_> = store
        .memories("t", None, false)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.seq, entry.content))
        .collect();
    assert_eq!(remembered, acknowledged);
}

#[tokio::test]
async fn more_writers_than_the_queue_holds_all_get_through() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..3000 {
        let store = store.clone();
        writers.spawn(async move { store.append_event(goal(n)).await.unwrap() });
    }
    let mut seqs = Vec::new();
    while let Some(done) = writers.join_next().await {
        seqs.push(done.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=3000).collect::<Vec<_>>());
}
