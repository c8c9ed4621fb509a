//! Builds the context of a goal: layers in the playbook's order of priority, within a token budget.
//!
//! Tokens are estimated as a quarter of the characters, rounded up, which is right within about a
//! fifth for English and the tokenizers in use; no tokenizer is shipped for an estimate.

use pagi_api::goal::{BuiltContext, ContextSource};
use pagi_playbook::Playbook;
use pagi_store::{EmotionRecord, MemoryEntry};

use crate::{
    emotion::valence_of,
    lexical::{Bm25, term_set},
    planner::{KnownCase, ToolInfo},
};

/// What a context can be made of.
pub struct Material<'a> {
    /// The twin.
    pub twin_id: &'a str,
    /// The goal.
    pub goal: &'a str,
    /// The playbook in force.
    pub playbook: &'a Playbook,
    /// Tools the twin may call.
    pub tools: &'a [ToolInfo],
    /// The twin's memory, oldest first.
    pub memories: Vec<MemoryEntry>,
    /// Learned cases.
    pub cases: &'a [KnownCase],
    /// Learned bullets, as (id, text).
    pub bullets: Vec<(String, String)>,
    /// Weigh memories by this emotion.
    pub emotion: Option<&'a EmotionRecord>,
}

struct Part {
    layer: &'static str,
    reference: String,
    text: String,
    weight: Option<f64>,
}

const DEFAULT_ORDER: [&str; 5] = ["system", "tools", "goal", "memory", "reflection"];

/// Estimated tokens of `text`.
#[must_use]
pub fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// Builds the context. The goal is always in it; every other part only while the budget lasts, in
/// the order of priority.
#[must_use]
pub fn build(material: Material<'_>) -> BuiltContext {
    let budget = material
        .playbook
        .context_engineering
        .max_context_tokens
        .max(16);
    let order = order(material.playbook);
    let mut parts: Vec<Part> = Vec::new();
    for layer in &order {
        match *layer {
            "system" => system(&material, &mut parts),
            "tools" => tools(&material, &mut parts),
            "memory" => memory(&material, &mut parts),
            "reflection" => reflection(&material, &mut parts),
            _ => parts.push(Part {
                layer: "goal",
                reference: "goal".into(),
                text: format!("Goal: {}", material.goal),
                weight: None,
            }),
        }
    }
    let goal_tokens: usize = parts
        .iter()
        .filter(|part| part.layer == "goal")
        .map(|part| tokens(&part.text) + 4)
        .sum();
    let mut left = budget.saturating_sub(goal_tokens);
    let mut context = String::new();
    let mut sources = Vec::new();
    let mut left_out = 0;
    let mut heading = "";
    for part in parts {
        let title = if part.layer == heading {
            ""
        } else {
            title(part.layer)
        };
        let cost = tokens(&part.text) + tokens(title) + 1;
        if part.layer != "goal" {
            if cost > left {
                left_out += 1;
                continue;
            }
            left -= cost;
        }
        if !title.is_empty() {
            if !context.is_empty() {
                context.push('\n');
            }
            context.push_str(title);
            context.push('\n');
            heading = part.layer;
        }
        context.push_str(&part.text);
        context.push('\n');
        sources.push(ContextSource {
            layer: part.layer.to_owned(),
            reference: part.reference,
            tokens: cost,
            weight: part.weight.map(|weight| (weight * 1000.0).round() / 1000.0),
        });
    }
    BuiltContext {
        twin_id: material.twin_id.to_owned(),
        tokens: tokens(&context),
        context,
        sources,
        max_tokens: budget,
        left_out,
        mood: material.emotion.map(|emotion| emotion.mood.clone()),
    }
}

fn title(layer: &str) -> &'static str {
    match layer {
        "system" => "# Instructions",
        "tools" => "# Tools",
        "memory" => "# Memory",
        "reflection" => "# Lessons of the swarm",
        _ => "# Goal",
    }
}

/// The lines of a context that a question can be answered from: headings, instructions, tools and
/// the goal itself answer nothing. Of any other text, every line.
pub(crate) fn passages(context: &str) -> Vec<&str> {
    let silent = ["system", "tools", "goal"].map(title);
    let mut heading = "";
    context
        .lines()
        .map(str::trim)
        .filter(|line| {
            if line.starts_with("# ") {
                heading = line;
                return false;
            }
            !line.is_empty() && !silent.contains(&heading)
        })
        .map(|line| line.strip_prefix("- ").unwrap_or(line))
        .collect()
}

/// The playbook's order, each known layer once; layers it leaves out come last.
fn order(playbook: &Playbook) -> Vec<&'static str> {
    let mut order: Vec<&'static str> = Vec::new();
    for name in &playbook.context_engineering.order_priority {
        if let Some(layer) = DEFAULT_ORDER.iter().find(|layer| *layer == name)
            && !order.contains(layer)
        {
            order.push(layer);
        }
    }
    for layer in DEFAULT_ORDER {
        if !order.contains(&layer) {
            order.push(layer);
        }
    }
    order
}

fn system(material: &Material<'_>, parts: &mut Vec<Part>) {
    let prompt = material.playbook.instructions.system_prompt.trim();
    if !prompt.is_empty() {
        parts.push(Part {
            layer: "system",
            reference: "instructions.system_prompt".into(),
            text: prompt.to_owned(),
            weight: None,
        });
    }
    if !material.playbook.ethics.constitution.is_empty() {
        parts.push(Part {
            layer: "system",
            reference: "ethics.constitution".into(),
            text: material.playbook.ethics.constitution.join("\n"),
            weight: None,
        });
    }
    if let Some(emotion) = material.emotion {
        parts.push(Part {
            layer: "system",
            reference: "emotion".into(),
            text: format!(
                "Mood: {} (activation {:.2}, valence {:+.2}). {}",
                emotion.mood,
                emotion.activation_level,
                emotion.valence,
                advice(emotion)
            ),
            weight: None,
        });
    }
}

fn advice(emotion: &EmotionRecord) -> &'static str {
    match (emotion.valence < -0.2, emotion.activation_level >= 0.5) {
        (true, true) => "Recent goals went wrong: go in small steps and check each result.",
        (true, false) => "Energy is low: prefer the simplest plan that can work.",
        (false, true) => "Things go well: stay exact.",
        (false, false) => "",
    }
}

fn tools(material: &Material<'_>, parts: &mut Vec<Part>) {
    let index = Bm25::new(
        material
            .tools
            .iter()
            .map(|tool| [(tool.name.as_str(), 2.0), (tool.description.as_str(), 1.0)]),
    );
    let query = term_set(material.goal);
    let mut ranked: Vec<(usize, f64)> = (0..material.tools.len())
        .map(|at| (at, index.score(at, &query)))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    for (at, score) in ranked {
        let Some(tool) = material.tools.get(at) else {
            continue;
        };
        parts.push(Part {
            layer: "tools",
            reference: tool.name.clone(),
            text: format!("- {}: {}", tool.name, tool.description),
            weight: Some(score),
        });
    }
}

/// The best-fitting memories, weighted by emotion where one is given: in a strong mood, entries of
/// the same colour come up more easily (mood congruence), and more so the higher the activation.
fn memory(material: &Material<'_>, parts: &mut Vec<Part>) {
    let top = material
        .playbook
        .context_engineering
        .retrieval_top_k
        .clamp(1, 100);
    let query = term_set(material.goal);
    let index = Bm25::new(
        material
            .memories
            .iter()
            .map(|entry| [(entry.content.as_str(), 1.0)]),
    );
    let mut ranked: Vec<(usize, f64)> = index.rank(&query);
    if let Some(emotion) = material.emotion {
        for (at, score) in &mut ranked {
            let Some(entry) = material.memories.get(*at) else {
                continue;
            };
            *score *= 1.0 + emotion.activation_level * emotion.valence * tone(&entry.content);
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    }
    ranked.truncate(top);
    // Back into the order in which things happened.
    ranked.sort_by_key(|(at, _)| *at);
    for (at, score) in ranked {
        let Some(entry) = material.memories.get(at) else {
            continue;
        };
        parts.push(Part {
            layer: "memory",
            reference: entry.id.clone(),
            text: format!(
                "- {} ({}): {}",
                entry.ts,
                entry.role.as_str(),
                entry.content
            ),
            weight: Some(score),
        });
    }
}

/// The colour of a text, -1 to 1, by the mood words and a few plain words in it.
fn tone(text: &str) -> f64 {
    const GOOD: [&str; 10] = [
        "good",
        "great",
        "worked",
        "success",
        "completed",
        "fine",
        "thanks",
        "love",
        "better",
        "solved",
    ];
    const BAD: [&str; 10] = [
        "bad", "failed", "error", "wrong", "broken", "lost", "problem", "hate", "worse", "refused",
    ];
    let mut sum = 0.0;
    let mut count = 0.0_f64;
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
        let value = if GOOD.contains(&word) {
            0.6
        } else if BAD.contains(&word) {
            -0.6
        } else {
            valence_of(word)
        };
        if value != 0.0 {
            sum += value;
            count += 1.0;
        }
    }
    if count == 0.0 { 0.0 } else { sum / count }
}

fn reflection(material: &Material<'_>, parts: &mut Vec<Part>) {
    let query = term_set(material.goal);
    let top = material
        .playbook
        .context_engineering
        .retrieval_top_k
        .clamp(1, 100);
    let texts: Vec<String> = material
        .cases
        .iter()
        .map(|known| known.case.terms.join(" "))
        .collect();
    let index = Bm25::new(texts.iter().map(|text| [(text.as_str(), 1.0)]));
    for (at, score) in index.rank(&query).into_iter().take(top) {
        let Some(known) = material.cases.get(at) else {
            continue;
        };
        let calls: Vec<&str> = known
            .case
            .steps
            .iter()
            .map(|step| step.tool.as_str())
            .collect();
        parts.push(Part {
            layer: "reflection",
            reference: known.case.id.clone(),
            text: format!(
                "- goals about {}: call {} (helped {}, failed {})",
                known.case.terms.join(" "),
                calls.join(", then "),
                known.helpful,
                known.harmful
            ),
            weight: Some(score),
        });
    }
    let index = Bm25::new(
        material
            .bullets
            .iter()
            .map(|(_, text)| [(text.as_str(), 1.0)]),
    );
    for (at, score) in index.rank(&query).into_iter().take(top) {
        let Some((id, text)) = material.bullets.get(at) else {
            continue;
        };
        parts.push(Part {
            layer: "reflection",
            reference: id.clone(),
            text: format!("- {text}"),
            weight: Some(score),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_what_the_twin_knows() {
        let context = "# Instructions\nBe brief.\n\n# Tools\n- calc: adds\n\n# Goal\nGoal: x?\n\n\
                       # Memory\n- it is y\n\n# Lessons of the swarm\n- z";
        assert_eq!(passages(context), ["it is y", "z"]);
        assert_eq!(
            passages("any text\n\n- with a list"),
            ["any text", "with a list"]
        );
        assert_eq!(passages(""), [""; 0]);
    }
}
