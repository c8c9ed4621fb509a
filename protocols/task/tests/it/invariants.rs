//! What must hold, each as one function.

use pagi_task::{AskedRecord, WorkState};

use crate::sim::{EPOCH_MS, Sim, Trace};

/// A task ends once: with one result, or with one failure, however often it is said.
pub fn one_end_per_task(trace: &Trace) -> Result<(), String> {
    for (key, done) in &trace.done {
        if done.len() > 1 {
            return Err(format!("{key} has the results {done:?}"));
        }
        if let Some(failed) = trace.failed.get(key) {
            return Err(format!("{key} is done and failed: {failed:?}"));
        }
    }
    match trace.failed.iter().find(|(_, failed)| failed.len() > 1) {
        Some((key, failed)) => Err(format!("{key} failed for {failed:?}")),
        None => Ok(()),
    }
}

/// An accepted result is of the latest attempt, by the node that was assigned it.
pub fn accepted_is_current(sim: &Sim) -> Result<(), String> {
    for (key, done) in &sim.trace.done {
        let latest = sim.trace.latest_at_done.get(key);
        for (worker, attempt, _) in done {
            let worker = sim.node_of(worker);
            let assigned = sim.trace.assigned.get(key).and_then(|a| a.get(attempt));
            if latest != Some(attempt) || assigned.is_none_or(|nodes| !nodes.contains(&worker)) {
                return Err(format!(
                    "{key}: {worker} under {attempt}, latest is {latest:?}"
                ));
            }
        }
        let after = sim.trace.assigned.get(key).and_then(|a| a.keys().max());
        if after > latest {
            return Err(format!("{key} was assigned again after it was done"));
        }
    }
    Ok(())
}

/// No attempt is given to two nodes.
pub fn one_worker_per_attempt(trace: &Trace) -> Result<(), String> {
    for (key, attempts) in &trace.assigned {
        if let Some((attempt, nodes)) = attempts.iter().find(|(_, nodes)| nodes.len() > 1) {
            return Err(format!("{key}: attempt {attempt} was given to {nodes:?}"));
        }
    }
    Ok(())
}

/// No node reports a result under an attempt that it was not given, or begins one.
pub fn only_the_assigned_report(trace: &Trace) -> Result<(), String> {
    let given = |key, node: &usize, attempt: &u32| {
        let attempts = trace.assigned.get(key);
        attempts.is_some_and(|a| a.get(attempt).is_some_and(|nodes| nodes.contains(node)))
    };
    for (key, node, attempt) in &trace.results {
        if !given(key, node, attempt) {
            return Err(format!("{node} reported {key} under {attempt}"));
        }
    }
    for (key, starts) in &trace.starts {
        if let Some((node, attempt)) = starts.iter().find(|(node, a)| !given(key, node, a)) {
            return Err(format!("{node} began {key} under {attempt}"));
        }
    }
    Ok(())
}

/// At most one node believes its result accepted, and it is the one whose result was.
pub fn one_believes_itself_accepted(sim: &Sim) -> Result<(), String> {
    for (key, accepted) in &sim.trace.accepted {
        if accepted.len() > 1 {
            return Err(format!("{key} is believed accepted by {accepted:?}"));
        }
        let done = sim.trace.done.get(key);
        for (node, attempt) in accepted {
            let is_it = done.is_some_and(|done| {
                done.iter()
                    .any(|(worker, a, _)| sim.node_of(worker) == *node && a == attempt)
            });
            // The asker may have crashed between its store and its word; its disk knows.
            let asker = sim.node_of(&key.asker);
            let record = sim.disk(asker).asked.get(&key.id);
            let on_disk = done.is_none() && record.is_some_and(AskedRecord::is_over);
            if !is_it && !on_disk {
                return Err(format!(
                    "{node} believes {key} under {attempt}; done: {done:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Honest nodes never take each other for dishonest.
pub fn nobody_is_accused(trace: &Trace) -> Result<(), String> {
    match trace.misbehaviour.first() {
        Some(text) => Err(text.clone()),
        None => Ok(()),
    }
}

/// Nobody runs more than it may.
pub fn bounds(sim: &Sim) -> Result<(), String> {
    for node in (0..sim.len()).filter(|node| sim.is_up(*node)) {
        let records = sim.machine(node).worked();
        let running =
            records.filter(|(_, record)| matches!(record.state, WorkState::Running { .. }));
        let running = running.count();
        if running > sim.config.max_running {
            return Err(format!("{node} runs {running} tasks"));
        }
    }
    Ok(())
}

/// All that must hold at any time.
pub fn safety(sim: &Sim) -> Result<(), String> {
    one_end_per_task(&sim.trace)?;
    accepted_is_current(sim)?;
    one_worker_per_attempt(&sim.trace)?;
    only_the_assigned_report(&sim.trace)?;
    one_believes_itself_accepted(sim)?;
    nobody_is_accused(&sim.trace)?;
    bounds(sim)
}

/// Every task ended by its deadline, or its asker's last start, and the grace after it. To be asked
/// when all nodes are up and all that time has passed.
pub fn every_task_ends_in_time(sim: &Sim) -> Result<(), String> {
    /// Clock errors and the last tick.
    const SLACK_MS: u64 = 2_000;
    for (key, spec) in &sim.trace.asked {
        let Some(ended) = sim.trace.ended.get(key) else {
            return Err(format!("{key} never ended"));
        };
        let asker = sim.node_of(&key.asker);
        let last = spec.deadline_ms.max(EPOCH_MS + sim.started_at(asker));
        if EPOCH_MS + ended > last + sim.config.grace_ms + SLACK_MS {
            return Err(format!("{key} ended at {ended}, too late"));
        }
    }
    Ok(())
}

/// Fails the test with the seed, so that the run can be repeated.
pub fn check(seed: u64, what: &str, result: Result<(), String>) {
    if let Err(error) = result {
        panic!("seed {seed}: {what}: {error}");
    }
}
