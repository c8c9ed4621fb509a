//! What stands under `learned` in a document.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DocumentError, diff};
use crate::{
    delta::{Bullet, Case, Delta, Malformed},
    state::Tally,
};

/// The delta that brings a swarm from `old` to `new`: the settings of [`diff`], and the cases and
/// bullets `new` has learnt beyond `old`. What `old` alone has learnt stays: learning only grows.
///
/// # Errors
/// [`DocumentError::Learned`] where an entry is not well formed.
pub fn delta_between(old: &Value, new: &Value) -> Result<Delta, DocumentError> {
    let (known, found) = (learned(old)?, learned(new)?);
    let fresh_case = |case: &Case| !known.cases.iter().any(|(other, _)| other.id == case.id);
    let fresh_bullet =
        |bullet: &Bullet| !known.bullets.iter().any(|(other, _)| other.id == bullet.id);
    Ok(Delta {
        cases: found
            .cases
            .into_iter()
            .map(|(case, _)| case)
            .filter(fresh_case)
            .collect(),
        bullets: found
            .bullets
            .into_iter()
            .map(|(entry, _)| entry)
            .filter(fresh_bullet)
            .collect(),
        counts: Vec::new(),
        set: diff(old, new),
        revert: Vec::new(),
    })
}

/// What stands under `learned`.
#[derive(Default)]
pub(crate) struct Learned {
    pub(crate) cases: Vec<(Case, Tally)>,
    pub(crate) bullets: Vec<(Bullet, Tally)>,
    pub(crate) tools: BTreeMap<String, Tally>,
}

/// Reads what stands under `learned`: lists of cases, bullets and tools, each entry with its
/// counts as `helpful` and `harmful`.
pub(crate) fn learned(document: &Value) -> Result<Learned, DocumentError> {
    let mut out = Learned::default();
    let Some(learned) = document.get("learned") else {
        return Ok(out);
    };
    let bad = |path: &str, reason: String| DocumentError::Learned {
        path: path.into(),
        reason,
    };
    let malformed = |path: &str, error: Malformed| bad(path, error.to_string());
    for key in ["cases", "bullets", "tools"] {
        let entries = match learned.get(key) {
            None => continue,
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(bad(&format!("learned.{key}"), "must be a list".into())),
        };
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("learned.{key}[{index}]");
            let mut entry = entry.clone();
            let tally = take_tally(&mut entry).map_err(|reason| bad(&path, reason.into()))?;
            match key {
                "cases" => {
                    let case: Case = serde_json::from_value(entry)
                        .map_err(|error| bad(&path, error.to_string()))?;
                    case.check().map_err(|error| malformed(&path, error))?;
                    out.cases.push((case, tally));
                }
                "bullets" => {
                    let bullet: Bullet = serde_json::from_value(entry)
                        .map_err(|error| bad(&path, error.to_string()))?;
                    bullet.check().map_err(|error| malformed(&path, error))?;
                    out.bullets.push((bullet, tally));
                }
                _ => {
                    let name = entry["name"]
                        .as_str()
                        .ok_or_else(|| bad(&path, "needs a name".to_owned()))?;
                    out.tools.insert(format!("tool:{name}"), tally);
                }
            }
        }
    }
    Ok(out)
}

fn take_tally(entry: &mut Value) -> Result<Tally, &'static str> {
    let map = entry.as_object_mut().ok_or("must be a table")?;
    let mut take = |key| match map.remove(key) {
        None => Ok(0),
        Some(value) => value
            .as_u64()
            .filter(|count| *count <= u64::from(u32::MAX))
            .ok_or("must count from 0 to 4294967295"),
    };
    Ok(Tally {
        helpful: take("helpful")?,
        harmful: take("harmful")?,
    })
}
