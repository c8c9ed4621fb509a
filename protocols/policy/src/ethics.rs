//! The ethics gate: red lines as intents, not as words.
//!
//! A text is read into words whose disguises are undone ([`fold`], [`text`]), the words are searched for an
//! action that governs an object ([`rules`], [`matcher`]), and a match is weighed by its frame, so
//! that preventing, reporting or explaining a harm is not taken for doing it ([`frame`]). The gate
//! is one layer: it catches plain and lightly disguised intent, not every paraphrase.

mod config;
mod fold;
mod frame;
mod lexicon;
mod matcher;
mod rules;
mod text;

pub use config::{EthicsConfig, HarmCategory};
pub(crate) use fold::is_invisible;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{lexicon::Lexicon, matcher::Rule, text::Reader};
use crate::{PolicyError, secrets::SecretScanner};

/// The longest parameter that is also read together with its neighbours, in words.
const SHORT_PARAMETER: usize = 8;
/// The longest excerpt of the judged text in an explanation, in characters.
const MAX_EXCERPT: usize = 120;

/// Commands that destroy a machine, wherever they are asked for.
const DESTRUCTIVE: &str = r"(?i)\brm\s+(?:-[a-z-]+\s+)*-(?:[a-z]*r[a-z]*f|[a-z]*f[a-z]*r)[a-z]*\s+(?:-[a-z-]+\s+)*/(?:\*|\s|$|[\x22'])|\bmkfs(?:\.\w+)?\s+(?:-\S+\s+)*/dev/|\bdd\s+[^\n]{0,80}\bof=/dev/(?:sd|nvme|hd|vd|mmcblk)|:\(\)\s*\{\s*:\s*\|\s*:\s*&\s*\}\s*;\s*:";

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A goal a twin was given.
    Goal(&'a str),
    /// A tool about to be called.
    ToolCall {
        /// The tool's name.
        tool: &'a str,
        /// Its parameters.
        parameters: &'a Value,
        /// The tool sends its parameters off this node, so they may hold no secret.
        leaves_node: bool,
    },
    /// What a twin is about to answer or publish.
    Output(&'a str),
    /// Any other text: a reflection, a playbook's instructions, an artifact.
    Text(&'a str),
}

/// Where a refusal happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// At the goal.
    Goal,
    /// At a tool call.
    ToolCall,
    /// At an output.
    Output,
    /// At another text.
    Text,
}

impl Stage {
    /// The name in events: `goal`, `tool_call`, `output` or `text`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::ToolCall => "tool_call",
            Self::Output => "output",
            Self::Text => "text",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A refusal: which line, why, and what to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Where it happened.
    pub stage: Stage,
    /// The red line: the statement of a built-in one, or the configured text.
    pub rule: String,
    /// The category: a built-in one (`malware`, `violence`, …), `secret`, `red_line` for configured
    /// lines, or the name of a configured harm category.
    pub category: String,
    /// One sentence for the log and the user. Never holds a secret.
    pub explanation: String,
    /// What to answer the one who asked.
    pub response: String,
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// No red line is crossed.
    Allowed,
    /// A red line is crossed.
    Refused(Refusal),
}

impl Verdict {
    /// Whether no red line is crossed.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// The refusal, if it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Allowed => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

/// Judges goals, tool calls, outputs and texts. Make it once per configuration.
pub struct EthicsGate {
    config: EthicsConfig,
    reader: Reader,
    lexicon: Lexicon,
    built_in: Vec<Rule>,
    configured: Vec<Rule>,
    secrets: SecretScanner,
    destructive: Regex,
    unenforced: Vec<String>,
}

impl EthicsGate {
    /// Compiles the built-in red lines, which always hold, and those of `config`.
    ///
    /// # Errors
    /// [`PolicyError`] for a configured line that cannot be compiled, or too many of them.
    pub fn new(config: EthicsConfig) -> Result<Self, PolicyError> {
        config.check()?;
        let lexicon = Lexicon::new();
        let built_in = rules::built_in(&lexicon);
        let (configured, unenforced) = rules::configured(&config, &lexicon)?;
        let reader = Reader::new(&lexicon, built_in.iter().chain(&configured));
        let destructive = Regex::new(DESTRUCTIVE).map_err(|error| PolicyError::Pattern {
            name: "destructive command",
            reason: error.to_string(),
        })?;
        let secrets = SecretScanner::new()?;
        Ok(Self {
            config,
            reader,
            lexicon,
            built_in,
            configured,
            secrets,
            destructive,
            unenforced,
        })
    }

    /// The configuration it was made from.
    #[must_use]
    pub const fn config(&self) -> &EthicsConfig {
        &self.config
    }

    /// Configured harm categories that are neither built in nor have terms, so that nothing can be
    /// refused for them.
    #[must_use]
    pub fn unenforced(&self) -> &[String] {
        &self.unenforced
    }

    /// Judges `subject`. Without `alignment_check`, outputs and texts are compared with configured
    /// lines and searched for secrets only; goals and tool calls always meet every line.
    #[must_use]
    pub fn judge(&self, subject: Subject<'_>) -> Verdict {
        let refusal = match subject {
            Subject::Goal(text) => self.judge_text(Stage::Goal, text, true),
            Subject::ToolCall {
                tool,
                parameters,
                leaves_node,
            } => self.judge_call(tool, parameters, leaves_node),
            Subject::Output(text) => self
                .judge_secret(Stage::Output, text)
                .or_else(|| self.judge_text(Stage::Output, text, self.config.alignment_check)),
            Subject::Text(text) => self.judge_text(Stage::Text, text, self.config.alignment_check),
        };
        refusal.map_or(Verdict::Allowed, Verdict::Refused)
    }

    fn judge_text(&self, stage: Stage, text: &str, built_in: bool) -> Option<Refusal> {
        let words = self.reader.read(text);
        let built_in = if built_in {
            self.built_in.as_slice()
        } else {
            &[]
        };
        let asked = matches!(stage, Stage::Goal | Stage::ToolCall);
        if asked && self.destructive.is_match(text) {
            return Some(self.refuse(
                stage,
                "destroy a machine's data with a command",
                "destruction",
                "holds a command that destroys the machine's data".to_owned(),
            ));
        }
        let (rule, hit) = built_in
            .iter()
            .chain(&self.configured)
            .find_map(|rule| Some((rule, rule.find(&words, &self.lexicon)?)))?;
        let excerpt: Vec<&str> = words
            .get(hit.start..hit.end)
            .unwrap_or_default()
            .iter()
            .map(|w| w.shown())
            .collect();
        let excerpt: String = excerpt.join(" ").chars().take(MAX_EXCERPT).collect();
        Some(self.refuse(
            stage,
            &rule.statement,
            &rule.category,
            format!("reads as “{excerpt}”"),
        ))
    }

    fn judge_call(&self, tool: &str, parameters: &Value, leaves_node: bool) -> Option<Refusal> {
        let strings = strings_of(parameters);
        if leaves_node {
            let secret = strings
                .iter()
                .find_map(|text| self.judge_secret(Stage::ToolCall, text));
            if secret.is_some() {
                return secret;
            }
        }
        let each = strings
            .iter()
            .find_map(|text| self.judge_text(Stage::ToolCall, text, true));
        if each.is_some() {
            return each;
        }
        // An intent may be spread over the tool's name and several short parameters.
        let short = strings
            .iter()
            .map(String::as_str)
            .filter(|text| text.split_whitespace().count() <= SHORT_PARAMETER);
        let joined = std::iter::once(tool)
            .chain(short)
            .collect::<Vec<_>>()
            .join(" ");
        self.judge_text(Stage::ToolCall, &joined, true)
    }

    fn judge_secret(&self, stage: Stage, text: &str) -> Option<Refusal> {
        let kind = self.secrets.find(text)?;
        let rule = "let a secret leave the node";
        Some(self.refuse(
            stage,
            rule,
            "secret",
            format!("holds what looks like a secret: {kind}"),
        ))
    }

    fn refuse(&self, stage: Stage, rule: &str, category: &str, because: String) -> Refusal {
        let what = match stage {
            Stage::Goal => "goal",
            Stage::ToolCall => "tool call",
            Stage::Output => "output",
            Stage::Text => "text",
        };
        Refusal {
            stage,
            rule: rule.to_owned(),
            category: category.to_owned(),
            explanation: format!("The {what} {because}, which crosses the red line “{rule}”."),
            response: self.config.refusal_response.clone(),
        }
    }
}

/// Every key and string of `value`, in order, without recursion.
fn strings_of(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => open.extend(items.iter().rev()),
            Value::Object(fields) => {
                for (key, field) in fields.iter().rev() {
                    open.push(field);
                    if is_free_key(key) {
                        found.push(key.clone());
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

/// A key long enough to hold text of its own, rather than to name a field.
fn is_free_key(key: &str) -> bool {
    key.len() > 24 || key.contains(char::is_whitespace)
}
