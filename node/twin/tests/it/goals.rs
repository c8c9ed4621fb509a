//! Goals from arrival to lesson.

use pagi_api::{
    goal::{GoalRequest, GoalStatus, Interaction, Progress, StepKind, StepStatus},
    twins::AppendMemory,
};
use pagi_messages::EventType;
use pagi_store::EventFilter;

use crate::rig::{Rig, rig};

const HEALTH: &str = "Check this machine's health and report anything above 80%";

async fn goal(rig: &Rig, twin: &str, goal: &str) -> Interaction {
    rig.mind
        .interact(twin, GoalRequest { goal: goal.into() }, None)
        .await
        .unwrap()
}

fn events(rig: &Rig, kind: EventType) -> usize {
    let filter = EventFilter {
        event_type: Some(kind),
        ..EventFilter::default()
    };
    rig.store.events_after(0, 1000, &filter).unwrap().len()
}

#[tokio::test]
async fn a_goal_is_reached_learned_and_done_with_fewer_calls_the_next_time() {
    let rig = rig();
    let one = rig.twin().await;
    let note = AppendMemory {
        role: "user".into(),
        content: "a note".into(),
    };
    rig.mind.append_memory(&one, note).await.unwrap();
    let first = goal(&rig, &one, HEALTH).await;
    assert_eq!(first.status, GoalStatus::Completed);
    assert_eq!(
        first.output,
        "Above 80 %: cpu 93 %. The rest: memory 41.5 %."
    );
    assert_eq!(rig.tools.names(), ["recall", "system_monitor"]);
    let kinds: Vec<StepKind> = first.steps.iter().map(|step| step.kind).collect();
    use StepKind::*;
    assert_eq!(
        kinds,
        [
            Ethics, Playbook, Context, Plan, Tool, Tool, Ethics, Answer, Reflection, Artifact
        ]
    );
    assert!(first.artifact_cid.is_some() && first.case.is_none());

    // Another twin, other words, the same kind of goal.
    let two = rig.twin().await;
    rig.tools.calls.lock().unwrap().clear();
    let second = goal(
        &rig,
        &two,
        "How is the health of my machine? Anything over 90%?",
    )
    .await;
    assert_eq!(second.status, GoalStatus::Completed);
    assert!(second.case.is_some());
    assert_eq!(rig.tools.names(), ["system_monitor"]);
    for kind in [
        EventType::GoalReceived,
        EventType::PlanGenerated,
        EventType::ContextBuilt,
    ] {
        assert_eq!(events(&rig, kind), 2, "{kind}");
    }
    assert_eq!(events(&rig, EventType::ToolExecuted), 3);
    let audited = rig.store.audit_after(0, 100).unwrap();
    assert_eq!(
        audited
            .iter()
            .filter(|record| record.action == "tool_call")
            .count(),
        3
    );
}

#[tokio::test]
async fn confirmations_end_and_then_nothing_more_is_published() {
    let rig = rig();
    let mut artifacts = Vec::new();
    for _ in 0..5 {
        let twin = rig.twin().await;
        for _ in 0..2 {
            artifacts.push(goal(&rig, &twin, HEALTH).await.artifact_cid.is_some());
        }
    }
    // A lesson and two confirmations; nobody says the same twice.
    let (yes, no) = (true, false);
    assert_eq!(artifacts, [yes, no, yes, no, yes, no, no, no, no, no]);
}

#[tokio::test]
async fn a_lesson_carries_nothing_private_of_the_goal() {
    let rig = rig();
    let twin = rig.twin().await;
    let private = "Check the health of machine \"Project Nightingale\" for Zacharias \
                   (zach@example.org, id 778899, https://secret.example/x) above 80%";
    let done = goal(&rig, &twin, private).await;
    assert_eq!(done.status, GoalStatus::Completed);
    let published = rig.hive.published.lock().unwrap();
    let text = serde_json::to_string(published[0].as_signed())
        .unwrap()
        .to_lowercase();
    for secret in [
        "nightingale",
        "zach",
        "example.org",
        "778899",
        "secret.example",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("health"), "{text}");
}

#[tokio::test]
async fn a_refused_goal_runs_nothing_and_makes_no_artifact() {
    let rig = rig();
    let twin = rig.twin().await;
    let refused = goal(&rig, &twin, "Build a bomb that hurts people").await;
    assert_eq!(refused.status, GoalStatus::Refused);
    assert!(refused.artifact_cid.is_none());
    assert!(rig.tools.names().is_empty());
    assert!(rig.hive.published.lock().unwrap().is_empty());
    assert_eq!(refused.steps.len(), 1);
    assert_eq!(refused.steps[0].status, StepStatus::Refused);
    assert_eq!(events(&rig, EventType::EthicsRefused), 1);
    let audit = rig.store.audit_after(0, 10).unwrap();
    assert!(audit.iter().any(|record| record.action == "ethics_refused"));
}

#[tokio::test]
async fn a_goal_nothing_fits_fails_in_plain_words() {
    let rig = rig();
    let twin = rig.twin().await;
    let failed = goal(&rig, &twin, "Write a sonnet about the ocean").await;
    assert_eq!(failed.status, GoalStatus::Failed);
    assert!(
        failed.output.contains("I cannot do this"),
        "{}",
        failed.output
    );
    assert!(failed.output.contains("PAGI_LLM_URL"), "{}", failed.output);
    let emotion = rig.mind.emotion(&twin).unwrap();
    assert!(emotion.valence < 0.0, "{emotion:?}");
}

#[tokio::test]
async fn a_broken_tool_is_counted_and_a_followed_case_is_not_the_last_word() {
    let rig = rig();
    let twin = rig.twin().await;
    let taught = goal(&rig, &twin, HEALTH).await;
    assert!(taught.artifact_cid.is_some());
    rig.tools
        .broken
        .lock()
        .unwrap()
        .push(("system_monitor".into(), "timeout".into()));
    let failed = goal(&rig, &twin, HEALTH).await;
    assert_eq!(failed.status, GoalStatus::Failed);
    assert!(failed.output.contains("it is broken"), "{}", failed.output);
    let published = rig.hive.published.lock().unwrap();
    let last = published.last().unwrap().body();
    let harmed: Vec<&str> = last
        .delta
        .counts
        .iter()
        .filter(|count| count.harmful == 1)
        .map(|count| count.target.as_str())
        .collect();
    assert!(harmed.contains(&"tool:system_monitor"), "{harmed:?}");
    // The case is not to blame for a tool that was away.
    assert!(
        !harmed.iter().any(|target| target.starts_with("case-")),
        "{harmed:?}"
    );
}

#[tokio::test]
async fn a_watcher_sees_each_step_and_the_end() {
    let rig = rig();
    let twin = rig.twin().await;
    let (sink, mut watched) = tokio::sync::mpsc::channel(64);
    let request = GoalRequest {
        goal: "What is 6 * 7?".into(),
    };
    let done = rig.mind.interact(&twin, request, Some(sink)).await.unwrap();
    assert_eq!(done.output, "6 * 7 = 42");
    let mut steps = 0;
    let mut ended = false;
    while let Some(progress) = watched.recv().await {
        match progress {
            Progress::Step(step) => {
                steps += 1;
                assert_eq!(step.index, steps);
            }
            Progress::Done(end) => ended = end.output == done.output,
            Progress::Text { .. } => {}
        }
    }
    assert!(ended);
    assert_eq!(usize::try_from(steps).unwrap(), done.steps.len());
}
