//! The keys a playbook knows, and their types.

use serde_json::Value;

/// The types a known key may have.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Any number.
    Number,
    /// An integer from 1 to 16 million.
    Size,
    /// A number from 0 on.
    Measure,
    Flag,
    Texts,
    Tables,
    Table,
}
use Kind::{Flag, Measure, Number, Size, Table, Tables, Text, Texts};

impl Kind {
    pub(super) fn fits(self, value: &Value) -> bool {
        let all = |test: fn(&Value) -> bool| value.as_array().is_some_and(|a| a.iter().all(test));
        match self {
            Text => value.is_string(),
            Number => value.is_number(),
            Size => value
                .as_u64()
                .is_some_and(|n| (1..=16_000_000).contains(&n)),
            Measure => value.as_f64().is_some_and(|n| n >= 0.0),
            Flag => value.is_boolean(),
            Texts => all(Value::is_string),
            Tables => all(Value::is_object),
            Table => value.is_object(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Text => "a string",
            Number => "a number",
            Size => "an integer from 1 to 16000000",
            Measure => "a number from 0 on",
            Flag => "true or false",
            Texts => "a list of strings",
            Tables => "a list of tables",
            Table => "a table",
        }
    }
}

/// The keys a playbook knows, in its legacy and its expanded form.
pub(super) const KNOWN: &[(&[&str], &[Kind])] = &[
    (&["name"], &[Text]),
    (&["description"], &[Text]),
    (&["version"], &[Text, Number]),
    (&["meta"], &[Table]),
    (&["meta", "name"], &[Text]),
    (&["meta", "version"], &[Text, Number]),
    (&["meta", "description"], &[Text]),
    (&["instructions"], &[Text, Table]),
    (&["instructions", "system_prompt"], &[Text, Texts]),
    (&["instructions", "reflection_rules"], &[Text, Texts]),
    (
        &["instructions", "meta_learning"],
        &[Text, Texts, Flag, Table],
    ),
    (&["tools"], &[Tables, Texts, Table]),
    (&["metrics"], &[Table]),
    (&["ethics"], &[Table]),
    (&["ethics", "constitution"], &[Text, Texts, Table]),
    (&["ethics", "harm_categories"], &[Texts, Tables, Table]),
    (&["ethics", "red_lines"], &[Texts, Tables]),
    (&["ethics", "refusal_response"], &[Text]),
    (&["ethics", "alignment_check"], &[Flag, Text, Texts, Table]),
    (&["ethics", "min_reputation_for_override"], &[Measure]),
    (&["context_engineering"], &[Table]),
    (&["context_engineering", "max_context_tokens"], &[Size]),
    (&["context_engineering", "retrieval_top_k"], &[Size]),
    (&["context_engineering", "layers"], &[Table]),
    (&["context_engineering", "order"], &[Table]),
    (&["context_engineering", "order", "priority"], &[Texts]),
    (&["context_engineering", "filters"], &[Table]),
    (
        &["context_engineering", "filters", "pre_tool_use"],
        &[Text, Texts, Flag, Table],
    ),
    (
        &["context_engineering", "filters", "post_execution"],
        &[Text, Texts, Flag, Table],
    ),
    (
        &["context_engineering", "filters", "pre_execution"],
        &[Text, Texts, Flag, Table],
    ),
    (&["ai_principles"], &[Table, Text, Texts, Tables]),
    (&["ace"], &[Table]),
    (&["ace", "generation"], &[Table]),
    (&["ace", "reflection"], &[Table]),
    (&["ace", "curation"], &[Table]),
    (&["ace", "generation", "improvement_threshold"], &[Number]),
    (&["ace", "reflection", "improvement_threshold"], &[Number]),
    (&["ace", "curation", "improvement_threshold"], &[Number]),
    (&["memory"], &[Table]),
    (&["sub_agents"], &[Table, Tables, Texts]),
    (&["optimization"], &[Table]),
    (
        &["optimization", "meta_orchestration"],
        &[Flag, Text, Table],
    ),
    (&["optimization", "model_version"], &[Text, Number]),
    (&["learned"], &[Table]),
];

/// What a value is, for messages.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
