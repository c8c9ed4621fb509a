//! Twins that were heard and are gone: who looks for one shall learn that it was here, and when.
//!
//! The hive forgets a twin a moment after its node falls silent. This keeps what was last heard of it,
//! over restarts, for [`KEPT_MS`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pagi_hive::Hive;
use pagi_messages::{Did, EventType, TwinPresence};
use pagi_store::{Batch, EventFilter, Store, StoreError};
use pagi_twin::now_ms;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How often is looked who is there.
const GLANCE: Duration = Duration::from_secs(5);
/// How long a twin that is gone is remembered: thirty days, milliseconds.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Most twins remembered.
const MAX_KEPT: usize = 512;

/// A twin of another node as it was last heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// What it said.
    pub presence: TwinPresence,
    /// The node that said it.
    pub node: Did,
    /// When it was last heard, milliseconds since the Unix epoch.
    pub seen_ms: u64,
}

/// Everything that was heard, by twin and node. Pure.
#[derive(Debug, Default)]
struct Sightings {
    all: BTreeMap<(String, Did), Sighting>,
    /// Who was there at the last look.
    there: BTreeSet<(String, Did)>,
    /// Somebody came, went or says something else since this was last kept.
    changed: bool,
}

impl Sightings {
    /// Takes in who is there now.
    fn look(&mut self, live: Vec<Sighting>, now_ms: u64) {
        let mut there = BTreeSet::new();
        for sighting in live {
            let key = (sighting.presence.twin_id.clone(), sighting.node.clone());
            there.insert(key.clone());
            let said = sighting.presence.capabilities.clone();
            let before = self.all.insert(key, sighting);
            self.changed |= before.is_none_or(|before| before.presence.capabilities != said);
        }
        self.all
            .retain(|_, one| now_ms.saturating_sub(one.seen_ms) <= KEPT_MS);
        while self.all.len() > MAX_KEPT {
            let oldest = self.all.iter().min_by_key(|(_, one)| one.seen_ms);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.all.remove(&oldest);
        }
        self.changed |= there != self.there;
        self.there = there;
    }

    fn list(&self) -> Vec<Sighting> {
        self.all.values().cloned().collect()
    }
}

/// Who was heard in a swarm, and when.
pub struct Heard {
    hive: Hive,
    store: Store,
    /// Where it is kept.
    document: String,
    sightings: watch::Sender<Sightings>,
}

impl Heard {
    /// What was kept of `network`.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn open(hive: Hive, store: Store, network: &str) -> Result<Self, StoreError> {
        let document = format!("sightings/{network}");
        let mut sightings = Sightings::default();
        if let Some(kept) = store.document(&document)? {
            match serde_json::from_value::<Vec<Sighting>>(kept) {
                Ok(kept) => sightings.look(kept, now_ms()),
                // It is a convenience: another release may keep it otherwise.
                Err(error) => tracing::warn!(%error, "the twins heard before cannot be read"),
            }
        }
        (sightings.changed, sightings.there) = (false, BTreeSet::new());
        Ok(Self {
            hive,
            store,
            document,
            sightings: watch::Sender::new(sightings),
        })
    }

    /// Everybody who was heard, up to now.
    pub fn list(&self) -> Vec<Sighting> {
        self.look();
        self.sightings.borrow().list()
    }

    fn look(&self) {
        let live = self.hive.known_twins().into_iter().map(|seen| Sighting {
            presence: seen.presence,
            node: seen.node,
            seen_ms: seen.heard_ms,
        });
        let live: Vec<Sighting> = live.collect();
        self.sightings
            .send_modify(|sightings| sightings.look(live, now_ms()));
    }

    /// Looks whenever a twin turns up, and from time to time, and keeps what it sees.
    pub async fn watch(self: Arc<Self>) {
        let from = self.store.last_event_seq().unwrap_or_default();
        let filter = EventFilter {
            event_type: Some(EventType::TwinOnline),
            ..EventFilter::default()
        };
        let mut arrivals = self.store.follow(from, filter);
        let mut glance = tokio::time::interval(GLANCE);
        glance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = glance.tick() => {}
                arrived = arrivals.next() => match arrived {
                    Ok(Some(_)) => {}
                    // The store is closed: the node stops.
                    Ok(None) | Err(_) => return,
                },
            }
            self.look();
            self.keep().await;
        }
    }

    /// Keeps what is news since it was last kept.
    pub async fn keep(&self) {
        let mut news = None;
        self.sightings.send_if_modified(|sightings| {
            if std::mem::take(&mut sightings.changed) {
                news = Some(sightings.list());
            }
            false
        });
        let Some(Ok(value)) = news.map(serde_json::to_value) else {
            return;
        };
        let batch = Batch::new().document(&self.document, value);
        if let Err(error) = self.store.write(batch).await {
            tracing::warn!(%error, "the twins heard could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::{Capabilities, SigningIdentity};

    use super::*;

    fn sighting(id: u16, seen_ms: u64) -> Sighting {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        Sighting {
            presence: TwinPresence {
                twin_id: id.to_string(),
                did: did.clone(),
                timestamp: seen_ms,
                capabilities: Capabilities::default(),
            },
            node: did,
            seen_ms,
        }
    }

    #[test]
    fn who_is_gone_is_remembered_for_a_while() {
        let mut all = Sightings::default();
        all.look(vec![sighting(1, 10), sighting(2, 10)], 10);
        assert!(std::mem::take(&mut all.changed));
        all.look(vec![sighting(1, 20), sighting(2, 20)], 20);
        assert!(!all.changed, "nobody came or went");
        all.look(vec![sighting(2, 30)], 30);
        assert!(std::mem::take(&mut all.changed));
        let seen: Vec<u64> = all.list().iter().map(|one| one.seen_ms).collect();
        assert_eq!(seen, [20, 30], "the one that is gone as it was last heard");
        all.look(vec![sighting(2, 21 + KEPT_MS)], 21 + KEPT_MS);
        assert_eq!(all.list().len(), 1);
    }

    #[test]
    fn a_swarm_full_of_twins_is_not_remembered_whole() {
        let mut all = Sightings::default();
        let many = (0..2 * MAX_KEPT as u16).map(|id| sighting(id, u64::from(id)));
        all.look(many.collect(), 2_000);
        assert_eq!(all.list().len(), MAX_KEPT);
        assert!(all.list().iter().all(|one| one.seen_ms >= MAX_KEPT as u64));
    }
}
