//! What a twin answers of itself: pings, questions for its protocols, and research questions of those
//! it allows them.
//!
//! A research question is a goal of the twin's own, with less in its reach: tools that only read and
//! are not about its private matter, no memories, and its own ethics gate. The question waits in the
//! inbox, unread, until it is answered, so that a restart loses none.

use std::time::Duration;

use pagi_api::goal::{GoalRequest, GoalStatus};
use pagi_didcomm::{
    Content, DiscoverFeatures, Headers, Message, ProblemReport, Research, TrustPing,
    protocols::research::{self, Decline, Finding, Proposal},
};
use pagi_messages::{Did, SigningIdentity};
use pagi_store::{AuditRecord, Batch, InboxMessage, OutboxMessage, TwinRecord};
use serde_json::json;
use uuid::Uuid;

use super::{ANSWER_LIFE_S, ANSWERED_UP_TO, LIFE_S, MOST_MESSAGES, seal};
use crate::{
    error::TwinError,
    guest::Guest,
    mind::{Mind, now_ms, now_text},
};

/// Tools that only read, but read what is the twin's own.
const PRIVATE_TOOLS: [&str; 2] = ["recall", "didcomm_get_inbox"];
/// Longest answer to a research question, bytes.
const MAX_FINDING: usize = 32 * 1024;
/// How long one research question may take.
const RESEARCH_TIME: Duration = Duration::from_secs(300);

/// A message that may want an answer.
pub(super) struct Asked<'a> {
    pub(super) twin: &'a TwinRecord,
    pub(super) identity: &'a SigningIdentity,
    pub(super) message: &'a Message,
    /// Whether the sender's research questions are answered.
    pub(super) allowed: bool,
    pub(super) now_ms: u64,
}

/// What is answered.
#[derive(Default)]
pub(super) struct Answer {
    /// Goes out with the same write that takes the message in.
    pub(super) outgoing: Option<OutboxMessage>,
    /// Nobody needs to look at the message any more.
    pub(super) settled: bool,
    /// It is to be researched.
    pub(super) research: bool,
}

impl Mind {
    pub(super) fn answer(&self, asked: &Asked<'_>, content: &Content) -> Result<Answer, TwinError> {
        let mut answer = Answer {
            settled: matches!(
                content,
                Content::TrustPing(TrustPing::Ping {
                    response_requested: true
                }) | Content::DiscoverFeatures(DiscoverFeatures::Queries(_))
            ),
            ..Answer::default()
        };
        let Some(sender) = &asked.message.from else {
            return Ok(answer);
        };
        if self.store().outbox_len()? >= ANSWERED_UP_TO {
            return Ok(answer);
        }
        let now_s = asked.now_ms / 1000;
        let headers = |life_s: u64| {
            let id = Uuid::new_v4().to_string();
            Headers::reply(id, asked.message, asked.identity.did(), now_s)
                .expires_at(now_s.saturating_add(life_s))
        };
        let (message, life_s) = match content {
            Content::TrustPing(TrustPing::Ping {
                response_requested: true,
            }) => (TrustPing::response(headers(ANSWER_LIFE_S)), ANSWER_LIFE_S),
            Content::DiscoverFeatures(DiscoverFeatures::Queries(queries)) => {
                let disclosed = DiscoverFeatures::answer(queries);
                let message = DiscoverFeatures::disclose(headers(ANSWER_LIFE_S), disclosed);
                (message, ANSWER_LIFE_S)
            }
            Content::Research(Research::Propose(proposal)) => {
                let why = if !asked.allowed {
                    Some("this twin does not answer research questions of yours")
                } else if proposal.deadline.is_some_and(|deadline| deadline <= now_s) {
                    Some("the deadline has passed")
                } else if let Some(why) = self.stopped(Some(&asked.twin.did)) {
                    tracing::info!(why, "a research question is declined");
                    Some("this twin is stopped")
                } else {
                    answer.research = true;
                    return Ok(answer);
                };
                answer.settled = true;
                let step = Research::Decline(Decline {
                    reason: why.unwrap_or_default().to_owned(),
                });
                (step.message(headers(LIFE_S)), LIFE_S)
            }
            // A message of a protocol nobody here speaks is left to the user; that it is, is said
            // where the sender is one the twin deals with.
            Content::Other if asked.allowed => {
                let report = ProblemReport {
                    code: "w.m.msg.unsupported".to_owned(),
                    comment: Some("The type {1} is kept, and not acted upon.".to_owned()),
                    args: vec![asked.message.type_.clone()],
                    escalate_to: None,
                };
                let message = report.about(asked.message, headers(ANSWER_LIFE_S));
                (message, ANSWER_LIFE_S)
            }
            _ => return Ok(answer),
        };
        let outgoing =
            self.outgoing(&asked.twin.twin_id, asked.identity, sender, message, life_s)?;
        answer.outgoing = Some(outgoing);
        Ok(answer)
    }

    /// A message that goes out as soon as the outbox is looked at.
    fn outgoing(
        &self,
        twin_id: &str,
        identity: &SigningIdentity,
        to: &Did,
        message: Message,
        life_s: u64,
    ) -> Result<OutboxMessage, TwinError> {
        let now = now_ms();
        Ok(OutboxMessage {
            packed: seal(&message, identity, to)?,
            id: message.id,
            twin_id: twin_id.to_owned(),
            to: to.to_string(),
            to_url: None,
            msg_type: message.type_,
            created_at: now_text(),
            expires_at_ms: now.saturating_add(life_s.saturating_mul(1000)),
            attempts: 0,
            next_attempt_ms: now,
            last_error: None,
            held_by: None,
        })
    }

    /// Researches the questions that an earlier run of the node left unanswered.
    ///
    /// # Errors
    /// [`TwinError::Store`].
    pub fn resume_research(&self) -> Result<(), TwinError> {
        let kind = format!("{}/1.0/propose", research::PROTOCOL);
        for twin in self.store().list_twins()? {
            let waiting = self.store().inbox(&twin.twin_id, true, MOST_MESSAGES)?;
            for message in waiting {
                if message.msg_type == kind {
                    self.start_research(message);
                }
            }
        }
        Ok(())
    }

    pub(super) fn start_research(&self, question: InboxMessage) {
        let mind = self.clone();
        tokio::spawn(async move {
            let Ok(_place) = mind.inner.researching.acquire().await else {
                return;
            };
            if let Err(error) = mind.research(&question).await {
                tracing::warn!(id = question.id, %error, "a research question was not answered");
            }
        });
    }

    async fn research(&self, question: &InboxMessage) -> Result<(), TwinError> {
        let twin = self.require(&question.twin_id)?;
        let identity = self.inner.keys.twin(&twin.twin_id)?;
        let proposal: Proposal = serde_json::from_value(question.body.clone())
            .map_err(|error| TwinError::Invalid(error.to_string()))?;
        let Some(from) = &question.from else {
            return Ok(());
        };
        let to: Did = from.parse()?;
        let mut goal = proposal.question;
        if let Some(share) = proposal.share {
            goal = format!("{goal}\n{share}");
        }
        let time = proposal.deadline.map_or(RESEARCH_TIME, |deadline| {
            let left = deadline.saturating_sub(now_ms() / 1000);
            Duration::from_secs(left).min(RESEARCH_TIME)
        });
        let tools = self.catalog(&twin.twin_id).await.into_iter();
        let tools =
            tools.filter(|tool| tool.read_only && !PRIVATE_TOOLS.contains(&tool.name.as_str()));
        let guest = Guest {
            node: to.clone(),
            tools: tools.map(|tool| tool.name).collect(),
        };
        let done = self.serve(&twin.twin_id, GoalRequest { goal }, guest, None);
        let (step, verdict) = match tokio::time::timeout(time, done).await {
            Ok(Ok(done)) if done.status == GoalStatus::Completed => {
                let finding = Finding {
                    summary: cut(&done.output),
                    artifact_cid: done.artifact_cid,
                    confidence: None,
                };
                (Research::Finding(finding), "done")
            }
            Ok(Ok(done)) => {
                let reason = cut(&done.output);
                let verdict = if done.status == GoalStatus::Refused {
                    "refused"
                } else {
                    "failed"
                };
                (Research::Decline(Decline { reason }), verdict)
            }
            Ok(Err(error @ (TwinError::Invalid(_) | TwinError::Stopped(_)))) => {
                let reason = cut(&error.to_string());
                (Research::Decline(Decline { reason }), "refused")
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let reason = "the deadline has passed".to_owned();
                (Research::Decline(Decline { reason }), "failed")
            }
        };
        let now_s = now_ms() / 1000;
        let mut headers = Headers::new(Uuid::new_v4().to_string(), identity.did(), &to, now_s)
            .expires_at(now_s.saturating_add(LIFE_S));
        headers.thid = Some(question.thid.clone());
        let message = step.message(headers);
        let outgoing = self.outgoing(&twin.twin_id, &identity, &to, message, LIFE_S)?;
        let audit = AuditRecord::new(now_text(), &twin.twin_id, "research_done", verdict)
            .about(from)
            .with_detail(json!({"id": question.id, "thid": question.thid}));
        let batch = Batch::new()
            .read_messages(&twin.twin_id, vec![question.seq])
            .outgoing(outgoing)
            .audit(audit);
        self.store().write(batch).await?;
        self.inner.outbox.notify_one();
        Ok(())
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_FINDING);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
