//! The process is killed while it writes. What it said was written is there.
//!
//! The test runs its own binary as the process to be killed: [`child`] is no test by itself.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pagi_store::{Batch, EventFilter, Role, Store, ToolRecord};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::tempdir;
use uuid::Uuid;

use crate::samples::{TS, goal, twin};

const DIR: &str = "PAGI_STORE_CRASH_DIR";
const LIFE: &str = "PAGI_STORE_CRASH_LIFE";
const WRITERS: usize = 4;

/// What the child says it wrote. `count` rises with every write of one writer of one life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Written {
    Memory {
        twin_id: String,
        seq: u64,
        content: String,
    },
    Event {
        seq: u64,
        tag: String,
    },
    Twin {
        id: String,
        count: u64,
    },
    Tool {
        name: String,
        count: u64,
    },
    /// A memory, an event and a twin in one.
    Batch {
        twin_id: String,
        memory_seq: u64,
        event_seq: u64,
        tag: String,
        count: u64,
    },
}

async fn write(store: &Store, life: &str, writer: usize, count: u64) -> Written {
    let tag = format!("{life}/{writer}/{count}");
    let id = format!("{life}/{writer}");
    match count % 5 {
        0 => {
            let entry = store
                .append_memory(&id, Role::User, &tag, TS)
                .await
                .unwrap();
            Written::Memory {
                twin_id: id,
                seq: entry.seq,
                content: tag,
            }
        }
        1 => Written::Event {
            seq: store.append_event(goal(&*tag)).await.unwrap(),
            tag,
        },
        2 => {
            store.put_twin(twin(&id, TS, count)).await.unwrap();
            Written::Twin { id, count }
        }
        3 => {
            let tool = ToolRecord {
                name: id.clone(),
                spec: json!({"n": count}),
                registered_by: None,
            };
            store.put_tool(tool).await.unwrap();
            Written::Tool { name: id, count }
        }
        _ => {
            let batch = Batch::new()
                .memory(&id, Role::Assistant, &*tag, TS)
                .twin(twin(&id, TS, count))
                .event(goal(format!("batch {tag}")));
            let outcome = store.write(batch).await.unwrap();
            Written::Batch {
                twin_id: id,
                memory_seq: outcome.memories[0].seq,
                event_seq: outcome.events[0],
                tag,
                count,
            }
        }
    }
}

/// Writes until it is killed, with a line on stdout for each write that was acknowledged.
#[test]
#[ignore = "the process that the tests of this file kill"]
fn child() {
    let (Ok(dir), Ok(life)) = (std::env::var(DIR), std::env::var(LIFE)) else {
        panic!("this is run by the other tests of this file");
    };
    let store = Store::open(dir.as_ref()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (store, life) = (store.clone(), life.clone());
            writers.spawn(async move {
                for count in 0.. {
                    let written = write(&store, &life, writer, count).await;
                    let line = format!("\nwrote {}\n", serde_json::to_string(&written).unwrap());
                    let mut out = std::io::stdout().lock();
                    out.write_all(line.as_bytes()).unwrap();
                    out.flush().unwrap();
                }
            });
        }
        writers.join_all().await;
    });
}

fn spawn(dir: &Path, life: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(LIFE, life.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn random_below(bound: u64) -> u64 {
    u64::try_from(Uuid::new_v4().as_u128() % u128::from(bound)).unwrap()
}

/// Lets `random` microseconds go by without giving up the processor: the moment of the kill is to
/// be anywhere in a commit.
fn pass(microseconds: u64) {
    let until = Instant::now() + Duration::from_micros(microseconds);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// Starts a child on `dir`, kills it some time after its `acks`th acknowledgement, and gives all
/// that it acknowledged.
fn kill_after(dir: &Path, life: u64, acks: usize) -> Vec<Written> {
    let mut child = spawn(dir, life);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut written = Vec::new();
    let mut killed = false;
    loop {
        if written.len() >= acks && !killed {
            pass(random_below(3000));
            child.kill().unwrap();
            killed = true;
        }
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // A line that was cut off by the kill is no acknowledgement.
        if let Some(json) = line
            .strip_prefix("wrote ")
            .filter(|json| json.ends_with('\n'))
        {
            written.push(serde_json::from_str(json).unwrap());
        }
    }
    assert!(
        !child.wait().unwrap().success() && killed,
        "the child ended by itself"
    );
    written
}

fn check(store: &Store, acknowledged: &[Written]) {
    let events = store
        .events_after(0, usize::MAX, &EventFilter::default())
        .unwrap();
    let tags: BTreeMap<u64, &str> = events
        .iter()
        .map(|logged| (logged.seq, logged.event.payload.as_str().unwrap()))
        .collect();
    for (expected, logged) in (1..).zip(&events) {
        assert_eq!(logged.seq, expected);
    }
    let has_event = |seq: &u64, tag: &str| assert_eq!(tags.get(seq), Some(&tag), "event {seq}");
    let mut memories: BTreeMap<&str, BTreeMap<u64, String>> = BTreeMap::new();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for written in acknowledged {
        let (twin_id, memory) = match written {
            Written::Event { seq, tag } => {
                has_event(seq, tag);
                continue;
            }
            Written::Tool { name, count } => {
                counts.insert(("tool", name), *count);
                continue;
            }
            Written::Twin { id, count } => {
                counts.insert(("twin", id), *count);
                continue;
            }
            Written::Batch {
                twin_id,
                memory_seq,
                event_seq,
                tag,
                count,
            } => {
                has_event(event_seq, &format!("batch {tag}"));
                counts.insert(("twin", twin_id), *count);
                (twin_id, (memory_seq, tag))
            }
            Written::Memory {
                twin_id,
                seq,
                content,
            } => (twin_id, (seq, content)),
        };
        let kept = memories.entry(twin_id).or_insert_with(|| {
            let entries = store.memories(twin_id, None, false).unwrap();
            for (expected, entry) in (1..).zip(&entries) {
                assert_eq!(entry.seq, expected);
            }
            entries
                .into_iter()
                .map(|entry| (entry.seq, entry.content))
                .collect()
        });
        assert_eq!(kept.get(memory.0), Some(memory.1), "memory of {twin_id}");
    }
    // A write that was done but not acknowledged any more may be there instead.
    for ((kind, key), count) in counts {
        let found = match kind {
            "tool" => store
                .get_tool(key)
                .unwrap()
                .map(|tool| tool.spec["n"].as_u64().unwrap()),
            _ => store
                .get_twin(key)
                .unwrap()
                .map(|t| t.state["note"].as_u64().unwrap()),
        };
        assert!(
            found >= Some(count),
            "{kind} {key}: {found:?} is older than {count}"
        );
    }
    // Batches are whole, acknowledged or not.
    for tag in tags.values().filter_map(|tag| tag.strip_prefix("batch ")) {
        let (twin_id, _) = tag.rsplit_once('/').unwrap();
        let entries = store.memories(twin_id, None, true).unwrap();
        assert!(
            entries.iter().any(|entry| entry.content == tag),
            "half of batch {tag}"
        );
        assert!(
            store.get_twin(twin_id).unwrap().is_some(),
            "half of batch {tag}"
        );
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kills() {
    let dir = tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for life in 0..15 {
        acknowledged.extend(kill_after(dir.path(), life, 1 + random_below(80) as usize));
        let store = Store::open(dir.path()).unwrap();
        check(&store, &acknowledged);
        // And it still works, with numbers that were never given before.
        let last = store.last_event_seq().unwrap();
        let tag = format!("between/{life}");
        let seq = store.append_event(goal(&*tag)).await.unwrap();
        assert_eq!(seq, last + 1);
        acknowledged.push(Written::Event { seq, tag });
        store.close().await;
    }
    assert!(
        acknowledged.len() > 100,
        "only {} writes",
        acknowledged.len()
    );
}

#[tokio::test]
async fn a_kill_while_a_store_is_made_or_opened_leaves_it_usable() {
    for life in 0..12 {
        let dir = tempdir().unwrap();
        for _ in 0..2 {
            let mut child = spawn(dir.path(), life);
            pass(random_below(25_000));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        store.append_event(goal("alive")).await.unwrap();
        check(&store, &[]);
    }
}
