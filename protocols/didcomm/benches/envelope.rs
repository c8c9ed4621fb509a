//! Packing and unpacking a message of 1 KiB beside the raw operations it is made of, in one run:
//! `cargo bench -p pagi-didcomm`.

// A benchmark's fixtures cannot fail.
#![allow(clippy::unwrap_used)]

use std::{hint::black_box, time::Instant};

use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, aead::Aead};
use pagi_didcomm::{BasicMessage, Headers, Limits, Packing, pack, unpack};
use pagi_messages::SigningIdentity;
use sha2::{Digest, Sha512};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 2_000;

/// Microseconds of one call: the median and the 99th of a hundred.
fn measure(name: &str, mut run: impl FnMut()) {
    for _ in 0..ROUNDS / 20 {
        run();
    }
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{name:<44} {:>9.1} µs {:>9.1} µs",
        times[ROUNDS / 2],
        times[ROUNDS * 99 / 100]
    );
}

fn main() {
    let (alice, bob) = (
        SigningIdentity::from_seed(&[1; 32]),
        SigningIdentity::from_seed(&[2; 32]),
    );
    let text = "x".repeat(1024);
    println!("{:<44} {:>12} {:>12}", "", "median", "99 %");
    for (name, packing) in [
        ("authcrypt", Packing::Authcrypt),
        ("authcrypt in an anonymous layer", Packing::HiddenAuthcrypt),
        ("anoncrypt", Packing::Anoncrypt),
        ("signed", Packing::Signed),
        ("signed, then encrypted", Packing::SignedThenEncrypted),
    ] {
        let mut headers = Headers::new("m", alice.did(), bob.did(), NOW);
        if packing == Packing::Anoncrypt {
            headers.from = None;
        }
        let message = BasicMessage::message(headers, &text, None);
        let packed = pack(&message, packing, Some(&alice), bob.did()).unwrap();
        measure(&format!("pack 1 KiB, {name}"), || {
            black_box(pack(&message, packing, Some(&alice), bob.did()).unwrap());
        });
        measure(&format!("unpack 1 KiB, {name}"), || {
            black_box(unpack(&packed, &bob, NOW, &Limits::default()).unwrap());
        });
    }
    let signature = alice.sign(text.as_bytes());
    measure("raw: Ed25519 signature of 1 KiB", || {
        black_box(alice.sign(text.as_bytes()));
    });
    measure("raw: Ed25519 verification of 1 KiB", || {
        alice.did().verify(text.as_bytes(), &signature).unwrap();
    });
    measure("raw: X25519 public key of an Ed25519 DID", || {
        black_box(bob.did().agreement_key().unwrap());
    });
    measure("raw: SHA-512 of 1 KiB", || {
        black_box(Sha512::digest(text.as_bytes()));
    });
    let cipher = ChaCha20Poly1305::new(Key::from_slice(&[7; 32]));
    measure("raw: ChaCha20-Poly1305 of 1 KiB", || {
        black_box(
            cipher
                .encrypt(Nonce::from_slice(&[0; 12]), text.as_bytes())
                .unwrap(),
        );
    });
}
