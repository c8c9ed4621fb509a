//! The fake node's word on whom to believe and whom to obey.

use async_trait::async_trait;
use pagi_api::{
    ApiError, Node,
    messages::{ChangeContacts, Contacts},
    trust::{AddCredential, CredentialView, GiveOrder, Halt, RotatedKey, Trust},
};
use serde_json::{Value, json};

use crate::fake_node::{FakeNode, shape};

fn credential(document: Value) -> CredentialView {
    shape(json!({
        "id": "c1", "issuer": "did:key:z6Mk", "subject": "did:key:z6Mk", "type": "x",
        "status": "valid", "own": true, "public": false, "document": document,
    }))
}

#[async_trait]
impl Trust for FakeNode {
    async fn contacts(&self, twin_id: &str) -> Result<Contacts, ApiError> {
        self.twin(twin_id).await?;
        Ok(Contacts::default())
    }

    async fn change_contacts(
        &self,
        twin_id: &str,
        change: ChangeContacts,
    ) -> Result<Contacts, ApiError> {
        self.twin(twin_id).await?;
        self.wrote("change_contacts");
        Ok(Contacts {
            blocked: change.block,
            ..Contacts::default()
        })
    }

    async fn rotate_key(&self, twin_id: &str) -> Result<RotatedKey, ApiError> {
        let twin = self.twin(twin_id).await?;
        self.wrote("rotate_key");
        Ok(RotatedKey {
            old: twin.did.clone(),
            new: "did:key:z6Mk".into(),
            statement: json!({}),
            twin,
        })
    }

    async fn halt(&self) -> Result<Halt, ApiError> {
        Ok(Halt::default())
    }

    async fn give_order(&self, order: GiveOrder) -> Result<Halt, ApiError> {
        if order.action == "never" {
            return Err(ApiError::Forbidden("no founder".into()));
        }
        self.wrote("give_order");
        Ok(Halt::default())
    }

    async fn override_halt(&self) -> Result<Halt, ApiError> {
        self.wrote("override_halt");
        Ok(Halt::default())
    }

    async fn credentials(&self) -> Result<Vec<CredentialView>, ApiError> {
        Ok(vec![credential(json!({}))])
    }

    async fn add_credential(&self, request: AddCredential) -> Result<CredentialView, ApiError> {
        self.wrote("add_credential");
        Ok(credential(request.document))
    }

    async fn revoke_credential(&self, _: &str) -> Result<CredentialView, ApiError> {
        self.wrote("revoke_credential");
        Ok(credential(json!({})))
    }

    async fn explain(&self, did: &str) -> Result<Value, ApiError> {
        Ok(json!({"did": did, "standing": 0.0}))
    }
}
