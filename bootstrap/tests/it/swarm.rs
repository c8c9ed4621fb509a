//! Swarm genesis, invitations, tickets and admission: tables of refusals, and properties.

use cid::Cid;
use pagi_bootstrap::*;
use pagi_messages::{Did, Signed, SigningIdentity, Verified, cid_of, from_dag_cbor, to_dag_cbor};
use proptest::prelude::*;
use serde_bytes::ByteArray;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3_600_000;
const ADDRESS: &str =
    "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn who(seed: u8) -> SigningIdentity {
    SigningIdentity::from_seed(&[seed; 32])
}

fn did(seed: u8) -> Did {
    who(seed).did().clone()
}

/// Founded by 1 and 2.
fn swarm_of(admission: Admission, max_members: u32) -> SwarmBlock {
    let limits = SwarmLimits {
        max_members,
        max_validity_ms: 30 * DAY,
    };
    SwarmGenesis::new(
        "lab",
        vec![did(2), did(1), did(2)],
        admission,
        limits,
        cid_of(b"playbook"),
        NOW,
        [7; 16],
    )
    .unwrap()
    .seal()
    .unwrap()
}

fn swarm() -> SwarmBlock {
    swarm_of(Admission::Invited, 100)
}

fn body(swarm: &SwarmBlock) -> Invitation {
    Invitation {
        swarm: *swarm.id(),
        invitee: None,
        issued_ms: NOW,
        not_after_ms: NOW + DAY,
        max_uses: None,
        key: None,
        delegation: None,
        nonce: ByteArray::new([1; 16]),
    }
}

fn sign(by: u8, body: Invitation) -> Signed<Invitation> {
    Verified::sign(&who(by), body).unwrap().into_signed()
}

fn delegation(by: u8, to: u8, swarm: &SwarmBlock) -> Signed<Delegation> {
    let body = Delegation {
        swarm: *swarm.id(),
        delegate: did(to),
        issued_ms: NOW,
        not_after_ms: NOW + 2 * DAY,
        nonce: ByteArray::new([2; 16]),
    };
    Verified::sign(&who(by), body).unwrap().into_signed()
}

fn present(
    gate: &mut Gatekeeper,
    peer: u8,
    shown: &[&Signed<Invitation>],
    now: u64,
) -> Vec<GateOutput> {
    let peer = did(peer);
    let input = GateInput::Present {
        invitations: shown.iter().copied().cloned().collect(),
        claims: shown
            .iter()
            .map(|shown| claim(&secret(), shown, &peer).unwrap())
            .collect(),
        peer,
    };
    gate.handle(input, now)
}

/// The secret of every join string here.
fn secret() -> SwarmKey {
    SwarmKey::new([42; 32])
}

/// An invitation for whoever holds its join string.
fn held(swarm: &SwarmBlock, max_uses: Option<u32>) -> Signed<Invitation> {
    let mut invitation = body(swarm);
    invitation.max_uses = max_uses;
    invitation.key = Some(key_of(&secret()));
    sign(1, invitation)
}

/// What `by` says of `peer`, who came by `invitation` and showed `claim`.
fn said(
    by: u8,
    peer: u8,
    invitation: &Signed<Invitation>,
    claim: Option<Signed<Claim>>,
    at_ms: u64,
) -> GateInput {
    let admittance = Admittance {
        swarm: invitation.body.swarm,
        peer: did(peer),
        invitation: invitation.clone(),
        claim,
        at_ms,
    };
    GateInput::Heard(Box::new(Verified::sign(&who(by), admittance).unwrap()))
}

fn shown(peer: u8, invitation: &Signed<Invitation>) -> Option<Signed<Claim>> {
    Some(claim(&secret(), invitation, &did(peer)).unwrap())
}

/// The verdict on a peer: the last output.
fn verdict(outputs: &[GateOutput]) -> Result<Basis, Refusal> {
    match outputs.last().unwrap() {
        GateOutput::Admitted { basis, .. } => Ok(basis.clone()),
        GateOutput::Refused { reason, .. } => Err(reason.clone()),
        other => panic!("no verdict but {other:?}"),
    }
}

fn records(outputs: &[GateOutput]) -> Vec<GateRecord> {
    outputs
        .iter()
        .filter_map(|output| match output {
            GateOutput::Persist(record) => Some(record.clone()),
            _ => None,
        })
        .collect()
}

fn announced(outputs: &[GateOutput]) -> Admittance {
    outputs
        .iter()
        .find_map(|output| match output {
            GateOutput::Announce(admittance) => Some((**admittance).clone()),
            _ => None,
        })
        .unwrap()
}

fn revoke(by: u8, swarm: &SwarmBlock, targets: Vec<RevocationTarget>) -> GateInput {
    let body = Revocation {
        swarm: *swarm.id(),
        targets,
        issued_ms: NOW,
    };
    GateInput::Revoke(Verified::sign(&who(by), body).unwrap())
}

#[test]
fn a_genesis_is_its_block_and_nothing_else() {
    let block = swarm();
    assert_eq!(SwarmBlock::open(block.bytes()).unwrap(), block);
    assert_eq!(
        SwarmBlock::open_as(block.id(), block.bytes()).unwrap(),
        block
    );
    assert!(SwarmBlock::open_as(&cid_of(b"other"), block.bytes()).is_err());
    assert_eq!(block.genesis().founders.len(), 2);
    assert!(pagi_messages::wire::is_swarm_name(&block.network_name()));
    assert!(block.network_name().starts_with("lab-"));
    let other = swarm_of(Admission::Open, 100);
    assert_ne!(block.network_name(), other.network_name());
    let mut long = block.genesis().clone();
    long.name = "a".repeat(32);
    assert!(pagi_messages::wire::is_swarm_name(
        &long.seal().unwrap().network_name()
    ));
}

#[test]
fn a_genesis_that_does_not_hold_is_refused() {
    type Change = fn(&mut SwarmGenesis);
    type Expected = fn(&GenesisError) -> bool;
    let rows: Vec<(Change, Expected)> = vec![
        (
            |g| g.name = "No".into(),
            |e| matches!(e, GenesisError::Name),
        ),
        (|g| g.version = 2, |e| matches!(e, GenesisError::Version(2))),
        (
            |g| g.founders.clear(),
            |e| matches!(e, GenesisError::Founders(0)),
        ),
        (
            |g| g.founders = vec![g.founders[0].clone(); 17],
            |e| matches!(e, GenesisError::Founders(17)),
        ),
        (
            |g| g.founders.reverse(),
            |e| matches!(e, GenesisError::FounderOrder),
        ),
        (
            |g| g.founders[1] = g.founders[0].clone(),
            |e| matches!(e, GenesisError::FounderOrder),
        ),
        (
            |g| g.limits.max_members = 1,
            |e| matches!(e, GenesisError::Limits),
        ),
        (
            |g| g.limits.max_validity_ms = 0,
            |e| matches!(e, GenesisError::Limits),
        ),
    ];
    for (row, (change, expected)) in rows.into_iter().enumerate() {
        let mut genesis = swarm().genesis().clone();
        change(&mut genesis);
        let bytes = to_dag_cbor(&genesis).unwrap();
        let error = genesis.seal().unwrap_err();
        assert!(expected(&error), "row {row}: {error}");
        let error = SwarmBlock::open(&bytes).unwrap_err();
        assert!(expected(&error), "row {row} as a block: {error}");
    }
    let large = vec![0; MAX_GENESIS_BYTES + 1];
    assert!(matches!(
        SwarmBlock::open(&large),
        Err(GenesisError::TooLarge(_))
    ));
}

#[test]
fn invitations_are_judged_one_reason_at_a_time() {
    let swarm = swarm();
    let other = swarm_of(Admission::Open, 5);
    let with = |change: &dyn Fn(&mut Invitation)| {
        let mut invitation = body(&swarm);
        change(&mut invitation);
        invitation
    };
    let plain = || body(&swarm);
    let delegated =
        |delegation: Signed<Delegation>| with(&|i| i.delegation = Some(delegation.clone()));
    let changed_delegation = |by: u8, change: &dyn Fn(&mut Delegation)| {
        let mut body = delegation(1, 5, &swarm).body;
        change(&mut body);
        delegated(Verified::sign(&who(by), body).unwrap().into_signed())
    };
    let inner = |reason| Refusal::Delegation(Box::new(reason));
    let mut forged = sign(1, plain());
    forged.body.max_uses = Some(99);
    let mut stolen = sign(3, plain());
    stolen.author = did(1);
    let mut bad_delegation = delegation(1, 5, &swarm);
    bad_delegation.body.not_after_ms += 1;

    let rows: Vec<(&str, Signed<Invitation>, u64, Option<Refusal>)> = vec![
        ("a founder's", sign(1, plain()), NOW, None),
        ("at its last moment", sign(2, plain()), NOW + DAY, None),
        (
            "named",
            sign(1, with(&|i| i.invitee = Some(did(9)))),
            NOW,
            None,
        ),
        (
            "a delegate's",
            sign(5, delegated(delegation(1, 5, &swarm))),
            NOW,
            None,
        ),
        (
            "expired",
            sign(1, plain()),
            NOW + DAY + 1,
            Some(Refusal::Expired(NOW + DAY)),
        ),
        (
            "from the future",
            sign(1, with(&|i| i.issued_ms = NOW + DAY)),
            NOW,
            Some(Refusal::NotYetValid(NOW + DAY)),
        ),
        (
            "backwards",
            sign(1, with(&|i| i.not_after_ms = NOW - 1)),
            NOW,
            Some(Refusal::Validity),
        ),
        (
            "too long",
            sign(1, with(&|i| i.not_after_ms = NOW + 31 * DAY)),
            NOW,
            Some(Refusal::Validity),
        ),
        (
            "for ever",
            sign(1, with(&|i| i.not_after_ms = u64::MAX)),
            NOW,
            Some(Refusal::Validity),
        ),
        (
            "no uses",
            sign(1, with(&|i| i.max_uses = Some(0))),
            NOW,
            Some(Refusal::NoUses),
        ),
        (
            "another swarm",
            sign(1, body(&other)),
            NOW,
            Some(Refusal::WrongSwarm(*other.id())),
        ),
        (
            "another invitee",
            sign(1, with(&|i| i.invitee = Some(did(8)))),
            NOW,
            Some(Refusal::WrongInvitee(did(8))),
        ),
        (
            "not a founder",
            sign(5, plain()),
            NOW,
            Some(Refusal::NotAnIssuer(did(5))),
        ),
        ("altered", forged, NOW, Some(Refusal::Signature(did(1)))),
        ("stolen name", stolen, NOW, Some(Refusal::Signature(did(1)))),
        (
            "another's delegation",
            sign(6, delegated(delegation(1, 5, &swarm))),
            NOW,
            Some(Refusal::WrongDelegate(did(5))),
        ),
        (
            "a delegate's delegation",
            sign(6, delegated(delegation(5, 6, &swarm))),
            NOW,
            Some(inner(Refusal::NotAnIssuer(did(5)))),
        ),
        (
            "an altered delegation",
            sign(5, delegated(bad_delegation)),
            NOW,
            Some(inner(Refusal::Signature(did(1)))),
        ),
        (
            "an expired delegation",
            sign(5, changed_delegation(1, &|d| d.not_after_ms = NOW + 10)),
            NOW + 11,
            Some(inner(Refusal::Expired(NOW + 10))),
        ),
        (
            "another swarm's delegation",
            sign(5, changed_delegation(1, &|d| d.swarm = *other.id())),
            NOW,
            Some(inner(Refusal::WrongSwarm(*other.id()))),
        ),
    ];
    for (name, invitation, now, expected) in rows {
        let judged = judge(&swarm, &invitation, &did(9), now).err();
        assert_eq!(judged, expected, "{name}");
        let mut gate = Gatekeeper::new(swarm.clone(), []);
        let admitted = verdict(&present(&mut gate, 9, &[&invitation], now)).err();
        assert_eq!(admitted, expected, "{name} at the gate");
        assert_eq!(gate.is_member(&did(9)), expected.is_none(), "{name}");
    }
}

#[test]
fn founders_members_and_open_swarms_need_no_invitation() {
    let mut gate = Gatekeeper::new(swarm(), []);
    assert_eq!(
        verdict(&present(&mut gate, 1, &[], NOW)),
        Ok(Basis::Founder)
    );
    assert_eq!(
        verdict(&present(&mut gate, 9, &[], NOW)),
        Err(Refusal::NotInvited)
    );
    let invitation = sign(1, body(gate.swarm()));
    let bad = sign(9, body(gate.swarm()));
    // One that holds is enough, whatever else is shown.
    let outputs = present(&mut gate, 9, &[&bad, &invitation], NOW);
    let id = invitation_id(&invitation).unwrap();
    assert_eq!(verdict(&outputs), Ok(Basis::Invitation(id)));
    assert!(
        matches!(outputs[0], GateOutput::Persist(_)),
        "stored before anything is done"
    );
    assert_eq!(
        verdict(&present(&mut gate, 9, &[], NOW + 9 * DAY)),
        Ok(Basis::Member)
    );
    let many = vec![&bad; MAX_PRESENTED + 1];
    assert_eq!(
        verdict(&present(&mut gate, 8, &many, NOW)),
        Err(Refusal::TooMany(MAX_PRESENTED))
    );

    let open = swarm_of(Admission::Open, 5);
    let mut gate = Gatekeeper::new(open.clone(), []);
    assert_eq!(verdict(&present(&mut gate, 9, &[], NOW)), Ok(Basis::Open));
    gate.handle(
        revoke(1, &open, vec![RevocationTarget::Member(did(9))]),
        NOW,
    );
    assert_eq!(
        verdict(&present(&mut gate, 9, &[], NOW)),
        Err(Refusal::Revoked)
    );
}

#[test]
fn a_full_swarm_admits_nobody_more() {
    let swarm = swarm_of(Admission::Invited, 3);
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    let invitation = sign(1, body(&swarm));
    assert!(verdict(&present(&mut gate, 9, &[&invitation], NOW)).is_ok());
    assert_eq!(
        verdict(&present(&mut gate, 8, &[&invitation], NOW)),
        Err(Refusal::Full)
    );
    assert!(verdict(&present(&mut gate, 9, &[&invitation], NOW)).is_ok());
}

#[test]
fn a_single_use_invitation_is_used_once_even_after_a_restart() {
    let swarm = swarm();
    let mut once = body(&swarm);
    once.max_uses = Some(1);
    let once = sign(1, once);
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    let outputs = present(&mut gate, 9, &[&once], NOW);
    assert!(verdict(&outputs).is_ok());
    // Not at the same moment, not when the clock was set back, not by a restarted node.
    for peer in 3..9 {
        assert_eq!(
            verdict(&present(&mut gate, peer, &[&once], NOW)),
            Err(Refusal::UsedUp)
        );
        assert_eq!(
            verdict(&present(&mut gate, peer, &[&once], NOW - 50)),
            Err(Refusal::UsedUp)
        );
    }
    let stored: Vec<GateRecord> = records(&outputs)
        .iter()
        .map(|record| from_dag_cbor(&to_dag_cbor(record).unwrap()).unwrap())
        .collect();
    let mut again = Gatekeeper::new(swarm.clone(), stored.clone());
    assert_eq!(
        verdict(&present(&mut again, 8, &[&once], NOW)),
        Err(Refusal::UsedUp)
    );
    assert_eq!(
        verdict(&present(&mut again, 9, &[&once], NOW)),
        Ok(Basis::Member)
    );
    // Nor by putting out the one who used it.
    gate.handle(
        revoke(2, &swarm, vec![RevocationTarget::Member(did(9))]),
        NOW,
    );
    assert_eq!(
        verdict(&present(&mut gate, 8, &[&once], NOW)),
        Err(Refusal::UsedUp)
    );
    // A second signature over the same words is the same invitation.
    assert_eq!(
        invitation_id(&once).unwrap(),
        invitation_id(&sign(1, once.body.clone())).unwrap()
    );
}

#[test]
fn what_founders_revoke_no_longer_counts() {
    let swarm = swarm();
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    let invitation = sign(1, body(&swarm));
    let mut by_delegate = body(&swarm);
    by_delegate.delegation = Some(delegation(1, 5, &swarm));
    let by_delegate = sign(5, by_delegate);
    assert!(verdict(&present(&mut gate, 9, &[&invitation], NOW)).is_ok());

    let target = RevocationTarget::Invitation(invitation_id(&invitation).unwrap());
    for (by, swarm) in [(9, &swarm), (5, &swarm), (1, &swarm_of(Admission::Open, 5))] {
        let outputs = gate.handle(revoke(by, swarm, vec![target.clone()]), NOW);
        assert!(
            matches!(outputs[..], [GateOutput::Ignored { .. }]),
            "{outputs:?}"
        );
    }
    let outputs = gate.handle(revoke(2, &swarm, vec![target.clone()]), NOW);
    assert!(matches!(outputs[..], [GateOutput::Persist(_)]));
    assert!(
        gate.handle(revoke(2, &swarm, vec![target]), NOW).is_empty(),
        "once is enough"
    );
    assert_eq!(
        verdict(&present(&mut gate, 8, &[&invitation], NOW)),
        Err(Refusal::Revoked)
    );
    assert!(gate.is_member(&did(9)), "those it let in stay");

    // A delegate put out, or its delegation taken back, takes its invitations along.
    let delegation = delegation_id(&delegation(1, 5, &swarm)).unwrap();
    for target in [
        RevocationTarget::Member(did(5)),
        RevocationTarget::Delegation(delegation),
    ] {
        let mut gate = Gatekeeper::new(swarm.clone(), []);
        assert!(verdict(&present(&mut gate, 7, &[&by_delegate], NOW)).is_ok());
        let records = records(&gate.handle(revoke(1, &swarm, vec![target]), NOW));
        assert_eq!(
            verdict(&present(&mut gate, 8, &[&by_delegate], NOW)),
            Err(Refusal::Revoked)
        );
        let mut again = Gatekeeper::new(swarm.clone(), records);
        assert_eq!(
            verdict(&present(&mut again, 8, &[&by_delegate], NOW)),
            Err(Refusal::Revoked)
        );
    }

    let outputs = gate.handle(
        revoke(1, &swarm, vec![RevocationTarget::Member(did(9))]),
        NOW,
    );
    assert!(matches!(outputs.last(), Some(GateOutput::Expel { .. })));
    assert!(!gate.is_member(&did(9)));
    let outputs = gate.handle(
        revoke(1, &swarm, vec![RevocationTarget::Member(did(2))]),
        NOW,
    );
    assert!(
        matches!(outputs[..], [GateOutput::Ignored { .. }]),
        "founders stay"
    );
    assert!(gate.is_member(&did(2)));
}

#[test]
fn nodes_that_admitted_two_by_one_invitation_agree_on_the_first() {
    let swarm = swarm();
    let mut once = body(&swarm);
    once.max_uses = Some(1);
    let once = sign(1, once);
    let (mut a, mut b) = (
        Gatekeeper::new(swarm.clone(), []),
        Gatekeeper::new(swarm.clone(), []),
    );
    let heard_a = announced(&present(&mut a, 8, &[&once], NOW + 20));
    let heard_b = announced(&present(&mut b, 9, &[&once], NOW + 10));
    let from = |by: u8, admittance: &Admittance| {
        GateInput::Heard(Box::new(
            Verified::sign(&who(by), admittance.clone()).unwrap(),
        ))
    };
    // A stranger's word, or one's word for oneself, is worth nothing.
    for by in [7, 9] {
        let outputs = a.handle(from(by, &heard_b), NOW + 30);
        assert!(matches!(outputs[..], [GateOutput::Ignored { .. }]));
    }
    let outputs = a.handle(from(2, &heard_b), NOW + 30);
    assert!(
        outputs
            .iter()
            .any(|o| matches!(o, GateOutput::Expel { peer, .. } if *peer == did(8)))
    );
    let outputs = b.handle(from(1, &heard_a), NOW + 30);
    assert!(matches!(
        &outputs[..],
        [GateOutput::Ignored {
            reason: Refusal::UsedUp,
            ..
        }]
    ));
    for gate in [&a, &b] {
        assert!(gate.is_member(&did(9)) && !gate.is_member(&did(8)));
    }
    assert!(a.handle(from(2, &heard_b), NOW + 31).is_empty(), "old news");
    // An admittance is believed after the invitation's end, if it was in time; none from before it.
    let mut late = Gatekeeper::new(swarm.clone(), []);
    late.handle(from(2, &heard_b), NOW + 5 * DAY);
    assert!(late.is_member(&did(9)));
    let mut early = heard_a.clone();
    early.at_ms = NOW - DAY;
    let outputs = late.handle(from(2, &early), NOW + 5 * DAY);
    assert!(matches!(outputs[..], [GateOutput::Ignored { .. }]));
}

/// A member cannot use what it reads in notices to put out who came by it, nor to let others in.
#[test]
fn a_notice_gives_nobody_the_invitation_in_it() {
    let swarm = swarm();
    let (once, own) = (held(&swarm, Some(1)), sign(1, body(&swarm)));
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    assert!(verdict(&present(&mut gate, 5, &[&own], NOW + 10)).is_ok());
    let notice = announced(&present(&mut gate, 8, &[&once], NOW + 20));
    let foreign = claim(&SwarmKey::new([1; 32]), &once, &did(77)).unwrap();
    let mut renamed = notice.claim.clone().unwrap();
    renamed.body.peer = did(77);
    let other = held(&swarm, Some(2));
    for claim in [
        None,
        notice.claim.clone(),
        Some(foreign),
        Some(renamed),
        shown(77, &other),
    ] {
        let outputs = gate.handle(said(5, 77, &once, claim, NOW), NOW + 30);
        assert!(
            matches!(
                &outputs[..],
                [GateOutput::Ignored {
                    reason: Refusal::NotHeld,
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }
    assert!(gate.is_member(&did(8)) && !gate.is_member(&did(77)));
    // Nor does it revive it, whatever its end and however many may use it.
    let endless = held(&swarm, None);
    assert!(verdict(&present(&mut gate, 9, &[&endless], NOW + 20)).is_ok());
    let late = said(5, 77, &endless, None, NOW + 30);
    gate.handle(late, NOW + 5 * DAY);
    assert!(!gate.is_member(&did(77)));
    // At the door as well, only the one who holds the string comes in.
    let bare = GateInput::Present {
        peer: did(78),
        invitations: vec![endless.clone()],
        claims: Vec::new(),
    };
    assert_eq!(verdict(&gate.handle(bare, NOW)), Err(Refusal::NotHeld));
    // What was told about who did hold it is believed.
    let mut far = Gatekeeper::new(swarm.clone(), []);
    let told = GateInput::Heard(Box::new(Verified::sign(&who(2), notice).unwrap()));
    far.handle(told, NOW + 5 * DAY);
    assert!(far.is_member(&did(8)));
}

/// Who holds a join string that several came by cannot put out those who came before it.
#[test]
fn nobody_says_that_somebody_came_before_it_came_itself() {
    const HOUR: u64 = 3_600_000;
    let swarm = swarm();
    let link = held(&swarm, Some(3));
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    for (peer, hours) in [(8, 1), (9, 2), (5, 3)] {
        assert!(verdict(&present(&mut gate, peer, &[&link], NOW + hours * HOUR)).is_ok());
    }
    for at_ms in [NOW, NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR - DAY / 240] {
        let lie = said(5, 77, &link, shown(77, &link), at_ms);
        let outputs = gate.handle(lie, NOW + 4 * HOUR);
        assert!(
            matches!(&outputs[..], [GateOutput::Ignored { .. }]),
            "{outputs:?}"
        );
    }
    for member in [8, 9, 5] {
        assert!(gate.is_member(&did(member)));
    }
    // Clocks differ by a little: what it says of the moment it came counts.
    let mut gate = Gatekeeper::new(swarm, []);
    assert!(verdict(&present(&mut gate, 5, &[&link], NOW + 3 * HOUR)).is_ok());
    let told = said(5, 8, &link, shown(8, &link), NOW + 3 * HOUR - 60_000);
    gate.handle(told, NOW + 4 * HOUR);
    assert!(gate.is_member(&did(8)));
}

/// One that keeps changing what it said makes no work and no records.
#[test]
fn changing_ones_word_makes_no_records_without_end() {
    let swarm = swarm();
    for max_uses in [Some(3), None] {
        let link = held(&swarm, max_uses);
        let mut gate = Gatekeeper::new(swarm.clone(), []);
        present(&mut gate, 8, &[&link], NOW + 2_000);
        let mut stored = 0;
        for n in 0..1_000 {
            let word = said(2, 8, &link, shown(8, &link), NOW + 1_500 - n);
            stored += records(&gate.handle(word, NOW + 3_000)).len();
        }
        assert!((1..=8).contains(&stored), "{stored} records");
    }
    // Nor do many names for one place.
    let link = held(&swarm, Some(1));
    let mut gate = Gatekeeper::new(swarm.clone(), []);
    present(&mut gate, 8, &[&link], NOW + 2_000);
    let mut stored = 0;
    for peer in 10..200 {
        let word = said(
            2,
            peer,
            &link,
            shown(peer, &link),
            NOW + 1_500 - u64::from(peer),
        );
        stored += records(&gate.handle(word, NOW + 3_000)).len();
    }
    assert!((1..=20).contains(&stored), "{stored} records");
}

#[test]
fn a_ticket_holds_the_secret_of_its_invitation_alone() {
    let swarm = swarm();
    let mut good = ticket(1, None, false, false);
    good.invitation = Some(held(&swarm, Some(1)));
    assert_eq!(good.check(&did(9), NOW), Err(Refusal::NotHeld));
    good.secret = Some(secret());
    good.check(&did(9), NOW).unwrap();
    assert_eq!(JoinTicket::parse(&good.to_link().unwrap()).unwrap(), good);
    assert!(!format!("{good:?}").contains("42, 42"));
    good.secret = Some(SwarmKey::new([1; 32]));
    assert!(matches!(good.to_link(), Err(TicketError::WrongSecret)));
    good.invitation = None;
    assert!(matches!(good.to_link(), Err(TicketError::WrongSecret)));
}

fn ticket(addresses: usize, psk: Option<[u8; 32]>, by_id: bool, invited: bool) -> JoinTicket {
    let swarm = swarm();
    let invitation = invited.then(|| sign(1, body(&swarm)));
    let address = |port: usize| {
        BootstrapAddress::parse(&ADDRESS.replace("4001", &(port + 1).to_string())).unwrap()
    };
    JoinTicket {
        bootstrap: (0..addresses).map(address).collect(),
        swarm: if by_id {
            SwarmRef::Id(*swarm.id())
        } else {
            SwarmRef::Block(Box::new(swarm))
        },
        psk: psk.map(SwarmKey::new),
        secret: None,
        invitation,
    }
}

#[test]
fn tickets_say_what_is_wrong_with_them() {
    let good = ticket(2, Some([171; 32]), false, true);
    let link = good.to_link().unwrap();
    assert_eq!(JoinTicket::parse(&format!(" {link}\n")).unwrap(), good);
    assert!(
        !format!("{good:?}").contains("171, 171"),
        "the key is not printed"
    );
    good.check(&did(9), NOW).unwrap();
    assert_eq!(
        good.check(&did(9), NOW + 2 * DAY),
        Err(Refusal::Expired(NOW + DAY))
    );

    let is = |text: &str, expected: fn(&TicketError) -> bool| {
        let error = JoinTicket::parse(text).unwrap_err();
        assert!(expected(&error), "{text}: {error}");
    };
    is("", |e| matches!(e, TicketError::Prefix));
    is("https://example.org", |e| matches!(e, TicketError::Prefix));
    is(TICKET_PREFIX, |e| matches!(e, TicketError::Checksum));
    is("pagi://join/a b", |e| matches!(e, TicketError::Encoding));
    let cut = &link[..link.len() - 4];
    is(cut, |e| {
        matches!(e, TicketError::Checksum | TicketError::Encoding)
    });
    is(&format!("{link}="), |e| matches!(e, TicketError::Encoding));
    is(&"p".repeat(MAX_LINK_CHARS + 1), |e| {
        matches!(e, TicketError::TooLong)
    });

    let many = ticket(MAX_TICKET_ADDRESSES + 1, None, true, false);
    assert!(matches!(
        many.to_link(),
        Err(TicketError::TooManyAddresses(17))
    ));
    let mut wrong = ticket(0, None, true, true);
    let other: Cid = cid_of(b"other");
    wrong.swarm = SwarmRef::Id(other);
    assert!(matches!(wrong.to_link(), Err(TicketError::WrongSwarm(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tickets_survive_the_round_trip(
        addresses in 0..=MAX_TICKET_ADDRESSES,
        psk in proptest::option::of(any::<[u8; 32]>()),
        by_id in any::<bool>(),
        invited in any::<bool>(),
    ) {
        let ticket = ticket(addresses, psk, by_id, invited);
        let link = ticket.to_link().unwrap();
        prop_assert!(link.is_ascii() && link.len() <= MAX_LINK_CHARS);
        prop_assert_eq!(JoinTicket::parse(&link).unwrap(), ticket);
    }

    #[test]
    fn any_changed_byte_of_a_ticket_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..128) {
        let link = ticket(1, Some([3; 32]), false, true).to_link().unwrap();
        let mut bytes = link.clone().into_bytes();
        bytes[at.index(link.len())] ^= flip;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(JoinTicket::parse(&text).is_err(), "{}", text);
        }
    }

    #[test]
    fn any_changed_byte_of_a_genesis_is_another_swarm(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let swarm = swarm();
        let mut bytes = swarm.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(SwarmBlock::open_as(swarm.id(), &bytes).is_err());
        if let Ok(other) = SwarmBlock::open(&bytes) {
            prop_assert_ne!(other.id(), swarm.id());
        }
    }

    #[test]
    fn any_changed_byte_of_an_invitation_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let swarm = swarm();
        let mut delegated = body(&swarm);
        delegated.delegation = Some(delegation(1, 5, &swarm));
        let signed = sign(5, delegated);
        let mut bytes = to_dag_cbor(&signed).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = from_dag_cbor::<Signed<Invitation>>(&bytes) {
            // Another spelling of the very same invitation is still that invitation.
            prop_assert!(changed == signed || judge(&swarm, &changed, &did(9), NOW).is_err());
        }
    }

    #[test]
    fn arbitrary_text_and_bytes_never_panic(
        text in "\\PC{0,200}",
        tail in "[A-Za-z0-9_-]{0,400}",
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(JoinTicket::parse(&text).is_err());
        let with_prefix = format!("{TICKET_PREFIX}{tail}");
        prop_assert!(JoinTicket::parse(&with_prefix).is_err());
        prop_assert!(SwarmBlock::open(&bytes).is_err());
    }

    /// Whatever the order in which uses are heard, all arrive at the same members.
    #[test]
    fn the_order_of_hearing_does_not_matter(
        times in proptest::collection::vec(0u64..50, 10),
        order in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(),
        max_uses in 1u32..4,
    ) {
        let swarm = swarm();
        let limited = held(&swarm, Some(max_uses));
        // Of each newcomer two members speak, who saw it come at different times.
        let heard: Vec<_> = times
            .iter()
            .enumerate()
            .map(|(index, at)| {
                let (peer, by) = (10 + index as u8 / 2, 1 + index as u8 % 2);
                said(by, peer, &limited, shown(peer, &limited), NOW + at)
            })
            .collect();
        let (mut one, mut two) = (Gatekeeper::new(swarm.clone(), []), Gatekeeper::new(swarm.clone(), []));
        let mut stored = Vec::new();
        for index in 0..10 {
            one.handle(heard[index].clone(), NOW + DAY);
            stored.extend(records(&two.handle(heard[order[index]].clone(), NOW + DAY)));
        }
        let members: Vec<_> = one.members().cloned().collect();
        prop_assert_eq!(&members, &two.members().cloned().collect::<Vec<_>>());
        prop_assert_eq!(members.len(), 2 + max_uses as usize);
        let restored = Gatekeeper::new(swarm, stored);
        prop_assert_eq!(members, restored.members().cloned().collect::<Vec<_>>());
    }
}
