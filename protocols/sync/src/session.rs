//! The side that asks: one session with one peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pagi_messages::Did;

use crate::{
    index::{Fingerprint, Index, Stamp},
    wire::{
        Holding, MAX_AUTHORS, MAX_FETCHED, MAX_RANGES, Part, Request, Response, Span, Summary,
        Wanted,
    },
};

/// Questions of one session. What is missing then is left to the next one.
const MAX_QUESTIONS: u32 = 1024;
/// A peer that gave nothing for so long, or that takes longer in all, is left for another time:
/// answers that come just in time and bring next to nothing would keep all others waiting.
const GAIN_MS: u64 = 60_000;
const LONGEST_MS: u64 = 600_000;
/// Spans waiting to be looked into.
const MAX_WAITING: usize = 4096;

/// What a peer did that no honest one does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The answer is not one to the question.
    #[error("the answer does not fit the question")]
    Misfit,
    /// The answer speaks of something that was not asked about.
    #[error("the answer is about something else than asked")]
    Unasked,
}

#[derive(Clone, Debug)]
enum Asked {
    Compare,
    Expand(Vec<Span>),
    /// How many of those asked for have not come.
    Fetch(BTreeSet<(Did, Stamp)>),
}

/// See the module documentation. The caller sends what [`Session::next`] gives and feeds
/// [`Session::response`] with what comes back, until there is nothing to send.
#[derive(Clone, Debug)]
pub struct Session {
    to: u64,
    done: u64,
    /// When the first question was asked.
    began: Option<u64>,
    /// When a message that was asked for came last.
    gained: u64,
    gains: bool,
    slow: bool,
    questions: u32,
    spans: VecDeque<Span>,
    missing: BTreeSet<(Did, Stamp)>,
    asked: Option<Asked>,
    /// Whether something had to be left for another time.
    cut: bool,
}

impl Session {
    /// A session about everything before `to`. `done` is what [`Session::complete`] gave for this peer
    /// last time, or 0.
    #[must_use]
    pub fn new(to: u64, done: u64) -> Self {
        Self {
            to,
            done,
            began: None,
            gained: 0,
            gains: false,
            slow: false,
            questions: 0,
            spans: VecDeque::new(),
            missing: BTreeSet::new(),
            asked: None,
            cut: false,
        }
    }

    /// The next question at `now`; `None` when there is none left.
    pub fn next(&mut self, index: &Index, now: u64) -> Option<Request> {
        self.questions += 1;
        if self.questions > MAX_QUESTIONS {
            self.cut |= !(self.spans.is_empty() && self.missing.is_empty());
            return None;
        }
        let Some(began) = self.began else {
            (self.began, self.gained) = (Some(now), now);
            self.asked = Some(Asked::Compare);
            return Some(self.compare(index, now));
        };
        if std::mem::take(&mut self.gains) {
            self.gained = now;
        }
        let more = !(self.spans.is_empty() && self.missing.is_empty());
        let since = |then: u64| now.saturating_sub(then);
        if more && (since(self.gained) > GAIN_MS || since(began) > LONGEST_MS) {
            (self.slow, self.cut) = (true, true);
            return None;
        }
        // What is known to be missing first: it need not be remembered any longer then.
        self.missing
            .retain(|(author, stamp)| index.wants(author, stamp, now));
        let enough = self.missing.len() >= MAX_FETCHED || self.spans.is_empty();
        if enough && !self.missing.is_empty() {
            return Some(self.fetch());
        }
        let spans: Vec<Span> = self
            .spans
            .drain(..self.spans.len().min(MAX_RANGES))
            .collect();
        if spans.is_empty() {
            return None;
        }
        self.asked = Some(Asked::Expand(spans.clone()));
        Some(Request::Expand { spans })
    }

    fn compare(&self, index: &Index, now: u64) -> Request {
        let horizon = index.horizon(now);
        let has = index.authors.iter().take(MAX_AUTHORS);
        let has = has.map(|(author, known)| {
            let floor = known.floor.max(horizon);
            Summary {
                author: author.clone(),
                floor,
                has: index.fingerprint(author, floor.saturating_add(1)..self.to),
            }
        });
        Request::Compare {
            to: self.to,
            horizon,
            done: self.done,
            has: has.collect(),
        }
    }

    fn fetch(&mut self) -> Request {
        let mut batch = BTreeSet::new();
        while batch.len() < MAX_FETCHED
            && let Some(key) = self.missing.pop_first()
        {
            batch.insert(key);
        }
        let mut wanted: BTreeMap<Did, Vec<Stamp>> = BTreeMap::new();
        for (author, stamp) in &batch {
            wanted.entry(author.clone()).or_default().push(*stamp);
        }
        let wanted = wanted
            .into_iter()
            .map(|(author, stamps)| Wanted { author, stamps });
        let request = Request::Fetch {
            wanted: wanted.collect(),
        };
        self.asked = Some(Asked::Fetch(batch));
        request
    }

    /// Takes an answer and gives the messages in it. Each is for the caller to read and judge; what
    /// it says of author and time is confirmed with [`Session::came`].
    ///
    /// # Errors
    /// [`Fault`]; the session is over then.
    pub fn response(&mut self, index: &Index, response: Response) -> Result<Vec<Vec<u8>>, Fault> {
        match (self.asked.take(), response) {
            (Some(Asked::Compare), Response::Parts { parts }) => {
                for Part { span, has } in parts {
                    let Holding::Print(print) = has else {
                        return Err(Fault::Misfit);
                    };
                    if span.to != self.to {
                        return Err(Fault::Unasked);
                    }
                    self.consider(index, span, print);
                }
                Ok(Vec::new())
            }
            (Some(Asked::Expand(spans)), Response::Parts { parts }) => {
                self.expanded(index, &spans, parts)?;
                Ok(Vec::new())
            }
            (Some(Asked::Fetch(batch)), Response::Messages { messages }) => {
                if messages.len() > batch.len() {
                    return Err(Fault::Unasked);
                }
                if messages.is_empty() {
                    // It has none of them any more: they are gone, for this session.
                    return Ok(Vec::new());
                }
                self.asked = Some(Asked::Fetch(batch));
                Ok(messages.into_iter().map(|bytes| bytes.into_vec()).collect())
            }
            _ => Err(Fault::Misfit),
        }
    }

    /// Confirms a message that [`Session::response`] gave, by what it says of itself.
    ///
    /// # Errors
    /// [`Fault::Unasked`] where it was not asked for.
    pub fn came(&mut self, author: &Did, stamp: Stamp) -> Result<(), Fault> {
        let expected = match &mut self.asked {
            Some(Asked::Fetch(batch)) => batch.remove(&(author.clone(), stamp)),
            _ => false,
        };
        self.gains |= expected;
        expected.then_some(()).ok_or(Fault::Unasked)
    }

    /// All messages of the answer are judged: those asked for that did not come are asked for again.
    pub fn judged(&mut self) {
        if let Some(Asked::Fetch(batch)) = self.asked.take() {
            self.missing.extend(batch);
        }
    }

    fn expanded(&mut self, index: &Index, spans: &[Span], parts: Vec<Part>) -> Result<(), Fault> {
        for Part { span, has } in parts {
            let within = |asked: &&Span| {
                asked.author == span.author && asked.from <= span.from && span.to <= asked.to
            };
            let Some(asked) = spans.iter().find(within) else {
                return Err(Fault::Unasked);
            };
            match has {
                Holding::Print(_) if span == *asked => return Err(Fault::Misfit), // for ever
                Holding::Print(print) => self.consider(index, span, print),
                Holding::Listed(list) => {
                    for (at, id) in list {
                        if !(span.from..span.to).contains(&at) {
                            return Err(Fault::Unasked);
                        }
                        let stamp = Stamp { at, id };
                        if !index.contains(&span.author, &stamp) {
                            self.missing.insert((span.author.clone(), stamp));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks into a span unless it holds the same here.
    fn consider(&mut self, index: &Index, mut span: Span, theirs: Fingerprint) {
        if theirs.count == 0 {
            return;
        }
        if index.fingerprint(&span.author, span.from..span.to) == theirs {
            return;
        }
        span.from = span.from.max(index.floor(&span.author).saturating_add(1));
        if span.from >= span.to {
            return;
        }
        if self.spans.len() >= MAX_WAITING {
            self.cut = true;
            return;
        }
        self.spans.push_back(span);
    }

    /// After the end: whether it ended because the peer took too long.
    #[must_use]
    pub fn was_slow(&self) -> bool {
        self.slow
    }

    /// After the end: the time up to which this node now has all that the peer had, if so.
    #[must_use]
    pub fn complete(&self) -> Option<u64> {
        let through = self.began.is_some()
            && !self.cut
            && self.asked.is_none()
            && self.spans.is_empty()
            && self.missing.is_empty();
        through.then_some(self.to)
    }
}
