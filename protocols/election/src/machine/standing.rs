//! Standing for election: when, with whom, and what a majority makes of it.

use std::collections::BTreeMap;

use cid::Cid;
use pagi_messages::{Did, Signed};

use super::{Machine, Outputs, Reign};
use crate::{
    certificate::{Certificate, TERM_MAX, is_majority},
    io::{Leader, Output, Refusal},
    message::{ElectionMessage, electorate_digest},
};

/// From this rank on, members wait no longer than their betters.
const RANKS_APART: u64 = 8;
/// Candidacies without an MO before the next ones get more time.
const FREE_ROUNDS: u32 = 2;
/// How often that time doubles.
const LONGER_ROUNDS: u32 = 2;
/// By how much a large swarm's waits are longer than a small one's.
const MOST_BREADTH: u64 = 3;

/// A call for votes under way.
#[derive(Clone, Debug)]
pub(super) struct Candidacy {
    pub(super) term: u64,
    pub(super) electorate: Vec<Did>,
    digest: Cid,
    pub(super) votes: BTreeMap<Did, Signed<ElectionMessage>>,
    pub(super) deadline: u64,
    pub(super) next_call: u64,
    /// Between the last call and the next; longer each time.
    pause: u64,
}

impl Candidacy {
    /// Whose votes are there, by place in the electorate.
    fn heard(&self) -> u32 {
        let places = self.electorate.iter().zip(0..u32::BITS);
        places
            .filter(|(did, _)| self.votes.contains_key(*did))
            .fold(0, |heard, (_, place)| heard | (1 << place))
    }
}

impl Machine {
    pub(super) fn next_term(&self) -> u64 {
        self.durable.term.max(self.seen_term).saturating_add(1)
    }

    /// Repeats, gives up, prepares or starts a candidacy.
    pub(super) fn run_candidacy(&mut self, now: u64, out: &mut Outputs) {
        if let Some(candidacy) = &mut self.candidacy {
            if now >= candidacy.deadline {
                self.candidacy = None;
                self.attempts = self.attempts.saturating_add(1);
            } else {
                if now >= candidacy.next_call {
                    candidacy.pause = candidacy.pause.saturating_mul(2);
                    candidacy.next_call = now.saturating_add(candidacy.pause);
                    out.push(Output::Send(ElectionMessage::Candidate {
                        term: candidacy.term,
                        electorate: candidacy.electorate.clone(),
                        heard: candidacy.heard(),
                        timestamp: self.clock.wall(),
                    }));
                }
                return;
            }
        }
        let Some(delay) = self.reason_to_stand(now) else {
            self.stand_at = None;
            return;
        };
        let at = match self.stand_at {
            Some(at) => at,
            None => {
                let at = now.saturating_add(delay).saturating_add(self.back_off());
                self.stand_at = Some(at);
                at
            }
        };
        if now >= at {
            self.stand(now, out);
        }
    }

    /// Whether there is cause to stand, and how long to wait on top of the back-off.
    fn reason_to_stand(&self, now: u64) -> Option<u64> {
        let promised = self
            .promise
            .as_ref()
            .is_some_and(|(did, until)| *did != self.me && now < *until);
        if now < self.settled_at
            || now < self.abstain_until
            || promised
            || self.next_term() > TERM_MAX
        {
            return None;
        }
        let Some(reign) = &self.reign else {
            return (now >= self.defer_until).then_some(0);
        };
        if reign.leader.did != self.me {
            // The MO has had a lease to renew its mandate, and has not.
            return (!self.is_protected(now)).then_some(0);
        }
        if reign.weak_since.is_some() {
            // Two MOs that have just met settle first which of them goes on.
            return Some(self.config.heartbeat_ms);
        }
        let rested = self
            .restood_at
            .is_none_or(|at| now >= at.saturating_add(self.config.lease_ms));
        (self.outranked > reign.leader.term && rested).then_some(0)
    }

    /// How long a candidate collects votes, and others wait for it. Where one candidacy after the other
    /// comes to nothing, votes take longer than that: more time, and less traffic, is what helps.
    pub(super) fn patience(&self) -> u64 {
        let doubled = self.rounds.saturating_sub(FREE_ROUNDS).min(LONGER_ROUNDS);
        let times = self.breadth().max(1 << doubled);
        self.config.vote_timeout_ms.saturating_mul(times)
    }

    /// How many times as long to wait as in a small swarm: a call takes more hops to reach everybody,
    /// and more members miss the last heartbeat of a dead MO and stand before the others would vote.
    fn breadth(&self) -> u64 {
        let members = u64::try_from(self.view.len()).unwrap_or(u64::MAX).max(1);
        u64::from(members.ilog2() / 2).clamp(1, MOST_BREADTH)
    }

    fn back_off(&mut self) -> u64 {
        // An MO renews its mandate within the lease that protects it: later, a member that cannot win
        // would get its vote and keep it waiting, again and again.
        let times = if self.is_mo() { 1 } else { self.breadth() };
        let step = self.config.backoff_step_ms.saturating_mul(times);
        let rank = self
            .view
            .my_rank(self.next_term(), self.config.min_reputation);
        let rank = u64::try_from(rank).unwrap_or(u64::MAX).min(RANKS_APART);
        // Half a step keeps ranks apart; those of the last place have as much room as all before.
        let spread = if rank < RANKS_APART {
            step / 2
        } else {
            step.saturating_mul(RANKS_APART)
        };
        let mut delay = rank
            .saturating_mul(step)
            .saturating_add(self.jitter.below(spread));
        if self.attempts > 0 {
            let spread = step.saturating_mul(1 << self.attempts.min(6));
            delay = delay.saturating_add(
                self.jitter
                    .below(spread.min(self.config.lease_ms / 2).max(1)),
            );
        }
        delay
    }

    fn stand(&mut self, now: u64, out: &mut Outputs) {
        self.stand_at = None;
        let term = self.next_term();
        let electorate =
            self.view
                .electorate(term, self.config.electorate_max, self.config.min_reputation);
        let Ok(digest) = electorate_digest(&electorate) else {
            return;
        };
        let voting = electorate.binary_search(&self.me).is_ok();
        self.durable.term = term;
        if voting {
            self.durable.voted = Some((term, self.me.clone()));
            self.durable.voted_electorate = Some(digest.to_string());
        }
        self.persist(out);
        self.rounds = self.rounds.saturating_add(1);
        let deadline = now.saturating_add(self.patience());
        self.promise = Some((self.me.clone(), deadline));
        let timestamp = self.clock.wall();
        out.push(Output::Send(ElectionMessage::Candidate {
            term,
            electorate: electorate.clone(),
            heard: 0,
            timestamp,
        }));
        if voting {
            out.push(Output::Send(ElectionMessage::Vote {
                term,
                candidate: self.me.clone(),
                electorate: digest,
                timestamp,
            }));
        }
        self.candidacy = Some(Candidacy {
            term,
            electorate,
            digest,
            votes: BTreeMap::new(),
            deadline,
            next_call: now.saturating_add(self.config.resend_ms),
            pause: self.config.resend_ms,
        });
    }

    /// A vote arrived: for this node or for another.
    pub(super) fn on_vote(
        &mut self,
        now: u64,
        vote: &Signed<ElectionMessage>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let ElectionMessage::Vote {
            term,
            candidate,
            electorate,
            ..
        } = &vote.body
        else {
            return Ok(());
        };
        self.note_ballot(&vote.author, *term, candidate, electorate)?;
        let Some(candidacy) = &mut self.candidacy else {
            return Ok(());
        };
        if *term != candidacy.term || *candidate != self.me || *electorate != candidacy.digest {
            return Ok(());
        }
        if candidacy.electorate.binary_search(&vote.author).is_err() {
            return Err(Refusal::OutsideElectorate);
        }
        candidacy
            .votes
            .entry(vote.author.clone())
            .or_insert_with(|| vote.clone());
        if is_majority(candidacy.votes.len(), candidacy.electorate.len()) {
            self.win(now, out);
        }
        Ok(())
    }

    /// Remembers votes of live members in the highest term heard, and finds a second one.
    fn note_ballot(
        &mut self,
        voter: &Did,
        term: u64,
        candidate: &Did,
        electorate: &Cid,
    ) -> Result<(), Refusal> {
        if !self.view.contains(voter) || term > self.reach() {
            return Ok(());
        }
        if term > self.ballots.0 {
            self.ballots = (term, BTreeMap::new());
        }
        if term < self.ballots.0 {
            return Ok(());
        }
        let ballot = (candidate.clone(), *electorate);
        let first = self
            .ballots
            .1
            .entry(voter.clone())
            .or_insert_with(|| ballot.clone());
        if *first == ballot {
            Ok(())
        } else {
            Err(Refusal::DoubleVote(term))
        }
    }

    fn win(&mut self, now: u64, out: &mut Outputs) {
        let Some(candidacy) = self.candidacy.take() else {
            return;
        };
        let Candidacy {
            term,
            electorate,
            votes,
            ..
        } = candidacy;
        if self
            .my_reign()
            .is_some_and(|reign| reign.weak_since.is_none())
        {
            self.restood_at = Some(now);
        }
        let certificate = Certificate {
            term,
            mo: self.me.clone(),
            electorate,
            votes: votes.into_values().collect(),
        };
        self.take_office(now, self.me.clone(), certificate, out);
        self.beat(now, out);
    }

    /// Follows the MO of a proven certificate, or begins this node's own reign.
    pub(super) fn take_office(
        &mut self,
        now: u64,
        mo: Did,
        certificate: Certificate,
        out: &mut Outputs,
    ) {
        let term = certificate.term;
        let lease_until = now.saturating_add(self.config.lease_ms);
        self.view.heard(&mo);
        self.view.follow(Some(&mo));
        self.candidacy = None;
        self.stand_at = None;
        self.promise = None;
        self.attempts = 0;
        self.rounds = 0;
        let durable = (
            self.durable.term.max(term),
            self.durable.certified.max(term),
        );
        if durable != (self.durable.term, self.durable.certified) {
            (self.durable.term, self.durable.certified) = durable;
            self.persist(out);
        }
        out.push(Output::Elected {
            mo: mo.clone(),
            term,
            certificate: certificate.clone(),
        });
        self.reign = Some(Reign {
            leader: Leader {
                did: mo,
                term,
                certificate,
                since_ms: self.clock.wall(),
            },
            lease_until,
            weak_since: None,
            last_heartbeat: now,
            last_seen: now,
            next_heartbeat: now,
            pause: self.config.resend_ms.min(self.config.heartbeat_ms),
            seq: 0,
        });
        self.watch_strength(now);
    }
}
