//! What the network delivers to the application, and how the application answers.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::request_response::{InboundRequestId, ResponseChannel};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::pace::Id;

/// The receiving ends of one swarm. All three should be drained; what is not drained fills its
/// queue, and then the newest is dropped and counted in [`crate::SwarmStats`].
#[derive(Debug)]
pub struct Inbound {
    /// Gossip on subscribed topics, each content once.
    pub gossip: mpsc::Receiver<GossipMessage>,
    /// Requests from peers.
    pub requests: mpsc::Receiver<InboundRequest>,
    /// Peers of this swarm coming, going and subscribing.
    pub peers: mpsc::Receiver<PeerEvent>,
}

/// A change among the peers of this swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PeerEvent {
    /// A peer is connected and has proved to be of this swarm.
    Connected {
        /// Its peer id.
        peer_id: String,
        /// Multiaddrs it listens on.
        addrs: Vec<String>,
        /// Name and version of its software.
        agent: String,
    },
    /// The last connection with such a peer is gone.
    Disconnected {
        /// Its peer id.
        peer_id: String,
    },
    /// This node gave up the last connection with such a peer because it has enough of them. The peer
    /// is there as before.
    Parted {
        /// Its peer id.
        peer_id: String,
    },
    /// A peer misbehaved so much that it is kept away for a while.
    Banned {
        /// Its peer id.
        peer_id: String,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A peer has subscribed to a topic.
    Subscribed {
        /// Its peer id.
        peer_id: String,
        /// The topic.
        topic: String,
    },
}

/// A gossip message that waits for judgement; until then it is not forwarded.
#[derive(Debug)]
pub struct GossipMessage {
    /// The topic it was published on.
    pub topic: String,
    /// Peer id of the neighbour that sent it.
    pub forwarder: String,
    /// Peer id of the node that published it; its signature has been checked.
    pub author_peer: String,
    /// The content.
    pub data: Vec<u8>,
    /// To be given after looking at the content, within a few seconds.
    pub verdict: Verdict,
}

/// The judgement on one message: given once, or [`Verdict::ignore`] when dropped.
#[derive(Debug)]
#[must_use = "a message without a verdict is not forwarded"]
pub struct Verdict {
    feedback: mpsc::UnboundedSender<Feedback>,
    id: MessageId,
    forwarder: PeerId,
    /// Its author, if it is counted among the author's that wait.
    author: Option<PeerId>,
    bytes: usize,
    acceptance: MessageAcceptance,
}

impl Verdict {
    pub(crate) fn new(
        feedback: mpsc::UnboundedSender<Feedback>,
        id: MessageId,
        forwarder: PeerId,
        bytes: usize,
    ) -> Self {
        Verdict {
            feedback,
            id,
            forwarder,
            author: None,
            bytes,
            acceptance: MessageAcceptance::Ignore,
        }
    }

    /// Counts the message among those of `author` that wait.
    pub(crate) fn of(mut self, author: PeerId) -> Self {
        self.author = Some(author);
        self
    }

    /// Among whose waiting messages it is counted.
    pub(crate) fn author(&self) -> Option<PeerId> {
        self.author
    }

    /// The id of the message as plain bytes.
    pub(crate) fn key(&self) -> Id {
        let mut key = Id::default();
        let length = key.len().min(self.id.0.len());
        key[..length].copy_from_slice(&self.id.0[..length]);
        key
    }

    /// The message is valid: forward it.
    pub fn accept(mut self) {
        self.acceptance = MessageAcceptance::Accept;
    }

    /// The message is invalid: do not forward it, and hold it against the peers that sent it.
    pub fn reject(mut self) {
        self.acceptance = MessageAcceptance::Reject;
    }

    /// The message is of no use here, through no fault of the sender: do not forward it.
    pub fn ignore(self) {}
}

impl Drop for Verdict {
    fn drop(&mut self) {
        // Fails only after shutdown, when nobody cares any more.
        let _ = self.feedback.send(Feedback::Verdict {
            id: self.id.clone(),
            forwarder: self.forwarder,
            author: self.author,
            bytes: self.bytes,
            acceptance: std::mem::replace(&mut self.acceptance, MessageAcceptance::Ignore),
        });
    }
}

/// A request from a peer.
#[derive(Debug)]
pub struct InboundRequest {
    /// Peer id of the asking node.
    pub peer_id: String,
    /// The request.
    pub data: Vec<u8>,
    /// How to answer.
    pub reply: Reply,
}

/// The way back to a peer that asked. Dropped without [`Reply::send`], the peer sees the request
/// closed without a reply.
#[derive(Debug)]
pub struct Reply {
    feedback: mpsc::UnboundedSender<Feedback>,
    channel: Option<ResponseChannel<Vec<u8>>>,
    id: InboundRequestId,
    data: Vec<u8>,
    bytes: usize,
}

impl Reply {
    pub(crate) fn new(
        feedback: mpsc::UnboundedSender<Feedback>,
        channel: ResponseChannel<Vec<u8>>,
        id: InboundRequestId,
        bytes: usize,
    ) -> Self {
        Reply {
            feedback,
            id,
            channel: Some(channel),
            data: Vec::new(),
            bytes,
        }
    }

    /// Sends the reply. A reply larger than the swarm's `max_request_bytes` is not sent; the peer
    /// sees the request closed.
    pub fn send(mut self, data: Vec<u8>) {
        if let Some(channel) = self.channel.take() {
            self.data = data;
            self.report(Some(channel));
        }
    }

    fn report(&mut self, channel: Option<ResponseChannel<Vec<u8>>>) {
        // Fails only after shutdown, when nobody cares any more.
        let _ = self.feedback.send(Feedback::Reply {
            channel,
            id: self.id,
            data: std::mem::take(&mut self.data),
            bytes: std::mem::take(&mut self.bytes),
        });
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Not answered: what the request took is free again.
        if self.channel.take().is_some() {
            self.report(None);
        }
    }
}

/// What the application says about things it was given.
///
/// It travels over an unbounded channel because a dropped verdict cannot wait; it holds at most
/// one entry for each message or request handed out, and those are bounded.
#[derive(Debug)]
pub(crate) enum Feedback {
    Verdict {
        id: MessageId,
        forwarder: PeerId,
        author: Option<PeerId>,
        bytes: usize,
        acceptance: MessageAcceptance,
    },
    /// The end of a request of so many `bytes`, with or without an answer.
    Reply {
        channel: Option<ResponseChannel<Vec<u8>>>,
        id: InboundRequestId,
        data: Vec<u8>,
        bytes: usize,
    },
}

/// A bounded queue in front of a bounded channel, fed and drained without waiting.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    sender: PollSender<T>,
    waiting: VecDeque<T>,
    capacity: usize,
}

impl<T: Send + 'static> Outbox<T> {
    /// An outbox and its receiving end, each holding up to `capacity` items.
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let waiting = VecDeque::new();
        (
            Outbox {
                sender: PollSender::new(sender),
                waiting,
                capacity,
            },
            receiver,
        )
    }

    /// Adds an item, or returns it when there is no room.
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.waiting.len() >= self.capacity {
            return Err(item);
        }
        self.waiting.push_back(item);
        Ok(())
    }

    /// Hands over the next item if the receiver has room; `delivered` sees it just before.
    ///
    /// Ready with `false` when the receiver is gone and the item was thrown away.
    pub(crate) fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        delivered: impl FnOnce(&T),
    ) -> Poll<bool> {
        if self.waiting.is_empty() {
            return Poll::Pending;
        }
        let open = match self.sender.poll_reserve(cx) {
            Poll::Ready(reserved) => reserved.is_ok(),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(item) = self.waiting.pop_front() {
            delivered(&item);
            if open {
                return Poll::Ready(self.sender.send_item(item).is_ok());
            }
        }
        Poll::Ready(false)
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    #[test]
    fn the_outbox_delivers_in_order_and_is_bounded() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let (mut outbox, mut receiver) = Outbox::new(2);
        let mut sent = Vec::new();
        for n in 0..10 {
            match outbox.push(n) {
                Ok(()) => sent.push(n),
                Err(back) => assert_eq!(back, n),
            }
            while outbox.poll_deliver(&mut cx, |_| ()).is_ready() {}
        }
        assert_eq!(sent, [0, 1, 2, 3], "two in the channel, two waiting");
        let mut got = Vec::new();
        while let Ok(n) = receiver.try_recv() {
            got.push(n);
            while outbox.poll_deliver(&mut cx, |_| ()).is_ready() {}
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn items_for_a_gone_receiver_are_thrown_away() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let (mut outbox, receiver) = Outbox::new(1);
        drop(receiver);
        outbox.push(1).unwrap();
        assert_eq!(outbox.poll_deliver(&mut cx, |_| ()), Poll::Ready(false));
        outbox.push(2).unwrap();
    }

    #[test]
    fn a_verdict_is_reported_exactly_once() {
        let (feedback, mut reports) = mpsc::unbounded_channel();
        let verdict = || {
            Verdict::new(
                feedback.clone(),
                MessageId::from(vec![1]),
                PeerId::random(),
                3,
            )
        };
        verdict().accept();
        verdict().reject();
        verdict().ignore();
        drop(verdict());
        let mut seen = Vec::new();
        while let Ok(Feedback::Verdict { acceptance, .. }) = reports.try_recv() {
            seen.push(acceptance);
        }
        let [accept, reject, ignore, dropped] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert!(matches!(accept, MessageAcceptance::Accept));
        assert!(matches!(reject, MessageAcceptance::Reject));
        assert!(matches!(
            (ignore, dropped),
            (MessageAcceptance::Ignore, MessageAcceptance::Ignore)
        ));
    }
}
