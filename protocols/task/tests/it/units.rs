//! Single messages against a single machine: what is refused, and hostile input.

use std::collections::BTreeSet;

use pagi_messages::{Did, Signed, SigningIdentity, Verified, from_dag_cbor, to_dag_cbor};
use pagi_task::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000;

fn who(seed: u8) -> SigningIdentity {
    SigningIdentity::from_seed(&[seed; 32])
}

fn did(seed: u8) -> Did {
    who(seed).did().clone()
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn key(asker: u8, text: &str) -> TaskKey {
    TaskKey {
        asker: did(asker),
        id: id(text),
    }
}

fn spec(text: &str) -> TaskSpec {
    TaskSpec {
        id: id(text),
        twin: did(1),
        goal: "a private goal".into(),
        summary: "a summary".into(),
        keywords: vec!["disk".into(), "health".into()],
        needs: vec!["system_monitor".into()],
        deadline_ms: NOW + 60_000,
    }
}

fn machine(me: u8) -> Machine {
    Machine::new(Config::default(), did(me), Durable::default(), NOW)
}

fn hear(machine: &mut Machine, from: u8, message: TaskMessage, now: u64) -> Vec<Output> {
    let message = Verified::sign(&who(from), message).unwrap();
    machine.handle(Input::Message(Box::new(message)), now)
}

fn refusal(outputs: &[Output]) -> Option<&Refusal> {
    outputs.iter().find_map(|output| match output {
        Output::Refused { reason, .. } | Output::Rejected { reason, .. } => Some(reason),
        _ => None,
    })
}

fn sent(outputs: &[Output]) -> Vec<&TaskMessage> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect()
}

fn chosen(outputs: &[Output]) -> Option<Did> {
    outputs.iter().find_map(|output| match output {
        Output::Assigned { worker, .. } => Some(worker.clone()),
        _ => None,
    })
}

fn offer(asker: u8, text: &str, load: u8, score: u8) -> TaskMessage {
    TaskMessage::Offer {
        task: key(asker, text),
        twin: did(9),
        load,
        score,
        timestamp: NOW,
    }
}

fn broadcast(text: &str) -> TaskMessage {
    let spec = spec(text);
    TaskMessage::Broadcast {
        id: spec.id,
        twin: spec.twin,
        summary: spec.summary,
        keywords: spec.keywords,
        needs: spec.needs,
        deadline_ms: spec.deadline_ms,
        timestamp: NOW,
    }
}

fn assign(text: &str, worker: u8, attempt: u32) -> TaskMessage {
    TaskMessage::Assign {
        id: id(text),
        worker: did(worker),
        twin: did(worker),
        attempt,
        asked_by: did(1),
        goal: "g".into(),
        deadline_ms: NOW + 60_000,
        timestamp: NOW,
    }
}

fn able(machine: &mut Machine) {
    let local = LocalCapabilities {
        twin: did(9),
        capabilities: BTreeSet::from(["system_monitor".to_owned()]),
        keywords: BTreeSet::from(["disk".to_owned()]),
    };
    machine.handle(Input::Capabilities(Some(local)), NOW);
}

#[test]
fn the_goal_goes_to_the_chosen_worker_alone() {
    let mut asker = machine(1);
    let outputs = asker.handle(Input::LocalTask(spec("a")), NOW);
    let [
        Output::Persist(_),
        Output::Send {
            to: Recipient::Everyone,
            message,
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    let text = serde_json::to_string(message).unwrap();
    assert!(!text.contains("private"), "{text}");
    hear(&mut asker, 2, offer(1, "a", 10, 80), NOW + 10);
    hear(&mut asker, 3, offer(1, "a", 10, 90), NOW + 20);
    let outputs = asker.handle(Input::Tick, NOW + 1_500);
    let stored = outputs
        .iter()
        .position(|output| matches!(output, Output::Persist(_)))
        .unwrap();
    let told = outputs.iter().position(|output| match output {
        Output::Send { to, message } => {
            matches!(message, TaskMessage::Assign { attempt: 1, .. })
                && *to == Recipient::Only(did(3))
        }
        _ => false,
    });
    let told = told.unwrap();
    assert!(
        stored < told,
        "the attempt is stored before anybody hears of it"
    );
}

#[test]
fn the_users_tasks_are_checked() {
    let mut asker = machine(1);
    type Change = fn(&mut TaskSpec);
    let rows: Vec<(Change, Refusal)> = vec![
        (
            |s| s.goal = "x".repeat(MAX_GOAL_BYTES + 1),
            Refusal::TooLarge("goal"),
        ),
        (
            |s| s.summary = "x".repeat(MAX_SUMMARY_BYTES + 1),
            Refusal::TooLarge("summary"),
        ),
        (
            |s| s.keywords = vec!["x".into(); MAX_WORDS + 1],
            Refusal::TooLarge("keywords"),
        ),
        (
            |s| s.needs = vec!["x".repeat(MAX_WORD_BYTES + 1)],
            Refusal::TooLarge("needs"),
        ),
        (|s| s.deadline_ms = NOW, Refusal::TooLate),
        (|s| s.deadline_ms = u64::MAX, Refusal::OutOfTime(u64::MAX)),
    ];
    for (change, expected) in rows {
        let mut spec = spec("a");
        change(&mut spec);
        let outputs = asker.handle(Input::LocalTask(spec), NOW);
        assert_eq!(refusal(&outputs), Some(&expected));
        assert_eq!(outputs.len(), 1);
    }
    for index in 0..Config::default().max_open {
        let outputs = asker.handle(Input::LocalTask(spec(&format!("t{index}"))), NOW);
        assert_eq!(refusal(&outputs), None);
    }
    let outputs = asker.handle(Input::LocalTask(spec("t0")), NOW);
    assert_eq!(refusal(&outputs), Some(&Refusal::Duplicate));
    let outputs = asker.handle(Input::LocalTask(spec("more")), NOW);
    assert_eq!(refusal(&outputs), Some(&Refusal::TooMany(32)));
}

#[test]
fn a_worker_offers_what_it_can_and_begins_only_what_it_offered() {
    let mut worker = machine(2);
    let outputs = hear(&mut worker, 1, broadcast("a"), NOW);
    assert!(outputs.is_empty(), "it was not told that it may");
    able(&mut worker);
    let outputs = hear(&mut worker, 1, assign("a", 2, 1), NOW);
    assert!(matches!(sent(&outputs)[..], [TaskMessage::Decline { .. }]));
    let outputs = hear(&mut worker, 1, broadcast("a"), NOW);
    assert!(matches!(
        sent(&outputs)[..],
        [TaskMessage::Offer { score: 75, .. }]
    ));
    // Another asker's task of the same id is another task, another worker's is not this one's.
    let outputs = hear(&mut worker, 3, assign("a", 2, 1), NOW);
    assert!(matches!(sent(&outputs)[..], [TaskMessage::Decline { .. }]));
    let outputs = hear(&mut worker, 1, assign("a", 4, 1), NOW);
    assert_eq!(refusal(&outputs), Some(&Refusal::NotForMe));

    let outputs = hear(&mut worker, 1, assign("a", 2, 1), NOW);
    let [
        Output::Persist(_),
        Output::Start { attempt: 1, .. },
        Output::Send { .. },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    // A copy begins nothing; a later attempt goes on with what was begun.
    let outputs = hear(&mut worker, 1, assign("a", 2, 1), NOW);
    assert!(matches!(outputs[..], [Output::Send { .. }]));
    let outputs = hear(&mut worker, 1, assign("a", 2, 3), NOW);
    assert!(matches!(
        outputs[..],
        [Output::Persist(_), Output::Send { .. }]
    ));
    assert!(hear(&mut worker, 1, assign("a", 2, 2), NOW).is_empty());
    let done = Input::LocalResult {
        task: key(1, "a"),
        attempt: 1,
        outcome: Outcome::Completed { output: "o".into() },
    };
    let outputs = worker.handle(done, NOW + 10);
    assert!(matches!(
        sent(&outputs)[..],
        [TaskMessage::Result { attempt: 3, .. }]
    ));
    // Only the asker's word, for this attempt, settles it.
    let ack = |attempt| TaskMessage::Ack {
        id: id("a"),
        worker: did(2),
        attempt,
        verdict: Verdict::Accepted,
        timestamp: NOW,
    };
    assert!(hear(&mut worker, 3, ack(3), NOW + 20).is_empty());
    assert!(hear(&mut worker, 1, ack(1), NOW + 20).is_empty());
    let outputs = hear(&mut worker, 1, ack(3), NOW + 20);
    assert!(matches!(
        outputs[..],
        [
            Output::Persist(_),
            Output::Settled {
                attempt: 3,
                verdict: Verdict::Accepted,
                ..
            }
        ]
    ));
    // It is over: no copy begins it again, and it is not offered again.
    let outputs = hear(&mut worker, 1, assign("a", 2, 3), NOW + 30);
    assert!(matches!(sent(&outputs)[..], [TaskMessage::Decline { .. }]));
    assert!(hear(&mut worker, 1, broadcast("a"), NOW + 30).is_empty());
}

#[test]
fn a_late_copy_of_an_assignment_that_was_taken_back_begins_nothing() {
    let mut worker = machine(2);
    able(&mut worker);
    hear(&mut worker, 1, broadcast("a"), NOW);
    hear(&mut worker, 1, assign("a", 2, 1), NOW);
    let cancel = TaskMessage::Cancel {
        id: id("a"),
        worker: did(2),
        below: 2,
        timestamp: NOW,
    };
    let outputs = hear(&mut worker, 1, cancel, NOW + 10);
    assert!(matches!(
        outputs[..],
        [
            Output::Persist(_),
            Output::Abort { attempt: 1, .. },
            Output::Settled {
                verdict: Verdict::Superseded,
                ..
            }
        ]
    ));
    // It offers itself anew, and only a new attempt makes it begin.
    let outputs = hear(&mut worker, 1, broadcast("a"), NOW + 20);
    assert!(matches!(sent(&outputs)[..], [TaskMessage::Offer { .. }]));
    let outputs = hear(&mut worker, 1, assign("a", 2, 1), NOW + 30);
    assert!(matches!(
        outputs[..],
        [Output::Send {
            message: TaskMessage::Decline { .. },
            ..
        }]
    ));
    let outputs = hear(&mut worker, 1, assign("a", 2, 3), NOW + 40);
    assert!(matches!(
        outputs[..],
        [
            Output::Persist(_),
            Output::Start { attempt: 3, .. },
            Output::Send { .. }
        ]
    ));
    // The answer of the work that was aborted is not taken for that of the new.
    let old = Input::LocalResult {
        task: key(1, "a"),
        attempt: 1,
        outcome: Outcome::Completed { output: "o".into() },
    };
    assert!(worker.handle(old, NOW + 50).is_empty());
}

#[test]
fn a_result_is_repeated_ever_more_seldom_and_at_once_when_the_asker_is_heard_of() {
    let mut worker = machine(2);
    able(&mut worker);
    hear(&mut worker, 1, broadcast("a"), NOW);
    hear(&mut worker, 1, assign("a", 2, 1), NOW);
    let done = Input::LocalResult {
        task: key(1, "a"),
        attempt: 1,
        outcome: Outcome::Completed { output: "o".into() },
    };
    let is_result = |outputs: &[Output]| matches!(sent(outputs)[..], [TaskMessage::Result { .. }]);
    assert!(is_result(&worker.handle(done, NOW)));
    let mut times = Vec::new();
    for _ in 0..8 {
        let now = worker.next_tick_ms().min(NOW + 36_000);
        if is_result(&worker.handle(Input::Tick, now)) {
            times.push(now - NOW);
        }
    }
    assert_eq!(times, [1_000, 3_000, 7_000, 15_000, 25_000, 35_000]);
    let heard_of = |did| Input::Peer { did, reputation: 0 };
    let now = NOW + 37_000;
    assert!(worker.handle(heard_of(did(3)), now).is_empty());
    assert!(is_result(&worker.handle(heard_of(did(1)), now)));
    assert!(
        worker.handle(heard_of(did(1)), now + 1).is_empty(),
        "not at every word"
    );
}

#[test]
fn a_busy_or_unable_worker_keeps_still() {
    let mut worker = machine(2);
    able(&mut worker);
    worker.handle(Input::Load(95), NOW);
    assert!(hear(&mut worker, 1, broadcast("a"), NOW).is_empty());
    worker.handle(Input::Load(0), NOW);
    let mut other = broadcast("a");
    if let TaskMessage::Broadcast { needs, .. } = &mut other {
        needs.push("gpu".into());
    }
    assert!(hear(&mut worker, 1, other, NOW).is_empty());
    let mut far = broadcast("a");
    if let TaskMessage::Broadcast { deadline_ms, .. } = &mut far {
        *deadline_ms = NOW + 365 * 24 * 3_600_000;
    }
    let outputs = hear(&mut worker, 1, far, NOW);
    assert!(matches!(refusal(&outputs), Some(Refusal::OutOfTime(_))));
    let outputs = hear(&mut worker, 1, broadcast("a"), NOW + 3_600_000);
    assert!(
        matches!(refusal(&outputs), Some(Refusal::OutOfTime(_))),
        "a replayed broadcast"
    );
}

#[test]
fn strangers_results_and_progress_change_nothing() {
    let mut asker = machine(1);
    asker.handle(Input::LocalTask(spec("a")), NOW);
    hear(&mut asker, 2, offer(1, "a", 0, 100), NOW);
    asker.handle(Input::Tick, NOW + 1_500);
    let result = |attempt| TaskMessage::Result {
        task: key(1, "a"),
        attempt,
        outcome: Outcome::Completed {
            output: "forged".into(),
        },
        timestamp: NOW,
    };
    for (from, attempt) in [(3, 1), (3, 2), (2, 2)] {
        let outputs = hear(&mut asker, from, result(attempt), NOW + 1_600);
        let refused = refusal(&outputs).unwrap();
        assert_eq!(refused, &Refusal::NotAssigned(attempt));
        assert!(refused.is_misbehaviour() && outputs.len() == 1);
    }
    let progress = |timestamp| TaskMessage::Progress {
        task: key(1, "a"),
        attempt: 1,
        percent: 5,
        note: String::new(),
        timestamp,
    };
    let outputs = hear(&mut asker, 2, progress(NOW + 1_700), NOW + 1_700);
    assert!(matches!(outputs[..], [Output::Progress { .. }]));
    // A repeated copy of a worker's word does not keep its lease alive.
    for later in [5_000, 10_000, 15_000] {
        let outputs = hear(&mut asker, 2, progress(NOW + 1_700), NOW + later);
        assert!(outputs.is_empty());
    }
    let outputs = asker.handle(Input::Tick, NOW + 17_000);
    assert!(
        matches!(sent(&outputs)[..], [TaskMessage::Broadcast { .. }]),
        "{outputs:?}"
    );
    // A result for a task that is not known here is answered, so that its worker can forget it.
    let outputs = hear(&mut machine(1), 2, result(4), NOW);
    assert!(matches!(
        sent(&outputs)[..],
        [TaskMessage::Ack {
            attempt: 4,
            verdict: Verdict::Unknown,
            ..
        }]
    ));
}

#[test]
fn offers_are_bounded_and_the_worst_goes() {
    let config = Config {
        max_offers: 3,
        ..Config::default()
    };
    let mut asker = Machine::new(config, did(1), Durable::default(), NOW);
    asker.handle(Input::LocalTask(spec("a")), NOW);
    for (from, score) in [(2, 50), (3, 100), (4, 60), (5, 70), (6, 20)] {
        hear(&mut asker, from, offer(1, "a", 0, score), NOW);
    }
    let mut order = Vec::from_iter(chosen(&asker.handle(Input::Tick, NOW + 1_500)));
    for (attempt, from) in [(1, 3), (2, 5), (3, 4)] {
        let decline = TaskMessage::Decline {
            task: key(1, "a"),
            attempt,
            reason: "busy".into(),
            timestamp: NOW,
        };
        // The next best is asked at once, until there is none.
        order.extend(chosen(&hear(&mut asker, from, decline, NOW + 1_600)));
    }
    assert_eq!(order, [did(3), did(5), did(4)]);
    // One that declined is left alone for a while.
    let outputs = hear(&mut asker, 3, offer(1, "a", 0, 100), NOW + 1_700);
    assert_eq!(refusal(&outputs), Some(&Refusal::NotOpen));
    hear(&mut asker, 3, offer(1, "a", 0, 100), NOW + 7_000);
    assert_eq!(chosen(&asker.handle(Input::Tick, NOW + 9_000)), None);
    let (_, record) = asker.asked().next().unwrap();
    let Phase::Assigned { worker } = &record.phase else {
        panic!("{record:?}");
    };
    assert_eq!((&worker.did, record.attempt), (&did(3), 4));
}

#[test]
fn messages_and_records_survive_the_wire_at_their_largest() {
    let word = "w".repeat(MAX_WORD_BYTES);
    let largest = TaskMessage::Broadcast {
        id: id(&"i".repeat(MAX_ID_CHARS)),
        twin: did(1),
        summary: "s".repeat(MAX_SUMMARY_BYTES),
        keywords: vec![word.clone(); MAX_WORDS],
        needs: vec![word; MAX_WORDS],
        deadline_ms: u64::MAX,
        timestamp: u64::MAX,
    };
    let result = TaskMessage::Result {
        task: key(1, "a"),
        attempt: 7,
        outcome: Outcome::Completed {
            output: "o".repeat(MAX_OUTPUT_BYTES),
        },
        timestamp: 1,
    };
    for message in [largest, result, assign("a", 2, 1), offer(1, "a", 1, 2)] {
        message.check().unwrap();
        let signed = Verified::sign(&who(1), message.clone()).unwrap();
        let bytes = to_dag_cbor(signed.as_signed()).unwrap();
        assert!(bytes.len() < pagi_messages::wire::MAX_GOSSIP_BYTES);
        let back: Signed<TaskMessage> = from_dag_cbor(&bytes).unwrap();
        assert_eq!(back.verify().unwrap().body(), &message);
        assert!(serde_json::to_value(&message).unwrap()["type"].is_string());
    }
    let mut asker = machine(1);
    let mut outputs = asker.handle(Input::LocalTask(spec("a")), NOW);
    hear(&mut asker, 2, offer(1, "a", 0, 100), NOW);
    outputs.extend(asker.handle(Input::Tick, NOW + 1_500));
    let mut durable = Durable::default();
    for output in outputs {
        if let Output::Persist(change) = output {
            let bytes = to_dag_cbor(&change).unwrap();
            durable.apply(from_dag_cbor(&bytes).unwrap());
        }
    }
    assert_eq!(durable.asked.len(), 1);
    let bytes = to_dag_cbor(&durable).unwrap();
    assert_eq!(from_dag_cbor::<Durable>(&bytes).unwrap(), durable);
}

fn any_message() -> impl Strategy<Value = TaskMessage> {
    let stamp = prop_oneof![
        Just(0),
        Just(NOW),
        NOW - 1_000..NOW + 200_000,
        Just(u64::MAX)
    ];
    let deadline = prop_oneof![Just(0), NOW..NOW + 100_000, Just(u64::MAX)];
    let attempt = prop_oneof![0u32..5, Just(u32::MAX), Just(u32::MAX - 1)];
    let parts = (
        0u8..8,
        1u8..4,
        0u8..3,
        attempt,
        any::<u8>(),
        stamp,
        deadline,
        any::<bool>(),
    );
    parts.prop_map(
        |(kind, other, task, attempt, number, timestamp, deadline_ms, yes)| {
            let task = key(other, &format!("t{task}"));
            let id = task.id.clone();
            let text = if yes { "x".repeat(600) } else { String::new() };
            match kind {
                0 => TaskMessage::Broadcast {
                    id,
                    twin: did(1),
                    summary: text,
                    keywords: vec![],
                    needs: vec!["system_monitor".into()],
                    deadline_ms,
                    timestamp,
                },
                1 => TaskMessage::Offer {
                    task,
                    twin: did(2),
                    load: number,
                    score: number,
                    timestamp,
                },
                2 => TaskMessage::Assign {
                    id,
                    worker: did(other),
                    twin: did(2),
                    attempt,
                    asked_by: did(1),
                    goal: text,
                    deadline_ms,
                    timestamp,
                },
                3 => TaskMessage::Decline {
                    task,
                    attempt,
                    reason: text,
                    timestamp,
                },
                4 => TaskMessage::Progress {
                    task,
                    attempt,
                    percent: number,
                    note: text,
                    timestamp,
                },
                5 => TaskMessage::Result {
                    task,
                    attempt,
                    outcome: if yes {
                        Outcome::Completed { output: text }
                    } else {
                        Outcome::Failed { reason: text }
                    },
                    timestamp,
                },
                6 => TaskMessage::Ack {
                    id,
                    worker: did(other),
                    attempt,
                    verdict: if yes {
                        Verdict::Accepted
                    } else {
                        Verdict::Superseded
                    },
                    timestamp,
                },
                _ => TaskMessage::Cancel {
                    id,
                    worker: did(other),
                    below: attempt,
                    timestamp,
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any messages, in any order, with a clock that jumps: no panic, a tick that lies ahead, and
    /// what was persisted is what the machine holds.
    #[test]
    fn hostile_input_never_panics_and_state_is_what_was_persisted(
        steps in proptest::collection::vec(
            (any_message(), 2u8..4, -5_000i64..40_000, 0u8..6),
            1..40,
        ),
    ) {
        let mut machine = machine(1);
        able(&mut machine);
        let mut durable = Durable::default();
        let mut now = NOW;
        for (message, from, jump, act) in steps {
            now = now.saturating_add_signed(jump);
            let input = match act {
                0 => Input::LocalTask(TaskSpec { deadline_ms: now + 20_000, ..spec("t1") }),
                1 => Input::LocalResult {
                    task: key(2, "t1"),
                    attempt: 1,
                    outcome: Outcome::Completed { output: "o".into() },
                },
                _ => Input::Message(Box::new(Verified::sign(&who(from), message).unwrap())),
            };
            for output in machine.handle(input, now) {
                if let Output::Persist(change) = output {
                    durable.apply(change);
                }
            }
            prop_assert!(machine.next_tick_ms() > now);
        }
        let mut held = Durable::default();
        for (id, record) in machine.asked() {
            held.asked.insert(id.clone(), record.clone());
        }
        for (key, record) in machine.worked() {
            held.worked.insert(key.clone(), record.clone());
        }
        prop_assert_eq!(held, durable);
    }
}

#[test]
fn one_asker_has_a_share_of_a_workers_offers() {
    let mut worker = machine(2);
    able(&mut worker);
    let offers = |worker: &mut Machine, asker: u8, name: &str| {
        let outputs = hear(worker, asker, broadcast(name), NOW);
        sent(&outputs).len()
    };
    let taken: usize = (0..100)
        .map(|n| offers(&mut worker, 3, &format!("f{n}")))
        .sum();
    assert_eq!(taken, Config::default().max_standing_per_asker);
    assert_eq!(offers(&mut worker, 1, "a"), 1, "another asker");
}

#[test]
fn tasks_that_are_over_make_room_for_new_ones() {
    let config = Config {
        max_worked: 6,
        max_worked_per_asker: 4,
        ..Config::default()
    };
    let mut worker = Machine::new(config, did(2), Durable::default(), NOW);
    able(&mut worker);
    let mut work = |asker: u8, name: &str, now: u64| {
        hear(&mut worker, asker, broadcast(name), now);
        let outputs = hear(&mut worker, asker, assign(name, 2, 1), now);
        let begun = outputs.iter().any(|o| matches!(o, Output::Start { .. }));
        if begun {
            let ack = TaskMessage::Ack {
                id: id(name),
                worker: did(2),
                attempt: 1,
                verdict: Verdict::Accepted,
                timestamp: NOW,
            };
            let outcome = Outcome::Completed {
                output: "done".into(),
            };
            let task = key(asker, name);
            let finished = Input::LocalResult {
                task,
                attempt: 1,
                outcome,
            };
            worker.handle(finished, now);
            hear(&mut worker, asker, ack, now);
        }
        begun
    };
    for n in 0..4u64 {
        assert!(work(3, &format!("f{n}"), NOW + n));
    }
    assert!(!work(3, "f4", NOW + 4), "one asker's share");
    for n in 5..20u64 {
        let asker = 4 + (n % 5) as u8;
        assert!(work(asker, &format!("g{n}"), NOW + n), "{n}");
    }
}
