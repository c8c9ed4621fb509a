//! What happened to the own tasks that are open, for those who watch them.

use std::collections::{BTreeMap, VecDeque};

use pagi_api::work::{SwarmTask, TaskNews, TaskStatus, TaskStream};
use pagi_task::TaskId;
use tokio::sync::broadcast::{self, error::RecvError};

/// News kept of one task, for those who come later. The oldest go first.
const KEPT: usize = 64;
/// News a slow watcher may fall behind.
const BEHIND: usize = 256;

/// The news of the open tasks. They live as long as the process.
#[derive(Debug, Default)]
pub(crate) struct Newsroom {
    tasks: BTreeMap<TaskId, Column>,
}

#[derive(Debug)]
struct Column {
    past: VecDeque<TaskNews>,
    live: broadcast::Sender<TaskNews>,
}

impl Default for Column {
    fn default() -> Self {
        Self {
            past: VecDeque::new(),
            live: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Newsroom {
    /// Tells of an open task. What only repeats the last word, or an offer that stands, is no news.
    pub(crate) fn tell(&mut self, id: &TaskId, news: TaskNews) {
        let column = self.tasks.entry(id.clone()).or_default();
        let stale = match &news {
            TaskNews::Offer { by, .. } => {
                let newest = column.past.iter().rev();
                let mut standing = newest.take_while(|past| matches!(past, TaskNews::Offer { .. }));
                standing
                    .any(|past| matches!(past, TaskNews::Offer { by: known, .. } if known == by))
            }
            other => column.past.back() == Some(other),
        };
        if stale {
            return;
        }
        if matches!(news, TaskNews::Progress { .. })
            && matches!(column.past.back(), Some(TaskNews::Progress { .. }))
        {
            column.past.pop_back();
        }
        if column.past.len() >= KEPT {
            column.past.pop_front();
        }
        column.past.push_back(news.clone());
        let _ = column.live.send(news);
    }

    /// Tells how a task ended, to those who watch it now.
    pub(crate) fn end(&mut self, task: SwarmTask) {
        let Ok(id) = task.id.parse() else { return };
        if let Some(column) = self.tasks.remove(&id) {
            let _ = column.live.send(ending(task));
        }
    }

    /// The news of `task` from the first to the last.
    pub(crate) fn watch(&mut self, task: SwarmTask) -> TaskStream {
        let id = task.id.parse();
        let over = matches!(task.status, TaskStatus::Done | TaskStatus::Failed);
        let mut first = VecDeque::from([TaskNews::Offered(task.clone())]);
        let mut live = None;
        match id {
            Ok(id) if !over => {
                let column = self.tasks.entry(id).or_default();
                let past = &column.past;
                let known = past
                    .iter()
                    .any(|news| matches!(news, TaskNews::Assigned { .. }));
                if let (TaskStatus::Assigned, Some(worker), false) =
                    (task.status, &task.worker, known)
                {
                    // It was assigned in an earlier life of the process.
                    first.push_back(TaskNews::Assigned {
                        to: worker.clone(),
                        attempt: task.attempt,
                    });
                }
                first.extend(past.iter().cloned());
                live = Some(column.live.subscribe());
            }
            _ => first.push_back(ending(task)),
        }
        Box::pin(futures::stream::unfold(
            (first, live),
            |(mut first, mut live)| async move {
                if let Some(news) = first.pop_front() {
                    return Some((news, (first, live)));
                }
                loop {
                    match live.as_mut()?.recv().await {
                        Ok(news) => {
                            if matches!(news, TaskNews::Done(_) | TaskNews::Failed(_)) {
                                live = None;
                            }
                            return Some((news, (first, live)));
                        }
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            },
        ))
    }
}

fn ending(task: SwarmTask) -> TaskNews {
    if task.status == TaskStatus::Done {
        TaskNews::Done(task)
    } else {
        TaskNews::Failed(task)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use pagi_api::work::TaskWorker;

    use super::*;

    fn task(status: TaskStatus) -> SwarmTask {
        SwarmTask {
            id: "t".into(),
            goal: "g".into(),
            asked_by: "a".into(),
            needs: Vec::new(),
            summary: String::new(),
            keywords: Vec::new(),
            asked_at: None,
            deadline: String::new(),
            status,
            attempt: 0,
            worker: None,
            output: None,
            reason: None,
        }
    }

    fn offer(node: &str, load: u8) -> TaskNews {
        let by = TaskWorker {
            node: node.into(),
            twin: node.into(),
        };
        TaskNews::Offer { by, load, score: 1 }
    }

    fn progress(percent: u8) -> TaskNews {
        TaskNews::Progress {
            node: "b".into(),
            percent,
            note: String::new(),
        }
    }

    #[tokio::test]
    async fn a_watcher_sees_the_past_what_comes_and_the_end() {
        let (mut room, id) = (Newsroom::default(), "t".parse().unwrap());
        for news in [offer("b", 1), offer("c", 1), offer("b", 9), progress(1)] {
            room.tell(&id, news);
        }
        let early = room.watch(task(TaskStatus::Assigned));
        for percent in [1, 2, 2] {
            room.tell(&id, progress(percent));
        }
        room.end(task(TaskStatus::Done));
        let seen: Vec<TaskNews> = early.collect().await;
        assert_eq!(
            seen,
            [
                TaskNews::Offered(task(TaskStatus::Assigned)),
                offer("b", 1),
                offer("c", 1),
                progress(1),
                progress(2),
                TaskNews::Done(task(TaskStatus::Done)),
            ]
        );
        let late: Vec<TaskNews> = room.watch(task(TaskStatus::Failed)).collect().await;
        assert_eq!(
            late,
            [
                TaskNews::Offered(task(TaskStatus::Failed)),
                TaskNews::Failed(task(TaskStatus::Failed))
            ]
        );
        let mut known = task(TaskStatus::Assigned);
        known.worker = Some(TaskWorker {
            node: "b".into(),
            twin: "b".into(),
        });
        let second = room.watch(known).take(2).collect::<Vec<_>>().await;
        assert_eq!(second[1].name(), "assigned");
        // The stream of a driver that stops ends without an end of the task.
        room.tell(&id, progress(1));
        let cut = room.watch(task(TaskStatus::Assigned));
        drop(room);
        assert_eq!(cut.count().await, 2);
    }
}
