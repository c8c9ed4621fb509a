//! The node as a keeper of letters for twins that are away.
//!
//! What is decided is decided by [`pagi_mailbox::Mailroom`]; here it is made durable, and only then
//! answered. Letters are sealed for their owners: the node knows whose they are and how long.

use std::time::Duration;

use pagi_didcomm::{
    Content, Fate, Forward, Headers, Limits, Packing, Pickup, Receipt, Unpacked, pack,
    protocols::pickup::{Letter as SealedLetter, Status},
    unpack,
};
use pagi_mailbox::{Change, Lease, Letter, Mailroom, Quota};
use pagi_messages::{Did, Signed, SigningIdentity, cid_of};
use pagi_store::{Batch, Store, StoreError};
use pagi_swarm::InboundRequest;
use pagi_twin::{messaging::recipients, now_ms};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Where does the mail of this DID go? The reply is the owner's lease as JSON, or `null`.
pub const WHERE: &[u8] = b"pagi-mail-where/1\0";
/// Do you keep letters? The reply is `yes` or `no`.
pub const OFFER: &[u8] = b"pagi-mail-offer/1\0";
/// Longest message to a keeper, bytes: a letter in an envelope of its own.
pub const MAX_TO_KEEPER: usize = 512 * 1024;
/// Most bytes of letters in one delivery.
const MAX_DELIVERY: usize = 256 * 1024;
/// Most letters in one delivery.
const MAX_LETTERS: usize = 50;
/// How often what is over is cleared away.
const SWEEP_PERIOD: Duration = Duration::from_secs(600);

/// A letter as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    letter: Letter,
    packed: String,
}

/// What a keeper says to a message for it.
pub enum Handled {
    /// It is done.
    Done(Box<Signed<Receipt>>),
    /// An answer, packed for the sender.
    Answer(String),
    /// It will never be done.
    Refused(String),
    /// It cannot be done now.
    Later(String),
}

/// The keeper.
pub struct Keeper {
    identity: SigningIdentity,
    store: Store,
    room: Mutex<Mailroom>,
    offers: bool,
}

fn box_name(owner: &Did) -> String {
    format!("mail/box/{owner}")
}

fn letter_name(owner: &Did, seq: u64) -> String {
    format!("mail/letter/{owner}/{seq:020}")
}

impl Keeper {
    /// Opens the mailroom with what was kept before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(identity: SigningIdentity, store: Store, offers: bool) -> Result<Self, StoreError> {
        let mut room = Mailroom::new(identity.did().clone(), Quota::default());
        for (name, value) in store.documents("mail/box/")? {
            match serde_json::from_value::<Signed<Lease>>(value) {
                Ok(lease) => room.apply(Change::Lease(lease)),
                Err(error) => tracing::warn!(name, %error, "a box cannot be read"),
            }
        }
        for (name, value) in store.documents("mail/letter/")? {
            let owner = name
                .split('/')
                .nth(2)
                .and_then(|did| did.parse::<Did>().ok());
            match (owner, serde_json::from_value::<Stored>(value)) {
                (Some(owner), Ok(stored)) => room.apply(Change::Put {
                    owner,
                    letter: stored.letter,
                }),
                _ => tracing::warn!(name, "a letter cannot be read"),
            }
        }
        Ok(Self {
            identity,
            store,
            room: Mutex::new(room),
            offers,
        })
    }

    /// The node's DID.
    pub fn did(&self) -> &Did {
        self.identity.did()
    }

    /// Makes a change durable and takes it over.
    async fn commit(
        &self,
        room: &mut Mailroom,
        change: Change,
        packed: Option<String>,
    ) -> Result<(), StoreError> {
        let batch = match &change {
            Change::Nothing => return Ok(()),
            Change::Lease(lease) => Batch::new().document(box_name(&lease.author), json!(lease)),
            Change::Put { owner, letter } => {
                let stored = Stored {
                    letter: letter.clone(),
                    packed: packed.unwrap_or_default(),
                };
                Batch::new().document(letter_name(owner, letter.seq), json!(stored))
            }
            Change::Remove { owner, seqs } => seqs.iter().fold(Batch::new(), |batch, seq| {
                batch.document_gone(letter_name(owner, *seq))
            }),
            Change::Close { owner, seqs } => seqs
                .iter()
                .fold(Batch::new(), |batch, seq| {
                    batch.document_gone(letter_name(owner, *seq))
                })
                .document_gone(box_name(owner)),
        };
        self.store.write(batch).await?;
        room.apply(change);
        Ok(())
    }

    /// Handles a packed message if it is for this node and no twin of it; `None` where it is not.
    pub async fn handle(&self, packed: &str) -> Option<Handled> {
        let me = self.identity.did().as_str();
        if packed.len() > MAX_TO_KEEPER || !recipients(packed).ok()?.iter().any(|to| to == me) {
            return None;
        }
        if !self.offers {
            return Some(Handled::Refused("this node keeps no mail".to_owned()));
        }
        let limits = Limits {
            max_bytes: MAX_TO_KEEPER,
            ..Limits::default()
        };
        let opened = unpack(packed, &self.identity, now_ms() / 1000, &limits)
            .and_then(|unpacked| Ok((Content::of(&unpacked.message)?, unpacked)));
        Some(match opened {
            Ok((content, unpacked)) => self.act(content, &unpacked, packed).await,
            Err(error) => Handled::Refused(format!(
                "the message cannot be accepted ({})",
                error.problem_code()
            )),
        })
    }

    async fn act(&self, content: Content, unpacked: &Unpacked, packed: &str) -> Handled {
        let now = now_ms();
        let failed = |error: StoreError| {
            tracing::error!(%error, "the mailroom cannot store");
            Handled::Later("the mailroom cannot store now".to_owned())
        };
        let mut room = self.room.lock().await;
        let pickup = match content {
            Content::Forward(Forward {
                next,
                packed: letter,
            }) => {
                let id = cid_of(letter.as_bytes()).to_string();
                let change = match room.put(&next, &id, letter.len(), now) {
                    Ok(change) => change,
                    Err(refusal) if refusal.is_passing() => {
                        return Handled::Later(refusal.to_string());
                    }
                    Err(refusal) => return Handled::Refused(refusal.to_string()),
                };
                return match self.commit(&mut room, change, Some(letter)).await {
                    Ok(()) => match Receipt::give(&self.identity, packed, Fate::Stored) {
                        Ok(receipt) => Handled::Done(Box::new(receipt)),
                        Err(error) => Handled::Later(error.to_string()),
                    },
                    Err(error) => failed(error),
                };
            }
            Content::Pickup(pickup) => pickup,
            _ => return Handled::Refused("a keeper does letters alone".to_owned()),
        };
        let Some(owner) = unpacked.sender().cloned() else {
            return Handled::Refused("a keeper must know who asks".to_owned());
        };
        let answer = match pickup {
            Pickup::MediateRequest { lease } => {
                let lease = serde_json::from_value::<Signed<Lease>>(lease)
                    .ok()
                    .and_then(|lease| lease.verify().ok())
                    .filter(|lease| *lease.author() == owner);
                let Some(lease) = lease else {
                    return Handled::Refused("the lease is not signed by its sender".to_owned());
                };
                match room.lease(lease, now) {
                    Ok(change) => {
                        if let Err(error) = self.commit(&mut room, change, None).await {
                            return failed(error);
                        }
                        Pickup::MediateGrant {
                            routing_did: vec![self.identity.did().to_string()],
                        }
                    }
                    Err(refusal) => {
                        tracing::debug!(%refusal, %owner, "a box was not leased");
                        Pickup::MediateDeny
                    }
                }
            }
            Pickup::StatusRequest => status(&room, &owner, now),
            Pickup::DeliveryRequest { limit } => {
                let mut letters = Vec::new();
                for letter in room.waiting(&owner, limit.min(MAX_LETTERS), MAX_DELIVERY, now) {
                    let name = letter_name(&owner, letter.seq);
                    match self.store.document(&name) {
                        Ok(Some(value)) => {
                            if let Ok(stored) = serde_json::from_value::<Stored>(value) {
                                letters.push(SealedLetter {
                                    id: letter.id,
                                    packed: stored.packed,
                                });
                            }
                        }
                        Ok(None) => {}
                        Err(error) => return failed(error),
                    }
                }
                if letters.is_empty() {
                    status(&room, &owner, now)
                } else {
                    Pickup::Delivery(letters)
                }
            }
            Pickup::MessagesReceived { ids } => {
                let change = room.received(&owner, &ids);
                if let Err(error) = self.commit(&mut room, change, None).await {
                    return failed(error);
                }
                status(&room, &owner, now)
            }
            _ => return Handled::Refused("that is for an owner to hear".to_owned()),
        };
        drop(room);
        let headers = Headers::reply(
            Uuid::new_v4().to_string(),
            &unpacked.message,
            self.identity.did(),
            now / 1000,
        );
        let packed = answer
            .message(headers)
            .and_then(|message| pack(&message, Packing::Authcrypt, Some(&self.identity), &owner));
        match packed {
            Ok(packed) => Handled::Answer(packed),
            Err(error) => Handled::Refused(error.to_string()),
        }
    }

    /// The lease of `owner`, where its mail is kept here.
    pub async fn lease_of(&self, owner: &Did) -> Option<Signed<Lease>> {
        self.room.lock().await.lease_of(owner, now_ms()).cloned()
    }

    /// Boxes, letters and bytes held.
    pub async fn held(&self) -> (usize, usize, usize) {
        self.room.lock().await.held()
    }

    /// Answers where mail is kept; gives back a request for anything else.
    pub async fn answer(&self, request: InboundRequest) -> Option<InboundRequest> {
        if request.data == OFFER {
            let offer: &[u8] = if self.offers { b"yes" } else { b"no" };
            request.reply.send(offer.to_vec());
            return None;
        }
        let Some(owner) = request.data.strip_prefix(WHERE) else {
            return Some(request);
        };
        let owner = std::str::from_utf8(owner)
            .ok()
            .and_then(|text| text.parse::<Did>().ok());
        let lease = match owner {
            Some(owner) => self.lease_of(&owner).await,
            None => None,
        };
        request
            .reply
            .send(serde_json::to_vec(&lease).unwrap_or_default());
        None
    }

    /// Clears away what is over, now and then; never returns.
    pub async fn sweep(&self) {
        loop {
            let mut room = self.room.lock().await;
            for change in room.over(now_ms()) {
                if let Err(error) = self.commit(&mut room, change, None).await {
                    tracing::warn!(%error, "old mail cannot be cleared away");
                    break;
                }
            }
            drop(room);
            tokio::time::sleep(SWEEP_PERIOD).await;
        }
    }
}

fn status(room: &Mailroom, owner: &Did, now_ms: u64) -> Pickup {
    let (message_count, total_bytes, oldest) = room.status(owner, now_ms);
    Pickup::Status(Status {
        message_count,
        total_bytes,
        longest_waited_seconds: oldest.map(|oldest| now_ms.saturating_sub(oldest) / 1000),
        live_delivery: false,
    })
}
