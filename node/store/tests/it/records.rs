//! Every kind of record is read back as it was written, before and after the store is opened again.

use std::{collections::BTreeMap, f64::consts::PI};

use pagi_store::{
    AuditRecord, Batch, EmotionRecord, MAX_RECORD_BYTES, Role, Store, StoreError, StoreLimits,
    ToolRecord,
};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::samples::{TS, artifact, goal, reopen, twin};

#[tokio::test]
async fn twins_are_listed_oldest_first() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let later = twin("a", "2026-01-01T00:00:20.5Z", "later");
    let earlier = twin("b", "2026-01-01T00:00:20Z", "earlier");
    store.put_twin(later.clone()).await.unwrap();
    store
        .put_twin(twin("b", "2026-01-01T00:00:20Z", "to be replaced"))
        .await
        .unwrap();
    store.put_twin(earlier.clone()).await.unwrap();
    for _ in 0..2 {
        let again = Store::clone(&store);
        assert_eq!(again.get_twin("a").unwrap(), Some(later.clone()));
        assert_eq!(again.get_twin("c").unwrap(), None);
        assert_eq!(
            again.list_twins().unwrap(),
            [earlier.clone(), later.clone()]
        );
    }
    let store = reopen(store, dir.path()).await;
    assert_eq!(store.list_twins().unwrap(), [earlier, later]);
}

#[tokio::test]
async fn memories_are_each_twins_own_and_in_order() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut written = Vec::new();
    for number in 0..6 {
        if number == 3 {
            store = reopen(store, dir.path()).await;
        }
        // Names of which one begins with the other must not mix.
        let entry = store
            .append_memory("t", Role::User, format!("{number}"), TS)
            .await
            .unwrap();
        store
            .append_memory("t2", Role::System, "other", TS)
            .await
            .unwrap();
        store
            .append_memory("", Role::Assistant, "nameless", TS)
            .await
            .unwrap();
        assert_eq!((entry.seq, entry.twin_id.as_str()), (number + 1, "t"));
        assert!(entry.id.parse::<uuid::Uuid>().is_ok());
        written.push(entry);
    }
    assert_eq!(store.memories("t", None, false).unwrap(), written);
    assert_eq!(store.memories("t", Some(2), false).unwrap(), written[..2]);
    let newest = [written[5].clone(), written[4].clone()];
    assert_eq!(store.memories("t", Some(2), true).unwrap(), newest);
    assert_eq!(store.memories("t", Some(0), true).unwrap(), []);
    assert_eq!(store.memory_count("t").unwrap(), 6);
    assert_eq!(store.memory_count("nobody").unwrap(), 0);
    assert_eq!(store.memories("t2", None, false).unwrap().len(), 6);
}

#[tokio::test]
async fn memories_beyond_the_limit_go_oldest_first() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_memories_per_twin: 3,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    store
        .append_memory("other", Role::User, "stays", TS)
        .await
        .unwrap();
    for number in 1..=5 {
        store
            .append_memory("t", Role::User, number.to_string(), TS)
            .await
            .unwrap();
    }
    let kept: Vec<u64> = store
        .memories("t", None, false)
        .unwrap()
        .iter()
        .map(|entry| entry.seq)
        .collect();
    assert_eq!(kept, [3, 4, 5]);
    assert_eq!(store.memory_count("t").unwrap(), 3);
    assert_eq!(store.memory_count("other").unwrap(), 1);
}

#[tokio::test]
async fn emotions_keep_every_bit_and_refuse_what_is_no_number() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let calm = EmotionRecord {
        mood: "calm".into(),
        activation_level: 0.1 + 0.2,
        valence: -PI / 7.0,
        updated_at_ms: u64::MAX,
    };
    store.put_emotion("t", calm.clone()).await.unwrap();
    let wild = EmotionRecord {
        valence: f64::NAN,
        ..calm.clone()
    };
    let refused = store.put_emotion("t", wild).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Invalid {
                table: "emotion",
                ..
            }
        ),
        "{refused}"
    );
    let store = reopen(store, dir.path()).await;
    assert_eq!(store.get_emotion("t").unwrap(), Some(calm));
    assert_eq!(store.get_emotion("u").unwrap(), None);
}

#[tokio::test]
async fn tools_and_grants() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let tool = |name: &str| ToolRecord {
        name: name.to_owned(),
        spec: json!({"z": 1, "a": [null, 1.5]}),
        registered_by: Some("t".to_owned()),
    };
    store.put_tool(tool("recall")).await.unwrap();
    store.put_tool(tool("act")).await.unwrap();
    store.put_tool(tool("gone")).await.unwrap();
    assert!(store.remove_tool("gone").await.unwrap());
    assert!(!store.remove_tool("gone").await.unwrap());
    store.allow("t", "recall", true).await.unwrap();
    store.allow("t", "act", true).await.unwrap();
    store.allow("t", "act", false).await.unwrap();
    store.allow("t2", "act", true).await.unwrap();
    store.allow("s", "act", true).await.unwrap();

    let store = reopen(store, dir.path()).await;
    assert_eq!(store.list_tools().unwrap(), [tool("act"), tool("recall")]);
    assert_eq!(store.get_tool("recall").unwrap(), Some(tool("recall")));
    let keys: Vec<String> = store
        .get_tool("act")
        .unwrap()
        .unwrap()
        .spec
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["z", "a"], "keys stay in their order");
    assert_eq!(store.allowed("t", "recall").unwrap(), Some(true));
    assert_eq!(store.allowed("t", "act").unwrap(), Some(false));
    assert_eq!(store.allowed("t", "gone").unwrap(), None);
    let grants = BTreeMap::from([("act".to_owned(), false), ("recall".to_owned(), true)]);
    assert_eq!(store.grants("t").unwrap(), grants);
    assert!(store.grants("u").unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_log_numbers_its_records() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_audit: 3,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    let record = |n: u64| AuditRecord {
        seq: 77,
        ..AuditRecord::new(TS, "t", "tool_call", "refused")
            .about("act")
            .with_detail(json!({"n": n}))
    };
    for number in 1..=5 {
        assert_eq!(store.append_audit(record(number)).await.unwrap(), number);
    }
    let wanted = |n| AuditRecord {
        seq: n,
        ..record(n)
    };
    assert_eq!(store.audit_after(0, 2).unwrap(), [wanted(3), wanted(4)]);
    assert_eq!(store.audit_after(4, 10).unwrap(), [wanted(5)]);
    assert_eq!(store.audit_after(u64::MAX, 10).unwrap(), []);
}

#[tokio::test]
async fn artifacts_revisions_and_heads() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (one, two) = (
        artifact("bafy1", "2026-01-02T00:00:00Z"),
        artifact("bafy2", TS),
    );
    store.put_artifact("bafy1", one.clone()).await.unwrap();
    // The key it is put under is its CID.
    store
        .put_artifact("bafy2", artifact("other", TS))
        .await
        .unwrap();
    assert_eq!(store.list_artifacts().unwrap(), [two, one.clone()]);
    store
        .set_artifact_status("bafy1", "rejected", Some("vague".into()))
        .await
        .unwrap();
    let missing = store
        .set_artifact_status("bafy3", "merged", None)
        .await
        .unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { key, .. } if key == "bafy3"));
    store
        .put_revision("bafyr1", vec![1; 300_000])
        .await
        .unwrap();
    assert_eq!(store.heads().unwrap(), Vec::<String>::new());
    store.set_heads(vec!["bafyr1".into()]).await.unwrap();

    let outcome = store
        .adopt(
            vec![("bafyr3".into(), vec![3]), ("bafyr2".into(), vec![])],
            vec!["bafyr3".into(), "bafyr2".into()],
            vec![
                ("bafy2".into(), "merged".into(), None),
                ("bafy9".into(), "merged".into(), None),
            ],
            vec![goal("adopted"), goal("told")],
        )
        .await
        .unwrap();
    assert_eq!(
        (outcome.events, outcome.unknown_artifacts),
        (vec![1, 2], vec!["bafy9".into()])
    );

    let store = reopen(store, dir.path()).await;
    let rejected = store.get_artifact("bafy1").unwrap().unwrap();
    assert_eq!(
        (rejected.status.as_str(), rejected.reason.as_deref()),
        ("rejected", Some("vague"))
    );
    assert_eq!(rejected.bytes, one.bytes);
    assert_eq!(
        store.get_artifact("bafy2").unwrap().unwrap().status,
        "merged"
    );
    assert_eq!(store.get_artifact("bafy9").unwrap(), None);
    let revisions = store.revisions().unwrap();
    let cids: Vec<_> = revisions
        .iter()
        .map(|(cid, bytes)| (cid.as_str(), bytes.len()))
        .collect();
    assert_eq!(cids, [("bafyr1", 300_000), ("bafyr2", 0), ("bafyr3", 1)]);
    assert_eq!(store.get_revision("bafyr3").unwrap(), Some(vec![3]));
    assert_eq!(store.get_revision("bafyr4").unwrap(), None);
    assert_eq!(store.heads().unwrap(), ["bafyr3", "bafyr2"]);
}

#[tokio::test]
async fn settings_and_peers() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .put_setting("election", json!({"term": u64::MAX, "voted": null}))
        .await
        .unwrap();
    store
        .put_setting("heads", json!("not the playbook's"))
        .await
        .unwrap();
    store
        .put_peers(vec!["/ip4/127.0.0.1/tcp/1".into()])
        .await
        .unwrap();
    let store = reopen(store, dir.path()).await;
    let election = store.get_setting("election").unwrap().unwrap();
    assert_eq!(election, json!({"term": u64::MAX, "voted": null}));
    assert_eq!(store.get_setting("none").unwrap(), None);
    assert_eq!(store.peers().unwrap(), ["/ip4/127.0.0.1/tcp/1"]);
    assert!(store.heads().unwrap().is_empty());
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
    let refused = store.append_event(goal(deep)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Invalid {
                table: "events",
                ..
            }
        ),
        "{refused}"
    );
    let large = "x".repeat(MAX_RECORD_BYTES);
    let refused = store
        .append_memory("t", Role::User, large, TS)
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::TooLarge {
                table: "memory",
                ..
            }
        ),
        "{refused}"
    );
    // Nor is the rest of its batch.
    let batch = Batch::new()
        .setting("k", json!(1))
        .revision("r", vec![0; MAX_RECORD_BYTES]);
    assert!(store.write(batch).await.is_err());
    assert_eq!(store.get_setting("k").unwrap(), None);
    assert_eq!(store.append_event(goal("fine")).await.unwrap(), 1);
}
