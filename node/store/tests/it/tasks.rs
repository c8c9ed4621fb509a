//! Tasks of the swarm: what is put is found again, what is forgotten is gone.

use pagi_messages::{Did, SigningIdentity};
use pagi_store::{Batch, Store};
use pagi_task::{
    AskedRecord, Change, Durable, FailReason, Outcome, Phase, TaskKey, TaskSpec, Verdict,
    WorkState, WorkedRecord, Worker,
};
use tempfile::tempdir;

use crate::samples::{goal, reopen};

fn did(seed: u8) -> Did {
    SigningIdentity::from_seed(&[seed; 32]).did().clone()
}

fn asked(id: &str, phase: Phase) -> AskedRecord {
    AskedRecord {
        spec: TaskSpec {
            id: id.parse().unwrap(),
            twin: did(1),
            goal: "count \"the\" stars".into(),
            summary: String::new(),
            keywords: vec!["star".into()],
            needs: vec!["telescope".into()],
            deadline_ms: u64::MAX,
        },
        attempt: 3,
        phase,
        tried: [(did(2), 1), (did(3), 2)].into(),
    }
}

fn worked(state: WorkState) -> WorkedRecord {
    WorkedRecord {
        attempt: 1,
        twin: did(4),
        asked_by: did(5),
        deadline_ms: 9,
        state,
    }
}

#[tokio::test]
async fn every_state_of_a_task_survives_a_restart() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.tasks().unwrap(), Durable::default());
    let worker = Worker {
        did: did(2),
        twin: did(6),
    };
    let phases = [
        Phase::Open { last: None },
        Phase::Open {
            last: Some(worker.clone()),
        },
        Phase::Assigned {
            worker: worker.clone(),
        },
        Phase::Done {
            worker,
            output: "many\n".into(),
        },
        Phase::Failed {
            reason: FailReason::Attempts {
                attempts: 2,
                last: "it was dark".into(),
            },
        },
        Phase::Failed {
            reason: FailReason::NoWorker,
        },
    ];
    let states = [
        WorkState::Running {
            goal: "g".into(),
            starts: 2,
        },
        WorkState::Finished {
            outcome: Outcome::Completed { output: "o".into() },
        },
        WorkState::Finished {
            outcome: Outcome::Failed { reason: "r".into() },
        },
        WorkState::Settled {
            verdict: Verdict::Accepted,
            failed: false,
        },
    ];
    let (mut wanted, mut batch) = (Durable::default(), Batch::new().event(goal("t")));
    let mut changes = Vec::new();
    for (at, phase) in phases.into_iter().enumerate() {
        let id = format!("t-{at}");
        changes.push(Change::Asked(id.parse().unwrap(), Some(asked(&id, phase))));
    }
    for (at, state) in states.into_iter().enumerate() {
        let key = TaskKey {
            asker: did(7),
            id: format!("w_{at}").parse().unwrap(),
        };
        changes.push(Change::Worked(key, Some(worked(state))));
    }
    for change in changes {
        wanted.apply(change.clone());
        batch = batch.task(change);
    }
    store.write(batch).await.unwrap();
    assert_eq!(store.tasks().unwrap(), wanted);
    store = reopen(store, dir.path()).await;
    assert_eq!(store.tasks().unwrap(), wanted);

    // Forgetting one touches no other, and forgetting what is not there is no error.
    let gone = Change::Asked("t-0".parse().unwrap(), None);
    wanted.apply(gone.clone());
    let batch = Batch::new().task(gone.clone()).task(gone);
    store.write(batch).await.unwrap();
    store = reopen(store, dir.path()).await;
    assert_eq!(store.tasks().unwrap(), wanted);
}
