//! The event log: its numbers, its filters, and following it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pagi_messages::EventType;
use pagi_store::{EventFilter, Store, StoreError, StoreLimits};
use serde_json::json;
use tempfile::tempdir;
use tokio::{sync::broadcast::error::TryRecvError, time::timeout};

use crate::samples::{event, goal, reopen};

const DEADLINE: Duration = Duration::from_secs(20);

fn all() -> EventFilter {
    EventFilter::default()
}

#[tokio::test]
async fn numbers_rise_across_openings() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(
        (
            store.last_event_seq().unwrap(),
            store.first_event_seq().unwrap()
        ),
        (0, None)
    );
    let mut seqs = Vec::new();
    for _ in 0..3 {
        seqs.push(store.append_event(goal("one")).await.unwrap());
        seqs.extend(
            store
                .append_events(vec![goal("two"), goal("three")])
                .await
                .unwrap(),
        );
        store = reopen(store, dir.path()).await;
    }
    assert_eq!(
        store.append_events(vec![]).await.unwrap(),
        Vec::<u64>::new()
    );
    assert_eq!(seqs, (1..=9).collect::<Vec<_>>());
    assert_eq!(
        (
            store.last_event_seq().unwrap(),
            store.first_event_seq().unwrap()
        ),
        (9, Some(1))
    );
}

#[tokio::test]
async fn a_reader_resumes_where_it_stopped() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let events: Vec<_> = (0..10).map(goal).collect();
    store.append_events(events.clone()).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = store.events_after(after, 3, &all()).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = last.seq;
        seen.extend(page.into_iter().map(|logged| logged.event));
    }
    assert_eq!(seen, events);
    assert!(store.events_after(0, 0, &all()).unwrap().is_empty());
    assert!(store.events_after(u64::MAX, 5, &all()).unwrap().is_empty());
}

#[tokio::test]
async fn filters_choose_by_kind_twin_and_source() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let quoted = "a \"source\"\\";
    store
        .append_events(vec![
            event(EventType::GoalReceived, "executive", json!(1)).about_twin("t1"),
            event(EventType::ToolExecuted, "executive", json!(2)).about_twin("t2"),
            event(EventType::ToolExecuted, quoted, json!(3))
                .about_twin("t1")
                .about("recall"),
            event(
                EventType::MoElected,
                "hive",
                json!({"twin_id": "t1", "source": "executive"}),
            ),
        ])
        .await
        .unwrap();
    let seqs = |filter: EventFilter, after, limit| -> Vec<u64> {
        store
            .events_after(after, limit, &filter)
            .unwrap()
            .iter()
            .map(|logged| logged.seq)
            .collect()
    };
    let kind = |kind| EventFilter {
        event_type: Some(kind),
        ..all()
    };
    let of = |twin: &str| EventFilter {
        twin_id: Some(twin.into()),
        ..all()
    };
    let from = |source: &str| EventFilter {
        source: Some(source.into()),
        ..all()
    };
    assert_eq!(seqs(kind(EventType::ToolExecuted), 0, 10), [2, 3]);
    assert_eq!(seqs(kind(EventType::ToolExecuted), 2, 10), [3]);
    assert_eq!(seqs(of("t1"), 0, 10), [1, 3]);
    assert_eq!(seqs(of("t1"), 0, 1), [1], "the limit counts what passed");
    assert_eq!(seqs(from("executive"), 0, 10), [1, 2]);
    assert_eq!(seqs(from(quoted), 0, 10), [3]);
    let both = EventFilter {
        twin_id: Some("t2".into()),
        ..from(quoted)
    };
    assert_eq!(seqs(both, 0, 10), Vec::<u64>::new());
}

#[tokio::test]
async fn the_log_is_bounded_and_numbers_keep_rising() {
    let dir = tempdir().unwrap();
    let limits = StoreLimits {
        max_events: 5,
        ..StoreLimits::default()
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    for n in 1..=12 {
        assert_eq!(store.append_event(goal(n)).await.unwrap(), n);
    }
    store
        .append_events((13..=15).map(goal).collect())
        .await
        .unwrap();
    assert_eq!(
        (
            store.first_event_seq().unwrap(),
            store.last_event_seq().unwrap()
        ),
        (Some(11), 15)
    );
    let page = store.events_after(2, 2, &all()).unwrap();
    assert_eq!(
        page.iter().map(|logged| logged.seq).collect::<Vec<_>>(),
        [11, 12]
    );
    assert_eq!(page[0].event.payload, 11);
    store.close().await;

    // Even where everything before is trimmed away, no number comes again.
    let limits = StoreLimits {
        max_events: 0,
        ..limits
    };
    let store = Store::open_with(dir.path(), limits).unwrap();
    assert_eq!(store.append_event(goal(16)).await.unwrap(), 16);
    assert_eq!(store.first_event_seq().unwrap(), Some(16));
    let store = reopen(store, dir.path()).await;
    assert_eq!(store.append_event(goal(17)).await.unwrap(), 17);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_see_committed_events_in_order() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append_event(goal("before")).await.unwrap();
    let mut live = store.subscribe();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..10 {
                store
                    .append_event(goal(format!("{writer}-{n}")))
                    .await
                    .unwrap();
            }
        });
    }
    for seq in 2..=81 {
        let seen = timeout(DEADLINE, live.recv()).await.unwrap().unwrap();
        assert_eq!(seen.seq, seq);
        // It is in the log by the time it is seen.
        assert_eq!(store.events_after(seq - 1, 1, &all()).unwrap(), [seen]);
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    assert_eq!(live.try_recv(), Err(TryRecvError::Empty));
    // Acknowledged events were already sent.
    store.append_event(goal("last")).await.unwrap();
    assert_eq!(live.try_recv().unwrap().seq, 82);
}

#[tokio::test]
async fn a_slow_subscriber_is_told_and_finds_the_rest_in_the_log() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut live = store.subscribe();
    store
        .append_events((0..3000).map(goal).collect())
        .await
        .unwrap();
    assert!(matches!(live.try_recv(), Err(TryRecvError::Lagged(_))));
    assert_eq!(
        store.events_after(0, usize::MAX, &all()).unwrap().len(),
        3000
    );
}

#[tokio::test]
async fn following_gives_every_event_once_through_log_lag_and_live() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .append_events((1..=600).map(goal).collect())
        .await
        .unwrap();
    let mut tail = store.follow(10, all());
    let mut expected = 11;
    let mut take = async |tail: &mut pagi_store::EventTail, upto: u64| {
        while expected <= upto {
            let event = timeout(DEADLINE, tail.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(event.seq, expected);
            expected += 1;
        }
    };
    take(&mut tail, 5).await;
    // Written while it is still reading the log.
    store.append_event(goal("during")).await.unwrap();
    take(&mut tail, 601).await;
    store.append_event(goal("live")).await.unwrap();
    take(&mut tail, 602).await;
    // More than the live channel holds.
    store
        .append_events((0..3000).map(goal).collect())
        .await
        .unwrap();
    take(&mut tail, 3602).await;
    store.close().await;
    assert_eq!(timeout(DEADLINE, tail.next()).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn following_filters_and_is_not_misled_by_a_number_from_elsewhere() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.append_event(goal("old")).await.unwrap();
    let filter = EventFilter {
        event_type: Some(EventType::MoElected),
        ..all()
    };
    let mut tail = store.follow(1_000_000, filter);
    // Let it read the log first: nothing is there for it yet.
    assert!(timeout(Duration::ZERO, tail.next()).await.is_err());
    store.append_event(goal("not this")).await.unwrap();
    store
        .append_event(event(EventType::MoElected, "hive", json!("this")))
        .await
        .unwrap();
    let seen = timeout(DEADLINE, tail.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((seen.seq, seen.event.payload), (3, json!("this")));
}

#[tokio::test]
async fn closing_finishes_what_was_queued_and_ends_everything() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut live = store.subscribe();
    let started = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = store.clone();
        let started = Arc::clone(&started);
        writers.spawn(async move {
            started.fetch_add(1, Ordering::Relaxed);
            store.append_event(goal(n)).await
        });
    }
    // The queue is longer than that, and this runtime has one thread: who started has queued.
    while started.load(Ordering::Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    let twin = store.clone();
    tokio::join!(store.close(), twin.close());
    store.close().await;
    while let Some(done) = writers.join_next().await {
        done.unwrap().unwrap();
    }
    assert!(matches!(
        store.append_event(goal("late")).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(store.last_event_seq(), Err(StoreError::Closed)));
    for seq in 1..=100 {
        assert_eq!(live.recv().await.unwrap().seq, seq);
    }
    assert!(timeout(DEADLINE, live.recv()).await.unwrap().is_err());
    assert!(store.subscribe().recv().await.is_err());
    // The directory is free although handles are still held.
    assert_eq!(
        Store::open(dir.path()).unwrap().last_event_seq().unwrap(),
        100
    );
}
