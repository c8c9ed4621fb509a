//! Issues and verifies credentials on the command line, to try this crate against other software.
//!
//! ```text
//! credential issue SUITE SEED SUBJECT_DID SCORE FROM UNTIL [PLACE]
//! credential list SEED NOW [PLACE…]           a status list that takes back the places
//! credential verify NOW [LIST_FILE]           the credential is on standard input
//! ```
//!
//! Contributions are JSON on standard input. SUITE is `jcs`, `rdfc` or `2020`; SEED is the issuer's
//! 32-byte seed in hex; FROM, UNTIL and NOW are seconds since 1970; PLACE is one in the issuer's
//! status list.

use std::{error::Error, io::stdin, process::ExitCode};

use pagi_credentials::{
    Claims, StatusEntry, StatusList, Suite, context, issue, list_id, proof::add_proof, verify,
};
use pagi_messages::SigningIdentity;
use serde_json::Value;

fn identity(seed: &str) -> Result<SigningIdentity, Box<dyn Error>> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(seed, &mut bytes)?;
    Ok(SigningIdentity::from_seed(&bytes))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [
            "issue",
            suite,
            seed,
            subject,
            score,
            from,
            until,
            ref place @ ..,
        ] => {
            let issuer = identity(seed)?;
            let claims = Claims::Reputation {
                reputation_score: score.parse()?,
                contributions: serde_json::from_reader(stdin())?,
            };
            let status = match place.first() {
                Some(index) => Some(StatusEntry {
                    list: list_id(issuer.did()),
                    index: index.parse()?,
                }),
                None => None,
            };
            let (from, until) = (from.parse()?, until.parse()?);
            let subject = subject.parse()?;
            let mut issued = issue(&issuer, &subject, &claims, from, until, status.as_ref())?;
            let suite = match suite {
                "jcs" => Suite::Jcs,
                "2020" => Suite::Signature2020,
                _ => Suite::Rdfc,
            };
            if suite != Suite::Rdfc {
                if let Some(members) = issued.as_object_mut() {
                    members.remove("proof");
                }
                if suite == Suite::Signature2020
                    && let Some(list) = issued["@context"].as_array_mut()
                {
                    list.push(context::ED25519_2020.into());
                }
                issued = add_proof(&issued, &issuer, Some(from), suite)?;
            }
            println!("{issued}");
        }
        ["list", seed, now, ref places @ ..] => {
            let issuer = identity(seed)?;
            let mut list = StatusList::new(issuer.did());
            for place in places {
                list.revoke(place.parse()?);
            }
            println!("{}", list.issue(&issuer, now.parse()?)?);
        }
        ["verify", now, ref list @ ..] => {
            let now = now.parse()?;
            let credential: Value = serde_json::from_reader(stdin())?;
            let verified = verify(&credential, now)?;
            if let Some(file) = list.first() {
                let list: Value = serde_json::from_slice(&std::fs::read(file)?)?;
                verified.check_status(&StatusList::verify(&list, now)?)?;
            }
            println!(
                "{} says of {}: {:?}",
                verified.issuer, verified.subject, verified.claims
            );
        }
        _ => return Err("usage: credential issue|list|verify …".into()),
    }
    Ok(())
}
