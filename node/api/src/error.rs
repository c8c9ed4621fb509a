//! Errors as the API reports them (RFC 9457, `application/problem+json`).

use serde::{Deserialize, Serialize};

/// One way in which parameters break a JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Violation {
    /// JSON Pointer to the offending value (`""` is the whole).
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// What a request can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no such thing. 404.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// `twin`, `tool`, `artifact`, …
        what: &'static str,
        /// The name that was asked for.
        id: String,
    },
    /// The request is well-formed JSON but not what the call takes. 422.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
        /// Each schema violation, where a schema was checked.
        violations: Vec<Violation>,
    },
    /// The body or query cannot be read. 400.
    #[error("{0}")]
    Malformed(String),
    /// The caller did not show a valid token. 401.
    #[error("{0}")]
    Unauthorized(String),
    /// The act is not allowed: a grant, an allow-list, the ethics gate. 403.
    #[error("{0}")]
    Forbidden(String),
    /// The thing exists in a state that rules the act out. 409.
    #[error("{0}")]
    Conflict(String),
    /// The body is larger than the limit. 413.
    #[error("{0}")]
    TooLarge(String),
    /// The caller asks too much at once. 429.
    #[error("{0}")]
    TooMany(String),
    /// Another service (a tool's server, a model, a peer) failed. 502.
    #[error("{0}")]
    Upstream(String),
    /// The node cannot do this now. 503.
    #[error("{0}")]
    Unavailable(String),
    /// Another service did not answer in time. 504.
    #[error("{0}")]
    Timeout(String),
    /// A fault of the node itself. 500.
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    /// An [`ApiError::Invalid`] without schema violations.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid {
            detail: detail.into(),
            violations: Vec::new(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound { .. } => 404,
            Self::Conflict(_) => 409,
            Self::TooLarge(_) => 413,
            Self::Invalid { .. } => 422,
            Self::TooMany(_) => 429,
            Self::Internal(_) => 500,
            Self::Upstream(_) => 502,
            Self::Unavailable(_) => 503,
            Self::Timeout(_) => 504,
        }
    }

    /// A short stable name, the tail of the problem's `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound { .. } => "not-found",
            Self::Conflict(_) => "conflict",
            Self::TooLarge(_) => "too-large",
            Self::TooMany(_) => "too-many",
            Self::Invalid { .. } => "invalid",
            Self::Internal(_) => "internal",
            Self::Upstream(_) => "upstream",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timeout",
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "The request cannot be read",
            Self::Unauthorized(_) => "A valid token is needed",
            Self::Forbidden(_) => "Not allowed",
            Self::NotFound { .. } => "Not found",
            Self::Conflict(_) => "Conflict with the current state",
            Self::TooLarge(_) => "The body is too large",
            Self::TooMany(_) => "Too many requests",
            Self::Invalid { .. } => "The request is not valid",
            Self::Internal(_) => "The node failed",
            Self::Upstream(_) => "A service the node called failed",
            Self::Unavailable(_) => "Not available now",
            Self::Timeout(_) => "A service the node called did not answer in time",
        }
    }

    /// The problem document.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            kind: format!("urn:pagi:problem:{}", self.kind()),
            title: self.title().to_owned(),
            status: self.status(),
            detail: self.to_string(),
            violations: match self {
                Self::Invalid { violations, .. } => violations.clone(),
                _ => Vec::new(),
            },
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// `urn:pagi:problem:` and the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Schema violations, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_carries_status_kind_and_violations() {
        let error = ApiError::Invalid {
            detail: "2 parameters are wrong".into(),
            violations: vec![Violation {
                path: "/x".into(),
                message: "is not a number".into(),
            }],
        };
        let json = serde_json::to_value(error.problem()).unwrap();
        assert_eq!(json["type"], "urn:pagi:problem:invalid");
        assert_eq!(json["status"], 422);
        assert_eq!(json["violations"][0]["path"], "/x");
        let missing = ApiError::NotFound {
            what: "twin",
            id: "x".into(),
        }
        .problem();
        assert_eq!((missing.status, missing.violations.len()), (404, 0));
    }
}
