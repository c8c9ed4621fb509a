//! How much one peer may send. Pure: time comes in as an argument.
//!
//! Each peer has a token bucket for requests and one for gossip on each topic. What exceeds them is
//! dropped by the caller and remembered here as an offence; offences fade, and while there are many
//! the peer's gossip score falls until the node parts with it. A peer that reconnects finds its
//! buckets as it left them.
//!
//! Honest peers pass on what others wrote, and must not pay for it. So what a peer forwards is an
//! offence only at [`FORWARDED`] times the rate, and every node passes on so little that an honest
//! one stays below that: each author, each forwarder's unknown authors and the topic as a whole have
//! buckets of their own, whose excess is dropped and held against nobody. When the topic as a whole
//! is full, each peer still has an equal share of a peer's rate. A topic takes [`TOPIC`] times the rate of
//! a peer, so that no peer can fill it alone; with the shares a node passes on [`TOPIC`] + 1 times the
//! rate at most, which is below [`FORWARDED`].

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::config::Rate;

/// Offences that cost nothing: an honest peer may pass on what several others publish at once.
const FORGIVEN: f64 = 100.0;
/// Points lost per offence beyond those.
const WEIGHT: f64 = 0.5;
/// Most points a peer can lose here; well below the graylist threshold, so that no other merit
/// outweighs it.
const MAX_LOSS: f64 = 250.0;
/// Offences remembered at most: what a peer has to sit out is bounded.
const MAX_OFFENCES: f64 = 1000.0;
/// After this long half of the offences are forgotten.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// An author not heard for so long is a stranger again.
const AUTHOR_KEPT: Duration = Duration::from_secs(3600);
/// Peers remembered; beyond that, the one that was quiet longest is forgotten.
const MAX_PEERS: usize = 4096;
/// Topics with a bucket of their own for one peer; further topics share one.
const MAX_TOPICS: usize = 64;
/// What a peer may forward, as a multiple of the rate, before the excess is an offence.
const FORWARDED: u32 = 4;
/// What all peers together may send on a topic, as a multiple of the rate.
const TOPIC: u32 = 2;
/// An author that is heard through others gets one part in so many of a peer's rate.
const AUTHOR_PART: u32 = 4;
/// Authors never heard before that one peer may bring.
const STRANGERS: Rate = Rate {
    per_second: 20,
    burst: 400,
};
/// Where topics beyond [`MAX_TOPICS`] are counted; no topic can be named so.
const OTHER_TOPICS: &str = "";

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Bucket {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Whether there is a token.
    pub(crate) fn ready(&mut self, rate: Rate, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens =
            (self.tokens + passed * f64::from(rate.per_second)).min(f64::from(rate.burst));
        self.tokens >= 1.0
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let ready = self.ready(rate, now);
        if ready {
            self.tokens -= 1.0;
        }
        ready
    }
}

/// What is remembered of every peer; see the module documentation.
#[derive(Debug)]
pub(crate) struct Limiter<P> {
    gossip: Option<Rate>,
    requests: Option<Rate>,
    peers: HashMap<P, Usage>,
    /// Authors heard through others.
    authors: HashMap<P, Author>,
    /// All gossip of a topic together.
    topics: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Author {
    bucket: Bucket,
    seen: Instant,
}

/// The gossip of one peer on one topic.
#[derive(Debug)]
struct Lane {
    all: Bucket,
    forwarded: Bucket,
    share: Bucket,
}

impl Lane {
    fn new(rate: Rate, now: Instant) -> Self {
        Lane {
            all: Bucket::new(rate, now),
            forwarded: Bucket::new(times(rate, FORWARDED), now),
            share: Bucket::new(rate, now),
        }
    }
}

fn times(rate: Rate, n: u32) -> Rate {
    Rate {
        per_second: rate.per_second.saturating_mul(n),
        burst: rate.burst.saturating_mul(n),
    }
}

fn part(rate: Rate, n: u32) -> Rate {
    let cut = |value: u32| (value / n.max(1)).max(1);
    Rate {
        per_second: cut(rate.per_second),
        burst: cut(rate.burst),
    }
}

#[derive(Debug)]
struct Usage {
    gossip: HashMap<String, Lane>,
    strangers: Bucket,
    requests: Option<Bucket>,
    offences: f64,
    /// Offences ever, for display.
    total: u64,
    faded: Instant,
    seen: Instant,
}

impl Usage {
    fn new(now: Instant) -> Self {
        Usage {
            gossip: HashMap::new(),
            strangers: Bucket::new(STRANGERS, now),
            requests: None,
            offences: 0.0,
            total: 0,
            faded: now,
            seen: now,
        }
    }

    fn lane(&mut self, topic: &str, rate: Rate, now: Instant) -> &mut Lane {
        let topic = match self.gossip.len() < MAX_TOPICS || self.gossip.contains_key(topic) {
            true => topic,
            false => OTHER_TOPICS,
        };
        self.gossip
            .entry(topic.to_owned())
            .or_insert_with(|| Lane::new(rate, now))
    }

    fn fade(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.faded).as_secs_f64();
        self.faded = self.faded.max(now);
        self.offences *= 0.5f64.powf(passed / HALF_LIFE.as_secs_f64());
    }

    fn offend(&mut self, weight: u32, now: Instant) {
        self.fade(now);
        self.offences = (self.offences + f64::from(weight)).min(MAX_OFFENCES);
        self.total += u64::from(weight);
    }
}

impl<P: Copy + Eq + Hash> Limiter<P> {
    /// A limiter; `None` is no limit.
    pub(crate) fn new(gossip: Option<Rate>, requests: Option<Rate>) -> Self {
        Limiter {
            gossip,
            requests,
            peers: HashMap::new(),
            authors: HashMap::new(),
            topics: HashMap::new(),
        }
    }

    /// Counts a gossip message that `peer` brought and `author` wrote, while `peers` peers are
    /// connected; false when it is one too many.
    pub(crate) fn message(
        &mut self,
        peer: P,
        author: P,
        topic: &str,
        peers: usize,
        now: Instant,
    ) -> bool {
        let Some(rate) = self.gossip else {
            return true;
        };
        let own = author == peer;
        let known = own || self.authors.contains_key(&author);
        let usage = self.usage(peer, now);
        let lane = usage.lane(topic, rate, now);
        let within = lane.all.take(rate, now);
        let tolerated = lane.forwarded.take(times(rate, FORWARDED), now);
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let shared = within && lane.share.take(part(rate, peers), now);
        if !within {
            if own || !tolerated {
                usage.offend(1, now);
            }
            return false;
        }
        if !known && !usage.strangers.take(STRANGERS, now) {
            return false;
        }
        if !own && !self.author(author, rate, now) {
            return false;
        }
        self.topic(topic, rate, now) || shared
    }

    /// Counts a message that `peer` brought though it was taken in before: whoever wrote it, and what
    /// others say on the topic, have no part in it. False when it is one too many.
    pub(crate) fn repeated(&mut self, peer: P, topic: &str, now: Instant) -> bool {
        let Some(rate) = self.gossip else {
            return true;
        };
        let usage = self.usage(peer, now);
        let lane = usage.lane(topic, rate, now);
        let within = lane.all.take(rate, now);
        if !lane.forwarded.take(times(rate, FORWARDED), now) {
            usage.offend(1, now);
        }
        within
    }

    /// Counts a message of an author who is not its forwarder.
    fn author(&mut self, author: P, rate: Rate, now: Instant) -> bool {
        let rate = part(rate, AUTHOR_PART);
        if self.authors.len() >= MAX_PEERS && !self.authors.contains_key(&author) {
            let quiet = self.authors.iter().min_by_key(|(_, known)| known.seen);
            if let Some(quiet) = quiet.map(|(author, _)| *author) {
                self.authors.remove(&quiet);
            }
        }
        let known = self.authors.entry(author).or_insert_with(|| Author {
            bucket: Bucket::new(rate, now),
            seen: now,
        });
        known.seen = now;
        known.bucket.take(rate, now)
    }

    /// Counts a message of a topic, whoever sent it.
    fn topic(&mut self, topic: &str, rate: Rate, now: Instant) -> bool {
        let rate = times(rate, TOPIC);
        let topic = match self.topics.len() < MAX_TOPICS || self.topics.contains_key(topic) {
            true => topic,
            false => OTHER_TOPICS,
        };
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.into(), Bucket::new(rate, now));
        }
        self.topics
            .get_mut(topic)
            .is_none_or(|bucket| bucket.take(rate, now))
    }

    /// Holds something else against a peer, as much as so many messages too many.
    pub(crate) fn fault(&mut self, peer: P, weight: u32, now: Instant) {
        self.usage(peer, now).offend(weight, now);
    }

    /// Whether a peer is as bad as it gets here, whatever its merits.
    pub(crate) fn hopeless(&self, peer: &P) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|usage| score(usage.offences) <= -MAX_LOSS)
    }

    /// Counts a request of a peer; false when it is one too many.
    pub(crate) fn request(&mut self, peer: P, now: Instant) -> bool {
        let Some(rate) = self.requests else {
            return true;
        };
        let usage = self.usage(peer, now);
        let within = usage
            .requests
            .get_or_insert_with(|| Bucket::new(rate, now))
            .take(rate, now);
        if !within {
            usage.offend(1, now);
        }
        within
    }

    fn usage(&mut self, peer: P, now: Instant) -> &mut Usage {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            let quiet = self.peers.iter().min_by_key(|(_, usage)| usage.seen);
            if let Some(quiet) = quiet.map(|(peer, _)| *peer) {
                self.peers.remove(&quiet);
            }
        }
        let usage = self.peers.entry(peer).or_insert_with(|| Usage::new(now));
        usage.seen = now;
        usage
    }

    /// How many messages and requests of a peer were too many, ever.
    pub(crate) fn offences(&self, peer: &P) -> u64 {
        self.peers.get(peer).map_or(0, |usage| usage.total)
    }

    /// The peers that offended, each with what it adds to its gossip score: zero or less.
    pub(crate) fn scores(&mut self, now: Instant) -> Vec<(P, f64)> {
        self.peers
            .iter_mut()
            .filter(|(_, usage)| usage.total > 0)
            .map(|(peer, usage)| {
                usage.fade(now);
                (*peer, score(usage.offences))
            })
            .collect()
    }

    /// Forgets peers of whom nothing is left to remember.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let (gossip, requests) = (self.gossip, self.requests);
        let refill = |rate: Option<Rate>| {
            rate.map_or(0.0, |rate| {
                f64::from(rate.burst) / f64::from(rate.per_second.max(1))
            })
        };
        let full = Duration::from_secs_f64(refill(gossip).max(refill(requests)) + 1.0);
        self.peers.retain(|_, usage| {
            usage.fade(now);
            now.saturating_duration_since(usage.seen) < full || usage.offences >= 0.5
        });
        self.authors
            .retain(|_, known| now.saturating_duration_since(known.seen) < AUTHOR_KEPT);
    }
}

fn score(offences: f64) -> f64 {
    let beyond = (offences - FORGIVEN).max(0.0);
    match beyond > 0.0 {
        true => -(beyond * WEIGHT).min(MAX_LOSS),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scoring;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 20,
    };

    fn passed(
        limiter: &mut Limiter<u8>,
        peer: u8,
        topic: &str,
        count: usize,
        now: Instant,
    ) -> usize {
        (0..count)
            .filter(|_| limiter.message(peer, peer, topic, 1, now))
            .count()
    }

    #[test]
    fn each_peer_and_topic_has_its_own_bucket_that_refills() {
        let start = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        assert_eq!(passed(&mut limiter, 1, "a", 50, start), 20);
        assert_eq!(passed(&mut limiter, 1, "b", 50, start), 20);
        assert_eq!(
            passed(&mut limiter, 2, "a", 15, start),
            15,
            "others are not hurt"
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(passed(&mut limiter, 1, "a", 50, later), 10);
        assert_eq!((limiter.offences(&1), limiter.offences(&2)), (100, 0));
    }

    #[test]
    fn spam_silences_the_spammer_for_a_while_and_is_forgotten() {
        let start = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        passed(&mut limiter, 1, "a", 120, start);
        assert_eq!(limiter.scores(start), [(1, 0.0)], "a slip is forgiven");
        passed(&mut limiter, 1, "a", 5000, start);
        let worst = limiter.scores(start)[0].1;
        let best = scoring::params(true).topic_score_cap;
        let graylist = scoring::thresholds().graylist_threshold;
        assert!(worst + best < graylist, "{worst}");
        let later = start + Duration::from_secs(300);
        assert_eq!(limiter.scores(later), [(1, 0.0)], "five minutes later");
        limiter.sweep(start + Duration::from_secs(3600));
        assert_eq!(limiter.peers.len(), 0);
    }

    #[test]
    fn requests_are_counted_apart_and_no_limit_is_no_limit() {
        let now = Instant::now();
        let mut limiter = Limiter::new(None, Some(RATE));
        assert_eq!(passed(&mut limiter, 1, "a", 5000, now), 5000);
        assert_eq!((0..50).filter(|_| limiter.request(1, now)).count(), 20);
        assert_eq!(limiter.offences(&1), 30);
    }

    #[test]
    fn a_forwarder_does_not_pay_for_what_others_wrote() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        // Peer 1 forwards 60 messages of 12 authors: more than it may, no offence yet.
        let taken = (0..60)
            .filter(|n| limiter.message(1u32, 100 + n % 12, "a", 2, now))
            .count();
        assert_eq!((taken, limiter.offences(&1)), (20, 0));
        let flood = (0..400).filter(|n| limiter.message(1, 100 + n % 12, "a", 2, now));
        assert_eq!(flood.count(), 0);
        assert_eq!(limiter.offences(&1), 380);
    }

    #[test]
    fn who_repeats_what_an_author_said_does_not_silence_the_author() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        let (author, honest, replayer) = (1u32, 2, 3);
        let again = (0..500).filter(|_| limiter.repeated(replayer, "a", now));
        assert_eq!(again.count(), 20, "as many as a peer may send");
        assert!(limiter.offences(&replayer) > 400);
        // A quarter of a peer's rate, none of which the replayer has taken.
        let heard = (0..9).filter(|_| limiter.message(honest, author, "a", 2, now));
        assert_eq!(heard.count(), 5);
    }

    #[test]
    fn one_peer_does_not_fill_a_topic_and_several_leave_each_its_share() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        let mut taken = |peer: u32, peers: usize| {
            let all = (0..60).filter(|_| limiter.message(peer, peer, "a", peers, now));
            all.count()
        };
        assert_eq!(taken(1, 4), 20);
        assert_eq!(taken(2, 4), 20, "as if there were no other");
        assert_eq!(taken(3, 4), 5, "the topic is full");
        assert_eq!(taken(4, 4), 5);
        // What a node passes on at most is no offence to the next one.
        const { assert!(TOPIC + 1 < FORWARDED) };
    }

    #[test]
    fn one_author_and_many_strangers_are_cut_wherever_they_come_from() {
        let now = Instant::now();
        let rate = Rate {
            per_second: 1000,
            burst: 4000,
        };
        let mut limiter = Limiter::new(Some(rate), None);
        let one = (0..4u32).map(|peer| {
            let sent = (0..1000).filter(|_| limiter.message(peer, 99, "a", 4, now));
            sent.count()
        });
        assert_eq!(
            one.sum::<usize>(),
            1000,
            "a quarter of the rate for one author"
        );
        let sybils = (0..2000).filter(|n| limiter.message(7, 1000 + n, "b", 4, now));
        assert_eq!(sybils.count(), STRANGERS.burst as usize);
        assert_eq!(limiter.offences(&7), 0);
        assert!(
            limiter.message(7, 1000, "b", 4, now),
            "authors known by now"
        );
    }

    #[test]
    fn faults_add_up() {
        let now = Instant::now();
        let mut limiter: Limiter<u8> = Limiter::new(Some(RATE), None);
        for _ in 0..12 {
            assert!(!limiter.hopeless(&1));
            limiter.fault(1, 50, now);
        }
        assert!(limiter.hopeless(&1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn never_more_than_burst_and_rate_allow_and_memory_is_bounded(
            steps in proptest::collection::vec((0u64..400, 1usize..30), 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut limiter = Limiter::new(Some(RATE), None);
            let mut through = 0;
            for (n, (millis, count)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(millis);
                through += passed(&mut limiter, 1, "a", count, now);
                passed(&mut limiter, 1, &format!("topic {n}"), 1, now);
                let allowed = 20.0 + (now - start).as_secs_f64() * 10.0;
                prop_assert!(through as f64 <= allowed + 1e-6);
                prop_assert!(limiter.scores(now).iter().all(|(_, s)| (-MAX_LOSS..=0.0).contains(s)));
            }
            prop_assert!(limiter.peers[&1].gossip.len() <= MAX_TOPICS + 1);
        }
    }

    #[test]
    fn peers_beyond_the_bound_push_out_the_quietest() {
        let start = Instant::now();
        let mut limiter = Limiter::new(Some(RATE), None);
        for peer in 0..MAX_PEERS + 10 {
            limiter.message(
                peer,
                peer,
                "a",
                1,
                start + Duration::from_millis(peer as u64),
            );
        }
        assert_eq!(limiter.peers.len(), MAX_PEERS);
        assert!(!limiter.peers.contains_key(&9) && limiter.peers.contains_key(&10));
    }
}
