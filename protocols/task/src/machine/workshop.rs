//! Tasks of others: offers, work, keep-alives and results until they are acknowledged.

use std::collections::BTreeMap;

use pagi_messages::Did;

use super::{Due, Moment, Outputs};
use crate::{
    config::Config,
    io::{AbortReason, LocalCapabilities, Output, Recipient, Refusal},
    message::{TaskMessage, Verdict},
    record::{Change, WorkState, WorkedRecord},
    task::{Outcome, TaskKey, cut},
};

/// Another's task: what survives a crash, and what need not.
#[derive(Clone, Debug)]
struct Worked {
    record: WorkedRecord,
    /// The attempt in the last [`Output::Start`] of this life; 0 for none.
    started: u32,
    /// The next keep-alive, or the next repeat of the result.
    next_send: u64,
    last_sent: u64,
    /// Repeats of the result.
    sends: u32,
    percent: u8,
    note: String,
}

impl Worked {
    /// Whether its asker has said the last word.
    fn is_over(&self) -> bool {
        matches!(self.record.state, WorkState::Settled { .. })
    }

    fn new(record: WorkedRecord, now: u64) -> Self {
        Self {
            record,
            started: 0,
            next_send: now,
            last_sent: 0,
            sends: 0,
            percent: 0,
            note: String::new(),
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.record.state, WorkState::Running { .. })
    }

    fn persist(&self, key: &TaskKey, out: &mut Outputs) {
        let record = Some(self.record.clone());
        out.push(Output::Persist(Change::Worked(key.clone(), record)));
    }

    fn start(&mut self, key: &TaskKey, out: &mut Outputs) {
        let WorkState::Running { goal, .. } = &self.record.state else {
            return;
        };
        self.started = self.record.attempt;
        out.push(Output::Start {
            task: key.clone(),
            attempt: self.record.attempt,
            twin: self.record.twin.clone(),
            asked_by: self.record.asked_by.clone(),
            goal: goal.clone(),
            deadline_ms: self.record.deadline_ms,
        });
    }

    fn finish(&mut self, at: &Moment<'_>, key: &TaskKey, outcome: Outcome, out: &mut Outputs) {
        self.record.state = WorkState::Finished {
            outcome: outcome.bounded(),
        };
        self.next_send = at.now;
        self.sends = 0;
        self.persist(key, out);
    }

    /// Ends it here, for good unless a later attempt comes.
    fn settle(&mut self, key: &TaskKey, verdict: Verdict, abort: AbortReason, out: &mut Outputs) {
        let failed = match &self.record.state {
            WorkState::Running { .. } => false,
            WorkState::Finished { outcome } => outcome.is_failure(),
            WorkState::Settled { .. } => return,
        };
        let running = self.is_running() && self.started > 0;
        self.record.state = WorkState::Settled { verdict, failed };
        self.persist(key, out);
        if running {
            out.push(Output::Abort {
                task: key.clone(),
                attempt: self.started,
                reason: abort,
            });
        }
        out.push(Output::Settled {
            task: key.clone(),
            attempt: self.record.attempt,
            verdict,
        });
    }

    /// Says how it stands.
    fn report(&mut self, at: &Moment<'_>, key: &TaskKey, out: &mut Outputs) {
        let (task, attempt, timestamp) = (key.clone(), self.record.attempt, at.wall);
        let (message, wait) = match &self.record.state {
            WorkState::Running { .. } => (
                TaskMessage::Progress {
                    task,
                    attempt,
                    percent: self.percent,
                    note: self.note.clone(),
                    timestamp,
                },
                at.config.keepalive_ms,
            ),
            WorkState::Finished { outcome } => {
                let wait = at.config.result_retry_ms << self.sends.min(16);
                self.sends = self.sends.saturating_add(1);
                (
                    TaskMessage::Result {
                        task,
                        attempt,
                        outcome: outcome.clone(),
                        timestamp,
                    },
                    wait.min(at.config.result_retry_max_ms),
                )
            }
            WorkState::Settled { .. } => return,
        };
        send(&key.asker, message, out);
        self.last_sent = at.now;
        self.next_send = at.now.saturating_add(wait);
    }

    fn run_timers(&mut self, at: &Moment<'_>, key: &TaskKey, out: &mut Outputs) {
        let deadline = self.record.deadline_ms;
        match &self.record.state {
            WorkState::Running { .. } if at.wall >= deadline => {
                self.settle(key, Verdict::Expired, AbortReason::Deadline, out);
                decline(at, key, self.record.attempt, "the deadline has passed", out);
            }
            WorkState::Finished { .. } if at.wall >= deadline.saturating_add(at.config.keep_ms) => {
                self.settle(key, Verdict::Expired, AbortReason::Deadline, out);
            }
            WorkState::Running { .. } | WorkState::Finished { .. } => {
                if at.now >= self.next_send {
                    self.report(at, key, out);
                }
            }
            WorkState::Settled { .. } => {}
        }
    }
}

fn send(to: &Did, message: TaskMessage, out: &mut Outputs) {
    let to = Recipient::Only(to.clone());
    out.push(Output::Send { to, message });
}

fn decline(at: &Moment<'_>, key: &TaskKey, attempt: u32, reason: &str, out: &mut Outputs) {
    let message = TaskMessage::Decline {
        task: key.clone(),
        attempt,
        reason: reason.to_owned(),
        timestamp: at.wall,
    };
    send(&key.asker, message, out);
}

/// All tasks of others.
#[derive(Clone, Debug)]
pub(super) struct Workshop {
    tasks: BTreeMap<TaskKey, Worked>,
    /// Offers that may still be taken, and until when.
    standing: BTreeMap<TaskKey, u64>,
    pub(super) local: Option<LocalCapabilities>,
    pub(super) load: u8,
}

impl Workshop {
    pub(super) fn new(records: BTreeMap<TaskKey, WorkedRecord>, now: u64) -> Self {
        Self {
            tasks: records
                .into_iter()
                .map(|(key, record)| (key, Worked::new(record, now)))
                .collect(),
            standing: BTreeMap::new(),
            local: None,
            load: 0,
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (&TaskKey, &WorkedRecord)> {
        self.tasks.iter().map(|(key, task)| (key, &task.record))
    }

    /// After a start: takes up the work that the crash cut short.
    pub(super) fn resume(&mut self, at: &Moment<'_>, out: &mut Outputs) {
        for (key, task) in &mut self.tasks {
            let late = at.wall >= task.record.deadline_ms;
            let WorkState::Running { starts, .. } = &mut task.record.state else {
                continue;
            };
            if late {
                continue;
            }
            if *starts >= at.config.max_starts {
                let reason = format!("the work was cut short {starts} times");
                task.finish(at, key, Outcome::Failed { reason }, out);
                continue;
            }
            *starts = starts.saturating_add(1);
            task.persist(key, out);
            task.start(key, out);
        }
    }

    pub(super) fn progress(&mut self, key: &TaskKey, percent: u8, note: String) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.percent = percent.min(100);
            task.note = cut(note);
        }
    }

    pub(super) fn result(
        &mut self,
        at: &Moment<'_>,
        key: &TaskKey,
        attempt: u32,
        outcome: Outcome,
        out: &mut Outputs,
    ) {
        let task = self.tasks.get_mut(key);
        if let Some(task) = task.filter(|task| task.is_running() && task.started == attempt) {
            task.finish(at, key, outcome, out);
        }
    }

    /// The asker was heard of: a result that waits for it goes out again.
    pub(super) fn peer(&mut self, at: &Moment<'_>, did: &Did) {
        for (key, task) in &mut self.tasks {
            if key.asker == *did && matches!(task.record.state, WorkState::Finished { .. }) {
                let soon = task.last_sent.saturating_add(at.config.result_retry_ms);
                task.next_send = task.next_send.min(soon);
            }
        }
    }

    pub(super) fn on_message(
        &mut self,
        at: &Moment<'_>,
        author: &Did,
        body: &TaskMessage,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let key = |id: &crate::TaskId| TaskKey {
            asker: author.clone(),
            id: id.clone(),
        };
        match body {
            TaskMessage::Broadcast {
                id,
                keywords,
                needs,
                deadline_ms,
                timestamp,
                ..
            } => {
                at.check_fresh(*timestamp)?;
                check_deadline(at, *deadline_ms)?;
                if at.wall >= *deadline_ms {
                    return Err(Refusal::TooLate);
                }
                self.offer(at, key(id), keywords, needs, out);
                Ok(())
            }
            TaskMessage::Assign {
                id,
                twin,
                attempt,
                asked_by,
                goal,
                deadline_ms,
                ..
            } => {
                check_deadline(at, *deadline_ms)?;
                let record = WorkedRecord {
                    attempt: *attempt,
                    twin: twin.clone(),
                    asked_by: asked_by.clone(),
                    deadline_ms: *deadline_ms,
                    state: WorkState::Running {
                        goal: goal.clone(),
                        starts: 1,
                    },
                };
                self.on_assign(at, key(id), record, out);
                Ok(())
            }
            TaskMessage::Ack {
                id,
                attempt,
                verdict,
                ..
            } => {
                let key = key(id);
                if let Some(task) = self.tasks.get_mut(&key)
                    && task.record.attempt == *attempt
                    && matches!(task.record.state, WorkState::Finished { .. })
                {
                    task.settle(&key, *verdict, AbortReason::Cancelled, out);
                }
                Ok(())
            }
            TaskMessage::Cancel { id, below, .. } => {
                let key = key(id);
                if *below == u32::MAX {
                    self.standing.remove(&key);
                }
                if let Some(task) = self.tasks.get_mut(&key)
                    && task.record.attempt < *below
                {
                    let verdict = if *below == u32::MAX {
                        Verdict::Cancelled
                    } else {
                        Verdict::Superseded
                    };
                    task.settle(&key, verdict, AbortReason::Cancelled, out);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether one more task of `asker` can be kept: one asker has a share, and beyond the bound of
    /// all tasks those that are over make room.
    fn has_place(&self, config: &Config, asker: &Did) -> bool {
        let of_asker = self.tasks.keys().filter(|key| key.asker == *asker);
        of_asker.count() < config.max_worked_per_asker
            && (self.tasks.len() < config.max_worked || self.tasks.values().any(Worked::is_over))
    }

    /// Forgets the task that was over first, where there are too many.
    fn make_place(&mut self, config: &Config, out: &mut Outputs) {
        if self.tasks.len() < config.max_worked {
            return;
        }
        let over = self.tasks.iter().filter(|(_, task)| task.is_over());
        let first = over.min_by_key(|(_, task)| task.record.deadline_ms);
        if let Some(key) = first.map(|(key, _)| key.clone()) {
            self.tasks.remove(&key);
            out.push(Output::Persist(Change::Worked(key, None)));
        }
    }

    fn running(&self) -> usize {
        self.tasks.values().filter(|task| task.is_running()).count()
    }

    /// Offers this node if it can do the task, has room for it and did not fail it already.
    fn offer(
        &mut self,
        at: &Moment<'_>,
        key: TaskKey,
        keywords: &[String],
        needs: &[String],
        out: &mut Outputs,
    ) {
        self.standing.retain(|_, until| *until > at.now);
        let has_it = match self.tasks.get(&key).map(|task| &task.record.state) {
            Some(WorkState::Settled { verdict, failed }) => {
                if *failed || *verdict == Verdict::Accepted {
                    return;
                }
                false
            }
            Some(WorkState::Finished { outcome }) if outcome.is_failure() => return,
            Some(_) => true,
            None => false,
        };
        let known = self.tasks.contains_key(&key);
        let stands = self.standing.contains_key(&key);
        let to_asker = self.standing.keys().filter(|one| one.asker == key.asker);
        let full = self.running() >= at.config.max_running
            || !known && !self.has_place(at.config, &key.asker)
            || self.load > at.config.max_load
            || !stands
                && (self.standing.len() >= at.config.max_standing
                    || to_asker.count() >= at.config.max_standing_per_asker);
        if full && !has_it {
            return;
        }
        let Some(local) = &self.local else { return };
        if !needs.iter().all(|need| local.capabilities.contains(need)) {
            return;
        }
        let hits = keywords
            .iter()
            .filter(|word| local.keywords.contains(*word));
        // Able is half of it, knowing such goals the other half.
        let share = (50 * hits.count())
            .checked_div(keywords.len())
            .unwrap_or(50);
        let message = TaskMessage::Offer {
            task: key.clone(),
            twin: local.twin.clone(),
            load: self.load,
            score: u8::try_from(50 + share).unwrap_or(100).min(100),
            timestamp: at.wall,
        };
        send(&key.asker, message, out);
        let until = at.now.saturating_add(at.config.offer_ttl_ms);
        self.standing.insert(key, until);
    }

    fn on_assign(
        &mut self,
        at: &Moment<'_>,
        key: TaskKey,
        record: WorkedRecord,
        out: &mut Outputs,
    ) {
        let attempt = record.attempt;
        if let Some(task) = self.tasks.get_mut(&key) {
            if matches!(task.record.state, WorkState::Settled { .. }) {
                if attempt <= task.record.attempt {
                    decline(at, &key, attempt, "it is over here", out);
                    return;
                }
            } else if attempt < task.record.attempt {
                return;
            } else {
                if attempt > task.record.attempt {
                    // What was begun under the earlier number goes on under the new one.
                    task.record.attempt = attempt;
                    task.persist(&key, out);
                }
                task.report(at, &key, out);
                return;
            }
        }
        let offered = self
            .standing
            .remove(&key)
            .is_some_and(|until| until > at.now);
        let known = self.tasks.contains_key(&key);
        let refusal = if at.wall >= record.deadline_ms {
            Some("the deadline has passed")
        } else if !offered {
            Some("no offer stands")
        } else if self.running() >= at.config.max_running
            || !known && !self.has_place(at.config, &key.asker)
        {
            Some("busy with other tasks")
        } else {
            None
        };
        if let Some(reason) = refusal {
            decline(at, &key, attempt, reason, out);
            return;
        }
        if !known {
            self.make_place(at.config, out);
        }
        let mut task = Worked::new(record, at.now);
        task.persist(&key, out);
        task.start(&key, out);
        task.report(at, &key, out);
        self.tasks.insert(key, task);
    }

    pub(super) fn run_timers(&mut self, at: &Moment<'_>, out: &mut Outputs) {
        let keep = at.config.keep_ms.saturating_add(at.config.max_skew_ms);
        self.tasks.retain(|key, task| {
            let forget = task.is_over() && at.wall >= task.record.deadline_ms.saturating_add(keep);
            if forget {
                out.push(Output::Persist(Change::Worked(key.clone(), None)));
            }
            !forget
        });
        for (key, task) in &mut self.tasks {
            task.run_timers(at, key, out);
        }
    }

    pub(super) fn due(&self, config: &Config, due: &mut Due<'_>) {
        for task in self.tasks.values() {
            let deadline = task.record.deadline_ms;
            match &task.record.state {
                WorkState::Running { .. } => {
                    due.wall(deadline);
                    due.timer(task.next_send);
                }
                WorkState::Finished { .. } => {
                    due.wall(deadline.saturating_add(config.keep_ms));
                    due.timer(task.next_send);
                }
                WorkState::Settled { .. } => {
                    let keep = config.keep_ms.saturating_add(config.max_skew_ms);
                    due.wall(deadline.saturating_add(keep));
                }
            }
        }
    }
}

fn check_deadline(at: &Moment<'_>, deadline_ms: u64) -> Result<(), Refusal> {
    let horizon = at
        .config
        .max_horizon_ms
        .saturating_add(at.config.max_skew_ms);
    if deadline_ms > at.wall.saturating_add(horizon) {
        return Err(Refusal::OutOfTime(deadline_ms));
    }
    Ok(())
}
