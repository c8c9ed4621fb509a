//! The table of routes, and the router built from it.
//!
//! Each submodule holds some handlers and, beside them, their rows of the table.

mod content;
mod events;
mod goals;
mod hive;
mod membership;
mod messages;
mod node;
mod route;
mod tasks;
mod tools;
mod twins;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::OriginalUri,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt};
use pagi_api::{ApiError, Node};
use serde::Serialize;

pub(crate) use self::route::Route;
use crate::{
    config::Limits,
    failure::Failure,
    guard::{Guard, guard},
    shield::shield,
    work::{Work, run_to_the_end},
};

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) max_body_bytes: usize,
    pub(crate) limits: Limits,
    pub(crate) work: Work,
}

impl Api {
    /// An event stream that ends when the server closes.
    fn stream<S>(&self, events: S) -> Response
    where
        S: Stream<Item = sse::Event> + Send + 'static,
    {
        let events = events
            .take_until(Box::pin(self.work.closing()))
            .map(Ok::<_, Infallible>);
        Sse::new(events)
            .keep_alive(
                KeepAlive::new()
                    .interval(self.limits.keep_alive)
                    .text("keep-alive"),
            )
            .into_response()
    }
}

/// An event of a stream with `data` as JSON.
fn event(name: &str, data: &impl Serialize) -> sse::Event {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written as JSON");
        "null".to_owned()
    });
    sse::Event::default().event(name).data(data)
}

/// The event that a stream ends with when it fails.
fn problem_event(error: &ApiError) -> sse::Event {
    event("problem", &error.problem())
}

/// Every route, in the order of the document.
pub(crate) fn table() -> Vec<Route> {
    [
        events::routes(),
        twins::routes(),
        goals::routes(),
        tools::routes(),
        messages::routes(),
        membership::routes(),
        hive::routes(),
        tasks::routes(),
        content::routes(),
        node::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The routes of the control API over `node`, behind `guard`, for embedding in a server of one's
/// own; [`crate::serve`] is the whole thing.
pub fn router(node: Arc<dyn Node>, guard: Guard, max_body_bytes: usize, limits: Limits) -> Router {
    build(
        Api {
            node,
            max_body_bytes,
            limits,
            work: Work::default(),
        },
        guard,
    )
}

/// As [`router`], with the server's own bookkeeping of work in flight.
pub(crate) fn build(api: Api, outer_guard: Guard) -> Router {
    let mut open = Vec::new();
    let mut router = Router::new();
    for route in table() {
        if route.open {
            open.push(route.path);
        }
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(api.clone(), run_to_the_end))
        .layer(from_fn_with_state(outer_guard.with_open_paths(open), guard))
        .layer(from_fn(shield))
        .with_state(api)
}

async fn unknown_route(OriginalUri(uri): OriginalUri) -> Failure {
    let id = uri.path().chars().take(200).collect();
    ApiError::NotFound { what: "route", id }.into()
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> Failure {
    let path: String = uri.path().chars().take(200).collect();
    Failure::method_not_allowed(format!("{path} does not take {method}"))
}

/// `None` for an empty text, which a client sends for a field its user left out.
fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_route_is_there_once_and_the_open_ones_are_known() {
        let mut seen = BTreeSet::new();
        for route in table() {
            assert!(
                seen.insert((route.path, route.method.to_string())),
                "{}",
                route.path
            );
        }
        let open: Vec<_> = table().into_iter().filter(|route| route.open).collect();
        let paths: BTreeSet<_> = open.iter().map(|route| route.path).collect();
        assert_eq!(
            paths,
            BTreeSet::from([
                "/.well-known/did.json",
                "/healthz",
                "/metrics",
                "/openapi.json",
                "/receive"
            ])
        );
        for route in open {
            // An open path is open whole and for every method of it.
            assert!(!route.path.contains('{'), "{}", route.path);
            let reads = route.method == Method::GET;
            assert!(reads || route.path == "/receive", "{}", route.path);
            let served = table().into_iter().filter(|other| other.path == route.path);
            assert_eq!(served.count(), 1, "{}", route.path);
        }
    }
}
