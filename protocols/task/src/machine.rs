//! The task machine: both roles, their clock and the dispatch between them.
//!
//! [`asker`] and [`asked`] seek workers for own tasks, [`workshop`] works on those of others.

mod asked;
mod asker;
mod workshop;

use pagi_messages::{Did, Verified};

use crate::{
    clock::Clock,
    config::Config,
    io::{Input, Output, Refusal},
    message::TaskMessage,
    record::{AskedRecord, Durable, WorkedRecord},
    task::{TaskId, TaskKey},
};
use asker::Asker;
use workshop::Workshop;

/// The machine wants to be looked at this often, in milliseconds, even if nothing is due: deadlines
/// are wall clock times, and that clock may be set.
const LONGEST_SLEEP_MS: u64 = 60_000;

type Outputs = Vec<Output>;

/// What both roles need to know of the moment.
struct Moment<'a> {
    config: &'a Config,
    me: &'a Did,
    /// Monotonic time, for timers.
    now: u64,
    /// The wall clock, for deadlines and timestamps.
    wall: u64,
    /// The wall clock when this machine was made.
    started: u64,
}

impl Moment<'_> {
    /// Checks a timestamp against this node's clock.
    fn check_fresh(&self, timestamp: u64) -> Result<(), Refusal> {
        let ahead = timestamp > self.wall.saturating_add(self.config.max_skew_ms);
        let old = timestamp.saturating_add(self.config.max_age_ms) < self.wall;
        if ahead || old {
            return Err(Refusal::OutOfTime(timestamp));
        }
        Ok(())
    }
}

/// One node's part in the swarm's work. See the crate's documentation for the protocol.
///
/// All times are milliseconds since the Unix epoch by the driver's clock.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    me: Did,
    clock: Clock,
    started: u64,
    resumed: bool,
    asker: Asker,
    workshop: Workshop,
}

impl Machine {
    /// A machine for the node `me`, from what it persisted (or the default). `now_ms` is the first
    /// reading of the clock. Its first [`handle`](Self::handle) takes up what was open.
    #[must_use]
    pub fn new(config: Config, me: Did, durable: Durable, now_ms: u64) -> Self {
        let config = config.sanitised();
        Self {
            asker: Asker::new(durable.asked, &config, now_ms),
            workshop: Workshop::new(durable.worked, now_ms),
            clock: Clock::new(now_ms),
            started: now_ms,
            resumed: false,
            config,
            me,
        }
    }

    /// Takes one input at `now_ms` and says what to do, in order.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Output> {
        self.clock.advance(now_ms);
        let at = Moment {
            config: &self.config,
            me: &self.me,
            now: self.clock.now(),
            wall: self.clock.wall(),
            started: self.started,
        };
        let mut out = Vec::new();
        if !self.resumed {
            self.resumed = true;
            self.asker.resume(&mut out);
            self.workshop.resume(&at, &mut out);
        }
        match input {
            Input::Tick => {}
            Input::LocalTask(spec) => self.asker.ask(&at, spec, &mut out),
            Input::LocalCancel(id) => self.asker.cancel(&at, &id, &mut out),
            Input::Message(message) => {
                let judged =
                    Self::on_message(&mut self.asker, &mut self.workshop, &at, &message, &mut out);
                if let Err(reason) = judged {
                    let author = message.author().clone();
                    out.push(Output::Refused { author, reason });
                }
            }
            Input::Capabilities(local) => self.workshop.local = local,
            Input::Load(load) => self.workshop.load = load.min(100),
            Input::LocalProgress {
                task,
                percent,
                note,
            } => self.workshop.progress(&task, percent, note),
            Input::LocalResult {
                task,
                attempt,
                outcome,
            } => self.workshop.result(&at, &task, attempt, outcome, &mut out),
            Input::Peer { did, reputation } => {
                self.workshop.peer(&at, &did);
                self.asker.peer(&at, did, reputation);
            }
        }
        self.asker.run_timers(&at, &mut out);
        self.workshop.run_timers(&at, &mut out);
        out
    }

    fn on_message(
        asker: &mut Asker,
        workshop: &mut Workshop,
        at: &Moment<'_>,
        message: &Verified<TaskMessage>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let (author, body) = (message.author(), message.body());
        if author == at.me {
            return Ok(());
        }
        body.check()?;
        match body {
            TaskMessage::Offer { task, .. }
            | TaskMessage::Decline { task, .. }
            | TaskMessage::Progress { task, .. }
            | TaskMessage::Result { task, .. } => {
                if task.asker != *at.me {
                    return Err(Refusal::NotForMe);
                }
                asker.on_message(at, author, &task.id, body, out)
            }
            TaskMessage::Assign { worker, .. }
            | TaskMessage::Ack { worker, .. }
            | TaskMessage::Cancel { worker, .. } => {
                if worker != at.me {
                    return Err(Refusal::NotForMe);
                }
                workshop.on_message(at, author, body, out)
            }
            TaskMessage::Broadcast { .. } => workshop.on_message(at, author, body, out),
        }
    }

    /// When to call [`handle`](Self::handle) with [`Input::Tick`] at the latest, by the driver's
    /// clock. Always later than the last `now_ms`, but for a machine that was just made.
    #[must_use]
    pub fn next_tick_ms(&self) -> u64 {
        let wall = self.clock.wall();
        if !self.resumed {
            return wall;
        }
        let mut due = Due {
            clock: &self.clock,
            next: wall.saturating_add(LONGEST_SLEEP_MS),
        };
        self.asker.due(&self.config, self.started, &mut due);
        self.workshop.due(&self.config, &mut due);
        due.next
    }

    /// Own tasks, the ended ones included, until they are forgotten.
    pub fn asked(&self) -> impl Iterator<Item = (&TaskId, &AskedRecord)> {
        self.asker.records()
    }

    /// Tasks of others, the ended ones included, until they are forgotten.
    pub fn worked(&self) -> impl Iterator<Item = (&TaskKey, &WorkedRecord)> {
        self.workshop.records()
    }
}

/// Finds the earliest time that lies ahead.
struct Due<'a> {
    clock: &'a Clock,
    next: u64,
}

impl Due<'_> {
    /// A wall clock time.
    fn wall(&mut self, at: u64) {
        self.next = self.next.min(at.max(self.clock.wall().saturating_add(1)));
    }

    /// A monotonic time.
    fn timer(&mut self, at: u64) {
        self.wall(self.clock.to_wall(at));
    }
}
