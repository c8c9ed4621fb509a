//! The parts a mind is tested with: a toolbox of plain functions, and a hive of one that merges what
//! it is given at once.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use cid::Cid;
use pagi_api::twins::CreateTwin;
use pagi_messages::{Did, SigningIdentity, Verified};
use pagi_playbook::{Artifact, Dag, Genesis, Limits, Merged, block, validate_artifact};
use pagi_policy::EthicsConfig;
use pagi_store::Store;
use pagi_twin::{
    Mind, MindConfig,
    identity::KeyStore,
    inference::Engine,
    planner::{ToolInfo, answer::CallFailure},
    ports::{Adopted, Collective, Courier, Delivered, DeliveryError, PublishError, Tools},
};
use serde_json::{Value, json};

/// Tools by plain functions; calls are recorded.
#[derive(Default)]
pub struct Toolbox {
    pub calls: Mutex<Vec<(String, String, Value)>>,
    /// Tools that fail at present, with the kind of failure.
    pub broken: Mutex<Vec<(String, String)>>,
    /// Whose memory `recall` looks through; none finds nothing.
    pub mind: Mutex<Option<Mind>>,
}

#[async_trait]
impl Tools for Toolbox {
    async fn catalog(&self, _: &str) -> Vec<ToolInfo> {
        let tool = |name: &str, description: &str, parameters: Value, read_only| ToolInfo {
            name: name.into(),
            description: description.into(),
            parameters,
            read_only,
        };
        let text = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
        vec![
            tool(
                "system_monitor",
                "Health of this machine: CPU, memory, disk",
                json!({"type": "object", "properties": {}}),
                true,
            ),
            tool(
                "thermometer",
                "Reads the temperature sensors",
                json!({"type": "object"}),
                true,
            ),
            tool(
                "calculator",
                "Evaluates an arithmetic expression",
                text("expression"),
                true,
            ),
            tool("recall", "Searches the twin's memory", text("query"), true),
            tool(
                "remember",
                "Keeps a text as a note of the twin",
                text("content"),
                false,
            ),
            tool(
                "list_known_twins",
                "Lists the twins known in the swarm",
                json!({"type": "object"}),
                true,
            ),
            tool("greet", "Greets a person by name", text("name"), false),
        ]
    }

    async fn call(&self, twin: &str, name: &str, parameters: Value) -> Result<Value, CallFailure> {
        self.calls
            .lock()
            .unwrap()
            .push((twin.into(), name.into(), parameters.clone()));
        let broken = self.broken.lock().unwrap().clone();
        if let Some((_, kind)) = broken.into_iter().find(|(broken, _)| broken == name) {
            return Err(CallFailure {
                kind,
                message: "it is broken".into(),
            });
        }
        match name {
            "system_monitor" => Ok(json!({"cpu_percent": 93.0, "memory_percent": 41.5})),
            "thermometer" => Ok(json!({"cpu_celsius": 55})),
            "calculator" => Ok(json!({"expression": parameters["expression"], "result": 42})),
            "recall" => {
                let mind = self.mind.lock().unwrap().clone();
                let query = parameters["query"].as_str().unwrap_or_default();
                let found = mind.map_or_else(Vec::new, |mind| {
                    mind.search_memory(twin, query, 5).unwrap_or_default()
                });
                // The question itself is no finding.
                let found: Vec<Value> = found
                    .into_iter()
                    .filter(|entry| !entry.content.contains(query))
                    .map(|entry| json!({"content": entry.content}))
                    .collect();
                Ok(json!({ "memories": found }))
            }
            "remember" => Ok(json!({"text": format!("Noted: {}", parameters["content"])})),
            "greet" => Ok(json!({"text": format!("Hello, {}!", parameters["name"])})),
            "list_known_twins" => Ok(json!({"twins": [{"name": "ada"}]})),
            _ => Err(CallFailure {
                kind: "unknown_tool".into(),
                message: "unknown".into(),
            }),
        }
    }

    fn leaves_node(&self, _: &str) -> bool {
        false
    }
}

impl Toolbox {
    pub fn names(&self) -> Vec<String> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(_, name, _)| name.clone())
            .collect()
    }
}

/// A hive of one node: real validation, real revisions, no network.
pub struct LoneHive {
    dag: Mutex<Dag>,
    mo: SigningIdentity,
    pub published: Mutex<Vec<Verified<Artifact>>>,
}

#[async_trait]
impl Collective for LoneHive {
    fn playbook(&self) -> Adopted {
        let dag = self.dag.lock().unwrap();
        Adopted {
            head: dag.head(),
            state: Arc::new(dag.state()),
        }
    }

    async fn publish(&self, artifact: Verified<Artifact>) -> Result<Cid, PublishError> {
        let mut dag = self.dag.lock().unwrap();
        validate_artifact(dag.view(), artifact.body(), &Limits::default())
            .map_err(|refusal| PublishError::Refused(refusal.to_string()))?;
        let (cid, _) = block::seal(&artifact).unwrap();
        let merged = Merged {
            artifact: cid,
            author: artifact.author().clone(),
            delta: artifact.body().delta.clone(),
        };
        let revision = dag.next(vec![merged], 1, None, None, 0);
        let signed = Verified::sign(&self.mo, revision).unwrap();
        let (revision, _) = block::seal(&signed).unwrap();
        dag.insert(revision, &signed).unwrap();
        self.published.lock().unwrap().push(artifact);
        Ok(cid)
    }
}

/// A postman who keeps what he carries, and brings it to another mind where he is told one.
#[derive(Default)]
pub struct Postman {
    pub carried: Mutex<Vec<String>>,
    pub other: Mutex<Option<Mind>>,
    /// What he says in place of going.
    pub excuse: Mutex<Option<DeliveryError>>,
    /// Whether he forgets to say that he delivered.
    pub silent: Mutex<bool>,
}

#[async_trait]
impl Courier for Postman {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.starts_with("http") {
            Ok(())
        } else {
            Err("only http may be posted to".into())
        }
    }

    async fn deliver(
        &self,
        _: &Did,
        _: Option<&str>,
        packed: &str,
        _: bool,
    ) -> Result<Delivered, DeliveryError> {
        if let Some(excuse) = self.excuse.lock().unwrap().clone() {
            return Err(excuse);
        }
        self.carried.lock().unwrap().push(packed.to_owned());
        let Some(other) = self.other.lock().unwrap().clone() else {
            return Err(DeliveryError::Later("nobody is there".into()));
        };
        match other.receive_message(packed).await {
            Ok(_) if *self.silent.lock().unwrap() => {
                Err(DeliveryError::Later("no receipt came".into()))
            }
            Ok(_) | Err(pagi_twin::messaging::ReceiveError::Replayed) => Ok(Delivered::Stored),
            Err(error) => Err(DeliveryError::Never(error.to_string())),
        }
    }
}

/// A mind and what it is joined to.
pub struct Rig {
    pub postman: Arc<Postman>,
    pub mind: Mind,
    pub store: Store,
    pub tools: Arc<Toolbox>,
    pub hive: Arc<LoneHive>,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// Makes a twin and gives its id.
    pub async fn twin(&self) -> String {
        let made = self.mind.create_twin(CreateTwin::default()).await;
        made.unwrap().twin_id
    }
}

pub fn rig() -> Rig {
    rig_with(Engine::Planner)
}

/// A rig whose goals go to `engine`.
pub fn rig_with(engine: Engine) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let tools = Arc::new(Toolbox::default());
    let genesis =
        Genesis::from_toml("test", "version = \"1\"\ninstructions = \"Help.\"\n").unwrap();
    let hive = Arc::new(LoneHive {
        dag: Mutex::new(Dag::new(genesis).unwrap()),
        mo: SigningIdentity::from_seed(&[9; 32]),
        published: Mutex::default(),
    });
    let postman = Arc::new(Postman::default());
    let mind = mind(
        dir.path(),
        store.clone(),
        tools.clone(),
        hive.clone(),
        postman.clone(),
        engine,
    );
    Rig {
        postman,
        mind,
        store,
        tools,
        hive,
        _dir: dir,
    }
}

fn mind(
    dir: &Path,
    store: Store,
    tools: Arc<Toolbox>,
    hive: Arc<LoneHive>,
    postman: Arc<Postman>,
    engine: Engine,
) -> Mind {
    let config = MindConfig {
        engine,
        ethics: EthicsConfig::default(),
        allowed_acts: ["write_file".to_owned(), "call_tool".to_owned()].into(),
        files: dir.join("twins"),
    };
    let keys = KeyStore::open(&dir.join("keys")).unwrap();
    Mind::new(store, keys, tools, hive, postman, config).unwrap()
}
