//! One bootstrap address: its shape, checked part by part.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::peer_id::{PeerIdError, PeerIdText};

/// No address is longer than this, in bytes.
const MAX_TEXT: usize = 1024;

/// What is wrong with an address, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is nothing.
    #[error("the address is empty")]
    Empty,
    /// It is longer than any address.
    #[error("the address is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// It does not begin with `/`.
    #[error("an address begins with `/`, for example /ip4/192.0.2.7/tcp/4001/p2p/PEERID")]
    NoLeadingSlash,
    /// It does not begin with a host.
    #[error("`{0}` is not a kind of host: begin with /ip4, /ip6, /dns, /dns4, /dns6 or /dnsaddr")]
    UnknownHost(String),
    /// A part that needs a value has none.
    #[error("/{0} needs a value after it")]
    MissingValue(String),
    /// Not an IPv4 address.
    #[error("`{0}` is not an IPv4 address; write /dns4/{0} if it is a name")]
    BadIp4(String),
    /// Not an IPv6 address.
    #[error("`{0}` is not an IPv6 address; write /dns6/{0} if it is a name")]
    BadIp6(String),
    /// An address that listens but cannot be dialled.
    #[error(
        "{0} is where a node listens, not where others reach it: use one of its real addresses"
    )]
    Unspecified(String),
    /// Not a host name.
    #[error("`{0}` is not a host name")]
    BadName(String),
    /// Neither tcp nor udp follows the host.
    #[error("add the transport after the host: /tcp/PORT, or /udp/PORT/quic-v1")]
    MissingTransport,
    /// Something else stands where the transport should.
    #[error("`{0}` is not a transport: use /tcp/PORT, or /udp/PORT/quic-v1")]
    UnknownTransport(String),
    /// The port is no number of 1 to 65535.
    #[error("`{0}` is not a port: use a number from 1 to 65535")]
    BadPort(String),
    /// udp alone says nothing of the protocol on it.
    #[error("add /quic-v1 after /udp/PORT")]
    MissingQuic,
    /// The peer id is missing, so anyone could answer.
    #[error("add /p2p/PEERID: `pagi run` on the other node prints the full address")]
    MissingPeerId,
    /// The old name of `p2p`.
    #[error("write /p2p/ instead of /ipfs/")]
    LegacyName,
    /// The peer id does not hold.
    #[error("`{text}` is not a peer id: {source}")]
    BadPeerId {
        /// The offending text, cut to 64 characters.
        text: String,
        /// What is wrong with it.
        source: PeerIdError,
    },
    /// Something follows a complete address.
    #[error("`/{0}` is not expected here")]
    Unexpected(String),
}

/// A checked bootstrap address.
///
/// `/HOST/…/(tcp/PORT[/ws|/wss|/tls/ws] | udp/PORT/quic-v1)/p2p/PEERID[/p2p-circuit/p2p/PEERID]`;
/// after `/dnsaddr/NAME` the transport may be left out. Two addresses are equal when they differ
/// only in spelling (letter case of the name, form of the address or of the peer id).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootstrapAddress {
    text: String,
    canonical: String,
    peer_id: PeerIdText,
}

impl BootstrapAddress {
    /// Checks the shape of `text`.
    ///
    /// # Errors
    /// [`AddressError`], the first one from the left.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(AddressError::TooLong);
        }
        let body = text.strip_prefix('/').ok_or(AddressError::NoLeadingSlash)?;
        let body = body.strip_suffix('/').unwrap_or(body);
        let mut reader = Reader {
            parts: body.split('/').peekable(),
            canonical: String::new(),
        };
        let host = reader.host()?;
        reader.transport(host)?;
        let mut peer_id = reader.peer_id()?;
        if reader.take("p2p-circuit") {
            peer_id = reader.peer_id()?;
        }
        if let Some(rest) = reader.parts.next() {
            return Err(AddressError::Unexpected(cut(rest)));
        }
        Ok(Self {
            text: text.to_owned(),
            canonical: reader.canonical,
            peer_id,
        })
    }

    /// The address as it was written, without surrounding space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one form that equal addresses share.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The peer that must answer.
    #[must_use]
    pub fn peer_id(&self) -> &PeerIdText {
        &self.peer_id
    }
}

impl PartialEq for BootstrapAddress {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for BootstrapAddress {}

impl fmt::Display for BootstrapAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for BootstrapAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for BootstrapAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<BootstrapAddress> for String {
    fn from(address: BootstrapAddress) -> Self {
        address.text
    }
}

/// The kinds of host that ask for different things after them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Direct,
    DnsAddr,
}

/// Walks the parts from the left and writes the canonical form.
struct Reader<'a> {
    parts: std::iter::Peekable<std::str::Split<'a, char>>,
    canonical: String,
}

impl<'a> Reader<'a> {
    fn value(&mut self, of: &str) -> Result<&'a str, AddressError> {
        self.parts
            .next()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| AddressError::MissingValue(of.to_owned()))
    }

    fn write(&mut self, part: &str) {
        self.canonical.push('/');
        self.canonical.push_str(part);
    }

    /// Takes the next part if it is `name`.
    fn take(&mut self, name: &str) -> bool {
        let found = self.parts.next_if(|part| *part == name).is_some();
        if found {
            self.write(name);
        }
        found
    }

    fn host(&mut self) -> Result<Host, AddressError> {
        let kind = self.parts.next().unwrap_or_default();
        let (host, value) = match kind {
            "ip4" => {
                let value = self.value(kind)?;
                let ip: Ipv4Addr = value
                    .parse()
                    .map_err(|_| AddressError::BadIp4(cut(value)))?;
                if ip.is_unspecified() {
                    return Err(AddressError::Unspecified(ip.to_string()));
                }
                (Host::Direct, ip.to_string())
            }
            "ip6" => {
                let value = self.value(kind)?;
                let ip: Ipv6Addr = value
                    .parse()
                    .map_err(|_| AddressError::BadIp6(cut(value)))?;
                if ip.is_unspecified() {
                    return Err(AddressError::Unspecified(ip.to_string()));
                }
                (Host::Direct, ip.to_string())
            }
            "dns" | "dns4" | "dns6" => (Host::Direct, host_name(self.value(kind)?)?),
            "dnsaddr" => (Host::DnsAddr, host_name(self.value(kind)?)?),
            other => return Err(AddressError::UnknownHost(cut(other))),
        };
        self.write(kind);
        self.write(&value);
        Ok(host)
    }

    fn transport(&mut self, host: Host) -> Result<(), AddressError> {
        match self.parts.peek().copied() {
            Some("p2p" | "ipfs") | None if host == Host::DnsAddr => Ok(()),
            Some("tcp") => {
                self.take("tcp");
                self.port("tcp")?;
                if self.take("tls") {
                    return if self.take("ws") {
                        Ok(())
                    } else {
                        Err(AddressError::Unexpected("tls without /ws".to_owned()))
                    };
                }
                let _ = self.take("ws") || self.take("wss");
                Ok(())
            }
            Some("udp") => {
                self.take("udp");
                self.port("udp")?;
                if self.take("quic-v1") {
                    Ok(())
                } else {
                    Err(AddressError::MissingQuic)
                }
            }
            Some("p2p" | "ipfs" | "") | None => Err(AddressError::MissingTransport),
            Some(other) => Err(AddressError::UnknownTransport(cut(other))),
        }
    }

    fn port(&mut self, of: &str) -> Result<(), AddressError> {
        let value = self.value(of)?;
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let port = value
            .parse::<u16>()
            .ok()
            .filter(|port| digits && *port != 0);
        let port = port.ok_or_else(|| AddressError::BadPort(cut(value)))?;
        self.write(&port.to_string());
        Ok(())
    }

    fn peer_id(&mut self) -> Result<PeerIdText, AddressError> {
        match self.parts.next() {
            Some("p2p") => {}
            Some("ipfs") => return Err(AddressError::LegacyName),
            Some("") | None => return Err(AddressError::MissingPeerId),
            Some(other) => return Err(AddressError::Unexpected(cut(other))),
        }
        let text = self.parts.next().unwrap_or_default();
        if text.is_empty() {
            return Err(AddressError::MissingPeerId);
        }
        let peer_id = PeerIdText::parse(text).map_err(|source| AddressError::BadPeerId {
            text: cut(text),
            source,
        })?;
        self.write("p2p");
        self.write(peer_id.as_str());
        Ok(peer_id)
    }
}

/// A host name by RFC 1123, plus underscores and non-ASCII letters, in lower case.
fn host_name(text: &str) -> Result<String, AddressError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(AddressError::BadName(cut(text)))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
