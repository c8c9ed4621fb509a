//! The trait behind the REST routes.

use async_trait::async_trait;
use futures::stream::BoxStream;
use pagi_messages::{Event, EventType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::ApiError, goal::*, membership::*, messages::*, swarm::*, tools::*, twins::*, work::*,
};

/// `POST /publish`: an event of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PublishEvent {
    /// One of the contract's types.
    pub event_type: String,
    /// The twin it is about.
    #[serde(default)]
    pub twin_id: Option<String>,
    /// What it is about, where that is not a twin.
    #[serde(default)]
    pub subject: Option<String>,
    /// Who publishes; `api` unless given.
    #[serde(default)]
    pub source: Option<String>,
    /// The details.
    #[serde(default)]
    pub payload: Value,
}

/// An event and its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// Place in the log, strictly rising.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// What became of a published event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedEvent {
    /// The event in this node's log.
    #[serde(flatten)]
    pub logged: LoggedEvent,
    /// Whether it was sent to the swarm as well. All other events stay on this node, and say
    /// nothing of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// Which events to show; an unset field lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this kind.
    pub event_type: Option<EventType>,
    /// About this twin.
    pub twin_id: Option<String>,
    /// From this source.
    pub source: Option<String>,
}

/// A live stream of events that never skips one: it reads the log first and follows it then.
pub type EventStream = BoxStream<'static, Result<LoggedEvent, ApiError>>;

/// What a node offers its user.
///
/// Every call fails with the [`ApiError`] its route turns into a problem document; a write is
/// acknowledged (returns `Ok`) only when it is durable.
#[async_trait]
pub trait Node: crate::trust::Trust + 'static {
    /// The node at a glance.
    async fn info(&self) -> Result<NodeInfo, ApiError>;
    /// The node's own DID document.
    async fn did_document(&self) -> Result<Value, ApiError>;
    /// Counters in Prometheus text format 0.0.4.
    async fn metrics(&self) -> Result<String, ApiError>;

    /// Makes a twin.
    async fn create_twin(&self, request: CreateTwin) -> Result<Twin, ApiError>;
    /// Every twin.
    async fn twins(&self) -> Result<Vec<Twin>, ApiError>;
    /// One twin.
    async fn twin(&self, twin_id: &str) -> Result<Twin, ApiError>;
    /// Its DID and document.
    async fn twin_did(&self, twin_id: &str) -> Result<TwinDid, ApiError>;
    /// Merges `patch` into its state (RFC 7396).
    async fn patch_state(&self, twin_id: &str, patch: Value) -> Result<Twin, ApiError>;

    /// Adds to its memory.
    async fn append_memory(&self, twin_id: &str, entry: AppendMemory) -> Result<Memory, ApiError>;
    /// Its newest entries, oldest first.
    async fn memories(&self, twin_id: &str, limit: Option<usize>) -> Result<Vec<Memory>, ApiError>;
    /// Its entries that fit `query`, best first.
    async fn search_memory(
        &self,
        twin_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Memory>, ApiError>;
    /// Its emotion now.
    async fn emotion(&self, twin_id: &str) -> Result<Emotion, ApiError>;
    /// Sets its emotion.
    async fn set_emotion(&self, twin_id: &str, emotion: SetEmotion) -> Result<Emotion, ApiError>;
    /// Acts.
    async fn act(&self, request: ActRequest) -> Result<ActOutcome, ApiError>;

    /// Builds a context, weighted by emotion if `emotional`.
    async fn build_context(
        &self,
        request: BuildContext,
        emotional: bool,
    ) -> Result<BuiltContext, ApiError>;
    /// Asks the inference gateway.
    async fn infer(&self, request: InferRequest) -> Result<InferResponse, ApiError>;
    /// Runs a goal; steps go to `progress` as they end.
    async fn interact(
        &self,
        twin_id: &str,
        request: GoalRequest,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, ApiError>;
    /// Plans a goal without running it.
    async fn plan(&self, request: PlanRequest) -> Result<Plan, ApiError>;

    /// Registers a tool.
    async fn register_tool(&self, request: RegisterTool) -> Result<Tool, ApiError>;
    /// Every tool, or those of a twin with its grants.
    async fn tools(&self, twin_id: Option<&str>) -> Result<Vec<Tool>, ApiError>;
    /// Grants or denies a tool to a twin.
    async fn allow_tool(&self, twin_id: &str, request: AllowTool) -> Result<Tool, ApiError>;
    /// Calls a tool.
    async fn execute_tool(&self, name: &str, request: ExecuteTool) -> Result<ToolResult, ApiError>;
    /// Plugins found, loaded or not.
    async fn plugins(&self) -> Result<Vec<Plugin>, ApiError>;
    /// Copies a plugin's folder into the node and loads it.
    async fn install_plugin(&self, request: InstallPlugin) -> Result<Plugin, ApiError>;
    /// Takes an installed plugin, its tools and what was granted of them away.
    async fn remove_plugin(&self, name: &str) -> Result<Plugin, ApiError>;

    /// Sends a private message as a twin.
    async fn send_message(
        &self,
        twin_id: &str,
        request: SendMessage,
    ) -> Result<SentMessage, ApiError>;
    /// Takes a packed message in for a twin of this node.
    async fn receive_message(&self, packed: &str) -> Result<MessageReceipt, ApiError>;
    /// The newest messages a twin received, oldest first; only unread ones with `unread`.
    async fn messages(
        &self,
        twin_id: &str,
        unread: bool,
        limit: usize,
    ) -> Result<Vec<ReceivedMessage>, ApiError>;
    /// Marks messages as read.
    async fn mark_read(&self, twin_id: &str, request: MarkRead) -> Result<MarkedRead, ApiError>;

    /// Logs an event of the user's own; one of a shared type goes to the swarm too.
    async fn publish(&self, request: PublishEvent) -> Result<PublishedEvent, ApiError>;
    /// Events after `after`, oldest first.
    async fn events(
        &self,
        after: u64,
        limit: usize,
        filter: EventFilter,
    ) -> Result<Vec<LoggedEvent>, ApiError>;
    /// Events after `after` (from now on without one), and those that follow.
    async fn follow_events(
        &self,
        after: Option<u64>,
        filter: EventFilter,
    ) -> Result<EventStream, ApiError>;
    /// Audited acts after `after`, oldest first.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, ApiError>;

    /// The swarm at a glance.
    async fn swarm(&self) -> Result<SwarmView, ApiError>;
    /// Every twin known: those here, those heard lately, and those that were heard before.
    async fn swarm_twins(&self) -> Result<Vec<KnownTwin>, ApiError>;
    /// Gives a task to the swarm.
    async fn ask_swarm(&self, request: AskSwarm) -> Result<SwarmTask, ApiError>;
    /// Tasks given to the swarm, and tasks of others.
    async fn swarm_tasks(&self) -> Result<SwarmTasks, ApiError>;
    /// A task given to the swarm.
    async fn swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError>;
    /// What happens to a task until it ends.
    async fn watch_swarm_task(&self, id: &str) -> Result<TaskStream, ApiError>;
    /// Takes a task back.
    async fn cancel_swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError>;
    /// Connected peers.
    async fn peers(&self) -> Result<Vec<Peer>, ApiError>;
    /// Who belongs to the swarm.
    async fn membership(&self) -> Result<Membership, ApiError>;
    /// Invites a newcomer.
    async fn invite(&self, request: NewInvitation) -> Result<InvitationView, ApiError>;
    /// Takes invitations back, or puts members out.
    async fn revoke(&self, request: NewRevocation) -> Result<Membership, ApiError>;
    /// How the node is reached, whom it keeps away, and its limits.
    async fn network(&self) -> Result<NetworkView, ApiError>;
    /// Keeps a peer away.
    async fn ban(&self, request: NewBan) -> Result<NetworkView, ApiError>;
    /// Lets a peer come back.
    async fn unban(&self, peer: &str) -> Result<NetworkView, ApiError>;
    /// The adopted playbook.
    async fn playbook(&self) -> Result<PlaybookView, ApiError>;
    /// Its newest revisions, newest first.
    async fn playbook_log(&self, limit: usize) -> Result<Vec<RevisionView>, ApiError>;
    /// Replays its history.
    async fn verify_playbook(&self) -> Result<PlaybookCheck, ApiError>;
    /// What differs between two revisions; without `to` up to the head, without `from` from the one
    /// before `to`.
    async fn playbook_diff(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<PlaybookDiff, ApiError>;
    /// Refinement artifacts, newest first.
    async fn artifacts(&self, limit: usize) -> Result<Vec<ArtifactView>, ApiError>;
    /// One artifact.
    async fn artifact(&self, cid: &str) -> Result<ArtifactView, ApiError>;
    /// A person lets an artifact that waits for it go on.
    async fn approve_artifact(&self, cid: &str) -> Result<ArtifactView, ApiError>;
    /// A person refuses an artifact that is not merged yet.
    async fn reject_artifact(
        &self,
        cid: &str,
        request: RejectArtifact,
    ) -> Result<ArtifactView, ApiError>;
    /// As MO, takes merged artifacts back in one revision; returns the artifact that says so.
    async fn revert_playbook(&self, request: RevertPlaybook) -> Result<ArtifactView, ApiError>;
    /// Who is MO and why.
    async fn mo(&self) -> Result<MoView, ApiError>;
    /// Gives the role of MO up.
    async fn step_down(&self) -> Result<MoView, ApiError>;

    /// Stores DAG-CBOR of `document` under its CID, pinned.
    async fn put_document(&self, document: Value) -> Result<String, ApiError>;
    /// Fetches a document by CID, from here or from the swarm.
    async fn get_document(&self, cid: &str) -> Result<Value, ApiError>;

    /// Content by CID; `None` where the node keeps none.
    fn content(&self) -> Option<std::sync::Arc<dyn crate::content::Content>> {
        None
    }
}
