//! Report Problem 2.0: what went wrong, in a form that machines can act upon.

use serde::{Deserialize, Serialize};

use super::{body_of, read_body};
use crate::{
    error::DidcommError,
    message::{Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "https://didcomm.org/report-problem";
const REPORT: &str = "https://didcomm.org/report-problem/2.0/problem-report";

/// What went wrong. The message's `pthid` is the thread it went wrong in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemReport {
    /// Sorter (`e` error, `w` warning), scope and descriptors, e.g. `e.p.xfer.cant-use-endpoint`.
    pub code: String,
    /// For humans; `{1}`, `{2}` and so on stand for [`ProblemReport::args`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The values for the comment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Where more help is to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_to: Option<String>,
}

impl ProblemReport {
    /// Reports this problem about `message`.
    #[must_use]
    pub fn about(self, message: &Message, mut headers: Headers) -> Message {
        headers.thid = None;
        headers.pthid = Some(message.thread().to_owned());
        headers.message(REPORT, body_of(&self))
    }

    /// Whether the sender knows for certain that its intent is defeated (sorter `e`).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.code.starts_with("e.")
    }

    /// The comment with its arguments put in: a missing one becomes `?`, those left over are appended.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut highest = 0;
        let mut rest = self.comment.as_deref().unwrap_or_default();
        while let Some(open) = rest.find('{') {
            let (before, from_open) = rest.split_at(open);
            text.push_str(before);
            let number = from_open.find('}').and_then(|close| {
                Some((
                    from_open[1..close]
                        .parse::<usize>()
                        .ok()
                        .filter(|n| *n > 0)?,
                    close,
                ))
            });
            match number {
                Some((number, close)) => {
                    highest = highest.max(number);
                    text.push_str(self.args.get(number - 1).map_or("?", String::as_str));
                    rest = &from_open[close + 1..];
                }
                None => {
                    text.push('{');
                    rest = &from_open[1..];
                }
            }
        }
        text.push_str(rest);
        for extra in self.args.iter().skip(highest) {
            text.push_str(", ");
            text.push_str(extra);
        }
        text
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        if name != "problem-report" {
            return Ok(None);
        }
        let read: Self = read_body(message)?;
        let mut tokens = read.code.split('.');
        if !matches!(tokens.next(), Some("e" | "w"))
            || tokens.clone().count() == 0
            || tokens.any(str::is_empty)
        {
            return Err(DidcommError::malformed(
                "body",
                "`code` is not a problem code",
            ));
        }
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::{BasicMessage, Content};

    #[test]
    fn a_report_names_the_thread_and_reads_well() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let about = BasicMessage::message(Headers::new("1", &did, &did, 5), "hi", None);
        let report = ProblemReport {
            code: "e.p.xfer.cant-use-endpoint".into(),
            comment: Some("Unable to use {1} for {2}.".into()),
            args: vec!["https://a".into()],
            escalate_to: None,
        };
        let message = report
            .clone()
            .about(&about, Headers::new("2", &did, &did, 6));
        assert_eq!(message.pthid.as_deref(), Some("1"));
        assert_eq!(
            Content::of(&message).unwrap(),
            Content::ProblemReport(report.clone())
        );
        assert!(report.is_error());
        assert_eq!(report.text(), "Unable to use https://a for ?.");
    }

    #[test]
    fn arguments_left_over_are_appended_and_odd_braces_stay() {
        let report = ProblemReport {
            code: "w.m.msg".into(),
            comment: Some("{x} {0} {1} {".into()),
            args: vec!["a".into(), "b".into()],
            escalate_to: None,
        };
        assert_eq!(report.text(), "{x} {0} a {, b");
        assert!(!report.is_error());
    }

    #[test]
    fn what_is_no_problem_code_is_refused() {
        let did = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let about = BasicMessage::message(Headers::new("1", &did, &did, 5), "hi", None);
        for code in ["", "e", "x.p.msg", "e..msg", "e.p."] {
            let report = ProblemReport {
                code: code.into(),
                ..ProblemReport::default()
            };
            let message = report.about(&about, Headers::new("2", &did, &did, 6));
            assert!(Content::of(&message).is_err(), "{code}");
        }
    }
}
