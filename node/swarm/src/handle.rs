//! The handle on a running swarm: gossip, requests, peers, discovery. Content is in `blocks.rs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use libp2p::kad::RecordKey;
use libp2p::{Multiaddr, PeerId};
use pagi_messages::{Did, SigningIdentity};
use rust_ipfs::Ipfs;
use serde::Serialize;
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::time::Instant;

use crate::admission::Banned;
use crate::commands::{Command, Publish};
use crate::config::{SwarmLimits, parse_addr, parse_peer, split_peer};
use crate::content;
use crate::error::SwarmError;
use crate::memory::resident_bytes;
use crate::names::{Resolver, is_named, resolve};
use crate::peers::PeerInfo;
use crate::reach::{ReachInfo, scope};
use crate::start::store_is_free;
use crate::stats::{Counters, SwarmStats};
use crate::whereabouts::{self, Whereabouts};

/// How long [`Swarm::shutdown`] waits for the block store to be let go.
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Published {
    /// It is on its way to every subscriber this node is connected with.
    Sent,
    /// No connected peer subscribes to the topic; it went nowhere and may be published again.
    NoPeers,
    /// The same content was published or taken in on this topic lately, within
    /// [`SwarmLimits::seen_seconds`].
    Duplicate,
}

/// A handle on a running swarm; clones share it.
#[derive(Clone)]
pub struct Swarm {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) local: PeerId,
    pub(crate) peer_id: String,
    pub(crate) limits: SwarmLimits,
    pub(crate) gated: bool,
    pub(crate) store_dir: PathBuf,
    pub(crate) counters: Arc<Counters>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) publishes: mpsc::Sender<Publish>,
    pub(crate) resolver: Arc<dyn Resolver>,
    /// Gone after shutdown, so that clones of the handle do not keep the block store locked.
    pub(crate) ipfs: RwLock<Option<Ipfs>>,
    pub(crate) content: content::State,
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swarm")
            .field("peer_id", &self.shared.peer_id)
            .finish_non_exhaustive()
    }
}

impl Swarm {
    /// This node's peer id.
    pub fn peer_id(&self) -> &str {
        &self.shared.peer_id
    }

    /// The multiaddrs this node listens on, each ending in `/p2p/PEERID`; those with
    /// `/p2p-circuit` lead through a relay that holds a reservation for this node, and come last.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn listen_addrs(&self) -> Result<Vec<String>, SwarmError> {
        let addrs = self
            .ipfs()
            .await?
            .listening_addresses()
            .await
            .map_err(|_| SwarmError::Closed)?;
        let mut addrs: Vec<String> = addrs
            .into_iter()
            .filter_map(|addr| addr.with_p2p(self.shared.local).ok())
            .map(|addr| addr.to_string())
            .collect();
        addrs.sort_by_key(|addr| (addr.contains("/p2p-circuit"), addr.clone()));
        addrs.dedup();
        Ok(addrs)
    }

    /// Subscribes to a topic; its messages then arrive at [`crate::Inbound::gossip`]. Subscribing
    /// twice is no error.
    ///
    /// # Errors
    /// [`SwarmError::Subscribe`], or [`SwarmError::Closed`] after shutdown.
    pub async fn subscribe(&self, topic: &str) -> Result<(), SwarmError> {
        self.ask(|answer| Command::Subscribe {
            topic: topic.into(),
            answer,
        })
        .await?
    }

    /// Publishes a message to the subscribers of a topic; subscribing to it oneself is not needed.
    ///
    /// Waits while the publish queue is full or receivers lag behind, so a burst goes out at the
    /// pace of the receivers. A receiver that stops answering for three seconds is no longer
    /// waited for.
    ///
    /// # Errors
    /// [`SwarmError::TooLarge`], [`SwarmError::Publish`], or [`SwarmError::Closed`] after shutdown.
    pub async fn publish(&self, topic: &str, data: Vec<u8>) -> Result<Published, SwarmError> {
        check_size(data.len(), self.shared.limits.max_gossip_bytes)?;
        let (answer, answered) = oneshot::channel();
        let publish = Publish {
            topic: topic.into(),
            data,
            answer,
        };
        self.shared
            .publishes
            .send(publish)
            .await
            .map_err(|_| SwarmError::Closed)?;
        answered.await.map_err(|_| SwarmError::Closed)?
    }

    /// Sends a request to a peer and waits for its reply, dialling the peer if need be.
    /// `timeout` is cut to two minutes.
    ///
    /// # Errors
    /// [`SwarmError::Timeout`], [`SwarmError::TooLarge`], [`SwarmError::BadPeerId`],
    /// [`SwarmError::Unreachable`], [`SwarmError::Unsupported`] when the peer is of another swarm,
    /// [`SwarmError::NoReply`] when it drops the request or its reply is too large.
    pub async fn request(
        &self,
        peer_id: &str,
        data: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, SwarmError> {
        check_size(data.len(), self.shared.limits.max_request_bytes)?;
        let peer = parse_peer(peer_id)?;
        if peer == self.shared.local {
            let reason = "a node does not send requests to itself".into();
            return Err(SwarmError::Unreachable {
                peer: peer_id.into(),
                reason,
            });
        }
        let reply = self.ask(|answer| Command::Request { peer, data, answer });
        tokio::time::timeout(timeout, reply)
            .await
            .map_err(|_| SwarmError::Timeout)??
    }

    /// Connects to a multiaddr, with or without `/p2p/PEERID`; returns when connected.
    ///
    /// # Errors
    /// [`SwarmError::BadAddress`], [`SwarmError::Unreachable`], or [`SwarmError::Closed`].
    pub async fn dial(&self, multiaddr: &str) -> Result<(), SwarmError> {
        self.dial_addr(parse_addr(multiaddr)?).await
    }

    pub(crate) async fn dial_addr(&self, addr: Multiaddr) -> Result<(), SwarmError> {
        if !is_named(&addr) {
            return self.ask(|answer| Command::Dial { addr, answer }).await?;
        }
        let mut last = SwarmError::Unreachable {
            peer: addr.to_string(),
            reason: "the host name was not resolved".into(),
        };
        for addr in resolve(self.shared.resolver.as_ref(), &addr).await {
            match self.ask(|answer| Command::Dial { addr, answer }).await? {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Says in the swarm's DHT, for a day, that a DID is to be found at this node. To be said again in
    /// good time, and when the addresses have changed.
    ///
    /// # Errors
    /// [`SwarmError::NotPut`] when no other node keeps it, or [`SwarmError::Closed`] after shutdown.
    pub async fn announce(&self, identity: &SigningIdentity) -> Result<(), SwarmError> {
        let mut addrs = self.reach().await?.external_addrs;
        addrs.extend(self.listen_addrs().await?);
        let mut kept: Vec<Multiaddr> = Vec::new();
        for addr in addrs {
            let addr = split_peer(parse_addr(&addr)?).0;
            if !kept.contains(&addr) {
                kept.push(addr);
            }
        }
        kept.sort_by_key(scope);
        kept.truncate(whereabouts::MAX_ADDRS);
        let kept = kept.iter().map(ToString::to_string).collect();
        let local = &self.shared.local;
        let (key, value) = whereabouts::sign(identity, local, kept, whereabouts::now_ms())
            .map_err(|error| SwarmError::NotPut(error.to_string()))?;
        self.ask(|answer| Command::PutRecord { key, value, answer })
            .await?
    }

    /// Where a DID is to be found, by the latest valid record the swarm's DHT has; `None` where there
    /// is none. The search ends after `timeout` at the latest.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn resolve(
        &self,
        did: &Did,
        timeout: Duration,
    ) -> Result<Option<Whereabouts>, SwarmError> {
        let (sender, mut found) = mpsc::channel(64);
        let key = whereabouts::key(did);
        let search = Command::GetRecord {
            key: key.clone(),
            found: sender,
        };
        self.send(search).await?;
        let mut latest: Option<Whereabouts> = None;
        let deadline = Instant::now() + timeout;
        while let Ok(Some(value)) = tokio::time::timeout_at(deadline, found.recv()).await {
            match whereabouts::check(&key, &value, whereabouts::now_ms()) {
                Ok(record) => {
                    let record = record.body();
                    let newer = |known: &Whereabouts| record.issued_ms > known.issued_ms;
                    if latest.as_ref().is_none_or(newer) {
                        latest = Some(record.clone());
                    }
                }
                Err(error) => tracing::debug!(%did, %error, "a record is not believed"),
            }
        }
        Ok(latest)
    }

    /// The connected peers, members of this swarm and others, by peer id.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, SwarmError> {
        self.ask(|answer| Command::Peers { answer }).await
    }

    /// Disconnects a peer and refuses connections with it until [`Swarm::unblock_peer`] or the end
    /// of the process. What it publishes may still arrive through others: judging authors is the
    /// application's part.
    ///
    /// # Errors
    /// [`SwarmError::BadPeerId`], or [`SwarmError::Closed`] after shutdown.
    pub async fn block_peer(&self, peer_id: &str) -> Result<(), SwarmError> {
        self.ban_peer(peer_id, None).await
    }

    /// Like [`Swarm::block_peer`], for `time` only; `None` is until the end of the process. The last
    /// word on a peer counts.
    ///
    /// # Errors
    /// [`SwarmError::BadPeerId`], or [`SwarmError::Closed`] after shutdown.
    pub async fn ban_peer(&self, peer_id: &str, time: Option<Duration>) -> Result<(), SwarmError> {
        let peer = parse_peer(peer_id)?;
        self.send(Command::Ban { peer, time }).await
    }

    /// Takes a [`Swarm::block_peer`] or [`Swarm::ban_peer`] back.
    ///
    /// # Errors
    /// [`SwarmError::BadPeerId`], or [`SwarmError::Closed`] after shutdown.
    pub async fn unblock_peer(&self, peer_id: &str) -> Result<(), SwarmError> {
        let peer = parse_peer(peer_id)?;
        self.send(Command::Pardon { peer }).await
    }

    /// Lets a peer of a gated swarm in (see [`crate::SwarmOptions::gated`]): until it is banned, in
    /// this connection with it and in later ones. Without effect in a swarm that has no gate.
    ///
    /// # Errors
    /// [`SwarmError::BadPeerId`], or [`SwarmError::Closed`] after shutdown.
    pub async fn admit(&self, peer_id: &str) -> Result<(), SwarmError> {
        let peer = parse_peer(peer_id)?;
        self.send(Command::Admit { peer }).await
    }

    /// Whether peers are strangers until [`Swarm::admit`].
    pub fn is_gated(&self) -> bool {
        self.shared.gated
    }

    /// The limits the swarm was started with.
    pub fn limits(&self) -> &SwarmLimits {
        &self.shared.limits
    }

    /// The peers that are kept away, by peer id.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn banned(&self) -> Result<Vec<Banned>, SwarmError> {
        self.ask(|answer| Command::Banned { answer }).await
    }

    /// Multiaddrs ending in `/p2p/PEERID` of peers worth dialling after a restart (see
    /// [`crate::SwarmOptions::known_peers`]): up to 128, those this node itself reached first,
    /// connected and latest ones before others, then those that connected members claim.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn remembered_peers(&self) -> Result<Vec<String>, SwarmError> {
        self.ask(|answer| Command::Remembered { answer }).await
    }

    /// How this node can be reached from outside.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn reach(&self) -> Result<ReachInfo, SwarmError> {
        self.ask(|answer| Command::Reach { answer }).await
    }

    /// Announces in the swarm's DHT that this node has a block. The announcement is kept in memory
    /// and repeated twice a day until the process ends: announce again after a start.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`] when the block is not here, [`SwarmError::Provide`] when too much
    /// is announced already, or [`SwarmError::Closed`] after shutdown.
    pub async fn provide(&self, cid: &Cid) -> Result<(), SwarmError> {
        if !self.has_block(cid).await? {
            return Err(SwarmError::NotFound(*cid));
        }
        let key = record_key(cid);
        self.ask(|answer| Command::Provide { key, answer })
            .await?
            .map_err(|error| match error {
                SwarmError::Store(error) => SwarmError::Provide {
                    cid: *cid,
                    reason: error.to_string(),
                },
                other => other,
            })
    }

    /// Announces in the public IPFS DHT that this node has a block, where its options say that it is
    /// in there; does nothing otherwise. Repeated twice a day until the process ends.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`] when the block is not here, or [`SwarmError::Closed`] after shutdown.
    pub async fn provide_publicly(&self, cid: &Cid) -> Result<(), SwarmError> {
        if !self.has_block(cid).await? {
            return Err(SwarmError::NotFound(*cid));
        }
        let key = record_key(cid);
        self.send(Command::ProvidePublicly { key }).await
    }

    /// Peer ids that announced a block in the swarm's DHT, without this node: what is found until
    /// the search ends or `timeout` has passed.
    ///
    /// # Errors
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn find_providers(
        &self,
        cid: &Cid,
        timeout: Duration,
    ) -> Result<Vec<String>, SwarmError> {
        let mut providers: Vec<String> = Vec::new();
        let mut found = self.search(cid).await?;
        let deadline = Instant::now() + timeout;
        while let Ok(Some(peer)) = tokio::time::timeout_at(deadline, found.recv()).await {
            let peer = peer.to_string();
            if !providers.contains(&peer) {
                providers.push(peer);
            }
        }
        Ok(providers)
    }

    /// Starts a DHT search; the channel closes when it is over.
    pub(crate) async fn search(&self, cid: &Cid) -> Result<mpsc::Receiver<PeerId>, SwarmError> {
        let (sender, found) = mpsc::channel(64);
        self.send(Command::FindProviders {
            key: record_key(cid),
            found: sender,
        })
        .await?;
        Ok(found)
    }

    /// The counters.
    pub fn stats(&self) -> SwarmStats {
        let waiting = &self.shared.publishes;
        SwarmStats {
            publish_waiting: (waiting.max_capacity() - waiting.capacity()) as u64,
            memory_bytes: resident_bytes().unwrap_or(0),
            ..self.shared.counters.snapshot()
        }
    }

    /// Disconnects, stops everything and lets go of the block store; every later call on any clone
    /// fails with [`SwarmError::Closed`]. Publishes still waiting are lost.
    pub async fn shutdown(&self) {
        let Some(ipfs) = self.shared.ipfs.write().await.take() else {
            return;
        };
        ipfs.exit_daemon().await;
        let gone = async {
            // The channel closes when the swarm task has dropped the behaviour. The lock on the
            // store goes with the last of rust-ipfs's own tasks, which cannot be waited for.
            self.shared.commands.closed().await;
            while !store_is_free(&self.shared.store_dir) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIME, gone).await.is_err() {
            tracing::warn!("the network did not stop in time; the block store stays locked");
        }
    }

    pub(crate) async fn ipfs(&self) -> Result<Ipfs, SwarmError> {
        self.shared
            .ipfs
            .read()
            .await
            .clone()
            .ok_or(SwarmError::Closed)
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), SwarmError> {
        self.shared
            .commands
            .send(command)
            .await
            .map_err(|_| SwarmError::Closed)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, SwarmError> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer)).await?;
        answered.await.map_err(|_| SwarmError::Closed)
    }
}

/// The DHT key of a block: its multihash, as IPFS does it.
fn record_key(cid: &Cid) -> RecordKey {
    RecordKey::from(cid.hash().to_bytes())
}

pub(crate) fn check_size(size: usize, limit: usize) -> Result<(), SwarmError> {
    match size <= limit {
        true => Ok(()),
        false => Err(SwarmError::TooLarge { size, limit }),
    }
}
