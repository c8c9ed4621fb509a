//! Who stands at the door, for how long, and who was sent away. Pure: time comes in as an argument.

use std::collections::BTreeMap;

use pagi_messages::Did;

/// How long a peer may take to show what it has, milliseconds.
pub const GRACE_MS: u64 = 10_000;
/// Pause between two attempts to ask a peer, milliseconds.
const ASK_AGAIN_MS: u64 = 2_000;
/// How long one that was sent away for the first time stays away, milliseconds. Doubled each time.
const FIRST_BAN_MS: u64 = 15_000;
/// The longest such time, milliseconds.
pub const LONGEST_BAN_MS: u64 = 900_000;
/// Most nodes remembered that were refused, or that refused.
const MAX_REMEMBERED: usize = 256;

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    since_ms: u64,
    asked_ms: Option<u64>,
    /// This node has let it in.
    pub admitted: bool,
    /// It has let this node in.
    pub welcomed: bool,
    /// What its notices come to, once it said.
    pub digest: Option<String>,
    /// It is being sent away.
    leaving: bool,
}

/// Something to do about the guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask it again to let this node in.
    Ask(Did),
    /// Its time is up.
    Expired(Did),
}

/// The connected peers.
#[derive(Clone, Debug, Default)]
pub struct Door {
    guests: BTreeMap<Did, Guest>,
}

impl Door {
    /// A peer connected.
    pub fn arrived(&mut self, did: Did, now_ms: u64) {
        self.guests.entry(did).or_insert(Guest {
            since_ms: now_ms,
            asked_ms: None,
            admitted: false,
            welcomed: false,
            digest: None,
            leaving: false,
        });
    }

    /// Its last connection closed.
    pub fn left(&mut self, did: &Did) {
        self.guests.remove(did);
    }

    /// A connected peer.
    pub fn guest(&mut self, did: &Did) -> Option<&mut Guest> {
        self.guests.get_mut(did)
    }

    /// It is being sent away: whether that is news.
    pub fn leaving(&mut self, did: &Did) -> bool {
        match self.guests.get_mut(did) {
            Some(guest) => {
                guest.admitted = false;
                !std::mem::replace(&mut guest.leaving, true)
            }
            None => true,
        }
    }

    /// What is to be done at `now_ms`.
    pub fn due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut due = Vec::new();
        // One that never was heard to disconnect.
        self.guests.retain(|_, guest| {
            !guest.leaving || now_ms < guest.since_ms.saturating_add(LONGEST_BAN_MS)
        });
        for (did, guest) in &mut self.guests {
            if guest.leaving {
                continue;
            }
            if !guest.admitted && now_ms >= guest.since_ms.saturating_add(GRACE_MS) {
                due.push(Due::Expired(did.clone()));
                continue;
            }
            let again = guest
                .asked_ms
                .is_none_or(|asked| now_ms >= asked.saturating_add(ASK_AGAIN_MS));
            if !guest.welcomed && again {
                guest.asked_ms = Some(now_ms);
                due.push(Due::Ask(did.clone()));
            }
        }
        due
    }

    /// How many were asked to let this node in and have not said yet.
    pub fn undecided(&self) -> usize {
        let open = |guest: &&Guest| !guest.welcomed && !guest.leaving;
        self.guests.values().filter(open).count()
    }

    /// It answered, and need not be asked again while it is connected.
    pub fn answered(&mut self, did: &Did) {
        if let Some(guest) = self.guests.get_mut(did) {
            guest.asked_ms = Some(u64::MAX);
        }
    }
}

/// One node in a [`Ledger`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub reason: String,
    /// When it was last so, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How often in a row.
    pub times: u32,
}

/// Nodes that were refused, or that refused.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<Did, Entry>);

impl Ledger {
    /// Notes a refusal; gives how long the node should stay away, milliseconds.
    pub fn note(&mut self, did: &Did, reason: &str, now_ms: u64) -> u64 {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(did) {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.at_ms);
            if let Some(oldest) = oldest.map(|(did, _)| did.clone()) {
                self.0.remove(&oldest);
            }
        }
        let entry = self.0.entry(did.clone()).or_insert(Entry {
            reason: String::new(),
            at_ms: 0,
            times: 0,
        });
        entry.times = entry.times.saturating_add(1);
        reason.clone_into(&mut entry.reason);
        entry.at_ms = now_ms;
        let doublings = (entry.times - 1).min(16);
        FIRST_BAN_MS
            .saturating_mul(1 << doublings)
            .min(LONGEST_BAN_MS)
    }

    /// It is well with this node now.
    pub fn clear(&mut self, did: &Did) {
        self.0.remove(did);
    }

    /// The nodes, latest first.
    pub fn list(&self) -> Vec<(&Did, &Entry)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at_ms));
        all
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;

    fn did(seed: u8) -> Did {
        SigningIdentity::from_seed(&[seed; 32]).did().clone()
    }

    #[test]
    fn a_guest_is_asked_until_it_answers_and_sent_away_when_its_time_is_up() {
        let mut door = Door::default();
        let (silent, member) = (did(1), did(2));
        door.arrived(silent.clone(), 1_000);
        door.arrived(member.clone(), 1_000);
        let asked = door.due(1_000);
        assert_eq!(asked.len(), 2);
        assert!(door.due(1_500).is_empty());
        let guest = door.guest(&member).unwrap();
        (guest.admitted, guest.welcomed) = (true, true);
        assert_eq!(door.undecided(), 1);
        assert_eq!(door.due(3_000), [Due::Ask(silent.clone())]);
        door.answered(&silent);
        assert!(door.due(9_000).is_empty());
        assert_eq!(door.due(11_000), [Due::Expired(silent.clone())]);
        assert!(door.leaving(&silent) && !door.leaving(&silent));
        assert!(door.due(99_000).is_empty());
        assert_eq!(door.undecided(), 0);
        // It comes back: its time starts anew.
        door.left(&silent);
        door.arrived(silent.clone(), 100_000);
        assert_eq!(door.due(100_000), [Due::Ask(silent)]);
    }

    #[test]
    fn each_refusal_in_a_row_keeps_away_for_longer() {
        let mut ledger = Ledger::default();
        let one = did(1);
        let times: Vec<u64> = (0..9).map(|n| ledger.note(&one, "no", n)).collect();
        assert_eq!(times[..3], [15_000, 30_000, 60_000]);
        assert_eq!(times[8], LONGEST_BAN_MS);
        assert_eq!(ledger.list()[0].1.times, 9);
        ledger.clear(&one);
        assert_eq!(ledger.note(&one, "no", 9), 15_000);
        for seed in 2..=u8::MAX {
            ledger.note(&did(seed), "no", u64::from(seed) + 100);
        }
        ledger.note(&did(0), "no", 1_000);
        ledger.note(
            &SigningIdentity::from_seed(&[[1; 16], [2; 16]].concat().try_into().unwrap())
                .did()
                .clone(),
            "no",
            2_000,
        );
        assert!(ledger.list().len() <= MAX_REMEMBERED);
        assert_eq!(ledger.list()[0].1.at_ms, 2_000);
    }
}
