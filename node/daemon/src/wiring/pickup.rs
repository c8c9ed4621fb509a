//! The node as an owner of boxes elsewhere: it leases them for its twins while it is awake, and gets
//! what came while it was not.

use std::{sync::Arc, time::Duration};

use pagi_didcomm::{
    Content, Headers, Limits, Packing, Pickup, pack, protocols::pickup::Letter, unpack,
};
use pagi_mailbox::Lease;
use pagi_messages::{Did, Signed, SigningIdentity, Verified};
use pagi_store::{Batch, Store};
use pagi_swarm::Swarm;
use pagi_twin::{Mind, messaging::ReceiveError, now_ms};
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{mailroom::OFFER, messages::Post};

/// Boxes a twin has at the most.
const BOXES: usize = 2;
/// How long a lease is for, milliseconds.
const LEASE_MS: u64 = 30 * 24 * 3_600_000;
/// A lease with less left than this is renewed, milliseconds.
const RENEW_MS: u64 = 15 * 24 * 3_600_000;
/// How often boxes are looked into.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a keeper may take to answer.
const TIME: Duration = Duration::from_secs(15);
/// Letters asked for at a time.
const AT_A_TIME: usize = 20;
/// Peers asked whether they keep mail.
const MAX_ASKED: usize = 16;

/// Gets the mail.
pub struct Collector {
    pub mind: Mind,
    pub swarm: Swarm,
    pub store: Store,
    pub post: Arc<Post>,
    /// Keepers to use; those that offer it among the peers where there are none.
    pub keepers: Vec<Did>,
    /// Told when a peer turns up.
    pub wake: Notify,
}

impl Collector {
    /// Leases boxes and empties them; never returns.
    pub async fn run(self: Arc<Self>) {
        loop {
            for identity in self.owners() {
                let leases = self.leases(&identity).await;
                for keeper in leases {
                    if let Err(why) = self.collect(&identity, &keeper).await {
                        tracing::debug!(%keeper, why, "a box was not emptied");
                    }
                }
            }
            tokio::select! {
                () = self.wake.notified() => {
                    // The peer has to be known as one of this swarm first.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// The twins' keys: those in force, and those before them, for mail that went to the old DID.
    fn owners(&self) -> Vec<SigningIdentity> {
        let keys = self.mind.keys();
        let twins = self.store.list_twins().unwrap_or_default();
        let of = |twin_id: &str| {
            let mut both = Vec::new();
            both.extend(keys.twin(twin_id));
            both.extend(keys.previous_twin(twin_id).ok().flatten());
            both
        };
        twins.iter().flat_map(|twin| of(&twin.twin_id)).collect()
    }

    /// The keepers of this owner's boxes; leases more where there are too few.
    async fn leases(&self, owner: &SigningIdentity) -> Vec<Did> {
        let prefix = format!("lease/{}/", owner.did());
        let documents = self.store.documents(&prefix).unwrap_or_default();
        let now = now_ms();
        let known: Vec<Lease> = documents
            .into_iter()
            .filter_map(|(_, value)| serde_json::from_value::<Signed<Lease>>(value).ok())
            .map(|lease| lease.body)
            .filter(|lease| lease.until_ms > now)
            .collect();
        let fresh = known
            .iter()
            .filter(|lease| lease.until_ms > now + RENEW_MS)
            .count();
        let mut keepers: Vec<Did> = known.iter().map(|lease| lease.holder.clone()).collect();
        if fresh >= BOXES {
            return keepers;
        }
        let is_fresh = |did: &Did| {
            known
                .iter()
                .any(|lease| lease.holder == *did && lease.until_ms > now + RENEW_MS)
        };
        let candidates = self.candidates().await;
        let mut wanted = BOXES - fresh;
        for keeper in candidates {
            if wanted == 0 {
                break;
            }
            if is_fresh(&keeper) {
                continue;
            }
            match self.lease(owner, &keeper, now + LEASE_MS).await {
                Ok(()) => {
                    wanted -= 1;
                    if !keepers.contains(&keeper) {
                        keepers.push(keeper);
                    }
                }
                Err(why) => tracing::debug!(%keeper, why, "no box was leased"),
            }
        }
        keepers
    }

    async fn candidates(&self) -> Vec<Did> {
        if !self.keepers.is_empty() {
            return self.keepers.clone();
        }
        let mut peers = self.swarm.peers().await.unwrap_or_default();
        peers.truncate(MAX_ASKED);
        let asked = peers.iter().map(|peer| async {
            let offer = self
                .swarm
                .request(&peer.peer_id, OFFER.to_vec(), TIME)
                .await;
            (offer.is_ok_and(|offer| offer == b"yes"))
                .then(|| Did::from_peer_id(&peer.peer_id).ok())
                .flatten()
        });
        let offers = futures::future::join_all(asked).await;
        offers.into_iter().flatten().collect()
    }

    async fn lease(
        &self,
        owner: &SigningIdentity,
        keeper: &Did,
        until_ms: u64,
    ) -> Result<(), String> {
        let lease = Lease {
            holder: keeper.clone(),
            until_ms,
        };
        let lease = Verified::sign(owner, lease)
            .map_err(|error| error.to_string())?
            .into_signed();
        let step = Pickup::MediateRequest {
            lease: json!(lease),
        };
        match self.say(owner, keeper, &step).await? {
            Pickup::MediateGrant { .. } => {
                let name = format!("lease/{}/{keeper}", owner.did());
                let batch = Batch::new().document(name, json!(lease));
                self.store
                    .write(batch)
                    .await
                    .map_err(|error| error.to_string())?;
                tracing::info!(%keeper, owner = %owner.did(), "a box is leased");
                Ok(())
            }
            _ => Err("it has no box to let".to_owned()),
        }
    }

    /// Empties a box: what is in store here is said to have arrived, and nothing else.
    async fn collect(&self, owner: &SigningIdentity, keeper: &Did) -> Result<(), String> {
        loop {
            let step = Pickup::DeliveryRequest { limit: AT_A_TIME };
            let Pickup::Delivery(letters) = self.say(owner, keeper, &step).await? else {
                return Ok(());
            };
            let mut ids = Vec::new();
            for Letter { id, packed } in letters {
                match self.mind.receive_message(&packed).await {
                    Err(error @ (ReceiveError::TooMany | ReceiveError::Node(_))) => {
                        tracing::debug!(%error, "a letter stays in its box");
                    }
                    // What can never be taken is not worth keeping.
                    _ => ids.push(id),
                }
            }
            if ids.is_empty() {
                return Ok(());
            }
            self.say(owner, keeper, &Pickup::MessagesReceived { ids })
                .await?;
        }
    }

    /// Says one thing to a keeper, and gives its answer.
    async fn say(
        &self,
        owner: &SigningIdentity,
        keeper: &Did,
        step: &Pickup,
    ) -> Result<Pickup, String> {
        let text = |error: pagi_didcomm::DidcommError| error.to_string();
        let now = now_ms() / 1000;
        let id = Uuid::new_v4().to_string();
        let headers = Headers::new(id.clone(), owner.did(), keeper, now).expires_at(now + 300);
        let message = step.message(headers).map_err(text)?;
        let packed = pack(&message, Packing::Authcrypt, Some(owner), keeper).map_err(text)?;
        let answer = self.post.ask_keeper(keeper, &packed, TIME).await?;
        let opened = unpack(&answer, owner, now_ms() / 1000, &Limits::default()).map_err(text)?;
        if opened.authenticated_sender.as_ref() != Some(keeper)
            || opened.message.thid.as_deref() != Some(id.as_str())
        {
            return Err("the answer is not the keeper's".to_owned());
        }
        match Content::of(&opened.message).map_err(text)? {
            Content::Pickup(answer) => Ok(answer),
            _ => Err("the answer is of another protocol".to_owned()),
        }
    }
}
