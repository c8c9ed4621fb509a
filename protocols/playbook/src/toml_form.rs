//! TOML in and out.
//!
//! The legacy and the expanded form of a playbook both become a JSON tree, unknown keys and all.
//! Printing has one order: plain values first, then tables, each sorted, the well-known sections
//! ahead. Two things of TOML do not come back as they were: comments are lost, and dates and times
//! become strings.

use serde_json::{Map, Value};

use crate::document::{self, DocumentError, MAX_TOML_BYTES};

/// Sections that are printed first, in this order.
const FIRST: &[&str] = &[
    "meta",
    "instructions",
    "ethics",
    "context_engineering",
    "ai_principles",
    "ace",
    "memory",
    "sub_agents",
    "optimization",
    "metrics",
    "tools",
];

/// Reads a playbook in its legacy or expanded form and checks its known keys.
///
/// # Errors
/// [`DocumentError`].
pub fn parse_toml(text: &str) -> Result<Value, DocumentError> {
    if text.len() > MAX_TOML_BYTES {
        return Err(DocumentError::TooLarge { bytes: text.len() });
    }
    let table: toml::Table = toml::from_str(text).map_err(|error| DocumentError::Toml {
        message: error.message().to_owned(),
        line: error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1),
    })?;
    let document = json_table(table, &mut Vec::new())?;
    document::check(&document)?;
    Ok(document)
}

/// The same from bytes.
///
/// # Errors
/// [`DocumentError`].
pub fn parse_toml_bytes(bytes: &[u8]) -> Result<Value, DocumentError> {
    parse_toml(std::str::from_utf8(bytes).map_err(|_| DocumentError::NotText)?)
}

fn json_table(table: toml::Table, path: &mut Vec<String>) -> Result<Value, DocumentError> {
    let mut map = Map::new();
    for (key, value) in table {
        path.push(key.clone());
        map.insert(key, json(value, path)?);
        path.pop();
    }
    Ok(Value::Object(map))
}

fn json(value: toml::Value, path: &mut Vec<String>) -> Result<Value, DocumentError> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| DocumentError::Unfit {
                path: path.join("."),
                reason: "must be a finite number",
            })?,
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(datetime) => datetime.to_string().into(),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| json(item, path))
            .collect::<Result<_, _>>()?,
        toml::Value::Table(table) => json_table(table, path)?,
    })
}

/// Prints a document as TOML. Equal documents give equal text.
///
/// Every document that [`document::check`] accepts comes back as it was. In others, what TOML
/// cannot express gives way: nulls are left out, and integers beyond 64 bits signed are printed as
/// strings. What is no table prints as nothing.
#[must_use]
pub fn to_toml(document: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(map) = document {
        print_table(&mut out, &mut Vec::new(), map);
    }
    out
}

/// Whether a value is printed as a section of its own.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_object),
        _ => false,
    }
}

fn print_table(out: &mut String, path: &mut Vec<String>, map: &Map<String, Value>) {
    let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
    let rank = |key: &str| {
        let known = FIRST
            .iter()
            .position(|first| *first == key)
            .unwrap_or(FIRST.len());
        // What is learnt grows without end: it comes last.
        if key == "learned" { usize::MAX } else { known }
    };
    if path.is_empty() {
        entries.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    } else {
        entries.sort_by_key(|(key, _)| *key);
    }
    let (sections, plain): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(_, value)| is_section(value));
    for (name, value) in plain {
        key(out, name);
        out.push_str(" = ");
        print_value(out, value);
        out.push('\n');
    }
    for (name, value) in sections {
        path.push(name.clone());
        match value {
            Value::Object(map) => {
                // A table that only holds tables needs no header of its own.
                if map.is_empty() || map.values().any(|value| !is_section(value)) {
                    header(out, "[", path, "]");
                }
                print_table(out, path, map);
            }
            Value::Array(items) => {
                for item in items {
                    header(out, "[[", path, "]]");
                    if let Value::Object(map) = item {
                        print_table(out, path, map);
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

fn header(out: &mut String, open: &str, path: &[String], close: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(open);
    for (index, part) in path.iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        key(out, part);
    }
    out.push_str(close);
    out.push('\n');
}

fn key(out: &mut String, key: &str) {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        out.push_str(key);
    } else {
        line_text(out, key);
    }
}

fn print_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => out.push_str(&number.to_string()),
            (None, Some(number), _) => line_text(out, &number.to_string()),
            (None, None, number) => out.push_str(&format!("{:?}", number.unwrap_or_default())),
        },
        Value::String(string) if string.contains('\n') => block_text(out, string),
        Value::String(string) => line_text(out, string),
        Value::Array(items) => print_list(out, items),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (name, value)) in entries.into_iter().enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                key(out, name);
                out.push_str(" = ");
                print_value(out, value);
            }
            out.push_str(" }");
        }
    }
}

/// A list on one line, or one entry a line where it is long.
fn print_list(out: &mut String, items: &[Value]) {
    let printed: Vec<String> = items
        .iter()
        .filter(|item| !item.is_null())
        .map(|item| {
            let mut text = String::new();
            print_value(&mut text, item);
            text
        })
        .collect();
    let long = printed.iter().map(|text| text.len() + 2).sum::<usize>() > 80;
    if long {
        out.push_str("[\n");
        for text in printed {
            out.push_str("  ");
            out.push_str(&text);
            out.push_str(",\n");
        }
        out.push(']');
    } else {
        out.push('[');
        out.push_str(&printed.join(", "));
        out.push(']');
    }
}

fn escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c => out.push(c),
    }
}

fn line_text(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| escaped(out, c));
    out.push('"');
}

fn block_text(out: &mut String, text: &str) {
    out.push_str("\"\"\"\n");
    for c in text.chars() {
        if c == '\n' {
            out.push('\n')
        } else {
            escaped(out, c)
        }
    }
    out.push_str("\"\"\"");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_parse_and_keep_unknown_keys() {
        let legacy = parse_toml(
            "instructions = 'be brief'\nversion = '1.0'\nmade = 2024-01-02T03:04:05Z\n\
             [[tools]]\nname = 'calculator'\n[metrics]\nruns = 3\n[mine]\nx = [1, [2.5, {a = 1}]]\n",
        )
        .unwrap();
        assert_eq!(
            legacy,
            json!({"instructions": "be brief", "version": "1.0", "made": "2024-01-02T03:04:05Z",
                   "tools": [{"name": "calculator"}], "metrics": {"runs": 3},
                   "mine": {"x": [1, [2.5, {"a": 1}]]}})
        );
        assert_eq!(parse_toml(&to_toml(&legacy)).unwrap(), legacy);
    }

    #[test]
    fn printing_is_stable_and_readable() {
        let one: Value = serde_json::from_str(
            r#"{"zeta":{"a":{"b":1}},"ethics":{"red_lines":["x"]},"version":"1",
                "learned":{"bullets":[]},"text":"two\nlines \"\"\""}"#,
        )
        .unwrap();
        let two: Value = serde_json::from_str(
            r#"{"text":"two\nlines \"\"\"","learned":{"bullets":[]},"version":"1",
                "ethics":{"red_lines":["x"]},"zeta":{"a":{"b":1}}}"#,
        )
        .unwrap();
        let text = to_toml(&one);
        assert_eq!(text, to_toml(&two));
        assert_eq!(
            text,
            "text = \"\"\"\ntwo\nlines \\\"\\\"\\\"\"\"\"\nversion = \"1\"\n\n[ethics]\n\
             red_lines = [\"x\"]\n\n[zeta.a]\nb = 1\n\n[learned]\nbullets = []\n"
        );
    }

    #[test]
    fn errors_say_where() {
        let DocumentError::Toml { line, .. } = parse_toml("a = 1\nb = \n").unwrap_err() else {
            panic!("a syntax error");
        };
        assert_eq!(line, 2);
        assert_eq!(
            parse_toml("[a]\nb = [1, inf]\n").unwrap_err(),
            DocumentError::Unfit {
                path: "a.b".into(),
                reason: "must be a finite number"
            }
        );
        assert_eq!(
            parse_toml_bytes(&[0xff]).unwrap_err(),
            DocumentError::NotText
        );
        let large = "#".repeat(MAX_TOML_BYTES + 1);
        assert!(matches!(
            parse_toml(&large),
            Err(DocumentError::TooLarge { .. })
        ));
        let deep = format!("a = {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse_toml(&deep).is_err());
    }

    #[test]
    fn what_toml_cannot_express_gives_way() {
        assert_eq!(
            to_toml(&json!({"a": null, "b": [null, 1], "c": u64::MAX})),
            "b = [1]\nc = \"18446744073709551615\"\n"
        );
        assert_eq!(to_toml(&json!(3)), "");
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\"'\\\\\r\n\ta]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("([a-c]|\\PC|[\"'\n.]){0,3}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_survives_the_round_trip(
            own in prop::collection::btree_map("x-\\PC{0,4}", tree(), 0..5),
        ) {
            let mut map: Map<String, Value> = own.into_iter().collect();
            map.insert("version".into(), "1".into());
            let document = Value::Object(map);
            let text = to_toml(&document);
            prop_assert_eq!(&parse_toml(&text).unwrap(), &document, "{}", text);
        }

        #[test]
        fn parsing_never_panics(text in any::<String>(), bytes: Vec<u8>) {
            let _ = parse_toml(&text);
            let _ = parse_toml_bytes(&bytes);
        }

        #[test]
        fn parsing_near_toml_never_panics(
            text in "([a-c]{1,2}|[\\[\\]={}\"',.#\n]|ethics|learned|tools|cases|[0-9e:.+-]){0,60}",
        ) {
            if let Ok(document) = parse_toml(&text) {
                prop_assert_eq!(parse_toml(&to_toml(&document)).unwrap(), document);
            }
        }
    }
}
