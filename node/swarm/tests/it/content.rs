//! Files, folders, pins, CAR files and garbage.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cid::Cid;
use futures::{StreamExt, TryStreamExt, stream};
use pagi_swarm::{
    BlockSource, ContentError, DagLimits, EntryKind, EntryTarget, NewEntry, StoreCheck, Swarm,
    SwarmError,
};

use crate::support::{DEADLINE, Node, acquainted, config, dag_cbor, node, node_with};

const CHUNK: usize = 256 * 1024;

/// Blocks from the network.
struct Network(Swarm);

#[async_trait::async_trait]
impl BlockSource for Network {
    async fn block(&self, cid: &Cid) -> Result<Vec<u8>, SwarmError> {
        self.0.get_block(cid, &[], DEADLINE).await
    }
}

/// Bytes that look like nothing else.
fn content(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

async fn add(swarm: &Swarm, data: &[u8], pin: bool) -> Cid {
    let pieces: Vec<_> = data
        .chunks(70_001)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect();
    let added = swarm
        .add_file(stream::iter(pieces), pin.then_some(None))
        .await
        .unwrap();
    assert_eq!(added.bytes, data.len() as u64);
    added.cid
}

async fn folder(swarm: &Swarm, entries: &[(&str, Cid)], pin: bool) -> Cid {
    let entries = entries.iter().map(|(name, cid)| NewEntry {
        name: (*name).into(),
        target: EntryTarget::Content(*cid),
    });
    let added = swarm
        .add_folder(entries.collect(), pin.then_some(None))
        .await;
    added.unwrap().cid
}

async fn cat(swarm: &Swarm, source: Arc<dyn BlockSource>, cid: &Cid) -> Vec<u8> {
    let pieces = swarm.read_file(source, DagLimits::default(), cid);
    pieces.try_collect::<Vec<_>>().await.unwrap().concat()
}

async fn export(swarm: &Swarm, cid: &Cid) -> Vec<u8> {
    let pieces = swarm.export_car(swarm.local_source(), DagLimits::default(), cid);
    pieces.try_collect::<Vec<_>>().await.unwrap().concat()
}

fn pieces(bytes: Vec<u8>) -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> + Send {
    let pieces: Vec<_> = bytes
        .chunks(50_000)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    stream::iter(pieces)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_size_come_back() {
    let a = node(200, |_| ()).await;
    let sizes = [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        3 * CHUNK,
        175 * CHUNK + 5,
    ];
    for (seed, size) in sizes.into_iter().enumerate() {
        let data = content(seed as u32, size);
        let cid = add(&a.swarm, &data, false).await;
        assert!(
            cat(&a.swarm, a.swarm.local_source(), &cid).await == data,
            "{size} bytes"
        );
        let found = a
            .swarm
            .look_up(&a.swarm.local_source(), &cid, &[])
            .await
            .unwrap();
        assert_eq!((found.kind, found.size), (EntryKind::File, size as u64));
    }
    // All chunks alike: one block many times.
    let zeros = vec![0; 40 * CHUNK];
    let cid = add(&a.swarm, &zeros, false).await;
    assert_eq!(cat(&a.swarm, a.swarm.local_source(), &cid).await, zeros);
    assert_eq!(a.swarm.verify_store().await.unwrap().damaged, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_nest_and_hold_any_name() {
    let a = node(201, |_| ()).await;
    let source = a.swarm.local_source();
    let (one, empty) = (
        add(&a.swarm, b"one", false).await,
        add(&a.swarm, b"", false).await,
    );
    let inner = folder(&a.swarm, &[("größe 文.txt", one), ("empty", empty)], false).await;
    let nothing = folder(&a.swarm, &[], false).await;
    let root = folder(
        &a.swarm,
        &[("in", inner), ("nothing", nothing), ("..x", one)],
        true,
    )
    .await;
    let listed = a.swarm.list_folder(&source, &root).await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind))
        .collect();
    assert_eq!(
        names,
        [
            ("..x", EntryKind::File),
            ("in", EntryKind::Folder),
            ("nothing", EntryKind::Folder)
        ]
    );
    let path = ["in".to_owned(), "größe 文.txt".to_owned()];
    let found = a.swarm.look_up(&source, &root, &path).await.unwrap();
    assert_eq!((found.cid, found.size), (one, 3));
    let missing = a.swarm.look_up(&source, &root, &["no".into()]).await;
    assert!(
        matches!(missing, Err(ContentError::NoEntry { .. })),
        "{missing:?}"
    );
    let below = a
        .swarm
        .look_up(&source, &root, &["..x".into(), "y".into()])
        .await;
    assert!(matches!(below, Err(ContentError::Kind { .. })), "{below:?}");
    let mut read = a
        .swarm
        .read_file(source.clone(), DagLimits::default(), &root);
    assert!(matches!(
        read.next().await,
        Some(Err(ContentError::Kind { .. }))
    ));
    for bad in ["", "..", "a/b"] {
        let entry = NewEntry {
            name: bad.into(),
            target: EntryTarget::Content(one),
        };
        let refused = a.swarm.add_folder(vec![entry], None).await;
        assert!(
            matches!(refused, Err(ContentError::Name { .. })),
            "{refused:?}"
        );
    }
    let link = NewEntry {
        name: "link".into(),
        target: EntryTarget::Symlink("in/x".into()),
    };
    let linked = a.swarm.add_folder(vec![link], None).await.unwrap().cid;
    let listed = a.swarm.list_folder(&source, &linked).await.unwrap();
    assert_eq!(listed[0].target.as_deref(), Some("in/x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_thousands_is_a_hash_tree_and_reads_the_same() {
    let a = node(202, |_| ()).await;
    let source = a.swarm.local_source();
    let one = add(&a.swarm, b"one", false).await;
    let names: Vec<String> = (0..6000).map(|n| format!("entry number {n:05}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), one)).collect();
    let root = folder(&a.swarm, &entries, false).await;
    let listed = a.swarm.list_folder(&source, &root).await.unwrap();
    let found: Vec<_> = listed.into_iter().map(|entry| entry.name).collect();
    assert_eq!(found, names);
    for name in [&names[0], &names[5999], &names[1234]] {
        let found = a
            .swarm
            .look_up(&source, &root, std::slice::from_ref(name))
            .await;
        assert_eq!(found.unwrap().cid, one);
    }
    let missing = a.swarm.look_up(&source, &root, &["entry".into()]).await;
    assert!(
        matches!(missing, Err(ContentError::NoEntry { .. })),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_travels_between_nodes_and_is_pinned_whole() {
    let a = node(203, |_| ()).await;
    let b = node_with(204, &a).await;
    acquainted(&a, &b).await;
    let data = content(9, 20 * CHUNK + 77);
    let file = add(&a.swarm, &data, false).await;
    let root = folder(&a.swarm, &[("file", file)], false).await;
    let network: Arc<dyn BlockSource> = Arc::new(Network(b.swarm.clone()));
    let found = b
        .swarm
        .look_up(&network, &root, &["file".into()])
        .await
        .unwrap();
    assert_eq!(found.size, data.len() as u64);
    assert!(cat(&b.swarm, network.clone(), &file).await == data);
    let pinned = b
        .swarm
        .pin_dag(&root, Some("copy".into()), network, DagLimits::default())
        .await;
    assert_eq!(pinned.unwrap(), 1 + 1 + 21);
    let pins = b.swarm.pins().await.unwrap();
    assert_eq!((pins[0].cid, pins[0].name.as_deref()), (root, Some("copy")));
    // Without the network, all is there.
    a.swarm.shutdown().await;
    assert!(cat(&b.swarm, b.swarm.local_source(), &file).await == data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_hold() {
    let a = node(205, |_| ()).await;
    let source = a.swarm.local_source();
    let file = add(&a.swarm, &content(3, 10 * CHUNK), false).await;
    let mut deep = folder(&a.swarm, &[("x", file)], false).await;
    for _ in 0..10 {
        deep = folder(&a.swarm, &[("x", deep)], false).await;
    }
    let whole = DagLimits::default();
    let cases = [
        (
            file,
            DagLimits {
                bytes: 9 * CHUNK as u64,
                ..whole
            },
        ),
        (file, DagLimits { blocks: 5, ..whole }),
        (file, DagLimits { links: 9, ..whole }),
        (deep, DagLimits { depth: 8, ..whole }),
    ];
    for (root, limits) in cases {
        let pinned = a.swarm.pin_dag(&root, None, source.clone(), limits).await;
        assert!(
            matches!(pinned, Err(ContentError::Limit { .. })),
            "{limits:?}: {pinned:?}"
        );
        let car = a.swarm.export_car(source.clone(), limits, &root);
        assert!(car.try_collect::<Vec<_>>().await.is_err());
        if root == file {
            let read = a.swarm.read_file(source.clone(), limits, &root);
            assert!(read.try_collect::<Vec<_>>().await.is_err(), "{limits:?}");
        }
    }
    assert!(a.swarm.pins().await.unwrap().is_empty());
    a.swarm.pin_dag(&deep, None, source, whole).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lies_about_its_size_is_refused() {
    let a = node(206, |_| ()).await;
    let source = a.swarm.local_source();
    let file = add(&a.swarm, &content(4, 2 * CHUNK), false).await;
    let honest = a.swarm.local_block(&file).await.unwrap().unwrap();
    // The size of the file stands near the end, as a varint: 2 * CHUNK is 80 80 20.
    let at = honest
        .windows(4)
        .rposition(|w| w == [0x18, 0x80, 0x80, 0x20])
        .unwrap();
    let mut lie = honest.clone();
    lie[at + 3] = 0x21;
    let hash = cid::multihash::Multihash::wrap(0x12, &sha2_of(&lie)).unwrap();
    let cid = Cid::new_v1(0x70, hash);
    a.swarm.keep_block(&cid, lie.clone()).await.unwrap();
    let read = a
        .swarm
        .read_file(source.clone(), DagLimits::default(), &cid);
    let read = read.try_collect::<Vec<_>>().await;
    assert!(
        matches!(read, Err(ContentError::Malformed { .. })),
        "{read:?}"
    );
    let refused = a.swarm.keep_block(&file, lie).await;
    assert!(matches!(refused, Err(SwarmError::Store(_))), "{refused:?}");
}

fn sha2_of(data: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(data).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_goes_out_and_in() {
    let a = node(207, |_| ()).await;
    let b = node(208, |_| ()).await;
    let data = content(5, 3 * CHUNK + 1);
    let file = add(&a.swarm, &data, false).await;
    let root = folder(&a.swarm, &[("f", file), ("g", file)], false).await;
    let car = export(&a.swarm, &root).await;
    let imported = b
        .swarm
        .import_car(pieces(car.clone()), Some(None))
        .await
        .unwrap();
    assert_eq!((imported.roots, imported.blocks), (vec![root], 1 + 1 + 4));
    assert!(cat(&b.swarm, b.swarm.local_source(), &file).await == data);
    assert_eq!(b.swarm.pins().await.unwrap()[0].cid, root);
    assert_eq!(export(&b.swarm, &root).await, car, "the same CAR again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_car_is_refused_and_pins_nothing() {
    let a = node(209, |_| ()).await;
    let b = node(210, |_| ()).await;
    let file = add(&a.swarm, &content(6, 2 * CHUNK), false).await;
    let car = export(&a.swarm, &file).await;
    let flipped = |at: usize| {
        let mut car = car.clone();
        car[at] ^= 1;
        car
    };
    let last = car.len() - 1;
    for bad in [
        flipped(2),
        flipped(last),
        car[..last].to_vec(),
        vec![],
        vec![0; 9],
    ] {
        let refused = b.swarm.import_car(pieces(bad), Some(None)).await;
        assert!(
            matches!(refused, Err(ContentError::Car { .. })),
            "{refused:?}"
        );
    }
    // Whole blocks only, but one is missing.
    let root = a.swarm.local_block(&file).await.unwrap().unwrap();
    let c = node(211, |_| ()).await;
    let mut partial = car[..car.len() - (CHUNK + 36 + 3)].to_vec();
    assert!(partial.len() > root.len());
    let refused = c
        .swarm
        .import_car(pieces(partial.clone()), Some(None))
        .await;
    assert!(
        matches!(refused, Err(ContentError::Swarm(SwarmError::NotFound(_)))),
        "{refused:?}"
    );
    c.swarm
        .import_car(pieces(std::mem::take(&mut partial)), None)
        .await
        .unwrap();
    assert!(b.swarm.pins().await.unwrap().is_empty());
    assert!(c.swarm.pins().await.unwrap().is_empty());
    assert_eq!(b.swarm.verify_store().await.unwrap().damaged, []);
}

async fn blocks(node: &Node) -> u64 {
    node.swarm.verify_store().await.unwrap().blocks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_goes_and_what_is_needed_stays() {
    let a = node(212, |_| ()).await;
    let pinned = add(&a.swarm, &content(7, 3 * CHUNK), true).await;
    let inside = folder(&a.swarm, &[("f", pinned)], true).await;
    let single = a.swarm.put_block(dag_cbor(&[1; 400]), true).await.unwrap();
    // A document that links to another, as the history of a playbook does.
    let below = a.swarm.put_block(dag_cbor(&[2; 400]), false).await.unwrap();
    let mut linking = vec![0x81, 0xd8, 0x2a, 0x58, 0x25, 0x00];
    linking.extend(below.to_bytes());
    let head = a.swarm.put_block(linking, false).await.unwrap();
    let unneeded = add(&a.swarm, &content(8, 2 * CHUNK), true).await;
    assert_eq!(blocks(&a).await, 4 + 1 + 1 + 2 + 3);

    // What was just stored stays without a pin.
    assert_eq!(a.swarm.collect_garbage(&[]).await.unwrap().removed, 0);
    // After a restart nothing is fresh.
    a.swarm.shutdown().await;
    let (swarm, _inbound) = pagi_swarm::start(config(212, a.dir.path())).await.unwrap();
    assert_eq!(swarm.pins().await.unwrap().len(), 4, "pins are durable");
    assert!(swarm.unpin_dag(&pinned).await.unwrap());
    assert!(!swarm.unpin_dag(&pinned).await.unwrap());
    assert!(swarm.unpin_dag(&unneeded).await.unwrap());
    let collected = swarm.collect_garbage(&[head]).await.unwrap();
    assert_eq!(
        (collected.removed, collected.kept, collected.missing),
        (3, 8, 0)
    );
    assert!(collected.bytes > 2 * CHUNK as u64);
    for cid in [&pinned, &inside, &single, &head, &below] {
        assert!(swarm.has_block(cid).await.unwrap(), "{cid}");
    }
    assert!(!swarm.has_block(&unneeded).await.unwrap());
    assert_eq!(
        cat(&swarm, swarm.local_source(), &pinned).await,
        content(7, 3 * CHUNK)
    );

    // A pinned folder that cannot be read: nothing is known of what is below, so nothing goes.
    let text = inside.to_string();
    let shard = &text[text.len() - 3..text.len() - 1];
    let file = a
        .dir
        .path()
        .join("ipfs/blockstore")
        .join(shard)
        .join(format!("{text}.data"));
    std::fs::write(file, b"rubbish").unwrap();
    let refused = swarm.collect_garbage(&[head]).await;
    assert!(
        matches!(refused, Err(ContentError::Damaged(cid)) if cid == inside),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unpinned_goes_as_a_whole_though_it_is_fresh() {
    let a = node(214, |_| ()).await;
    let b = node_with(215, &a).await;
    let shared = add(&a.swarm, &content(11, CHUNK), true).await;
    let file = add(&a.swarm, &content(12, 3 * CHUNK), true).await;
    let all = folder(&a.swarm, &[("f", file), ("s", shared)], true).await;
    let limits = DagLimits::default();
    let source = Arc::new(Network(b.swarm.clone()));
    let pinned = b.swarm.pin_dag(&all, None, source, limits).await.unwrap();
    assert_eq!(pinned, 1 + 4 + 1);
    assert!(b.swarm.unpin_dag(&all).await.unwrap());
    // What comes after that is fresh again.
    add(&b.swarm, &content(11, CHUNK), false).await;
    let collected = b.swarm.collect_garbage(&[]).await.unwrap();
    assert_eq!((collected.removed, collected.kept), (5, 1), "{collected:?}");
    assert!(b.swarm.has_block(&shared).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_add_that_breaks_off_leaves_no_pin_and_can_be_repeated() {
    let a = node(213, |_| ()).await;
    let data = content(10, 5 * CHUNK);
    let broken = stream::iter([
        Ok(data[..3 * CHUNK].to_vec()),
        Err(std::io::Error::other("the wire was cut")),
    ]);
    let failed = a.swarm.add_file(broken, Some(None)).await;
    assert!(
        matches!(failed, Err(ContentError::BrokenOff(_))),
        "{failed:?}"
    );
    assert!(a.swarm.pins().await.unwrap().is_empty());
    let cid = add(&a.swarm, &data, true).await;
    assert!(cat(&a.swarm, a.swarm.local_source(), &cid).await == data);
}

/// Tells the child process where to write; without it the child test does nothing.
const DIR: &str = "PAGI_SWARM_CONTENT_DIR";

/// Runs in a process of its own: adds files and reports each once it is said to be durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of a_kill_in_the_middle_of_an_add_loses_nothing_that_was_acknowledged"]
async fn child_that_adds() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let (swarm, _inbound) = pagi_swarm::start(config(214, dir.as_ref())).await.unwrap();
    for n in 0u32.. {
        let cid = add(&swarm, &content(n, 12 * CHUNK + 3), true).await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nadded {n} {cid}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_an_add_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "content::child_that_adds",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut added = lines.map_while(Result::ok).filter_map(|line| {
            let (n, cid) = line.strip_prefix("added ")?.split_once(' ')?;
            Some((n.parse::<u32>().unwrap(), cid.parse::<Cid>().unwrap()))
        });
        let mut acknowledged: Vec<_> = added.by_ref().take(round).collect();
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        acknowledged.extend(added);

        let (swarm, _inbound) = pagi_swarm::start(config(214, dir.path())).await.unwrap();
        assert_eq!(swarm.verify_store().await.unwrap().damaged, []);
        let pins = swarm.pins().await.unwrap();
        for (n, cid) in &acknowledged {
            assert!(
                pins.iter().any(|pin| pin.cid == *cid),
                "the pin of {cid} is lost"
            );
            let data = cat(&swarm, swarm.local_source(), cid).await;
            assert!(data == content(*n, 12 * CHUNK + 3));
        }
        // What was under way can be added again, and what is half there is garbage.
        let next = acknowledged.len() as u32;
        let cid = add(&swarm, &content(next, 12 * CHUNK + 3), false).await;
        assert!(cat(&swarm, swarm.local_source(), &cid).await == content(next, 12 * CHUNK + 3));
        swarm.collect_garbage(&[]).await.unwrap();
        let check = swarm.verify_store().await.unwrap();
        assert_ne!(check, StoreCheck::default());
        swarm.shutdown().await;
    }
}
