//! Simulated swarms: many seeds of everything at once, and single stories.

use pagi_task::{Config, FailReason, Input};

use crate::{
    invariants::{check, every_task_ends_in_time, safety},
    sim::{EPOCH_MS, Net, Sim},
};

const SEEDS: u64 = 200;

fn config() -> Config {
    Config {
        lease_ms: 6_000,
        keepalive_ms: 1_500,
        grace_ms: 15_000,
        result_retry_max_ms: 4_000,
        // Chaos may cut the work short more often than any real node would.
        max_attempts: 1_000,
        max_starts: 1_000,
        ..Config::default()
    }
}

/// Loss, duplicates, crashes between outputs, partitions and nodes that cannot.
fn chaos(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, 5, Net::QUIET, config());
    sim.net = Net {
        loss_percent: sim.rng.between(0, 30),
        duplicate_percent: sim.rng.between(0, 20),
        delay_ms: (5, sim.rng.between(50, 1_500)),
    };
    for node in 0..sim.len() {
        if sim.rng.percent(50) {
            sim.set_capabilities(node, &["any", "rare"]);
        }
        let slowest = sim.rng.between(300, 9_000);
        sim.set_work_ms(node, 200, slowest);
    }
    let mut asked = 0;
    for _ in 0..25 {
        let node = sim.rng.index(sim.len());
        match sim.rng.index(8) {
            0 | 1 if sim.is_up(node) && asked < 5 => {
                asked += 1;
                let need = if sim.rng.percent(30) { "rare" } else { "any" };
                let within = sim.rng.between(3_000, 150_000);
                let id = format!("t{asked}");
                for unable in 0..sim.len() {
                    if sim.rng.percent(20) {
                        sim.unable.insert((unable, id.parse().unwrap()));
                    }
                }
                sim.ask(node, &id, need, within);
            }
            2 => {
                let outputs = sim.rng.index(6);
                if sim.is_up(node) {
                    sim.crash_after(node, Some(outputs));
                }
            }
            3 => sim.crash(node),
            4 | 5 => {
                if !sim.is_up(node) {
                    sim.start(node);
                }
            }
            6 => {
                for node in 0..sim.len() {
                    let group = sim.rng.index(2);
                    sim.set_group(node, group);
                }
            }
            _ => sim.heal(),
        }
        let pause = sim.rng.between(50, 3_000);
        sim.run_for(pause);
        check(seed, "safety", safety(&sim));
    }
    sim
}

#[test]
fn whatever_happens_a_task_ends_once_and_in_time() {
    let (mut done, mut replaced) = (0, 0);
    for seed in 0..SEEDS {
        let mut sim = chaos(seed);
        sim.heal();
        sim.net = Net::QUIET;
        for node in 0..sim.len() {
            sim.crash_after(node, None);
            if !sim.is_up(node) {
                sim.start(node);
            }
        }
        // From here on all is quiet: whatever an able node can still do in time gets done.
        let quiet = sim.now();
        let fresh = sim.ask(0, "fresh", "any", 60_000);
        sim.run_for(200_000);
        check(seed, "safety", safety(&sim));
        check(seed, "ends in time", every_task_ends_in_time(&sim));
        let why = sim.trace.reasons.get(&fresh);
        assert!(sim.is_done(&fresh), "seed {seed}: {why:?}");
        for (key, spec) in &sim.trace.asked {
            let asker = sim.node_of(&key.asker);
            let able = (0..sim.len()).any(|node| {
                node != asker
                    && sim.has_capability(node, &spec.needs[0])
                    && !sim.unable.contains(&(node, key.id.clone()))
            });
            let over_before = sim.trace.ended.get(key).is_some_and(|at| *at < quiet);
            let left = spec.deadline_ms.saturating_sub(EPOCH_MS + quiet);
            if able && !over_before && left > 75_000 {
                let why = sim.trace.reasons.get(key);
                assert!(sim.is_done(key), "seed {seed}: {key}: {why:?}");
            }
        }
        done += sim.trace.done.len();
        let attempts = sim.trace.assigned.values();
        replaced += attempts.filter(|attempts| attempts.len() > 1).count();
    }
    // The runs must have met what they are about.
    assert!(done > 400, "{done} tasks were done");
    assert!(replaced > 100, "{replaced} tasks had a second worker");
}

#[test]
fn a_quiet_swarm_does_a_task_in_one_attempt() {
    for seed in 0..10 {
        let mut sim = Sim::new(seed, 4, Net::QUIET, config());
        let key = sim.ask(0, "a", "any", 30_000);
        assert!(sim.run_until(10_000, |sim| sim.trace.accepted.contains_key(&key)));
        assert_eq!(sim.trace.assigned[&key].len(), 1);
        assert_eq!(sim.trace.starts[&key].len(), 1);
        let sent = sim.trace.sent;
        sim.run_for(120_000);
        assert_eq!(sim.trace.sent, sent, "nothing is said of what is over");
        check(seed, "safety", safety(&sim));
    }
}

#[test]
fn a_dead_worker_is_replaced_and_its_late_result_does_not_count() {
    let mut sim = Sim::new(1, 3, Net::QUIET, config());
    (1..3).for_each(|node| sim.set_work_ms(node, 12_000, 12_000));
    let key = sim.ask(0, "a", "any", 120_000);
    assert!(sim.run_until(5_000, |sim| !sim.trace.starts.is_empty()));
    let first = sim.worker(&key).unwrap();
    // The first worker is cut off but works on, to the end.
    sim.set_group(first, 1);
    let other = |sim: &Sim| sim.worker(&key).is_some_and(|worker| worker != first);
    assert!(sim.run_until(20_000, other));
    assert!(sim.run_until(20_000, |sim| !sim.trace.results.is_empty()));
    sim.heal();
    assert!(sim.run_until(60_000, |sim| sim.trace.accepted.contains_key(&key)));
    assert!(sim.trace.results.contains(&(key.clone(), first, 1)));
    let (worker, attempt, _) = sim.trace.done[&key].first().unwrap();
    assert_eq!((sim.node_of(worker), *attempt), (3 - first, 2));
    sim.run_for(30_000);
    check(1, "safety", safety(&sim));
}

#[test]
fn a_silent_worker_goes_on_where_nobody_else_can() {
    let mut sim = Sim::new(2, 2, Net::QUIET, config());
    sim.set_work_ms(1, 12_000, 12_000);
    let key = sim.ask(0, "a", "any", 120_000);
    assert!(sim.run_until(5_000, |sim| !sim.trace.starts.is_empty()));
    sim.set_group(1, 1);
    assert!(sim.run_until(20_000, |sim| sim.worker(&key).is_none()));
    sim.heal();
    assert!(sim.run_until(30_000, |sim| sim.trace.accepted.contains_key(&key)));
    let starts = sim.trace.starts[&key].len();
    assert_eq!(starts, 1, "the work was not begun again");
    check(2, "safety", safety(&sim));
}

#[test]
fn a_result_waits_for_an_asker_that_is_away_past_the_deadline() {
    let mut sim = Sim::new(3, 2, Net::QUIET, config());
    let key = sim.ask(0, "a", "any", 20_000);
    assert!(sim.run_until(5_000, |sim| !sim.trace.starts.is_empty()));
    sim.crash(0);
    sim.run_for(600_000);
    assert!(!sim.is_over(&key));
    sim.start(0);
    assert!(sim.run_until(15_000, |sim| sim.trace.accepted.contains_key(&key)));
    check(3, "safety", safety(&sim));
    check(3, "ends in time", every_task_ends_in_time(&sim));
    // After another restart the end is said again, in the same words.
    sim.crash(0);
    let said = std::mem::take(&mut sim.trace.done);
    sim.start(0);
    assert_eq!(sim.trace.done, said);
}

#[test]
fn an_asker_that_stays_away_is_given_up() {
    let mut short = config();
    short.keep_ms = 60_000;
    let mut sim = Sim::new(4, 2, Net::QUIET, short);
    sim.ask(0, "a", "any", 20_000);
    assert!(sim.run_until(10_000, |sim| !sim.trace.starts.is_empty()));
    sim.crash(0);
    sim.run_for(30_000);
    assert_eq!(
        sim.disk(1).worked.len(),
        1,
        "the result is kept for a while"
    );
    sim.run_for(600_000);
    assert!(sim.disk(1).worked.is_empty());
    let sent = sim.trace.sent;
    sim.run_for(120_000);
    assert_eq!(sim.trace.sent, sent);
}

#[test]
fn a_worker_that_restarts_goes_on_and_one_that_keeps_crashing_gives_up() {
    let mut few = config();
    few.max_starts = 3;
    let mut sim = Sim::new(5, 2, Net::QUIET, few);
    sim.set_work_ms(1, 3_000, 3_000);
    let key = sim.ask(0, "a", "any", 120_000);
    assert!(sim.run_until(5_000, |sim| !sim.trace.starts.is_empty()));
    for _ in 0..2 {
        sim.crash(1);
        sim.start(1);
        sim.run_for(1_000);
    }
    assert!(sim.run_until(5_000, |sim| sim.is_done(&key)));
    assert_eq!(sim.trace.assigned[&key].len(), 1);

    let key = sim.ask(0, "b", "any", 30_000);
    assert!(sim.run_until(5_000, |sim| sim.trace.starts.contains_key(&key)));
    for _ in 0..3 {
        sim.crash(1);
        sim.start(1);
        sim.run_for(1_000);
    }
    // It reported its failure and does not offer itself for this task again.
    assert!(sim.run_until(60_000, |sim| sim.is_over(&key)));
    let FailReason::Attempts { attempts: 1, last } = &sim.trace.reasons[&key] else {
        panic!("{:?}", sim.trace.reasons[&key]);
    };
    assert!(last.contains("cut short"), "{last}");
    assert_eq!(sim.trace.assigned[&key].len(), 1);
}

#[test]
fn failures_are_bounded_and_their_reason_is_told() {
    let mut few = config();
    few.max_attempts = 2;
    let mut sim = Sim::new(6, 4, Net::QUIET, few);
    for node in 0..4 {
        sim.unable.insert((node, "a".parse().unwrap()));
    }
    let key = sim.ask(0, "a", "any", 120_000);
    assert!(sim.run_until(60_000, |sim| sim.is_over(&key)));
    let FailReason::Attempts { attempts: 2, last } = &sim.trace.reasons[&key] else {
        panic!("{:?}", sim.trace.reasons[&key]);
    };
    assert_eq!(last, "this node cannot");
}

#[test]
fn a_failure_ends_the_task_when_nobody_else_offers() {
    let mut sim = Sim::new(9, 2, Net::QUIET, config());
    sim.unable.insert((1, "a".parse().unwrap()));
    let asked = sim.now();
    let key = sim.ask(0, "a", "any", 3_600_000);
    assert!(sim.run_until(120_000, |sim| sim.is_over(&key)));
    assert!(sim.now() - asked > config().reoffer_ms);
    let FailReason::Attempts { attempts: 1, last } = &sim.trace.reasons[&key] else {
        panic!("{:?}", sim.trace.reasons[&key]);
    };
    assert_eq!(last, "this node cannot");

    // Another that turns up in time is given the task.
    let mut sim = Sim::new(10, 3, Net::QUIET, config());
    sim.crash(2);
    sim.unable.insert((1, "a".parse().unwrap()));
    let key = sim.ask(0, "a", "any", 3_600_000);
    sim.run_for(config().reoffer_ms / 2);
    assert!(!sim.is_over(&key));
    sim.start(2);
    assert!(sim.run_until(60_000, |sim| sim.is_done(&key)));
}

#[test]
fn nobody_able_means_no_worker_and_a_cancelled_task_stops() {
    let mut sim = Sim::new(7, 3, Net::QUIET, config());
    let key = sim.ask(0, "a", "nothing-has-this", 8_000);
    assert!(sim.run_until(10_000, |sim| sim.is_over(&key)));
    assert_eq!(sim.trace.reasons[&key], FailReason::NoWorker);

    (1..3).for_each(|node| sim.set_work_ms(node, 50_000, 50_000));
    let key = sim.ask(0, "b", "any", 100_000);
    assert!(sim.run_until(5_000, |sim| sim.trace.starts.contains_key(&key)));
    sim.drive(0, Input::LocalCancel("b".parse().unwrap()));
    assert_eq!(sim.trace.reasons[&key], FailReason::Cancelled);
    sim.run_for(2_000);
    let sent = sim.trace.sent;
    sim.run_for(60_000);
    assert_eq!(sim.trace.sent, sent, "the worker has stopped");
}

#[test]
fn more_tasks_than_workers_are_all_done_in_turn() {
    for seed in 0..5 {
        let mut few = config();
        few.max_attempts = 3;
        let mut sim = Sim::new(seed, 3, Net::QUIET, few);
        let keys: Vec<_> = (0..12)
            .map(|index| sim.ask(0, &format!("t{index}"), "any", 200_000))
            .collect();
        let all = |sim: &Sim| keys.iter().all(|key| sim.is_done(key));
        let done = sim.run_until(200_000, all);
        assert!(done, "seed {seed}: {:?}", sim.trace.reasons);
        check(seed, "safety", safety(&sim));
    }
}
