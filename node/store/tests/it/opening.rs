//! Opening: who may, what is refused, and what damage does.

use std::{fs, path::Path};

use pagi_store::{EventFilter, Role, SCHEMA_VERSION, Store, StoreError};
use redb::{Database, TableDefinition};
use tempfile::tempdir;

use crate::samples::{TS, goal, twin};

const SCHEMA: TableDefinition<'_, &str, u64> = TableDefinition::new("schema");

fn edit(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = Database::create(dir.join("pagi.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

/// A store with some of everything in it, closed.
async fn filled(dir: &Path) {
    let store = Store::open(dir).unwrap();
    store.put_twin(twin("t", TS, "x")).await.unwrap();
    store
        .append_memory("t", Role::User, "remember", TS)
        .await
        .unwrap();
    store
        .append_events((0..50).map(goal).collect())
        .await
        .unwrap();
    store.put_revision("bafyr", vec![5; 20_000]).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let other = store.clone();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(
        matches!(&refused, StoreError::InUse { dir: named } if named == dir.path()),
        "{refused}"
    );
    // The first is none the worse for it.
    store.append_event(goal(1)).await.unwrap();
    store.close().await;
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(
        other.append_event(goal(2)).await,
        Err(StoreError::Closed)
    ));
    // Dropping the last handle frees it as well.
    drop(store);
    assert_eq!(
        Store::open(dir.path()).unwrap().last_event_seq().unwrap(),
        1
    );
}

#[test]
fn the_database_lock_is_respected_too() {
    let dir = tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let _held = Database::create(dir.path().join("pagi.redb")).unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::InUse { .. })
    ));
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let parent = tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let file = dir.join("pagi.redb");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(Store::open(&dir).unwrap());
    assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&dir).unwrap());
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn what_a_crash_left_of_making_a_store_is_no_hindrance() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("pagi.redb.new"), vec![0; 5000]).unwrap();
    drop(Store::open(dir.path()).unwrap());
    assert!(!dir.path().join("pagi.redb.new").exists());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    filled(dir.path()).await;
    edit(dir.path(), |txn| {
        txn.open_table(SCHEMA)
            .unwrap()
            .insert("version", SCHEMA_VERSION + 1)
            .unwrap();
    });
    for _ in 0..2 {
        let refused = Store::open(dir.path()).unwrap_err();
        let StoreError::SchemaTooNew {
            found, supported, ..
        } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!((found, supported), (SCHEMA_VERSION + 1, SCHEMA_VERSION));
        assert!(refused.to_string().contains("newer program"), "{refused}");
    }
    edit(dir.path(), |txn| {
        txn.open_table(SCHEMA)
            .unwrap()
            .insert("version", SCHEMA_VERSION)
            .unwrap();
    });
    assert_eq!(
        Store::open(dir.path()).unwrap().last_event_seq().unwrap(),
        50
    );
}

#[test]
fn another_programs_database_is_refused() {
    let dir = tempdir().unwrap();
    edit(dir.path(), |txn| {
        txn.open_table(TableDefinition::<&str, &str>::new("theirs"))
            .unwrap();
    });
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Damaged { .. })
    ));
    edit(dir.path(), |txn| {
        txn.open_table(TableDefinition::<u64, &str>::new("schema"))
            .unwrap();
    });
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Damaged { .. })
    ));
    fs::write(
        dir.path().join("pagi.redb"),
        "plain text, and a good deal of it",
    )
    .unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Damaged { .. })
    ));
}

#[test]
fn a_directory_that_cannot_be_is_an_error() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = Store::open(&file.join("below")).unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
}

#[tokio::test]
async fn a_truncated_file_is_an_error() {
    let dir = tempdir().unwrap();
    filled(dir.path()).await;
    let path = dir.path().join("pagi.redb");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 9, 63, 320, 511, 512, 4095, 4096, 4097, 8192]
        .into_iter()
        .chain((1..16).map(|part| whole.len() * part / 16))
        .chain([whole.len() - 4096, whole.len() - 1])
    {
        fs::write(&path, &whole[..length]).unwrap();
        match Store::open(dir.path()) {
            Err(StoreError::Damaged { .. }) => {}
            other => panic!("of {} bytes {length}: {other:?}", whole.len()),
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(
        Store::open(dir.path()).unwrap().last_event_seq().unwrap(),
        50
    );
}

#[tokio::test]
async fn a_flipped_bit_is_an_error_or_does_no_harm() {
    let dir = tempdir().unwrap();
    filled(dir.path()).await;
    let path = dir.path().join("pagi.redb");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for index in (0..whole.len()).step_by(whole.len() / 61).chain(0..24) {
        let mut bent = whole.clone();
        bent[index] ^= 0x10;
        fs::write(&path, &bent).unwrap();
        match Store::open(dir.path()) {
            Err(StoreError::Damaged { .. }) => refused += 1,
            // A free page, or the header's spare slot: what there is to read is right.
            Ok(store) => {
                let events = store.events_after(0, 100, &EventFilter::default()).unwrap();
                let payloads: Vec<_> = events.iter().map(|e| e.event.payload.clone()).collect();
                assert_eq!(payloads, (0..50).collect::<Vec<_>>(), "byte {index}");
                assert_eq!(
                    store.revisions().unwrap(),
                    [("bafyr".to_owned(), vec![5; 20_000])]
                );
            }
            Err(other) => panic!("byte {index}: {other:?}"),
        }
    }
    assert!(refused > 0, "no damage was noticed");
}

#[tokio::test]
async fn a_corrupt_record_is_an_error_that_names_it() {
    let dir = tempdir().unwrap();
    filled(dir.path()).await;
    edit(dir.path(), |txn| {
        let bad: &[u8] = b"\x01{\"half\":";
        let by_name = |name| TableDefinition::<&str, &[u8]>::new(name);
        for table in ["twins", "emotion", "tools", "settings", "artifacts"] {
            txn.open_table(by_name(table))
                .unwrap()
                .insert("bad", bad)
                .unwrap();
        }
        for key in ["heads", "peers"] {
            txn.open_table(by_name("node"))
                .unwrap()
                .insert(key, bad)
                .unwrap();
        }
        txn.open_table(by_name("revisions"))
            .unwrap()
            .insert("bad", bad)
            .unwrap();
        let memory = TableDefinition::<(&str, u64), &[u8]>::new("memory");
        txn.open_table(memory)
            .unwrap()
            .insert(("t", 1), &b""[..])
            .unwrap();
        let grants = TableDefinition::<(&str, &str), &[u8]>::new("grants");
        txn.open_table(grants)
            .unwrap()
            .insert(("t", "bad"), &b"\x09true"[..])
            .unwrap();
        for table in ["events", "audit"] {
            let log = TableDefinition::<u64, &[u8]>::new(table);
            txn.open_table(log).unwrap().insert(7, bad).unwrap();
        }
    });
    let store = Store::open(dir.path()).unwrap();
    let corrupt = |result: Result<(), StoreError>, in_table: &str, at: &str| match result {
        Err(StoreError::Corrupt { table, key, .. }) => assert_eq!((table, &*key), (in_table, at)),
        other => panic!("{in_table}: {other:?}"),
    };
    corrupt(store.get_twin("bad").map(drop), "twins", "bad");
    corrupt(store.list_twins().map(drop), "twins", "bad");
    corrupt(store.get_emotion("bad").map(drop), "emotion", "bad");
    corrupt(store.list_tools().map(drop), "tools", "bad");
    corrupt(store.get_setting("bad").map(drop), "settings", "bad");
    corrupt(store.get_artifact("bad").map(drop), "artifacts", "bad");
    corrupt(
        store.set_artifact_status("bad", "merged", None).await,
        "artifacts",
        "bad",
    );
    corrupt(store.heads().map(drop), "node", "heads");
    corrupt(store.peers().map(drop), "node", "peers");
    corrupt(store.revisions().map(drop), "revisions", "bad");
    corrupt(store.memories("t", None, true).map(drop), "memory", "t/1");
    corrupt(store.allowed("t", "bad").map(drop), "grants", "t/bad");
    corrupt(store.grants("t").map(drop), "grants", "t/bad");
    corrupt(
        store.events_after(0, 99, &EventFilter::default()).map(drop),
        "events",
        "7",
    );
    let filter = EventFilter {
        source: Some("test".into()),
        ..EventFilter::default()
    };
    corrupt(store.events_after(6, 99, &filter).map(drop), "events", "7");
    corrupt(store.audit_after(0, 99).map(drop), "audit", "7");

    // The rest is still there, and can be written.
    assert!(store.get_twin("t").unwrap().is_some());
    assert_eq!(store.events_after(7, 99, &filter).unwrap().len(), 43);
    assert_eq!(store.append_event(goal("more")).await.unwrap(), 51);
    store.put_twin(twin("bad", TS, "healed")).await.unwrap();
    assert_eq!(store.list_twins().unwrap().len(), 2);
}
