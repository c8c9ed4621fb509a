//! The loop around the task machine, and what each of its outputs means.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pagi_api::work::{SwarmTask, SwarmTasks, TaskNews, TaskWorker};
use pagi_messages::{SigningIdentity, Verified, to_dag_cbor};
use pagi_store::{Batch, Store, StoreError};
use pagi_task::{
    AskedRecord, Config, Input, Machine, Outcome, Output, Phase, Recipient, Refusal, TaskId,
    TaskKey, TaskMessage,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::audit,
    handle::{Command, Work, WorkError},
    news::Newsroom,
    now_ms,
    ports::{Bench, Job, Progress, Report, Wire},
    view,
};

/// Commands that may wait.
const QUEUE: usize = 256;
/// Messages on their way out at a time; the machine repeats what finds no place.
const ON_THE_WAY: usize = 64;
/// What this node can do is looked up at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a driver is made of.
pub struct Parts {
    /// The node's key.
    pub identity: SigningIdentity,
    /// Settings of task work.
    pub config: Config,
    /// Where tasks are kept.
    pub store: Store,
    /// The way to other nodes.
    pub wire: Arc<dyn Wire>,
    /// Where the work of others is done.
    pub bench: Arc<dyn Bench>,
}

/// Takes up the stored tasks. Nothing happens before [`Driver::run`].
///
/// # Errors
/// [`StoreError`] where the stored tasks cannot be read.
pub fn open(parts: Parts) -> Result<(Work, Driver), StoreError> {
    let (commands, queue) = mpsc::channel(QUEUE);
    let (reports, reported) = mpsc::channel(QUEUE);
    let driver = Driver {
        machine: machine(&parts)?,
        parts,
        queue,
        reports,
        reported,
        jobs: BTreeMap::new(),
        running: JoinSet::new(),
        places: Arc::new(Semaphore::new(ON_THE_WAY)),
        news: Newsroom::default(),
        looked: None,
    };
    Ok((Work { commands }, driver))
}

fn machine(parts: &Parts) -> Result<Machine, StoreError> {
    Ok(Machine::new(
        parts.config.clone(),
        parts.identity.did().clone(),
        parts.store.tasks()?,
        now_ms(),
    ))
}

/// The one owner of a node's task machine.
pub struct Driver {
    parts: Parts,
    machine: Machine,
    queue: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
    reported: mpsc::Receiver<Report>,
    /// The work of others that runs, with its attempt.
    jobs: BTreeMap<TaskKey, (u32, AbortHandle)>,
    running: JoinSet<()>,
    places: Arc<Semaphore>,
    news: Newsroom,
    looked: Option<Instant>,
}

impl Driver {
    /// Drives until `stop`, or until the store can be read no more. Work that runs then is begun
    /// again at the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Err(error) = self.work(&stop).await {
            tracing::error!(%error, "no tasks are worked on any more: the store fails");
        }
        self.running.abort_all();
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        self.look().await?;
        self.drive(Input::Tick).await?;
        loop {
            let wait = self.machine.next_tick_ms().saturating_sub(now_ms()).max(1);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                command = self.queue.recv() => match command {
                    Some(command) => self.command(command).await?,
                    None => return Ok(()),
                },
                Some(report) = self.reported.recv() => self.report(report).await?,
                Some(_) = self.running.join_next() => {}
                () = sleep(Duration::from_millis(wait)) => {
                    self.drive(Input::Tick).await?;
                }
            }
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Ask(spec, answer) => {
                let id = spec.id.clone();
                let done = match self.drive(Input::LocalTask(*spec)).await? {
                    Driven::Done => self.asked(&id).map(view::asked).ok_or(WorkError::Closed),
                    Driven::Refused(reason) => Err(reason.into()),
                    Driven::NotStored(error) => Err(error.into()),
                };
                let _ = answer.send(done);
            }
            Command::Cancel(id, answer) => {
                let done = match self.drive(Input::LocalCancel(id.clone())).await? {
                    Driven::NotStored(error) => Err(error.into()),
                    Driven::Done | Driven::Refused(_) => self.task(&id),
                };
                let _ = answer.send(done);
            }
            Command::Task(id, answer) => {
                let _ = answer.send(self.task(&id));
            }
            Command::Watch(id, answer) => {
                let watched = self.task(&id).map(|task| self.news.watch(task));
                let _ = answer.send(watched);
            }
            Command::Tasks(answer) => {
                let mut asked: Vec<SwarmTask> = self
                    .machine
                    .asked()
                    .map(|(_, record)| view::asked(record))
                    .collect();
                asked.sort_by(|a, b| (&a.asked_at, &a.id).cmp(&(&b.asked_at, &b.id)));
                let worked = self.machine.worked();
                let worked = worked.map(|(key, record)| view::worked(key, record));
                let _ = answer.send(Ok(SwarmTasks {
                    asked,
                    worked: worked.collect(),
                }));
            }
            Command::Message(message) => self.message(*message).await?,
            Command::Peer { did, reputation } => {
                self.drive(Input::Peer { did, reputation }).await?;
            }
            Command::Refresh => {
                self.looked = None;
                self.look().await?;
            }
        }
        Ok(())
    }

    fn asked(&self, id: &TaskId) -> Option<&AskedRecord> {
        let mut all = self.machine.asked();
        all.find_map(|(known, record)| (known == id).then_some(record))
    }

    fn task(&self, id: &TaskId) -> Result<SwarmTask, WorkError> {
        let record = self.asked(id);
        record
            .map(view::asked)
            .ok_or_else(|| WorkError::NotFound(id.to_string()))
    }

    /// Tells the machine what this node can do and how busy it is.
    async fn look(&mut self) -> Result<(), StoreError> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Ok(());
        }
        let able = self.parts.bench.able().await;
        self.drive(Input::Capabilities(able)).await?;
        self.looked = Some(Instant::now());
        Ok(())
    }

    async fn message(&mut self, message: Verified<TaskMessage>) -> Result<(), StoreError> {
        if matches!(message.body(), TaskMessage::Broadcast { .. }) {
            self.look().await?;
            let load = self.parts.bench.load(self.jobs.len());
            self.drive(Input::Load(load)).await?;
        }
        let told = self.told(&message);
        let driven = self.drive(Input::Message(Box::new(message))).await?;
        if let (Driven::Done, Some((id, news))) = (driven, told)
            && self.asked(&id).is_some_and(|record| !record.is_over())
        {
            self.news.tell(&id, news);
        }
        Ok(())
    }

    /// What a message means to those who watch an own task, if the machine takes it.
    fn told(&self, message: &Verified<TaskMessage>) -> Option<(TaskId, TaskNews)> {
        let node = message.author().to_string();
        match message.body() {
            TaskMessage::Offer {
                task,
                twin,
                load,
                score,
                ..
            } => {
                let by = TaskWorker {
                    node,
                    twin: twin.to_string(),
                };
                let (load, score) = (*load, *score);
                let open = matches!(self.asked(&task.id)?.phase, Phase::Open { .. });
                open.then(|| (task.id.clone(), TaskNews::Offer { by, load, score }))
            }
            TaskMessage::Decline {
                task,
                attempt,
                reason,
                ..
            }
            | TaskMessage::Result {
                task,
                attempt,
                outcome: Outcome::Failed { reason },
                ..
            } => {
                let record = self.asked(&task.id)?;
                let has_it = match &record.phase {
                    Phase::Assigned { worker } | Phase::Open { last: Some(worker) } => {
                        worker.did == *message.author() && record.attempt == *attempt
                    }
                    _ => false,
                };
                let reason = reason.clone();
                has_it.then(|| (task.id.clone(), TaskNews::AttemptFailed { node, reason }))
            }
            _ => None,
        }
    }

    async fn report(&mut self, report: Report) -> Result<(), StoreError> {
        let input = match report {
            Report::Progress {
                task,
                percent,
                note,
            } => Input::LocalProgress {
                task,
                percent,
                note,
            },
            Report::Ended {
                task,
                attempt,
                outcome,
            } => {
                if self.jobs.get(&task).is_some_and(|(at, _)| *at == attempt) {
                    self.jobs.remove(&task);
                }
                Input::LocalResult {
                    task,
                    attempt,
                    outcome,
                }
            }
        };
        self.drive(input).await.map(drop)
    }

    /// Gives the machine an input and carries out what it answers. Where the store fails, what the
    /// machine decided is void: it goes on from what is stored, as after a crash.
    ///
    /// # Errors
    /// [`StoreError`] where what is stored cannot be read either.
    async fn drive(&mut self, input: Input) -> Result<Driven, StoreError> {
        match self.try_drive(input).await {
            Ok(None) => Ok(Driven::Done),
            Ok(Some(refusal)) => Ok(Driven::Refused(refusal)),
            Err(error) => {
                tracing::error!(%error, "a task could not be stored");
                for (_, (_, job)) in std::mem::take(&mut self.jobs) {
                    job.abort();
                }
                self.machine = machine(&self.parts)?;
                self.looked = None;
                Ok(Driven::NotStored(error))
            }
        }
    }

    async fn try_drive(&mut self, input: Input) -> Result<Option<Refusal>, StoreError> {
        let outputs = self.machine.handle(input, now_ms());
        let (mut batch, mut refusal) = (Batch::new(), None);
        for output in outputs {
            if let Output::Persist(change) = output {
                batch = batch.task(change);
                continue;
            }
            if let Some(audit) = audit(&output, now_ms()) {
                batch = batch.audit(audit);
            }
            if !batch.is_empty() {
                self.parts.store.write(std::mem::take(&mut batch)).await?;
            }
            refusal = self.carry_out(output).or(refusal);
        }
        if !batch.is_empty() {
            self.parts.store.write(batch).await?;
        }
        Ok(refusal)
    }

    /// Carries an output out; gives the reason where it says that something was not acted on.
    fn carry_out(&mut self, output: Output) -> Option<Refusal> {
        match output {
            Output::Persist(_) | Output::Settled { .. } => {}
            Output::Send { to, message } => self.send(to, message),
            Output::Start {
                task,
                attempt,
                twin,
                asked_by,
                goal,
                ..
            } => {
                let job = Job {
                    task,
                    twin,
                    asked_by,
                    goal,
                };
                self.start(job, attempt);
            }
            Output::Abort { task, attempt, .. } => {
                if self.jobs.get(&task).is_some_and(|(at, _)| *at == attempt)
                    && let Some((_, job)) = self.jobs.remove(&task)
                {
                    job.abort();
                }
            }
            Output::Assigned {
                id,
                worker,
                twin,
                attempt,
            } => {
                let to = TaskWorker {
                    node: worker.to_string(),
                    twin: twin.to_string(),
                };
                self.news.tell(&id, TaskNews::Assigned { to, attempt });
            }
            Output::Progress {
                id,
                worker,
                percent,
                note,
            } => {
                let node = worker.to_string();
                let news = TaskNews::Progress {
                    node,
                    percent,
                    note,
                };
                self.news.tell(&id, news);
            }
            Output::Done { id, .. } | Output::Failed { id, .. } => {
                if let Ok(task) = self.task(&id) {
                    self.news.end(task);
                }
            }
            Output::Rejected { reason, .. } => return Some(reason),
            Output::Refused { author, reason } => {
                if reason.is_misbehaviour() {
                    tracing::warn!(%author, %reason, "a task message was refused");
                } else {
                    tracing::debug!(%author, %reason, "a task message was not acted on");
                }
                return Some(reason);
            }
        }
        None
    }

    fn send(&self, to: Recipient, message: TaskMessage) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            tracing::debug!("a task message waits for the next round: too many are under way");
            return;
        };
        let bytes = Verified::sign(&self.parts.identity, message)
            .and_then(|signed| to_dag_cbor(signed.as_signed()));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "a task message cannot be written");
                return;
            }
        };
        let wire = self.parts.wire.clone();
        tokio::spawn(async move {
            let sent = match &to {
                Recipient::Everyone => wire.gossip(bytes).await,
                Recipient::Only(did) => wire.send(did, bytes).await,
            };
            if let Err(error) = sent {
                tracing::debug!(?to, %error, "a task message did not go out");
            }
            drop(place);
        });
    }

    fn start(&mut self, job: Job, attempt: u32) {
        let (bench, reports) = (self.parts.bench.clone(), self.reports.clone());
        let task = job.task.clone();
        let progress = Progress {
            task: task.clone(),
            reports: reports.clone(),
        };
        let key = task.clone();
        let running = self.running.spawn(async move {
            // The work is a task of its own, so that a panic in it is a failure like any other.
            let mut work = JoinSet::new();
            work.spawn(async move { bench.run(job, progress).await });
            let outcome = match work.join_next().await {
                Some(Ok(outcome)) => outcome,
                _ => Outcome::Failed {
                    reason: "the work broke off in a way the node did not foresee".to_owned(),
                },
            };
            let report = Report::Ended {
                task,
                attempt,
                outcome,
            };
            let _ = reports.send(report).await;
        });
        if let Some((_, before)) = self.jobs.insert(key, (attempt, running)) {
            before.abort();
        }
    }
}

/// What came of an input.
enum Driven {
    Done,
    Refused(Refusal),
    NotStored(StoreError),
}
