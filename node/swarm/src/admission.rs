//! Who may connect. Pure: time comes in as an argument.
//!
//! Counts inbound connections by the network they come from, and keeps the ban list.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use serde::Serialize;

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
        }
    }

    /// Counts an inbound connection; false, and not counted, when it is one too many.
    pub(crate) fn arrives(&mut self, connection: C, ip: IpAddr) -> bool {
        let ip = origin(ip);
        if self.spare_loopback && ip.is_loopback() {
            return true;
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

    /// Keeps a peer away, for a while or (`None`) for good. The last word counts.
    pub(crate) fn ban(&mut self, peer: PeerId, time: Option<Duration>, now: Instant) {
        self.banned
            .insert(peer, time.and_then(|time| now.checked_add(time)));
    }

    /// Lets a peer come back.
    pub(crate) fn pardon(&mut self, peer: &PeerId) {
        self.banned.remove(peer);
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

    #[test]
    fn one_address_gets_its_share_and_frees_it_again() {
        let mut admission = Admission::new(2, true);
        assert!(admission.arrives(1, ip("10.0.0.1")));
        assert!(admission.arrives(2, ip("::ffff:10.0.0.1")));
        assert!(!admission.arrives(3, ip("10.0.0.1")));
        assert!(admission.arrives(4, ip("10.0.0.2")));
        admission.leaves(&3);
        assert!(!admission.arrives(5, ip("10.0.0.1")), "3 was never in");
        admission.leaves(&1);
        assert!(admission.arrives(6, ip("10.0.0.1")));
        for connection in [2, 4, 6, 6] {
            admission.leaves(&connection);
        }
        assert!(admission.counts.is_empty() && admission.origins.is_empty());
    }

    #[test]
    fn a_64_network_counts_as_one_and_loopback_may_be_spared() {
        let mut admission = Admission::new(1, true);
        assert!(admission.arrives(1, ip("2001:db8::1")));
        assert!(!admission.arrives(2, ip("2001:db8::2:1")));
        assert!(admission.arrives(3, ip("2001:db8:0:1::1")));
        assert!((10..30).all(|n| admission.arrives(n, ip("127.0.0.1"))));
        let mut strict = Admission::new(1, false);
        assert!(strict.arrives(1, ip("::1")) && !strict.arrives(2, ip("::1")));
    }

    #[test]
    fn bans_end_when_their_time_is_up() {
        let start = Instant::now();
        let (brief, lasting) = (PeerId::random(), PeerId::random());
        let mut admission: Admission<u8> = Admission::new(1, true);
        admission.ban(brief, Some(Duration::from_secs(10)), start);
        admission.ban(lasting, None, start);
        admission.ban(PeerId::random(), Some(Duration::ZERO), start);
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
