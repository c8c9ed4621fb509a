//! The election machine: state, timers and dispatch.
//!
//! [`standing`] asks for votes, [`voting`] gives them, [`claims`] judges heartbeats and
//! certificates, [`status`] explains.

mod claims;
mod standing;
mod status;
mod voting;

use std::collections::{BTreeMap, VecDeque};

use cid::Cid;
use pagi_messages::Did;

use crate::{
    clock::{Clock, Jitter},
    config::Config,
    io::{Durable, Input, Leader, Output, Refusal, VacantReason},
    message::ElectionMessage,
    view::View,
};
use standing::Candidacy;

/// One node's part in the election. See the crate's documentation for the protocol.
///
/// All times are milliseconds since the Unix epoch by the driver's clock; a clock that is set back
/// or forward does no harm beyond a new election.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    me: Did,
    durable: Durable,
    view: View,
    clock: Clock,
    jitter: Jitter,
    /// Monotonic time of creation.
    started: u64,
    /// No vote and no candidacy before this.
    settled_at: u64,
    /// No candidacy before this: after the user's step-down, and for a while after the start.
    abstain_until: u64,
    reign: Option<Reign>,
    candidacy: Option<Candidacy>,
    /// When to stand, while there is a reason to.
    stand_at: Option<u64>,
    /// Failed candidacies in a row.
    attempts: u32,
    /// Candidacies begun, by this node and others, since an MO was followed.
    rounds: u32,
    /// Who got the last vote, and until when no other candidate gets one.
    promise: Option<(Did, u64)>,
    /// No candidacy for a vacant office before this: another called for votes while this node still
    /// had an MO.
    defer_until: u64,
    /// The highest believable term others were heard to stand for: the next candidacy goes above.
    seen_term: u64,
    /// The highest believable term that keeps someone from following this node as MO.
    outranked: u64,
    /// When this node, as MO, last won again because of a higher term.
    restood_at: Option<u64>,
    /// No hint before this.
    next_hint: u64,
    /// The last (term, sequence) accepted from each MO.
    heard: BTreeMap<Did, (u64, u64)>,
    /// Votes of the highest term heard, by voter: finds double votes.
    ballots: (u64, BTreeMap<Did, (Did, Cid)>),
    /// Certificates already checked.
    proven: VecDeque<Cid>,
}

/// The MO this node follows, or this node's own term of office.
#[derive(Clone, Debug)]
struct Reign {
    leader: Leader,
    lease_until: u64,
    /// Since when the certificate no longer speaks for the live view.
    weak_since: Option<u64>,
    last_heartbeat: u64,
    /// When the driver last reported the MO alive.
    last_seen: u64,
    next_heartbeat: u64,
    /// Until the heartbeat after the next; short at first, so that all know of a new MO soon.
    pause: u64,
    seq: u64,
}

type Outputs = Vec<Output>;

impl Machine {
    /// A machine for `me`, from what it last persisted (or the default). `now_ms` is the first
    /// reading of the clock; `seed` is the only source of its jitter and should differ between
    /// starts.
    #[must_use]
    pub fn new(config: Config, me: Did, durable: Durable, now_ms: u64, seed: u64) -> Self {
        let config = config.sanitised();
        let mut mixed = seed;
        for byte in me.as_str().bytes() {
            mixed = mixed.rotate_left(7) ^ u64::from(byte);
        }
        Self {
            view: View::new(me.clone()),
            clock: Clock::new(now_ms),
            jitter: Jitter::new(mixed),
            started: now_ms,
            settled_at: now_ms.saturating_add(config.settle_ms),
            abstain_until: now_ms.saturating_add(config.join_ms),
            reign: None,
            candidacy: None,
            stand_at: None,
            attempts: 0,
            rounds: 0,
            promise: None,
            defer_until: 0,
            seen_term: 0,
            outranked: 0,
            restood_at: None,
            next_hint: 0,
            heard: BTreeMap::new(),
            ballots: (0, BTreeMap::new()),
            proven: VecDeque::new(),
            config,
            me,
            durable,
        }
    }

    /// Takes one input at `now_ms` and says what to do, in order.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Output> {
        let before = self.clock.now();
        let now = self.clock.advance(now_ms);
        let mut out = Vec::new();
        if now.saturating_sub(before) > self.config.lease_ms.saturating_mul(2) {
            // The machine did not run for a while: what it knows is old, so it listens first.
            self.settled_at = now.saturating_add(self.config.settle_ms);
        }
        self.expire(now, &mut out);
        match input {
            Input::Tick => {}
            Input::Message(message) => {
                if let Err(reason) = self.on_message(now, &message, &mut out) {
                    out.push(Output::Refused {
                        author: message.author().clone(),
                        reason,
                    });
                }
            }
            Input::MemberSeen { did, reputation } => {
                if let Some(reign) = self.reign.as_mut().filter(|reign| reign.leader.did == did) {
                    reign.last_seen = now;
                }
                if self.view.seen(did, reputation) {
                    self.nudge(now);
                }
            }
            Input::MemberLost { did } => self.view.lost(&did),
            Input::StepDown => self.step_down(now, &mut out),
        }
        self.run_timers(now, &mut out);
        out
    }

    /// When to call [`handle`](Self::handle) with [`Input::Tick`] at the latest, by the driver's
    /// clock. Always later than the last `now_ms`.
    #[must_use]
    pub fn next_tick_ms(&self) -> u64 {
        let now = self.clock.now();
        let reign = self.reign.as_ref();
        let mine = self.my_reign();
        let candidacy = self.candidacy.as_ref();
        let lease = self.config.lease_ms;
        let deadline = [
            Some(self.settled_at),
            Some(self.abstain_until),
            Some(self.defer_until),
            self.stand_at,
            self.promise.as_ref().map(|(_, until)| *until),
            self.restood_at.map(|at| at.saturating_add(lease)),
            reign.map(|reign| reign.lease_until),
            reign
                .and_then(|reign| reign.weak_since)
                .map(|since| since.saturating_add(lease)),
            mine.map(|reign| reign.next_heartbeat),
            candidacy.map(|candidacy| candidacy.deadline),
            candidacy.map(|candidacy| candidacy.next_call),
        ]
        .into_iter()
        .flatten()
        .filter(|deadline| *deadline > now)
        .min()
        .unwrap_or(u64::MAX)
        .min(now.saturating_add(lease));
        self.clock
            .to_wall(deadline)
            .max(self.clock.wall().saturating_add(1))
    }

    /// The MO this node follows, or itself.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        self.reign.as_ref().map(|reign| reign.leader.clone())
    }

    /// Whether this node is MO.
    #[must_use]
    pub fn is_mo(&self) -> bool {
        self.my_reign().is_some()
    }

    /// What must survive a crash, as of the last [`Output::Persist`].
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The members this node believes alive.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    fn my_reign(&self) -> Option<&Reign> {
        self.reign
            .as_ref()
            .filter(|reign| reign.leader.did == self.me)
    }

    fn persist(&self, out: &mut Outputs) {
        out.push(Output::Persist(self.durable.clone()));
    }

    /// Whether a timestamp is near enough to this node's clock.
    fn in_time(&self, timestamp: u64) -> Result<(), Refusal> {
        if self.clock.wall().abs_diff(timestamp) <= self.config.max_skew_ms {
            Ok(())
        } else {
            Err(Refusal::OutOfTime(timestamp))
        }
    }

    fn on_message(
        &mut self,
        now: u64,
        message: &pagi_messages::Verified<ElectionMessage>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let author = message.author();
        if *author == self.me {
            // Only the own vote matters; everything else was noted when it was sent.
            return match message.body() {
                ElectionMessage::Vote { .. } => self.on_vote(now, message.as_signed(), out),
                _ => Ok(()),
            };
        }
        match message.body() {
            ElectionMessage::Candidate {
                term,
                electorate,
                heard,
                timestamp,
            } => {
                self.in_time(*timestamp)?;
                self.view.heard(author);
                self.on_candidate(now, author, *term, (electorate, *heard), out)
            }
            ElectionMessage::Vote { timestamp, .. } => {
                if self.in_time(*timestamp).is_ok() {
                    self.view.heard(author);
                }
                self.on_vote(now, message.as_signed(), out)
            }
            ElectionMessage::Heartbeat {
                term,
                timestamp,
                seq,
                certificate,
            } => {
                self.in_time(*timestamp)?;
                self.on_heartbeat(now, author, (*term, *seq), certificate, out)
            }
            ElectionMessage::StepDown { term, .. } => {
                let current = self
                    .reign
                    .as_ref()
                    .is_some_and(|r| r.leader.did == *author && r.leader.term == *term);
                if current {
                    self.vacate(VacantReason::SteppedDown, out);
                }
                Ok(())
            }
            ElectionMessage::Ahead {
                term,
                to,
                timestamp,
            } => {
                self.in_time(*timestamp)?;
                self.on_hint(author, *term, to)
            }
        }
    }

    /// A member is stuck behind a higher term and says so to this node.
    fn on_hint(&mut self, author: &Did, term: u64, to: &Did) -> Result<(), Refusal> {
        if *to != self.me {
            return Ok(());
        }
        if !self.view.contains(author) {
            return Err(Refusal::Stranger);
        }
        if term > self.reach() {
            return Err(Refusal::TermJump {
                term,
                mine: self.durable.term,
            });
        }
        self.outrank(term);
        Ok(())
    }

    fn outrank(&mut self, term: u64) {
        self.seen_term = self.seen_term.max(term);
        self.outranked = self.outranked.max(term);
    }

    /// The highest term this node believes on the word of less than a strong certificate.
    fn reach(&self) -> u64 {
        self.durable
            .term
            .saturating_add(self.config.max_term_jump / 2)
            .min(crate::certificate::TERM_MAX)
    }

    /// Ends a reign whose lease has run out.
    fn expire(&mut self, now: u64, out: &mut Outputs) {
        let Some(reign) = self.reign.as_ref().filter(|reign| now >= reign.lease_until) else {
            return;
        };
        if reign.leader.did == self.me {
            self.settled_at = now.saturating_add(self.config.settle_ms);
            self.vacate(VacantReason::Overslept, out);
        } else {
            if now >= reign.last_seen.saturating_add(self.config.lease_ms / 2) {
                let mo = reign.leader.did.clone();
                self.view.fell_silent(&mo);
            }
            self.vacate(VacantReason::LeaseExpired, out);
        }
    }

    /// Ends the reign this node follows or holds.
    fn vacate(&mut self, reason: VacantReason, out: &mut Outputs) {
        if let Some(reign) = self.reign.take() {
            self.view.follow(None);
            self.stand_at = None;
            self.attempts = 0;
            out.push(Output::Vacant {
                term: reign.leader.term,
                reason,
            });
        }
    }

    fn step_down(&mut self, now: u64, out: &mut Outputs) {
        self.abstain_until = now.saturating_add(self.config.lease_ms);
        self.candidacy = None;
        self.stand_at = None;
        if let Some(reign) = self.my_reign() {
            let term = reign.leader.term;
            out.push(Output::Send(ElectionMessage::StepDown {
                term,
                timestamp: self.clock.wall(),
            }));
            self.vacate(VacantReason::SteppedDown, out);
        }
    }

    /// Does whatever has become due.
    fn run_timers(&mut self, now: u64, out: &mut Outputs) {
        self.watch_strength(now);
        if self
            .my_reign()
            .is_some_and(|reign| now >= reign.next_heartbeat)
        {
            self.beat(now, out);
        }
        self.run_candidacy(now, out);
    }
}
