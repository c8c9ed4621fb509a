//! The embedded default inference: a deterministic planner that needs no model.
//!
//! It ranks tools for a goal by BM25 over names, descriptions, parameters and the cases the swarm
//! has learned, fills parameters from the goal, and, once the tools ran, checks their results
//! against the goal's condition and composes an answer. Everything here is pure.

pub mod answer;
pub mod condition;
pub mod coverage;
pub mod parts;
pub mod slots;
pub mod words;

use std::collections::BTreeSet;

use pagi_api::goal::{Plan, PlannedStep};
use pagi_playbook::{Case, CaseStep, State};
use serde_json::Value;

use self::coverage::widened;
use self::{
    condition::Condition,
    parts::parts,
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
/// The tool that keeps a text.
pub(crate) const REMEMBER: &str = "remember";
/// Verbs that many tools share: one of them in common says little.
const VERBS: &str = "list show find search read write get fetch look check count create make send \
    open close add remove delete update call";

/// Plans every part of `goal`, as one plan.
#[must_use]
pub fn plan_whole(goal: &str, knowledge: &Knowledge<'_>) -> Plan {
    let parts = parts(goal);
    if let [only] = parts.as_slice()
        && only.undone.is_none()
    {
        return plan(goal, knowledge).plan;
    }
    let mut whole = Plan {
        goal: goal.to_owned(),
        steps: Vec::new(),
        case: None,
        condition: None,
        missing: Vec::new(),
    };
    for part in parts {
        if let Some(why) = part.undone {
            whole
                .missing
                .push(format!("\u{201c}{}\u{201d}: {why}", part.goal));
            continue;
        }
        let plan = plan(&part.goal, knowledge).plan;
        for step in plan.steps {
            let same = |other: &PlannedStep| {
                other.tool == step.tool && other.parameters == step.parameters
            };
            if !whole.steps.iter().any(same) {
                whole.steps.push(step);
            }
        }
        whole.missing.extend(plan.missing);
        whole.case = whole.case.or(plan.case);
        whole.condition = whole.condition.or(plan.condition);
    }
    whole
}

/// Plans `goal`, which is one thing.
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
    if parts::asks_to_forget(goal) {
        drafted.plan.missing.push(CANNOT_FORGET.to_owned());
        return drafted;
    }
    if parts::is_not_to_be_kept(goal) {
        drafted.plan.missing.push(NOTHING_KEPT.to_owned());
        return drafted;
    }
    // So is a name: a lesson never holds one.
    let kind = kind(goal, &vocabulary);
    if let Some((known, similarity)) = best_case(goal, &kind, knowledge, &vocabulary, &slots) {
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
    let said: BTreeSet<String> = knowledge.tools.iter().flat_map(words_of_tool).collect();
    let query = coverage::translated(&query, &said);
    explore(goal, &query, &slots, knowledge, &vocabulary, &mut drafted);
    drafted
}

const CANNOT_FORGET: &str = "what a twin remembers cannot be taken back yet; `pagi memory list` shows \
    what is kept, and a goal that begins with \"Don't remember\" is not kept at all";
const NOTHING_KEPT: &str = "nothing was kept of this goal, as it asks; there is nothing else to do";

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

/// The words of a tool's name, description and parameters.
#[must_use]
pub fn words_of_tool(tool: &ToolInfo) -> Vec<String> {
    [
        terms(&tool.name),
        terms(&tool.description),
        terms(&parameter_words(&tool.parameters)),
    ]
    .concat()
}

/// The words of the tools' names and descriptions.
#[must_use]
pub fn tool_words(tools: &[ToolInfo]) -> BTreeSet<String> {
    let of = |tool: &ToolInfo| [terms(&tool.name), terms(&tool.description)].concat();
    tools.iter().flat_map(of).collect()
}

/// A word for each stem that a lesson may hold, for a person to read: from the built-in lists and the
/// tools, never from a goal.
#[must_use]
pub fn spoken_words<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> std::collections::BTreeMap<String, String> {
    let built_in = [words::COMMON, words::LIGHT].into_iter();
    crate::lexical::spoken(built_in.chain(texts))
}

/// Which of the tools that the twin may not call yet would be tried for `goal` if it might: its name.
#[must_use]
pub fn withheld<'a>(
    goal: &str,
    knowledge: &Knowledge<'_>,
    withheld: &'a [ToolInfo],
) -> Option<&'a str> {
    if withheld.is_empty() {
        return None;
    }
    let tools: Vec<ToolInfo> = knowledge.tools.iter().chain(withheld).cloned().collect();
    let knowledge = Knowledge {
        tools: &tools,
        ..*knowledge
    };
    let slots = Slots::parse(goal);
    let said: BTreeSet<String> = tools.iter().flat_map(words_of_tool).collect();
    let query = coverage::translated(&term_set(&without_literals(goal)), &said);
    let verbs = terms(goal);
    let order = verbs.first().filter(|_| !is_question(goal));
    let ranked = rank(order, &query, &slots, &knowledge, &vocabulary(&knowledge));
    let best = ranked.first()?.1;
    let names = ranked
        .iter()
        .take_while(|(_, score)| *score >= EXPLORE * best)
        .map(|(tool, _)| tool.name.as_str());
    names
        .filter_map(|name| withheld.iter().find(|tool| tool.name == name))
        .map(|tool| tool.name.as_str())
        .next()
}

/// The words that every node of the swarm has anyway: of the tools and of the playbook.
#[must_use]
pub fn known_words(tools: &[ToolInfo], playbook: &State) -> BTreeSet<String> {
    let mut words: BTreeSet<String> = tools.iter().flat_map(words_of_tool).collect();
    words.extend(
        playbook
            .cases()
            .flat_map(|(case, _)| case.terms.iter().cloned()),
    );
    words.extend(
        playbook
            .bullets()
            .flat_map(|(bullet, _)| terms(&bullet.text)),
    );
    words.extend(coverage::spoken_of(playbook.settings()));
    words
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
        let template = match choose(tool, slots, goal) {
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
    if chosen.is_empty()
        && asks
        && knowledge.has_memories
        && let Some((template, parameters)) = look_back(goal, slots, knowledge)
    {
        // No tool fits, but what the twin was told may.
        drafted.plan.missing.clear();
        let why = "no tool fits: looking for it in memory".to_owned();
        drafted.push(template, parameters, why, 0.0, true);
        return;
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
        .all(|(step, ..)| step.tool != RECALL && step.tool != REMEMBER);
    if knowledge.has_memories
        && reads
        && let Some((step, parameters)) = look_back(goal, slots, knowledge)
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

/// A look into memory for what the goal is about.
fn look_back(goal: &str, slots: &Slots, knowledge: &Knowledge<'_>) -> Option<(CaseStep, Value)> {
    let tool = knowledge.tools.iter().find(|tool| tool.name == RECALL)?;
    let step = CaseStep {
        tool: RECALL.to_owned(),
        parameters: choose(tool, slots, goal).ok()?,
    };
    let parameters = fill(&step, slots).ok()?;
    Some((step, parameters))
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
            lessons(&tool.name, query, knowledge.cases, vocabulary)
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
            // "List the files" is not for a tool that lists something else.
            let own: BTreeSet<String> = [words_of_tool(tool), terms(&learned[at])]
                .concat()
                .into_iter()
                .collect();
            if !takes_text(tool) && only_a_verb(query, &widened(&own)) {
                return None;
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

/// The cases that lend their words to `tool` for a goal of these words.
fn lessons<'a>(
    tool: &'a str,
    query: &'a BTreeSet<String>,
    cases: &'a [KnownCase],
    vocabulary: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a KnownCase> {
    cases
        .iter()
        .filter(|known| known.helpful >= known.harmful)
        .filter(move |known| known.case.steps.iter().any(|step| step.tool == tool))
        .filter(move |known| similarity(query, &known.case, vocabulary) >= SUGGEST)
}

/// The words of earlier goals like `goal` that `tool` reached: what people call what it does. A thing
/// is not among them, because the answer itself must speak of it.
#[must_use]
pub fn taught(goal: &str, tool: &str, tools: &[ToolInfo], cases: &[KnownCase]) -> BTreeSet<String> {
    let query = kind(goal, &tool_words(tools));
    let mut vocabulary = tool_words(tools);
    vocabulary.extend(
        cases
            .iter()
            .flat_map(|known| known.case.terms.iter().cloned()),
    );
    lessons(tool, &query, cases, &vocabulary)
        .filter(|known| known.helpful > known.harmful)
        .flat_map(|known| known.case.terms.iter().cloned())
        .filter(|term| !coverage::is_thing(term))
        .collect()
}

/// The words that say of what kind a goal is: its literals aside, and names that no tool has.
fn kind(goal: &str, tools: &BTreeSet<String>) -> BTreeSet<String> {
    let bare = without_literals(goal);
    let names: BTreeSet<String> = bare
        .split_whitespace()
        .skip(1)
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|core| {
            core.starts_with(char::is_uppercase) && !core.chars().all(char::is_uppercase)
        })
        .flat_map(terms)
        .filter(|term| !tools.contains(term) && !coverage::is_thing(term))
        .collect();
    let all = term_set(&bare);
    let kind: BTreeSet<String> = all.difference(&names).cloned().collect();
    if kind.is_empty() { all } else { kind }
}

/// Whether a verb is all that a goal which names a thing shares with a tool.
fn only_a_verb(query: &BTreeSet<String>, own: &BTreeSet<String>) -> bool {
    let verbs: BTreeSet<String> = terms(VERBS).into_iter().collect();
    let mut shared = query.intersection(own);
    let named = |term: &&String| !verbs.contains(*term) && !coverage::is_light(term);
    !shared.any(|term| named(&term)) && query.iter().any(|term| named(&term))
}

/// Whether a tool takes a text of any kind.
fn takes_text(tool: &ToolInfo) -> bool {
    let properties = tool.parameters.get("properties").and_then(Value::as_object);
    let required = tool.parameters.get("required").and_then(Value::as_array);
    properties.is_some_and(|properties| {
        properties.iter().any(|(name, property)| {
            required.is_some_and(|required| required.iter().any(|one| one == name))
                && property.get("enum").is_none()
        })
    })
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
mod tests;
