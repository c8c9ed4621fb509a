//! The election in words.

use super::Machine;
use crate::{
    certificate::TERM_MAX,
    io::{Role, Status},
};

impl Machine {
    /// The election at a glance, as of `now_ms`.
    #[must_use]
    pub fn status(&self, now_ms: u64) -> Status {
        let now = self.clock.clone().advance(now_ms);
        let reign = self.reign.as_ref();
        let certificate = reign.map(|reign| &reign.leader.certificate);
        let lease_remaining_ms = reign.map(|reign| reign.lease_until.saturating_sub(now));
        let role = if self.is_mo() {
            Role::Orchestrator
        } else if self.candidacy.is_some() {
            Role::Candidate
        } else if reign.is_some() {
            Role::Follower
        } else if now < self.settled_at {
            Role::Settling
        } else {
            Role::Waiting
        };
        Status {
            mo: reign.map(|reign| reign.leader.did.clone()),
            term: reign.map_or(self.durable.term, |reign| reign.leader.term),
            role,
            since_ms: reign.map(|reign| reign.leader.since_ms),
            elected_by: certificate.map_or_else(Vec::new, |c| c.voters().cloned().collect()),
            electorate: certificate.map_or_else(Vec::new, |c| c.electorate.clone()),
            certificate: certificate
                .and_then(|c| c.cid().ok())
                .map(|cid| cid.to_string()),
            live: self.view.live(),
            lease_remaining_ms,
            why_not_me: self.why_not_me(now, role),
        }
    }

    fn why_not_me(&self, now: u64, role: Role) -> String {
        let seconds = |until: u64| {
            let tenths = until.saturating_sub(now).div_ceil(100);
            format!("{}.{} s", tenths / 10, tenths % 10)
        };
        if role == Role::Orchestrator {
            return String::new();
        }
        if let Some(reign) = &self.reign {
            let certificate = &reign.leader.certificate;
            return format!(
                "{} leads term {} with {} of {} votes; its lease runs for another {}",
                reign.leader.did,
                reign.leader.term,
                certificate.votes.len(),
                certificate.electorate.len(),
                seconds(reign.lease_until),
            );
        }
        if let Some(candidacy) = &self.candidacy {
            return format!(
                "stands for term {} and has {} votes of an electorate of {}",
                candidacy.term,
                candidacy.votes.len(),
                candidacy.electorate.len(),
            );
        }
        if now < self.settled_at {
            return format!(
                "listens for another {} before it stands",
                seconds(self.settled_at)
            );
        }
        if now < self.abstain_until {
            return format!(
                "stepped down; stands again in {}",
                seconds(self.abstain_until)
            );
        }
        if let Some((candidate, until)) = &self.promise
            && now < *until
            && *candidate != self.me
        {
            return format!("waits another {} for {candidate} to win", seconds(*until));
        }
        if now < self.defer_until {
            return format!(
                "waits another {} for one that already called for votes",
                seconds(self.defer_until)
            );
        }
        if self.next_term() > TERM_MAX {
            return format!("term {TERM_MAX} is the last there is");
        }
        match self.stand_at {
            Some(at) => format!(
                "no MO is known; stands in {} by its rank of {} among {}",
                seconds(at),
                self.view
                    .my_rank(self.next_term(), self.config.min_reputation)
                    + 1,
                self.view.len(),
            ),
            None => "no MO is known; about to stand".to_owned(),
        }
    }
}
