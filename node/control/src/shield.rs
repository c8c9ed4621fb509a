//! The outermost room: whatever happens inside, the client gets an answer in the API's form.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use pagi_api::ApiError;

use crate::failure::{Failure, PROBLEM_JSON};

/// Turns panics and foreign error responses into problem documents, and adds the headers that keep
/// answers out of caches and from being taken for a web page.
pub(crate) async fn shield(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => as_problem(response),
        Err(_) => Failure::from(ApiError::Internal(
            "the node failed in a way it did not foresee; its log says more".into(),
        ))
        .into_response(),
    };
    // The template and not the path: ids and searches stay out of the log.
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    with_safe_headers(response)
}

fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || is_problem(response.headers()) {
        return response;
    }
    let mut problem = Failure::plain(status).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == PROBLEM_JSON)
}

fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
