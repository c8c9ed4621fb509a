//! Waiting for the answer in a thread.

use std::time::Duration;

use pagi_api::messages::ReceivedMessage;
use pagi_didcomm::protocols::research;
use pagi_messages::EventType;
use pagi_store::EventFilter;

use super::view;
use crate::{error::TwinError, mind::Mind};

/// The longest wait for an answer, seconds.
pub const MAX_WAIT_S: u64 = 600;
/// Messages of the inbox among which the answer is looked for.
const NEWEST: usize = 200;

impl Mind {
    /// Waits for the first message from `from` that answers the message `id` in its thread, among those
    /// that come after place `after` of the event log. `None` when none came in time.
    pub(super) async fn reply(
        &self,
        twin_id: &str,
        from: &str,
        (id, thid): (&str, &str),
        after: u64,
        wait: Duration,
    ) -> Result<Option<ReceivedMessage>, TwinError> {
        let filter = EventFilter {
            event_type: Some(EventType::DidcommReceived),
            twin_id: Some(twin_id.to_owned()),
            source: None,
        };
        let mut tail = self.store().follow(after, filter);
        // That a question was accepted is no answer to it yet.
        let accepted = format!("{}/1.0/accept", research::PROTOCOL);
        let found = async {
            while let Some(logged) = tail.next().await? {
                let said = &logged.event.payload;
                let answers = (said["thid"] == thid || said["pthid"] == thid)
                    && said["from"] == from
                    // What a twin asks itself comes in too.
                    && said["id"] != id
                    && said["msg_type"] != accepted;
                if !answers {
                    continue;
                }
                let inbox = self.store().inbox(twin_id, false, NEWEST)?;
                let message = inbox.into_iter().rev().find(|message| {
                    said["id"] == message.id && message.from.as_deref() == Some(from)
                });
                if let Some(message) = message {
                    return Ok(Some(view(message)));
                }
            }
            Ok(None)
        };
        match tokio::time::timeout(wait, found).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        }
    }
}
