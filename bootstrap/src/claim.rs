//! What shows that a newcomer holds an invitation, and does not only know it.
//!
//! Members tell each other by which invitation somebody came in, so every member can read it. An
//! invitation for whoever holds it therefore names a public key; the private half travels in the
//! join string alone. A newcomer signs its own name with that half: who reads the [`Claim`] later
//! learns nothing that lets anybody else in.

use cid::Cid;
use pagi_messages::{Did, Domain, Signed, SigningIdentity, Verified, content::ContentError};
use serde::{Deserialize, Serialize};

use crate::{
    invitation::{Invitation, Refusal, invitation_id},
    ticket::SwarmKey,
};

/// A newcomer comes by an invitation, signed with the key of the invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The invitation's id.
    pub invitation: Cid,
    /// Who comes.
    pub peer: Did,
}

impl Domain for Claim {
    const DOMAIN: &'static str = "swarm-claim/1";
}

/// What an invitation names of a join string's secret: see [`Invitation::key`].
#[must_use]
pub fn key_of(secret: &SwarmKey) -> Did {
    SigningIdentity::from_seed(secret.as_bytes()).did().clone()
}

/// The claim of `peer`, who holds the join string's `secret`, to come by `invitation`.
///
/// # Errors
/// [`ContentError::Encode`] where the invitation has no canonical bytes.
pub fn claim(
    secret: &SwarmKey,
    invitation: &Signed<Invitation>,
    peer: &Did,
) -> Result<Signed<Claim>, ContentError> {
    let body = Claim {
        invitation: invitation_id(invitation)?,
        peer: peer.clone(),
    };
    let holder = SigningIdentity::from_seed(secret.as_bytes());
    Ok(Verified::sign(&holder, body)?.into_signed())
}

/// Whether `claim` shows that `peer` holds `invitation`, whose id is `id`. One without a key asks for
/// none.
pub(crate) fn check(
    invitation: &Signed<Invitation>,
    id: &Cid,
    peer: &Did,
    claim: Option<&Signed<Claim>>,
) -> Result<(), Refusal> {
    let Some(key) = &invitation.body.key else {
        return Ok(());
    };
    let claim = claim
        .filter(|claim| {
            claim.author == *key && claim.body.invitation == *id && claim.body.peer == *peer
        })
        .ok_or(Refusal::NotHeld)?;
    claim.clone().verify().map_err(|_| Refusal::NotHeld)?;
    Ok(())
}
