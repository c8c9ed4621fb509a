//! The mind of a node's twins: one handle that the control API and the executive share.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicUsize},
    time::{SystemTime, UNIX_EPOCH},
};

use cid::Cid;
use pagi_messages::{
    Event, EventType, Orders,
    event::{from_unix_ms, rfc3339},
};
use pagi_playbook::Playbook;
use pagi_policy::{EthicsConfig, EthicsGate, HarmCategory};
use pagi_store::{Store, TwinRecord};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::TwinError,
    identity::KeyStore,
    inference::Engine,
    messaging::Throttle,
    planner::{KnownCase, ToolInfo},
    ports::{Adopted, Collective, Courier, Esteem, Tools},
};

/// Research questions answered at the same time.
const RESEARCHING_AT_ONCE: usize = 2;

/// How a mind is set up.
pub struct MindConfig {
    /// The engine goals go to.
    pub engine: Engine,
    /// The node's own ethics rules; the playbook's are added to them.
    pub ethics: EthicsConfig,
    /// Acts twins may do: `notify`, `write_file`, `call_tool`.
    pub allowed_acts: BTreeSet<String>,
    /// The folder in which each twin has a folder of its own.
    pub files: PathBuf,
}

/// A cloneable handle to the twin stack.
#[derive(Clone)]
pub struct Mind {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) keys: KeyStore,
    pub(crate) tools: Arc<dyn Tools>,
    pub(crate) collective: Arc<dyn Collective>,
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) config: MindConfig,
    /// The gate compiled for the playbook head it was compiled for: a cache, nothing more.
    gate: Mutex<Option<(Cid, Arc<EthicsGate>)>>,
    /// Held from reading a twin's state to writing it back, so that no patch is lost.
    pub(crate) patching: tokio::sync::Mutex<()>,
    /// How many goals of the user run now.
    pub(crate) running: AtomicUsize,
    /// How many messages are taken from whom.
    pub(crate) throttle: Mutex<Throttle>,
    /// Asked how far a DID is believed.
    pub(crate) esteem: OnceLock<Arc<dyn Esteem>>,
    /// Research questions answered at the same time.
    pub(crate) researching: tokio::sync::Semaphore,
    /// The orders to stop and to go on.
    pub(crate) orders: Mutex<Orders>,
    /// Told when a message is to be sent before the next one that waits.
    pub(crate) outbox: tokio::sync::Notify,
}

impl Mind {
    /// A mind over its parts.
    ///
    /// # Errors
    /// [`TwinError::Ethics`] where the node's own rules cannot be compiled.
    pub fn new(
        store: Store,
        keys: KeyStore,
        tools: Arc<dyn Tools>,
        collective: Arc<dyn Collective>,
        courier: Arc<dyn Courier>,
        config: MindConfig,
    ) -> Result<Self, TwinError> {
        EthicsGate::new(config.ethics.clone())?;
        let (gate, patching) = (Mutex::new(None), tokio::sync::Mutex::new(()));
        let orders = Mutex::new(Self::stored_orders(&store)?);
        let inner = Inner {
            store,
            keys,
            tools,
            collective,
            courier,
            config,
            gate,
            patching,
            running: AtomicUsize::new(0),
            throttle: Mutex::default(),
            esteem: OnceLock::new(),
            researching: tokio::sync::Semaphore::new(RESEARCHING_AT_ONCE),
            orders,
            outbox: tokio::sync::Notify::new(),
        };
        let mind = Self {
            inner: Arc::new(inner),
        };
        mind.finish_rotations()?;
        Ok(mind)
    }

    /// Says whom to ask how far a DID is believed. Until then nobody is; the first one named counts.
    pub fn believes(&self, esteem: Arc<dyn Esteem>) {
        let _ = self.inner.esteem.set(esteem);
    }

    /// The engine goals go to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.config.engine
    }

    /// The keys of the twins.
    #[must_use]
    pub fn keys(&self) -> &KeyStore {
        &self.inner.keys
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The twin, or [`TwinError::UnknownTwin`].
    pub(crate) fn require(&self, twin_id: &str) -> Result<TwinRecord, TwinError> {
        self.store()
            .get_twin(twin_id)?
            .ok_or_else(|| TwinError::UnknownTwin(twin_id.chars().take(64).collect()))
    }

    /// The gate of the node's rules and those of `adopted`.
    pub(crate) fn gate(&self, adopted: &Adopted) -> Result<Arc<EthicsGate>, TwinError> {
        let cached = self
            .inner
            .gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((_, gate)) = cached.filter(|(head, _)| *head == adopted.head) {
            return Ok(gate);
        }
        let playbook = Playbook::from_document(adopted.state.settings()).unwrap_or_default();
        let theirs = EthicsConfig {
            red_lines: playbook.ethics.red_lines,
            harm_categories: playbook
                .ethics
                .harm_categories
                .into_iter()
                .map(|category| HarmCategory {
                    name: category.name,
                    terms: category.terms,
                })
                .collect(),
            refusal_response: playbook.ethics.refusal_response,
            alignment_check: playbook.ethics.alignment_check,
        };
        let merged = self.inner.config.ethics.clone().merge(&theirs);
        let gate = Arc::new(EthicsGate::new(merged)?);
        *self
            .inner
            .gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((adopted.head, gate.clone()));
        Ok(gate)
    }

    pub(crate) async fn catalog(&self, twin_id: &str) -> Vec<ToolInfo> {
        let mut tools = self.inner.tools.catalog(twin_id).await;
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools
    }
}

/// The cases of a playbook as the planner takes them.
pub(crate) fn known_cases(adopted: &Adopted) -> Vec<KnownCase> {
    adopted
        .state
        .cases()
        .map(|(case, tally)| KnownCase {
            case: case.clone(),
            helpful: tally.helpful,
            harmful: tally.harmful,
        })
        .collect()
}

/// Milliseconds since the Unix epoch by this machine's clock.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
        .unwrap_or(0)
}

/// Now, RFC 3339.
#[must_use]
pub fn now_text() -> String {
    rfc3339(from_unix_ms(now_ms()))
}

/// An event of now with a fresh id.
#[must_use]
pub fn event_now(kind: EventType, source: &str, payload: Value) -> Event {
    Event::new(
        Uuid::new_v4(),
        from_unix_ms(now_ms()),
        kind,
        source,
        payload,
    )
}
