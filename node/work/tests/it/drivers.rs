//! Whole tasks between drivers.

use std::sync::Arc;

use futures::StreamExt;
use pagi_api::work::{SwarmTask, TaskNews, TaskStatus, TaskStream};
use pagi_store::StoreError;
use pagi_task::{MAX_OUTPUT_BYTES, Outcome, Refusal};
use pagi_work::WorkError;
use tempfile::{TempDir, tempdir};

use crate::net::{Net, Node, Place, id, until};

fn done(output: &str) -> Outcome {
    Outcome::Completed {
        output: output.into(),
    }
}

async fn ended(node: &Node, name: &str) -> SwarmTask {
    until("the task to end", async || {
        let task = node.work.task(id(name)).await.unwrap();
        match task.status {
            TaskStatus::Done | TaskStatus::Failed => Ok(task),
            _ => Err(format!("{task:?}")),
        }
    })
    .await
}

async fn verdict(node: &Node, name: &str) -> String {
    until("the verdict", async || {
        let tasks = node.work.tasks().await.unwrap();
        let task = tasks.worked.iter().find(|task| task.id == name);
        task.and_then(|task| task.verdict.clone())
            .ok_or_else(|| format!("{tasks:?}"))
    })
    .await
}

fn dirs<const N: usize>() -> [TempDir; N] {
    std::array::from_fn(|_| tempdir().unwrap())
}

#[tokio::test]
async fn a_task_goes_round_and_its_watcher_sees_how() {
    let (net, dirs) = (Arc::new(Net::default()), dirs::<2>());
    let (idle, mut place) = (Place::new(), Place::new());
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    let worker = Node::start(&net, 2, dirs[1].path(), &place, &["saw"]);
    asker
        .work
        .ask(asker.spec("t", "cut it", "saw"))
        .await
        .unwrap();
    let news = asker.work.watch(id("t")).await.unwrap();
    let job = place.next().await;
    assert_eq!((job.goal.as_str(), &job.task.asker), ("cut it", &asker.did));
    place.end(done("two halves"));
    let news: Vec<TaskNews> = news.collect().await;
    let names: Vec<&str> = news.iter().map(TaskNews::name).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("offered", "done"));
    let place_of = |name| names.iter().position(|known| *known == name).expect(name);
    assert!(place_of("offer") < place_of("assigned"), "{names:?}");
    assert!(place_of("assigned") < place_of("progress"), "{names:?}");
    let Some(TaskNews::Done(task)) = news.last() else {
        panic!("{news:?}")
    };
    assert_eq!(task.output.as_deref(), Some("two halves"));
    assert_eq!(task.worker.as_ref().unwrap().node, worker.did.as_str());
    assert_eq!(verdict(&worker, "t").await, "accepted");
    let audit = worker.store.audit_after(0, 10).unwrap();
    let actions: Vec<&str> = audit.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["task_started", "task_settled"]);
    assert!(
        audit
            .iter()
            .all(|record| record.actor == asker.did.as_str())
    );

    // What cannot be is said, and changes nothing.
    let twice = asker.work.ask(asker.spec("t", "again", "saw")).await;
    assert!(matches!(twice, Err(WorkError::Refused(Refusal::Duplicate))));
    let mut late = asker.spec("late", "x", "saw");
    late.deadline_ms = 1;
    let late = asker.work.ask(late).await;
    assert!(matches!(late, Err(WorkError::Refused(Refusal::TooLate))));
    let none = asker.work.task(id("late")).await;
    assert!(matches!(none, Err(WorkError::NotFound(_))));
}

#[tokio::test]
async fn every_crash_is_survived_and_the_result_comes_once() {
    let (net, dirs) = (Arc::new(Net::default()), dirs::<2>());
    let (idle, mut place) = (Place::new(), Place::new());
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    let worker = Node::start(&net, 2, dirs[1].path(), &place, &["saw"]);
    asker
        .work
        .ask(asker.spec("t", "cut it", "saw"))
        .await
        .unwrap();
    place.next().await;
    // The worker dies over it, and goes on after its start.
    worker.kill().await;
    let worker = Node::start(&net, 2, dirs[1].path(), &place, &["saw"]);
    place.next().await;
    // The asker dies meanwhile, and is back after the work is done.
    asker.kill().await;
    place.end(done("two halves"));
    until("the result to wait", async || {
        let tasks = worker.work.tasks().await.unwrap();
        let waits = tasks.worked.iter().any(|task| task.status == "finished");
        if waits {
            Ok(())
        } else {
            Err(format!("{tasks:?}"))
        }
    })
    .await;
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    let task = ended(&asker, "t").await;
    assert_eq!(
        (task.output.as_deref(), task.attempt),
        (Some("two halves"), 1)
    );
    assert_eq!(verdict(&worker, "t").await, "accepted");
    assert!(
        place.begun.try_recv().is_err(),
        "it was not begun a third time"
    );
}

#[tokio::test]
async fn a_dead_worker_is_replaced_and_a_failure_is_told() {
    let (net, dirs) = (Arc::new(Net::default()), dirs::<3>());
    let (idle, mut one, mut two) = (Place::new(), Place::new(), Place::new());
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    let first = Node::start(&net, 2, dirs[1].path(), &one, &["saw"]);
    asker
        .work
        .ask(asker.spec("t", "cut it", "saw"))
        .await
        .unwrap();
    one.next().await;
    let second = Node::start(&net, 3, dirs[2].path(), &two, &["saw"]);
    first.kill().await;
    two.next().await;
    two.end(done("two halves"));
    let task = ended(&asker, "t").await;
    assert_eq!(task.worker.unwrap().node, second.did.as_str());
    assert_eq!(verdict(&second, "t").await, "accepted");

    // A panic of the bench and an output that is too long are failures with a reason.
    two.end(done(&"x".repeat(MAX_OUTPUT_BYTES + 1)));
    asker
        .work
        .ask(asker.spec("long", "much", "saw"))
        .await
        .unwrap();
    let news = asker.work.watch(id("long")).await.unwrap();
    let failed = async |news: TaskStream| {
        let failures = news.filter_map(|news| async {
            match news {
                TaskNews::AttemptFailed { reason, .. } => Some(reason),
                _ => None,
            }
        });
        let failure = std::pin::pin!(failures).next().await;
        failure.expect("a failure")
    };
    assert!(failed(news).await.contains("are allowed"));
    asker.work.cancel(id("long")).await.unwrap();
    asker
        .work
        .ask(asker.spec("bad", "panic", "saw"))
        .await
        .unwrap();
    let news = asker.work.watch(id("bad")).await.unwrap();
    assert!(failed(news).await.contains("did not foresee"));
}

#[tokio::test]
async fn a_cancelled_task_ends_on_both_sides() {
    let (net, dirs) = (Arc::new(Net::default()), dirs::<2>());
    let (idle, mut place) = (Place::new(), Place::new());
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    let worker = Node::start(&net, 2, dirs[1].path(), &place, &["saw"]);
    asker
        .work
        .ask(asker.spec("t", "cut it", "saw"))
        .await
        .unwrap();
    place.next().await;
    let task = asker.work.cancel(id("t")).await.unwrap();
    assert_eq!(task.reason.as_deref(), Some("it was taken back"));
    assert_eq!(verdict(&worker, "t").await, "cancelled");
    let news: Vec<_> = asker.work.watch(id("t")).await.unwrap().collect().await;
    assert!(matches!(
        &news[..],
        [TaskNews::Offered(_), TaskNews::Failed(_)]
    ));
}

#[tokio::test]
async fn nothing_is_taken_on_that_cannot_be_stored() {
    let (net, dirs) = (Arc::new(Net::default()), dirs::<1>());
    let idle = Place::new();
    let asker = Node::start(&net, 1, dirs[0].path(), &idle, &[]);
    asker.store.close().await;
    let asked = asker.work.ask(asker.spec("t", "cut it", "saw")).await;
    let told = matches!(
        asked,
        Err(WorkError::Closed | WorkError::Store(StoreError::Closed))
    );
    assert!(told, "{asked:?}");
}
