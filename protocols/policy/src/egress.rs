//! Which addresses an http tool may reach.
//!
//! [`check_url`] judges a URL before a request is made, [`check_address`] judges the address its
//! name resolved to, so that a name cannot be pointed at a forbidden address afterwards. A
//! transport calls both, for the first request and for every redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What the node's owner set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Egress {
    /// Hosts that tools may reach besides loopback: names, addresses, or `*.example.org` for every
    /// name below one. `None`: any host that the owner registered a tool for.
    pub hosts: Option<Vec<String>>,
    /// Whether private ranges (RFC 1918, RFC 4193, RFC 6598) may be reached. Default: yes.
    pub private_networks: bool,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            hosts: None,
            private_networks: true,
        }
    }
}

/// Why an address may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressRefusal {
    /// The text is not a URL.
    #[error("`{url}` is not a URL: {reason}")]
    Malformed {
        /// The offending text, cut to 128 characters.
        url: String,
        /// What the parser said.
        reason: String,
    },
    /// The scheme is neither `http` nor `https`.
    #[error("the scheme `{0}:` is not allowed; use http: or https:")]
    Scheme(String),
    /// The URL carries a user name or a password.
    #[error("a URL with a user name or password is not allowed; send credentials in a header")]
    Credentials,
    /// The URL names no host.
    #[error("the URL names no host")]
    NoHost,
    /// The address serves machine metadata, or is link-local.
    #[error("`{0}` is a link-local or cloud metadata address, which tools may never reach")]
    LinkLocal(String),
    /// The address belongs to no single other machine.
    #[error("`{0}` is an unspecified, broadcast or multicast address")]
    NotUnicast(String),
    /// The address is private and the owner closed private ranges.
    #[error("`{0}` is in a private range, closed by egress.private_networks = false")]
    Private(String),
    /// The owner listed hosts and this is none of them.
    #[error("`{0}` is not among the allowed hosts; add it to egress.hosts to allow it")]
    NotListed(String),
}

/// Names under which clouds serve machine metadata.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
];
/// Metadata addresses outside the link-local ranges.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: &[Ipv6Addr] = &[Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// Judges `url` by its text alone.
///
/// # Errors
/// An [`EgressRefusal`] that says what to change.
pub fn check_url(url: &str, policy: &Egress) -> Result<(), EgressRefusal> {
    let parsed = Url::parse(url.trim()).map_err(|error| EgressRefusal::Malformed {
        url: url.chars().take(128).collect(),
        reason: error.to_string(),
    })?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(EgressRefusal::Scheme(parsed.scheme().to_owned()));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(EgressRefusal::Credentials);
    }
    match parsed.host() {
        None => Err(EgressRefusal::NoHost),
        Some(Host::Ipv4(address)) => check_literal(IpAddr::V4(address), policy),
        Some(Host::Ipv6(address)) => check_literal(IpAddr::V6(address), policy),
        Some(Host::Domain(name)) => check_name(name, policy),
    }
}

/// Judges an address that a permitted name resolved to.
///
/// # Errors
/// An [`EgressRefusal`] when the address is link-local, metadata, not unicast, or private while
/// private ranges are closed.
pub fn check_address(address: IpAddr, policy: &Egress) -> Result<(), EgressRefusal> {
    let address = embedded(address);
    let text = || address.to_string();
    if is_link_local(address) {
        return Err(EgressRefusal::LinkLocal(text()));
    }
    if address.is_loopback() {
        return Ok(());
    }
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(EgressRefusal::NotUnicast(text()));
    }
    if !policy.private_networks && is_private(address) {
        return Err(EgressRefusal::Private(text()));
    }
    Ok(())
}

fn check_literal(address: IpAddr, policy: &Egress) -> Result<(), EgressRefusal> {
    check_address(address, policy)?;
    let address = embedded(address);
    if address.is_loopback() {
        Ok(())
    } else {
        check_listed(&address.to_string(), policy)
    }
}

fn check_name(name: &str, policy: &Egress) -> Result<(), EgressRefusal> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name.is_empty() {
        return Err(EgressRefusal::NoHost);
    }
    if METADATA_NAMES.contains(&name.as_str()) {
        return Err(EgressRefusal::LinkLocal(name));
    }
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(());
    }
    check_listed(&name, policy)
}

fn check_listed(host: &str, policy: &Egress) -> Result<(), EgressRefusal> {
    let Some(hosts) = &policy.hosts else {
        return Ok(());
    };
    let listed = hosts.iter().any(|entry| {
        let entry = entry.trim().trim_end_matches('.').to_ascii_lowercase();
        match entry.strip_prefix("*.") {
            Some(parent) => host
                .strip_suffix(parent)
                .is_some_and(|head| head.ends_with('.')),
            None => entry.trim_start_matches('[').trim_end_matches(']') == host,
        }
    });
    if listed {
        Ok(())
    } else {
        Err(EgressRefusal::NotListed(host.to_owned()))
    }
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible, NAT64 or 6to4 address; else itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    let zeros = s[..5].iter().all(|segment| *segment == 0);
    match s {
        _ if zeros && s[5] == 0xffff => v4(s[6], s[7]),
        _ if zeros && s[5] == 0 && s[6] != 0 => v4(s[6], s[7]),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || METADATA_V6.contains(&v6),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_default_any_registered_host_but_never_metadata() {
        let open = Egress::default();
        for url in [
            "http://127.0.0.1:8006/x",
            "http://[::1]/",
            "http://localhost:9/",
            "https://api.example.org/v1?q=1",
            "http://192.168.1.4:8080/",
            "http://[2001:db8::1]/",
            " https://example.org ",
        ] {
            assert_eq!(check_url(url, &open), Ok(()), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.1.1/",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://①⑥⑨.254.169.254/",
        ] {
            assert!(
                matches!(check_url(url, &open), Err(EgressRefusal::LinkLocal(_))),
                "{url}: {:?}",
                check_url(url, &open)
            );
        }
    }

    #[test]
    fn other_refusals_are_typed() {
        let open = Egress::default();
        assert_eq!(
            check_url("file:///etc/passwd", &open),
            Err(EgressRefusal::Scheme("file".into()))
        );
        for url in [
            "ftp://x/",
            "data:text/plain,hi",
            "javascript:1",
            "unix:/run/x",
            "gopher://x/",
        ] {
            assert!(
                matches!(check_url(url, &open), Err(EgressRefusal::Scheme(_))),
                "{url}"
            );
        }
        for url in ["http://u:p@example.org/", "http://u@example.org/"] {
            assert_eq!(check_url(url, &open), Err(EgressRefusal::Credentials));
        }
        for url in ["", "example.org/x", "http://", "http://[::1", "//host/"] {
            assert!(
                matches!(check_url(url, &open), Err(EgressRefusal::Malformed { .. })),
                "{url}"
            );
        }
        for url in [
            "http://0.0.0.0/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://[::]/",
        ] {
            assert!(
                matches!(check_url(url, &open), Err(EgressRefusal::NotUnicast(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn a_list_of_hosts_closes_everything_else_but_loopback() {
        let listed = Egress {
            hosts: Some(vec![
                "api.example.org".into(),
                "*.example.net".into(),
                "10.0.0.7".into(),
            ]),
            private_networks: true,
        };
        for url in [
            "https://api.example.org/",
            "https://API.EXAMPLE.ORG./",
            "https://a.b.example.net/",
            "http://10.0.0.7/",
            "http://127.0.0.1/",
            "http://localhost/",
        ] {
            assert_eq!(check_url(url, &listed), Ok(()), "{url}");
        }
        for url in [
            "https://example.org/",
            "https://example.net/",
            "https://evilexample.net/",
            "https://api.example.org.evil.test/",
            "http://10.0.0.8/",
        ] {
            assert!(
                matches!(check_url(url, &listed), Err(EgressRefusal::NotListed(_))),
                "{url}"
            );
        }
        let metadata = Egress {
            hosts: Some(vec!["169.254.169.254".into()]),
            ..listed
        };
        assert!(matches!(
            check_url("http://169.254.169.254/", &metadata),
            Err(EgressRefusal::LinkLocal(_))
        ));
    }

    #[test]
    fn private_ranges_can_be_closed() {
        let closed = Egress {
            private_networks: false,
            ..Egress::default()
        };
        for url in [
            "http://10.1.1.1/",
            "http://172.16.0.1/",
            "http://100.64.0.1/",
            "http://[fd12::1]/",
        ] {
            assert!(
                matches!(check_url(url, &closed), Err(EgressRefusal::Private(_))),
                "{url}"
            );
        }
        assert_eq!(check_url("http://127.0.0.1/", &closed), Ok(()));
        assert_eq!(check_url("https://example.org/", &closed), Ok(()));
        let resolved = "::ffff:10.0.0.1".parse().unwrap();
        assert!(matches!(
            check_address(resolved, &closed),
            Err(EgressRefusal::Private(_))
        ));
    }

    #[test]
    fn settings_have_defaults() {
        let empty: Egress = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Egress::default());
    }

    proptest! {
        #[test]
        fn never_panics(url in ".{0,80}", hosts in proptest::collection::vec(".{0,12}", 0..3)) {
            let _ = check_url(&url, &Egress { hosts: Some(hosts), private_networks: false });
        }

        #[test]
        fn no_spelling_of_link_local_passes(a: u8, b: u8) {
            let address = Ipv4Addr::new(169, 254, a, b);
            let number = u32::from(address);
            for url in [
                format!("http://{address}/"),
                format!("http://{number}/"),
                format!("http://0x{number:x}:80/"),
                format!("https://[::ffff:{address}]/"),
            ] {
                prop_assert!(check_url(&url, &Egress::default()).is_err(), "{}", url);
            }
        }
    }
}
