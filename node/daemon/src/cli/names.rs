//! What a person calls those a log names by id or DID.

use std::collections::BTreeMap;

use pagi_api::{
    swarm::{KnownTwin, NodeInfo},
    twins::Twin,
};

use super::select;
use crate::{client::Client, render};

/// Names by id and by DID.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Names of this node, its twins, and the twins of others. What the node does not tell has none.
    pub async fn ask(client: &Client) -> Self {
        let node = client.get::<NodeInfo>("/status").await.ok();
        let twins: Vec<Twin> = client.get("/twins").await.unwrap_or_default();
        let known: Vec<KnownTwin> = client.get("/swarm/twins").await.unwrap_or_default();
        Self::from(node.as_ref(), &twins, &known)
    }

    fn from(node: Option<&NodeInfo>, twins: &[Twin], known: &[KnownTwin]) -> Self {
        let mut names = BTreeMap::new();
        for twin in known {
            if let Some(name) = &twin.name {
                // A stranger may take any name: its DID stays with it.
                let name = format!(
                    "{} ({})",
                    render::clean_line(name),
                    render::short_did(&twin.did)
                );
                names.insert(twin.did.clone(), name);
            }
        }
        for twin in twins {
            let name = match select::name(twin) {
                "" => twin.twin_id.chars().take(8).collect(),
                name => render::clean_line(name),
            };
            for id in [&twin.twin_id, &twin.did] {
                names.insert(id.clone(), format!("twin {name}"));
            }
        }
        if let Some(node) = node {
            names.insert(node.did.clone(), "this node".to_owned());
        }
        names.insert("user".to_owned(), "you".to_owned());
        names.insert("gate".to_owned(), "the gate".to_owned());
        Self(names)
    }

    /// What to call `id`: its name, or a DID in few columns, or itself.
    pub fn of(&self, id: &str) -> String {
        match self.0.get(id) {
            Some(name) => name.clone(),
            None => render::short_did(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_did_something_has_a_name() {
        let did = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH";
        let own: Twin = serde_json::from_value(json!({
            "twin_id": "b286f682-ff1f", "did": "did:key:own", "state": {"name": "Ada"},
            "created_at": "", "updated_at": "",
        }))
        .unwrap();
        let other: KnownTwin = serde_json::from_value(json!({
            "twin_id": "x", "did": did, "node": "n", "last_seen": "", "tools": [],
            "inference": "planner", "local": false, "name": "you",
        }))
        .unwrap();
        let names = Names::from(None, &[own], &[other]);
        for (id, name) in [
            ("user", "you"),
            ("b286f682-ff1f", "twin Ada"),
            ("did:key:own", "twin Ada"),
            (did, "you (did:key:z6MkpT…sdvktH)"),
            ("bafyx", "bafyx"),
        ] {
            assert_eq!(names.of(id), name);
        }
    }
}
