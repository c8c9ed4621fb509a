//! The behaviour's part in the swarm's DHT: whose announcements and records are kept, and what comes of
//! searches.

use std::time::{Duration, Instant};

use libp2p::kad::store::RecordStore;
use libp2p::kad::{Quorum, Record, RecordKey};
use libp2p::{PeerId, kad};
use tokio::sync::mpsc;

use crate::behaviour::{Answer, NodeBehaviour};
use crate::commands::Query;
use crate::error::SwarmError;
use crate::peers::usable;
use crate::whereabouts::{BadRecord, LIFETIME, check, now_ms};

/// What a record that no honest node keeps says about the peer that brought it, in messages too many.
const BAD_RECORD: u32 = 20;

/// Why a record is not kept.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    Bad(#[from] BadRecord),
    #[error("a later one is here")]
    Older,
    #[error("its bearer brought too many")]
    TooMany,
    #[error("there is no room: {0}")]
    Full(kad::store::Error),
}

impl NodeBehaviour {
    pub(crate) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::RoutingUpdated {
                peer, addresses, ..
            } => {
                let addrs: Vec<_> = addresses.iter().cloned().collect();
                self.dialer
                    .learn(peer, usable(&addrs, None), Instant::now());
                if self.peers.contains_key(&peer) {
                    self.dialer.connected(peer);
                }
            }
            kad::Event::RoutablePeer { peer, address }
            | kad::Event::PendingRoutablePeer { peer, address }
                if !self.peers.contains_key(&peer) =>
            {
                self.dialer
                    .learn(peer, usable(&[address], None), Instant::now());
            }
            kad::Event::InboundRequest {
                request:
                    kad::InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } if self.gate.is_in(&record.provider) => {
                let now = Instant::now();
                if !self.provided.take(record.provider, &record.key, now) {
                    self.counters.records_refused.add(1);
                } else if let Err(error) = self.net.kad.store_mut().add_provider(record) {
                    tracing::debug!(%error, "provider record not kept");
                    self.counters.records_refused.add(1);
                }
            }
            kad::Event::InboundRequest {
                request:
                    kad::InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } if self.gate.is_in(&source) => {
                if let Err(error) = self.keep_record(source, record) {
                    tracing::debug!(%source, %error, "record not kept");
                    self.counters.records_refused.add(1);
                    if matches!(error, NotKept::Bad(_)) && !self.spared(&source) {
                        self.limiter.fault(source, BAD_RECORD, Instant::now());
                    }
                }
            }
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.on_query(id, result, step.last);
            }
            _ => {}
        }
    }

    fn on_query(&mut self, id: kad::QueryId, result: kad::QueryResult, last: bool) {
        use kad::{GetProvidersOk, QueryResult};
        if let (
            Some(Query::Find(found)),
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
        ) = (self.queries.get(&id), &result)
        {
            for provider in providers.iter().filter(|peer| **peer != self.local) {
                let _ = found.try_send(*provider);
            }
        }
        if let (
            Some(Query::Get(found)),
            QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(peer_record))),
        ) = (self.queries.get(&id), &result)
        {
            let _ = found.try_send(peer_record.record.value.clone());
        }
        if !last {
            return;
        }
        let query = self.queries.remove(&id);
        if let Some(Query::Put(answer)) = query {
            let result = match result {
                QueryResult::PutRecord(Err(error)) => Err(SwarmError::NotPut(error.to_string())),
                _ => Ok(()),
            };
            let _ = answer.send(result);
        } else if let Some(Query::Provide(answer)) = query {
            // Time running out after some peers were told is success enough; the announcement is
            // repeated anyway.
            let _ = answer.send(Ok(()));
        }
    }

    /// Keeps a record that another node brought, if it is what it should be.
    fn keep_record(&mut self, source: PeerId, mut record: Record) -> Result<(), NotKept> {
        let (now, time) = (Instant::now(), now_ms());
        let new = check(&record.key, &record.value, time)?;
        let here = self.net.kad.store_mut().get(&record.key);
        let here = here.and_then(|here| check(&here.key, &here.value, time).ok());
        if here.is_some_and(|here| here.body().issued_ms > new.body().issued_ms) {
            return Err(NotKept::Older);
        }
        if !self.provided.take(source, &record.key, now) {
            return Err(NotKept::TooMany);
        }
        let left = Duration::from_millis(new.body().expires_ms.saturating_sub(time));
        record.expires = now.checked_add(left.min(LIFETIME));
        let store = self.net.kad.store_mut();
        store.put(record).map_err(NotKept::Full)
    }

    pub(crate) fn put_record(&mut self, key: RecordKey, value: Vec<u8>, answer: Answer<()>) {
        let mut record = Record::new(key, value);
        record.expires = Instant::now().checked_add(LIFETIME);
        match self.net.kad.put_record(record, Quorum::One) {
            Ok(id) => {
                self.queries.insert(id, Query::Put(answer));
            }
            Err(error) => {
                let _ = answer.send(Err(SwarmError::NotPut(error.to_string())));
            }
        }
    }

    pub(crate) fn get_record(&mut self, key: RecordKey, found: mpsc::Sender<Vec<u8>>) {
        if let Some(here) = self.net.kad.store_mut().get(&key) {
            let _ = found.try_send(here.value.clone());
        }
        let id = self.net.kad.get_record(key);
        self.queries.insert(id, Query::Get(found));
    }

    /// Forgets what is over.
    pub(crate) fn forget_records(&mut self, now: Instant) {
        if self.provided.expire(now) {
            let store = self.net.kad.store_mut();
            store.retain(|_, record| !record.is_expired(now));
        }
    }
}
