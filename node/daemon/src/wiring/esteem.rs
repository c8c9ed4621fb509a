//! What the node's credentials come to, kept for a while: signatures are checked once, and standings
//! worked out anew where a credential came or went, a twin was made, or a minute has passed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use pagi_credentials::Verified;
use pagi_messages::Did;
use pagi_reputation::Standing;

use super::notices::Board;

/// How long standings are taken for true, milliseconds: they change by the day.
const GOOD_FOR_MS: u64 = 60_000;

/// Everybody's standing.
pub type Standings = Arc<BTreeMap<Did, Standing>>;

/// A cache behind a lock, for it is asked from anywhere, and never for long.
#[derive(Default)]
pub struct Esteem(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Credentials whose signatures hold, by id.
    proven: BTreeMap<String, Verified>,
    seen: Option<Seen>,
}

struct Seen {
    at_ms: u64,
    roots: Vec<Did>,
    standings: Standings,
}

impl Esteem {
    fn kept<T>(&self, ask: impl FnOnce(&mut Kept) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The standings as last worked out, where they are good at `now_ms` and for these roots; for any
    /// without roots.
    pub fn seen(&self, now_ms: u64, roots: Option<&[Did]>) -> Option<Standings> {
        self.kept(|kept| {
            let seen = kept.seen.as_ref()?;
            let good = now_ms.abs_diff(seen.at_ms) < GOOD_FOR_MS
                && roots.is_none_or(|roots| roots == seen.roots);
            good.then(|| seen.standings.clone())
        })
    }

    /// Keeps standings, as of `now_ms`.
    pub fn keep(&self, now_ms: u64, roots: Vec<Did>, standings: &Standings) {
        let standings = standings.clone();
        self.kept(|kept| {
            kept.seen = Some(Seen {
                at_ms: now_ms,
                roots,
                standings,
            });
        });
    }

    /// A credential or a status list came or went.
    pub fn changed(&self) {
        self.kept(|kept| kept.seen = None);
    }

    /// The credential `id`, whose signature was checked before or holds now. Its time and its place in
    /// a status list are for the caller to check.
    pub fn proven(&self, id: &str, check: impl FnOnce() -> Option<Verified>) -> Option<Verified> {
        if let Some(verified) = self.kept(|kept| kept.proven.get(id).cloned()) {
            return Some(verified);
        }
        let verified = check()?;
        self.kept(|kept| kept.proven.insert(id.to_owned(), verified.clone()));
        Some(verified)
    }

    /// Forgets all checked credentials but those that are kept.
    pub fn retain(&self, kept_now: impl Fn(&str) -> bool) {
        self.kept(|kept| kept.proven.retain(|id, _| kept_now(id)));
    }
}

/// What the mind asks.
pub struct Eyes(pub Weak<Board>);

impl pagi_twin::ports::Esteem for Eyes {
    fn standing(&self, did: &Did) -> f64 {
        self.0
            .upgrade()
            .map_or(0.0, |board| board.vouches.esteem(did))
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;

    #[test]
    fn standings_are_good_for_a_minute_for_the_same_roots_and_until_something_changes() {
        let esteem = Esteem::default();
        let root = SigningIdentity::from_seed(&[1; 32]).did().clone();
        assert!(esteem.seen(5, None).is_none());
        esteem.keep(5, vec![root.clone()], &Standings::default());
        assert!(esteem.seen(5, None).is_some());
        assert!(
            esteem
                .seen(60_004, Some(std::slice::from_ref(&root)))
                .is_some()
        );
        assert!(esteem.seen(6, Some(&[])).is_none());
        assert!(esteem.seen(60_005, None).is_none());
        esteem.changed();
        assert!(esteem.seen(5, Some(&[root])).is_none());
    }
}
