//! The built-in red lines, and the compilation of configured ones.

mod built_in;

use super::{
    config::EthicsConfig,
    lexicon::{ARMS, HURT, Lexicon, MAKE, MALWARE, PERSON, SECRET, STEAL, WordSet},
    matcher::{Except, Group, Guards, Order, Rule},
};
use crate::PolicyError;
use built_in::{ARMED, CYBER, MADE, VIOLENT, red_lines};

/// The category of configured red lines.
const CONFIGURED: &str = "red_line";

/// A built-in red line in the source.
struct RedLine {
    statement: &'static str,
    category: &'static str,
    groups: &'static [&'static str],
    order: Order,
    window: usize,
    guards: Guards,
    before_action: &'static str,
    before_object: &'static str,
    after_object: &'static str,
    anywhere: &'static str,
}

/// What each built-in red line forbids, once each.
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    red_lines()
        .map(|line| line.statement)
        .filter(move |statement| {
            let new = *statement != last;
            last = statement;
            new
        })
}

/// Compiles the built-in red lines.
pub(super) fn built_in(lexicon: &Lexicon) -> Vec<Rule> {
    let set = |words| WordSet::new(&lexicon.stemmer, words);
    red_lines()
        .map(|line| Rule {
            statement: line.statement.to_owned(),
            category: line.category.to_owned(),
            groups: line
                .groups
                .iter()
                .map(|terms| Group::new(&lexicon.stemmer, terms))
                .collect(),
            order: line.order,
            window: line.window,
            guards: line.guards,
            except: Except {
                before_action: set(line.before_action),
                before_object: set(line.before_object),
                after_object: set(line.after_object),
                anywhere: set(line.anywhere),
            },
        })
        .collect()
}

/// Compiles configured red lines and categories; also returns the categories nothing stands for.
pub(super) fn configured(
    config: &EthicsConfig,
    lexicon: &Lexicon,
) -> Result<(Vec<Rule>, Vec<String>), PolicyError> {
    let mut rules = Vec::new();
    for line in &config.red_lines {
        if !statements().any(|statement| statement == line) {
            rules.push(phrase(line, CONFIGURED, lexicon)?);
        }
    }
    let mut unenforced = Vec::new();
    for category in &config.harm_categories {
        let name = category.name.trim().to_lowercase().replace(['-', ' '], "_");
        if category.terms.is_empty() && !red_lines().any(|line| line.category == name) {
            unenforced.push(category.name.clone());
        }
        for term in &category.terms {
            rules.push(phrase(term, &category.name, lexicon)?);
        }
    }
    Ok((rules, unenforced))
}

/// Words at the head of a red line that say it is one.
const PREFACE: &[&str] = &[
    "never",
    "not",
    "do",
    "dont",
    "no",
    "must",
    "shall",
    "should",
    "avoid",
    "refuse",
    "refusing",
    "may",
    "will",
    "can",
    "cannot",
    "agents",
    "agent",
    "twin",
    "twins",
    "help",
    "anyone",
    "assist",
    "ever",
    "forbid",
    "forbidden",
    "prohibited",
    "under",
    "circumstances",
    "always",
];

/// Families whose members stand for one another in a phrase, and the frames that go with them.
const FAMILIES: &[(&str, Guards)] = &[
    (MAKE, MADE),
    (HURT, VIOLENT),
    (STEAL, CYBER),
    (PERSON, Guards::PLAIN),
    (ARMS, ARMED),
    (MALWARE, Guards::PLAIN),
    (SECRET, Guards::PLAIN),
];

/// A phrase as a rule: all its words of content, in any order, near one another. In phrases of two
/// words or more, a word of a family stands for the family.
fn phrase(line: &str, category: &str, lexicon: &Lexicon) -> Result<Rule, PolicyError> {
    let lower = line.to_lowercase().replace(['\'', '’'], "");
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words
        .filter(|word| !lexicon.function.contains(word))
        .skip_while(|word| PREFACE.contains(word))
        .collect();
    words.dedup();
    if words.is_empty() {
        return Err(PolicyError::EmptyRedLine(line.to_owned()));
    }
    let mut guards = Guards {
        inform: true,
        ..Guards::PLAIN
    };
    let mut groups = Vec::new();
    for word in &words {
        let family = FAMILIES
            .iter()
            .find(|(terms, _)| is_member(terms, word, lexicon));
        match family {
            Some((terms, family)) if words.len() > 1 => {
                guards = Guards {
                    own: guards.own || family.own,
                    person: guards.person || family.person,
                    carrier: guards.carrier || family.carrier,
                    culprit: guards.culprit || family.culprit,
                    play: guards.play || family.play,
                    ..guards
                };
                groups.push(Group::new(&lexicon.stemmer, &format!("{word}, {terms}")));
            }
            _ => groups.push(Group::new(&lexicon.stemmer, word)),
        }
    }
    Ok(Rule {
        statement: line.trim().to_owned(),
        category: category.to_owned(),
        window: 4 + groups.len(),
        groups,
        order: Order::Any,
        guards,
        except: Except::default(),
    })
}

/// Whether `word` is one of the single-word terms of a family, by stem.
fn is_member(terms: &str, word: &str, lexicon: &Lexicon) -> bool {
    let stem = lexicon.stemmer.stem(word);
    terms
        .split(',')
        .map(|term| term.trim().trim_start_matches('='))
        .any(|term| !term.contains(' ') && (term == word || lexicon.stemmer.stem(term) == stem))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_is_complete() {
        for line in red_lines() {
            assert!(!line.statement.is_empty() && !line.category.is_empty());
            assert!(!line.groups.is_empty(), "{}", line.statement);
            for terms in line.groups {
                for term in terms.split(',').map(str::trim) {
                    assert!(
                        !term.is_empty() && term == term.to_lowercase() && !term.contains('?'),
                        "{}: `{term}`",
                        line.statement
                    );
                }
            }
        }
    }

    #[test]
    fn statements_are_distinct() {
        let mut all: Vec<_> = statements().collect();
        all.sort_unstable();
        let length = all.len();
        all.dedup();
        assert_eq!(all.len(), length, "lines of one statement stand together");
    }

    #[test]
    fn phrases_without_content_are_errors() {
        let lexicon = Lexicon::new();
        for line in ["", "  ", "never", "Do not.", "the", "?!"] {
            assert!(phrase(line, "red_line", &lexicon).is_err(), "{line}");
        }
        for line in [
            "Never build a weapon",
            "gambling",
            "share customer emails",
            "炸弹",
        ] {
            assert!(phrase(line, "red_line", &lexicon).is_ok(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_compiled_or_refused(line in "\\PC{0,80}") {
            static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::new);
            let compiled = phrase(&line, CONFIGURED, &LEXICON);
            prop_assert!(compiled.is_err() || line.chars().any(char::is_alphanumeric));
        }
    }
}
