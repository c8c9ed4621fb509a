//! What goes out on the coordination topic, sent beside whoever says it: a slow network holds up
//! neither the library nor the election. What does not fit is dropped; everything that matters is
//! said again.

use std::{sync::Arc, time::Duration};

use pagi_messages::{Coordination, SigningIdentity, Verified, content::to_dag_cbor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    error::HiveError,
    ports::{Gossip, Topic},
};

/// Messages that wait to be sent.
const WAITING: usize = 256;
/// A message that cannot be handed over for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes messages to be sent.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Vec<u8>>,
    gossip: Arc<dyn Gossip>,
    identity: SigningIdentity,
}

impl Outbox {
    /// The outbox, and the work that empties it until `stop`.
    pub(crate) fn new(
        gossip: Arc<dyn Gossip>,
        identity: SigningIdentity,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING);
        let sender = gossip.clone();
        let work = async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => return,
                    message = waiting.recv() => match message {
                        None => return,
                        Some(message) => message,
                    },
                };
                send(sender.as_ref(), message).await;
            }
        };
        let outbox = Self {
            queue,
            gossip,
            identity,
        };
        (outbox, work)
    }

    /// Signs a message and sends it soon. Returns whether there was room for it.
    pub(crate) fn say(&self, message: Coordination) -> bool {
        let data = Verified::sign(&self.identity, message)
            .map_err(|error| error.to_string())
            .and_then(|signed| to_dag_cbor(signed.as_signed()).map_err(|error| error.to_string()));
        match data {
            Ok(data) => self.send(data),
            Err(error) => {
                tracing::error!(error, "an announcement could not be encoded");
                false
            }
        }
    }

    /// Signs a message and hands it to the network, which has it when this returns.
    ///
    /// # Errors
    /// [`HiveError`] where it cannot be signed or was not sent.
    pub(crate) async fn say_now(&self, message: Coordination) -> Result<(), HiveError> {
        let signed = Verified::sign(&self.identity, message)?;
        let data = to_dag_cbor(signed.as_signed())?;
        Ok(self.gossip.publish(Topic::Coordination, data).await?)
    }

    /// Sends a signed message soon. Returns whether there was room for it.
    pub(crate) fn send(&self, data: Vec<u8>) -> bool {
        let queued = self.queue.try_send(data).is_ok();
        if !queued {
            tracing::debug!("a message was dropped: too many wait to be sent");
        }
        queued
    }
}

async fn send(gossip: &dyn Gossip, data: Vec<u8>) {
    match tokio::time::timeout(PATIENCE, gossip.publish(Topic::Coordination, data)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "an announcement was not sent; it is repeated later");
        }
        Err(_) => tracing::debug!("an announcement was not sent in time; it is repeated later"),
    }
}
