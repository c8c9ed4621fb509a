//! Invitations, delegations and revocations: who may let whom into a swarm.
//!
//! A founder invites, or gives another DID the right to invite by a [`Delegation`]. The right goes
//! no further: a delegate cannot delegate, because an invitation carries at most one delegation and
//! that one must be a founder's.

use cid::Cid;
use pagi_messages::{
    Did, Domain, Signed, cid_of,
    content::{ContentError, to_dag_cbor},
    event::{from_unix_ms, rfc3339},
    wire::MAX_CLOCK_SKEW_MS,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::genesis::SwarmBlock;

/// Sixteen random bytes that keep two otherwise equal bodies apart.
pub type Nonce = ByteArray<16>;

/// A founder gives a DID the right to invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// The swarm's id.
    pub swarm: Cid,
    /// Who may invite.
    pub delegate: Did,
    /// Milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// No invitation under this delegation is taken after this time, in milliseconds since the Unix
    /// epoch.
    pub not_after_ms: u64,
    /// Random.
    pub nonce: Nonce,
}

impl Domain for Delegation {
    const DOMAIN: &'static str = "swarm-delegation/1";
}

/// Lets a newcomer into a swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The swarm's id.
    pub swarm: Cid,
    /// Who may use it; without one, whoever holds it.
    pub invitee: Option<Did>,
    /// Milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// Nobody gets in with it after this time, in milliseconds since the Unix epoch. Members who
    /// came in before stay.
    pub not_after_ms: u64,
    /// How many different DIDs may use it; without a number, any.
    pub max_uses: Option<u32>,
    /// Where whoever holds it may use it: the public half of the key that the join string has the
    /// private half of. A newcomer shows with it ([`Claim`](crate::Claim)) that it holds the string.
    /// Without a key, whoever has read the invitation may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Did>,
    /// The issuer's right to invite, where it is not a founder.
    pub delegation: Option<Signed<Delegation>>,
    /// Random.
    pub nonce: Nonce,
}

impl Domain for Invitation {
    const DOMAIN: &'static str = "swarm-invitation/1";
}

/// What a founder takes back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationTarget {
    /// Nobody gets in any more with this invitation ([`invitation_id`]). Those it let in stay.
    Invitation(Cid),
    /// No invitation under this delegation ([`delegation_id`]) counts any more.
    Delegation(Cid),
    /// This DID is put out, and what it issued no longer counts. Founders cannot be put out.
    Member(Did),
}

/// A founder's addition to the swarm's list of what no longer counts. The list only grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The swarm's id.
    pub swarm: Cid,
    /// What no longer counts.
    pub targets: Vec<RevocationTarget>,
    /// Milliseconds since the Unix epoch.
    pub issued_ms: u64,
}

impl Domain for Revocation {
    const DOMAIN: &'static str = "swarm-revocation/1";
}

/// Why a peer, an invitation or a notice was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The swarm asks for an invitation and none was shown.
    #[error("this swarm admits members by invitation: ask one of its founders for one")]
    NotInvited,
    /// More was shown at once than is looked at.
    #[error("too many at once: show at most {0}")]
    TooMany(usize),
    /// It belongs to another swarm.
    #[error("it is for swarm {0}, not for this one")]
    WrongSwarm(Cid),
    /// It names somebody else.
    #[error("the invitation is for {0}")]
    WrongInvitee(Did),
    /// Its time is over.
    #[error("it expired at {}: ask for a new one", utc(*.0))]
    Expired(u64),
    /// It was issued later than this node's clock allows.
    #[error("it was issued at {}, which is ahead of this node's clock", utc(*.0))]
    NotYetValid(u64),
    /// It is valid for longer than the swarm allows, or ends before it begins.
    #[error("it is valid for a time that this swarm does not allow")]
    Validity,
    /// An invitation for nobody.
    #[error("an invitation with no uses admits nobody")]
    NoUses,
    /// The signature is not the author's.
    #[error("the signature of {0} does not hold")]
    Signature(Did),
    /// The issuer is neither a founder nor a founder's delegate.
    #[error("{0} is neither a founder of this swarm nor a founder's delegate")]
    NotAnIssuer(Did),
    /// The delegation inside names another than the issuer.
    #[error("the delegation is for {0}, who did not issue this invitation")]
    WrongDelegate(Did),
    /// The delegation inside does not hold.
    #[error("the delegation does not hold: {0}")]
    Delegation(Box<Refusal>),
    /// A founder took it back.
    #[error("a founder revoked it")]
    Revoked,
    /// The newcomer does not show that it holds the join string.
    #[error("it is not shown that the join string is held: join with the whole string")]
    NotHeld,
    /// A notice says less than is known.
    #[error("it is known already")]
    Known,
    /// As many as were meant to have used it.
    #[error("the invitation has been used as often as it may be")]
    UsedUp,
    /// The swarm has as many members as it may have.
    #[error("the swarm is full")]
    Full,
    /// The author of a notice has no standing to give it.
    #[error("{0} has no standing for this notice")]
    NoStanding(Did),
    /// It has no canonical bytes.
    #[error("it has no canonical form")]
    Form,
}

/// A time in milliseconds since the Unix epoch, as a person reads it.
fn utc(ms: u64) -> String {
    rfc3339(from_unix_ms(ms))
}

#[derive(Serialize)]
struct Named<'a, T> {
    author: &'a Did,
    body: &'a T,
}

/// The name of what was said by whom, whatever the signature's bytes are.
fn id_of<T: Serialize>(signed: &Signed<T>) -> Result<Cid, ContentError> {
    let named = Named {
        author: &signed.author,
        body: &signed.body,
    };
    Ok(cid_of(&to_dag_cbor(&named)?))
}

/// The id of an invitation: the CID of its author and body.
///
/// # Errors
/// [`ContentError::Encode`] where it has no canonical bytes.
pub fn invitation_id(invitation: &Signed<Invitation>) -> Result<Cid, ContentError> {
    id_of(invitation)
}

/// The id of a delegation: the CID of its author and body.
///
/// # Errors
/// [`ContentError::Encode`] where it has no canonical bytes.
pub fn delegation_id(delegation: &Signed<Delegation>) -> Result<Cid, ContentError> {
    id_of(delegation)
}

/// What an invitation that holds rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) id: Cid,
    pub(crate) delegation: Option<Cid>,
}

fn check_time(
    block: &SwarmBlock,
    issued_ms: u64,
    not_after_ms: u64,
    now_ms: u64,
) -> Result<(), Refusal> {
    let longest = block.genesis().limits.max_validity_ms;
    if not_after_ms < issued_ms || not_after_ms - issued_ms > longest {
        return Err(Refusal::Validity);
    }
    if issued_ms > now_ms.saturating_add(MAX_CLOCK_SKEW_MS) {
        return Err(Refusal::NotYetValid(issued_ms));
    }
    if now_ms > not_after_ms {
        return Err(Refusal::Expired(not_after_ms));
    }
    Ok(())
}

fn check_delegation(
    block: &SwarmBlock,
    delegation: &Signed<Delegation>,
    now_ms: u64,
) -> Result<Cid, Refusal> {
    let body = &delegation.body;
    if body.swarm != *block.id() {
        return Err(Refusal::WrongSwarm(body.swarm));
    }
    if !block.genesis().is_founder(&delegation.author) {
        return Err(Refusal::NotAnIssuer(delegation.author.clone()));
    }
    check_time(block, body.issued_ms, body.not_after_ms, now_ms)?;
    let author = delegation.author.clone();
    let checked = delegation.clone().verify();
    checked.map_err(|_| Refusal::Signature(author))?;
    delegation_id(delegation).map_err(|_| Refusal::Form)
}

/// Whether `invitation` lets `peer` into the swarm at `now_ms`, but for what only a swarm's members
/// know: revocations and uses. Signatures are checked last, because they cost most.
///
/// # Errors
/// [`Refusal`], the first reason found.
pub fn judge(
    block: &SwarmBlock,
    invitation: &Signed<Invitation>,
    peer: &Did,
    now_ms: u64,
) -> Result<(), Refusal> {
    standing(block, invitation, peer, now_ms).map(|_| ())
}

pub(crate) fn standing(
    block: &SwarmBlock,
    invitation: &Signed<Invitation>,
    peer: &Did,
    now_ms: u64,
) -> Result<Standing, Refusal> {
    let body = &invitation.body;
    if body.swarm != *block.id() {
        return Err(Refusal::WrongSwarm(body.swarm));
    }
    if let Some(invitee) = body.invitee.as_ref().filter(|invitee| *invitee != peer) {
        return Err(Refusal::WrongInvitee(invitee.clone()));
    }
    if body.max_uses == Some(0) {
        return Err(Refusal::NoUses);
    }
    check_time(block, body.issued_ms, body.not_after_ms, now_ms)?;
    let delegation = if block.genesis().is_founder(&invitation.author) {
        None
    } else {
        let delegation = body
            .delegation
            .as_ref()
            .ok_or_else(|| Refusal::NotAnIssuer(invitation.author.clone()))?;
        if delegation.body.delegate != invitation.author {
            return Err(Refusal::WrongDelegate(delegation.body.delegate.clone()));
        }
        let id = check_delegation(block, delegation, now_ms)
            .map_err(|reason| Refusal::Delegation(Box::new(reason)))?;
        Some(id)
    };
    let checked = invitation.clone().verify();
    checked.map_err(|_| Refusal::Signature(invitation.author.clone()))?;
    Ok(Standing {
        id: invitation_id(invitation).map_err(|_| Refusal::Form)?,
        delegation,
    })
}
