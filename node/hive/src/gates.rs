//! The gates that need more than an artifact and a state: red lines, reverts, the evaluation's bar.

use std::sync::Arc;

use pagi_messages::{Did, Verified};
use pagi_playbook::{Artifact, Fill, Limits, Playbook, State, evaluation, validate_artifact};
use pagi_policy::{EthicsConfig, EthicsGate, HarmCategory, PolicyError, Subject, Verdict};
use serde_json::Value;

/// Why an artifact may not be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {gate} gate: {reason}")]
pub struct Refused {
    /// `schema`, `size`, `ethics`, `injection`, `secret`, `exfiltration`, `novelty`, `revert`,
    /// `evaluation` or `review`.
    pub gate: &'static str,
    /// Why.
    pub reason: String,
    /// Another state of the playbook might take it in.
    pub relative: bool,
    /// It points at what is not known yet, so it may wait for that.
    pub waits: bool,
}

impl Refused {
    /// A refusal for good.
    #[must_use]
    pub fn new(gate: &'static str, reason: impl Into<String>) -> Self {
        Self {
            gate,
            reason: reason.into(),
            relative: false,
            waits: false,
        }
    }
}

/// The red lines of a playbook and the built-in ones. No revision can change them, so one gate serves
/// for as long as the node runs.
///
/// # Errors
/// [`PolicyError`] where the genesis' own lines cannot be compiled.
pub fn ethics(genesis: &State) -> Result<Arc<EthicsGate>, PolicyError> {
    let theirs = Playbook::from_document(genesis.settings())
        .unwrap_or_default()
        .ethics;
    let config = EthicsConfig {
        red_lines: theirs.red_lines,
        harm_categories: theirs
            .harm_categories
            .into_iter()
            .map(|category| HarmCategory {
                name: category.name,
                terms: category.terms,
            })
            .collect(),
        refusal_response: theirs.refusal_response,
        // What is learned always meets every line.
        alignment_check: true,
    };
    EthicsGate::new(config).map(Arc::new)
}

/// Passes an artifact through every gate but the evaluation. `mo` is the node that would merge it.
///
/// # Errors
/// The first [`Refused`].
pub fn check(
    state: &State,
    artifact: &Verified<Artifact>,
    ethics: &EthicsGate,
    mo: &Did,
) -> Result<(), Refused> {
    let body = artifact.body();
    match validate_artifact(state, body, &Limits::default()) {
        // A relative refusal comes last: whatever else is wrong shows below.
        Err(refusal) if refusal.is_relative() => {
            absolute(state, artifact, ethics, mo)?;
            Err(Refused {
                gate: refusal.gate(),
                reason: refusal.to_string(),
                relative: true,
                waits: matches!(refusal, pagi_playbook::Refusal::UnknownTarget { .. }),
            })
        }
        Err(refusal) => Err(Refused::new(refusal.gate(), refusal.to_string())),
        Ok(()) => absolute(state, artifact, ethics, mo),
    }
}

fn absolute(
    state: &State,
    artifact: &Verified<Artifact>,
    ethics: &EthicsGate,
    mo: &Did,
) -> Result<(), Refused> {
    let body = artifact.body();
    if !body.delta.revert.is_empty() && artifact.author() != mo {
        let reason = "only the MO takes back what it merged: `pagi playbook revert` on its node";
        return Err(Refused::new("revert", reason));
    }
    for text in texts(artifact) {
        if let Verdict::Refused(refusal) = ethics.judge(Subject::Text(&text)) {
            let reason = format!("{} ({})", refusal.explanation, refusal.rule);
            return Err(Refused::new("ethics", reason));
        }
    }
    if !body.delta.set.is_empty() {
        let merged = pagi_playbook::Merged {
            artifact: Default::default(),
            author: artifact.author().clone(),
            delta: body.delta.clone(),
        };
        let moved = state.preview(vec![merged]);
        if evaluation::threshold(&moved) != evaluation::threshold(state) {
            let reason = "what is learned may not move the bar it is measured by \
                          (ace.reflection.improvement_threshold)";
            return Err(Refused::new("evaluation", reason));
        }
    }
    Ok(())
}

/// Every text of an artifact that somebody might act on.
fn texts(artifact: &Verified<Artifact>) -> Vec<String> {
    let body = artifact.body();
    let mut texts = vec![body.critique.clone()];
    texts.extend(body.delta.bullets.iter().map(|bullet| bullet.text.clone()));
    for case in &body.delta.cases {
        texts.push(case.terms.join(" "));
        for fill in case.steps.iter().flat_map(|step| step.parameters.values()) {
            if let Fill::Const(value) = fill {
                strings(value, &mut texts);
            }
        }
    }
    for setting in &body.delta.set {
        if let Some(value) = &setting.value {
            strings(value, &mut texts);
        }
    }
    texts
}

fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(map) => map.values().for_each(|item| strings(item, out)),
        _ => {}
    }
}
