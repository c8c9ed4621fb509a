//! The courier of private messages: to other nodes over the swarm, to a URL over HTTP; and the way in
//! for what other nodes bring.
//!
//! Over the swarm a request is [`MESSAGE`] and the packed message; the reply is a [`Reply`] as JSON,
//! given once the message is in store. That it is, the recipient says and signs: a node that only
//! claims to have the recipient can neither take a message away nor have it given up. Where the
//! recipient is away, its keepers are looked for: see [`super::mailroom`]. What may be posted to is ruled by `[egress]`, for the name in
//! a URL and for every address it stands for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pagi_didcomm::{Fate, Forward, Headers, Packing, Receipt, pack};
use pagi_hive::Hive;
use pagi_mailbox::Lease;
use pagi_messages::{Did, Signed};
use pagi_policy::{Egress, check_address, check_url};
use pagi_swarm::{InboundRequest, Swarm};
use pagi_twin::{
    Mind,
    messaging::ReceiveError,
    now_ms,
    ports::{Courier, Delivered, DeliveryError},
};
use reqwest::{
    StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    mailroom::{Handled, Keeper, WHERE},
    whereabouts,
};
use crate::cli::CliError;

/// What a request that brings a message starts with.
const MESSAGE: &[u8] = b"pagi-didcomm/1\0";
/// The media type of what is posted.
const ENCRYPTED: &str = "application/didcomm-encrypted+json";
/// How long one delivery may take.
const DELIVERY_TIME: Duration = Duration::from_secs(10);
/// Nodes asked that all say a twin lives there. There should be one.
const MAX_NODES: usize = 16;
/// Peers asked where the mail of a DID goes.
const MAX_ASKED: usize = 32;
/// How long they may take.
const ASK_TIME: Duration = Duration::from_secs(5);
/// How long a letter may wait for its owner, seconds.
const LETTER_LIFE_S: u64 = 7 * 24 * 3600;
/// Longest reason of another node that is passed on, characters.
const MAX_REASON: usize = 200;

/// What a node says to a message it was brought.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Reply {
    /// The recipient says what became of it: it is in store, or will never be taken.
    Settled { receipt: Box<Signed<Receipt>> },
    /// A keeper's answer, packed for the sender.
    Answered { packed: String },
    /// No recipient lives here.
    UnknownRecipient,
    /// It is not taken, but no recipient says so.
    Refused { reason: String },
    /// It is not taken now.
    Later { reason: String },
}

/// The courier.
pub struct Post {
    swarm: Swarm,
    hive: Hive,
    http: reqwest::Client,
    egress: Egress,
    keeper: Arc<Keeper>,
}

impl Post {
    /// A courier over the swarm, and over HTTP within `egress`.
    ///
    /// # Errors
    /// [`CliError`] where no HTTP client can be made.
    pub fn new(
        swarm: Swarm,
        hive: Hive,
        egress: Egress,
        keeper: Arc<Keeper>,
    ) -> Result<Self, CliError> {
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(DELIVERY_TIME)
                .dns_resolver(Arc::new(Resolver(egress.clone())))
                .user_agent(concat!("pagi/", env!("CARGO_PKG_VERSION")))
        };
        // Without TLS roots on the system http still works.
        let http = builder()
            .build()
            .or_else(|_| builder().tls_certs_only(std::iter::empty()).build())
            .map_err(|error| super::cannot("the HTTP client", &error, "report this as a bug"))?;
        Ok(Self {
            swarm,
            hive,
            http,
            egress,
            keeper,
        })
    }

    async fn over_http(&self, to: &Did, url: &str, packed: &str) -> Result<(), DeliveryError> {
        check_url(url, &self.egress).map_err(|refusal| never(&refusal))?;
        let answer = self
            .http
            .post(receiving(url))
            .header(CONTENT_TYPE, ENCRYPTED)
            .body(packed.to_owned())
            .send()
            .await
            .map_err(|error| {
                DeliveryError::Later(format!("{url} cannot be reached: {}", causes(&error)))
            })?;
        let status = answer.status();
        // 409: an earlier try arrived.
        if status == StatusCode::CONFLICT {
            return Ok(());
        }
        if status.is_success() {
            // Another program's word is taken, for the user named the address; a receipt that is
            // there must be the recipient's.
            let said = answer.bytes().await.unwrap_or_default();
            let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
            return match said.get("proof").filter(|proof| !proof.is_null()) {
                None => Ok(()),
                Some(proof) => serde_json::from_value(proof.clone())
                    .map_err(|_| DeliveryError::Later(format!("{url} gave no receipt")))
                    .and_then(|receipt| settled(receipt, to, packed)),
            };
        }
        let text = format!("{url} answers {status}");
        let passing = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        Err(if passing {
            DeliveryError::Later(text)
        } else {
            DeliveryError::Never(text)
        })
    }

    /// Brings a message to a node, and gives what it says.
    async fn bring(&self, node: &Did, packed: &str, time: Duration) -> Result<Reply, String> {
        if node == self.keeper.did() {
            return Ok(match self.keeper.handle(packed).await {
                Some(handled) => kept(handled),
                None => Reply::UnknownRecipient,
            });
        }
        let peer = node.peer_id().map_err(|error| error.to_string())?;
        let request = [MESSAGE, packed.as_bytes()].concat();
        let reply = self
            .swarm
            .request(&peer, request, time)
            .await
            .map_err(|error| format!("the node {node}: {error}"))?;
        serde_json::from_slice(&reply).map_err(|_| format!("the node {node} gave no receipt"))
    }

    /// Brings a message for `to` to a node. Only the word of `to` itself settles the matter.
    async fn over_swarm(&self, node: &Did, to: &Did, packed: &str) -> Result<(), DeliveryError> {
        let reply = self
            .bring(node, packed, DELIVERY_TIME)
            .await
            .map_err(DeliveryError::Later)?;
        match reply {
            Reply::Settled { receipt } => settled(*receipt, to, packed),
            // It may have moved, or another node announced it falsely: its own may come back.
            Reply::UnknownRecipient | Reply::Answered { .. } => Err(DeliveryError::Later(format!(
                "the node {node} does not know the twin"
            ))),
            Reply::Refused { reason } | Reply::Later { reason } => {
                Err(DeliveryError::Later(cut(&reason)))
            }
        }
    }

    /// Says something to a keeper that it answers to the sender; gives the packed answer.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn ask_keeper(
        &self,
        keeper: &Did,
        packed: &str,
        time: Duration,
    ) -> Result<String, String> {
        match self.bring(keeper, packed, time).await? {
            Reply::Answered { packed } => Ok(packed),
            Reply::Refused { reason } | Reply::Later { reason } => Err(cut(&reason)),
            Reply::Settled { .. } | Reply::UnknownRecipient => Err("it keeps no mail".to_owned()),
        }
    }

    /// The keepers of `to`, by its own signed word.
    async fn keepers(&self, to: &Did) -> Vec<Did> {
        let mut found = Vec::new();
        found.extend(self.keeper.lease_of(to).await);
        let mut peers = self.swarm.peers().await.unwrap_or_default();
        peers.truncate(MAX_ASKED);
        let question = [WHERE, to.as_str().as_bytes()].concat();
        let asked = peers.iter().map(|peer| {
            self.swarm
                .request(&peer.peer_id, question.clone(), ASK_TIME)
        });
        for answer in futures::future::join_all(asked).await.into_iter().flatten() {
            found.extend(
                serde_json::from_slice::<Option<Signed<Lease>>>(&answer)
                    .ok()
                    .flatten(),
            );
        }
        let now = now_ms();
        let mut keepers: Vec<Did> = found
            .into_iter()
            .filter(|lease| lease.author == *to && lease.body.until_ms > now)
            .filter_map(|lease| lease.verify().ok())
            .map(|lease| lease.body().holder.clone())
            .collect();
        keepers.sort();
        keepers.dedup();
        keepers.truncate(MAX_NODES);
        keepers
    }

    /// Gives a message to a keeper of its recipient.
    async fn leave(&self, to: &Did, packed: &str) -> Option<Did> {
        for keeper in self.keepers(to).await {
            let now = now_ms() / 1000;
            let headers = Headers {
                id: Uuid::new_v4().to_string(),
                // The keeper need not know who writes.
                from: None,
                to: vec![keeper.clone()],
                thid: None,
                pthid: None,
                created_time: Some(now),
                expires_time: Some(now + LETTER_LIFE_S),
            };
            let forward = Forward {
                next: to.clone(),
                packed: packed.to_owned(),
            };
            let sealed = forward
                .message(headers)
                .and_then(|message| pack(&message, Packing::Anoncrypt, None, &keeper));
            let sealed = match sealed {
                Ok(sealed) => sealed,
                Err(error) => {
                    tracing::warn!(%error, "a letter cannot be sealed");
                    continue;
                }
            };
            match self.over_swarm(&keeper, &keeper, &sealed).await {
                Ok(()) => return Some(keeper),
                Err(error) => tracing::debug!(%keeper, %error, "a letter was not left"),
            }
        }
        None
    }

    /// Brings a message to every node that announces the recipient.
    async fn hand_over(&self, to: &Did, packed: &str) -> Result<(), DeliveryError> {
        let mut nodes: Vec<Did> = self
            .hive
            .known_twins()
            .into_iter()
            .filter(|seen| seen.presence.did == *to)
            .map(|seen| seen.node)
            .collect();
        nodes.sort();
        nodes.dedup();
        nodes.truncate(MAX_NODES);
        if nodes.is_empty() {
            nodes.extend(whereabouts::node_of(&self.swarm, to).await);
        }
        // None that only claims to have the twin can keep the message from the one that does, and only
        // that one can read it.
        let tried = nodes.iter().map(|node| self.over_swarm(node, to, packed));
        let outcomes = futures::future::join_all(tried).await;
        let mut failure = None;
        for outcome in outcomes {
            match outcome {
                Ok(()) => return Ok(()),
                Err(error @ DeliveryError::Never(_)) => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            DeliveryError::Later("no node that is online announces the recipient".to_owned())
        }))
    }
}

/// What the recipient's receipt says of the message, where it is the recipient's.
fn settled(receipt: Signed<Receipt>, to: &Did, packed: &str) -> Result<(), DeliveryError> {
    match Receipt::check(receipt, to, packed) {
        Ok(Fate::Stored) => Ok(()),
        Ok(Fate::Refused { reason }) => Err(DeliveryError::Never(cut(&reason))),
        Err(error) => Err(DeliveryError::Later(format!("no receipt: {error}"))),
    }
}

/// What a keeper says, as a reply.
fn kept(handled: Handled) -> Reply {
    match handled {
        Handled::Done(receipt) => Reply::Settled { receipt },
        Handled::Answer(packed) => Reply::Answered { packed },
        Handled::Refused(reason) => Reply::Refused { reason },
        Handled::Later(reason) => Reply::Later { reason },
    }
}

#[async_trait]
impl Courier for Post {
    fn check(&self, url: &str) -> Result<(), String> {
        check_url(url, &self.egress).map_err(|refusal| refusal.to_string())
    }

    async fn deliver(
        &self,
        to: &Did,
        url: Option<&str>,
        packed: &str,
        held: bool,
    ) -> Result<Delivered, DeliveryError> {
        if let Some(url) = url {
            return self
                .over_http(to, url, packed)
                .await
                .map(|()| Delivered::Stored);
        }
        match self.hand_over(to, packed).await {
            Ok(()) => Ok(Delivered::Stored),
            Err(error @ DeliveryError::Later(_)) if !held => match self.leave(to, packed).await {
                Some(keeper) => Ok(Delivered::Held(keeper)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

/// Takes a message in that a node brought; gives back a request for anything else.
pub async fn answer(
    mind: &Mind,
    keeper: &Keeper,
    request: InboundRequest,
) -> Option<InboundRequest> {
    let Some(packed) = request.data.strip_prefix(MESSAGE) else {
        return Some(request);
    };
    let refused = |reason: &str| Reply::Refused {
        reason: reason.to_owned(),
    };
    let reply = match std::str::from_utf8(packed) {
        Ok(packed) => match keeper.handle(packed).await {
            Some(handled) => kept(handled),
            None => {
                let taken = mind.take_message(packed).await;
                match (taken.outcome, taken.receipt) {
                    (_, Some(receipt)) => Reply::Settled {
                        receipt: Box::new(receipt),
                    },
                    (Err(ReceiveError::UnknownRecipient(_)), _) => Reply::UnknownRecipient,
                    (Err(error), _) if error.is_passing() => Reply::Later {
                        reason: error.to_string(),
                    },
                    (Err(error), _) => refused(&error.to_string()),
                    (Ok(_), None) => Reply::Later {
                        reason: "no receipt could be given".to_owned(),
                    },
                }
            }
        },
        Err(_) => refused("the message is not text"),
    };
    match serde_json::to_vec(&reply) {
        Ok(bytes) => request.reply.send(bytes),
        Err(error) => tracing::error!(%error, "a receipt cannot be written"),
    }
    None
}

/// Resolves names to addresses that may be reached, and to no others.
struct Resolver(Egress);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            let (mut allowed, mut refusal) = (Vec::new(), None);
            for address in tokio::net::lookup_host((name.as_str(), 0)).await? {
                match check_address(address.ip(), &egress) {
                    Ok(()) => allowed.push(address),
                    Err(refused) => refusal = Some(refused),
                }
            }
            match refusal {
                Some(refusal) if allowed.is_empty() => {
                    Err::<Addrs, Box<dyn std::error::Error + Send + Sync>>(refusal.into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Where a message for `url` is posted: a bare address means its `/receive`.
fn receiving(url: &str) -> String {
    let url = url.trim();
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    match after_scheme.split_once('/') {
        None => format!("{url}/receive"),
        Some((_, "")) => format!("{url}receive"),
        Some(_) => url.to_owned(),
    }
}

fn never(error: &dyn std::fmt::Display) -> DeliveryError {
    DeliveryError::Never(error.to_string())
}

/// What another node says, fit to be shown.
fn cut(reason: &str) -> String {
    let shown = reason.chars().filter(|c| !c.is_control());
    shown.take(MAX_REASON).collect()
}

/// The deepest causes say what happened; the outer layers only that something did.
fn causes(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_means_its_receive() {
        for (url, wanted) in [
            ("http://127.0.0.1:8006", "http://127.0.0.1:8006/receive"),
            ("http://127.0.0.1:8006/", "http://127.0.0.1:8006/receive"),
            ("https://a.example/receive", "https://a.example/receive"),
            (
                "https://a.example/didcomm?x=1",
                "https://a.example/didcomm?x=1",
            ),
        ] {
            assert_eq!(receiving(url), wanted);
        }
    }

    #[test]
    fn a_receipt_has_one_form() {
        let reply = |text: &str| serde_json::from_str::<Reply>(text);
        assert!(matches!(
            reply(r#"{"status":"later","reason":"x"}"#),
            Ok(Reply::Later { reason }) if reason == "x"
        ));
        for bad in ["", "{}", r#"{"status":"refused"}"#, r#"{"status":"maybe"}"#] {
            assert!(reply(bad).is_err(), "{bad}");
        }
        assert_eq!(cut(&"é\n".repeat(500)).chars().count(), MAX_REASON);
    }

    #[test]
    fn a_receipt_of_anybody_else_settles_nothing() {
        use pagi_messages::SigningIdentity;

        let key = |n: u8| SigningIdentity::from_seed(&[n; 32]);
        let refused = Fate::Refused { reason: "x".into() };
        for fate in [Fate::Stored, refused] {
            let forged = Receipt::give(&key(2), "packed", fate.clone()).unwrap();
            assert!(matches!(
                settled(forged, key(1).did(), "packed"),
                Err(DeliveryError::Later(_))
            ));
            let own = Receipt::give(&key(1), "packed", fate.clone()).unwrap();
            let said = settled(own, key(1).did(), "packed");
            assert_eq!(said.is_ok(), fate == Fate::Stored);
            assert!(!matches!(said, Err(DeliveryError::Later(_))));
        }
    }
}
