//! A small node in memory. What a test wants of it, it says in the request: a goal `fail`, a tool
//! `hang`, and so on.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use pagi_api::{
    ApiError, EventFilter, EventStream, LoggedEvent, Node, PublishEvent, PublishedEvent, Violation,
    content::Content, goal::*, membership::*, messages::*, swarm::*, tools::*, twins::*, work::*,
};
use pagi_messages::{Event, EventType, event::from_unix_ms};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::fake_content::Counting;

/// The node.
pub struct FakeNode {
    pub twins: Mutex<Vec<Twin>>,
    pub memories: Mutex<Vec<Memory>>,
    pub events: Arc<Mutex<Vec<LoggedEvent>>>,
    pub documents: Mutex<Vec<Value>>,
    /// The calls that change something, and with what.
    pub writes: Mutex<Vec<String>>,
    /// Goals and tool calls that ran to their end.
    pub finished: AtomicUsize,
    /// Event streams being followed.
    pub followers: Arc<AtomicUsize>,
    /// Lets what hangs go on.
    pub release: Notify,
    pub ill: AtomicBool,
    grown: watch::Sender<u64>,
}

impl Default for FakeNode {
    fn default() -> Self {
        Self {
            twins: Mutex::default(),
            memories: Mutex::default(),
            events: Arc::default(),
            documents: Mutex::default(),
            writes: Mutex::default(),
            finished: AtomicUsize::default(),
            followers: Arc::default(),
            release: Notify::new(),
            ill: AtomicBool::default(),
            grown: watch::Sender::new(0),
        }
    }
}

impl FakeNode {
    pub fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    pub fn followers(&self) -> usize {
        self.followers.load(Ordering::SeqCst)
    }

    /// Adds an event to the log.
    pub fn log(&self, kind: EventType, twin_id: Option<&str>, source: &str) -> LoggedEvent {
        let mut events = self.events.lock().unwrap();
        let seq = events.len() as u64 + 1;
        let id = Uuid::from_u128(u128::from(seq));
        let mut event = Event::new(
            id,
            from_unix_ms(seq),
            kind,
            source,
            json!({ "text": "two\r\nlines" }),
        );
        event.twin_id = twin_id.map(str::to_owned);
        let logged = LoggedEvent { seq, event };
        events.push(logged.clone());
        self.grown.send_replace(seq);
        logged
    }

    pub fn wrote(&self, what: &str) {
        self.writes.lock().unwrap().push(what.into());
    }
}

pub fn shape<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn task(goal: &str, status: &str) -> SwarmTask {
    shape(json!({
        "id": "1", "goal": goal, "asked_by": "did:key:z6Mk", "needs": [], "summary": "",
        "keywords": [], "deadline": "2026-01-01T00:00:00Z", "status": status, "attempt": 0,
    }))
}

fn passes(filter: &EventFilter, event: &Event) -> bool {
    filter
        .event_type
        .is_none_or(|kind| kind == event.event_type)
        && (filter.twin_id.is_none() || filter.twin_id == event.twin_id)
        && filter
            .source
            .as_ref()
            .is_none_or(|source| *source == event.source)
}

struct Follower {
    count: Arc<AtomicUsize>,
    events: Arc<Mutex<Vec<LoggedEvent>>>,
    grown: watch::Receiver<u64>,
    seen: u64,
}

impl Follower {
    fn newer(&self) -> Option<LoggedEvent> {
        self.events
            .lock()
            .unwrap()
            .iter()
            .find(|logged| logged.seq > self.seen)
            .cloned()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Node for FakeNode {
    fn content(&self) -> Option<Arc<dyn Content>> {
        Some(Arc::new(Counting))
    }

    async fn info(&self) -> Result<NodeInfo, ApiError> {
        if self.ill.load(Ordering::SeqCst) {
            return Err(ApiError::Internal("the disk /secret/path is full".into()));
        }
        Ok(shape(json!({
            "peer_id": "12D3", "did": "did:key:z6Mk", "swarm": "test", "listen": [],
            "version": "0.1.0", "uptime_s": 1, "twins": 0, "tools": 0, "peers": 0, "bootstrap": [],
            "inference": "planner",
        })))
    }

    async fn did_document(&self) -> Result<Value, ApiError> {
        Ok(json!({ "id": "did:key:z6Mk" }))
    }

    async fn metrics(&self) -> Result<String, ApiError> {
        Ok("# TYPE pagi_peers gauge\npagi_peers 0\n".into())
    }

    async fn create_twin(&self, request: CreateTwin) -> Result<Twin, ApiError> {
        self.wrote("create_twin");
        let mut twins = self.twins.lock().unwrap();
        let twin: Twin = shape(json!({
            "twin_id": format!("t{}", twins.len() + 1), "state": request.initial_state,
            "did": "did:key:z6Mk", "did_document": { "id": "did:key:z6Mk" },
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        }));
        twins.push(twin.clone());
        Ok(twin)
    }

    async fn twins(&self) -> Result<Vec<Twin>, ApiError> {
        Ok(self.twins.lock().unwrap().clone())
    }

    async fn twin(&self, twin_id: &str) -> Result<Twin, ApiError> {
        let twins = self.twins.lock().unwrap();
        let twin = twins.iter().find(|twin| twin.twin_id == twin_id).cloned();
        twin.ok_or_else(|| ApiError::NotFound {
            what: "twin",
            id: twin_id.into(),
        })
    }

    async fn twin_did(&self, twin_id: &str) -> Result<TwinDid, ApiError> {
        let twin = self.twin(twin_id).await?;
        Ok(TwinDid {
            twin_id: twin.twin_id,
            did: twin.did,
            did_document: json!({}),
        })
    }

    async fn patch_state(&self, twin_id: &str, patch: Value) -> Result<Twin, ApiError> {
        self.wrote("patch_state");
        let mut twins = self.twins.lock().unwrap();
        let twin = twins
            .iter_mut()
            .find(|twin| twin.twin_id == twin_id)
            .ok_or_else(|| ApiError::NotFound {
                what: "twin",
                id: twin_id.into(),
            })?;
        twin.state = patch;
        Ok(twin.clone())
    }

    async fn append_memory(&self, twin_id: &str, entry: AppendMemory) -> Result<Memory, ApiError> {
        self.twin(twin_id).await?;
        self.wrote("append_memory");
        let mut memories = self.memories.lock().unwrap();
        let seq = memories.len() + 1;
        let memory: Memory = shape(json!({
            "seq": seq, "id": seq.to_string(), "twin_id": twin_id, "role": entry.role,
            "content": entry.content, "ts": "2026-01-01T00:00:00Z",
        }));
        memories.push(memory.clone());
        Ok(memory)
    }

    async fn memories(&self, twin_id: &str, limit: Option<usize>) -> Result<Vec<Memory>, ApiError> {
        let memories = self.memories.lock().unwrap();
        let mine = memories.iter().filter(|memory| memory.twin_id == twin_id);
        Ok(mine.take(limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn search_memory(
        &self,
        twin_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Memory>, ApiError> {
        let all = self.memories(twin_id, None).await?;
        Ok(all
            .into_iter()
            .filter(|memory| memory.content.contains(query))
            .take(limit)
            .collect())
    }

    async fn emotion(&self, _: &str) -> Result<Emotion, ApiError> {
        Ok(shape(json!({ "mood": "calm", "activation_level": 0.1 })))
    }

    async fn set_emotion(&self, _: &str, emotion: SetEmotion) -> Result<Emotion, ApiError> {
        if !(0.0..=1.0).contains(&emotion.activation_level) {
            return Err(ApiError::Invalid {
                detail: "activation_level must be 0 to 1".into(),
                violations: vec![Violation {
                    path: "/activation_level".into(),
                    message: "must be 0 to 1".into(),
                }],
            });
        }
        self.wrote("set_emotion");
        Ok(shape(
            json!({ "mood": emotion.mood, "activation_level": emotion.activation_level }),
        ))
    }

    async fn act(&self, request: ActRequest) -> Result<ActOutcome, ApiError> {
        if request.action == "write_file" {
            return Err(ApiError::Forbidden("no grant".into()));
        }
        self.wrote("act");
        Ok(shape(
            json!({ "action": request.action, "status": "done", "result": null }),
        ))
    }

    async fn build_context(
        &self,
        request: BuildContext,
        emotional: bool,
    ) -> Result<BuiltContext, ApiError> {
        let mood = emotional.then_some("calm");
        Ok(shape(json!({
            "twin_id": request.twin_id, "context": request.goal, "sources": [], "tokens": 1,
            "max_tokens": 10, "left_out": 0, "mood": mood,
        })))
    }

    async fn infer(&self, request: InferRequest) -> Result<InferResponse, ApiError> {
        match request.input.as_str() {
            "late" => Err(ApiError::Timeout("the model is late".into())),
            "broken" => Err(ApiError::Upstream("the model is broken".into())),
            _ => Ok(shape(
                json!({ "output": request.input, "model": "planner", "duration_ms": 1 }),
            )),
        }
    }

    async fn interact(
        &self,
        twin_id: &str,
        request: GoalRequest,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, ApiError> {
        self.wrote("interact");
        if request.goal == "refuse" {
            return Err(ApiError::NotFound {
                what: "twin",
                id: twin_id.into(),
            });
        }
        let step = |index: u32, name: &str| -> Step {
            shape(json!({
                "index": index, "kind": "tool", "name": name, "status": "ok", "detail": "",
                "duration_ms": 1,
            }))
        };
        let tell = |what: Progress| {
            if let Some(progress) = &progress {
                let _ = progress.try_send(what);
            }
        };
        let steps = vec![step(1, "calculator"), step(2, "notify")];
        tell(Progress::Step(steps[0].clone()));
        if request.goal.contains("hang") {
            self.release.notified().await;
        }
        if request.goal.contains("panic") {
            panic!("a goal that the node did not foresee");
        }
        if request.goal.contains("fail") {
            return Err(ApiError::Internal("the disk is gone".into()));
        }
        tell(Progress::Text {
            delta: "forty".into(),
        });
        tell(Progress::Step(steps[1].clone()));
        let interaction: Interaction = shape(json!({
            "twin_id": twin_id, "goal": request.goal, "status": "completed", "output": "forty-two",
            "steps": steps, "engine": "planner", "playbook": "bafy", "duration_ms": 2,
        }));
        tell(Progress::Done(Box::new(interaction.clone())));
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(interaction)
    }

    async fn plan(&self, request: PlanRequest) -> Result<Plan, ApiError> {
        Ok(shape(json!({ "goal": request.goal, "steps": [] })))
    }

    async fn register_tool(&self, request: RegisterTool) -> Result<Tool, ApiError> {
        if request.tool.name == "calculator" {
            return Err(ApiError::Conflict("there is a tool `calculator`".into()));
        }
        self.wrote("register_tool");
        Ok(Tool {
            definition: request.tool,
            source: "registered".into(),
            twin_id: request.twin_id,
            allowed: None,
        })
    }

    async fn tools(&self, twin_id: Option<&str>) -> Result<Vec<Tool>, ApiError> {
        let allowed = twin_id.map(|_| true);
        Ok(vec![shape(
            json!({ "name": "calculator", "source": "native", "allowed": allowed }),
        )])
    }

    async fn allow_tool(&self, twin_id: &str, request: AllowTool) -> Result<Tool, ApiError> {
        self.wrote("allow_tool");
        Ok(shape(json!({
            "name": request.name, "source": "native", "twin_id": twin_id,
            "allowed": request.allowed,
        })))
    }

    async fn execute_tool(&self, name: &str, request: ExecuteTool) -> Result<ToolResult, ApiError> {
        self.wrote(&format!("execute_tool {name}"));
        match name {
            "hang" => self.release.notified().await,
            "panic" => panic!("a tool that the node did not foresee"),
            _ => {}
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(shape(json!({
            "tool": name, "status": "ok", "duration_ms": 1,
            "result": { "twin_id": request.twin_id, "parameters": request.parameters },
        })))
    }

    async fn plugins(&self) -> Result<Vec<Plugin>, ApiError> {
        Ok(vec![])
    }

    async fn install_plugin(&self, request: InstallPlugin) -> Result<Plugin, ApiError> {
        self.wrote("install_plugin");
        Ok(shape(json!({ "name": "p", "path": request.path })))
    }

    async fn remove_plugin(&self, name: &str) -> Result<Plugin, ApiError> {
        self.wrote("remove_plugin");
        Ok(shape(json!({ "name": name, "path": "/" })))
    }

    async fn send_message(
        &self,
        twin_id: &str,
        request: SendMessage,
    ) -> Result<SentMessage, ApiError> {
        self.twin(twin_id).await?;
        self.wrote("send_message");
        Ok(shape(json!({
            "id": "m", "thid": "m", "from": "did:key:z6Mk", "to": request.to_did, "msg_type": "a/b",
            "status": "delivered", "expires_at": "2026-01-01T00:00:00Z",
        })))
    }

    async fn receive_message(&self, packed: &str) -> Result<MessageReceipt, ApiError> {
        let found = serde_json::from_str::<Value>(packed)
            .ok()
            .filter(|packed| packed.get("ciphertext").is_some());
        match found {
            None => Err(ApiError::Malformed("no message".into())),
            Some(packed) if packed["tag"] == "again" => Err(ApiError::Conflict("again".into())),
            Some(packed) if packed["tag"] == "much" => Err(ApiError::TooMany("much".into())),
            Some(_) => {
                self.wrote("receive_message");
                Ok(shape(
                    json!({ "status": "received", "id": "m", "to": "did:key:z6Mk" }),
                ))
            }
        }
    }

    async fn messages(
        &self,
        twin_id: &str,
        unread: bool,
        limit: usize,
    ) -> Result<Vec<ReceivedMessage>, ApiError> {
        self.twin(twin_id).await?;
        let message: ReceivedMessage = shape(json!({
            "seq": 1, "id": "m", "twin_id": twin_id, "thid": "m", "msg_type": "a/b", "body": {},
            "received_at": "2026-01-01T00:00:00Z", "read": !unread,
        }));
        Ok(vec![message; limit.min(2)])
    }

    async fn mark_read(&self, twin_id: &str, request: MarkRead) -> Result<MarkedRead, ApiError> {
        self.twin(twin_id).await?;
        self.wrote("mark_read");
        Ok(MarkedRead {
            read: request.seqs.len(),
        })
    }

    async fn publish(&self, request: PublishEvent) -> Result<PublishedEvent, ApiError> {
        let kind = request
            .event_type
            .parse()
            .map_err(|_| ApiError::invalid("no such type"))?;
        self.wrote("publish");
        let source = request.source.as_deref().unwrap_or("api");
        Ok(PublishedEvent {
            logged: self.log(kind, request.twin_id.as_deref(), source),
            shared: kind == EventType::TaskBroadcast,
        })
    }

    async fn events(
        &self,
        after: u64,
        limit: usize,
        filter: EventFilter,
    ) -> Result<Vec<LoggedEvent>, ApiError> {
        let events = self.events.lock().unwrap();
        let newer = events.iter().filter(|logged| logged.seq > after);
        Ok(newer
            .filter(|logged| passes(&filter, &logged.event))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn follow_events(
        &self,
        after: Option<u64>,
        filter: EventFilter,
    ) -> Result<EventStream, ApiError> {
        // A source that breaks after what the log holds.
        let breaks = filter.source.as_deref() == Some("broken");
        let filter = if breaks {
            EventFilter::default()
        } else {
            filter
        };
        self.followers.fetch_add(1, Ordering::SeqCst);
        let follower = Follower {
            count: self.followers.clone(),
            events: self.events.clone(),
            grown: self.grown.subscribe(),
            seen: after.unwrap_or(self.events.lock().unwrap().len() as u64),
        };
        let follow = stream::unfold(follower, move |mut follower| {
            let filter = filter.clone();
            async move {
                loop {
                    match follower.newer() {
                        Some(logged) => {
                            follower.seen = logged.seq;
                            if passes(&filter, &logged.event) {
                                return Some((Ok(logged), follower));
                            }
                        }
                        None if breaks => {
                            let error = ApiError::Internal("the log broke".into());
                            return Some((Err(error), follower));
                        }
                        None => follower.grown.changed().await.ok()?,
                    }
                }
            }
        });
        Ok(follow.boxed())
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, ApiError> {
        let entries = (after + 1..).take(limit.min(3));
        Ok(entries
            .map(|seq| {
                shape(json!({
                    "seq": seq, "ts": "2026-01-01T00:00:00Z", "actor": "user", "action": "x",
                    "verdict": "allowed", "detail": {},
                }))
            })
            .collect())
    }

    async fn swarm(&self) -> Result<SwarmView, ApiError> {
        let node = serde_json::to_value(self.info().await?).unwrap();
        Ok(shape(json!({
            "name": "test", "node": node, "nodes": [], "twins": [], "playbook": "bafy",
            "stats": {},
        })))
    }

    async fn swarm_twins(&self) -> Result<Vec<KnownTwin>, ApiError> {
        Ok(Vec::new())
    }

    async fn ask_swarm(&self, request: AskSwarm) -> Result<SwarmTask, ApiError> {
        self.wrote("ask_swarm");
        Ok(task(&request.goal, "open"))
    }

    async fn swarm_tasks(&self) -> Result<SwarmTasks, ApiError> {
        Ok(SwarmTasks {
            asked: vec![task("g", "open")],
            worked: Vec::new(),
        })
    }

    async fn swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError> {
        match id {
            "none" => Err(ApiError::NotFound {
                what: "task",
                id: id.into(),
            }),
            _ => Ok(task("g", "open")),
        }
    }

    async fn watch_swarm_task(&self, id: &str) -> Result<TaskStream, ApiError> {
        let open = self.swarm_task(id).await?;
        let news = [TaskNews::Offered(open), TaskNews::Done(task("g", "done"))];
        Ok(stream::iter(news).boxed())
    }

    async fn cancel_swarm_task(&self, id: &str) -> Result<SwarmTask, ApiError> {
        self.wrote("cancel_swarm_task");
        self.swarm_task(id).await
    }

    async fn peers(&self) -> Result<Vec<Peer>, ApiError> {
        Ok(vec![])
    }

    async fn membership(&self) -> Result<Membership, ApiError> {
        Ok(shape(json!({
            "name": "test", "network": "test", "admission": "name", "pre_shared_key": false,
            "founders": [], "standing": "open", "members": [], "revoked": [], "refused": [],
            "refused_by": [],
        })))
    }

    async fn invite(&self, request: NewInvitation) -> Result<InvitationView, ApiError> {
        self.wrote("invite");
        Ok(shape(json!({
            "link": "pagi://join/x", "uses": request.uses, "invitee": request.invitee,
            "addresses": [], "secret": false,
        })))
    }

    async fn revoke(&self, request: NewRevocation) -> Result<Membership, ApiError> {
        self.wrote("revoke");
        Ok(Membership {
            revoked: request.targets,
            ..self.membership().await?
        })
    }

    async fn network(&self) -> Result<NetworkView, ApiError> {
        Ok(shape(json!({
            "reach": "unknown", "external_addrs": [], "relays": [], "relays_for_others": false,
            "dht_server": true, "bans": [], "limits": {}, "stats": {},
        })))
    }

    async fn ban(&self, request: NewBan) -> Result<NetworkView, ApiError> {
        self.wrote("ban");
        let ban =
            json!({"peer_id": request.peer, "seconds_left": request.seconds, "by_user": true});
        Ok(NetworkView {
            bans: vec![shape(ban)],
            ..self.network().await?
        })
    }

    async fn unban(&self, _peer: &str) -> Result<NetworkView, ApiError> {
        self.wrote("unban");
        self.network().await
    }

    async fn playbook(&self) -> Result<PlaybookView, ApiError> {
        Ok(shape(json!({
            "head": "bafy", "heads": [], "genesis": "bafy", "revisions": 1, "document": {},
            "toml": "",
        })))
    }

    async fn playbook_log(&self, limit: usize) -> Result<Vec<RevisionView>, ApiError> {
        let revision: RevisionView = shape(json!({
            "cid": "bafy", "parents": [], "author": "did:key:z6Mk", "term": 1, "lamport": 1,
            "merged": [], "summary": "", "ts": "2026-01-01T00:00:00Z",
        }));
        Ok(vec![revision; limit])
    }

    async fn verify_playbook(&self) -> Result<PlaybookCheck, ApiError> {
        Ok(shape(
            json!({ "valid": true, "revisions": 1, "head": "bafy" }),
        ))
    }

    async fn playbook_diff(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<PlaybookDiff, ApiError> {
        Ok(shape(json!({
            "from": from.unwrap_or("bafy0"), "to": to.unwrap_or("bafy1"), "changes": [],
        })))
    }

    async fn artifacts(&self, limit: usize) -> Result<Vec<ArtifactView>, ApiError> {
        Ok(vec![self.artifact("bafy").await?; limit.min(2)])
    }

    async fn artifact(&self, cid: &str) -> Result<ArtifactView, ApiError> {
        Ok(shape(json!({
            "cid": cid, "author": "did:key:z6Mk", "status": "merged", "base": "bafy",
            "critique": "", "delta": {}, "ts": "2026-01-01T00:00:00Z",
        })))
    }

    async fn approve_artifact(&self, cid: &str) -> Result<ArtifactView, ApiError> {
        self.wrote("approve_artifact");
        self.artifact(cid).await
    }

    async fn reject_artifact(
        &self,
        cid: &str,
        _: RejectArtifact,
    ) -> Result<ArtifactView, ApiError> {
        self.wrote("reject_artifact");
        self.artifact(cid).await
    }

    async fn revert_playbook(&self, _: RevertPlaybook) -> Result<ArtifactView, ApiError> {
        self.wrote("revert_playbook");
        self.artifact("bafy").await
    }

    async fn mo(&self) -> Result<MoView, ApiError> {
        Ok(shape(json!({ "is_me": false, "term": 1, "election": {} })))
    }

    async fn step_down(&self) -> Result<MoView, ApiError> {
        self.wrote("step_down");
        self.mo().await
    }

    async fn put_document(&self, document: Value) -> Result<String, ApiError> {
        self.wrote("put_document");
        let mut documents = self.documents.lock().unwrap();
        documents.push(document);
        Ok(format!("bafy{}", documents.len()))
    }

    async fn get_document(&self, cid: &str) -> Result<Value, ApiError> {
        let number = cid
            .strip_prefix("bafy")
            .and_then(|tail| tail.parse::<usize>().ok());
        let documents = self.documents.lock().unwrap();
        let document = number
            .and_then(|number| documents.get(number.checked_sub(1)?))
            .cloned();
        document.ok_or_else(|| ApiError::NotFound {
            what: "document",
            id: cid.into(),
        })
    }
}
