//! What the planner plans.

use pagi_playbook::Fill;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tools() -> Vec<ToolInfo> {
    let tool = |name: &str, description: &str, parameters: Value, read_only| ToolInfo {
        name: name.into(),
        description: description.into(),
        parameters,
        read_only,
    };
    let text = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    vec![
        tool(
            "system_monitor",
            "Health of this machine: CPU, memory, disk and load figures",
            json!({"type": "object", "properties": {}}),
            true,
        ),
        tool(
            "calculator",
            "Evaluates an arithmetic expression",
            text("expression"),
            true,
        ),
        tool(
            "recall",
            "Recalls what the twin remembers: searches its memory",
            text("query"),
            true,
        ),
        tool(
            "remember",
            "Keeps a text in the twin's memory",
            text("content"),
            false,
        ),
        tool(
            "list_known_twins",
            "Lists the twins known in the swarm",
            json!({}),
            true,
        ),
    ]
}

fn draft(goal: &str, cases: &[KnownCase], has_memories: bool) -> Drafted {
    plan(
        goal,
        &Knowledge {
            tools: &tools(),
            cases,
            tool_tally: &|_| (0, 0),
            has_memories,
        },
    )
}

fn names(drafted: &Drafted) -> Vec<&str> {
    drafted
        .plan
        .steps
        .iter()
        .map(|step| step.tool.as_str())
        .collect()
}

const HEALTH: &str = "Check this machine's health and report anything above 80%";

#[test]
fn a_health_goal_finds_the_monitor_and_looks_into_memory_first() {
    let drafted = draft(HEALTH, &[], true);
    assert_eq!(names(&drafted), ["recall", "system_monitor"]);
    assert_eq!(drafted.answers, [false, true]);
    assert_eq!(drafted.plan.condition.as_deref(), Some("above 80 %"));
    assert_eq!(names(&draft(HEALTH, &[], false)), ["system_monitor"]);
}

#[test]
fn a_learned_case_saves_the_looking_around() {
    let case = Case::new(
        vec!["machin".into(), "health".into()],
        vec![CaseStep {
            tool: "system_monitor".into(),
            parameters: Default::default(),
        }],
    );
    let known = KnownCase {
        case: case.clone(),
        helpful: 1,
        harmful: 0,
    };
    let drafted = draft(
        "Is the health of this machine fine, or above 90%?",
        &[known],
        true,
    );
    assert_eq!(names(&drafted), ["system_monitor"]);
    assert_eq!(drafted.plan.case.as_deref(), Some(case.id.as_str()));
    let bad = KnownCase {
        case,
        helpful: 0,
        harmful: 2,
    };
    assert_eq!(draft(HEALTH, &[bad], true).plan.case, None);
}

#[test]
fn a_case_solves_a_goal_whose_words_no_tool_has() {
    let goal = "How is the box doing?";
    assert!(draft(goal, &[], false).plan.steps.is_empty());
    // But what the twin was told may answer a question.
    assert_eq!(names(&draft(goal, &[], true)), ["recall"]);
    let known = KnownCase {
        case: Case::new(
            term_set(goal),
            vec![CaseStep {
                tool: "system_monitor".into(),
                parameters: Default::default(),
            }],
        ),
        helpful: 1,
        harmful: 0,
    };
    assert_eq!(
        names(&draft("How is my box?", &[known], false)),
        ["system_monitor"]
    );
}

#[test]
fn arithmetic_and_memory_goals_fill_their_parameters() {
    let drafted = draft("What is 12 * (3 + 4)?", &[], true);
    assert_eq!(drafted.plan.steps.last().unwrap().tool, "calculator");
    assert_eq!(
        drafted.plan.steps.last().unwrap().parameters,
        json!({"expression": "12 * (3 + 4)"})
    );
    let drafted = draft("Remember that the key is under the mat", &[], true);
    assert_eq!(names(&drafted), ["remember"]);
    assert_eq!(
        drafted.plan.steps[0].parameters,
        json!({"content": "the key is under the mat"})
    );
}

#[test]
fn a_lesson_cannot_make_a_twin_act() {
    let step = CaseStep {
        tool: "remember".into(),
        parameters: [("content".to_owned(), Fill::Slot("goal".into()))].into(),
    };
    let case = Case::new(vec!["machin".to_owned(), "health".to_owned()], vec![step]);
    let known = [KnownCase {
        case,
        helpful: 9,
        harmful: 0,
    }];
    assert_eq!(names(&draft(HEALTH, &known, false)), ["system_monitor"]);
}

#[test]
fn a_question_is_no_order() {
    assert_eq!(
        names(&draft("What do you remember about the key?", &[], true)),
        ["recall"]
    );
    assert_eq!(
        names(&draft("Could you remember that tea is out?", &[], true)),
        ["remember"]
    );
}

#[test]
fn a_tool_that_shares_only_the_verb_does_not_fit() {
    assert!(names(&draft("list files", &[], false)).is_empty());
    assert_eq!(
        names(&draft("list the twins", &[], false)),
        ["list_known_twins"]
    );
}

#[test]
fn orders_not_to_keep_and_to_forget_run_nothing() {
    for goal in ["Don't remember this: the pin is 1", "Forget the pin"] {
        let drafted = draft(goal, &[], true);
        assert!(names(&drafted).is_empty(), "{goal}");
        assert_eq!(drafted.plan.missing.len(), 1, "{goal}");
    }
}

#[test]
fn a_compound_goal_is_one_plan_that_names_what_it_leaves_out() {
    let whole = |goal: &str| {
        plan_whole(
            goal,
            &Knowledge {
                tools: &tools(),
                cases: &[],
                tool_tally: &|_| (0, 0),
                has_memories: false,
            },
        )
    };
    let plan = whole("What is 2 + 2 and tell me the disk load");
    let names: Vec<&str> = plan.steps.iter().map(|step| step.tool.as_str()).collect();
    assert_eq!(names, ["calculator", "system_monitor"]);
    let plan = whole("if the disk is above 90% then send a mail");
    assert_eq!(plan.steps.len(), 1);
    assert!(plan.missing[0].contains("send a mail"), "{plan:?}");
}

#[test]
fn a_goal_nothing_fits_says_what_would_help() {
    let drafted = draft("Write a poem about the sea", &[], true);
    assert!(drafted.plan.steps.is_empty());
    assert!(
        drafted.plan.missing[0].contains("pagi tool register"),
        "{:?}",
        drafted.plan
    );
    let drafted = draft("calculate the arithmetic expression of love", &[], false);
    assert!(
        drafted.plan.missing[0].contains("`expression`"),
        "{:?}",
        drafted.plan
    );
}

#[test]
fn a_case_with_a_slot_the_goal_lacks_is_not_followed() {
    let step = CaseStep {
        tool: "calculator".into(),
        parameters: [("expression".to_owned(), Fill::Slot("expression".into()))].into(),
    };
    let case = Case::new(vec!["sum".into()], vec![step]);
    let known = [KnownCase {
        case,
        helpful: 3,
        harmful: 0,
    }];
    assert_eq!(draft("the sum", &known, false).plan.case, None);
    assert!(draft("the sum 2+3", &known, false).plan.case.is_some());
}

proptest! {
    #[test]
    fn planning_never_panics_and_is_deterministic(goal in ".{0,100}", memories: bool) {
        prop_assert_eq!(draft(&goal, &[], memories), draft(&goal, &[], memories));
    }
}
