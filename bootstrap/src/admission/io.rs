//! What goes into the gatekeeper and what comes out of it.

use cid::Cid;
use pagi_messages::{Did, Domain, Signed, Verified};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::invitation::{Invitation, Refusal, Revocation, RevocationTarget};

/// Most invitations a peer may show at once, and most targets of one revocation.
pub const MAX_PRESENTED: usize = 16;

/// A member tells the others whom it let in, and by which invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admittance {
    /// The swarm's id.
    pub swarm: Cid,
    /// Who was let in.
    pub peer: Did,
    /// By what.
    pub invitation: Signed<Invitation>,
    /// What showed that the newcomer held it, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Signed<Claim>>,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Domain for Admittance {
    const DOMAIN: &'static str = "swarm-admittance/1";
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum GateInput {
    /// A peer, whose key is proven by the connection, shows what it has. Unverified as it is.
    Present {
        /// The peer.
        peer: Did,
        /// Its invitations, at most [`MAX_PRESENTED`].
        invitations: Vec<Signed<Invitation>>,
        /// What shows that it holds them, as many at most.
        claims: Vec<Signed<Claim>>,
    },
    /// A founder takes something back.
    Revoke(Verified<Revocation>),
    /// Another member let somebody in.
    Heard(Box<Verified<Admittance>>),
}

/// On what ground a peer is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It founded the swarm.
    Founder,
    /// The swarm is open.
    Open,
    /// It was let in before.
    Member,
    /// By this invitation.
    Invitation(Cid),
}

/// One entry of what must survive a crash. Entries are folded in the order they were persisted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GateRecord {
    /// A peer is a member.
    Member {
        /// The member.
        peer: Did,
        /// The invitation's id.
        invitation: Cid,
        /// When it came, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// When the invitation ends; its uses are counted until then.
        not_after_ms: u64,
        /// How often the invitation may be used.
        max_uses: Option<u32>,
        /// Who said so; nobody where this node let it in itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Did>,
    },
    /// An invitation no longer counts for a peer, because earlier users had all its uses.
    Displaced {
        /// The peer.
        peer: Did,
        /// The invitation.
        invitation: Cid,
    },
    /// A founder took this back; a member taken back is none any more.
    Revoked {
        /// What.
        target: RevocationTarget,
    },
}

/// Something to do. Outputs are carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateOutput {
    /// Store this. It must be durable before any later output is carried out.
    Persist(GateRecord),
    /// Let the peer in.
    Admitted {
        /// The peer.
        peer: Did,
        /// On what ground.
        basis: Basis,
    },
    /// Keep the peer out.
    Refused {
        /// The peer.
        peer: Did,
        /// Why: of several invitations, the reason against the first.
        reason: Refusal,
    },
    /// Sign this as this node and tell the swarm.
    Announce(Box<Admittance>),
    /// Disconnect a peer that was in, and forget its standing.
    Expel {
        /// The peer.
        peer: Did,
        /// Why.
        reason: Refusal,
    },
    /// A notice was not taken.
    Ignored {
        /// Who signed it.
        author: Did,
        /// Why.
        reason: Refusal,
    },
}
