//! Invitations, and what is asked to be revoked.

use pagi_api::{
    ApiError,
    membership::{InvitationView, NewInvitation},
};
use pagi_bootstrap::{
    Admission, BootstrapAddress, Invitation, JoinTicket, MAX_PRESENTED, MAX_TICKET_ADDRESSES,
    RevocationTarget, SwarmKey, SwarmRef, TICKET_PREFIX, invitation_id, key_of,
};
use pagi_messages::{
    Did, Verified,
    event::{from_unix_ms, rfc3339},
};
use pagi_swarm::Swarm;
use pagi_twin::now_ms;
use serde_bytes::ByteArray;

use super::Gate;
use crate::wiring::views::{internal, parse_cid, swarm_error};

/// How long an invitation holds unless said otherwise, seconds.
const A_WEEK: u64 = 7 * 24 * 3600;
/// Addresses of one other node in a ticket.
const PER_NODE: usize = 2;

impl Gate {
    /// A join ticket with this node's addresses and those of nodes it knows, and, where the swarm
    /// asks for one, an invitation.
    ///
    /// # Errors
    /// [`ApiError`]: the swarm is a name alone, this node may not invite, the request is impossible.
    pub async fn invite(
        &self,
        request: NewInvitation,
        swarm: &Swarm,
    ) -> Result<InvitationView, ApiError> {
        let Some(known) = &self.facts.known else {
            return Err(ApiError::Conflict(format!(
                "the swarm `{}` is a name alone, which anyone may use: `pagi swarm create` makes one \
                 that nodes are invited to",
                self.facts.name
            )));
        };
        let genesis = known.block.genesis();
        let me = self.facts.identity.did();
        let invitee = request
            .invitee
            .as_deref()
            .map(str::parse::<Did>)
            .transpose()
            .map_err(|error| ApiError::invalid(format!("the invitee is not a DID: {error}")))?;
        let invited = genesis.admission == Admission::Invited;
        if invited && !genesis.is_founder(me) {
            return Err(ApiError::Forbidden(format!(
                "only founders invite to `{}`: ask {}",
                genesis.name,
                genesis.founders.first().map_or("them", Did::as_str)
            )));
        }
        let addresses = addresses(swarm, known.key.is_some()).await?;
        let mut view = InvitationView {
            link: String::new(),
            id: None,
            expires_at: None,
            uses: None,
            invitee: None,
            addresses: addresses
                .iter()
                .map(|address| address.as_str().to_owned())
                .collect(),
            secret: known.key.is_some(),
        };
        // One for whoever holds it: what is in the join string alone shows who that is.
        let secret = (invited && invitee.is_none()).then(secret);
        let invitation = if invited {
            let now = now_ms();
            let valid = request
                .expires_s
                .unwrap_or(A_WEEK)
                .checked_mul(1000)
                .filter(|valid| (1..=genesis.limits.max_validity_ms).contains(valid))
                .ok_or_else(|| {
                    ApiError::invalid(format!(
                        "an invitation to this swarm holds for 1 to {} seconds",
                        genesis.limits.max_validity_ms / 1000
                    ))
                })?;
            if request.uses == Some(0) {
                return Err(ApiError::invalid("an invitation is used at least once"));
            }
            let body = Invitation {
                swarm: *known.block.id(),
                invitee: invitee.clone(),
                issued_ms: now,
                not_after_ms: now.saturating_add(valid),
                max_uses: request.uses,
                key: secret.as_ref().map(key_of),
                delegation: None,
                nonce: ByteArray::new(*uuid::Uuid::new_v4().as_bytes()),
            };
            view.expires_at = Some(rfc3339(from_unix_ms(body.not_after_ms)));
            view.uses = body.max_uses;
            view.invitee = invitee.map(|did| did.to_string());
            view.secret |= view.invitee.is_none();
            let signed = Verified::sign(&self.facts.identity, body).map_err(internal)?;
            let signed = signed.into_signed();
            view.id = Some(invitation_id(&signed).map_err(internal)?.to_string());
            Some(signed)
        } else {
            None
        };
        let ticket = JoinTicket {
            bootstrap: addresses,
            swarm: SwarmRef::Block(Box::new(known.block.clone())),
            psk: known.key.clone(),
            invitation,
            secret,
        };
        view.link = ticket.to_link().map_err(internal)?;
        Ok(view)
    }
}

/// A join string's secret, of 244 random bits.
fn secret() -> SwarmKey {
    let mut bytes = [0; 32];
    for half in bytes.chunks_exact_mut(16) {
        half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    SwarmKey::new(bytes)
}

/// Where a newcomer can begin: this node's own addresses, those that carry farthest first, then some
/// of the nodes it knows.
async fn addresses(swarm: &Swarm, keyed: bool) -> Result<Vec<BootstrapAddress>, ApiError> {
    let mut own = swarm.reach().await.map_err(swarm_error)?.external_addrs;
    own.extend(swarm.listen_addrs().await.map_err(swarm_error)?);
    let near = |address: &String| address.contains("/127.0.0.1/") || address.contains("/::1/");
    if !own.iter().all(near) {
        own.retain(|address| !near(address));
    }
    let others = swarm.remembered_peers().await.map_err(swarm_error)?;
    let mut all: Vec<BootstrapAddress> = Vec::new();
    let own_room = MAX_TICKET_ADDRESSES / 2;
    for (mine, address) in own
        .iter()
        .map(|address| (true, address))
        .chain(others.iter().map(|address| (false, address)))
    {
        let Ok(parsed) = BootstrapAddress::parse(address) else {
            continue;
        };
        let of_node = all
            .iter()
            .filter(|known| known.peer_id() == parsed.peer_id())
            .count();
        let room = if mine { own_room } else { PER_NODE };
        // A key is for TCP alone.
        let usable = !(keyed && address.contains("/quic"));
        if usable && of_node < room && all.len() < MAX_TICKET_ADDRESSES && !all.contains(&parsed) {
            all.push(parsed);
        }
    }
    Ok(all)
}

/// What a text names that can be revoked: a member's DID, an invitation's CID, or the whole string
/// the invitation was given out in.
///
/// # Errors
/// [`ApiError`] where it is none of them.
pub fn target(text: &str) -> Result<RevocationTarget, ApiError> {
    if text.starts_with("did:") {
        return text
            .parse()
            .map(RevocationTarget::Member)
            .map_err(|error| ApiError::invalid(format!("`{text}` is not a DID: {error}")));
    }
    if text.starts_with(TICKET_PREFIX) {
        let ticket =
            JoinTicket::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?;
        let invitation = ticket
            .invitation
            .ok_or_else(|| ApiError::invalid("there is no invitation in this string"))?;
        let id = invitation_id(&invitation).map_err(internal)?;
        return Ok(RevocationTarget::Invitation(id));
    }
    parse_cid(text).map(RevocationTarget::Invitation)
}

/// What a request asks to be revoked.
///
/// # Errors
/// [`ApiError`] as [`target`], and where there is nothing or too much at once.
pub fn targets(texts: &[String]) -> Result<Vec<RevocationTarget>, ApiError> {
    if !(1..=MAX_PRESENTED).contains(&texts.len()) {
        return Err(ApiError::invalid(format!(
            "name 1 to {MAX_PRESENTED} members or invitations"
        )));
    }
    texts.iter().map(|text| target(text)).collect()
}
