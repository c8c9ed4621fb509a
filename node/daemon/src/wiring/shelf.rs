//! The credentials a node keeps, each verified once. Pure: documents and the time come in.

use std::{collections::BTreeMap, sync::Arc};

use pagi_credentials::{Claims, CredentialError, ProofError, StatusList, Verified, verify};
use pagi_messages::Did;
use pagi_reputation::{Flow, Standing, Vouch, standings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vouches::Heard;

/// How long standings count as they were reckoned, seconds: vouches lose weight in days.
const RECKONED_S: u64 = 10;
/// How long they do for what asks often, seconds.
const GOOD_FOR_S: u64 = 60;
/// How long others' credentials are kept after their end, seconds.
const KEPT_ON_S: u64 = 24 * 3600;
/// Later than the end of any credential, seconds since 1970: the year 9999.
const FAR_S: u64 = 253_402_300_799;

/// A credential as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    pub document: Value,
    /// Whether a twin of this node issued it.
    pub own: bool,
    /// Whether it is told to the swarm.
    pub public: bool,
}

#[derive(Debug)]
struct Slot {
    kept: Kept,
    /// What it says, once its signature was found to hold.
    verified: Option<Verified>,
    /// When it ends, seconds since 1970; one that never holds has ended.
    until_s: Option<u64>,
}

/// Everybody's standing.
pub type Standings = Arc<BTreeMap<Did, Standing>>;

#[derive(Debug)]
struct Reckoned {
    roots: Vec<Did>,
    at_s: u64,
    standings: Standings,
}

/// The credentials and the status lists that are known, by the id of the one and the issuer of the
/// other.
#[derive(Debug, Default)]
pub struct Shelf {
    slots: BTreeMap<String, Slot>,
    lists: BTreeMap<Did, (StatusList, Value)>,
    reckoned: Option<Reckoned>,
}

/// What becomes of a notice that is refused for `error`. Clocks differ and a message takes its time:
/// what is only early or late is no fault of who passed it on.
pub fn refused(error: &CredentialError) -> Heard {
    match error {
        CredentialError::NotYetValid { .. }
        | CredentialError::Expired { .. }
        | CredentialError::Proof(ProofError::Expired { .. }) => Heard::Known,
        _ => Heard::Bad(error.to_string()),
    }
}

fn seconds(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

impl Slot {
    fn new(kept: Kept, now_s: u64) -> Self {
        let verified = verify(&kept.document, now_s).ok();
        let until_s = match &verified {
            Some(verified) => verified.valid_until_s.map(seconds),
            // Its time is over, or has not come, or it was damaged.
            None => match verify(&kept.document, FAR_S) {
                Ok(verified) => verified.valid_until_s.map(seconds),
                Err(CredentialError::Expired { valid_until, .. }) => Some(seconds(valid_until)),
                Err(_) => Some(0),
            },
        };
        Self {
            kept,
            verified,
            until_s,
        }
    }

    /// What it says, where it holds at `now_s`.
    fn at(&mut self, now_s: u64) -> Option<&Verified> {
        if self.until_s.is_some_and(|until| until < now_s) {
            return None;
        }
        // One that came early may hold by now; and a proof may end before what it proves.
        if self.verified.is_none() || !self.kept.document["proof"]["expires"].is_null() {
            self.verified = verify(&self.kept.document, now_s).ok();
        }
        self.verified.as_ref().filter(|verified| {
            verified
                .valid_from_s
                .is_none_or(|from| seconds(from) <= now_s)
        })
    }
}

impl Shelf {
    /// A shelf of stored credentials and status lists.
    pub fn new(
        kept: impl IntoIterator<Item = (String, Kept)>,
        lists: impl IntoIterator<Item = Value>,
        now_s: u64,
    ) -> Self {
        let slots = kept
            .into_iter()
            .map(|(id, kept)| (id, Slot::new(kept, now_s)));
        let lists = lists.into_iter().filter_map(|document| {
            let list = StatusList::verify(&document, now_s).ok()?;
            Some((list.issuer.clone(), (list, document)))
        });
        Self {
            slots: slots.collect(),
            lists: lists.collect(),
            reckoned: None,
        }
    }

    /// Puts a credential up, or another in its place.
    pub fn put(&mut self, id: String, kept: Kept, now_s: u64) {
        self.slots.insert(id, Slot::new(kept, now_s));
        self.reckoned = None;
    }

    /// Takes credentials away.
    pub fn remove(&mut self, ids: &[String]) {
        for id in ids {
            self.slots.remove(id);
        }
        self.reckoned = None;
    }

    /// Puts up an issuer's status list.
    pub fn put_list(&mut self, list: StatusList, document: Value) {
        self.lists.insert(list.issuer.clone(), (list, document));
        self.reckoned = None;
    }

    /// How many credentials there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// A credential.
    pub fn get(&self, id: &str) -> Option<&Kept> {
        self.slots.get(id).map(|slot| &slot.kept)
    }

    /// All credentials, by id.
    pub fn all(&self) -> Vec<(String, Kept)> {
        let all = self.slots.iter();
        all.map(|(id, slot)| (id.clone(), slot.kept.clone()))
            .collect()
    }

    /// The status list known of an issuer.
    pub fn list(&self, issuer: &Did) -> Option<&StatusList> {
        self.lists.get(issuer).map(|(list, _)| list)
    }

    /// Whether `did` issued a credential that is kept.
    pub fn is_issuer(&self, did: &Did) -> bool {
        self.slots
            .values()
            .any(|slot| slot.kept.document["issuer"] == did.as_str())
    }

    /// Whether a credential that is kept is by `did`, or about it.
    pub fn concerns(&self, did: &Did) -> bool {
        self.is_issuer(did)
            || self
                .slots
                .values()
                .any(|slot| slot.kept.document["credentialSubject"]["id"] == did.as_str())
    }

    /// What is told to others at `now_s`: credentials that hold, and status lists; at most `limit` of
    /// each.
    pub fn public(&mut self, limit: usize, now_s: u64) -> (Vec<String>, Vec<String>) {
        let credentials = self
            .slots
            .values_mut()
            .filter(|slot| slot.kept.public)
            .filter_map(|slot| {
                slot.at(now_s)?;
                Some(&slot.kept.document)
            })
            .take(limit)
            .map(Value::to_string);
        let lists = self.lists.values().take(limit);
        (
            credentials.collect(),
            lists.map(|(_, document)| document.to_string()).collect(),
        )
    }

    /// Credentials heard of from others that ended a day ago or longer. What a user brought for this
    /// node alone stays, and so does what cannot be read.
    pub fn over(&self, now_s: u64) -> Vec<String> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.kept.public && !slot.kept.own)
            .filter(|(_, slot)| {
                slot.until_s
                    .is_some_and(|until| until > 0 && until.saturating_add(KEPT_ON_S) < now_s)
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Everybody's standing as it was last reckoned, where that was not long before `now_s` and nothing
    /// changed since.
    pub fn reckoned(&self, now_s: u64) -> Option<Standings> {
        let reckoned = self.reckoned.as_ref()?;
        (now_s.abs_diff(reckoned.at_s) < GOOD_FOR_S).then(|| reckoned.standings.clone())
    }

    /// Everybody's standing as `roots` see it at `now_s`, at most a few seconds old.
    pub fn standings(&mut self, roots: Vec<Did>, now_s: u64) -> Standings {
        if let Some(reckoned) = &self.reckoned
            && reckoned.roots == roots
            && (reckoned.at_s..reckoned.at_s + RECKONED_S).contains(&now_s)
        {
            return reckoned.standings.clone();
        }
        let lists = &self.lists;
        let vouches: Vec<Vouch> = self
            .slots
            .values_mut()
            .filter_map(|slot| slot.at(now_s))
            .filter(|verified| {
                let list = lists.get(&verified.issuer);
                list.is_none_or(|(list, _)| verified.check_status(list).is_ok())
            })
            .filter_map(|verified| match &verified.claims {
                Claims::Reputation {
                    reputation_score, ..
                } => Some(Vouch {
                    issuer: verified.issuer.clone(),
                    subject: verified.subject.clone(),
                    score: *reputation_score,
                    issued_s: verified.valid_from_s.map_or(0, seconds),
                    until_s: verified.valid_until_s.map(seconds),
                }),
                _ => None,
            })
            .collect();
        let found = Arc::new(standings(&roots, &vouches, &Flow::default(), now_s));
        self.reckoned = Some(Reckoned {
            roots,
            at_s: now_s,
            standings: found.clone(),
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use pagi_credentials::issue;
    use pagi_messages::SigningIdentity;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn who(seed: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[seed; 32])
    }

    fn vouch(by: u8, subject: u8, from: u64, until: u64) -> Value {
        let claims = Claims::Reputation {
            reputation_score: 1.0,
            contributions: json!([]),
        };
        issue(&who(by), who(subject).did(), &claims, from, until, None).unwrap()
    }

    fn kept(document: Value, own: bool) -> Kept {
        Kept {
            document,
            own,
            public: true,
        }
    }

    #[test]
    fn what_is_early_or_late_is_no_fault_of_who_passed_it_on() {
        let one = vouch(1, 2, NOW, NOW + 60);
        for now in [NOW - 1, NOW + 61] {
            assert_eq!(refused(&verify(&one, now).unwrap_err()), Heard::Known);
        }
        let mut proof_over = one.clone();
        proof_over["proof"]["expires"] = json!("2001-01-01T00:00:00Z");
        let list = StatusList::new(who(1).did()).issue(&who(1), NOW).unwrap();
        let early = StatusList::verify(&list, NOW - 1).unwrap_err();
        assert_eq!(refused(&early), Heard::Known);
        // What is forged or malformed is, whatever the time.
        let mut forged = one.clone();
        forged["credentialSubject"]["reputation_score"] = json!(0.5);
        let mut stretched = one.clone();
        stretched["validUntil"] = json!("2100-01-01T00:00:00Z");
        for bad in [forged, stretched, proof_over, json!({}), json!("x")] {
            let refused = refused(&verify(&bad, NOW + 61).unwrap_err());
            assert!(matches!(refused, Heard::Bad(_)), "{bad}: {refused:?}");
        }
    }

    #[test]
    fn what_is_over_is_told_to_nobody_counts_for_nothing_and_goes() {
        let (short, long, old) = (
            vouch(1, 2, NOW - 90, NOW + 10),
            vouch(1, 3, NOW - 90, NOW + 1_000_000),
            vouch(1, 4, NOW - 90, NOW - 10),
        );
        let own = vouch(9, 5, NOW - 90, NOW + 10);
        let documents = [("short", short, false), ("long", long.clone(), false)];
        let rest = [("old", old, false), ("own", own, true)];
        let all = documents.into_iter().chain(rest);
        let all = all.map(|(id, document, own)| (id.to_owned(), kept(document, own)));
        let mut shelf = Shelf::new(all, [], NOW);
        let mut brought = kept(vouch(1, 6, NOW - 90, NOW - 10), false);
        brought.public = false;
        shelf.put("brought".to_owned(), brought, NOW);
        shelf.put("damaged".to_owned(), kept(json!({"a": 1}), false), NOW);
        assert_eq!(shelf.public(10, NOW).0.len(), 3);
        assert_eq!(shelf.public(2, NOW).0.len(), 2);
        assert_eq!(shelf.public(10, NOW + 11).0, [long.to_string()]);
        let roots = vec![who(1).did().clone()];
        let standing = |shelf: &mut Shelf, of: u8, now| {
            let found = shelf.standings(roots.clone(), now);
            found.get(who(of).did()).map_or(0.0, |one| one.standing)
        };
        assert!(standing(&mut shelf, 2, NOW) > 0.0);
        assert_eq!(standing(&mut shelf, 4, NOW), 0.0);
        assert_eq!(standing(&mut shelf, 2, NOW + 11), 0.0);
        assert!(standing(&mut shelf, 3, NOW + 11) > 0.0);
        assert!(shelf.over(NOW + 60).is_empty(), "it is kept for a while");
        let over = shelf.over(NOW + 2 * KEPT_ON_S);
        assert_eq!(over, ["old", "short"]);
        shelf.remove(&over);
        assert_eq!(shelf.len(), 4);
        assert!(shelf.get("own").is_some() && shelf.get("old").is_none());
    }

    #[test]
    fn signatures_are_checked_once_and_standings_reckoned_when_something_changed() {
        let one = vouch(1, 2, NOW, NOW + 1_000_000);
        let mut shelf = Shelf::new([("one".to_owned(), kept(one, false))], [], NOW);
        let roots = vec![who(1).did().clone()];
        let first = shelf.standings(roots.clone(), NOW);
        // Were the document read again, its signature would not hold now.
        if let Some(slot) = shelf.slots.get_mut("one") {
            slot.kept.document["credentialSubject"]["reputation_score"] = json!(0.25);
        }
        assert!(Arc::ptr_eq(
            &first,
            &shelf.standings(roots.clone(), NOW + 1)
        ));
        let soon = shelf.reckoned(NOW + GOOD_FOR_S - 1).unwrap();
        assert!(Arc::ptr_eq(&first, &soon));
        assert!(shelf.reckoned(NOW + GOOD_FOR_S).is_none());
        let later = shelf.standings(roots.clone(), NOW + RECKONED_S);
        assert!(later[who(2).did()].standing > 0.0);
        let two = vouch(2, 3, NOW, NOW + 1_000_000);
        shelf.put("two".to_owned(), kept(two, false), NOW + RECKONED_S);
        let changed = shelf.standings(roots.clone(), NOW + RECKONED_S);
        assert!(changed[who(3).did()].standing > 0.0);
        let list = {
            let mut list = StatusList::new(who(2).did());
            list.revoke(0);
            list.issue(&who(2), NOW).unwrap()
        };
        shelf.put_list(StatusList::verify(&list, NOW).unwrap(), list);
        assert!(shelf.reckoned(NOW).is_none());
        let other = vec![who(2).did().clone()];
        assert_eq!(
            shelf.standings(other, NOW + RECKONED_S)[who(2).did()].standing,
            1.0
        );
    }

    #[test]
    fn one_that_comes_early_holds_when_its_time_comes() {
        let early = vouch(1, 2, NOW + 100, NOW + 1_000);
        let mut shelf = Shelf::new([("one".to_owned(), kept(early, false))], [], NOW);
        assert!(shelf.public(9, NOW).0.is_empty() && shelf.over(NOW).is_empty());
        assert_eq!(shelf.public(9, NOW + 100).0.len(), 1);
    }
}
