//! The native tools that speak for other rooms of the node: memory, identity, swarm and hive.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use pagi_api::twins::{AppendMemory, Memory};
use pagi_hive::Hive;
use pagi_messages::{Did, SigningIdentity, Verified, to_dag_cbor};
use pagi_playbook::{Artifact, Delta, Evidence, Merged, diff, parse_toml};
use pagi_plugin_host::{Annotations, Caller, NativeTool, ToolError, ToolSpec};
use pagi_twin::{Mind, now_ms};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{gateway::Gateway, git::Bridge, notices::Board, trust, work::Market};

type Run = dyn Fn(Caller, Value) -> BoxFuture<'static, Result<Value, ToolError>> + Send + Sync;

/// A native tool made of its specification and a function.
pub(super) struct Native {
    spec: ToolSpec,
    run: Box<Run>,
}

#[async_trait]
impl NativeTool for Native {
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    async fn call(&self, caller: &Caller, parameters: Value) -> Result<Value, ToolError> {
        (self.run)(caller.clone(), parameters).await
    }
}

pub(super) const READS: Annotations = Annotations {
    read_only: true,
    idempotent: true,
    open_world: false,
};
pub(super) const WRITES: Annotations = Annotations {
    read_only: false,
    idempotent: false,
    open_world: false,
};
pub(super) const SHARES: Annotations = Annotations {
    read_only: false,
    idempotent: false,
    open_world: true,
};

/// What a signature over an artifact starts with, so that it is no signature of anything else.
const ARTIFACT_DOMAIN: &[u8] = b"pagi-signed/json-artifact/1\0";

/// Registers the native tools.
///
/// # Errors
/// [`ToolError`] where one cannot be registered; a fault of the program.
pub fn register(
    gateway: &Gateway,
    mind: &Mind,
    hive: &Hive,
    market: &Market,
    board: &Arc<Board>,
    git: Option<&Bridge>,
) -> Result<(), ToolError> {
    let tools = [
        remember(mind.clone()),
        recall(mind.clone()),
        did_sign_artifact(mind.clone()),
        did_verify_artifact(),
        list_known_twins(mind.clone(), hive.clone()),
        broadcast_swarm_task(market.clone()),
        hive_pull(hive.clone(), git.cloned()),
        hive_push(mind.clone(), hive.clone(), git.cloned()),
    ];
    for tool in tools.into_iter().chain(trust::tools(mind, board)) {
        gateway.host().register_native(Arc::new(tool))?;
    }
    Ok(())
}

pub(super) fn native<F, Fut>(
    name: &str,
    description: &str,
    parameters: Value,
    annotations: Annotations,
    run: F,
) -> Native
where
    F: Fn(Caller, Value) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, ToolError>> + Send + 'static,
{
    Native {
        spec: ToolSpec::native(name, description, parameters).with_annotations(annotations),
        run: Box::new(move |caller, parameters| Box::pin(run(caller, parameters))),
    }
}

pub(super) fn read<T: DeserializeOwned>(parameters: Value) -> Result<T, ToolError> {
    serde_json::from_value(parameters).map_err(|error| ToolError::failed(error.to_string()))
}

pub(super) fn failed(error: impl std::fmt::Display) -> ToolError {
    ToolError::failed(error.to_string())
}

/// The twin a call is about: the caller, or the one named where the node's user calls.
pub(super) fn twin_of(caller: &Caller, named: Option<String>) -> Result<String, ToolError> {
    match (caller.twin_id.clone(), named) {
        (Some(caller), Some(named)) if caller != named => Err(ToolError::Denied {
            reason: format!("twin {caller} cannot act as twin {named}"),
        }),
        (Some(twin_id), _) | (None, Some(twin_id)) => Ok(twin_id),
        (None, None) => Err(ToolError::failed("say which twin: twin_id")),
    }
}

fn remember(mind: Mind) -> Native {
    #[derive(Deserialize)]
    struct In {
        twin_id: Option<String>,
        content: String,
    }
    native(
        "remember",
        "Remembers a text: keeps it as a note of the twin for later",
        json!({"type": "object", "required": ["content"], "properties": {
            "content": {"type": "string", "minLength": 1, "description": "the text to keep"},
            "twin_id": {"type": "string"}}}),
        WRITES,
        move |caller, parameters| {
            let mind = mind.clone();
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.twin_id)?;
                let entry = AppendMemory {
                    role: "user".into(),
                    content: input.content,
                };
                let kept = mind.append_memory(&twin_id, entry).await.map_err(failed)?;
                Ok(json!({"text": format!("Noted: {}", kept.content), "id": kept.id}))
            }
        },
    )
}

fn recall(mind: Mind) -> Native {
    #[derive(Deserialize)]
    struct In {
        twin_id: Option<String>,
        query: String,
        #[serde(default = "five")]
        limit: usize,
    }
    fn five() -> usize {
        5
    }
    native(
        "recall",
        "Recalls what the twin remembers: searches its notes",
        json!({"type": "object", "required": ["query"], "properties": {
            "query": {"type": "string", "minLength": 1, "description": "what to look for"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "twin_id": {"type": "string"}}}),
        READS,
        move |caller, parameters| {
            let mind = mind.clone();
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.twin_id)?;
                // The goal that asks was itself remembered a moment ago: it is no finding.
                let newest = mind.memories(&twin_id, Some(1)).map_err(failed)?.pop();
                let asking = newest
                    .filter(|entry| entry.role == "user" && entry.content.contains(&input.query))
                    .map(|entry| entry.seq);
                let found: Vec<Memory> = mind
                    .search_memory(&twin_id, &input.query, 4 * input.limit + 1)
                    .map_err(failed)?
                    .into_iter()
                    .filter(|entry| Some(entry.seq) != asking)
                    // What was asked once answers nothing.
                    .filter(|entry| !(entry.role == "user" && asks(&entry.content)))
                    .collect();
                let found = originals(found)
                    .into_iter()
                    .take(input.limit)
                    .map(|entry| {
                        json!({"content": entry.content, "role": entry.role, "ts": entry.ts,
                               "score": entry.score})
                    })
                    .collect::<Vec<_>>();
                Ok(json!({"memories": found}))
            }
        },
    )
}

/// Whether a text is a question and no more.
fn asks(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with('?') && !text.contains([':', '\n'])
}

/// Without entries that only repeat another one: the order to remember it, the answer that quoted it.
fn originals(found: Vec<Memory>) -> Vec<Memory> {
    let texts: Vec<String> = found
        .iter()
        .map(|entry| entry.content.to_lowercase())
        .collect();
    let repeats = |at: usize| {
        texts.iter().enumerate().any(|(other, text)| {
            let same = texts[at] == *text;
            other != at && texts[at].contains(text.as_str()) && (!same || other < at)
        })
    };
    let keep: Vec<bool> = (0..texts.len()).map(|at| !repeats(at)).collect();
    found
        .into_iter()
        .zip(keep)
        .filter_map(|(entry, keep)| keep.then_some(entry))
        .collect()
}

/// The bytes an artifact's signature covers: a domain, then its DAG-CBOR.
fn artifact_bytes(artifact: &Value) -> Result<Vec<u8>, ToolError> {
    let mut bytes = ARTIFACT_DOMAIN.to_vec();
    bytes.extend(to_dag_cbor(artifact).map_err(failed)?);
    Ok(bytes)
}

fn did_sign_artifact(mind: Mind) -> Native {
    #[derive(Deserialize)]
    struct In {
        twin_id: Option<String>,
        artifact: Value,
    }
    native(
        "did_sign_artifact",
        "Signs an artifact with the key of a twin's DID",
        json!({"type": "object", "required": ["artifact"], "properties": {
            "twin_id": {"type": "string", "description": "the signing twin"},
            "artifact": {"description": "any JSON"}}}),
        WRITES,
        move |caller, parameters| {
            let mind = mind.clone();
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.twin_id)?;
                let identity = identity(&mind, &twin_id)?;
                let signature = identity.sign(&artifact_bytes(&input.artifact)?);
                Ok(json!({"did": identity.did(), "signature": signature,
                          "artifact": input.artifact}))
            }
        },
    )
}

pub(super) fn identity(mind: &Mind, twin_id: &str) -> Result<SigningIdentity, ToolError> {
    mind.twin(twin_id).map_err(failed)?;
    mind.keys().twin(twin_id).map_err(failed)
}

fn did_verify_artifact() -> Native {
    #[derive(Deserialize)]
    struct In {
        did: String,
        signature: String,
        artifact: Value,
    }
    native(
        "did_verify_artifact",
        "Verifies the signature of a DID over an artifact",
        json!({"type": "object", "required": ["did", "signature", "artifact"], "properties": {
            "did": {"type": "string"}, "signature": {"type": "string"},
            "artifact": {"description": "any JSON"}}}),
        READS,
        |_, parameters| async move {
            let input: In = read(parameters)?;
            let did: Did = input.did.parse().map_err(failed)?;
            let checked = did.verify(&artifact_bytes(&input.artifact)?, &input.signature);
            Ok(match checked {
                Ok(()) => json!({"valid": true}),
                Err(reason) => json!({"valid": false, "reason": reason.to_string()}),
            })
        },
    )
}

fn list_known_twins(mind: Mind, hive: Hive) -> Native {
    native(
        "list_known_twins",
        "Lists the twins known in the swarm: agents online on this and other nodes, with their tools",
        json!({"type": "object", "properties": {}}),
        READS,
        move |_, _| {
            let (mind, hive) = (mind.clone(), hive.clone());
            async move {
                let mut twins: Vec<Value> = mind
                    .twins()
                    .map_err(failed)?
                    .into_iter()
                    .map(|twin| {
                        let named = |key: &str| twin.state.get(key).filter(|one| one.is_string());
                        json!({"twin_id": twin.twin_id, "did": twin.did, "node": hive.did(),
                               "local": true, "name": named("name"), "role": named("role")})
                    })
                    .collect();
                twins.extend(hive.known_twins().into_iter().map(|seen| {
                    json!({"twin_id": seen.presence.twin_id, "did": seen.presence.did,
                           "node": seen.node, "local": false,
                           "name": seen.presence.capabilities.name,
                           "role": seen.presence.capabilities.role,
                           "tools": seen.presence.capabilities.tools})
                }));
                Ok(json!({"twins": twins}))
            }
        },
    )
}

fn broadcast_swarm_task(market: Market) -> Native {
    #[derive(Deserialize)]
    struct In {
        task: Value,
    }
    native(
        "broadcast_swarm_task",
        "Broadcasts a task to the swarm, for every node to see and an able one to do",
        json!({"type": "object", "required": ["task"], "properties": {
            "task": {"type": ["string", "object"], "description": "the goal, or an object with \
                `goal` and, as wanted, `id`, `needs` (names of tools) and `deadline_s`"}}}),
        SHARES,
        move |caller, parameters| {
            let market = market.clone();
            async move {
                let input: In = read(parameters)?;
                let task = match input.task {
                    Value::String(goal) => json!({"goal": goal}),
                    other => other,
                };
                let asked = market.broadcast(task, caller.twin_id).await;
                let (id, task_id) = asked.map_err(failed)?;
                Ok(json!({"text": "The task is broadcast.", "id": id, "task_id": task_id}))
            }
        },
    )
}

fn hive_pull(hive: Hive, git: Option<Bridge>) -> Native {
    native(
        "hive_pull",
        "Pulls the hive's newest playbook",
        json!({"type": "object", "properties": {}}),
        READS,
        move |_, _| {
            let (hive, git) = (hive.clone(), git.clone());
            async move {
                let snapshot = hive.playbook();
                if let Some(Err(error)) =
                    git.map(|git| git.playbook(snapshot.head, &snapshot.state))
                {
                    tracing::warn!(%error, "the playbook was not queued for Git");
                }
                let text = format!(
                    "The playbook is at {}, {} revisions from its genesis, with {} learned cases.",
                    snapshot.head,
                    snapshot.revisions,
                    snapshot.state.cases().count()
                );
                Ok(json!({"text": text, "cid": snapshot.head.to_string(),
                          "revisions": snapshot.revisions,
                          "playbook": snapshot.state.to_toml()}))
            }
        },
    )
}

fn hive_push(mind: Mind, hive: Hive, git: Option<Bridge>) -> Native {
    #[derive(Deserialize)]
    struct In {
        twin_id: Option<String>,
        critique: String,
        updated_playbook: Option<String>,
        delta: Option<Delta>,
    }
    native(
        "hive_push",
        "Pushes a refinement artifact of the playbook to the hive, signed by a twin",
        json!({"type": "object", "required": ["critique"], "properties": {
            "twin_id": {"type": "string", "description": "the signing twin"},
            "critique": {"type": "string", "description": "what was learned"},
            "updated_playbook": {"type": "string", "description": "the whole playbook as TOML"},
            "delta": {"type": "object", "description": "or only what changes"}},
            "anyOf": [{"required": ["updated_playbook"]}, {"required": ["delta"]}]}),
        SHARES,
        move |caller, parameters| {
            let (mind, hive, git) = (mind.clone(), hive.clone(), git.clone());
            async move {
                let input: In = read(parameters)?;
                let twin_id = twin_of(&caller, input.twin_id)?;
                let identity = identity(&mind, &twin_id)?;
                let snapshot = hive.playbook();
                let mut delta = input.delta.unwrap_or_default();
                if let Some(toml) = input.updated_playbook {
                    let wanted = parse_toml(&toml).map_err(failed)?;
                    delta.set.extend(diff(snapshot.state.settings(), &wanted));
                }
                let artifact = Artifact {
                    twin_id,
                    base: snapshot.head,
                    critique: input.critique,
                    delta,
                    evidence: Evidence {
                        status: "by hand".into(),
                        steps: 0,
                        tools: Vec::new(),
                        before: Default::default(),
                        after: Default::default(),
                    },
                    timestamp: now_ms(),
                    nonce: Uuid::new_v4().to_string(),
                };
                let signed = Verified::sign(&identity, artifact).map_err(failed)?;
                // A refusal names its gate.
                let cid = hive.publish(signed.clone()).await.map_err(failed)?;
                let mut told = json!({"cid": cid.to_string(), "status": "pending"});
                if let Some(git) = git {
                    let merged = Merged {
                        artifact: cid,
                        author: signed.author().clone(),
                        delta: signed.body().delta.clone(),
                    };
                    let candidate = snapshot.state.preview(vec![merged]);
                    let author = signed.author().to_string();
                    // It is published whatever becomes of its branch.
                    match git.artifact(cid, &author, signed.body(), &candidate) {
                        Ok(branch) => told["git_branch"] = json!(branch),
                        Err(error) => told["git_error"] = json!(error.to_string()),
                    }
                }
                Ok(told)
            }
        },
    )
}
