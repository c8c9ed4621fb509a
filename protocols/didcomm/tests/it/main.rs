//! Envelopes from the outside: what gets through, and what must not.

// Helpers outside of #[test] functions build fixtures that cannot fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bent;
mod refused;
mod round_trip;

use pagi_didcomm::{Headers, Limits, Message};
use pagi_messages::SigningIdentity;
use serde_json::{Map, Value, json};

/// The time all tests live at, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn alice() -> SigningIdentity {
    SigningIdentity::from_seed(&[1; 32])
}

fn bob() -> SigningIdentity {
    SigningIdentity::from_seed(&[2; 32])
}

fn mallory() -> SigningIdentity {
    SigningIdentity::from_seed(&[3; 32])
}

fn limits() -> Limits {
    Limits::default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => panic!("not an object"),
    }
}

/// From Alice to Bob, now.
fn message() -> Message {
    Headers::new("m-1", alice().did(), bob().did(), NOW).message(
        "https://example.org/x/1.0/y",
        object(json!({"text": "hello"})),
    )
}

/// To Bob, from nobody.
fn anonymous() -> Message {
    Message {
        from: None,
        ..message()
    }
}
