//! Ten thousand envelopes that were changed on their way, and texts that never were envelopes: none is
//! accepted, and none makes the reader panic.

use pagi_didcomm::{Packing, pack, unpack};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn envelopes() -> Vec<String> {
    [
        Packing::Authcrypt,
        Packing::HiddenAuthcrypt,
        Packing::Anoncrypt,
        Packing::Signed,
        Packing::SignedThenEncrypted,
    ]
    .into_iter()
    .map(|packing| {
        let message = if packing == Packing::Anoncrypt {
            anonymous()
        } else {
            message()
        };
        pack(&message, packing, Some(&alice()), bob().did()).unwrap()
    })
    .collect()
}

/// A small, fixed sequence of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

#[test]
fn ten_thousand_bent_envelopes_are_refused() {
    let envelopes = envelopes();
    let mut numbers = Numbers(0x5EED);
    let mut tried = 0;
    while tried < 10_000 {
        let original = &envelopes[tried % envelopes.len()];
        let mut bytes = original.clone().into_bytes();
        let at = numbers.below(bytes.len());
        match tried % 5 {
            0 | 1 => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes.truncate(at),
            3 => {
                let other = numbers.below(bytes.len());
                bytes.swap(at, other);
            }
            _ => {
                bytes.remove(at);
            }
        }
        // A swap of equal bytes, or the removal of nothing, would change nothing.
        if bytes == original.as_bytes() {
            bytes.push(b'x');
        }
        tried += 1;
        let Ok(bent) = String::from_utf8(bytes) else {
            continue;
        };
        assert!(
            unpack(&bent, &bob(), NOW, &limits()).is_err(),
            "accepted: {bent}"
        );
    }
}

/// Paths of all texts in an envelope.
fn texts(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(path.to_owned()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                texts(item, &format!("{path}/{at}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                texts(member, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_part_of_an_envelope_counts() {
    let envelopes = envelopes();
    let mut parts = 0;
    for packed in &envelopes {
        let original: Value = serde_json::from_str(packed).unwrap();
        let mut found = Vec::new();
        texts(&original, "", &mut found);
        for path in found {
            // Each part changed, emptied, of another type, gone, or taken from another envelope.
            let mut changes = vec![
                Value::from(""),
                Value::Null,
                Value::from(7),
                Value::from("AAAA"),
            ];
            for other in envelopes.iter().filter(|other| *other != packed) {
                let other: Value = serde_json::from_str(other).unwrap();
                changes.extend(other.pointer(&path).cloned());
            }
            for change in changes {
                if original.pointer(&path) == Some(&change) {
                    continue;
                }
                let mut bent = original.clone();
                *bent.pointer_mut(&path).unwrap() = change.clone();
                assert!(
                    unpack(&bent.to_string(), &bob(), NOW, &limits()).is_err(),
                    "{path} = {change}"
                );
                parts += 1;
            }
        }
        let mut more = original.clone();
        more["aad"] = "AAAA".into();
        assert!(unpack(&more.to_string(), &bob(), NOW, &limits()).is_err());
    }
    assert!(parts > 80, "{parts}");
}

#[test]
fn deep_and_odd_json_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "\"\"",
        "{\"ciphertext\":1}",
        "{\"signatures\":[]}",
        "{\"payload\":\"\",\"signatures\":[]}",
        "{\"ciphertext\":\"\",\"protected\":\"\",\"recipients\":[],\"iv\":\"\",\"tag\":\"\"}",
        &"[".repeat(100_000),
        &"{\"a\":".repeat(100_000),
    ] {
        assert!(unpack(text, &bob(), NOW, &limits()).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        prop_assert!(unpack(&text, &bob(), NOW, &limits()).is_err());
    }

    #[test]
    fn no_json_makes_the_reader_panic(
        names in prop::collection::vec(
            prop::sample::select(vec![
                "ciphertext", "protected", "recipients", "iv", "tag", "payload", "signatures",
                "id", "type", "body",
            ]),
            0..8,
        ),
        text in "[A-Za-z0-9_-]{0,60}",
    ) {
        let object: serde_json::Map<String, Value> =
            names.into_iter().map(|name| (name.to_owned(), Value::from(text.clone()))).collect();
        let text = Value::Object(object).to_string();
        prop_assert!(unpack(&text, &bob(), NOW, &limits()).is_err());
    }
}
