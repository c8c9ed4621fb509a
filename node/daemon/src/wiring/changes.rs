//! What differs between two revisions of the playbook.

use std::collections::BTreeMap;

use cid::Cid;
use pagi_api::{
    ApiError,
    swarm::{PlaybookChange, PlaybookDiff},
};
use pagi_playbook::{Dag, Genesis, State, Tally, diff};
use serde::Serialize;
use serde_json::{Value, json};

use super::views::{internal, parse_cid};

/// Compares two revisions of the history in `blocks` (CID and bytes); without `from`, the first
/// parent of `to` and it.
///
/// # Errors
/// [`ApiError::NotFound`] for a revision that is not there, [`ApiError::Internal`] for a history that
/// is not sound.
pub fn compare(
    genesis: Genesis,
    blocks: Vec<(String, Vec<u8>)>,
    from: Option<Cid>,
    to: Cid,
) -> Result<PlaybookDiff, ApiError> {
    let mut read = Vec::with_capacity(blocks.len());
    for (cid, bytes) in blocks {
        read.push((parse_cid(&cid).map_err(internal)?, bytes));
    }
    let dag = Dag::replay(genesis, read).map_err(internal)?;
    let before = dag
        .get(&to)
        .and_then(|revision| revision.body().parents.first().copied());
    let from = from.or(before).unwrap_or(dag.root());
    let state = |cid: &Cid| {
        dag.state_at(cid).ok_or_else(|| ApiError::NotFound {
            what: "revision",
            id: cid.to_string(),
        })
    };
    Ok(PlaybookDiff {
        changes: changes(&state(&from)?, &state(&to)?),
        from: from.to_string(),
        to: to.to_string(),
    })
}

/// The differences from `before` to `after`: settings by path, then what is learned by id. What is
/// retired counts as gone.
pub fn changes(before: &State, after: &State) -> Vec<PlaybookChange> {
    let settings = diff(before.settings(), after.settings())
        .into_iter()
        .map(|setting| {
            let path: Vec<&str> = setting.path.iter().map(String::as_str).collect();
            PlaybookChange {
                kind: "setting".to_owned(),
                name: path.join("."),
                before: before.setting(&path).cloned(),
                after: setting.value,
            }
        });
    let cases = |state: &State| {
        let cases = state.cases();
        cases
            .map(|(case, tally)| (case.id.clone(), counted(case, tally)))
            .collect()
    };
    let bullets = |state: &State| {
        let bullets = state.bullets();
        bullets
            .map(|(bullet, tally)| (bullet.id.clone(), counted(bullet, tally)))
            .collect()
    };
    let tools = |state: &State| {
        let tools = state.tools();
        tools
            .map(|(name, tally)| (name.to_owned(), counted(&json!({}), tally)))
            .collect()
    };
    settings
        .chain(entries("case", cases(before), cases(after)))
        .chain(entries("bullet", bullets(before), bullets(after)))
        .chain(entries("tool", tools(before), tools(after)))
        .collect()
}

/// An entry and how often it helped and harmed.
fn counted(entry: &impl Serialize, tally: Tally) -> Value {
    let mut value = serde_json::to_value(entry).unwrap_or_else(|_| json!({}));
    value["helpful"] = tally.helpful.into();
    value["harmful"] = tally.harmful.into();
    value
}

fn entries(
    kind: &str,
    mut before: BTreeMap<String, Value>,
    after: BTreeMap<String, Value>,
) -> Vec<PlaybookChange> {
    let change = |name: String, before: Option<Value>, after: Option<Value>| PlaybookChange {
        kind: kind.to_owned(),
        name,
        before,
        after,
    };
    let mut found: Vec<PlaybookChange> = after
        .into_iter()
        .filter_map(|(name, now)| match before.remove(&name) {
            Some(then) if then == now => None,
            then => Some(change(name, then, Some(now))),
        })
        .collect();
    found.extend(
        before
            .into_iter()
            .map(|(name, then)| change(name, Some(then), None)),
    );
    found
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use pagi_playbook::{Bullet, Count, Delta, Merged, Setting};

    use super::*;

    #[test]
    fn settings_bullets_and_counts_are_told_apart() {
        let genesis =
            Genesis::from_toml("test", "version = \"1\"\ninstructions = \"Help.\"\n").unwrap();
        let before = State::new(&genesis).unwrap();
        let bullet = Bullet::new("tips", "look before you leap");
        let delta = Delta {
            bullets: vec![bullet.clone()],
            counts: vec![Count {
                target: "tool:recall".into(),
                helpful: 1,
                harmful: 0,
            }],
            set: vec![Setting {
                path: vec!["memory".into(), "retention".into()],
                value: Some(json!(3)),
            }],
            ..Delta::default()
        };
        let merged = Merged {
            artifact: Default::default(),
            author: SigningIdentity::from_seed(&[1; 32]).did().clone(),
            delta,
        };
        let after = before.preview(vec![merged]);
        let found = changes(&before, &after);
        let kinds: Vec<&str> = found.iter().map(|change| change.kind.as_str()).collect();
        assert_eq!(kinds, ["setting", "bullet", "tool"], "{found:?}");
        assert!(found[0].name.starts_with("memory"), "{found:?}");
        assert_eq!(found[1].name, bullet.id);
        assert_eq!(
            (
                &found[1].before,
                found[2].after.as_ref().unwrap()["helpful"].as_u64()
            ),
            (&None, Some(1))
        );
        // Seen the other way round, what came goes.
        let back = changes(&after, &before);
        assert_eq!(back.len(), 3);
        assert!(back[1].after.is_none() && back[2].after.is_none());
        assert!(changes(&after, &after).is_empty());
    }
}
