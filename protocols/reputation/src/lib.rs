//! How far to believe whom. Pure: vouches, roots and the time come in, standings come out.
//!
//! Trust starts at the node's own roots and flows along vouches, outwards only: from a nearer ring to a
//! farther one, never within a ring and never back. What somebody holds is divided among those they
//! vouch for and loses a part with each step. So
//!
//! - nobody the roots do not reach has any standing, however many vouch for them;
//! - all whom one member brought in hold together no more than that member passed on, whatever they
//!   say of each other: a closed clique cannot lift itself, and a thousand names are worth one;
//! - a vouch loses weight with age, and none is left when its time is up.

use std::collections::BTreeMap;

use pagi_messages::Did;
use serde::{Deserialize, Serialize};

/// How trust flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// What is left of trust after one step, 0 to 1.
    pub passed_on: f64,
    /// Time after which a vouch weighs half, seconds.
    pub half_life_s: u64,
    /// Rings beyond which nothing is passed on.
    pub max_rings: usize,
}

impl Default for Flow {
    /// 0.8 a step, half in 90 days, six rings.
    fn default() -> Self {
        Self {
            passed_on: 0.8,
            half_life_s: 90 * 24 * 3600,
            max_rings: 6,
        }
    }
}

/// One member's word on another, from a credential that was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vouch {
    /// Who says it.
    pub issuer: Did,
    /// Of whom.
    pub subject: Did,
    /// How well, cut to 0 to 1; a score below zero warns of the subject.
    pub score: f64,
    /// When it was given, seconds since 1970.
    pub issued_s: u64,
    /// When it ends, seconds since 1970.
    pub until_s: Option<u64>,
}

/// What came from one issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Who vouches.
    pub issuer: Did,
    /// The issuer's own standing.
    pub issuer_standing: f64,
    /// The score it gave.
    pub score: f64,
    /// What age has left of the vouch, 0 to 1.
    pub freshness: f64,
    /// What it adds to the standing; below zero for a warning.
    pub adds: f64,
}

/// How far one is believed, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// From 0 (a stranger) to 1 (a root).
    pub standing: f64,
    /// Steps from the roots; `None` where none leads there.
    pub ring: Option<usize>,
    /// What it is made of.
    pub shares: Vec<Share>,
    /// Vouches that count for nothing here: their issuers are not believed, or no nearer to the roots.
    pub ignored: usize,
}

impl Vouch {
    /// What age has left of it at `now_s`, 0 to 1.
    fn freshness(&self, flow: &Flow, now_s: u64) -> f64 {
        if self.until_s.is_some_and(|until| until < now_s) {
            return 0.0;
        }
        let age = now_s.saturating_sub(self.issued_s) as f64;
        0.5_f64.powf(age / flow.half_life_s.max(1) as f64)
    }

    fn weight(&self, flow: &Flow, now_s: u64) -> f64 {
        if !self.score.is_finite() {
            return 0.0;
        }
        self.score.clamp(-1.0, 1.0) * self.freshness(flow, now_s)
    }
}

/// The standing of everybody whom vouches name, at `now_s` (seconds since 1970), as `roots` see it.
/// Only the newest vouch of an issuer for a subject counts, and none for oneself.
#[must_use]
pub fn standings(
    roots: &[Did],
    vouches: &[Vouch],
    flow: &Flow,
    now_s: u64,
) -> BTreeMap<Did, Standing> {
    let mut newest: BTreeMap<(&Did, &Did), &Vouch> = BTreeMap::new();
    for vouch in vouches.iter().filter(|vouch| vouch.issuer != vouch.subject) {
        let place = newest
            .entry((&vouch.issuer, &vouch.subject))
            .or_insert(vouch);
        let newness = |vouch: &Vouch| (vouch.issued_s, vouch.score.to_bits());
        if newness(vouch) > newness(place) {
            *place = vouch;
        }
    }
    let mut by_issuer: BTreeMap<&Did, Vec<(&Vouch, f64)>> = BTreeMap::new();
    let mut named: BTreeMap<Did, Standing> = BTreeMap::new();
    for &vouch in newest.values() {
        named.entry(vouch.subject.clone()).or_default();
        let weight = vouch.weight(flow, now_s);
        if weight != 0.0 {
            by_issuer
                .entry(&vouch.issuer)
                .or_default()
                .push((vouch, weight));
        }
    }
    for root in roots {
        named.insert(
            root.clone(),
            Standing {
                standing: 1.0,
                ring: Some(0),
                ..Standing::default()
            },
        );
    }

    // Ring by ring: when a ring passes on, nothing is added to it any more.
    let mut ring: Vec<Did> = roots.to_vec();
    ring.sort();
    ring.dedup();
    for step in 1..=flow.max_rings {
        let mut next: Vec<Did> = Vec::new();
        let mut warned: Vec<(Did, Share)> = Vec::new();
        for issuer in &ring {
            let held = named.get(issuer).map_or(0.0, |one| one.standing);
            let given = by_issuer.get(issuer).map_or(&[][..], Vec::as_slice);
            // What one vouches with beyond a whole is divided, so that nobody passes on more than
            // they have.
            let outward = |vouch: &Vouch| {
                named
                    .get(&vouch.subject)
                    .is_some_and(|one| one.ring.is_none_or(|ring| ring >= step))
            };
            let total: f64 = given
                .iter()
                .filter(|(vouch, _)| outward(vouch))
                .map(|(_, weight)| weight.abs())
                .sum();
            let mut shares = Vec::new();
            for (vouch, weight) in given.iter().filter(|(vouch, _)| outward(vouch)) {
                let adds = held * flow.passed_on * weight / total.max(1.0);
                shares.push((
                    vouch.subject.clone(),
                    Share {
                        issuer: issuer.clone(),
                        issuer_standing: held,
                        score: vouch.score,
                        freshness: vouch.freshness(flow, now_s),
                        adds,
                    },
                ));
            }
            for (subject, share) in shares {
                if share.adds < 0.0 {
                    warned.push((subject, share));
                    continue;
                }
                if let Some(one) = named.get_mut(&subject) {
                    if one.ring.is_none() {
                        one.ring = Some(step);
                        next.push(subject);
                    }
                    one.shares.push(share);
                }
            }
        }
        // A warning takes from whom this ring reached, and brings nobody in.
        for (subject, share) in warned {
            if let Some(one) = named.get_mut(&subject)
                && one.ring == Some(step)
            {
                one.shares.push(share);
            }
        }
        for did in &next {
            if let Some(one) = named.get_mut(did) {
                let sum: f64 = one.shares.iter().map(|share| share.adds).sum();
                one.standing = sum.clamp(0.0, 1.0);
            }
        }
        next.sort();
        ring = next;
    }
    for vouch in newest.values() {
        if let Some(one) = named.get_mut(&vouch.subject)
            && !one.shares.iter().any(|share| share.issuer == vouch.issuer)
        {
            one.ignored += 1;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn did(n: u16) -> Did {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        SigningIdentity::from_seed(&seed).did().clone()
    }

    fn vouch(issuer: u16, subject: u16, score: f64) -> Vouch {
        Vouch {
            issuer: did(issuer),
            subject: did(subject),
            score,
            issued_s: NOW,
            until_s: None,
        }
    }

    fn of(roots: &[u16], vouches: &[Vouch]) -> BTreeMap<Did, Standing> {
        let roots: Vec<Did> = roots.iter().map(|n| did(*n)).collect();
        standings(&roots, vouches, &Flow::default(), NOW)
    }

    #[test]
    fn trust_flows_outwards_and_is_explained() {
        let seen = of(
            &[0],
            &[
                vouch(0, 1, 1.0),
                vouch(1, 2, 0.5),
                vouch(2, 1, 1.0),
                vouch(9, 2, 1.0),
                vouch(2, 2, 1.0),
            ],
        );
        let (one, two) = (&seen[&did(1)], &seen[&did(2)]);
        assert!((one.standing - 0.8).abs() < 1e-9 && one.ring == Some(1));
        assert!((two.standing - 0.32).abs() < 1e-9 && two.ring == Some(2));
        // From farther out nothing flows back, and a stranger's word is none.
        assert_eq!((one.shares.len(), one.ignored), (1, 1));
        assert_eq!((two.shares[0].issuer.clone(), two.ignored), (did(1), 1));
        assert_eq!(seen[&did(0)].standing, 1.0);
        assert!(!seen.contains_key(&did(9)));
    }

    #[test]
    fn vouches_age_end_are_replaced_and_warn() {
        let old = Vouch {
            issued_s: NOW - Flow::default().half_life_s,
            ..vouch(0, 1, 1.0)
        };
        assert!((of(&[0], std::slice::from_ref(&old))[&did(1)].standing - 0.4).abs() < 1e-9);
        let over = Vouch {
            until_s: Some(NOW - 1),
            ..vouch(0, 1, 1.0)
        };
        assert_eq!(of(&[0], &[over])[&did(1)].standing, 0.0);
        // The newer word of one issuer counts alone.
        let seen = of(&[0], &[old, vouch(0, 1, 0.0)]);
        assert_eq!(seen[&did(1)].standing, 0.0);
        // A warning takes from what others gave, and brings nobody in.
        let seen = of(
            &[0, 5],
            &[vouch(0, 1, 0.5), vouch(5, 1, -1.0), vouch(5, 2, -1.0)],
        );
        assert_eq!(seen[&did(1)].standing, 0.0);
        assert_eq!((seen[&did(2)].standing, seen[&did(2)].ring), (0.0, None));
        let odd = of(&[0], &[vouch(0, 1, f64::NAN), vouch(0, 2, 1e300)]);
        assert_eq!((odd[&did(1)].standing, odd[&did(2)].standing), (0.0, 0.8));
    }

    #[test]
    fn a_thousand_who_vouch_for_each_other_are_worth_what_one_brought_in() {
        let mut vouches: Vec<Vouch> = (1..=20).map(|n| vouch(0, n, 0.9)).collect();
        for n in 100u16..1_100 {
            for step in [1, 7, 31] {
                vouches.push(vouch(n, 100 + (n - 100 + step) % 1_000, 1.0));
            }
        }
        let fakes = |seen: &BTreeMap<Did, Standing>| -> (f64, f64) {
            let each = (100..1_100).map(|n| seen[&did(n)].standing);
            (each.clone().fold(0.0, f64::max), each.sum())
        };
        let honest = |seen: &BTreeMap<Did, Standing>| {
            (1..=20)
                .map(|n| seen[&did(n)].standing)
                .fold(f64::MAX, f64::min)
        };
        let seen = of(&[0], &vouches);
        assert_eq!(fakes(&seen), (0.0, 0.0));
        assert!(honest(&seen) > 0.03);
        // One honest member is taken in by one of them, and by fifty.
        for attacks in [1u16, 50] {
            let mut taken_in = vouches.clone();
            taken_in.extend((0..attacks).map(|n| vouch(1, 100 + n * 20, 0.9)));
            let seen = of(&[0], &taken_in);
            let (best, sum) = fakes(&seen);
            assert!(best < honest(&seen), "{best} {}", honest(&seen));
            // Five rings of 0.8 each of what the one holds.
            assert!(sum < 4.0 * seen[&did(1)].standing, "{sum}");
        }
    }

    proptest! {
        #[test]
        fn a_clique_is_bounded_by_its_sponsor_whatever_it_says(
            inside in proptest::collection::vec((10u16..30, 10u16..30, 0.0f64..1.0), 0..200),
            score in 0.1f64..1.0,
        ) {
            let mut vouches = vec![vouch(0, 1, 1.0), vouch(1, 10, score)];
            vouches.extend(inside.iter().map(|(a, b, score)| vouch(*a, *b, *score)));
            let seen = of(&[0], &vouches);
            let bound = 0.8 * seen[&did(1)].standing * score + 1e-9;
            for n in 10..30 {
                if let Some(one) = seen.get(&did(n)) {
                    prop_assert!(one.standing <= bound, "{n}: {} > {bound}", one.standing);
                }
            }
            let mut turned = vouches.clone();
            turned.reverse();
            let again = of(&[0], &turned);
            for (did, one) in &seen {
                prop_assert!((one.standing - again[did].standing).abs() < 1e-9);
            }
        }
    }
}
