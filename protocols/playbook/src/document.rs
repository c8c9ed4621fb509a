//! The settings tree of a playbook: what may stand in it, its known keys and their types, writes
//! to it and differences between two trees.
//!
//! A document is a JSON object that TOML can express: no nulls, no integers beyond 64 bits signed.
//! Keys it does not know are kept as they are.

use serde_json::{Map, Value};

use crate::delta::{MAX_PATH_PARTS, Setting};

mod known;
mod learned;

pub(crate) use known::type_name;
use known::{KNOWN, Kind};
pub use learned::delta_between;
pub(crate) use learned::learned;

/// Largest TOML text that is read, in bytes.
pub const MAX_TOML_BYTES: usize = pagi_messages::wire::MAX_BLOCK_BYTES;
/// Deepest nesting of a document.
pub const MAX_DEPTH: usize = 32;

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is not TOML.
    #[error("not TOML: {message} (line {line})")]
    Toml {
        /// What the parser says.
        message: String,
        /// The line, from 1.
        line: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the playbook is not UTF-8 text")]
    NotText,
    /// The text is too large.
    #[error("the playbook has {bytes} bytes, more than {MAX_TOML_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A known key holds a value of another type.
    #[error("`{path}` must be {expected}, but is {found}")]
    WrongType {
        /// The key, joined by dots.
        path: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: &'static str,
    },
    /// A value that a playbook cannot hold.
    #[error("`{path}` {reason}")]
    Unfit {
        /// The key, joined by dots.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry under `learned` is not well formed.
    #[error("`{path}` is not well formed: {reason}")]
    Learned {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The value at `path`, where every part but the last is a table.
pub(crate) fn at<'a, P: AsRef<str>>(document: &'a Value, path: &[P]) -> Option<&'a Value> {
    path.iter().try_fold(document, |value, part| {
        value.as_object()?.get(part.as_ref())
    })
}

/// Checks that `document` is a playbook: a table that TOML can express, its known keys of their
/// types, and what is `learned` well formed.
///
/// # Errors
/// The first [`DocumentError`], with the key's path.
pub fn check(document: &Value) -> Result<(), DocumentError> {
    if !document.is_object() {
        return Err(DocumentError::WrongType {
            path: "playbook".into(),
            expected: Kind::Table.name().into(),
            found: type_name(document),
        });
    }
    check_value(document, MAX_DEPTH)?;
    for (path, kinds) in KNOWN {
        if let Some(value) = at(document, path)
            && !kinds.iter().any(|kind| kind.fits(value))
        {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            return Err(DocumentError::WrongType {
                path: path.join("."),
                expected: names.join(" or "),
                found: match value {
                    Value::Number(_) => "another number",
                    Value::Array(_) => "a list of other things",
                    other => type_name(other),
                },
            });
        }
    }
    for (index, tool) in document["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if tool.is_object() && !tool["name"].is_string() {
            return Err(DocumentError::WrongType {
                path: format!("tools[{index}].name"),
                expected: Kind::Text.name().into(),
                found: type_name(&tool["name"]),
            });
        }
    }
    learned(document).map(|_| ())
}

/// Checks that TOML can express `value`, at most `depth` levels deep.
pub(crate) fn check_value(value: &Value, depth: usize) -> Result<(), DocumentError> {
    fn walk(value: &Value, depth: usize, path: &mut Vec<String>) -> Result<(), DocumentError> {
        let unfit = |path: &[String], reason| {
            Err(DocumentError::Unfit {
                path: crate::delta::cut(&path.join(".")),
                reason,
            })
        };
        match value {
            Value::Null => unfit(path, "has no value"),
            Value::Number(n) if n.is_u64() && n.as_i64().is_none() => {
                unfit(path, "is an integer beyond 64 bits signed")
            }
            Value::Array(_) | Value::Object(_) if depth == 0 => unfit(path, "is nested too deep"),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                path.push(index.to_string());
                walk(item, depth - 1, path)?;
                path.pop();
                Ok(())
            }),
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                path.push(key.clone());
                walk(value, depth - 1, path)?;
                path.pop();
                Ok(())
            }),
            _ => Ok(()),
        }
    }
    walk(value, depth, &mut Vec::new())
}

/// Removes nulls from objects, at any depth. Nulls in lists stay: their places matter.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// A key without outer spaces, in lower case, its look-alike letters made plain.
pub(crate) fn plain_key(key: &str) -> String {
    crate::scan::fold(key).trim().to_owned()
}

/// Whether a key names red lines, however it is spelt.
pub(crate) fn is_red_lines(key: &str) -> bool {
    let letters: String = plain_key(key)
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect();
    letters == "redlines" || letters == "redline"
}

/// Whether red lines stand anywhere inside `value`.
pub(crate) fn holds_red_lines(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| is_red_lines(key) || holds_red_lines(value)),
        Value::Array(items) => items.iter().any(holds_red_lines),
        _ => false,
    }
}

/// Writes `setting` into `document`. Missing tables on the way are made, and values that stand in
/// the way give place to tables; removing what is not there changes nothing.
pub fn apply(document: &mut Value, setting: &Setting) {
    let Some((last, parents)) = setting.path.split_last() else {
        return;
    };
    let mut place = document;
    for part in parents {
        if setting.value.is_none() && place.get(part).is_none() {
            return;
        }
        let Some(map) = table(place) else { return };
        place = map
            .entry(part.clone())
            .or_insert_with(|| Value::Object(Map::new()));
    }
    match &setting.value {
        Some(value) => {
            if let Some(map) = table(place) {
                map.insert(last.clone(), value.clone());
            }
        }
        None => {
            if let Some(map) = place.as_object_mut() {
                map.remove(last);
            }
        }
    }
}

/// `value` as a table, which it becomes where it is not one; so there is always one.
fn table(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// The settings that make `new` of `old`, sorted by path; what is `learned` is left aside, see
/// [`delta_between`]. Lists are written as a whole.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> Vec<Setting> {
    fn walk(old: &Value, new: &Value, path: &mut Vec<String>, out: &mut Vec<Setting>) {
        let (Value::Object(before), Value::Object(after)) = (old, new) else {
            if old != new {
                out.push(Setting {
                    path: path.clone(),
                    value: Some(new.clone()),
                });
            }
            return;
        };
        if path.len() == MAX_PATH_PARTS {
            if before != after {
                out.push(Setting {
                    path: path.clone(),
                    value: Some(new.clone()),
                });
            }
            return;
        }
        let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in keys {
            if path.is_empty() && key == "learned" {
                continue;
            }
            path.push(key.clone());
            match (before.get(key), after.get(key)) {
                (Some(old), Some(new)) => walk(old, new, path, out),
                (None, Some(new)) => {
                    out.push(Setting {
                        path: path.clone(),
                        value: Some(new.clone()),
                    });
                }
                _ => out.push(Setting {
                    path: path.clone(),
                    value: None,
                }),
            }
            path.pop();
        }
    }
    let mut out = Vec::new();
    walk(old, new, &mut Vec::new(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_types_are_named_with_their_path() {
        let error = check(&json!({"context_engineering": {"max_context_tokens": "many"}}));
        assert_eq!(
            error.unwrap_err().to_string(),
            "`context_engineering.max_context_tokens` must be an integer from 1 to 16000000, \
             but is a string"
        );
        for bad in [
            json!([]),
            json!({"ethics": []}),
            json!({"ethics": {"red_lines": "one"}}),
            json!({"ethics": {"red_lines": [1]}}),
            json!({"ethics": {"min_reputation_for_override": -1}}),
            json!({"context_engineering": {"order": {"priority": ["a", 1]}}}),
            json!({"tools": [{"description": "nameless"}]}),
            json!({"x": null}),
            json!({"x": [1, {"y": u64::MAX}]}),
            json!({"learned": {"cases": {}}}),
            json!({"learned": {"bullets": [{"id": "b-1", "section": "s", "text": "t"}]}}),
            json!({"learned": {"tools": [{"name": "x", "helpful": -1}]}}),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
        for good in [
            json!({}),
            json!({"instructions": "be brief", "version": 2, "tools": ["a"], "other": {"x": 1}}),
            json!({"instructions": {"system_prompt": "x"}, "version": "1.0", "tools": []}),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
    }

    #[test]
    fn writes_make_room_and_removals_do_not() {
        let set = |path: &[&str], value| Setting {
            path: path.iter().map(|&part| part.into()).collect(),
            value,
        };
        let mut document = json!({"a": 1});
        apply(&mut document, &set(&["b", "c"], None));
        assert_eq!(document, json!({"a": 1}));
        apply(&mut document, &set(&["a", "c"], Some(json!(2))));
        assert_eq!(document, json!({"a": {"c": 2}}));
        apply(&mut document, &set(&["a", "c", "d"], None));
        assert_eq!(document, json!({"a": {"c": 2}}));
        apply(&mut document, &set(&["a", "c"], None));
        assert_eq!(document, json!({"a": {}}));
    }

    #[test]
    fn a_delta_between_documents_brings_what_is_new() {
        let (one, two) = (
            crate::Bullet::new("s", "one"),
            crate::Bullet::new("s", "two"),
        );
        let old = json!({"a": 1, "learned": {"bullets": [one]}});
        let new = json!({"a": 2, "learned": {"bullets": [two]}});
        let delta = delta_between(&old, &new).unwrap();
        assert_eq!(delta.bullets, [two]);
        assert_eq!(
            delta.set,
            [Setting {
                path: vec!["a".into()],
                value: Some(json!(2))
            }]
        );
    }

    /// Random trees without nulls.
    pub(crate) fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-e\\PC]{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_difference_applied_gives_the_other_document(old in tree(), new in tree()) {
            let old = json!({"x": old, "y": 1});
            let new = json!({"x": new, "z": "s"});
            let settings = diff(&old, &new);
            let mut patched = old.clone();
            settings.iter().for_each(|setting| apply(&mut patched, setting));
            prop_assert_eq!(&patched, &new);
            prop_assert!(diff(&new, &patched).is_empty());
        }
    }
}
