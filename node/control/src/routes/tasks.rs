//! Work offered to the swarm, and what becomes of it.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use pagi_api::work::{AskSwarm, SwarmTask, SwarmTasks, TaskNews};

use super::{Api, Route, event, goals::wants_stream};
use crate::{
    extract::{JsonObject, Segment},
    failure::Failure,
};

const TAG: &str = "tasks";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/swarm/tasks", ask)
            .about(TAG, "Give a task to the swarm")
            .detail(
                "202 when it is stored; another node that has what it `needs` then does it, and \
                 gets to see the goal. A node does work of others only where its user allows it. \
                 The task outlives a restart of this node.",
            )
            .takes::<AskSwarm>(
                r#"{"goal":"What is 12 * (3 + 4)?","needs":["calculator"],"deadline_s":600}"#,
            )
            .accepts()
            .gives::<SwarmTask>(),
        Route::get("/swarm/tasks", list)
            .about(
                TAG,
                "List tasks given to the swarm, and tasks of others that this node works on",
            )
            .gives::<SwarmTasks>(),
        Route::get("/swarm/tasks/{task_id}", show)
            .about(TAG, "A task given to the swarm")
            .detail(
                "With `Accept: text/event-stream` what happens to it comes as it happens: first \
                 `offered` with the task as it is, then `offer`, `assigned`, `progress` and \
                 `attempt_failed`, and at the end `done` or `failed` with the task.",
            )
            .gives::<SwarmTask>()
            .gives_as(
                "text/event-stream",
                |generator| generator.subschema_for::<TaskNews>().to_value(),
                "What happens to it, each with this as its data.",
            ),
        Route::delete("/swarm/tasks/{task_id}", cancel)
            .about(TAG, "Take a task back")
            .detail("Its worker is told to stop. A task that is over stays as it ended.")
            .gives::<SwarmTask>(),
    ]
}

async fn ask(
    State(api): State<Api>,
    JsonObject(request): JsonObject<AskSwarm>,
) -> Result<(StatusCode, Json<SwarmTask>), Failure> {
    Ok((
        StatusCode::ACCEPTED,
        Json(api.node.ask_swarm(request).await?),
    ))
}

async fn list(State(api): State<Api>) -> Result<Json<SwarmTasks>, Failure> {
    Ok(Json(api.node.swarm_tasks().await?))
}

async fn show(
    State(api): State<Api>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if !wants_stream(&headers) {
        return Ok(Json(api.node.swarm_task(&id).await?).into_response());
    }
    let news = api.node.watch_swarm_task(&id).await?;
    Ok(api.stream(news.map(|news| event(news.name(), &news))))
}

async fn cancel(State(api): State<Api>, Segment(id): Segment) -> Result<Json<SwarmTask>, Failure> {
    Ok(Json(api.node.cancel_swarm_task(&id).await?))
}
