//! Judging claims to the office: heartbeats, certificates and how they compare.

use std::cmp::Ordering;

use pagi_messages::Did;

use super::{Machine, Outputs};
use crate::{
    certificate::{Certificate, TERM_MAX},
    io::{Output, Refusal, VacantReason},
    message::ElectionMessage,
};

/// How many checked certificates to remember.
const PROVEN_MAX: usize = 16;
/// How many MOs' last heartbeats to remember.
const HEARD_MAX: usize = 256;

impl Machine {
    /// Whether an electorate is large enough to speak for the live view.
    pub(super) fn covers(&self, electorate: &[Did]) -> bool {
        electorate.len() * 2 > self.view.len().min(self.config.electorate_max)
    }

    /// Whether the live view is complete enough to judge strangers by.
    fn is_established(&self, now: u64) -> bool {
        self.view.len() > 1 && now >= self.started.saturating_add(self.config.lease_ms)
    }

    fn known_voters(&self, certificate: &Certificate) -> usize {
        self.view.count(certificate.voters())
    }

    fn is_known(&self, certificate: &Certificate) -> bool {
        self.known_voters(certificate) * 2 > certificate.votes.len()
    }

    fn is_strong(&self, now: u64, certificate: &Certificate) -> bool {
        self.covers(&certificate.electorate)
            && (!self.is_established(now) || self.is_known(certificate))
    }

    /// Notes since when the present certificate no longer speaks for the live view.
    pub(super) fn watch_strength(&mut self, now: u64) {
        let Some(reign) = &self.reign else { return };
        let certificate = &reign.leader.certificate;
        let weak = !self.covers(&certificate.electorate)
            || (self.is_mo() && self.is_established(now) && !self.is_known(certificate));
        if let Some(reign) = &mut self.reign {
            reign.weak_since = if weak {
                reign.weak_since.or(Some(now))
            } else {
                None
            };
        }
    }

    /// As MO: sends a heartbeat soon, because someone may not know. Many newcomers come at once, and
    /// a heartbeat goes to everybody: the more members there are, the fewer extra ones are sent.
    pub(super) fn nudge(&mut self, now: u64) {
        let me = &self.me;
        let members = u64::try_from(self.view.len()).unwrap_or(u64::MAX);
        if let Some(reign) = self.reign.as_mut().filter(|reign| reign.leader.did == *me) {
            let pause = self.config.resend_ms.saturating_mul(1 + members / 8);
            let soon = now.max(reign.last_heartbeat.saturating_add(pause));
            reign.next_heartbeat = reign.next_heartbeat.min(soon);
        }
    }

    /// As MO: sends a heartbeat and renews the own lease.
    pub(super) fn beat(&mut self, now: u64, out: &mut Outputs) {
        let me = &self.me;
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.leader.did == *me) else {
            return;
        };
        reign.seq = reign.seq.saturating_add(1);
        reign.last_heartbeat = now;
        reign.next_heartbeat = now.saturating_add(reign.pause);
        reign.pause = reign.pause.saturating_mul(2).min(self.config.heartbeat_ms);
        reign.lease_until = now.saturating_add(self.config.lease_ms);
        out.push(Output::Send(ElectionMessage::Heartbeat {
            term: reign.leader.term,
            timestamp: self.clock.wall(),
            seq: reign.seq,
            certificate: reign.leader.certificate.clone(),
        }));
    }

    /// A node says that it is MO.
    pub(super) fn on_heartbeat(
        &mut self,
        now: u64,
        author: &Did,
        (term, seq): (u64, u64),
        certificate: &Certificate,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        if certificate.mo != *author || certificate.term != term {
            return Err(Refusal::NotTheMo);
        }
        if self
            .heard
            .get(author)
            .is_some_and(|last| *last >= (term, seq))
        {
            return Err(Refusal::Replay);
        }
        // Whether it is MO or not, it is alive, and may be one of the voters that are looked for below:
        // an MO whose lease ran out because its heartbeats were lost counts as silent until now.
        self.view.heard(author);
        let incumbent = self
            .reign
            .as_mut()
            .filter(|reign| reign.leader.did == *author);
        let follows = incumbent.is_some();
        if let Some(reign) = incumbent
            && reign.leader.certificate == *certificate
        {
            reign.lease_until = now.saturating_add(self.config.lease_ms);
            reign.last_heartbeat = now;
            self.remember(author, term, seq);
            return Ok(());
        }
        let established = self.is_established(now);
        if established && !follows && !self.is_known(certificate) {
            return Err(Refusal::UnknownVoters {
                known: self.known_voters(certificate),
                voters: certificate.votes.len(),
            });
        }
        let strong = self.is_strong(now, certificate);
        let reach = if strong && established {
            TERM_MAX
        } else {
            self.reach()
        };
        if term > reach {
            return Err(Refusal::TermJump {
                term,
                mine: self.durable.term,
            });
        }
        self.prove(certificate)?;
        if term < self.durable.certified {
            if strong {
                self.concede(now, author, out);
            }
            return Err(Refusal::StaleTerm {
                term,
                mine: self.durable.certified,
            });
        }
        if let Some(reign) = &self.reign {
            let present = &reign.leader.certificate;
            let better = if follows {
                term > present.term
            } else {
                let order = strong.cmp(&self.is_strong(now, present));
                order.then_with(|| certificate.claim_cmp(present)) == Ordering::Greater
            };
            if !better {
                let mo = reign.leader.did.clone();
                self.outrank(term);
                return Err(Refusal::WorseClaim { mo });
            }
        }
        self.remember(author, term, seq);
        self.take_office(now, author.clone(), certificate.clone(), out);
        Ok(())
    }

    /// A strong claim whose term this node may not fall back to: its MO has to stand again, so tell
    /// it, give up a weaker MO meanwhile (or the two would wait for each other's vote) and leave
    /// it the time.
    fn concede(&mut self, now: u64, author: &Did, out: &mut Outputs) {
        self.hint(now, author, out);
        let present = self.reign.as_ref().map(|reign| &reign.leader.certificate);
        if present.is_some_and(|present| self.is_strong(now, present)) {
            return;
        }
        self.vacate(VacantReason::Conceded, out);
        self.candidacy = None;
        self.promise = Some((author.clone(), now.saturating_add(self.patience())));
    }

    /// Checks a certificate, unless it was checked before.
    fn prove(&mut self, certificate: &Certificate) -> Result<(), Refusal> {
        let cid = certificate
            .cid()
            .map_err(|error| Refusal::Certificate(error.into()))?;
        if self.proven.contains(&cid) {
            return Ok(());
        }
        certificate.verify()?;
        self.proven.push_back(cid);
        if self.proven.len() > PROVEN_MAX {
            self.proven.pop_front();
        }
        Ok(())
    }

    fn remember(&mut self, mo: &Did, term: u64, seq: u64) {
        self.view.heard(mo);
        self.heard.insert(mo.clone(), (term, seq));
        if self.heard.len() > HEARD_MAX {
            let oldest = self.heard.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(did, _)| did.clone()) {
                self.heard.remove(&oldest);
            }
        }
    }
}
