//! The node as its control API sees it; its concerns beyond a line or two are in files of their own.

mod glance;
mod library;
mod tools;
mod trust;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use futures::StreamExt;
use pagi_api::{
    ApiError, EventFilter, EventStream, LoggedEvent, Node, PublishEvent, PublishedEvent, goal::*,
    membership::*, messages::*, swarm::*, tools::*, twins::*, work::*,
};
use pagi_hive::Hive;
use pagi_messages::{Capabilities, Did, Event, EventType, SigningIdentity, TwinPresence};
use pagi_playbook::Genesis;
use pagi_store::Store;
use pagi_swarm::Swarm;
use pagi_twin::{InferError, Mind, event_now, now_ms, ports::Tools};
use serde_json::{Value, json};

use super::{
    catchup::Catchup,
    curate,
    gate::{Gate, targets},
    gateway::Gateway,
    mailroom::Keeper,
    notices::Board,
    reach,
    sightings::Heard,
    views::{
        artifact_view, filter, hive_error, internal, logged, parse_cid, receive_error, shared_task,
        store_error, twin_error,
    },
    work::{Market, keeps_secrets},
};

/// The node behind the control API.
pub struct PagiNode {
    identity: SigningIdentity,
    swarm_name: String,
    document: Value,
    bootstrap: Vec<String>,
    genesis: Genesis,
    store: Store,
    swarm: Swarm,
    catchup: Catchup,
    hive: Hive,
    mind: Mind,
    gateway: Arc<Gateway>,
    market: Market,
    gate: Gate,
    relays: bool,
    board: Arc<Board>,
    keeper: Arc<Keeper>,
    heard: Arc<Heard>,
    started: Instant,
}

impl PagiNode {
    #[allow(
        clippy::too_many_arguments,
        reason = "one argument per room that is joined"
    )]
    pub(super) fn new(
        identity: SigningIdentity,
        swarm_name: String,
        document: Value,
        bootstrap: Vec<String>,
        genesis: Genesis,
        store: Store,
        swarm: Swarm,
        catchup: Catchup,
        hive: Hive,
        mind: Mind,
        gateway: Arc<Gateway>,
        market: Market,
        gate: Gate,
        relays: bool,
        board: Arc<Board>,
        keeper: Arc<Keeper>,
        heard: Arc<Heard>,
        started: Instant,
    ) -> Self {
        Self {
            identity,
            swarm_name,
            document,
            bootstrap,
            genesis,
            store,
            swarm,
            catchup,
            hive,
            mind,
            gateway,
            market,
            gate,
            relays,
            board,
            keeper,
            heard,
            started,
        }
    }

    /// Tells the hive which twins live here, so that it announces them.
    ///
    /// # Errors
    /// [`ApiError`] where the store fails.
    pub async fn announce_twins(&self) -> Result<(), ApiError> {
        let mut twins = Vec::new();
        for twin in self.mind.twins().map_err(twin_error)? {
            twins.extend(self.presence(&twin).await?);
        }
        self.hive.set_twins(twins);
        self.market.refresh();
        Ok(())
    }

    /// Tells the hive of one twin that is new or has changed.
    async fn announce_twin(&self, twin: &Twin) -> Result<(), ApiError> {
        match self.presence(twin).await? {
            Some(presence) => self.hive.set_twin(presence),
            None => self.hive.drop_twin(&twin.twin_id),
        }
        Ok(())
    }

    /// What is announced of a twin; nothing of one that is not active.
    async fn presence(&self, twin: &Twin) -> Result<Option<TwinPresence>, ApiError> {
        if twin.state.get("status").and_then(Value::as_str) != Some("active") {
            return Ok(None);
        }
        let did: Did = twin.did.parse().map_err(internal)?;
        let tools = self.gateway.catalog(&twin.twin_id).await;
        Ok(Some(TwinPresence {
            did,
            timestamp: now_ms(),
            capabilities: Capabilities {
                tools: tools.into_iter().map(|tool| tool.name).collect(),
                inference: self.mind.engine().name().to_owned(),
                name: glance::said(twin, "name"),
                role: glance::said(twin, "role"),
            },
            twin_id: twin.twin_id.clone(),
        }))
    }
}

#[async_trait]
impl Node for PagiNode {
    async fn info(&self) -> Result<NodeInfo, ApiError> {
        self.glance().await
    }

    async fn did_document(&self) -> Result<Value, ApiError> {
        Ok(self.document.clone())
    }

    async fn metrics(&self) -> Result<String, ApiError> {
        self.counters().await
    }

    async fn create_twin(&self, request: CreateTwin) -> Result<Twin, ApiError> {
        let twin = self.mind.create_twin(request).await.map_err(twin_error)?;
        self.announce_twin(&twin).await?;
        Ok(twin)
    }

    async fn twins(&self) -> Result<Vec<Twin>, ApiError> {
        self.mind.twins().map_err(twin_error)
    }

    async fn twin(&self, twin_id: &str) -> Result<Twin, ApiError> {
        self.mind.twin(twin_id).map_err(twin_error)
    }

    async fn twin_did(&self, twin_id: &str) -> Result<TwinDid, ApiError> {
        self.mind.twin_did(twin_id).map_err(twin_error)
    }

    async fn patch_state(&self, twin_id: &str, patch: Value) -> Result<Twin, ApiError> {
        let twin = self
            .mind
            .patch_state(twin_id, patch)
            .await
            .map_err(twin_error)?;
        self.announce_twin(&twin).await?;
        Ok(twin)
    }

    async fn append_memory(&self, twin_id: &str, entry: AppendMemory) -> Result<Memory, ApiError> {
        self.mind
            .append_memory(twin_id, entry)
            .await
            .map_err(twin_error)
    }

    async fn memories(&self, twin_id: &str, limit: Option<usize>) -> Result<Vec<Memory>, ApiError> {
        self.mind.memories(twin_id, limit).map_err(twin_error)
    }

    async fn search_memory(
        &self,
        twin_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Memory>, ApiError> {
        self.mind
            .search_memory(twin_id, query, limit)
            .map_err(twin_error)
    }

    async fn emotion(&self, twin_id: &str) -> Result<Emotion, ApiError> {
        self.mind.emotion(twin_id).map_err(twin_error)
    }

    async fn set_emotion(&self, twin_id: &str, emotion: SetEmotion) -> Result<Emotion, ApiError> {
        self.mind
            .set_emotion(twin_id, emotion)
            .await
            .map_err(twin_error)
    }

    async fn act(&self, request: ActRequest) -> Result<ActOutcome, ApiError> {
        self.mind.act(request).await.map_err(twin_error)
    }

    async fn build_context(
        &self,
        request: BuildContext,
        emotional: bool,
    ) -> Result<BuiltContext, ApiError> {
        self.mind
            .build_context(request, emotional)
            .await
            .map_err(twin_error)
    }

    async fn infer(&self, request: InferRequest) -> Result<InferResponse, ApiError> {
        self.mind.infer(request).await.map_err(|error| match error {
            InferError::Twin(error) => twin_error(error),
            InferError::Model(error) => ApiError::Upstream(error.to_string()),
        })
    }

    async fn interact(
        &self,
        twin_id: &str,
        request: GoalRequest,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, ApiError> {
        self.mind
            .interact(twin_id, request, progress)
            .await
            .map_err(twin_error)
    }

    async fn plan(&self, request: PlanRequest) -> Result<Plan, ApiError> {
        self.mind.plan(request).await.map_err(twin_error)
    }

    async fn register_tool(&self, request: RegisterTool) -> Result<Tool, ApiError> {
        let tool = self.gateway.register(request).await?;
        self.announce_twins().await?;
        Ok(tool)
    }

    async fn tools(&self, twin_id: Option<&str>) -> Result<Vec<Tool>, ApiError> {
        self.gateway.list(twin_id)
    }

    async fn allow_tool(&self, twin_id: &str, request: AllowTool) -> Result<Tool, ApiError> {
        let tool = self.gateway.allow(twin_id, request).await?;
        self.announce_twins().await?;
        Ok(tool)
    }

    async fn execute_tool(&self, name: &str, request: ExecuteTool) -> Result<ToolResult, ApiError> {
        self.call(name, request).await
    }

    async fn plugins(&self) -> Result<Vec<Plugin>, ApiError> {
        Ok(self.gateway.plugins().await)
    }

    async fn install_plugin(&self, request: InstallPlugin) -> Result<Plugin, ApiError> {
        let plugin = self.gateway.install(&request.path).await?;
        self.announce_twins().await?;
        Ok(plugin)
    }

    async fn remove_plugin(&self, name: &str) -> Result<Plugin, ApiError> {
        let plugin = self.gateway.remove(name).await?;
        self.announce_twins().await?;
        Ok(plugin)
    }

    async fn send_message(
        &self,
        twin_id: &str,
        request: SendMessage,
    ) -> Result<SentMessage, ApiError> {
        self.mind
            .send_message(twin_id, request)
            .await
            .map_err(twin_error)
    }

    async fn receive_message(&self, packed: &str) -> Result<MessageReceipt, ApiError> {
        self.mind
            .receive_message(packed)
            .await
            .map_err(receive_error)
    }

    async fn messages(
        &self,
        twin_id: &str,
        unread: bool,
        limit: usize,
    ) -> Result<Vec<ReceivedMessage>, ApiError> {
        self.mind.inbox(twin_id, unread, limit).map_err(twin_error)
    }

    async fn mark_read(&self, twin_id: &str, request: MarkRead) -> Result<MarkedRead, ApiError> {
        let read = self
            .mind
            .mark_read(twin_id, request.seqs)
            .await
            .map_err(twin_error)?;
        Ok(MarkedRead { read })
    }

    async fn publish(&self, request: PublishEvent) -> Result<PublishedEvent, ApiError> {
        let kind: EventType = request
            .event_type
            .parse()
            .map_err(|error| ApiError::invalid(format!("{error}")))?;
        let source = request.source.as_deref().unwrap_or("api");
        if source.is_empty() || source.len() > 64 {
            return Err(ApiError::invalid("source is a name of 1 to 64 characters"));
        }
        let task = shared_task(kind, &request.payload)?;
        if let Some(task) = &task {
            keeps_secrets(&self.mind, &task.to_string())?;
        }
        let mut event: Event = event_now(kind, source, request.payload);
        event.twin_id = request.twin_id;
        event.subject = request.subject;
        let shared = task.is_some();
        let share = async {
            match task {
                Some(task) => self.hive.share_task(task).await,
                None => Ok(()),
            }
        };
        // Side by side, so that both are in one commit.
        let (seq, sent) = tokio::join!(self.store.append_event(event.clone()), share);
        let seq = seq.map_err(store_error)?;
        sent.map_err(hive_error)?;
        let logged = LoggedEvent { seq, event };
        Ok(PublishedEvent { logged, shared })
    }

    async fn events(
        &self,
        after: u64,
        limit: usize,
        wanted: EventFilter,
    ) -> Result<Vec<LoggedEvent>, ApiError> {
        let events = self
            .store
            .events_after(after, limit, &filter(wanted))
            .map_err(store_error)?;
        Ok(events.into_iter().map(logged).collect())
    }

    async fn follow_events(
        &self,
        after: Option<u64>,
        wanted: EventFilter,
    ) -> Result<EventStream, ApiError> {
        let after = match after {
            Some(after) => after,
            None => self.store.last_event_seq().map_err(store_error)?,
        };
        let tail = self.store.follow(after, filter(wanted));
        Ok(futures::stream::unfold(tail, |mut tail| async move {
            match tail.next().await {
                Ok(Some(event)) => Some((Ok(logged(event)), tail)),
                Ok(None) => None,
                Err(error) => Some((Err(store_error(error)), tail)),
            }
        })
        .boxed())
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, ApiError> {
        let records = self.store.audit_after(after, limit).map_err(store_error)?;
        Ok(records
            .into_iter()
            .map(|record| AuditEntry {
                seq: record.seq,
                ts: record.ts,
                actor: record.actor,
                action: record.action,
                subject: record.subject,
                verdict: record.verdict,
                detail: record.detail,
            })
            .collect())
    }

    async fn swarm(&self) -> Result<SwarmView, ApiError> {
        self.surroundings().await
    }

    async fn swarm_twins(&self) -> Result<Vec<KnownTwin>, ApiError> {
        self.everybody().await
    }

    async fn ask_swarm(&self, request: AskSwarm) -> Result<SwarmTask, ApiError> {
        self.market.ask(request).await
    }

    async fn swarm_tasks(&self) -> Result<SwarmTasks, ApiError> {
        self.market.tasks().await
    }

    async fn swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError> {
        self.market.task(id).await
    }

    async fn watch_swarm_task(&self, id: &str) -> Result<TaskStream, ApiError> {
        self.market.watch(id).await
    }

    async fn cancel_swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError> {
        self.market.cancel(id).await
    }

    async fn peers(&self) -> Result<Vec<Peer>, ApiError> {
        self.connected().await
    }

    async fn membership(&self) -> Result<Membership, ApiError> {
        self.gate.membership().await
    }

    async fn invite(&self, request: NewInvitation) -> Result<InvitationView, ApiError> {
        let invitation = self.gate.invite(request, &self.swarm).await?;
        let detail = json!({"invitation": invitation.id, "invitee": invitation.invitee,
                            "uses": invitation.uses, "expires_at": invitation.expires_at});
        self.log_audit("user", "invited", "done", detail).await;
        Ok(invitation)
    }

    async fn revoke(&self, request: NewRevocation) -> Result<Membership, ApiError> {
        let named = targets(&request.targets)?;
        let detail = json!({"targets": format!("{named:?}")});
        let membership = self.gate.revoke(named).await?;
        self.log_audit("user", "revoked", "done", detail).await;
        Ok(membership)
    }

    async fn network(&self) -> Result<NetworkView, ApiError> {
        reach::view(&self.store, &self.swarm, self.relays).await
    }

    async fn ban(&self, request: NewBan) -> Result<NetworkView, ApiError> {
        let seconds = request.seconds;
        let peer = reach::ban(&self.store, &self.swarm, request).await?;
        let detail = json!({"peer": peer, "seconds": seconds});
        self.log_audit("user", "peer_banned", "done", detail).await;
        self.network().await
    }

    async fn unban(&self, peer: &str) -> Result<NetworkView, ApiError> {
        let peer = reach::unban(&self.store, &self.swarm, peer).await?;
        self.log_audit("user", "peer_unbanned", "done", json!({"peer": peer}))
            .await;
        self.network().await
    }

    async fn playbook(&self) -> Result<PlaybookView, ApiError> {
        let snapshot = self.hive.playbook();
        Ok(PlaybookView {
            head: snapshot.head.to_string(),
            heads: if snapshot.heads.is_empty() {
                vec![snapshot.head.to_string()]
            } else {
                snapshot.heads.iter().map(ToString::to_string).collect()
            },
            genesis: snapshot.genesis.to_string(),
            revisions: snapshot.revisions,
            document: snapshot.state.document(),
            toml: snapshot.state.to_toml(),
        })
    }

    async fn playbook_log(&self, limit: usize) -> Result<Vec<RevisionView>, ApiError> {
        self.revisions(limit).await
    }

    async fn verify_playbook(&self) -> Result<PlaybookCheck, ApiError> {
        self.replayed().await
    }

    async fn playbook_diff(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<PlaybookDiff, ApiError> {
        self.compared(from, to).await
    }

    async fn artifacts(&self, limit: usize) -> Result<Vec<ArtifactView>, ApiError> {
        let mut records = self.store.list_artifacts().map_err(store_error)?;
        records.reverse();
        records.into_iter().take(limit).map(artifact_view).collect()
    }

    async fn artifact(&self, cid: &str) -> Result<ArtifactView, ApiError> {
        let cid = parse_cid(cid)?.to_string();
        let record = self.store.get_artifact(&cid).map_err(store_error)?;
        let record = record.ok_or(ApiError::NotFound {
            what: "artifact",
            id: cid,
        })?;
        curate::with_changes(&self.hive.playbook().state, record)
    }

    async fn approve_artifact(&self, cid: &str) -> Result<ArtifactView, ApiError> {
        curate::review(&self.hive, cid, Ok(())).await?;
        self.artifact(cid).await
    }

    async fn reject_artifact(
        &self,
        cid: &str,
        request: RejectArtifact,
    ) -> Result<ArtifactView, ApiError> {
        curate::review(&self.hive, cid, Err(request.reason)).await?;
        self.artifact(cid).await
    }

    async fn revert_playbook(&self, request: RevertPlaybook) -> Result<ArtifactView, ApiError> {
        let cid = curate::revert(&self.hive, request).await?;
        self.artifact(&cid.to_string()).await
    }

    async fn mo(&self) -> Result<MoView, ApiError> {
        let (status, _) = self.hive.election().await.map_err(hive_error)?;
        let office = self.hive.office();
        Ok(MoView {
            is_me: status.mo.as_ref() == Some(self.identity.did()),
            mo: status.mo.as_ref().map(ToString::to_string),
            term: status.term,
            certificate: office
                .map(|office| office.certificate.to_string())
                .or_else(|| status.certificate.clone()),
            election: serde_json::to_value(&status).map_err(internal)?,
        })
    }

    async fn step_down(&self) -> Result<MoView, ApiError> {
        self.give_up_office().await
    }

    async fn put_document(&self, document: Value) -> Result<String, ApiError> {
        self.keep_document(document).await
    }

    async fn get_document(&self, cid: &str) -> Result<Value, ApiError> {
        self.fetch_document(cid).await
    }

    fn content(&self) -> Option<Arc<dyn pagi_api::content::Content>> {
        let (swarm, hive) = (self.swarm.clone(), self.hive.clone());
        Some(Arc::new(super::content::ContentNode::new(
            swarm,
            hive,
            self.store.clone(),
        )))
    }
}
