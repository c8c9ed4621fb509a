//! Packs and unpacks messages on the command line, to try this crate against other DIDComm agents.
//!
//! ```text
//! envelope identity SEED                       prints the DID document of a key
//! envelope pack PACKING SEED RECIPIENT_DID     packs the plaintext message on standard input
//! envelope unpack SEED NOW                     unpacks the envelope on standard input
//! ```
//!
//! SEED is the key's 32-byte seed in hex, NOW the time in seconds since 1970, PACKING one of `authcrypt`,
//! `anoncrypt`, `signed` and `signed-then-encrypted`.

use std::{
    error::Error,
    io::{Read, stdin},
};

use pagi_didcomm::{Limits, Message, Packing, pack, unpack};
use pagi_messages::SigningIdentity;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = match arguments[..] {
        ["identity", seed] => identity(seed)?.did().document()?.to_string(),
        ["pack", packing, seed, recipient] => {
            let packing = match packing {
                "authcrypt" => Packing::Authcrypt,
                "hidden-authcrypt" => Packing::HiddenAuthcrypt,
                "anoncrypt" => Packing::Anoncrypt,
                "signed" => Packing::Signed,
                "signed-then-encrypted" => Packing::SignedThenEncrypted,
                other => return Err(format!("unknown packing `{other}`").into()),
            };
            let message = Message::from_json(input()?.as_bytes())?;
            pack(
                &message,
                packing,
                Some(&identity(seed)?),
                &recipient.parse()?,
            )?
        }
        ["unpack", seed, now] => {
            let unpacked = unpack(
                &input()?,
                &identity(seed)?,
                now.parse()?,
                &Limits::default(),
            )?;
            json!({
                "message": serde_json::from_str::<serde_json::Value>(&unpacked.message.to_json()?)?,
                "authenticated_sender": unpacked.authenticated_sender,
                "signed_by": unpacked.signed_by,
                "encrypted": unpacked.encrypted,
            })
            .to_string()
        }
        _ => return Err("usage: envelope identity|pack|unpack …".into()),
    };
    println!("{output}");
    Ok(())
}

fn identity(seed: &str) -> Result<SigningIdentity, Box<dyn Error>> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(seed, &mut bytes)?;
    Ok(SigningIdentity::from_seed(&bytes))
}

fn input() -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    Ok(text)
}
