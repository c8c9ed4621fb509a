//! Whom to believe and whom to obey: contacts, keys, credentials, reputation, and the kill switch.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::ApiError,
    messages::{ChangeContacts, Contacts},
    twins::Twin,
};

/// `POST /twins/{twin_id}/rotate`: a twin has another key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotatedKey {
    /// The DID that was given up.
    pub old: String,
    /// The DID in force.
    pub new: String,
    /// The statement that both keys signed.
    pub statement: Value,
    /// The twin as it is now.
    pub twin: Twin,
}

/// `POST /halt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GiveOrder {
    /// `stop` or `resume`.
    pub action: String,
    /// The DID of the twin that is meant; the whole swarm without it.
    #[serde(default)]
    pub twin: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// `GET /halt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Halt {
    /// Why the node does nothing now; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Every order known.
    pub orders: Vec<OrderView>,
}

/// An order as it is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OrderView {
    /// `stop` or `resume`.
    pub action: String,
    /// The twin that is meant; the whole swarm without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// Who gave it.
    pub by: String,
    /// `founder` or `orchestrator`.
    pub rank: String,
    /// When (RFC 3339).
    pub at: String,
    /// Why.
    pub reason: String,
    /// The node's own user goes on in spite of it.
    pub overridden: bool,
}

/// A credential this node keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CredentialView {
    /// The CID of its canonical form: what it is called here.
    pub id: String,
    /// Who says it.
    pub issuer: String,
    /// Of whom.
    pub subject: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The score, of a reputation credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// `valid`, or why it is not.
    pub status: String,
    /// Until when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Whether a twin of this node issued it.
    pub own: bool,
    /// Whether it is told to the swarm.
    pub public: bool,
    /// The credential itself.
    pub document: Value,
}

/// `POST /credentials`: keep a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddCredential {
    /// The credential.
    pub document: Value,
    /// Tell the swarm of it.
    #[serde(default)]
    pub publish: bool,
}

/// What the user of a node decides on trust.
#[async_trait]
pub trait Trust: Send + Sync {
    /// Whom a twin listens to.
    async fn contacts(&self, twin_id: &str) -> Result<Contacts, ApiError>;
    /// Changes whom a twin listens to.
    async fn change_contacts(
        &self,
        twin_id: &str,
        change: ChangeContacts,
    ) -> Result<Contacts, ApiError>;
    /// Gives a twin another key, and tells the swarm.
    async fn rotate_key(&self, twin_id: &str) -> Result<RotatedKey, ApiError>;

    /// Whether the node is stopped, and every order known.
    async fn halt(&self) -> Result<Halt, ApiError>;
    /// Gives an order as this node, and tells the swarm.
    async fn give_order(&self, order: GiveOrder) -> Result<Halt, ApiError>;
    /// Goes on in spite of every stop so far.
    async fn override_halt(&self) -> Result<Halt, ApiError>;

    /// The credentials kept here.
    async fn credentials(&self) -> Result<Vec<CredentialView>, ApiError>;
    /// Keeps a credential that holds.
    async fn add_credential(&self, request: AddCredential) -> Result<CredentialView, ApiError>;
    /// Takes a credential back that a twin of this node issued, and tells the swarm.
    async fn revoke_credential(&self, id: &str) -> Result<CredentialView, ApiError>;
    /// How far a DID is believed, and why.
    async fn explain(&self, did: &str) -> Result<Value, ApiError>;
}
