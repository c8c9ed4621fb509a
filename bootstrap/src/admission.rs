//! The gatekeeper: whether a peer is let into the swarm, decided without a socket, clock or disk.
//!
//! A [`Gatekeeper`] takes [`GateInput`]s with the time and answers with ordered [`GateOutput`]s.
//! Every node of a swarm runs one and admits on its own judgement. Where an invitation may be used
//! a limited number of times, nodes tell each other of its uses by [`Admittance`]: of too many, the
//! earliest count, and every node that has heard the same arrives at the same members.

mod io;

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use pagi_messages::{Did, Signed, Verified, wire::MAX_CLOCK_SKEW_MS};

use crate::{
    claim::{self, Claim},
    genesis::{Admission, SwarmBlock},
    invitation::{
        Invitation, Refusal, Revocation, RevocationTarget, Standing, invitation_id, standing,
    },
};
pub use io::{Admittance, Basis, GateInput, GateOutput, GateRecord, MAX_PRESENTED};

/// Most revocations a gatekeeper keeps.
pub const MAX_REVOCATIONS: usize = 10_000;
/// Most invitations whose uses are tracked at a time.
const MAX_TRACKED: usize = 10_000;
/// How often a member may correct what it said of one use of an invitation, and by how many it may
/// say more uses than there are. An honest one does neither.
const MAX_CORRECTIONS: usize = 4;

#[derive(Clone, Debug)]
struct Uses {
    not_after_ms: u64,
    max_uses: Option<u32>,
    /// Who came by it, and when.
    by: BTreeMap<Did, u64>,
    /// Which members said of whom that they came by it, and how often.
    said: BTreeMap<Did, BTreeMap<Did, usize>>,
}

impl Uses {
    fn most(&self) -> usize {
        self.max_uses.map_or(usize::MAX, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        })
    }

    /// Whether `author` may have something counted that it says of `peer`.
    fn listens(&self, author: &Did, peer: &Did) -> bool {
        let Some(said) = self.said.get(author) else {
            return true;
        };
        match said.get(peer) {
            Some(times) => *times < MAX_CORRECTIONS,
            None => said.len() < self.most().saturating_add(MAX_CORRECTIONS),
        }
    }
}

/// Decides who is in, by what this node knows.
///
/// # Known limits
/// - Until nodes have heard of each other's admittances, a single-use invitation without an invitee
///   can be used once in each part of a divided swarm. Naming the invitee rules that out.
/// - A member who admits dates the admittance, at the earliest to when it came in itself. A dishonest
///   one that holds the same join string for several as those who came after it can so displace them.
///   Who has not held a string can let nobody in by it, and displace nobody.
/// - What a member says is counted a few times for each use of an invitation. One that says different
///   things to different nodes more often than that can keep them apart over who of those with its
///   own join string is in.
/// - An invitation for whoever holds it that names no key, as earlier releases made them, can be used
///   by every member that heard of one of its uses.
/// - A node that has not heard of an admittance refuses the member once its invitation has expired;
///   the issuer can issue a longer, named invitation.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    block: SwarmBlock,
    /// Members but founders, each with the invitations that let it in, at least one, and when.
    members: BTreeMap<Did, BTreeMap<Cid, u64>>,
    uses: BTreeMap<Cid, Uses>,
    revoked: BTreeSet<RevocationTarget>,
}

impl Gatekeeper {
    /// A gatekeeper of a swarm, from the records it persisted, in order.
    #[must_use]
    pub fn new(block: SwarmBlock, records: impl IntoIterator<Item = GateRecord>) -> Self {
        let mut gatekeeper = Self {
            block,
            members: BTreeMap::new(),
            uses: BTreeMap::new(),
            revoked: BTreeSet::new(),
        };
        for record in records {
            gatekeeper.apply(&record);
        }
        gatekeeper
    }

    /// Takes one input at `now_ms` (milliseconds since the Unix epoch) and says what to do, in order.
    pub fn handle(&mut self, input: GateInput, now_ms: u64) -> Vec<GateOutput> {
        let mut out = Vec::new();
        match input {
            GateInput::Present {
                peer,
                invitations,
                claims,
            } => match self.admit(&peer, &invitations, &claims, now_ms, &mut out) {
                Ok(basis) => out.push(GateOutput::Admitted { peer, basis }),
                Err(reason) => out.push(GateOutput::Refused { peer, reason }),
            },
            GateInput::Revoke(revocation) => {
                if let Err(reason) = self.revoke(&revocation, &mut out) {
                    let author = revocation.author().clone();
                    out.push(GateOutput::Ignored { author, reason });
                }
            }
            GateInput::Heard(admittance) => {
                if let Err(reason) = self.hear(&admittance, now_ms, &mut out) {
                    let author = admittance.author().clone();
                    out.push(GateOutput::Ignored { author, reason });
                }
            }
        }
        out
    }

    /// Whether `did` is in, by what is known now.
    #[must_use]
    pub fn is_member(&self, did: &Did) -> bool {
        let genesis = self.block.genesis();
        genesis.is_founder(did)
            || !self.is_revoked(did)
                && (genesis.admission == Admission::Open || self.members.contains_key(did))
    }

    /// The swarm's genesis.
    #[must_use]
    pub fn swarm(&self) -> &SwarmBlock {
        &self.block
    }

    /// The members known here, founders first.
    pub fn members(&self) -> impl Iterator<Item = &Did> {
        self.block
            .genesis()
            .founders
            .iter()
            .chain(self.members.keys())
    }

    /// What founders took back.
    pub fn revoked(&self) -> impl Iterator<Item = &RevocationTarget> {
        self.revoked.iter()
    }

    fn is_revoked(&self, did: &Did) -> bool {
        self.revoked
            .contains(&RevocationTarget::Member(did.clone()))
    }

    fn persist(&mut self, record: GateRecord, out: &mut Vec<GateOutput>) {
        self.apply(&record);
        out.push(GateOutput::Persist(record));
    }

    fn apply(&mut self, record: &GateRecord) {
        match record {
            GateRecord::Member {
                peer,
                invitation,
                at_ms,
                not_after_ms,
                max_uses,
                by,
            } => {
                let ways = self.members.entry(peer.clone()).or_default();
                let since = ways.entry(*invitation).or_insert(*at_ms);
                *since = (*since).min(*at_ms);
                let since = *since;
                // Half of the room is for those whose uses are numbered.
                if max_uses.is_none()
                    && self.uses.len() >= MAX_TRACKED / 2
                    && !self.uses.contains_key(invitation)
                {
                    return;
                }
                let uses = self.uses.entry(*invitation).or_insert_with(|| Uses {
                    not_after_ms: *not_after_ms,
                    max_uses: *max_uses,
                    by: BTreeMap::new(),
                    said: BTreeMap::new(),
                });
                uses.by.insert(peer.clone(), since);
                if let Some(author) = by {
                    let said = uses.said.entry(author.clone()).or_default();
                    *said.entry(peer.clone()).or_default() += 1;
                }
            }
            GateRecord::Displaced { peer, invitation } => {
                if let Some(by) = self.members.get_mut(peer) {
                    by.remove(invitation);
                    if by.is_empty() {
                        self.members.remove(peer);
                    }
                }
                if let Some(uses) = self.uses.get_mut(invitation) {
                    uses.by.remove(peer);
                }
            }
            GateRecord::Revoked { target } => {
                if let RevocationTarget::Member(peer) = target {
                    self.members.remove(peer);
                }
                self.revoked.insert(target.clone());
            }
        }
    }

    fn admit(
        &mut self,
        peer: &Did,
        invitations: &[Signed<Invitation>],
        claims: &[Signed<Claim>],
        now_ms: u64,
        out: &mut Vec<GateOutput>,
    ) -> Result<Basis, Refusal> {
        let genesis = self.block.genesis();
        if genesis.is_founder(peer) {
            return Ok(Basis::Founder);
        }
        if self.is_revoked(peer) {
            return Err(Refusal::Revoked);
        }
        if genesis.admission == Admission::Open {
            return Ok(Basis::Open);
        }
        if self.members.contains_key(peer) {
            return Ok(Basis::Member);
        }
        if invitations.len().max(claims.len()) > MAX_PRESENTED {
            return Err(Refusal::TooMany(MAX_PRESENTED));
        }
        let mut first = None;
        for invitation in invitations {
            let claim = claims
                .iter()
                .find(|claim| Some(&claim.author) == invitation.body.key.as_ref());
            match self.usable(invitation, claim, peer, None, now_ms) {
                Ok(id) => {
                    self.enter(id, invitation, peer, now_ms, None, out);
                    let admittance = Admittance {
                        swarm: *self.block.id(),
                        peer: peer.clone(),
                        invitation: invitation.clone(),
                        claim: claim.cloned(),
                        at_ms: now_ms,
                    };
                    out.push(GateOutput::Announce(Box::new(admittance)));
                    return Ok(Basis::Invitation(id));
                }
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        Err(first.unwrap_or(Refusal::NotInvited))
    }

    /// Whether the invitation may still be used: by one who comes now, or by one who is said to have
    /// come `at_ms`, and then comes before those who came later.
    fn usable(
        &mut self,
        invitation: &Signed<Invitation>,
        claim: Option<&Signed<Claim>>,
        peer: &Did,
        at_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<Cid, Refusal> {
        let found = standing(&self.block, invitation, peer, at_ms.unwrap_or(now_ms))?;
        claim::check(invitation, &found.id, peer, claim)?;
        self.check_revoked(invitation, &found)?;
        self.forget_expired(now_ms);
        let id = found.id;
        if let Some(uses) = self.uses.get(&id) {
            // At equal times the lower DID comes first.
            let before =
                |(user, at): &(&Did, &u64)| at_ms.is_none_or(|at_ms| (**at, *user) < (at_ms, peer));
            if uses.by.iter().filter(before).count() >= uses.most() {
                return Err(Refusal::UsedUp);
            }
        } else if invitation.body.max_uses.is_some() && self.uses.len() >= MAX_TRACKED {
            return Err(Refusal::Full);
        }
        let founders = self.block.genesis().founders.len();
        let most = usize::try_from(self.block.genesis().limits.max_members).unwrap_or(usize::MAX);
        if founders + self.members.len() >= most && !self.members.contains_key(peer) {
            return Err(Refusal::Full);
        }
        Ok(id)
    }

    fn check_revoked(
        &self,
        invitation: &Signed<Invitation>,
        found: &Standing,
    ) -> Result<(), Refusal> {
        let by_delegation = found
            .delegation
            .map(|id| self.revoked.contains(&RevocationTarget::Delegation(id)));
        let by_id = self
            .revoked
            .contains(&RevocationTarget::Invitation(found.id));
        // A founder cannot be put out, so a founder's invitations fall one by one.
        let issuer = by_delegation.is_some() && self.is_revoked(&invitation.author);
        if by_id || issuer || by_delegation == Some(true) {
            return Err(Refusal::Revoked);
        }
        Ok(())
    }

    fn enter(
        &mut self,
        id: Cid,
        invitation: &Signed<Invitation>,
        peer: &Did,
        at_ms: u64,
        by: Option<Did>,
        out: &mut Vec<GateOutput>,
    ) {
        let record = GateRecord::Member {
            peer: peer.clone(),
            invitation: id,
            at_ms,
            not_after_ms: invitation.body.not_after_ms,
            max_uses: invitation.body.max_uses,
            by,
        };
        self.persist(record, out);
    }

    fn hear(
        &mut self,
        admittance: &Verified<Admittance>,
        now_ms: u64,
        out: &mut Vec<GateOutput>,
    ) -> Result<(), Refusal> {
        let body = admittance.body();
        if body.swarm != *self.block.id() {
            return Err(Refusal::WrongSwarm(body.swarm));
        }
        if !self.is_member(admittance.author()) || admittance.author() == &body.peer {
            return Err(Refusal::NoStanding(admittance.author().clone()));
        }
        let genesis = self.block.genesis();
        if genesis.admission == Admission::Open || genesis.is_founder(&body.peer) {
            return Ok(());
        }
        if self.is_revoked(&body.peer) {
            return Err(Refusal::Revoked);
        }
        let earliest = body
            .invitation
            .body
            .issued_ms
            .saturating_sub(MAX_CLOCK_SKEW_MS);
        if body.at_ms > now_ms.saturating_add(MAX_CLOCK_SKEW_MS) || body.at_ms < earliest {
            return Err(Refusal::NotYetValid(body.at_ms));
        }
        // Nobody lets anybody in before it is in itself.
        if body.at_ms < self.since(admittance.author()) {
            return Err(Refusal::NoStanding(admittance.author().clone()));
        }
        if !self.is_news(admittance)? {
            return Ok(());
        }
        let id = self.usable(
            &body.invitation,
            body.claim.as_ref(),
            &body.peer,
            Some(body.at_ms),
            now_ms,
        )?;
        let by = Some(admittance.author().clone());
        self.enter(id, &body.invitation, &body.peer, body.at_ms, by, out);
        self.displace(id, out);
        Ok(())
    }

    /// From when on a member's word counts, in milliseconds since the Unix epoch.
    fn since(&self, author: &Did) -> u64 {
        let came = self.members.get(author).and_then(|by| by.values().min());
        came.map_or(0, |at| at.saturating_sub(MAX_CLOCK_SKEW_MS))
    }

    /// Whether a member's use of an invitation was not known, or was in truth earlier: all nodes
    /// must count the same uses at the same times. `false` where it says what is known.
    fn is_news(&self, admittance: &Verified<Admittance>) -> Result<bool, Refusal> {
        let body = admittance.body();
        let id = invitation_id(&body.invitation).map_err(|_| Refusal::Form)?;
        let known = self.members.get(&body.peer).and_then(|by| by.get(&id));
        if let Some(at) = known.filter(|at| body.at_ms >= **at) {
            return if body.at_ms == *at {
                Ok(false)
            } else {
                Err(Refusal::Known)
            };
        }
        let Some(uses) = self.uses.get(&id) else {
            return Ok(known.is_none());
        };
        if !uses.listens(admittance.author(), &body.peer) {
            return Err(Refusal::Known);
        }
        Ok(true)
    }

    /// Puts out the latest users of an invitation that was used too often.
    fn displace(&mut self, id: Cid, out: &mut Vec<GateOutput>) {
        let Some(uses) = self.uses.get(&id) else {
            return;
        };
        if uses.by.len() <= uses.most() {
            return;
        }
        let mut order: Vec<_> = uses.by.iter().map(|(did, at)| (*at, did.clone())).collect();
        order.sort();
        for (_, peer) in order.into_iter().skip(uses.most()) {
            let record = GateRecord::Displaced {
                peer: peer.clone(),
                invitation: id,
            };
            self.persist(record, out);
            if !self.members.contains_key(&peer) {
                out.push(GateOutput::Expel {
                    peer,
                    reason: Refusal::UsedUp,
                });
            }
        }
    }

    fn revoke(
        &mut self,
        revocation: &Verified<Revocation>,
        out: &mut Vec<GateOutput>,
    ) -> Result<(), Refusal> {
        let body = revocation.body();
        if body.swarm != *self.block.id() {
            return Err(Refusal::WrongSwarm(body.swarm));
        }
        if !self.block.genesis().is_founder(revocation.author()) {
            return Err(Refusal::NoStanding(revocation.author().clone()));
        }
        if body.targets.len() > MAX_PRESENTED {
            return Err(Refusal::TooMany(MAX_PRESENTED));
        }
        for target in &body.targets {
            if self.revoked.contains(target) {
                continue;
            }
            if self.revoked.len() >= MAX_REVOCATIONS {
                return Err(Refusal::TooMany(MAX_REVOCATIONS));
            }
            if let RevocationTarget::Member(did) = target
                && self.block.genesis().is_founder(did)
            {
                return Err(Refusal::NoStanding(revocation.author().clone()));
            }
            let record = GateRecord::Revoked {
                target: target.clone(),
            };
            self.persist(record, out);
            if let RevocationTarget::Member(peer) = target {
                out.push(GateOutput::Expel {
                    peer: peer.clone(),
                    reason: Refusal::Revoked,
                });
            }
        }
        Ok(())
    }

    /// Uses of an invitation count for as long as anyone could still come with it, or be heard to
    /// have come with it.
    fn forget_expired(&mut self, now_ms: u64) {
        if self.uses.len() >= MAX_TRACKED {
            self.uses.retain(|_, uses| {
                uses.not_after_ms.saturating_add(2 * MAX_CLOCK_SKEW_MS) >= now_ms
            });
        }
    }
}
