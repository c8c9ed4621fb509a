//! The gates an artifact passes before it may be merged.
//!
//! Each refusal names its gate: `schema`, `size`, `ethics`, `injection`, `secret`,
//! `exfiltration` or `novelty`.
//! Sizes come first, so a large hostile artifact costs little. What depends on the rest of the
//! playbook ([`Refusal::is_relative`]) comes last: a node that looks past such a refusal, because it
//! judges an artifact another playbook took in, knows that all other gates were passed.

use pagi_messages::content::to_dag_cbor;
use serde_json::Value;

use crate::{
    artifact::Artifact,
    delta::{Delta, Fill, Malformed},
    document, scan,
    state::State,
};

/// How large an artifact may be. Lengths of texts are in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The artifact's DAG-CBOR body, in bytes.
    pub artifact_bytes: usize,
    /// The critique.
    pub critique: usize,
    /// A bullet's text.
    pub bullet: usize,
    /// Cases.
    pub cases: usize,
    /// Bullets.
    pub bullets: usize,
    /// Counts.
    pub counts: usize,
    /// Settings.
    pub set: usize,
    /// A constant parameter or a setting's value, in bytes of JSON.
    pub value_bytes: usize,
    /// Tools, and measures before and after, of the evidence.
    pub evidence: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            artifact_bytes: 64 * 1024,
            critique: 4000,
            bullet: 600,
            cases: 8,
            bullets: 16,
            counts: 64,
            set: 64,
            value_bytes: 8 * 1024,
            evidence: 64,
        }
    }
}

/// Why an artifact was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A part is not well formed.
    #[error("the artifact is not well formed: {0}")]
    Malformed(Malformed),
    /// A field is not of the right form.
    #[error("the artifact's {field} {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A count's target is neither known nor added.
    #[error("the count's target `{target}` is neither known nor added by the artifact")]
    UnknownTarget {
        /// The target.
        target: String,
    },
    /// A setting gives a known key a value of another type.
    #[error("the artifact's settings do not fit a playbook: {0}")]
    Document(document::DocumentError),
    /// Something is too large, or there is too much of it.
    #[error("the artifact has {found} {what}, where at most {limit} are allowed")]
    TooLarge {
        /// What is measured.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// A setting touches what learning must not change.
    #[error("the artifact may not change `{path}`")]
    ProtectedPath {
        /// The path, joined by dots.
        path: String,
    },
    /// A text tries to command a model.
    #[error("the artifact's {field} tries to command the reader: `{phrase}`")]
    Injection {
        /// Which field.
        field: &'static str,
        /// The phrase, without spaces.
        phrase: String,
    },
    /// A text holds a secret.
    #[error("the artifact's {field} seems to hold {what}")]
    Secret {
        /// Which field.
        field: &'static str,
        /// What kind of secret. Never the secret itself.
        what: &'static str,
    },
    /// A text sends outside what is private.
    #[error("the artifact's {field} sends what is private outside: {what}")]
    Exfiltration {
        /// Which field.
        field: &'static str,
        /// What would be sent.
        what: &'static str,
    },
    /// It changes nothing at all.
    #[error("the artifact's delta is empty")]
    Empty,
    /// All it brings is known.
    #[error("the artifact brings nothing that is not known already")]
    NothingNew,
}

impl Refusal {
    /// The gate that refused.
    #[must_use]
    pub fn gate(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Field { .. }
            | Self::UnknownTarget { .. }
            | Self::Document(_) => "schema",
            Self::TooLarge { .. } => "size",
            Self::ProtectedPath { .. } => "ethics",
            Self::Injection { .. } => "injection",
            Self::Secret { .. } => "secret",
            Self::Exfiltration { .. } => "exfiltration",
            Self::Empty | Self::NothingNew => "novelty",
        }
    }

    /// Whether it depends on what else is in the playbook, so that another state of the playbook
    /// might take the artifact in. Only an artifact that passes all other gates is refused so.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        matches!(self, Self::UnknownTarget { .. } | Self::NothingNew)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooMany { what, found, limit } => Self::TooLarge { what, found, limit },
            Malformed::Protected { path } => Self::ProtectedPath { path },
            other => Self::Malformed(other),
        }
    }
}

/// Passes an artifact through every gate, against the playbook it would be merged into.
///
/// Whether its base is known, its author may speak and its change does any good is the hive's to
/// judge.
///
/// # Errors
/// The first [`Refusal`].
pub fn validate_artifact(
    state: &State,
    artifact: &Artifact,
    limits: &Limits,
) -> Result<(), Refusal> {
    check_sizes(artifact, limits)?;
    check_evidence(artifact, limits)?;
    check_delta(state, &artifact.delta, limits)?;
    scan_text("critique", &artifact.critique)?;
    let evidence = &artifact.evidence;
    scan_text("evidence", &evidence.status)?;
    for text in evidence
        .tools
        .iter()
        .chain(evidence.before.keys())
        .chain(evidence.after.keys())
    {
        scan_text("evidence", text)?;
    }
    check_novelty(state, &artifact.delta)
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), Refusal> {
    if found <= limit {
        Ok(())
    } else {
        Err(Refusal::TooLarge { what, found, limit })
    }
}

fn check_sizes(artifact: &Artifact, limits: &Limits) -> Result<(), Refusal> {
    let bytes = to_dag_cbor(artifact).map_err(|_| Refusal::Field {
        field: "body",
        reason: "has no DAG-CBOR form",
    })?;
    at_most("bytes", bytes.len(), limits.artifact_bytes)?;
    at_most(
        "characters of critique",
        artifact.critique.chars().count(),
        limits.critique,
    )?;
    for (field, text, fewest, longest) in [
        ("twin_id", &artifact.twin_id, 1, 128),
        ("nonce", &artifact.nonce, 0, 128),
        ("status", &artifact.evidence.status, 0, 32),
    ] {
        if text.len() < fewest
            || text.chars().count() > longest
            || text.chars().any(char::is_control)
        {
            return Err(Refusal::Field {
                field,
                reason: "must be a short line of text",
            });
        }
    }
    Ok(())
}

fn check_evidence(artifact: &Artifact, limits: &Limits) -> Result<(), Refusal> {
    let evidence = &artifact.evidence;
    at_most("tools of evidence", evidence.tools.len(), limits.evidence)?;
    for measures in [&evidence.before, &evidence.after] {
        at_most("measures of evidence", measures.len(), limits.evidence)?;
        if measures.values().any(|value| !value.is_finite()) {
            return Err(Refusal::Field {
                field: "evidence",
                reason: "must be finite numbers",
            });
        }
    }
    let name = |name: &String| !name.is_empty() && name.chars().count() <= 128;
    let names = evidence
        .tools
        .iter()
        .chain(evidence.before.keys())
        .chain(evidence.after.keys());
    if !names.into_iter().all(name) {
        return Err(Refusal::Field {
            field: "evidence",
            reason: "must have short names",
        });
    }
    Ok(())
}

/// The gates for a delta alone.
///
/// # Errors
/// The first [`Refusal`].
pub fn validate_delta(state: &State, delta: &Delta, limits: &Limits) -> Result<(), Refusal> {
    check_delta(state, delta, limits)?;
    check_novelty(state, delta)
}

/// All gates of a delta that do not depend on what was learnt so far.
fn check_delta(state: &State, delta: &Delta, limits: &Limits) -> Result<(), Refusal> {
    at_most("cases", delta.cases.len(), limits.cases)?;
    at_most("bullets", delta.bullets.len(), limits.bullets)?;
    at_most("counts", delta.counts.len(), limits.counts)?;
    at_most("settings", delta.set.len(), limits.set)?;
    for bullet in &delta.bullets {
        at_most(
            "characters of a bullet",
            bullet.text.chars().count(),
            limits.bullet,
        )?;
    }
    for value in constants(delta).chain(delta.set.iter().filter_map(|s| s.value.as_ref())) {
        at_most(
            "bytes of a value",
            value.to_string().len(),
            limits.value_bytes,
        )?;
    }
    delta.check()?;
    check_settings(state, delta)?;
    scan_delta(delta)
}

fn check_novelty(state: &State, delta: &Delta) -> Result<(), Refusal> {
    if delta.is_empty() {
        return Err(Refusal::Empty);
    }
    for count in &delta.counts {
        let id = &count.target;
        let known = id.starts_with("tool:")
            || state.knows(id)
            || delta.cases.iter().any(|case| case.id == *id)
            || delta.bullets.iter().any(|bullet| bullet.id == *id);
        if !known {
            return Err(Refusal::UnknownTarget { target: id.clone() });
        }
    }
    if let Some(unknown) = delta.revert.iter().find(|cid| !state.applied(cid)) {
        return Err(Refusal::UnknownTarget {
            target: unknown.to_string(),
        });
    }
    let new = !delta.counts.is_empty()
        || delta.revert.iter().any(|cid| !state.is_reverted(cid))
        || delta.cases.iter().any(|case| !state.knows(&case.id))
        || delta.bullets.iter().any(|bullet| !state.knows(&bullet.id))
        || delta
            .set
            .iter()
            .any(|setting| document::at(state.settings(), &setting.path) != setting.value.as_ref());
    if new {
        Ok(())
    } else {
        Err(Refusal::NothingNew)
    }
}

fn constants(delta: &Delta) -> impl Iterator<Item = &Value> {
    delta
        .cases
        .iter()
        .flat_map(|case| &case.steps)
        .flat_map(|step| step.parameters.values())
        .filter_map(|fill| match fill {
            Fill::Const(value) => Some(value),
            Fill::Slot(_) => None,
        })
}

/// Settings must leave red lines where they are, and have the types of the keys they write.
fn check_settings(state: &State, delta: &Delta) -> Result<(), Refusal> {
    // Red lines come from the genesis alone, so this does not depend on what was learnt since.
    for setting in &delta.set {
        // Overwriting a table, or a value on the way to the path, would take what is inside along.
        let loses = (1..=setting.path.len())
            .filter_map(|parts| document::at(state.settings(), setting.path.get(..parts)?))
            .any(|value| !value.is_object() && document::holds_red_lines(value));
        let inside =
            document::at(state.settings(), &setting.path).is_some_and(document::holds_red_lines);
        if loses || inside {
            return Err(Refusal::ProtectedPath {
                path: crate::delta::cut(&setting.path.join(".")),
            });
        }
    }
    let mut alone = Value::Object(serde_json::Map::new());
    delta
        .set
        .iter()
        .for_each(|setting| document::apply(&mut alone, setting));
    document::check(&alone).map_err(Refusal::Document)
}

fn scan_text(field: &'static str, text: &str) -> Result<(), Refusal> {
    if let Some(phrase) = scan::injection(text) {
        return Err(Refusal::Injection { field, phrase });
    }
    if let Some(what) = scan::secret(text) {
        return Err(Refusal::Secret { field, what });
    }
    match scan::exfiltration(text) {
        Some(what) => Err(Refusal::Exfiltration { field, what }),
        None => Ok(()),
    }
}

fn scan_value(field: &'static str, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::String(text) => scan_text(field, text),
        Value::Array(items) => items.iter().try_for_each(|item| scan_value(field, item)),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            scan_text(field, key)?;
            // A secret may only show beside the name it is given.
            if let Value::String(text) = value {
                scan_text(field, &format!("{key}: {text}"))?;
            }
            scan_value(field, value)
        }),
        _ => Ok(()),
    }
}

fn scan_delta(delta: &Delta) -> Result<(), Refusal> {
    for bullet in &delta.bullets {
        scan_text("bullet", &bullet.section)?;
        scan_text("bullet", &bullet.text)?;
    }
    for case in &delta.cases {
        case.terms
            .iter()
            .try_for_each(|term| scan_text("keyword", term))?;
        for (name, fill) in case.steps.iter().flat_map(|step| &step.parameters) {
            scan_text("parameter", name)?;
            if let Fill::Const(value) = fill {
                scan_value("parameter", value)?;
                if let Value::String(text) = value {
                    scan_text("parameter", &format!("{name}: {text}"))?;
                }
            }
        }
    }
    for setting in &delta.set {
        setting
            .path
            .iter()
            .try_for_each(|part| scan_text("setting", part))?;
        if let Some(value) = &setting.value {
            scan_value("setting", value)?;
            if let (Some(name), Value::String(text)) = (setting.path.last(), value) {
                scan_text("setting", &format!("{name}: {text}"))?;
            }
        }
    }
    Ok(())
}
