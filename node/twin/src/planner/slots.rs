//! What a goal holds that can fill a tool's parameters, and how parameters are filled.

use std::{collections::BTreeMap, sync::LazyLock};

use pagi_playbook::{CaseStep, Fill};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::ToolInfo;
use crate::lexical::terms;

#[allow(
    clippy::expect_used,
    reason = "the patterns are literals, compiled in a test"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a literal pattern compiles")
}

static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#""([^"]+)"|“([^”]+)”|(?:^|\s)'([^']+)'(?:\s|[.,;:!?]|$)"#));
static URL: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bhttps?://[^\s"'<>]+"#));
static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"));
static DID: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bdid:[a-z0-9]+:[A-Za-z0-9._:%-]+"));
static CID: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bbaf[a-z2-7]{50,}\b"));
static PATH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|\s)((?:~|\.{1,2})?/[^\s,;]+|[A-Za-z]:\\[^\s,;]+)"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"-?\d+(?:[.,]\d+)?"));
static OF_PERCENT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\d+(?:\.\d+)?\s*(?:%|percent)\s+of\s+\d+(?:\.\d+)?"));
static EXPRESSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:(?:sqrt|sin|cos|tan|ln|log|log2|log10|exp|abs|round|floor|ceil)\s*\(|[\d.(]|-\s*[\d(])(?:[\d\s.+*/^()-]|sqrt|sin|cos|tan|ln|log10|log2|log|exp|abs|round|floor|ceil)*[\d)]",
    )
});
static WORD_OPERATORS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"(?i)(\d|\))\s+plus\s+(-?\d|\()", "$1 + $2"),
        (r"(?i)(\d|\))\s+minus\s+(-?\d|\()", "$1 - $2"),
        (
            r"(?i)(\d|\))\s+(?:times|multiplied\s+by|x)\s+(-?\d|\()",
            "$1 * $2",
        ),
        (
            r"(?i)(\d|\))\s+(?:divided\s+by|over)\s+(-?\d|\()",
            "$1 / $2",
        ),
        (
            r"(?i)(\d|\))\s+to\s+the\s+power\s+of\s+(-?\d|\()",
            "$1 ^ $2",
        ),
        (r"(?i)(\d|\))\s+squared\b", "$1^2"),
        (r"(?i)square\s+root\s+of\s+(\d+(?:\.\d+)?)", "sqrt($1)"),
    ]
    .into_iter()
    .map(|(from, to)| (pattern(from), to))
    .collect()
});
static POLITE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^\s*(?:please\s+|kindly\s+|can you\s+|could you\s+|would you\s+)+")
});
/// Capitalised words that do not begin the sentence.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[^\s.!?]\s+(\p{Lu}[\p{L}'’-]*(?:\s+\p{Lu}[\p{L}'’-]*)*)"));
/// Lead-ins after which the rest of the sentence is the matter itself.
static LEAD_IN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+|kindly\s+|can you\s+|could you\s+)*(?:(?:remember|note|memori[sz]e|store|save|write down)(?:\s+that)?|(?:recall|what do you (?:know|remember) about|remind me (?:of|about)|tell me about|search(?:\s+(?:for|memory for))?|look up|find)|broadcast|send|say|count (?:the )?\w+ (?:in|of)|summari[sz]e)[:\s]+",
    )
});

/// Parameters that take somebody's or something's name.
const NAMING: [&str; 6] = ["name", "person", "recipient", "whom", "user", "guest"];

/// Nothing in the goal fills a parameter or slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing in the goal fills `{name}`")]
pub struct NoSource {
    /// The parameter or slot.
    pub name: String,
}

/// The parts of a goal that parameters can be filled from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    values: BTreeMap<&'static str, Vec<Value>>,
}

impl Slots {
    /// Finds the slots of `goal`. Names: `quoted url email did cid path number expression
    /// text rest name goal`; `rest` is what follows the first word, `name` what looks like a name.
    #[must_use]
    pub fn parse(goal: &str) -> Self {
        let mut values: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        let mut add =
            |name: &'static str, value: Value| values.entry(name).or_default().push(value);
        for found in QUOTED.captures_iter(goal) {
            if let Some(text) = (1..=3).find_map(|group| found.get(group)) {
                add("quoted", json!(text.as_str()));
            }
        }
        for (name, regex) in [
            ("url", &URL),
            ("email", &EMAIL),
            ("did", &DID),
            ("cid", &CID),
        ] {
            for found in regex.find_iter(goal) {
                let text = found
                    .as_str()
                    .trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
                add(name, json!(text));
            }
        }
        let bare = without_literals(goal);
        for found in PATH.captures_iter(&URL.replace_all(goal, " ")) {
            if let Some(path) = found.get(1) {
                add(
                    "path",
                    json!(path.as_str().trim_end_matches(['.', '?', '!'])),
                );
            }
        }
        for found in NUMBER.find_iter(&bare) {
            if let Ok(number) = found.as_str().replace(',', ".").parse::<f64>() {
                add("number", number_value(number));
            }
        }
        if let Some(expression) = expression(goal) {
            add("expression", json!(expression));
        }
        let text = LEAD_IN.replace(goal, "");
        let text = text.trim().trim_end_matches(['.', '?', '!']).trim();
        if !text.is_empty() {
            add("text", json!(text));
        }
        let order = POLITE.replace(goal, "");
        if let Some((verb, rest)) = order.trim().split_once(char::is_whitespace) {
            let rest = rest.trim().trim_end_matches(['.', '?', '!']).trim();
            if !rest.is_empty() && verb.chars().all(char::is_alphabetic) {
                add("rest", json!(rest));
            }
        }
        for found in NAME.captures_iter(order.trim()) {
            if let Some(name) = found.get(1) {
                add("name", json!(name.as_str()));
            }
        }
        add("goal", json!(goal.trim()));
        Self { values }
    }

    /// The first value of a slot.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Value> {
        self.values.get(name).and_then(|values| values.first())
    }

    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// `goal` with quoted texts, URLs, mail addresses, DIDs, CIDs and paths blanked out: what is left is
/// the kind of goal rather than its private matter.
#[must_use]
pub fn without_literals(goal: &str) -> String {
    let mut text = QUOTED.replace_all(goal, " ").into_owned();
    for regex in [&URL, &EMAIL, &DID, &CID, &PATH] {
        text = regex.replace_all(&text, " ").into_owned();
    }
    text
}

fn number_value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9.0e15 {
        json!(number as i64)
    } else {
        json!(number)
    }
}

fn expression(goal: &str) -> Option<String> {
    if let Some(found) = OF_PERCENT.find(goal) {
        return Some(found.as_str().replace("percent", "%"));
    }
    let mut text = goal.to_owned();
    for (from, to) in WORD_OPERATORS.iter() {
        text = from.replace_all(&text, *to).into_owned();
    }
    EXPRESSION
        .find_iter(&text)
        .map(|found| found.as_str().trim().to_owned())
        .filter(|text| {
            let operator = text
                .char_indices()
                .any(|(at, c)| at > 0 && "+-*/^".contains(c));
            (operator || text.contains('(') && text.starts_with(char::is_alphabetic))
                && text.contains(|c: char| c.is_ascii_digit())
        })
        .max_by_key(String::len)
}

/// Chooses where each parameter of `schema` is filled from.
///
/// Required parameters must have a source; optional ones get one only where the fit is certain (an
/// enum word, a URL for a URL).
///
/// # Errors
/// [`NoSource`] names the required parameter that has none.
pub fn choose(
    tool: &ToolInfo,
    slots: &Slots,
    goal: &str,
) -> Result<BTreeMap<String, Fill>, NoSource> {
    let schema = &tool.parameters;
    // "Greet Ada": what follows the tool's own verb is what it is to be done with.
    let verb = |text: &str| terms(text).into_iter().next();
    let order = POLITE.replace(goal, "");
    let ordered = verb(&tool.name).is_some()
        && verb(&tool.name) == verb(order.split_whitespace().next().unwrap_or_default());
    let mut chosen = BTreeMap::new();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(chosen);
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, property) in properties {
        let is_required = required.contains(&name.as_str());
        if let Some(fill) = source_for(name, property, slots, goal, is_required, ordered) {
            chosen.insert(name.clone(), fill);
        } else if is_required && name != "twin_id" && !name.ends_with("_twin_id") {
            return Err(NoSource { name: name.clone() });
        }
    }
    Ok(chosen)
}

fn source_for(
    name: &str,
    property: &Value,
    slots: &Slots,
    goal: &str,
    required: bool,
    ordered: bool,
) -> Option<Fill> {
    let lower = name.to_lowercase();
    let kind = property
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("string");
    if let Some(constant) = property.get("const") {
        return Some(Fill::Const(constant.clone()));
    }
    if let Some(options) = property.get("enum").and_then(Value::as_array) {
        let goal = goal.to_lowercase();
        return options
            .iter()
            .find(|option| {
                option
                    .as_str()
                    .is_some_and(|word| goal.contains(&word.to_lowercase()))
            })
            .or_else(|| property.get("default").filter(|_| required))
            .map(|option| Fill::Const(option.clone()));
    }
    let slot = |slot: &str| slots.has(slot).then(|| Fill::Slot(slot.to_owned()));
    let named = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let format = property.get("format").and_then(Value::as_str).unwrap_or("");
    let exact = if named(&["expression", "formula"]) {
        slot("expression")
    } else if format == "uri" || named(&["url", "uri", "link"]) {
        slot("url")
    } else if format == "email" || named(&["email"]) {
        slot("email")
    } else if lower == "did" || lower.ends_with("_did") {
        slot("did")
    } else if lower == "cid" || lower.ends_with("_cid") {
        slot("cid")
    } else if named(&["path", "file"]) {
        slot("path").or_else(|| slot("quoted"))
    } else {
        None
    };
    if exact.is_some() {
        return exact;
    }
    let typed_only = named(&["expression", "formula", "url", "uri", "email", "did", "cid"]);
    if let Some(default) = property.get("default").filter(|_| required) {
        return Some(Fill::Const(default.clone()));
    }
    if !required || typed_only {
        return None;
    }
    match kind {
        "number" | "integer" => slot("number"),
        "string" if NAMING.iter().any(|word| lower.contains(word)) => slot("quoted")
            .or_else(|| slot("name"))
            .or_else(|| slot(if ordered { "rest" } else { "text" })),
        "string" => slot("quoted")
            .or_else(|| {
                (ordered && !LEAD_IN.is_match(goal))
                    .then(|| slot("rest"))
                    .flatten()
            })
            .or_else(|| slot("text"))
            .or_else(|| slot("goal")),
        "object" if lower == "task" => slot("goal"),
        _ => None,
    }
}

/// The parameters of `step` for a goal.
///
/// # Errors
/// [`NoSource`] names the slot this goal does not have.
pub fn fill(step: &CaseStep, slots: &Slots) -> Result<Value, NoSource> {
    let mut parameters = Map::new();
    for (name, fill) in &step.parameters {
        let value = match fill {
            Fill::Const(value) => value.clone(),
            Fill::Slot(slot) => slots
                .first(slot)
                .cloned()
                .ok_or_else(|| NoSource { name: slot.clone() })?,
        };
        parameters.insert(name.clone(), value);
    }
    Ok(Value::Object(parameters))
}

/// A call with its parameters traced back to the goal's slots, so that it can be repeated for another
/// goal and shared without the values. `None` where a value comes from neither the goal nor a closed
/// set (an enum, a boolean, a default): it may be private, or made up.
#[must_use]
pub fn abstracted(tool: &ToolInfo, parameters: &Value, slots: &Slots) -> Option<CaseStep> {
    let mut filled = BTreeMap::new();
    for (name, value) in parameters.as_object()? {
        let property = tool
            .parameters
            .get("properties")
            .and_then(|all| all.get(name))?;
        let closed = value.is_boolean()
            || property.get("default") == Some(value)
            || property
                .get("enum")
                .and_then(Value::as_array)
                .is_some_and(|options| options.contains(value));
        let fill = if closed {
            Fill::Const(value.clone())
        } else {
            let slot = slots.values.iter().find(|(slot, values)| {
                **slot != "goal" && values.first().is_some_and(|first| same(first, value))
            })?;
            Fill::Slot((*slot.0).to_owned())
        };
        filled.insert(name.clone(), fill);
    }
    Some(CaseStep {
        tool: tool.name.clone(),
        parameters: filled,
    })
}

/// Equal but for white space.
fn same(slot: &Value, value: &Value) -> bool {
    let bare = |text: &str| {
        text.chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
    };
    match (slot, value) {
        (Value::String(a), Value::String(b)) => bare(a) == bare(b),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(goal: &str, slot: &str) -> Option<Value> {
        Slots::parse(goal).first(slot).cloned()
    }

    #[test]
    fn slots_are_found() {
        assert_eq!(
            first("What is 12 * (3 + 4)?", "expression"),
            Some(json!("12 * (3 + 4)"))
        );
        assert_eq!(
            first("what is 12 plus 30", "expression"),
            Some(json!("12 + 30"))
        );
        assert_eq!(
            first("compute 15% of 80", "expression"),
            Some(json!("15% of 80"))
        );
        assert_eq!(
            first("square root of 144 please", "expression"),
            Some(json!("sqrt(144)"))
        );
        assert_eq!(first("Meet at 10", "expression"), None);
        assert_eq!(first("report anything above 80%", "expression"), None);
        assert_eq!(
            first("fetch https://example.org/a?b=1.", "url"),
            Some(json!("https://example.org/a?b=1"))
        );
        assert_eq!(
            first("say \"hello there\" now", "quoted"),
            Some(json!("hello there"))
        );
        assert_eq!(
            first("Remember that the key is under the mat.", "text"),
            Some(json!("the key is under the mat"))
        );
        assert_eq!(
            first("read /etc/hostname.", "path"),
            Some(json!("/etc/hostname"))
        );
        assert_eq!(first("wait 2.5 seconds", "number"), Some(json!(2.5)));
    }

    #[test]
    fn required_parameters_need_a_source_and_optional_ones_a_certain_one() {
        let schema = json!({"type": "object", "required": ["expression"],
            "properties": {"expression": {"type": "string"}, "digits": {"type": "integer"}}});
        let tool = ToolInfo {
            name: "calculator".into(),
            description: String::new(),
            parameters: schema,
            read_only: true,
        };
        let goal = "calculate 2 + 2";
        let chosen = choose(&tool, &Slots::parse(goal), goal).unwrap();
        assert_eq!(chosen.len(), 1);
        let goal = "calculate the meaning of life";
        assert_eq!(
            choose(&tool, &Slots::parse(goal), goal),
            Err(NoSource {
                name: "expression".into()
            })
        );
        let step = CaseStep {
            tool: "calculator".into(),
            parameters: chosen,
        };
        assert_eq!(
            fill(&step, &Slots::parse("what is 3*3")).unwrap(),
            json!({"expression": "3*3"})
        );
        assert_eq!(
            fill(&step, &Slots::parse("hello")),
            Err(NoSource {
                name: "expression".into()
            })
        );
    }

    #[test]
    fn a_name_is_what_looks_like_one_or_follows_the_verb() {
        let tool = ToolInfo {
            name: "greet".into(),
            description: "Greets a person by name".into(),
            parameters: json!({"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}}}),
            read_only: false,
        };
        for (goal, name) in [
            ("Greet Ada", "Ada"),
            ("please greet Ada Lovelace warmly", "Ada Lovelace"),
            ("greet ada", "ada"),
            ("Greet \"the whole crew\"", "the whole crew"),
            ("Could you greet Zoë?", "Zoë"),
        ] {
            let slots = Slots::parse(goal);
            let parameters = choose(&tool, &slots, goal).unwrap();
            let step = CaseStep {
                tool: "greet".into(),
                parameters,
            };
            assert_eq!(
                fill(&step, &slots).unwrap(),
                json!({"name": name}),
                "{goal}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(goal in ".{0,120}") {
            let _ = Slots::parse(&goal);
            let _ = without_literals(&goal);
        }
    }
}
