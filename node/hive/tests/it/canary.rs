//! Artifacts that are tried on a part of the swarm before they are merged.

use cid::Cid;
use pagi_hive::Review;
use pagi_playbook::canary::Config;
use tempfile::TempDir;

use crate::bus::{Bus, Node, one_mo, same_head, start_as, until};

fn trying() -> Config {
    Config {
        share: 0.3,
        min_swarm: 6,
        min_cohort: 2,
        min_outcomes: 8,
        window_ms: 5_000,
    }
}

async fn swarm(bus: &Bus, dir: &TempDir, count: u8) -> Vec<Node> {
    let mut nodes = Vec::new();
    for n in 1..=count {
        let data = dir.path().join(n.to_string());
        nodes.push(start_as(bus, n, &data, Review::Auto, Some(trying())).await);
    }
    one_mo(&nodes.iter().collect::<Vec<_>>()).await;
    nodes
}

fn tries(node: &Node, cid: &Cid) -> bool {
    let playbook = node.hive.playbook();
    playbook.in_force().applied(cid) && !playbook.state.applied(cid)
}

/// Goals end everywhere, as `reached` says of each node.
fn goals(nodes: &[Node], reached: impl Fn(&Node) -> bool) {
    for node in nodes {
        node.hive.goal_ended(reached(node));
    }
}

fn audited(node: &Node, action: &str) -> Option<serde_json::Value> {
    let all = node.store.audit_after(0, 1000).unwrap();
    let found = all.into_iter().find(|record| record.action == action);
    found.map(|record| record.detail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_harms_the_cohort_is_never_merged() {
    let (bus, dir) = (Bus::default(), TempDir::new().unwrap());
    let nodes = swarm(&bus, &dir, 7).await;
    // A past that all share.
    for _ in 0..12 {
        goals(&nodes, |_| true);
    }
    let author = &nodes[0];
    let lesson = author.lesson(&["ship", "sail"], "calculator");
    let cid = author.hive.publish(lesson).await.unwrap();
    until("a cohort of three", || {
        nodes.iter().filter(|node| tries(node, &cid)).count() == 3
    })
    .await;
    until("the harm to be seen", || {
        goals(&nodes, |node| !tries(node, &cid));
        author.status_of(&cid).as_deref() == Some("rejected")
    })
    .await;
    let reason = author
        .store
        .get_artifact(&cid.to_string())
        .unwrap()
        .unwrap()
        .reason;
    assert!(reason.unwrap().contains("the canary gate"));
    until("nobody to try it any more", || {
        nodes.iter().all(|node| !tries(node, &cid))
    })
    .await;
    assert!(nodes.iter().all(|node| node.hive.playbook().revisions == 0));
    let mo = nodes.iter().find(|node| node.is_mo()).unwrap();
    let detail = audited(mo, "canary_reverted").unwrap();
    assert!(
        detail["comparison"]["worse"].as_f64().unwrap() > 1.0,
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_no_harm_is_merged_for_all_after_its_trial() {
    let (bus, dir) = (Bus::default(), TempDir::new().unwrap());
    let nodes = swarm(&bus, &dir, 6).await;
    let author = &nodes[2];
    let lesson = author.lesson(&["ship", "sail"], "calculator");
    let cid = author.hive.publish(lesson).await.unwrap();
    until("a cohort of two", || {
        nodes.iter().filter(|node| tries(node, &cid)).count() == 2
    })
    .await;
    // A second one waits for the end of the trial, and has one of its own.
    let other = nodes[3].lesson(&["tree", "leaf"], "recall");
    let other = nodes[3].hive.publish(other).await.unwrap();
    until("both to be merged", || {
        goals(&nodes, |_| true);
        author.hive.playbook().state.applied(&cid) && author.hive.playbook().state.applied(&other)
    })
    .await;
    same_head(&nodes.iter().collect::<Vec<_>>(), &[cid, other]).await;
    assert!(
        nodes
            .iter()
            .all(|node| node.hive.playbook().trial.is_none())
    );
    assert_eq!(author.hive.playbook().revisions, 2);
    let mo = nodes.iter().find(|node| node.is_mo()).unwrap();
    assert!(audited(mo, "canary_promoted").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_swarm_merges_without_a_trial() {
    let (bus, dir) = (Bus::default(), TempDir::new().unwrap());
    let nodes = swarm(&bus, &dir, 3).await;
    let lesson = nodes[0].lesson(&["ship", "sail"], "calculator");
    let cid = nodes[0].hive.publish(lesson).await.unwrap();
    same_head(&nodes.iter().collect::<Vec<_>>(), &[cid]).await;
    let mo = nodes.iter().find(|node| node.is_mo()).unwrap();
    assert!(audited(mo, "canary_opened").is_none());
}
