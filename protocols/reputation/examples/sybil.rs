//! A thousand fakes that vouch for each other beside twenty honest members, as a table:
//! `cargo run -p pagi-reputation --example sybil`.

use std::collections::BTreeMap;

use pagi_messages::{Did, SigningIdentity};
use pagi_reputation::{Flow, Standing, Vouch, standings};

const NOW: u64 = 1_800_000_000;
const HONEST: u32 = 20;
const FAKES: u32 = 1_000;

fn did(n: u32) -> Did {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    SigningIdentity::from_seed(&seed).did().clone()
}

/// 0 is the root, 1 to 20 are honest, the fakes begin at 1000.
fn fake(n: u32) -> u32 {
    1_000 + n % FAKES
}

fn main() {
    let all: BTreeMap<u32, Did> = (0..=HONEST)
        .chain((0..FAKES).map(fake))
        .map(|n| (n, did(n)))
        .collect();
    let vouch = |issuer: u32, subject: u32, score: f64| Vouch {
        issuer: all[&issuer].clone(),
        subject: all[&subject].clone(),
        score,
        issued_s: NOW,
        until_s: None,
    };
    let mut base = Vec::new();
    for n in 1..=HONEST {
        base.push(vouch(0, n, 0.9));
        for step in [1, 3] {
            base.push(vouch(n, 1 + (n - 1 + step) % HONEST, 0.8));
        }
    }
    // Each fake vouches for ten others without reserve.
    for n in 0..FAKES {
        for step in 1..=10 {
            base.push(vouch(fake(n), fake(n + step * step), 1.0));
        }
    }
    println!(
        "honest members taken in | vouches for fakes | best fake | all fakes | worst honest | fakes above an honest one"
    );
    println!("---:|---:|---:|---:|---:|---:");
    for (fooled, each) in [(0, 0), (1, 1), (1, 100), (5, 1), (5, 100), (20, 50)] {
        let mut vouches = base.clone();
        for honest in 1..=fooled {
            for n in 0..each {
                vouches.push(vouch(honest, fake(honest * 37 + n * 9), 0.8));
            }
        }
        let seen = standings(&[all[&0].clone()], &vouches, &Flow::default(), NOW);
        let of = |n: u32| {
            seen.get(&all[&n])
                .map_or(0.0, |one: &Standing| one.standing)
        };
        let fakes: Vec<f64> = (0..FAKES).map(|n| of(fake(n))).collect();
        let best = fakes.iter().copied().fold(0.0, f64::max);
        let worst = (1..=HONEST).map(of).fold(f64::MAX, f64::min);
        let above = fakes.iter().filter(|one| **one >= worst).count();
        let sum: f64 = fakes.iter().sum();
        let vouched = fooled * each;
        println!("{fooled} | {vouched} | {best:.4} | {sum:.4} | {worst:.4} | {above}");
    }
}
