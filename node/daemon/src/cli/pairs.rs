//! `KEY=VALUE` arguments as a JSON object.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::CliError;

/// One `KEY=VALUE` argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    key: String,
    value: String,
}

/// An argument is not `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not KEY=VALUE")]
pub struct BadPair(String);

impl FromStr for Pair {
    type Err = BadPair;

    fn from_str(text: &str) -> Result<Self, BadPair> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(BadPair(text.chars().take(64).collect())),
        }
    }
}

/// The pairs as a JSON object, in their order.
///
/// With a JSON Schema of the object, a value whose property is a string stays as it was typed.
/// Otherwise a value that is JSON is taken as JSON, and anything else as a string.
///
/// # Errors
/// [`CliError`] (bad usage) when a key comes twice.
pub fn object(pairs: &[Pair], schema: Option<&Value>) -> Result<Value, CliError> {
    let mut map = Map::new();
    for Pair { key, value } in pairs {
        let kind = schema.and_then(|schema| schema.get("properties")?.get(key)?.get("type"));
        let read = match kind.and_then(Value::as_str) {
            Some("string") => Value::String(value.clone()),
            _ => guess(value),
        };
        if map.insert(key.clone(), read).is_some() {
            let cause = format!("`{key}` is given twice");
            return Err(CliError::usage(cause, "give each key once"));
        }
    }
    Ok(Value::Object(map))
}

/// The parameters of a call: one JSON object, or `KEY=VALUE` pairs.
///
/// # Errors
/// [`CliError`] (bad usage) when the arguments are neither.
pub fn parameters(args: &[String], schema: Option<&Value>) -> Result<Value, CliError> {
    if let [only] = args
        && only.trim_start().starts_with('{')
    {
        return serde_json::from_str(only).map_err(|error| {
            CliError::usage(
                format!("the parameters are not JSON: {error}"),
                "give a JSON object in single quotes, or KEY=VALUE pairs",
            )
        });
    }
    let pairs: Result<Vec<Pair>, BadPair> = args.iter().map(|arg| arg.parse()).collect();
    let pairs = pairs.map_err(|error| {
        CliError::usage(
            error.to_string(),
            "give KEY=VALUE pairs, or one JSON object in quotes",
        )
    })?;
    object(&pairs, schema)
}

/// `text` as JSON if it is JSON that keeps what was typed, as a string otherwise.
fn guess(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        // An integer beyond 64 bits would lose digits as a number.
        Ok(Value::Number(number)) if number.is_f64() && !text.contains(['.', 'e', 'E']) => {
            Value::String(text.to_owned())
        }
        Ok(value) => value,
        Err(_) => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(args: &[&str], schema: Option<&Value>) -> Result<Value, CliError> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parameters(&args, schema)
    }

    #[test]
    fn values_are_json_where_they_are_json() {
        let args = [
            "n=3",
            "f=0.5",
            "t=true",
            "z=null",
            "s=two words",
            "q=\"3\"",
            "l=[1,2]",
            "o={\"a\":1}",
            "e=",
            "lead=007",
            "eq=a=b",
            "big=123456789012345678901234567890",
            "neg=-4",
        ];
        let expected = json!({
            "n": 3, "f": 0.5, "t": true, "z": null, "s": "two words", "q": "3", "l": [1, 2],
            "o": {"a": 1}, "e": "", "lead": "007", "eq": "a=b",
            "big": "123456789012345678901234567890", "neg": -4,
        });
        assert_eq!(read(&args, None).unwrap(), expected);
    }

    #[test]
    fn a_schema_keeps_strings_as_typed() {
        let schema = json!({"properties": {"s": {"type": "string"}, "n": {"type": "number"}}});
        let got = read(&["s=12", "n=12", "x=12"], Some(&schema)).unwrap();
        assert_eq!(got, json!({"s": "12", "n": 12, "x": 12}));
    }

    #[test]
    fn one_json_object_is_taken_whole() {
        assert_eq!(read(&[" {\"a\": 1}"], None).unwrap(), json!({"a": 1}));
        assert_eq!(read(&[], None).unwrap(), json!({}));
    }

    #[test]
    fn anything_else_is_bad_usage() {
        for args in [
            &["plain"][..],
            &["=x"],
            &["{\"a\":"],
            &["a=1", "a=2"],
            &["a=1", "{}"],
        ] {
            assert_eq!(read(args, None).unwrap_err().code, 2, "{args:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_kept_or_read_as_the_same_json(key in "[a-z]{1,8}", value in any::<String>()) {
            let got = read(&[&format!("{key}={value}")], None).unwrap();
            match &got[&key] {
                Value::String(text) if *text == value => {}
                read => prop_assert_eq!(read, &serde_json::from_str::<Value>(&value).unwrap()),
            }
        }
    }
}
