//! Drives the election machine: stores, signs, gossips, and wakes it up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cid::Cid;
use pagi_election::{Config, Durable, Input, Leader, Machine, Output, Status};
use pagi_messages::{
    Did, Event, EventType, SigningIdentity, Verified,
    content::to_dag_cbor,
    event::{from_unix_ms, rfc3339},
};
use pagi_store::{AuditRecord, Batch, Store};
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    error::HiveError,
    hive::now_ms,
    ports::{Content, Gossip, Topic},
};

/// Where the machine's durable state is kept.
const SETTING: &str = "election";
/// A message that cannot be handed to the network for so long is given up; the machine repeats what
/// matters.
const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// The MO in office and the block of its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Office {
    /// The MO.
    pub mo: Did,
    /// Its term.
    pub term: u64,
    /// Its certificate.
    pub certificate: Cid,
}

pub(crate) enum Command {
    Input(Input),
    Status(oneshot::Sender<(Status, Option<Leader>)>),
}

pub(crate) struct Driver {
    machine: Machine,
    identity: SigningIdentity,
    store: Store,
    gossip: Arc<dyn Gossip>,
    content: Arc<dyn Content>,
    office: watch::Sender<Option<Office>>,
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        identity: SigningIdentity,
        store: Store,
        gossip: Arc<dyn Gossip>,
        content: Arc<dyn Content>,
        office: watch::Sender<Option<Office>>,
    ) -> Result<Self, HiveError> {
        let durable = match store.get_setting(SETTING)? {
            Some(value) => {
                serde_json::from_value::<Durable>(value).map_err(HiveError::ElectionState)?
            }
            None => Durable::default(),
        };
        let seed = Uuid::new_v4().as_u64_pair().0;
        let machine = Machine::new(config, identity.did().clone(), durable, now_ms(), seed);
        Ok(Self {
            machine,
            identity,
            store,
            gossip,
            content,
            office,
        })
    }

    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        loop {
            let wait = self.machine.next_tick_ms().saturating_sub(now_ms());
            let input = tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    None => break,
                    Some(Command::Input(input)) => input,
                    Some(Command::Status(reply)) => {
                        let _ = reply.send((self.machine.status(now_ms()), self.machine.leader()));
                        continue;
                    }
                },
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
                    let sending = self.gossip.publish(Topic::Election, data);
                    match tokio::time::timeout(SEND_PATIENCE, sending).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::debug!(%error, "an election message was not sent")
                        }
                        Err(_) => tracing::debug!("an election message was not sent in time"),
                    }
                    outputs.extend(self.machine.handle(Input::Message(signed), now_ms()));
                }
                Output::Elected {
                    mo,
                    term,
                    certificate,
                } => {
                    let block = to_dag_cbor(&certificate)?;
                    let voters = certificate.voters().len();
                    let cid = match self.content.put(block).await {
                        Ok(cid) => cid,
                        Err(error) => {
                            tracing::warn!(%error, "the certificate could not be stored");
                            certificate.cid()?
                        }
                    };
                    self.log_elected(&mo, term, cid, voters, certificate.electorate.len())
                        .await?;
                    self.office.send_replace(Some(Office {
                        mo,
                        term,
                        certificate: cid,
                    }));
                }
                Output::Vacant { term, reason } => {
                    tracing::info!(term, ?reason, "there is no MO now");
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

    async fn log_elected(
        &self,
        mo: &Did,
        term: u64,
        certificate: Cid,
        votes: usize,
        electorate: usize,
    ) -> Result<(), HiveError> {
        tracing::info!(%mo, term, votes, electorate, "a Master Orchestrator was elected");
        let now = from_unix_ms(now_ms());
        let detail = json!({"mo": mo, "term": term, "certificate": certificate.to_string(),
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
            .about(certificate.to_string())
            .with_detail(detail);
        self.store
            .write(Batch::new().event(event).audit(audit))
            .await?;
        Ok(())
    }
}
