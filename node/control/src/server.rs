//! Listeners, connections, and their end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use pagi_api::Node;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};

use crate::{
    config::{ControlConfig, ControlError, Limits},
    guard::Guard,
    routes::{Api, build},
    socket::{self, SocketFile},
    work::Work,
};

/// Bounds on a request's head; hyper answers 431 beyond them.
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running control API. Dropping it ends it at once; [`Control::shutdown`] ends it in order.
#[derive(Debug)]
pub struct Control {
    tcp: Option<SocketAddr>,
    unix_socket: Option<PathBuf>,
    compat: Vec<SocketAddr>,
    work: Work,
}

impl Control {
    /// The bound TCP address, with the port that was taken for port 0.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// The unix socket.
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        self.unix_socket.as_deref()
    }

    /// The bound addresses of the compatibility ports, in the order of the configuration.
    #[must_use]
    pub fn compat_addrs(&self) -> &[SocketAddr] {
        &self.compat
    }

    /// Stops accepting, removes the unix socket, ends event streams at once, and waits up to
    /// `grace` for requests and goals in flight before it drops them.
    pub async fn shutdown(self, grace: Duration) {
        self.work.close(grace).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Binds every listener of `config` and serves `node` on them; all are bound or none.
///
/// # Errors
/// When there is nothing to listen on, an address is not loopback though it must be, or a listener
/// cannot be bound; see [`ControlError`].
pub async fn serve(config: ControlConfig, node: Arc<dyn Node>) -> Result<Control, ControlError> {
    if config.tcp.is_none() && config.unix_socket.is_none() && config.compat_ports.is_empty() {
        return Err(ControlError::NoListener);
    }
    let tcp = match config.tcp {
        Some(addr) => Some(bind_tcp(addr, config.allow_remote).await?),
        None => None,
    };
    let mut compat = Vec::new();
    for addr in &config.compat_ports {
        compat.push(bind_tcp(*addr, config.allow_remote).await?);
    }
    let unix = match &config.unix_socket {
        Some(path) => Some(socket::bind(path).await?),
        None => None,
    };

    let work = Work::default();
    let api = Api {
        node,
        max_body_bytes: config.max_body_bytes,
        limits: config.limits,
        work: work.clone(),
    };
    let control = Control {
        tcp: tcp.as_ref().map(|(_, addr)| *addr),
        unix_socket: config.unix_socket,
        compat: compat.iter().map(|(_, addr)| *addr).collect(),
        work: work.clone(),
    };
    let bound: Vec<SocketAddr> = control.tcp.iter().chain(&control.compat).copied().collect();
    let guard = Guard::token(config.token, &bound, &config.extra_hosts);
    let guarded = build(api.clone(), guard);
    let acceptor = |router| Acceptor {
        router,
        work: work.clone(),
        limits: config.limits,
        places: Arc::new(Semaphore::new(config.max_connections.max(1))),
    };
    for (listener, _) in tcp.into_iter().chain(compat) {
        work.spawn(acceptor(guarded.clone()).accept_tcp(listener));
    }
    if let Some((listener, file)) = unix {
        work.spawn(acceptor(build(api, Guard::owner())).accept_unix(listener, file));
    }
    Ok(control)
}

async fn bind_tcp(
    addr: SocketAddr,
    allow_remote: bool,
) -> Result<(TcpListener, SocketAddr), ControlError> {
    if !allow_remote && !addr.ip().to_canonical().is_loopback() {
        return Err(ControlError::NotLoopback(addr));
    }
    let tcp_error = |source| ControlError::Tcp { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(tcp_error)?;
    let bound = listener.local_addr().map_err(tcp_error)?;
    Ok((listener, bound))
}

/// Turns one listener's connections into tasks. Each listener has places of its own, so that
/// strangers on TCP cannot keep the owner off the unix socket.
struct Acceptor {
    router: Router,
    work: Work,
    limits: Limits,
    places: Arc<Semaphore>,
}

impl Acceptor {
    async fn accept_tcp(self, listener: TcpListener) {
        let mut closing = pin!(self.work.closing());
        loop {
            tokio::select! {
                () = &mut closing => return,
                accepted = self.in_a_free_place(async || listener.accept().await) => {
                    let Some(((stream, _), place)) = accepted else { continue };
                    // Small answers should not wait for more to come.
                    let _ = stream.set_nodelay(true);
                    self.connected(stream, place);
                }
            }
        }
    }

    async fn accept_unix(self, listener: UnixListener, file: SocketFile) {
        let mut closing = pin!(self.work.closing());
        loop {
            tokio::select! {
                () = &mut closing => break,
                accepted = self.in_a_free_place(async || listener.accept().await) => {
                    let Some(((stream, _), place)) = accepted else { continue };
                    self.connected(stream, place);
                }
            }
        }
        drop(file);
    }

    /// Waits for a free place, then for a connection. `None` after a pause if accepting failed.
    async fn in_a_free_place<C>(
        &self,
        accept: impl AsyncFnOnce() -> std::io::Result<C>,
    ) -> Option<(C, tokio::sync::OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        match accept().await {
            Ok(connection) => Some((connection, place)),
            Err(error) => {
                tracing::warn!(%error, "the control API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    fn connected<S>(&self, stream: S, place: tokio::sync::OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let closing = self.work.closing();
        let limits = self.limits;
        self.work.spawn(async move {
            converse(stream, router, limits, closing).await;
            drop(place);
        });
    }
}

/// Serves one connection until it ends, or until its current request has been answered after
/// `closing`.
async fn converse<S>(
    stream: S,
    router: Router,
    limits: Limits,
    closing: impl Future<Output = ()> + Send,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the control API broke off");
    }
}
