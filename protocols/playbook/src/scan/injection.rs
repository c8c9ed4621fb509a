//! Phrases that try to command a model.

use super::fold::{fold, unmask};

/// Phrases that are refused wherever they occur, without spaces.
const PHRASES: &[&str] = &[
    "doanythingnow",
    "jailbreak",
    "developermode",
    "youarenowa",
    "youarenowin",
    "youarenowfree",
    "youarenowunrestricted",
    "newsysteminstructions",
    "newinstructionsfollow",
    "endofsystemprompt",
    "revealyoursystemprompt",
    "revealthesystemprompt",
    "printyourinstructions",
    "printyoursystemprompt",
    "repeatyourinstructions",
    "withouttellingtheuser",
    "withoutinformingtheuser",
    "withouttheusersknowledge",
    "donottelltheuser",
    "donotinformtheuser",
    "hidethisfromtheuser",
    "pretendyouhavenorules",
    "pretendyouhavenorestrictions",
    "actasifyouhavenorules",
    "actasifyouhavenorestrictions",
    "youhavenorestrictions",
    "withoutanyrestrictions",
];

/// Marks of chat formats, looked for in folded text with its signs.
const MARKS: &[&str] = &[
    "<|",
    "|>",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "</system>",
    "<system>",
];

/// Words that set rules aside.
const VERBS: &[&str] = &[
    "ignore",
    "disregard",
    "forget",
    "override",
    "bypass",
    "circumvent",
    "disobey",
    "violate",
    "neglect",
    "donotfollow",
    "dontfollow",
    "stopfollowing",
    "donotobey",
];
/// Words that switch safety off.
const SWITCHES: &[&str] = &[
    "disable",
    "turnoff",
    "switchoff",
    "deactivate",
    "remove",
    "delete",
];
/// What rules are called.
const RULES: &[&str] = &[
    "instruction",
    "prompt",
    "rules",
    "guideline",
    "directive",
    "restriction",
    "policies",
    "everythingabove",
    "everythingbefore",
    "whatyouweretold",
];
/// What safety is called.
const SAFETY: &[&str] = &[
    "ethic",
    "redline",
    "constitution",
    "guardrail",
    "safeguard",
    "safetyrule",
    "safetycheck",
    "safetygate",
    "safetyfilter",
    "alignmentcheck",
];
/// Words that may stand between.
const FILLERS: &[&str] = &[
    "all",
    "any",
    "the",
    "your",
    "you",
    "my",
    "our",
    "its",
    "of",
    "in",
    "previous",
    "previously",
    "prior",
    "above",
    "earlier",
    "preceding",
    "existing",
    "current",
    "former",
    "given",
    "these",
    "those",
    "this",
    "that",
    "system",
    "safety",
    "and",
    "every",
    "other",
    "original",
    "initial",
    "developer",
    "user",
    "security",
    "completely",
    "hidden",
];

/// The phrase in `text` that tries to command a model, if there is one.
#[must_use]
pub fn injection(text: &str) -> Option<String> {
    let folded = fold(text);
    if let Some(mark) = MARKS.iter().find(|mark| folded.contains(**mark)) {
        return Some((*mark).to_owned());
    }
    let squeeze = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect();
    let as_is: String = squeeze(&folded);
    let unmasked: String = squeeze(&folded.chars().map(unmask).collect::<String>());
    command(&as_is)
        .or_else(|| command(&unmasked))
        .or_else(|| sentence_command(&folded))
}

/// Commands in text without spaces and signs.
fn command(squeezed: &str) -> Option<String> {
    if let Some(phrase) = PHRASES.iter().find(|phrase| squeezed.contains(**phrase)) {
        return Some((*phrase).to_owned());
    }
    let targets = |verbs: &[&str], rules: &[&[&str]]| {
        verbs.iter().find_map(|verb| {
            squeezed.match_indices(verb).find_map(|(start, _)| {
                let mut rest = squeezed.get(start + verb.len()..)?;
                loop {
                    if let Some(rule) = rules
                        .iter()
                        .copied()
                        .flatten()
                        .find(|r| rest.starts_with(**r))
                    {
                        return Some(format!("{verb} {rule}"));
                    }
                    // The longest filler first, or `all` would hide `allthose`.
                    let filler = FILLERS
                        .iter()
                        .filter(|filler| rest.starts_with(**filler))
                        .max_by_key(|filler| filler.len())?;
                    rest = rest.get(filler.len()..)?;
                }
            })
        })
    };
    targets(VERBS, &[RULES, SAFETY]).or_else(|| targets(SWITCHES, &[SAFETY]))
}

/// Commands in a sentence, a few other words between verb and rule.
fn sentence_command(folded: &str) -> Option<String> {
    const BETWEEN: usize = 4;
    folded
        .split(['.', ';', '!', '?', '\n', ':'])
        .find_map(|sentence| {
            let words: Vec<&str> = sentence
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            words.iter().enumerate().find_map(|(index, verb)| {
                let overrides = VERBS.contains(verb) && *verb != "forget" && *verb != "neglect";
                let switches = SWITCHES.contains(verb);
                if !overrides && !switches {
                    return None;
                }
                words
                    .iter()
                    .skip(index + 1)
                    .take(BETWEEN + 1)
                    .find_map(|word| {
                        let is = |rules: &[&str]| rules.iter().any(|rule| word.starts_with(rule));
                        (is(SAFETY) || (overrides && is(RULES))).then(|| format!("{verb} … {word}"))
                    })
            })
        })
}
