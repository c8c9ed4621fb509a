//! Messages that come late, by sync instead of gossip.

use pagi_messages::{
    Coordination, Did, Signed, Verified, content::from_dag_cbor, wire::MAX_CLOCK_SKEW_MS,
};

use crate::{
    hive::{Hive, now_ms},
    inbox::{self, Judgement, Rejection},
};

/// How old a message may be that comes by sync, in milliseconds: a day.
pub const MAX_SYNCED_AGE_MS: u64 = 24 * 3_600_000;

/// Whether a message still matters to a node that was away when it was sent. Presence does not.
#[must_use]
pub fn is_kept(message: &Coordination) -> bool {
    match message {
        Coordination::TaskBroadcast { .. }
        | Coordination::PlaybookUpdate { .. }
        | Coordination::ArtifactPublished { .. }
        | Coordination::ArtifactRefused { .. } => true,
        Coordination::TwinOnline(_)
        | Coordination::NodeOnline { .. }
        | Coordination::CanaryOpened { .. }
        | Coordination::CanaryOutcomes { .. } => false,
    }
}

/// What an unchecked message says of itself, if it is one that is kept.
#[must_use]
pub fn glance(data: &[u8]) -> Option<(Did, Coordination)> {
    let signed: Signed<Coordination> = from_dag_cbor(data).ok()?;
    is_kept(&signed.body).then_some((signed.author, signed.body))
}

/// Reads a message that came by sync: the judgement of gossip, but for its age.
///
/// # Errors
/// [`Rejection`].
pub fn synced(data: &[u8], now_ms: u64) -> Result<Verified<Coordination>, Rejection> {
    let signed: Signed<Coordination> = from_dag_cbor(data)?;
    let timestamp = signed.body.timestamp();
    // It is the author's word that counts, not that of the peer it was fetched from.
    let publisher = signed
        .author
        .peer_id()
        .map_err(|error| Rejection::Signature(error.to_string()))?;
    // Judged as if it came in time; whether it does is another question.
    let message = inbox::coordination(&publisher, data, timestamp)?;
    let ahead = timestamp.saturating_sub(now_ms);
    let behind = now_ms.saturating_sub(timestamp);
    if ahead > MAX_CLOCK_SKEW_MS {
        Err(Rejection::Future(ahead))
    } else if behind > MAX_SYNCED_AGE_MS {
        Err(Rejection::Old(behind))
    } else {
        Ok(message)
    }
}

impl Hive {
    /// Takes in a message that came by sync. Its author need not be alive any more, so nobody is
    /// taken for alive because of it.
    pub async fn caught_up(&self, data: &[u8]) -> Judgement {
        let now = now_ms();
        let message = match synced(data, now) {
            Ok(message) if is_kept(message.body()) => message,
            Ok(_) => return Judgement::Ignore("not a message that is kept".to_owned()),
            Err(rejection) => return rejection.judgement(),
        };
        let from = message.author().clone();
        match self.act_on(message, from, data, now).await {
            Ok(()) => Judgement::Accept,
            Err(error) => Judgement::Ignore(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::{SigningIdentity, cid_of, to_dag_cbor, wire::MAX_MESSAGE_AGE_MS};

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn bytes(body: Coordination) -> Vec<u8> {
        let one = SigningIdentity::from_seed(&[1; 32]);
        to_dag_cbor(Verified::sign(&one, body).unwrap().as_signed()).unwrap()
    }

    fn update(timestamp: u64) -> Vec<u8> {
        bytes(Coordination::PlaybookUpdate {
            cid: cid_of(b"x"),
            timestamp,
        })
    }

    #[test]
    fn age_alone_is_judged_otherwise_than_by_gossip() {
        let old = update(NOW - MAX_MESSAGE_AGE_MS - 1);
        assert!(synced(&old, NOW).is_ok());
        let too_old = update(NOW - MAX_SYNCED_AGE_MS - 1);
        assert!(matches!(synced(&too_old, NOW), Err(Rejection::Old(_))));
        let early = update(NOW + MAX_CLOCK_SKEW_MS + 1);
        assert!(matches!(synced(&early, NOW), Err(Rejection::Future(_))));
        let mut bent = update(NOW);
        let last = bent.len() - 1;
        bent[last] ^= 1;
        assert!(synced(&bent, NOW).is_err());
        let swapped = SigningIdentity::from_seed(&[2; 32]);
        let mut signed: Signed<Coordination> = from_dag_cbor(&update(NOW)).unwrap();
        signed.author = swapped.did().clone();
        let forged = to_dag_cbor(&signed).unwrap();
        assert!(matches!(synced(&forged, NOW), Err(Rejection::Signature(_))));
    }

    #[test]
    fn presence_is_not_kept() {
        let hello = Coordination::NodeOnline {
            timestamp: NOW,
            heads: vec![],
        };
        assert!(glance(&bytes(hello)).is_none());
        assert!(glance(&update(NOW)).is_some() && glance(b"junk").is_none());
    }
}
