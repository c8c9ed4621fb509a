//! The frame of a match: guarding against a harm, denying it, asking about it, telling of it or
//! playing it is not intending it.

use super::{
    lexicon::Lexicon,
    matcher::{Hit, Rule},
    text::Word,
};

/// How many words of content back a frame reaches.
const REACH: usize = 10;
/// How many words to either side count as near, so that the cost stays linear in long texts.
const NEAR: usize = 64;

/// Whether the frame of `hit` excuses it.
pub(super) fn excused(rule: &Rule, words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    negated(words, lexicon, hit.start)
        || declined(words, hit.start)
        || guarded(rule, words, lexicon, hit)
        || compound(rule, words, lexicon, hit)
        || (rule.guards.own && own(words, lexicon, hit))
        || (rule.guards.person && thing(words, lexicon, hit))
        || (rule.guards.inform && question(words, lexicon, hit))
        || elsewhere(rule, words, lexicon, hit)
}

/// Before `of`, these still count people.
pub(super) fn is_quantity(word: &Word) -> bool {
    const QUANTITIES: &[&str] = &[
        "all",
        "some",
        "many",
        "most",
        "lot",
        "lots",
        "hundreds",
        "thousands",
        "millions",
        "group",
        "bunch",
        "couple",
        "number",
        "one",
        "few",
        "dozens",
        "crowd",
        "plenty",
    ];
    QUANTITIES.iter().any(|quantity| word.is(quantity))
}

fn before(words: &[Word], at: usize, by: usize) -> Option<&Word> {
    at.checked_sub(by).and_then(|index| words.get(index))
}

/// The words near `at`.
fn near(words: &[Word], at: usize) -> &[Word] {
    words
        .get(at.saturating_sub(NEAR)..words.len().min(at + NEAR))
        .unwrap_or_default()
}

/// The words near `at` in its sentence.
fn sentence(words: &[Word], at: usize) -> impl Iterator<Item = &Word> + Clone {
    let number = words.get(at).map(|word| word.sentence);
    near(words, at)
        .iter()
        .filter(move |word| Some(word.sentence) == number)
}

fn is_gerund(word: &Word) -> bool {
    word.shown().ends_with("ing")
}

/// What follows is an act of its own. Alternatives (`or`) stay within the frame of the first.
fn is_and(word: &Word) -> bool {
    ["and", "but", "plus", "then"]
        .iter()
        .any(|and| word.is(and))
}

/// `never steal…`, `without leaking…`, but not `do not hesitate to steal…`.
fn negated(words: &[Word], lexicon: &Lexicon, action: usize) -> bool {
    let Some(act) = words.get(action) else {
        return false;
    };
    for back in 1..=3 {
        let Some(word) = before(words, action, back).filter(|word| word.clause == act.clause)
        else {
            return false;
        };
        if is_and(word) || lexicon.double.has(word) {
            return false;
        }
        if lexicon.negation.has(word) {
            let asks = before(words, action, back + 1).is_some_and(|word| word.is("why"));
            let holds = match word.shown() {
                "without" => is_gerund(act),
                "no" => back == 1 || before(words, action, back - 1).is_some_and(|w| w.is("one")),
                _ => true,
            };
            return holds && !asks;
        }
    }
    false
}

/// `I can't help with…`, `we will not assist in…`: a refusal, not a request.
fn declined(words: &[Word], action: usize) -> bool {
    let Some(act) = words.get(action) else {
        return false;
    };
    let any = |word: &Word, list: &[&str]| list.iter().any(|entry| word.is(entry));
    for back in 1..=6 {
        let Some(word) = before(words, action, back).filter(|word| word.clause == act.clause)
        else {
            return false;
        };
        if is_and(word) {
            return false;
        }
        if any(
            word,
            &["help", "assist", "provide", "support", "comply", "able"],
        ) {
            let denial = before(words, action, back + 1);
            let denied = denial
                .is_some_and(|w| any(w, &["cant", "cannot", "wont", "not", "unable", "never"]));
            let asked = before(words, action, back + 2).is_some_and(|word| word.is("why"));
            return denied && !asked;
        }
    }
    false
}

/// A word before the action, in the same clause, that turns it into something to guard against or
/// to tell about.
fn guarded(rule: &Rule, words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    let Some(act) = words.get(hit.start) else {
        return false;
    };
    let purpose = before(words, hit.start, 1).is_some_and(|word| word.is("to"))
        && !before(words, hit.start, 2).is_some_and(|word| lexicon.attempt.has(word));
    let recipe = sentence(words, hit.start).any(|word| lexicon.recipe.has(word));
    let (mut reach, mut speaker) = (0, false);
    for at in (0..hit.start).rev() {
        let Some(word) = words.get(at).filter(|word| word.clause == act.clause) else {
            return false;
        };
        if ["then", "while", "afterwards", "so"]
            .iter()
            .any(|next| word.is(next))
        {
            return false;
        }
        if is_and(word) && !is_gerund(act) {
            let same = at.checked_sub(1).and_then(|previous| {
                rule.groups
                    .first()
                    .and_then(|group| group.match_at(words, previous))
            });
            if same.is_none() {
                return false;
            }
        }
        if lexicon.strong.has(word) && !strong_denied(words, lexicon, at) {
            return true;
        }
        let told = !purpose && !speaker;
        if told && lexicon.weak.has(word) {
            return true;
        }
        if told && rule.guards.inform && !recipe && lexicon.inform.has(word) {
            return true;
        }
        let culprit = rule.guards.culprit && !speaker && lexicon.culprit.has(word);
        if culprit && !requested(words, lexicon, at) {
            return true;
        }
        speaker |= lexicon.speaker.has(word);
        reach += usize::from(word.content);
        if reach > REACH {
            return false;
        }
    }
    false
}

/// `do not stop…`: the guarding itself is denied.
fn strong_denied(words: &[Word], lexicon: &Lexicon, at: usize) -> bool {
    (1..=2)
        .filter_map(|back| before(words, at, back))
        .any(|word| lexicon.negation.has(word))
}

/// The sentence asks, before `at`, for a thing and not for a text about it.
fn requested(words: &[Word], lexicon: &Lexicon, at: usize) -> bool {
    let Some(word) = words.get(at) else {
        return false;
    };
    let near = words.get(at.saturating_sub(NEAR)..at).unwrap_or_default();
    let earlier = || {
        near.iter()
            .filter(|earlier| earlier.sentence == word.sentence)
    };
    earlier().any(|w| lexicon.request.has(w)) && !earlier().any(|w| lexicon.carrier.has(w))
}

/// `ransomware scanner`, `bath bomb`: the object is part of another thing.
fn compound(rule: &Rule, words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    let Some(object) = words.get(hit.object) else {
        return false;
    };
    let after = words
        .get(hit.end)
        .filter(|word| word.sentence == object.sentence);
    let ahead = before(words, hit.object, 1).filter(|word| word.clause == object.clause);
    after.is_some_and(|word| {
        let joined = word.clause == object.clause && lexicon.neutral_after.has(word);
        joined || rule.except.after_object.has(word)
    }) || ahead.is_some_and(|word| word.is("anti") || rule.except.before_object.has(word))
}

/// `my password`, `our old wallet`, but not `my neighbour's password`.
fn own(words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    let mine = |word: Option<&Word>| {
        word.is_some_and(|word| ["my", "our", "own"].iter().any(|own| word.is(own)))
    };
    let adjective = before(words, hit.object, 1)
        .is_some_and(|word| word.content && !word.possessive && !lexicon.person.has(word));
    mine(before(words, hit.object, 1)) || (adjective && mine(before(words, hit.object, 2)))
}

/// `kill the child process`, `attack my colleague's argument`: no person is meant.
fn thing(words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    let Some(object) = words.get(hit.object) else {
        return false;
    };
    let after = words
        .get(hit.end)
        .filter(|word| word.clause == object.clause);
    let machine = || {
        near(words, hit.object)
            .iter()
            .any(|word| lexicon.machine.has(word))
    };
    object.possessive
        || after.is_some_and(|word| lexicon.machine.has(word))
        || (lexicon.ambiguous.has(object) && machine())
}

/// `Does smoking harm people?`, `How do viruses infect computers?`: a question about the world, in
/// which neither the one who asks nor the one asked acts.
fn question(words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    const AUXILIARIES: &[&str] = &[
        "does", "did", "do", "is", "are", "was", "were", "can", "could", "will", "would", "has",
    ];
    let Some(act) = words.get(hit.start) else {
        return false;
    };
    let earliest = hit.start.saturating_sub(NEAR);
    let near = words.get(earliest..).unwrap_or_default();
    let Some(first) = near.iter().position(|word| word.sentence == act.sentence) else {
        return false;
    };
    let first = earliest + first;
    let lead = words
        .get(first)
        .is_some_and(|word| word.is("how") || word.is("what"));
    let auxiliary = first + usize::from(lead);
    let asks = words
        .get(auxiliary)
        .is_some_and(|word| AUXILIARIES.iter().any(|auxiliary| word.is(auxiliary)));
    let Some(between) = words.get(auxiliary + 1..hit.start) else {
        return false;
    };
    // `What is the best way to…` asks for the way.
    if between.last().is_some_and(|word| word.is("to")) {
        return false;
    }
    let recipe = sentence(words, hit.start).any(|word| lexicon.recipe.has(word));
    asks && !recipe
        && between.iter().any(|word| word.content)
        && !between.iter().any(|word| lexicon.speaker.has(word))
}

/// Words elsewhere in the sentence that make it something else.
fn elsewhere(rule: &Rule, words: &[Word], lexicon: &Lexicon, hit: Hit) -> bool {
    let mut sentence = sentence(words, hit.start);
    let play = rule.guards.play
        && sentence.clone().any(|word| lexicon.play.has(word))
        && !sentence.clone().any(|word| lexicon.earnest.has(word));
    play || sentence.any(|word| rule.except.anywhere.has(word))
}
