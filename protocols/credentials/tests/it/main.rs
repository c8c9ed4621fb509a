//! Credentials from the outside: the published vectors, what is issued and believed, and what is not.

// Helpers outside of #[test] functions build fixtures that cannot fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod believed;
mod tampered;
mod vectors;

use pagi_credentials::{Suite, context::ED25519_2020, issue_reputation, proof::add_proof};
use pagi_messages::SigningIdentity;
use serde_json::{Value, json};

/// The time all tests live at, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn issuer() -> SigningIdentity {
    SigningIdentity::from_seed(&[1; 32])
}

fn subject() -> SigningIdentity {
    SigningIdentity::from_seed(&[2; 32])
}

fn mallory() -> SigningIdentity {
    SigningIdentity::from_seed(&[3; 32])
}

fn credential() -> Value {
    let contributions = json!([{"cid": "bafy1", "useful": true}, 7]);
    issue_reputation(
        &issuer(),
        subject().did(),
        0.875,
        contributions,
        NOW - 10,
        NOW + 10,
    )
    .unwrap()
}

/// The same credential under each suite.
fn under(suite: Suite) -> Value {
    let mut credential = credential();
    credential.as_object_mut().unwrap().remove("proof");
    if suite == Suite::Signature2020 {
        let contexts = credential["@context"].as_array_mut().unwrap();
        contexts.push(ED25519_2020.into());
    }
    add_proof(&credential, &issuer(), Some(NOW - 10), suite).unwrap()
}

const SUITES: [Suite; 3] = [Suite::Jcs, Suite::Rdfc, Suite::Signature2020];
