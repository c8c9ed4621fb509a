//! Who may call: `Host`, `Origin` and the bearer token.
//!
//! A loopback port is open to every program of every user of the machine, and through the user's
//! browser to every web page. The token keeps the programs out. A page cannot read it, but a page
//! whose name has been rebound to 127.0.0.1 would be of the same origin as the API, so the `Host`
//! must be a name of this node; and no page of another origin has any business here, so a foreign
//! `Origin` is refused before anything happens.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use pagi_api::ApiError;

use crate::{failure::Failure, token::Token};

/// What a caller must show on one kind of listener.
#[derive(Clone, Debug)]
pub struct Guard {
    token: Option<Token>,
    hosts: Hosts,
    open: Vec<&'static str>,
}

/// The names this node goes by.
#[derive(Clone, Debug, Default)]
struct Hosts {
    names: Vec<String>,
    addrs: Vec<IpAddr>,
    any_addr: bool,
}

impl Guard {
    /// For a unix socket, which its file mode protects: no token, any `Host`.
    #[must_use]
    pub fn owner() -> Self {
        Self {
            token: None,
            hosts: Hosts::default(),
            open: Vec::new(),
        }
    }

    /// For TCP: the token, and a `Host` that is loopback, one of `bound` or one of `extra_hosts`.
    #[must_use]
    pub fn token(token: Token, bound: &[SocketAddr], extra_hosts: &[String]) -> Self {
        let addrs: Vec<IpAddr> = bound.iter().map(|addr| addr.ip().to_canonical()).collect();
        Self {
            token: Some(token),
            hosts: Hosts {
                names: extra_hosts
                    .iter()
                    .map(|name| name.to_ascii_lowercase())
                    .collect(),
                any_addr: addrs.iter().any(IpAddr::is_unspecified),
                addrs,
            },
            open: Vec::new(),
        }
    }

    /// The same guard with these paths free of the token.
    pub(crate) fn with_open_paths(mut self, open: Vec<&'static str>) -> Self {
        self.open = open;
        self
    }

    /// Whether a request with this target and these headers may pass.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let host = host_of(uri, headers)?;
        if self.token.is_some() {
            let host = host
                .as_ref()
                .ok_or_else(|| ApiError::Malformed("the request has no Host header".to_owned()))?;
            if !self.hosts.knows(host) {
                return Err(Failure::misdirected(format!(
                    "this node does not go by the name `{}`; use 127.0.0.1 or localhost, or add the \
                     name to the control API's hosts",
                    shortened(host.host())
                )));
            }
        }
        if let Some(origin) = only(headers, &header::ORIGIN)? {
            let same = host.is_some_and(|host| self.hosts.same_origin(origin, &host));
            if !same {
                return Err(ApiError::Forbidden(format!(
                    "pages of the origin `{}` may not use the control API",
                    shortened(origin)
                ))
                .into());
            }
        }
        match &self.token {
            Some(token) if !self.open.contains(&uri.path()) => check_token(token, headers),
            _ => Ok(()),
        }
    }
}

impl Hosts {
    /// Whether `host`, with any port, names this node.
    fn knows(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host().to_ascii_lowercase();
        if name == "localhost" || self.names.contains(&name) {
            return true;
        }
        let bare = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&name);
        bare.parse::<IpAddr>().is_ok_and(|addr| {
            let addr = addr.to_canonical();
            // Bound to every address, any literal will do: what is rebound is always a name.
            addr.is_loopback() || self.any_addr || self.addrs.contains(&addr)
        })
    }

    /// Whether `origin` is this very server under one of its names.
    fn same_origin(&self, origin: &str, host: &Authority) -> bool {
        let Ok(origin) = origin.parse::<Uri>() else {
            return false;
        };
        let web = matches!(origin.scheme_str(), Some("http" | "https"));
        let bare = matches!(origin.path(), "" | "/") && origin.query().is_none();
        origin.authority().is_some_and(|authority| {
            web && bare && self.knows(authority) && authority.port_u16() == host.port_u16()
        })
    }
}

/// The host the request is for. A target with an authority of its own counts beside the header, so
/// they must agree.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Failure> {
    let header = match only(headers, &header::HOST)? {
        Some(host) => Some(host.parse::<Authority>().map_err(|_| {
            ApiError::Malformed("the Host header is not a host and port".to_owned())
        })?),
        None => None,
    };
    match (uri.authority(), header) {
        (Some(target), Some(header)) if *target != header => {
            Err(ApiError::Malformed("the Host header and the target differ".to_owned()).into())
        }
        (Some(target), _) => Ok(Some(target.clone())),
        (None, header) => Ok(header),
    }
}

fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), Failure> {
    let unauthorized = |detail: &str| Err(ApiError::Unauthorized(detail.to_owned()).into());
    let Some(shown) = only(headers, &header::AUTHORIZATION)? else {
        return unauthorized("send `Authorization: Bearer TOKEN`; `pagi token` prints the token");
    };
    let bearer = shown
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim());
    match bearer {
        Some(secret) if token.matches(secret.as_bytes()) => Ok(()),
        Some(_) => unauthorized("the token is not this node's; `pagi token` prints the right one"),
        None => unauthorized("the Authorization header is not `Bearer TOKEN`"),
    }
}

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::Malformed(format!("there are several {name} headers")).into());
    }
    first
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| ApiError::Malformed(format!("the {name} header is not plain text")).into())
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The middleware.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => {
            tracing::debug!(problem = %failure.problem().detail, "refused a request");
            failure.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn tcp() -> Guard {
        let bound = [
            "10.1.2.3:8006".parse().unwrap(),
            "[fd00::1]:8006".parse().unwrap(),
        ];
        Guard::token(
            Token::parse(SECRET).unwrap(),
            &bound,
            &["Node.Example".to_owned()],
        )
        .with_open_paths(vec!["/healthz"])
    }

    fn status(guard: &Guard, target: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match guard.check(&target.parse().unwrap(), &map) {
            Ok(()) => 200,
            Err(failure) => failure.problem().status,
        }
    }

    #[test]
    fn only_names_of_the_node_are_hosts() {
        let open = |host: &str| status(&tcp(), "/healthz", &[("host", host)]);
        for good in [
            "localhost",
            "LocalHost:1",
            "127.0.0.1",
            "127.0.0.1:65535",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:8006",
            "[0:0:0:0:0:0:0:1]:8006",
            "10.1.2.3:99",
            "[fd00::1]",
            "node.example:443",
            "[::ffff:127.0.0.1]:8006",
        ] {
            assert_eq!(open(good), 200, "{good}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "10.1.2.4",
            "0.0.0.0",
            "[::]",
            "[::2]:8006",
            "x@localhost",
            "localhost@evil.example",
            "2130706433",
            "node.example.org",
        ] {
            assert_eq!(open(foreign), 421, "{foreign}");
        }
        for bad in ["", "a b", "http://localhost/", "local/host", "[::1"] {
            assert_eq!(open(bad), 400, "{bad}");
        }
        assert_eq!(status(&tcp(), "/healthz", &[]), 400);
        assert_eq!(
            status(
                &tcp(),
                "/healthz",
                &[("host", "localhost"), ("host", "evil.example")]
            ),
            400
        );
        assert_eq!(
            status(
                &tcp(),
                "http://evil.example/healthz",
                &[("host", "localhost")]
            ),
            400
        );
        assert_eq!(status(&tcp(), "http://evil.example/healthz", &[]), 421);
    }

    #[test]
    fn bound_to_every_address_any_literal_is_a_host_but_no_name() {
        let guard = Guard::token(
            Token::parse(SECRET).unwrap(),
            &["0.0.0.0:8006".parse().unwrap()],
            &[],
        )
        .with_open_paths(vec!["/healthz"]);
        assert_eq!(
            status(&guard, "/healthz", &[("host", "192.168.1.5:8006")]),
            200
        );
        assert_eq!(
            status(&guard, "/healthz", &[("host", "evil.example:8006")]),
            421
        );
    }

    #[test]
    fn only_the_nodes_own_origin_passes() {
        let with = |host: &str, origin: &str| {
            status(&tcp(), "/healthz", &[("host", host), ("origin", origin)])
        };
        assert_eq!(with("localhost:8006", "http://localhost:8006"), 200);
        assert_eq!(with("127.0.0.1:8006", "http://localhost:8006"), 200);
        assert_eq!(with("node.example", "https://node.example"), 200);
        for foreign in [
            "null",
            "",
            "http://evil.example",
            "http://localhost:3000",
            "http://localhost",
            "https://evil.example:8006",
            "file://",
            "http://localhost:8006/x",
            "http://x@localhost:8006",
            "chrome-extension://abc",
            "ftp://localhost:8006",
        ] {
            assert_eq!(with("localhost:8006", foreign), 403, "{foreign}");
        }
    }

    #[test]
    fn a_socket_wants_no_token_but_no_page_either() {
        let owner = Guard::owner();
        assert_eq!(status(&owner, "/twins", &[]), 200);
        assert_eq!(status(&owner, "/twins", &[("host", "anything")]), 200);
        let page = [("host", "evil.example"), ("origin", "http://evil.example")];
        assert_eq!(status(&owner, "/twins", &page), 403);
    }

    #[test]
    fn the_token_opens_what_is_not_open() {
        let with = |path: &str, shown: &str| {
            status(
                &tcp(),
                path,
                &[("host", "localhost"), ("authorization", shown)],
            )
        };
        assert_eq!(with("/twins", &format!("Bearer {SECRET}")), 200);
        assert_eq!(with("/twins", &format!("bearer  {SECRET}")), 200);
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            SECRET,
            &format!("Basic {SECRET}"),
            &format!("Bearer {SECRET}0"),
            &format!("Bearer {}", &SECRET[1..]),
            &format!("Bearer {}", SECRET.to_uppercase()),
            &format!("Bearer {SECRET} {SECRET}"),
        ] {
            assert_eq!(with("/twins", wrong), 401, "{wrong}");
        }
        assert_eq!(status(&tcp(), "/twins", &[("host", "localhost")]), 401);
        for nearly_open in [
            "/healthz/",
            "/HEALTHZ",
            "/healthz/x",
            "//healthz",
            "/healthz%2f",
        ] {
            assert_eq!(status(&tcp(), nearly_open, &[("host", "localhost")]), 401);
        }
        assert_eq!(
            status(&tcp(), "/healthz?x=1", &[("host", "localhost")]),
            200
        );
    }

    proptest! {
        #[test]
        fn no_name_but_ours_ever_passes(host in "[a-z0-9.:@\\[\\]-]{1,40}") {
            let passed = status(&tcp(), "/healthz", &[("host", &host)]) == 200;
            let ours = ["localhost", "127.", "[", "10.1.2.3", "node.example"];
            prop_assert!(!passed || ours.iter().any(|name| host.starts_with(name)), "{}", host);
        }
    }
}
