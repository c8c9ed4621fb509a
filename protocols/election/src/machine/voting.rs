//! Giving votes: once per term, to candidates that may win, and not while the MO lives.

use pagi_messages::Did;

use super::{Machine, Outputs};
use crate::{
    certificate::{TERM_MAX, is_electorate},
    io::{Output, Refusal},
    message::{ElectionMessage, electorate_digest},
};

impl Machine {
    /// Whether there is a living MO that no other candidate may unseat.
    pub(super) fn is_protected(&self, now: u64) -> bool {
        self.reign.as_ref().is_some_and(|reign| {
            reign
                .weak_since
                .is_none_or(|since| now < since.saturating_add(self.config.lease_ms))
        })
    }

    /// A candidate other than this node asks for votes.
    pub(super) fn on_candidate(
        &mut self,
        now: u64,
        candidate: &Did,
        term: u64,
        (electorate, heard): (&[Did], u32),
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        if !is_electorate(electorate) {
            return Err(Refusal::MalformedElectorate);
        }
        let mine = self.durable.term;
        if term > TERM_MAX || term > mine.saturating_add(self.config.max_term_jump) {
            return Err(Refusal::TermJump { term, mine });
        }
        let Ok(digest) = electorate_digest(electorate) else {
            return Err(Refusal::MalformedElectorate);
        };
        let vote = ElectionMessage::Vote {
            term,
            candidate: candidate.clone(),
            electorate: digest,
            timestamp: self.clock.wall(),
        };
        let given = self.durable.voted.as_ref();
        if given.is_some_and(|(at, to)| *at == term && to == candidate)
            && self.durable.voted_electorate.as_deref() == Some(digest.to_string().as_str())
        {
            // Everybody hears a vote. One that is there already is not sent again.
            let place = electorate.binary_search(&self.me).ok();
            let place = place.and_then(|place| u32::try_from(place).ok());
            let bit = place.and_then(|place| 1_u32.checked_shl(place));
            if bit.is_none_or(|bit| heard & bit == 0) {
                out.push(Output::Send(vote));
            }
            return Ok(());
        }
        let leads = self
            .reign
            .as_ref()
            .is_some_and(|reign| reign.leader.did == *candidate);
        if self.is_protected(now) && !leads {
            self.nudge(now);
            if self.view.contains(candidate) && term <= self.reach() {
                // Should the MO be dead, others know it a heartbeat earlier: this node then stands above
                // their term, and not against them while they still call.
                self.seen_term = self.seen_term.max(term);
                self.defer_until = now.saturating_add(self.patience());
            }
            let (mo, term) = self
                .reign
                .as_ref()
                .map(|reign| (reign.leader.did.clone(), reign.leader.term))
                .unwrap_or_else(|| (self.me.clone(), mine));
            return Err(Refusal::MoAlive { mo, term });
        }
        if now < self.settled_at && !leads {
            return Err(Refusal::Settling);
        }
        if term <= mine {
            self.hint(now, candidate, out);
            return Err(Refusal::StaleTerm { term, mine });
        }
        if self.view.contains(candidate) && term <= self.reach() {
            // Members at one term agree on their ranks for the next.
            self.seen_term = self.seen_term.max(term);
        }
        if let Some((did, until)) = &self.promise
            && now < *until
            && did != candidate
            && !leads
        {
            return Err(Refusal::Promised(did.clone()));
        }
        let known = self.view.count(electorate.iter());
        if known * 2 <= electorate.len() && !leads {
            return Err(Refusal::UnknownElectorate {
                known,
                electorate: electorate.len(),
            });
        }
        if !self.covers(electorate) {
            return Err(Refusal::NarrowElectorate {
                electorate: electorate.len(),
                live: self.view.len(),
            });
        }
        // From here on this candidate may win: others wait, whether this node may vote or not.
        if self.view.contains(candidate) {
            self.rounds = self.rounds.saturating_add(1);
            self.promise = Some((candidate.clone(), now.saturating_add(self.patience())));
            self.candidacy = None;
        }
        if electorate.binary_search(&self.me).is_err() {
            return Ok(());
        }
        self.candidacy = None;
        self.durable.term = term;
        self.durable.voted = Some((term, candidate.clone()));
        self.durable.voted_electorate = Some(digest.to_string());
        self.persist(out);
        out.push(Output::Send(vote));
        Ok(())
    }

    /// Tells `to` which term keeps this node from voting for it or following it, now and then.
    pub(super) fn hint(&mut self, now: u64, to: &Did, out: &mut Outputs) {
        if now >= self.next_hint && self.view.contains(to) {
            // Everybody hears a hint: where there are many members, each gives fewer.
            let members = u64::try_from(self.view.len()).unwrap_or(u64::MAX);
            let pause = self.config.resend_ms.saturating_mul(1 + members / 8);
            self.next_hint = now.saturating_add(pause);
            out.push(Output::Send(ElectionMessage::Ahead {
                term: self.durable.term,
                to: to.clone(),
                timestamp: self.clock.wall(),
            }));
        }
    }
}
