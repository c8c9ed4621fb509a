//! Words of a text, and Okapi BM25 over small collections.
//!
//! BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
//! (2009), with k1 = 1.2, b = 0.75 and the non-negative idf `ln(1 + (N - n + 0.5) / (n + 0.5))`.

use std::collections::{BTreeMap, BTreeSet};

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Words that carry no meaning of their own.
const FUNCTION_WORDS: &[&str] = &[
    "a",
    "about",
    "above",
    "after",
    "again",
    "all",
    "also",
    "am",
    "an",
    "and",
    "any",
    "anything",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "down",
    "during",
    "each",
    "else",
    "ever",
    "every",
    "everything",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "him",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "just",
    "me",
    "more",
    "most",
    "much",
    "my",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "out",
    "over",
    "own",
    "s",
    "same",
    "she",
    "should",
    "so",
    "some",
    "something",
    "such",
    "t",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "us",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "yours",
];

/// Words that ask for something without saying what.
const ASKING_WORDS: &[&str] = &[
    "check",
    "report",
    "show",
    "tell",
    "give",
    "get",
    "please",
    "need",
    "want",
    "let",
    "know",
    "make",
    "run",
    "use",
    "using",
    "see",
    "look",
    "whether",
    "say",
    "help",
    "kindly",
    "thing",
    "things",
    "right",
    "current",
    "currently",
    "percent",
];

/// The stems of the meaningful words of `text`, in order, with repeats.
///
/// Splits at Unicode word boundaries and inside `snake_case` and `camelCase`; drops numbers,
/// function words and words that merely ask ("show", "check").
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut found = Vec::new();
    for word in text.unicode_words() {
        for part in split_identifier(word) {
            let lower = part.to_lowercase();
            if lower
                .chars()
                .all(|c| c.is_numeric() || c == '.' || c == ',')
                || FUNCTION_WORDS.contains(&lower.as_str())
                || ASKING_WORDS.contains(&lower.as_str())
            {
                continue;
            }
            let bare = without_possessive(&lower);
            if bare.chars().count() > 1 {
                found.push(stemmer.stem(bare).into_owned());
            }
        }
    }
    found
}

/// A word for each stem of `texts`, the shortest there is: what a person reads in place of the stem.
#[must_use]
pub fn spoken<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for text in texts {
        for part in text.unicode_words().flat_map(split_identifier) {
            let lower = part.to_lowercase();
            let word = without_possessive(&lower).to_owned();
            let stems = terms(&word);
            let [stem] = stems.as_slice() else { continue };
            let known = words.get(stem);
            if known.is_none_or(|known| (word.len(), &word) < (known.len(), known)) {
                words.insert(stem.clone(), word);
            }
        }
    }
    words
}

fn without_possessive(word: &str) -> &str {
    let bare = word.strip_suffix("'s").or(word.strip_suffix("’s"));
    bare.unwrap_or(word)
}

/// The distinct [`terms`] of `text`.
#[must_use]
pub fn term_set(text: &str) -> BTreeSet<String> {
    terms(text).into_iter().collect()
}

fn split_identifier(word: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut previous_lower = false;
    for c in word.chars() {
        if c == '_' || c == '-' {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
            previous_lower = false;
            continue;
        }
        if c.is_uppercase() && previous_lower {
            parts.push(std::mem::take(&mut part));
        }
        previous_lower = c.is_lowercase();
        part.push(c);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// A small collection to rank by words.
#[derive(Clone, Debug, Default)]
pub struct Bm25 {
    documents: Vec<BTreeMap<String, f64>>,
    lengths: Vec<f64>,
    frequency: BTreeMap<String, usize>,
}

const K1: f64 = 1.2;
const B: f64 = 0.75;

impl Bm25 {
    /// A collection in which every document is a list of weighted texts: a text of weight 3 counts
    /// as if it stood there three times.
    #[must_use]
    pub fn new<'a, D>(documents: impl IntoIterator<Item = D>) -> Self
    where
        D: IntoIterator<Item = (&'a str, f64)>,
    {
        let mut index = Self::default();
        for document in documents {
            let mut counts: BTreeMap<String, f64> = BTreeMap::new();
            for (text, weight) in document {
                for term in terms(text) {
                    *counts.entry(term).or_default() += weight;
                }
            }
            index.push(counts);
        }
        index
    }

    fn push(&mut self, counts: BTreeMap<String, f64>) {
        for term in counts.keys() {
            *self.frequency.entry(term.clone()).or_default() += 1;
        }
        self.lengths.push(counts.values().sum());
        self.documents.push(counts);
    }

    /// How rare `term` is in the collection; a term no document has is the rarest.
    #[must_use]
    pub fn idf(&self, term: &str) -> f64 {
        let n = self.documents.len() as f64;
        let with = self.frequency.get(term).copied().unwrap_or(0) as f64;
        (1.0 + (n - with + 0.5) / (with + 0.5)).ln()
    }

    /// The score of document `index` for the query's distinct terms; 0 where nothing matches.
    #[must_use]
    pub fn score(&self, index: usize, query: &BTreeSet<String>) -> f64 {
        let (Some(counts), Some(length)) = (self.documents.get(index), self.lengths.get(index))
        else {
            return 0.0;
        };
        let average = self.lengths.iter().sum::<f64>() / self.lengths.len().max(1) as f64;
        query
            .iter()
            .filter_map(|term| counts.get(term).map(|count| (term, count)))
            .map(|(term, count)| {
                let norm = K1 * (1.0 - B + B * length / average.max(f64::MIN_POSITIVE));
                self.idf(term) * count * (K1 + 1.0) / (count + norm)
            })
            .sum()
    }

    /// Which part of the query's weight (by idf) document `index` has, 0 to 1. A term no document has
    /// says little about any of them: it weighs half of one that a single document has.
    #[must_use]
    pub fn coverage(&self, index: usize, query: &BTreeSet<String>) -> f64 {
        let Some(counts) = self.documents.get(index) else {
            return 0.0;
        };
        let n = self.documents.len() as f64;
        let unknown = 0.5 * (1.0 + (n - 0.5) / 1.5).max(1.0).ln();
        let weigh = |term: &String| {
            if self.frequency.contains_key(term) {
                self.idf(term)
            } else {
                unknown
            }
        };
        let total: f64 = query.iter().map(weigh).sum();
        if total <= 0.0 {
            return 0.0;
        }
        let found: f64 = query
            .iter()
            .filter(|term| counts.contains_key(*term))
            .map(|term| self.idf(term))
            .sum();
        found / total
    }

    /// Documents that match, best first, as (index, score); equal scores keep their order.
    #[must_use]
    pub fn rank(&self, query: &BTreeSet<String>) -> Vec<(usize, f64)> {
        let mut ranked: Vec<(usize, f64)> = (0..self.documents.len())
            .map(|index| (index, self.score(index, query)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_are_stems_without_function_and_asking_words() {
        assert_eq!(
            terms("Check this machine's health and report anything above 80%"),
            ["machin", "health"]
        );
        assert_eq!(
            terms("system_monitor getTwins"),
            ["system", "monitor", "twin"]
        );
    }

    #[test]
    fn a_stem_has_a_word_that_a_person_reads() {
        let words = spoken(["Machines of this machine's kind", "evaluate_expression"]);
        for (stem, word) in [("machin", "machine"), ("express", "expression")] {
            assert_eq!(words.get(stem).map(String::as_str), Some(word));
        }
        assert!(!words.contains_key("this") && !words.contains_key("of"));
    }

    #[test]
    fn the_rarer_word_decides() {
        let index = Bm25::new([
            vec![("disk usage of the machine", 1.0)],
            vec![("memory of the machine", 1.0)],
            vec![("weather of the day", 1.0)],
        ]);
        let ranked = index.rank(&term_set("memory of my machine"));
        assert_eq!(ranked[0].0, 1);
        assert_eq!(ranked.len(), 2);
        assert!(index.coverage(1, &term_set("memory of my machine")) > 0.99);
        assert_eq!(index.coverage(2, &term_set("memory")), 0.0);
    }

    proptest! {
        #[test]
        fn scores_are_finite_and_never_negative(texts in proptest::collection::vec(".{0,40}", 0..6), query in ".{0,40}") {
            let index = Bm25::new(texts.iter().map(|text| vec![(text.as_str(), 1.0)]));
            let query = term_set(&query);
            for i in 0..texts.len() + 1 {
                let score = index.score(i, &query);
                prop_assert!(score.is_finite() && score >= 0.0);
                let coverage = index.coverage(i, &query);
                prop_assert!((0.0..=1.0 + 1e-9).contains(&coverage));
            }
        }
    }
}
