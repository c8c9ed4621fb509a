//! What the control API is told at start, and what can keep it from starting.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::token::Token;

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// The TCP address; port 0 takes any free one. Loopback, unless `allow_remote` is set.
    pub tcp: Option<SocketAddr>,
    /// The unix socket. Its directory must exist and should be its owner's alone.
    pub unix_socket: Option<PathBuf>,
    /// The token that TCP callers must show.
    pub token: Token,
    /// The largest request body, bytes.
    pub max_body_bytes: usize,
    /// Further TCP addresses with the same routes and the same token (the prototype's ports).
    pub compat_ports: Vec<SocketAddr>,
    /// Names a `Host` header may carry besides loopback ones and the bound addresses, without port.
    pub extra_hosts: Vec<String>,
    /// Whether TCP addresses other than loopback may be bound. The token then crosses the network
    /// in the clear, so put TLS in front.
    pub allow_remote: bool,
    /// Connections served at the same time, for each listener; further ones wait.
    pub max_connections: usize,
    /// How long things may take.
    pub limits: Limits,
}

impl ControlConfig {
    /// The default limits and no listener yet.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self {
            tcp: None,
            unix_socket: None,
            token,
            max_body_bytes: 1024 * 1024,
            compat_ports: Vec::new(),
            extra_hosts: Vec::new(),
            allow_remote: false,
            max_connections: 256,
            limits: Limits::default(),
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Receiving a request's head, from the moment the connection is ready for it; an idle
    /// connection is closed after as long.
    pub head: Duration,
    /// Receiving a request's body. 408 beyond it.
    pub body: Duration,
    /// Answering a request, streams aside. 504 beyond it; what the request began goes on.
    pub answer: Duration,
    /// How often a silent event stream sends a comment, so that either side notices a dead peer.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(20),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(600),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// Why the control API does not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Neither a TCP address nor a unix socket was configured.
    #[error("the control API has nothing to listen on: configure a TCP address or a unix socket")]
    NoListener,
    /// A TCP address that other machines can reach.
    #[error(
        "the control address {0} is not loopback: other machines could reach it; use 127.0.0.1, or \
         allow remote access explicitly"
    )]
    NotLoopback(SocketAddr),
    /// A TCP address cannot be bound.
    #[error("cannot listen on {addr} for the control API: {source}")]
    Tcp {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The unix socket cannot be made.
    #[error("cannot listen on the control socket {}: {source}", path.display())]
    Unix {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process answers on the unix socket.
    #[error(
        "another node is already running on the control socket {}: stop it or use another data \
         directory",
        path.display()
    )]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file at the unix socket's path that is no socket; it is left alone.
    #[error("{} exists and is not a socket: move it away", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
}
