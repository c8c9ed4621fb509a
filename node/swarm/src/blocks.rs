//! Content by CID: the local block store, bitswap, pins.
//!
//! Blocks are written by [`Writer`], in the layout of rust-ipfs's store: a process killed at any
//! moment leaves a whole block or none, plus perhaps a temporary file, which [`crate::start`] clears
//! away.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cid::Cid;
use futures::StreamExt;
use futures::future::join_all;
use ipld_core::ipld::Ipld;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rust_ipfs::{Block, Ipfs};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::bitswap::Fetched;
use crate::commands::Command;
use crate::config::{parse_addr, parse_peer, split_peer};
use crate::content::writer::Writer;
use crate::error::SwarmError;
use crate::handle::{Swarm, check_size};

/// Multicodec of DAG-CBOR.
const DAG_CBOR: u64 = 0x71;
/// Multihash code of SHA-256.
const SHA2_256: u64 = 0x12;
/// Largest block, in bytes; what other IPFS nodes accept as well.
const MAX_BLOCK_BYTES: usize = 1024 * 1024;
/// Largest block taken from others, in bytes; Kubo's own bound.
const MAX_RECEIVED_BYTES: usize = 2 * 1024 * 1024;
/// Head start of connected peers before the DHT is asked for a block.
const DHT_AFTER: Duration = Duration::from_millis(300);
/// Pause between two DHT searches for the same block.
const DHT_AGAIN: Duration = Duration::from_secs(5);
/// Providers dialled for one block.
const MAX_PROVIDERS: usize = 16;

/// Outcome of [`Swarm::verify_store`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreCheck {
    /// Blocks read.
    pub blocks: u64,
    /// Those whose bytes do not match their CID.
    pub damaged: Vec<Cid>,
}

impl Swarm {
    /// Stores a DAG-CBOR block and returns its CID (version 1, SHA-256). The block, and the pin if
    /// asked for, are on disk when this returns.
    ///
    /// # Errors
    /// [`SwarmError::NotDagCbor`], [`SwarmError::TooLarge`] beyond 1 MiB, [`SwarmError::Store`],
    /// or [`SwarmError::Closed`] after shutdown.
    pub async fn put_block(&self, dag_cbor: Vec<u8>, pin: bool) -> Result<Cid, SwarmError> {
        check_size(dag_cbor.len(), MAX_BLOCK_BYTES)?;
        let cid = dag_cbor_cid(&dag_cbor)?;
        let ipfs = self.ipfs().await?;
        let _gate = self.shared.content.gate.read().await;
        self.store_block(cid, dag_cbor).await?;
        match pin {
            true => self.pin_with(&ipfs, &cid).await?,
            false => self.note_fresh(cid),
        }
        Ok(cid)
    }

    /// Stores a block that someone delivered, unpinned, after checking its bytes against its CID.
    ///
    /// # Errors
    /// [`SwarmError::TooLarge`] beyond 2 MiB, [`SwarmError::Store`] when they do not fit or the disk
    /// fails, or [`SwarmError::Closed`] after shutdown.
    pub async fn keep_block(&self, cid: &Cid, data: Vec<u8>) -> Result<(), SwarmError> {
        check_size(data.len(), MAX_RECEIVED_BYTES)?;
        let block = Block::new(*cid, data).map_err(SwarmError::store)?;
        let _gate = self.shared.content.gate.read().await;
        self.store_block(*cid, block.data().to_vec()).await?;
        self.note_fresh(*cid);
        Ok(())
    }

    /// Stores a block whose bytes fit its CID durably, in place of a damaged one if need be, and tells
    /// those who wait for it.
    pub(crate) async fn store_block(&self, cid: Cid, data: Vec<u8>) -> Result<(), SwarmError> {
        self.ipfs().await?;
        let dir = self.blocks_dir();
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = Writer::new(dir);
            writer.write(&[(cid, data)])?;
            writer.finish()
        });
        let written = writing.await.map_err(SwarmError::store)?;
        written.map_err(SwarmError::store)?;
        self.send(Command::Stored { cid }).await
    }

    /// A block of the local store, checked; `None` when it is not there or damaged.
    ///
    /// # Errors
    /// [`SwarmError::Store`], or [`SwarmError::Closed`] after shutdown.
    pub async fn local_block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, SwarmError> {
        match state(&self.ipfs().await?, cid).await? {
            State::Good(block) => Ok(Some(block.data().to_vec())),
            State::Damaged | State::Missing => Ok(None),
        }
    }

    /// Keeps a block from garbage collection for a while.
    pub(crate) fn note_fresh(&self, cid: Cid) {
        if let Ok(mut fresh) = self.shared.content.fresh.lock() {
            fresh.note(cid, std::time::Instant::now());
        }
    }

    /// Fetches a block: from the local store, else over bitswap from any connected peer, from
    /// `providers` (peer ids or multiaddrs, dialled first), and from providers the DHT knows. The
    /// bytes match the CID; a fetched block is kept, unpinned.
    ///
    /// # Errors
    /// [`SwarmError::Timeout`] when nobody delivered it in time, [`SwarmError::BadAddress`] or
    /// [`SwarmError::BadPeerId`] for a malformed provider, [`SwarmError::Store`], or
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn get_block(
        &self,
        cid: &Cid,
        providers: &[String],
        timeout: Duration,
    ) -> Result<Vec<u8>, SwarmError> {
        let providers = providers
            .iter()
            .map(|p| parse_provider(p))
            .collect::<Result<Vec<_>, _>>()?;
        let ipfs = self.ipfs().await?;
        match state(&ipfs, cid).await? {
            State::Good(block) => return Ok(block.data().to_vec()),
            State::Damaged | State::Missing => {}
        }
        let known: Vec<PeerId> = providers
            .iter()
            .filter_map(|p| split_peer(p.clone()).1)
            .collect();
        // Declared first, dropped last: when nobody waits any more.
        let _given_up = GivenUp { swarm: self, cid };
        let (answer, fetched) = oneshot::channel();
        self.send(Command::Fetch {
            cid: *cid,
            named: known,
            answer,
        })
        .await?;
        // It may have been stored before anybody waited for it.
        if let State::Good(block) = state(&ipfs, cid).await? {
            return Ok(block.data().to_vec());
        }
        let fetched = tokio::select! {
            fetched = tokio::time::timeout(timeout, fetched) => fetched,
            never = self.reach_providers(cid, providers) => match never {},
        };
        match fetched {
            Ok(Ok(Fetched::Bytes(data))) => {
                self.store_block(*cid, data.clone()).await?;
                self.note_fresh(*cid);
                Ok(data)
            }
            Ok(Ok(Fetched::Stored)) => match state(&ipfs, cid).await? {
                State::Good(block) => Ok(block.data().to_vec()),
                State::Damaged | State::Missing => Err(SwarmError::NotFound(*cid)),
            },
            Ok(Err(_)) => Err(SwarmError::Closed),
            Err(_) => Err(SwarmError::Timeout),
        }
    }

    /// Connects to the given providers, then to those the DHT names, for as long as it is polled.
    async fn reach_providers(&self, cid: &Cid, given: Vec<Multiaddr>) -> std::convert::Infallible {
        for dialled in join_all(given.into_iter().map(|addr| self.dial_addr(addr))).await {
            if let Err(error) = dialled {
                tracing::debug!(%cid, %error, "provider not reached");
            }
        }
        tokio::time::sleep(DHT_AFTER).await;
        loop {
            if let Ok(mut found) = self.search(cid).await {
                let mut dialled = 0;
                while let Some(peer) = found.recv().await {
                    if dialled < MAX_PROVIDERS {
                        dialled += 1;
                        let _ = self.dial_addr(peer_addr(peer)).await;
                    }
                }
            }
            tokio::time::sleep(DHT_AGAIN).await;
        }
    }

    /// Whether the block is in the local store, undamaged.
    ///
    /// # Errors
    /// [`SwarmError::Store`], or [`SwarmError::Closed`] after shutdown.
    pub async fn has_block(&self, cid: &Cid) -> Result<bool, SwarmError> {
        Ok(matches!(
            state(&self.ipfs().await?, cid).await?,
            State::Good(_)
        ))
    }

    /// Marks a local block as to be kept. Pinning twice is no error.
    ///
    /// # Errors
    /// [`SwarmError::NotFound`] when the block is not here, [`SwarmError::Store`], or
    /// [`SwarmError::Closed`] after shutdown.
    pub async fn pin(&self, cid: &Cid) -> Result<(), SwarmError> {
        let ipfs = self.ipfs().await?;
        match state(&ipfs, cid).await? {
            State::Good(_) => self.pin_with(&ipfs, cid).await,
            State::Damaged | State::Missing => Err(SwarmError::NotFound(*cid)),
        }
    }

    /// Takes a pin back. A block that is not pinned is no error.
    ///
    /// # Errors
    /// [`SwarmError::Store`], or [`SwarmError::Closed`] after shutdown.
    pub async fn unpin(&self, cid: &Cid) -> Result<(), SwarmError> {
        let ipfs = self.ipfs().await?;
        if ipfs.is_pinned(cid).await.map_err(SwarmError::store)? {
            ipfs.remove_pin(cid).await.map_err(SwarmError::store)?;
        }
        Ok(())
    }

    /// Whether the block is pinned.
    ///
    /// # Errors
    /// [`SwarmError::Store`], or [`SwarmError::Closed`] after shutdown.
    pub async fn pinned(&self, cid: &Cid) -> Result<bool, SwarmError> {
        self.ipfs()
            .await?
            .is_pinned(cid)
            .await
            .map_err(SwarmError::store)
    }

    /// Reads every local block and checks its bytes against its CID. Changes nothing; damaged
    /// blocks are never served, and are replaced by [`Swarm::put_block`] or [`Swarm::get_block`].
    ///
    /// # Errors
    /// [`SwarmError::Store`] when a block cannot be read at all, or [`SwarmError::Closed`] after
    /// shutdown.
    pub async fn verify_store(&self) -> Result<StoreCheck, SwarmError> {
        let ipfs = self.ipfs().await?;
        let mut check = StoreCheck::default();
        let mut cids = ipfs.repo().list_blocks().await;
        while let Some(cid) = cids.next().await {
            match state(&ipfs, &cid).await? {
                State::Good(_) => check.blocks += 1,
                State::Damaged => {
                    check.blocks += 1;
                    check.damaged.push(cid);
                }
                State::Missing => {} // removed meanwhile
            }
        }
        check.damaged.sort();
        Ok(check)
    }

    async fn pin_with(&self, ipfs: &Ipfs, cid: &Cid) -> Result<(), SwarmError> {
        if ipfs.is_pinned(cid).await.map_err(SwarmError::store)? {
            return Ok(());
        }
        ipfs.repo()
            .pin(cid)
            .local()
            .await
            .map_err(SwarmError::store)?;
        // The store syncs the pin's file but not the directories that name it.
        let pins = self.shared.store_dir.join("datastore").join("pins");
        sync_dirs(vec![pins.join(shard(cid)), pins]).await
    }

    pub(crate) fn blocks_dir(&self) -> PathBuf {
        self.shared.store_dir.join("blockstore")
    }
}

/// Lets the peers know that a block is not waited for any more.
struct GivenUp<'a> {
    swarm: &'a Swarm,
    cid: &'a Cid,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        // Where the queue is full, the clock finds out.
        let given_up = Command::GivenUp { cid: *self.cid };
        let _ = self.swarm.shared.commands.try_send(given_up);
    }
}

/// What the local store has under a CID.
pub(crate) enum State {
    Good(Block),
    Damaged,
    Missing,
}

pub(crate) async fn state(ipfs: &Ipfs, cid: &Cid) -> Result<State, SwarmError> {
    match ipfs.repo().get_block_now(cid).await {
        Ok(Some(block)) => Ok(State::Good(block)),
        Ok(None) => Ok(State::Missing),
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::InvalidData) => Ok(State::Damaged),
            _ => Err(SwarmError::store(error)),
        },
    }
}

/// The CID of a DAG-CBOR block, after checking that it is one.
fn dag_cbor_cid(data: &[u8]) -> Result<Cid, SwarmError> {
    let bad = |reason: String| SwarmError::NotDagCbor(reason);
    let value: Ipld = serde_ipld_dagcbor::from_slice(data).map_err(|e| bad(e.to_string()))?;
    // The decoder lets some spellings pass that DAG-CBOR forbids; one value has one CID only.
    let canonical = serde_ipld_dagcbor::to_vec(&value).map_err(|e| bad(e.to_string()))?;
    if canonical != data {
        return Err(bad("not in canonical form".into()));
    }
    let hash = cid::multihash::Multihash::wrap(SHA2_256, &Sha256::digest(data))
        .map_err(SwarmError::store)?;
    Ok(Cid::new_v1(DAG_CBOR, hash))
}

fn parse_provider(text: &str) -> Result<Multiaddr, SwarmError> {
    if text.starts_with('/') {
        return parse_addr(text);
    }
    parse_peer(text).map(peer_addr)
}

/// A multiaddr of nothing but the peer id: dialled at whatever address is known.
fn peer_addr(peer: PeerId) -> Multiaddr {
    Multiaddr::empty().with(Protocol::P2p(peer))
}

/// The text under which the store files a CID.
pub(crate) fn v1(cid: &Cid) -> Cid {
    Cid::new_v1(cid.codec(), *cid.hash())
}

/// The store's subdirectory for a CID: the next-to-last two characters of its text.
pub(crate) fn shard(cid: &Cid) -> String {
    let text = v1(cid).to_string();
    let end = text.len().saturating_sub(1);
    text.get(end.saturating_sub(2)..end)
        .unwrap_or("_")
        .to_owned()
}

/// Where the store `dir` has a block.
pub(crate) fn block_file(dir: &Path, cid: &Cid) -> PathBuf {
    dir.join(shard(cid)).join(format!("{}.data", v1(cid)))
}

/// Makes the names in directories last through a power failure.
pub(crate) async fn sync_dirs(dirs: Vec<PathBuf>) -> Result<(), SwarmError> {
    let sync = move || {
        dirs.iter()
            .try_for_each(|dir| std::fs::File::open(dir)?.sync_all())
    };
    tokio::task::spawn_blocking(sync)
        .await
        .map_err(SwarmError::store)?
        .map_err(SwarmError::store)
}

/// Removes temporary files of writes that a crash cut short; returns how many.
pub(crate) fn clear_temporary_files(store_dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for shard in std::fs::read_dir(store_dir.join("blockstore"))? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shard.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                std::fs::remove_file(path)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_dag_cbor_gets_a_cid() {
        // {"a": 1}; the CID spelled out: version 1, DAG-CBOR, SHA-256 of the four bytes.
        let cid = dag_cbor_cid(&[0xa1, 0x61, 0x61, 0x01]).unwrap();
        assert_eq!(
            cid.to_string(),
            "bafyreihltcnuuyqp2jm24aqydpnlj7b6w3ogwrplomrjtg5rifv44mmjey"
        );
        for bad in [
            &[][..],
            &[0xff],
            &[0x01, 0x02],
            &[0x18, 0x01],
            &[0x9f, 0xff],
        ] {
            assert!(
                matches!(dag_cbor_cid(bad), Err(SwarmError::NotDagCbor(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn providers_are_peer_ids_or_addresses() {
        let peer = PeerId::random();
        let text = parse_provider(&peer.to_string()).unwrap().to_string();
        assert_eq!(text, format!("/p2p/{peer}"));
        assert!(parse_provider("/ip4/127.0.0.1/tcp/1").is_ok());
        assert!(parse_provider("nonsense").is_err());
    }

    #[test]
    fn temporary_files_are_cleared_and_blocks_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let shard = dir.path().join("blockstore/ab");
        std::fs::create_dir_all(&shard).unwrap();
        for name in ["x.data", "x.data.77.0.tmp", "y.data.77.1.tmp"] {
            std::fs::write(shard.join(name), b"z").unwrap();
        }
        assert_eq!(clear_temporary_files(dir.path()).unwrap(), 2);
        assert!(shard.join("x.data").exists());
    }
}
