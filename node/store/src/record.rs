//! The stored form of a record: one format byte, then the value in that format.
//!
//! A later version that wants another format takes the next byte and still reads the earlier ones.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Largest stored record, in bytes.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// Format byte of bytes stored as they are.
const RAW: u8 = 0;
/// Format byte of a JSON value.
const JSON: u8 = 1;

/// Deepest nesting written. The JSON reader gives up at 128 levels, and a record that can be
/// written but never read would stop every reader of its table.
const MAX_DEPTH: usize = 100;

/// `value` as a JSON record.
pub(crate) fn json<T: Serialize>(table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![JSON];
    serde_json::to_writer(&mut bytes, value).map_err(|error| StoreError::Invalid {
        table,
        reason: error.to_string(),
    })?;
    let depth = depth(&bytes[1..]);
    if depth > MAX_DEPTH {
        let reason = format!("it is nested {depth} deep, more than the {MAX_DEPTH} allowed");
        return Err(StoreError::Invalid { table, reason });
    }
    limited(table, bytes)
}

/// `value` as a raw record.
pub(crate) fn raw(table: &'static str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(value.len() + 1);
    bytes.push(RAW);
    bytes.extend_from_slice(value);
    limited(table, bytes)
}

/// The value of a JSON record. `key` names the record in the error.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(
    table: &'static str,
    key: &dyn Display,
    bytes: &'a [u8],
) -> Result<T, StoreError> {
    let corrupt = |reason| StoreError::Corrupt {
        table,
        key: key.to_string(),
        reason,
    };
    match bytes.split_first() {
        Some((&JSON, body)) => {
            serde_json::from_slice(body).map_err(|error| corrupt(error.to_string()))
        }
        other => Err(corrupt(wrong_format(other))),
    }
}

/// The bytes of a raw record.
pub(crate) fn from_raw(
    table: &'static str,
    key: &dyn Display,
    bytes: &[u8],
) -> Result<Vec<u8>, StoreError> {
    match bytes.split_first() {
        Some((&RAW, body)) => Ok(body.to_vec()),
        other => Err(StoreError::Corrupt {
            table,
            key: key.to_string(),
            reason: wrong_format(other),
        }),
    }
}

fn wrong_format(split: Option<(&u8, &[u8])>) -> String {
    match split {
        None => "it is empty".to_owned(),
        Some((format, _)) => format!("its format byte {format} is not the expected one"),
    }
}

fn limited(table: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(StoreError::TooLarge {
            table,
            bytes: bytes.len(),
            limit: MAX_RECORD_BYTES,
        });
    }
    Ok(bytes)
}

/// How deep the arrays and objects of well-formed `json` are nested.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn depth_counts_brackets_outside_texts_only() {
        assert_eq!(depth(br#"{"a[[[":["\"[{",{}],"b":1}"#), 3);
        assert_eq!(depth(b"7"), 0);
    }

    #[test]
    fn what_is_too_deep_to_read_is_not_written() {
        let bytes = json("t", &nested(MAX_DEPTH)).unwrap();
        assert_eq!(
            from_json::<Value>("t", &"k", &bytes).unwrap(),
            nested(MAX_DEPTH)
        );
        let refused = json("t", &nested(MAX_DEPTH + 1)).unwrap_err();
        assert!(
            matches!(refused, StoreError::Invalid { table: "t", .. }),
            "{refused}"
        );
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let large = vec![0; MAX_RECORD_BYTES];
        assert!(
            matches!(raw("t", &large), Err(StoreError::TooLarge { limit, .. })
            if limit == MAX_RECORD_BYTES)
        );
        assert!(raw("t", &large[1..]).is_ok());
    }

    #[test]
    fn unknown_formats_and_bad_bodies_are_corrupt_records() {
        for bytes in [
            &b""[..],
            b"\x00{}",
            b"\x02{}",
            b"\x01{",
            b"\x01{} {}",
            b"\x01\xff",
        ] {
            let error = from_json::<Value>("t", &"k", bytes).unwrap_err();
            assert!(
                matches!(&error, StoreError::Corrupt { table: "t", key, .. } if key == "k"),
                "{error}"
            );
        }
        assert!(from_raw("t", &"k", b"\x01{}").is_err() && from_raw("t", &"k", b"").is_err());
    }

    proptest! {
        #[test]
        fn floats_and_bytes_read_back_exactly(number in prop::num::f64::NORMAL, bytes: Vec<u8>) {
            let stored = json("t", &number).unwrap();
            let read: f64 = from_json("t", &"k", &stored).unwrap();
            prop_assert_eq!(read.to_bits(), number.to_bits());
            let stored = raw("t", &bytes).unwrap();
            prop_assert_eq!(from_raw("t", &"k", &stored).unwrap(), bytes);
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = from_json::<Value>("t", &"k", &bytes);
            let _ = from_raw("t", &"k", &bytes);
        }
    }
}
