//! Calls nobody waits for any more.

use crate::{Bench, GOOD_RUN, guest};
use pagi_plugin_host::{Caller, ToolError};
use serde_json::json;
use std::time::Duration;

const ENDLESS_RUN: &str = r#"(func (export "run") (param i32 i32) (result i64)
    (loop $l (br $l)) unreachable)"#;

/// One place to run in, and guests that only the host can stop.
fn bench() -> Bench {
    Bench::new(|config| {
        config.call_timeout = Duration::from_secs(60);
        config.wasm.fuel = u64::MAX;
        config.wasm.deadline = Duration::from_secs(3600);
        config.wasm.max_concurrent = 1;
    })
}

#[tokio::test]
async fn a_dropped_call_stops_its_guest() {
    let bench = bench();
    bench
        .register_wat("endless", &guest(ENDLESS_RUN))
        .await
        .unwrap();
    bench.register_wat("good", &guest(GOOD_RUN)).await.unwrap();
    let caller = Caller::default();
    let endless = bench.host.execute("endless", &caller, json!({}));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), endless)
            .await
            .is_err()
    );
    // The only place is free again, or this would wait until the call timeout.
    assert_eq!(bench.call("good").await.unwrap(), json!({"ok": true}));
}

#[tokio::test]
async fn calls_in_time_survive_the_stop_of_another() {
    let bench = Bench::new(|config| {
        config.wasm.fuel = u64::MAX;
        config.wasm.deadline = Duration::from_secs(1);
    });
    bench
        .register_wat("endless", &guest(ENDLESS_RUN))
        .await
        .unwrap();
    bench.register_wat("good", &guest(GOOD_RUN)).await.unwrap();
    let host = bench.host.clone();
    let late =
        tokio::spawn(async move { host.execute("endless", &Caller::default(), json!({})).await });
    let mut served = 0;
    while !late.is_finished() {
        assert_eq!(bench.call("good").await.unwrap(), json!({"ok": true}));
        served += 1;
    }
    assert!(served > 0);
    assert_eq!(
        late.await.unwrap().unwrap_err(),
        ToolError::Timeout { after_ms: 1000 }
    );
}

#[tokio::test]
async fn the_call_timeout_covers_the_wait_for_a_place() {
    let bench = Bench::new(|config| {
        config.call_timeout = Duration::from_millis(300);
        config.wasm.fuel = u64::MAX;
        config.wasm.deadline = Duration::from_secs(3600);
        config.wasm.max_concurrent = 1;
    });
    bench
        .register_wat("endless", &guest(ENDLESS_RUN))
        .await
        .unwrap();
    let (first, second) = tokio::join!(bench.call("endless"), bench.call("endless"));
    assert_eq!(first.unwrap_err(), ToolError::Timeout { after_ms: 300 });
    assert_eq!(second.unwrap_err(), ToolError::Timeout { after_ms: 300 });
}
