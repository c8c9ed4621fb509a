//! The hive's ports over the swarm, the mind's port over the hive, and the pumps that carry what the
//! network delivers to the hive.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use cid::Cid;
use futures::StreamExt;
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
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinHandle,
};

use super::{
    blocks, catchup::Catchup, gate::Gate, mailroom::Keeper, messages, notices::Board,
    pickup::Collector, roll, work::answer,
};

/// Time to fetch one block.
const FETCH_TIME: Duration = Duration::from_secs(20);
/// Private requests answered at the same time.
const ANSWERED_AT_ONCE: usize = 16;

/// A peer is kept away after so many misdeeds.
const STRIKES: u32 = 5;
/// For so long.
const BAN: Duration = Duration::from_secs(600);
/// Peers whose misdeeds are counted.
const MAX_STRUCK: usize = 4096;
/// Election messages that wait for the hive.
const QUEUED_VOTES: usize = 256;
/// Coordination messages that wait for the hive; more are dropped, and said again by who sent them.
const QUEUED_NEWS: usize = 1024;

/// Own messages that are durably logged and on their way to the network; with more, publishing waits.
const UNDER_WAY: usize = 1024;
/// Coordination messages judged at the same time: their writes share commits.
const JUDGED_AT_ONCE: usize = 64;

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
    catchup: Catchup,
    /// Places for what is on its way to the network.
    under_way: Arc<Semaphore>,
    /// How often a peer misbehaved. A counter behind a lock, as the hive calls it from anywhere.
    strikes: Mutex<BTreeMap<String, u32>>,
}

impl Network {
    pub fn new(swarm: Swarm, topics: Topics, catchup: Catchup) -> Self {
        Self {
            swarm,
            topics,
            catchup,
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
            strikes: Mutex::default(),
        }
    }
}

impl Network {
    /// Hands a message that is in the log to the network: slow receivers hold up its author only when
    /// many wait. What fails here is found by comparing logs.
    async fn send_soon(&self, data: Vec<u8>) -> Result<(), NetworkError> {
        let place = self.under_way.clone().acquire_owned().await;
        let place = place.map_err(failed)?;
        let (swarm, topic) = (self.swarm.clone(), self.topics.coordination.clone());
        tokio::spawn(async move {
            if let Err(error) = swarm.publish(&topic, data).await {
                tracing::debug!(%error, "a logged message was not gossiped");
            }
            drop(place);
        });
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> NetworkError {
    NetworkError(error.to_string())
}

#[async_trait]
impl Gossip for Network {
    async fn publish(&self, topic: Topic, data: Vec<u8>) -> Result<(), NetworkError> {
        if topic == Topic::Coordination {
            // Once this is done the message is not lost, whatever becomes of it below.
            let logged = self.catchup.log(&data).await?;
            if logged {
                return self.send_soon(data).await;
            }
        }
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

    fn misbehaved(&self, peer: &str, reason: &str) {
        let mut strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        if strikes.len() >= MAX_STRUCK {
            strikes.clear();
        }
        let count = strikes.entry(peer.to_owned()).or_default();
        *count += 1;
        tracing::warn!(peer, reason, strikes = *count, "a peer misbehaved");
        if *count < STRIKES {
            return;
        }
        strikes.remove(peer);
        let (swarm, peer) = (self.swarm.clone(), peer.to_owned());
        tokio::spawn(async move {
            if let Err(error) = swarm.ban_peer(&peer, Some(BAN)).await {
                tracing::debug!(peer, %error, "a peer could not be kept away");
            }
        });
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
            HiveError::Refused(refused) => PublishError::Refused(refused.to_string()),
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

/// A node was heard of: what waits for it is sent again, and its standing in thousandths decides
/// between workers that are else alike.
fn heard(work: &Work, board: &Board, peer_id: &str) {
    if let Ok(did) = Did::from_peer_id(peer_id) {
        let standing = (board.vouches.esteem(&did) * 1000.0).round();
        work.heard(did, standing as u32);
    }
}

/// Those whom requests of other nodes are for, beside the hive.
pub struct Desk {
    pub mind: Mind,
    pub board: Arc<Board>,
    pub keeper: Arc<Keeper>,
    pub collector: Arc<Collector>,
}

/// Carries gossip and peer events to the hive, and private requests to those they are for, until the
/// network stops; what is not of a member ends at the gate. `came` is told of peers that come.
pub fn pump(
    inbound: Inbound,
    hive: Hive,
    desk: Arc<Desk>,
    work: Work,
    network: Arc<Network>,
    gate: Gate,
    came: Arc<Notify>,
) -> Vec<JoinHandle<()>> {
    let Inbound {
        mut gossip,
        mut requests,
        mut peers,
        ..
    } = inbound;
    let asked = network.clone();
    // Two queues: a flood of coordination messages delays no vote.
    let (votes, mut voting) = mpsc::channel::<GossipMessage>(QUEUED_VOTES);
    let (news, mut reading) = mpsc::channel::<GossipMessage>(QUEUED_NEWS);
    let sort = tokio::spawn({
        let (network, work, gate) = (network.clone(), work.clone(), gate.clone());
        let desk = desk.clone();
        async move {
            while let Some(message) = gossip.recv().await {
                let Some(message) = gate.sieve(message).await else {
                    continue;
                };
                if message.topic == desk.board.topic {
                    desk.board.gossip(message).await;
                    continue;
                }
                if message.topic == network.topics.work {
                    offered(&work, message);
                    continue;
                }
                let queue = if message.topic == network.topics.election {
                    &votes
                } else if message.topic == network.topics.coordination {
                    &news
                } else {
                    message.verdict.ignore();
                    continue;
                };
                if let Err(full) = queue.try_send(message) {
                    full.into_inner().verdict.ignore();
                }
            }
        }
    });
    let vote = tokio::spawn({
        let (hive, work, board) = (hive.clone(), work.clone(), desk.board.clone());
        async move {
            while let Some(message) = voting.recv().await {
                let judgement = hive
                    .gossip(Topic::Election, &message.author_peer, &message.data)
                    .await;
                settle(&work, &board, judgement, message);
            }
        }
    });
    let talk = tokio::spawn({
        let (hive, work, network) = (hive.clone(), work.clone(), network.clone());
        let board = desk.board.clone();
        async move {
            let (hive, catchup) = (&hive, &network.catchup);
            let waiting = futures::stream::poll_fn(|cx| reading.poll_recv(cx));
            waiting
                .map(|message| async move {
                    let judge =
                        hive.gossip(Topic::Coordination, &message.author_peer, &message.data);
                    let judgement = catchup
                        .heard(&message.author_peer, &message.data, judge)
                        .await;
                    (judgement, message)
                })
                // Begun and settled in the order of arrival.
                .buffered(JUDGED_AT_ONCE)
                .for_each(|(judgement, message)| {
                    settle(&work, &board, judgement, message);
                    std::future::ready(())
                })
                .await;
        }
    });
    let brought = work.clone();
    let door = gate.clone();
    let greeted = desk.clone();
    let guide = hive.clone();
    let come_and_go = tokio::spawn(async move {
        while let Some(event) = peers.recv().await {
            match event {
                PeerEvent::Connected { peer_id, .. } => {
                    tracing::info!(peer_id, "peer connected");
                    came.notify_one();
                    greeted.collector.wake.notify_one();
                    door.arrived(&peer_id).await;
                    network.catchup.peer(&peer_id, true).await;
                    let board = greeted.board.clone();
                    tokio::spawn(async move { board.ask(&peer_id).await });
                }
                PeerEvent::Subscribed { topic, peer_id }
                    if topic == network.topics.coordination && door.has_peer(&peer_id) =>
                {
                    hive.peer_listens();
                }
                PeerEvent::Subscribed { topic, peer_id }
                    if topic == network.topics.work && door.has_peer(&peer_id) =>
                {
                    heard(&work, &greeted.board, &peer_id);
                }
                PeerEvent::Disconnected { peer_id } => {
                    tracing::info!(peer_id, "peer gone");
                    door.left(&peer_id).await;
                    network.catchup.peer(&peer_id, false).await;
                    hive.peer_gone(&peer_id).await;
                }
                _ => {}
            }
        }
    });
    let places = Arc::new(Semaphore::new(ANSWERED_AT_ONCE));
    let private = tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let Some(request) = gate.receive(request).await else {
                continue;
            };
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (asked, desk, brought) = (asked.clone(), desk.clone(), brought.clone());
            let guide = guide.clone();
            tokio::spawn(async move {
                let mut left = blocks::answer(&asked.swarm, request).await;
                left = left.and_then(|request| roll::answer(&guide, request));
                if let Some(request) = left {
                    left = asked.catchup.answer(request).await;
                }
                if let Some(request) = left {
                    left = messages::answer(&desk.mind, &desk.keeper, request).await;
                }
                if let Some(request) = left {
                    left = desk.keeper.answer(request).await;
                }
                if let Some(request) = left {
                    left = desk.board.answer(request);
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
    vec![sort, vote, talk, come_and_go, private]
}

/// Tells the network what the hive made of a message.
fn settle(work: &Work, board: &Board, judgement: Judgement, message: GossipMessage) {
    match judgement {
        Judgement::Accept => {
            heard(work, board, &message.author_peer);
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
