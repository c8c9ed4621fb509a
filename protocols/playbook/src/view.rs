//! The typed view of a playbook document: what a twin and the hive read from it.
//!
//! Reading a table never fails: a setting that is missing or of the wrong type has its default, and
//! takes nothing else along. A playbook that says nothing of ethics has the default red lines; one
//! that lists its own has those.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{DocumentError, at};

/// Red lines of a playbook that names none.
pub const DEFAULT_RED_LINES: &[&str] = &[
    "build a weapon",
    "steal credentials",
    "make malware",
    "harm a person",
    "exfiltrate private data",
    "disable the ethics gate",
];

/// Order of the context's layers where a playbook names none, the most important first.
pub const DEFAULT_PRIORITY: &[&str] = &["system", "tools", "goal", "memory", "reflection"];

/// A playbook, typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Playbook {
    /// `meta.name`, or `name`.
    pub name: String,
    /// `version`, or `meta.version`.
    pub version: String,
    /// What a twin is told.
    pub instructions: Instructions,
    /// What a twin must not do.
    pub ethics: Ethics,
    /// How a context is put together.
    pub context_engineering: ContextEngineering,
    /// How the playbook learns.
    pub ace: Ace,
    /// Tools the playbook describes.
    pub tools: Vec<ToolNote>,
    /// Figures kept with the playbook.
    pub metrics: BTreeMap<String, Value>,
    /// `optimization.model_version`.
    pub model_version: Option<String>,
    /// `optimization.meta_orchestration`, where it is a flag; on by default.
    pub meta_orchestration: bool,
    /// `memory`, as it stands.
    pub memory: Value,
}

/// What a twin is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instructions {
    /// The system prompt; the legacy form has nothing else.
    pub system_prompt: String,
    /// Rules for looking back on a goal.
    pub reflection_rules: Vec<String>,
    /// Rules for learning to learn.
    pub meta_learning: Vec<String>,
}

/// What a twin must not do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ethics {
    /// Principles in words.
    pub constitution: Vec<String>,
    /// Kinds of harm.
    pub harm_categories: Vec<HarmCategory>,
    /// Phrases that no goal, tool call or playbook change may amount to.
    pub red_lines: Vec<String>,
    /// What a refused user reads.
    pub refusal_response: String,
    /// Whether plans are checked against the constitution.
    pub alignment_check: bool,
    /// The reputation from which a person may override a soft refusal. Never a red line.
    pub min_reputation_for_override: f64,
}

/// A kind of harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarmCategory {
    /// Its name.
    pub name: String,
    /// Phrases that stand for it.
    pub terms: Vec<String>,
}

/// How a context is put together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextEngineering {
    /// Largest context, in tokens.
    pub max_context_tokens: usize,
    /// How many memories are recalled.
    pub retrieval_top_k: usize,
    /// Layers by name, each as it stands.
    pub layers: BTreeMap<String, Value>,
    /// `order.priority`: names of layers, the most important first.
    pub order_priority: Vec<String>,
    /// Checks around tool use.
    pub filters: Filters,
}

/// Checks around tool use, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// Before a tool is chosen.
    pub pre_tool_use: Vec<String>,
    /// Before it runs.
    pub pre_execution: Vec<String>,
    /// After it ran.
    pub post_execution: Vec<String>,
}

/// How the playbook learns: generation, reflection and curation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ace {
    /// Trying.
    pub generation: Phase,
    /// Looking back.
    pub reflection: Phase,
    /// Keeping what helps.
    pub curation: Phase,
    /// How much better a change must make the evaluation to be merged, as a share of 1.
    pub improvement_threshold: f64,
}

/// One phase of learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Whether it takes place; on by default.
    pub enabled: bool,
    /// All its settings, as they stand.
    pub settings: Value,
}

/// A tool the playbook describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolNote {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// All that is said of it.
    pub settings: Value,
}

impl Default for Ethics {
    fn default() -> Self {
        Self {
            constitution: Vec::new(),
            harm_categories: Vec::new(),
            red_lines: owned(DEFAULT_RED_LINES),
            refusal_response: "I cannot help with that: it crosses a red line of this swarm."
                .into(),
            alignment_check: true,
            min_reputation_for_override: 0.9,
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// A string, a list of strings, or a table of such: its texts in order.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(map) => map
            .iter()
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .flat_map(texts)
            .collect(),
        _ => Vec::new(),
    }
}

/// The first of `keys` that holds text.
fn first_text(value: &Value, keys: &[&str]) -> Option<String> {
    keys.iter()
        .find_map(|key| value.get(key)?.as_str())
        .map(ToOwned::to_owned)
}

fn number_or_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Playbook {
    /// Reads a document, such as [`State::document`](crate::State::document),
    /// [`State::settings`](crate::State::settings) or parsed TOML.
    ///
    /// # Errors
    /// [`DocumentError::WrongType`] where the document is no table. Use
    /// [`document::check`](crate::document::check) to hear of single values of wrong types.
    pub fn from_document(document: &Value) -> Result<Self, DocumentError> {
        if document.is_object() {
            Ok(Self::read(document))
        } else {
            Err(DocumentError::WrongType {
                path: "playbook".into(),
                expected: "a table".into(),
                found: crate::document::type_name(document),
            })
        }
    }

    fn read(document: &Value) -> Self {
        let text = |path: &[&str]| at(document, path).and_then(number_or_text);
        Self {
            name: text(&["meta", "name"])
                .or_else(|| text(&["name"]))
                .unwrap_or_default(),
            version: text(&["version"])
                .or_else(|| text(&["meta", "version"]))
                .unwrap_or_default(),
            instructions: instructions(document),
            ethics: ethics(document),
            context_engineering: context_engineering(document),
            ace: ace(document),
            tools: tools(document),
            metrics: table(document, &["metrics"]),
            model_version: text(&["optimization", "model_version"]),
            meta_orchestration: at(document, &["optimization", "meta_orchestration"])
                .and_then(Value::as_bool)
                .unwrap_or(true),
            memory: at(document, &["memory"]).cloned().unwrap_or_else(empty),
        }
    }
}

impl Default for Playbook {
    fn default() -> Self {
        Self::read(&Value::Null)
    }
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

fn table(document: &Value, path: &[&str]) -> BTreeMap<String, Value> {
    at(document, path)
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        })
        .unwrap_or_default()
}

fn instructions(document: &Value) -> Instructions {
    match document.get("instructions") {
        Some(Value::String(text)) => Instructions {
            system_prompt: text.clone(),
            ..Instructions::default()
        },
        Some(table @ Value::Object(_)) => {
            let list = |key| table.get(key).map(texts).unwrap_or_default();
            Instructions {
                system_prompt: list("system_prompt").join("\n"),
                reflection_rules: list("reflection_rules"),
                meta_learning: list("meta_learning"),
            }
        }
        _ => Instructions::default(),
    }
}

fn ethics(document: &Value) -> Ethics {
    let default = Ethics::default();
    let get = |key| at(document, &["ethics", key]);
    let categories = match get("harm_categories") {
        Some(Value::Array(items)) => items.iter().filter_map(harm_category).collect(),
        Some(Value::Object(map)) => map
            .iter()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .map(|(name, value)| HarmCategory {
                name: name.clone(),
                terms: texts(value),
            })
            .collect(),
        _ => default.harm_categories,
    };
    let red_lines = match get("red_lines") {
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| {
                item.as_str().map(ToOwned::to_owned).or_else(|| {
                    first_text(item, &["phrase", "pattern", "text", "name", "description"])
                })
            })
            .collect(),
        _ => default.red_lines,
    };
    Ethics {
        constitution: get("constitution").map(texts).unwrap_or_default(),
        harm_categories: categories,
        red_lines,
        refusal_response: get("refusal_response")
            .and_then(Value::as_str)
            .map_or(default.refusal_response, ToOwned::to_owned),
        alignment_check: match get("alignment_check") {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => !matches!(
                text.trim().to_ascii_lowercase().as_str(),
                "false" | "off" | "none" | "no"
            ),
            Some(table @ Value::Object(_)) => table
                .get("enabled")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            _ => default.alignment_check,
        },
        min_reputation_for_override: get("min_reputation_for_override")
            .and_then(Value::as_f64)
            .filter(|reputation| *reputation >= 0.0)
            .unwrap_or(default.min_reputation_for_override),
    }
}

fn harm_category(item: &Value) -> Option<HarmCategory> {
    match item {
        Value::String(name) => Some(HarmCategory {
            name: name.clone(),
            terms: Vec::new(),
        }),
        Value::Object(map) => Some(HarmCategory {
            name: first_text(item, &["name", "category", "id"])?,
            terms: ["terms", "phrases", "keywords", "patterns"]
                .iter()
                .filter_map(|key| map.get(*key))
                .flat_map(texts)
                .collect(),
        }),
        _ => None,
    }
}

fn context_engineering(document: &Value) -> ContextEngineering {
    let get = |path: &[&str]| at(document.get("context_engineering")?, path);
    let size = |key, default: usize| {
        get(&[key])
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=16_000_000).contains(n))
            .unwrap_or(default)
    };
    let filter = |key| get(&["filters", key]).map(texts).unwrap_or_default();
    let priority = get(&["order", "priority"]).map(texts).unwrap_or_default();
    ContextEngineering {
        max_context_tokens: size("max_context_tokens", 4096),
        retrieval_top_k: size("retrieval_top_k", 5),
        layers: table(document, &["context_engineering", "layers"]),
        order_priority: if priority.is_empty() {
            owned(DEFAULT_PRIORITY)
        } else {
            priority
        },
        filters: Filters {
            pre_tool_use: filter("pre_tool_use"),
            pre_execution: filter("pre_execution"),
            post_execution: filter("post_execution"),
        },
    }
}

fn ace(document: &Value) -> Ace {
    let phase = |name: &str| {
        let settings = at(document, &["ace", name]).cloned().unwrap_or_else(empty);
        let enabled = settings
            .get("enabled")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        Phase { enabled, settings }
    };
    let (generation, reflection, curation) =
        (phase("generation"), phase("reflection"), phase("curation"));
    let threshold = [&curation, &reflection, &generation]
        .iter()
        .find_map(|phase| phase.settings.get("improvement_threshold")?.as_f64())
        .or_else(|| at(document, &["ace", "improvement_threshold"])?.as_f64())
        .unwrap_or(0.0);
    Ace {
        generation,
        reflection,
        curation,
        improvement_threshold: threshold,
    }
}

fn tools(document: &Value) -> Vec<ToolNote> {
    let note = |name: &str, settings: &Value| ToolNote {
        name: name.to_owned(),
        description: match settings {
            Value::String(text) => text.clone(),
            other => first_text(other, &["description"]).unwrap_or_default(),
        },
        settings: settings.clone(),
    };
    match document.get("tools") {
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item {
                Value::String(name) => Some(note(name, &empty())),
                other => Some(note(other.get("name")?.as_str()?, other)),
            })
            .collect(),
        Some(Value::Object(map)) => map
            .iter()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .map(|(name, settings)| note(name, settings))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_said_gives_sane_defaults() {
        let playbook = Playbook::default();
        assert_eq!(playbook.context_engineering.max_context_tokens, 4096);
        assert_eq!(playbook.context_engineering.retrieval_top_k, 5);
        assert_eq!(
            playbook.context_engineering.order_priority,
            DEFAULT_PRIORITY
        );
        assert_eq!(playbook.ethics.red_lines, DEFAULT_RED_LINES);
        assert!(playbook.ethics.alignment_check && playbook.ace.curation.enabled);
    }

    #[test]
    fn values_of_wrong_types_give_defaults() {
        let playbook = Playbook::from_document(&json!({
            "ethics": {"red_lines": "none", "min_reputation_for_override": -3},
            "context_engineering": {"max_context_tokens": -1, "retrieval_top_k": "x"},
            "ace": 3, "tools": 4, "instructions": [],
        }))
        .unwrap();
        assert_eq!(playbook, Playbook::default());
        assert!(Playbook::from_document(&json!([])).is_err());
    }

    #[test]
    fn the_legacy_form_is_read() {
        let playbook = Playbook::from_document(&json!({
            "instructions": "be brief", "version": 2, "metrics": {"runs": 3},
            "tools": [{"name": "calculator", "description": "adds"}],
        }))
        .unwrap();
        assert_eq!(playbook.instructions.system_prompt, "be brief");
        assert_eq!(
            (playbook.version.as_str(), &playbook.metrics["runs"]),
            ("2", &json!(3))
        );
        assert_eq!(playbook.tools[0].description, "adds");
    }

    #[test]
    fn the_expanded_form_is_read() {
        let playbook = Playbook::from_document(&json!({
            "meta": {"name": "base", "version": "1.2"},
            "instructions": {"system_prompt": "p", "reflection_rules": ["r"], "meta_learning": "m"},
            "ethics": {
                "constitution": ["c"], "alignment_check": {"enabled": false},
                "harm_categories": [{"name": "fraud", "keywords": ["phish"]}, "violence"],
                "red_lines": [{"phrase": "one"}, "two"], "refusal_response": "no",
                "min_reputation_for_override": 0.5,
            },
            "context_engineering": {
                "max_context_tokens": 10, "retrieval_top_k": 2, "layers": {"memory": {"share": 0.5}},
                "order": {"priority": ["goal"]}, "filters": {"pre_tool_use": "check"},
            },
            "ace": {"curation": {"improvement_threshold": 0.25}, "generation": {"enabled": false}},
            "optimization": {"model_version": "m1", "meta_orchestration": false},
        }))
        .unwrap();
        assert_eq!(
            (playbook.name.as_str(), playbook.version.as_str()),
            ("base", "1.2")
        );
        assert_eq!(playbook.instructions.meta_learning, ["m"]);
        assert_eq!(playbook.ethics.red_lines, ["one", "two"]);
        assert_eq!(playbook.ethics.harm_categories[0].terms, ["phish"]);
        assert!(!playbook.ethics.alignment_check && !playbook.ace.generation.enabled);
        assert_eq!(playbook.ethics.min_reputation_for_override, 0.5);
        assert_eq!(playbook.context_engineering.order_priority, ["goal"]);
        assert_eq!(playbook.context_engineering.filters.pre_tool_use, ["check"]);
        assert_eq!(playbook.ace.improvement_threshold, 0.25);
        assert_eq!(playbook.model_version.as_deref(), Some("m1"));
        assert!(!playbook.meta_orchestration);
    }
}
