//! One own task: its offers, its worker and its timers.

use std::collections::BTreeMap;

use pagi_messages::Did;

use super::{Moment, Outputs};
use crate::{
    choice::{Candidate, best},
    config::Config,
    io::{FailReason, Output, Recipient, Refusal},
    message::{TaskMessage, Verdict},
    record::{AskedRecord, Change, Phase, Worker},
    task::Outcome,
};

/// A standing offer.
#[derive(Clone, Debug)]
pub(super) struct Bid {
    pub(super) twin: Did,
    pub(super) load: u8,
    pub(super) score: u8,
    pub(super) until: u64,
}

/// An own task: what survives a crash, and the timers that need not.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) record: AskedRecord,
    pub(super) offers: BTreeMap<Did, Bid>,
    /// Nodes that declined, and until when they are not asked again.
    pub(super) put_off: BTreeMap<Did, u64>,
    /// No assignment before this.
    pub(super) window_until: u64,
    /// The next broadcast while open, the next repeat of an unconfirmed assignment afterwards.
    pub(super) next_send: u64,
    /// Broadcasts since the task was last opened.
    pub(super) sends: u32,
    pub(super) lease_until: u64,
    /// Whether the worker has answered this assignment.
    pub(super) confirmed: bool,
    /// The latest timestamp of the worker's word: a repeated copy renews no lease.
    pub(super) heard: u64,
    /// What ended the last attempt.
    pub(super) trouble: String,
    /// When a worker failed, while no other has it.
    pub(super) failed_at: Option<u64>,
}

impl Asked {
    pub(super) fn new(record: AskedRecord, config: &Config, now: u64) -> Self {
        Self {
            record,
            offers: BTreeMap::new(),
            put_off: BTreeMap::new(),
            window_until: now.saturating_add(config.window_ms),
            next_send: now,
            sends: 0,
            lease_until: now.saturating_add(config.lease_ms),
            confirmed: false,
            heard: 0,
            trouble: String::new(),
            failed_at: None,
        }
    }

    pub(super) fn persist(&self, out: &mut Outputs) {
        let id = self.record.spec.id.clone();
        out.push(Output::Persist(Change::Asked(
            id,
            Some(self.record.clone()),
        )));
    }

    /// When the task fails at last, by the wall clock.
    pub(super) fn end(&self, grace_ms: u64, started: u64) -> u64 {
        let deadline = self.record.spec.deadline_ms;
        deadline.max(started).saturating_add(grace_ms)
    }

    /// Seeks a worker again, at once among the offers that stand.
    pub(super) fn open(&mut self, at: &Moment<'_>, last: Option<Worker>, out: &mut Outputs) {
        self.record.phase = Phase::Open { last };
        self.sends = 0;
        self.next_send = at.now;
        self.window_until = at.now;
        if self.offers.is_empty() {
            self.window_until = at.now.saturating_add(at.config.window_ms);
        }
        self.persist(out);
    }

    pub(super) fn count_failure(&mut self, worker: &Did, trouble: String) {
        let tries = self.record.tried.entry(worker.clone()).or_default();
        *tries = tries.saturating_add(1);
        self.trouble = trouble;
    }

    /// Why the task ends without a further worker: by the failures it met, where it met any.
    fn exhausted(&self) -> FailReason {
        let attempts: u32 = self.record.tried.values().sum();
        if attempts == 0 || self.trouble.is_empty() {
            return FailReason::Deadline;
        }
        let last = self.trouble.clone();
        FailReason::Attempts { attempts, last }
    }

    /// When the task ends because nobody offers to do what another failed at.
    pub(super) fn hopeless(&self, config: &Config) -> Option<u64> {
        let failed_at = self.failed_at.filter(|_| self.offers.is_empty())?;
        Some(failed_at.saturating_add(config.reoffer_ms))
    }

    /// Fails the task if its attempts are used up.
    pub(super) fn give_up(&mut self, at: &Moment<'_>, out: &mut Outputs) -> bool {
        let attempts: u32 = self.record.tried.values().sum();
        let used_up = attempts >= at.config.max_attempts;
        if used_up {
            let last = self.trouble.clone();
            self.fail(at, FailReason::Attempts { attempts, last }, out);
        }
        used_up
    }

    pub(super) fn fail(&mut self, at: &Moment<'_>, reason: FailReason, out: &mut Outputs) {
        let worker = self.record.wanted().cloned();
        self.record.phase = Phase::Failed {
            reason: reason.clone(),
        };
        self.offers.clear();
        self.persist(out);
        let id = self.record.spec.id.clone();
        out.push(Output::Failed { id, reason });
        if let Some(worker) = worker {
            self.send_cancel(at, worker.did, u32::MAX, out);
        }
    }

    pub(super) fn send_cancel(&self, at: &Moment<'_>, worker: Did, below: u32, out: &mut Outputs) {
        let message = TaskMessage::Cancel {
            id: self.record.spec.id.clone(),
            worker: worker.clone(),
            below,
            timestamp: at.wall,
        };
        send(worker, message, out);
    }

    pub(super) fn broadcast(&mut self, at: &Moment<'_>, out: &mut Outputs) {
        let spec = self.record.spec.clone();
        out.push(Output::Send {
            to: Recipient::Everyone,
            message: TaskMessage::Broadcast {
                id: spec.id,
                twin: spec.twin,
                summary: spec.summary,
                keywords: spec.keywords,
                needs: spec.needs,
                deadline_ms: spec.deadline_ms,
                timestamp: at.wall,
            },
        });
        let wait = at.config.broadcast_ms << self.sends.min(16);
        self.next_send = at.now.saturating_add(wait.min(at.config.broadcast_max_ms));
        self.sends = self.sends.saturating_add(1);
    }

    /// Assigns the task to the best of the offers. False where there is none.
    pub(super) fn assign(
        &mut self,
        at: &Moment<'_>,
        peers: &BTreeMap<Did, u32>,
        out: &mut Outputs,
    ) -> bool {
        let attempt = self.record.attempt.saturating_add(1);
        let candidates = self.offers.iter().map(|(did, bid)| Candidate {
            did,
            tries: self.record.tried.get(did).copied().unwrap_or(0),
            score: bid.score,
            load: bid.load,
            reputation: peers.get(did).copied().unwrap_or(0),
        });
        let chosen = best(&self.record.spec.id, attempt, candidates).map(|best| best.did.clone());
        let Some((did, bid)) = chosen.and_then(|did| self.offers.remove_entry(&did)) else {
            return false;
        };
        let old = self.record.wanted().cloned();
        let worker = Worker {
            did,
            twin: bid.twin,
        };
        self.record.attempt = attempt;
        self.record.phase = Phase::Assigned {
            worker: worker.clone(),
        };
        self.lease_until = at.now.saturating_add(at.config.lease_ms);
        self.confirmed = false;
        self.heard = 0;
        self.failed_at = None;
        self.persist(out);
        out.push(Output::Assigned {
            id: self.record.spec.id.clone(),
            worker: worker.did.clone(),
            twin: worker.twin.clone(),
            attempt,
        });
        if let Some(old) = old.filter(|old| old.did != worker.did) {
            self.send_cancel(at, old.did, attempt, out);
        }
        self.send_assign(at, worker, out);
        true
    }

    pub(super) fn send_assign(&mut self, at: &Moment<'_>, worker: Worker, out: &mut Outputs) {
        let spec = &self.record.spec;
        let message = TaskMessage::Assign {
            id: spec.id.clone(),
            worker: worker.did.clone(),
            twin: worker.twin,
            attempt: self.record.attempt,
            asked_by: spec.twin.clone(),
            goal: spec.goal.clone(),
            deadline_ms: spec.deadline_ms,
            timestamp: at.wall,
        };
        send(worker.did, message, out);
        self.next_send = at.now.saturating_add(at.config.assign_retry_ms);
    }

    /// The worker of this attempt, if `author` is it. An error where it claims an attempt that it
    /// cannot have; nothing where its attempt is over.
    pub(super) fn worker_of(&self, author: &Did, attempt: u32) -> Result<Option<Worker>, Refusal> {
        if attempt < self.record.wanted_from() {
            return Ok(None);
        }
        self.record
            .wanted()
            .filter(|worker| worker.did == *author && attempt == self.record.attempt)
            .map(|worker| Some(worker.clone()))
            .ok_or(Refusal::NotAssigned(attempt))
    }

    pub(super) fn run_timers(
        &mut self,
        at: &Moment<'_>,
        peers: &BTreeMap<Did, u32>,
        out: &mut Outputs,
    ) {
        let late = at.wall >= self.record.spec.deadline_ms;
        let ended = at.wall >= self.end(at.config.grace_ms, at.started);
        match self.record.phase.clone() {
            Phase::Done { .. } | Phase::Failed { .. } => {}
            Phase::Open { last } if late => {
                if self.record.attempt == 0 {
                    self.fail(at, FailReason::NoWorker, out);
                } else if last.is_none() {
                    self.fail(at, self.exhausted(), out);
                } else if ended {
                    self.fail(at, FailReason::Deadline, out);
                }
            }
            Phase::Open { .. } => {
                self.offers.retain(|_, bid| bid.until > at.now);
                self.put_off.retain(|_, until| *until > at.now);
                if at.now >= self.window_until && self.assign(at, peers, out) {
                    return;
                }
                if self.hopeless(at.config).is_some_and(|end| at.now >= end) {
                    self.fail(at, self.exhausted(), out);
                    return;
                }
                if at.now >= self.next_send {
                    self.broadcast(at, out);
                }
            }
            Phase::Assigned { .. } if ended => self.fail(at, FailReason::Deadline, out),
            Phase::Assigned { worker } if !late && at.now >= self.lease_until => {
                self.count_failure(&worker.did, "the worker fell silent".to_owned());
                if !self.give_up(at, out) {
                    self.open(at, Some(worker), out);
                    self.run_timers(at, peers, out);
                }
            }
            Phase::Assigned { worker } => {
                // Past the deadline the worker is asked once more for what it has.
                if (late || !self.confirmed) && at.now >= self.next_send {
                    self.send_assign(at, worker, out);
                    if late {
                        self.next_send = at.now.saturating_add(at.config.keepalive_ms);
                    }
                }
            }
        }
    }
}

pub(super) fn send(to: Did, message: TaskMessage, out: &mut Outputs) {
    let to = Recipient::Only(to);
    out.push(Output::Send { to, message });
}

impl Asked {
    pub(super) fn on_offer(
        &mut self,
        at: &Moment<'_>,
        peers: &BTreeMap<Did, u32>,
        author: &Did,
        bid: Bid,
    ) -> Result<(), Refusal> {
        let put_off = self
            .put_off
            .get(author)
            .is_some_and(|until| *until > at.now);
        if self.record.is_over() || put_off {
            return Err(Refusal::NotOpen);
        }
        self.offers.insert(author.clone(), bid);
        if self.offers.len() > at.config.max_offers {
            // The worst goes: the one that is not chosen however often one is chosen.
            let rank = |(did, bid): (&Did, &Bid)| {
                let tries = self.record.tried.get(did).copied().unwrap_or(0);
                let reputation = peers.get(did).copied().unwrap_or(0);
                (
                    u32::MAX - tries,
                    bid.score,
                    u8::MAX - bid.load,
                    reputation,
                    did.clone(),
                )
            };
            let worst = self.offers.iter().map(rank).min();
            if let Some((.., did)) = worst {
                self.offers.remove(&did);
            }
        }
        Ok(())
    }

    pub(super) fn on_result(
        &mut self,
        at: &Moment<'_>,
        author: &Did,
        attempt: u32,
        outcome: &Outcome,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let verdict = match (self.worker_of(author, attempt)?, outcome) {
            (Some(worker), Outcome::Completed { output }) => {
                self.record.phase = Phase::Done {
                    worker: worker.clone(),
                    output: output.clone(),
                };
                self.offers.clear();
                self.persist(out);
                out.push(Output::Done {
                    id: self.record.spec.id.clone(),
                    worker: worker.did,
                    twin: worker.twin,
                    attempt,
                    output: output.clone(),
                });
                Verdict::Accepted
            }
            (Some(worker), Outcome::Failed { reason }) => {
                self.count_failure(&worker.did, reason.clone());
                if !self.give_up_after(at, out) {
                    self.open(at, None, out);
                    self.failed_at = Some(at.now);
                }
                Verdict::Noted
            }
            (None, _) => match &self.record.phase {
                Phase::Done { worker, .. }
                    if worker.did == *author && attempt == self.record.attempt =>
                {
                    Verdict::Accepted
                }
                Phase::Failed {
                    reason: FailReason::Cancelled,
                } => Verdict::Cancelled,
                _ => Verdict::Superseded,
            },
        };
        let message = TaskMessage::Ack {
            id: self.record.spec.id.clone(),
            worker: author.clone(),
            attempt,
            verdict,
            timestamp: at.wall,
        };
        send(author.clone(), message, out);
        Ok(())
    }

    /// As [`give_up`](Self::give_up), after a failure that its worker itself reported: it needs no
    /// cancelling.
    pub(super) fn give_up_after(&mut self, at: &Moment<'_>, out: &mut Outputs) -> bool {
        self.record.phase = Phase::Open { last: None };
        self.give_up(at, out)
    }
}
