//! What must hold, each as one function.

use crate::sim::{Sim, Trace};

/// No voter ever sent two different ballots in one term, crashes and restarts included.
pub fn one_vote_per_term(trace: &Trace) -> Result<(), String> {
    match trace.ballots.iter().find(|(_, ballots)| ballots.len() > 1) {
        None => Ok(()),
        Some(((voter, term), ballots)) => Err(format!(
            "{voter} sent {} ballots in term {term}",
            ballots.len()
        )),
    }
}

/// What is on disk never goes back to a lower term.
pub fn durable_terms_never_fall(trace: &Trace) -> Result<(), String> {
    for (node, terms) in &trace.terms {
        for pair in terms.windows(2) {
            if pair[1].0 < pair[0].0 || pair[1].1 < pair[0].1 {
                return Err(format!(
                    "node {node} went from {:?} to {:?}",
                    pair[0], pair[1]
                ));
            }
        }
    }
    Ok(())
}

/// Within one life, no node follows an MO of a lower term than it followed before.
pub fn followed_terms_never_fall(trace: &Trace) -> Result<(), String> {
    for (node, followed) in &trace.followed {
        for pair in followed.windows(2) {
            if pair[1].1 < pair[0].1 {
                return Err(format!(
                    "node {node} followed {:?} and then {:?}",
                    pair[0], pair[1]
                ));
            }
        }
    }
    Ok(())
}

/// All that must hold at any time.
pub fn safety(sim: &Sim) -> Result<(), String> {
    one_vote_per_term(&sim.trace)?;
    durable_terms_never_fall(&sim.trace)?;
    followed_terms_never_fall(&sim.trace)
}

/// Every running node of a group follows the same running MO of that group.
pub fn one_mo_per_component(sim: &Sim) -> Result<(), String> {
    for node in (0..sim.len()).filter(|node| sim.is_up(*node)) {
        let group = sim.group(node);
        let Some(leader) = sim.leader(node) else {
            return Err(format!("node {node} of group {group} has no MO"));
        };
        let mo = (0..sim.len())
            .find(|other| *sim.did(*other) == leader.did)
            .unwrap();
        if !sim.is_up(mo) || sim.group(mo) != group {
            return Err(format!(
                "node {node} of group {group} follows {mo}, which is not there"
            ));
        }
        if sim
            .leader(mo)
            .is_none_or(|own| own.did != leader.did || own.term != leader.term)
        {
            return Err(format!(
                "node {node} follows {mo} in term {}, {mo} does not",
                leader.term
            ));
        }
        let first = (0..sim.len())
            .find(|other| sim.is_up(*other) && sim.group(*other) == group)
            .and_then(|other| sim.leader(other));
        if first.is_none_or(|first| first.did != leader.did) {
            return Err(format!("group {group} has more than one MO"));
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
