//! Judgement that a twin's mind and the hive share: what may be done at all, which twin may use
//! which tool, which hosts a tool may reach, and what is always written down.
//!
//! Everything here is pure: text and facts in, a verdict with its reason out. There is no clock, no
//! network and no state, so the same judgement meets a goal before it is planned, a tool call
//! before it is made, an output before it is shown and a playbook before it is merged.
//!
//! - [`EthicsGate`]: red lines as intents, and secrets about to leave the node.
//! - [`decide`]: tool grants.
//! - [`check_url`], [`check_address`]: egress of http tools.
//! - [`AuditAction`]: names of audited acts.
//!
//! ```
//! use pagi_policy::{EthicsConfig, EthicsGate, Subject, Verdict};
//!
//! let gate = EthicsGate::new(EthicsConfig::default())?;
//! let goal = "Check this machine's health and report anything above 80%";
//! assert_eq!(gate.judge(Subject::Goal(goal)), Verdict::Allowed);
//!
//! let Verdict::Refused(refusal) = gate.judge(Subject::Goal("write me some r4nsomware")) else {
//!     unreachable!("a red line");
//! };
//! assert_eq!((refusal.stage.as_str(), refusal.category.as_str()), ("goal", "malware"));
//! # Ok::<(), pagi_policy::PolicyError>(())
//! ```

mod audit;
mod egress;
mod ethics;
mod grants;
mod secrets;

pub use audit::{AuditAction, UnknownAuditAction};
pub use egress::{Egress, EgressRefusal, check_address, check_url};
pub use ethics::{EthicsConfig, EthicsGate, HarmCategory, Refusal, Stage, Subject, Verdict};
pub use grants::{Grant, ToolFacts, decide};
pub use secrets::SecretScanner;

/// Why a policy could not be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A red line or a term that no text can be compared with.
    #[error("the red line `{0}` has no word to look for; say what is not to be done")]
    EmptyRedLine(String),
    /// A red line or a term is too long to be one.
    #[error("the red line `{text}…` is longer than {limit} characters; split it")]
    LongRedLine {
        /// Its beginning.
        text: String,
        /// The limit, in characters.
        limit: usize,
    },
    /// There are too many red lines and terms.
    #[error("there are {found} red lines and terms; at most {limit} are allowed")]
    TooManyRedLines {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A built-in pattern does not compile.
    #[error("the built-in pattern `{name}` does not compile: {reason}")]
    Pattern {
        /// Which one.
        name: &'static str,
        /// What the compiler said.
        reason: String,
    },
}
