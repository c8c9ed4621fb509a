//! Messages under way: tried until they are taken, refused for good, or void.

use std::time::Duration;

use futures::{StreamExt, stream};
use pagi_messages::Did;
use pagi_store::{AuditRecord, Batch, OutboxMessage};
use serde_json::json;

use crate::{
    error::TwinError,
    messaging::ReceiveError,
    mind::{Mind, now_ms, now_text},
    ports::{Delivered, DeliveryError},
};

/// Messages tried at the same time.
const AT_ONCE: usize = 8;
/// The longest pause between two looks at the outbox.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two tries of one message, milliseconds.
const LONGEST_BACKOFF_MS: u64 = 30_000;

/// How long until a message that a mailbox holds is tried again, milliseconds.
const HELD_PAUSE_MS: u64 = 10 * 60 * 1000;

/// What came of a try.
pub(super) enum Tried {
    /// The other side has it in store.
    Delivered,
    /// A mailbox holds it for the other side.
    Held(String),
    /// It waits for another try, for this reason.
    Waits(String),
    /// It was given up, for this reason.
    Refused(String),
}

/// How long to wait after so many failed tries, milliseconds: a second, doubled each time, half a
/// minute at the most.
pub(super) fn backoff_ms(attempts: u32) -> u64 {
    1_000_u64
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_BACKOFF_MS)
}

impl Mind {
    /// Tries what waits in the outbox, again and again; never returns.
    pub async fn run_outbox(&self) {
        loop {
            let now = now_ms();
            let pause = match self.deliver_due(now).await {
                Ok(Some(next)) => Duration::from_millis(next.saturating_sub(now_ms()).max(50)),
                Ok(None) => LONGEST_PAUSE,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be used");
                    LONGEST_PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
                () = self.inner.outbox.notified() => {}
            }
        }
    }

    /// Tries every message of the outbox that is due at `now_ms`, and gives up those that are void.
    /// Returns when the next one is due.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub async fn deliver_due(&self, now_ms: u64) -> Result<Option<u64>, TwinError> {
        let mut due = self.store().outbox()?;
        due.retain(|message| message.next_attempt_ms <= now_ms || message.expires_at_ms <= now_ms);
        let tried: Vec<Result<(), TwinError>> = stream::iter(due)
            .map(|message| async move {
                if message.expires_at_ms <= now_ms {
                    let why = message.last_error.clone().unwrap_or_default();
                    return self.give_up(&message, "expired", &why).await;
                }
                self.attempt(message).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        tried.into_iter().collect::<Result<(), _>>()?;
        let waiting = self.store().outbox()?;
        Ok(waiting.first().map(|message| message.next_attempt_ms))
    }

    /// Tries a message of the outbox once, and keeps what came of it.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub(super) async fn attempt(&self, message: OutboxMessage) -> Result<Tried, TwinError> {
        let to: Did = message.to.parse()?;
        match self.transport(&to, &message).await {
            Ok(Delivered::Held(by)) => {
                // The mailbox hands it out once the recipient is back; that it did, the recipient says
                // when it is tried again.
                let by = by.to_string();
                let waiting = OutboxMessage {
                    attempts: message.attempts.saturating_add(1),
                    next_attempt_ms: now_ms().saturating_add(HELD_PAUSE_MS),
                    last_error: None,
                    held_by: Some(by.clone()),
                    ..message
                };
                self.store().write(Batch::new().outgoing(waiting)).await?;
                Ok(Tried::Held(by))
            }
            Ok(Delivered::Stored) => {
                let done = Batch::new().outgoing_done(&message.twin_id, &message.id);
                self.store().write(done).await?;
                Ok(Tried::Delivered)
            }
            Err(DeliveryError::Later(why)) => {
                let attempts = message.attempts.saturating_add(1);
                let waiting = OutboxMessage {
                    attempts,
                    next_attempt_ms: now_ms().saturating_add(if message.held_by.is_some() {
                        HELD_PAUSE_MS
                    } else {
                        backoff_ms(attempts)
                    }),
                    last_error: Some(why.clone()),
                    ..message
                };
                self.store().write(Batch::new().outgoing(waiting)).await?;
                // Its turn may come before that of those that waited already.
                self.inner.outbox.notify_one();
                Ok(Tried::Waits(why))
            }
            Err(DeliveryError::Never(why)) => {
                self.give_up(&message, "failed", &why).await?;
                Ok(Tried::Refused(why))
            }
        }
    }

    async fn give_up(
        &self,
        message: &OutboxMessage,
        verdict: &str,
        why: &str,
    ) -> Result<(), TwinError> {
        tracing::info!(id = message.id, verdict, why, "a message was given up");
        let audit = AuditRecord::new(now_text(), &message.twin_id, "message_sent", verdict)
            .about(&message.to)
            .with_detail(
                json!({"id": message.id, "msg_type": message.msg_type, "reason": why,
                                "attempts": message.attempts}),
            );
        let batch = Batch::new()
            .outgoing_done(&message.twin_id, &message.id)
            .audit(audit);
        self.store().write(batch).await?;
        Ok(())
    }

    /// Brings a packed message to its recipient: here, where the twin lives here.
    async fn transport(
        &self,
        to: &Did,
        message: &OutboxMessage,
    ) -> Result<Delivered, DeliveryError> {
        let (url, packed) = (message.to_url.as_deref(), message.packed.as_str());
        let here = self
            .twin_with(to.as_str())
            .map_err(|error| DeliveryError::Later(error.to_string()))?;
        if here.is_none() {
            let held = message.held_by.is_some();
            return self.inner.courier.deliver(to, url, packed, held).await;
        }
        match self.receive_message(packed).await {
            Ok(_) | Err(ReceiveError::Replayed) => Ok(Delivered::Stored),
            Err(error) if error.is_passing() => Err(DeliveryError::Later(error.to_string())),
            Err(error) => Err(DeliveryError::Never(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_half_a_minute() {
        let pauses: Vec<u64> = (1..=7).map(backoff_ms).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!((backoff_ms(0), backoff_ms(u32::MAX)), (1_000, 30_000));
    }
}
