//! Where a DID is to be found: a record in the swarm's DHT, signed by the DID's own key, that ends.
//!
//! A record is looked at before it is kept or believed: it must lie under the key of the DID that
//! signed it, be of this day, and name no more than a few addresses. Of several the latest counts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::kad::RecordKey;
use libp2p::{Multiaddr, PeerId};
use pagi_messages::content::{from_dag_cbor, to_dag_cbor};
use pagi_messages::{Did, Domain, Signed, SigningIdentity, Verified};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a record holds.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How far the clock of a record's author may be ahead.
const SKEW_MS: u64 = 120_000;
/// Largest record, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;
/// Addresses in a record.
pub(crate) const MAX_ADDRS: usize = 8;

/// Where a DID is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The peer id of its node.
    pub peer_id: String,
    /// Multiaddrs of that node, without the peer id.
    pub addrs: Vec<String>,
    /// When it was signed, milliseconds since 1970.
    pub issued_ms: u64,
    /// When it ends.
    pub expires_ms: u64,
}

impl Domain for Whereabouts {
    const DOMAIN: &'static str = "whereabouts/1";
}

/// Why a record is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRecord {
    #[error("{0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    #[error("it is malformed or its signature is wrong: {0}")]
    Malformed(String),
    #[error("it lies under the key of another DID")]
    WrongKey,
    #[error("it is over, or not of this day")]
    Untimely,
    #[error("it names no node, or addresses that are none")]
    Nowhere,
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The DHT key of a DID.
pub(crate) fn key(did: &Did) -> RecordKey {
    let mut hash = Sha256::new();
    hash.update(b"pagi-whereabouts/1\0");
    hash.update(did.as_str());
    // A multihash, as all keys of this DHT.
    RecordKey::from([&[0x12, 32][..], &hash.finalize()].concat())
}

/// Signs a record.
pub(crate) fn sign(
    identity: &SigningIdentity,
    peer: &PeerId,
    addrs: Vec<String>,
    now_ms: u64,
) -> Result<(RecordKey, Vec<u8>), pagi_messages::content::ContentError> {
    let lifetime = u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX);
    let body = Whereabouts {
        peer_id: peer.to_string(),
        addrs,
        issued_ms: now_ms,
        expires_ms: now_ms.saturating_add(lifetime),
    };
    let signed = Verified::sign(identity, body)?;
    Ok((key(identity.did()), to_dag_cbor(signed.as_signed())?))
}

/// Checks a record found under `at`.
pub(crate) fn check(
    at: &RecordKey,
    value: &[u8],
    now_ms: u64,
) -> Result<Verified<Whereabouts>, BadRecord> {
    if value.len() > MAX_BYTES {
        return Err(BadRecord::TooLarge(value.len()));
    }
    let malformed = |error: &dyn std::fmt::Display| BadRecord::Malformed(error.to_string());
    let signed: Signed<Whereabouts> = from_dag_cbor(value).map_err(|error| malformed(&error))?;
    if key(&signed.author) != *at {
        return Err(BadRecord::WrongKey);
    }
    let lifetime = u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX);
    let body = &signed.body;
    let timely = body.issued_ms <= now_ms.saturating_add(SKEW_MS)
        && body.expires_ms > now_ms
        && body.expires_ms.saturating_sub(body.issued_ms) <= lifetime;
    if !timely {
        return Err(BadRecord::Untimely);
    }
    let usable = body.peer_id.parse::<PeerId>().is_ok()
        && body.addrs.len() <= MAX_ADDRS
        && body
            .addrs
            .iter()
            .all(|addr| addr.parse::<Multiaddr>().is_ok());
    if !usable {
        return Err(BadRecord::Nowhere);
    }
    signed.verify().map_err(|error| malformed(&error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn identity(n: u8) -> SigningIdentity {
        SigningIdentity::from_seed(&[n; 32])
    }

    fn record(n: u8, addrs: &[&str]) -> (RecordKey, Vec<u8>) {
        let addrs = addrs.iter().map(ToString::to_string).collect();
        sign(&identity(n), &PeerId::random(), addrs, NOW).unwrap()
    }

    #[test]
    fn a_record_holds_for_its_did_and_its_time() {
        let (key, value) = record(1, &["/ip4/192.0.2.1/tcp/1"]);
        let found = check(&key, &value, NOW).unwrap();
        assert_eq!(found.author(), identity(1).did());
        assert_eq!(found.body().addrs, ["/ip4/192.0.2.1/tcp/1"]);
        let day = LIFETIME.as_millis() as u64;
        assert!(check(&key, &value, NOW + day - 1).is_ok());
        let over = check(&key, &value, NOW + day);
        assert!(matches!(over, Err(BadRecord::Untimely)));
        let early = check(&key, &value, NOW - SKEW_MS - 1);
        assert!(matches!(early, Err(BadRecord::Untimely)));
        let elsewhere = check(&record(2, &[]).0, &value, NOW);
        assert!(matches!(elsewhere, Err(BadRecord::WrongKey)));
    }

    #[test]
    fn poison_is_refused() {
        let (at, value) = record(1, &["/ip4/192.0.2.1/tcp/1"]);
        let signed: Signed<Whereabouts> = from_dag_cbor(&value).unwrap();
        let mut moved = signed.clone();
        moved.body.peer_id = PeerId::random().to_string();
        let moved = to_dag_cbor(&moved).unwrap();
        assert!(matches!(
            check(&at, &moved, NOW),
            Err(BadRecord::Malformed(_))
        ));
        let stolen = Signed {
            author: identity(2).did().clone(),
            ..signed
        };
        let stolen = to_dag_cbor(&stolen).unwrap();
        let forged = check(&key(identity(2).did()), &stolen, NOW);
        assert!(matches!(forged, Err(BadRecord::Malformed(_))));
        let (at, value) = record(1, &["not an address"]);
        assert!(matches!(check(&at, &value, NOW), Err(BadRecord::Nowhere)));
        let (at, value) = record(1, &["/ip4/192.0.2.1/tcp/1"; MAX_ADDRS + 1]);
        assert!(matches!(check(&at, &value, NOW), Err(BadRecord::Nowhere)));
        let large = vec![0; MAX_BYTES + 1];
        assert!(matches!(
            check(&at, &large, NOW),
            Err(BadRecord::TooLarge(_))
        ));
        let body = Whereabouts {
            peer_id: PeerId::random().to_string(),
            addrs: vec![],
            issued_ms: NOW,
            expires_ms: u64::MAX >> 1,
        };
        let endless = Verified::sign(&identity(1), body).unwrap();
        let endless = to_dag_cbor(endless.as_signed()).unwrap();
        assert!(matches!(
            check(&at, &endless, NOW),
            Err(BadRecord::Untimely)
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>) {
            let at = record(1, &[]).0;
            prop_assert!(check(&at, &value, NOW).is_err());
        }
    }
}
