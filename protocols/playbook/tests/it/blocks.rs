//! Round trips through DAG-CBOR and JSON, and what a block may look like.

use ipld_core::ipld::Ipld;
use pagi_messages::{Verified, cid_of, content::to_dag_cbor, from_dag_cbor};
use pagi_playbook::{Artifact, BlockError, Delta, Genesis, Merged, Revision, open, seal};
use serde_json::json;

use crate::support::*;

fn full_delta() -> Delta {
    Delta {
        cases: vec![case("sum")],
        bullets: lesson("Check units first.").bullets,
        counts: vec![count("tool:calculator", 1, 0)],
        set: vec![
            set(&["ace", "x"], Some(json!({"a": [1, 2.5]}))),
            set(&["ace", "y"], None),
        ],
        revert: vec![name("mistake")],
    }
}

fn revision() -> Revision {
    Revision {
        parents: vec![name("one")],
        lamport: 4,
        term: 2,
        certificate: Some(name("certificate")),
        merged: vec![merged("artifact", full_delta())],
        evaluation: None,
        timestamp: 7,
    }
}

#[test]
fn cids_are_links_in_blocks_and_text_in_json() {
    let bytes = to_dag_cbor(&revision()).unwrap();
    let Ipld::Map(map) = from_dag_cbor::<Ipld>(&bytes).unwrap() else {
        panic!("a map")
    };
    assert_eq!(map["certificate"], Ipld::Link(name("certificate")));
    assert_eq!(map["evaluation"], Ipld::Null);
    assert_eq!(map["parents"], Ipld::List(vec![Ipld::Link(name("one"))]));
    let Ipld::List(merged) = &map["merged"] else {
        panic!("a list")
    };
    let Ipld::Map(first) = &merged[0] else {
        panic!("a map")
    };
    assert_eq!(first["artifact"], Ipld::Link(name("artifact")));
    assert_eq!(from_dag_cbor::<Revision>(&bytes).unwrap(), revision());

    let bytes = to_dag_cbor(&artifact(full_delta())).unwrap();
    let Ipld::Map(map) = from_dag_cbor::<Ipld>(&bytes).unwrap() else {
        panic!("a map")
    };
    assert_eq!(map["base"], Ipld::Link(name("head")));

    let json = serde_json::to_value(revision()).unwrap();
    assert_eq!(json["certificate"], name("certificate").to_string());
    assert_eq!(json["parents"], json!([name("one").to_string()]));
}

#[test]
fn every_type_survives_json_and_dag_cbor() {
    fn both<T>(value: &T)
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
        assert_eq!(
            &from_dag_cbor::<T>(&to_dag_cbor(value).unwrap()).unwrap(),
            value
        );
    }
    both::<Delta>(&full_delta());
    both::<Merged>(&merged("artifact", full_delta()));
    both::<Revision>(&revision());
    both::<Artifact>(&artifact(full_delta()));
    both::<Genesis>(&genesis());
}

#[test]
fn a_sealed_block_opens_and_a_bent_one_does_not() {
    let signed = Verified::sign(&identity(1), artifact(full_delta())).unwrap();
    let (cid, bytes) = seal(&signed).unwrap();
    assert_eq!(open::<Artifact>(&cid, &bytes).unwrap(), signed);
    assert!(matches!(
        open::<Artifact>(&name("other"), &bytes),
        Err(BlockError::Content(_))
    ));
    // Another kind of body is no artifact, whatever its signature.
    assert!(open::<Revision>(&cid, &bytes).is_err());

    let mut bent = signed.as_signed().clone();
    bent.body.timestamp += 1;
    let bytes = to_dag_cbor(&bent).unwrap();
    let refused = open::<Artifact>(&cid_of(&bytes), &bytes);
    assert!(
        matches!(refused, Err(BlockError::Signature(_))),
        "{refused:?}"
    );

    let large = vec![0; pagi_messages::wire::MAX_BLOCK_BYTES + 1];
    let refused = open::<Artifact>(&cid_of(&large), &large);
    assert!(matches!(refused, Err(BlockError::TooLarge { .. })));
}

#[test]
fn the_same_body_in_another_form_is_refused() {
    // A delta whose empty lists are left out reads as the same delta, but is another block.
    let signed = Verified::sign(&identity(1), artifact(lesson("Check units first."))).unwrap();
    let (_, bytes) = seal(&signed).unwrap();
    let Ipld::Map(mut map) = from_dag_cbor::<Ipld>(&bytes).unwrap() else {
        panic!("a map")
    };
    let Some(Ipld::Map(body)) = map.get_mut("body") else {
        panic!("a map")
    };
    let Some(Ipld::Map(delta)) = body.get_mut("delta") else {
        panic!("a map")
    };
    delta.remove("counts");
    let bytes = to_dag_cbor(&Ipld::Map(map)).unwrap();
    let refused = open::<Artifact>(&cid_of(&bytes), &bytes);
    assert!(
        matches!(refused, Err(BlockError::NotCanonical(_))),
        "{refused:?}"
    );
}

#[test]
fn unknown_fields_are_refused() {
    let mut json = serde_json::to_value(artifact(full_delta())).unwrap();
    json["extra"] = json!(1);
    assert!(serde_json::from_value::<Artifact>(json).is_err());
}

#[test]
fn the_same_swarm_and_document_have_one_genesis() {
    let one = genesis().block().unwrap().0;
    let reordered = serde_json::from_str(&{
        let mut entries: Vec<_> = genesis()
            .document
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .collect();
        entries.reverse();
        let map: serde_json::Map<_, _> = entries.into_iter().collect();
        serde_json::to_string(&map).unwrap()
    })
    .unwrap();
    assert_eq!(
        Genesis::new("lab", reordered).unwrap().block().unwrap().0,
        one
    );
    let other = Genesis::new("other", genesis().document).unwrap();
    assert_ne!(other.block().unwrap().0, one);
    assert!(Genesis::new("No Swarm", json!({})).is_err());
    assert!(Genesis::new("lab", json!({"ethics": 1})).is_err());
}
