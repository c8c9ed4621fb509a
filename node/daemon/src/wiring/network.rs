//! The hive's ports over the swarm, the mind's port over the hive, and the pumps that carry what the
//! network delivers to the hive.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cid::Cid;
use pagi_hive::{
    Hive, HiveError, Judgement,
    ports::{Content, Gossip, NetworkError, Topic},
};
use pagi_messages::{Did, Verified};
use pagi_playbook::Artifact;
use pagi_swarm::{GossipMessage, Inbound, PeerEvent, Swarm};
use pagi_twin::{
    Mind,
    ports::{Adopted, Collective, PublishError},
};
use pagi_work::Work;
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{blocks, messages, roll, work::answer};

/// Time to fetch one block.
const FETCH_TIME: Duration = Duration::from_secs(20);
/// Private requests answered at the same time.
const ANSWERED_AT_ONCE: usize = 16;

/// The names of the gossip topics.
pub struct Topics {
    pub coordination: String,
    pub election: String,
    pub work: String,
}

/// The swarm as the hive sees it.
pub struct Network {
    swarm: Swarm,
    topics: Topics,
}

impl Network {
    pub fn new(swarm: Swarm, topics: Topics) -> Self {
        Self { swarm, topics }
    }
}

fn failed(error: impl std::fmt::Display) -> NetworkError {
    NetworkError(error.to_string())
}

#[async_trait]
impl Gossip for Network {
    async fn publish(&self, topic: Topic, data: Vec<u8>) -> Result<(), NetworkError> {
        let topic = match topic {
            Topic::Coordination => &self.topics.coordination,
            Topic::Election => &self.topics.election,
        };
        self.swarm
            .publish(topic, data)
            .await
            .map(drop)
            .map_err(failed)
    }
}

#[async_trait]
impl Content for Network {
    async fn put(&self, block: Vec<u8>) -> Result<Cid, NetworkError> {
        let cid = self.swarm.put_block(block, true).await.map_err(failed)?;
        // Finding the block through the DHT is a convenience; gossip names who has it.
        let swarm = self.swarm.clone();
        tokio::spawn(async move {
            if let Err(error) = swarm.provide(&cid).await {
                tracing::debug!(%cid, %error, "the block was not announced in the DHT");
            }
        });
        Ok(cid)
    }

    async fn get(&self, cid: &Cid, providers: &[String]) -> Result<Vec<u8>, NetworkError> {
        blocks::fetch(&self.swarm, cid, providers, FETCH_TIME)
            .await
            .map_err(failed)
    }
}

/// The hive as the mind sees it.
pub struct HivePort(pub Hive);

#[async_trait]
impl Collective for HivePort {
    fn playbook(&self) -> Adopted {
        let snapshot = self.0.playbook();
        Adopted {
            head: snapshot.head,
            state: snapshot.state,
        }
    }

    async fn publish(&self, artifact: Verified<Artifact>) -> Result<Cid, PublishError> {
        self.0.publish(artifact).await.map_err(|error| match error {
            HiveError::Refused(refusal) => {
                PublishError::Refused(format!("the {} gate: {refusal}", refusal.gate()))
            }
            other => PublishError::Store(other.to_string()),
        })
    }
}

/// Hands an offer of work to the room of work.
fn offered(work: &Work, message: GossipMessage) {
    match work.gossiped(&message.author_peer, &message.data) {
        Ok(()) => message.verdict.accept(),
        Err(rejection) if rejection.is_fault() => {
            tracing::warn!(author = message.author_peer, %rejection, "an offer of work rejected");
            message.verdict.reject();
        }
        Err(rejection) => {
            tracing::debug!(author = message.author_peer, %rejection, "an offer of work ignored");
            message.verdict.ignore();
        }
    }
}

/// A node was heard of: what waits for it is sent again. All nodes count alike so far.
fn heard(work: &Work, peer_id: &str) {
    if let Ok(did) = Did::from_peer_id(peer_id) {
        work.heard(did, 0);
    }
}

/// Carries gossip and peer events to the hive, and private requests to those they are for, until the network stops.
pub fn pump(
    inbound: Inbound,
    hive: Hive,
    mind: Mind,
    work: Work,
    network: Arc<Network>,
) -> Vec<JoinHandle<()>> {
    let Inbound {
        mut gossip,
        mut requests,
        mut peers,
        ..
    } = inbound;
    let asked = network.clone();
    let talk = tokio::spawn({
        let hive = hive.clone();
        let (network, work) = (network.clone(), work.clone());
        async move {
            while let Some(message) = gossip.recv().await {
                if message.topic == network.topics.work {
                    offered(&work, message);
                    continue;
                }
                let topic = if message.topic == network.topics.election {
                    Topic::Election
                } else if message.topic == network.topics.coordination {
                    Topic::Coordination
                } else {
                    message.verdict.ignore();
                    continue;
                };
                match hive
                    .gossip(topic, &message.author_peer, &message.data)
                    .await
                {
                    Judgement::Accept => {
                        heard(&work, &message.author_peer);
                        message.verdict.accept();
                    }
                    Judgement::Reject(reason) => {
                        tracing::warn!(author = message.author_peer, reason, "gossip rejected");
                        message.verdict.reject();
                    }
                    Judgement::Ignore(reason) => {
                        tracing::debug!(author = message.author_peer, reason, "gossip ignored");
                        message.verdict.ignore();
                    }
                }
            }
        }
    });
    let brought = work.clone();
    let guide = hive.clone();
    let come_and_go = tokio::spawn(async move {
        while let Some(event) = peers.recv().await {
            match event {
                PeerEvent::Connected { peer_id, .. } => {
                    tracing::info!(peer_id, "peer connected");
                }
                PeerEvent::Subscribed { topic, .. } if topic == network.topics.coordination => {
                    hive.peer_listens();
                }
                PeerEvent::Subscribed { topic, peer_id } if topic == network.topics.work => {
                    heard(&work, &peer_id);
                }
                PeerEvent::Disconnected { peer_id } => {
                    tracing::info!(peer_id, "peer gone");
                    hive.peer_gone(&peer_id).await;
                }
                _ => {}
            }
        }
    });
    let places = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
    let private = tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (asked, mind, brought) = (asked.clone(), mind.clone(), brought.clone());
            let guide = guide.clone();
            tokio::spawn(async move {
                let mut left = blocks::answer(&asked.swarm, request).await;
                left = left.and_then(|request| roll::answer(&guide, request));
                if let Some(request) = left {
                    left = messages::answer(&mind, request).await;
                }
                if let Some(request) = left {
                    left = answer(&brought, request).await;
                }
                if let Some(request) = left {
                    // It is closed without an answer.
                    tracing::debug!(
                        peer = request.peer_id,
                        "a private request is not understood"
                    );
                }
                drop(place);
            });
        }
    });
    vec![talk, come_and_go, private]
}
