//! Private messages: none twice, in order, bounded; and the outbox.

use pagi_store::{Batch, InboxMessage, OutboxMessage, Store, StoreError, StoreLimits};
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

use crate::samples::{TS, goal, reopen};

fn message(twin_id: &str, from: Option<&str>, id: &str) -> InboxMessage {
    InboxMessage {
        seq: 0,
        id: id.to_owned(),
        twin_id: twin_id.to_owned(),
        from: from.map(str::to_owned),
        thid: id.to_owned(),
        msg_type: "https://didcomm.org/basicmessage/2.0/message".to_owned(),
        body: json!({"content": id}),
        attachments: vec![json!({"id": "a", "data": {"links": ["ipfs://bafy"]}})],
        received_at: TS.to_owned(),
        read: false,
    }
}

fn outgoing(id: &str, next_attempt_ms: u64) -> OutboxMessage {
    OutboxMessage {
        id: id.to_owned(),
        twin_id: "t".to_owned(),
        to: "did:key:z".to_owned(),
        to_url: None,
        msg_type: "a/1.0/b".to_owned(),
        packed: "{}".to_owned(),
        created_at: TS.to_owned(),
        expires_at_ms: 99,
        attempts: 0,
        next_attempt_ms,
        last_error: None,
        held_by: None,
    }
}

fn ids(store: &Store, twin_id: &str, unread: bool) -> Vec<String> {
    let inbox = store.inbox(twin_id, unread, usize::MAX).unwrap();
    inbox.into_iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn a_message_comes_in_once_also_after_a_restart() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let batch = |message| Batch::new().event(goal("m")).receive(message, 100, 10);
    let first = message("t", Some("did:a"), "1");
    let outcome = store.write(batch(first.clone())).await.unwrap();
    let kept = InboxMessage { seq: 1, ..first };
    assert_eq!(outcome.messages, std::slice::from_ref(&kept));
    for round in 0..2 {
        let again = store.write(batch(message("t", Some("did:a"), "1"))).await;
        assert!(
            matches!(&again, Err(StoreError::Duplicate { table: "inbox", .. })),
            "{round}: {again:?}"
        );
        store = reopen(store, dir.path()).await;
    }
    // Nothing of a refused batch stays.
    assert_eq!(store.last_event_seq().unwrap(), 1);
    assert_eq!(store.inbox("t", false, 9).unwrap(), [kept]);
    // Another sender, another twin, and no sender at all each have ids of their own.
    for other in [
        message("t", Some("did:b"), "1"),
        message("t", None, "1"),
        message("u", Some("did:a"), "1"),
    ] {
        store.write(batch(other)).await.unwrap();
    }
    assert_eq!(ids(&store, "t", false).len(), 3);
    assert_eq!(store.inbox("u", false, 9).unwrap()[0].seq, 1);
}

#[tokio::test]
async fn what_was_forgotten_is_refused_and_not_let_in_again() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_messages_remembered: 2,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    let receive = async |id: &str, until_s, now_s| {
        let batch = Batch::new().receive(message("t", Some("did:a"), id), until_s, now_s);
        store.write(batch).await.map(drop)
    };
    for (id, until_s) in [("1", 50), ("2", 60), ("3", 70)] {
        receive(id, until_s, 10).await.unwrap();
    }
    // The first had to make room: it, and what ends as early, is too old now.
    for (id, until_s) in [("1", 50), ("new", 50)] {
        let refused = receive(id, until_s, 10).await;
        assert!(
            matches!(refused, Err(StoreError::Stale { .. })),
            "{refused:?}"
        );
    }
    assert!(matches!(
        receive("2", 60, 10).await,
        Err(StoreError::Duplicate { .. })
    ));
    // Its time being up it is forgotten, and a clock that is set back does not let it in.
    receive("4", 200, 65).await.unwrap();
    assert!(matches!(
        receive("2", 60, 10).await,
        Err(StoreError::Stale { .. })
    ));
    assert_eq!(ids(&store, "t", false), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn an_inbox_is_bounded_and_read_messages_are_marked() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_messages_per_twin: 3,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    for id in 1..=5 {
        let batch = Batch::new().receive(message("t", None, &id.to_string()), 100, 10);
        store.write(batch).await.unwrap();
    }
    assert_eq!(ids(&store, "t", false), ["3", "4", "5"]);
    assert_eq!(store.inbox("t", false, 2).unwrap()[0].seq, 4);
    let batch = Batch::new().read_messages("t", vec![1, 3, 4, 77]);
    assert_eq!(store.write(batch).await.unwrap().read, 2);
    assert_eq!(ids(&store, "t", true), ["5"]);
    let store = reopen(store, dir.path()).await;
    assert_eq!(ids(&store, "t", true), ["5"]);
    assert!(store.inbox("t", false, 9).unwrap()[0].read);
    // What was trimmed is remembered all the same.
    let again = Batch::new().receive(message("t", None, "1"), 100, 10);
    assert!(matches!(
        store.write(again).await,
        Err(StoreError::Duplicate { .. })
    ));
}

#[tokio::test]
async fn the_outbox_is_bounded_and_in_the_order_of_the_next_try() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_outbox: 2,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    let put = async |message| store.write(Batch::new().outgoing(message)).await.map(drop);
    put(outgoing("late", 9)).await.unwrap();
    put(outgoing("soon", 3)).await.unwrap();
    assert!(matches!(
        put(outgoing("more", 1)).await,
        Err(StoreError::Full {
            table: "outbox",
            limit: 2
        })
    ));
    // What is under way can be changed though the outbox is full.
    put(OutboxMessage {
        attempts: 1,
        ..outgoing("soon", 20)
    })
    .await
    .unwrap();
    let order: Vec<_> = store
        .outbox()
        .unwrap()
        .into_iter()
        .map(|m| (m.id, m.attempts))
        .collect();
    assert_eq!(order, [("late".to_owned(), 0), ("soon".to_owned(), 1)]);
    let done = Batch::new()
        .outgoing_done("t", "late")
        .outgoing_done("t", "none");
    store.write(done).await.unwrap();
    put(outgoing("more", 1)).await.unwrap();
    assert_eq!(store.outbox().unwrap().len(), 2);
}

#[tokio::test]
async fn a_revoked_tool_is_granted_to_nobody() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for twin_id in ["t", "u"] {
        let batch = Batch::new()
            .allow(twin_id, "x", true)
            .allow(twin_id, "y", true);
        store.write(batch).await.unwrap();
    }
    store.write(Batch::new().revoke("x")).await.unwrap();
    for twin_id in ["t", "u"] {
        assert_eq!(store.allowed(twin_id, "x").unwrap(), None);
        assert_eq!(store.allowed(twin_id, "y").unwrap(), Some(true));
    }
}

#[tokio::test]
async fn a_store_of_an_earlier_program_gets_the_tables_it_lacks() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append_event(goal("kept")).await.unwrap();
    store.close().await;
    let db = redb::Database::create(dir.path().join("pagi.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    for name in ["inbox_seen", "outbox"] {
        let table = redb::TableDefinition::<&str, &[u8]>::new(name);
        assert!(txn.delete_table(table).unwrap());
    }
    txn.commit().unwrap();
    drop(db);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.last_event_seq().unwrap(), 1);
    assert!(store.outbox().unwrap().is_empty());
    let batch = Batch::new().receive(message("t", None, "1"), 100, 10);
    store.write(batch).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_comes_in_twice(
        steps in prop::collection::vec((0u8..3, 0u8..6, 1u64..30, 0u64..6, any::<bool>()), 1..40),
        remembered in 1u64..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempdir().unwrap();
        let limits = StoreLimits { max_messages_remembered: remembered, ..StoreLimits::default() };
        runtime.block_on(async {
            let mut store = Store::open_with(dir.path(), limits).unwrap();
            // When a message ends is its own property, as it is in an envelope.
            let mut ends = std::collections::BTreeMap::new();
            let mut passed = std::collections::BTreeSet::new();
            let mut now = 0;
            for (from, id, life, pause, restart) in steps {
                now += pause;
                let end = *ends.entry((from, id)).or_insert(now + life);
                if end <= now {
                    continue;
                }
                let message = message("t", Some(&from.to_string()), &id.to_string());
                match store.write(Batch::new().receive(message, end, now)).await {
                    Ok(_) => prop_assert!(passed.insert((from, id)), "came in twice"),
                    Err(StoreError::Duplicate { .. }) => prop_assert!(passed.contains(&(from, id))),
                    Err(StoreError::Stale { .. }) => {}
                    Err(other) => prop_assert!(false, "{}", other),
                }
                if restart {
                    store.close().await;
                    store = Store::open_with(dir.path(), limits).unwrap();
                }
            }
            prop_assert_eq!(store.inbox("t", false, 99).unwrap().len(), passed.len());
            Ok(())
        })?;
    }
}
