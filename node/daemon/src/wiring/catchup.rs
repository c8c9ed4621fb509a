//! Catching up: the log of coordination messages that matter, kept durably, and compared with other
//! nodes' logs by `pagi-sync` over private requests.
//!
//! One task owns the index of the log. What this node publishes is in the log before it is sent; what
//! gossip brings is put in when the hive has accepted it; what gossip did not bring is found by
//! comparing, goes through the hive's judgement like gossip, and is put in. The task itself never
//! waits for the hive, the network or the disk.
//!
//! Own messages are not dropped for want of room while a node that is here, or was a moment ago, may
//! lack them: publishing waits instead.

mod counts;
mod task;

use std::{sync::Arc, time::Duration};

use pagi_hive::{Hive, Judgement, catchup::glance, inbox, ports::NetworkError};
use pagi_messages::Did;
use pagi_store::Store;
use pagi_swarm::{InboundRequest, Swarm};
use pagi_sync::{Key, stamp};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub use self::counts::CatchupStats;
use self::{
    counts::Counts,
    task::{Task, now_ms},
};
use super::gate::Gate;

/// What a request of another log starts with.
const SYNC: &[u8] = b"pagi-sync/1\0";
/// How long a message of this node may wait for room in the log.
const ROOM_TIME: Duration = Duration::from_secs(30);

/// What the task is told.
enum Command {
    /// Put a message of this node in, durably.
    Log {
        key: Key,
        data: Vec<u8>,
        done: oneshot::Sender<Result<(), NetworkError>>,
    },
    /// Is a message new? Whoever is told yes says what became of it.
    Claim {
        key: Key,
        new: oneshot::Sender<bool>,
    },
    /// What became of it: its bytes, if it was accepted.
    Settle {
        key: Key,
        data: Option<Vec<u8>>,
        synced: bool,
    },
    /// Another node asks.
    Asked(InboundRequest),
    /// A node of the swarm came or went.
    Peer { peer_id: String, here: bool },
}

/// A handle on the task.
#[derive(Clone)]
pub struct Catchup {
    commands: mpsc::Sender<Command>,
    counts: Arc<Counts>,
}

/// The task before it runs.
pub struct Sleeping {
    task: Task,
}

impl Catchup {
    /// Reads the log. Nothing happens until [`Sleeping::run`].
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn open(
        store: Store,
        swarm: Swarm,
        own: Did,
    ) -> Result<(Self, Sleeping), pagi_store::StoreError> {
        let (commands, receiver) = mpsc::channel(1024);
        let counts = Arc::new(Counts::default());
        let task = Task::new(
            store,
            swarm,
            own,
            receiver,
            commands.clone(),
            counts.clone(),
        )?;
        Ok((Self { commands, counts }, Sleeping { task }))
    }

    /// Puts a message that this node is about to publish into the log, if it is one that is kept;
    /// durably, when this returns. Says whether it is.
    ///
    /// # Errors
    /// [`NetworkError`] where there is no room, because others are too far behind, or the store fails.
    pub async fn log(&self, data: &[u8]) -> Result<bool, NetworkError> {
        let Some(key) = key_of(data) else {
            return Ok(false);
        };
        let (done, answer) = oneshot::channel();
        let data = data.to_vec();
        self.tell(Command::Log { key, data, done }).await;
        let closed = |_| NetworkError("the node is shutting down".to_owned());
        match tokio::time::timeout(ROOM_TIME, answer).await {
            Ok(answer) => answer.map_err(closed)?.map(|()| true),
            Err(_) => Err(NetworkError(
                "other nodes are too far behind to take more messages; try again later".to_owned(),
            )),
        }
    }

    /// Lets the hive judge a coordination message that `publisher` gossiped, unless it was here before.
    pub async fn heard(
        &self,
        publisher: &str,
        data: &[u8],
        judge: impl Future<Output = Judgement>,
    ) -> Judgement {
        let Some(key) = key_of(data) else {
            return judge.await;
        };
        if !self.claim(key.clone()).await {
            // Sync was faster: nothing more to do here, but others may wait for it. They will hold
            // what is not fit to be passed on against the one who did.
            return match inbox::coordination(publisher, data, now_ms()) {
                Ok(_) => Judgement::Accept,
                Err(rejection) => rejection.judgement(),
            };
        }
        let judgement = judge.await;
        let data = (judgement == Judgement::Accept).then(|| data.to_vec());
        self.settle(key, data, false).await;
        judgement
    }

    /// Answers a request of another log; gives back a request for anything else.
    pub async fn answer(&self, request: InboundRequest) -> Option<InboundRequest> {
        if !request.data.starts_with(SYNC) {
            return Some(request);
        }
        self.tell(Command::Asked(request)).await;
        None
    }

    /// A node of the swarm came or went.
    pub async fn peer(&self, peer_id: &str, here: bool) {
        let peer_id = peer_id.to_owned();
        self.tell(Command::Peer { peer_id, here }).await;
    }

    /// The counters.
    pub fn stats(&self) -> CatchupStats {
        self.counts.snapshot()
    }

    async fn claim(&self, key: Key) -> bool {
        let (new, answer) = oneshot::channel();
        self.tell(Command::Claim { key, new }).await;
        answer.await.unwrap_or(false)
    }

    async fn settle(&self, key: Key, data: Option<Vec<u8>>, synced: bool) {
        self.tell(Command::Settle { key, data, synced }).await;
    }

    async fn tell(&self, command: Command) {
        // Fails only when the node is stopping.
        let _ = self.commands.send(command).await;
    }
}

impl Sleeping {
    /// Runs the task, which hands what it fetches to `hive`, until its handles are gone. Logs are
    /// compared with nodes that `gate` has let in, and only what members wrote is taken.
    pub fn run(self, hive: Hive, gate: Gate) -> JoinHandle<()> {
        tokio::spawn(self.task.run(hive, gate))
    }
}

/// The place of a message in the log by what it says of itself, if it is one that is kept.
fn key_of(data: &[u8]) -> Option<Key> {
    let (author, body) = glance(data)?;
    let stamp = stamp(body.timestamp(), data);
    Some((author, stamp))
}

#[cfg(test)]
mod tests {
    use pagi_messages::{Coordination, SigningIdentity, Verified, to_dag_cbor};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_is_here_already_is_passed_on_only_if_it_is_fit_for_it() {
        let (commands, mut receiver) = mpsc::channel(8);
        // A task that has everything.
        tokio::spawn(async move {
            while let Some(command) = receiver.recv().await {
                if let Command::Claim { new, .. } = command {
                    let _ = new.send(false);
                }
            }
        });
        let counts = Arc::default();
        let catchup = Catchup { commands, counts };
        let [author, other] = [1, 2].map(|seed| SigningIdentity::from_seed(&[seed; 32]));
        let message = |timestamp| {
            let task = json!({"id": "1", "goal": "x"});
            let body = Coordination::TaskBroadcast { task, timestamp };
            to_dag_cbor(Verified::sign(&author, body).unwrap().as_signed()).unwrap()
        };
        let heard = async |from: &SigningIdentity, data: Vec<u8>| {
            let publisher = from.did().peer_id().unwrap();
            let judge = async { unreachable!("the hive has acted on it") };
            catchup.heard(&publisher, &data, judge).await
        };
        let new = message(now_ms());
        assert_eq!(heard(&author, new.clone()).await, Judgement::Accept);
        assert!(matches!(heard(&other, new).await, Judgement::Reject(_)));
        let old = message(now_ms() - 3_600_000);
        assert!(matches!(heard(&author, old).await, Judgement::Ignore(_)));
    }
}
