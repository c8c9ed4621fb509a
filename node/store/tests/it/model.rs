//! Random writes and reopenings, compared with a model of plain collections.

use std::collections::BTreeMap;

use pagi_messages::EventType;
use pagi_store::{
    AuditRecord, Batch, EventFilter, Role, Store, StoreError, StoreLimits, ToolRecord,
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

use crate::samples::{TS, artifact, event, twin};

const LIMITS: StoreLimits = StoreLimits {
    max_events: 12,
    max_audit: 4,
    max_memories_per_twin: 3,
    max_messages_per_twin: 3,
    max_messages_remembered: 3,
    max_outbox: 3,
};
const NAMES: [&str; 4] = ["a", "ab", "", "b\0"];
const KINDS: [EventType; 2] = [EventType::GoalReceived, EventType::ToolExecuted];

#[derive(Clone, Debug)]
enum Op {
    Twin(usize, u32),
    Memory(usize, String),
    Event(usize, usize),
    Audit(u32),
    Allow(usize, usize, bool),
    Tool(usize, u32),
    RemoveTool(usize),
    Artifact(usize),
    Status(usize, u32),
    Setting(usize, u32),
    Heads(Vec<String>),
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Op>),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), any::<u32>()).prop_map(|(n, v)| Op::Twin(n, v)),
        (name(), ".{0,12}").prop_map(|(n, v)| Op::Memory(n, v)),
        (name(), 0..KINDS.len()).prop_map(|(n, k)| Op::Event(n, k)),
        any::<u32>().prop_map(Op::Audit),
        (name(), name(), any::<bool>()).prop_map(|(n, t, v)| Op::Allow(n, t, v)),
        (name(), any::<u32>()).prop_map(|(n, v)| Op::Tool(n, v)),
        name().prop_map(Op::RemoveTool),
        name().prop_map(Op::Artifact),
        (name(), any::<u32>()).prop_map(|(n, v)| Op::Status(n, v)),
        (name(), any::<u32>()).prop_map(|(n, v)| Op::Setting(n, v)),
        prop::collection::vec("[a-z]{0,3}", 0..3).prop_map(Op::Heads),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(op(), 1..6).prop_map(Step::Write),
        1 => Just(Step::Reopen),
    ]
}

/// What a store holds, as plain collections. Logs hold everything ever appended.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    twins: BTreeMap<usize, u32>,
    memories: BTreeMap<usize, Vec<String>>,
    events: Vec<(usize, usize)>,
    audits: Vec<u32>,
    grants: BTreeMap<(usize, usize), bool>,
    tools: BTreeMap<usize, u32>,
    artifacts: BTreeMap<usize, String>,
    settings: BTreeMap<usize, u32>,
    heads: Vec<String>,
}

impl Model {
    /// Whether the operation is possible.
    fn apply(&mut self, op: &Op) -> bool {
        match op.clone() {
            Op::Twin(n, v) => drop(self.twins.insert(n, v)),
            Op::Memory(n, v) => self.memories.entry(n).or_default().push(v),
            Op::Event(n, k) => self.events.push((n, k)),
            Op::Audit(v) => self.audits.push(v),
            Op::Allow(n, t, v) => drop(self.grants.insert((n, t), v)),
            Op::Tool(n, v) => drop(self.tools.insert(n, v)),
            Op::RemoveTool(n) => drop(self.tools.remove(&n)),
            Op::Artifact(n) => drop(self.artifacts.insert(n, "pending".into())),
            Op::Status(n, v) => match self.artifacts.get_mut(&n) {
                Some(status) => *status = v.to_string(),
                None => return false,
            },
            Op::Setting(n, v) => drop(self.settings.insert(n, v)),
            Op::Heads(cids) => self.heads = cids,
        }
        true
    }
}

fn add(batch: Batch, op: &Op) -> Batch {
    match op {
        Op::Twin(n, v) => batch.twin(twin(NAMES[*n], TS, *v)),
        Op::Memory(n, v) => batch.memory(NAMES[*n], Role::User, v, TS),
        Op::Event(n, k) => batch.event(event(KINDS[*k], "test", json!(null)).about_twin(NAMES[*n])),
        Op::Audit(v) => batch.audit(AuditRecord::new(TS, v.to_string(), "act", "allowed")),
        Op::Allow(n, t, v) => batch.allow(NAMES[*n], NAMES[*t], *v),
        Op::Tool(n, v) => batch.tool(ToolRecord {
            name: NAMES[*n].into(),
            spec: json!(v),
            registered_by: None,
        }),
        Op::RemoveTool(n) => batch.remove_tool(NAMES[*n]),
        Op::Artifact(n) => batch.artifact(artifact(NAMES[*n], TS)),
        Op::Status(n, v) => batch.artifact_status(NAMES[*n], v.to_string(), None),
        Op::Setting(n, v) => batch.setting(NAMES[*n], json!(v)),
        Op::Heads(cids) => batch.heads(cids.clone()),
    }
}

/// The last `max` of `all`, each with its number, counted from 1.
fn kept<T: Clone>(all: &[T], max: u64) -> Vec<(u64, T)> {
    let skip = all.len().saturating_sub(max as usize);
    (1..).zip(all.iter().cloned()).skip(skip).collect()
}

fn index(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap()
}

fn check(store: &Store, model: &Model) {
    let twins: BTreeMap<usize, u32> = store
        .list_twins()
        .unwrap()
        .into_iter()
        .map(|twin| {
            (
                index(&twin.twin_id),
                twin.state["note"].as_u64().unwrap() as u32,
            )
        })
        .collect();
    assert_eq!(twins, model.twins);
    for (n, name) in NAMES.iter().enumerate() {
        let wanted = kept(
            model.memories.get(&n).map_or(&[][..], Vec::as_slice),
            LIMITS.max_memories_per_twin,
        );
        assert_eq!(store.memory_count(name).unwrap(), wanted.len() as u64);
        let found = store.memories(name, None, false).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|entry| (entry.seq, entry.content))
            .collect();
        assert_eq!(found, wanted);
        let grants: BTreeMap<usize, bool> = store
            .grants(name)
            .unwrap()
            .into_iter()
            .map(|(tool, allowed)| (index(&tool), allowed))
            .collect();
        let wanted: BTreeMap<usize, bool> = model
            .grants
            .iter()
            .filter(|((owner, _), _)| *owner == n)
            .map(|((_, tool), allowed)| (*tool, *allowed))
            .collect();
        assert_eq!(grants, wanted);
        let setting = store.get_setting(name).unwrap();
        assert_eq!(setting, model.settings.get(&n).map(|value| json!(value)));
        let status = store
            .get_artifact(name)
            .unwrap()
            .map(|artifact| artifact.status);
        assert_eq!(status.as_ref(), model.artifacts.get(&n));
    }
    for (k, kind) in KINDS.iter().enumerate() {
        let filter = EventFilter {
            event_type: Some(*kind),
            ..EventFilter::default()
        };
        let found: Vec<_> = store
            .events_after(2, 5, &filter)
            .unwrap()
            .into_iter()
            .map(|logged| (logged.seq, index(&logged.event.twin_id.unwrap())))
            .collect();
        let wanted: Vec<_> = kept(&model.events, LIMITS.max_events)
            .into_iter()
            .filter(|(seq, (_, of))| *seq > 2 && *of == k)
            .map(|(seq, (n, _))| (seq, n))
            .take(5)
            .collect();
        assert_eq!(found, wanted);
    }
    assert_eq!(store.last_event_seq().unwrap(), model.events.len() as u64);
    let audits: Vec<_> = store
        .audit_after(0, 99)
        .unwrap()
        .into_iter()
        .map(|record| (record.seq, record.actor.parse::<u32>().unwrap()))
        .collect();
    assert_eq!(audits, kept(&model.audits, LIMITS.max_audit));
    let tools: BTreeMap<usize, u32> = store
        .list_tools()
        .unwrap()
        .into_iter()
        .map(|tool| (index(&tool.name), tool.spec.as_u64().unwrap() as u32))
        .collect();
    assert_eq!(tools, model.tools);
    assert_eq!(store.heads().unwrap(), model.heads);
}

async fn run(steps: Vec<Step>) {
    let dir = tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), LIMITS).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => {
                store.close().await;
                store = Store::open_with(dir.path(), LIMITS).unwrap();
            }
            Step::Write(ops) => {
                let mut next = model.clone();
                let possible = ops.iter().all(|op| next.apply(op));
                match store.write(ops.iter().fold(Batch::new(), add)).await {
                    Ok(_) => assert!(possible),
                    Err(StoreError::NotFound { .. }) => assert!(!possible),
                    Err(other) => panic!("{other}"),
                }
                if possible {
                    model = next;
                }
            }
        }
        check(&store, &model);
    }
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn a_store_is_what_was_written_to_it(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
