//! All own tasks: taking them on, and what others say about them.

use std::collections::BTreeMap;

use pagi_messages::Did;

use super::{
    Due, Moment, Outputs,
    asked::{Asked, Bid, send},
};
use crate::{
    config::Config,
    io::{FailReason, Output, Refusal},
    message::{TaskMessage, Verdict},
    record::{AskedRecord, Change, Phase},
    task::{TaskId, TaskSpec},
};

/// All own tasks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    tasks: BTreeMap<TaskId, Asked>,
    /// Reputations.
    peers: BTreeMap<Did, u32>,
}

impl Asker {
    pub(super) fn new(records: BTreeMap<TaskId, AskedRecord>, config: &Config, now: u64) -> Self {
        Self {
            tasks: records
                .into_iter()
                .map(|(id, record)| (id, Asked::new(record, config, now)))
                .collect(),
            peers: BTreeMap::new(),
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (&TaskId, &AskedRecord)> {
        self.tasks.iter().map(|(id, task)| (id, &task.record))
    }

    /// After a start: says again what is over, since the crash may have come before it was heard.
    pub(super) fn resume(&mut self, out: &mut Outputs) {
        for (id, task) in &self.tasks {
            match task.record.phase.clone() {
                Phase::Done { worker, output } => out.push(Output::Done {
                    id: id.clone(),
                    worker: worker.did,
                    twin: worker.twin,
                    attempt: task.record.attempt,
                    output,
                }),
                Phase::Failed { reason } => out.push(Output::Failed {
                    id: id.clone(),
                    reason,
                }),
                Phase::Open { .. } | Phase::Assigned { .. } => {}
            }
        }
    }

    pub(super) fn ask(&mut self, at: &Moment<'_>, spec: TaskSpec, out: &mut Outputs) {
        let id = spec.id.clone();
        if let Err(reason) = self.try_ask(at, spec, out) {
            out.push(Output::Rejected { id, reason });
        }
    }

    fn try_ask(
        &mut self,
        at: &Moment<'_>,
        spec: TaskSpec,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        spec.check().map_err(Refusal::TooLarge)?;
        if spec.deadline_ms <= at.wall {
            return Err(Refusal::TooLate);
        }
        if spec.deadline_ms > at.wall.saturating_add(at.config.max_horizon_ms) {
            return Err(Refusal::OutOfTime(spec.deadline_ms));
        }
        if self.tasks.contains_key(&spec.id) {
            return Err(Refusal::Duplicate);
        }
        let open = self.tasks.values().filter(|task| !task.record.is_over());
        if open.count() >= at.config.max_open {
            return Err(Refusal::TooMany(at.config.max_open));
        }
        while self.tasks.len() >= at.config.max_asked {
            let over = self.tasks.values().filter(|task| task.record.is_over());
            let oldest = over.min_by_key(|task| task.record.spec.deadline_ms);
            let Some(id) = oldest.map(|task| task.record.spec.id.clone()) else {
                return Err(Refusal::TooMany(at.config.max_asked));
            };
            self.forget(&id, out);
        }
        let id = spec.id.clone();
        let record = AskedRecord {
            spec,
            attempt: 0,
            phase: Phase::Open { last: None },
            tried: BTreeMap::new(),
        };
        let task = Asked::new(record, at.config, at.now);
        task.persist(out);
        self.tasks.insert(id, task);
        Ok(())
    }

    fn forget(&mut self, id: &TaskId, out: &mut Outputs) {
        self.tasks.remove(id);
        out.push(Output::Persist(Change::Asked(id.clone(), None)));
    }

    pub(super) fn cancel(&mut self, at: &Moment<'_>, id: &TaskId, out: &mut Outputs) {
        if let Some(task) = self.tasks.get_mut(id).filter(|task| !task.record.is_over()) {
            task.fail(at, FailReason::Cancelled, out);
        }
    }

    /// A node was heard of: an assignment that it has not confirmed goes out again.
    pub(super) fn peer(&mut self, at: &Moment<'_>, did: Did, reputation: u32) {
        for task in self.tasks.values_mut() {
            if let Phase::Assigned { worker } = &task.record.phase
                && worker.did == did
            {
                let soon = at.now.saturating_add(at.config.assign_retry_ms / 4);
                task.next_send = task.next_send.min(soon);
            }
        }
        if self.peers.contains_key(&did) || self.peers.len() < at.config.max_peers {
            self.peers.insert(did, reputation);
        }
    }

    pub(super) fn on_message(
        &mut self,
        at: &Moment<'_>,
        author: &Did,
        id: &TaskId,
        body: &TaskMessage,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(task) = self.tasks.get_mut(id) else {
            return Self::on_unknown(at, author, id, body, out);
        };
        match body {
            TaskMessage::Offer {
                twin,
                load,
                score,
                timestamp,
                ..
            } => {
                at.check_fresh(*timestamp)?;
                let bid = Bid {
                    twin: twin.clone(),
                    load: *load,
                    score: *score,
                    // The offer was made a little earlier: the asker lets go of it first.
                    until: at.now.saturating_add(at.config.offer_ttl_ms / 2),
                };
                task.on_offer(at, &self.peers, author, bid)
            }
            TaskMessage::Decline {
                attempt, reason, ..
            } => {
                if task.worker_of(author, *attempt)?.is_some() {
                    let until = at.now.saturating_add(at.config.broadcast_max_ms);
                    task.put_off.insert(author.clone(), until);
                    task.trouble.clone_from(reason);
                    task.open(at, None, out);
                }
                Ok(())
            }
            TaskMessage::Progress {
                attempt,
                percent,
                note,
                timestamp,
                ..
            } => {
                let Some(worker) = task.worker_of(author, *attempt)? else {
                    task.send_cancel(at, author.clone(), task.record.wanted_from(), out);
                    return Ok(());
                };
                if *timestamp <= task.heard {
                    return Ok(());
                }
                task.heard = *timestamp;
                task.confirmed = true;
                task.lease_until = at.now.saturating_add(at.config.lease_ms);
                if matches!(task.record.phase, Phase::Open { .. }) {
                    task.record.phase = Phase::Assigned { worker };
                    task.persist(out);
                }
                out.push(Output::Progress {
                    id: id.clone(),
                    worker: author.clone(),
                    percent: *percent,
                    note: note.clone(),
                });
                Ok(())
            }
            TaskMessage::Result {
                attempt, outcome, ..
            } => task.on_result(at, author, *attempt, outcome, out),
            _ => Ok(()),
        }
    }

    fn on_unknown(
        at: &Moment<'_>,
        author: &Did,
        id: &TaskId,
        body: &TaskMessage,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let (id, worker, timestamp) = (id.clone(), author.clone(), at.wall);
        match body {
            TaskMessage::Result { attempt, .. } => {
                let message = TaskMessage::Ack {
                    id,
                    worker,
                    attempt: *attempt,
                    verdict: Verdict::Unknown,
                    timestamp,
                };
                send(author.clone(), message, out);
                Ok(())
            }
            TaskMessage::Progress { .. } => {
                let message = TaskMessage::Cancel {
                    id,
                    worker,
                    below: u32::MAX,
                    timestamp,
                };
                send(author.clone(), message, out);
                Ok(())
            }
            _ => Err(Refusal::NotOpen),
        }
    }

    pub(super) fn run_timers(&mut self, at: &Moment<'_>, out: &mut Outputs) {
        let keep = at.config.keep_ms.saturating_add(at.config.max_skew_ms);
        let forgotten: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.record.is_over())
            .filter(|(_, task)| at.wall >= task.end(keep, at.started))
            .map(|(id, _)| id.clone())
            .collect();
        for id in forgotten {
            self.forget(&id, out);
        }
        for task in self.tasks.values_mut() {
            task.run_timers(at, &self.peers, out);
        }
    }

    pub(super) fn due(&self, config: &Config, started: u64, due: &mut Due<'_>) {
        for task in self.tasks.values() {
            let deadline = task.record.spec.deadline_ms;
            let late = due.clock.wall() >= deadline;
            let end = task.end(config.grace_ms, started);
            match &task.record.phase {
                Phase::Done { .. } | Phase::Failed { .. } => {
                    let keep = config.keep_ms.saturating_add(config.max_skew_ms);
                    due.wall(task.end(keep, started));
                }
                Phase::Open { .. } | Phase::Assigned { .. } if late => {
                    due.wall(end);
                    if matches!(task.record.phase, Phase::Assigned { .. }) {
                        due.timer(task.next_send);
                    }
                }
                Phase::Open { .. } => {
                    due.wall(deadline);
                    due.timer(task.next_send);
                    if !task.offers.is_empty() {
                        due.timer(task.window_until);
                    }
                    if let Some(end) = task.hopeless(config) {
                        due.timer(end);
                    }
                }
                Phase::Assigned { .. } => {
                    due.wall(deadline);
                    due.timer(task.lease_until);
                    if !task.confirmed {
                        due.timer(task.next_send);
                    }
                }
            }
        }
    }
}
