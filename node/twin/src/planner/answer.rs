//! Checks the results of a plan's calls against the goal, and puts the answer into words.

use serde_json::Value;

use super::condition::{Condition, Figure, figures, named, relevant, tidy};

/// One call and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// What it returned, or why it failed.
    pub result: Result<Value, CallFailure>,
    /// Whether the answer may rest on it.
    pub answers: bool,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallFailure {
    /// A short stable name: `timeout`, `unreachable`, `refused`, …
    pub kind: String,
    /// One line for a person.
    pub message: String,
}

/// The judgement on a finished plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Whether the goal was reached.
    pub reached: bool,
    /// The answer, or why there is none.
    pub output: String,
    /// Indices of the calls the answer rests on.
    pub contributed: Vec<usize>,
}

/// At most so many lines of one tool's result go into an answer.
const MAX_LINES: usize = 20;

/// Judges `calls` for `goal`.
#[must_use]
pub fn judge(goal: &str, condition: Option<&Condition>, calls: &[Call]) -> Judged {
    let failures: Vec<String> = calls
        .iter()
        .filter_map(|call| {
            call.result
                .as_ref()
                .err()
                .map(|failure| format!("{}: {failure}", call.tool))
        })
        .collect();
    let judged = match condition {
        Some(condition) => check(goal, condition, calls),
        None => None,
    };
    let mut judged = judged.unwrap_or_else(|| describe(goal, calls));
    if judged.contributed.is_empty() {
        judged.reached = false;
        judged.output = if failures.is_empty() {
            "The tools ran, but none returned anything that answers the goal.".to_owned()
        } else {
            "No tool that fits the goal succeeded.".to_owned()
        };
    }
    if !failures.is_empty() {
        judged.output.push_str("\nFailed: ");
        judged.output.push_str(&failures.join("; "));
    }
    judged
}

/// The answer to a goal with a condition; `None` where no call has a figure it is about.
fn check(goal: &str, condition: &Condition, calls: &[Call]) -> Option<Judged> {
    let mut contributed = Vec::new();
    let mut figures: Vec<Figure> = Vec::new();
    for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.answers) {
        let Ok(result) = &call.result else { continue };
        let found = relevant(result, condition, goal);
        if !found.is_empty() {
            contributed.push(index);
            figures.extend(found);
        }
    }
    if figures.is_empty() {
        return None;
    }
    let (hits, rest): (Vec<&Figure>, Vec<&Figure>) = figures
        .iter()
        .partition(|figure| condition.holds(figure.value));
    let output = match (hits.is_empty(), rest.is_empty()) {
        (true, _) => format!(
            "Nothing is {}. Measured: {}.",
            condition.words(),
            list(rest)
        ),
        (false, true) => format!("{}: {}.", capital(&condition.words()), list(hits)),
        (false, false) => format!(
            "{}: {}. The rest: {}.",
            capital(&condition.words()),
            list(hits),
            list(rest)
        ),
    };
    Some(Judged {
        reached: true,
        output,
        contributed,
    })
}

/// Figures in words.
fn list<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> String {
    let words: Vec<String> = figures.into_iter().map(Figure::words).collect();
    words.join(", ")
}

/// A goal that names so many figures of a result is answered with them alone.
const MOST_NAMED: usize = 8;

/// The figures of `result` that the goal asks for by name, in words; `None` where it names none, or
/// so many that the whole result reads better.
fn asked_for(goal: &str, result: &Value) -> Option<String> {
    if result
        .as_object()
        .is_none_or(|record| record.contains_key("result"))
    {
        return None;
    }
    let all = figures(result);
    let named = named(&all, goal);
    let some = !named.is_empty() && named.len() <= MOST_NAMED && named.len() < all.len();
    some.then(|| list(&named))
}

fn describe(goal: &str, calls: &[Call]) -> Judged {
    let mut contributed = Vec::new();
    let mut parts = Vec::new();
    for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.answers) {
        let Ok(result) = &call.result else { continue };
        // A tool that was tried beside the best one answers only where the best one did not.
        if !contributed.is_empty() {
            break;
        }
        if let Some(words) = asked_for(goal, result).or_else(|| words(result)) {
            contributed.push(index);
            parts.push(words);
        }
    }
    Judged {
        reached: true,
        output: parts.join("\n"),
        contributed,
    }
}

/// `result` in words; `None` where it is empty.
#[must_use]
pub fn words(result: &Value) -> Option<String> {
    match result {
        Value::Null => None,
        Value::Bool(value) => Some(if *value { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let lines: Vec<String> = items
                .iter()
                .take(MAX_LINES)
                .filter_map(inline)
                .map(|l| format!("- {l}"))
                .collect();
            let more = items.len().saturating_sub(MAX_LINES);
            let more = (more > 0).then(|| format!("- … and {more} more"));
            (!lines.is_empty())
                .then(|| lines.into_iter().chain(more).collect::<Vec<_>>().join("\n"))
        }
        Value::Object(record) => {
            for key in ["answer", "result", "output", "text", "content"] {
                if let Some(words) = record.get(key).and_then(words) {
                    let input = record.get("expression").and_then(Value::as_str);
                    return Some(match input {
                        Some(input) => format!("{input} = {words}"),
                        None => words,
                    });
                }
            }
            // A record whose only list is empty says that nothing was found.
            let lists: Vec<&Vec<Value>> = record.values().filter_map(Value::as_array).collect();
            if !lists.is_empty() && lists.iter().all(|list| list.is_empty()) {
                return None;
            }
            let lines: Vec<String> = record
                .iter()
                .take(MAX_LINES)
                .filter_map(|(key, value)| {
                    let key = key.replace('_', " ");
                    match value {
                        Value::Array(_) | Value::Object(_) => {
                            words(value).map(|words| format!("{key}:\n{words}"))
                        }
                        _ => inline(value).map(|words| format!("{key}: {words}")),
                    }
                })
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
    }
}

fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(
            number
                .as_f64()
                .filter(|_| number.is_f64())
                .map_or(number.to_string(), tidy),
        ),
        Value::Object(record) => {
            if let Some(Value::String(text)) = record.get("content") {
                return Some(text.clone());
            }
            let parts: Vec<String> = record
                .iter()
                .filter_map(|(key, value)| {
                    inline(value).map(|words| format!("{} {words}", key.replace('_', " ")))
                })
                .collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().take(8).filter_map(inline).collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        }
        Value::Bool(value) => Some(value.to_string()),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn call(tool: &str, result: Result<Value, CallFailure>, answers: bool) -> Call {
        Call {
            tool: tool.into(),
            result,
            answers,
        }
    }

    fn failure() -> CallFailure {
        CallFailure {
            kind: "timeout".into(),
            message: "no answer within 5 s".into(),
        }
    }

    #[test]
    fn figures_are_checked_against_the_condition() {
        let goal = "report anything above 80%";
        let condition = Condition::parse(goal);
        let monitor = json!({"cpu_percent": 12.0, "memory_percent": 93.5});
        let calls = [
            call(
                "recall",
                Ok(json!({"memories": [{"content": "x", "score": 99}]})),
                false,
            ),
            call("system_monitor", Ok(monitor), true),
        ];
        let judged = judge(goal, condition.as_ref(), &calls);
        assert!(judged.reached);
        assert_eq!(judged.contributed, [1]);
        assert_eq!(
            judged.output,
            "Above 80 %: memory 93.5 %. The rest: cpu 12 %."
        );
        let calls = [call(
            "system_monitor",
            Ok(json!({"cpu_percent": 12.0})),
            true,
        )];
        assert_eq!(
            judge(goal, condition.as_ref(), &calls).output,
            "Nothing is above 80 %. Measured: cpu 12 %."
        );
    }

    #[test]
    fn a_goal_that_names_figures_gets_those() {
        let monitor = json!({"cpu_percent": 12.0, "memory_percent": 5, "memory_used_bytes": 2048});
        let calls = [call("system_monitor", Ok(monitor), true)];
        let judged = judge("How much memory is in use?", None, &calls);
        assert_eq!(judged.output, "memory 5 %, memory used 2 KiB");
        assert!(
            judge("How is it?", None, &calls)
                .output
                .contains("cpu percent: 12")
        );
    }

    #[test]
    fn an_empty_or_failed_result_does_not_reach_the_goal() {
        let judged = judge(
            "find x",
            None,
            &[call("recall", Ok(json!({"memories": []})), true)],
        );
        assert!(!judged.reached && judged.contributed.is_empty());
        let judged = judge("find x", None, &[call("fetch", Err(failure()), true)]);
        assert!(!judged.reached);
        assert!(
            judged.output.contains("fetch: no answer within 5 s"),
            "{}",
            judged.output
        );
    }

    #[test]
    fn results_become_words() {
        let result = json!({"expression": "6*7", "result": 42});
        assert_eq!(words(&result).unwrap(), "6*7 = 42");
        let result = json!({"memories": [{"content": "the key is under the mat", "score": 1.5}]});
        assert_eq!(
            words(&result).unwrap(),
            "memories:\n- the key is under the mat"
        );
        assert_eq!(words(&json!({"twins": []})), None);
    }

    #[test]
    fn a_second_tool_answers_where_the_first_failed() {
        let calls = [
            call("a", Err(failure()), true),
            call("b", Ok(json!({"result": "found"})), true),
        ];
        let judged = judge("find", None, &calls);
        assert!(judged.reached);
        assert_eq!(judged.contributed, [1]);
        assert!(judged.output.starts_with("found"), "{}", judged.output);
    }

    proptest! {
        #[test]
        fn words_never_panic(text in ".{0,40}", number in proptest::num::f64::ANY) {
            let _ = words(&json!({"a": [text, number], "b": {"c": text}}));
        }
    }
}
