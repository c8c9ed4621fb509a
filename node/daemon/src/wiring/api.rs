//! The node as its control API sees it.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use futures::StreamExt;
use pagi_api::{
    ApiError, EventFilter, EventStream, LoggedEvent, Node, PublishEvent, PublishedEvent, goal::*,
    membership::*, messages::*, swarm::*, tools::*, twins::*, work::*,
};
use pagi_hive::{Hive, HiveError};
use pagi_messages::{
    Capabilities, Did, Event, EventType, SigningIdentity, TwinPresence,
    content::{DAG_CBOR, from_dag_cbor, to_dag_cbor},
    event::{from_unix_ms, rfc3339},
};
use pagi_playbook::Genesis;
use pagi_store::{AuditRecord, Store};
use pagi_swarm::{Swarm, SwarmError};
use pagi_twin::{InferError, Mind, event_now, inference::Engine, now_ms, now_text, ports::Tools};
use serde_json::{Value, json};

use super::{
    blocks,
    changes::compare,
    gate::{Gate, targets},
    gateway::{Gateway, api_error},
    reach,
    views::{
        Ipld, artifact_view, filter, hive_error, internal, ipld_json, logged, parse_cid,
        receive_error, shared_task, store_error, summary, swarm_error, twin_error,
    },
    work::{Market, keeps_secrets},
};

/// Time to fetch a document for a user.
const FETCH_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// The node behind the control API.
pub struct PagiNode {
    identity: SigningIdentity,
    swarm_name: String,
    genesis: Genesis,
    store: Store,
    swarm: Swarm,
    hive: Hive,
    mind: Mind,
    gateway: Arc<Gateway>,
    market: Market,
    gate: Gate,
    relays: bool,
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
        genesis: Genesis,
        store: Store,
        swarm: Swarm,
        hive: Hive,
        mind: Mind,
        gateway: Arc<Gateway>,
        market: Market,
        gate: Gate,
        relays: bool,
        started: Instant,
    ) -> Self {
        Self {
            identity,
            swarm_name,
            genesis,
            store,
            swarm,
            hive,
            mind,
            gateway,
            market,
            gate,
            relays,
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
            if twin.state.get("status").and_then(Value::as_str) != Some("active") {
                continue;
            }
            let did: Did = twin.did.parse().map_err(internal)?;
            let tools = self.gateway.catalog(&twin.twin_id).await;
            twins.push(TwinPresence {
                did,
                timestamp: now_ms(),
                capabilities: Capabilities {
                    tools: tools.into_iter().map(|tool| tool.name).collect(),
                    inference: self.mind.engine().name().to_owned(),
                },
                twin_id: twin.twin_id,
            });
        }
        self.hive.set_twins(twins);
        self.market.refresh();
        Ok(())
    }

    fn engine_text(&self) -> String {
        match self.mind.engine() {
            Engine::Planner => "planner".to_owned(),
            Engine::Model(model) => format!("{} at {}", model.name(), model.base()),
        }
    }

    async fn log_audit(&self, actor: &str, action: &str, verdict: &str, detail: Value) {
        let audit = AuditRecord::new(now_text(), actor, action, verdict).with_detail(detail);
        if let Err(error) = self.store.append_audit(audit).await {
            tracing::error!(%error, action, "an act could not be audited");
        }
    }
}

#[async_trait]
impl Node for PagiNode {
    async fn info(&self) -> Result<NodeInfo, ApiError> {
        Ok(NodeInfo {
            peer_id: self.swarm.peer_id().to_owned(),
            did: self.identity.did().to_string(),
            swarm: self.swarm_name.clone(),
            listen: self.swarm.listen_addrs().await.map_err(swarm_error)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            twins: self.store.list_twins().map_err(store_error)?.len(),
            tools: self.gateway.host().list().len(),
            peers: self
                .swarm
                .peers()
                .await
                .map_err(swarm_error)?
                .iter()
                .filter(|peer| peer.admitted)
                .count(),
            inference: self.engine_text(),
        })
    }

    async fn did_document(&self) -> Result<Value, ApiError> {
        self.identity.did().document().map_err(internal)
    }

    async fn metrics(&self) -> Result<String, ApiError> {
        let snapshot = self.hive.playbook();
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: f64| {
            text.push_str(&format!(
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            ));
        };
        put(
            "pagi_uptime_seconds",
            "gauge",
            "Time since start.",
            self.started.elapsed().as_secs_f64(),
        );
        put(
            "pagi_twins",
            "gauge",
            "Twins on this node.",
            self.store.list_twins().map_err(store_error)?.len() as f64,
        );
        put(
            "pagi_tools",
            "gauge",
            "Tools registered.",
            self.gateway.host().list().len() as f64,
        );
        put(
            "pagi_nodes_known",
            "gauge",
            "Other nodes heard lately.",
            self.hive.nodes().len() as f64,
        );
        put(
            "pagi_twins_known",
            "gauge",
            "Twins of other nodes heard lately.",
            self.hive.known_twins().len() as f64,
        );
        put(
            "pagi_event_log_last_seq",
            "counter",
            "Sequence number of the newest event.",
            self.store.last_event_seq().map_err(store_error)? as f64,
        );
        put(
            "pagi_playbook_revisions",
            "gauge",
            "Playbook revisions held.",
            snapshot.revisions as f64,
        );
        put(
            "pagi_playbook_heads",
            "gauge",
            "Playbook heads; more than 1 is a fork to be joined.",
            snapshot.heads.len() as f64,
        );
        let term = self.hive.office().map_or(0, |office| office.term);
        put(
            "pagi_mo_term",
            "gauge",
            "Term of the MO in office; 0 without one.",
            term as f64,
        );
        let members = self.gate.membership().await?.members.len();
        text.push_str(&reach::metrics(&self.swarm, members).await?);
        Ok(text)
    }

    async fn create_twin(&self, request: CreateTwin) -> Result<Twin, ApiError> {
        let twin = self.mind.create_twin(request).await.map_err(twin_error)?;
        self.announce_twins().await?;
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
        self.announce_twins().await?;
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
        if let Some(twin_id) = &request.twin_id {
            self.mind.twin(twin_id).map_err(twin_error)?;
        }
        let start = Instant::now();
        // The twin whose key signs may be named in the parameters alone, as the prototype did.
        let twin_id = request.twin_id.as_deref();
        let result = self
            .gateway
            .execute(name, twin_id, request.parameters.clone())
            .await;
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (verdict, action) = match &result {
            Ok(_) => ("ok", "tool_call"),
            Err(pagi_plugin_host::ToolError::Denied { .. }) => ("refused", "tool_denied"),
            Err(_) => ("failed", "tool_call"),
        };
        // A call of a tool that does not exist, or with parameters that do not fit, changes nothing
        // and is no call.
        let ran = !matches!(
            &result,
            Err(pagi_plugin_host::ToolError::Unknown { .. }
                | pagi_plugin_host::ToolError::InvalidParameters { .. })
        );
        if ran {
            let error = result.as_ref().err().map(ToString::to_string);
            let mut event = event_now(
                EventType::ToolExecuted,
                "gateway",
                json!({"tool": name, "parameters": request.parameters, "status": verdict,
                       "result": result.as_ref().ok(), "error": error,
                       "duration_ms": duration_ms}),
            )
            .about(name);
            event.twin_id = request.twin_id.clone();
            let audit = AuditRecord::new(
                now_text(),
                request.twin_id.as_deref().unwrap_or("user"),
                action,
                verdict,
            )
            .about(name)
            .with_detail(json!({"parameters": request.parameters, "error": error}));
            let batch = pagi_store::Batch::new().event(event).audit(audit);
            self.store.write(batch).await.map_err(store_error)?;
        }
        Ok(ToolResult {
            tool: name.to_owned(),
            status: "ok".into(),
            result: result.map_err(api_error)?,
            duration_ms,
        })
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
        let seq = self
            .store
            .append_event(event.clone())
            .await
            .map_err(store_error)?;
        let shared = task.is_some();
        if let Some(task) = task {
            self.hive.share_task(task).await.map_err(hive_error)?;
        }
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
        let mut nodes: Vec<String> = self
            .hive
            .nodes()
            .into_iter()
            .map(|did| did.to_string())
            .collect();
        nodes.push(self.identity.did().to_string());
        nodes.sort();
        let mut twins = Vec::new();
        for twin in self.mind.twins().map_err(twin_error)? {
            let tools = self.gateway.catalog(&twin.twin_id).await;
            twins.push(KnownTwin {
                twin_id: twin.twin_id,
                did: twin.did,
                node: self.identity.did().to_string(),
                last_seen: now_text(),
                tools: tools.into_iter().map(|tool| tool.name).collect(),
                inference: self.mind.engine().name().to_owned(),
                local: true,
            });
        }
        twins.extend(self.hive.known_twins().into_iter().map(|seen| KnownTwin {
            twin_id: seen.presence.twin_id,
            did: seen.presence.did.to_string(),
            node: seen.node.to_string(),
            last_seen: rfc3339(from_unix_ms(seen.heard_ms)),
            tools: seen.presence.capabilities.tools,
            inference: seen.presence.capabilities.inference,
            local: false,
        }));
        Ok(SwarmView {
            name: self.swarm_name.clone(),
            node: self.info().await?,
            nodes,
            twins,
            mo: self.hive.office().map(|office| office.mo.to_string()),
            playbook: self.hive.playbook().head.to_string(),
            stats: serde_json::to_value(self.swarm.stats()).map_err(internal)?,
        })
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
        let peers = self.swarm.peers().await.map_err(swarm_error)?;
        Ok(peers
            .into_iter()
            .map(|peer| Peer {
                did: Did::from_peer_id(&peer.peer_id)
                    .ok()
                    .map(|did| did.to_string()),
                peer_id: peer.peer_id,
                addrs: peer.addrs,
                agent: peer.agent,
                admitted: peer.admitted,
                relayed: peer.relayed,
                in_mesh: peer.in_mesh,
                score: peer.score,
            })
            .collect())
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
        let log = self.hive.log(limit).await.map_err(hive_error)?;
        Ok(log
            .into_iter()
            .map(|(cid, revision)| {
                let body = revision.body();
                RevisionView {
                    cid: cid.to_string(),
                    parents: body.parents.iter().map(ToString::to_string).collect(),
                    author: revision.author().to_string(),
                    term: body.term,
                    lamport: body.lamport,
                    merged: body
                        .merged
                        .iter()
                        .map(|merged| merged.artifact.to_string())
                        .collect(),
                    summary: summary(body),
                    ts: rfc3339(from_unix_ms(body.timestamp)),
                }
            })
            .collect())
    }

    async fn verify_playbook(&self) -> Result<PlaybookCheck, ApiError> {
        match self.hive.verify().await {
            Ok(checked) => Ok(PlaybookCheck {
                valid: true,
                revisions: checked.revisions,
                head: self.hive.playbook().head.to_string(),
                problem: None,
            }),
            Err(HiveError::History(bad)) => Ok(PlaybookCheck {
                valid: false,
                revisions: self.hive.playbook().revisions,
                head: self.hive.playbook().head.to_string(),
                problem: Some(bad.to_string()),
            }),
            Err(error) => Err(hive_error(error)),
        }
    }

    async fn playbook_diff(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<PlaybookDiff, ApiError> {
        let from = from.map(parse_cid).transpose()?;
        let to = match to {
            Some(to) => parse_cid(to)?,
            None => self.hive.playbook().head,
        };
        let (genesis, blocks) = (
            self.genesis.clone(),
            self.store.revisions().map_err(store_error)?,
        );
        let compared = tokio::task::spawn_blocking(move || compare(genesis, blocks, from, to));
        compared.await.map_err(internal)?
    }

    async fn artifacts(&self, limit: usize) -> Result<Vec<ArtifactView>, ApiError> {
        let mut records = self.store.list_artifacts().map_err(store_error)?;
        records.reverse();
        records.into_iter().take(limit).map(artifact_view).collect()
    }

    async fn artifact(&self, cid: &str) -> Result<ArtifactView, ApiError> {
        let cid = parse_cid(cid)?.to_string();
        let record = self.store.get_artifact(&cid).map_err(store_error)?;
        artifact_view(record.ok_or(ApiError::NotFound {
            what: "artifact",
            id: cid,
        })?)
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
        if self
            .hive
            .office()
            .is_none_or(|office| office.mo != *self.identity.did())
        {
            return Err(ApiError::Conflict("this node is not the MO".to_owned()));
        }
        self.hive.step_down().await.map_err(hive_error)?;
        let mut office = self.hive.watch_office();
        let me = self.identity.did().clone();
        let gone = office.wait_for(|office| office.as_ref().is_none_or(|office| office.mo != me));
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), gone).await;
        self.log_audit(
            "user",
            "stepped_down",
            "done",
            json!({"node": self.identity.did()}),
        )
        .await;
        self.mo().await
    }

    async fn put_document(&self, document: Value) -> Result<String, ApiError> {
        let bytes = to_dag_cbor(&document).map_err(|error| ApiError::invalid(error.to_string()))?;
        let cid = self
            .swarm
            .put_block(bytes, true)
            .await
            .map_err(swarm_error)?;
        if let Err(error) = self.swarm.provide(&cid).await {
            tracing::debug!(%cid, %error, "the document was not announced in the DHT");
        }
        Ok(cid.to_string())
    }

    async fn get_document(&self, cid: &str) -> Result<Value, ApiError> {
        let cid = parse_cid(cid)?;
        if cid.codec() != DAG_CBOR {
            return Err(ApiError::invalid(
                "only DAG-CBOR documents can be shown (bafyrei…)",
            ));
        }
        let bytes = blocks::fetch(&self.swarm, &cid, &[], FETCH_TIME)
            .await
            .map_err(|error| match error {
                SwarmError::Timeout => ApiError::Timeout(error.to_string()),
                other => swarm_error(other),
            })?;
        let document: Ipld =
            from_dag_cbor(&bytes).map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(ipld_json(document))
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
