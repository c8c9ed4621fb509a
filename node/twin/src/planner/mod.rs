//! The embedded default inference: a deterministic planner that needs no model.
//!
//! It ranks tools for a goal by BM25 over names, descriptions, parameters and the cases the swarm
//! has learned, fills parameters from the goal, and, once the tools ran, checks their results
//! against the goal's condition and composes an answer. Everything here is pure.

pub mod answer;
pub mod condition;
pub mod slots;

use std::collections::BTreeSet;

use pagi_api::goal::{Plan, PlannedStep};
use pagi_playbook::{Case, CaseStep};
use serde_json::Value;

use self::{
    condition::Condition,
    slots::{Slots, choose, fill, without_literals},
};
use crate::lexical::{Bm25, term_set, terms};

/// A tool as the planner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its parameters.
    pub parameters: Value,
    /// It changes nothing, so it may be tried on a guess.
    pub read_only: bool,
}

/// What the swarm knows of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownCase {
    /// The case.
    pub case: Case,
    /// Times it helped.
    pub helpful: u64,
    /// Times it did not.
    pub harmful: u64,
}

/// What a plan is made from.
pub struct Knowledge<'a> {
    /// Tools the twin may call.
    pub tools: &'a [ToolInfo],
    /// Learned cases.
    pub cases: &'a [KnownCase],
    /// (helpful, harmful) of a tool by name.
    pub tool_tally: &'a (dyn Fn(&str) -> (u64, u64) + Sync),
    /// The twin remembers something, so that looking there first can help.
    pub has_memories: bool,
}

/// A plan and how its calls can be repeated for another goal of the kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Drafted {
    /// The plan.
    pub plan: Plan,
    /// For each step of the plan, the call with its parameters as slots.
    pub templates: Vec<CaseStep>,
    /// For each step, whether the answer may rest on it (a look into memory first may not).
    pub answers: Vec<bool>,
    /// The condition in the goal.
    pub condition: Option<Condition>,
}

/// A case is followed from this similarity on.
const FOLLOW: f64 = 0.7;
/// What a word weighs that neither a case nor a tool knows: it is probably beside the point.
const UNKNOWN_WEIGHT: f64 = 0.6;
/// A case lends its words to its tools from this similarity on.
const SUGGEST: f64 = 0.2;
/// A tool is a candidate from this part of the goal's weight on.
const COVERAGE: f64 = 0.3;
/// Further tools are tried if they score this part of the best.
const EXPLORE: f64 = 0.5;
/// At most so many tools are tried for one goal.
const MAX_TOOLS: usize = 3;
/// The tool that looks into the twin's memory.
const RECALL: &str = "recall";

/// Plans `goal`.
#[must_use]
pub fn plan(goal: &str, knowledge: &Knowledge<'_>) -> Drafted {
    let slots = Slots::parse(goal);
    let condition = Condition::parse(goal);
    // Quoted texts, addresses and the like are the matter of a goal, not its kind.
    let query = term_set(&without_literals(goal));
    let vocabulary = vocabulary(knowledge);
    let mut drafted = Drafted {
        plan: Plan {
            goal: goal.to_owned(),
            steps: Vec::new(),
            case: None,
            condition: condition.as_ref().map(Condition::words),
            missing: Vec::new(),
        },
        templates: Vec::new(),
        answers: Vec::new(),
        condition,
    };
    if let Some((known, similarity)) = best_case(goal, &query, knowledge, &vocabulary, &slots) {
        drafted.plan.case = Some(known.case.id.clone());
        for step in &known.case.steps {
            let Ok(parameters) = fill(step, &slots) else {
                continue;
            };
            let why = format!(
                "learned: {} helped {} of {} times",
                known.case.id,
                known.helpful,
                known.helpful + known.harmful
            );
            drafted.push(step.clone(), parameters, why, similarity, true);
        }
        return drafted;
    }
    explore(goal, &query, &slots, knowledge, &vocabulary, &mut drafted);
    drafted
}

impl Drafted {
    fn push(&mut self, step: CaseStep, parameters: Value, why: String, score: f64, answers: bool) {
        let score = (score * 1000.0).round() / 1000.0;
        self.plan.steps.push(PlannedStep {
            tool: step.tool.clone(),
            parameters,
            why,
            score,
        });
        self.templates.push(step);
        self.answers.push(answers);
    }
}

/// How alike a goal and a case are, 0 to 1: shared words over joint words, where a word that neither
/// cases nor tools know weighs less.
fn similarity(query: &BTreeSet<String>, case: &Case, known: &BTreeSet<String>) -> f64 {
    let terms: BTreeSet<String> = case.terms.iter().cloned().collect();
    let weigh = |term: &String| {
        if known.contains(term) {
            1.0
        } else {
            UNKNOWN_WEIGHT
        }
    };
    let joint: f64 = query.union(&terms).map(weigh).sum();
    if joint <= 0.0 {
        0.0
    } else {
        query.intersection(&terms).map(weigh).sum::<f64>() / joint
    }
}

/// The words of the tools' names and descriptions.
#[must_use]
pub fn tool_words(tools: &[ToolInfo]) -> BTreeSet<String> {
    let of = |tool: &ToolInfo| [terms(&tool.name), terms(&tool.description)].concat();
    tools.iter().flat_map(of).collect()
}

/// Every word of the cases and tools.
fn vocabulary(knowledge: &Knowledge<'_>) -> BTreeSet<String> {
    let cases = knowledge.cases.iter();
    let mut words = tool_words(knowledge.tools);
    words.extend(cases.flat_map(|known| known.case.terms.iter().cloned()));
    words
}

/// Whether `goal` asks rather than tells; "could you …" tells.
fn is_question(goal: &str) -> bool {
    let lower = goal.trim().to_lowercase();
    let mut words = lower.split_whitespace();
    let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let polite = ["can", "could", "would", "will"].contains(&first) && second == "you";
    let asking = [
        "what", "when", "where", "who", "whom", "whose", "which", "why", "how", "is", "are", "was",
        "were", "do", "does", "did", "has", "have", "can", "could", "should", "would", "will",
    ];
    !polite && (lower.ends_with('?') || asking.contains(&first.trim_end_matches("'s")))
}

fn best_case<'a>(
    goal: &str,
    query: &BTreeSet<String>,
    knowledge: &Knowledge<'a>,
    vocabulary: &BTreeSet<String>,
    slots: &Slots,
) -> Option<(&'a KnownCase, f64)> {
    // A lesson comes from strangers: it may make a twin read on its own, but never act, and never
    // hand the goal's own words to anything that was not asked for by name.
    let may_run = |step: &CaseStep| {
        knowledge
            .tools
            .iter()
            .any(|tool| tool.name == step.tool && (tool.read_only || goal.contains(&tool.name)))
    };
    let usable = |known: &&KnownCase| {
        known.helpful >= known.harmful
            && !known.case.steps.is_empty()
            && known
                .case
                .steps
                .iter()
                .all(|step| may_run(step) && fill(step, slots).is_ok())
    };
    knowledge
        .cases
        .iter()
        .filter(usable)
        .map(|known| (known, similarity(query, &known.case, vocabulary)))
        .filter(|(_, similarity)| *similarity >= FOLLOW)
        .max_by(|a, b| {
            let net = |known: &KnownCase| known.helpful as i64 - known.harmful as i64;
            a.1.total_cmp(&b.1)
                .then(net(a.0).cmp(&net(b.0)))
                .then(b.0.case.id.cmp(&a.0.case.id))
        })
}

fn explore(
    goal: &str,
    query: &BTreeSet<String>,
    slots: &Slots,
    knowledge: &Knowledge<'_>,
    vocabulary: &BTreeSet<String>,
    drafted: &mut Drafted,
) {
    let asks = is_question(goal);
    let verbs = terms(goal);
    let order = verbs.first().filter(|_| !asks);
    let ranked = rank(order, query, slots, knowledge, vocabulary);
    let mut chosen: Vec<(CaseStep, Value, f64)> = Vec::new();
    let best = ranked.first().map(|(_, score)| *score).unwrap_or(0.0);
    for (tool, score) in ranked {
        if chosen.len() >= MAX_TOOLS || score < EXPLORE * best {
            break;
        }
        let named = verbs.contains(&first_word(&tool.name)) || goal.contains(&tool.name);
        // "What do you remember?" is no order to remember.
        if !tool.read_only && asks && !goal.contains('_') {
            continue;
        }
        if !tool.read_only && !named {
            drafted.plan.missing.push(format!(
                "`{}` may fit, but it changes things and the goal does not name it: say \"{}\"",
                tool.name,
                tool.name.replace('_', " ")
            ));
            continue;
        }
        if !tool.read_only && !chosen.is_empty() {
            continue;
        }
        let template = match choose(&tool.parameters, slots, goal) {
            Ok(parameters) => CaseStep {
                tool: tool.name.clone(),
                parameters,
            },
            Err(missing) => {
                drafted.plan.missing.push(format!(
                    "`{}` needs `{}`, and the goal does not say it",
                    tool.name, missing.name
                ));
                continue;
            }
        };
        let Ok(parameters) = fill(&template, slots) else {
            continue;
        };
        let alone = !tool.read_only;
        chosen.push((template, parameters, score));
        if alone {
            break;
        }
    }
    if chosen.is_empty() {
        if drafted.plan.missing.is_empty() {
            drafted.plan.missing.push(nothing_fits(knowledge));
        }
        return;
    }
    drafted.plan.missing.clear();
    let reads = chosen
        .iter()
        .all(|(step, ..)| step.tool != RECALL && step.tool != "remember");
    if knowledge.has_memories
        && reads
        && let Some(step) = knowledge
            .tools
            .iter()
            .find(|tool| tool.name == RECALL)
            .and_then(|tool| choose(&tool.parameters, slots, goal).ok())
            .map(|parameters| CaseStep {
                tool: RECALL.to_owned(),
                parameters,
            })
        && let Ok(parameters) = fill(&step, slots)
    {
        let why = "nothing learned for this goal yet: looking into memory first".to_owned();
        drafted.push(step, parameters, why, 0.0, false);
    }
    for (at, (step, parameters, score)) in chosen.into_iter().enumerate() {
        let why = if at == 0 {
            "fits the goal's words best".to_owned()
        } else {
            format!(
                "fits the goal's words too ({:.0} % of the best)",
                100.0 * score / best
            )
        };
        drafted.push(step, parameters, why, score, true);
    }
}

fn first_word(name: &str) -> String {
    terms(name).into_iter().next().unwrap_or_default()
}

/// Tools that fit, best first, with learned words and track record weighed in. `order` is the word
/// that a goal which tells rather than asks begins with.
fn rank<'a>(
    order: Option<&String>,
    query: &BTreeSet<String>,
    slots: &Slots,
    knowledge: &Knowledge<'a>,
    vocabulary: &BTreeSet<String>,
) -> Vec<(&'a ToolInfo, f64)> {
    let learned: Vec<String> = knowledge
        .tools
        .iter()
        .map(|tool| {
            knowledge
                .cases
                .iter()
                .filter(|known| known.helpful >= known.harmful)
                .filter(|known| known.case.steps.iter().any(|step| step.tool == tool.name))
                .filter(|known| similarity(query, &known.case, vocabulary) >= SUGGEST)
                .map(|known| known.case.terms.join(" "))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let parameters: Vec<String> = knowledge
        .tools
        .iter()
        .map(|tool| parameter_words(&tool.parameters))
        .collect();
    let index = Bm25::new(knowledge.tools.iter().enumerate().map(|(at, tool)| {
        [
            (tool.name.as_str(), 2.0),
            (tool.description.as_str(), 1.0),
            (parameters[at].as_str(), 0.5),
            (learned[at].as_str(), 1.0),
        ]
    }));
    let mut ranked: Vec<(&ToolInfo, f64)> = knowledge
        .tools
        .iter()
        .enumerate()
        .filter_map(|(at, tool)| {
            let mut score = index.score(at, query);
            let mut coverage = index.coverage(at, query);
            // A whole expression, URL or the like in the goal speaks for the tool that takes one.
            if takes_a_slot_of(tool, slots) {
                score += 2.0;
                coverage += COVERAGE;
            }
            // So does an order that begins with the tool's own verb.
            if order == Some(&first_word(&tool.name)) {
                score += 2.0;
                coverage += COVERAGE;
            }
            let (helpful, harmful) = (knowledge.tool_tally)(&tool.name);
            if harmful > helpful + 2 {
                score *= 0.5;
            }
            (coverage >= COVERAGE && score > 0.0).then_some((tool, score))
        })
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.name.cmp(&b.0.name)));
    ranked
}

fn takes_a_slot_of(tool: &ToolInfo, slots: &Slots) -> bool {
    let Some(properties) = tool.parameters.get("properties").and_then(Value::as_object) else {
        return false;
    };
    ["expression", "url"].iter().any(|slot| {
        slots.first(slot).is_some() && properties.keys().any(|name| name.contains(slot))
    }) && tool.read_only
}

fn parameter_words(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return String::new();
    };
    let mut words = String::new();
    for (name, property) in properties {
        words.push_str(name);
        words.push(' ');
        if let Some(text) = property.get("description").and_then(Value::as_str) {
            words.push_str(text);
            words.push(' ');
        }
        for option in property
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(option) = option.as_str() {
                words.push_str(option);
                words.push(' ');
            }
        }
    }
    words
}

fn nothing_fits(knowledge: &Knowledge<'_>) -> String {
    if knowledge.tools.is_empty() {
        return "this twin may call no tool: allow one with `pagi tool allow`".to_owned();
    }
    "no tool of this twin fits the goal: name one (`pagi tool list`), register one that does it \
     (`pagi tool register`), or configure a language model (PAGI_LLM_URL and PAGI_LLM_MODEL)"
        .to_owned()
}

#[cfg(test)]
mod tests {
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
        assert!(draft(goal, &[], true).plan.steps.is_empty());
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
}
