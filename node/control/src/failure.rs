//! Errors as HTTP responses: `application/problem+json` (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pagi_api::{ApiError, Problem};

/// The media type of a problem document.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// An error response. Besides what an [`ApiError`] can say, it can say what only HTTP knows.
#[derive(Debug)]
pub(crate) struct Failure(Problem);

impl Failure {
    fn http(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Problem {
            kind: format!("urn:pagi:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            violations: Vec::new(),
        })
    }

    /// The route exists, but not with this method. 405.
    pub(crate) fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::http(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The route does not take this method",
            detail,
        )
    }

    /// The body did not arrive in time. 408.
    pub(crate) fn request_timeout(detail: impl Into<String>) -> Self {
        Self::http(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "The request did not arrive in time",
            detail,
        )
    }

    /// The body is not JSON. 415.
    pub(crate) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is of a kind the route does not take",
            detail,
        )
    }

    /// The `Host` is not one this node goes by. 421.
    pub(crate) fn misdirected(detail: impl Into<String>) -> Self {
        Self::http(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "The request is for another host",
            detail,
        )
    }

    /// Any other status, in its standard words.
    pub(crate) fn plain(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("The request failed");
        let kind = title.to_ascii_lowercase().replace(' ', "-");
        Self::http(status, &kind, title, title)
    }

    /// The problem document.
    pub(crate) const fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        if matches!(error, ApiError::Internal(_)) {
            tracing::error!(%error, "a request failed");
        }
        Self(error.problem())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_else(|_| b"{}".to_vec());
        let mut response = (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))],
            body,
        )
            .into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_error_keeps_its_status_and_401_asks_for_a_token() {
        let response = Failure::from(ApiError::Conflict("taken".into())).into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
        let response = Failure::from(ApiError::Unauthorized("no token".into())).into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(
            Failure::plain(StatusCode::LENGTH_REQUIRED).problem().kind,
            "urn:pagi:problem:length-required"
        );
    }
}
