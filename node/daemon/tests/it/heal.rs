//! Nodes of a working swarm die without warning and come back on their own data; the swarm heals.
//! `scripts/swarm_kill.py` does the same with more nodes, for longer.
//!
//! `PAGI_TEST_SEED` repeats the choice of victims.

use std::{collections::BTreeSet, time::SystemTime};

use serde_json::{Value, json};

use crate::{
    node::{Home, Node},
    wait::until,
};

const NODES: usize = 6;
const VICTIMS: usize = 2;
const ROUNDS: usize = 3;
const GOALS: [&str; ROUNDS] = [
    "Check this machine's health and report anything above 80%",
    "Calculate 3.5 * 12 and tell me the result",
    "Which twins are known in the swarm?",
];

/// `count` places among the nodes, by a generator that PAGI_TEST_SEED repeats.
struct Fate(u64);

impl Fate {
    fn new() -> Self {
        let seed = match std::env::var("PAGI_TEST_SEED") {
            Ok(text) => text.parse().expect("a number"),
            Err(_) => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        };
        eprintln!("PAGI_TEST_SEED={seed}");
        Self(seed)
    }

    fn victims(&mut self) -> BTreeSet<usize> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < VICTIMS {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            chosen.insert((self.0 >> 33) as usize % NODES);
        }
        chosen
    }
}

/// The one playbook head of all nodes, once every node knows all nodes and all of `twins`, and all
/// follow the same MO.
async fn healed(nodes: &[Node], twins: &BTreeSet<String>) -> String {
    until("the swarm to heal", async || {
        let mut views = BTreeSet::new();
        for node in nodes {
            let swarm = node.get("/swarm").await;
            let names = |list: &Value, key: &str| -> BTreeSet<String> {
                let entries = list.as_array().unwrap().iter();
                let name = |entry: &Value| match key {
                    "" => entry.as_str().unwrap().to_owned(),
                    key => entry[key].as_str().unwrap().to_owned(),
                };
                entries.map(name).collect()
            };
            let known = names(&swarm["nodes"], "").len();
            if known < nodes.len() {
                return Err(format!("{} knows {known} nodes", node.ready.did));
            }
            let known = names(&swarm["twins"], "twin_id");
            if let Some(twin) = twins.difference(&known).next() {
                return Err(format!("{} does not know the twin {twin}", node.ready.did));
            }
            let (mo, playbook) = (node.get("/mo").await, node.get("/playbook").await);
            views.insert(json!([mo["mo"], mo["term"], playbook["heads"]]).to_string());
        }
        let only = views.first().filter(|_| views.len() == 1);
        let view: Value = serde_json::from_str(only.ok_or(format!("{views:?}"))?).unwrap();
        match (view[0].as_str(), view[2].as_array().unwrap().as_slice()) {
            (Some(_), [head]) => Ok(head.as_str().unwrap().to_owned()),
            _ => Err(view.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn a_swarm_heals_while_its_nodes_are_killed_again_and_again() {
    let homes: Vec<Home> = (0..NODES).map(|_| Home::new()).collect();
    let mut nodes: Vec<Node> = Vec::new();
    for home in &homes {
        let mut launch = home.launch();
        if let Some(first) = nodes.first() {
            launch = launch.bootstrap(first);
        }
        nodes.push(launch.start().await);
    }
    let mut twins = BTreeSet::new();
    for node in &nodes {
        twins.insert(node.twin().await);
    }
    let mut head = healed(&nodes, &twins).await;
    let mut fate = Fate::new();
    for goal in GOALS {
        let victims = fate.victims();
        let worker = (0..NODES).find(|n| !victims.contains(n)).unwrap();
        let twin = nodes[worker].twin().await;
        twins.insert(twin.clone());
        // The lesson is acknowledged while the swarm falls apart.
        let addresses: Vec<String> = nodes.iter().map(|n| n.ready.listen[0].clone()).collect();
        let mut lost = Vec::new();
        for n in victims.iter().rev() {
            lost.push((*n, nodes.remove(*n)));
        }
        let survivor = nodes
            .iter()
            .position(|node| node.ready.listen[0] == addresses[worker])
            .unwrap();
        let (done, ()) = tokio::join!(nodes[survivor].ask(&twin, goal), async {
            for (_, node) in &lost {
                node.signal(rustix::process::Signal::KILL);
            }
        });
        assert_eq!(done["status"], "completed", "{done}");
        let artifact = done["artifact_cid"].as_str().map(str::to_owned);
        for (n, node) in lost.into_iter().rev() {
            let did = node.ready.did.clone();
            node.kill().await;
            // The port is free again; those it knew, and one address, are where they were.
            let back = homes[n].launch().listen(&addresses[n]);
            let boot = addresses[usize::from(n == 0)].clone();
            let back = back.arg("--bootstrap").arg(&boot).start().await;
            assert_eq!(back.ready.did, did);
            nodes.insert(n, back);
        }
        let now = healed(&nodes, &twins).await;
        if let Some(artifact) = artifact {
            until("the lesson to be merged everywhere", async || {
                for node in &nodes {
                    let view = node.http.get(&format!("/artifacts/{artifact}")).await;
                    if view.status != 200 || view.ok()["status"] != "merged" {
                        return Err(format!("not on {}", node.ready.did));
                    }
                }
                Ok(())
            })
            .await;
            assert_ne!(healed(&nodes, &twins).await, head);
        }
        head = now;
    }
    for node in &nodes {
        assert_eq!(node.get("/playbook/verify").await["valid"], true);
    }
}
