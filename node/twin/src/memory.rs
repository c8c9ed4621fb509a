//! Searching a twin's working memory.

use pagi_store::MemoryEntry;

use crate::lexical::{Bm25, term_set};

/// Entries that fit `query`, best first, with their scores. Where the query has only function words,
/// entries that contain it letter by letter.
#[must_use]
pub fn search(entries: Vec<MemoryEntry>, query: &str, limit: usize) -> Vec<(MemoryEntry, f64)> {
    let terms = term_set(query);
    let mut found: Vec<(MemoryEntry, f64)> = if terms.is_empty() {
        let needle = query.trim().to_lowercase();
        entries
            .into_iter()
            .filter(|entry| !needle.is_empty() && entry.content.to_lowercase().contains(&needle))
            .map(|entry| (entry, 1.0))
            .collect()
    } else {
        let index = Bm25::new(entries.iter().map(|entry| [(entry.content.as_str(), 1.0)]));
        let ranked = index.rank(&terms);
        let mut slots: Vec<Option<MemoryEntry>> = entries.into_iter().map(Some).collect();
        ranked
            .into_iter()
            .filter_map(|(at, score)| Some((slots.get_mut(at)?.take()?, score)))
            .collect()
    };
    // Equal fits: the newer first.
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.seq.cmp(&a.0.seq)));
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use pagi_store::Role;

    use super::*;

    fn entry(seq: u64, content: &str) -> MemoryEntry {
        MemoryEntry {
            seq,
            id: format!("m{seq}"),
            twin_id: "t".into(),
            role: Role::User,
            content: content.into(),
            ts: String::new(),
        }
    }

    #[test]
    fn the_best_fit_comes_first_and_ties_go_to_the_newer() {
        let entries = vec![
            entry(1, "the key is under the mat"),
            entry(2, "buy milk"),
            entry(3, "the key is under the mat"),
        ];
        let found = search(entries.clone(), "where are my keys", 5);
        assert_eq!(found.iter().map(|(e, _)| e.seq).collect::<Vec<_>>(), [3, 1]);
        assert!(search(entries.clone(), "bread", 5).is_empty());
        assert_eq!(search(entries, "is under", 1).len(), 1);
    }
}
