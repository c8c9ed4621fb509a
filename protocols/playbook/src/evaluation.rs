//! Task suites, and what a candidate playbook must show on them before it is merged.
//!
//! A suite is JSON Lines: on each line a task with a `goal`, the `tools` the answer must rest on
//! and, where the answer can be foretold, an `expect`ed part of the answer. Candidate and current
//! playbook run the same suite. The candidate is accepted where no task that passed before fails
//! with it, and where the share of passed tasks grows by at least
//! `ace.reflection.improvement_threshold`. Without that setting, being no worse is enough: most
//! lessons are about goals that no suite holds. A founder who wants a measured gain sets it; what is
//! learned may not move the bar.

use pagi_messages::{cid_of, content::to_dag_cbor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::State;

/// Most tasks of a suite.
pub const MAX_TASKS: usize = 1000;
/// Longest goal or expectation, in characters.
pub const MAX_TASK_CHARS: usize = 2000;
/// Most goals listed in a report as lost or won.
pub const MAX_LISTED: usize = 20;

/// One task of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is asked.
    pub goal: String,
    /// Tools the answer must rest on, in any order; others may be called as well.
    pub tools: Vec<String>,
    /// What the answer must contain, in any case of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// Why a suite cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A line is no task.
    #[error("line {line} of the suite is no task: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It has no tasks, or too many.
    #[error("a suite has 1 to {MAX_TASKS} tasks, this one {0}")]
    Count(usize),
}

/// Tasks that are run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The CID of the tasks as DAG-CBOR, as text: two nodes with the same suite see it by this.
    pub id: String,
}

impl Suite {
    /// Reads JSON Lines. Empty lines and lines that start with `#` are passed over.
    ///
    /// # Errors
    /// [`SuiteError`].
    pub fn parse(text: &str) -> Result<Self, SuiteError> {
        let mut tasks = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |reason: String| SuiteError::Line {
                line: number + 1,
                reason,
            };
            let task: Task =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let long = |text: &str| text.chars().count() > MAX_TASK_CHARS;
            if task.goal.trim().is_empty() || task.tools.is_empty() {
                return Err(wrong("it needs a goal and tools".into()));
            }
            if long(&task.goal) || task.expect.as_deref().is_some_and(long) {
                return Err(wrong(format!("longer than {MAX_TASK_CHARS} characters")));
            }
            tasks.push(task);
        }
        if !(1..=MAX_TASKS).contains(&tasks.len()) {
            return Err(SuiteError::Count(tasks.len()));
        }
        let id = to_dag_cbor(&tasks)
            .map(|bytes| cid_of(&bytes).to_string())
            .unwrap_or_default();
        Ok(Self { tasks, id })
    }
}

impl Task {
    /// Whether a run whose `answer` rests on calls of `tools` passes.
    #[must_use]
    pub fn is_passed(&self, reached: bool, tools: &[&str], answer: &str) -> bool {
        let called = self.tools.iter().all(|tool| tools.contains(&tool.as_str()));
        let answer = answer.to_lowercase();
        let said = self
            .expect
            .as_ref()
            .is_none_or(|expected| answer.contains(&expected.to_lowercase()));
        reached && called && said
    }
}

/// How candidate and current playbook did on a suite. It is stored as DAG-CBOR by CID, and the
/// revision it let in names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`Suite::id`].
    pub suite: String,
    /// The tasks run.
    pub tasks: u32,
    /// Tasks the current playbook passed.
    pub before: u32,
    /// Tasks the candidate passed.
    pub after: u32,
    /// Goals the candidate fails though the current playbook reaches them; at most [`MAX_LISTED`].
    pub lost: Vec<String>,
    /// Goals only the candidate reaches; at most [`MAX_LISTED`].
    pub won: Vec<String>,
    /// How much the share of passed tasks had to grow.
    pub threshold: f64,
}

/// Why a candidate was not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Worse {
    /// A task that passed before fails.
    #[error("{} of {tasks} tasks that passed before fail with it, such as {goal:?}", .count)]
    Regression {
        /// How many; the listed ones.
        count: usize,
        /// Tasks in all.
        tasks: u32,
        /// The first of them.
        goal: String,
    },
    /// It does not gain enough.
    #[error("it gains {gain:.3} where {threshold:.3} is asked for")]
    BelowThreshold {
        /// The gain in the share of passed tasks.
        gain: f64,
        /// What was asked for.
        threshold: f64,
    },
    /// The numbers contradict each other.
    #[error("the report's numbers do not fit together")]
    Absurd,
}

impl Report {
    /// A report from the passes of both playbooks, task by task.
    #[must_use]
    pub fn new(suite: &Suite, before: &[bool], after: &[bool], threshold: f64) -> Self {
        let goals = |wanted: (bool, bool)| {
            let both = before.iter().zip(after);
            let tasks = suite.tasks.iter().zip(both);
            tasks
                .filter(|(_, (was, is))| (**was, **is) == wanted)
                .map(|(task, _)| task.goal.clone())
                .take(MAX_LISTED)
                .collect()
        };
        let count = |passes: &[bool]| {
            let passed = passes.iter().filter(|passed| **passed).count();
            u32::try_from(passed).unwrap_or(u32::MAX)
        };
        Self {
            suite: suite.id.clone(),
            tasks: u32::try_from(suite.tasks.len()).unwrap_or(u32::MAX),
            before: count(before),
            after: count(after),
            lost: goals((true, false)),
            won: goals((false, true)),
            threshold,
        }
    }

    /// Whether the candidate is accepted.
    ///
    /// # Errors
    /// [`Worse`], and why.
    pub fn verdict(&self) -> Result<(), Worse> {
        let listed = |goals: &Vec<String>| goals.len() <= MAX_LISTED;
        if self.tasks == 0
            || self.before > self.tasks
            || self.after > self.tasks
            || !self.threshold.is_finite()
            || !listed(&self.lost)
            || !listed(&self.won)
        {
            return Err(Worse::Absurd);
        }
        if let Some(goal) = self.lost.first() {
            return Err(Worse::Regression {
                count: self.lost.len(),
                tasks: self.tasks,
                goal: goal.clone(),
            });
        }
        let gain = (f64::from(self.after) - f64::from(self.before)) / f64::from(self.tasks);
        let threshold = self.threshold.max(0.0);
        if gain < threshold {
            return Err(Worse::BelowThreshold { gain, threshold });
        }
        Ok(())
    }
}

/// The bar of a playbook: `ace.reflection.improvement_threshold`, 0 where there is none.
#[must_use]
pub fn threshold(state: &State) -> f64 {
    state
        .setting(&["ace", "reflection", "improvement_threshold"])
        .and_then(Value::as_f64)
        .filter(|bar| bar.is_finite())
        .map_or(0.0, |bar| bar.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Genesis;

    const SUITE: &str = "# arithmetic\n\
        {\"goal\":\"What is 2+2?\",\"tools\":[\"calculator\"],\"expect\":\"4\"}\n\n\
        {\"goal\":\"How full is the disk?\",\"tools\":[\"system_monitor\"]}\n";

    #[test]
    fn suites_are_read_line_by_line_and_named_by_content() {
        let suite = Suite::parse(SUITE).unwrap();
        assert_eq!(suite.tasks.len(), 2);
        assert!(suite.id.starts_with("bafy"));
        assert_eq!(
            suite.id,
            Suite::parse(&SUITE.replace("# a", "# b")).unwrap().id
        );
        assert_eq!(Suite::parse("\n# nothing\n"), Err(SuiteError::Count(0)));
        for (text, line) in [
            ("{\"goal\":\"x\",\"tools\":[]}", 1),
            ("# c\n{\"goal\":\"\",\"tools\":[\"a\"]}", 2),
            ("nonsense", 1),
            ("{\"goal\":\"x\",\"tools\":[\"a\"],\"extra\":1}", 1),
        ] {
            let error = Suite::parse(text).unwrap_err();
            assert!(
                matches!(&error, SuiteError::Line { line: at, .. } if *at == line),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_task_wants_its_tools_and_its_answer() {
        let task = &Suite::parse(SUITE).unwrap().tasks[0];
        assert!(task.is_passed(true, &["calculator"], "It is 4."));
        assert!(task.is_passed(true, &["recall", "calculator"], "It is 4."));
        assert!(!task.is_passed(false, &["calculator"], "It is 4."));
        assert!(!task.is_passed(true, &["calculator"], "It is 5."));
        assert!(!task.is_passed(true, &["system_monitor"], "4"));
        assert!(!task.is_passed(true, &[], "4"));
    }

    #[test]
    fn a_candidate_may_lose_nothing_and_must_gain_what_is_asked() {
        let suite = Suite::parse(SUITE).unwrap();
        let report =
            |before: [bool; 2], after: [bool; 2], bar| Report::new(&suite, &before, &after, bar);
        assert_eq!(report([true, false], [true, false], 0.0).verdict(), Ok(()));
        assert_eq!(report([true, false], [true, true], 0.5).verdict(), Ok(()));
        assert!(matches!(
            report([true, false], [true, false], 0.01).verdict(),
            Err(Worse::BelowThreshold { .. })
        ));
        // One lost and one won is no improvement.
        let swapped = report([true, false], [false, true], 0.0);
        assert!(matches!(swapped.verdict(), Err(Worse::Regression { .. })));
        assert_eq!(swapped.won, ["How full is the disk?"]);
        let absurd = Report {
            after: 9,
            ..report([true, true], [true, true], 0.0)
        };
        assert_eq!(absurd.verdict(), Err(Worse::Absurd));
        // A negative bar is none.
        assert_eq!(report([true, true], [true, true], -1.0).verdict(), Ok(()));
    }

    #[test]
    fn the_bar_is_a_setting_of_reflection() {
        let bar =
            |toml: &str| threshold(&State::new(&Genesis::from_toml("lab", toml).unwrap()).unwrap());
        assert_eq!(bar("version = \"1\"\n"), 0.0);
        assert_eq!(
            bar("[ace.reflection]\nimprovement_threshold = 0.25\n"),
            0.25
        );
        assert_eq!(bar("[ace.reflection]\nimprovement_threshold = -3.0\n"), 0.0);
    }
}
