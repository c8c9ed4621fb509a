//! Issues and verifies credentials on the command line, to try this crate against other software.
//!
//! ```text
//! credential issue SEED SUBJECT_DID SCORE FROM UNTIL    contributions are JSON on standard input
//! credential verify NOW                                 the credential is on standard input
//! ```
//!
//! SEED is the issuer's 32-byte seed in hex; FROM, UNTIL and NOW are seconds since 1970.

use std::{error::Error, io::stdin};

use pagi_credentials::{issue_reputation, verify};
use pagi_messages::SigningIdentity;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let input: Value = serde_json::from_reader(stdin())?;
    match arguments[..] {
        ["issue", seed, subject, score, from, until] => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(seed, &mut bytes)?;
            let issuer = SigningIdentity::from_seed(&bytes);
            let (from, until) = (from.parse()?, until.parse()?);
            let issued = issue_reputation(
                &issuer,
                &subject.parse()?,
                score.parse()?,
                input,
                from,
                until,
            )?;
            println!("{issued}");
        }
        ["verify", now] => {
            let verified = verify(&input, now.parse()?)?;
            println!(
                "{} says of {}: {:?}",
                verified.issuer, verified.subject, verified.claims
            );
        }
        _ => return Err("usage: credential issue|verify …".into()),
    }
    Ok(())
}
