//! What goes into the machine and what comes out of it.

use pagi_messages::{Did, Verified};
use serde::{Deserialize, Serialize};

use crate::{
    certificate::{Certificate, CertificateError},
    message::ElectionMessage,
};

/// What must survive a crash: it keeps a node from voting twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durable {
    /// The highest term this node voted in, stood for or followed an MO of. Never falls.
    pub term: u64,
    /// The last vote: its term and whom it went to.
    pub voted: Option<(u64, Did)>,
    /// The CID, as text, of the electorate that vote was for; a repeated vote must name the same.
    pub voted_electorate: Option<String>,
    /// The highest term whose certificate this node followed or won. Never falls.
    pub certified: u64,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed; due at [`Machine::next_tick_ms`](crate::Machine::next_tick_ms).
    Tick,
    /// A message arrived, from elsewhere or as the signed copy of this node's own
    /// [`Output::Send`].
    Message(Verified<ElectionMessage>),
    /// A member was heard of: its presence message arrived or it connected. Repeat it as often as
    /// that happens. Report this node's own DID too: it sets its own reputation, and with it its
    /// rank.
    MemberSeen {
        /// The member.
        did: Did,
        /// Its reputation; more is better.
        reputation: u32,
    },
    /// A member has not been heard of for too long, or was banned. Faster than a lease is best.
    MemberLost {
        /// The member.
        did: Did,
    },
    /// The user wants this node to give the office back, or not to take it for a lease.
    StepDown,
}

/// Something to do. Outputs are carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Store this. It must be durable before any later [`Output::Send`] is carried out.
    Persist(Durable),
    /// Sign this as this node, gossip it, and feed the signed copy back as [`Input::Message`].
    Send(ElectionMessage),
    /// There is an MO, or the MO has a new term.
    Elected {
        /// The MO; may be this node.
        mo: Did,
        /// The term.
        term: u64,
        /// The proof, verified.
        certificate: Certificate,
    },
    /// There is no MO any more.
    Vacant {
        /// The term that ended.
        term: u64,
        /// Why.
        reason: VacantReason,
    },
    /// A message was not acted on: for the log, and to score its author where
    /// [`Refusal::is_misbehaviour`].
    Refused {
        /// Who signed it.
        author: Did,
        /// Why it was refused.
        reason: Refusal,
    },
}

/// Why the office is vacant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VacantReason {
    /// The MO was not heard for a lease.
    LeaseExpired,
    /// The MO gave its office back.
    SteppedDown,
    /// A stronger claim of a lower term was heard; its MO is about to stand again above this term.
    Conceded,
    /// This node was MO and did not run for a lease, so others stopped trusting it.
    Overslept,
}

/// Why a message was not acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node has just started and listens before it votes.
    #[error("this node still listens before it votes")]
    Settling,
    /// A candidate while the MO is alive.
    #[error("{mo} is MO of term {term} and alive")]
    MoAlive {
        /// The living MO.
        mo: Did,
        /// Its term.
        term: u64,
    },
    /// This node's vote of a moment ago went to another, who may still win.
    #[error("a vote was just given to {0}")]
    Promised(Did),
    /// The term, or a later one, is already voted in or followed.
    #[error("term {term} is not above {mine}")]
    StaleTerm {
        /// The message's term.
        term: u64,
        /// The term this node is at.
        mine: u64,
    },
    /// The term is beyond all terms, or too far ahead to be believed.
    #[error("term {term} is too far ahead of {mine}")]
    TermJump {
        /// The message's term.
        term: u64,
        /// The term this node is at.
        mine: u64,
    },
    /// The timestamp is too far from this node's clock.
    #[error("the timestamp {0} is too far from this node's clock")]
    OutOfTime(u64),
    /// An electorate that is empty, too large, unsorted or has repeats.
    #[error("the electorate is malformed")]
    MalformedElectorate,
    /// Half of the electorate or more is not in the live view.
    #[error("{known} of {electorate} members of the electorate are known here")]
    UnknownElectorate {
        /// Members in the live view.
        known: usize,
        /// Members of the electorate.
        electorate: usize,
    },
    /// The electorate is too small for the number of nodes alive.
    #[error("an electorate of {electorate} does not speak for {live} live members")]
    NarrowElectorate {
        /// Members of the electorate.
        electorate: usize,
        /// Members of the live view.
        live: usize,
    },
    /// A heartbeat whose certificate is another's or of another term.
    #[error("the heartbeat's certificate is not its author's for its term")]
    NotTheMo,
    /// Half of the certificate's voters or more are not in the live view.
    #[error("{known} of {voters} voters of the certificate are known here")]
    UnknownVoters {
        /// Voters in the live view.
        known: usize,
        /// Votes in the certificate.
        voters: usize,
    },
    /// The certificate does not hold.
    #[error("the certificate does not hold: {0}")]
    Certificate(#[from] CertificateError),
    /// The MO this node follows has the better claim.
    #[error("{mo} has the better claim")]
    WorseClaim {
        /// The MO with the better claim.
        mo: Did,
    },
    /// A heartbeat that is not newer than the last one. Gossip repeats and reorders: no fault of
    /// the author.
    #[error("the heartbeat is not newer than the last")]
    Replay,
    /// A vote from outside the electorate.
    #[error("the voter is not of the electorate")]
    OutsideElectorate,
    /// Two different votes in one term.
    #[error("a second, different vote in term {0}")]
    DoubleVote(u64),
    /// A hint from a node that is not in the live view.
    #[error("the author is not in the live view")]
    Stranger,
}

impl Refusal {
    /// Whether an honest, working node never causes this. The others come from timing, from
    /// differing views, or from somebody repeating what the author once said.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::MalformedElectorate
                | Self::NotTheMo
                | Self::Certificate(_)
                | Self::OutsideElectorate
                | Self::DoubleVote(_)
        )
    }
}

/// The MO as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The MO; may be this node.
    pub did: Did,
    /// Its term.
    pub term: u64,
    /// The verified proof.
    pub certificate: Certificate,
    /// Since when this node follows it in this term, by this node's clock, in milliseconds.
    pub since_ms: u64,
}

/// What this node does in the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Listens after its start.
    Settling,
    /// Follows an MO.
    Follower,
    /// No MO is known; waits for its turn to stand.
    Waiting,
    /// Collects votes.
    Candidate,
    /// Is MO.
    Orchestrator,
}

/// The election at a glance, for people and for the control interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The MO, if there is one.
    pub mo: Option<Did>,
    /// The MO's term; without an MO the highest term this node took part in.
    pub term: u64,
    /// What this node does.
    pub role: Role,
    /// Since when there is this MO, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Whose votes made it MO.
    pub elected_by: Vec<Did>,
    /// Who could vote.
    pub electorate: Vec<Did>,
    /// The CID of the certificate.
    pub certificate: Option<String>,
    /// The members this node believes alive, itself included.
    pub live: Vec<Did>,
    /// How long the lease still runs, in milliseconds.
    pub lease_remaining_ms: Option<u64>,
    /// Why this node is not MO, in words; empty where it is.
    pub why_not_me: String,
}
