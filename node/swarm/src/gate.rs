//! Strangers: peers of a gated swarm that the application has not let in. Pure.
//!
//! Until [`crate::Swarm::admit`] a peer gets no gossip and none of its own is taken, it gets no
//! blocks and is in no routing table; it may only send requests, so that it can show why it should
//! be let in. To gossipsub a stranger is a peer with a score so low that neither side of the
//! exchange happens; what it subscribes to is remembered all the while.

use std::collections::HashSet;

use libp2p::PeerId;

/// The score of a stranger, far below every threshold and out of reach of any good conduct.
pub(crate) const STRANGER: f64 = -1_000_000.0;

/// Who was let in, where the swarm is gated.
#[derive(Debug)]
pub(crate) struct Gate {
    admitted: Option<HashSet<PeerId>>,
}

impl Gate {
    pub(crate) fn new(gated: bool) -> Self {
        Gate {
            admitted: gated.then(HashSet::new),
        }
    }

    /// Whether a peer is let in. Without a gate, all are.
    pub(crate) fn is_in(&self, peer: &PeerId) -> bool {
        self.admitted
            .as_ref()
            .is_none_or(|admitted| admitted.contains(peer))
    }

    /// Lets a peer in; whether that is news.
    pub(crate) fn admit(&mut self, peer: PeerId) -> bool {
        self.admitted
            .as_mut()
            .is_some_and(|admitted| admitted.insert(peer))
    }

    /// Makes a peer a stranger again.
    pub(crate) fn expel(&mut self, peer: &PeerId) {
        if let Some(admitted) = &mut self.admitted {
            admitted.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gated_swarm_has_strangers() {
        let peer = PeerId::random();
        let mut open = Gate::new(false);
        assert!(open.is_in(&peer) && !open.admit(peer));
        let mut gated = Gate::new(true);
        assert!(!gated.is_in(&peer));
        assert!(gated.admit(peer) && !gated.admit(peer) && gated.is_in(&peer));
        gated.expel(&peer);
        assert!(!gated.is_in(&peer));
    }
}
