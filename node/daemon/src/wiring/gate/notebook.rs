//! What members told of admissions and revocations, as it is handed on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use pagi_bootstrap::{Admittance, invitation_id};
use pagi_messages::{Did, Signed, content::ContentError};

use super::wire::{MAX_PROOF, Notice};

/// The notices that count: of each use of an invitation, the word it is counted by.
#[derive(Default)]
pub struct Notebook {
    /// In the order they were taken; a better word takes the place of the one before.
    notices: Vec<Notice>,
    known: BTreeSet<Cid>,
    /// Where the word on a use of an invitation is among the notices.
    uses: BTreeMap<(Did, Cid), usize>,
    /// The exclusive or of the notices' hashes.
    digest: [u8; 32],
    /// Who let whom in first.
    admittances: BTreeMap<Did, Signed<Admittance>>,
}

impl Notebook {
    /// Whether this very notice is in it.
    pub fn has(&self, id: &Cid) -> bool {
        self.known.contains(id)
    }

    /// Writes down a notice that the gatekeeper took.
    ///
    /// # Errors
    /// [`ContentError::Encode`] where it has no canonical bytes.
    pub fn write(&mut self, notice: Notice) -> Result<(), ContentError> {
        let id = notice.id()?;
        if self.known.contains(&id) {
            return Ok(());
        }
        let place = match &notice {
            Notice::Revocation(_) => None,
            Notice::Admittance(signed) => {
                let body = &signed.body;
                // What its subject says later is judged by the earliest.
                let first = self
                    .admittances
                    .get(&body.peer)
                    .is_none_or(|known| body.at_ms <= known.body.at_ms);
                if first {
                    self.admittances
                        .insert(body.peer.clone(), (**signed).clone());
                }
                Some((body.peer.clone(), invitation_id(&body.invitation)?))
            }
        };
        let before = place.as_ref().and_then(|place| self.uses.get(place));
        if let Some(before) = before.and_then(|index| self.notices.get_mut(*index)) {
            let before = std::mem::replace(before, notice).id()?;
            self.known.remove(&before);
            self.count(&before);
        } else {
            if let Some(place) = place {
                self.uses.insert(place, self.notices.len());
            }
            self.notices.push(notice);
        }
        self.count(&id);
        self.known.insert(id);
        Ok(())
    }

    /// Counts a notice into the digest, or out of it.
    fn count(&mut self, id: &Cid) {
        for (sum, byte) in self.digest.iter_mut().zip(id.hash().digest()) {
            *sum ^= byte;
        }
    }

    /// What all notices come to, whatever their order.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// All of them, in order.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// What proves that a node is in: who let it in, and so on up to a founder, a founder's word
    /// first.
    pub fn proof(&self, did: &Did) -> Vec<Signed<Admittance>> {
        let mut proof: Vec<Signed<Admittance>> = Vec::new();
        let mut at = did;
        while let Some(admittance) = self.admittances.get(at) {
            if proof.len() >= MAX_PROOF || proof.iter().any(|seen| seen.body.peer == *at) {
                break;
            }
            proof.push(admittance.clone());
            at = &admittance.author;
        }
        proof.reverse();
        proof
    }
}

#[cfg(test)]
mod tests {
    use pagi_bootstrap::{Invitation, Nonce, Revocation};
    use pagi_messages::{SigningIdentity, Verified, cid_of};

    use super::*;

    fn who(seed: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[seed; 32])
    }

    fn admittance(by: u8, peer: u8, nonce: u8, at_ms: u64) -> Notice {
        let swarm = cid_of(b"swarm");
        let invitation = Invitation {
            swarm,
            invitee: None,
            issued_ms: 0,
            not_after_ms: 1_000_000,
            max_uses: Some(1),
            key: None,
            delegation: None,
            nonce: Nonce::new([nonce; 16]),
        };
        let body = Admittance {
            swarm,
            peer: who(peer).did().clone(),
            invitation: Verified::sign(&who(1), invitation).unwrap().into_signed(),
            claim: None,
            at_ms,
        };
        let signed = Verified::sign(&who(by), body).unwrap().into_signed();
        Notice::Admittance(Box::new(signed))
    }

    fn authors(proof: &[Signed<Admittance>]) -> Vec<Did> {
        proof.iter().map(|one| one.author.clone()).collect()
    }

    #[test]
    fn of_a_use_of_an_invitation_one_word_is_kept() {
        let revocation = Revocation {
            swarm: cid_of(b"swarm"),
            targets: Vec::new(),
            issued_ms: 1,
        };
        let revocation = Verified::sign(&who(1), revocation).unwrap().into_signed();
        let revocation = Notice::Revocation(revocation);
        let mut book = Notebook::default();
        book.write(revocation.clone()).unwrap();
        let words: Vec<Notice> = (0..50).map(|n| admittance(2, 8, 1, 1_000 - n)).collect();
        for word in &words {
            book.write(word.clone()).unwrap();
            book.write(word.clone()).unwrap();
        }
        let last = words.last().unwrap();
        assert_eq!(book.notices(), [revocation.clone(), last.clone()]);
        assert!(book.has(&last.id().unwrap()) && !book.has(&words[0].id().unwrap()));
        // One that only heard the last word holds the same.
        let mut other = Notebook::default();
        for notice in [last, &revocation] {
            other.write(notice.clone()).unwrap();
        }
        assert_eq!(book.digest(), other.digest());
        // Another invitation is another use.
        book.write(admittance(2, 8, 2, 990)).unwrap();
        assert_eq!(book.notices().len(), 3);
    }

    #[test]
    fn a_proof_leads_up_to_a_founder_by_the_earliest_words() {
        let mut book = Notebook::default();
        for notice in [
            admittance(1, 2, 1, 100),
            admittance(2, 3, 2, 300),
            admittance(1, 3, 3, 200),
            admittance(3, 4, 4, 400),
            admittance(4, 4, 5, 500),
        ] {
            book.write(notice).unwrap();
        }
        let did = |seed: u8| who(seed).did().clone();
        assert_eq!(authors(&book.proof(&did(4))), [did(1), did(3)]);
        assert!(book.proof(&did(9)).is_empty());
    }
}
