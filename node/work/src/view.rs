//! Tasks as the control API shows them. Pure.

use pagi_api::work::{SwarmTask, TaskStatus, TaskWorker, WorkedTask};
use pagi_messages::event::{from_unix_ms, rfc3339};
use pagi_task::{AskedRecord, Outcome, Phase, TaskKey, WorkState, WorkedRecord, Worker};
use uuid::Uuid;

fn time(ms: u64) -> String {
    rfc3339(from_unix_ms(ms))
}

/// A worker.
#[must_use]
pub fn worker(worker: &Worker) -> TaskWorker {
    TaskWorker {
        node: worker.did.to_string(),
        twin: worker.twin.to_string(),
    }
}

/// When a task of this id was asked, in milliseconds since the Unix epoch, where it is a UUID that
/// holds a time.
#[must_use]
pub fn asked_ms(id: &str) -> Option<u64> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    Some(
        seconds
            .saturating_mul(1_000)
            .saturating_add(u64::from(nanos) / 1_000_000),
    )
}

/// An own task.
#[must_use]
pub fn asked(record: &AskedRecord) -> SwarmTask {
    let spec = &record.spec;
    let (status, by, output, reason) = match &record.phase {
        Phase::Open { last } => (TaskStatus::Open, last.as_ref(), None, None),
        Phase::Assigned { worker } => (TaskStatus::Assigned, Some(worker), None, None),
        Phase::Done { worker, output } => {
            (TaskStatus::Done, Some(worker), Some(output.clone()), None)
        }
        Phase::Failed { reason } => (TaskStatus::Failed, None, None, Some(reason.to_string())),
    };
    SwarmTask {
        id: spec.id.to_string(),
        goal: spec.goal.clone(),
        asked_by: spec.twin.to_string(),
        needs: spec.needs.clone(),
        summary: spec.summary.clone(),
        keywords: spec.keywords.clone(),
        asked_at: asked_ms(spec.id.as_str()).map(time),
        deadline: time(spec.deadline_ms),
        status,
        attempt: record.attempt,
        worker: by.map(worker),
        output,
        reason,
    }
}

/// Another's task.
#[must_use]
pub fn worked(key: &TaskKey, record: &WorkedRecord) -> WorkedTask {
    let mut view = WorkedTask {
        id: key.id.to_string(),
        asker: key.asker.to_string(),
        asked_by: record.asked_by.to_string(),
        twin: record.twin.to_string(),
        attempt: record.attempt,
        deadline: time(record.deadline_ms),
        status: String::new(),
        verdict: None,
        goal: None,
        output: None,
        reason: None,
    };
    match &record.state {
        WorkState::Running { goal, .. } => {
            view.status = "running".to_owned();
            view.goal = Some(goal.clone());
        }
        WorkState::Finished { outcome } => {
            view.status = "finished".to_owned();
            match outcome {
                Outcome::Completed { output } => view.output = Some(output.clone()),
                Outcome::Failed { reason } => view.reason = Some(reason.clone()),
            }
        }
        WorkState::Settled { verdict, .. } => {
            view.status = "settled".to_owned();
            view.verdict = Some(verdict.as_str().to_owned());
        }
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_a_time_tells_when() {
        let id = Uuid::now_v7().to_string();
        let now = crate::now_ms();
        assert!(asked_ms(&id).is_some_and(|ms| ms <= now && now - ms < 60_000));
        assert_eq!(asked_ms("t-1"), None);
        assert_eq!(asked_ms("936da01f-9abd-4d9d-80c7-02af85c822a8"), None);
    }
}
