//! Drives the election machine: stores, signs, gossips, and wakes it up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cid::Cid;
use pagi_election::{Certificate, Config, Durable, Input, Leader, Machine, Output, Status};
use pagi_messages::{
    Did, Event, EventType, SigningIdentity, Verified,
    content::to_dag_cbor,
    event::{from_unix_ms, rfc3339},
};
use pagi_store::{AuditRecord, Batch, Store};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    error::HiveError,
    hive::now_ms,
    ports::{Content, Gossip, NetworkError, Topic},
};

/// Where the machine's durable state is kept.
const SETTING: &str = "election";
/// A message that cannot be handed to the network for so long is given up; the machine repeats what
/// matters.
const SEND_PATIENCE: Duration = Duration::from_secs(2);
/// Messages that wait to be handed to the network.
const OUTGOING: usize = 64;
/// The first wait before a certificate is stored again; it doubles each time.
const STORE_AGAIN: Duration = Duration::from_millis(250);
/// Time for one try to store a certificate.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// Tries to store the own certificate before the office is given back.
const STORE_TRIES: u32 = 4;

/// The MO in office and the block of its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Office {
    /// The MO.
    pub mo: Did,
    /// Its term.
    pub term: u64,
    /// Its certificate.
    pub certificate: Cid,
    /// Who could vote.
    pub electorate: Vec<Did>,
    /// Who voted for it.
    pub voters: Vec<Did>,
}

pub(crate) enum Command {
    Input(Input),
    Status(oneshot::Sender<(Status, Option<Leader>)>),
}

/// An own certificate that is being stored: the office is taken when it is there for all to fetch.
struct Pending {
    office: Office,
    block: Vec<u8>,
    tries: u32,
}

type Stored = (Cid, Result<Cid, NetworkError>);

pub(crate) struct Driver {
    machine: Machine,
    identity: SigningIdentity,
    store: Store,
    content: Arc<dyn Content>,
    office: watch::Sender<Option<Office>>,
    outgoing: mpsc::Sender<Vec<u8>>,
    pending: Option<Pending>,
    stored: mpsc::Sender<Stored>,
    results: mpsc::Receiver<Stored>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        identity: SigningIdentity,
        store: Store,
        gossip: Arc<dyn Gossip>,
        content: Arc<dyn Content>,
        office: watch::Sender<Option<Office>>,
        stop: CancellationToken,
    ) -> Result<Self, HiveError> {
        let durable = match store.get_setting(SETTING)? {
            Some(value) => {
                serde_json::from_value::<Durable>(value).map_err(HiveError::ElectionState)?
            }
            None => Durable::default(),
        };
        let seed = Uuid::new_v4().as_u64_pair().0;
        let machine = Machine::new(config, identity.did().clone(), durable, now_ms(), seed);
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let (stored, results) = mpsc::channel(8);
        let tasks = TaskTracker::new();
        tasks.spawn(send_all(gossip, queue));
        Ok(Self {
            machine,
            identity,
            store,
            content,
            office,
            outgoing,
            pending: None,
            stored,
            results,
            tasks,
            stop,
        })
    }

    /// Runs until the node stops. `members` is what was heard of other nodes: it waits behind the
    /// election's own messages, so that a flood of presence delays no vote.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut members: mpsc::Receiver<Input>,
    ) {
        loop {
            let wait = self.machine.next_tick_ms().saturating_sub(now_ms());
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                command = commands.recv() => match command {
                    None => break,
                    Some(Command::Input(input)) => input,
                    Some(Command::Status(reply)) => {
                        let _ = reply.send((self.machine.status(now_ms()), self.machine.leader()));
                        continue;
                    }
                },
                Some((cid, result)) = self.results.recv() => {
                    match self.certificate_stored(&cid, result) {
                        Some(input) => input,
                        None => continue,
                    }
                }
                Some(input) = members.recv() => input,
                () = tokio::time::sleep(Duration::from_millis(wait.min(60_000))) => Input::Tick,
            };
            if let Err(error) = self.step(input).await {
                // A node that cannot keep its vote must not vote: it stays without a say.
                tracing::error!(%error, "the election stops on this node: its state cannot be stored");
                self.office.send_replace(None);
                return;
            }
        }
        if self.machine.is_mo()
            && let Err(error) = self.step(Input::StepDown).await
        {
            tracing::warn!(%error, "could not step down in order");
        }
        let Self {
            outgoing, tasks, ..
        } = self;
        // What is queued, the step-down among it, still goes out.
        drop(outgoing);
        tasks.close();
        let _ = tokio::time::timeout(SEND_PATIENCE, tasks.wait()).await;
    }

    /// One input, and its outputs in their order; the signed copy of each sent message goes back in.
    async fn step(&mut self, input: Input) -> Result<(), HiveError> {
        let mut outputs: VecDeque<Output> = self.machine.handle(input, now_ms()).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Persist(durable) => {
                    let value = serde_json::to_value(&durable).unwrap_or_default();
                    self.store.put_setting(SETTING, value).await?;
                }
                Output::Send(message) => {
                    tracing::trace!(?message, "an election message is sent");
                    let signed = Verified::sign(&self.identity, message)?;
                    let data = to_dag_cbor(signed.as_signed())?;
                    if self.outgoing.try_send(data).is_err() {
                        tracing::debug!("an election message was dropped: the network is slow");
                    }
                    outputs.extend(self.machine.handle(Input::Message(signed), now_ms()));
                }
                Output::Elected {
                    mo,
                    term,
                    certificate,
                } => self.elected(mo, term, &certificate).await?,
                Output::Vacant { term, reason } => {
                    tracing::info!(term, ?reason, "there is no MO now");
                    self.pending = None;
                    self.office.send_replace(None);
                }
                Output::Refused { author, reason } => {
                    if reason.is_misbehaviour() {
                        tracing::warn!(%author, %reason, "an election message was refused");
                    } else {
                        tracing::trace!(%author, %reason, "an election message was not acted on");
                    }
                }
            }
        }
        Ok(())
    }

    async fn elected(
        &mut self,
        mo: Did,
        term: u64,
        certificate: &Certificate,
    ) -> Result<(), HiveError> {
        let block = to_dag_cbor(certificate)?;
        let office = Office {
            certificate: certificate.cid()?,
            electorate: certificate.electorate.clone(),
            voters: certificate.voters().cloned().collect(),
            mo,
            term,
        };
        self.log_elected(&office).await?;
        let mine = office.mo == *self.identity.did();
        self.put(office.certificate, block.clone(), Duration::ZERO);
        if mine {
            // What this node signs as MO names the certificate: it must be there to be fetched.
            self.office.send_if_modified(|now| {
                let keep = now.as_ref().is_some_and(|now| now.mo == office.mo);
                !keep && now.take().is_some()
            });
            self.pending = Some(Pending {
                office,
                block,
                tries: 0,
            });
        } else {
            self.pending = None;
            self.office.send_replace(Some(office));
        }
        Ok(())
    }

    /// Stores a certificate beside the election.
    fn put(&self, cid: Cid, block: Vec<u8>, after: Duration) {
        let (content, stored) = (self.content.clone(), self.stored.clone());
        let work = async move {
            tokio::time::sleep(after).await;
            let put = tokio::time::timeout(STORE_PATIENCE, content.put(block)).await;
            let result = put.unwrap_or_else(|_| Err(NetworkError("it takes too long".into())));
            let _ = stored.send((cid, result)).await;
        };
        self.tasks
            .spawn(self.stop.clone().run_until_cancelled_owned(work));
    }

    /// A certificate is stored or not; the input that follows from it.
    fn certificate_stored(
        &mut self,
        cid: &Cid,
        result: Result<Cid, NetworkError>,
    ) -> Option<Input> {
        let ours = |pending: &Pending| pending.office.certificate == *cid;
        let mut pending = self.pending.take_if(|pending| ours(pending))?;
        match result {
            Ok(_) => {
                self.office.send_replace(Some(pending.office));
                None
            }
            Err(error) if pending.tries < STORE_TRIES => {
                tracing::warn!(%error, "the certificate could not be stored; it is tried again");
                self.put(
                    *cid,
                    pending.block.clone(),
                    STORE_AGAIN * (1 << pending.tries),
                );
                pending.tries += 1;
                self.pending = Some(pending);
                None
            }
            Err(error) => {
                tracing::error!(%error, "the office is given back: its certificate cannot be stored");
                Some(Input::StepDown)
            }
        }
    }

    async fn log_elected(&self, office: &Office) -> Result<(), HiveError> {
        let Office { mo, term, .. } = office;
        let (votes, electorate) = (office.voters.len(), office.electorate.len());
        tracing::info!(%mo, term, votes, electorate, "a Master Orchestrator was elected");
        let now = from_unix_ms(now_ms());
        let certificate = office.certificate.to_string();
        let detail = json!({"mo": mo, "term": term, "certificate": certificate,
            "votes": votes, "electorate": electorate, "me": mo == self.identity.did()});
        let event = Event::new(
            Uuid::new_v4(),
            now,
            EventType::MoElected,
            "election",
            detail.clone(),
        )
        .about(mo.to_string());
        let audit = AuditRecord::new(rfc3339(now), mo.to_string(), "mo_elected", "accepted")
            .about(certificate)
            .with_detail(detail);
        self.store
            .write(Batch::new().event(event).audit(audit))
            .await?;
        Ok(())
    }
}

/// Hands messages to the network, in order, until the queue ends.
async fn send_all(gossip: Arc<dyn Gossip>, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(data) = queue.recv().await {
        let sending = gossip.publish(Topic::Election, data);
        match tokio::time::timeout(SEND_PATIENCE, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an election message was not sent"),
            Err(_) => tracing::debug!("an election message was not sent in time"),
        }
    }
}
