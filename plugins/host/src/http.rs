//! The HTTP transport: one POST of the parameters, one JSON answer.
//!
//! No proxies, no redirects, and a bounded read of the answer. A call is repeated only where
//! that is safe: when the connection was never made, or when the tool says that repeating it
//! does no harm ([`Annotations::repeatable`](crate::Annotations::repeatable)) and the failure
//! looks passing (502, 503, 504, a broken connection).
//!
//! Where the host has an [`AddressCheck`], every address is judged: one in the URL before anything is
//! sent, one behind a name when the name is resolved. The connection goes to what was resolved and
//! judged, so a name that changes its address in between changes nothing.

use crate::config::{AddressCheck, HttpLimits};
use crate::error::{ToolError, excerpt};
use backon::{ExponentialBuilder, Retryable};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Builds the client that every HTTP tool shares.
pub(crate) fn client(
    limits: &HttpLimits,
    check: Option<&AddressCheck>,
) -> Result<Client, ToolError> {
    // The TLS library wants its cryptography chosen once per process; one already chosen stays.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = || {
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect_timeout)
            .user_agent(concat!("pagi/", env!("CARGO_PKG_VERSION")));
        match check {
            Some(check) => builder.dns_resolver(Arc::new(Resolver(check.clone()))),
            None => builder,
        }
    };
    builder()
        .build()
        .or_else(|error| {
            tracing::warn!(%error, "no TLS roots on this system, https tools will not work");
            builder().tls_certs_only(std::iter::empty()).build()
        })
        .map_err(|error| ToolError::failed(format!("no HTTP client: {}", causes(&error))))
}

/// Resolves names to the addresses that may be reached, and to no others.
struct Resolver(AddressCheck);

/// No address of a name may be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Forbidden(String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let check = self.0.clone();
        Box::pin(async move {
            let (mut allowed, mut refusal) = (Vec::new(), None);
            for address in tokio::net::lookup_host((name.as_str(), 0)).await? {
                match check.judge(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refusal = Some(Forbidden(why)),
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

/// Judges the address in `url`, where it holds one rather than a name.
///
/// # Errors
/// [`ToolError::Denied`].
pub(crate) fn check_literal(url: &Url, check: Option<&AddressCheck>) -> Result<(), ToolError> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    match check.map(|check| check.judge(address)) {
        Some(Err(reason)) => Err(ToolError::Denied { reason }),
        _ => Ok(()),
    }
}

/// Posts `parameters` to `url` and returns the JSON answered (`null` for 204 No Content).
pub(crate) async fn post(
    client: &Client,
    limits: &HttpLimits,
    url: &Url,
    repeatable: bool,
    parameters: &Value,
) -> Result<Value, ToolError> {
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(limits.max_attempts.saturating_sub(1));
    (|| attempt(client, limits, url, parameters))
        .retry(backoff)
        .when(|failure: &Failure| failure.fate.allows_retry(repeatable))
        .notify(|failure, wait| {
            tracing::debug!(%url, error = %failure.error, ?wait, "calling the tool again");
        })
        .await
        .map_err(|failure| failure.error)
}

/// What is known about a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No connection was made, so the tool never saw it.
    NeverSent,
    /// The tool may or may not have acted on it, and a new attempt may fare better.
    Unclear,
    /// Trying again would give the same.
    Final,
}

impl Fate {
    fn allows_retry(self, repeatable: bool) -> bool {
        match self {
            Self::NeverSent => true,
            Self::Unclear => repeatable,
            Self::Final => false,
        }
    }
}

struct Failure {
    error: ToolError,
    fate: Fate,
}

impl Failure {
    fn network(url: &Url, error: &reqwest::Error) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(Forbidden(reason)) = inner.downcast_ref() {
                return Self::last(ToolError::Denied {
                    reason: reason.clone(),
                });
            }
            cause = inner.source();
        }
        let fate = if error.is_connect() {
            Fate::NeverSent
        } else if error.is_builder() || error.is_redirect() {
            Fate::Final
        } else {
            Fate::Unclear
        };
        let error = ToolError::Unreachable {
            url: url.to_string(),
            reason: causes(error),
        };
        Self { error, fate }
    }

    fn last(error: ToolError) -> Self {
        Self {
            error,
            fate: Fate::Final,
        }
    }
}

async fn attempt(
    client: &Client,
    limits: &HttpLimits,
    url: &Url,
    parameters: &Value,
) -> Result<Value, Failure> {
    let response = client
        .post(url.clone())
        .header(reqwest::header::ACCEPT, "application/json")
        .json(parameters)
        .send()
        .await
        .map_err(|error| Failure::network(url, &error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(Failure {
            error: refused(response).await,
            fate: status_fate(status),
        });
    }
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let body = read(response, limits.max_response_bytes, url).await?;
    serde_json::from_slice(&body).map_err(|_| {
        Failure::last(ToolError::NotJson {
            excerpt: excerpt(&body),
        })
    })
}

fn status_fate(status: StatusCode) -> Fate {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Fate::Unclear
        }
        _ => Fate::Final,
    }
}

/// Reads no further than needed to know that the answer is too long.
async fn read(mut response: Response, max: usize, url: &Url) -> Result<Vec<u8>, Failure> {
    let too_large = || {
        Failure::last(ToolError::ResponseTooLarge {
            max_bytes: max as u64,
        })
    };
    if response
        .content_length()
        .is_some_and(|length| length > max as u64)
    {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Failure::network(url, &error))?
    {
        if body.len() + chunk.len() > max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error for an answer other than 2xx, with the start of its body.
async fn refused(mut response: Response) -> ToolError {
    const ENOUGH: usize = 1200;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < ENOUGH {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    ToolError::Http {
        status,
        body_excerpt: excerpt(&body),
    }
}

/// The deepest causes say what happened; the outer layers only that something did.
fn causes(error: &reqwest::Error) -> String {
    let mut text = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push(inner.to_string());
        cause = inner.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_rule() {
        for (fate, repeatable, want) in [
            (Fate::NeverSent, false, true),
            (Fate::NeverSent, true, true),
            (Fate::Unclear, false, false),
            (Fate::Unclear, true, true),
            (Fate::Final, true, false),
        ] {
            assert_eq!(fate.allows_retry(repeatable), want, "{fate:?} {repeatable}");
        }
        assert_eq!(status_fate(StatusCode::INTERNAL_SERVER_ERROR), Fate::Final);
        assert_eq!(status_fate(StatusCode::BAD_REQUEST), Fate::Final);
        assert_eq!(status_fate(StatusCode::SERVICE_UNAVAILABLE), Fate::Unclear);
    }

    /// Telling these two apart is what makes the retry rule safe.
    #[tokio::test]
    async fn refused_connections_differ_from_broken_ones() {
        let limits = HttpLimits::default();
        let client = client(&limits, None).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let broken = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            // Dropping stream and listener breaks this connection and refuses the next.
        });
        let fate = async |client: &Client| match attempt(client, &limits, &url, &Value::Null).await
        {
            Ok(_) => panic!("nobody answers"),
            Err(failure) => failure.fate,
        };
        assert_eq!(fate(&client).await, Fate::Unclear);
        broken.await.unwrap();
        assert_eq!(fate(&client).await, Fate::NeverSent);
    }
}
