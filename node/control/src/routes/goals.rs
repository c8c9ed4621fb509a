//! Context, inference, plans, and goals with their steps as they happen.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse},
};
use futures::{Stream, stream};
use pagi_api::{
    ApiError,
    goal::{
        BuildContext, BuiltContext, GoalRequest, InferRequest, InferResponse, Interaction, Plan,
        PlanRequest, Progress,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Api, Route, event, problem_event};
use crate::{
    extract::{JsonObject, Segment},
    failure::Failure,
};

const TAG: &str = "goals";
/// Steps and pieces of text a slow reader may lag behind; what exceeds it is not shown to it.
const PROGRESS_QUEUE: usize = 1024;
/// How long the head of an event stream waits for news, so that a goal that is turned down at once
/// is answered with a problem and its status.
const FIRST_NEWS: Duration = Duration::from_secs(1);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/interact/{twin_id}", interact)
            .about(TAG, "Give a twin a goal")
            .detail(
                "With `Accept: text/event-stream` the steps come as they happen: events `step` and \
                 `text`, then one `done` with the whole outcome, or one `problem`. A goal goes on \
                 when its client leaves; the event log shows how it ended.",
            )
            .takes::<GoalRequest>(r#"{"goal":"Check the disk and warn me above 80 %"}"#)
            .gives::<Interaction>()
            .gives_as(
                "text/event-stream",
                |generator| generator.subschema_for::<Progress>().to_value(),
                "Steps as they happen, each with this as its data.",
            ),
        Route::post("/plan", plan)
            .about(TAG, "Plan a goal without running it")
            .takes::<PlanRequest>(r#"{"goal":"Check the disk and warn me above 80 %"}"#)
            .gives::<Plan>(),
        Route::post("/build", build)
            .about(TAG, "Build a context for a goal")
            .takes::<BuildContext>(r#"{"twin_id":"TWIN_ID","goal":"Check the disk"}"#)
            .gives::<BuiltContext>(),
        Route::post("/pagi/context/build", build_emotional)
            .about(
                TAG,
                "Build a context for a goal, weighted by the twin's emotion",
            )
            .takes::<BuildContext>(r#"{"twin_id":"TWIN_ID","goal":"Check the disk"}"#)
            .gives::<BuiltContext>(),
        Route::post("/infer", infer)
            .about(TAG, "Ask what the twin thinks with")
            .takes::<InferRequest>(r#"{"twin_id":"TWIN_ID","input":"What can you do?"}"#)
            .gives::<InferResponse>(),
    ]
}

async fn plan(
    State(api): State<Api>,
    JsonObject(request): JsonObject<PlanRequest>,
) -> Result<Json<Plan>, Failure> {
    Ok(Json(api.node.plan(request).await?))
}

async fn build(
    State(api): State<Api>,
    JsonObject(request): JsonObject<BuildContext>,
) -> Result<Json<BuiltContext>, Failure> {
    Ok(Json(api.node.build_context(request, false).await?))
}

async fn build_emotional(
    State(api): State<Api>,
    JsonObject(request): JsonObject<BuildContext>,
) -> Result<Json<BuiltContext>, Failure> {
    Ok(Json(api.node.build_context(request, true).await?))
}

async fn infer(
    State(api): State<Api>,
    JsonObject(request): JsonObject<InferRequest>,
) -> Result<Json<InferResponse>, Failure> {
    Ok(Json(api.node.infer(request).await?))
}

async fn interact(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    headers: HeaderMap,
    JsonObject(request): JsonObject<GoalRequest>,
) -> Result<Response, Failure> {
    if !wants_stream(&headers) {
        return Ok(Json(api.node.interact(&twin_id, request, None).await?).into_response());
    }
    let (sink, mut progress) = mpsc::channel(PROGRESS_QUEUE);
    let node = api.node.clone();
    let mut goal = api
        .work
        .spawn(async move { node.interact(&twin_id, request, Some(sink)).await });
    let first = tokio::select! {
        biased;
        Some(first) = progress.recv() => shown(&first),
        ended = &mut goal => {
            let interaction = outcome(ended)?;
            let running = Running { progress, ended: Some(Ok(interaction)), goal: None };
            return Ok(api.stream(watch(None, running)));
        }
        () = tokio::time::sleep(FIRST_NEWS) => None,
    };
    let running = Running {
        progress,
        goal: Some(goal),
        ended: None,
    };
    Ok(api.stream(watch(first, running)))
}

/// Whether the client asks for events.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|media| media.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

type GoalTask = JoinHandle<Option<Result<Interaction, ApiError>>>;

/// A goal being watched. `goal` is there until it has ended, `ended` from then until it was shown.
struct Running {
    progress: mpsc::Receiver<Progress>,
    goal: Option<GoalTask>,
    ended: Option<Result<Interaction, ApiError>>,
}

/// The events of a goal: `first`, what is reported of it, and how it ends.
fn watch(
    first: Option<sse::Event>,
    running: Running,
) -> impl Stream<Item = sse::Event> + Send + 'static {
    stream::unfold((first, Some(running)), |(first, running)| async {
        if let Some(first) = first {
            return Some((first, (None, running)));
        }
        let mut running = running?;
        while let Some(goal) = &mut running.goal {
            tokio::select! {
                biased;
                Some(progress) = running.progress.recv() => {
                    if let Some(event) = shown(&progress) {
                        return Some((event, (None, Some(running))));
                    }
                }
                ended = goal => {
                    running.ended = Some(outcome(ended));
                    running.goal = None;
                }
            }
        }
        // What was reported just before the end.
        while let Ok(progress) = running.progress.try_recv() {
            if let Some(event) = shown(&progress) {
                return Some((event, (None, Some(running))));
            }
        }
        let last = match running.ended? {
            Ok(interaction) => event("done", &Progress::Done(Box::new(interaction))),
            Err(error) => problem_event(&error),
        };
        Some((last, (None, None)))
    })
}

/// The event for `progress`. The end is shown once and from the outcome itself, because a report of
/// it may have been dropped.
fn shown(progress: &Progress) -> Option<sse::Event> {
    match progress {
        Progress::Step(_) => Some(event("step", progress)),
        Progress::Text { .. } => Some(event("text", progress)),
        Progress::Done(_) => None,
    }
}

fn outcome(
    ended: Result<Option<Result<Interaction, ApiError>>, tokio::task::JoinError>,
) -> Result<Interaction, ApiError> {
    match ended {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err(ApiError::Unavailable("the node is stopping".into())),
        Err(error) => {
            tracing::error!(%error, "a goal's task failed");
            Err(ApiError::Internal(
                "the goal failed in a way the node did not foresee".into(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_asks_for_events_gets_them() {
        let wants = |accept: &'static str| {
            wants_stream(&HeaderMap::from_iter([(
                header::ACCEPT,
                header::HeaderValue::from_static(accept),
            )]))
        };
        assert!(wants("text/event-stream"));
        assert!(wants("application/json;q=0.5, Text/Event-Stream;q=1"));
        assert!(!wants("*/*") && !wants("application/json") && !wants("text/*"));
        assert!(!wants_stream(&HeaderMap::new()));
    }
}
