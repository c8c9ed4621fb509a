//! Who may have how much of the queue of messages that wait for a verdict. Pure.
//!
//! Each author may have as many messages wait as there are places left, and never more than a fixed
//! number. So however many authors are loud at once, each gets the same share, and one as large stays
//! free for those that are not.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Shares<A> {
    places: usize,
    most: usize,
    waiting: usize,
    of: HashMap<A, usize>,
}

impl<A: Eq + Hash> Shares<A> {
    /// A queue of so many `places`, of which one author may have `most`.
    pub(crate) fn new(places: usize, most: usize) -> Self {
        Shares {
            places,
            most,
            waiting: 0,
            of: HashMap::new(),
        }
    }

    /// What one author may have now.
    fn share(&self) -> usize {
        self.most.min(self.places.saturating_sub(self.waiting))
    }

    fn has(&self, author: &A) -> usize {
        self.of.get(author).copied().unwrap_or(0)
    }

    /// Takes a place for an author, if there is one for it.
    pub(crate) fn take(&mut self, author: A) -> bool {
        let free = self.has(&author) < self.share();
        if free {
            self.waiting += 1;
            *self.of.entry(author).or_default() += 1;
        }
        free
    }

    /// A message of an author was judged.
    pub(crate) fn give_back(&mut self, author: &A) {
        if let Some(of) = self.of.get_mut(author) {
            *of = of.saturating_sub(1);
            self.waiting = self.waiting.saturating_sub(1);
            if *of == 0 {
                self.of.remove(author);
            }
        }
    }

    /// Whether an author has more than half of what it may have.
    pub(crate) fn is_far_ahead(&self, author: &A) -> bool {
        self.has(author) > self.share() / 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_author_gets_no_more_than_half_of_all() {
        let mut shares = Shares::new(100, 80);
        let taken = (0..1000).filter(|_| shares.take("loud")).count();
        assert_eq!(taken, 50);
        assert!(shares.is_far_ahead(&"loud"));
        let mut shares = Shares::new(100, 20);
        let taken = (0..1000).filter(|_| shares.take("loud")).count();
        assert_eq!(taken, 20);
        for _ in 0..10 {
            shares.give_back(&"loud");
        }
        assert!(!shares.is_far_ahead(&"loud"));
    }

    proptest! {
        #[test]
        fn however_many_are_loud_a_quiet_one_finds_a_place(loud in 1usize..20, most in 1usize..200) {
            let mut shares = Shares::new(100, most);
            for _ in 0..200 {
                for author in 0..loud {
                    shares.take(author);
                }
            }
            prop_assert!(shares.take(loud));
            for author in 0..=loud {
                while shares.has(&author) > 0 {
                    shares.give_back(&author);
                }
            }
            prop_assert_eq!(shares.waiting, 0);
        }
    }
}
