//! The names of the acts a node writes to its audit log.
//!
//! Every tool call, refusal and act of the Master Orchestrator leaves a record; the record's kind
//! is one of these names, so that a log can be filtered without knowing who wrote it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! audit_actions {
    ($($variant:ident => $name:literal, $doc:literal;)*) => {
        /// An act that is always recorded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum AuditAction {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)*
        }

        impl AuditAction {
            /// Every action, in the order of their declaration.
            pub const ALL: &'static [AuditAction] = &[$(AuditAction::$variant,)*];

            /// The name in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(AuditAction::$variant => $name,)* }
            }
        }

        impl FromStr for AuditAction {
            type Err = UnknownAuditAction;

            fn from_str(text: &str) -> Result<Self, UnknownAuditAction> {
                match text {
                    $($name => Ok(AuditAction::$variant),)*
                    other => Err(UnknownAuditAction(other.chars().take(64).collect())),
                }
            }
        }
    };
}

audit_actions! {
    ToolCall => "tool_call", "A tool ran, well or not.";
    ToolDenied => "tool_denied", "A tool was asked for by a twin that may not use it.";
    EthicsRefused => "ethics_refused", "The ethics gate refused a goal, call, output or text.";
    ArtifactPublished => "artifact_published", "A refinement artifact went to the swarm.";
    ArtifactRefused => "artifact_refused", "An artifact was turned away, with the reason.";
    CanaryOpened => "canary_opened", "The Master Orchestrator tries artifacts on a part of the swarm.";
    CanaryJoined => "canary_joined", "This node tries artifacts before they are merged.";
    CanaryPromoted => "canary_promoted", "A trial saw no harm: its artifacts are merged.";
    CanaryReverted => "canary_reverted", "A trial saw harm: its artifacts are not merged.";
    GitMirrored => "git_mirrored", "The Git repository was brought up to date, or could not be.";
    MoElected => "mo_elected", "A Master Orchestrator took office.";
    RevisionAuthored => "revision_authored", "This node, as Master Orchestrator, wrote a playbook revision.";
    RevisionAdopted => "revision_adopted", "This node adopted a playbook revision.";
    Actuator => "actuator", "An actuator acted on the world outside the node.";
    GrantChanged => "grant_changed", "A twin's right to a tool was given or taken.";
    SteppedDown => "stepped_down", "The Master Orchestrator gave up its office.";
    MessageSent => "message_sent", "A private message was sent, or given up.";
    MessageReceived => "message_received", "A private message was taken in.";
    PluginInstalled => "plugin_installed", "A plugin was installed.";
    PluginRemoved => "plugin_removed", "A plugin was removed.";
    KeyRotated => "key_rotated", "A twin was given another key.";
    ContactChanged => "contact_changed", "Whom a twin listens to was changed.";
    ResearchDone => "research_done", "A twin answered, or declined, another's research question.";
    CredentialIssued => "credential_issued", "A twin issued a credential.";
    CredentialRevoked => "credential_revoked", "A twin took a credential back.";
    Stopped => "stopped", "An order to stop was given or taken.";
    Resumed => "resumed", "An order to go on was given or taken.";
    StopOverridden => "stop_overridden", "The node's user went on in spite of an order to stop.";
    TokenRefused => "token_refused", "A request came with a wrong or missing control token.";
}

impl fmt::Display for AuditAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no audited action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an audited action")]
pub struct UnknownAuditAction(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text_and_json() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse::<AuditAction>(), Ok(*action));
            let json = serde_json::to_string(action).unwrap();
            assert_eq!(json, format!("\"{action}\""));
            assert_eq!(serde_json::from_str::<AuditAction>(&json).unwrap(), *action);
        }
        assert_eq!(AuditAction::ALL.len(), 29);
    }

    #[test]
    fn unknown_names_are_refused_and_cut() {
        let error = "x".repeat(500).parse::<AuditAction>().unwrap_err();
        assert_eq!(error.0.len(), 64);
    }
}
