//! What a refinement changes: cases, bullets, counts and settings, and when each is well formed.
//!
//! Cases and bullets are named by a hash of their content, so the same lesson learnt twice is one
//! entry, and an entry can never change under its name. The ceilings here are rules of the DAG:
//! every node applies the same ones, so they are constants. Tighter limits for artifacts are
//! [`Limits`](crate::Limits).

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document;

mod canonical;
mod malformed;

use canonical::{list, short_hash, text};
pub use malformed::Malformed;

/// Most keywords of a case.
pub const MAX_TERMS: usize = 48;
/// Longest keyword of a case, in characters.
pub const MAX_TERM_CHARS: usize = 48;
/// Most steps of a case.
pub const MAX_STEPS: usize = 32;
/// Most parameters of a step.
pub const MAX_PARAMETERS: usize = 32;
/// Longest tool name, slot name, parameter name, section or path part, in characters.
pub const MAX_NAME_CHARS: usize = 128;
/// Longest text of a bullet, in characters.
pub const MAX_BULLET_CHARS: usize = 2000;
/// Most artifacts one artifact takes back.
pub const MAX_REVERTS: usize = 256;
/// Most parts of a setting's path.
pub const MAX_PATH_PARTS: usize = 8;
/// Deepest nesting of a constant or of a setting's value.
pub const MAX_VALUE_DEPTH: usize = 16;

/// What a refinement changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Cases to learn.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// Bullets to learn.
    #[serde(default)]
    pub bullets: Vec<Bullet>,
    /// What helped and what harmed.
    #[serde(default)]
    pub counts: Vec<Count>,
    /// Settings to write.
    #[serde(default)]
    pub set: Vec<Setting>,
    /// Artifacts to take back. Only the MO's own artifacts may: it answers for what it merged.
    #[serde(
        default,
        with = "crate::link::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub revert: Vec<Cid>,
}

/// A plan that worked, found again by the keywords of the goal it served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `case-` and 16 hex digits of the content's hash.
    pub id: String,
    /// Stemmed keywords, lower case, sorted and distinct: never the goal text itself.
    pub terms: Vec<String>,
    /// The plan.
    pub steps: Vec<CaseStep>,
}

/// One tool call of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStep {
    /// Name of the tool.
    pub tool: String,
    /// How each parameter is filled.
    #[serde(default)]
    pub parameters: BTreeMap<String, Fill>,
}

/// How a parameter of a case's step is filled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// From the goal at run time: the name of a slot such as `expression`, `number`, `url`,
    /// `quoted` or `text`.
    Slot(String),
    /// With this value.
    Const(Value),
}

/// A lesson in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bullet {
    /// `b-` and 16 hex digits of the content's hash.
    pub id: String,
    /// The part of the playbook it belongs to.
    pub section: String,
    /// The lesson.
    pub text: String,
}

/// One artifact's verdict on a case, bullet or tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// A case id, a bullet id or `tool:NAME`.
    pub target: String,
    /// 1 where it helped.
    pub helpful: u32,
    /// 1 where it harmed.
    pub harmful: u32,
}

/// A write to the settings tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Keys from the root of the document.
    pub path: Vec<String>,
    /// The new value; none removes the key.
    #[serde(default)]
    pub value: Option<Value>,
}

/// The first 80 characters of `text`, for messages.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn field(what: &'static str, value: &str, reason: &'static str) -> Malformed {
    Malformed::Field {
        what,
        value: cut(value),
        reason,
    }
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), Malformed> {
    if found <= limit {
        Ok(())
    } else {
        Err(Malformed::TooMany { what, found, limit })
    }
}

impl Delta {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
            && self.bullets.is_empty()
            && self.counts.is_empty()
            && self.set.is_empty()
            && self.revert.is_empty()
    }

    /// Checks each part, and that no case, bullet, target or path occurs twice.
    ///
    /// # Errors
    /// The first [`Malformed`] part.
    pub fn check(&self) -> Result<(), Malformed> {
        distinct("case", self.cases.iter().map(|case| case.id.as_str()))?;
        distinct(
            "bullet",
            self.bullets.iter().map(|bullet| bullet.id.as_str()),
        )?;
        distinct(
            "target",
            self.counts.iter().map(|count| count.target.as_str()),
        )?;
        let mut paths = BTreeSet::new();
        for setting in &self.set {
            if !paths.insert(&setting.path) {
                return Err(Malformed::Repeated {
                    what: "setting",
                    value: cut(&setting.path.join(".")),
                });
            }
        }
        at_most("artifacts to revert", self.revert.len(), MAX_REVERTS)?;
        let mut reverts = BTreeSet::new();
        if let Some(again) = self.revert.iter().find(|cid| !reverts.insert(**cid)) {
            return Err(Malformed::Repeated {
                what: "revert",
                value: again.to_string(),
            });
        }
        self.cases.iter().try_for_each(Case::check)?;
        self.bullets.iter().try_for_each(Bullet::check)?;
        self.counts.iter().try_for_each(Count::check)?;
        self.set.iter().try_for_each(Setting::check)
    }

    /// Whether [`Delta::check`] finds nothing wrong.
    #[must_use]
    pub fn well_formed(&self) -> bool {
        self.check().is_ok()
    }
}

fn distinct<'a>(
    what: &'static str,
    values: impl Iterator<Item = &'a str>,
) -> Result<(), Malformed> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(Malformed::Repeated {
                what,
                value: cut(value),
            });
        }
    }
    Ok(())
}

impl Case {
    /// A case with the id of its content. Keywords are trimmed, lower-cased, sorted and made
    /// distinct; constants that are null are left out.
    #[must_use]
    pub fn new(terms: impl IntoIterator<Item = String>, steps: Vec<CaseStep>) -> Self {
        let terms: BTreeSet<String> = terms
            .into_iter()
            .map(|term| term.trim().to_lowercase())
            .filter(|term| !term.is_empty())
            .collect();
        let steps = steps
            .into_iter()
            .map(|step| CaseStep {
                tool: step.tool,
                parameters: step
                    .parameters
                    .into_iter()
                    .filter_map(|(name, fill)| match fill {
                        Fill::Const(Value::Null) => None,
                        Fill::Const(mut value) => {
                            document::drop_nulls(&mut value);
                            Some((name, Fill::Const(value)))
                        }
                        slot @ Fill::Slot(_) => Some((name, slot)),
                    })
                    .collect(),
            })
            .collect();
        let mut case = Self {
            id: String::new(),
            terms: terms.into_iter().collect(),
            steps,
        };
        case.id = case.content_id();
        case
    }

    /// The id its content has.
    #[must_use]
    pub fn content_id(&self) -> String {
        format!("case-{}", short_hash(&self.canonical()))
    }

    /// Bytes that differ whenever two cases differ.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::from(b"case/1");
        list(&mut out, self.terms.len());
        for term in &self.terms {
            text(&mut out, term);
        }
        list(&mut out, self.steps.len());
        for step in &self.steps {
            text(&mut out, &step.tool);
            list(&mut out, step.parameters.len());
            for (name, fill) in &step.parameters {
                text(&mut out, name);
                match fill {
                    Fill::Slot(slot) => {
                        out.push(b'$');
                        text(&mut out, slot);
                    }
                    Fill::Const(value) => {
                        out.push(b'=');
                        canonical::value(&mut out, value);
                    }
                }
            }
        }
        out
    }

    /// Checks keywords, steps and id.
    ///
    /// # Errors
    /// What is [`Malformed`].
    pub fn check(&self) -> Result<(), Malformed> {
        at_most("keywords of a case", self.terms.len(), MAX_TERMS)?;
        at_most("steps of a case", self.steps.len(), MAX_STEPS)?;
        if self.terms.is_empty() || self.steps.is_empty() {
            return Err(field("case", &self.id, "needs keywords and steps"));
        }
        for term in &self.terms {
            at_most(
                "characters of a keyword",
                term.chars().count(),
                MAX_TERM_CHARS,
            )?;
            let plain = !term.is_empty()
                && !term.chars().any(|c| c.is_whitespace() || c.is_control())
                && term.to_lowercase() == *term;
            if !plain {
                return Err(field("keyword", term, "must be one lower-case word"));
            }
        }
        if let Some([_, later]) = self.terms.array_windows().find(|[one, two]| one >= two) {
            return Err(field(
                "keyword",
                later,
                "is out of order: keywords are sorted, distinct",
            ));
        }
        self.steps.iter().try_for_each(CaseStep::check)?;
        right_id(&self.id, self.content_id())
    }

    /// Whether [`Case::check`] finds nothing wrong.
    #[must_use]
    pub fn well_formed(&self) -> bool {
        self.check().is_ok()
    }
}

fn right_id(id: &str, expected: String) -> Result<(), Malformed> {
    if id == expected {
        Ok(())
    } else {
        Err(Malformed::WrongId {
            id: cut(id),
            expected,
        })
    }
}

impl CaseStep {
    fn check(&self) -> Result<(), Malformed> {
        tool_name(&self.tool)?;
        at_most(
            "parameters of a step",
            self.parameters.len(),
            MAX_PARAMETERS,
        )?;
        for (name, fill) in &self.parameters {
            self::name("parameter", name)?;
            match fill {
                Fill::Slot(slot) => {
                    let plain = (1..=32).contains(&slot.len())
                        && slot
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                    if !plain {
                        return Err(field("slot", slot, "must be 1 to 32 of a-z, 0-9 and _"));
                    }
                }
                Fill::Const(value) => document::check_value(value, MAX_VALUE_DEPTH)?,
            }
        }
        Ok(())
    }
}

/// A short single-line name.
fn name(what: &'static str, text: &str) -> Result<(), Malformed> {
    at_most("characters of a name", text.chars().count(), MAX_NAME_CHARS)?;
    if text.trim().is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(field(
            what,
            text,
            "must be a non-empty line without outer spaces",
        ));
    }
    Ok(())
}

fn tool_name(tool: &str) -> Result<(), Malformed> {
    let plain = (1..=MAX_NAME_CHARS).contains(&tool.len())
        && tool
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b));
    if plain {
        Ok(())
    } else {
        Err(field(
            "tool",
            tool,
            "must be 1 to 128 letters, digits and _ - . : /",
        ))
    }
}

impl Bullet {
    /// A bullet with the id of its content. Outer spaces are dropped.
    #[must_use]
    pub fn new(section: impl Into<String>, text: impl Into<String>) -> Self {
        let mut bullet = Self {
            id: String::new(),
            section: section.into().trim().to_owned(),
            text: text.into().trim().to_owned(),
        };
        bullet.id = bullet.content_id();
        bullet
    }

    /// The id its content has.
    #[must_use]
    pub fn content_id(&self) -> String {
        format!("b-{}", short_hash(&self.canonical()))
    }

    /// Bytes that differ whenever two bullets differ.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::from(b"bullet/1");
        text(&mut out, &self.section);
        text(&mut out, &self.text);
        out
    }

    /// Checks section, text and id.
    ///
    /// # Errors
    /// What is [`Malformed`].
    pub fn check(&self) -> Result<(), Malformed> {
        name("section", &self.section)?;
        at_most(
            "characters of a bullet",
            self.text.chars().count(),
            MAX_BULLET_CHARS,
        )?;
        let stray = |c: char| c.is_control() && c != '\n' && c != '\t';
        if self.text.is_empty() || self.text.trim() != self.text || self.text.chars().any(stray) {
            return Err(field(
                "bullet",
                &self.text,
                "must be text without outer spaces",
            ));
        }
        right_id(&self.id, self.content_id())
    }

    /// Whether [`Bullet::check`] finds nothing wrong.
    #[must_use]
    pub fn well_formed(&self) -> bool {
        self.check().is_ok()
    }
}

impl Count {
    /// Checks target and increments.
    ///
    /// # Errors
    /// What is [`Malformed`].
    pub fn check(&self) -> Result<(), Malformed> {
        match self.target.strip_prefix("tool:") {
            Some(tool) => tool_name(tool)?,
            None if is_entry_id(&self.target) => {}
            None => {
                return Err(field(
                    "target",
                    &self.target,
                    "is no case id, bullet id or tool:NAME",
                ));
            }
        }
        if self.helpful > 1 || self.harmful > 1 || self.helpful + self.harmful == 0 {
            return Err(Malformed::Increment {
                target: self.target.clone(),
                helpful: self.helpful,
                harmful: self.harmful,
            });
        }
        Ok(())
    }
}

fn is_entry_id(id: &str) -> bool {
    id.strip_prefix("case-")
        .or_else(|| id.strip_prefix("b-"))
        .is_some_and(|hash| {
            hash.len() == 16
                && hash
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
}

impl Setting {
    /// Checks path and value.
    ///
    /// # Errors
    /// What is [`Malformed`]; [`Malformed::Protected`] for ethics, red lines and `learned`.
    pub fn check(&self) -> Result<(), Malformed> {
        at_most("parts of a path", self.path.len(), MAX_PATH_PARTS)?;
        if self.path.is_empty() {
            return Err(field("path", "", "must name a key"));
        }
        self.path
            .iter()
            .try_for_each(|part| name("path part", part))?;
        if self.is_protected() {
            return Err(Malformed::Protected {
                path: cut(&self.path.join(".")),
            });
        }
        if let Some(value) = &self.value {
            document::check_value(value, MAX_VALUE_DEPTH)?;
        }
        Ok(())
    }

    /// Whether it would write ethics, red lines or `learned`, by its path or by its value.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        let plain = |part: &String| document::plain_key(part);
        let root = self.path.first().map(plain);
        matches!(root.as_deref(), Some("ethics" | "learned"))
            || self.path.iter().any(|part| document::is_red_lines(part))
            || self.value.as_ref().is_some_and(document::holds_red_lines)
    }
}

#[cfg(test)]
mod tests;
