//! Every starter playbook is a sound genesis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{collections::BTreeSet, fs, path::Path};

use pagi_playbook::{Dag, Genesis, Playbook, parse_toml, scan, to_toml};
use pagi_playbooks::{BASE, names, starter};
use serde_json::Value;

fn all() -> impl Iterator<Item = (&'static str, Value)> {
    names().map(|name| {
        let toml = starter(name).unwrap();
        (
            name,
            parse_toml(toml).unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    })
}

#[test]
fn no_file_is_forgotten() {
    let on_disk: BTreeSet<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.ends_with(".toml") && file != "Cargo.toml")
        .map(|file| file.trim_end_matches(".toml").to_owned())
        .collect();
    assert_eq!(on_disk, names().map(ToOwned::to_owned).collect());
    assert!(names().is_sorted());
    assert_eq!(starter("base"), Some(BASE));
    assert_eq!(starter("no such playbook"), None);
}

#[test]
fn each_founds_a_swarm_and_survives_the_round_trip() {
    let mut roots = BTreeSet::new();
    for (name, document) in all() {
        assert_eq!(parse_toml(&to_toml(&document)).unwrap(), document, "{name}");
        let dag = Dag::new(Genesis::new("pagi", document).unwrap()).unwrap();
        let printed = dag.state().to_toml();
        assert!(Genesis::from_toml("pagi", &printed).is_ok(), "{name}");
        roots.insert(dag.root());
    }
    assert_eq!(roots.len(), names().count());
}

#[test]
fn each_says_what_a_twin_needs() {
    let base = Playbook::from_document(&parse_toml(BASE).unwrap()).unwrap();
    for (name, document) in all() {
        let playbook = Playbook::from_document(&document).unwrap();
        assert_eq!(playbook.name, name);
        assert!(!playbook.version.is_empty() && !playbook.instructions.system_prompt.is_empty());
        assert!(!playbook.instructions.reflection_rules.is_empty(), "{name}");
        let ethics = &playbook.ethics;
        for line in &base.ethics.red_lines {
            assert!(
                ethics.red_lines.contains(line),
                "{name} lacks the red line {line:?}"
            );
        }
        assert!(
            ethics.alignment_check && ethics.min_reputation_for_override > 0.0,
            "{name}"
        );
        assert!(
            !ethics.constitution.is_empty() && !ethics.refusal_response.is_empty(),
            "{name}"
        );
        assert!(
            ethics
                .harm_categories
                .iter()
                .all(|category| !category.terms.is_empty()),
            "{name}"
        );
        let context = &playbook.context_engineering;
        for layer in ["system", "tools", "goal", "memory", "reflection"] {
            assert!(
                context.order_priority.iter().any(|named| named == layer),
                "{name}: {layer}"
            );
            assert!(context.layers.contains_key(layer), "{name}: {layer}");
        }
        assert!(playbook.ace.improvement_threshold > 0.0, "{name}");
        for section in ["ai_principles", "sub_agents", "memory", "optimization"] {
            assert!(document[section].is_object(), "{name}: {section}");
        }
    }
    assert_eq!(base.context_engineering.max_context_tokens, 4096);
    assert_eq!(base.context_engineering.retrieval_top_k, 5);
    let order = ["system", "tools", "goal", "memory", "reflection"];
    assert_eq!(base.context_engineering.order_priority, order);
}

#[test]
fn instructions_pass_the_text_gates_they_are_held_to() {
    fn texts<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => out.push(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
            Value::Object(map) => map.values().for_each(|item| texts(item, out)),
            _ => {}
        }
    }
    for (name, document) in all() {
        let mut found = Vec::new();
        for (section, value) in document.as_object().unwrap() {
            // Red lines name what they forbid.
            if section != "ethics" {
                texts(value, &mut found);
            }
        }
        for text in found {
            assert_eq!(scan::injection(text), None, "{name}: {text}");
            assert_eq!(scan::secret(text), None, "{name}: {text}");
        }
    }
}
