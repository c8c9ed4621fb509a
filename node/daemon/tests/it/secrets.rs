//! Looking for private keys where none may be.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use crate::node::{Home, Node};

/// The forms a key could show itself in.
fn forms(seed: &[u8]) -> Vec<Vec<u8>> {
    let base58 = multibase::encode(multibase::Base::Base58Btc, seed);
    let list = format!("{seed:?}");
    vec![
        seed.to_vec(),
        hex::encode(seed).into_bytes(),
        hex::encode_upper(seed).into_bytes(),
        STANDARD.encode(seed).into_bytes(),
        STANDARD_NO_PAD.encode(seed).into_bytes(),
        URL_SAFE_NO_PAD.encode(seed).into_bytes(),
        base58.as_bytes()[1..].to_vec(),
        list.trim_matches(['[', ']']).as_bytes().to_vec(),
    ]
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// Every private key in a data directory, which must be unencrypted.
pub fn seeds(home: &Home) -> Vec<Vec<u8>> {
    let keys = home.data().join("keys");
    let mut files = vec![keys.join("node.key")];
    for entry in std::fs::read_dir(keys.join("twins")).unwrap() {
        files.push(entry.unwrap().path());
    }
    let seeds: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(seeds.iter().all(|seed| seed.len() == 32));
    seeds
}

/// Fails where one of the private keys is in `bytes`.
pub fn not_in(seeds: &[Vec<u8>], place: &str, bytes: &[u8]) {
    for seed in seeds {
        for form in forms(seed) {
            assert!(!holds(bytes, &form), "a private key is in {place}");
        }
    }
}

/// Every file in a directory and below.
pub fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false if path.is_file() => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// Fails where a private key of `home` is in its log, its store, its events, its audit log, or any
/// answer of its control API.
pub async fn none_shown(home: &Home, node: &Node) {
    let seeds = seeds(home);
    let mut shown: Vec<(String, Vec<u8>)> = Vec::new();
    let document = node.get("/openapi.json").await;
    let twins = node.get("/twins").await;
    let twin_id = twins[0]["twin_id"].as_str().unwrap_or("none").to_owned();
    let did = twins[0]["did"].as_str().unwrap_or("none").to_owned();
    for (path, item) in document["paths"].as_object().unwrap() {
        let other = path.replace("{twin_id}", "").contains('{');
        if item.get("get").is_none() || path == "/events" || other {
            continue;
        }
        let query = match path.as_str() {
            "/reputation" => format!("?did={did}"),
            path if path.ends_with("/search") => "?q=disk".to_owned(),
            _ => String::new(),
        };
        let path = format!("{}{query}", path.replace("{twin_id}", &twin_id));
        let answer = node.http.get(&path).await;
        shown.push((path, answer.text().as_bytes().to_vec()));
    }
    assert!(shown.len() > 20, "{}", shown.len());
    let events = node.events_after(0).await;
    shown.push(("the events".into(), serde_json::to_vec(&events).unwrap()));
    for file in std::fs::read_dir(home.data()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            shown.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    let log = std::fs::read(home.root().join("log.txt")).unwrap();
    shown.push(("the log".into(), log));
    for (place, bytes) in &shown {
        not_in(&seeds, place, bytes);
    }
}

#[test]
fn a_key_would_be_found() {
    let seed: Vec<u8> = (0..32).collect();
    for form in forms(&seed) {
        let text = [b"before ".as_slice(), &form, b" after"].concat();
        assert!(forms(&seed).iter().any(|form| holds(&text, form)));
    }
}
