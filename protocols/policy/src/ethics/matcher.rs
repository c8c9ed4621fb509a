//! Finds an intent: an action, and what it is done to, near enough to belong together.

use std::collections::HashSet;

use super::{
    frame,
    lexicon::{Lexicon, WordSet},
    text::{Stemming, Word},
};

/// How a rule's groups may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other.
    Forward,
    /// In any order.
    Any,
}

/// Which frames excuse a match, and how far apart its parts may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guards {
    /// A preposition ends the direct object.
    pub tight: bool,
    /// Commas and `and` may separate several objects.
    pub lists: bool,
    /// One's own things are one's own.
    pub own: bool,
    /// Telling about it is not doing it.
    pub inform: bool,
    /// Neither is telling of what culprits do.
    pub culprit: bool,
    /// The object is a person: not a process, and not a person's thing.
    pub person: bool,
    /// In a game it is play.
    pub play: bool,
    /// Something that treats of the object is not the object.
    pub carrier: bool,
    /// The action may be a noun (`attack surface`).
    pub noun: bool,
    /// Past forms count too.
    pub past: bool,
}

impl Guards {
    /// No frame excuses but guarding and negation.
    pub(super) const PLAIN: Self = Self {
        tight: false,
        lists: false,
        own: false,
        inform: false,
        culprit: false,
        person: false,
        play: false,
        carrier: false,
        noun: false,
        past: false,
    };
}

/// One word of a term.
#[derive(Clone, Debug)]
enum Piece {
    Stem(String),
    Exact(String),
}

impl Piece {
    fn matches(&self, word: &Word) -> bool {
        word.forms.iter().any(|form| match self {
            Self::Stem(stem) => form.stem == *stem,
            Self::Exact(surface) => form.surface == *surface,
        })
    }
}

/// Terms of which one is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    single: WordSet,
    /// First words of the phrases.
    heads: WordSet,
    phrases: Vec<Vec<Piece>>,
    vocabulary: HashSet<String>,
}

impl Group {
    /// Compiles terms separated by commas.
    pub(super) fn new(stemmer: &Stemming, terms: &str) -> Self {
        let mut group = Self::default();
        let (mut single, mut heads) = (String::new(), String::new());
        for term in terms
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty())
        {
            let words: Vec<&str> = term.split_whitespace().collect();
            group
                .vocabulary
                .extend(words.iter().map(|w| w.trim_start_matches('=').to_owned()));
            if let [word] = words.as_slice() {
                single.push_str(word);
                single.push(' ');
                continue;
            }
            if let Some(head) = words.first() {
                heads.push_str(head);
                heads.push(' ');
            }
            let exact = term.starts_with('=');
            let pieces = words.iter().map(|word| match word.strip_prefix('=') {
                Some(surface) => Piece::Exact(surface.to_owned()),
                None if exact => Piece::Exact((*word).to_owned()),
                None => Piece::Stem(stemmer.stem(word)),
            });
            group.phrases.push(pieces.collect());
        }
        group.single = WordSet::new(stemmer, &single);
        group.heads = WordSet::new(stemmer, &heads);
        group
            .phrases
            .sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
        group
    }

    /// Where the longest term that starts at `at` ends.
    pub(super) fn match_at(&self, words: &[Word], at: usize) -> Option<usize> {
        let word = words.get(at)?;
        let phrase = || {
            self.phrases
                .iter()
                .find_map(|phrase| phrase_at(phrase, words, at))
        };
        let phrase = if self.heads.has(word) { phrase() } else { None };
        phrase.or_else(|| self.single.has(word).then_some(at + 1))
    }
}

/// A phrase's words follow one another, with at most two words of no content between each.
fn phrase_at(phrase: &[Piece], words: &[Word], at: usize) -> Option<usize> {
    let first = words.get(at)?;
    let mut next = at;
    for (index, piece) in phrase.iter().enumerate() {
        let mut skipped = 0;
        loop {
            let word = words
                .get(next)
                .filter(|word| word.sentence == first.sentence)?;
            next += 1;
            if piece.matches(word) {
                break;
            }
            skipped += 1;
            if index == 0 || word.content || skipped > 2 {
                return None;
            }
        }
    }
    Some(next)
}

/// Words around a match that excuse it.
#[derive(Clone, Debug, Default)]
pub(super) struct Except {
    /// Directly before the action.
    pub before_action: WordSet,
    /// Directly before the object.
    pub before_object: WordSet,
    /// Directly after the object.
    pub after_object: WordSet,
    /// Anywhere in the sentence.
    pub anywhere: WordSet,
}

/// A compiled red line.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub statement: String,
    pub category: String,
    pub groups: Vec<Group>,
    pub order: Order,
    /// The most words of content between two neighbouring parts.
    pub window: usize,
    pub guards: Guards,
    pub except: Except,
}

/// The most words of no content that may pad a window, so that padding costs no time.
const PADDING: usize = 24;

/// A match: word indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The first word of the match: the action, when groups stand in order.
    pub start: usize,
    /// The first word of its last part.
    pub object: usize,
    /// One past its last word.
    pub end: usize,
}

impl Rule {
    /// Every word the rule looks for.
    pub(super) fn vocabulary(&self) -> impl Iterator<Item = &str> {
        self.groups
            .iter()
            .flat_map(|group| group.vocabulary.iter().map(String::as_str))
    }

    /// The first match that no frame excuses.
    pub(super) fn find(&self, words: &[Word], lexicon: &Lexicon) -> Option<Hit> {
        match self.order {
            Order::Forward => (0..words.len()).find_map(|at| self.forward(words, lexicon, at)),
            Order::Any => (0..words.len()).find_map(|at| self.any_order(words, lexicon, at)),
        }
    }

    fn forward(&self, words: &[Word], lexicon: &Lexicon, at: usize) -> Option<Hit> {
        let (action, others) = self.groups.split_first()?;
        let end = action.match_at(words, at)?;
        let first = words.get(at)?;
        if !self.guards.past && is_past(first) {
            return None;
        }
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        if before.is_some_and(|w| w.clause == first.clause && self.except.before_action.has(w)) {
            return None;
        }
        let after = words.get(end).filter(|word| word.clause == first.clause);
        if self.guards.noun && after.is_some_and(|word| lexicon.neutral_after.has(word)) {
            return None;
        }
        self.rest(
            words,
            lexicon,
            others,
            Hit {
                start: at,
                object: at,
                end,
            },
        )
    }

    /// Extends `hit` by the remaining groups, in order.
    fn rest(&self, words: &[Word], lexicon: &Lexicon, groups: &[Group], hit: Hit) -> Option<Hit> {
        let Some((group, others)) = groups.split_first() else {
            return (!frame::excused(self, words, lexicon, hit)).then_some(hit);
        };
        let first = words.get(hit.start)?;
        let mut passed = 0;
        for at in hit.end..words.len().min(hit.end + self.window + PADDING) {
            let word = words.get(at)?;
            let apart = word.clause != first.clause && !self.guards.lists;
            if word.sentence != first.sentence || apart {
                return None;
            }
            if let Some(end) = group.match_at(words, at) {
                let longer = Hit {
                    start: hit.start,
                    object: at,
                    end,
                };
                if let Some(found) = self.rest(words, lexicon, others, longer) {
                    return Some(found);
                }
            }
            if self.ends_object(words, lexicon, at, passed) {
                return None;
            }
            passed += usize::from(word.content);
            if passed > self.window {
                return None;
            }
        }
        None
    }

    /// Whether the word at `at`, after `passed` words of content, cannot stand between an action
    /// and its object.
    fn ends_object(&self, words: &[Word], lexicon: &Lexicon, at: usize, passed: usize) -> bool {
        let Some(word) = words.get(at) else {
            return true;
        };
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let guards = &self.guards;
        if lexicon.breaks.has(word) || lexicon.strong.has(word) || lexicon.negation.has(word) {
            return true;
        }
        if guards.tight && lexicon.preposition.has(word) {
            return true;
        }
        if !guards.lists && passed > 0 && (word.is("and") || word.is("or")) {
            return true;
        }
        if guards.carrier && (lexicon.carrier.has(word) || lexicon.weak.has(word)) {
            return true;
        }
        let quantity = before.is_some_and(frame::is_quantity);
        guards.person
            && (lexicon.machine.has(word) || word.is("for") || (word.is("of") && !quantity))
    }

    fn any_order(&self, words: &[Word], lexicon: &Lexicon, start: usize) -> Option<Hit> {
        let first = words.get(start)?;
        let mut missing: Vec<&Group> = self.groups.iter().collect();
        let mut hit = Hit {
            start,
            object: start,
            end: start,
        };
        let mut passed = 0;
        let mut at = start;
        let limit = start + (self.window + PADDING) * self.groups.len();
        while let Some(word) = words.get(at).filter(|word| word.sentence == first.sentence)
            && at < limit
        {
            let found = missing
                .iter()
                .enumerate()
                .find_map(|(index, group)| Some((index, group.match_at(words, at)?)));
            match found {
                Some((index, end)) => {
                    missing.remove(index);
                    (hit.object, hit.end, at) = (at, end, end);
                    if missing.is_empty() {
                        return (!frame::excused(self, words, lexicon, hit)).then_some(hit);
                    }
                }
                None if at == start || lexicon.strong.has(word) => return None,
                None => {
                    passed += usize::from(word.content);
                    if passed > self.window {
                        return None;
                    }
                    at += 1;
                }
            }
        }
        None
    }
}

/// Past forms tell what happened.
fn is_past(word: &Word) -> bool {
    word.forms
        .first()
        .is_some_and(|form| form.surface.ends_with("ed") && form.surface != form.stem)
}
