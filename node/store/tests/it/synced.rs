//! The log that other nodes catch up from.

use pagi_store::{Batch, LogKey, Store};

fn key(author: &str, at: u64, id: u8) -> LogKey {
    LogKey {
        author: author.to_owned(),
        at,
        id: [id; 16],
    }
}

#[tokio::test]
async fn the_log_keeps_order_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let batch = Batch::new()
        .log_message(key("b", 5, 1), vec![1; 10])
        .log_message(key("a", 9, 2), vec![2; 20])
        .log_message(key("a", 7, 3), vec![3; 30])
        .log_message(key("a", 7, 2), vec![4; 40])
        .log_floor("a", 6);
    store.write(batch).await.unwrap();
    store
        .write(Batch::new().forget_message(key("a", 9, 2)))
        .await
        .unwrap();
    store.close().await;

    let store = Store::open(dir.path()).unwrap();
    let expected = [
        (key("a", 7, 2), 40),
        (key("a", 7, 3), 30),
        (key("b", 5, 1), 10),
    ];
    assert_eq!(store.logged_messages().unwrap(), expected);
    let read = |key| store.logged_message(&key).unwrap();
    assert_eq!(read(key("a", 7, 3)), Some(vec![3; 30]));
    assert_eq!(read(key("a", 9, 2)), None);
    assert_eq!(store.log_floors().unwrap(), [("a".to_owned(), 6)]);
    store.write(Batch::new().forget_floor("a")).await.unwrap();
    assert!(store.log_floors().unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn the_log_of_a_swarm_is_nothing_to_another_one_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.enter_swarm("pagi", "pagi").await.unwrap();
    let did = "did:key:z6MkA";
    let batch = Batch::new()
        .log_message(key(did, 7, 0xa5), vec![1; 10])
        .log_message(key(did, u64::MAX, 3), vec![2; 20])
        .log_floor(did, 6);
    store.write(batch).await.unwrap();
    let old = store.logged_messages().unwrap();
    store.enter_swarm("pagi", "crew").await.unwrap();
    assert!(store.logged_messages().unwrap().is_empty());
    assert!(store.log_floors().unwrap().is_empty());
    let batch = Batch::new().log_message(key("b", 1, 1), vec![3; 30]);
    store.write(batch).await.unwrap();
    store.enter_swarm("pagi", "pagi").await.unwrap();
    assert_eq!(store.logged_messages().unwrap(), old);
    assert_eq!(old.len(), 2);
    let read = store.logged_message(&key(did, 7, 0xa5)).unwrap();
    assert_eq!(read, Some(vec![1; 10]));
    assert_eq!(store.log_floors().unwrap(), [(did.to_owned(), 6)]);
    store.enter_swarm("pagi", "crew").await.unwrap();
    assert_eq!(store.logged_messages().unwrap(), [(key("b", 1, 1), 30)]);
    store.close().await;
}
