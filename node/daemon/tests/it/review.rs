//! A person's hand on the playbook: offering, approving, rejecting, taking back.

use serde_json::{Value, json};

use crate::{node::Home, wait::until};

fn bullets(playbook: &Value) -> usize {
    let learned = &playbook["document"]["learned"]["bullets"];
    learned.as_array().map_or(0, Vec::len)
}

async fn merged(home: &Home, cid: &str) {
    until("the artifact to be merged", async || {
        let one = home.json(&["artifact", "show", cid]).await;
        if one["status"] == "merged" {
            Ok(())
        } else {
            Err(one.to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn under_manual_review_a_person_approves_rejects_and_reverts() {
    let home = Home::new();
    std::fs::create_dir_all(home.data()).unwrap();
    let settings = "[hive]\nreview = \"manual\"\n";
    std::fs::write(home.data().join("config.toml"), settings).unwrap();
    let node = home.start().await;
    node.alone_in_office().await;
    node.twin().await;

    let offer = |text: &'static str| ["artifact", "new", "units were mixed up", "--bullet", text];
    let good = home.json(&offer("planning: Check the units first.")).await;
    assert_eq!(good["status"], "review", "{good}");
    let cid = good["cid"].as_str().unwrap();
    let shown = home.json(&["artifact", "show", cid]).await;
    assert_eq!(shown["changes"][0]["kind"], "bullet", "{shown}");
    let text = home.pagi(&["artifact", "show", cid]).await;
    assert!(text.stdout.contains("+ "), "{text:?}");
    assert_eq!(bullets(&node.get("/playbook").await), 0);
    home.json(&["artifact", "approve", cid]).await;
    merged(&home, cid).await;
    let playbook = node.get("/playbook").await;
    assert_eq!(bullets(&playbook), 1);

    let bad = home.json(&offer("planning: Guess the units.")).await;
    let bad = bad["cid"].as_str().unwrap();
    let rejected = home
        .json(&["artifact", "reject", bad, "--reason", "guessing is no plan"])
        .await;
    assert_eq!(rejected["status"], "rejected");
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.contains("the review gate: guessing"), "{reason}");
    let again = home.pagi(&["artifact", "approve", bad]).await.complaint(1);
    assert!(again.contains("rejected"), "{again}");

    // What was exported differs in nothing, so there is nothing to import.
    let file = home.root().join("playbook.toml");
    let file = file.to_str().unwrap();
    home.json(&["playbook", "export", file]).await;
    let same = home.pagi(&["playbook", "import", file]).await.complaint(1);
    assert!(same.contains("nothing differs"), "{same}");

    let revisions = playbook["revisions"].as_u64().unwrap();
    let undone = home
        .json(&["playbook", "revert", cid, "--reason", "it misled"])
        .await;
    assert_eq!(undone["status"], "merged", "{undone}");
    let playbook = node.get("/playbook").await;
    assert_eq!(bullets(&playbook), 0);
    assert_eq!(playbook["revisions"], json!(revisions + 1));
    let nothing = home.pagi(&["playbook", "revert", cid]).await.complaint(1);
    assert!(nothing.contains("nothing to take back"), "{nothing}");
    assert_eq!(node.get("/playbook/verify").await["valid"], true);
}

#[tokio::test]
async fn the_mo_names_the_gate_that_refused_and_the_report_that_let_in() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    let twin = node.twin().await;
    let push = |delta: Value| {
        let body = json!({"parameters": {"twin_id": twin, "critique": "a lesson", "delta": delta}});
        let http = node.http.clone();
        async move { http.post("/execute/hive_push", &body).await }
    };
    // A case that answers every calculation with the same sum.
    let case = pagi_playbook::Case::new(
        pagi_twin::lexical::term_set("Calculate 3.5 * 12 and tell me the result"),
        vec![pagi_playbook::CaseStep {
            tool: "calculator".into(),
            parameters: [(
                "expression".to_owned(),
                pagi_playbook::Fill::Const(json!("1+1")),
            )]
            .into(),
        }],
    );
    let delta = json!({"cases": [case],
        "counts": [{"target": case.id, "helpful": 1, "harmful": 0}]});
    let poison = push(delta).await.ok()["result"]["cid"].clone();
    let good = json!({"counts": [{"target": "tool:calculator", "helpful": 1, "harmful": 0}]});
    let good = push(good).await.ok()["result"]["cid"].clone();
    merged(&home, good.as_str().unwrap()).await;
    until("the poison to be refused", async || {
        let one = home
            .json(&["artifact", "show", poison.as_str().unwrap()])
            .await;
        let reason = one["reason"].as_str().unwrap_or_default().to_owned();
        if one["status"] == "rejected" && reason.contains("the evaluation gate") {
            Ok(())
        } else {
            Err(one.to_string())
        }
    })
    .await;
    let audit = home.json(&["audit"]).await;
    let find = |action: &str| {
        let all = audit.as_array().or(audit["entries"].as_array()).unwrap();
        let found = all.iter().find(|entry| entry["action"] == action);
        found
            .unwrap_or_else(|| panic!("no {action} in {audit}"))
            .clone()
    };
    assert_eq!(find("artifact_refused")["detail"]["gate"], "evaluation");
    let report = find("revision_authored")["detail"]["evaluation"].clone();
    let report = report.as_str().unwrap().to_owned();
    let report = node.get(&format!("/ipfs/dag/{report}")).await;
    assert_eq!(report["lost"], json!([]), "{report}");
    assert!(report["tasks"].as_u64().unwrap() >= 10);
}
