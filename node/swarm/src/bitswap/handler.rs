//! The streams of one connection: reads one message at a time, writes one at a time.
//!
//! What arrives is read only as fast as it is taken: of one connection never more than [`SHARE`] bytes
//! are held, those included that the behaviour has not looked at yet. A peer that sends without end
//! waits in its own socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, SelectAll};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};
use libp2p::{Stream, StreamProtocol};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::message::{Malformed, Message};
use crate::content::wire::put_varint;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");
/// Longest message read, in bytes; Kubo's own bound.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Bytes of messages read at once on one connection.
const SHARE: usize = MAX_MESSAGE;
/// Streams of a connection that are read. Kubo opens one for each message.
const MAX_STREAMS: usize = 64;
/// Read at once.
const CHUNK: usize = 64 * 1024;
/// How long a message may take once its length has come, or until it is written.
const MESSAGE_TIME: Duration = Duration::from_secs(60);

/// A message ready to be written.
#[derive(Clone)]
pub(crate) struct Frame(Arc<Vec<u8>>);

impl Frame {
    pub(crate) fn new(message: &Message) -> Self {
        Frame(Arc::new(message.encode()))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What a connection is told.
#[derive(Debug)]
pub(crate) enum ToConnection {
    /// To write this.
    Write(Frame),
    /// To read from now on.
    Listen,
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum FromConnection {
    /// A message came; its bytes count until the permit is dropped.
    Received(Message, OwnedSemaphorePermit),
    /// Something that is no message, or wants far too much.
    Malformed(Malformed),
    /// The last frame is on its way.
    Sent,
    /// The last frame did not get out.
    Failed,
    /// The peer does not speak bitswap.
    Unsupported,
}

enum Outbound {
    Closed,
    Opening,
    Idle(Stream),
    /// Whether the stream was opened for this very frame.
    Writing(BoxFuture<'static, io::Result<Stream>>, bool),
}

/// See the module documentation.
pub(crate) struct Handler {
    inbound: SelectAll<Messages>,
    share: Arc<Semaphore>,
    max_entries: usize,
    /// Whether anything is read. What a peer sends before waits at its end.
    listens: bool,
    outbound: Outbound,
    frame: Option<Frame>,
    events: VecDeque<FromConnection>,
}

impl Handler {
    /// Reads messages of at most `max_entries` entries, at once or when it is told.
    pub(crate) fn new(max_entries: usize, listens: bool) -> Self {
        Handler {
            inbound: SelectAll::new(),
            share: Arc::new(Semaphore::new(SHARE)),
            max_entries,
            listens,
            outbound: Outbound::Closed,
            frame: None,
            events: VecDeque::new(),
        }
    }

    fn write(&mut self, stream: Stream, fresh: bool) {
        self.outbound = match &self.frame {
            Some(frame) => Outbound::Writing(write(stream, frame.clone()).boxed(), fresh),
            None => Outbound::Idle(stream),
        };
    }

    fn failed(&mut self, what: FromConnection) {
        self.outbound = Outbound::Closed;
        if self.frame.take().is_some() {
            self.events.push_back(what);
        }
    }
}

/// The messages of a stream, until it ends or breaks a rule.
type Messages = BoxStream<'static, Result<(Message, OwnedSemaphorePermit), Malformed>>;

fn messages(stream: Stream, share: Arc<Semaphore>, most: usize) -> Messages {
    futures::stream::unfold(Some(stream), move |stream| {
        let share = Arc::clone(&share);
        async move {
            let mut stream = stream?;
            let length = match read_length(&mut stream).await.ok()? {
                Some(length) if length <= MAX_MESSAGE => length,
                _ => return Some((Err(Malformed::Bytes), None)),
            };
            let bytes = u32::try_from(length).ok()?;
            let permit = share.acquire_many_owned(bytes).await.ok()?;
            // Who is too slow is not read any further.
            let body = read_body(&mut stream, length);
            let body = tokio::time::timeout(MESSAGE_TIME, body).await.ok()?.ok()?;
            match Message::decode(&body, most) {
                Ok(message) => Some((Ok((message, permit)), Some(stream))),
                Err(error) => Some((Err(error), None)),
            }
        }
    })
    .boxed()
}

/// The length in front of a message; `None` where it is none.
async fn read_length(stream: &mut Stream) -> io::Result<Option<usize>> {
    let (mut length, mut byte) = (0usize, [0]);
    for shift in (0..28).step_by(7) {
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

async fn read_body(stream: &mut Stream, length: usize) -> io::Result<Vec<u8>> {
    // Grows with what arrives: a length alone takes no memory.
    let mut body = Vec::new();
    while body.len() < length {
        let start = body.len();
        let chunk = CHUNK.min(length - start);
        body.resize(start + chunk, 0);
        stream.read_exact(&mut body[start..]).await?;
    }
    Ok(body)
}

async fn write(mut stream: Stream, frame: Frame) -> io::Result<Stream> {
    let writing = async {
        let mut length = Vec::with_capacity(4);
        put_varint(&mut length, frame.0.len() as u64);
        stream.write_all(&length).await?;
        stream.write_all(&frame.0).await?;
        stream.flush().await
    };
    match tokio::time::timeout(MESSAGE_TIME, writing).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToConnection;
    type ToBehaviour = FromConnection;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, event: ToConnection) {
        let ToConnection::Write(frame) = event else {
            self.listens = true;
            return;
        };
        // The behaviour hands out the next one when this one was sent.
        self.frame = Some(frame);
        match std::mem::replace(&mut self.outbound, Outbound::Closed) {
            Outbound::Idle(stream) => self.write(stream, false),
            other => self.outbound = other,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.inbound.len() < MAX_STREAMS => {
                let share = Arc::clone(&self.share);
                self.inbound.push(messages(stream, share, self.max_entries));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => self.write(stream, true),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.failed(match error {
                    StreamUpgradeError::NegotiationFailed => FromConnection::Unsupported,
                    _ => FromConnection::Failed,
                });
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), FromConnection>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
            }
            match &mut self.outbound {
                Outbound::Closed if self.frame.is_some() => {
                    self.outbound = Outbound::Opening;
                    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
                    return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                        protocol,
                    });
                }
                Outbound::Writing(writing, fresh) => match (writing.poll_unpin(cx), *fresh) {
                    (Poll::Ready(Ok(stream)), _) => {
                        self.outbound = Outbound::Idle(stream);
                        self.frame = None;
                        self.events.push_back(FromConnection::Sent);
                        continue;
                    }
                    (Poll::Ready(Err(_)), true) => {
                        self.failed(FromConnection::Failed);
                        continue;
                    }
                    // The peer may have closed it long ago: once more on a new one.
                    (Poll::Ready(Err(_)), false) => {
                        self.outbound = Outbound::Closed;
                        continue;
                    }
                    (Poll::Pending, _) => {}
                },
                _ => {}
            }
            if !self.listens {
                return Poll::Pending;
            }
            return match self.inbound.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((message, permit)))) => {
                    let received = FromConnection::Received(message, permit);
                    Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(received))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(
                    ConnectionHandlerEvent::NotifyBehaviour(FromConnection::Malformed(error)),
                ),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            };
        }
    }
}
