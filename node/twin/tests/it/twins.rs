//! Twins, memory, emotion, context and acts.

use pagi_api::{
    goal::{BuildContext, InferRequest},
    twins::{ActRequest, AppendMemory, CreateTwin, SetEmotion},
};
use pagi_twin::TwinError;
use serde_json::json;

use crate::rig::rig;

#[tokio::test]
async fn a_twin_has_a_did_of_its_own_and_its_state_can_be_patched_by_many() {
    let rig = rig();
    let initial_state = json!({"status": "active", "note": "first"});
    let twin = rig
        .mind
        .create_twin(CreateTwin { initial_state })
        .await
        .unwrap();
    let document = twin.did_document.unwrap();
    assert_eq!(document["id"], twin.did.as_str());
    assert!(
        document["keyAgreement"][0]["publicKeyMultibase"]
            .as_str()
            .unwrap()
            .starts_with("z6LS")
    );
    let mut patches = Vec::new();
    for n in 0..20 {
        let (mind, id) = (rig.mind.clone(), twin.twin_id.clone());
        patches.push(tokio::spawn(async move {
            mind.patch_state(&id, json!({format!("key{n}"): n}))
                .await
                .unwrap();
        }));
    }
    for patch in patches {
        patch.await.unwrap();
    }
    let state = rig.mind.twin(&twin.twin_id).unwrap().state;
    assert_eq!(
        state.as_object().unwrap().len(),
        22,
        "no patch is lost: {state}"
    );
    let error = rig.mind.patch_state("nobody", json!({})).await.unwrap_err();
    assert!(matches!(error, TwinError::UnknownTwin(_)));
}

#[tokio::test]
async fn memory_is_kept_in_order_and_bad_entries_are_refused() {
    let rig = rig();
    let twin = rig.twin().await;
    let entry = |role: &str, content: &str| AppendMemory {
        role: role.into(),
        content: content.into(),
    };
    for content in [
        "the key is under the mat",
        "milk is out",
        "the cat is asleep",
    ] {
        rig.mind
            .append_memory(&twin, entry("user", content))
            .await
            .unwrap();
    }
    for bad in [
        entry("king", "x"),
        entry("user", "  "),
        entry("user", &"x".repeat(70_000)),
    ] {
        assert!(matches!(
            rig.mind.append_memory(&twin, bad).await,
            Err(TwinError::Invalid(_))
        ));
    }
    let all = rig.mind.memories(&twin, None).unwrap();
    assert_eq!(
        all.iter().map(|memory| memory.seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        rig.mind.memories(&twin, Some(1)).unwrap()[0].content,
        "the cat is asleep"
    );
    let found = rig
        .mind
        .search_memory(&twin, "where are my keys", 5)
        .unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].score.unwrap() > 0.0);
}

#[tokio::test]
async fn a_context_holds_goal_tools_and_fitting_memory_and_mood_weighs_in() {
    let rig = rig();
    let twin = rig.twin().await;
    for content in [
        "the disk test worked great",
        "the disk test failed with an error",
        "nothing of this kind",
    ] {
        let entry = AppendMemory {
            role: "system".into(),
            content: content.into(),
        };
        rig.mind.append_memory(&twin, entry).await.unwrap();
    }
    let request = BuildContext {
        twin_id: twin.clone(),
        goal: "test the disk".into(),
    };
    let plain = rig
        .mind
        .build_context(request.clone(), false)
        .await
        .unwrap();
    assert!(plain.context.contains("Goal: test the disk") && plain.context.contains("Help."));
    assert!(plain.context.contains("- calculator") && plain.mood.is_none());
    assert!(!plain.context.contains("nothing of this kind"));
    assert!(plain.tokens <= plain.max_tokens);
    let weights = |built: &pagi_api::goal::BuiltContext| -> Vec<f64> {
        let memories = built
            .sources
            .iter()
            .filter(|source| source.layer == "memory");
        memories.filter_map(|source| source.weight).collect()
    };
    assert_eq!(weights(&plain).len(), 2);
    let mood = SetEmotion {
        mood: "frustrated".into(),
        activation_level: 1.0,
    };
    rig.mind.set_emotion(&twin, mood).await.unwrap();
    let tense = rig.mind.build_context(request, true).await.unwrap();
    assert_eq!(tense.mood.as_deref(), Some("frustrated"));
    let (calm, tense) = (weights(&plain), weights(&tense));
    assert!(
        tense[0] < calm[0] && tense[1] > calm[1],
        "{calm:?} {tense:?}"
    );
}

#[tokio::test]
async fn the_planner_answers_inference_with_what_the_context_says() {
    let rig = rig();
    let twin = rig.twin().await;
    let request = InferRequest {
        twin_id: twin,
        input: "What is the boiling point of water?".into(),
        context: Some("Iron melts at 1538 C.\nThe boiling point of water is 100 C.".into()),
    };
    let answer = rig.mind.infer(request).await.unwrap();
    assert!(
        answer
            .output
            .starts_with("The boiling point of water is 100 C."),
        "{answer:?}"
    );
    assert_eq!((answer.model.as_str(), answer.fallback), ("planner", None));
}

#[tokio::test]
async fn acts_stay_within_what_is_allowed_and_each_is_audited() {
    let rig = rig();
    let twin = rig.twin().await;
    let act = |action: &str, parameters| ActRequest {
        twin_id: twin.clone(),
        action: action.into(),
        parameters,
    };
    let file = json!({"path": "note.txt", "content": "hello"});
    let done = rig.mind.act(act("write_file", file)).await.unwrap();
    assert_eq!(done.result["bytes"], 5);
    for (action, parameters) in [
        (
            "write_file",
            json!({"path": "../../escape", "content": "x"}),
        ),
        ("notify", json!({"title": "x"})),
        ("launch_rockets", json!({})),
    ] {
        rig.mind.act(act(action, parameters)).await.unwrap_err();
    }
    let verdicts: Vec<String> = rig
        .store
        .audit_after(0, 10)
        .unwrap()
        .into_iter()
        .filter(|record| record.action == "actuator")
        .map(|record| record.verdict)
        .collect();
    assert_eq!(verdicts, ["done", "failed", "refused", "refused"]);
}
