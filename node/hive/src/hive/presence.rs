//! Announcing this node and its twins, and learning of others from a neighbour's roll.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::Duration,
};

use pagi_election::Input;
use pagi_messages::{
    Coordination, Did, EventType, TwinPresence, Verified, content::to_dag_cbor,
    wire::MAX_CLOCK_SKEW_MS,
};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{Hive, now_ms};
use crate::{error::HiveError, greeting::Greetings, inbox, roll};

/// Several twins are often changed together: one announcement is enough.
const CHANGE_DELAY: Duration = Duration::from_millis(50);

impl Hive {
    /// Sets the twins this node announces; new and changed ones are announced soon.
    pub fn set_twins(&self, twins: Vec<TwinPresence>) {
        let twins: BTreeMap<String, TwinPresence> = twins
            .into_iter()
            .map(|twin| (twin.twin_id.clone(), twin.modest()))
            .collect();
        let mut own = self.own_twins();
        let changed: Vec<String> = twins
            .values()
            .filter(|twin| {
                own.get(&twin.twin_id)
                    .is_none_or(|old| old.capabilities != twin.capabilities)
            })
            .map(|twin| twin.twin_id.clone())
            .collect();
        *own = twins;
        drop(own);
        self.twins_changed(changed);
    }

    /// Sets one of the twins this node announces; it is announced soon where it is new or has changed.
    pub fn set_twin(&self, twin: TwinPresence) {
        let twin = twin.modest();
        let id = twin.twin_id.clone();
        let capabilities = twin.capabilities.clone();
        let old = self.own_twins().insert(id.clone(), twin);
        if old.is_none_or(|old| old.capabilities != capabilities) {
            self.twins_changed(vec![id]);
        }
    }

    /// Announces a twin no longer.
    pub fn drop_twin(&self, twin_id: &str) {
        self.own_twins().remove(twin_id);
    }

    fn own_twins(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, TwinPresence>> {
        self.inner
            .twins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn twins_changed(&self, ids: Vec<String>) {
        if !ids.is_empty() {
            self.inner
                .changed
                .send_modify(|changed| changed.extend(ids));
        }
    }

    /// What nodes said of themselves lately, for a neighbour that asks; see [`crate::roll`].
    #[must_use]
    pub fn roll(&self) -> Vec<u8> {
        self.view(|view| view.roll().encode(now_ms(), roll::MAX_REPLY_BYTES))
    }

    /// Takes in a neighbour's roll and returns how many nodes of it were not known. What is not signed
    /// by its author, too old, or by a node that is not in the swarm (`is_in`), is left out.
    ///
    /// # Errors
    /// [`HiveError`] where what was heard cannot be stored.
    pub async fn take_roll(
        &self,
        reply: &[u8],
        is_in: impl Fn(&Did) -> bool + Send + Sync,
    ) -> Result<usize, HiveError> {
        let now = now_ms();
        let mut new = 0;
        for (age, data) in roll::decode(reply) {
            let known = |author: &Did, twin: Option<&str>| {
                author == self.did() || self.view(|view| view.roll().has(author, twin, data))
            };
            let message = match inbox::relayed(data, now, known) {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(rejection) => {
                    tracing::debug!(%rejection, "an entry of a roll is left out");
                    continue;
                }
            };
            // The age is a neighbour's word. What it cannot make younger is what the author signed,
            // give or take a difference of clocks.
            let latest = message.body().timestamp() + MAX_CLOCK_SKEW_MS;
            let heard = now.saturating_sub(age).min(latest);
            if self.view(|view| now.saturating_sub(heard) > view.patience_ms()) {
                continue;
            }
            let from = message.author().clone();
            if !is_in(&from) {
                continue;
            }
            match message.body() {
                Coordination::NodeOnline { .. } => {
                    new += usize::from(self.node_heard(&from, heard));
                    self.view(|view| view.keep(&from, None, data, heard));
                }
                Coordination::TwinOnline(presence) => {
                    self.twin_heard(&from, presence.clone(), data, heard)
                        .await?;
                }
                _ => {}
            }
        }
        Ok(new)
    }

    /// A node was heard; returns whether it is new.
    pub(super) fn node_heard(&self, from: &Did, heard_ms: u64) -> bool {
        let new = self.view(|view| view.node_seen(from, heard_ms));
        let seen = Input::MemberSeen {
            did: from.clone(),
            reputation: 0,
        };
        // Coordination goes on without an election; presence that does not fit is heard again.
        let _ = self.inner.members.try_send(seen);
        if new {
            self.view_changed();
        }
        new
    }

    /// A node announced a twin.
    pub(super) async fn twin_heard(
        &self,
        from: &Did,
        presence: TwinPresence,
        data: &[u8],
        heard_ms: u64,
    ) -> Result<(), HiveError> {
        let event = self.event(
            EventType::TwinOnline,
            json!({"did": presence.did, "node": from, "capabilities": presence.capabilities}),
        );
        let event = event.about_twin(&presence.twin_id);
        let new = self.view(|view| {
            let twin_id = presence.twin_id.clone();
            let new = view.twin_seen(from, presence, heard_ms);
            if view.twin_is_of(&twin_id, from) {
                view.keep(from, Some(&twin_id), data, heard_ms);
            }
            new
        });
        if new {
            self.inner.store.append_event(event).await?;
        }
        Ok(())
    }

    /// Announces this node and its twins: when a peer turns up, when a twin changes, and from time to
    /// time.
    pub(super) async fn presence(self) {
        let mut changed = self.inner.changed.subscribe();
        let mut told = Instant::now();
        let mut greet_at: Option<Instant> = None;
        let mut greetings = Greetings::default();
        loop {
            let (period, gap) = self.view(|view| (view.period_ms(), view.greeting_gap_ms()));
            let all_at = greet_at.unwrap_or(told + Duration::from_millis(period));
            let all = tokio::select! {
                () = self.inner.stop.cancelled() => return,
                () = self.inner.greet.notified(), if greet_at.is_none() => {
                    // In a large swarm newcomers are many; they get to know the others from a roll.
                    let rested = told + Duration::from_millis(gap);
                    // One who makes nodes appear all the time does not make this one shout.
                    let now = Instant::now();
                    greet_at = Some(rested.max(now + greetings.asked(now.into())));
                    continue;
                }
                () = sleep_until(all_at) => true,
                _ = changed.changed() => {
                    tokio::time::sleep(CHANGE_DELAY).await;
                    false
                }
            };
            let mut ids = BTreeSet::new();
            self.inner.changed.send_if_modified(|changed| {
                ids = std::mem::take(changed);
                false
            });
            if all {
                (told, greet_at) = (Instant::now(), None);
            }
            let gone = self.view(|view| view.expire(now_ms()));
            if !gone.is_empty() {
                self.view_changed();
            }
            for did in gone {
                let _ = self.election_input(Input::MemberLost { did }).await;
            }
            self.announce(all, &ids);
        }
    }

    /// Announces the node with all its twins, or those of `ids` alone.
    fn announce(&self, all: bool, ids: &BTreeSet<String>) {
        let mut messages = Vec::new();
        if all {
            messages.push(Coordination::NodeOnline {
                timestamp: now_ms(),
                heads: self.playbook().heads,
            });
        }
        let twins = self.own_twins().clone();
        for mut twin in twins.into_values() {
            if all || ids.contains(&twin.twin_id) {
                twin.timestamp = now_ms();
                messages.push(Coordination::TwinOnline(twin));
            }
        }
        for message in messages {
            if let Err(error) = self.say_presence(message) {
                tracing::debug!(%error, "presence was not sent");
            }
        }
    }

    /// Gossips a presence message and keeps it for neighbours that ask for the roll.
    fn say_presence(&self, message: Coordination) -> Result<(), HiveError> {
        let twin = match &message {
            Coordination::TwinOnline(presence) => Some(presence.twin_id.clone()),
            _ => None,
        };
        let signed = Verified::sign(&self.inner.identity, message)?;
        let data = to_dag_cbor(signed.as_signed())?;
        self.view(|view| view.keep(self.did(), twin.as_deref(), &data, now_ms()));
        self.inner.outbox.send(data);
        Ok(())
    }
}
