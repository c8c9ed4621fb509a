//! Test: the power goes at any moment, and what was acknowledged is there afterwards.
//!
//! The disk below keeps what was synced. Of what was written since, a power loss keeps an arbitrary
//! part, sector by sector.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;
use serde_json::{Value, json};

use crate::{Batch, EventFilter, Role, Store, StoreLimits, file, tables};

const SECTOR: usize = 512;

/// A small reproducible source of numbers (xorshift).
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Self::Length(length) => {
                if keep() {
                    image.resize(*length, 0);
                }
            }
            Self::Write { offset, data } => {
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    let start = offset + index * SECTOR;
                    if keep() {
                        // A sector that was kept beyond a length that was not makes the file longer.
                        image.resize(image.len().max(start + sector.len()), 0);
                        image[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct State {
    /// What the program sees.
    now: Vec<u8>,
    /// What is surely kept.
    synced: Vec<u8>,
    /// What was done since.
    since: Vec<Change>,
    /// Writes and syncs until the power goes.
    left: u64,
}

#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn new(image: Vec<u8>, left: u64) -> Self {
        let state = State {
            now: image.clone(),
            synced: image,
            since: Vec::new(),
            left,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn after_loss(&self, numbers: &mut Numbers) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.synced.clone();
        // Sometimes nothing, sometimes everything, mostly a part of it.
        let keep_of_four = numbers.below(5);
        for change in &state.since {
            change.apply(&mut image, || numbers.below(4) < keep_of_four);
        }
        image
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        spend(&mut state)?;
        change.apply(&mut state.now, || true);
        state.since.push(change);
        Ok(())
    }
}

fn spend(state: &mut State) -> io::Result<()> {
    state.left = state
        .left
        .checked_sub(1)
        .ok_or_else(|| io::Error::other("no power"))?;
    Ok(())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let state = self.0.lock().unwrap();
        let bytes = state.now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).unwrap()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.change(Change::Write {
            offset,
            data: data.to_vec(),
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        spend(&mut state)?;
        state.synced = state.now.clone();
        state.since.clear();
        Ok(())
    }
}

fn open(disk: &Disk) -> Store {
    let db = file::builder().create_with_backend(disk.clone()).unwrap();
    tables::check_schema(&db, "power-loss".as_ref()).unwrap();
    Store::start(db, None, StoreLimits::default()).unwrap()
}

/// Every write is a memory, an event and a setting of the same tag.
fn write(tag: &str) -> Batch {
    let event = pagi_messages::Event::new(
        uuid::Uuid::new_v4(),
        time::OffsetDateTime::UNIX_EPOCH,
        pagi_messages::EventType::GoalReceived,
        "test",
        json!(tag),
    );
    Batch::new()
        .memory("t", Role::User, tag, "1970-01-01T00:00:00Z")
        .event(event)
        .setting(tag, json!(tag.len()))
}

fn check(store: &Store, acknowledged: &[(u64, String)], tried: &[String], seed: u64) {
    let events = store
        .events_after(0, usize::MAX, &EventFilter::default())
        .unwrap();
    let memories = store.memories("t", None, false).unwrap();
    assert_eq!(
        events.len(),
        memories.len(),
        "seed {seed}: a batch is there in part"
    );
    for (index, (event, memory)) in events.iter().zip(&memories).enumerate() {
        assert_eq!(event.seq, index as u64 + 1, "seed {seed}");
        assert_eq!(memory.seq, index as u64 + 1, "seed {seed}");
        assert_eq!(
            event.event.payload,
            Value::String(memory.content.clone()),
            "seed {seed}"
        );
    }
    for (seq, tag) in acknowledged {
        let found = events
            .get(usize::try_from(*seq).unwrap() - 1)
            .map(|event| &event.event.payload);
        assert_eq!(
            found,
            Some(&json!(tag)),
            "seed {seed}: {tag} was acknowledged"
        );
    }
    for tag in tried {
        let there = events.iter().any(|event| event.event.payload == **tag);
        let setting = store.get_setting(tag).unwrap();
        assert_eq!(
            setting.is_some(),
            there,
            "seed {seed}: {tag} is there in part"
        );
    }
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut acknowledged_at_all = 0;
    for seed in 1..=40 {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let disk = Disk::new(Vec::new(), u64::MAX);
        let db = file::builder().create_with_backend(disk.clone()).unwrap();
        tables::create_all(&db).unwrap();
        db.close().unwrap();
        let mut image = disk.0.lock().unwrap().now.clone();
        let (mut acknowledged, mut tried) = (Vec::new(), Vec::new());

        for life in 0..4 {
            // Opening writes too: let it, then set when the power goes.
            let disk = Disk::new(image, u64::MAX);
            let store = open(&disk);
            check(&store, &acknowledged, &tried, seed);
            disk.0.lock().unwrap().left = numbers.below(120);
            runtime.block_on(async {
                for round in 0.. {
                    let mut writers = tokio::task::JoinSet::new();
                    for writer in 0..=numbers.below(6) {
                        let tag = format!("{life}-{round}-{writer}");
                        tried.push(tag.clone());
                        let store = store.clone();
                        writers.spawn(async move { (store.write(write(&tag)).await, tag) });
                    }
                    let mut failed = false;
                    while let Some(done) = writers.join_next().await {
                        match done.unwrap() {
                            (Ok(outcome), tag) => acknowledged.push((outcome.events[0], tag)),
                            (Err(_), _) => failed = true,
                        }
                    }
                    if failed {
                        break;
                    }
                }
            });
            drop(store);
            image = disk.after_loss(&mut numbers);
        }
        check(
            &open(&Disk::new(image, u64::MAX)),
            &acknowledged,
            &tried,
            seed,
        );
        acknowledged_at_all += acknowledged.len();
    }
    assert!(
        acknowledged_at_all > 500,
        "only {acknowledged_at_all} writes were put to the test"
    );
}

#[test]
fn after_a_failed_commit_nothing_more_is_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let disk = Disk::new(Vec::new(), u64::MAX);
    let db = file::builder().create_with_backend(disk.clone()).unwrap();
    tables::create_all(&db).unwrap();
    let store = Store::start(db, None, StoreLimits::default()).unwrap();
    runtime.block_on(async {
        store.write(write("one")).await.unwrap();
        disk.0.lock().unwrap().left = 0;
        assert!(matches!(
            store.write(write("two")).await,
            Err(crate::StoreError::Database(_))
        ));
        // The disk is well again, but what it holds is not known any more.
        disk.0.lock().unwrap().left = u64::MAX;
        assert!(matches!(
            store.write(write("three")).await,
            Err(crate::StoreError::Database(_))
        ));
        store.close().await;
    });
}
