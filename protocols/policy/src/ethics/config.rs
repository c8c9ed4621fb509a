//! What a node's owner and a playbook say about red lines.

use serde::{Deserialize, Deserializer, Serialize};

use super::rules;
use crate::PolicyError;

/// The longest red line or term, in characters.
const MAX_LINE: usize = 400;
/// The most red lines and terms together.
const MAX_LINES: usize = 2000;
/// What is answered unless something else is configured.
const DEFAULT_RESPONSE: &str = "I can't help with that: it crosses a red line of this node. I'm glad to help with a safe version of it.";

/// A named kind of harm and the phrases that stand for it.
///
/// In text it is either a table `{name, terms}` or a name alone; a name alone enables nothing new:
/// the built-in lines of that name hold anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HarmCategory {
    /// The name, as it appears in refusals.
    pub name: String,
    /// Phrases, compared as red lines are.
    pub terms: Vec<String>,
}

impl<'de> Deserialize<'de> for HarmCategory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Name(String),
            Table {
                name: String,
                #[serde(default)]
                terms: Vec<String>,
            },
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Name(name) => Self {
                name,
                terms: Vec::new(),
            },
            Form::Table { name, terms } => Self { name, terms },
        })
    }
}

/// Red lines beyond the built-in ones, and how to refuse.
///
/// The built-in lines hold whatever stands here; [`Default`] spells them out for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EthicsConfig {
    /// What must not be done, as short phrases: `build a weapon`, `never deceive users`.
    pub red_lines: Vec<String>,
    /// Further kinds of harm with their terms.
    pub harm_categories: Vec<HarmCategory>,
    /// What to answer when refusing.
    pub refusal_response: String,
    /// Whether outputs and texts also meet the built-in lines.
    pub alignment_check: bool,
}

impl Default for EthicsConfig {
    fn default() -> Self {
        Self {
            red_lines: rules::statements().map(str::to_owned).collect(),
            harm_categories: Vec::new(),
            refusal_response: DEFAULT_RESPONSE.to_owned(),
            alignment_check: true,
        }
    }
}

impl EthicsConfig {
    /// The union of both: every red line, every category with the terms of both, the check if
    /// either wants it, and the response of `other` if it has one. Nothing can be taken away.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for line in &other.red_lines {
            add(&mut merged.red_lines, line);
        }
        for category in &other.harm_categories {
            match merged
                .harm_categories
                .iter_mut()
                .find(|known| known.name == category.name)
            {
                Some(known) => category
                    .terms
                    .iter()
                    .for_each(|term| add(&mut known.terms, term)),
                None => merged.harm_categories.push(category.clone()),
            }
        }
        if !other.refusal_response.trim().is_empty() && other.refusal_response != DEFAULT_RESPONSE {
            merged.refusal_response.clone_from(&other.refusal_response);
        }
        merged.alignment_check |= other.alignment_check;
        merged
    }

    /// Bounds what a foreign playbook can ask for.
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let lines = || {
            let terms = self
                .harm_categories
                .iter()
                .flat_map(|category| &category.terms);
            self.red_lines.iter().chain(terms)
        };
        let found = lines().count();
        if found > MAX_LINES {
            return Err(PolicyError::TooManyRedLines {
                found,
                limit: MAX_LINES,
            });
        }
        match lines().find(|line| line.chars().nth(MAX_LINE).is_some()) {
            Some(line) => Err(PolicyError::LongRedLine {
                text: line.chars().take(60).collect(),
                limit: MAX_LINE,
            }),
            None => Ok(()),
        }
    }
}

fn add(lines: &mut Vec<String>, line: &str) {
    if !lines.iter().any(|known| known == line) {
        lines.push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_only_adds() {
        let ours = EthicsConfig {
            red_lines: vec!["sell the house".into()],
            harm_categories: vec![HarmCategory {
                name: "fraud".into(),
                terms: vec!["ponzi".into()],
            }],
            refusal_response: "No.".into(),
            alignment_check: true,
        };
        let playbook = EthicsConfig {
            red_lines: vec!["sell the house".into(), "sell the car".into()],
            harm_categories: vec![
                HarmCategory {
                    name: "fraud".into(),
                    terms: vec!["ponzi".into(), "pyramid".into()],
                },
                HarmCategory {
                    name: "spam".into(),
                    terms: vec![],
                },
            ],
            refusal_response: String::new(),
            alignment_check: false,
        };
        let merged = ours.merge(&playbook);
        assert_eq!(merged.red_lines, ["sell the house", "sell the car"]);
        assert_eq!(merged.harm_categories[0].terms, ["ponzi", "pyramid"]);
        assert_eq!(merged.harm_categories[1].name, "spam");
        assert_eq!(merged.refusal_response, "No.");
        assert!(merged.alignment_check);
        assert_eq!(merged.merge(&playbook), merged, "idempotent");
    }

    #[test]
    fn categories_are_names_or_tables() {
        let config: EthicsConfig = serde_json::from_str(
            r#"{"red_lines":["x y"],"harm_categories":["violence",{"name":"spam","terms":["bulk mail"]}]}"#,
        )
        .unwrap();
        assert_eq!(config.harm_categories[0].name, "violence");
        assert_eq!(config.harm_categories[1].terms, ["bulk mail"]);
        assert_eq!(config.refusal_response, DEFAULT_RESPONSE);
    }

    #[test]
    fn a_playbook_cannot_ask_for_too_much() {
        let long = EthicsConfig {
            red_lines: vec!["x".repeat(401)],
            ..EthicsConfig::default()
        };
        assert!(matches!(long.check(), Err(PolicyError::LongRedLine { .. })));
        let many = EthicsConfig {
            red_lines: vec!["x".into(); 2001],
            ..EthicsConfig::default()
        };
        assert!(matches!(
            many.check(),
            Err(PolicyError::TooManyRedLines { .. })
        ));
    }
}
