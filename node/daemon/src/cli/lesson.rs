//! What the playbook learned, as sentences: cases in words instead of stems, bullets, counts.

use std::collections::BTreeMap;

use pagi_api::tools::Tool;
use serde_json::Value;

use crate::{client::Client, render};

/// Words by stem.
#[derive(Debug, Default)]
pub struct Spoken(BTreeMap<String, String>);

impl Spoken {
    /// Words of the built-in lists and of the node's tools.
    pub async fn ask(client: &Client) -> Self {
        let tools: Vec<Tool> = client.get("/tools").await.unwrap_or_default();
        let texts = tools.iter().flat_map(|tool| {
            let tool = &tool.definition;
            [tool.name.as_str(), tool.description.as_str()]
        });
        Self(pagi_twin::planner::spoken_words(texts))
    }

    fn word(&self, stem: &str) -> String {
        render::clean_line(self.0.get(stem).map_or(stem, String::as_str))
    }

    /// A case as one sentence.
    pub fn case(&self, case: &Value) -> String {
        let texts = |key: &str| case[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let about: Vec<String> = texts("terms")
            .iter()
            .filter_map(Value::as_str)
            .map(|stem| self.word(stem))
            .collect();
        let steps: Vec<String> = texts("steps").iter().map(step).collect();
        let mut text = format!(
            "goals about {} are reached by {}",
            about.join(", "),
            steps.join(", then ")
        );
        if let Some(counts) = tally(case) {
            text.push_str(&format!(" ({counts})"));
        }
        text
    }

    /// What an entry of the playbook of this kind says: a sentence for what was learned, else the value.
    pub fn entry(&self, kind: &str, value: &Value) -> String {
        match kind {
            "case" if value["terms"].is_array() => self.case(value),
            "bullet" if value["text"].is_string() => bullet(value),
            _ => render::value(value),
        }
    }

    /// A delta, one line for each thing it adds.
    pub fn delta(&self, delta: &Value) -> String {
        let items = |key: &str| delta[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut lines: Vec<String> = items("cases").iter().map(|case| self.case(case)).collect();
        lines.extend(items("bullets").iter().map(bullet));
        for count in items("counts") {
            let target = render::value(&count["target"]);
            if let Some(counts) = tally(count) {
                lines.push(format!("{target}: {counts}"));
            }
        }
        for setting in items("set") {
            let path: Vec<String> = setting["path"]
                .as_array()
                .into_iter()
                .flatten()
                .map(render::value)
                .collect();
            let value = match &setting["value"] {
                Value::Null => "taken away".to_owned(),
                value => format!("= {}", render::clean_line(&value.to_string())),
            };
            lines.push(format!("{} {value}", path.join(".")));
        }
        if lines.is_empty() {
            return render::clean_line(&delta.to_string());
        }
        lines.join("\n")
    }
}

/// A call of a case: the tool, and where its parameters come from.
fn step(step: &Value) -> String {
    let tool = render::value(&step["tool"]);
    match &step["parameters"] {
        Value::Object(parameters) if !parameters.is_empty() => {
            format!("{tool} with {}", render::brief(&step["parameters"]))
        }
        _ => tool,
    }
}

fn bullet(bullet: &Value) -> String {
    let section = render::value(&bullet["section"]);
    let mut text = format!("{section}: {}", render::value(&bullet["text"]));
    if let Some(counts) = tally(bullet) {
        text.push_str(&format!(" ({counts})"));
    }
    text
}

/// How often something helped and did not, where that was ever counted.
fn tally(value: &Value) -> Option<String> {
    let number = |key: &str| value[key].as_u64().filter(|number| *number > 0);
    let parts: Vec<String> = [
        ("helped", number("helpful")),
        ("did not", number("harmful")),
    ]
    .into_iter()
    .filter_map(|(what, times)| Some((what, times?)))
    .map(|(what, times)| match times {
        1 => format!("{what} once"),
        more => format!("{what} {more} times"),
    })
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_learned_is_said_in_words() {
        let spoken = Spoken(pagi_twin::planner::spoken_words([
            "Evaluates an expression",
        ]));
        let case = json!({
            "id": "case-1", "terms": ["express", "health", "machin", "zzz"],
            "steps": [{"tool": "system_monitor", "parameters": {}},
                      {"tool": "recall", "parameters": {"query": {"slot": "goal"}}}],
            "helpful": 1, "harmful": 2,
        });
        assert_eq!(
            spoken.entry("case", &case),
            "goals about expression, health, machine, zzz are reached by system_monitor, then recall \
             with query: {\"slot\":\"goal\"} (helped once, did not 2 times)"
        );
        let delta = json!({
            "cases": [], "bullets": [{"section": "planning", "text": "Check the units."}],
            "counts": [{"target": "case-1", "helpful": 1, "harmful": 0}],
            "set": [{"path": ["memory", "working_limit"], "value": 32}],
        });
        assert_eq!(
            spoken.delta(&delta),
            "planning: Check the units.\ncase-1: helped once\nmemory.working_limit = 32"
        );
        assert_eq!(spoken.entry("setting", &json!(3)), "3");
    }
}
