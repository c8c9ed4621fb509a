//! Addresses with host names in them: `/dns4`, `/dns6`, `/dns` and `/dnsaddr`.
//!
//! The transports underneath dial numbers only, so names are resolved here, anew for every attempt: a
//! host may have moved since the last one. What comes after the name stays as it is.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::OnceCell;

/// How often one `/dnsaddr` may lead to another.
const MAX_DEPTH: usize = 4;
/// Questions asked for one address.
const MAX_QUESTIONS: usize = 16;
/// Addresses one address stands for, at most.
const MAX_FOUND: usize = 16;

/// Answers questions about names. The system's resolver does unless another one is given, see
/// [`crate::SwarmOptions::resolver`].
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a host.
    ///
    /// # Errors
    /// Where the question was not answered.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// The texts (TXT records) at a name.
    ///
    /// # Errors
    /// Where the question was not answered.
    async fn texts(&self, name: &str) -> io::Result<Vec<String>>;
}

/// The resolver of this machine.
#[derive(Default)]
pub(crate) struct System {
    texts: OnceCell<TokioResolver>,
}

#[async_trait]
impl Resolver for System {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|addr| addr.ip()).collect())
    }

    async fn texts(&self, name: &str) -> io::Result<Vec<String>> {
        let resolver = self
            .texts
            .get_or_try_init(|| async {
                let builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
                Ok::<_, io::Error>(builder.build())
            })
            .await?;
        let found = resolver.txt_lookup(name).await.map_err(io::Error::other)?;
        let text = |record: &hickory_resolver::proto::rr::rdata::TXT| {
            let parts = record
                .txt_data()
                .iter()
                .flat_map(|part| part.iter().copied());
            String::from_utf8(parts.collect()).ok()
        };
        Ok(found.iter().filter_map(text).collect())
    }
}

/// Whether an address has a name to be resolved.
pub(crate) fn is_named(addr: &Multiaddr) -> bool {
    name(addr).is_some()
}

fn name(addr: &Multiaddr) -> Option<usize> {
    addr.iter().position(|part| {
        matches!(
            part,
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
        )
    })
}

/// The addresses without names that an address stands for. Names that cannot be resolved stand for
/// none.
pub(crate) async fn resolve(resolver: &dyn Resolver, addr: &Multiaddr) -> Vec<Multiaddr> {
    let mut open = vec![(addr.clone(), 0)];
    let mut found = Vec::new();
    let mut questions = 0;
    while let Some((addr, depth)) = open.pop() {
        let Some(place) = name(&addr) else {
            if !found.contains(&addr) {
                found.push(addr);
            }
            continue;
        };
        if depth > MAX_DEPTH || questions >= MAX_QUESTIONS || found.len() >= MAX_FOUND {
            tracing::debug!(%addr, "a name leads too far: left out");
            continue;
        }
        questions += 1;
        match replace(resolver, &addr, place).await {
            Ok(next) => {
                let next = next.into_iter().take(MAX_FOUND);
                open.extend(next.map(|addr| (addr, depth + 1)));
            }
            Err(error) => tracing::debug!(%addr, %error, "a name was not resolved"),
        }
    }
    found.truncate(MAX_FOUND);
    found
}

/// An address with the name at `place` replaced by what it stands for.
async fn replace(
    resolver: &dyn Resolver,
    addr: &Multiaddr,
    place: usize,
) -> io::Result<Vec<Multiaddr>> {
    let before: Multiaddr = addr.iter().take(place).collect();
    let after: Multiaddr = addr.iter().skip(place + 1).collect();
    let with = |ip: IpAddr| {
        let number = match ip {
            IpAddr::V4(ip) => Protocol::Ip4(ip),
            IpAddr::V6(ip) => Protocol::Ip6(ip),
        };
        after
            .iter()
            .fold(before.clone().with(number), Multiaddr::with)
    };
    let (host, wanted): (_, fn(&IpAddr) -> bool) = match addr.iter().nth(place) {
        Some(Protocol::Dns4(host)) => (host, IpAddr::is_ipv4),
        Some(Protocol::Dns6(host)) => (host, IpAddr::is_ipv6),
        Some(Protocol::Dns(host)) => (host, |_| true),
        Some(Protocol::Dnsaddr(host)) => {
            let texts = resolver.texts(&format!("_dnsaddr.{host}")).await?;
            let addrs = texts
                .iter()
                .filter_map(|text| text.trim().strip_prefix("dnsaddr="))
                .filter_map(|addr| addr.trim().parse::<Multiaddr>().ok())
                .filter(|addr| ends_with(addr, &after));
            return Ok(addrs.collect());
        }
        _ => return Ok(Vec::new()),
    };
    let ips = resolver.addresses(&host).await?;
    Ok(ips.into_iter().filter(wanted).map(with).collect())
}

/// Whether an address ends in what the one that led to it asked for, such as the peer.
fn ends_with(addr: &Multiaddr, end: &Multiaddr) -> bool {
    let addr: Vec<_> = addr.iter().collect();
    let end: Vec<_> = end.iter().collect();
    addr.ends_with(&end)
}

/// The resolver to use.
pub(crate) fn or_system(resolver: Option<Arc<dyn Resolver>>) -> Arc<dyn Resolver> {
    resolver.unwrap_or_else(|| Arc::new(System::default()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PEER: &str = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const OTHER: &str = "/p2p/12D3KooWNvSZnPi3RrhrTwEY4LuuBeB6K6facKUCJcyWG1aoDd2p";

    #[derive(Default)]
    struct Book {
        hosts: HashMap<String, Vec<IpAddr>>,
        texts: HashMap<String, Vec<String>>,
    }

    #[async_trait]
    impl Resolver for Book {
        async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let found = self.hosts.get(host).cloned();
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        async fn texts(&self, name: &str) -> io::Result<Vec<String>> {
            let found = self.texts.get(name).cloned();
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn book() -> Book {
        let mut book = Book::default();
        let ips = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        book.hosts.insert("node.example".into(), ips.to_vec());
        let text = |name: &str| format!("dnsaddr={name}");
        let mut say = |name: &str, texts: Vec<String>| {
            book.texts.insert(format!("_dnsaddr.{name}"), texts);
        };
        say(
            "boot.example",
            vec![
                text(&format!("/dns4/node.example/tcp/1{PEER}")),
                text(&format!("/ip4/192.0.2.9/tcp/2{OTHER}")),
                text(&format!("/dnsaddr/more.example{PEER}")),
                "v=spf1 -all".into(),
                text("/ip4/not-an-address"),
            ],
        );
        let more = vec![text(&format!("/ip6/2001:db8::2/udp/3/quic-v1{PEER}"))];
        say("more.example", more);
        let round = vec![
            text("/dnsaddr/round.example"),
            text("/dnsaddr/round.example"),
        ];
        say("round.example", round);
        book
    }

    async fn resolved(addr: &str) -> Vec<String> {
        let mut found: Vec<String> = resolve(&book(), &addr.parse().unwrap())
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        found
    }

    #[tokio::test]
    async fn names_stand_for_the_addresses_of_the_wanted_kind() {
        let four = format!("/ip4/192.0.2.1/tcp/4011{PEER}");
        let six = format!("/ip6/2001:db8::1/tcp/4011{PEER}");
        let of = |kind: &str| format!("/{kind}/node.example/tcp/4011{PEER}");
        assert_eq!(resolved(&of("dns4")).await, std::slice::from_ref(&four));
        assert_eq!(resolved(&of("dns6")).await, std::slice::from_ref(&six));
        assert_eq!(resolved(&of("dns")).await, [four.clone(), six]);
        assert_eq!(resolved(&four).await, [four], "no name, no question");
        assert!(resolved("/dns4/nowhere.example/tcp/1").await.is_empty());
    }

    #[tokio::test]
    async fn lists_are_followed_as_far_as_they_speak_of_the_wanted_peer() {
        assert_eq!(
            resolved(&format!("/dnsaddr/boot.example{PEER}")).await,
            [
                format!("/ip4/192.0.2.1/tcp/1{PEER}"),
                format!("/ip6/2001:db8::2/udp/3/quic-v1{PEER}"),
            ]
        );
        assert_eq!(resolved("/dnsaddr/boot.example").await.len(), 3);
        assert!(
            resolved("/dnsaddr/round.example").await.is_empty(),
            "and it ends"
        );
    }

    #[tokio::test]
    async fn the_system_knows_itself() {
        let addr = "/dns4/localhost/tcp/1".parse().unwrap();
        let found = resolve(&System::default(), &addr).await;
        assert!(
            found.contains(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()),
            "{found:?}"
        );
    }
}
