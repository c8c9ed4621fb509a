//! Counters of the network, kept without locks.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The statistics that are present numbers; those of stores and queues are of the last half
/// second.
pub const PRESENT: [&str; 13] = [
    "connected",
    "connections",
    "relayed",
    "banned",
    "banned_ips",
    "wants",
    "dht_records",
    "dht_provided",
    "inbound_bytes",
    "request_bytes",
    "requests_open",
    "publish_waiting",
    "memory_bytes",
];

/// Counts since the swarm was started, except those in [`PRESENT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SwarmStats {
    /// Messages published to at least one peer.
    pub published: u64,
    /// Publishes that met full queues and were sent again.
    pub publish_retries: u64,
    /// Copies of our own messages that one peer's full or stale queue lost.
    pub publish_dropped: u64,
    /// Copies of other nodes' messages that one peer's full or stale queue lost.
    pub forward_dropped: u64,
    /// Copies of gossip messages received, duplicates included.
    pub gossip_copies: u64,
    /// Gossip messages received, each content once.
    pub received: u64,
    /// Received messages judged valid and forwarded.
    pub accepted: u64,
    /// Received messages judged invalid.
    pub rejected: u64,
    /// Received messages neither valid nor invalid, those dropped included.
    pub ignored: u64,
    /// Received messages and requests dropped because the application did not keep up.
    pub inbound_dropped: u64,
    /// Requests received.
    pub requests_in: u64,
    /// Requests sent.
    pub requests_out: u64,
    /// Peers of this swarm connected now.
    pub connected: u64,
    /// Connections open now, relayed ones included.
    pub connections: u64,
    /// Of those, the ones that lead through a relay.
    pub relayed: u64,
    /// Inbound connections refused: too many from one address, too little memory, or banned.
    pub refused_connections: u64,
    /// Gossip messages ignored because a peer sent too many.
    pub gossip_limited: u64,
    /// Requests closed because a peer sent too many, or too many bytes of them wait.
    pub requests_limited: u64,
    /// Gossip messages ignored because they were taken in before, and longer ago than gossipsub
    /// remembers.
    pub replayed: u64,
    /// Requests that were malformed, too large, or too slow in arriving or being read.
    pub requests_bad: u64,
    /// Replies not sent because those who asked do not read them.
    pub replies_dropped: u64,
    /// Announcements and records for the DHT that were refused.
    pub records_refused: u64,
    /// Peers parted with because there were enough.
    pub parted: u64,
    /// Blocks that peers want over bitswap, when last looked at.
    pub wants: u64,
    /// Peers parted with because they wanted too many.
    pub wants_cut: u64,
    /// Blocks received over bitswap.
    pub blocks_in: u64,
    /// Of those, the ones that nobody here asked for.
    pub blocks_unasked: u64,
    /// Blocks sent over bitswap.
    pub blocks_out: u64,
    /// Records of others kept in the DHT now.
    pub dht_records: u64,
    /// Announcements of content by others kept in the DHT now.
    pub dht_provided: u64,
    /// Bytes of gossip handed out and not yet judged.
    pub inbound_bytes: u64,
    /// Bytes of requests handed out and not yet answered, and of replies not yet sent.
    pub request_bytes: u64,
    /// Requests being answered or answers being sent.
    pub requests_open: u64,
    /// Messages that wait to be published.
    pub publish_waiting: u64,
    /// Resident memory of the process in bytes; 0 where the system does not tell.
    pub memory_bytes: u64,
    /// Times a peer was banned for misconduct.
    pub bans: u64,
    /// Peers banned now.
    pub banned: u64,
    /// Addresses kept out now, for the banned peers that came from there.
    pub banned_ips: u64,
    /// As a relay: reservations granted, renewals not counted.
    pub reservations: u64,
    /// As a relay: circuits opened.
    pub circuits: u64,
    /// As a relay: reservations and circuits refused.
    pub relay_refused: u64,
    /// Relayed connections that hole punching made direct.
    pub holes_punched: u64,
    /// Relayed connections that could not be made direct.
    pub holes_failed: u64,
}

macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        /// The live counters behind [`SwarmStats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $field: Counter),* }

        impl Counters {
            /// Reads every counter; the values need not be of one instant.
            pub(crate) fn snapshot(&self) -> SwarmStats {
                SwarmStats { $($field: self.$field.get()),* }
            }
        }
    };
}

counters!(
    published,
    publish_retries,
    publish_dropped,
    forward_dropped,
    gossip_copies,
    received,
    accepted,
    rejected,
    ignored,
    inbound_dropped,
    requests_in,
    requests_out,
    connected,
    connections,
    relayed,
    refused_connections,
    gossip_limited,
    requests_limited,
    replayed,
    requests_bad,
    replies_dropped,
    records_refused,
    parted,
    wants,
    wants_cut,
    blocks_in,
    blocks_unasked,
    blocks_out,
    dht_records,
    dht_provided,
    inbound_bytes,
    request_bytes,
    requests_open,
    publish_waiting,
    memory_bytes,
    bans,
    banned,
    banned_ips,
    reservations,
    circuits,
    relay_refused,
    holes_punched,
    holes_failed,
);

/// One number, changed by the network task and read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
