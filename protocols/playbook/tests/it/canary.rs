//! Trials in a simulated swarm: lossy reports, nodes of differing skill, liars. Every run comes from its
//! seed alone.

use std::collections::BTreeSet;

use pagi_messages::{Did, SigningIdentity, cid_of};
use pagi_playbook::canary::{Config, Outcomes, Report, Trial, Verdict};

const SEEDS: u64 = 300;
const NODES: u64 = 60;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What the artifacts do to the chance of success, and how many nodes lie to get them in or out.
#[derive(Clone, Copy)]
struct World {
    effect: f64,
    liars: f64,
}

fn swarm() -> BTreeSet<Did> {
    (0..NODES)
        .map(|n| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_le_bytes());
            SigningIdentity::from_seed(&seed).did().clone()
        })
        .collect()
}

fn ended(rng: &mut Rng, goals: u64, chance: f64) -> Outcomes {
    let mut outcomes = Outcomes::default();
    (0..goals).for_each(|_| outcomes.count(rng.unit() < chance));
    outcomes
}

/// Runs one trial to its end: whether it reverted, and when, as a part of its window.
fn run(live: &BTreeSet<Did>, seed: u64, world: World) -> (bool, f64) {
    let (mut rng, config) = (Rng(seed), Config::default());
    let mo = live.first().unwrap();
    let artifacts = vec![cid_of(&seed.to_be_bytes())];
    let mut trial = Trial::open(&config, mo, artifacts, live, 0)
        .unwrap()
        .unwrap();
    let offer = trial.offer().clone();
    let mut nodes: Vec<(Did, f64, bool, Report)> = Vec::new();
    for did in live {
        let skill = 0.4 + 0.55 * rng.unit();
        let lies = rng.unit() < world.liars;
        let before = ended(&mut rng, 20, skill);
        let since = Outcomes::default();
        nodes.push((did.clone(), skill, lies, Report { before, since }));
    }
    for step in 1..=40 {
        let now = step * config.window_ms / 20;
        for (did, skill, lies, report) in &mut nodes {
            let cohort = offer.is_cohort(did);
            // Half of the nodes have a goal in each step, and one report in ten is lost.
            if rng.unit() < 0.5 {
                let effect = if cohort { world.effect } else { 0.0 };
                // A liar turns the picture round: against what helps, for what harms.
                let honest = rng.unit() < (*skill + effect).clamp(0.0, 1.0);
                let told = if *lies {
                    cohort == (world.effect < 0.0)
                } else {
                    honest
                };
                report.since.count(told);
            }
            if rng.unit() >= 0.1 {
                trial.report(&offer.id, did, *report);
            }
        }
        match trial.verdict(now) {
            Verdict::Wait(_) => {}
            verdict => {
                let part = now as f64 / config.window_ms as f64;
                return (matches!(verdict, Verdict::Revert(_)), part);
            }
        }
    }
    panic!("seed {seed}: the trial never ended");
}

fn reverted(world: World) -> f64 {
    let live = swarm();
    let runs = (1..=SEEDS).map(|seed| run(&live, seed, world));
    let (mut reverted, mut spent) = (0, 0.0);
    for (harmful, part) in runs {
        reverted += u32::from(harmful);
        spent += part;
    }
    let share = f64::from(reverted) / SEEDS as f64;
    println!(
        "effect {:+.2}, {:.0} % liars: {:.1} % of seeds 1..={SEEDS} reverted, after {:.2} windows",
        world.effect,
        100.0 * world.liars,
        100.0 * share,
        spent / SEEDS as f64
    );
    share
}

#[test]
fn what_harms_much_is_reverted_nearly_always() {
    assert!(
        reverted(World {
            effect: -0.5,
            liars: 0.0
        }) >= 0.99
    );
    assert!(
        reverted(World {
            effect: -0.3,
            liars: 0.0
        }) >= 0.9
    );
}

#[test]
fn what_does_no_harm_is_promoted_nearly_always() {
    assert!(
        reverted(World {
            effect: 0.0,
            liars: 0.0
        }) <= 0.1
    );
    assert!(
        reverted(World {
            effect: 0.2,
            liars: 0.0
        }) <= 0.02
    );
}

#[test]
fn a_few_liars_do_not_turn_it_round() {
    assert!(
        reverted(World {
            effect: -0.5,
            liars: 0.1
        }) >= 0.8
    );
    assert!(
        reverted(World {
            effect: 0.2,
            liars: 0.1
        }) <= 0.2
    );
}

#[test]
fn a_seed_tells_all() {
    let (live, world) = (
        swarm(),
        World {
            effect: -0.2,
            liars: 0.1,
        },
    );
    for seed in 1..=20 {
        assert_eq!(run(&live, seed, world), run(&live, seed, world));
    }
}
