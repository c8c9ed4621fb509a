//! Coming into a swarm: its genesis, invitations, revocations, join strings.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pagi_bootstrap::{
    Admission, BootstrapAddress, Delegation, GateInput, Gatekeeper, Invitation, JoinTicket,
    MAX_LINK_CHARS, MAX_TICKET_ADDRESSES, Nonce, Revocation, RevocationTarget, SwarmBlock,
    SwarmGenesis, SwarmKey, SwarmLimits, SwarmRef, TICKET_PREFIX, judge,
};
use pagi_messages::{Verified, cid_of, to_dag_cbor};
use sha2::{Digest, Sha256};

use super::{NOW_MS, block, identity, sealed, signed};

const DAY: u64 = 24 * 3_600_000;

fn swarm(admission: Admission) -> SwarmBlock {
    let founders = vec![identity(1).did().clone(), identity(2).did().clone()];
    SwarmGenesis::new(
        "lab",
        founders,
        admission,
        SwarmLimits::default(),
        cid_of(b"playbook"),
        NOW_MS - DAY,
        [7; 16],
    )
    .and_then(SwarmGenesis::seal)
    .expect("a genesis")
}

pub fn genesis_seeds() -> Vec<Vec<u8>> {
    [Admission::Open, Admission::Invited]
        .map(|admission| swarm(admission).bytes().to_vec())
        .to_vec()
}

pub fn genesis(data: &[u8]) -> bool {
    let Ok(opened) = SwarmBlock::open(data) else {
        return false;
    };
    assert_eq!(opened.bytes(), data, "one genesis has two blocks");
    let (id, bytes) = block(data.to_vec());
    assert_eq!(*opened.id(), id);
    let again = opened.genesis().clone().seal().expect("it seals again");
    assert_eq!(again.bytes(), bytes);
    assert!(SwarmBlock::open_as(&id, data).is_ok());
    assert!(
        pagi_messages::wire::is_swarm_name(&opened.network_name()),
        "{}",
        opened.network_name()
    );
    for founder in &opened.genesis().founders {
        assert!(opened.genesis().is_founder(founder));
    }
    true
}

fn invitation_by(issuer: u8, delegation: bool) -> Invitation {
    let swarm = *swarm(Admission::Invited).id();
    let delegation = delegation.then(|| {
        let body = Delegation {
            swarm,
            delegate: identity(issuer).did().clone(),
            issued_ms: NOW_MS - 1000,
            not_after_ms: NOW_MS + DAY,
            nonce: Nonce::new([3; 16]),
        };
        Verified::sign(&identity(1), body)
            .expect("a delegation")
            .into_signed()
    });
    Invitation {
        swarm,
        invitee: Some(identity(5).did().clone()),
        issued_ms: NOW_MS - 500,
        not_after_ms: NOW_MS + DAY / 2,
        max_uses: Some(3),
        key: None,
        delegation,
        nonce: Nonce::new([4; 16]),
    }
}

pub fn invitation_seeds() -> Vec<Vec<u8>> {
    let by_delegate = Verified::sign(&identity(4), invitation_by(4, true)).expect("an invitation");
    let mut open = invitation_by(1, false);
    (open.invitee, open.max_uses) = (None, None);
    vec![
        sealed(invitation_by(1, false)),
        sealed(open),
        to_dag_cbor(by_delegate.as_signed()).expect("it has a form"),
    ]
}

pub fn invitation(data: &[u8]) -> bool {
    let Some(ours) = signed::<Invitation>(data) else {
        return false;
    };
    // Signed by a founder: it holds for its invitee within its time, and for nobody else.
    let block = swarm(Admission::Invited);
    let (me, other) = (identity(5).did().clone(), identity(6).did().clone());
    let held = judge(&block, ours.as_signed(), &me, NOW_MS).is_ok();
    let body = ours.body();
    if held {
        assert_eq!(body.swarm, *block.id());
        assert!(body.not_after_ms >= NOW_MS && body.max_uses != Some(0));
        assert!(body.invitee.as_ref().is_none_or(|invitee| *invitee == me));
    }
    if body.invitee.as_ref() == Some(&me) {
        assert!(
            judge(&block, ours.as_signed(), &other, NOW_MS).is_err(),
            "an invitation holds for another"
        );
    }
    let mut gate = Gatekeeper::new(block, []);
    let present = GateInput::Present {
        peer: me.clone(),
        invitations: vec![ours.as_signed().clone()],
        claims: Vec::new(),
    };
    gate.handle(present, NOW_MS);
    assert_eq!(gate.is_member(&me), held, "the gate judges differently");
    true
}

pub fn revocation_seeds() -> Vec<Vec<u8>> {
    let targets = vec![
        RevocationTarget::Invitation(cid_of(b"invitation")),
        RevocationTarget::Delegation(cid_of(b"delegation")),
        RevocationTarget::Member(identity(5).did().clone()),
    ];
    vec![sealed(Revocation {
        swarm: *swarm(Admission::Invited).id(),
        targets,
        issued_ms: NOW_MS,
    })]
}

pub fn revocation(data: &[u8]) -> bool {
    let Some(ours) = signed::<Revocation>(data) else {
        return false;
    };
    let block = swarm(Admission::Invited);
    let own = ours.body().swarm == *block.id();
    let targets: Vec<RevocationTarget> = ours.body().targets.clone();
    let mut gate = Gatekeeper::new(block, []);
    gate.handle(GateInput::Revoke(ours), NOW_MS);
    let revoked: Vec<_> = gate.revoked().cloned().collect();
    assert!(revoked.len() <= pagi_bootstrap::MAX_REVOCATIONS);
    assert!(own || revoked.is_empty(), "another swarm's notice counts");
    assert!(revoked.iter().all(|target| targets.contains(target)));
    true
}

/// The bytes inside a join string: what is fuzzed, so that the checksum does not stop everything.
fn inside(ticket: &JoinTicket) -> Vec<u8> {
    let link = ticket.to_link().expect("a ticket has a link");
    let bytes = URL_SAFE_NO_PAD
        .decode(&link[TICKET_PREFIX.len()..])
        .expect("it is base64url");
    bytes[..bytes.len() - 8].to_vec()
}

/// The join string of the bytes inside, with the checksum that fits.
fn link_of(inside: &[u8]) -> String {
    let mut bytes = inside.to_vec();
    bytes.extend_from_slice(&Sha256::digest(inside)[..8]);
    format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

pub fn ticket_seeds() -> Vec<Vec<u8>> {
    let block = swarm(Admission::Invited);
    let id = identity(1).did().peer_id().expect("one");
    let address = BootstrapAddress::parse(&format!("/ip4/192.0.2.7/tcp/4001/p2p/{id}"));
    let invitation = Verified::sign(&identity(1), invitation_by(1, false)).expect("one");
    let whole = JoinTicket {
        bootstrap: vec![address.expect("an address")],
        swarm: SwarmRef::Block(Box::new(block.clone())),
        psk: Some(SwarmKey::new([9; 32])),
        invitation: Some(invitation.into_signed()),
        secret: None,
    };
    let least = JoinTicket {
        bootstrap: Vec::new(),
        swarm: SwarmRef::Id(*block.id()),
        psk: None,
        invitation: None,
        secret: None,
    };
    vec![inside(&whole), inside(&least)]
}

pub fn ticket(data: &[u8]) -> bool {
    // Raw text, as a person might paste it, and the bytes with a checksum that fits.
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = JoinTicket::parse(text);
        let _ = JoinTicket::parse(&format!("{TICKET_PREFIX}{text}"));
    }
    let link = link_of(data);
    let Ok(ticket) = JoinTicket::parse(&link) else {
        return false;
    };
    assert!(link.len() <= MAX_LINK_CHARS && ticket.bootstrap.len() <= MAX_TICKET_ADDRESSES);
    assert_eq!(
        ticket.to_link().expect("a ticket has a link"),
        link,
        "one ticket has two links"
    );
    let _ = ticket.check(identity(5).did(), NOW_MS);
    true
}
