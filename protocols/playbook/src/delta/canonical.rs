//! Bytes that differ whenever two entries differ: what ids are hashed over.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// 16 hex digits of the hash of `bytes`.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The head of a list.
pub(super) fn list(out: &mut Vec<u8>, len: usize) {
    out.push(b'[');
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b':');
}

/// A text with its length.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b's');
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(text.as_bytes());
}

/// A value, with the keys of its objects sorted.
pub(super) fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.push(if *flag { b't' } else { b'f' }),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (None, None, Some(float)) => {
                out.push(b'd');
                out.extend_from_slice(&float.to_bits().to_be_bytes());
            }
            _ => {
                out.push(b'i');
                text(out, &number.to_string());
            }
        },
        Value::String(string) => text(out, string),
        Value::Array(items) => {
            list(out, items.len());
            items.iter().for_each(|item| self::value(out, item));
        }
        Value::Object(map) => {
            out.push(b'{');
            list(out, map.len());
            for (key, value) in map.iter().collect::<BTreeMap<_, _>>() {
                text(out, key);
                self::value(out, value);
            }
        }
    }
}
