//! Contacts, keys, credentials, reputation, and the kill switch, as the control API sees them.

use async_trait::async_trait;
use pagi_api::{
    ApiError,
    messages::{ChangeContacts, Contacts},
    trust::{AddCredential, CredentialView, GiveOrder, Halt, OrderView, RotatedKey, Trust},
};
use pagi_messages::{Action, Did, Notice, Order, Rank, Verified};
use pagi_twin::now_ms;
use serde_json::{Value, json};

use super::PagiNode;
use crate::wiring::{
    views::{internal, twin_error},
    vouches::time_text,
};

#[async_trait]
impl Trust for PagiNode {
    async fn contacts(&self, twin_id: &str) -> Result<Contacts, ApiError> {
        self.mind.contacts(twin_id).map_err(twin_error)
    }

    async fn change_contacts(
        &self,
        twin_id: &str,
        change: ChangeContacts,
    ) -> Result<Contacts, ApiError> {
        self.mind
            .change_contacts(twin_id, change)
            .await
            .map_err(twin_error)
    }

    async fn rotate_key(&self, twin_id: &str) -> Result<RotatedKey, ApiError> {
        let statement = self.mind.rotate_key(twin_id).await.map_err(twin_error)?;
        self.announce_twins().await?;
        let notice = Notice::Rotation {
            statement: statement.clone(),
        };
        self.board.post(notice).await;
        Ok(RotatedKey {
            old: statement.by_old.body.old.to_string(),
            new: statement.by_old.body.new.to_string(),
            statement: serde_json::to_value(&statement).map_err(internal)?,
            twin: self.mind.twin(twin_id).map_err(twin_error)?,
        })
    }

    async fn halt(&self) -> Result<Halt, ApiError> {
        let orders = self.mind.orders();
        let views = orders.all().iter().map(|standing| {
            let order = &standing.signed.body;
            OrderView {
                action: match order.action {
                    Action::Stop => "stop",
                    Action::Resume => "resume",
                }
                .to_owned(),
                twin: order.twin.as_ref().map(ToString::to_string),
                by: standing.signed.author.to_string(),
                rank: match standing.rank {
                    Rank::Founder => "founder",
                    Rank::Orchestrator => "orchestrator",
                }
                .to_owned(),
                at: time_text(order.at_ms),
                reason: order.reason.clone(),
                overridden: standing.overridden,
            }
        });
        Ok(Halt {
            stopped: self.mind.stopped(None),
            orders: views.collect(),
        })
    }

    async fn give_order(&self, order: GiveOrder) -> Result<Halt, ApiError> {
        let action = match order.action.as_str() {
            "stop" => Action::Stop,
            "resume" => Action::Resume,
            _ => return Err(ApiError::invalid("action is `stop` or `resume`")),
        };
        let twin = order
            .twin
            .map(|did| did.parse::<Did>())
            .transpose()
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let order = Order {
            swarm: self.board.swarm_name().to_owned(),
            twin,
            action,
            reason: order.reason,
            at_ms: now_ms(),
        };
        let signed = Verified::sign(&self.identity, order).map_err(internal)?;
        let rank = self.board.rank(self.identity.did());
        let swarm = self.board.swarm_name();
        self.mind
            .obey(signed.clone(), swarm, rank)
            .await
            .map_err(twin_error)?;
        let order = signed.into_signed();
        self.board.post(Notice::Order { order }).await;
        self.halt().await
    }

    async fn override_halt(&self) -> Result<Halt, ApiError> {
        self.mind.override_stops().await.map_err(twin_error)?;
        self.halt().await
    }

    async fn credentials(&self) -> Result<Vec<CredentialView>, ApiError> {
        self.board.vouches.views()
    }

    async fn add_credential(&self, request: AddCredential) -> Result<CredentialView, ApiError> {
        let publish = request.publish;
        let document = request.document.to_string();
        let view = self.board.vouches.add(request).await?;
        if publish {
            self.board.post(Notice::Credential { document }).await;
        }
        Ok(view)
    }

    async fn revoke_credential(&self, id: &str) -> Result<CredentialView, ApiError> {
        let (view, list) = self.board.vouches.revoke(id).await?;
        let document = list.to_string();
        self.board.post(Notice::StatusList { document }).await;
        Ok(view)
    }

    async fn explain(&self, did: &str) -> Result<Value, ApiError> {
        let did: Did = did
            .parse()
            .map_err(|error: pagi_messages::DidError| ApiError::invalid(error.to_string()))?;
        let current = self.mind.current_did(&did).map_err(twin_error)?;
        let standing = self.board.vouches.standing(&did)?;
        let mut explained = serde_json::to_value(&standing).map_err(internal)?;
        explained["did"] = json!(did);
        if current != did {
            explained["rotated_to"] = json!(current);
        }
        Ok(explained)
    }
}
