//! The courier of private messages: to other nodes over the swarm, to a URL over HTTP; and the way in
//! for what other nodes bring.
//!
//! Over the swarm a request is [`MESSAGE`] and the packed message; the reply is a [`Reply`] as JSON,
//! given once the message is in store. What may be posted to is ruled by `[egress]`, for the name in
//! a URL and for every address it stands for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pagi_hive::Hive;
use pagi_messages::Did;
use pagi_policy::{Egress, check_address, check_url};
use pagi_swarm::{InboundRequest, Swarm};
use pagi_twin::{
    Mind,
    messaging::ReceiveError,
    ports::{Courier, DeliveryError},
};
use reqwest::{
    StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
};
use serde::{Deserialize, Serialize};

use super::whereabouts;
use crate::cli::CliError;

/// What a request that brings a message starts with.
const MESSAGE: &[u8] = b"pagi-didcomm/1\0";
/// The media type of what is posted.
const ENCRYPTED: &str = "application/didcomm-encrypted+json";
/// How long one delivery may take.
const DELIVERY_TIME: Duration = Duration::from_secs(10);
/// Nodes asked that all say a twin lives there. There should be one.
const MAX_NODES: usize = 4;
/// Longest reason of another node that is passed on, characters.
const MAX_REASON: usize = 200;

/// What a node says to a message it was brought.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Reply {
    /// It is in store.
    Received,
    /// It was in store before.
    Duplicate,
    /// No recipient lives here.
    UnknownRecipient,
    /// It will never be taken.
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
}

impl Post {
    /// A courier over the swarm, and over HTTP within `egress`.
    ///
    /// # Errors
    /// [`CliError`] where no HTTP client can be made.
    pub fn new(swarm: Swarm, hive: Hive, egress: Egress) -> Result<Self, CliError> {
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
        })
    }

    async fn over_http(&self, url: &str, packed: &str) -> Result<(), DeliveryError> {
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
        if status.is_success() || status == StatusCode::CONFLICT {
            return Ok(());
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

    async fn over_swarm(&self, node: &Did, packed: &str) -> Result<(), DeliveryError> {
        let peer = node.peer_id().map_err(|error| never(&error))?;
        let request = [MESSAGE, packed.as_bytes()].concat();
        let reply = self
            .swarm
            .request(&peer, request, DELIVERY_TIME)
            .await
            .map_err(|error| DeliveryError::Later(format!("the node {node}: {error}")))?;
        let reply = serde_json::from_slice(&reply)
            .map_err(|_| DeliveryError::Later(format!("the node {node} gave no receipt")))?;
        match reply {
            Reply::Received | Reply::Duplicate => Ok(()),
            // It may have moved, or another node announced it falsely: its own may come back.
            Reply::UnknownRecipient => Err(DeliveryError::Later(format!(
                "the node {node} does not know the twin"
            ))),
            Reply::Refused { reason } => Err(DeliveryError::Never(cut(&reason))),
            Reply::Later { reason } => Err(DeliveryError::Later(cut(&reason))),
        }
    }
}

#[async_trait]
impl Courier for Post {
    async fn deliver(
        &self,
        to: &Did,
        url: Option<&str>,
        packed: &str,
    ) -> Result<(), DeliveryError> {
        if let Some(url) = url {
            return self.over_http(url, packed).await;
        }
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
        let tried = nodes.iter().map(|node| self.over_swarm(node, packed));
        // Every node that announces the twin is brought the message, so that none that only claims to
        // have it can keep it from the one that does. Only that one can read it.
        let outcomes = futures::future::join_all(tried).await;
        let mut failure = None;
        let mut delivered = false;
        for outcome in outcomes {
            match outcome {
                Ok(()) => delivered = true,
                Err(error @ DeliveryError::Later(_)) => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            _ if delivered => Ok(()),
            Some(failure) => Err(failure),
            None => Err(DeliveryError::Later(
                "no node that is online announces the recipient".to_owned(),
            )),
        }
    }
}

/// Takes a message in that a node brought; gives back a request for anything else.
pub async fn answer(mind: &Mind, request: InboundRequest) -> Option<InboundRequest> {
    let Some(packed) = request.data.strip_prefix(MESSAGE) else {
        return Some(request);
    };
    let reply = match std::str::from_utf8(packed) {
        Ok(packed) => match mind.receive_message(packed).await {
            Ok(_) => Reply::Received,
            Err(ReceiveError::Replayed) => Reply::Duplicate,
            Err(ReceiveError::UnknownRecipient(_)) => Reply::UnknownRecipient,
            Err(error) if error.is_passing() => Reply::Later {
                reason: error.to_string(),
            },
            Err(error) => Reply::Refused {
                reason: error.to_string(),
            },
        },
        Err(_) => Reply::Refused {
            reason: "the message is not text".to_owned(),
        },
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
            reply(r#"{"status":"received"}"#),
            Ok(Reply::Received)
        ));
        assert!(matches!(
            reply(r#"{"status":"refused","reason":"x"}"#),
            Ok(Reply::Refused { reason }) if reason == "x"
        ));
        for bad in ["", "{}", r#"{"status":"refused"}"#, r#"{"status":"maybe"}"#] {
            assert!(reply(bad).is_err(), "{bad}");
        }
        assert_eq!(cut(&"é\n".repeat(500)).chars().count(), MAX_REASON);
    }
}
