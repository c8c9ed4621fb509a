//! What the user sees of the gate, and takes back through it.

use pagi_api::{
    ApiError,
    membership::{Membership, RefusedNode},
};
use pagi_bootstrap::{Admission, GateInput, Refusal, Revocation, RevocationTarget};
use pagi_messages::{
    Verified,
    event::{from_unix_ms, rfc3339},
};
use pagi_twin::now_ms;
use tokio::sync::oneshot;

use super::{
    super::{
        door::Ledger,
        waiting::{self, Door},
        wire::Notice,
    },
    GateError, Keeper,
};

impl Keeper {
    pub(super) async fn revoke(
        &mut self,
        targets: Vec<RevocationTarget>,
        reply: oneshot::Sender<Result<(), ApiError>>,
    ) -> Result<(), GateError> {
        let Some(block) = self.facts.block() else {
            let _ = reply.send(Err(ApiError::Conflict(format!(
                "the swarm `{}` is a name alone: there is nothing to revoke",
                self.facts.name
            ))));
            return Ok(());
        };
        let revocation = Revocation {
            swarm: *block.id(),
            targets: targets.clone(),
            issued_ms: now_ms(),
        };
        let signed = Verified::sign(&self.facts.identity, revocation)?;
        let notice = Notice::Revocation(signed.as_signed().clone());
        let outcome = match self
            .judge(GateInput::Revoke(signed), Some(notice.clone()))
            .await
        {
            Ok(outcome) => outcome,
            Err(error) => {
                let _ = reply.send(Err(ApiError::Internal(error.to_string())));
                return Err(error);
            }
        };
        let answer = match outcome.ignored {
            Some(Refusal::NoStanding(_)) => Err(ApiError::Forbidden(
                "only founders of the swarm revoke, and founders themselves cannot be put out"
                    .to_owned(),
            )),
            Some(reason) => Err(ApiError::invalid(reason.to_string())),
            None => {
                self.gossip(&notice)?;
                Ok(())
            }
        };
        let _ = reply.send(answer);
        Ok(())
    }

    pub(super) fn view(&self) -> Membership {
        let me = self.facts.identity.did();
        let listed = |ledger: &Ledger| {
            ledger
                .list()
                .into_iter()
                .map(|(did, entry)| RefusedNode {
                    did: did.to_string(),
                    reason: entry.reason.clone(),
                    ts: rfc3339(from_unix_ms(entry.at_ms)),
                    times: entry.times,
                })
                .collect()
        };
        let mut view = Membership {
            name: self.facts.name.clone(),
            network: self.facts.network.clone(),
            id: None,
            admission: "name".to_owned(),
            pre_shared_key: false,
            founders: Vec::new(),
            standing: "open".to_owned(),
            members: Vec::new(),
            revoked: Vec::new(),
            refused: listed(&self.refused),
            refused_by: listed(&self.refused_by),
            waiting: None,
        };
        let (Some(known), Some(gatekeeper)) = (&self.facts.known, &self.gatekeeper) else {
            return view;
        };
        let genesis = known.block.genesis();
        let open = genesis.admission == Admission::Open;
        view.id = Some(known.block.id().to_string());
        view.admission = if open { "open" } else { "invited" }.to_owned();
        view.pre_shared_key = known.key.is_some();
        view.founders = genesis.founders.iter().map(ToString::to_string).collect();
        view.standing = if genesis.is_founder(me) {
            "founder"
        } else if !gatekeeper.is_member(me) {
            "waiting"
        } else if open {
            "open"
        } else {
            "member"
        }
        .to_owned();
        if view.standing == "waiting" {
            let latest = self.refused_by.list().first().copied();
            let out = RevocationTarget::Member(me.clone());
            view.waiting = Some(waiting::why(&Door {
                me,
                founder: genesis.founders.first(),
                put_out: gatekeeper.revoked().any(|target| *target == out),
                invitation: known.invitation.as_ref().map(|one| one.body.not_after_ms),
                undecided: self.door.undecided(),
                refused: latest.map(|(did, entry)| (did, entry, self.refused_by.list().len())),
                dialled: &known.bootstrap,
                now_ms: now_ms(),
            }));
        }
        view.members = gatekeeper.members().map(ToString::to_string).collect();
        view.revoked = gatekeeper
            .revoked()
            .map(|target| match target {
                RevocationTarget::Invitation(id) | RevocationTarget::Delegation(id) => {
                    id.to_string()
                }
                RevocationTarget::Member(did) => did.to_string(),
            })
            .collect();
        view
    }
}
