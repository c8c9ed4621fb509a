//! Coordinate Research 1.0: two twins share out a question and bring their findings together.
//!
//! The proposer sends `propose`; the other side answers `accept` or `decline` in its thread. Either side
//! then sends any number of `finding`s, and the proposer ends the thread with `conclude`. All but
//! `propose` carry the thread's `thid`.

use serde::{Deserialize, Serialize};

use super::{body_of, read_body};
use crate::{
    error::DidcommError,
    message::{Headers, Message},
};

/// The protocol without its version.
pub const PROTOCOL: &str = "urn:pagi:coordinate-research";

/// A step of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Research {
    /// Shall we look into this together?
    Propose(Proposal),
    /// Yes, and this is the share taken.
    Accept(Acceptance),
    /// No.
    Decline(Decline),
    /// Something was found out.
    Finding(Finding),
    /// The research is over.
    Conclude(Conclusion),
}

/// Body of `propose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The question.
    pub question: String,
    /// The share of it the other side is asked to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// When findings are wanted, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
}

/// Body of `accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The share that is taken.
    pub share: String,
}

/// Body of `decline`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// Why.
    pub reason: String,
}

/// Body of `finding`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found out, in a few sentences.
    pub summary: String,
    /// CID of the whole finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_cid: Option<String>,
    /// How sure the finder is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// Body of `conclude`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The answer to the question.
    pub summary: String,
    /// CID of the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_cid: Option<String>,
}

impl Research {
    /// The message for this step; for all but `propose`, make `headers` with [`Headers::reply`].
    #[must_use]
    pub fn message(&self, headers: Headers) -> Message {
        headers.message(format!("{PROTOCOL}/1.0/{}", self.name()), body_of(self))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Propose(_) => "propose",
            Self::Accept(_) => "accept",
            Self::Decline(_) => "decline",
            Self::Finding(_) => "finding",
            Self::Conclude(_) => "conclude",
        }
    }

    pub(super) fn read(name: &str, message: &Message) -> Result<Option<Self>, DidcommError> {
        let step = match name {
            "propose" => Self::Propose(read_body(message)?),
            "accept" => Self::Accept(read_body(message)?),
            "decline" => Self::Decline(read_body(message)?),
            "finding" => Self::Finding(read_body(message)?),
            "conclude" => Self::Conclude(read_body(message)?),
            _ => return Ok(None),
        };
        if !matches!(step, Self::Propose(_)) && message.thid.is_none() {
            return Err(DidcommError::malformed(
                "message",
                "it needs the `thid` of its proposal",
            ));
        }
        if let Self::Finding(Finding {
            confidence: Some(confidence),
            ..
        }) = &step
            && !(0.0..=1.0).contains(confidence)
        {
            return Err(DidcommError::malformed(
                "body",
                "`confidence` must be from 0 to 1",
            ));
        }
        Ok(Some(step))
    }
}

#[cfg(test)]
mod tests {
    use pagi_messages::SigningIdentity;

    use super::*;
    use crate::Content;

    #[test]
    fn every_step_is_read_back_as_what_it_is() {
        let alice = SigningIdentity::from_seed(&[1; 32]).did().clone();
        let bob = SigningIdentity::from_seed(&[2; 32]).did().clone();
        let propose = Research::Propose(Proposal {
            question: "Why do bees dance?".into(),
            share: Some("The literature before 1950".into()),
            deadline: Some(900),
        });
        let proposal = propose.message(Headers::new("1", &alice, &bob, 5));
        assert_eq!(Content::of(&proposal).unwrap(), Content::Research(propose));
        let finding = |confidence| {
            Research::Finding(Finding {
                summary: "To tell where the food is.".into(),
                artifact_cid: None,
                confidence: Some(confidence),
            })
        };
        for step in [
            Research::Accept(Acceptance {
                share: "All of it".into(),
            }),
            Research::Decline(Decline {
                reason: "Busy".into(),
            }),
            finding(0.9),
            Research::Conclude(Conclusion {
                summary: "Done".into(),
                artifact_cid: None,
            }),
        ] {
            let mut message = step.message(Headers::reply("2", &proposal, &bob, 6));
            assert_eq!(Content::of(&message).unwrap(), Content::Research(step));
            message.thid = None;
            assert!(Content::of(&message).is_err());
        }
        let sure = finding(1.1).message(Headers::reply("2", &proposal, &bob, 6));
        assert!(Content::of(&sure).is_err());
    }
}
