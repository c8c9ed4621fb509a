//! Goals of other nodes: what a twin does for a stranger, and what a stranger gets to see of it.
//!
//! Such a goal runs through the same executive and the same ethics gate as one of the node's user,
//! but as a guest: it sees neither memories nor mood, leaves none behind, calls only the tools that
//! are open to strangers and to the twin, and teaches nothing.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use pagi_api::goal::{GoalRequest, Interaction, ProgressSink};
use pagi_messages::Did;
use pagi_policy::{Subject, Verdict};

use crate::{
    error::TwinError,
    mind::{Mind, known_cases},
    planner::{self, ToolInfo},
    reflection,
};

/// On whose behalf a goal of another node runs, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The node that asked.
    pub node: Did,
    /// The tools it may cause to be called, as far as the twin may call them.
    pub tools: BTreeSet<String>,
}

/// Counts a goal for as long as it lives.
pub(crate) struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    pub(crate) fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mind {
    /// Runs a goal of another node with `twin_id`; steps go to `progress` as they end. Dropping the
    /// future ends the goal where it stands.
    ///
    /// A refused or failed goal is an `Ok` whose status says so.
    ///
    /// # Errors
    /// As [`Mind::interact`].
    pub async fn serve(
        &self,
        twin_id: &str,
        request: GoalRequest,
        guest: Guest,
        progress: Option<ProgressSink>,
    ) -> Result<Interaction, TwinError> {
        self.reach(twin_id, request, Some(guest), progress).await
    }

    /// What secret `text` holds, in words, where it holds one: then no other node may see it.
    /// Whether it is good to work on is for the gate of whoever works.
    ///
    /// # Errors
    /// [`TwinError::Ethics`].
    pub fn secret_in(&self, text: &str) -> Result<Option<String>, TwinError> {
        let gate = self.gate(&self.inner.collective.playbook())?;
        Ok(match gate.judge(Subject::Output(text)) {
            Verdict::Refused(refusal) if refusal.category == "secret" => Some(refusal.explanation),
            _ => None,
        })
    }

    /// How many goals of the node's own user run now.
    #[must_use]
    pub fn running_goals(&self) -> usize {
        self.inner.running.load(Ordering::Relaxed)
    }

    /// The tools of `twin_id` that are among `open`.
    pub async fn open_tools(&self, twin_id: &str, open: &BTreeSet<String>) -> Vec<ToolInfo> {
        let mut tools = self.catalog(twin_id).await;
        tools.retain(|tool| open.contains(&tool.name));
        tools
    }

    /// Keywords of the goals that `tools` can reach: words of the tools, and those of the learned
    /// cases that need no other tool.
    #[must_use]
    pub fn keywords(&self, tools: &[ToolInfo]) -> BTreeSet<String> {
        let mut words = planner::tool_words(tools);
        for known in known_cases(&self.inner.collective.playbook()) {
            let mut steps = known.case.steps.iter();
            if steps.all(|step| tools.iter().any(|tool| tool.name == step.tool)) {
                words.extend(known.case.terms);
            }
        }
        words
    }

    /// The keywords of `goal` that may leave the node: words of the tools, of the playbook, and common
    /// ones.
    #[must_use]
    pub fn shareable_keywords(&self, goal: &str, tools: &[ToolInfo]) -> Vec<String> {
        let playbook = self.inner.collective.playbook();
        reflection::shareable_terms(goal, &planner::known_words(tools, &playbook.state))
    }

    /// The tools `twin_id` may call, by name.
    pub async fn tools_of(&self, twin_id: &str) -> Vec<ToolInfo> {
        self.catalog(twin_id).await
    }
}
