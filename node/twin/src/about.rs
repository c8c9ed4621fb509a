//! Whether what was done is about what the goal asks.

use std::collections::BTreeSet;

use pagi_playbook::{CaseStep, Fill};

use crate::{
    executive::Outcome,
    lexical::terms,
    planner::{
        self, ToolInfo,
        answer::{Call, Judged},
        coverage,
    },
};

/// Whether the calls an answer rests on are about what the goal asks: only then are they a way to
/// reach it, whatever a model made of them.
pub(crate) fn covers(goal: &str, tools: &[ToolInfo], outcome: &Outcome) -> bool {
    if outcome.engine == "planner" {
        return outcome.judged.reached;
    }
    let templates: Vec<CaseStep> = outcome.templates.iter().flatten().cloned().collect();
    let mut silent = outcome.judged.clone();
    silent.output.clear();
    missing(
        goal,
        tools,
        &outcome.calls,
        &templates,
        &silent,
        BTreeSet::new(),
    )
    .is_empty()
}

/// Of `missing`, what is left with the words that lessons about the answering tools add. They help an
/// answer that speaks of something the goal names, so that no chain of lessons leads from one matter to
/// another.
pub(crate) fn understood(
    goal: &str,
    missing: Vec<String>,
    tools: &[ToolInfo],
    calls: &[Call],
    judged: &Judged,
    taught: impl Fn(&str) -> BTreeSet<String>,
) -> Vec<String> {
    if missing.is_empty() || !judged.reached {
        return missing;
    }
    let mut known = terms(&judged.output).into_iter().collect::<BTreeSet<_>>();
    let mut words = BTreeSet::new();
    for call in judged.contributed.iter().filter_map(|at| calls.get(*at)) {
        let info = tools.iter().find(|tool| tool.name == call.tool);
        known.extend(info.map(planner::words_of_tool).unwrap_or_default());
        if let Ok(result) = &call.result {
            known.extend(coverage::spoken_of(result));
        }
        words.extend(taught(&call.tool));
    }
    if !coverage::touches(goal, &known) {
        return missing;
    }
    known.extend(words);
    coverage::missing(goal, &known, false)
}

/// What `goal` asks about and neither the answer nor the calls it rests on speak of.
pub(crate) fn missing(
    goal: &str,
    tools: &[ToolInfo],
    calls: &[Call],
    templates: &[CaseStep],
    judged: &Judged,
    mut known: BTreeSet<String>,
) -> Vec<String> {
    known.extend(terms(&judged.output));
    let mut literal = false;
    for call in judged.contributed.iter().filter_map(|at| calls.get(*at)) {
        let info = tools.iter().find(|tool| tool.name == call.tool);
        known.extend(info.map(planner::words_of_tool).unwrap_or_default());
        if let Ok(result) = &call.result {
            known.extend(coverage::spoken_of(result));
        }
        let fills = templates
            .iter()
            .filter(|step| step.tool == call.tool)
            .flat_map(|step| step.parameters.values());
        for fill in fills {
            if let Fill::Slot(slot) = fill {
                literal |= !["text", "goal", "rest"].contains(&slot.as_str());
                // A tool that acts on a text was given the matter of the goal.
                literal |= info.is_some_and(|tool| !tool.read_only);
                if info.is_some_and(|tool| !tool.read_only) {
                    known.extend(terms(goal));
                }
            }
        }
    }
    coverage::missing(goal, &known, literal)
}
