//! Genesis, revisions and artifacts for the tests.

use std::collections::BTreeMap;

use cid::Cid;
use pagi_messages::{SigningIdentity, Verified, cid_of};
use pagi_playbook::{
    Artifact, Bullet, Case, CaseStep, Count, Dag, Delta, Evidence, Fill, Genesis, Insert, Merged,
    Revision, Setting, seal,
};
use serde_json::{Value, json};

pub fn identity(number: u8) -> SigningIdentity {
    SigningIdentity::from_seed(&[number; 32])
}

pub fn genesis() -> Genesis {
    let document = json!({
        "version": "1",
        "ethics": {"red_lines": ["build a weapon"]},
        "context_engineering": {"max_context_tokens": 4096},
        "policy": {"red_lines": ["x"], "note": "y"},
        "ace": {"curation": {"improvement_threshold": 0.05}},
    });
    Genesis::new("lab", document).unwrap()
}

pub fn dag() -> Dag {
    Dag::new(genesis()).unwrap()
}

pub fn name(text: &str) -> Cid {
    cid_of(text.as_bytes())
}

pub fn case(term: &str) -> Case {
    let parameters = BTreeMap::from([
        ("expression".to_owned(), Fill::Slot("expression".into())),
        ("digits".to_owned(), Fill::Const(json!(3))),
    ]);
    Case::new(
        [term.to_owned()],
        vec![CaseStep {
            tool: "calculator".into(),
            parameters,
        }],
    )
}

pub fn count(target: &str, helpful: u32, harmful: u32) -> Count {
    Count {
        target: target.into(),
        helpful,
        harmful,
    }
}

pub fn set(path: &[&str], value: Option<Value>) -> Setting {
    Setting {
        path: path.iter().map(|&part| part.into()).collect(),
        value,
    }
}

pub fn merged(artifact: &str, delta: Delta) -> Merged {
    Merged {
        artifact: name(artifact),
        author: identity(9).did().clone(),
        delta,
    }
}

pub fn lesson(text: &str) -> Delta {
    Delta {
        bullets: vec![Bullet::new("planning", text)],
        ..Delta::default()
    }
}

/// Signs and seals.
pub fn sealed(author: u8, revision: Revision) -> (Cid, Verified<Revision>) {
    let verified = Verified::sign(&identity(author), revision).unwrap();
    (seal(&verified).unwrap().0, verified)
}

/// Adds the revision that merges `merged` to all heads.
pub fn grow(dag: &mut Dag, author: u8, term: u64, merged: Vec<Merged>) -> Cid {
    let (cid, revision) = sealed(author, dag.next(merged, term, None, None, 1));
    assert_eq!(dag.insert(cid, &revision).unwrap(), Insert::Added);
    cid
}

pub fn artifact(delta: Delta) -> Artifact {
    Artifact {
        twin_id: "twin-1".into(),
        base: name("head"),
        critique: "The calculator answered at once; units were checked first.".into(),
        delta,
        evidence: Evidence {
            status: "completed".into(),
            steps: 2,
            tools: vec!["calculator".into()],
            before: BTreeMap::from([("success".into(), 0.5)]),
            after: BTreeMap::from([("success".into(), 0.75)]),
        },
        timestamp: 1_700_000_000_000,
        nonce: "n-1".into(),
    }
}
