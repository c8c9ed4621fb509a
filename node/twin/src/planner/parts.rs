//! The parts of a goal: "list the twins and tell me the free disk space" asks for two things. Pure.
//!
//! A goal is cut only where both sides ask for something by themselves, so that "check this machine's
//! health and report anything above 80 %" stays one. What the planner cannot do with a part it says:
//! a part that is left undone keeps the whole goal from being completed.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    condition::Condition,
    slots::{Slots, without_literals},
};
use crate::lexical::terms;

/// One thing a goal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its words.
    pub goal: String,
    /// Why the planner leaves it undone, where it does.
    pub undone: Option<&'static str>,
}

/// At most so many parts are looked at.
const MOST_PARTS: usize = 6;
const ON_A_CONDITION: &str = "the planner does not act on what it finds; a language model can";
const ON_A_FINDING: &str =
    "the planner does not keep, or go on with, what another part finds; a language model can";
const LATER: &str = "the planner does a goal once, now; it keeps no watch and no appointments";
const ON_A_FIGURE: &str =
    "the planner calculates with what the goal says, not with what it measures";
const TOO_MANY: &str = "that is more than the planner takes at once";
const ONE_LIMIT: &str = "the planner looks at one limit at a time";

#[allow(
    clippy::expect_used,
    reason = "the patterns are literals, compiled in a test"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a literal pattern compiles")
}

static CUT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\s*;\s*|[.?!]\s+|\s*\n\s*|,?\s+and\s+then\s+|,?\s+and\s+also\s+|,?\s+then\s+|,?\s+and\s+|,?\s+as\s+well\s+as\s+|,\s+",
    )
});
static QUOTE: LazyLock<Regex> = LazyLock::new(|| pattern(r#""[^"]*"|“[^”]*”"#));
static IF: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?is)^\s*(?:please\s+)?if\s+(?P<when>.+?)(?:,?\s+then\s+|,\s+)(?P<act>.+)$")
});
static QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:then\s+)?(?:what|what's|how|which|when|where|who|why|is|are|does|do|can|could|would|will)\b",
    )
});
/// Asks to keep, or send, what was found before.
static KEEPS_FINDING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+|then\s+|also\s+)*(?:remember|note|memori[sz]e|store|save|keep|write\s+down|send|broadcast)\s+(?:it|this|that|them|these|those|how|what|which|whether|where|the\s+(?:result|answer|outcome|finding|value|number|total|figure)s?)\b(?:\s+(?:down|is|are|was|it|they|full|much|many|high|low|to|for|me|us)\b)*[\s.!?]*$",
    )
});
/// Is to be done again and again, or at another time.
static RECURS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:every|each)\s+(?:other\s+)?(?:\d+\s+)?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|mornings?|evenings?|nights?|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b|\b(?:hourly|nightly)\b|\b(?:from\s+now\s+on|tomorrow|tonight)\b|\bin\s+\d+\s+(?:seconds|minutes|hours|days|weeks)\b",
    )
});
/// Waits for something to happen.
static WATCH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+)?(?:warn|alert|notify|tell|inform|remind|wake|call)\s+(?:me|us)\s+(?:when|whenever|once|as\s+soon\s+as|before|after)\b|\bkeep\s+(?:an?\s+eye|watch)",
    )
});
static ARITHMETIC: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+)?(?:add|subtract|multiply|divide|double|triple|halve)\b.*\b(?:number|amount|count|size|load|usage|percentage|figure|total)s?\b",
    )
});
static EACH_LIMIT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i),?\s+(?:and|or)\s+"));
/// What begins a part that asks for something of its own.
static ASKS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:please\s+|also\s+|then\s+|could you\s+|can you\s+)*(?:tell|show|give|let me know|list|check|report|find|search|look|read|fetch|get|open|count|calculate|compute|evaluate|measure|monitor|summari[sz]e|translate|convert|compare|sort|write|create|make|delete|remove|rename|move|copy|send|post|publish|broadcast|share|sign|verify|issue|recall|remember|remind|note|save|store|forget|greet|say|play|stop|start|run|restart|install|update|download|upload|backup|back up|draw|plan|book|buy|order|call|mail|email|notify|warn|what|what's|when|where|who|which|why|how|is|are|does|do|did)\b",
    )
});
/// A lead-in after which "and" belongs to the text.
static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+|can you\s+|could you\s+)*(?:remember|note|memori[sz]e|store|save|write down|say|send|broadcast|remind)\b",
    )
});
static TO_ME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^(?:please\s+|also\s+)*(?:(?:tell|show|give)\s+me|what\b|how\s+(?:much|many)\b)")
});
/// What says to whom, or of what, the finding goes: no thing of its own.
static CONTINUES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:please\s+)?(?:report|warn|alert|notify|inform)\s+(?:me\s+|us\s+)?(?:to|if|when|of|back|it|them|that|this|what|whatever|anything|everything)\b|^(?:please\s+|then\s+)*(?:tell|show|give|send|print|report|say|return|let\s+me\s+(?:know|see|have))\s+(?:(?:me|us|to|back|with)\s+)*(?:(?:the|your|its|their|a|full|final|exact)\s+)*(?:result|answer|outcome|finding|value|number|total|figure|sum|solution)s?[\s.!?]*$",
    )
});
static REPORTS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:please\s+)?(?:report|tell|warn|alert|inform|say|show|let)(?:\s+(?:me|us|it|so|that|this|them|know|about|of|to))*[\s.!?]*$",
    )
});
static NOT_KEPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:don['’]?t|do\s+not|never|must\s+not|mustn['’]?t|shouldn['’]?t|should\s+not)\s+(?:you\s+)?(?:ever\s+)?(?:remember|memori[sz]e|store|save|keep|note|record|log|write\s+(?:this\s+|that\s+|it\s+)?down)\b",
    )
});
static FORGET: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\s*(?:please\s+|can you\s+|could you\s+)*(?:forget|unlearn|erase\s+(?:from\s+)?(?:your\s+)?memory)\b",
    )
});

/// Whether the goal asks that it be not kept: "Don't remember this: …".
#[must_use]
pub fn is_not_to_be_kept(goal: &str) -> bool {
    NOT_KEPT.is_match(&QUOTE.replace_all(goal, " "))
}

/// Whether the goal asks to take something back out of memory.
#[must_use]
pub fn asks_to_forget(goal: &str) -> bool {
    FORGET.is_match(goal)
}

/// The parts of `goal`, in order; at least one.
#[must_use]
pub fn parts(goal: &str) -> Vec<Part> {
    let done = |goal: &str| Part {
        goal: goal.trim().to_owned(),
        undone: None,
    };
    let mut found: Vec<Part> = Vec::new();
    let conditional = IF.captures(goal);
    if conditional.as_ref().is_some_and(supposes) {
        found.push(done(goal));
    } else if let Some(conditional) = conditional {
        let when = conditional.name("when").map_or("", |part| part.as_str());
        let act = conditional.name("act").map_or("", |part| part.as_str());
        found.extend(limits(when).iter().map(|part| done(part)));
        if !REPORTS.is_match(act) {
            found.push(Part {
                goal: act.trim().to_owned(),
                undone: Some(ON_A_CONDITION),
            });
        }
    } else {
        for piece in pieces(goal) {
            found.extend(limits(&piece).iter().map(|part| done(part)));
        }
    }
    for part in found.iter_mut().skip(MOST_PARTS) {
        part.undone = Some(TOO_MANY);
    }
    for (at, part) in found.iter_mut().enumerate() {
        part.undone = part.undone.or_else(|| beyond(&part.goal, at > 0));
        if part.undone.is_none() && Condition::count(&part.goal) > 1 {
            part.undone = Some(ONE_LIMIT);
        }
    }
    if found.is_empty() {
        found.push(done(goal));
    }
    found
}

/// Why the planner leaves `part` undone for what it says, if it does. `after` says that other parts come
/// before it.
fn beyond(part: &str, after: bool) -> Option<&'static str> {
    let bare = QUOTE.replace_all(part, "_");
    if after && KEEPS_FINDING.is_match(&bare) {
        Some(ON_A_FINDING)
    } else if TEXT.is_match(&bare) {
        None // What is to be remembered or sent may say anything.
    } else if RECURS.is_match(&bare) || WATCH.is_match(&bare) {
        Some(LATER)
    } else if ARITHMETIC.is_match(&bare) && Slots::parse(part).first("expression").is_none() {
        Some(ON_A_FIGURE)
    } else {
        None
    }
}

/// Whether "if" only supposes something for a question: "if a disk holds 512, what do 3 hold?"
fn supposes(conditional: &regex::Captures<'_>) -> bool {
    let part = |name| conditional.name(name).map_or("", |part| part.as_str());
    QUESTION.is_match(part("act")) && Condition::count(part("when")) == 0
}

/// Whether `text` asks for something by itself, rather than saying more of what was asked before.
fn stands_alone(text: &str) -> bool {
    if !ASKS.is_match(text.trim()) || CONTINUES.is_match(text.trim()) {
        return false;
    }
    // The verb alone asks for nothing.
    let words = terms(&without_literals(text));
    has_literal(text) || words.len() > usize::from(!begins_with_asking_word(text))
}

/// Whether `text` holds something that a tool could take as it is.
fn has_literal(text: &str) -> bool {
    let slots = Slots::parse(text);
    ["expression", "url", "quoted", "path", "cid"]
        .iter()
        .any(|slot| slots.first(slot).is_some())
}

/// "tell", "show" and the like are no terms; "list" and "find" are.
fn begins_with_asking_word(text: &str) -> bool {
    text.split_whitespace()
        .next()
        .is_none_or(|word| terms(word).is_empty())
}

fn pieces(goal: &str) -> Vec<String> {
    // Quoted text is one piece, whatever is in it.
    let masked = QUOTE.replace_all(goal, |found: &regex::Captures<'_>| {
        "_".repeat(found.get(0).map_or(0, |quote| quote.as_str().len()))
    });
    let mut pieces: Vec<String> = Vec::new();
    let mut start = 0;
    for cut in CUT.find_iter(&masked) {
        let (Some(left), Some(right)) = (goal.get(start..cut.start()), goal.get(cut.end()..))
        else {
            continue;
        };
        // What follows up to the next cut.
        let next = masked
            .get(cut.end()..)
            .and_then(|rest| CUT.find(rest))
            .map_or(right.len(), |next| next.start());
        let sentence =
            matches!(cut.as_str().trim(), "." | "?" | "!" | ";") || cut.as_str().contains('\n');
        let next = right.get(..next).unwrap_or(right);
        let keeps = KEEPS_FINDING.is_match(next) && !TEXT.is_match(left);
        let alone = keeps || stands_alone(next) || stands_alone(right);
        let text = TEXT.is_match(left) && !sentence;
        let empty = terms(left).is_empty() && !has_literal(left) && pieces.is_empty();
        if !alone || empty || text && !TO_ME.is_match(right) {
            continue;
        }
        let mark = cut.as_str().trim();
        let keep = if mark == "?" { "?" } else { "" };
        pieces.push(format!("{}{keep}", left.trim()));
        start = cut.end();
    }
    if let Some(rest) = goal
        .get(start..)
        .map(str::trim)
        .filter(|rest| !rest.is_empty())
    {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// `text` cut where each side has a limit of its own.
fn limits(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut start = 0;
    for cut in EACH_LIMIT.find_iter(text) {
        let (Some(left), Some(right)) = (text.get(start..cut.start()), text.get(cut.end()..))
        else {
            continue;
        };
        let named = |side: &str| Condition::count(side) > 0 && !terms(side).is_empty();
        if named(left) && named(right) {
            parts.push(left.trim().to_owned());
            start = cut.end();
        }
    }
    parts.push(text.get(start..).unwrap_or(text).trim().to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(goal: &str) -> Vec<String> {
        parts(goal).into_iter().map(|part| part.goal).collect()
    }

    #[test]
    fn a_goal_is_cut_where_both_sides_ask() {
        assert_eq!(
            texts("list files and tell me the free disk space"),
            ["list files", "tell me the free disk space"]
        );
        assert_eq!(
            texts("What is 2 + 2? What is the load?"),
            ["What is 2 + 2?", "What is the load?"]
        );
        assert_eq!(
            texts("Check the disk, then calculate 3 * 4"),
            ["Check the disk", "calculate 3 * 4"]
        );
        assert_eq!(
            texts("cpu above 80% and disk below 10 GB"),
            ["cpu above 80%", "disk below 10 GB"]
        );
        for whole in [
            "Check this machine's health and report anything above 80%",
            "Remember that Ada likes tea and Bob likes coffee",
            "Remember to list the files and check the disk",
            "count the words of \"list files and tell me more\"",
            "show memory and disk",
            "Calculate 3.5 * 12 and tell me the result",
            "Count the words of \"a b c\", then give me the answer.",
            "How is the health of my machine? Anything over 90%?",
        ] {
            assert_eq!(texts(whole), [whole], "{whole}");
        }
    }

    #[test]
    fn what_hangs_on_a_condition_is_left_undone() {
        let parts =
            parts("if the cpu is above 80% and the disk is above 90% then send a mail to Ada");
        assert_eq!(parts.len(), 3, "{parts:?}");
        assert_eq!(parts[0].goal, "the cpu is above 80%");
        assert_eq!(parts[1].goal, "the disk is above 90%");
        assert_eq!(parts[2].undone, Some(ON_A_CONDITION));
        assert_eq!(
            texts("If memory is over 90%, tell me"),
            ["memory is over 90%"]
        );
        // Supposed only, for the question.
        let question = "If each of 3 disks holds 512, what is 3 * 512?";
        assert_eq!(texts(question), [question]);
    }

    #[test]
    fn what_the_planner_cannot_do_is_said() {
        let undone = |goal: &str| parts(goal).last().and_then(|part| part.undone);
        for (goal, why) in [
            ("What is 2^10 and remember it", ON_A_FINDING),
            (
                "Check the disk and then remember how full it is",
                ON_A_FINDING,
            ),
            ("check disk and remember it", ON_A_FINDING),
            ("Check the health every 5 minutes", LATER),
            ("Warn me when memory is above 90%", LATER),
            ("Add 5 to the number of processes", ON_A_FIGURE),
        ] {
            assert_eq!(undone(goal), Some(why), "{goal}");
        }
        assert_eq!(parts("What is 2^10 and remember it").len(), 2);
        for goal in [
            "Remember that the backup runs every night",
            "Remember how the alarm is set: 4 and 2",
            "Remember to call mum and remember that milk is out",
            "Tell me if memory is above 90%",
            "Check the machine's health and warn me when anything is above 80%",
            "Add 5 + 7",
            "Say \"see you tomorrow\"",
        ] {
            assert_eq!(undone(goal), None, "{goal}");
        }
    }

    #[test]
    fn orders_about_memory_are_read() {
        for goal in [
            "Don't remember this: the pin is 1234",
            "please do not store my address",
            "never write this down",
        ] {
            assert!(is_not_to_be_kept(goal), "{goal}");
        }
        for goal in [
            "Remember that I don't eat fish",
            "Remember \"do not save the whales\"",
        ] {
            assert!(!is_not_to_be_kept(goal), "{goal}");
        }
        assert!(asks_to_forget("Forget what I said about Ada"));
        assert!(!asks_to_forget("don't let me forget the milk"));
    }

    proptest! {
        #[test]
        fn nothing_of_a_goal_is_lost(goal in "[a-z ,.;?!\"]{0,120}") {
            let parts = parts(&goal);
            prop_assert!(!parts.is_empty());
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            let kept: usize = parts.iter().map(|part| letters(&part.goal)).sum();
            // Only the words between parts go.
            prop_assert!(kept <= letters(&goal));
            prop_assert!(kept + 12 * parts.len() + 8 >= letters(&goal));
        }

        #[test]
        fn never_panics(goal in ".{0,120}") {
            let _ = parts(&goal);
            let _ = is_not_to_be_kept(&goal);
        }
    }
}
