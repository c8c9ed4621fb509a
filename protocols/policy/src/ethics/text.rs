//! Reads text into words whose disguises are undone.
//!
//! Compatibility forms, accents, invisible characters and look-alike letters are folded; digits and
//! signs that stand for letters, stretched, spaced-out and split words each add a second reading
//! beside the plain one. A word is compared by its English (Snowball) stem.

use std::collections::HashSet;

use super::{fold::fold, lexicon::Lexicon, matcher::Rule};

/// Longer words have a plain reading only.
const MAX_DISGUISE: usize = 40;
/// Runs of single letters are joined up to this length.
const MAX_RUN: usize = 240;

/// One reading of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The letters, lower case.
    pub surface: String,
    /// Its stem.
    pub stem: String,
}

/// A word of the text.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Its readings, the plain one first; never empty.
    pub forms: Vec<Form>,
    /// It ended in `'s`.
    pub possessive: bool,
    /// It carries meaning (it is no article, pronoun or preposition).
    pub content: bool,
    /// The sentence it stands in.
    pub sentence: usize,
    /// The clause it stands in: a part of a sentence between commas and the like.
    pub clause: usize,
}

impl Word {
    /// The plain reading, for people.
    pub(super) fn shown(&self) -> &str {
        self.forms.first().map_or("", |form| form.surface.as_str())
    }

    /// Whether any reading is exactly `surface`.
    pub(super) fn is(&self, surface: &str) -> bool {
        self.forms.iter().any(|form| form.surface == surface)
    }
}

/// A run of letters, digits and signs, with what stood before it.
struct Token {
    chars: Vec<(char, bool)>,
    gap: usize,
    sentence_break: bool,
    clause_break: bool,
}

impl Token {
    fn text(&self) -> String {
        self.chars.iter().map(|(c, _)| *c).collect()
    }
}

/// Reads texts; knows the words worth joining for.
pub(super) struct Reader {
    stemmer: Stemming,
    /// Stems of the words that the rules look for.
    stems: HashSet<String>,
    /// The same words as they are spelled in the rules, of four letters or more.
    surfaces: HashSet<String>,
    function: HashSet<&'static str>,
}

/// Stems ASCII words and leaves others alone.
pub(super) struct Stemming(rust_stemmers::Stemmer);

impl Stemming {
    pub(super) fn new() -> Self {
        Self(rust_stemmers::Stemmer::create(
            rust_stemmers::Algorithm::English,
        ))
    }

    pub(super) fn stem(&self, surface: &str) -> String {
        let plain =
            surface.len() <= MAX_DISGUISE && surface.bytes().all(|b| b.is_ascii_lowercase());
        if plain {
            self.0.stem(surface).into_owned()
        } else {
            surface.to_owned()
        }
    }
}

impl Reader {
    pub(super) fn new<'a>(lexicon: &Lexicon, rules: impl Iterator<Item = &'a Rule>) -> Self {
        let stemmer = Stemming::new();
        let mut surfaces = HashSet::new();
        for rule in rules {
            surfaces.extend(
                rule.vocabulary()
                    .filter(|word| word.len() >= 4)
                    .map(str::to_owned),
            );
        }
        // Two ordinary words of a house.
        surfaces.remove("backdoor");
        let stems = surfaces
            .iter()
            .map(|surface| stemmer.stem(surface))
            .collect();
        Self {
            stemmer,
            stems,
            surfaces,
            function: lexicon.function.clone(),
        }
    }

    /// The words of `text`.
    pub(super) fn read(&self, text: &str) -> Vec<Word> {
        let tokens = join_letters(tokens(&fold(text)), &self.surfaces);
        let (sentences, clauses) = segments(&tokens);
        let mut words = Vec::with_capacity(tokens.len());
        for ((token, sentence), clause) in tokens.iter().zip(sentences).zip(clauses) {
            for (forms, possessive) in self.words_of(token) {
                let content = forms
                    .first()
                    .is_some_and(|f: &Form| !self.function.contains(&*f.surface));
                words.push(Word {
                    forms,
                    possessive,
                    content,
                    sentence,
                    clause,
                });
            }
        }
        self.join_neighbours(&mut words);
        words
    }

    /// One word, or several when capitals inside the token separate words.
    fn words_of(&self, token: &Token) -> Vec<(Vec<Form>, bool)> {
        let mut text = token.text();
        let mut possessive = false;
        if let Some(head) = text.strip_suffix("'s") {
            text = head.to_owned();
            possessive = true;
        }
        text.retain(|c| c != '\'');
        if let Some(pieces) = camel_pieces(token) {
            let mut words: Vec<_> = pieces
                .iter()
                .map(|piece| (self.forms(readings(piece)), false))
                .collect();
            if let Some((forms, _)) = words.first_mut() {
                forms.extend(self.forms(readings(&text)));
            }
            if let Some((_, last)) = words.last_mut() {
                *last = possessive;
            }
            return words;
        }
        let forms = self.forms(readings(&text));
        if forms.is_empty() {
            Vec::new()
        } else {
            vec![(forms, possessive)]
        }
    }

    fn forms(&self, readings: Vec<String>) -> Vec<Form> {
        readings
            .into_iter()
            .map(|surface| Form {
                stem: self.stemmer.stem(&surface),
                surface,
            })
            .collect()
    }

    /// Adds the reading of two or three neighbours as one word, if the rules know that word.
    fn join_neighbours(&self, words: &mut [Word]) {
        for start in 0..words.len() {
            let mut joined = String::new();
            let mut meaningful = false;
            let mut found = Vec::new();
            for (count, word) in words.iter().skip(start).take(3).enumerate() {
                let Some(form) = word.forms.first() else {
                    break;
                };
                let same = words
                    .get(start)
                    .is_some_and(|first| first.sentence == word.sentence);
                if !same || !form.surface.bytes().all(|b| b.is_ascii_lowercase()) {
                    break;
                }
                joined.push_str(&form.surface);
                meaningful |= word.content;
                if joined.len() > 20 {
                    break;
                }
                if count > 0 && meaningful && joined.len() >= 4 {
                    let stem = self.stemmer.stem(&joined);
                    if self.surfaces.contains(&joined) || self.stems.contains(&stem) {
                        found.push(Form {
                            surface: joined.clone(),
                            stem,
                        });
                    }
                }
            }
            if let Some(word) = words.get_mut(start) {
                word.forms.extend(found);
            }
        }
    }
}

/// The letters a digit or sign may stand for.
fn leet(c: char) -> &'static [char] {
    match c {
        '0' => &['o'],
        '1' | '|' | '!' => &['i', 'l'],
        '3' | '€' => &['e'],
        '4' | '@' => &['a'],
        '5' | '$' => &['s'],
        '7' | '+' => &['t'],
        '8' => &['b'],
        '9' => &['g'],
        '£' => &['l'],
        '¢' => &['c'],
        '*' => &['a', 'e', 'i', 'o', 'u'],
        _ => &[],
    }
}

fn tokens(text: &[(char, bool)]) -> Vec<Token> {
    let at = |index: usize| text.get(index).map_or(' ', |(c, _)| *c);
    let in_word = |index: usize| {
        let (c, next) = (at(index), at(index + 1));
        let before = if index == 0 { ' ' } else { at(index - 1) };
        let joins = before.is_alphanumeric() && next.is_alphanumeric();
        match c {
            '\'' | '!' | '|' | '+' | '*' | '¢' => joins,
            '@' => next.is_alphanumeric() || next == '$',
            '$' | '€' | '£' => next.is_alphanumeric() || next == c || before.is_alphabetic(),
            _ => c.is_alphanumeric(),
        }
    };
    let mut found: Vec<Token> = Vec::new();
    let mut open: Option<Token> = None;
    let (mut gap, mut sentence_break, mut clause_break, mut newline) = (0, false, false, false);
    for (index, pair) in text.iter().enumerate() {
        if in_word(index) {
            let token = open.get_or_insert_with(|| Token {
                chars: Vec::new(),
                gap,
                sentence_break,
                clause_break,
            });
            token.chars.push(*pair);
            continue;
        }
        if let Some(token) = open.take() {
            found.push(token);
            (gap, sentence_break, clause_break, newline) = (0, false, false, false);
        }
        gap += 1;
        match pair.0 {
            '.' | '!' | '?' | '。' | '！' | '？' if at(index + 1).is_whitespace() => {
                sentence_break = true;
            }
            '\n' if newline => sentence_break = true,
            '\n' => newline = true,
            '-' | '*' | '•' | '–' if newline => sentence_break = true,
            ',' | ';' | ':' | '(' | ')' | '–' | '—' | '[' | ']' => clause_break = true,
            _ => {}
        }
    }
    found.extend(open);
    found
}

/// Joins runs of three or more single letters into the words they spell.
fn join_letters(tokens: Vec<Token>, known: &HashSet<String>) -> Vec<Token> {
    let mut joined = Vec::with_capacity(tokens.len());
    let mut run: Vec<Token> = Vec::new();
    for token in tokens {
        let single = token.chars.len() == 1 && (run.is_empty() || token.gap <= 4);
        if single && run.len() < MAX_RUN {
            run.push(token);
            continue;
        }
        flush(&mut run, &mut joined, known);
        if token.chars.len() == 1 {
            run.push(token);
        } else {
            joined.push(token);
        }
    }
    flush(&mut run, &mut joined, known);
    joined
}

fn flush(run: &mut Vec<Token>, out: &mut Vec<Token>, known: &HashSet<String>) {
    let run = std::mem::take(run);
    if run.len() < 3 {
        out.extend(run);
        return;
    }
    let narrow = run.iter().skip(1).map(|token| token.gap).min().unwrap_or(1);
    let letters: Vec<(char, bool)> = run.iter().flat_map(|token| token.chars.clone()).collect();
    let mut words: Vec<Token> = Vec::new();
    for (index, token) in run.into_iter().enumerate() {
        match words.last_mut() {
            Some(word) if index > 0 && token.gap <= narrow => word.chars.extend(token.chars),
            _ => words.push(Token {
                sentence_break: token.sentence_break && index == 0,
                clause_break: token.clause_break && index == 0,
                ..token
            }),
        }
    }
    // Without wider gaps between them, the words have to be looked for.
    if words.len() == 1 {
        let text: String = letters
            .iter()
            .flat_map(|(c, _)| leet(*c).first().or(Some(c)))
            .collect();
        let text: Vec<char> = text.chars().collect();
        for start in 0..text.len() {
            let longest = (4..=16)
                .rev()
                .filter_map(|len| text.get(start..start + len));
            let word = longest
                .map(String::from_iter)
                .find(|word| known.contains(word));
            if let Some(word) = word {
                words.push(Token {
                    chars: word.chars().map(|c| (c, false)).collect(),
                    gap: 1,
                    sentence_break: false,
                    clause_break: false,
                });
            }
        }
    }
    out.extend(words);
}

/// The pieces of a token whose capitals separate words (`stealPasswords`).
fn camel_pieces(token: &Token) -> Option<Vec<String>> {
    let mut pieces = vec![String::new()];
    let mut before_lower = false;
    for (c, upper) in &token.chars {
        if *upper && before_lower {
            pieces.push(String::new());
        }
        before_lower = c.is_alphabetic() && !upper;
        if let Some(piece) = pieces.last_mut()
            && *c != '\''
        {
            piece.push(*c);
        }
    }
    (pieces.len() > 1).then_some(pieces)
}

/// Every reading of a token, the plain one first.
fn readings(token: &str) -> Vec<String> {
    let plain: String = token.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut readings = Vec::new();
    let mut add = |reading: String| {
        if !reading.is_empty() && !readings.contains(&reading) {
            readings.push(reading);
        }
    };
    add(plain);
    if token.chars().count() > MAX_DISGUISE {
        return readings;
    }
    let disguised = token.chars().any(|c| !leet(c).is_empty());
    if disguised && token.chars().any(char::is_alphabetic) {
        let mut variants = vec![String::new()];
        for c in token.chars() {
            let letters = leet(c);
            let letters = if letters.is_empty() { &[c] } else { letters };
            let letters = if variants.len() > 24 {
                letters.get(..1).unwrap_or(letters)
            } else {
                letters
            };
            variants = letters
                .iter()
                .flat_map(|letter| variants.iter().map(move |head| format!("{head}{letter}")))
                .collect();
        }
        variants.into_iter().for_each(&mut add);
        token
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_owned)
            .for_each(&mut add);
    }
    for reading in readings.clone() {
        for keep in [1, 2] {
            let squeezed = squeeze(&reading, keep);
            if !readings.contains(&squeezed) {
                readings.push(squeezed);
            }
        }
    }
    readings
}

/// `text` with letters repeated three times or more cut to `keep` times.
fn squeeze(text: &str, keep: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunk_by(|a, b| a == b)
        .flat_map(|run| {
            run.iter()
                .take(if run.len() >= 3 { keep } else { run.len() })
        })
        .collect()
}

/// Sentence and clause numbers of the tokens. Breaks between one-word pieces are no breaks, so
/// that stops between all words hide nothing.
fn segments(tokens: &[Token]) -> (Vec<usize>, Vec<usize>) {
    let sentences = number(tokens.iter().map(|token| token.sentence_break).collect());
    let both = tokens
        .iter()
        .map(|token| token.sentence_break || token.clause_break)
        .collect();
    (sentences, number(both))
}

fn number(mut breaks: Vec<bool>) -> Vec<usize> {
    let length = breaks.len();
    let starts: Vec<usize> = (0..length)
        .filter(|i| *i == 0 || breaks.get(*i) == Some(&true))
        .collect();
    let size = |piece: usize| {
        let start = starts.get(piece).copied().unwrap_or(length);
        starts.get(piece + 1).copied().unwrap_or(length) - start
    };
    for piece in 1..starts.len() {
        if size(piece) == 1 && size(piece - 1) == 1 {
            let start = starts.get(piece).copied().unwrap_or(0);
            if let Some(flag) = breaks.get_mut(start) {
                *flag = false;
            }
        }
    }
    let mut current = 0;
    breaks
        .iter()
        .map(|starts_here| {
            current += usize::from(*starts_here);
            current
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static READER: LazyLock<Reader> = LazyLock::new(|| {
        let lexicon = Lexicon::new();
        let rules = super::super::rules::built_in(&lexicon);
        Reader::new(&lexicon, rules.iter())
    });

    fn reads(reader: &Reader, text: &str, word: &str) -> bool {
        reader.read(text).iter().any(|read| read.is(word))
    }

    #[test]
    fn disguises_are_undone() {
        let reader = &*READER;
        for (text, word) in [
            ("BOMB", "bomb"),
            ("b0mb", "bomb"),
            ("ｂｏｍｂ", "bomb"),
            ("𝓫𝓸𝓶𝓫", "bomb"),
            ("ⓑⓞⓜⓑ", "bomb"),
            ("🅑🅞🅜🅑", "bomb"),
            ("bоmb", "bomb"),
            ("ВОМВ", "bomb"),
            ("b\u{200b}o\u{200d}m\u{ad}b", "bomb"),
            ("b̶o̶m̶b̶", "bomb"),
            ("bömb", "bomb"),
            ("boooomb", "bomb"),
            ("b o m b", "bomb"),
            ("b.o.m.b", "bomb"),
            ("b-o-m-b", "bomb"),
            ("b_o_m_b", "bomb"),
            ("b. o. m. b.", "bomb"),
            ("build a b o m b", "bomb"),
            ("b*mb", "bomb"),
            ("bo mb", "bomb"),
            ("BoMb", "bomb"),
            ("m4lw4r3", "malware"),
            ("mal-ware", "malware"),
            ("ran som ware", "ransomware"),
            ("p@$$w0rd", "password"),
            ("$teal", "steal"),
            ("k1ll", "kill"),
            ("stealPasswords", "passwords"),
            ("steal_passwords", "steal"),
            ("neighbour’s", "neighbour"),
            ("don't", "dont"),
            ("hi \u{e0062}\u{e006f}\u{e006d}\u{e0062}", "bomb"),
        ] {
            assert!(reads(reader, text, word), "{text}: {:?}", reader.read(text));
        }
    }

    #[test]
    fn plain_words_keep_their_meaning() {
        let reader = &*READER;
        for (text, word) in [
            ("a bombastic poem", "bomb"),
            ("the deadline", "dead"),
            ("process 4211", "kill"),
            ("skill", "kill"),
            ("to be at home", "beat"),
        ] {
            assert!(
                !reads(reader, text, word),
                "{text}: {:?}",
                reader.read(text)
            );
        }
    }

    #[test]
    fn sentences_and_clauses() {
        let reader = &*READER;
        let words = reader.read("Open the file. Then, with care, close it.\n\nDone it is");
        let sentences: Vec<_> = words.iter().map(|word| word.sentence).collect();
        assert_eq!(sentences, [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]);
        let words = reader.read("Open. The. Big. File.");
        assert!(words.iter().all(|word| word.sentence == 0));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", letters in "([a-z0-9@$!*] ?\\.?){0,100}") {
            let reader = &*READER;
            for text in [text, letters] {
                for word in reader.read(&text) {
                    prop_assert!(!word.forms.is_empty());
                }
            }
        }
    }
}
