//! Who may connect. Pure: time comes in as an argument.
//!
//! Counts inbound connections by the network they come from, and keeps the ban lists: of peers, and
//! of the addresses that too many banned peers came from. A peer that has to be banned again stays
//! away twice as long.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use serde::Serialize;

/// How long the first ban for misconduct lasts.
const FIRST_BAN: Duration = Duration::from_secs(600);
/// How long any ban for misconduct lasts at most.
const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);
/// Peers banned from one address after which the address is kept out.
const BANS_PER_IP: u32 = 4;
/// How long an address is kept out, and how long what came from it is remembered.
const IP_BAN: Duration = Duration::from_secs(600);
/// Banned peers, offenders and offending addresses remembered at most, each.
const MAX_REMEMBERED: usize = 8192;

/// A peer that is kept away, see [`crate::Swarm::banned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Banned {
    /// Its peer id.
    pub peer_id: String,
    /// Seconds until it may come back; `None` while the process lives.
    pub seconds_left: Option<u64>,
}

/// Inbound connections by origin, and banned peers. `C` identifies a connection.
#[derive(Debug)]
pub(crate) struct Admission<C> {
    per_ip: u32,
    spare_loopback: bool,
    origins: HashMap<C, IpAddr>,
    counts: HashMap<IpAddr, u32>,
    banned: HashMap<PeerId, Option<Instant>>,
    /// How often a peer was banned for misconduct, and since when that is remembered.
    offenders: HashMap<PeerId, (u32, Instant)>,
    /// Peers banned by the address they came from, lately, and until when it is kept out.
    bad_ips: HashMap<IpAddr, BadIp>,
}

#[derive(Debug)]
struct BadIp {
    bans: u32,
    since: Instant,
    out_until: Option<Instant>,
}

impl<C: Eq + Hash> Admission<C> {
    /// Lets in up to `per_ip` connections from one IPv4 address or one IPv6 /64 network; with
    /// `spare_loopback`, any number from this machine.
    pub(crate) fn new(per_ip: u32, spare_loopback: bool) -> Self {
        Admission {
            per_ip,
            spare_loopback,
            origins: HashMap::new(),
            counts: HashMap::new(),
            banned: HashMap::new(),
            offenders: HashMap::new(),
            bad_ips: HashMap::new(),
        }
    }

    /// Counts an inbound connection; false, and not counted, when it is one too many or comes from
    /// an address that is kept out.
    pub(crate) fn arrives(&mut self, connection: C, ip: IpAddr, now: Instant) -> bool {
        let ip = origin(ip);
        if self.spare_loopback && ip.is_loopback() {
            return true;
        }
        let out = |bad: &BadIp| bad.out_until.is_some_and(|until| now < until);
        if self.bad_ips.get(&ip).is_some_and(out) {
            return false;
        }
        let count = self.counts.entry(ip).or_default();
        if *count >= self.per_ip {
            return false;
        }
        *count += 1;
        self.origins.insert(connection, ip);
        true
    }

    /// An inbound connection is gone or was never established.
    pub(crate) fn leaves(&mut self, connection: &C) {
        if let Some(ip) = self.origins.remove(connection)
            && let Some(count) = self.counts.get_mut(&ip)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&ip);
            }
        }
    }

    /// Keeps a peer away, for a while or (`None`) for good. Of several bans the one that ends last
    /// counts.
    pub(crate) fn ban(&mut self, peer: PeerId, time: Option<Duration>, now: Instant) {
        if self.banned.len() >= MAX_REMEMBERED && !self.banned.contains_key(&peer) {
            // Those for good are the user's: they stay. Of the others the first to end goes.
            let first = self.banned.iter().filter(|(_, until)| until.is_some());
            if let Some(first) = first.min_by_key(|(_, until)| **until).map(|(p, _)| *p) {
                self.banned.remove(&first);
            }
        }
        let until = time.and_then(|time| now.checked_add(time));
        let known = self.banned.get(&peer).copied();
        let until = match (known, until) {
            (Some(None), _) | (_, None) => None,
            (Some(Some(known)), Some(until)) => Some(known.max(until)),
            (None, until) => until,
        };
        self.banned.insert(peer, until);
    }

    /// Bans a peer for misconduct, longer each time, and counts the addresses it is connected from.
    /// Returns for how long, and whether an address is kept out from now on because of it.
    pub(crate) fn ban_offender(
        &mut self,
        peer: PeerId,
        ips: impl IntoIterator<Item = IpAddr>,
        now: Instant,
    ) -> (Duration, bool) {
        if self.offenders.len() >= MAX_REMEMBERED && !self.offenders.contains_key(&peer) {
            let oldest = self.offenders.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.offenders.remove(&oldest);
            }
        }
        let (times, at) = self.offenders.entry(peer).or_insert((0, now));
        let time = FIRST_BAN
            .saturating_mul(1 << (*times).min(8))
            .min(LONGEST_BAN);
        *times += 1;
        *at = now;
        self.ban(peer, Some(time), now);
        let mut kept_out = false;
        let ips: HashSet<IpAddr> = ips.into_iter().map(origin).collect();
        for ip in ips {
            if !(self.spare_loopback && ip.is_loopback()) {
                kept_out |= self.count_bad_ip(ip, now);
            }
        }
        (time, kept_out)
    }

    fn count_bad_ip(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.bad_ips.len() >= MAX_REMEMBERED && !self.bad_ips.contains_key(&ip) {
            return false;
        }
        let bad = self.bad_ips.entry(ip).or_insert(BadIp {
            bans: 0,
            since: now,
            out_until: None,
        });
        bad.bans += 1;
        bad.since = now;
        if bad.bans < BANS_PER_IP {
            return false;
        }
        bad.bans = 0;
        bad.out_until = Some(now + IP_BAN);
        true
    }

    /// How many peers are kept away, and how many addresses.
    pub(crate) fn counts(&self, now: Instant) -> (usize, usize) {
        let peers = self.banned.keys().filter(|peer| self.is_banned(peer, now));
        let out = |bad: &&BadIp| bad.out_until.is_some_and(|until| now < until);
        (peers.count(), self.bad_ips.values().filter(out).count())
    }

    /// Lets a peer come back.
    pub(crate) fn pardon(&mut self, peer: &PeerId) {
        self.banned.remove(peer);
        self.offenders.remove(peer);
    }

    /// Whether a peer is kept away at `now`.
    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.banned
            .get(peer)
            .is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Forgets bans that are over.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.banned
            .retain(|_, until| until.is_none_or(|until| now < until));
        self.offenders
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < 2 * LONGEST_BAN);
        self.bad_ips.retain(|_, bad| {
            let out = bad.out_until.is_some_and(|until| now < until);
            out || now.saturating_duration_since(bad.since) < IP_BAN
        });
    }

    /// The ban list, by peer id.
    pub(crate) fn banned(&self, now: Instant) -> Vec<Banned> {
        let mut banned: Vec<Banned> = self
            .banned
            .iter()
            .filter(|(peer, _)| self.is_banned(peer, now))
            .map(|(peer, until)| Banned {
                peer_id: peer.to_string(),
                seconds_left: until.map(|until| (until - now).as_secs_f64().ceil() as u64),
            })
            .collect();
        banned.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        banned
    }
}

/// The unit addresses are counted by: whoever has one IPv6 address has its whole /64.
fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)))
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn offenders_stay_away_longer_each_time_and_their_address_is_kept_out() {
        let start = now();
        let mut admission: Admission<u32> = Admission::new(32, true);
        let from = ip("10.0.0.9");
        let again = PeerId::random();
        assert_eq!(
            admission.ban_offender(again, [from, from], start),
            (FIRST_BAN, false)
        );
        let later = start + FIRST_BAN;
        assert_eq!(
            admission.ban_offender(again, [from], later),
            (2 * FIRST_BAN, false)
        );
        for n in 0..2 {
            assert!(admission.arrives(n, from, later));
            admission.ban_offender(PeerId::random(), [from], later);
        }
        assert!(!admission.arrives(9, from, later));
        assert!(
            admission.arrives(9, ip("10.0.0.8"), later),
            "others may come"
        );
        assert_eq!(admission.counts(later), (3, 1));
        assert!(admission.arrives(10, from, later + IP_BAN));
        for _ in 0..10 {
            let (time, _) = admission.ban_offender(again, [ip("127.0.0.1")], later);
            assert!(time <= LONGEST_BAN);
        }
        assert!(admission.arrives(11, ip("127.0.0.1"), later), "spared");
    }

    #[test]
    fn many_bans_do_not_fill_the_memory_nor_push_out_those_for_good() {
        let start = now();
        let mut admission: Admission<u32> = Admission::new(32, true);
        let lasting = PeerId::random();
        admission.ban(lasting, None, start);
        for n in 0..MAX_REMEMBERED as u32 + 50 {
            let from = IpAddr::from(n.to_be_bytes());
            admission.ban_offender(PeerId::random(), [from], start);
        }
        assert!(admission.banned.len() <= MAX_REMEMBERED);
        assert!(admission.offenders.len() <= MAX_REMEMBERED);
        assert!(admission.bad_ips.len() <= MAX_REMEMBERED);
        assert!(admission.is_banned(&lasting, start));
    }

    #[test]
    fn one_address_gets_its_share_and_frees_it_again() {
        let mut admission = Admission::new(2, true);
        assert!(admission.arrives(1, ip("10.0.0.1"), now()));
        assert!(admission.arrives(2, ip("::ffff:10.0.0.1"), now()));
        assert!(!admission.arrives(3, ip("10.0.0.1"), now()));
        assert!(admission.arrives(4, ip("10.0.0.2"), now()));
        admission.leaves(&3);
        assert!(
            !admission.arrives(5, ip("10.0.0.1"), now()),
            "3 was never in"
        );
        admission.leaves(&1);
        assert!(admission.arrives(6, ip("10.0.0.1"), now()));
        for connection in [2, 4, 6, 6] {
            admission.leaves(&connection);
        }
        assert!(admission.counts.is_empty() && admission.origins.is_empty());
    }

    #[test]
    fn a_64_network_counts_as_one_and_loopback_may_be_spared() {
        let mut admission = Admission::new(1, true);
        assert!(admission.arrives(1, ip("2001:db8::1"), now()));
        assert!(!admission.arrives(2, ip("2001:db8::2:1"), now()));
        assert!(admission.arrives(3, ip("2001:db8:0:1::1"), now()));
        assert!((10..30).all(|n| admission.arrives(n, ip("127.0.0.1"), now())));
        let mut strict = Admission::new(1, false);
        assert!(strict.arrives(1, ip("::1"), now()) && !strict.arrives(2, ip("::1"), now()));
    }

    #[test]
    fn bans_end_when_their_time_is_up() {
        let start = Instant::now();
        let (brief, lasting) = (PeerId::random(), PeerId::random());
        let mut admission: Admission<u8> = Admission::new(1, true);
        admission.ban(brief, Some(Duration::from_secs(10)), start);
        admission.ban(lasting, None, start);
        admission.ban(PeerId::random(), Some(Duration::ZERO), start);
        // A later, shorter one for misconduct does not shorten it.
        admission.ban(lasting, Some(Duration::from_secs(1)), start);
        admission.ban(brief, Some(Duration::from_secs(1)), start);
        let left: Vec<_> = admission
            .banned(start)
            .iter()
            .map(|b| b.seconds_left)
            .collect();
        assert!(left.len() == 2 && left.contains(&Some(10)) && left.contains(&None));
        let later = start + Duration::from_secs(10);
        assert!(admission.is_banned(&lasting, later) && !admission.is_banned(&brief, later));
        admission.expire(later);
        assert_eq!(admission.banned.len(), 1);
        admission.pardon(&lasting);
        assert!(admission.banned(later).is_empty());
    }
}
