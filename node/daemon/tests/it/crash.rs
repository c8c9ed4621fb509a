//! SIGKILL at any moment: whatever was acknowledged is there afterwards, unchanged.
//!
//! `PAGI_TEST_KILLS` sets how often a node is killed (10), `PAGI_TEST_SEED` repeats a run's random
//! moments.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    http::{Answer, Http, Lost},
    node::{Home, Node},
};

const KILLS: u32 = 10;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}

fn kills() -> u32 {
    number("PAGI_TEST_KILLS").map_or(KILLS, |kills| u32::try_from(kills).unwrap())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let clock = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos() as u64
        };
        let seed = number("PAGI_TEST_SEED").unwrap_or_else(clock);
        eprintln!("PAGI_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}

/// A value that is written again and again: what was acknowledged, and what was under way.
#[derive(Clone, Debug, Default)]
struct Slot {
    acknowledged: Option<u64>,
    under_way: Option<u64>,
}

impl Slot {
    /// Checks the value that was found, which from now on may not change by itself.
    #[track_caller]
    fn check(&mut self, what: &str, found: Option<u64>) {
        let fits = found == self.acknowledged || (found.is_some() && found == self.under_way);
        assert!(fits, "{what} is {found:?}, but {self:?}");
        *self = Self {
            acknowledged: found,
            under_way: None,
        };
    }
}

/// What a node acknowledged.
#[derive(Default)]
struct Ledger {
    /// Id to DID and note.
    twins: BTreeMap<String, (String, String)>,
    /// Twin and entry id to content.
    memories: BTreeMap<(String, String), String>,
    /// Place to event id and mark.
    events: BTreeMap<u64, (String, String)>,
    /// CID to document.
    documents: BTreeMap<String, Value>,
    /// Tool name to the number in its description.
    tools: BTreeMap<String, Slot>,
    /// Twin id to the number in its state.
    states: BTreeMap<String, Slot>,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.twins.extend(other.twins);
        self.memories.extend(other.memories);
        self.events.extend(other.events);
        self.documents.extend(other.documents);
        self.tools.extend(other.tools);
        self.states.extend(other.states);
    }

    /// Takes over what was there before, where nothing newer was acknowledged.
    fn after(&mut self, before: &Self) {
        for (mine, old) in [
            (&mut self.tools, &before.tools),
            (&mut self.states, &before.states),
        ] {
            for (name, slot) in mine {
                let old = old.get(name).and_then(|old| old.acknowledged);
                slot.acknowledged = slot.acknowledged.or(old);
            }
        }
    }
}

/// A success's document; anything but a success or a lost connection is a fault of the node.
fn acknowledged(answer: Result<Answer, Lost>) -> Result<Value, Lost> {
    answer.map(|answer| answer.ok())
}

/// Adds twins, and two memories to each.
async fn write_twins(http: &Http, mark: &str, kept: &mut Ledger) -> Result<(), Lost> {
    for n in 0.. {
        let note = format!("{mark}-twin-{n}");
        let body = json!({"initial_state": {"status": "active", "note": note}});
        let twin = acknowledged(http.try_post("/twins", &body).await)?;
        let text = |key: &str| twin[key].as_str().unwrap().to_owned();
        let twin_id = text("twin_id");
        kept.twins.insert(twin_id.clone(), (text("did"), note));
        for m in 0..2 {
            let content = format!("{mark}-memory-{n}-{m}");
            let body = json!({"role": "user", "content": content});
            let entry = acknowledged(http.try_post(&format!("/memory/{twin_id}"), &body).await)?;
            let id = entry["id"].as_str().unwrap().to_owned();
            kept.memories.insert((twin_id.clone(), id), content);
        }
    }
    Ok(())
}

/// Publishes events.
async fn write_events(http: &Http, mark: &str, kept: &mut Ledger) -> Result<(), Lost> {
    for n in 0.. {
        let mark = format!("{mark}-event-{n}");
        let body = json!({"event_type": "goal_received", "source": "crash", "payload": mark});
        let event = acknowledged(http.try_post("/publish", &body).await)?;
        let id = event["id"].as_str().unwrap().to_owned();
        kept.events
            .insert(event["seq"].as_u64().unwrap(), (id, mark));
    }
    Ok(())
}

/// Stores documents.
async fn write_documents(http: &Http, mark: &str, kept: &mut Ledger) -> Result<(), Lost> {
    for n in 0.. {
        let document =
            json!({"mark": format!("{mark}-document-{n}"), "fill": "x".repeat(n % 5000)});
        let stored = acknowledged(http.try_post("/ipfs/dag", &document).await)?;
        kept.documents
            .insert(stored["cid"].as_str().unwrap().to_owned(), document);
    }
    Ok(())
}

/// Registers the same few tools, and changes the state of one twin, over and over.
async fn write_over(http: &Http, round: u64, twin_id: &str, kept: &mut Ledger) -> Result<(), Lost> {
    for n in 0.. {
        let value = round * 1_000_000 + n;
        let name = format!("tool{}", n % 7);
        let body = json!({"tool": {"name": name, "description": value.to_string(),
            "plugin_url": "http://127.0.0.1:9", "endpoint": "/x", "parameters": {"type": "object"}}});
        kept.tools.entry(name.clone()).or_default().under_way = Some(value);
        acknowledged(http.try_post("/register_tool", &body).await)?;
        kept.tools.entry(name).or_default().acknowledged = Some(value);

        kept.states.entry(twin_id.to_owned()).or_default().under_way = Some(value);
        let path = format!("/twins/{twin_id}/state");
        let json = http.with("content-type", "application/json");
        let patch = json!({"n": value}).to_string();
        acknowledged(json.try_send("PATCH", &path, patch).await)?;
        kept.states
            .entry(twin_id.to_owned())
            .or_default()
            .acknowledged = Some(value);
    }
    Ok(())
}

/// Writers of every kind until the node dies; what it acknowledged to each.
fn start_writers(http: &Http, round: u64, twin_id: &str) -> JoinSet<Ledger> {
    let mut writers = JoinSet::new();
    for writer in 0..2 {
        let (http, mark) = (http.clone(), format!("{round}-{writer}"));
        writers.spawn(async move {
            let mut kept = Ledger::default();
            let _ = write_events(&http, &mark, &mut kept).await;
            kept
        });
    }
    let (client, mark) = (http.clone(), format!("{round}-2"));
    writers.spawn(async move {
        let mut kept = Ledger::default();
        let _ = write_twins(&client, &mark, &mut kept).await;
        kept
    });
    let (client, mark) = (http.clone(), format!("{round}-3"));
    writers.spawn(async move {
        let mut kept = Ledger::default();
        let _ = write_documents(&client, &mark, &mut kept).await;
        kept
    });
    let (client, twin_id) = (http.clone(), twin_id.to_owned());
    writers.spawn(async move {
        let mut kept = Ledger::default();
        let _ = write_over(&client, round, &twin_id, &mut kept).await;
        kept
    });
    writers
}

/// Checks that all of `kept` is on `node`.
async fn check(node: &Node, kept: &mut Ledger) {
    let twins = node.get("/twins").await;
    let twins: BTreeMap<&str, &Value> = twins
        .as_array()
        .unwrap()
        .iter()
        .map(|twin| (twin["twin_id"].as_str().unwrap(), twin))
        .collect();
    for (id, (did, note)) in &kept.twins {
        let twin = twins
            .get(id.as_str())
            .unwrap_or_else(|| panic!("the twin {id} is lost"));
        assert_eq!(
            (&twin["did"], &twin["state"]["note"]),
            (&json!(did), &json!(note))
        );
    }
    for (id, slot) in &mut kept.states {
        slot.check("a twin's state", twins[id.as_str()]["state"]["n"].as_u64());
    }
    let mut memories: BTreeMap<&str, Value> = BTreeMap::new();
    for ((twin_id, id), content) in &kept.memories {
        if !memories.contains_key(twin_id.as_str()) {
            memories.insert(twin_id, node.get(&format!("/memory/{twin_id}")).await);
        }
        let entries = memories[twin_id.as_str()].as_array().unwrap();
        let found = entries.iter().find(|entry| entry["id"] == *id);
        assert_eq!(
            found.map(|entry| &entry["content"]),
            Some(&json!(content)),
            "a memory is lost"
        );
    }
    let first = kept.events.keys().next().map_or(0, |seq| seq - 1);
    let events = node.events_after(first).await;
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(
        seqs.is_sorted_by(|a, b| a < b),
        "the places in the log do not rise: {seqs:?}"
    );
    let by_seq: BTreeMap<u64, &Value> = seqs.into_iter().zip(&events).collect();
    for (seq, (id, mark)) in &kept.events {
        let event = by_seq
            .get(seq)
            .unwrap_or_else(|| panic!("the event {seq} ({mark}) is lost"));
        assert_eq!(
            (&event["id"], &event["payload"]),
            (&json!(id), &json!(mark)),
            "at {seq}"
        );
    }
    let tools = node.get("/tools").await;
    for (name, slot) in &mut kept.tools {
        let tool = tools
            .as_array()
            .unwrap()
            .iter()
            .find(|tool| tool["name"] == *name);
        let found = tool.map(|tool| tool["description"].as_str().unwrap().parse().unwrap());
        slot.check(name, found);
    }
    for (cid, document) in &kept.documents {
        assert_eq!(
            node.get(&format!("/ipfs/dag/{cid}")).await,
            *document,
            "{cid}"
        );
    }
    let verified = node.get("/playbook/verify").await;
    assert_eq!(verified["valid"], true, "{verified}");
}

/// Whether a twin's key, made before a crash, still signs for its DID.
async fn check_key(node: &Node, twin_id: &str, did: &str) {
    let parameters = json!({"twin_id": twin_id, "artifact": "x"});
    let signed = node.tool("did_sign_artifact", parameters).await;
    assert_eq!(signed["did"], did);
    assert_eq!(
        node.tool("did_verify_artifact", signed).await["valid"],
        true
    );
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill_during_writes() {
    let mut random = Random::new();
    let home = Home::new();
    let first = home.start().await;
    let (did, token) = (first.ready.did.clone(), first.token.clone());
    let twin_id = first.twin().await;
    // What a goal taught the hive survives as well.
    let learned = first
        .ask(&twin_id, "Calculate 3.5 * 12 and tell me the result")
        .await;
    let artifact = learned["artifact_cid"].as_str().unwrap().to_owned();
    let mut running = Some(first);
    let mut all = Ledger::default();
    for round in 0..u64::from(kills()) {
        let node = match running.take() {
            Some(node) => node,
            None => home.start().await,
        };
        let mut writers = start_writers(&node.http, round, &twin_id);
        sleep(Duration::from_millis(20) + random.millis(600)).await;
        node.kill().await;
        let mut kept = Ledger::default();
        while let Some(part) = writers.join_next().await {
            kept.add(part.unwrap());
        }
        // A kill in the middle of the next start, too.
        if random.below(2) == 0 {
            let mut child = home.launch().spawn();
            sleep(random.millis(400)).await;
            child.kill().await.unwrap();
        }
        let node = home.start().await;
        assert_eq!((&node.ready.did, &node.token), (&did, &token));
        kept.after(&all);
        check(&node, &mut kept).await;
        if let Some((twin_id, (did, _))) = kept.twins.first_key_value() {
            check_key(&node, twin_id, did).await;
        }
        all.add(kept);
        running = Some(node);
    }
    let node = running.unwrap();
    check(&node, &mut all).await;
    let view = node.get(&format!("/artifacts/{artifact}")).await;
    assert!(
        view["status"] == "merged" || view["status"] == "pending",
        "{view}"
    );
    assert!(node.get(&format!("/ipfs/dag/{artifact}")).await.is_object());
    eprintln!(
        "{} kills; kept {} twins, {} memories, {} events, {} documents, {} and {} last values",
        kills(),
        all.twins.len(),
        all.memories.len(),
        all.events.len(),
        all.documents.len(),
        all.tools.len(),
        all.states.len(),
    );
    let written = [
        all.twins.len(),
        all.memories.len(),
        all.events.len(),
        all.documents.len(),
    ];
    assert!(
        written.iter().all(|count| *count > 0) && !all.tools.is_empty(),
        "nothing was tried"
    );
}

#[tokio::test]
async fn a_node_killed_while_it_starts_starts_again() {
    let mut random = Random::new();
    let rounds = u64::from(kills()).div_ceil(4).max(2);
    for _ in 0..rounds {
        let home = Home::new();
        // On the very first start keys, token, configuration and store are being made.
        for step in 0..4 {
            let mut child = home.launch().spawn();
            sleep(Duration::from_millis(step * 75) + random.millis(75)).await;
            child.kill().await.unwrap();
        }
        let node = home.start().await;
        let (did, token) = (node.ready.did.clone(), node.token.clone());
        let twin_id = node.twin().await;
        assert_eq!(home.json(&["doctor"]).await["ok"], true);
        node.kill().await;
        for _ in 0..2 {
            let mut child = home.launch().spawn();
            sleep(random.millis(400)).await;
            child.kill().await.unwrap();
        }
        let node = home.start().await;
        assert_eq!((&node.ready.did, &node.token), (&did, &token));
        assert_eq!(node.get("/twins").await[0]["twin_id"], twin_id);
        assert_eq!(node.get("/playbook/verify").await["valid"], true);
    }
}
