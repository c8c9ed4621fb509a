//! How long it takes to insert, join and verify a history: `merge [REVISIONS]`, 10,000 unless given.
//!
//! Every revision merges one artifact with a case, a bullet and a count; every tenth joins a fork.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement that cannot go on has failed"
)]

use std::time::Instant;

use pagi_messages::{SigningIdentity, Verified, cid_of};
use pagi_playbook::{Bullet, Case, CaseStep, Count, Dag, Delta, Genesis, Merged, seal};

fn main() {
    let wanted: usize = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let genesis = || Genesis::from_toml("lab", "version = \"1\"\n").unwrap();
    let authors: Vec<SigningIdentity> = (1..=20)
        .map(|n| SigningIdentity::from_seed(&[n; 32]))
        .collect();
    let start = Instant::now();
    let (mut dag, mut blocks) = (Dag::new(genesis()).unwrap(), Vec::new());
    let mut fork: Option<pagi_playbook::Revision> = None;
    for n in 0..wanted {
        let author = &authors[n % authors.len()];
        let step = CaseStep {
            tool: "calculator".into(),
            parameters: Default::default(),
        };
        let case = Case::new([format!("term{n}")], vec![step]);
        let delta = Delta {
            bullets: vec![Bullet::new("planning", format!("Lesson {n}."))],
            counts: vec![Count {
                target: case.id.clone(),
                helpful: 1,
                harmful: 0,
            }],
            cases: vec![case],
            ..Delta::default()
        };
        let merged = Merged {
            artifact: cid_of(format!("artifact {n}").as_bytes()),
            author: author.did().clone(),
            delta,
        };
        // Once in ten, two revisions follow the same head.
        let mut revision = dag.next(vec![merged.clone()], 1, None, None, n as u64);
        match n % 10 {
            8 => fork = Some(revision.clone()),
            9 => {
                if let Some(same) = fork.take() {
                    revision = same;
                    revision.merged = vec![merged];
                    revision.timestamp = n as u64;
                }
            }
            _ => {}
        }
        let signed = Verified::sign(author, revision).unwrap();
        let (cid, bytes) = seal(&signed).unwrap();
        dag.insert(cid, &signed).unwrap();
        blocks.push((cid, bytes));
    }
    println!(
        "make, sign and insert {wanted}: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let bytes: usize = blocks.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("blocks: {:.1} KiB", bytes as f64 / 1024.0);
    let start = Instant::now();
    blocks.reverse();
    let again = Dag::replay(genesis(), blocks).unwrap();
    println!(
        "replay {wanted} blocks (hash, signature, link, fold): {:.2} s",
        start.elapsed().as_secs_f64()
    );
    assert_eq!(again.head(), dag.head());
    let start = Instant::now();
    let checked = dag.verify().unwrap();
    println!(
        "verify {} revisions, {} artifacts: {:.2} s",
        checked.revisions,
        checked.artifacts,
        start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let mut empty = Dag::new(genesis()).unwrap();
    empty.join(&dag).unwrap();
    println!(
        "join {wanted} into an empty one: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    assert_eq!(empty.state(), dag.state());
}
