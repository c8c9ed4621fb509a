//! Mail held for sleeping peers. Sans-IO: the machine decides, and its driver stores.
//!
//! A peer leases a box of a node by a signed [`Lease`], which is also how others learn where its mail
//! goes. Sealed letters are put into the box and stay until the owner says it has them, or their time
//! is up. Every decision is a [`Change`]: the driver makes it durable first and then gives it back to
//! [`Mailroom::apply`], so the machine never knows more than the disk.

use std::collections::BTreeMap;

use pagi_messages::{Did, Domain, Signed, Verified};
use serde::{Deserialize, Serialize};

/// What a mailroom holds at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Boxes.
    pub boxes: usize,
    /// Letters in one box.
    pub letters: usize,
    /// Bytes in one box.
    pub box_bytes: usize,
    /// Bytes in all boxes.
    pub all_bytes: usize,
    /// Bytes of one letter.
    pub letter_bytes: usize,
    /// Longest lease, milliseconds.
    pub lease_ms: u64,
    /// How long a letter is held, milliseconds.
    pub letter_ms: u64,
}

impl Default for Quota {
    /// 1,000 boxes; 200 letters and 8 MiB in one, 128 MiB in all; 256 KiB a letter; leases of 60 days
    /// and letters of seven.
    fn default() -> Self {
        Self {
            boxes: 1_000,
            letters: 200,
            box_bytes: 8 * 1024 * 1024,
            all_bytes: 128 * 1024 * 1024,
            letter_bytes: 256 * 1024,
            lease_ms: 60 * 24 * 3_600_000,
            letter_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// The owner's word that a node may hold its mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The DID of the node that holds the mail.
    pub holder: Did,
    /// Until when, milliseconds since the Unix epoch.
    pub until_ms: u64,
}

impl Domain for Lease {
    const DOMAIN: &'static str = "mail-lease/1";
}

/// A letter's place and size; what it says is with the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its place in the box, from 1, never given twice while the box stands.
    pub seq: u64,
    /// What it is known by: the CID of its bytes.
    pub id: String,
    /// Its size.
    pub bytes: usize,
    /// When it arrived, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Until when it is held.
    pub until_ms: u64,
}

/// What is to be made durable, and then applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is so already.
    Nothing,
    /// A box is leased, or leased for longer.
    Lease(Signed<Lease>),
    /// A letter is put into a box.
    Put {
        /// Whose box.
        owner: Did,
        /// The letter.
        letter: Letter,
    },
    /// Letters are taken out.
    Remove {
        /// Whose box.
        owner: Did,
        /// Their places.
        seqs: Vec<u64>,
    },
    /// A box is given up, with what is in it.
    Close {
        /// Whose box.
        owner: Did,
        /// The places of the letters in it.
        seqs: Vec<u64>,
    },
}

/// Why a mailroom does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lease names another node.
    #[error("the lease is for the node {0}")]
    OtherHolder(Did),
    /// The lease is over, or too long.
    #[error("the lease must end within {0} days from now")]
    LeaseTime(u64),
    /// There are no more boxes.
    #[error("every box is taken")]
    NoBoxes,
    /// The addressee has no box here.
    #[error("{0} has no box here")]
    NoBox(Did),
    /// The letter is too large.
    #[error("a letter has at most {0} bytes")]
    TooLarge(usize),
    /// The box is full; there is room once its owner has been here.
    #[error("the box is full")]
    BoxFull,
    /// The mailroom is full.
    #[error("the mailroom is full")]
    Full,
}

impl Refusal {
    /// Whether the same may be done at another time.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoBoxes | Self::BoxFull | Self::Full)
    }
}

#[derive(Clone, Debug)]
struct Mailbox {
    lease: Signed<Lease>,
    letters: BTreeMap<u64, Letter>,
    bytes: usize,
    /// The place of the next letter.
    next: u64,
}

/// The boxes of one node.
#[derive(Clone, Debug)]
pub struct Mailroom {
    me: Did,
    quota: Quota,
    boxes: BTreeMap<Did, Mailbox>,
    bytes: usize,
}

impl Mailroom {
    /// The mailroom of the node `me`, empty.
    #[must_use]
    pub fn new(me: Did, quota: Quota) -> Self {
        Self {
            me,
            quota,
            boxes: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Leases the box of the lease's author, or makes its lease longer.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn lease(&self, lease: Verified<Lease>, now_ms: u64) -> Result<Change, Refusal> {
        let body = lease.body();
        if body.holder != self.me {
            return Err(Refusal::OtherHolder(body.holder.clone()));
        }
        let latest = now_ms.saturating_add(self.quota.lease_ms);
        if body.until_ms <= now_ms || body.until_ms > latest {
            return Err(Refusal::LeaseTime(self.quota.lease_ms / 86_400_000));
        }
        match self.boxes.get(lease.author()) {
            Some(known) if known.lease.body.until_ms >= body.until_ms => Ok(Change::Nothing),
            None if self.boxes.len() >= self.quota.boxes => Err(Refusal::NoBoxes),
            _ => Ok(Change::Lease(lease.into_signed())),
        }
    }

    /// Puts a letter of `bytes` bytes, known by `id`, into the box of `owner`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn put(&self, owner: &Did, id: &str, bytes: usize, now_ms: u64) -> Result<Change, Refusal> {
        if bytes > self.quota.letter_bytes {
            return Err(Refusal::TooLarge(self.quota.letter_bytes));
        }
        let mailbox = self
            .open_box(owner, now_ms)
            .ok_or_else(|| Refusal::NoBox(owner.clone()))?;
        if mailbox.letters.values().any(|letter| letter.id == id) {
            return Ok(Change::Nothing);
        }
        if mailbox.letters.len() >= self.quota.letters
            || mailbox.bytes + bytes > self.quota.box_bytes
        {
            return Err(Refusal::BoxFull);
        }
        if self.bytes + bytes > self.quota.all_bytes {
            return Err(Refusal::Full);
        }
        Ok(Change::Put {
            owner: owner.clone(),
            letter: Letter {
                seq: mailbox.next,
                id: id.to_owned(),
                bytes,
                at_ms: now_ms,
                until_ms: now_ms.saturating_add(self.quota.letter_ms),
            },
        })
    }

    /// The oldest letters in the box of `owner`, at most `limit` of them and `max_bytes` in all, but
    /// one at least where there is one.
    #[must_use]
    pub fn waiting(&self, owner: &Did, limit: usize, max_bytes: usize, now_ms: u64) -> Vec<Letter> {
        let mut found: Vec<Letter> = Vec::new();
        let mut bytes = 0;
        for letter in self.letters(owner, now_ms) {
            bytes += letter.bytes;
            if found.len() >= limit || (bytes > max_bytes && !found.is_empty()) {
                break;
            }
            found.push(letter.clone());
        }
        found
    }

    /// How many letters are in the box of `owner`, their bytes, and when the oldest arrived.
    #[must_use]
    pub fn status(&self, owner: &Did, now_ms: u64) -> (usize, usize, Option<u64>) {
        let letters = || self.letters(owner, now_ms);
        (
            letters().count(),
            letters().map(|letter| letter.bytes).sum(),
            letters().map(|letter| letter.at_ms).min(),
        )
    }

    /// The owner has the letters with these ids.
    #[must_use]
    pub fn received(&self, owner: &Did, ids: &[String]) -> Change {
        let seqs: Vec<u64> = self
            .boxes
            .get(owner)
            .into_iter()
            .flat_map(|mailbox| mailbox.letters.values())
            .filter(|letter| ids.contains(&letter.id))
            .map(|letter| letter.seq)
            .collect();
        if seqs.is_empty() {
            return Change::Nothing;
        }
        Change::Remove {
            owner: owner.clone(),
            seqs,
        }
    }

    /// What is over at `now_ms`: leases that ended, and letters nobody came for.
    #[must_use]
    pub fn over(&self, now_ms: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (owner, mailbox) in &self.boxes {
            let seqs = |all: bool| -> Vec<u64> {
                let letters = mailbox.letters.values();
                letters
                    .filter(|letter| all || letter.until_ms <= now_ms)
                    .map(|letter| letter.seq)
                    .collect()
            };
            let owner = owner.clone();
            if mailbox.lease.body.until_ms <= now_ms {
                let seqs = seqs(true);
                changes.push(Change::Close { owner, seqs });
            } else if !seqs(false).is_empty() {
                let seqs = seqs(false);
                changes.push(Change::Remove { owner, seqs });
            }
        }
        changes
    }

    /// The lease of `owner`, while it holds.
    #[must_use]
    pub fn lease_of(&self, owner: &Did, now_ms: u64) -> Option<&Signed<Lease>> {
        self.open_box(owner, now_ms).map(|mailbox| &mailbox.lease)
    }

    /// Boxes, letters and bytes held.
    #[must_use]
    pub fn held(&self) -> (usize, usize, usize) {
        let letters = self.boxes.values().map(|mailbox| mailbox.letters.len());
        (self.boxes.len(), letters.sum(), self.bytes)
    }

    /// Takes over a change that is durable now.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Lease(lease) => {
                let owner = lease.author.clone();
                match self.boxes.get_mut(&owner) {
                    Some(known) => known.lease = lease,
                    None => {
                        let mailbox = Mailbox {
                            lease,
                            letters: BTreeMap::new(),
                            bytes: 0,
                            next: 1,
                        };
                        self.boxes.insert(owner, mailbox);
                    }
                }
            }
            Change::Put { owner, letter } => {
                if let Some(mailbox) = self.boxes.get_mut(&owner) {
                    mailbox.next = mailbox.next.max(letter.seq.saturating_add(1));
                    mailbox.bytes += letter.bytes;
                    self.bytes += letter.bytes;
                    mailbox.letters.insert(letter.seq, letter);
                }
            }
            Change::Remove { owner, seqs } => self.remove(&owner, &seqs),
            Change::Close { owner, seqs } => {
                self.remove(&owner, &seqs);
                self.boxes.remove(&owner);
            }
        }
    }

    fn remove(&mut self, owner: &Did, seqs: &[u64]) {
        let Some(mailbox) = self.boxes.get_mut(owner) else {
            return;
        };
        for seq in seqs {
            if let Some(letter) = mailbox.letters.remove(seq) {
                mailbox.bytes = mailbox.bytes.saturating_sub(letter.bytes);
                self.bytes = self.bytes.saturating_sub(letter.bytes);
            }
        }
    }

    fn open_box(&self, owner: &Did, now_ms: u64) -> Option<&Mailbox> {
        self.boxes
            .get(owner)
            .filter(|mailbox| mailbox.lease.body.until_ms > now_ms)
    }

    fn letters<'a>(&'a self, owner: &Did, now_ms: u64) -> impl Iterator<Item = &'a Letter> {
        self.boxes
            .get(owner)
            .into_iter()
            .flat_map(|mailbox| mailbox.letters.values())
            .filter(move |letter| letter.until_ms > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[n; 32])
    }

    fn lease(owner: u8, until_ms: u64) -> Verified<Lease> {
        let lease = Lease {
            holder: key(9).did().clone(),
            until_ms,
        };
        Verified::sign(&key(owner), lease).unwrap()
    }

    fn room() -> Mailroom {
        let quota = Quota {
            boxes: 2,
            letters: 3,
            box_bytes: 100,
            all_bytes: 150,
            letter_bytes: 60,
            lease_ms: 1_000,
            letter_ms: 50,
        };
        Mailroom::new(key(9).did().clone(), quota)
    }

    #[test]
    fn letters_stay_until_the_owner_has_them() {
        let mut room = room();
        let (a, b) = (key(1).did().clone(), key(2).did().clone());
        assert_eq!(room.put(&a, "x", 10, 0), Err(Refusal::NoBox(a.clone())));
        let leased = room.lease(lease(1, 500), 0).unwrap();
        room.apply(leased);
        assert_eq!(room.lease(lease(1, 400), 0), Ok(Change::Nothing));
        for id in ["x", "y"] {
            let put = room.put(&a, id, 40, 1).unwrap();
            room.apply(put);
        }
        assert_eq!(room.put(&a, "x", 40, 1), Ok(Change::Nothing));
        assert_eq!(room.put(&a, "z", 40, 1), Err(Refusal::BoxFull));
        assert_eq!(room.put(&a, "z", 61, 1), Err(Refusal::TooLarge(60)));
        // Delivered twice while it was not said to have arrived.
        for _ in 0..2 {
            let waiting = room.waiting(&a, 9, 50, 2);
            assert_eq!((waiting.len(), waiting[0].id.as_str()), (1, "x"));
        }
        // Another's word changes nothing.
        assert_eq!(room.received(&b, &["x".into()]), Change::Nothing);
        let gone = room.received(&a, &["x".into(), "none".into()]);
        room.apply(gone);
        assert_eq!(room.waiting(&a, 9, 50, 2)[0].id, "y");
        assert_eq!(room.status(&a, 2), (1, 40, Some(1)));
        assert_eq!(room.held(), (1, 1, 40));

        // Letters end, and leases do.
        assert!(room.waiting(&a, 9, 50, 51).is_empty());
        assert!(matches!(&room.over(60)[..], [Change::Remove { seqs, .. }] if seqs == &[2]));
        let over = room.over(500);
        assert!(matches!(&over[..], [Change::Close { .. }]));
        over.into_iter().for_each(|change| room.apply(change));
        assert_eq!(room.held(), (0, 0, 0));
    }

    #[test]
    fn leases_are_for_this_node_and_a_while_and_boxes_are_few() {
        let mut room = room();
        assert!(matches!(
            room.lease(lease(1, 2_000), 0),
            Err(Refusal::LeaseTime(_))
        ));
        assert!(matches!(
            room.lease(lease(1, 5), 5),
            Err(Refusal::LeaseTime(_))
        ));
        let other = Lease {
            holder: key(8).did().clone(),
            until_ms: 10,
        };
        let other = Verified::sign(&key(1), other).unwrap();
        assert!(matches!(room.lease(other, 0), Err(Refusal::OtherHolder(_))));
        for owner in [1, 2] {
            let leased = room.lease(lease(owner, 500), 0).unwrap();
            room.apply(leased);
        }
        assert_eq!(room.lease(lease(3, 500), 0), Err(Refusal::NoBoxes));
        assert!(room.lease_of(key(1).did(), 499).is_some());
        assert!(room.lease_of(key(1).did(), 500).is_none());
    }

    proptest! {
        /// Whatever happens, and with a restart after any step, no box and no room is over its quota,
        /// and what was put and not received is there.
        #[test]
        fn nothing_is_lost_and_nothing_is_over_quota(
            steps in proptest::collection::vec((0u8..3, 1u8..4, 0u8..6, 1usize..70), 1..60)
        ) {
            let mut room = room();
            let mut log: Vec<Change> = Vec::new();
            let mut expected: Vec<(u8, String)> = Vec::new();
            for (what, owner, id, bytes) in steps {
                let did = key(owner).did().clone();
                let id = id.to_string();
                let change = match what {
                    0 => room.lease(lease(owner, 500), 0),
                    1 => room.put(&did, &id, bytes, 1),
                    _ => Ok(room.received(&did, std::slice::from_ref(&id))),
                };
                let Ok(change) = change else { continue };
                match &change {
                    Change::Put { .. } => expected.push((owner, id)),
                    Change::Remove { .. } => expected.retain(|kept| *kept != (owner, id.clone())),
                    _ => {}
                }
                log.push(change.clone());
                room.apply(change);
                let mut again = super::tests::room();
                log.iter().for_each(|change| again.apply(change.clone()));
                prop_assert_eq!(again.held(), room.held());
                let (boxes, letters, total) = room.held();
                prop_assert!(boxes <= 2 && total <= 150);
                prop_assert_eq!(letters, expected.len());
                for (owner, id) in &expected {
                    let waiting = room.waiting(key(*owner).did(), 99, 999, 1);
                    prop_assert!(waiting.len() <= 3);
                    prop_assert!(waiting.iter().any(|letter| letter.id == *id));
                }
            }
        }
    }
}
