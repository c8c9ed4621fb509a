//! Files and folders by content id, as users of the command line and of the control API meet them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cid::Cid;
use pagi_messages::content::cid_of;
use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    program::Outcome,
    wait::until,
};

const CHUNK: usize = 256 * 1024;

/// What is in a folder: paths, with content, link target or nothing for a folder.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let kind = path.symlink_metadata().unwrap();
            let content = if kind.is_dir() {
                open.push(path);
                b"a folder".to_vec()
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                format!("a link to {}", target.display()).into_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(name, content);
        }
    }
    found
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| (n / 251) as u8 ^ (n as u8).wrapping_mul(7) ^ seed)
        .collect()
}

fn sample(root: &Path) -> PathBuf {
    let folder = root.join("sample");
    fs::create_dir_all(folder.join("deep/deeper/größe 文字")).unwrap();
    fs::create_dir(folder.join("nothing")).unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("small.txt"), b"hello world").unwrap();
    fs::write(folder.join("large"), bytes(1, 5 * CHUNK + 17)).unwrap();
    fs::write(folder.join("deep/deeper/größe 文字/ä.bin"), bytes(2, CHUNK)).unwrap();
    std::os::unix::fs::symlink("deep/deeper", folder.join("way")).unwrap();
    folder
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

async fn add(home: &Home, path: &Path) -> String {
    let done = home
        .json(&["ipfs", "add", "-r", path.to_str().unwrap()])
        .await;
    text(&done["added"][0]["cid"])
}

#[track_caller]
fn fine(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

async fn connected(node: &Node) {
    until("a peer", async || match node.get("/peers").await {
        Value::Array(peers) if !peers.is_empty() => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
}

#[tokio::test]
async fn a_folder_goes_from_node_to_node_and_comes_out_the_same() {
    let homes = [Home::new(), Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    connected(&second).await;
    let folder = sample(homes[0].root());
    let cid = add(&homes[0], &folder).await;
    assert_eq!(
        add(&homes[0], &folder).await,
        cid,
        "the same content, the same CID"
    );

    let listed = homes[1]
        .json(&["ipfs", "ls", &format!("{cid}/deep/deeper")])
        .await;
    assert_eq!(listed["entries"][0]["name"], "größe 文字");
    let small = homes[1]
        .pagi(&["ipfs", "cat", &format!("{cid}/small.txt")])
        .await;
    fine(&small);
    assert_eq!(small.stdout, "hello world");
    let empty = homes[1]
        .pagi(&["ipfs", "cat", &format!("/ipfs/{cid}/empty")])
        .await;
    fine(&empty);
    assert_eq!(empty.stdout, "");

    let out = homes[1].root().join("out");
    let get = |extra: &'static [&'static str]| {
        let args = [&["ipfs", "get", &cid, "-o", out.to_str().unwrap()], extra].concat();
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let home = &homes[1];
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            home.pagi(&args).await
        }
    };
    fine(&get(&[]).await);
    assert!(tree(&out) == tree(&folder), "{:?}", tree(&out).keys());
    // What is there is not replaced unasked.
    fs::write(out.join("small.txt"), b"mine").unwrap();
    assert!(get(&[]).await.complaint(1).contains("exists"));
    assert_eq!(fs::read(out.join("small.txt")).unwrap(), b"mine");
    fine(&get(&["--force"]).await);
    assert!(tree(&out) == tree(&folder));

    // As a CAR to a node that is connected with nobody.
    let _third = homes[2].start().await;
    let car = homes[0].root().join("x.car");
    fine(
        &homes[1]
            .pagi(&["ipfs", "export", &cid, "-o", car.to_str().unwrap()])
            .await,
    );
    let again = homes[0]
        .json(&["ipfs", "import", car.to_str().unwrap()])
        .await;
    assert_eq!(again["roots"], json!([cid]));
    let alone = format!("{cid}/large");
    let missing = homes[2]
        .pagi(&["ipfs", "ls", &alone, "--timeout", "0"])
        .await;
    assert!(
        missing
            .complaint(1)
            .contains("there is no block on this node"),
        "{missing:?}"
    );
    fine(
        &homes[2]
            .pagi(&["ipfs", "import", car.to_str().unwrap()])
            .await,
    );
    let listed = homes[2]
        .json(&["ipfs", "ls", &alone, "--timeout", "0"])
        .await;
    assert_eq!(listed["entry"]["size"], 5 * CHUNK + 17);
    let damaged = fs::read(&car).unwrap();
    fs::write(&car, &damaged[..damaged.len() - 5]).unwrap();
    let refused = homes[2]
        .pagi(&["ipfs", "import", car.to_str().unwrap()])
        .await;
    assert!(refused.complaint(1).contains("cut short"), "{refused:?}");
}

#[tokio::test]
async fn a_node_that_was_away_fetches_whole_files() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    for round in 0..3 {
        let second = homes[1].launch().bootstrap(&first).start().await;
        connected(&second).await;
        let file = homes[0].root().join("file");
        let content = bytes(10 + round, 6 * CHUNK + 1);
        fs::write(&file, &content).unwrap();
        let cid = add(&homes[0], &file).await;
        let out = homes[1].root().join(format!("out-{round}"));
        let get = ["ipfs", "get", &cid, "-o", out.to_str().unwrap()];
        fine(&homes[1].pagi(&get).await);
        assert!(fs::read(&out).unwrap() == content, "round {round}");
        second.kill().await;
    }
}

#[tokio::test]
async fn what_is_not_found_says_whom_it_was_asked_of() {
    let homes = [Home::new(), Home::new()];
    let first = homes[0].start().await;
    let second = homes[1].launch().bootstrap(&first).start().await;
    connected(&second).await;
    let nowhere = "bafkreibbygg5j4lu7lsyrnh4g2l6j7yrk4yosyzpjxcmgyhjmwxzmxy2tm";
    for command in ["cat", "ls", "export"] {
        let outcome = homes[1]
            .pagi(&["ipfs", command, nowhere, "--timeout", "1"])
            .await;
        let said = outcome.complaint(1);
        assert!(said.contains("was not found within 1 s: asked"), "{said}");
        assert!(said.contains(&first.ready.peer_id), "{said}");
    }
    let pin = homes[1]
        .pagi(&["ipfs", "pin", "add", nowhere, "--timeout", "1"])
        .await;
    assert!(pin.complaint(1).contains(&first.ready.peer_id), "{pin:?}");
    assert_eq!(homes[1].json(&["ipfs", "pin", "ls"]).await, json!([]));
    homes[1]
        .pagi(&["ipfs", "cat", "nonsense"])
        .await
        .complaint(2);
}

fn varint(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// A folder as nobody of good will makes it.
fn folder_of(entries: &[(&str, Cid)]) -> (Cid, Vec<u8>) {
    let mut node = Vec::new();
    for (name, cid) in entries {
        let mut link = Vec::new();
        field(1, &cid.to_bytes(), &mut link);
        field(2, name.as_bytes(), &mut link);
        field(2, &link, &mut node);
    }
    field(1, &[8, 1], &mut node);
    sealed(0x70, node)
}

fn sealed(codec: u64, data: Vec<u8>) -> (Cid, Vec<u8>) {
    (Cid::new_v1(codec, *cid_of(&data).hash()), data)
}

fn car(blocks: &[&(Cid, Vec<u8>)]) -> Vec<u8> {
    let root = blocks[0].0.to_bytes();
    let mut header = vec![0xa2, 0x65];
    header.extend(b"roots");
    header.extend([0x81, 0xd8, 0x2a, 0x58, root.len() as u8 + 1, 0]);
    header.extend(root);
    header.push(0x67);
    header.extend(b"version");
    header.push(1);
    let mut out = Vec::new();
    varint(header.len(), &mut out);
    out.extend(header);
    for (cid, data) in blocks {
        let cid = cid.to_bytes();
        varint(cid.len() + data.len(), &mut out);
        out.extend(cid);
        out.extend_from_slice(data);
    }
    out
}

#[tokio::test]
async fn a_strangers_folder_writes_nothing_outside() {
    let home = Home::new();
    let _node = home.start().await;
    let file = sealed(0x55, b"evil".to_vec());
    let link = |target: &str| {
        let mut data = vec![8, 4];
        field(2, target.as_bytes(), &mut data);
        let mut node = Vec::new();
        field(1, &data, &mut node);
        sealed(0x70, node)
    };
    let (out, car_file) = (home.root().join("a/b/out"), home.root().join("evil.car"));
    fs::create_dir_all(out.parent().unwrap()).unwrap();
    let before = |home: &Home| {
        let entries = fs::read_dir(home.root().join("a")).unwrap().count();
        (
            entries,
            fs::read_dir(home.root().join("a/b")).unwrap().count(),
        )
    };
    let import = async |blocks: &[&(Cid, Vec<u8>)]| {
        fs::write(&car_file, car(blocks)).unwrap();
        let path = car_file.to_str().unwrap();
        fine(&home.pagi(&["ipfs", "import", path]).await);
    };
    let get = async |cid: &Cid| {
        let (cid, out) = (cid.to_string(), out.to_str().unwrap());
        home.pagi(&["ipfs", "get", &cid, "-o", out]).await
    };
    for name in [
        "../evil",
        "..",
        ".",
        "",
        "/tmp/evil",
        "a/../../evil",
        "a\0b",
    ] {
        let root = folder_of(&[(name, file.0)]);
        import(&[&root, &file]).await;
        let outcome = get(&root.0).await;
        assert_eq!(outcome.code, Some(1), "{name:?}: {outcome:?}");
        assert!(outcome.stderr.contains("the name"), "{outcome:?}");
        assert!(!out.exists(), "{name:?}");
        assert_eq!(before(&home), (1, 0), "{name:?}");
    }
    // The same name twice: first a link that leads out, then a folder that would go through it.
    let outward = link("../..");
    let inner = folder_of(&[("evil", file.0)]);
    let root = folder_of(&[("x", outward.0), ("x", inner.0)]);
    import(&[&root, &outward, &inner, &file]).await;
    let outcome = get(&root.0).await;
    assert!(outcome.complaint(1).contains("same name"), "{outcome:?}");
    assert_eq!(before(&home), (1, 0));
    // Links that lead out are left out, and it is said.
    let absolute = link("/etc/passwd");
    let root = folder_of(&[("abs", absolute.0), ("f", file.0), ("up", outward.0)]);
    import(&[&root, &absolute, &file, &outward]).await;
    let outcome = get(&root.0).await;
    fine(&outcome);
    assert!(outcome.stderr.contains("leads out"), "{outcome:?}");
    assert_eq!(
        tree(&out),
        BTreeMap::from([("f".to_owned(), b"evil".to_vec())])
    );
    // A link that is there already is not followed, even with --force.
    let (target, trap) = (home.root().join("target"), home.root().join("trap"));
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, &trap).unwrap();
    let (cid, path) = (root.0.to_string(), trap.to_str().unwrap());
    let refused = home
        .pagi(&["ipfs", "get", &cid, "-o", path, "--force"])
        .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[tokio::test]
async fn garbage_collection_leaves_pins_and_the_playbook() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    let twin_id = node.twin().await;
    let goal = "Check this machine's health and report anything above 80%";
    let done = node.ask(&twin_id, goal).await;
    let artifact = text(&done["artifact_cid"]);
    let merged = until("the lesson to be merged", async || {
        let log = node.get("/playbook/log").await;
        match log.as_array().is_some_and(|log| !log.is_empty()) {
            true => Ok(log),
            false => Err(log.to_string()),
        }
    })
    .await;
    let folder = sample(home.root());
    let kept = add(&home, &folder).await;
    let gone = home.root().join("gone");
    fs::write(&gone, bytes(9, 3 * CHUNK)).unwrap();
    let gone = add(&home, &gone).await;
    let pins = home.json(&["ipfs", "pin", "ls"]).await;
    assert_eq!(pins.as_array().unwrap().len(), 2, "{pins}");
    let held = home.pagi(&["ipfs", "pin", "rm", &artifact]).await;
    assert!(held.complaint(1).contains("by the node itself"), "{held:?}");
    node.kill().await;

    // After a restart nothing counts as new.
    let node = home.start().await;
    assert_eq!(
        home.json(&["ipfs", "pin", "ls"]).await,
        pins,
        "pins are durable"
    );
    fine(&home.pagi(&["ipfs", "pin", "rm", &gone]).await);
    home.pagi(&["ipfs", "pin", "rm", &gone]).await.complaint(1);
    let collected = home.json(&["ipfs", "gc"]).await;
    assert_eq!(
        (&collected["removed"], &collected["missing"]),
        (&json!(4), &json!(0))
    );
    assert_eq!(home.json(&["ipfs", "gc"]).await["removed"], 0);
    home.pagi(&["ipfs", "cat", &gone, "--timeout", "0"])
        .await
        .complaint(1);

    let out = home.root().join("out");
    let get = [
        "ipfs",
        "get",
        &kept,
        "--timeout",
        "0",
        "-o",
        out.to_str().unwrap(),
    ];
    fine(&home.pagi(&get).await);
    assert!(tree(&out) == tree(&folder));
    let check = node.get("/playbook/verify").await;
    assert_eq!(check["valid"], true, "{check}");
    let playbook = node.get("/playbook").await;
    let mut needed = BTreeSet::from([
        artifact,
        text(&playbook["genesis"]),
        text(&playbook["head"]),
    ]);
    needed.extend(
        merged
            .as_array()
            .unwrap()
            .iter()
            .map(|revision| text(&revision["cid"])),
    );
    needed.extend(
        node.get("/mo").await["certificate"]
            .as_str()
            .map(str::to_owned),
    );
    for cid in needed {
        node.get(&format!("/ipfs/dag/{cid}")).await;
        let exported = home.root().join(format!("{cid}.car"));
        let path = exported.to_str().unwrap();
        fine(
            &home
                .pagi(&["ipfs", "export", &cid, "--timeout", "0", "-o", path])
                .await,
        );
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_an_add_leaves_a_store_that_opens() {
    let home = Home::new();
    let file = home.root().join("file");
    let content = bytes(3, 120 * CHUNK + 9);
    fs::write(&file, &content).unwrap();
    let blocks = home.data().join("ipfs/blockstore");
    let count = |folder: &Path| {
        let shards = fs::read_dir(folder).unwrap();
        shards
            .map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count())
            .sum::<usize>()
    };
    for round in 0..2 {
        let node = home.start().await;
        let before = count(&blocks);
        let path = file.to_str().unwrap();
        let args = ["ipfs", "add", path];
        let adding = home.pagi(&args);
        let kill = async {
            if round == 0 {
                until("blocks on disk", async || match count(&blocks) {
                    now if now > before + 3 => Ok(()),
                    now => Err(now.to_string()),
                })
                .await;
            }
            node.kill().await;
        };
        tokio::join!(adding, kill);
    }
    let _node = home.start().await;
    let cid = add(&home, &file).await;
    let out = home.root().join("out");
    fine(
        &home
            .pagi(&[
                "ipfs",
                "get",
                &cid,
                "-o",
                out.to_str().unwrap(),
                "--timeout",
                "0",
            ])
            .await,
    );
    assert!(fs::read(&out).unwrap() == content);
    let left: Vec<PathBuf> = fs::read_dir(&blocks)
        .unwrap()
        .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_control_api_streams_both_ways_and_refuses_what_is_wrong() {
    let home = Home::new();
    let node = home.start().await;
    let octets = node.http.with("content-type", "application/octet-stream");
    // More than a JSON body may be.
    let content = bytes(4, 5 * 1024 * 1024);
    let added = octets
        .send("POST", "/ipfs/files?name=five", content.clone())
        .await
        .ok();
    assert_eq!(
        (&added["bytes"], &added["pinned"]),
        (&json!(content.len()), &json!(true))
    );
    let cid = text(&added["cid"]);
    let back = node.http.get(&format!("/ipfs/files/{cid}")).await;
    assert_eq!(back.status, 200);
    assert_eq!(back.headers["content-length"], content.len().to_string());
    assert!(back.body == content);
    let pins = node.get("/ipfs/pins").await;
    assert_eq!(
        (&pins[0]["cid"], &pins[0]["name"]),
        (&json!(cid), &json!("five"))
    );

    // Content that cannot be had whole must not pass for whole.
    let cut = format!("/ipfs/car/{cid}?max_bytes=1000000");
    assert!(node.http.try_send("GET", &cut, "").await.is_err());

    let folder = json!({"entries": [{"name": "a/b", "cid": cid}]});
    node.http
        .post("/ipfs/folders", &folder)
        .await
        .problem(422, "invalid");
    let folder = json!({"entries": [{"name": "a"}]});
    node.http
        .post("/ipfs/folders", &folder)
        .await
        .problem(422, "invalid");
    for path in ["/ipfs/files", "/ipfs/car"] {
        let page = node.http.with("content-type", "text/plain");
        let refused = page.send("POST", path, "x").await;
        refused.problem(415, "unsupported-media-type");
    }
    octets
        .send("POST", "/ipfs/car", "no car")
        .await
        .problem(422, "invalid");
    node.http
        .get("/ipfs/files/nonsense")
        .await
        .problem(400, "malformed");
    node.http
        .get(&format!("/ipfs/ls/{cid}?path=x"))
        .await
        .problem(422, "invalid");
}
