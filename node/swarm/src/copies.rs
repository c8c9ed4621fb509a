//! Counting the copies of gossip messages that arrive, duplicates included: what the mesh costs.

use std::io;
use std::sync::Arc;

use libp2p::gossipsub::{self, DataTransform, IdentityTransform, RawMessage, TopicHash};

use crate::stats::Counters;

/// gossipsub that counts what arrives.
pub(crate) type Gossip = gossipsub::Behaviour<Copies, gossipsub::AllowAllSubscriptionFilter>;

/// gossipsub asks this to unpack each copy before it looks whether it knows the message.
pub(crate) struct Copies(pub(crate) Arc<Counters>);

impl DataTransform for Copies {
    fn inbound_transform(&self, raw: RawMessage) -> Result<gossipsub::Message, io::Error> {
        self.0.gossip_copies.add(1);
        IdentityTransform.inbound_transform(raw)
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}
