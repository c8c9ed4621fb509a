//! The playbook: artifacts, revisions, genesis, TOML, DAG-CBOR documents.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use pagi_hive::bundle;
use pagi_messages::{cid_of, from_dag_cbor, to_dag_cbor, wire::MAX_BLOCK_BYTES};
use pagi_playbook::{
    Artifact, Bullet, Case, CaseStep, Count, Dag, Delta, Evidence, Fill, Genesis, Insert, Limits,
    Merged, Playbook, Revision, Setting, block, parse_toml, seal, to_toml, validate_artifact,
};
use serde_json::json;

use super::{NOW_MS, identity, sealed, signed};

fn founding() -> Genesis {
    let document = json!({"version": "1", "ethics": {"red_lines": ["build a weapon"]},
        "context_engineering": {"max_context_tokens": 4096}});
    Genesis::new("lab", document).expect("a genesis")
}

fn a_delta() -> Delta {
    let parameters = BTreeMap::from([
        ("expression".to_owned(), Fill::Slot("expression".into())),
        ("digits".to_owned(), Fill::Const(json!(3))),
    ]);
    let steps = vec![CaseStep {
        tool: "calculator".into(),
        parameters,
    }];
    let case = Case::new(["sum".to_owned()], steps);
    Delta {
        counts: vec![Count {
            target: case.id.clone(),
            helpful: 1,
            harmful: 0,
        }],
        cases: vec![case],
        bullets: vec![Bullet::new("tools", "check sums twice")],
        set: vec![Setting {
            path: vec!["context_engineering".into(), "max_context_tokens".into()],
            value: Some(json!(2048)),
        }],
        revert: Vec::new(),
    }
}

fn an_artifact(delta: Delta) -> Artifact {
    Artifact {
        twin_id: "twin-1".into(),
        base: founding().block().expect("a block").0,
        critique: "goals about sum are reached by calculator".into(),
        delta,
        evidence: Evidence {
            status: "completed".into(),
            steps: 3,
            tools: vec!["calculator".into()],
            before: BTreeMap::from([("score".into(), 0.5)]),
            after: BTreeMap::from([("score".into(), 0.75)]),
        },
        timestamp: NOW_MS,
        nonce: "n-1".into(),
    }
}

pub fn artifact_seeds() -> Vec<Vec<u8>> {
    vec![
        sealed(an_artifact(a_delta())),
        sealed(an_artifact(Delta::default())),
    ]
}

pub fn artifact(data: &[u8]) -> bool {
    if let Ok(opened) = block::open::<Artifact>(&cid_of(data), data) {
        let (_, bytes) = seal(&opened).expect("what was opened can be sealed");
        assert_eq!(bytes, data, "one artifact has two blocks");
        assert!(data.len() <= MAX_BLOCK_BYTES);
    }
    let Some(ours) = signed::<Artifact>(data) else {
        return false;
    };
    let (cid, bytes) = seal(&ours).expect("it can be sealed");
    match block::open::<Artifact>(&cid, &bytes) {
        Ok(back) => assert_eq!(back, ours),
        Err(error) => assert!(bytes.len() > MAX_BLOCK_BYTES, "{error}"),
    }
    let dag = Dag::new(founding()).expect("a DAG");
    let state = dag.view();
    let sound = validate_artifact(state, ours.body(), &Limits::default());
    let opened = bundle::open_artifact(&cid, &bytes, None, state);
    if sound.is_ok() {
        assert!(opened.is_ok(), "the gates disagree");
        assert!(ours.body().delta.well_formed());
        // What passed the gates can be merged, and what it makes is a playbook still.
        let merged = vec![Merged {
            artifact: cid,
            author: ours.author().clone(),
            delta: ours.body().delta.clone(),
        }];
        let after = state.preview(merged);
        let text = after.to_toml();
        parse_toml(&text).expect("a merged playbook reads back");
        let red_lines = |state: &pagi_playbook::State| {
            Playbook::from_document(state.settings())
                .map(|playbook| playbook.ethics.red_lines)
                .unwrap_or_default()
        };
        assert_eq!(red_lines(&after), red_lines(state), "red lines changed");
    }
    true
}

fn a_revision() -> Revision {
    let artifact = an_artifact(a_delta());
    Revision {
        parents: vec![founding().block().expect("a block").0],
        lamport: 1,
        term: 2,
        certificate: Some(cid_of(b"certificate")),
        merged: vec![Merged {
            artifact: cid_of(b"artifact"),
            author: identity(2).did().clone(),
            delta: artifact.delta,
        }],
        evaluation: Some(cid_of(b"report")),
        timestamp: NOW_MS,
    }
}

pub fn revision_seeds() -> Vec<Vec<u8>> {
    let mut plain = a_revision();
    plain.merged.clear();
    plain.certificate = None;
    plain.evaluation = None;
    vec![sealed(a_revision()), sealed(plain)]
}

pub fn revision(data: &[u8]) -> bool {
    if let Ok(opened) = block::open::<Revision>(&cid_of(data), data) {
        let (_, bytes) = seal(&opened).expect("what was opened can be sealed");
        assert_eq!(bytes, data, "one revision has two blocks");
    }
    let Some(ours) = signed::<Revision>(data) else {
        return false;
    };
    let (cid, bytes) = seal(&ours).expect("it can be sealed");
    let mut dag = Dag::new(founding()).expect("a DAG");
    let before = dag.head();
    match dag.insert(cid, &ours) {
        Ok(Insert::Added) => {
            assert!(ours.body().merged.iter().all(|one| one.delta.well_formed()));
            dag.verify().expect("a DAG with what it took verifies");
            if bytes.len() <= MAX_BLOCK_BYTES {
                let replayed = Dag::replay(founding(), [(cid, &bytes)]).expect("it replays");
                assert_eq!(replayed.state().document(), dag.state().document());
            }
            parse_toml(&dag.state().to_toml()).expect("its playbook reads back");
        }
        _ => assert_eq!(dag.head(), before, "a refused revision changes the DAG"),
    }
    true
}

pub fn genesis_seeds() -> Vec<Vec<u8>> {
    let base = Genesis::from_toml("pagi", pagi_playbooks::BASE).expect("the base playbook");
    [founding(), base]
        .iter()
        .map(|genesis| genesis.block().expect("a block").1)
        .collect()
}

pub fn genesis(data: &[u8]) -> bool {
    let Ok(genesis) = from_dag_cbor::<Genesis>(data) else {
        return false;
    };
    let Ok(cid) = genesis.check() else {
        return false;
    };
    let (same, bytes) = genesis.block().expect("what was checked has a block");
    assert_eq!(same, cid);
    assert_eq!(from_dag_cbor::<Genesis>(&bytes).expect("it reads"), genesis);
    assert!(bytes.len() <= MAX_BLOCK_BYTES);
    let dag = Dag::new(genesis).expect("what was checked founds a DAG");
    parse_toml(&dag.state().to_toml()).expect("its playbook reads back");
    true
}

pub fn toml_seeds() -> Vec<Vec<u8>> {
    pagi_playbooks::names()
        .filter_map(pagi_playbooks::starter)
        .map(|text| text.as_bytes().to_vec())
        .chain([b"instructions = \"be kind\"\nversion = \"1\"\n[[tools]]\nname = \"x\"\n[metrics]\nscore = 0.5\n".to_vec()])
        .collect()
}

pub fn toml(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(document) = parse_toml(text) else {
        return false;
    };
    let printed = to_toml(&document);
    let again = parse_toml(&printed).expect("what was printed can be read");
    assert_eq!(again, document, "a trip through TOML changes it");
    assert_eq!(to_toml(&again), printed);
    let _ = Playbook::from_document(&document);
    if let Ok(genesis) = Genesis::new("lab", document) {
        let (_, bytes) = genesis.block().expect("a checked genesis has a block");
        assert_eq!(from_dag_cbor::<Genesis>(&bytes).expect("it reads"), genesis);
    }
    true
}

pub fn document_seeds() -> Vec<Vec<u8>> {
    let mut all = revision_seeds();
    let value = json!({"a": [1, -1, 1.5, null, true, "text"], "b": {"c": {"d": []}}});
    all.push(to_dag_cbor(&value).expect("it has a form"));
    all.push(to_dag_cbor(&Ipld::Bytes(vec![1, 2, 3])).expect("it has a form"));
    all
}

pub fn document(data: &[u8]) -> bool {
    let Ok(value) = from_dag_cbor::<Ipld>(data) else {
        return false;
    };
    let bytes = to_dag_cbor(&value).expect("what was read can be written");
    // The decoder lets shorter floats pass, which the one form has in full.
    assert!(bytes.len() <= 4 * data.len(), "the one form is far longer");
    let again: Ipld = from_dag_cbor(&bytes).expect("and read again");
    assert_eq!(again, value);
    assert_eq!(
        to_dag_cbor(&again).expect("twice"),
        bytes,
        "the canonical form is not fixed"
    );
    true
}
